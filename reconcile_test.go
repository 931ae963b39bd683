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
	dir := t.TempDir()
	cfg := usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, "in.jsonl"), strings.Join(lines, "\n")+"\n")}, Lake: filepath.Join(dir, "lake")}
	load(t, cfg)
	r, err := usagelake.Reconcile(context.Background(), usagelake.Config{Lake: cfg.Lake, From: "2026-03-01", To: "2026-04-01"}, with)
	if err != nil {
		t.Fatal(err)
	}
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
			"02 ours requests: 1 - 0 = 1, not in the report: other keys, projects or accounts",
			"02 ours input_tokens: 100 - 0 = 100, not in the report: other keys, projects or accounts",
			"02 ours uncached_input_tokens: 100 - 0 = 100, not in the report: other keys, projects or accounts",
			"02 ours output_tokens: 7 - 0 = 7, not in the report: other keys, projects or accounts",
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
			"02 m requests: 2 - 1 = 1, time zone: with 2026-03-03 it adds up",
			"02 m input_tokens: 130 - 100 = 30, time zone: with 2026-03-03 it adds up",
			"02 m uncached_input_tokens: 130 - 100 = 30, time zone: with 2026-03-03 it adds up",
			"02 m output_tokens: 9 - 7 = 2, time zone: with 2026-03-03 it adds up",
			"03 m requests: 1 - 2 = -1, time zone: with 2026-03-02 it adds up",
			"03 m input_tokens: 1000 - 1030 = -30, time zone: with 2026-03-02 it adds up",
			"03 m uncached_input_tokens: 1000 - 1030 = -30, time zone: with 2026-03-02 it adds up",
			"03 m output_tokens: 70 - 72 = -2, time zone: with 2026-03-02 it adds up",
		}},
		{"within the tolerance", []string{
			aCall("a", "m", 2, 0, 1000, 0, 70, 0), aBucket(2, aResult("m", 1, 1009, 0, 70)),
		}, 0.01, nil},
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
		}, 0, []string{"02  cost: 0.75 - 1.5 = -0.75, tier: twice the price"}},
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
		write(t, filepath.Join(dir, "model.jsonl"), aBucket(2, aResult("m", 1, 100, 40, 7))+"\n"),
	}}
	load(t, cfg)
	r, err := usagelake.Reconcile(context.Background(), usagelake.Config{Lake: cfg.Lake}, usagelake.Theirs{})
	if err != nil {
		t.Fatal(err)
	}
	want := &usagelake.Reconciliation{
		Lake: cfg.Lake, Compared: 5, Gaps: []usagelake.Gap{},
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
		"line 2":          {CSV: bill, Columns: []string{"day=Date", "cost=Note"}, Provider: "openai"},
	} {
		if _, err := usagelake.Reconcile(context.Background(), usagelake.Config{Lake: lake}, with); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		} else if name != "line 2" && !errors.Is(err, usagelake.ErrUsage) {
			t.Errorf("%v is no usage error", err)
		}
	}
	if _, err := usagelake.Reconcile(context.Background(), usagelake.Config{Lake: lake}, usagelake.Theirs{}); err == nil || !strings.Contains(err.Error(), "no reports") {
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
	for _, day := range []string{"04/11/2025", "2.3.2026", "02-03-2026", "yesterday", ""} {
		if _, err := against("Date,Tokens\n"+day+",5\n", "input_tokens=Tokens"); err == nil || !strings.Contains(err.Error(), `column "Date": holds no date`) {
			t.Errorf("%s: %v", day, err)
		}
	}
	for bill, want := range map[string]string{
		"":                          "is empty",
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
