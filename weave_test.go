package usagelake_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"usagelake"
)

// weaveCall is a line of an export of Weave: a call of a model, which returned its usage, or one
// that sums up so many below it.
func weaveCall(id, trace string, below, in int) string {
	output, parent := `"done"`, "null"
	if below == 0 {
		parent = `"root"`
		output = fmt.Sprintf(`{"id":"chatcmpl-%s","object":"chat.completion","created":1772445613,"model":"m","choices":[],`+
			`"usage":{"prompt_tokens":%d,"completion_tokens":5,"total_tokens":%d}}`, id, in, in+5)
	}
	return fmt.Sprintf(`{"id":%q,"project_id":"e/p","op_name":"weave:///e/p/op/x:h","trace_id":%q,"parent_id":%s,`+
		`"started_at":"2026-03-02T10:00:13Z","inputs":{},"output":%s,"summary":{"usage":{"m":{"requests":%d,"prompt_tokens":%d,`+
		`"completion_tokens":%d,"total_tokens":%d}},"status_counts":{"success":%d,"error":0}}}`+"\n",
		id, trace, parent, output, max(below, 1), in, 5*max(below, 1), in+5*max(below, 1), below+1)
}

// A sum of calls that nobody exported is told of, whatever the order of lines and files, and
// one of calls that are there is not.
func TestWeaveSums(t *testing.T) {
	t.Parallel()
	root := weaveCall("root", "t1", 2, 300)
	one, two := weaveCall("a", "t1", 0, 100), weaveCall("b", "t1", 0, 200)
	failed := strings.Replace(root, `"inputs"`, `"exception":"x","inputs"`, 1)
	mute := strings.Replace(root, `"output":"done"`, `"output":null`, 1)
	for name, c := range map[string]struct {
		files []string
		told  int64
	}{
		"root alone":              {[]string{root}, 1},
		"root that failed":        {[]string{failed}, 1},
		"root without an output":  {[]string{mute}, 1},
		"calls with such a root":  {[]string{mute + one + two}, 0},
		"root first":              {[]string{root + one + two}, 0},
		"root last":               {[]string{two + one + root}, 0},
		"in files":                {[]string{one, root, two}, 0},
		"one call is not there":   {[]string{root + two}, 1},
		"two roots, one has none": {[]string{root + one + two + weaveCall("r2", "t2", 2, 50)}, 1},
		"nested sums":             {[]string{root + weaveCall("mid", "t1", 2, 300)}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cfg := usagelake.Config{Lake: filepath.Join(dir, "lake")}
			for i, text := range c.files {
				cfg.Inputs = append(cfg.Inputs, write(t, filepath.Join(dir, fmt.Sprint(i, ".jsonl")), text))
			}
			checkTold(t, load(t, cfg), c.told)
			steps := usagelake.Config{Lake: filepath.Join(dir, "steps"), Inputs: cfg.Inputs, Split: 600}
			report, err := inSteps(steps, "run", inOrder)
			if err != nil {
				t.Fatal(err)
			}
			checkTold(t, report, c.told)
		})
	}
}

func checkTold(t *testing.T, report *usagelake.Report, want int64) {
	t.Helper()
	var told int64
	for _, u := range report.Unknown {
		if u.Dialect != "weave.call" || u.Key != "sums_without_calls" || u.Line == 0 || u.File == "" {
			t.Errorf("told %+v", u)
		}
		told += u.Count
	}
	if told != want || report.Books.Quarantined != 0 {
		t.Errorf("told of %d sums, want %d; %d quarantined", told, want, report.Books.Quarantined)
	}
}

// However many traces there are, and in whatever order they come, complete ones are not told of.
func TestWeaveSumsInAnyOrder(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 5))
	var lines []string
	for i := range 2000 {
		trace, sum, calls := fmt.Sprint("t", i), 0, 1+r.IntN(3)
		for k := range calls {
			n := 1 + r.IntN(1000)
			sum += n
			lines = append(lines, weaveCall(fmt.Sprint(trace, "-", k), trace, 0, n))
		}
		lines = append(lines, weaveCall(trace+"-root", trace, calls, sum))
	}
	dir := t.TempDir()
	for i, want := range []bool{false, true} {
		if want {
			lines = append(lines, weaveCall("more", "a trace of its own", 2, 1e9))
		}
		r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		report := load(t, usagelake.Config{
			Inputs: []string{write(t, filepath.Join(dir, fmt.Sprint(i, ".jsonl")), strings.Join(lines, ""))},
			Lake:   filepath.Join(dir, fmt.Sprint("lake", i)),
		})
		if told := len(report.Unknown) > 0; told != want {
			t.Errorf("told %v, want %v", report.Unknown, want)
		}
	}
}
