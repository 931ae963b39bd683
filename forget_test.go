package usagelake_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"usagelake"
)

func forget(t *testing.T, cfg usagelake.Config, source string) *usagelake.Report {
	t.Helper()
	r, err := usagelake.Forget(context.Background(), cfg, source)
	if err != nil {
		t.Fatalf("forget %s: %v", source, err)
	}
	return r
}

// setAside lists the records in a lake's quarantine as they are written there,
// sorted, leaving out those of one source.
func setAside(t *testing.T, lake, without string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(lake, "quarantine", "*"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			if without == "" || !strings.Contains(line, without) {
				out = append(out, line)
			}
		}
	}
	slices.Sort(out)
	return out
}

// sourceIDs maps the source_file of a lake's sources to their id.
func sourceIDs(t *testing.T, lake string) map[string]string {
	t.Helper()
	s, err := usagelake.ReadStatus(lake, nil)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, src := range s.Sources {
		out[src.File] = src.ID
	}
	return out
}

// Whatever was loaded in whatever runs: a lake that forgot a source is, to the
// byte, one that never knew it; and when the source comes again, one that never
// forgot it.
func TestForgetLikeTheModel(t *testing.T) {
	t.Parallel()
	forgotten := 0
	checks := checkIn(t, func(rt *rapid.T, dir string) {
		n := 0
		var files []string
		for f := range rapid.IntRange(1, 4).Draw(rt, "files") {
			text := fmt.Sprintf(`{"file":%d}`+"\n", f) + joined(randomLines(rt, &n, 8))
			suffix := rapid.SampledFrom([]string{"", "", ".gz", ".zst"}).Draw(rt, "packed")
			files = append(files, write(t, filepath.Join(dir, fmt.Sprintf("f%d.jsonl%s", f, suffix)), packed(t, suffix, text)))
		}
		files = rapid.Permutation(files).Draw(rt, "order")
		cfg := usagelake.Config{
			Lake:   filepath.Join(dir, "lake"),
			Memory: rapid.SampledFrom([]int64{0, 1, 60_000}).Draw(rt, "memory"),
			Jobs:   rapid.SampledFrom([]int{1, 2, 7}).Draw(rt, "jobs"),
		}
		for at := 0; at < len(files); {
			k := rapid.IntRange(1, len(files)-at).Draw(rt, "at once")
			cfg.Inputs = files[at : at+k]
			load(t, cfg)
			at += k
		}
		cfg.Inputs = nil
		all, aside := hashes(t, cfg.Lake), setAside(t, cfg.Lake, "")

		var gone []string
		for _, path := range slices.Clone(files) {
			if !rapid.Bool().Draw(rt, "forget") {
				continue
			}
			file := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(path), ".gz"), ".zst")
			id := sourceIDs(t, cfg.Lake)[file]
			want := setAside(t, cfg.Lake, id)
			name := rapid.SampledFrom([]string{id, id[:8], path, file}).Draw(rt, "name")
			if r := forget(t, cfg, name); len(r.Problems) > 0 || r.Seq == 0 {
				rt.Fatalf("forget %s: seq %d, problems %q", name, r.Seq, r.Problems)
			}
			forgotten++
			gone = append(gone, path)
			if d := gocmp.Diff(want, setAside(t, cfg.Lake, ""), cmpopts.EquateEmpty()); d != "" {
				rt.Fatalf("quarantine -want +got\n%s", d)
			}
			clean(rt, t, cfg.Lake)
			if _, err := usagelake.Forget(context.Background(), cfg, name); !errors.Is(err, usagelake.ErrUsage) {
				rt.Fatalf("forget %s again: %v", name, err)
			}
		}
		never := usagelake.Config{Lake: filepath.Join(dir, "never")}
		for _, path := range files {
			if !slices.Contains(gone, path) {
				never.Inputs = append(never.Inputs, path)
			}
		}
		want := map[string]string{}
		if len(never.Inputs) > 0 {
			load(t, never)
			want = hashes(t, never.Lake)
		}
		if d := gocmp.Diff(want, hashes(t, cfg.Lake)); d != "" {
			rt.Fatalf("-never known +forgotten\n%s", d)
		}
		if len(gone) == 0 {
			return
		}
		cfg.Inputs = rapid.Permutation(files).Draw(rt, "order")
		load(t, cfg)
		if d := gocmp.Diff(all, hashes(t, cfg.Lake)); d != "" {
			rt.Fatalf("-never forgotten +loaded again\n%s", d)
		}
		if d := gocmp.Diff(aside, setAside(t, cfg.Lake, ""), cmpopts.EquateEmpty()); d != "" {
			rt.Fatalf("quarantine -never forgotten +loaded again\n%s", d)
		}
		clean(rt, t, cfg.Lake)
	})
	t.Logf("%d checks, %d sources forgotten", checks, forgotten)
}

// A source that had given way to a forgotten one comes back from its file; where
// that is not the same any more it is named.
func TestForgetBringsBack(t *testing.T) {
	at := day.Unix()
	lesser := "{\"file\":1}\n" + call("x", at, 5, 1) + call("own", at, 1, 1)
	better := "{\"file\":2}\n" + call("x", at, 5, 6) + call("other", at, 2, 2)
	for name, c := range map[string]struct {
		change  func(t *testing.T, path string)
		want    string // tokens of the table
		problem string
	}{
		"untouched": {func(*testing.T, string) {}, "5/1 1/1", ""},
		"gone":      {func(t *testing.T, path string) { remove(t, path) }, "1/1", "does not hold it any more"},
		"grown": {func(t *testing.T, path string) {
			write(t, path, lesser+call("late", at, 7, 7))
		}, "5/1 1/1 7/7", ""},
		"grown by a better copy": {func(t *testing.T, path string) {
			write(t, path, lesser+call("x", at, 5, 9))
		}, "1/1 5/9", ""},
		"changed": {func(t *testing.T, path string) { write(t, path, "{}\n"+lesser) }, "1/1", "does not hold it any more"},
		"shrunk":  {func(t *testing.T, path string) { write(t, path, lesser[:20]) }, "1/1", "does not hold it any more"},
		"packed":  {func(t *testing.T, path string) { write(t, path, packed(t, ".gz", lesser)) }, "5/1 1/1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			a, b := write(t, filepath.Join(dir, "a.jsonl"), lesser), write(t, filepath.Join(dir, "b.jsonl"), better)
			cfg := usagelake.Config{Lake: filepath.Join(dir, "lake"), Inputs: []string{a}}
			load(t, cfg)
			cfg.Inputs = []string{b}
			load(t, cfg)
			if got := tokens(t, cfg.Lake); got != "1/1 5/6 2/2" {
				t.Fatalf("loaded: %s", got)
			}
			c.change(t, a)
			cfg.Inputs = nil
			r := forget(t, cfg, b)
			if got := tokens(t, cfg.Lake); got != c.want {
				t.Errorf("the table holds %s, want %s", got, c.want)
			}
			if (len(r.Problems) > 0) != (c.problem != "") || c.problem != "" && (!strings.Contains(r.Problems[0], c.problem) || !strings.Contains(r.Problems[0], "a.jsonl")) {
				t.Errorf("problems %q, want %q", r.Problems, c.problem)
			}
			if p := problems(t, cfg.Lake); len(p) > 0 {
				t.Errorf("verify: %q", p)
			}
			// what the file holds now comes with the next load, and only that
			if _, err := os.Stat(a); err == nil && c.problem == "" {
				before := hashes(t, cfg.Lake)
				load(t, usagelake.Config{Lake: cfg.Lake, Inputs: []string{a}})
				if d := gocmp.Diff(before, hashes(t, cfg.Lake)); d != "" {
					t.Errorf("loaded again\n%s", d)
				}
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// A source whose own row had beaten others, and that is gone: what had given way
// to it comes back for it, and both are told.
func TestForgetThroughAGoneSource(t *testing.T) {
	dir := t.TempDir()
	at := day.Unix()
	cfg := usagelake.Config{Lake: filepath.Join(dir, "lake")}
	var paths []string
	for i := range 3 {
		paths = append(paths, write(t, filepath.Join(dir, fmt.Sprintf("%d.jsonl", i)), fmt.Sprintf("{\"file\":%d}\n", i)+call("x", at, 5, i)))
		cfg.Inputs = paths[i:]
		load(t, cfg)
	}
	remove(t, paths[1])
	r := forget(t, cfg, paths[2])
	if got := tokens(t, cfg.Lake); got != "5/0" || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "1.jsonl") {
		t.Errorf("table %s, problems %q", got, r.Problems)
	}
	if p := problems(t, cfg.Lake); len(p) > 0 {
		t.Errorf("verify: %q", p)
	}
}

// A source may be named by its id or the beginning of it, by its path, and by
// its source_file. What is not clear, or not there, is an error that changes
// nothing.
func TestForgetNames(t *testing.T) {
	dir := t.TempDir()
	at := day.Unix()
	a := write(t, filepath.Join(dir, "one", "a.jsonl"), call("a", at, 1, 1))
	b := write(t, filepath.Join(dir, "two", "a.jsonl"), call("b", at, 2, 2))
	c := write(t, filepath.Join(dir, "two", "c.jsonl"), call("c", at, 3, 3))
	cfg := usagelake.Config{Lake: filepath.Join(dir, "lake"), Inputs: []string{a, b, c}}
	loaded := load(t, cfg)
	cfg.Inputs = nil
	id := map[string]string{}
	for _, in := range loaded.Inputs {
		id[in.Path] = in.Source
	}

	before := listing(t, cfg.Lake)
	for name, text := range map[string]string{
		"a.jsonl":                     "may be any of 2 sources",
		"d.jsonl":                     "no source",
		"":                            "no source",
		id[a][:3]:                     "no source", // too short
		strings.Repeat("0", 32):       "no source",
		filepath.Join(dir, "x.jsonl"): "no source",
	} {
		if _, err := usagelake.Forget(context.Background(), cfg, name); !errors.Is(err, usagelake.ErrUsage) || !strings.Contains(err.Error(), text) {
			t.Errorf("forget %q: %v, want %q", name, err, text)
		}
	}
	for _, bad := range []usagelake.Config{{Lake: cfg.Lake, TimeZone: "Mars"}, {}} {
		if _, err := usagelake.Forget(context.Background(), bad, id[a]); !errors.Is(err, usagelake.ErrUsage) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if d := gocmp.Diff(before, listing(t, cfg.Lake)); d != "" {
		t.Errorf("the lake has changed\n%s", d)
	}
	nowhere := usagelake.Config{Lake: filepath.Join(dir, "nowhere")}
	if _, err := usagelake.Forget(context.Background(), nowhere, "x"); err == nil || errors.Is(err, usagelake.ErrUsage) {
		t.Errorf("no lake: %v", err)
	}
	if _, err := os.Stat(nowhere.Lake); err == nil {
		t.Error("a lake was made")
	}

	for _, step := range []struct{ name, want string }{{"c.jsonl", "1/1 2/2"}, {b, "1/1"}, {id[a][:4], ""}} {
		forget(t, cfg, step.name)
		if got := tokens(t, cfg.Lake); got != step.want {
			t.Errorf("without %s the table holds %s, want %s", step.name, got, step.want)
		}
	}
	if p := problems(t, cfg.Lake); len(p) > 0 {
		t.Errorf("verify: %q", p)
	}
}

// A path means the source that was found there last, also where another has
// its name.
func TestForgetRotated(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "app.log")
	cfg := usagelake.Config{Lake: filepath.Join(dir, "lake"), Inputs: []string{write(t, log, call("old", day.Unix(), 1, 1))}}
	load(t, cfg)
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	write(t, log, call("new", day.Unix()+1, 2, 2))
	if err := os.Chtimes(log, time.Time{}, fileTime.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	load(t, cfg)
	cfg.Inputs = nil
	forget(t, cfg, log)
	if got := tokens(t, cfg.Lake); got != "1/1" {
		t.Errorf("the table holds %s", got)
	}
}
