package usagelake_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"usagelake/schemas"
	"usagelake/transform"
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
	for _, e := range transform.Entries {
		has("| `" + e.Name + "` |")
	}
	tests := testNames(t)
	for _, name := range regexp.MustCompile(`Test[A-Z]\w+`).FindAllString(readme, -1) {
		if !tests[name] {
			t.Errorf("README names %s, which is no test", name)
		}
	}
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
