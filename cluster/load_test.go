package cluster

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Where inputs and lakes can be.
var places = []struct {
	name         string
	inputs, lake bool // in the store
}{
	{"inputs in the store", true, false},
	{"lake in the store", false, true},
	{"both in the store", true, true},
}

// The same loads give the same bytes wherever logs and lake are, and a second
// load reads none of the inputs.
func TestLoad(t *testing.T) {
	t.Parallel()
	a, b := history(t, t.TempDir(), 4000)
	openai, err := filepath.Abs("../testdata/logs/openai")
	if err != nil {
		t.Fatal(err)
	}
	direct := shared.at(t, shared.addr)
	reference := localLake(t)
	direct.must(t, load(reference.url, a))
	direct.must(t, load(reference.url, b, openai, "--strict-time"), ok, look)
	want := reference.table(t)
	direct.verified(t, reference.url)

	for _, place := range places {
		t.Run(place.name, func(t *testing.T) {
			bucket := shared.bucket(t)
			p := proxied(t, shared.addr)
			program := shared.at(t, p.addr)
			lake, a, b, openai := localLake(t), a, b, openai
			if place.lake {
				lake = bucket.lake("some/lake")
			}
			if place.inputs {
				bucket.put(t, "in/a", a)
				bucket.put(t, "in/b", b)
				bucket.put(t, "in/openai", openai)
				a, b, openai = bucket.url("in/a/"), bucket.url("in/b"), bucket.url("in/openai/")
			}
			program.must(t, load(lake.url, a))
			program.must(t, load(lake.url, b, openai, "--strict-time"), ok, look)
			lake.same(t, want)
			lake.tidy(t)
			program.verified(t, lake.url)
			program.must(t, []string{"status", "--lake", lake.url})
			program.must(t, []string{"report", "--lake", lake.url, "-o", filepath.Join(t.TempDir(), "report.html")})

			objects := bucket.list(t, "in/")
			p.requests()
			r := program.must(t, load(lake.url, a, b, openai, "--strict-time"))
			if !strings.HasPrefix(r.out, "nothing new") {
				t.Errorf("the same again: %v", r)
			}
			for _, a := range p.requests() {
				if _, input := objects[strings.TrimPrefix(a.path, "/"+bucket.name+"/")]; input && a.method == http.MethodGet {
					t.Errorf("the same again: %v, want no input read", a)
				}
			}
			lake.same(t, want)
		})
	}
}

// Objects are found by key, prefix and pattern, and a lake is none of its own inputs.
func TestPatterns(t *testing.T) {
	t.Parallel()
	bucket := shared.bucket(t)
	program := shared.at(t, shared.addr)
	n := 0
	files := func(names ...string) { // one call each
		for _, name := range names {
			n++
			path := filepath.Join(t.TempDir(), "f")
			write(t, path, call(fmt.Sprint("c", n), day, n, 1))
			bucket.put(t, name, path)
		}
	}
	files("logs/2026/08/01/a.jsonl", "logs/2026/08/01/b.json", "logs/2026/08/02/a.jsonl", "logs/x y+z%/ü.jsonl",
		"logs/.hidden/a.jsonl", "logs/2026/.a.jsonl", "logs-old/a.jsonl")
	for name, test := range map[string]struct {
		input string
		rows  int
		code  int
	}{
		"an object":           {"logs/2026/08/01/a.jsonl", 1, ok},
		"a prefix":            {"logs/", 4, ok},
		"without a slash":     {"logs", 4, ok},
		"a folder":            {"logs/2026", 3, ok},
		"a pattern":           {"logs/**/a.jsonl", 2, ok},
		"a pattern of a name": {"logs/2026/*/01/*.json*", 2, ok},
		"alternatives":        {"logs/2026/08/{01,02}/a.jsonl", 2, ok},
		"strange names":       {"logs/x y+z%/", 1, ok},
		"nothing":             {"log", 0, usage},
		"an empty pattern":    {"logs/**/*.csv", 0, usage},
	} {
		t.Run(name, func(t *testing.T) {
			lake := localLake(t)
			r := program.must(t, load(lake.url, bucket.url(test.input)), test.code)
			if test.code != ok {
				if !strings.Contains(r.err, bucket.url(test.input)) {
					t.Errorf("the error does not name the input:\n%s", r.err)
				}
				return
			}
			if !regexp.MustCompile(fmt.Sprintf(`(?m)^rows +%d$`, test.rows)).MatchString(r.out) {
				t.Errorf("want %d rows:\n%s", test.rows, r.out)
			}
		})
	}
	// A lake below its logs is not read as logs.
	inside := load(bucket.url("logs/lake"), bucket.url("logs/"))
	program.must(t, inside)
	if r := program.must(t, inside); !strings.HasPrefix(r.out, "nothing new ") || !strings.Contains(r.out, "(4 known)") {
		t.Errorf("a lake below its logs:\n%s", r.out)
	}
}

// Objects of more than a part go up and come down in parts, many small ones one by one.
func TestSizes(t *testing.T) {
	t.Parallel()
	program := shared.at(t, shared.addr)
	bucket := shared.bucket(t)
	dir := t.TempDir()
	small := 300
	if *long {
		small = 3000
	}
	for i := range small {
		write(t, filepath.Join(dir, "small", fmt.Sprintf("%02d", i%50), fmt.Sprintf("%d.jsonl", i)), call(fmt.Sprint("s", i), day, i, 1))
	}
	generate(t, filepath.Join(dir, "plain"), "-workload", "chat", "-lines", "30000", "-days", "3") // 80 MB or so
	if *long {
		generate(t, filepath.Join(dir, "gz"), "-workload", "chat", "-lines", "150000", "-days", "3", "-compress", "gz", "-seed", "5")
		generate(t, filepath.Join(dir, "zst"), "-workload", "chat", "-lines", "150000", "-days", "3", "-compress", "zst", "-seed", "6")
		generate(t, filepath.Join(dir, "day"), "-lines", "3000000", "-days", "1", "-seed", "7") // one file of the table, of more than 64 MiB
	}
	bucket.put(t, "in", dir)
	local, stored := localLake(t), bucket.lake("lake")
	args := []string{"--jobs", "2"}
	program.must(t, append(load(local.url, dir), args...))
	program.must(t, append(load(stored.url, bucket.url("in/")), args...))
	want := local.table(t)
	stored.same(t, want)
	program.verified(t, stored.url)
	largest := int64(0)
	for _, size := range bucket.list(t, "lake/usage/") {
		largest = max(largest, size)
	}
	t.Logf("largest object of the table: %d bytes", largest)
	if *long && largest < 64<<20 {
		t.Error("want an object of more than 64 MiB in the table")
	}
}
