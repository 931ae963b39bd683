package sink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"usagelake/schemas"
)

// WriteOptions are what tests write a file with.
type WriteOptions struct {
	Codec string
	Jobs  int
}

// Write writes all rows of a file, cut into chunks.
func Write(w io.Writer, unit schemas.Unit, rows *input, opt WriteOptions) (Facts, error) {
	out, err := NewWriter(w, unit, rows.Sources, opt.Codec)
	if err != nil {
		return Facts{}, err
	}
	out.SetJobs(opt.Jobs)
	for lo := 0; lo < len(rows.Order); lo += ChunkRows {
		if err := out.Write(rows.chunk(lo)); err != nil {
			return Facts{}, err
		}
	}
	return out.Close()
}

// chunk is the rows from lo on, as Writer.Write takes them.
func (r Rows) chunk(lo int) Rows {
	c := r
	c.Order, c.Flags = r.Order[lo:min(lo+ChunkRows, len(r.Order))], map[int]string{}
	for i := range c.Order {
		if flags, ok := r.Flags[lo+i]; ok {
			c.Flags[i] = flags
		}
	}
	if lo%(2*ChunkRows) == 0 { // of other chunks each row is a run
		var order []Run
		for _, run := range c.Order {
			order = appendRun(order, run)
		}
		c.Order = order
	}
	return c
}

// motley is rows with every kind of page: all, some and none of it NULL,
// dictionaries that are constant, that grow and that are given up.
func motley(n, per int) *input {
	rng := rand.New(rand.NewPCG(3, 4))
	in := newInput(n, per, func(i int, r *schemas.Row) {
		set := func(c schemas.Col, every int, value string) {
			if i%every == 0 {
				r.SetString(c, value)
			}
		}
		set(schemas.Provider, 1, "openai")
		set(schemas.Model, 1, fmt.Sprint("m", rng.IntN(9)))
		set(schemas.Region, 3, []string{"", "eu", "us"}[rng.IntN(3)])
		set(schemas.SessionID, 1, fmt.Sprintf("session-%032d", i)) // given up
		set(schemas.UserID, 7, fmt.Sprint("user-", rng.IntN(3000)))
		set(schemas.RequestID, 1, fmt.Sprintf("%016x", rng.Uint64()))
		set(schemas.TransportID, 5, fmt.Sprintf("%016x", rng.Uint64()))
		if extra := fmt.Sprintf(`{"n":%d}`, rng.IntN(9)); i > n/2 {
			set(schemas.ExtraJSON, 1, extra+strings.Repeat("long", i%40)+fmt.Sprint(i)) // given up
		} else if i > n/9 {
			set(schemas.ExtraJSON, 3, extra)
		}
		set(schemas.QualityFlags, 11, "total_derived")
		if i > n*4/7 { // NULLs before the first value
			set(schemas.ErrorCode, 2, "rate_limit")
			r.SetDouble(schemas.AudioSeconds, float64(rng.IntN(50))/4)
			r.SetInt(schemas.ImageCount, int64(rng.IntN(4)))
		}
		if i < n*3/7 { // and behind the last one
			set(schemas.Status, 1, "ok")
		}
		if i == n-10 {
			set(schemas.ImageSize, 1, "1024x1024")
		}
		r.SetDouble(schemas.InputTokens, float64(rng.IntN(20_000)))
		r.SetDouble(schemas.OutputTokens, []float64{0, math.Copysign(0, -1), -1, 0.5, 1e12, 131_071, 131_072}[rng.IntN(7)])
		r.SetDouble(schemas.DurationMs, float64(1e6+rng.IntN(9000))/7)
		if i >= pageRows {
			r.SetDouble(schemas.DurationMs, rng.Float64()*1e4) // given up
		}
		if i%2 == 0 {
			r.SetDouble(schemas.CacheReadTokens, float64(i))
		}
		r.SetInt(schemas.CostUSD, rng.Int64N(1e9)) // without a dictionary
		r.SetInt(schemas.ReportedCostUSD, rng.Int64N(2000)-1000)
		r.SetInt(schemas.IsBatch, int64(2*i/n))
		if i%3 > 0 {
			r.SetInt(schemas.CacheHit, int64(rng.IntN(2)))
		}
	})
	in.Flags = map[int]string{}
	for i := 0; i < n; i += 1 + rng.IntN(5000) {
		in.Flags[i] = []string{"", "id_reused", "total_derived"}[rng.IntN(3)]
	}
	return in
}

// parquetGo is what parquet-go writes of the same rows.
func (in *input) parquetGo(t *testing.T) []byte {
	t.Helper()
	var buf bytes.Buffer
	pw := parquet.NewGenericWriter[any](&buf, layoutOf(in.table).schema,
		parquet.Compression(&zstdCodec),
		parquet.DataPageVersion(1),
		parquet.DictionaryMaxBytes(dictBytes),
		parquet.PageBufferSize(1<<24),
		parquet.BloomFilters(parquet.SplitBlockFilter(bloomBits, schemas.RequestID.String())),
	)
	columns := pw.ColumnWriters()
	var page [schemas.NumColumns][]parquet.Value
	for i := range in.Order {
		r := in.row(i)
		src := in.Sources.At(r.Source)
		r.SetString(schemas.SourceFile, src.File)
		r.SetString(schemas.SourceID, src.ID)
		for k, c := range in.table.Columns() {
			var v parquet.Value
			switch kind := schemas.Columns[c].Kind; {
			case !r.Has(c):
			case kind == schemas.String:
				v = parquet.ByteArrayValue([]byte(r.Str(c)))
			case kind == schemas.Double:
				v = parquet.DoubleValue(r.Double(c) + 0) // not -0
			case kind == schemas.Bool:
				v = parquet.BooleanValue(r.Int(c) != 0)
			default:
				v = parquet.Int64Value(r.Int(c))
			}
			level := 0
			if !v.IsNull() && !c.Required() {
				level = 1
			}
			page[c] = append(page[c], v.Level(0, level, k))
			if len(page[c]) < pageLen(c) && i < len(in.Order)-1 {
				continue
			}
			if _, err := columns[k].WriteRowValues(page[c]); err != nil {
				t.Fatal(err)
			}
			if err := columns[k].Flush(); err != nil {
				t.Fatal(err)
			}
			page[c] = page[c][:0]
		}
	}
	if err := pw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// The file holds what parquet-go makes of the same rows: values, pages,
// statistics, page index and bloom filter.
func TestLikeParquetGo(t *testing.T) {
	n := 70_000
	if testing.Short() {
		n = 33_000
	}
	in := motley(n, 7000)
	data := in.write(t, WriteOptions{Jobs: 2})
	in.compareRead(t, data, 7)
	got, want := openTest(t, data), openTest(t, in.parquetGo(t))
	for _, c := range schemas.Usage.Columns() {
		g, w := &got.Metadata().RowGroups[0].Columns[c].MetaData, &want.Metadata().RowGroups[0].Columns[c].MetaData
		if diff := cmp.Diff(w.Statistics, g.Statistics); diff != "" {
			t.Errorf("%v: %s", c, diff)
		}
		if g.NumValues != w.NumValues || g.Type != w.Type || !slices.Equal(g.PathInSchema, w.PathInSchema) {
			t.Errorf("%v: %d %v %v, want %d %v %v", c, g.NumValues, g.Type, g.PathInSchema, w.NumValues, w.Type, w.PathInSchema)
		}
		gi, wi := got.ColumnIndexes()[c], want.ColumnIndexes()[c]
		wi.DefinitionLevelHistogram = nil
		if diff := cmp.Diff(wi, gi); diff != "" {
			t.Errorf("%v: column index: %s", c, diff)
		}
		if diff := cmp.Diff(cuts(want, 0, c), cuts(got, 0, c)); diff != "" {
			t.Errorf("%v: cuts: %s", c, diff)
		}
		if c == schemas.CostUSD {
			if len(g.EncodingStats) != 1 || g.DictionaryPageOffset != 0 {
				t.Errorf("%v: a dictionary of numbers that do not repeat", c)
			}
		} else if g.NumValues > g.Statistics.NullCount { // without values there is no dictionary
			if diff := cmp.Diff(w.EncodingStats, g.EncodingStats); diff != "" {
				t.Errorf("%v: %s", c, diff)
			}
			if diff := cmp.Diff(w.Encoding, g.Encoding); diff != "" {
				t.Errorf("%v: %s", c, diff)
			}
		}
		gv, wv := chunkValues(t, got, c), chunkValues(t, want, c)
		for i := range wv {
			if !parquet.DeepEqual(gv[i], wv[i]) || gv[i].DefinitionLevel() != wv[i].DefinitionLevel() {
				t.Fatalf("%v: row %d: %+v, want %+v", c, i, gv[i], wv[i])
			}
		}
	}
	if diff := cmp.Diff(filter(t, want), filter(t, got)); diff != "" {
		t.Error("other bloom filter")
	}
	if diff := cmp.Diff(want.Metadata().Schema, got.Metadata().Schema); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want.Metadata().ColumnOrders, got.Metadata().ColumnOrders); diff != "" {
		t.Error(diff)
	}
}

func chunkValues(t *testing.T, f *parquet.File, c schemas.Col) []parquet.Value {
	t.Helper()
	values := make([]parquet.Value, 0, f.NumRows())
	pages := f.RowGroups()[0].ColumnChunks()[c].Pages()
	defer pages.Close()
	for {
		p, err := pages.ReadPage()
		if err == io.EOF {
			return values
		}
		if err != nil {
			t.Fatal(err)
		}
		n := int(p.NumValues())
		if m, err := p.Values().ReadValues(values[len(values):][:n]); m != n {
			t.Fatalf("%v: %d of %d values: %v", c, m, n, err)
		}
		values = values[:len(values)+n]
	}
}

func filter(t *testing.T, f *parquet.File) []byte {
	t.Helper()
	bf := f.RowGroups()[0].ColumnChunks()[schemas.RequestID].BloomFilter()
	bits := make([]byte, bf.Size())
	if _, err := bf.ReadAt(bits, 0); err != nil {
		t.Fatal(err)
	}
	return bits
}

// spoiler is memory that does not hold what it held when it was released.
type spoiler struct{ memory.Allocator }

func (s spoiler) Free(b []byte) {
	for i := range b {
		b[i] = 0xFF
	}
	s.Allocator.Free(b)
}

// Any list of batches will do, as long as the rows are the same: the same
// bytes come out, and released batches are not looked at again.
func TestListsOfBatches(t *testing.T) {
	in := motley(2*ChunkRows+99, 7000)
	want := in.write(t, WriteOptions{})
	var buf bytes.Buffer
	out, err := NewWriter(&buf, testUnit, in.Sources, "")
	if err != nil {
		t.Fatal(err)
	}
	out.SetJobs(2)
	mem := memory.NewCheckedAllocator(spoiler{memory.DefaultAllocator})
	var old, list []*schemas.Batch
	for lo := 0; lo < len(in.Order); lo += ChunkRows {
		c := in.chunk(lo)
		b := schemas.NewBuilder(mem)
		list = nil
		if lo == ChunkRows {
			list = append(list, old[1], old[0]) // go on for a while
		}
		base := len(list)
		rows := c.Len()
		c.Order = nil
		for i := range rows {
			b.Append(in.row(lo + i)) // with the flags, so there are none to change
			c.Order = append(c.Order, Run{int32(len(list)), int32(b.Len() - 1), 1})
			if b.Len() == 10_000+lo/8 || i == rows-1 {
				list = append(list, b.Flush(nil))
			}
		}
		c.Batches, c.Flags = list, nil
		if err := out.Write(c); err != nil {
			t.Fatal(err)
		}
		if len(out.batches) != len(list) {
			t.Errorf("%d batches are known, %d are in the list", len(out.batches), len(list))
		}
		if lo == 0 {
			old = list
			continue
		}
		for _, b := range append(list[base:], old...) {
			b.Release()
		}
		old = nil
	}
	if _, err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf.Bytes(), want) {
		t.Error("other bytes")
	}
	mem.AssertSize(t, 0)
}

// Batches may be parts of longer ones.
func TestSlicedBatches(t *testing.T) {
	in := motley(9000, 9000)
	want := in.write(t, WriteOptions{})
	whole := in.Batches[0]
	in.Batches = nil
	for lo := 0; lo < 9000; lo += 999 {
		hi := min(lo+999, 9000)
		for i := lo; i < hi; i++ {
			in.Order[i] = Run{int32(len(in.Batches)), int32(i - lo), 1}
		}
		in.Batches = append(in.Batches, schemas.NewBatch(whole.Rec.NewSlice(int64(lo), int64(hi))))
	}
	if got := in.write(t, WriteOptions{}); !bytes.Equal(got, want) {
		t.Error("other bytes")
	}
}

// What a batch's dictionary means does not outlive the row group.
func TestBatchInTwoRowGroups(t *testing.T) {
	if testing.Short() {
		t.Skip("a row group is a million rows")
	}
	in := newInput(ChunkRows, ChunkRows, func(i int, r *schemas.Row) {
		r.SetString(schemas.Model, fmt.Sprint("m", i*7%100))
		r.SetDouble(schemas.InputTokens, float64(i*7%100))
	})
	order := in.Order
	for range groupRows / ChunkRows {
		in.Order = append(in.Order, order...)
	}
	last := slices.Clone(order) // numbers its dictionary in another order
	slices.Reverse(last)
	copy(in.Order[groupRows:], last)
	var buf bytes.Buffer
	if _, err := Write(&buf, testUnit, in, WriteOptions{Jobs: 2}); err != nil {
		t.Fatal(err)
	}
	in.compareRead(t, buf.Bytes(), 31)
}

func TestWriterRefuses(t *testing.T) {
	in := newInput(2*ChunkRows, 10_000, func(int, *schemas.Row) {})
	short, long := in.Rows, in.Rows
	short.Order, long.Order = in.Order[:10], in.Order[:ChunkRows+1]
	flags := short
	flags.Flags = map[int]string{10: "x"}
	for name, calls := range map[string][]Rows{
		"chunk behind a short one": {short, short},
		"long chunk":               {long},
		"flags of no row":          {flags},
		"no rows":                  {},
	} {
		var buf bytes.Buffer
		out, err := NewWriter(&buf, testUnit, in.Sources, "")
		if err != nil {
			t.Fatal(err)
		}
		for i, rows := range calls {
			if err := out.Write(rows); (err != nil) != (i == len(calls)-1) {
				t.Errorf("%s: call %d: %v", name, i, err)
			}
		}
		if _, err := out.Close(); err == nil {
			t.Errorf("%s: closed", name)
		}
		if buf.Len() > 0 {
			t.Errorf("%s: wrote %d bytes", name, buf.Len())
		}
	}
	out, err := NewWriter(io.Discard, testUnit, in.Sources, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Write(short); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Close(); err != nil {
		t.Fatal(err)
	}
	if err := out.Write(short); err == nil {
		t.Error("wrote to a closed file")
	}
}

// full is a disk with room for so many bytes.
type full int

var errFull = errors.New("no space left")

func (f *full) Write(b []byte) (int, error) {
	if len(b) > int(*f) {
		n := int(*f)
		*f = 0
		return n, errFull
	}
	*f -= full(len(b))
	return len(b), nil
}

func TestFullDisk(t *testing.T) {
	in := motley(900, 100)
	size := len(in.write(t, WriteOptions{}))
	for room := 0; room < size; room += 1 + size/30 {
		disk := full(room)
		if _, err := Write(&disk, testUnit, in, WriteOptions{}); !errors.Is(err, errFull) {
			t.Errorf("room for %d of %d bytes: %v", room, size, err)
		}
	}
}

// A long file needs no more memory than one row group of pages.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("four million rows")
	}
	in := newInput(ChunkRows, 4096, func(i int, r *schemas.Row) {
		r.SetString(schemas.RequestID, fmt.Sprintf("%036x", i*7919))
		r.SetString(schemas.Model, fmt.Sprint("m", i%7))
		r.SetDouble(schemas.InputTokens, float64(i%20_000))
		r.SetInt(schemas.CostUSD, int64(i)*1000)
	})
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	out, err := NewWriter(io.Discard, testUnit, in.Sources, "")
	if err != nil {
		t.Fatal(err)
	}
	out.SetJobs(2)
	var most uint64
	for i := range 4 * groupRows / ChunkRows {
		if err := out.Write(in.Rows); err != nil {
			t.Fatal(err)
		}
		if i%31 == 0 {
			runtime.GC()
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc-min(m.HeapAlloc, before))
		}
	}
	facts, err := out.Close()
	if err != nil || facts.Rows != 4*groupRows {
		t.Fatalf("%d rows: %v", facts.Rows, err)
	}
	t.Logf("at most %d MB", most>>20)
	if most > 64<<20 {
		t.Errorf("%d MB on the heap", most>>20)
	}
}
