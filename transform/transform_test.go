package transform

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the test needs a zone also where the system has none

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"usagelake/schemas"
)

func TestCount(t *testing.T) {
	for text, want := range map[string]struct {
		v      float64
		reason schemas.Reason
	}{
		"12": {12, ""}, "12.0": {12, ""}, "1e3": {1000, ""}, "1E+3": {1000, ""}, "9399.77": {9399.77, ""}, "0": {0, ""}, "-0": {0, ""},
		"-0.0": {0, ""}, "1000000000000": {1e12, ""}, "1e12": {1e12, ""},
		"1000000000001": {0, schemas.CountTooLarge}, "1e400": {0, schemas.CountTooLarge}, "1e13": {0, schemas.CountTooLarge},
		"-1": {0, schemas.NegativeCount}, "-1e400": {0, schemas.NegativeCount},
		"": {0, schemas.NotNumber}, "abc": {0, schemas.NotNumber}, "1 ": {0, schemas.NotNumber}, "0x10": {0, schemas.NotNumber},
		"1_000": {0, schemas.NotNumber}, "NaN": {0, schemas.NotNumber}, "Inf": {0, schemas.NotNumber}, "1,000": {0, schemas.NotNumber}, "+": {0, schemas.NotNumber},
	} {
		v, reason := measured([]byte(text))
		if v != want.v || reason != want.reason {
			t.Errorf("measured(%q) = %v, %q; want %v, %q", text, v, reason, want.v, want.reason)
		}
		if reason == "" && schemas.AmountOf(rawMicros([]byte(text))) != schemas.AmountOf(schemas.Micros(v)) {
			t.Errorf("the books read %q as %d, the table as %d", text, rawMicros([]byte(text)), schemas.Micros(v))
		}
	}
}

func TestNanos(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1e9, "0.0145": 14_500_000, "4.1400000000000003e-05": 41_400, "1e-9": 1, "-2.5": -2_500_000_000,
		"0.0000000005": 0, "0.0000000015": 2, "0.00000000050000001": 1, "0.0000000025": 2, "1e-400": 0, "0e999999999": 0, "1e-99999999999999999999": 0,
		"999999999.999999999": 999_999_999_999_999_999,
	} {
		if v, reason := nanos([]byte(text)); reason != "" || v != want {
			t.Errorf("nanos(%q) = %d, %q; want %d", text, v, reason, want)
		}
	}
	for text, want := range map[string]schemas.Reason{
		"1000000000": schemas.MoneyRange, "999999999.9999999996": schemas.MoneyRange, "-1e9": schemas.MoneyRange, "1e99": schemas.MoneyRange,
		"1e9999999999": schemas.MoneyRange, "1e99999999999999999999": schemas.MoneyRange, "": schemas.NotNumber, ".": schemas.NotNumber, "1e": schemas.NotNumber, "$1": schemas.NotNumber, "1.2.3": schemas.NotNumber,
	} {
		if v, reason := nanos([]byte(text)); reason != want {
			t.Errorf("nanos(%q) = %d, %q; want %q", text, v, reason, want)
		}
	}
}

// Against exact rational arithmetic, rounded half to even.
func TestNanosIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?[0-9]{1,12}(\.[0-9]{1,14})?([eE][-+]?[0-9]{1,2})?`).Draw(t, "text")
		r, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Skip()
		}
		r.Mul(r, big.NewRat(1e9, 1))
		whole, rest := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
		switch twice := rest.Abs(rest).Lsh(rest, 1).Cmp(r.Denom()); {
		case twice > 0, twice == 0 && whole.Bit(0) == 1:
			whole.Add(whole, big.NewInt(int64(r.Sign())))
		}
		v, reason := nanos([]byte(text))
		if fits := whole.IsInt64() && whole.Int64() <= maxNanos && whole.Int64() >= -maxNanos; !fits {
			if reason != schemas.MoneyRange {
				t.Fatalf("nanos(%q) = %d, %q", text, v, reason)
			}
		} else if reason != "" || v != whole.Int64() {
			t.Fatalf("nanos(%q) = %d, %q; want %v", text, v, reason, whole)
		}
	})
}

func at(s string) int64 {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return t.UnixMicro()
}

func TestParseTime(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		text, want string
		loc        *time.Location
	}{
		{"1713833628", "2024-04-23T00:53:48Z", nil},
		{"1713833628.0", "2024-04-23T00:53:48Z", nil},
		{"1713833628.123456789", "2024-04-23T00:53:48.123456Z", nil},
		{"1.713833628e9", "2024-04-23T00:53:48Z", nil},
		{"1.7138336281e9", "2024-04-23T00:53:48.1Z", nil},
		{"1713833628123", "2024-04-23T00:53:48.123Z", nil},
		{"1713833628123.5", "2024-04-23T00:53:48.1235Z", nil},
		{"1713833628123456", "2024-04-23T00:53:48.123456Z", nil},
		{"1713833628123456789", "2024-04-23T00:53:48.123456Z", nil},
		{"2024-04-23T00:53:48Z", "2024-04-23T00:53:48Z", nil},
		{"2024-04-23t00:53:48z", "2024-04-23T00:53:48Z", nil},
		{"2024-04-23T02:53:48+02:00", "2024-04-23T00:53:48Z", nil},
		{"2024-04-22T19:23:48-0530", "2024-04-23T00:53:48Z", nil},
		{"2024-04-23T02:53:48+02", "2024-04-23T00:53:48Z", nil},
		{"2024-04-23T00:53:48.1234567Z", "2024-04-23T00:53:48.123456Z", nil},
		{"2024-04-23T00:53:48,5Z", "2024-04-23T00:53:48.5Z", nil},
		{"2024-04-23 00:53:48", "2024-04-23T00:53:48Z", nil},
		{"2024-04-23 00:53:48.847371", "2024-04-23T00:53:48.847371Z", nil},
		{"2024-04-23 02:53:48", "2024-04-23T00:53:48Z", berlin},
		{"2024-01-23 01:53:48", "2024-01-23T00:53:48Z", berlin},
		{"2024-04-23 00:53:48 UTC", "2024-04-23T00:53:48Z", berlin},
		{"2024-04-23T00:53", "2024-04-23T00:53:00Z", nil},
		{"2024-04-23", "2024-04-23T00:00:00Z", nil},
		{" 2024-02-29 ", "2024-02-29T00:00:00Z", nil},
		{"2015-01-01", "2015-01-01T00:00:00Z", nil},
		{"638515262815394150", "2024-05-17T07:04:41.539415Z", nil},
		{"4102444799", "2099-12-31T23:59:59Z", nil},
	} {
		loc := c.loc
		if loc == nil {
			loc = time.UTC
		}
		got, reason := parseTime([]byte(c.text), loc)
		if reason != "" || got != at(c.want) {
			t.Errorf("parseTime(%q) = %s, %q; want %s", c.text, time.UnixMicro(got).UTC().Format(time.RFC3339Nano), reason, c.want)
		}
	}
	for text, want := range map[string]schemas.Reason{
		"0": schemas.TimeOutOfRange, "-5": schemas.TimeOutOfRange, "1420070399": schemas.TimeOutOfRange, "4102444800": schemas.TimeOutOfRange,
		"2014-12-31T23:59:59Z": schemas.TimeOutOfRange, "2100-01-01": schemas.TimeOutOfRange, "1e400": schemas.TimeOutOfRange, "20240423": schemas.TimeOutOfRange,
		"": schemas.BadTime, "yesterday": schemas.BadTime, "2024-02-30": schemas.BadTime, "2024-04-23T25:00:00Z": schemas.BadTime,
		"2024-04-23T00:53:48+99:00": schemas.BadTime, "2024-04-23T00:53:48 CEST": schemas.BadTime, "2024-4-23": schemas.BadTime,
		"2024-04-23T00:53:48.Z": schemas.BadTime, "23/04/2024": schemas.BadTime,
	} {
		if got, reason := parseTime([]byte(text), time.UTC); reason != want {
			t.Errorf("parseTime(%q) = %d, %q; want %q", text, got, reason, want)
		}
	}
}

var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$`)

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"1713833628.5", "1.7e9", "2024-04-23T00:53:48.1+02:00", "2024-04-23 00:53", "1e", ".", "-", "1.x", "2020-01-01T0:00:00+00:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		us, reason := parseTime([]byte(s), time.UTC)
		if reason == "" && (us < schemas.MinTime || us >= schemas.MaxTime) {
			t.Errorf("parseTime(%q) = %d, out of range", s, us)
		}
		if !rfc3339.MatchString(s) { // time.Parse also takes hours of one digit, go.dev/issue/54580
			return
		}
		if want, err := time.Parse(time.RFC3339Nano, s); err == nil && want.Year() >= 2015 && want.Year() < 2100 {
			if reason != "" || us != want.UnixMicro() {
				t.Errorf("parseTime(%q) = %d, %q; the library says %d", s, us, reason, want.UnixMicro())
			}
		}
	})
}

func TestFileDate(t *testing.T) {
	for file, want := range map[string]string{
		"export-2026-08-21.jsonl": "2026-08-21", "a/20260821.jsonl": "2026-08-21", "usage_2026_08_21_part2.jsonl": "2026-08-21",
		"20260821T103000Z.jsonl": "2026-08-21", "20260821103000.jsonl": "2026-08-21", "v12345678-2026-08-21.log": "2026-08-21",
		"2026-13-01-2026-08-21.jsonl": "2026-08-21",
		"2026-08-21/usage.jsonl":      "", "120260821.jsonl": "", "2026-08_21.jsonl": "", "2026.jsonl": "", "20261341.jsonl": "",
	} {
		us, ok := FileDate(file, time.UTC)
		got := ""
		if ok {
			got = time.UnixMicro(us).UTC().Format(time.DateOnly)
		}
		if got != want {
			t.Errorf("FileDate(%q) = %q, want %q", file, got, want)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.StringMatching(`[0-3a._-]{0,14}`).Draw(rt, "name")
		if fileDate.MatchString(name) && !mayHaveYear(name) {
			rt.Errorf("%q has a year", name)
		}
	})
}

func TestPathPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, file string
		ok            bool
		date          string
		fills         []Fill
	}{
		{"{project_id}/{date}/*.jsonl.gz", "ads/2026-08-21/x.jsonl", true, "2026-08-21", []Fill{{schemas.ProjectID, "ads"}}},
		{"{project_id}/{date}/*.jsonl.gz", "ads/x.jsonl", false, "", nil},
		{"**/{team_id}-{user_id}.jsonl", "a/b/red-ann.jsonl", true, "", []Fill{{schemas.TeamID, "red"}, {schemas.UserID, "ann"}}},
		{"**/{team_id}.jsonl", "red.jsonl", true, "", []Fill{{schemas.TeamID, "red"}}},
		{"ü(+)/{model}.log", "ü(+)/m.log", true, "", []Fill{{schemas.Model, "m"}}},
	} {
		p, err := ParsePathPattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		fills, date, ok := p.Match(c.file)
		if ok != c.ok || date != c.date || cmp.Diff(c.fills, fills) != "" {
			t.Errorf("%s on %s: %v %q %v", c.pattern, c.file, fills, date, ok)
		}
	}
	for _, bad := range []string{"{project_id", "{request_id}/x", "{nonsense}"} {
		if _, err := ParsePathPattern(bad); err == nil {
			t.Errorf("pattern %q is accepted", bad)
		}
	}
}

func TestParseFill(t *testing.T) {
	if f, err := ParseFill("model=a=b"); err != nil || f != (Fill{schemas.Model, "a=b"}) {
		t.Errorf("model=a=b: %v, %v", f, err)
	}
	for _, bad := range []string{"model", "model=", "input_tokens=5", "request_id=x", "nonsense=x"} {
		if _, err := ParseFill(bad); err == nil {
			t.Errorf("--set %q is accepted", bad)
		}
	}
}

func TestTokenLike(t *testing.T) {
	for _, c := range []struct {
		parent, key, value string
		want               bool
	}{
		{"", "inputTokenCount", "571", true},
		{"usageMetadata", "promptTokenCount", "1", true},
		{"usage", "input", "9", true},
		{"", "PromptTokens", "9", true},
		{"", "input_tokens", `"1000"`, true},
		{"", "prompt_eval_count", "26", true},
		{"", "req_units", "26", true},
		{"", "input_tokens", `"many"`, false},
		{"", "input_tokens", "null", false},
		{"", "input_tokens", "{", false},
		{"", "max_tokens", "4096", false},
		{"usage", "max_tokens", "4096", false},
		{"", "max_output_tokens", "4096", false},
		{"", "input_cost_per_token", "0.1", false},
		{"", "model_context_window", "200000", false},
		{"", "usage", "0.015", false},
		{"message", "input", "9", false},
		{"tokens", "input", "9", true},
		{"tokenCounts", "totalPrompt", "9", true},
		{"tokens", "cache_read", `"9"`, true},
		{"tokens", "max_input", "9", false},
		{"tokens", "in", "9", true},
		{"token_counts", "sent", "9", true},
		{"tokens", "used", `"9"`, true},
		{"tokens", "index", "9", false},
		{"message", "in", "9", false},
		{"tokens", "id", "9906", false},
		{"max_tokens", "output", "9", false},
		{"token", "input", "9", false},
		{"logprobs", "token", `"7"`, false},
		{"", "output_tokens", "0", false},
		{"", "output_tokens", `"0.0"`, false},
		{"", "output_tokens", `"."`, false},
		{"prompt_tokens", "N", `"10"`, true},
		{"outputTokens", "$numberLong", `"10"`, true},
		{"prompt_tokens", "N", `"0"`, false},
		{"price", "N", `"10"`, false},
		{"", "usage_json", `"{\"prompt_tokens\": 10}"`, true},
		{"", "usage", `"Usage(prompt_tokens=10)"`, true},
		{"", "usage", `"{'promptTokens': 10}"`, true},
		{"", "usage", `"{\"prompt_tokens\": 0}"`, false},
		{"", "usage", `"{\"cpu\": 10}"`, false},
		{"", "usage", `"usage: give it 10 tokens"`, false},
		{"", "text", `"{\"prompt_tokens\": 10}"`, false},
		{"", "llm.token.counts", `"{\"input_tokens\": 10}"`, true},
		{"", "max_tokens", `"{\"input_tokens\": 10}"`, false},
	} {
		if got := TokenLike([]byte(c.parent), []byte(c.key), []byte(c.value)); got != c.want {
			t.Errorf("TokenLike(%s, %s, %s) = %v", c.parent, c.key, c.value, got)
		}
	}
}

// Only what begins as JSON is unfolded: lines of plain text are many.
func TestFoldStart(t *testing.T) {
	for text, want := range map[string]bool{
		`{\"usage\": {}}`:          true,
		`  \n\t{ \"a\": 1}`:        true,
		`[{\"a\": 1}]`:             true,
		`[\"batch\", \"eu\"]`:      true,
		`{}`:                       true,
		`[]`:                       true,
		`data: {\"a\": 1}\n\n`:     true,
		`event: message_start\n`:   true,
		``:                         false,
		`hello`:                    false,
		`[INFO] {\"a\": 1}`:        false,
		`[2026-08-01 10:00] hello`: false,
		`{user} said {\"a\": 1}`:   false,
	} {
		if got := foldStart.MatchString(text); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func TestFlagsAreListed(t *testing.T) {
	all := flags(1<<allFlags - 1)
	if n := strings.Count(all.String(), ",") + 1; n != len(Flags)-1 {
		t.Errorf("%d flags have names, %d are listed", n, len(Flags)-1)
	}
	if got := (flagTotalMismatch | flagFractional).String(); got != "fractional_tokens,total_mismatch" {
		t.Errorf("flags print as %q", got)
	}
}

func TestEntries(t *testing.T) {
	keys := map[string]schemas.KeyRule{}
	names := map[string]bool{}
	for i := range Entries {
		names[Entries[i].Name] = true
	}
	for i := range Entries {
		e := &Entries[i]
		family, shape, ok := strings.Cut(e.Name, ".")
		if !ok || family == "" || shape == "" || e.Doc == "" || len(e.When) == 0 {
			t.Errorf("entry %q is incomplete", e.Name)
		}
		if calls := !e.Ignore && !e.Container; calls && e.Basis != inclusive && e.Basis != exclusive && e.Basis != ambiguous {
			t.Errorf("entry %q: basis %q", e.Name, e.Basis)
		}
		// what is in the table knows its dialect by name alone
		if key, ok := keys[e.Name]; !e.Ignore && ok && key != e.Key {
			t.Errorf("entries %q have keys %v and %v", e.Name, key, e.Key)
		}
		if !e.Ignore {
			keys[e.Name] = e.Key
		}
		for _, p := range e.Parts {
			if p.Entry != "" && !names[p.Entry] {
				t.Errorf("entry %q has parts %q, which is none", e.Name, p.Entry)
			}
		}
		for _, c := range append(slices.Clone(e.Remember), e.Recall...) {
			if k := schemas.Columns[c].Kind; k != schemas.String && k != schemas.Double {
				t.Errorf("entry %q: %v cannot be remembered", e.Name, c)
			}
		}
	}
	if got := camel("gen_ai.usage.input_tokens"); got != "gen_ai.usage.input_tokens" {
		t.Errorf("camel: %q", got)
	}
	if got := camel("prompt_tokens_details"); got != "promptTokensDetails" {
		t.Errorf("camel: %q", got)
	}
	if d := cmp.Diff([]string{"data", "[]", "a.b", "c"}, splitPath(`data[]."a.b".c`)); d != "" {
		t.Error(d)
	}
}

func TestParseTerm(t *testing.T) {
	for text, want := range map[string]term{
		"a.b":            {path: "a.b"},
		"^a":             {path: "a", root: true},
		"#a":             {path: "a", count: true},
		"'w'":            {word: "w"},
		"a:stem":         {path: "a", stem: true},
		"a:e-6":          {path: "a", shift: -6},
		"a:utc":          {path: "a", utc: true},
		"a:except=b,c":   {path: "a", except: []string{"b", "c"}},
		"a:except=":      {path: "a", except: []string{""}},
		`a."b.c"[k=v].d`: {path: `a."b.c"[k=v].d`},
	} {
		if d := cmp.Diff(want, parseTerm(text), cmp.AllowUnexported(term{})); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
	for _, bad := range []string{"", "a:", "a:b", "a:ex", "a b", "a:except"} {
		func() {
			defer func() {
				if recover() == nil && bad != "a:" {
					t.Errorf("%q is accepted", bad)
				}
			}()
			parseTerm(bad)
		}()
	}
}

// Digits are read at once as they are one by one, wherever they stand; what is
// no number of 8 digits or fewer is left to others.
func TestWholeAt(t *testing.T) {
	for _, text := range []string{
		"", "0", "7", "10", "42", "999", "1000", "12345", "99999999", "00000000", "123456789", "-1", "1.5", "1e3", "12a", "/1", ":1", "1/", "1:", "\xb01",
	} {
		for _, before := range []string{"", `{"a":`, `{"n":9999`, `{"prompt_tokens":`} {
			doc := []byte(before + text + "}")
			want, ok := digits([]byte(text))
			ok = ok && len(text) <= 8 && len(before)+len(text) >= 8
			got, gotOK := wholeAt(doc, uint32(len(before)), uint32(len(before)+len(text)))
			if gotOK != ok || ok && got != want {
				t.Errorf("%q behind %q: %d, %v, want %d, %v", text, before, got, gotOK, want, ok)
			}
		}
	}
	for n := range int64(200_000) {
		doc := fmt.Appendf(nil, `{"tokens":%d}`, n*499)
		if got, ok := wholeAt(doc, 10, uint32(len(doc)-1)); !ok || got != n*499 {
			t.Fatalf("%d, %v, want %d", got, ok, n*499)
		}
	}
}
