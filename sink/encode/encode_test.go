package encode

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/snappy"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"pgregory.net/rapid"

	"usagelake/schemas"
)

type row struct {
	Time  int64    `parquet:"time"`
	Count *int64   `parquet:"count,optional,dict"`
	Cost  *float64 `parquet:"cost,optional,dict"`
	Size  *float64 `parquet:"size,optional"`
	OK    *bool    `parquet:"ok,optional"`
	ID    *string  `parquet:"id,optional"`
	Name  *string  `parquet:"name,optional,dict"`
}

const (
	timeCol = iota
	countCol
	costCol
	sizeCol
	okCol
	idCol
	nameCol
)

// newTestLayout is files of rows whose dictionaries take 64 bytes.
func newTestLayout() *Layout {
	specs := make([]Spec, nameCol+1)
	specs[idCol].Bloom = 10
	specs[countCol].Dict, specs[costCol].Dict, specs[nameCol].Dict = 64, 64, 64
	sorting := []format.SortingColumn{{ColumnIdx: timeCol}}
	return NewLayout(testSchema, specs, sorting, "test")
}

var testSchema = parquet.SchemaOf(row{})

var testLayout = newTestLayout()

// addPage adds rows as a page of every column.
func addPage(t require, f *File, b *Buffers, rows []row) {
	words := func(c int, get func(*row) (uint64, bool)) {
		var levels []byte
		var values []uint64
		for i := range rows {
			v, ok := get(&rows[i])
			levels = append(levels, 0)
			if ok {
				levels[i] = 1
				values = append(values, v)
			}
		}
		t.noError(f.Column(c).Words(b, levels, values))
	}
	double := func(x *float64) (uint64, bool) {
		if x == nil {
			return 0, false
		}
		return schemas.Word(*x), true
	}
	words(timeCol, func(r *row) (uint64, bool) { return uint64(r.Time), true })
	words(countCol, func(r *row) (uint64, bool) {
		if r.Count == nil {
			return 0, false
		}
		return uint64(*r.Count), true
	})
	words(costCol, func(r *row) (uint64, bool) { return double(r.Cost) })
	words(sizeCol, func(r *row) (uint64, bool) { return double(r.Size) })
	words(okCol, func(r *row) (uint64, bool) {
		if r.OK == nil {
			return 0, false
		}
		if *r.OK {
			return 1, true
		}
		return 0, true
	})
	for c, get := range map[int]func(*row) *string{
		idCol:   func(r *row) *string { return r.ID },
		nameCol: func(r *row) *string { return r.Name },
	} {
		col := f.Column(c)
		var levels []byte
		var texts [][]byte
		var index []int32
		for i := range rows {
			levels = append(levels, 0)
			if s := get(&rows[i]); s != nil {
				levels[i] = 1
				if col.Dict() {
					index = append(index, col.Index([]byte(*s)))
				} else {
					texts = append(texts, []byte(*s))
				}
			}
		}
		if col.Dict() {
			t.noError(col.Indices(b, levels, index))
		} else {
			t.noError(col.Texts(b, levels, texts))
		}
	}
}

// require lets rapid and testing share helpers.
type require struct {
	fatal func(...any)
}

func (r require) noError(err error) {
	if err != nil {
		r.fatal(err)
	}
}

func drawRow(t *rapid.T) row {
	var r row
	r.Time = rapid.Int64().Draw(t, "time")
	some := func(name string) bool { return rapid.IntRange(0, 3).Draw(t, name) > 0 }
	if some("count") {
		v := rapid.SampledFrom([]int64{0, 1, -1, smallMax - 1, smallMax, math.MaxInt64, math.MinInt64, rapid.Int64().Draw(t, "any")}).Draw(t, "v")
		r.Count = &v
	}
	if some("cost") {
		v := rapid.SampledFrom([]float64{0, 1, -1, 0.5, smallMax - 1, smallMax, -1e300, 1e19, normal(rapid.Float64().Draw(t, "any"))}).Draw(t, "v")
		r.Cost = &v
	}
	if some("size") {
		v := normal(rapid.Float64Range(-10, 10).Draw(t, "v"))
		r.Size = &v
	}
	if some("ok") {
		v := rapid.Bool().Draw(t, "v")
		r.OK = &v
	}
	text := rapid.SampledFrom([]string{"", "a", "b", "\xff", "a long text that is longer than the page index takes", rapid.String().Draw(t, "any")})
	if some("id") {
		v := text.Draw(t, "v")
		r.ID = &v
	}
	if some("name") {
		v := text.Draw(t, "v")
		r.Name = &v
	}
	return r
}

// What parquet-go reads is what was written, with true statistics.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		req := require{fatal: rt.Fatal}
		var (
			buf  bytes.Buffer
			want []row
			b    Buffers
		)
		f := testLayout.NewFile(&buf, &snappy.Codec{})
		blank := rapid.SliceOfN(rapid.Just(row{}), 1, 40)
		page := rapid.OneOf(blank, rapid.SliceOfN(rapid.Custom(drawRow), 1, 40))
		groups := rapid.SliceOfN(rapid.SliceOfN(page, 1, 4), 1, 3).Draw(rt, "groups")
		for i, pages := range groups {
			for _, rows := range pages {
				addPage(req, f, &b, rows)
				want = append(want, rows...)
			}
			if i < len(groups)-1 {
				req.noError(f.EndGroup())
			}
		}
		req.noError(f.Close([]format.KeyValue{{Key: "k", Value: "v"}}))

		file, err := parquet.OpenFile(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
		req.noError(err)
		got := make([]row, len(want)+1)
		n, err := parquet.NewGenericReader[row](file).Read(got)
		if n != len(want) || err != io.EOF {
			rt.Fatalf("%d rows of %d: %v", n, len(want), err)
		}
		for i := range want {
			if g, w := show(got[i]), show(want[i]); g != w {
				rt.Fatalf("row %d: %s, want %s", i, g, w)
			}
		}
		if v, ok := file.Lookup("k"); v != "v" || !ok || file.Metadata().CreatedBy != "test" {
			rt.Fatalf("metadata %v", file.Metadata())
		}
		from := 0
		for g, pages := range groups {
			n := 0
			for _, rows := range pages {
				n += len(rows)
			}
			checkGroup(rt, file, g, want[from:from+n], pages)
			checkSizes(rt, buf.Bytes(), &file.Metadata().RowGroups[g])
			from += n
		}
	})
}

func show(r row) string {
	text := func(s *string) string {
		if s == nil {
			return "NULL"
		}
		return fmt.Sprintf("%q", *s)
	}
	s := fmt.Sprint(r.Time, " ", text(r.ID), " ", text(r.Name))
	if r.Count != nil {
		s += fmt.Sprint(" count ", *r.Count)
	}
	if r.Cost != nil {
		s += fmt.Sprintf(" cost %x", math.Float64bits(*r.Cost))
	}
	if r.Size != nil {
		s += fmt.Sprintf(" size %x", math.Float64bits(*r.Size))
	}
	if r.OK != nil {
		s += fmt.Sprint(" ok ", *r.OK)
	}
	return s
}

// checkGroup holds metadata of row group g against its rows.
func checkGroup(t *rapid.T, f *parquet.File, g int, rows []row, pages [][]row) {
	meta := f.Metadata().RowGroups[g]
	if meta.NumRows != int64(len(rows)) {
		t.Fatalf("%d rows, want %d", meta.NumRows, len(rows))
	}
	bounds := func(rows []row) (lo, hi string, nulls int64) {
		var names []string
		for _, r := range rows {
			if r.Name != nil {
				names = append(names, *r.Name)
			}
		}
		if nulls = int64(len(rows) - len(names)); len(names) > 0 {
			lo, hi = slices.Min(names), slices.Max(names)
		}
		return lo, hi, nulls
	}
	m := meta.Columns[nameCol].MetaData
	lo, hi, nulls := bounds(rows)
	if string(m.Statistics.MinValue) != lo || string(m.Statistics.MaxValue) != hi || m.Statistics.NullCount != nulls {
		t.Fatalf("name: %+v, want %q to %q, %d NULLs", m.Statistics, lo, hi, nulls)
	}
	if (m.Statistics.MinValue == nil) != (int(nulls) == len(rows)) {
		t.Fatalf("name: minimum %v, %d NULLs of %d", m.Statistics.MinValue, nulls, len(rows))
	}
	index := f.ColumnIndexes()[g*(nameCol+1)+nameCol]
	offsets := f.OffsetIndexes()[g*(nameCol+1)+nameCol]
	var first int64
	size, given := 0, false // of the dictionary
	var known []string
	var plain, dict int32
	for i, rows := range pages {
		lo, hi, nulls := bounds(rows)
		if index.NullCounts[i] != nulls || index.NullPages[i] != (int(nulls) == len(rows)) || offsets.PageLocations[i].FirstRowIndex != first {
			t.Fatalf("page %d: %d NULLs from row %d, want %d from %d", i, index.NullCounts[i], offsets.PageLocations[i].FirstRowIndex, nulls, first)
		}
		if string(index.MinValues[i]) > lo || string(index.MaxValues[i]) < hi {
			t.Fatalf("page %d: %q to %q, want %q to %q", i, index.MinValues[i], index.MaxValues[i], lo, hi)
		}
		first += int64(len(rows))
		if given {
			plain++
			continue
		}
		dict++
		for _, r := range rows {
			if r.Name != nil && !slices.Contains(known, *r.Name) {
				known = append(known, *r.Name)
				size += 4 + len(*r.Name)
			}
		}
		given = size > 64
	}
	var want []format.PageEncodingStats
	if len(known) == 0 {
		plain, dict = dict, 0
	}
	if plain > 0 {
		want = append(want, format.PageEncodingStats{PageType: format.DataPage, Encoding: format.Plain, Count: plain})
	}
	if dict > 0 {
		want = append(want,
			format.PageEncodingStats{PageType: format.DataPage, Encoding: format.RLEDictionary, Count: dict},
			format.PageEncodingStats{PageType: format.DictionaryPage, Encoding: format.Plain, Count: 1})
	}
	if !slices.Equal(m.EncodingStats, want) {
		t.Fatalf("name: %v, want %v", m.EncodingStats, want)
	}
	var costs []float64
	var counts []int64
	for _, r := range rows {
		if r.Cost != nil {
			costs = append(costs, *r.Cost)
		}
		if r.Count != nil {
			counts = append(counts, *r.Count)
		}
	}
	if len(costs) > 0 {
		checkBounds(t, &meta.Columns[costCol].MetaData, parquet.DoubleValue(slices.Min(costs)), parquet.DoubleValue(slices.Max(costs)))
	}
	if len(counts) > 0 {
		checkBounds(t, &meta.Columns[countCol].MetaData, parquet.Int64Value(slices.Min(counts)), parquet.Int64Value(slices.Max(counts)))
	}
	filter := f.RowGroups()[g].ColumnChunks()[idCol].BloomFilter()
	for _, r := range rows {
		if r.ID == nil {
			continue
		}
		if ok, err := filter.Check(parquet.ByteArrayValue([]byte(*r.ID))); !ok || err != nil {
			t.Fatalf("bloom filter misses %q: %v", *r.ID, err)
		}
	}
}

// checkSizes holds the sizes of row group g against the headers of its pages.
func checkSizes(t *rapid.T, data []byte, g *format.RowGroup) {
	var sum, packedSum int64
	for i := range g.Columns {
		m := &g.Columns[i].MetaData
		start := m.DataPageOffset
		if m.DictionaryPageOffset > 0 {
			start = m.DictionaryPageOffset
		}
		var size, values, nulls int64
		for rest := data[start : start+m.TotalCompressedSize]; len(rest) > 0; {
			var head format.PageHeader
			r := bytes.NewReader(rest)
			if err := thrift.NewDecoder(new(thrift.CompactProtocol).NewReader(r)).Decode(&head); err != nil {
				t.Fatal(err)
			}
			size += int64(len(rest)-r.Len()) + int64(head.UncompressedPageSize)
			rest = rest[len(rest)-r.Len():]
			if sum := int32(crc32.ChecksumIEEE(rest[:head.CompressedPageSize])); sum != head.CRC {
				t.Fatalf("%v: checksum %x, want %x", m.PathInSchema, head.CRC, sum)
			}
			rest = rest[head.CompressedPageSize:]
			if head.Type == format.DataPage {
				values += int64(head.DataPageHeader.V.NumValues)
				nulls += head.DataPageHeader.V.Statistics.NullCount
			}
		}
		if size != m.TotalUncompressedSize || values != m.NumValues || nulls != m.Statistics.NullCount {
			t.Fatalf("%v: %d bytes, %d values, %d NULLs in pages; %d, %d, %d in the footer",
				m.PathInSchema, size, values, nulls, m.TotalUncompressedSize, m.NumValues, m.Statistics.NullCount)
		}
		sum += size
		packedSum += m.TotalCompressedSize
	}
	if sum != g.TotalByteSize || packedSum != g.TotalCompressedSize {
		t.Fatalf("%d and %d bytes in columns; %d and %d in the row group", sum, packedSum, g.TotalByteSize, g.TotalCompressedSize)
	}
	m := &g.Columns[idCol].MetaData
	end := m.BloomFilterOffset + int64(m.BloomFilterLength)
	var head format.BloomFilterHeader
	r := bytes.NewReader(data[m.BloomFilterOffset:end])
	if err := thrift.NewDecoder(new(thrift.CompactProtocol).NewReader(r)).Decode(&head); err != nil {
		t.Fatal(err)
	}
	if r.Len() != int(head.NumBytes) || head.NumBytes != int32(32*((g.NumRows*10+255)/256)) {
		t.Fatalf("bloom filter: %d bytes behind a header of %d", r.Len(), head.NumBytes)
	}
}

func checkBounds(t *rapid.T, m *format.ColumnMetaData, lo, hi parquet.Value) {
	if s := m.Statistics; !bytes.Equal(s.MinValue, lo.Bytes()) || !bytes.Equal(s.MaxValue, hi.Bytes()) {
		t.Fatalf("%v: %x to %x, want %v to %v", m.PathInSchema, s.MinValue, s.MaxValue, lo, hi)
	}
}

// A dictionary numbers many words right, whatever way they are looked up.
func TestWordDict(t *testing.T) {
	for name, of := range map[string]func(int) float64{
		"small":    func(i int) float64 { return float64(i * 7 % 200_000) },
		"negative": func(i int) float64 { return -float64(i % 3000) },
		"parts":    func(i int) float64 { return float64(i%70_000) / 4 },
	} {
		var d wordDict
		for round := range 2 { // the second one finds nothing of the first
			values := make([]uint64, 300_000)
			for i := range values {
				values[i] = schemas.Word(of(i) + float64(round))
			}
			index, or := d.index(nil, values)
			known := map[uint64]bool{}
			var bits int32
			for i, k := range index {
				if d.words[k] != values[i] {
					t.Fatalf("%s: %x is number %d, which is %x", name, values[i], k, d.words[k])
				}
				bits |= k
				known[values[i]] = true
			}
			if len(known) != len(d.words) || bits != or {
				t.Errorf("%s: %d words, want %d; bits %x, want %x", name, len(d.words), len(known), or, bits)
			}
			d.reset()
		}
	}
}

// A dictionary numbers many texts right, also those that look alike where only
// some bytes of them are looked at.
func TestTextDict(t *testing.T) {
	var d textDict
	for round := range 2 {
		var numbers []int32
		text := func(i int) []byte {
			b := fmt.Appendf(nil, "%d the beginning,%0*d%s", round, 1+i%5, i%1000, "the end of it")
			switch i % 3 {
			case 0:
				return b
			case 1:
				return append(b[:12], fmt.Sprintf("%030d and a half%020d%s", i%777, i%7, b[12:])...)
			default:
				return fmt.Append(nil, i%500)
			}
		}
		known := map[string]int32{}
		for i := range 50_000 {
			s := text(i * i % 7919)
			k := d.index(s)
			if d.texts[k] != string(s) {
				t.Fatalf("%q is number %d, which is %q", s, k, d.texts[k])
			}
			if want, ok := known[string(s)]; ok && want != k {
				t.Fatalf("%q is number %d, and %d", s, want, k)
			}
			known[string(s)] = k
			numbers = append(numbers, k)
		}
		if len(known) != len(d.texts) || slices.Max(numbers) != int32(len(known)-1) {
			t.Errorf("%d texts, want %d", len(d.texts), len(known))
		}
		d.reset()
	}
}

// A file from the pool has nothing of the one before.
func TestReuse(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	write := func(layout *Layout, n int, id func(int) string) []byte {
		var buf bytes.Buffer
		var b Buffers
		f := layout.NewFile(&buf, &zstd.Codec{Level: zstd.SpeedFastest})
		rows := []row{}
		for i := range n {
			s, v := id(i), float64(i)/3
			rows = append(rows, row{Time: int64(i), ID: &s, Name: &s, Cost: &v})
		}
		addPage(require{t.Fatal}, f, &b, rows)
		addPage(require{t.Fatal}, f, &b, rows)
		if err := f.Close(nil); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	two := func(i int) string { return fmt.Sprintf("%d of two texts, %d", i%2, i%2) }
	want := write(newTestLayout(), 100, two)
	layout := newTestLayout()
	write(layout, 1000, func(int) string { return fmt.Sprintf("%016x%016x", rng.Uint64(), rng.Uint64()) })
	if !bytes.Equal(write(layout, 100, two), want) {
		t.Error("other bytes")
	}
}

func TestRefuses(t *testing.T) {
	var b Buffers
	f := testLayout.NewFile(io.Discard, &snappy.Codec{})
	if err := f.Column(timeCol).Words(&b, []byte{1, 0}, []uint64{1}); err == nil {
		t.Error("NULL in a required column")
	}
	if err := f.Column(timeCol).Nulls(&b, 2); err == nil {
		t.Error("a page of NULLs in a required column")
	}
	f = testLayout.NewFile(io.Discard, &snappy.Codec{})
	if err := f.Column(timeCol).Words(&b, []byte{1}, []uint64{1}); err != nil {
		t.Fatal(err)
	}
	if err := f.EndGroup(); err == nil {
		t.Error("columns of different length")
	}
	f = testLayout.NewFile(broken{}, &snappy.Codec{})
	addPage(require{t.Fatal}, f, &b, []row{{}})
	if err := f.Close(nil); !errors.Is(err, errBroken) {
		t.Errorf("broken output: %v", err)
	}
	for name, specs := range map[string][]Spec{
		"too few specs":         make([]Spec, 1),
		"dictionary of boolean": {okCol: {Dict: 1}, nameCol: {}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			NewLayout(parquet.SchemaOf(row{}), specs, nil, "")
		}()
	}
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errBroken }

// normal is v without a 0 that is less than 0, and without what is so little that
// a word has no room for it.
func normal(v float64) float64 {
	if v > 0 && v < 1e-300 {
		return 0
	}
	return v + 0
}

// A page of one flag has the bits that its flags have one by one.
func TestSameFlags(t *testing.T) {
	for rows := range 20 {
		for flag := range uint64(2) {
			var b Buffers
			col := newColumn(testSchema.Fields()[okCol], Spec{})
			col.codec = &snappy.Codec{}
			if err := col.Same(&b, rows+1, flag); err != nil {
				t.Fatal(err)
			}
			want := appendBits(nil, slices.Repeat([]uint64{flag}, rows+1))
			if !bytes.HasSuffix(b.raw, want) {
				t.Errorf("%d times %d: %x, want %x", rows+1, flag, b.raw, want)
			}
		}
	}
}
