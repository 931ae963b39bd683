package usagelake_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usagelake"
	"usagelake/schemas"
	"usagelake/transform"
	"usagelake/transform/price"
)

// The README's tables say what the code says.
func TestReadmeTables(t *testing.T) {
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(data)
	has := func(row string) {
		t.Helper()
		if !strings.Contains(readme, row) {
			t.Errorf("README has no %s", row)
		}
	}
	kinds := map[schemas.Kind]string{
		schemas.Time: "timestamp", schemas.String: "string", schemas.Double: "double",
		schemas.Int: "int64", schemas.Bool: "boolean", schemas.Money: "decimal(18,9)",
	}
	for c := range schemas.NumColumns {
		has("| `" + c.String() + "` | " + kinds[schemas.Columns[c].Kind] + " | " + schemas.Columns[c].Doc + " |\n")
	}
	for _, f := range transform.Flags {
		has("| `" + f.Name + "` | " + f.Doc + " |\n")
	}
	for _, r := range schemas.Reasons {
		has("| `" + string(r.Reason) + "` | " + r.Doc + " |\n")
	}
	if _, rest, ok := strings.Cut(readme, formatsHead); !ok {
		t.Error("README has no table of formats")
	} else {
		old, _, _ := strings.Cut(strings.TrimSuffix(rest, "\n"), "\n\n") // up to the end of the page
		if want := formats(); old+"\n" != want {
			if *update {
				readme = strings.Replace(readme, formatsHead+old+"\n", formatsHead+want, 1)
				if err := os.WriteFile("README.md", []byte(readme), 0o644); err != nil {
					t.Fatal(err)
				}
			} else {
				t.Errorf("README's table of formats, -want +got\n%s", cmp.Diff(want, old+"\n"))
			}
		}
	}
	tests := testNames(t)
	for _, name := range regexp.MustCompile(`Test[A-Z]\w+`).FindAllString(readme, -1) {
		if !tests[name] {
			t.Errorf("README names %s, which is no test", name)
		}
	}
}

const formatsHead = "| dialect | parts are | shape |\n| --- | --- | --- |\n"

// formats is the README's table of what is read: a line for each dialect.
func formats() string {
	shapes := map[string][]string{}
	basis := map[string]string{}
	var names []string
	for _, f := range usagelake.Formats() {
		if shapes[f.Dialect] == nil {
			names = append(names, f.Dialect)
		}
		if !slices.Contains(shapes[f.Dialect], f.Doc) {
			shapes[f.Dialect] = append(shapes[f.Dialect], f.Doc)
		}
		basis[f.Dialect] = max(basis[f.Dialect], f.Basis)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, n := range names {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", n, basis[n], strings.Join(shapes[n], "; "))
	}
	return b.String()
}

// testNames are the tests of all packages.
func testNames(t *testing.T) map[string]bool {
	names := map[string]bool{}
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "*/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)`).FindAllStringSubmatch(string(data), -1) {
				names[m[1]] = true
			}
		}
	}
	return names
}

// The example of a price book is one that lint finds nothing in, and the
// documents name every meter.
func TestPriceExample(t *testing.T) {
	problems, err := usagelake.LintPrices("docs/prices-example.yaml")
	if err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	doc, err := os.ReadFile("docs/prices.md")
	if err != nil {
		t.Fatal(err)
	}
	for m := range price.NumMeters {
		unit := "| 1 |"
		if m.Tokens() {
			unit = "| 1M |"
		}
		if !regexp.MustCompile("(?m)^\\| .*`" + m.String() + "`.* " + regexp.QuoteMeta(unit) + "$").Match(doc) {
			t.Errorf("docs/prices.md has no %s for %s", m, unit)
		}
	}
}
