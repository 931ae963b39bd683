package usagelake_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usagelake"
)

// aCall is a call at noon of a day of March 2026, plus hours.
func aCall(id, model string, day, hours, in, cached, out int, cost float64) string {
	at := time.Date(2026, 3, day, 12+hours, 0, 0, 0, time.UTC)
	return fmt.Sprintf(`{"id":%q,"object":"chat.completion","created":%d,"model":%q,"cost":%v,"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}}}`,
		id, at.Unix(), model, cost, in, out, in+out, cached)
}

// aBucket is what OpenAI reports of a day of March 2026.
func aBucket(day int, results ...string) string {
	from := time.Date(2026, 3, day, 0, 0, 0, 0, time.UTC).Unix()
	return fmt.Sprintf(`{"object":"bucket","start_time":%d,"end_time":%d,"results":[%s]}`, from, from+86_400, strings.Join(results, ","))
}

func aResult(model string, requests, in, cached, out int) string {
	return fmt.Sprintf(`{"object":"organization.usage.completions.result","model":%q,"num_model_requests":%d,"input_tokens":%d,"input_cached_tokens":%d,"output_tokens":%d}`,
		model, requests, in, cached, out)
}

// routed is a call through OpenRouter.
func routed(call string) string {
	return strings.Replace(call, `"choices"`, `"provider":"OpenAI","choices"`, 1)
}

// activity is what OpenRouter reports of one call to a model.
func activity(model string, cost float64) string {
	return fmt.Sprintf(`{"date":"2026-03-02","model":%q,"model_permaslug":%[1]q,"provider_name":"OpenAI","usage":%v,"byok_usage_inference":0,"requests":1,"prompt_tokens":100,"completion_tokens":7,"reasoning_tokens":0}`, model, cost)
}

func reconcile(t *testing.T, lines []string, with usagelake.Theirs) (*usagelake.Reconciliation, []string) {
	t.Helper()
	r, _ := against(t, with, lines)
	got := []string{}
	for _, g := range r.Gaps {
		got = append(got, fmt.Sprintf("%s %s %s: %s - %s = %s, %s", g.Day[8:], g.Model, g.Meter, g.Ours, g.Theirs, g.Gap, g.Cause))
	}
	return r, got
}

// Every gap is found, and where it comes from.
func TestReconcile(t *testing.T) {
	for _, c := range []struct {
		name      string
		lines     []string
		tolerance float64
		want      []string
	}{
		{"all there", []string{
			aCall("a", "m", 2, 0, 100, 40, 7, 0), aCall("b", "m", 2, 1, 50, 0, 3, 0), aBucket(2, aResult("m", 2, 150, 40, 10)),
		}, 0, nil},
		{"requests missing", []string{
			aCall("a", "m", 2, 0, 100, 40, 7, 0), aBucket(2, aResult("m", 2, 163, 40, 11)),
		}, 0, []string{
			"02 m requests: 1 - 2 = -1, missing requests: 1 of 2",
			"02 m input_tokens: 100 - 163 = -63, missing requests: 1 of 2",
			"02 m uncached_input_tokens: 60 - 123 = -63, missing requests: 1 of 2",
			"02 m output_tokens: 7 - 11 = -4, missing requests: 1 of 2",
		}},
		{"a model missing, on either side", []string{
			aCall("a", "ours", 2, 0, 100, 0, 7, 0), aBucket(2, aResult("theirs", 2, 55, 0, 5)),
		}, 0, []string{
			"02 ours requests: 1 - 0 = 1, not in the report: other keys, projects or accounts, or calls of another kind",
			"02 ours input_tokens: 100 - 0 = 100, not in the report: other keys, projects or accounts, or calls of another kind",
			"02 ours uncached_input_tokens: 100 - 0 = 100, not in the report: other keys, projects or accounts, or calls of another kind",
			"02 ours output_tokens: 7 - 0 = 7, not in the report: other keys, projects or accounts, or calls of another kind",
			"02 theirs requests: 0 - 2 = -2, missing requests: none of these are in the table",
			"02 theirs input_tokens: 0 - 55 = -55, missing requests: none of these are in the table",
			"02 theirs uncached_input_tokens: 0 - 55 = -55, missing requests: none of these are in the table",
			"02 theirs output_tokens: 0 - 5 = -5, missing requests: none of these are in the table",
		}},
		{"cache counted beside", []string{
			aCall("a", "m", 2, 0, 100, 40, 7, 0), aBucket(2, aResult("m", 1, 60, 40, 7)),
		}, 0, []string{
			"02 m input_tokens: 100 - 60 = 40, cache bucket: cache_read_tokens is in one of the counts only",
			"02 m uncached_input_tokens: 60 - 20 = 40, cache bucket: cache_read_tokens is in one of the counts only",
		}},
		{"another time zone", []string{
			aCall("a", "m", 2, 0, 100, 0, 7, 0), aCall("b", "m", 2, 11, 30, 0, 2, 0), aCall("c", "m", 3, 0, 1000, 0, 70, 0),
			aBucket(2, aResult("m", 1, 100, 0, 7)), aBucket(3, aResult("m", 2, 1030, 0, 72)),
		}, 0, []string{
			"02 m requests: 2 - 1 = 1, time zone: by days of UTC+01:00 it adds up",
			"02 m input_tokens: 130 - 100 = 30, time zone: by days of UTC+01:00 it adds up",
			"02 m uncached_input_tokens: 130 - 100 = 30, time zone: by days of UTC+01:00 it adds up",
			"02 m output_tokens: 9 - 7 = 2, time zone: by days of UTC+01:00 it adds up",
			"03 m requests: 1 - 2 = -1, time zone: by days of UTC+01:00 it adds up",
			"03 m input_tokens: 1000 - 1030 = -30, time zone: by days of UTC+01:00 it adds up",
			"03 m uncached_input_tokens: 1000 - 1030 = -30, time zone: by days of UTC+01:00 it adds up",
			"03 m output_tokens: 70 - 72 = -2, time zone: by days of UTC+01:00 it adds up",
		}},
		{"within the tolerance", []string{
			aCall("a", "m", 2, 0, 1000, 0, 70, 0), aBucket(2, aResult("m", 1, 1009, 0, 70)),
		}, 0.01, nil},
		{"less than a thousandth", []string{
			aCall("a", "m", 2, 0, 10_000, 0, 70, 0), aBucket(2, aResult("m", 1, 10_001, 0, 70)),
		}, 0, []string{
			"02 m input_tokens: 10000 - 10001 = -1, the requests are the same: another count of the same calls",
			"02 m uncached_input_tokens: 10000 - 10001 = -1, the requests are the same: another count of the same calls",
		}},
		{"a model named otherwise", []string{
			aCall("a", "m-2026", 2, 0, 100, 0, 7, 0), aBucket(2, aResult("m", 1, 100, 0, 7)),
		}, 0, []string{
			"02 m requests: 0 - 1 = -1, model: named otherwise in the table",
			"02 m input_tokens: 0 - 100 = -100, model: named otherwise in the table",
			"02 m uncached_input_tokens: 0 - 100 = -100, model: named otherwise in the table",
			"02 m output_tokens: 0 - 7 = -7, model: named otherwise in the table",
			"02 m-2026 requests: 1 - 0 = 1, model: named otherwise in the report",
			"02 m-2026 input_tokens: 100 - 0 = 100, model: named otherwise in the report",
			"02 m-2026 uncached_input_tokens: 100 - 0 = 100, model: named otherwise in the report",
			"02 m-2026 output_tokens: 7 - 0 = 7, model: named otherwise in the report",
		}},
		{"reasoning counted beside", []string{
			strings.Replace(aCall("a", "m", 2, 0, 100, 0, 70, 0), `"prompt_tokens_details"`, `"completion_tokens_details":{"reasoning_tokens":50},"prompt_tokens_details"`, 1),
			aBucket(2, aResult("m", 1, 100, 0, 20)),
		}, 0, []string{"02 m output_tokens: 70 - 20 = 50, reasoning bucket: reasoning_tokens is in one of the counts only"}},
		{"the same at another price, and as a batch", []string{
			routed(aCall("a", "openai/m", 2, 0, 100, 0, 7, 0.3)), routed(aCall("b", "openai/n", 2, 0, 100, 0, 7, 0.5)),
			activity("openai/m", 0.4), activity("openai/n", 0.25),
		}, 0, []string{
			"02 openai/m cost: 0.3 - 0.4 = -0.1, price: the same tokens at other prices",
			"02 openai/n cost: 0.5 - 0.25 = 0.25, tier: twice the price for the same tokens",
		}},
		{"costs of a day, without models", []string{
			aCall("a", "m", 2, 0, 1000, 0, 70, 0.5), aCall("b", "n", 2, 0, 10, 0, 70, 0.25),
			aBucket(2, `{"object":"organization.costs.result","amount":{"value":1.5,"currency":"usd"},"line_item":null}`),
		}, 0, []string{"02  cost: 0.75 - 1.5 = -0.75, tier, or requests: one is twice the other"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, got := reconcile(t, c.lines, usagelake.Theirs{Tolerance: c.tolerance})
			want := c.want
			if want == nil {
				want = []string{}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			if r.Compared < 1 || len(r.Against) == 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// Of two exports of the same calls one is taken.
func TestReconcileOneGrouping(t *testing.T) {
	byProject := strings.ReplaceAll(aResult("m", 1, 100, 40, 7), `"model":"m"`, `"project_id":"p"`)
	dir := t.TempDir()
	cfg := usagelake.Config{Lake: filepath.Join(dir, "lake"), Inputs: []string{
		write(t, filepath.Join(dir, "calls.jsonl"), aCall("a", "m", 2, 0, 100, 40, 7, 0)+"\n"),
		write(t, filepath.Join(dir, "project.jsonl"), aBucket(2, byProject)+"\n"+aBucket(3, byProject)+"\n"),
		write(t, filepath.Join(dir, "model.jsonl"), aBucket(2, aResult("m", 1, 100, 40, 7))+"\n"+aBucket(3, aResult("m", 0, 0, 0, 0))+"\n"),
	}}
	load(t, cfg)
	r, err := usagelake.Reconcile(context.Background(), usagelake.Config{Lake: cfg.Lake}, usagelake.Theirs{})
	if err != nil {
		t.Fatal(err)
	}
	want := &usagelake.Reconciliation{
		Lake: cfg.Lake, Compared: 10, Gaps: []usagelake.Gap{},
		Against: []string{"openai.report completions, days, by model"}, LeftOut: []string{"openai.report completions, days, by project_id"},
	}
	if d := cmp.Diff(want, r); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestReconcileBill(t *testing.T) {
	dir := t.TempDir()
	calls := []string{aCall("a", "m", 2, 0, 100, 40, 7, 0.5), aCall("b", "m", 3, 0, 100_000, 0, 7, 0.25)}
	bill := write(t, filepath.Join(dir, "bill.csv"), "\uFEFFDate,Model,Prompt Tokens,Cents,Note\n2026-03-02,m,100,50,x\n2026-03-03T00:00:00Z,m,100,\"2,500\",\"a, b\"\n2026-02-28,m,7,7,\n")
	columns := []string{"day=Date", "model=Model", "input_tokens=Prompt Tokens", "cost=Cents:e-2"}
	_, got := reconcile(t, calls, usagelake.Theirs{CSV: bill, Columns: columns, Provider: "OpenAI"})
	want := []string{
		"03 m input_tokens: 100000 - 100 = 99900, unit: 1000 times",
		"03 m cost: 0.25 - 25 = -24.75, unit: 100 times",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	lake := filepath.Join(dir, "lake")
	load(t, usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, "in.jsonl"), calls[0]+"\n")}, Lake: lake})
	for name, with := range map[string]usagelake.Theirs{
		"whose bill":      {CSV: bill, Columns: columns},
		"where the day":   {CSV: bill, Columns: []string{"model=Model"}, Provider: "openai"},
		"no such column":  {CSV: bill, Columns: []string{"day=When"}, Provider: "openai"},
		"a bill can have": {CSV: bill, Columns: []string{"day=Date", "colour=Note"}, Provider: "openai"},
		"two columns":     {CSV: write(t, filepath.Join(dir, "two.csv"), "Date,N,N \n2026-03-02,1,2\n"), Columns: []string{"day=Date", "requests=N"}, Provider: "openai"},
		"day is there":    {CSV: bill, Columns: []string{"day=Date", "day=Note"}, Provider: "openai"},
		"line 2":          {CSV: bill, Columns: []string{"day=Date", "cost=Note"}, Provider: "openai"},
	} {
		if _, err := usagelake.Reconcile(context.Background(), usagelake.Config{Lake: lake}, with); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		} else if name != "line 2" && !errors.Is(err, usagelake.ErrUsage) {
			t.Errorf("%v is no usage error", err)
		}
	}
	if _, err := usagelake.Reconcile(context.Background(), usagelake.Config{Lake: lake}, usagelake.Theirs{}); err == nil || !strings.Contains(err.Error(), "no reports of these days and providers") {
		t.Error(err)
	}
}

// What a bill's number or date can be taken for in two ways is not taken at all.
func TestReconcileBillIsNotGuessed(t *testing.T) {
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	load(t, usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, "in.jsonl"), aCall("a", "m", 2, 0, 100, 40, 7, 0.5)+"\n")}, Lake: lake})
	against := func(bill string, columns ...string) (*usagelake.Reconciliation, error) {
		path := write(t, filepath.Join(dir, "bill.csv"), bill)
		return usagelake.Reconcile(context.Background(), usagelake.Config{Lake: lake}, usagelake.Theirs{
			CSV: path, Provider: "openai", Columns: append([]string{"day=Date"}, columns...),
		})
	}
	for number, want := range map[string]string{
		"1234.5": "1234.5", "1,234.50": "1234.5", "$1,234,567": "1234567", "-$5": "-5", "$-5.00": "-5", ".25": "0.25", "1.5e-05": "0.000015", "+7": "7",
		"1.234,50": "", "1,5": "", "1,2345": "", "12,34,567": "", "5$": "", "€5": "", "5 USD": "", "(5)": "", "1e999999999": "", "NaN": "", "0x10": "", "-": "", "$": "",
	} {
		r, err := against("Date,Cost\n2026-03-02,\""+number+"\"\n", "cost=Cost")
		switch {
		case want == "" && (err == nil || !strings.Contains(err.Error(), `bill.csv, line 2: column "Cost": holds no number that is sure`)):
			t.Errorf("%s: %v", number, err)
		case want != "" && err != nil:
			t.Errorf("%s: %v", number, err)
		case want != "" && (len(r.Gaps) != 1 || r.Gaps[0].Theirs != want):
			t.Errorf("%s: %+v, want %s", number, r.Gaps, want)
		}
	}
	if _, err := against("Date,Tokens\n2026-03-02,$5\n", "input_tokens=Tokens"); err == nil {
		t.Error("tokens in dollars")
	}
	for _, day := range []string{"2026-03-02", "2026-03-02T23:00:00Z", "2026-03-02 23:00:00", "2026-03-02T23:00:00", "2026-03-01T23:00:00-05:00", "2026/03/02", "20260302"} {
		if r, err := against("Date,Tokens\n"+day+",5\n", "input_tokens=Tokens"); err != nil || r.Gaps == nil || r.Compared == 0 {
			t.Errorf("%s: %+v, %v", day, r, err)
		}
	}
	for _, day := range []string{"04/11/2025", "2.3.2026", "02-03-2026", "yesterday", "", "46083", "2026-03"} {
		if _, err := against("Date,Tokens\n"+day+",5\n", "input_tokens=Tokens"); err == nil || !strings.Contains(err.Error(), `column "Date": holds no date`) {
			t.Errorf("%s: %v", day, err)
		}
	}
	for bill, want := range map[string]string{
		"":       "is empty",
		"\uFEFF": "is empty",
		"Date\n\"" + strings.Repeat("2026-03-02\n", 1e5): "bill.csv: a line is longer than 1 MiB",
		"Date,Tokens\n":             "bill.csv has no line of these days",
		"\x00\x01Date\x1b[2J\n":     "is no CSV",
		"PAR1":                      "looks like a Parquet file",
		strings.Repeat("x,", 99999): `"x", and 99970 more`,
	} {
		if _, err := against(bill); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 1000 {
			t.Errorf("%v, want %q", err, want)
		}
	}
	for _, c := range []string{"cost=Date:e999999999", "cost=Date:e99999999999999999999", "cost=Date:e-19"} {
		if _, err := against("Date\n2026-03-02\n", c); !errors.Is(err, usagelake.ErrUsage) || !strings.Contains(err.Error(), "want a power of ten") {
			t.Errorf("%s: %v", c, err)
		}
	}
}

// against loads lines, a file of each list, and lists the gaps as "day provider/model
// meter: ours - theirs, cause".
func against(t *testing.T, with usagelake.Theirs, files ...[]string) (*usagelake.Reconciliation, []string) {
	t.Helper()
	dir := t.TempDir()
	cfg := usagelake.Config{Lake: filepath.Join(dir, "lake")}
	for i, lines := range files {
		cfg.Inputs = append(cfg.Inputs, write(t, filepath.Join(dir, fmt.Sprint(i, ".jsonl")), strings.Join(lines, "\n")+"\n"))
	}
	load(t, cfg)
	r, err := usagelake.Reconcile(context.Background(), usagelake.Config{Lake: cfg.Lake, From: "2026-03-01", To: "2026-04-01"}, with)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, g := range r.Gaps {
		got = append(got, fmt.Sprintf("%s %s/%s %s: %s - %s, %s", g.Day[8:], g.Provider, g.Model, g.Meter, g.Ours, g.Theirs, g.Cause))
	}
	return r, got
}

// daily is what LiteLLM reports of a day of March 2026.
func daily(day int, model string, requests, in, out int, cost float64) string {
	return fmt.Sprintf(`{"id":"d-%d-%s","date":"2026-03-%02[1]d","api_key":"k","model":%[2]q,"custom_llm_provider":"openai","api_requests":%d,"successful_requests":%[3]d,"prompt_tokens":%d,"completion_tokens":%d,"spend":%v}`,
		day, model, requests, in, out, cost)
}

// minutes is what OpenAI reports of so many minutes after noon of March 2.
func minutes(from, width int, results ...string) string {
	start := time.Date(2026, 3, 2, 12, from, 0, 0, time.UTC).Unix()
	return fmt.Sprintf(`{"object":"bucket","start_time":%d,"end_time":%d,"results":[%s]}`, start, start+int64(width)*60, strings.Join(results, ","))
}

// aClaude is a call of Claude at noon of a day of March 2026.
func aClaude(id string, day, in, out, searches int, cost float64) string {
	at := time.Date(2026, 3, day, 12, 0, 0, 0, time.UTC).Format(time.RFC3339)
	return fmt.Sprintf(`{"timestamp":%q,"cost":%v,"id":%q,"type":"message","role":"assistant","model":"claude-opus-4-5","content":[],"usage":{"input_tokens":%d,"output_tokens":%d,"server_tool_use":{"web_search_requests":%d}}}`,
		at, cost, id, in, out, searches)
}

// cents is what Anthropic reports of the costs of a day of March 2026.
func cents(day int, results ...string) string {
	from := time.Date(2026, 3, day, 0, 0, 0, 0, time.UTC)
	return fmt.Sprintf(`{"starting_at":%q,"ending_at":%q,"results":[%s]}`, from.Format(time.RFC3339), from.AddDate(0, 0, 1).Format(time.RFC3339), strings.Join(results, ","))
}

// What two reports say of the same calls is not added up.
func TestReconcileReports(t *testing.T) {
	call := aCall("a", "m", 2, 0, 100, 0, 7, 0.5)
	batched := strings.Replace(aResult("m", 1, 100, 0, 7), `"model"`, `"batch":true,"model"`, 1)
	for _, c := range []struct {
		name  string
		files [][]string
		want  []string
		left  []string
	}{
		{name: "a gateway's and the vendor's", files: [][]string{{call}, {aBucket(2, aResult("m", 1, 100, 0, 7))}, {daily(2, "m", 1, 100, 7, 0.5)}}},
		{
			name: "by minutes and by hours", files: [][]string{{call}, {minutes(0, 1, aResult("m", 1, 100, 0, 7))}, {minutes(0, 60, aResult("m", 1, 100, 0, 7))}},
			left: []string{"openai.report completions, minutes, by model"},
		},
		{
			name: "days and hours in one file", files: [][]string{{call}, {aBucket(2, aResult("m", 1, 100, 0, 7)), minutes(0, 60, aResult("m", 1, 100, 0, 7))}},
			left: []string{"openai.report completions, hours, by model"},
		},
		{
			name: "two groupings in one file", files: [][]string{{call}, {
				aBucket(2, aResult("m", 1, 100, 0, 7)), aBucket(2, strings.ReplaceAll(aResult("m", 1, 100, 0, 7), `"model":"m"`, `"project_id":"p"`)),
			}}, left: []string{"openai.report completions, days, by project_id"},
		},
		{
			name: "a group that some days have none of", files: [][]string{
				{call, aCall("b", "m", 3, 0, 100, 0, 7, 0), aCall("c", "m", 3, 1, 10, 0, 1, 0)}, {aBucket(2, aResult("m", 1, 100, 0, 7))}, {aBucket(3, batched)},
			},
			want: []string{
				"03 openai/m requests: 2 - 1, the table has 1 requests more: other keys or projects, or a report that is not complete",
				"03 openai/m input_tokens: 110 - 100, the table has 1 requests more: other keys or projects, or a report that is not complete",
				"03 openai/m uncached_input_tokens: 110 - 100, the table has 1 requests more: other keys or projects, or a report that is not complete",
				"03 openai/m output_tokens: 8 - 7, the table has 1 requests more: other keys or projects, or a report that is not complete",
			},
		},
		{
			name: "costs of no model beside those of models", files: [][]string{
				{aClaude("msg_1", 2, 100, 7, 0, 0.5), aClaude("msg_2", 2, 100, 7, 2, 0.52)},
				{cents(2, `{"currency":"USD","amount":"100","model":"claude-opus-4-5","token_type":"output_tokens"}`, `{"currency":"USD","amount":"2","cost_type":"web_search"}`)},
			},
		},
		{
			name: "more costs of no model than there are", files: [][]string{
				{aClaude("msg_1", 2, 100, 7, 0, 0.5), aClaude("msg_2", 2, 100, 7, 2, 0.52)},
				{cents(2, `{"currency":"USD","amount":"100","model":"claude-opus-4-5","token_type":"output_tokens"}`, `{"currency":"USD","amount":"5","cost_type":"web_search"}`)},
			},
			want: []string{
				"02 anthropic/ cost: 1.02 - 1.05, missing requests, or line items that are no calls: the report counts more",
				"02 anthropic/claude-opus-4-5 cost: 1.02 - 1, line items: it has 0.05 of the day under no model, for searches or tools say",
			},
		},
		{
			name: "costs without models beside usage with them", files: [][]string{
				{call, aCall("b", "n", 2, 0, 100, 0, 7, 0.25)},
				{aBucket(2, aResult("m", 1, 100, 0, 7))},
				{aBucket(2, `{"object":"organization.costs.result","amount":{"value":0.75,"currency":"usd"},"line_item":"x"}`)},
			},
			want: []string{
				"02 openai/n requests: 1 - 0, not in the report: other keys, projects or accounts, or calls of another kind",
				"02 openai/n input_tokens: 100 - 0, not in the report: other keys, projects or accounts, or calls of another kind",
				"02 openai/n uncached_input_tokens: 100 - 0, not in the report: other keys, projects or accounts, or calls of another kind",
				"02 openai/n output_tokens: 7 - 0, not in the report: other keys, projects or accounts, or calls of another kind",
			},
		},
		{
			name: "a day amidst that it does not have", files: [][]string{
				{call, aCall("b", "m", 3, 0, 100, 0, 7, 0), aCall("c", "m", 4, 0, 100, 0, 7, 0), aCall("d", "m", 5, 0, 100, 0, 7, 0)},
				{aBucket(2, aResult("m", 1, 100, 0, 7)), aBucket(4, aResult("m", 1, 100, 0, 7))},
			},
			want: []string{
				"03 openai/m requests: 1 - 0, not in the report: other keys, projects or accounts, or calls of another kind",
				"03 openai/m input_tokens: 100 - 0, not in the report: other keys, projects or accounts, or calls of another kind",
				"03 openai/m uncached_input_tokens: 100 - 0, not in the report: other keys, projects or accounts, or calls of another kind",
				"03 openai/m output_tokens: 7 - 0, not in the report: other keys, projects or accounts, or calls of another kind",
			},
		},
		{
			name: "a day that one provider's does not reach", files: [][]string{
				{call, aCall("b", "m", 3, 0, 100, 0, 7, 0), aClaude("msg_1", 2, 100, 7, 0, 0.5), aClaude("msg_2", 3, 100, 7, 0, 0.5)},
				{aBucket(2, aResult("m", 1, 100, 0, 7)), aBucket(3, aResult("m", 1, 100, 0, 7))},
				{cents(2, `{"currency":"USD","amount":"50","model":"claude-opus-4-5"}`)},
			},
		},
		{
			name: "a refund", files: [][]string{
				{call}, {aBucket(2, `{"object":"organization.costs.result","amount":{"value":0.75,"currency":"usd"},"line_item":"x"}`, `{"object":"organization.costs.result","amount":{"value":-0.25,"currency":"usd"},"line_item":"credit"}`)},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, got := against(t, usagelake.Theirs{}, c.files...)
			if d := cmp.Diff(append([]string{}, c.want...), got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			if d := cmp.Diff(c.left, r.LeftOut); d != "" {
				t.Errorf("left out: -want +got\n%s", d)
			}
		})
	}
}

// A cause that is named is the one that is there.
func TestReconcileCauses(t *testing.T) {
	const more = "the table has 1 requests more: other keys or projects, or a report that is not complete"
	shifted := func(id string, day, hour, in int) string { return aCall(id, "m", day, hour, in, 0, in/10, 0) }
	for _, c := range []struct {
		name  string
		lines []string
		want  []string // of input tokens and cost
	}{
		{
			"days of California, over a week",
			[]string{
				// by UTC: 2nd 300+200, 3rd 400+700, 4th 500+110; by UTC-8 what is before 8:00 is of the day before
				shifted("a", 2, -8, 300), shifted("b", 2, 2, 200), shifted("c", 3, -8, 400), shifted("d", 3, 2, 700), shifted("e", 4, -8, 500), shifted("f", 4, 2, 110),
				shifted("g", 2, -4, 50), shifted("h", 3, -5, 60),
				aBucket(1, aResult("m", 1, 300, 0, 30)), aBucket(2, aResult("m", 4, 200+50+400+60, 0, 20+5+40+6)), aBucket(3, aResult("m", 2, 1200, 0, 120)), aBucket(4, aResult("m", 1, 110, 0, 11)),
			},
			[]string{
				"01 openai/m input_tokens: 0 - 300, time zone: by days of UTC-08:00 it adds up",
				"02 openai/m input_tokens: 550 - 710, time zone: by days of UTC-08:00 it adds up",
				"03 openai/m input_tokens: 1160 - 1200, time zone: by days of UTC-08:00 it adds up",
				"04 openai/m input_tokens: 610 - 110, time zone: by days of UTC-08:00 it adds up",
			},
		},
		{
			"one of the names has another",
			[]string{
				aCall("a", "gpt-4o-2024-08-06", 2, 0, 100, 0, 7, 0), aCall("b", "n", 2, 0, 10, 0, 1, 0),
				aBucket(2, aResult("gpt-4o", 1, 100, 0, 7), aResult("n", 2, 30, 0, 1)),
			},
			[]string{
				"02 openai/gpt-4o input_tokens: 0 - 100, model: gpt-4o-2024-08-06 in the table",
				"02 openai/gpt-4o-2024-08-06 input_tokens: 100 - 0, model: gpt-4o in the report",
				"02 openai/n input_tokens: 10 - 30, missing requests: 1 of 2",
			},
		},
		{
			"one name for two of ours",
			[]string{
				aCall("a", "gpt-4o-2024-08-06", 2, 0, 100, 0, 7, 0), aCall("b", "gpt-4o", 2, 0, 10, 0, 1, 0), aCall("c", "z", 2, 0, 10, 0, 1, 0),
				aBucket(2, aResult("gpt-4o-2024-08-06", 2, 110, 0, 8)),
			},
			[]string{
				"02 openai/gpt-4o input_tokens: 10 - 0, model: gpt-4o-2024-08-06 in the report",
				"02 openai/gpt-4o-2024-08-06 input_tokens: 100 - 110, model: with gpt-4o of the table it adds up",
				"02 openai/z input_tokens: 10 - 0, not in the report: other keys, projects or accounts, or calls of another kind",
			},
		},
		{
			"answers of a gateway's cache",
			[]string{
				aCall("a", "m", 2, 0, 100, 0, 7, 0), strings.Replace(aCall("b", "m", 2, 0, 60, 0, 3, 0), `"choices"`, `"cache_hit":true,"choices"`, 1), aBucket(2, aResult("m", 1, 100, 0, 7)),
			},
			[]string{"02 openai/m input_tokens: 160 - 100, gateway cache: its answers are in the table only"},
		},
		{
			"half of the requests is no tier",
			[]string{
				routed(aCall("a", "openai/m", 2, 0, 50, 0, 3, 0.2)), strings.NewReplacer(`"requests":1`, `"requests":2`).Replace(activity("openai/m", 0.4)),
			},
			[]string{
				"02 openrouter/openai/m input_tokens: 50 - 100, missing requests: 1 of 2",
				"02 openrouter/openai/m cost: 0.2 - 0.4, missing requests: 1 of 2",
			},
		},
		{
			"a row without a cost",
			[]string{
				routed(aCall("a", "openai/m", 2, 0, 40, 0, 3, 0.3)), routed(strings.Replace(aCall("b", "openai/m", 2, 0, 60, 0, 4, 7), `"cost":7,`, ``, 1)),
				strings.NewReplacer(`"requests":1`, `"requests":2`).Replace(activity("openai/m", 0.4)),
			},
			[]string{"02 openrouter/openai/m cost: 0.3 - 0.4, price: 1 of the table's 2 rows have no cost"},
		},
		{
			"some are batches",
			[]string{
				aCall("a", "m", 2, 0, 40, 0, 3, 0.3), `{"id":"batch_req_b","cost":0.2,"custom_id":"b","response":{"status_code":200,"body":` + aCall("b", "m", 2, 0, 60, 0, 4, 0.2) + `},"error":null}`,
				aBucket(2, aResult("m", 2, 100, 0, 7)), aBucket(2, `{"object":"organization.costs.result","amount":{"value":0.4,"currency":"usd"},"line_item":null}`),
			},
			[]string{"02 openai/ cost: 0.5 - 0.4, tier: the table's batches cost 0.2, twice as much as theirs"},
		},
		{
			"twice as much of everything",
			[]string{
				aCall("a", "m", 2, 0, 100, 0, 7, 0), aCall("b", "m", 2, 0, 100, 0, 7, 0), aBucket(2, aResult("m", 1, 100, 0, 7)),
			},
			[]string{"02 openai/m input_tokens: 200 - 100, twice: ours is twice theirs by every meter; calls that are logged twice under other ids?"},
		},
		{"one more", []string{
			aCall("a", "m", 2, 0, 100, 0, 7, 0), aCall("b", "m", 2, 0, 10, 0, 7, 0), aBucket(2, aResult("m", 1, 100, 0, 7)),
		}, []string{"02 openai/m input_tokens: 110 - 100, " + more}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, all := against(t, usagelake.Theirs{}, c.lines)
			got := []string{}
			for _, g := range all {
				if strings.Contains(g, " input_tokens: ") || strings.Contains(g, " cost: ") {
					got = append(got, g)
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// Bills as they are exported: by whom, in which units, in whose words.
func TestReconcileBills(t *testing.T) {
	calls := []string{
		strings.Replace(aCall("a", "gpt-4o-2024-08-06", 2, 0, 1100, 40, 7, 0.5), `"cached_tokens":40`, `"cached_tokens":40,"cache_write_tokens":60`, 1),
		aCall("b", "o3", 3, 0, 10, 0, 7, 0.25),
	}
	for _, c := range []struct {
		name, bill string
		columns    []string
		want       []string
	}{
		{"epochs in seconds, quoted names behind a mark", "\uFEFF\"start_time\",\"model\",\"input_tokens\"\r\n1772452800,gpt-4o-2024-08-06,1100\r\n\"1772496000.0\",o3,10\r\n", []string{"day=start_time", "model=model", "input_tokens=input_tokens"}, nil},
		{"epochs in milliseconds", "at,n\n1772452800000,1100\n1772582399999,10\n", []string{"day=at", "input_tokens=n"}, nil},
		{"a zone behind a space", "usage_start_time,cost\n2026-03-02 08:00:00 UTC,0.5\n2026-03-02 23:30:00-05:00,0.2\n2026-03-03T00:00:00.000Z,0.05\n", []string{"day=usage_start_time", "cost=cost"}, nil},
		{"columns that add up", "Date,No cache,Write,Read\n2026-03-02,\"1,000\",60,40\n2026-03-03,10,,0\n", []string{"day=Date", "input_tokens=No cache", "input_tokens=Write", "input_tokens=Read"}, nil},
		{"thousands of tokens", "Date,Amount\n2026-03-02,1.1\n2026-03-03,0.01\n", []string{"day=Date", "input_tokens=Amount:e3"}, nil},
		{"a model as people say it, and a line of none", "Date,Model,Cost\n2026-03-02,GPT 4o,0.4\n2026-03-02,,0.1\n2026-03-03,o3,0.25\n", []string{"day=Date", "model=Model", "cost=Cost"}, []string{
			"02 GPT 4o cost: 0 - 0.4 = -0.4, model: gpt-4o-2024-08-06 in the table, with another count",
		}},
		{"a refund", "Date,Cost\n2026-03-02,0.75\n2026-03-02,-0.25\n2026-03-03,0.25\n", []string{"day=Date", "cost=Cost"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			bill := write(t, filepath.Join(t.TempDir(), "bill.csv"), c.bill)
			_, got := reconcile(t, calls, usagelake.Theirs{CSV: bill, Columns: c.columns, Provider: "openai"})
			if d := cmp.Diff(append([]string{}, c.want...), got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// A gap of just the tolerance is none, whatever a float makes of it.
func TestReconcileTolerance(t *testing.T) {
	for share, gap := range map[float64]int{0.001: 10, 0.003: 30, 0.007: 70, 0.011: 110, 0.029: 290, 0: 0, 1: 10_000} {
		for more, want := range map[int]int{0: 0, 1: 1} {
			_, got := reconcile(t, []string{aCall("a", "m", 2, 0, 0, 0, 10_000-gap-more, 0)}, usagelake.Theirs{
				CSV:     write(t, filepath.Join(t.TempDir(), "bill.csv"), "Date,Out\n2026-03-02,10000\n"),
				Columns: []string{"day=Date", "output_tokens=Out"}, Provider: "openai", Tolerance: share,
			})
			if gap+more <= 10_000 && len(got) != want {
				t.Errorf("%v of 10,000, a gap of %d: %v", share, gap+more, got)
			}
		}
	}
}
