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
