package schemas_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"usagelake/schemas"
)

// The order of the columns is a contract: this list is only ever appended to.
const contract = `event_time event_time_source request_id transport_id operation provider model request_model region
service_tier is_batch is_byok cache_hit status error_code project_id team_id user_id session_id api_key_id tags input_tokens
output_tokens total_tokens uncached_input_tokens cache_read_tokens cache_write_tokens cache_write_1h_tokens input_text_tokens
input_image_tokens input_audio_tokens input_video_tokens input_tool_tokens cache_read_image_tokens cache_read_audio_tokens
output_text_tokens output_image_tokens output_audio_tokens reasoning_tokens accepted_prediction_tokens
rejected_prediction_tokens image_count image_size image_quality audio_seconds web_search_requests reported_cost_usd cost_usd
price_id duration_ms time_to_first_token_ms dialect token_basis quality_flags extra_json source_file source_id source_line
source_row bucket_end requests line_item quantity quantity_unit`

// The columns of the reports table.
const ofReports = `event_time event_time_source request_id operation provider model request_model region service_tier is_batch
is_byok project_id team_id user_id api_key_id tags input_tokens output_tokens total_tokens uncached_input_tokens
cache_read_tokens cache_write_tokens cache_write_1h_tokens input_text_tokens input_image_tokens input_audio_tokens
cache_read_image_tokens cache_read_audio_tokens output_text_tokens output_image_tokens output_audio_tokens reasoning_tokens
image_count image_size audio_seconds web_search_requests reported_cost_usd dialect token_basis quality_flags extra_json
source_file source_id source_line source_row bucket_end requests line_item quantity quantity_unit`

func TestColumnsAreTheContract(t *testing.T) {
	var names []string
	name := regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	for c := range schemas.NumColumns {
		col := schemas.Columns[c]
		names = append(names, col.Name)
		if !name.MatchString(col.Name) || col.Doc == "" {
			t.Errorf("column %d: name %q, doc %q", c, col.Name, col.Doc)
		}
		if got, ok := schemas.Lookup(col.Name); !ok || got != c {
			t.Errorf("Lookup(%q) = %v, %v", col.Name, got, ok)
		}
		if c.FieldID() != int(c)+1 {
			t.Errorf("%s has field id %d", c, c.FieldID())
		}
		if c.Tokens() != strings.HasSuffix(col.Name, "_tokens") {
			t.Errorf("%s: Tokens() = %v", c, c.Tokens())
		}
	}
	if d := cmp.Diff(strings.Fields(contract), names); d != "" {
		t.Errorf("columns changed (-contract +code):\n%s", d)
	}
	const own = 5 // of reports, at the end
	for table, want := range map[schemas.Table][]string{
		schemas.Usage: strings.Fields(contract)[:len(names)-own], schemas.Reports: strings.Fields(ofReports),
	} {
		var got []string
		for _, c := range table.Columns() {
			got = append(got, c.String())
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("columns of %s changed (-contract +code):\n%s", table, d)
		}
	}
}

func TestAmount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOf(rapid.Int64()).Draw(t, "values")
		var sum schemas.Amount
		want := new(big.Int)
		for _, v := range values {
			sum = sum.Add(schemas.AmountOf(v))
			want.Add(want, big.NewInt(v))
		}
		if got := sum.Text(0); got != want.String() {
			t.Fatalf("sum is %s, want %s", got, want)
		}
		for _, decimals := range []int{0, 6, 9} {
			back, err := schemas.ParseAmount(sum.Text(decimals), decimals)
			if err != nil || back != sum {
				t.Fatalf("%s read back as %v, %v", sum.Text(decimals), back.Text(decimals), err)
			}
		}
		for _, v := range values {
			sum = sum.Sub(schemas.AmountOf(v))
		}
		if !sum.IsZero() {
			t.Fatalf("taking all away leaves %s", sum.Text(0))
		}
	})
	for micros, want := range map[int64]string{0: "0", 1: "0.000001", -1_500_000: "-1.5", 9_399_770_000: "9399.77"} {
		if got := schemas.AmountOf(micros).Text(6); got != want {
			t.Errorf("%d micros print as %s, want %s", micros, got, want)
		}
	}
	if got := schemas.Micros(9399.77); got != 9_399_770_000 {
		t.Errorf("Micros(9399.77) = %d", got)
	}
}

// Counts of any size that the table takes are exact, and so are their millionths
// where a float64 has them.
func TestMicrosOfLargeCounts(t *testing.T) {
	for _, v := range []int64{1, 9_007_199_253, 9_007_199_255, 576_460_752_305, 700_000_000_001, 999_999_999_999, 1_000_000_000_000} {
		for _, v := range []int64{v, -v} {
			if got := schemas.Micros(float64(v)); got != v*1e6 {
				t.Errorf("Micros(%d) = %d", v, got)
			}
			if got := schemas.OfMicros(v * 1e6); got != float64(v) {
				t.Errorf("OfMicros(%d millions) = %v", v, got)
			}
		}
	}
	if got := schemas.Micros(700_000_000_001.25); got != 700_000_000_001_250_000 {
		t.Errorf("Micros(700000000001.25) = %d", got)
	}
	if got := schemas.OfMicros(700_000_000_001_250_000); got != 700_000_000_001.25 {
		t.Errorf("OfMicros(700000000001250000) = %v", got)
	}
}

// Sums read back whatever their text looks like, and nothing else is read.
func TestSumsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sums schemas.SumsJSON
		for c := range schemas.NumColumns {
			if c.Additive() && rapid.Bool().Draw(t, "has") {
				for range rapid.IntRange(1, 3).Draw(t, "times") { // beyond 64 bits
					sums.Plus(c, schemas.AmountOf(rapid.Int64().Draw(t, "v")))
				}
			}
		}
		plain, err := json.Marshal(sums)
		if err != nil {
			t.Fatal(err)
		}
		var spaced bytes.Buffer
		if err := json.Indent(&spaced, plain, "", " "); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{string(plain), spaced.String()} {
			var back schemas.SumsJSON
			if err := json.Unmarshal([]byte(text), &back); err != nil || back != sums {
				t.Fatalf("%s read back as %v, %v", text, back, err)
			}
		}
	})
	for _, bad := range []string{`{"input_tokens":1}`, `{"input_tokens":"x"}`, `{"input_tokens":""}`, `{"model":"1"}`, `{"":""}`, `{"input_tokens":"1","x":"1"}`, `[]`, `{"input_tokens":"0.0000001"}`} {
		var sums schemas.SumsJSON
		if err := json.Unmarshal([]byte(bad), &sums); err == nil {
			t.Errorf("%s reads as %v", bad, sums)
		}
	}
}

func TestUnitPath(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := schemas.Unit{Table: rapid.SampledFrom([]schemas.Table{schemas.Usage, schemas.Reports}).Draw(t, "table"), Day: schemas.Day(rapid.Int32Range(16_436, 47_481).Draw(t, "day")), Bucket: rapid.Uint16Range(0, 4095).Draw(t, "bucket")}
		if back, err := schemas.ParseUnit(u.Path()); err != nil || back != u {
			t.Fatalf("%s read back as %v, %v", u.Path(), back, err)
		}
		if at := u.Day.Start(); schemas.DayOf(at) != u.Day || schemas.DayOf(at-1) != u.Day-1 {
			t.Fatalf("day %v starts at %d", u.Day, at)
		}
	})
	for _, bad := range []string{
		"", "usage", "usage/", "usage/event_date=2026-01-01", "usage/event_date=2026-13-01/part-0000.parquet", "usage/event_date=2026-01-01/part-0.parquet",
		"usage/x/part-0000.parquet", "usage/event_date=2026-01-01/part-0000.parquet.tmp", "event_date=2026-01-01/part-0000.parquet",
		"other/event_date=2026-01-01/part-0000.parquet", "x/usage/event_date=2026-01-01/part-0000.parquet",
	} {
		if u, err := schemas.ParseUnit(bad); err == nil {
			t.Errorf("ParseUnit(%q) = %v", bad, u)
		}
	}
}

// row draws any row, without the parts that a writer refuses.
func row(t *rapid.T) *schemas.Row {
	r := &schemas.Row{Source: rapid.Int32Range(0, 3).Draw(t, "source")}
	r.SetInt(schemas.EventTime, rapid.Int64Range(schemas.MinTime, schemas.MaxTime-1).Draw(t, "time"))
	for c := schemas.EventTimeSource; c < schemas.SourceFile; c++ {
		if !rapid.Bool().Draw(t, "has") {
			continue
		}
		switch schemas.Columns[c].Kind {
		case schemas.Double:
			r.SetDouble(c, rapid.OneOf(fraction, whole(300), whole(70_000), whole(5e9)).Draw(t, "double"))
		case schemas.String:
			r.SetString(c, rapid.String().Draw(t, "string"))
		case schemas.Bool:
			r.SetInt(c, int64(rapid.IntRange(0, 1).Draw(t, "bool")))
		default:
			r.SetInt(c, int64(rapid.OneOf(whole(1e12), whole(300), whole(70_000)).Draw(t, "int")))
		}
	}
	return r
}

// fraction draws any quantity; what is next to nothing is 0 in a batch.
var fraction = rapid.Map(rapid.Float64Range(0, 1e12), func(x float64) float64 {
	if x < 1e-300 {
		return 0
	}
	return x
})

// whole draws whole numbers up to most, which a batch keeps narrow.
func whole(most int64) *rapid.Generator[float64] {
	return rapid.Map(rapid.Int64Range(0, most), func(n int64) float64 { return float64(n) })
}

func same(a, b *schemas.Row) bool {
	for c := range schemas.NumColumns {
		if a.Has(c) != b.Has(c) || a.Int(c) != b.Int(c) || a.Double(c) != b.Double(c) || a.Str(c) != b.Str(c) {
			return false
		}
	}
	return a.Source == b.Source
}

func TestBuilderKeepsRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		b := schemas.NewBuilder(mem)
		for range rapid.IntRange(1, 3).Draw(t, "batches") {
			var rows []*schemas.Row
			for range rapid.IntRange(1, 20).Draw(t, "rows") {
				r := row(t)
				rows = append(rows, r)
				b.Append(r)
			}
			batch := b.Flush(nil)
			if batch.Len() != len(rows) {
				t.Fatalf("batch has %d rows, want %d", batch.Len(), len(rows))
			}
			var got schemas.Row
			for i, want := range rows {
				if batch.Row(i, &got); !same(&got, want) {
					t.Fatalf("row %d differs", i)
				}
			}
			batch.Release()
		}
		mem.AssertSize(rapidT{t}, 0)
	})
}

type rapidT struct{ *rapid.T }

func (rapidT) Helper() {}

func TestKeys(t *testing.T) {
	rule := schemas.KeyRule{Time: true, Model: true}
	base := schemas.Identity{Dialect: "openai.chat", RequestID: "chatcmpl-1", Model: "m", TimeSource: schemas.FromBody, EventTime: 1}
	key, scope := base.Key(rule)
	if scope != schemas.SameDay {
		t.Errorf("scope with the body's time is %v", scope)
	}
	for name, c := range map[string]struct {
		change func(*schemas.Identity)
		same   bool
		scope  schemas.Scope
	}{
		"other time":                  {func(i *schemas.Identity) { i.EventTime = 2 }, false, schemas.SameDay},
		"other model":                 {func(i *schemas.Identity) { i.Model = "n" }, false, schemas.SameDay},
		"other id":                    {func(i *schemas.Identity) { i.RequestID = "chatcmpl-2" }, false, schemas.SameDay},
		"other family":                {func(i *schemas.Identity) { i.Dialect = "groq.chat" }, false, schemas.SameDay},
		"other shape of the family":   {func(i *schemas.Identity) { i.Dialect = "openai.images" }, true, schemas.SameDay},
		"transport does not matter":   {func(i *schemas.Identity) { i.TransportID = "req" }, true, schemas.SameDay},
		"no id":                       {func(i *schemas.Identity) { i.RequestID = "" }, false, schemas.NoCopies},
		"time of the envelope":        {func(i *schemas.Identity) { i.TimeSource = schemas.FromEnvelope }, false, schemas.NearDays},
		"time of the file":            {func(i *schemas.Identity) { i.TimeSource = schemas.FromFileTime }, false, schemas.AnyDay},
		"content, time of the file":   {func(i *schemas.Identity) { i.TimeSource, i.Flags = schemas.FromFileTime, "id_from_content" }, false, schemas.AnyDay},
		"time of the turn":            {func(i *schemas.Identity) { i.Flags = "id_from_content,time_of_turn" }, false, schemas.AnyDay},
		"model filled from outside":   {func(i *schemas.Identity) { i.Flags = "model_filled" }, false, schemas.SameDay},
		"parts are not just appended": {func(i *schemas.Identity) { i.RequestID, i.Model = "chatcmpl-1m", "" }, false, schemas.SameDay},
	} {
		id := base
		c.change(&id)
		got, scope := id.Key(rule)
		if (got == key) != c.same || scope != c.scope {
			t.Errorf("%s: same key %v, scope %v", name, got == key, scope)
		}
	}
	a, b := base, base
	a.TimeSource, b.TimeSource, b.EventTime = schemas.FromEnvelope, schemas.FromEnvelope, 2
	ka, _ := a.Key(rule)
	if kb, _ := b.Key(rule); ka != kb {
		t.Error("an envelope's time is part of the key")
	}
	a.Flags, b.Flags = "id_from_content", "id_from_content"
	ka, _ = a.Key(rule)
	if kb, _ := b.Key(rule); ka == kb {
		t.Error("equal content at two times of the envelope is one call")
	}
}

func TestBooks(t *testing.T) {
	books := func() schemas.Books {
		b := schemas.Books{Records: 5, ExtraRows: 1, Rows: 2, Duplicates: 1, Filtered: 1, NoUsage: 1, Quarantined: 1}
		b.In.AddDouble(schemas.InputTokens, 6.5)
		b.RowSums.AddDouble(schemas.InputTokens, 3.25)
		for rare, v := range map[*schemas.RareSums]float64{&b.DuplicateSums: 2.25, &b.FilteredSums: 1} {
			var sums schemas.Sums
			sums.AddDouble(schemas.InputTokens, v)
			rare.Add(&sums)
		}
		return b
	}
	derived := func(c schemas.Col) bool { return c == schemas.TotalTokens }
	good := books()
	if err := good.Check(derived); err != nil {
		t.Errorf("books that balance: %v", err)
	}
	for name, spoil := range map[string]func(*schemas.Books){
		"a lost record":          func(b *schemas.Books) { b.Records++ },
		"a record twice":         func(b *schemas.Books) { b.NoUsage++ },
		"a lost token":           func(b *schemas.Books) { b.In.AddDouble(schemas.InputTokens, 1) },
		"a millionth of one":     func(b *schemas.Books) { b.RowSums.AddDouble(schemas.InputTokens, 1e-6) },
		"a nano-dollar too many": func(b *schemas.Books) { b.RowSums.AddInt(schemas.ReportedCostUSD, 1) },
	} {
		b := books()
		spoil(&b)
		if b.Check(derived) == nil {
			t.Errorf("%s goes unnoticed", name)
		}
	}
	b := books()
	b.RowSums.AddDouble(schemas.TotalTokens, 1)
	if err := b.Check(derived); err != nil {
		t.Errorf("a derived column must not count: %v", err)
	}
}
