package usagelake_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	gocmp "github.com/google/go-cmp/cmp"

	"usagelake"
	"usagelake/schemas"
)

// event is a logged call, as the model sees it.
type event struct {
	id      int // 0: none
	body    bool
	second  int64 // since day; two days in all, so that all copies are near
	in, out int
	file    int
	line    int
}

func (e event) text() string {
	id := ""
	if e.id > 0 {
		id = fmt.Sprintf(`"id":"call-%d",`, e.id)
	}
	at := fmt.Sprintf(`"created":%d`, day.Unix()+e.second)
	if !e.body {
		at = fmt.Sprintf(`"timestamp":%q`, day.Add(time.Duration(e.second)*time.Second).Format(time.RFC3339))
	}
	return fmt.Sprintf(`{%s%s,"model":"m","usage":{"prompt_tokens":%d,"completion_tokens":%d}}`+"\n", id, at, e.in, e.out)
}

// winners is the naive model: of the events with one key the most complete
// stays.
func winners(events []event) []string {
	best := map[string]event{}
	var list []event
	for i, e := range events {
		key := fmt.Sprint("no id ", i)
		if e.id > 0 {
			key = fmt.Sprint(e.id)
			if e.body {
				key += fmt.Sprint(" at ", e.second)
			}
		}
		b, ok := best[key]
		if !ok || cmp.Or(cmp.Compare(e.out, b.out), cmp.Compare(e.in, b.in), cmp.Compare(e.second, b.second),
			cmp.Compare(b.file, e.file), cmp.Compare(b.line, e.line)) > 0 {
			best[key] = e
		}
	}
	for _, e := range best {
		list = append(list, e)
	}
	var out []string
	for _, e := range list {
		out = append(out, fmt.Sprintf("f%d.jsonl:%d %d/%d", e.file, e.line, e.in, e.out))
	}
	slices.Sort(out)
	return out
}

// Whatever is logged, in whatever runs it is loaded: the table holds what the
// model keeps.
func TestCopiesLikeTheModel(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		dir := filepath.Join(root, fmt.Sprint(n))
		defer os.RemoveAll(dir)
		var events []event
		files := rapid.IntRange(1, 4).Draw(rt, "files")
		for f := range files {
			var text strings.Builder
			fmt.Fprintf(&text, `{"file":%d}`+"\n", f) // so that no file is the beginning of another
			for line := range rapid.IntRange(0, 8).Draw(rt, "lines") {
				e := event{
					id: rapid.IntRange(0, 4).Draw(rt, "id"), body: rapid.Bool().Draw(rt, "body"),
					second: 43_200 * rapid.Int64Range(0, 3).Draw(rt, "time"),
					in:     rapid.IntRange(0, 2).Draw(rt, "in"), out: rapid.IntRange(0, 2).Draw(rt, "out"),
					file: f, line: line + 2,
				}
				events = append(events, e)
				text.WriteString(e.text())
			}
			write(t, filepath.Join(dir, fmt.Sprintf("f%d.jsonl", f)), text.String())
		}
		lake := filepath.Join(dir, "lake")
		memory := rapid.SampledFrom([]int64{0, 1, 60_000}).Draw(rt, "memory")
		for _, f := range rapid.Permutation(slices.Collect(func(yield func(int) bool) {
			for f := range files {
				if !yield(f) {
					return
				}
			}
		})).Draw(rt, "order") {
			load(t, usagelake.Config{Inputs: []string{filepath.Join(dir, fmt.Sprintf("f%d.jsonl", f))}, Lake: lake, Jobs: 1, Memory: memory})
			if rapid.Bool().Draw(rt, "the rest at once") {
				break
			}
		}
		load(t, usagelake.Config{Inputs: []string{filepath.Join(dir, "*.jsonl")}, Lake: lake, Jobs: 2, Memory: memory})
		var got []string
		for _, r := range rows(t, lake) {
			got = append(got, fmt.Sprintf("%s:%s %s/%s", r["source_file"], r["source_line"], r["input_tokens"], r["output_tokens"]))
		}
		slices.Sort(got)
		if d := gocmp.Diff(winners(events), got, cmpopts.EquateEmpty()); d != "" {
			rt.Fatalf("-model +table\n%s", d)
		}
	})
}

// randomLines draws log lines of two days: calls with a body's time, an
// envelope's or none of their own, with few ids and without, reports of a few
// groups, records without usage, and broken ones. Two lines with one id differ in what decides between
// them, or in nothing; lines without an id are all different. n tells the
// lines of several draws apart.
func randomLines(rt *rapid.T, n *int, most int) []string {
	var lines []string
	for range rapid.IntRange(0, most).Draw(rt, "lines") {
		*n++
		second := 43_200 * rapid.Int64Range(0, 3).Draw(rt, "time")
		who := fmt.Sprintf(`"user":"u%d"`, *n)
		if id := rapid.IntRange(0, 4).Draw(rt, "id"); id > 0 {
			who = fmt.Sprintf(`"id":"call-%d"`, id)
		}
		usage := fmt.Sprintf(`"model":"m","usage":{"prompt_tokens":%d,"completion_tokens":%d}`,
			rapid.IntRange(0, 2).Draw(rt, "in"), rapid.IntRange(0, 2).Draw(rt, "out"))
		group := func() (string, int, int) {
			return fmt.Sprintf("g%d", rapid.IntRange(0, 1).Draw(rt, "group")), rapid.IntRange(0, 2).Draw(rt, "in"), rapid.IntRange(0, 2).Draw(rt, "requests")
		}
		start := day.Unix() + second/86_400*86_400
		switch rapid.IntRange(0, 11).Draw(rt, "kind") {
		case 10:
			one, two := result(group()), result(group())
			lines = append(lines, strings.TrimSuffix(bucket(start, one, two), "\n"))
		case 11:
			lines = append(lines, strings.TrimSuffix(flat(start, result(group())), "\n"))
		case 0:
			lines = append(lines, fmt.Sprintf(`{"message":%d}`, *n))
		case 1:
			lines = append(lines, fmt.Sprintf(`{"broken":%d,"text":"<a & b>"`, *n))
		case 2, 3, 4:
			lines = append(lines, fmt.Sprintf(`{%s,%s}`, who, usage))
		case 5, 6:
			lines = append(lines, fmt.Sprintf(`{"timestamp":%q,%s,%s}`, day.Add(time.Duration(second)*time.Second).Format(time.RFC3339), who, usage))
		default:
			lines = append(lines, fmt.Sprintf(`{"created":%d,%s,%s}`, day.Unix()+second, who, usage))
		}
	}
	return lines
}

// sourceless are the rows of a lake's tables without what says where they come from,
// sorted.
func sourceless(t *testing.T, lake string) []string {
	var out []string
	for _, r := range slices.Concat(rows(t, lake), rowsOf(t, lake, schemas.Reports)) {
		for _, c := range []schemas.Col{schemas.SourceFile, schemas.SourceID, schemas.SourceLine, schemas.SourceRow} {
			delete(r, c.String())
		}
		out = append(out, fmt.Sprint(r))
	}
	slices.Sort(out)
	return out
}

// checkIn checks a property, each time in a directory that goes when it is over. It
// returns how often.
func checkIn(t *testing.T, property func(rt *rapid.T, dir string)) (checks int) {
	t.Helper()
	root := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		checks++
		dir := filepath.Join(root, fmt.Sprint(checks))
		defer os.RemoveAll(dir)
		property(rt, dir)
	})
	return checks
}

// clean fails if a lake is not what its ledger says.
func clean(rt *rapid.T, t *testing.T, lake string) {
	if p := problems(t, lake); len(p) > 0 {
		rt.Fatalf("verify: %q", p)
	}
}

// Lines may come in one file or in many, in any order and in any number of
// runs, packed or not, twice or once, with any number of workers and any
// budget: the rows are the same, and so are the bytes where the sources are.
func TestTheWayDoesNotMatter(t *testing.T) {
	t.Parallel()
	loads := 0
	checks := checkIn(t, func(rt *rapid.T, dir string) {
		n := 0
		lines := randomLines(rt, &n, 30)
		whole := filepath.Join(dir, "whole")
		load(t, usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, "in", "all.jsonl"), joined(lines))}, Lake: whole})
		want := sourceless(t, whole)

		// pieces of the lines, in any order
		lines = rapid.Permutation(lines).Draw(rt, "order of lines")
		var pieces []string
		for len(lines) > 0 {
			k := rapid.IntRange(1, len(lines)).Draw(rt, "piece")
			pieces, lines = append(pieces, joined(lines[:k])), lines[k:]
		}
		// in loads them in some way. Where marked, no piece is the beginning of
		// another; else some come twice, too.
		in := func(name string, marked bool) string {
			lake := filepath.Join(dir, name)
			type file struct {
				path string
				run  int
			}
			var files []file
			runs := rapid.IntRange(1, 10).Draw(rt, "runs")
			for i, text := range pieces {
				if marked {
					text = fmt.Sprintf(`{"piece":%d}`+"\n", i) + text
				}
				names := []string{fmt.Sprintf("p%d.jsonl", i)}
				if !marked && rapid.IntRange(0, 3).Draw(rt, "twice") == 0 {
					names = append(names, fmt.Sprintf("again-%d.jsonl", i))
				}
				for _, base := range names {
					suffix := rapid.SampledFrom([]string{"", "", ".gz", ".zst"}).Draw(rt, "packed")
					path := write(t, filepath.Join(dir, name+"-in", base+suffix), packed(t, suffix, text))
					files = append(files, file{path, rapid.IntRange(1, runs).Draw(rt, "run")})
				}
			}
			files = rapid.Permutation(files).Draw(rt, "arguments")
			for run := range runs {
				cfg := usagelake.Config{
					Lake: lake, Jobs: rapid.SampledFrom([]int{1, 2, 7}).Draw(rt, "jobs"),
					Memory: rapid.SampledFrom([]int64{0, 1, 60_000}).Draw(rt, "memory"),
				}
				for _, f := range files {
					if f.run == run+1 {
						cfg.Inputs = append(cfg.Inputs, f.path)
					}
				}
				if len(cfg.Inputs) > 0 {
					load(t, cfg)
					loads++
				}
			}
			if len(files) == 0 {
				return whole
			}
			clean(rt, t, lake)
			if d := gocmp.Diff(want, sourceless(t, lake)); d != "" {
				rt.Fatalf("-one file +%s\n%s", name, d)
			}
			return lake
		}
		in("any", false)
		if d := gocmp.Diff(hashes(t, in("marked", true)), hashes(t, in("again", true))); d != "" {
			rt.Fatalf("other bytes\n%s", d)
		}
	})
	t.Logf("%d checks, %d loads", checks, loads)
}

func joined(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l + "\n")
	}
	return b.String()
}
