package usagelake_test

import (
	"bytes"
	stdcmp "cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"usagelake"
	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/sink/disk"
)

var (
	update = flag.Bool("update", false, "write the golden files anew")
	long   = flag.Bool("long", false, "run the long forms of heavy tests")
)

// TestMain sets how many cases properties are tried with, where -rapid.checks
// does not: each of them loads several lakes.
func TestMain(m *testing.M) {
	flag.Parse()
	checks, given := "25", false
	if *long {
		checks = "600"
	}
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "rapid.checks" })
	if !given {
		if err := flag.Set("rapid.checks", checks); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// fileTime is the modification time of every file that a test writes.
var fileTime = time.Date(2026, 8, 20, 6, 0, 0, 0, time.UTC)

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, fileTime, fileTime); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, cfg usagelake.Config) *usagelake.Report {
	t.Helper()
	r, err := usagelake.Load(context.Background(), cfg)
	if err != nil {
		t.Fatalf("load %v: %v", cfg.Inputs, err)
	}
	return r
}

// tableFiles lists the files of a lake's tables by their path in the lake.
func tableFiles(t *testing.T, lake string) []string {
	t.Helper()
	return slices.Concat(filesOf(t, lake, schemas.Usage), filesOf(t, lake, schemas.Reports))
}

func filesOf(t *testing.T, lake string, table schemas.Table) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(filepath.Join(lake, table.String()), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(lake, path)
			list = append(list, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// hashes maps the files of a lake's tables to the hash of their bytes.
func hashes(t *testing.T, lake string) map[string]string {
	t.Helper()
	m := map[string]string{}
	for _, f := range tableFiles(t, lake) {
		data, err := os.ReadFile(filepath.Join(lake, f))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		m[f] = hex.EncodeToString(sum[:])
	}
	return m
}

// rows reads a lake's usage table: each row as the text of its columns. Every file
// is verified on the way.
func rows(t *testing.T, lake string) []map[string]string {
	t.Helper()
	return rowsOf(t, lake, schemas.Usage)
}

func rowsOf(t *testing.T, lake string, table schemas.Table) []map[string]string {
	t.Helper()
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	var out []map[string]string
	for _, name := range filesOf(t, lake, table) {
		data, err := os.ReadFile(filepath.Join(lake, name))
		if err != nil {
			t.Fatal(err)
		}
		unit, err := schemas.ParseUnit(name)
		if err != nil {
			t.Fatal(err)
		}
		r := bytes.NewReader(data)
		if _, err := sink.Verify(r, r.Size(), unit, 1); err != nil {
			t.Fatal(err)
		}
		var sources sink.Sources
		batches, err := sink.Read(r, r.Size(), table, mem, &sources)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range batches {
			for i := range b.Len() {
				row := map[string]string{
					"source_file": sources.At(b.Source.Value(i)).File,
					"source_id":   sources.At(b.Source.Value(i)).ID,
				}
				for c := range schemas.NumColumns {
					if !b.Null(c, i) {
						row[c.String()] = text(b, c, i)
					}
				}
				out = append(out, row)
			}
			b.Release()
		}
	}
	return out
}

func text(b *schemas.Batch, c schemas.Col, i int) string {
	switch schemas.Columns[c].Kind {
	case schemas.Time:
		return time.UnixMicro(b.Int(c, i)).UTC().Format("2006-01-02T15:04:05.999999Z")
	case schemas.String:
		return b.Str(c, i)
	case schemas.Double:
		return fmt.Sprint(b.Double(c, i))
	case schemas.Bool:
		return fmt.Sprint(b.Int(c, i) != 0)
	case schemas.Money:
		return schemas.AmountOf(b.Int(c, i)).Text(9)
	default:
		return fmt.Sprint(b.Int(c, i))
	}
}

// sum adds up a column over a lake's usage table.
func sum(t *testing.T, lake string, c schemas.Col) string {
	t.Helper()
	return sumOf(t, lake, schemas.Usage, c)
}

func sumOf(t *testing.T, lake string, table schemas.Table, c schemas.Col) string {
	t.Helper()
	var total schemas.Amount
	decimals := 6
	if schemas.Columns[c].Kind == schemas.Money {
		decimals = 9
	}
	for _, row := range rowsOf(t, lake, table) {
		if v, ok := row[c.String()]; ok {
			a, err := schemas.ParseAmount(v, decimals)
			if err != nil {
				t.Fatal(err)
			}
			total = total.Add(a)
		}
	}
	return total.Text(decimals)
}

func quarantined(t *testing.T, r *usagelake.Report) []map[string]any {
	t.Helper()
	if r.Quarantine == "" {
		return nil
	}
	data, err := os.ReadFile(r.Quarantine)
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]any
	for line := range strings.Lines(string(data)) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

// Counts that are whole to the last digit, and too large to be so in millionths as
// a float64, balance.
func TestVastCounts(t *testing.T) {
	in := write(t, filepath.Join(t.TempDir(), "in.jsonl"), fmt.Sprintf(`{"id":"vast","object":"chat.completion","created":%d,"model":"m","choices":[],`+
		`"usage":{"prompt_tokens":700000000001,"completion_tokens":600000000003}}`+"\n", day.Unix()))
	lake := filepath.Join(t.TempDir(), "lake")
	load(t, usagelake.Config{Inputs: []string{in}, Lake: lake})
	list := rows(t, lake)
	if len(list) != 1 {
		t.Fatalf("%d rows", len(list))
	}
	if r := list[0]; r["input_tokens"] != "7.00000000001e+11" || r["output_tokens"] != "6.00000000003e+11" || r["total_tokens"] != "1.300000000004e+12" {
		t.Error(r)
	}
	if v, err := usagelake.Verify(t.Context(), lake, nil); err != nil || len(v.Problems) > 0 {
		t.Error(v, err)
	}
}

// Every record shape in every place, as rows. The golden files were checked by
// eye against the shapes' meaning.
func TestGolden(t *testing.T) {
	inputs, err := filepath.Glob("testdata/golden/*.jsonl")
	if err != nil || len(inputs) == 0 {
		t.Fatal("no golden inputs", err)
	}
	for _, input := range inputs {
		t.Run(filepath.Base(input), func(t *testing.T) {
			lake := filepath.Join(t.TempDir(), "lake")
			r := load(t, usagelake.Config{Inputs: []string{input}, Lake: lake})
			var got strings.Builder
			b := r.Books
			fmt.Fprintf(&got, "records %d rows %d duplicates %d no usage %d quarantined %d blank %d\n",
				b.Records, b.Rows, b.Duplicates, b.NoUsage, b.Quarantined, b.Blank)
			if b.Reports > 0 {
				fmt.Fprintf(&got, "report rows %d\n", b.Reports)
			}
			all := slices.Concat(rows(t, lake), rowsOf(t, lake, schemas.Reports))
			slices.SortStableFunc(all, func(a, b map[string]string) int {
				return strings.Compare(fmt.Sprintf("%5s", a["source_line"]), fmt.Sprintf("%5s", b["source_line"]))
			})
			for _, row := range all {
				fmt.Fprintf(&got, "\nline %s\n", row["source_line"])
				for c := range schemas.NumColumns {
					if v, ok := row[c.String()]; ok && (c < schemas.SourceFile || c > schemas.SourceRow) {
						fmt.Fprintf(&got, "  %s: %s\n", c, v)
					}
				}
			}
			for _, q := range quarantined(t, r) {
				fmt.Fprintf(&got, "\nline %v: %v\n", q["line"], q["reason"])
			}
			golden := strings.TrimSuffix(input, ".jsonl") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got.String()); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// States of a conversation repeat its messages, whose time is not that of a state: a
// message is one call, however far the states are apart.
func TestStatesRepeatMessages(t *testing.T) {
	const state = `{"ts":"2026-03-%sT06:00:00Z","channel_values":{"messages":[{"type":"ai","id":"run-1","response_metadata":{},` +
		`"usage_metadata":{"input_tokens":10,"output_tokens":2,"total_tokens":12}}]}}`
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	for _, day := range []string{"04", "14"} {
		// in a log's line, too, whose time is no more that of the message
		log := fmt.Sprintf(`{"timestamp":"2026-03-%sT06:00:01Z","message":%s,"logStreamName":"x"}`, day, strconv.Quote(fmt.Sprintf(state, day)))
		load(t, usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, day+".jsonl"), fmt.Sprintf(state, day)+"\n"+log+"\n")}, Lake: lake})
	}
	got := rows(t, lake)
	if len(got) != 1 || got[0]["event_time_source"] != schemas.FromFileTime {
		t.Errorf("%d rows: %v", len(got), got)
	}
}

// shared is the folder of recorded logs beside a checkout, where there is one.
func shared(t *testing.T, path string) string {
	t.Helper()
	root := os.Getenv("USAGELAKE_SHARED")
	if root == "" {
		root = filepath.Join("..", "shared")
	}
	path = filepath.Join(root, path)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the recorded logs are not here: %v", err)
	}
	return path
}

// Recorded logs add up to what an independent count says, to the token.
func TestSamplesAddUp(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(shared(t, "samples/expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]sampleSums
	var all sampleSums
	if err := json.Unmarshal(data, &expected); err != nil {
		t.Fatal(err)
	}
	files := slices.Sorted(maps.Keys(expected))
	dir := t.TempDir()
	var inputs []string
	for i, file := range files {
		want := expected[file]
		lake := filepath.Join(dir, fmt.Sprint(i))
		inputs = append(inputs, shared(t, "samples/"+file))
		cfg := usagelake.Config{Inputs: inputs[i:], Lake: lake}
		r := load(t, cfg)
		if r.Books.Rows != want.Calls || r.Books.Rows+r.Books.Duplicates != want.UsageLines ||
			r.Books.Quarantined != r.Reasons[string(schemas.NotObject)] {
			t.Errorf("%s: %d rows, %d duplicates, %d quarantined; want %d of %d", file,
				r.Books.Rows, r.Books.Duplicates, r.Books.Quarantined, want.Calls, want.UsageLines)
		}
		want.check(t, file, lake)
		if again := load(t, cfg); again.Seq != 0 || again.Inputs[0].State != usagelake.Known {
			t.Errorf("%s: loaded again as %s", file, again.Inputs[0].State)
		}
		all.add(want)
	}
	lake := filepath.Join(dir, "all")
	cfg := usagelake.Config{Inputs: inputs, Lake: lake}
	if r := load(t, cfg); r.Books.Rows != all.Calls || r.Books.Rows+r.Books.Duplicates != all.UsageLines {
		t.Errorf("all: %d rows, %d duplicates; want %d of %d", r.Books.Rows, r.Books.Duplicates, all.Calls, all.UsageLines)
	}
	all.check(t, "all", lake)
	if again := load(t, cfg); again.Seq != 0 {
		t.Error("all: loaded again")
	}
}

// sampleSums is what a recorded log adds up to.
type sampleSums struct {
	UsageLines int64   `json:"usage_lines"`
	Calls      int64   `json:"calls"`
	Input      float64 `json:"input_tokens"`
	Output     float64 `json:"output_tokens"`
	CacheRead  float64 `json:"cache_read_tokens"`
	CacheWrite float64 `json:"cache_write_tokens"`
	Reasoning  float64 `json:"reasoning_tokens"`
	CostRows   int64   `json:"reported_cost_rows"`
	Cost       string  `json:"reported_cost_usd"`
}

func (s *sampleSums) cost() schemas.Amount {
	text := s.Cost
	if whole, _, _ := strings.Cut(text, "."); len(text) > len(whole)+10 {
		text = text[:len(whole)+10]
	}
	a, err := schemas.ParseAmount(stdcmp.Or(text, "0"), 9)
	if err != nil {
		panic(err)
	}
	return a
}

func (s *sampleSums) add(o sampleSums) {
	s.Cost = s.cost().Add(o.cost()).Text(9)
	s.UsageLines += o.UsageLines
	s.Calls += o.Calls
	s.Input += o.Input
	s.Output += o.Output
	s.CacheRead += o.CacheRead
	s.CacheWrite += o.CacheWrite
	s.Reasoning += o.Reasoning
	s.CostRows += o.CostRows
}

func (s *sampleSums) check(t *testing.T, name, lake string) {
	t.Helper()
	for c, v := range map[schemas.Col]float64{
		schemas.InputTokens: s.Input, schemas.OutputTokens: s.Output, schemas.CacheReadTokens: s.CacheRead,
		schemas.CacheWriteTokens: s.CacheWrite, schemas.ReasoningTokens: s.Reasoning,
	} {
		if got := sum(t, lake, c); got != fmt.Sprint(int64(v)) {
			t.Errorf("%s: %s is %s, want %v", name, c, got, v)
		}
	}
	got, err := schemas.ParseAmount(sum(t, lake, schemas.ReportedCostUSD), 9)
	if err != nil {
		t.Fatal(err)
	}
	slack := schemas.AmountOf(s.CostRows + 1) // each row is rounded to 10^-9 dollars
	for _, d := range []schemas.Amount{got.Sub(s.cost()).Add(slack), s.cost().Sub(got).Add(slack)} {
		if strings.HasPrefix(d.Text(9), "-") {
			t.Errorf("%s: cost is %s, want %s", name, got.Text(9), s.Cost)
		}
	}
}

// call is a chat completion with a body's own time.
func call(id string, created int64, in, out int) string {
	return fmt.Sprintf(`{"id":%q,"object":"chat.completion","created":%d,"model":"m","choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`+"\n", id, created, in, out, in+out)
}

// result is a provider's sum over the calls of a group.
func result(group string, in, requests int) string {
	return fmt.Sprintf(`{"object":"organization.usage.completions.result","project_id":%q,"user_id":null,"input_tokens":%d,"num_model_requests":%d}`, group, in, requests)
}

// bucket is results of the day that begins at start.
func bucket(start int64, results ...string) string {
	return fmt.Sprintf(`{"object":"bucket","start_time":%d,"end_time":%d,"results":[%s]}`+"\n", start, start+86_400, strings.Join(results, ","))
}

// flat is a result with the times of its bucket.
func flat(start int64, result string) string {
	return fmt.Sprintf(`{"end_time":%d,"start_time":%d,%s`+"\n", start+86_400, start, result[1:])
}

// line is a log line whose time is the envelope's.
func line(id string, at time.Time, in, out int) string {
	return fmt.Sprintf(`{"timestamp":%q,"request_id":%q,"model":"m","prompt_tokens":%d,"completion_tokens":%d}`+"\n", at.Format(time.RFC3339Nano), id, in, out)
}

var day = time.Date(2026, 8, 20, 0, 0, 0, 0, time.UTC)

// tokens lists "input/output" of all rows in the order of the table.
func tokens(t *testing.T, lake string) string {
	t.Helper()
	var list []string
	for _, r := range rows(t, lake) {
		list = append(list, r["input_tokens"]+"/"+r["output_tokens"])
	}
	return strings.Join(list, " ")
}

// Copies of a call: which one stays, in one run and in two, either way round.
func TestCopies(t *testing.T) {
	at := day.Unix() + 3600
	late, early := day.Add(24*time.Hour-time.Second), day.Add(24*time.Hour+time.Second)
	for name, c := range map[string]struct{ a, b, want string }{
		"same call twice":              {call("x", at, 5, 6), "\n" + call("x", at, 5, 6), "5/6"},
		"more output wins":             {call("x", at, 5, 1), call("x", at, 5, 6), "5/6"},
		"then more input":              {call("x", at, 4, 6), call("x", at, 5, 6), "5/6"},
		"static id, two calls":         {call("x", at, 5, 6), call("x", at+1, 7, 8), "5/6 7/8"},
		"no id, never a duplicate":     {strings.ReplaceAll(call("x", at, 5, 6), `"id"`, `"no"`), strings.ReplaceAll(call("x", at, 5, 6), `"id"`, `"none"`), "5/6 5/6"},
		"envelope time, over midnight": {line("x", late, 5, 1), line("x", early, 5, 6), "5/6"},
		"envelope time, two days away": {line("x", day, 5, 1), line("x", day.Add(48*time.Hour), 5, 6), "5/1 5/6"},
		"file time, any day":           {line("x", day.Add(-96*time.Hour), 5, 1), strings.Replace(line("x", day, 5, 6), `"timestamp"`, `"when"`, 1), "5/6"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			a, b := write(t, filepath.Join(dir, "a.jsonl"), c.a), write(t, filepath.Join(dir, "b.jsonl"), c.b)
			var first map[string]string
			for i, runs := range [][][]string{{{a, b}}, {{a}, {b}}, {{b}, {a}}} {
				lake := filepath.Join(dir, fmt.Sprint("lake", i))
				for _, inputs := range runs {
					load(t, usagelake.Config{Inputs: inputs, Lake: lake})
				}
				if got := tokens(t, lake); got != c.want {
					t.Errorf("runs %v: %s, want %s", runs, got, c.want)
				}
				if h := hashes(t, lake); first == nil {
					first = h
				} else if d := cmp.Diff(first, h); d != "" {
					t.Errorf("runs %v: other bytes\n%s", runs, d)
				}
			}
		})
	}
}

// A stream says what it cost at its end only, when all tokens were counted.
func TestCopiesKeepTheCost(t *testing.T) {
	for _, costs := range [][]string{{`,"cost":0`, `,"cost":0.005`}, {`,"cost":0.005`, ""}, {"", `,"cost":0.005`, `,"cost":0`}} {
		var b strings.Builder
		for _, cost := range costs {
			fmt.Fprintf(&b, `{"id":"x","object":"chat.completion.chunk","created":%d,"model":"m","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7%s}}`+"\n", day.Unix(), cost)
		}
		dir := t.TempDir()
		lake := filepath.Join(dir, "lake")
		load(t, usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, "a.jsonl"), b.String())}, Lake: lake})
		if got := rows(t, lake); len(got) != 1 || got[0]["reported_cost_usd"] != "0.005" {
			t.Errorf("%q: %v", costs, got)
		}
	}
}

// A fork of a session repeats its lines; another session can begin with the same counts.
func TestForksOfCodex(t *testing.T) {
	meta := func(id, from string) string {
		if from != "" {
			from = `"forked_from_id":"` + from + `",`
		}
		return `{"timestamp":"2026-08-20T10:00:00Z","type":"session_meta","payload":{"id":"` + id + `",` + from + `"originator":"codex_cli_rs","cwd":"/x"}}` + "\n"
	}
	call := func(minute, in, total int) string {
		return fmt.Sprintf(`{"timestamp":"2026-08-20T10:%02d:00Z","type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":%d,"output_tokens":5,"total_tokens":%[3]d},`+
			`"last_token_usage":{"input_tokens":%[4]d,"output_tokens":5,"total_tokens":%d}}}}`+"\n", minute, total-5, total, in, in+5)
	}
	for name, c := range map[string]struct {
		files []string
		want  string
	}{
		"a fork with the lines of its parent": {[]string{
			meta("p", "") + call(1, 100, 105) + call(2, 200, 310),
			meta("f", "p") + meta("p", "") + call(31, 100, 105) + call(32, 200, 310) + call(33, 300, 615),
		}, "100/5 200/5 300/5"},
		"a fork that only names its parent": {[]string{
			meta("p", "") + call(1, 100, 105) + call(2, 200, 310),
			meta("f", "p") + call(31, 100, 105) + call(32, 200, 310) + call(33, 300, 615),
		}, "100/5 200/5 300/5"},
		"another session": {[]string{
			meta("p", "") + call(1, 100, 105) + call(2, 200, 310),
			meta("q", "") + call(11, 100, 105) + call(12, 250, 360),
		}, "100/5 200/5 100/5 250/5"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			lake := filepath.Join(dir, "lake")
			for i, text := range c.files {
				load(t, usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, fmt.Sprint(i, ".jsonl")), text)}, Lake: lake})
			}
			if got := tokens(t, lake); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// A session writes its sums again when its limits change, or when it is resumed: no call
// was made for that.
func TestCodexRepeats(t *testing.T) {
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	at := func(when string, in, total int) string {
		return fmt.Sprintf(`{"timestamp":%q,"type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":%d,"output_tokens":5,"total_tokens":%d},`+
			`"last_token_usage":{"input_tokens":%d,"output_tokens":5,"total_tokens":%d}}}}`+"\n", when, total-5, total, in, in+5)
	}
	text := `{"timestamp":"2026-08-20T10:00:00Z","type":"session_meta","payload":{"id":"p","originator":"codex_cli_rs"}}` + "\n" +
		at("2026-08-20T10:01:00Z", 100, 105) + at("2026-08-20T10:01:01Z", 100, 105) + at("2026-08-20T10:02:00Z", 200, 310)
	file := write(t, filepath.Join(dir, "p.jsonl"), text)
	load(t, usagelake.Config{Inputs: []string{file}, Lake: lake})
	write(t, file, text+at("2026-08-25T10:00:00Z", 200, 310)+at("2026-08-25T10:01:00Z", 300, 615))
	load(t, usagelake.Config{Inputs: []string{file}, Lake: lake})
	if got, want := tokens(t, lake), "100/5 200/5 300/5"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestFlagsOfIdentity(t *testing.T) {
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	at := day.Unix()
	big := strings.Repeat("A", 2000)
	image := func(b64 string) string {
		return fmt.Sprintf(`{"created":%d,"data":[{"b64_json":%q}]}`+"\n", at, b64)
	}
	write(t, filepath.Join(dir, "in", "a.jsonl"), call("stub", at, 1, 1)+call("stub", at+1, 2, 2)+call("own", at, 3, 3)+
		image(big)+image(big)+image(big+"B")+image("small")+image("small"))
	r := load(t, usagelake.Config{Inputs: []string{filepath.Join(dir, "in")}, Lake: lake, Set: []string{"model=gpt-image-1", "project_id=ads"}})
	if r.Books.Rows != 7 || r.Books.Duplicates != 1 || r.Flags["id_reused"] != 2 || r.Flags["id_from_content"] != 2 || r.Flags["model_filled"] != 4 {
		t.Errorf("%d rows, %d duplicates, flags %v", r.Books.Rows, r.Books.Duplicates, r.Flags)
	}
	for _, row := range rows(t, lake) {
		if row["project_id"] != "ads" || row["request_id"] == "own" && row["model"] != "m" || row["request_id"] == "" && row["model"] != "gpt-image-1" {
			t.Errorf("row %v", row)
		}
		if reused := strings.Contains(row["quality_flags"], "id_reused"); reused != (row["request_id"] == "stub") {
			t.Errorf("flags %q of id %q", row["quality_flags"], row["request_id"])
		}
	}
	// the second call with the id comes in a later run: the first row is flagged too
	lake = filepath.Join(dir, "lake2")
	load(t, usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, "b.jsonl"), call("stub", at, 1, 1))}, Lake: lake})
	load(t, usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, "c.jsonl"), call("stub", at+1, 1, 1))}, Lake: lake})
	for _, row := range rows(t, lake) {
		if row["quality_flags"] != "id_reused" {
			t.Errorf("flags %q", row["quality_flags"])
		}
	}
}

// corpus writes files with copies of calls over several days and returns their
// directory.
func corpus(t *testing.T, dir, suffix string) string {
	rnd := rand.New(rand.NewPCG(1, 2))
	for f := range 12 {
		var b strings.Builder
		for range 60 {
			id := fmt.Sprint("id", rnd.IntN(300))
			at := day.Unix() + int64(len(id))*20_000 + int64(rnd.IntN(3))*86_400
			switch rnd.IntN(5) {
			case 0:
				b.WriteString(line(id, time.Unix(at, 0).UTC(), rnd.IntN(100), rnd.IntN(100)))
			case 1:
				fmt.Fprintf(&b, `{"created":%d,"data":[{"url":"https://example/%d"}],"size":"1024x1024"}`+"\n", at, rnd.IntN(10))
			case 2:
				fmt.Fprintf(&b, `{"created":%d,"broken":`+"\n", at)
			default:
				b.WriteString(call(id, at, rnd.IntN(100), rnd.IntN(100)))
			}
		}
		name := filepath.Join(dir, fmt.Sprintf("sub%d", f%3), fmt.Sprintf("f%02d.jsonl", f))
		write(t, name+suffix, packed(t, suffix, b.String()))
	}
	return dir
}

func packed(t *testing.T, suffix, content string) string {
	var z bytes.Buffer
	var w io.WriteCloser
	switch suffix {
	case ".gz":
		w = gzip.NewWriter(&z)
	case ".zst":
		enc, err := zstd.NewWriter(&z)
		if err != nil {
			t.Fatal(err)
		}
		w = enc
	default:
		return content
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return z.String()
}

// Same inputs, same bytes: whatever the workers, the order, the compression
// and the number of runs.
func TestBytesDoNotDependOnTheWay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plain := corpus(t, filepath.Join(dir, "plain"), "")
	var files []string
	err := filepath.WalkDir(plain, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]string
	check := func(name string, bytes map[string]string) {
		t.Helper()
		if want == nil {
			want = bytes
		} else if d := cmp.Diff(want, bytes); d != "" {
			t.Errorf("%s: other bytes\n%s", name, d)
		}
	}
	for _, jobs := range []int{1, 2, 7} {
		lake := filepath.Join(dir, fmt.Sprint("jobs", jobs))
		r := load(t, usagelake.Config{Inputs: []string{plain}, Lake: lake, Jobs: jobs})
		check(fmt.Sprint("jobs ", jobs), hashes(t, lake))
		if r.Books.Records != 720 || r.Books.Rows == 0 || r.Books.Duplicates == 0 || r.Books.Quarantined == 0 {
			t.Errorf("books %+v", r.Books)
		}
	}
	for _, memory := range []int64{1, 200_000, 1 << 20} {
		lake := filepath.Join(dir, fmt.Sprint("memory", memory))
		load(t, usagelake.Config{Inputs: []string{plain}, Lake: lake, Memory: memory})
		check(fmt.Sprint("memory ", memory), hashes(t, lake))
	}
	for _, suffix := range []string{".gz", ".zst"} {
		lake := filepath.Join(dir, "lake"+suffix)
		load(t, usagelake.Config{Inputs: []string{corpus(t, filepath.Join(dir, suffix), suffix)}, Lake: lake})
		check(suffix, hashes(t, lake))
		if r := load(t, usagelake.Config{Inputs: []string{plain}, Lake: lake}); r.Books.Records != 0 {
			t.Errorf("the unpacked files are new: %d records", r.Books.Records)
		}
	}

	// whole paths below one argument, in any order of runs
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		lake := filepath.Join(dir, fmt.Sprint("runs", seed))
		order := rand.New(rand.NewPCG(seed, 0)).Perm(len(files))
		for _, i := range order {
			rel, err := filepath.Rel(plain, files[i])
			if err != nil {
				t.Fatal(err)
			}
			sub := filepath.Join(dir, fmt.Sprint("one", seed, i))
			data, err := os.ReadFile(files[i])
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(sub, rel), string(data))
			load(t, usagelake.Config{Inputs: []string{sub}, Lake: lake})
		}
		check(fmt.Sprint("one run a file, order ", order), hashes(t, lake))
	}

	want = nil // files as arguments have other names
	for seed := range uint64(3) {
		rand.New(rand.NewPCG(seed, 1)).Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
		lake := filepath.Join(dir, fmt.Sprint("shuffled", seed))
		load(t, usagelake.Config{Inputs: files, Lake: lake})
		check(fmt.Sprint("arguments ", files), hashes(t, lake))
	}
}

// An input that takes long to read is read ahead, however long its records are: there is
// one large record in memory at a time, and nobody waits for himself.
func TestReadAhead(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 20_000 {
		b.WriteString(call(fmt.Sprint("id", i), day.Unix()+int64(i), i, 1))
		if i%3000 == 0 {
			fmt.Fprintf(&b, `{"created":%d,"data":[{"b64_json":%q}],"size":"1024x1024"}`+"\n", day.Unix()+int64(i), strings.Repeat("A", 9<<20))
		}
	}
	dir := t.TempDir()
	plain := write(t, filepath.Join(dir, "a.jsonl"), b.String())
	lake := filepath.Join(dir, "lake")
	load(t, usagelake.Config{Inputs: []string{plain}, Lake: lake})
	want := hashes(t, lake)
	var slow string
	for _, suffix := range []string{".zst", ".gz"} {
		slow = write(t, filepath.Join(dir, suffix[1:], "a.jsonl"+suffix), packed(t, suffix, b.String()))
		for _, jobs := range []int{1, 2, 7} {
			lake := filepath.Join(dir, fmt.Sprint("jobs", jobs, suffix))
			r := load(t, usagelake.Config{Inputs: []string{slow}, Lake: lake, Jobs: jobs})
			if r.Books.Records != 20_007 || r.Books.Rows != r.Books.Records {
				t.Errorf("%s, %d jobs: books %+v", suffix, jobs, r.Books)
			}
			if d := cmp.Diff(want, hashes(t, lake)); d != "" {
				t.Errorf("%s, %d jobs: other bytes\n%s", suffix, jobs, d)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := usagelake.Load(ctx, usagelake.Config{
		Inputs: []string{slow}, Lake: filepath.Join(dir, "broken off"), Jobs: 3,
		Progress: func(p usagelake.Progress) {
			if p.Records > 9000 {
				cancel()
			}
		},
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("broken off: %v", err)
	}
}

// booksDiff is what two accounts differ in.
func booksDiff(a, b schemas.Books) string {
	return cmp.Diff(a, b, cmp.AllowUnexported(schemas.Amount{}, schemas.Sums{}))
}

func TestBuckets(t *testing.T) {
	dir := t.TempDir()
	in := corpus(t, filepath.Join(dir, "in"), "")
	one, four := filepath.Join(dir, "one"), filepath.Join(dir, "four")
	a := load(t, usagelake.Config{Inputs: []string{in}, Lake: one})
	b := load(t, usagelake.Config{Inputs: []string{in}, Lake: four, Buckets: 4})
	if d := booksDiff(a.Books, b.Books); d != "" {
		t.Errorf("buckets change the books\n%s", d)
	}
	if len(tableFiles(t, four)) <= len(tableFiles(t, one)) {
		t.Error("four buckets make no more files")
	}
	if _, err := usagelake.Load(context.Background(), usagelake.Config{Inputs: []string{in}, Lake: four, Buckets: 2}); err == nil {
		t.Error("the count of buckets can be changed")
	}
	load(t, usagelake.Config{Inputs: []string{in}, Lake: four})
}

func TestSources(t *testing.T) {
	dir := t.TempDir()
	at := day.Unix()
	first, second := call("a", at, 1, 1)+"{\"no\":\"id\"}\n", strings.Replace(call("b", at, 2, 2), `"id"`, `"no"`, 1)
	keyless := strings.Replace(call("k", at, 5, 5), `"id"`, `"no"`, 1)
	log := write(t, filepath.Join(dir, "app.log"), first+keyless)
	lake := filepath.Join(dir, "lake")
	state := func(r *usagelake.Report) string {
		var s []string
		for _, in := range r.Inputs {
			s = append(s, string(in.State))
		}
		return strings.Join(s, " ")
	}
	step := func(want, sums string, inputs ...string) {
		t.Helper()
		r := load(t, usagelake.Config{Inputs: inputs, Lake: lake})
		if got := state(r); got != want {
			t.Errorf("%v is %s, want %s", inputs, got, want)
		}
		if got := tokens(t, lake); got != sums {
			t.Errorf("after %v the table holds %s, want %s", inputs, got, sums)
		}
	}
	step("loaded", "1/1 5/5", log)
	step("known", "1/1 5/5", log)
	write(t, log, first+keyless+second[:40]) // an unfinished line stays pending
	step("known", "1/1 5/5", log)
	write(t, log, first+keyless+second) // and goes on when it is whole
	step("continued", "1/1 5/5 2/2", log)
	moved := filepath.Join(dir, "app.log.1")
	if err := os.Rename(log, moved); err != nil {
		t.Fatal(err)
	}
	step("known", "1/1 5/5 2/2", moved)
	write(t, log, keyless) // a new file under the old name, with the same call again
	step("loaded known", "5/5 1/1 5/5 2/2", log, moved)
	step("known known", "5/5 1/1 5/5 2/2", log, moved)

	lake = filepath.Join(dir, "lake2") // copies in one run
	copied := write(t, filepath.Join(dir, "copy.log"), first+keyless+second)
	part := write(t, filepath.Join(dir, "part.log"), first)
	step("loaded same same", "1/1 5/5 2/2", moved, copied, part)
	step("known known known", "1/1 5/5 2/2", moved, copied, part)

	lake = filepath.Join(dir, "lake3") // of two that continue one source the longer does
	step("loaded", "1/1", part)
	step("continued same known", "1/1 5/5 2/2", moved, copied, part)
	if got := len(rows(t, lake)); got != 3 {
		t.Errorf("%d rows", got)
	}
}

func TestFiltersComplete(t *testing.T) {
	for name, line := range map[string]func(i int) string{
		"with ids": func(i int) string { return call(fmt.Sprint("x", i), day.Unix()+int64(i)*14_400, i, i) },
		"without": func(i int) string {
			return strings.Replace(call("x", day.Unix()+int64(i)*14_400, i, i), `"id"`, `"no"`, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			lake, all := filepath.Join(dir, "lake"), filepath.Join(dir, "all")
			var content strings.Builder
			for i := range 300 {
				content.WriteString(line(i))
			}
			in := []string{write(t, filepath.Join(dir, "a.jsonl"), content.String())}
			r := load(t, usagelake.Config{Inputs: in, Lake: lake, From: "2026-08-21", To: "2026-08-22"})
			if r.Books.Rows != 6 || r.Books.Filtered != 294 || len(r.Partitions) != 1 {
				t.Errorf("filtered: %d rows, %d filtered, %v", r.Books.Rows, r.Books.Filtered, r.Partitions)
			}
			r = load(t, usagelake.Config{Inputs: in, Lake: lake})
			if r.Books.Rows != 294 || r.Books.Duplicates != 6 {
				t.Errorf("completed: %d rows, %d duplicates", r.Books.Rows, r.Books.Duplicates)
			}
			load(t, usagelake.Config{Inputs: in, Lake: all})
			if d := cmp.Diff(hashes(t, all), hashes(t, lake)); d != "" {
				t.Error("not what one load makes:\n", d)
			}
		})
	}
}

func TestEventTime(t *testing.T) {
	dir := t.TempDir()
	timeless := `{"prompt_tokens":1,"completion_tokens":1}` + "\n"
	for name, c := range map[string]struct {
		file   string
		cfg    usagelake.Config
		want   string
		reason string
	}{
		"file time":         {"a.jsonl", usagelake.Config{}, "2026-08-20T06:00:00Z file_time", ""},
		"file name":         {"a-2025-01-02.jsonl", usagelake.Config{}, "2025-01-02T00:00:00Z file_name", ""},
		"file name in zone": {"a-2025-01-02.jsonl", usagelake.Config{TimeZone: "Asia/Tokyo"}, "2025-01-01T15:00:00Z file_name", ""},
		"path":              {"ads/2025-03-04/a-2025-01-02.jsonl", usagelake.Config{PathColumns: "{project_id}/{date}/*.jsonl.gz"}, "2025-03-04T00:00:00Z file_name", ""},
		"flag":              {"a-2025-01-02.jsonl", usagelake.Config{EventTime: "2024-05-06 07:08:09"}, "2024-05-06T07:08:09Z flag", ""},
		"strict":            {"a-2025-01-02.jsonl", usagelake.Config{StrictTime: true}, "", "no_time"},
	} {
		t.Run(name, func(t *testing.T) {
			sub := filepath.Join(dir, name)
			write(t, filepath.Join(sub, "in", c.file), timeless)
			c.cfg.Inputs, c.cfg.Lake = []string{filepath.Join(sub, "in")}, filepath.Join(sub, "lake")
			r := load(t, c.cfg)
			if c.reason != "" {
				if q := quarantined(t, r); len(q) != 1 || q[0]["reason"] != c.reason {
					t.Errorf("quarantine %v", q)
				}
				return
			}
			row := rows(t, c.cfg.Lake)[0]
			if got := row["event_time"] + " " + row["event_time_source"]; got != c.want {
				t.Errorf("event time %s, want %s", got, c.want)
			}
			if name == "path" && row["project_id"] != "ads" {
				t.Errorf("project %q", row["project_id"])
			}
		})
	}
	// the file time stays what it was at first sight
	in := write(t, filepath.Join(dir, "pinned.jsonl"), timeless)
	lake := filepath.Join(dir, "pinned")
	load(t, usagelake.Config{Inputs: []string{in}, Lake: lake})
	write(t, in, timeless+timeless)
	later := fileTime.Add(72 * time.Hour)
	if err := os.Chtimes(in, later, later); err != nil {
		t.Fatal(err)
	}
	load(t, usagelake.Config{Inputs: []string{in}, Lake: lake})
	for _, row := range rows(t, lake) {
		if row["event_time"] != "2026-08-20T06:00:00Z" {
			t.Errorf("file time moved to %s", row["event_time"])
		}
	}
}

func TestQuarantine(t *testing.T) {
	dir := t.TempDir()
	prompt := strings.Repeat("secret prompt ", 20)
	bad := fmt.Sprintf(`{"prompt":%q,"id":"a","created":1740830400,"usage":{"prompt_tokens":-1,"completion_tokens":1}}`, prompt)
	in := write(t, filepath.Join(dir, "a.jsonl"), "\n"+bad+"\n"+prompt+"\n"+strings.Repeat(call("ok", 1740830400, 1, 1), 3))
	for _, raw := range []bool{false, true} {
		lake := filepath.Join(dir, fmt.Sprint("lake", raw))
		r := load(t, usagelake.Config{Inputs: []string{in}, Lake: lake, QuarantineRaw: raw})
		q := quarantined(t, r)
		if len(q) != 2 || r.Books.Quarantined != 2 || r.Reasons["negative_count"] != 1 || r.Reasons["not_json"] != 1 {
			t.Fatalf("quarantine %v, reasons %v", q, r.Reasons)
		}
		first := q[0]
		if first["source_file"] != "a.jsonl" || first["line"] != 2.0 || first["offset"] != 1.0 || first["length"] != float64(len(bad)) || len(first["hash"].(string)) != 32 || first["source_id"] != r.Inputs[0].Source {
			t.Errorf("record %v", first)
		}
		for _, rec := range q {
			if whole := strings.Contains(rec["raw"].(string), prompt[:len(prompt)-1]); whole != raw || rec["whole"] != raw {
				t.Errorf("raw %v: keeps %q", raw, rec["raw"])
			}
		}
		if info, err := os.Stat(r.Quarantine); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info, err)
		}
		for _, private := range []string{"state", "quarantine"} {
			if info, err := os.Stat(filepath.Join(lake, private)); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%s: %v, %v", private, info, err)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	dir := t.TempDir()
	var many strings.Builder
	for i := range 12 {
		many.WriteString(call("x", day.Unix()+int64(i)*86_400, 1, 1))
	}
	in := []string{write(t, filepath.Join(dir, "many.jsonl"), many.String())}
	lake := filepath.Join(dir, "lake")
	_, err := usagelake.Load(context.Background(), usagelake.Config{Inputs: in, Lake: lake, MaxPartitions: 11})
	if !errors.Is(err, usagelake.ErrPartitions) || len(tableFiles(t, lake)) != 0 {
		t.Errorf("%v, %v", err, tableFiles(t, lake))
	}
	load(t, usagelake.Config{Inputs: in, Lake: lake, MaxPartitions: 12})

	long := write(t, filepath.Join(dir, "long.jsonl"), call("a", day.Unix(), 1, 1)+strings.Repeat(" ", 10)+`{"x":"`+strings.Repeat("y", 5000)+`"}`+"\n"+call("b", day.Unix(), 2, 2))
	r := load(t, usagelake.Config{Inputs: []string{long}, Lake: lake, MaxLine: 1000})
	if r.Books.Rows != 2 || r.Reasons["line_too_long"] != 1 {
		t.Errorf("%d rows, %v", r.Books.Rows, r.Reasons)
	}

	write(t, filepath.Join(dir, "noise.jsonl"), strings.Repeat("{\"usage\":\n", 11)+many.String())
	for _, c := range []struct {
		max      string
		file     string
		problems int
	}{{"", "noise.jsonl", 1}, {"50%", "noise.jsonl", 0}, {"11", "noise.jsonl", 0}, {"10", "noise.jsonl", 1}} {
		lake := filepath.Join(dir, "limit"+c.max)
		r := load(t, usagelake.Config{Inputs: []string{filepath.Join(dir, c.file)}, Lake: lake, MaxQuarantine: c.max})
		if len(r.Problems) != c.problems || r.Seq != 1 {
			t.Errorf("limit %q: problems %q, seq %d", c.max, r.Problems, r.Seq)
		}
	}
}

// After a load nothing is left in staging, and a run that is stopped publishes
// nothing.
func TestCancelled(t *testing.T) {
	dir := t.TempDir()
	in := corpus(t, filepath.Join(dir, "in"), "")
	lake := filepath.Join(dir, "lake")
	ctx, cancel := context.WithCancel(context.Background())
	cfg := usagelake.Config{Inputs: []string{in}, Lake: lake, Progress: func(p usagelake.Progress) {
		if p.Step == "reduce" {
			cancel()
		}
	}}
	if _, err := usagelake.Load(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped load: %v", err)
	}
	if files := tableFiles(t, lake); len(files) != 0 {
		t.Errorf("published %v", files)
	}
	cfg.Progress = nil
	load(t, cfg)
	if entries, err := os.ReadDir(filepath.Join(lake, "state", "staging")); err != nil || len(entries) != 0 {
		t.Errorf("staging holds %v, %v", entries, err)
	}
}

// A load that does not fit stops before it writes, and leaves nothing behind.
func TestSpace(t *testing.T) {
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	in := corpus(t, filepath.Join(dir, "in"), "")
	fsys := &full{FS: disk.OS{}, free: 16<<20 + 10_000}
	_, err := usagelake.Load(context.Background(), usagelake.Config{Inputs: []string{in}, Lake: lake, FS: fsys})
	if !errors.Is(err, usagelake.ErrSpace) {
		t.Fatal(err)
	}
	if len(hashes(t, lake)) > 0 {
		t.Error("something was published")
	}
	if entries, err := os.ReadDir(filepath.Join(lake, "state", "staging")); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
	fsys.free = 1 << 30
	if _, err := usagelake.Load(context.Background(), usagelake.Config{Inputs: []string{in}, Lake: lake, FS: fsys}); err != nil {
		t.Error(err)
	}
}

// full is a file system with so much space left.
type full struct {
	disk.FS
	free uint64
}

func (f *full) Free(string) (uint64, error) { return f.free, nil }

// A file that is overwritten while a load is under way is not taken for what it
// was.
func TestOverwritten(t *testing.T) {
	dir := t.TempDir()
	lake, path := filepath.Join(dir, "lake"), filepath.Join(dir, "a.jsonl")
	// A small file is read once, and what it becomes is for the next run.
	one, two := strings.Repeat(" ", 100<<10)+call("a", day.Unix(), 1, 1), call("b", day.Unix(), 2, 2)
	write(t, path, one)
	load(t, usagelake.Config{Inputs: []string{path}, Lake: lake})
	write(t, path, one+two)
	other := strings.ReplaceAll(one+two, `"id":"`, `"id":"x`)[:len(one+two)]
	before := hashes(t, lake)
	r, err := usagelake.Load(context.Background(), usagelake.Config{Inputs: []string{path}, Lake: lake, Jobs: 1, Progress: func(p usagelake.Progress) {
		if p.Step == "map" && p.Records == 0 && p.Bytes == 0 {
			write(t, path, other)
		}
	}})
	if err == nil || len(r.Problems) != 1 || !strings.Contains(r.Problems[0], "changed since it was found") {
		t.Errorf("%v %q", err, r.Problems)
	}
	if d := cmp.Diff(before, hashes(t, lake)); d != "" {
		t.Errorf("the table changed\n%s", d)
	}
	write(t, path, other+call("c", day.Unix(), 3, 3))
	if r := load(t, usagelake.Config{Inputs: []string{path}, Lake: lake}); r.Inputs[0].State != usagelake.Loaded {
		t.Errorf("%+v", r.Inputs)
	}
}

// A small file is read once: what it was when it was found is loaded, and what it
// has become since is for the next run.
func TestSmallOverwritten(t *testing.T) {
	dir := t.TempDir()
	lake, path := filepath.Join(dir, "lake"), filepath.Join(dir, "a.jsonl")
	write(t, path, call("a", day.Unix(), 1, 1))
	cfg := usagelake.Config{Inputs: []string{path}, Lake: lake, Progress: func(p usagelake.Progress) {
		if p.Step == "map" && p.Records == 0 && p.Bytes == 0 {
			write(t, path, call("b", day.Unix(), 2, 2))
		}
	}}
	if r := load(t, cfg); r.Books.Rows != 1 || len(r.Problems) > 0 {
		t.Errorf("%+v %q", r.Books, r.Problems)
	}
	if got := tokens(t, lake); got != "1/1" {
		t.Errorf("the table has %s", got)
	}
	cfg.Progress = nil
	if err := os.Chtimes(path, day, day); err != nil {
		t.Fatal(err)
	}
	if r := load(t, cfg); r.Inputs[0].State != usagelake.Loaded {
		t.Errorf("%+v", r.Inputs)
	}
	if got := strings.Fields(tokens(t, lake)); len(got) != 2 {
		t.Errorf("the table has %s", got)
	}
}

// Two inputs that differ in their unfinished tails are one source.
func TestTwins(t *testing.T) {
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	text := strings.ReplaceAll(call("a", day.Unix(), 1, 1), `"id":"a",`, "") // no id: copies are not known by it
	write(t, filepath.Join(dir, "in", "a.jsonl"), text+`{"mo`)
	write(t, filepath.Join(dir, "in", "b.jsonl"), text+`{"us`)
	r := load(t, usagelake.Config{Inputs: []string{filepath.Join(dir, "in")}, Lake: lake})
	if r.Books.Rows != 1 || r.Books.Records != 1 || r.Inputs[0].State != usagelake.Loaded || r.Inputs[1].State != usagelake.Same {
		t.Errorf("%+v %+v", r.Books, r.Inputs)
	}
	if p := problems(t, lake); len(p) > 0 {
		t.Error(p)
	}
}

// The sums of a run of Claude Code are calls where no line of the run is before them, in
// one load or in an earlier one of the same file, with hashed ids or without.
func TestRunSums(t *testing.T) {
	t.Parallel()
	answer := func(session string) string {
		return fmt.Sprintf(`{"type":"assistant","message":{"id":"m-%[1]s","role":"assistant","model":"claude-x","usage":{"input_tokens":10,"cache_read_input_tokens":0,"output_tokens":2}},"session_id":"%[1]s","uuid":"a-%[1]s","timestamp":"2026-03-05T01:00:00Z"}`+"\n", session)
	}
	result := func(session string) string {
		return fmt.Sprintf(`{"type":"result","num_turns":1,"session_id":"%[1]s","total_cost_usd":0.01,"usage":{"input_tokens":10,"output_tokens":2},"modelUsage":{"claude-x":{"inputTokens":10,"outputTokens":2}},"uuid":"r-%[1]s","timestamp":"2026-03-05T01:00:01Z"}`+"\n", session)
	}
	dir := t.TempDir()
	key := writeKey(t, filepath.Join(dir, "key"), "k")
	for name, tt := range map[string]struct {
		loads []string // what the file is at each
		rows  int64
	}{
		"a result alone":      {[]string{result("s")}, 1},
		"behind its run":      {[]string{answer("s") + result("s")}, 1},
		"of another run":      {[]string{answer("s") + result("t")}, 2},
		"runs interleaved":    {[]string{answer("s") + answer("t") + result("s") + result("t")}, 2},
		"in the next load":    {[]string{answer("s"), answer("s") + result("s")}, 1},
		"two runs, two loads": {[]string{answer("s") + result("s"), answer("s") + result("s") + answer("t") + result("t")}, 2},
	} {
		for _, hashed := range []string{"", key} {
			name := fmt.Sprintf("%s, hashed %v", name, hashed != "")
			file := write(t, filepath.Join(dir, name, "run.jsonl"), "")
			lake := filepath.Join(dir, name, "lake")
			for _, text := range tt.loads {
				write(t, file, text)
				load(t, usagelake.Config{Inputs: []string{file}, Lake: lake, HashIDs: hashed})
			}
			if rows := rowsOf(t, lake, schemas.Usage); int64(len(rows)) != tt.rows {
				t.Errorf("%s: %d rows, want %d", name, len(rows), tt.rows)
			}
		}
	}
}

// What Gemini CLI prints are sums over a session. Those of a run that went on with it hold,
// in whatever order and how long after they come; another session counts by itself.
func TestSessionSums(t *testing.T) {
	t.Parallel()
	sums := func(session string, models ...string) string {
		return fmt.Sprintf(`{"session_id":%q,"response":"","stats":{"models":{%s},"tools":{},"files":{}}}`+"\n", session, strings.Join(models, ","))
	}
	model := func(name string, in, out int) string {
		return fmt.Sprintf(`%q:{"api":{"totalRequests":1},"tokens":{"prompt":%d,"candidates":%d,"total":%d,"cached":0,"thoughts":0,"tool":0}}`, name, in, out, in+out)
	}
	runs := []string{
		sums("s", model("pro", 100, 10), model("flash", 50, 5)),
		sums("s", model("flash", 90, 9), model("lite", 7, 1), model("pro", 300, 30)),
		sums("t", model("pro", 1000, 100)),
	}
	dir := t.TempDir()
	key := writeKey(t, filepath.Join(dir, "key"), "k")
	for name, loads := range map[string][][]int{
		"at once": {{0, 1, 2}}, "one by one": {{0}, {1}, {2}}, "the later first": {{1}, {2}, {0}}, "twice": {{0, 1, 2}, {2, 1, 0}},
	} {
		for _, hashed := range []string{"", key} {
			lake := filepath.Join(dir, fmt.Sprint(name, hashed != ""), "lake")
			for _, some := range loads {
				var inputs []string
				for _, i := range some {
					in := write(t, filepath.Join(lake+"-logs", fmt.Sprint(i, ".json")), runs[i])
					when := time.Date(2026, 8, 1+20*i, 0, 0, 0, 0, time.UTC)
					if err := os.Chtimes(in, when, when); err != nil {
						t.Fatal(err)
					}
					inputs = append(inputs, in)
				}
				load(t, usagelake.Config{Inputs: inputs, Lake: lake, HashIDs: hashed})
			}
			if n, in := len(rowsOf(t, lake, schemas.Usage)), sum(t, lake, schemas.InputTokens); n != 4 || in != "1397" {
				t.Errorf("%s, hashed %v: %d rows, %s tokens in", name, hashed != "", n, in)
			}
		}
	}
}

// What Codex prints at the end of a turn are sums over its thread: those of a run that went
// on with it hold, in whatever file they are; another thread counts by itself.
func TestThreadSums(t *testing.T) {
	t.Parallel()
	run := func(thread string, in int) string {
		return fmt.Sprintf(`{"type":"thread.started","thread_id":%q}`+"\n"+`{"type":"turn.completed","usage":{"input_tokens":%d,"cached_input_tokens":0,"output_tokens":%d}}`+"\n", thread, in, in/10)
	}
	dir := t.TempDir()
	key := writeKey(t, filepath.Join(dir, "key"), "k")
	for name, loads := range map[string][]string{
		"in one file":  {run("s", 100) + run("t", 1000) + run("s", 300)},
		"in two loads": {run("s", 100) + run("t", 1000), run("s", 300)},
		"twice":        {run("s", 300), run("t", 1000) + run("s", 100), run("s", 300) + run("t", 1000)},
	} {
		for _, hashed := range []string{"", key} {
			lake := filepath.Join(dir, fmt.Sprint(name, hashed != ""), "lake")
			for i, text := range loads {
				in := write(t, filepath.Join(lake+"-logs", fmt.Sprint(i, ".jsonl")), text)
				when := time.Date(2026, 8, 1+20*i, 0, 0, 0, 0, time.UTC)
				if err := os.Chtimes(in, when, when); err != nil {
					t.Fatal(err)
				}
				load(t, usagelake.Config{Inputs: []string{in}, Lake: lake, HashIDs: hashed})
			}
			if n, in := len(rowsOf(t, lake, schemas.Usage)), sum(t, lake, schemas.InputTokens); n != 2 || in != "1300" {
				t.Errorf("%s, hashed %v: %d rows, %s tokens in", name, hashed != "", n, in)
			}
		}
	}
}
