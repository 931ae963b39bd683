package usagelake_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usagelake"
	"usagelake/schemas"
)

// reported lists the reports table, a row each: what tells rows apart, and what
// they say.
func reported(t *testing.T, lake string) []string {
	t.Helper()
	var out []string
	for _, r := range rowsOf(t, lake, schemas.Reports) {
		out = append(out, fmt.Sprintf("%s %s %s: %s requests, %s in, cost %s, %s %s", r["event_time"], r["operation"], r["project_id"],
			r["requests"], r["input_tokens"], r["reported_cost_usd"], r["quantity"], r["quantity_unit"]))
	}
	slices.Sort(out)
	return out
}

// A bucket is exported again while it is open: it counts once, as it was at
// last, whatever the order and the form of the exports.
func TestReportsGrow(t *testing.T) {
	start := day.Unix()
	other := result("a", 9, 9)
	exports := []string{
		bucket(start, result("a", 5, 2), result("b", 1, 1)),
		flat(start, result("a", 5, 2)) + call("c", start, 7, 7), // the same
		`{"object":"page","data":[` + strings.TrimSpace(bucket(start, result("a", 5, 3))) + `,` + strings.TrimSpace(bucket(start+86_400, other)) + `],"has_more":false}` + "\n",
		flat(start, `{"object":"organization.usage.vector_stores.result","usage_bytes":10}`),
		flat(start, `{"object":"organization.usage.vector_stores.result","usage_bytes":30,"project_id":null}`),
		flat(start, `{"usage_bytes":20,"object":"organization.usage.vector_stores.result"}`),
		bucket(start, `{"object":"organization.costs.result","amount":{"value":"0.5","currency":"usd"},"project_id":"a"}`),
		bucket(start, `{"object":"organization.costs.result","amount":{"value":0.75,"currency":"usd"},"project_id":"a"}`),
	}
	want := []string{
		"2026-08-20T00:00:00Z completions a: 3 requests, 5 in, cost ,  ",
		"2026-08-20T00:00:00Z completions b: 1 requests, 1 in, cost ,  ",
		"2026-08-20T00:00:00Z costs a:  requests,  in, cost 0.75,  ",
		"2026-08-20T00:00:00Z vector_stores :  requests,  in, cost , 30 bytes",
		"2026-08-21T00:00:00Z completions a: 9 requests, 9 in, cost ,  ",
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	first := map[int]map[string]string{} // by number of buckets
	for i := range 6 {
		dir := t.TempDir()
		lake := filepath.Join(dir, "lake")
		for k, text := range exports {
			write(t, filepath.Join(dir, "in", fmt.Sprintf("%d.jsonl", k)), text)
		}
		for _, k := range rnd.Perm(len(exports)) {
			load(t, usagelake.Config{Inputs: []string{filepath.Join(dir, "in", fmt.Sprintf("%d.jsonl", k))}, Lake: lake, Memory: []int64{0, 1}[i%2], Jobs: 1 + i%2, Buckets: 1 + i/4})
		}
		if d := cmp.Diff(want, reported(t, lake)); d != "" {
			t.Fatalf("-want +got\n%s", d)
		}
		if got := tokens(t, lake); got != "7/7" {
			t.Errorf("the usage table holds %s", got)
		}
		if first[i/4] == nil {
			first[i/4] = hashes(t, lake)
		}
		if d := cmp.Diff(first[i/4], hashes(t, lake)); d != "" {
			t.Errorf("other bytes: %s", d)
		}
		if p := problems(t, lake); len(p) > 0 {
			t.Error(p)
		}
		if r := load(t, usagelake.Config{Inputs: []string{filepath.Join(dir, "in")}, Lake: lake}); r.Seq != 0 {
			t.Errorf("loaded again: %+v", r.Books)
		}
	}
}

// What tells rows of a report apart, and what does not.
func TestReportsAreToldApart(t *testing.T) {
	const (
		openai = `{"object":"organization.usage.completions.result","start_time":1755000000,"end_time":1755086400,"input_tokens":1,"num_model_requests":1,"project_id":"p"%s}`
		cents  = `{"starting_at":"2026-01-08T00:00:00Z","ending_at":"2026-01-09T00:00:00Z","currency":"USD","amount":%s,"cost_type":"tokens"%s}`
		daily  = `{"date":"2026-03-02","model":"m","api_key":"k","spend":1,"api_requests":%s,"prompt_tokens":"1","completion_tokens":"1"%s}`
	)
	for name, c := range map[string]struct {
		a, b string
		rows int
	}{
		"a member nobody knows": {fmt.Sprintf(openai, `,"new":"eu"`), fmt.Sprintf(openai, `,"new":"us"`), 2},
		"one is grouped by it":  {fmt.Sprintf(openai, `,"new":"eu"`), fmt.Sprintf(openai, ``), 2},
		"a boolean":             {fmt.Sprintf(openai, `,"batch":true`), fmt.Sprintf(openai, `,"batch":false`), 2},
		"deep":                  {fmt.Sprintf(openai, `,"new":{"a":["x"]}`), fmt.Sprintf(openai, `,"new":{"a":["y"]}`), 2},
		"another end":           {fmt.Sprintf(openai, ``), strings.Replace(fmt.Sprintf(openai, ``), "1755086400", "1755003600", 1), 2},
		"another begin":         {fmt.Sprintf(openai, ``), strings.Replace(fmt.Sprintf(openai, ``), "1755000000", "1755003600", 1), 2},
		"another report":        {fmt.Sprintf(openai, ``), strings.Replace(fmt.Sprintf(openai, ``), "completions", "embeddings", 1), 2},
		"empty is absent":       {fmt.Sprintf(openai, `,"new":""`), fmt.Sprintf(openai, ``), 1},
		"a project's new name":  {fmt.Sprintf(openai, `,"project_name":"a"`), fmt.Sprintf(openai, `,"project_name":"b"`), 1},
		"costs, flattened": {
			`{"object":"organization.costs.result","start_time":1755000000,"end_time":1755086400,"amount":{"value":"0.5","currency":"usd"},"line_item":"x","project_id":null}`,
			`{"start_time":1755000000,"end_time":1755086400,"start_time_iso":"2025-08-12T12:00:00+00:00","amount_value":0.75,"amount_currency":"usd","line_item":"x","project_id":""}`, 1,
		},
		"usage, flattened": {
			fmt.Sprintf(openai, `,"output_tokens":1`), strings.Replace(fmt.Sprintf(openai, `,"output_tokens":1`), `"object":"organization.usage.completions.result",`, ``, 1), 1,
		},
		"null is absent":             {fmt.Sprintf(openai, `,"new":null`), fmt.Sprintf(openai, ``), 1},
		"a number nobody knows":      {fmt.Sprintf(openai, `,"new":1`), fmt.Sprintf(openai, `,"new":2`), 1},
		"the order of members":       {fmt.Sprintf(openai, `,"a":"x","b":"y"`), fmt.Sprintf(openai, `,"b":"y","a":"x"`), 1},
		"the last of repeated keys":  {fmt.Sprintf(openai, `,"a":"x","a":"y"`), fmt.Sprintf(openai, `,"a":"y"`), 1},
		"the spelling of keys":       {fmt.Sprintf(openai, `,"new_one":"x"`), fmt.Sprintf(openai, `,"newOne":"x"`), 1},
		"when it was exported":       {fmt.Sprintf(openai, `,"@timestamp":"2026-01-01T00:00:00Z"`), fmt.Sprintf(openai, `,"@timestamp":"2026-01-02T00:00:00Z"`), 1},
		"a group that is a number":   {fmt.Sprintf(openai, `,"user_id":1`), fmt.Sprintf(openai, `,"user_id":2`), 2},
		"an amount that is a string": {fmt.Sprintf(cents, `"1"`, ``), fmt.Sprintf(cents, `"2.5"`, ``), 1},
		"a type of costs":            {fmt.Sprintf(cents, `"1"`, `,"token_type":"a"`), fmt.Sprintf(cents, `"1"`, `,"token_type":"b"`), 2},
		"a count that is a string":   {fmt.Sprintf(daily, `"1"`, `,"failed_requests":"0"`), fmt.Sprintf(daily, `"2"`, `,"failed_requests":"1"`), 1},
		"a key":                      {fmt.Sprintf(daily, `1`, ``), strings.Replace(fmt.Sprintf(daily, `1`, ``), `"k"`, `"l"`, 1), 2},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for i, text := range []string{c.a + "\n" + c.b + "\n", c.b + "\n" + c.a + "\n"} {
				lake := filepath.Join(dir, fmt.Sprint("lake", i))
				r := load(t, usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, fmt.Sprint(i, ".jsonl")), text)}, Lake: lake})
				if b := r.Books; b.Reports != int64(c.rows) || b.Duplicates != int64(2-c.rows) || b.Rows+b.Quarantined+b.NoUsage != 0 {
					t.Errorf("%+v", b)
				}
			}
		})
	}
}

// A report goes the way of all records: what was set aside is replayed, what a
// source brought is forgotten, and what had given way to it is back.
func TestReportsReplayAndForget(t *testing.T) {
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	start := day.Unix()
	a := write(t, filepath.Join(dir, "a.jsonl"), bucket(start, result("g", 1, 1), result("h", 1, 1))+call("a", start, 1, 1))
	b := write(t, filepath.Join(dir, "b.jsonl"), bucket(start, result("g", 1, 2))+
		flat(start, `{"object":"organization.usage.audio_speeches.result","characters":7,"num_model_requests":1}`)+
		strings.Repeat(" ", 300)+flat(start+86_400, result("late", 1, 1)))
	cfg := usagelake.Config{Inputs: []string{a}, Lake: lake}
	load(t, cfg)
	before, were := hashes(t, lake), reported(t, lake)

	cfg.Inputs, cfg.MaxLine = []string{b}, 300
	planned, err := usagelake.Plan(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := load(t, cfg)
	if r.Books.Reports != 2 || r.Displaced != 1 || r.Books.Quarantined != 1 || r.Reasons["line_too_long"] != 1 {
		t.Errorf("%+v, %d displaced, %v", r.Books, r.Displaced, r.Reasons)
	}
	if booksDiff(planned.Books, r.Books) != "" || len(planned.Files) != 1 || planned.Files[0].Path != r.Files[0].Path || planned.Files[0].Sums != r.Files[0].Sums {
		t.Errorf("plan %+v, load %+v", planned, r)
	}
	r, err = usagelake.Replay(context.Background(), usagelake.Config{Lake: lake})
	if err != nil || r.Books.Reports != 1 {
		t.Fatalf("replay: %v, %+v", err, r.Books)
	}
	want := []string{
		"2026-08-20T00:00:00Z audio_speeches : 1 requests,  in, cost , 7 characters",
		"2026-08-20T00:00:00Z completions g: 2 requests, 1 in, cost ,  ",
		"2026-08-20T00:00:00Z completions h: 1 requests, 1 in, cost ,  ",
		"2026-08-21T00:00:00Z completions late: 1 requests, 1 in, cost ,  ",
	}
	if d := cmp.Diff(want, reported(t, lake)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	s, err := usagelake.ReadStatus(lake, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Rows != 1 || s.Partitions != 1 || s.Sums.Text(schemas.InputTokens) != "1" ||
		s.Reports.Rows != 4 || s.Reports.Partitions != 2 || s.Reports.Sums.Text(schemas.Requests) != "5" {
		t.Errorf("status %+v", s)
	}
	if p := problems(t, lake); len(p) > 0 {
		t.Error(p)
	}
	if _, err := usagelake.Forget(context.Background(), usagelake.Config{Lake: lake}, b); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(were, reported(t, lake)); d != "" {
		t.Errorf("after forgetting: -want +got\n%s", d)
	}
	if d := cmp.Diff(before, hashes(t, lake)); d != "" {
		t.Errorf("after forgetting: other bytes %s", d)
	}
	if p := problems(t, lake); len(p) > 0 {
		t.Error(p)
	}
}

// Event dates are the begins of buckets, also where only some are loaded; flags
// fill what rows leave empty, as far as the table has it.
func TestReportsAndFlags(t *testing.T) {
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	start := day.Unix()
	in := write(t, filepath.Join(dir, "proj/a.jsonl"), bucket(start, result("", 1, 1))+bucket(start+86_400, result("", 2, 2))+call("a", start, 1, 1)+
		`{"user":"u","total_cost":0.25,"input_tokens":5,"output_tokens":10,"request_count":1}`+"\n")
	cfg := usagelake.Config{
		Inputs: []string{filepath.Dir(in)}, Lake: lake, From: day.Format("2006-01-02"), To: day.AddDate(0, 0, 1).Format("2006-01-02"),
		Set: []string{"team_id=t", "session_id=s", "provider=p"}, EventTime: "2026-08-20T01:00:00Z",
	}
	r := load(t, cfg)
	if b := r.Books; b.Reports != 1 || b.Filtered != 1 || b.Rows != 1 || r.Reasons["no_bucket"] != 1 || b.FilteredSums.Text(schemas.Requests) != "2" {
		t.Errorf("%+v %v", b, r.Reasons)
	}
	row := rowsOf(t, lake, schemas.Reports)[0]
	if row["team_id"] != "t" || row["provider"] != "openai" || row["session_id"] != "" || row["status"] != "" {
		t.Errorf("%v", row)
	}
	list, err := usagelake.Inspect(context.Background(), cfg, in, 9)
	if err != nil || len(list) != 3 {
		t.Fatal(err, list)
	}
	for _, p := range list[0].Parts {
		for _, v := range p.Values {
			if c, _ := schemas.Lookup(v.Column); !schemas.Reports.Has(c) {
				t.Errorf("inspect shows %s, which the table does not have", v.Column)
			}
		}
	}
	cfg.From, cfg.To = "", ""
	if r := load(t, cfg); r.Books.Reports != 1 {
		t.Errorf("the rest: %+v", r.Books)
	}
}

// verify looks at both tables, and nothing else may lie in them.
func TestVerifyReports(t *testing.T) {
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	load(t, usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, "a.jsonl"), bucket(day.Unix(), result("g", 1, 2)))}, Lake: lake})
	part := "reports/event_date=2026-08-20/part-0000.parquet"
	if got := slices.Sorted(maps.Keys(hashes(t, lake))); !slices.Equal(got, []string{part}) {
		t.Fatalf("files %s", got)
	}
	data, err := os.ReadFile(filepath.Join(lake, part))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		path, text string
		want       string
	}{
		"in the root":        {"reports/notes.txt", "x", "reports/notes.txt: does not belong into the table"},
		"in a partition":     {"reports/event_date=2026-08-20/part-0001.parquet", string(data), "reports/event_date=2026-08-20/part-0001.parquet: does not belong into the table"},
		"in the other table": {"usage/event_date=2026-08-20/part-0000.parquet", string(data), "usage/event_date=2026-08-20/part-0000.parquet: does not belong into the table"},
	} {
		write(t, filepath.Join(lake, c.path), c.text)
		if p := problems(t, lake); len(p) != 1 || p[0] != c.want {
			t.Errorf("%s: %q", name, p)
		}
		if err := os.Remove(filepath.Join(lake, c.path)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(lake, part)); err != nil {
		t.Fatal(err)
	}
	if p := problems(t, lake); len(p) < 2 || p[0] != part+": is missing" || !strings.HasPrefix(p[1], "the reports table holds 0 rows") {
		t.Errorf("%q", p)
	}
}

// A call is a call, whatever stands around it.
func TestReportsTakeNoCalls(t *testing.T) {
	const usage = `"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}`
	for _, text := range []string{
		`{"start_time":1755000000,"end_time":1755000003,"result":{"id":"a","object":"chat.completion","choices":[],` + usage + `}}`,
		`{"object":"audio.speech","characters":12,` + usage + `}`,
		`{"object":"x","num_requests":1,"num_sessions":1,"usage_bytes":1,` + usage + `}`,
		`{"date":"2026-03-02",` + usage + `}`,
		`{"amount":{"value":1,"currency":"usd"},"object":"x",` + usage + `}`,
		`{"amount":"1","currency":"USD",` + usage + `}`,
		`{"request_count":1,"total_cost":0.5,"id":"a",` + usage + `}`,
	} {
		dir := t.TempDir()
		r := load(t, usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, "a.jsonl"), text+"\n")}, Lake: filepath.Join(dir, "lake")})
		if b := r.Books; b.Rows != 1 || b.Reports != 0 || b.RowSums.Text(schemas.InputTokens) != "9" {
			t.Errorf("%s: %+v", text, b)
		}
	}
	// nor does a thing that has a meter of theirs
	for _, text := range []string{
		`{"id":"vs","object":"vector_store","created_at":1755000000,"usage_bytes":7}`,
		`{"id":"tr","object":"payment","amount":{"value":"10.00","currency":"EUR"}}`,
		`{"data":[{"id":"a"}],"has_more":false}`,
	} {
		dir := t.TempDir()
		r := load(t, usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, "a.jsonl"), text+"\n")}, Lake: filepath.Join(dir, "lake")})
		if r.Books.NoUsage != 1 {
			t.Errorf("%s: %+v", text, r.Books)
		}
	}
}
