package usagelake_test

import (
	"context"
	"encoding/json"
	"fmt"
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

func replay(t *testing.T, cfg usagelake.Config) *usagelake.Report {
	t.Helper()
	r, err := usagelake.Replay(context.Background(), cfg)
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	return r
}

// asidePlaces lists what is in a lake's quarantine as "file:line ord reason".
func asidePlaces(t *testing.T, lake string) []string {
	t.Helper()
	var out []string
	for _, line := range setAside(t, lake, "") {
		var q struct {
			File   string `json:"source_file"`
			Line   int64  `json:"line"`
			Ord    int    `json:"ord"`
			Reason string `json:"reason"`
		}
		if err := json.Unmarshal([]byte(line), &q); err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s:%d %d %s", q.File, q.Line, q.Ord, q.Reason))
	}
	slices.Sort(out)
	return out
}

// timeless is a call without a time of its own, with a text so long that the
// quarantine shortens it where pad is great.
func timeless(id string, in, out, pad int) string {
	return fmt.Sprintf(`{"id":%q,"note":%q,"model":"m","usage":{"prompt_tokens":%d,"completion_tokens":%d}}`+"\n", id, strings.Repeat("n", pad), in, out)
}

// What could not be read for want of a flag comes into the table by a replay
// with it: the table is the one that a first load with it would have made.
func TestReplay(t *testing.T) {
	at := day.Unix()
	good, broken := call("good", at, 1, 1), "{\"broken\":\n"
	for name, c := range map[string]struct {
		file          string
		text          string
		first, second usagelake.Config
		pack          string                               // suffix of the file
		change        func(t *testing.T, path, was string) // between load and replay
		gained        int64
		stay          []string
		problem       string
	}{
		"no time": {
			text:  good + timeless("a", 2, 2, 0) + broken + timeless("b", 3, 3, 0),
			first: usagelake.Config{StrictTime: true}, gained: 2, stay: []string{"in.jsonl:3 0 not_json"},
		},
		"no time, other day": {
			text: good + timeless("a", 2, 2, 0), first: usagelake.Config{StrictTime: true},
			second: usagelake.Config{EventTime: "2026-09-01"}, gained: 1,
		},
		"zone": {
			text:   good + `{"timestamp":"2014-12-31 23:00:00","prompt_tokens":2,"completion_tokens":2}` + "\n",
			second: usagelake.Config{TimeZone: "America/New_York"}, gained: 1,
		},
		"long line": {
			text: good + timeless("a", 2, 2, 500), first: usagelake.Config{MaxLine: 300}, gained: 1,
		},
		"shortened": {
			text:  good + timeless("a", 2, 2, 100) + broken + timeless("b", 3, 3, 0) + timeless("c", 4, 4, 70_000),
			first: usagelake.Config{StrictTime: true}, gained: 3, stay: []string{"in.jsonl:3 0 not_json"},
		},
		"shortened, gzip": {
			text:  good + timeless("a", 2, 2, 100),
			first: usagelake.Config{StrictTime: true}, pack: ".gz", gained: 1,
		},
		"shortened, zstd": {
			text:  timeless("a", 2, 2, 100) + good,
			first: usagelake.Config{StrictTime: true}, pack: ".zst", gained: 1,
		},
		"shortened, packed since": {
			text: good + timeless("a", 2, 2, 100), first: usagelake.Config{StrictTime: true}, gained: 1,
			change: func(t *testing.T, path, was string) { write(t, path, packed(t, ".gz", was)) },
		},
		"shortened, file gone": {
			text:   good + timeless("a", 2, 2, 100) + timeless("b", 3, 3, 0),
			first:  usagelake.Config{StrictTime: true},
			change: func(t *testing.T, path, _ string) { remove(t, path) },
			gained: 1, stay: []string{"in.jsonl:2 0 no_time"}, problem: "1 records that are kept shortened stay",
		},
		"shortened, file changed": {
			text:   good + timeless("a", 2, 2, 100),
			first:  usagelake.Config{StrictTime: true},
			change: func(t *testing.T, path, was string) { write(t, path, strings.Replace(was, "nnn", "mmm", 1)) },
			stay:   []string{"in.jsonl:2 0 no_time"}, problem: "1 records that are kept shortened stay",
		},
		"whole by flag, file gone": {
			text:   good + timeless("a", 2, 2, 100),
			first:  usagelake.Config{StrictTime: true, QuarantineRaw: true},
			change: func(t *testing.T, path, _ string) { remove(t, path) },
			gained: 1,
		},
		"an array": {
			text:  "[" + strings.TrimSpace(good) + "," + strings.TrimSpace(timeless("a", 2, 2, 0)) + "," + strings.TrimSpace(timeless("b", 3, 3, 100)) + ", 17,\n" + strings.TrimSpace(timeless("c", 4, 4, 0)) + "]\n",
			first: usagelake.Config{StrictTime: true}, gained: 3, stay: []string{"in.jsonl:1 3 not_object"},
		},
		"events of a stream": {
			text:  "data: " + good + "\ndata: " + timeless("a", 2, 2, 0) + "\ndata: [DONE]\n\ndata: " + timeless("b", 3, 3, 100),
			first: usagelake.Config{StrictTime: true}, gained: 2,
		},
		"behind a byte order mark": {
			text:  "\uFEFF" + timeless("a", 2, 2, 100) + good,
			first: usagelake.Config{StrictTime: true}, gained: 1,
		},
		"no UTF-8": {
			text:  good + strings.Replace(timeless("a", 2, 2, 0), `"a"`, "\"a\xff\"", 1) + strings.Replace(timeless("b", 3, 3, 100), `"b"`, "\"b\xff\"", 1),
			first: usagelake.Config{StrictTime: true}, gained: 2,
		},
		"nothing gained": {
			text: good + broken + timeless("a", 2, 2, 0), first: usagelake.Config{StrictTime: true},
			second: usagelake.Config{StrictTime: true}, stay: []string{"in.jsonl:2 0 not_json", "in.jsonl:3 0 no_time"},
		},
		"nothing aside": {text: good},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := write(t, filepath.Join(dir, "in.jsonl"+c.pack), packed(t, c.pack, c.text))
			lake, direct := filepath.Join(dir, "lake"), filepath.Join(dir, "direct")
			c.first.Inputs, c.first.Lake = []string{path}, lake
			loaded := load(t, c.first)
			if want := c.gained + int64(len(c.stay)); loaded.Books.Quarantined != want {
				t.Fatalf("%d records are aside, want %d", loaded.Books.Quarantined, want)
			}
			wanted := c.second
			wanted.Inputs, wanted.Lake = []string{path}, direct
			load(t, wanted)
			if c.change != nil {
				c.change(t, path, c.text)
			}

			c.second.Lake = lake
			before := listing(t, lake)
			delete(before, "state/staging") // comes and goes
			r := replay(t, c.second)
			if r.Books.Rows != c.gained || (r.Seq == 0) != (c.gained == 0) {
				t.Errorf("%d rows gained in record %d, want %d", r.Books.Rows, r.Seq, c.gained)
			}
			if (len(r.Problems) > 0) != (c.problem != "") || c.problem != "" && !strings.Contains(r.Problems[0], c.problem) {
				t.Errorf("problems %q, want %q", r.Problems, c.problem)
			}
			if c.gained == 0 {
				after := listing(t, lake)
				delete(after, "state/staging")
				if d := gocmp.Diff(before, after); d != "" {
					t.Errorf("the lake has changed\n%s", d)
				}
			}
			if d := gocmp.Diff(c.stay, asidePlaces(t, lake), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("quarantine -want +got\n%s", d)
			}
			if c.problem == "" {
				if d := gocmp.Diff(hashes(t, direct), hashes(t, lake)); d != "" {
					t.Errorf("-loaded at once +replayed\n%s", d)
				}
			}
			if p := problems(t, lake); len(p) > 0 {
				t.Errorf("verify: %q", p)
			}

			// nothing is left for another, nor for a load
			table := listing(t, filepath.Join(lake, "usage"))
			if r := replay(t, c.second); r.Books.Rows != 0 || r.Seq != 0 {
				t.Errorf("again: %d rows in record %d", r.Books.Rows, r.Seq)
			}
			if c.change == nil {
				c.first.StrictTime = false
				if r := load(t, c.first); r.Books.Records != 0 || r.Inputs[0].State != usagelake.Known {
					t.Errorf("loaded again: %s, %d records", r.Inputs[0].State, r.Books.Records)
				}
			}
			if d := gocmp.Diff(table, listing(t, filepath.Join(lake, "usage"))); d != "" {
				t.Errorf("the table has changed\n%s", d)
			}
		})
	}
}

// A replay reads of a file that has grown since no more than what was set
// aside; the rest comes with the next load.
func TestReplayOfAGrownFile(t *testing.T) {
	dir := t.TempDir()
	at := day.Unix()
	text := call("good", at, 1, 1) + timeless("a", 2, 2, 100)
	cfg := usagelake.Config{Lake: filepath.Join(dir, "lake"), StrictTime: true}
	cfg.Inputs = []string{write(t, filepath.Join(dir, "in.jsonl"), text)}
	load(t, cfg)
	write(t, cfg.Inputs[0], text+call("late", at+1, 3, 3)+timeless("b", 4, 4, 0))
	cfg.StrictTime = false
	if r := replay(t, usagelake.Config{Lake: cfg.Lake}); r.Books.Rows != 1 || r.Books.Records != 1 {
		t.Errorf("replay: %d records, %d rows", r.Books.Records, r.Books.Rows)
	}
	if got := tokens(t, cfg.Lake); got != "1/1 2/2" {
		t.Errorf("the table holds %s", got)
	}
	r := load(t, cfg)
	if got := tokens(t, cfg.Lake); r.Inputs[0].State != usagelake.Continued || got != "1/1 3/3 2/2 4/4" {
		t.Errorf("the rest is %s, the table holds %s", r.Inputs[0].State, got)
	}
	if p := problems(t, cfg.Lake); len(p) > 0 {
		t.Errorf("verify: %q", p)
	}
}

// What was read of a damaged file up to the damage can be read again, too.
func TestReplayOfADamagedFile(t *testing.T) {
	dir := t.TempDir()
	var text strings.Builder
	for i := range 2000 {
		text.WriteString(timeless(fmt.Sprint("x", i*7919%10_007), i, 1, 100))
	}
	whole := packed(t, ".gz", text.String())
	in := write(t, filepath.Join(dir, "in.jsonl.gz"), whole[:len(whole)-200])
	cfg := usagelake.Config{Lake: filepath.Join(dir, "lake"), Inputs: []string{in}, StrictTime: true}
	aside := load(t, cfg).Books.Quarantined
	r := replay(t, usagelake.Config{Lake: cfg.Lake})
	if r.Books.Rows != aside || aside < 1000 || len(asidePlaces(t, cfg.Lake)) > 0 {
		t.Errorf("%d of %d rows gained; %q", r.Books.Rows, aside, r.Problems)
	}
	if p := problems(t, cfg.Lake); len(p) > 0 {
		t.Errorf("verify: %q", p)
	}
	write(t, in, whole)
	cfg.StrictTime = false
	load(t, cfg)
	if n := len(rows(t, cfg.Lake)); n != 2000 {
		t.Errorf("%d rows in the end", n)
	}
}

// What fails again stays as it was, also if this run would have shortened it:
// its file may be gone.
func TestReplayKeepsWhatIsWhole(t *testing.T) {
	dir := t.TempDir()
	bad := strings.Replace(timeless("bad", 2, 2, 200), `"prompt_tokens":2`, `"prompt_tokens":-2`, 1)
	in := write(t, filepath.Join(dir, "in.jsonl"), timeless("a", 1, 1, 200)+bad)
	cfg := usagelake.Config{Lake: filepath.Join(dir, "lake"), Inputs: []string{in}, StrictTime: true, QuarantineRaw: true}
	load(t, cfg)
	remove(t, in)
	if r := replay(t, usagelake.Config{Lake: cfg.Lake}); r.Books.Rows != 1 {
		t.Errorf("%d rows gained", r.Books.Rows)
	}
	left := setAside(t, cfg.Lake, "")
	if len(left) != 1 || !strings.Contains(left[0], `"whole":true`) || !strings.Contains(left[0], strings.Repeat("n", 200)) {
		t.Errorf("left: %s", left)
	}
}

// Strict and other loads, filtered and whole ones, and replays, in any order:
// in the end the table is the one of a single load, and the quarantine holds
// once what is broken.
func TestReplayInAnyOrder(t *testing.T) {
	t.Parallel()
	gained, double := int64(0), 0
	checks := checkIn(t, func(rt *rapid.T, dir string) {
		n := 0
		var files []string
		for f := range rapid.IntRange(1, 3).Draw(rt, "files") {
			lines := randomLines(rt, &n, 8)
			for i := range lines {
				if rapid.IntRange(0, 2).Draw(rt, "long") == 0 {
					lines[i] = strings.Replace(lines[i], `{"`, fmt.Sprintf(`{"pad":%q,"`, strings.Repeat("p", 100)), 1)
				}
			}
			suffix := rapid.SampledFrom([]string{"", "", ".gz"}).Draw(rt, "packed")
			text := fmt.Sprintf(`{"file":%d}`+"\n", f) + joined(lines)
			files = append(files, write(t, filepath.Join(dir, fmt.Sprintf("f%d.jsonl%s", f, suffix)), packed(t, suffix, text)))
		}
		direct := usagelake.Config{Lake: filepath.Join(dir, "direct"), Inputs: files}
		load(t, direct)

		lake := filepath.Join(dir, "lake")
		made := false
		for range rapid.IntRange(1, 5).Draw(rt, "steps") {
			cfg := usagelake.Config{
				Lake: lake, StrictTime: rapid.Bool().Draw(rt, "strict"), QuarantineRaw: rapid.Bool().Draw(rt, "raw"),
				Memory: rapid.SampledFrom([]int64{0, 1}).Draw(rt, "memory"), Jobs: rapid.IntRange(1, 3).Draw(rt, "jobs"),
			}
			if made && rapid.Bool().Draw(rt, "replay") {
				r := replay(t, cfg)
				gained += r.Books.Rows
			} else {
				cfg.Inputs = rapid.Permutation(files).Draw(rt, "order")[:rapid.IntRange(1, len(files)).Draw(rt, "some")]
				switch rapid.IntRange(0, 3).Draw(rt, "filter") {
				case 0:
					cfg.From = day.Add(24 * time.Hour).Format(time.DateOnly)
				case 1:
					cfg.To = day.Add(24 * time.Hour).Format(time.DateOnly)
				}
				load(t, cfg)
				made = true
			}
			clean(rt, t, lake)
			places := asidePlaces(t, lake)
			if len(slices.Compact(slices.Clone(places))) != len(places) {
				rt.Fatalf("twice in the quarantine: %q", places)
			}
		}
		end := usagelake.Config{Lake: lake, Inputs: files}
		load(t, end)
		end.Inputs = nil
		r := replay(t, end)
		gained += r.Books.Rows
		double += int(r.Books.Duplicates)
		if d := gocmp.Diff(hashes(t, direct.Lake), hashes(t, lake)); d != "" {
			rt.Fatalf("-one load +many and replays\n%s", d)
		}
		if d := gocmp.Diff(asidePlaces(t, direct.Lake), asidePlaces(t, lake), cmpopts.EquateEmpty()); d != "" {
			rt.Fatalf("quarantine -one load +many and replays\n%s", d)
		}
		clean(rt, t, lake)
		if r := replay(t, end); r.Seq != 0 || r.Books.Rows != 0 {
			rt.Fatalf("replayed again: record %d, %d rows", r.Seq, r.Books.Rows)
		}
	})
	t.Logf("%d checks, %d rows gained by replays, %d that were there already", checks, gained, double)
}
