package sink

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"usagelake/schemas"
)

var testUnit = schemas.Unit{Day: 20_000, Bucket: 3}

// input collects rows as batches and in the order of the sort key.
type input struct {
	Rows
	Sources *Sources
	table   schemas.Table
}

// unit is what the rows are of.
func (in *input) unit() schemas.Unit {
	u := testUnit
	u.Table = in.table
	return u
}

// The Order of an input has a Run for each row.

// newInput makes rows 0 to n-1 by set and cuts them into batches of per rows.
// Rows that set gives no key get one that follows i.
func newInput(n, per int, set func(i int, r *schemas.Row)) *input {
	in := &input{Sources: new(Sources)}
	src := in.Sources.Intern(Source{"a.jsonl", "5eed"})
	b := schemas.NewBuilder(memory.DefaultAllocator)
	var r schemas.Row
	for i := range n {
		r.Reset()
		r.Source = src
		r.SetInt(schemas.EventTime, testUnit.Day.Start()+int64(i))
		r.SetInt(schemas.SourceLine, int64(i+1))
		r.SetInt(schemas.SourceRow, 0)
		set(i, &r)
		in.Order = append(in.Order, Run{int32(len(in.Batches)), int32(b.Len()), 1})
		b.Append(&r)
		if b.Len() == per || b.Full() || i == n-1 {
			in.Batches = append(in.Batches, b.Flush(nil))
		}
	}
	return in
}

func (in *input) row(i int) *schemas.Row {
	var r schemas.Row
	ref := in.Order[i]
	in.Batches[ref.Batch].Row(int(ref.Row), &r)
	if f, ok := in.Flags[i]; ok && f != "" {
		r.SetString(schemas.QualityFlags, f)
	} else if ok {
		r.Clear(schemas.QualityFlags)
	}
	return &r
}

func (in *input) place(i int) rowKey {
	r := in.row(i)
	src := in.Sources.At(r.Source)
	return rowKey{r.Int(schemas.EventTime), src.File, r.Int(schemas.SourceLine), r.Int(schemas.SourceRow), src.ID}
}

// write writes the rows and verifies the file. Every file of the tests goes
// through it.
func (in *input) write(t testing.TB, opt WriteOptions) []byte {
	t.Helper()
	var buf bytes.Buffer
	facts, err := Write(&buf, in.unit(), in, opt)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Verify(bytes.NewReader(buf.Bytes()), int64(buf.Len()), in.unit(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got != facts {
		t.Fatalf("Verify found %+v, Write wrote %+v", got, facts)
	}
	return buf.Bytes()
}

func verify(data []byte) (Facts, error) {
	return Verify(bytes.NewReader(data), int64(len(data)), testUnit, 1)
}

// compareRead reads columns of a file back, all if none are given, and compares
// the values of every step-th row.
func (in *input) compareRead(t testing.TB, data []byte, step int, cols ...schemas.Col) {
	t.Helper()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	var sources Sources
	batches, err := Read(bytes.NewReader(data), int64(len(data)), in.table, mem, &sources, cols...)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, b := range batches {
		if b.Len() > batchRows {
			t.Errorf("batch of %d rows", b.Len())
		}
		for c, a := range b.Cols {
			if a != nil && (a.NullN() == a.Len() || a.Len() != b.Len()) {
				t.Errorf("%v: %d NULLs, %d values, want nil or %d", schemas.Col(c), a.NullN(), a.Len(), b.Len())
			}
		}
		for i := range b.Len() {
			if n%step == 0 {
				want := in.row(n)
				for c := range schemas.NumColumns {
					if len(cols) > 0 && !slices.Contains(cols, c) || !in.table.Has(c) {
						want.Clear(c)
					}
				}
				var got schemas.Row
				b.Row(i, &got)
				if diff := diffRows(in.Sources, want, &sources, &got); diff != "" {
					t.Fatalf("row %d: %s", n, diff)
				}
			}
			n++
		}
		b.Release()
	}
	if n != len(in.Order) {
		t.Errorf("%d rows, want %d", n, len(in.Order))
	}
	if n := mem.CurrentAlloc(); n != 0 {
		t.Errorf("%d bytes are not released", n)
	}
}

func diffRows(ws *Sources, want *schemas.Row, gs *Sources, got *schemas.Row) string {
	if w, g := ws.At(want.Source), gs.At(got.Source); w != g {
		return fmt.Sprintf("source %v, want %v", g, w)
	}
	for c := range schemas.NumColumns {
		if want.Has(c) != got.Has(c) ||
			want.Int(c) != got.Int(c) || want.Double(c) != got.Double(c) || want.Str(c) != got.Str(c) ||
			math.Signbit(got.Double(c)) && got.Double(c) == 0 {
			return fmt.Sprintf("%v: got %v %q %v %v, want %v %q %v %v", c,
				got.Has(c), got.Str(c), got.Int(c), got.Double(c),
				want.Has(c), want.Str(c), want.Int(c), want.Double(c))
		}
	}
	return ""
}

// value draws a value for c, with a bias to the edges.
func value(t *rapid.T, c schemas.Col, r *schemas.Row) {
	switch schemas.Columns[c].Kind {
	case schemas.String:
		r.SetString(c, rapid.SampledFrom([]string{"", "a", "ä", "日本", "\x00", "gpt-4o", rapid.String().Draw(t, "s")}).Draw(t, c.String()))
	case schemas.Double:
		r.SetDouble(c, rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 1, 9399.77, 1e12, 5e-7, max(rapid.Float64Range(0, 1e12).Draw(t, "d"), 1e-300)}).Draw(t, c.String()))
	case schemas.Bool:
		r.SetInt(c, rapid.Int64Range(0, 1).Draw(t, c.String()))
	case schemas.Int:
		r.SetInt(c, rapid.Int64Range(0, 1e12).Draw(t, c.String()))
	case schemas.Money:
		r.SetInt(c, rapid.Int64Range(-999_999_999_999_999_999, 999_999_999_999_999_999).Draw(t, c.String()))
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(rt, "rows")
		table := rapid.SampledFrom([]schemas.Table{schemas.Usage, schemas.Reports}).Draw(rt, "table")
		var used []schemas.Col
		for _, c := range table.Columns() {
			if (c < schemas.SourceFile || c > schemas.BucketEnd) && c != schemas.EventTime && rapid.Bool().Draw(rt, "used") {
				used = append(used, c)
			}
		}
		sources := []Source{{"a", "1"}, {"a", "2"}, {"b/ü.jsonl", "3"}}
		in := newInput(n, rapid.IntRange(1, 10).Draw(rt, "per"), func(i int, r *schemas.Row) {
			r.SetInt(schemas.EventTime, testUnit.Day.Start()+rapid.Int64Range(0, 4).Draw(rt, "time"))
			r.SetInt(schemas.SourceRow, rapid.Int64Range(0, 2).Draw(rt, "row"))
			for _, c := range used {
				if rapid.IntRange(0, 2).Draw(rt, "has") > 0 {
					value(rt, c, r)
				}
			}
			if table == schemas.Reports {
				r.SetInt(schemas.BucketEnd, rapid.Int64Range(schemas.MinTime, schemas.MaxTime).Draw(rt, "end"))
			}
			r.Source = rapid.Int32Range(0, 2).Draw(rt, "source")
		})
		in.table = table
		in.Sources = new(Sources)
		for _, src := range sources {
			in.Sources.Intern(src)
		}
		places := map[Run]rowKey{}
		for i, ref := range in.Order {
			places[ref] = in.place(i)
		}
		slices.SortFunc(in.Order, func(a, b Run) int { return places[a].compare(places[b]) })
		in.Flags = rapid.MapOf(rapid.IntRange(0, n-1), rapid.SampledFrom([]string{"", "total_derived", "x,y"})).Draw(rt, "flags")
		tb := adapter{TB: t, rt: rt}
		data := in.write(tb, WriteOptions{Codec: rapid.SampledFrom([]string{"", "zstd", "snappy"}).Draw(rt, "codec")})
		in.compareRead(tb, data, 1)
		column := rapid.Map(rapid.Uint8Range(0, uint8(schemas.NumColumns)-1), func(c uint8) schemas.Col { return schemas.Col(c) })
		in.compareRead(tb, data, 1, rapid.SliceOfN(column, 1, 20).Draw(rt, "cols")...)

		// The facts are what adding row by row gives.
		facts, err := Verify(bytes.NewReader(data), int64(len(data)), in.unit(), 1)
		if err != nil {
			rt.Fatal(err)
		}
		want := Facts{Rows: int64(n), MinTime: in.row(0).Int(schemas.EventTime), MaxTime: in.row(n - 1).Int(schemas.EventTime)}
		for i := range n {
			r := in.row(i)
			want.Sums.AddRow(r)
			for _, c := range table.Columns() {
				if !r.Has(c) && c != schemas.SourceFile && c != schemas.SourceID {
					want.Nulls[c]++
				}
			}
		}
		if facts != want {
			rt.Fatalf("facts: got %+v, want %+v", facts, want)
		}
	})
}

// adapter lets rapid shrink failures of helpers made for testing.TB.
type adapter struct {
	testing.TB
	rt *rapid.T
}

func (a adapter) Helper()                      {}
func (a adapter) Fatal(args ...any)            { a.rt.Fatal(args...) }
func (a adapter) Fatalf(f string, args ...any) { a.rt.Fatalf(f, args...) }
func (a adapter) Error(args ...any)            { a.rt.Error(args...) }
func (a adapter) Errorf(f string, args ...any) { a.rt.Errorf(f, args...) }

func TestJobsDoNotChangeBytes(t *testing.T) {
	in := newInput(70_000, 16_384, func(i int, r *schemas.Row) {
		r.SetString(schemas.RequestID, fmt.Sprintf("chatcmpl-%030d", i*7919))
		r.SetString(schemas.Model, fmt.Sprint("m", i%7))
		r.SetDouble(schemas.InputTokens, float64(i%1000))
		r.SetInt(schemas.CostUSD, int64(i*37%5000))
	})
	want := in.write(t, WriteOptions{})
	for _, jobs := range []int{1, 2, 3, 100} {
		if got := in.write(t, WriteOptions{Jobs: jobs}); !bytes.Equal(got, want) {
			t.Errorf("%d jobs: other bytes", jobs)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	row := func(set func(*schemas.Row)) *input {
		return newInput(2, 10, func(i int, r *schemas.Row) { set(r) })
	}
	split := newInput(2, 10, func(i int, r *schemas.Row) {
		r.SetString(schemas.RequestID, []string{"\xc3", "\xa4"}[i]) // together ä
	})
	flagged := row(func(*schemas.Row) {})
	flagged.Flags = map[int]string{1: "\xff"}
	file := row(func(*schemas.Row) {})
	file.Sources.Set(0, Source{"\xff", "1"})
	beyond := row(func(*schemas.Row) {})
	beyond.Order = append(beyond.Order, Run{Batch: 7, N: 1})
	for name, tt := range map[string]struct {
		rows *input
		opt  WriteOptions
	}{
		"no rows":     {&input{}, WriteOptions{}},
		"codec":       {row(func(*schemas.Row) {}), WriteOptions{Codec: "lz4"}},
		"NaN":         {row(func(r *schemas.Row) { r.SetDouble(schemas.InputTokens, math.NaN()) }), WriteOptions{}},
		"Inf":         {row(func(r *schemas.Row) { r.SetDouble(schemas.DurationMs, math.Inf(-1)) }), WriteOptions{}},
		"no time":     {row(func(r *schemas.Row) { r.Clear(schemas.EventTime) }), WriteOptions{}},
		"UTF-8 dict":  {row(func(r *schemas.Row) { r.SetString(schemas.Model, "a\xff") }), WriteOptions{}},
		"UTF-8 plain": {split, WriteOptions{}},
		"UTF-8 flags": {flagged, WriteOptions{}},
		"UTF-8 file":  {file, WriteOptions{}},
		"bad ref":     {beyond, WriteOptions{Jobs: 2}},
	} {
		var buf bytes.Buffer
		if _, err := Write(&buf, testUnit, tt.rows, tt.opt); err == nil {
			t.Errorf("%s: no error", name)
		} else if buf.Len() > 0 {
			t.Errorf("%s: wrote %d bytes: %v", name, buf.Len(), err)
		}
	}
}

func TestSources(t *testing.T) {
	var s Sources
	a := s.Intern(Source{"a", ""})
	if b := s.Intern(Source{"a", ""}); a == b {
		t.Error("two new sources share an index")
	}
	c := s.Intern(Source{"a", "1"})
	if d := s.Intern(Source{"a", "1"}); c != d {
		t.Error("a known source has two indices")
	}
	s.Set(a, Source{"a", "2"})
	s.Set(c, Source{"a", "3"})
	if got := []int32{s.Intern(Source{"a", "2"}), s.Intern(Source{"a", "3"})}; !cmp.Equal(got, []int32{a, c}) {
		t.Errorf("got %v, want %v", got, []int32{a, c})
	}
	if i := s.Intern(Source{"a", "1"}); i == c || s.At(i) != (Source{"a", "1"}) {
		t.Error("a changed source keeps its old name")
	}
}

func TestMayHold(t *testing.T) {
	const n = 20_000
	in := newInput(n, 16_384, func(i int, r *schemas.Row) {
		if i%3 > 0 {
			r.SetString(schemas.RequestID, fmt.Sprint("id-", i))
		}
	})
	data := in.write(t, WriteOptions{})
	hold := func(ids ...string) bool {
		may, err := MayHold(bytes.NewReader(data), int64(len(data)), schemas.Usage, ids)
		if err != nil {
			t.Fatal(err)
		}
		return may
	}
	wrong := 0
	for i := 1; i < n; i += 37 {
		if id := fmt.Sprint("id-", i); i%3 > 0 && !hold("no", id) {
			t.Errorf("misses %s", id)
		}
		if hold(fmt.Sprint("other-", i)) {
			wrong++
		}
	}
	if wrong > n/37/20 {
		t.Errorf("%d of %d wrong answers", wrong, n/37)
	}
	if hold() {
		t.Error("holds one of no ids")
	}
	if _, err := MayHold(bytes.NewReader(data[:100]), 100, schemas.Usage, nil); err == nil {
		t.Error("half a file: no error")
	}
}

// Rows that were read and written again make the same file.
func TestRewrite(t *testing.T) {
	in := newInput(100_000, 5000, func(i int, r *schemas.Row) {
		r.SetString(schemas.SessionID, fmt.Sprintf("session-%032d", i)) // outgrows its dictionary
		r.SetDouble(schemas.InputTokens, float64(i%1000))
		if i%5 == 0 {
			r.SetString(schemas.Model, fmt.Sprint("m", i%7))
			r.SetString(schemas.RequestID, fmt.Sprint("id-", i))
			r.SetInt(schemas.IsBatch, int64(i%2))
		}
	})
	want := in.write(t, WriteOptions{})
	again := &input{Sources: new(Sources)}
	again.Sources.Intern(Source{"other", "0"})
	var err error
	again.Batches, err = Read(bytes.NewReader(want), int64(len(want)), schemas.Usage, memory.DefaultAllocator, again.Sources)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range again.Batches {
		for row := range b.Len() {
			again.Order = append(again.Order, Run{int32(i), int32(row), 1})
		}
	}
	if got := again.write(t, WriteOptions{Jobs: 2}); !bytes.Equal(got, want) {
		t.Error("other bytes")
	}
}
