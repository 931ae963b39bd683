package sink

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"usagelake/schemas"
	"usagelake/sink/encode"
)

func openTest(t *testing.T, data []byte) *parquet.File {
	t.Helper()
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// cuts is where the pages of a column of row group g begin.
func cuts(f *parquet.File, g int, c schemas.Col) (rows []int64) {
	for _, p := range f.OffsetIndexes()[g*len(schemas.Usage.Columns())+int(c)].PageLocations {
		rows = append(rows, p.FirstRowIndex)
	}
	return rows
}

func every(step, n int64) (rows []int64) {
	for i := int64(0); i < n; i += step {
		rows = append(rows, i)
	}
	return rows
}

func TestPageCuts(t *testing.T) {
	for _, n := range []int{1, 8191, 8192, 8193, 16_385, 32_767, 32_768, 32_769} {
		in := newInput(n, 10_000, func(i int, r *schemas.Row) {
			r.SetString(schemas.RequestID, fmt.Sprint("id-", i))
			r.SetString(schemas.Model, "m")
			r.SetInt(schemas.IsBatch, int64(i%2))
			r.SetInt(schemas.ImageCount, int64(i%2))
			if i%2 == 0 {
				r.SetDouble(schemas.InputTokens, float64(i))
			}
		})
		data := in.write(t, WriteOptions{Codec: "snappy", Jobs: 2})
		f := openTest(t, data)
		for _, c := range schemas.Usage.Columns() {
			want := every(32_768, int64(n))
			switch c {
			case schemas.RequestID, schemas.TransportID, schemas.ExtraJSON:
				want = every(8192, int64(n))
			}
			if diff := cmp.Diff(want, cuts(f, 0, c)); diff != "" {
				t.Errorf("%d rows: %v: %s", n, c, diff)
			}
		}
		in.compareRead(t, data, 97)
	}
}

// Long strings, and dictionaries that are given up, do not move the cuts.
func TestPageCutsOfLongValues(t *testing.T) {
	const n = 100_000
	long := strings.Repeat("x", 300)
	in := newInput(n, 16_384, func(i int, r *schemas.Row) {
		r.SetDouble(schemas.DurationMs, float64(i)+0.5)
		if i >= 70_000 {
			r.SetString(schemas.SessionID, fmt.Sprint(long, i))
			r.SetString(schemas.ExtraJSON, long+long+long)
			r.SetInt(schemas.CostUSD, int64(i))
		}
	})
	data := in.write(t, WriteOptions{})
	in.compareRead(t, data, 13)
	f := openTest(t, data)
	for _, c := range []schemas.Col{schemas.DurationMs, schemas.SessionID, schemas.CostUSD} {
		if diff := cmp.Diff(every(32_768, n), cuts(f, 0, c)); diff != "" {
			t.Errorf("%v: %s", c, diff)
		}
	}
	if diff := cmp.Diff(every(8192, n), cuts(f, 0, schemas.ExtraJSON)); diff != "" {
		t.Errorf("extra_json: %s", diff)
	}
	pages := f.Metadata().RowGroups[0].Columns[schemas.SessionID].MetaData.EncodingStats
	plain := format.PageEncodingStats{PageType: format.DataPage, Encoding: format.Plain, Count: 1}
	if !slices.Contains(pages, plain) {
		t.Errorf("the dictionary was not given up: %v", pages)
	}
}

// A second row group starts its pages and dictionaries anew.
func TestRowGroups(t *testing.T) {
	if testing.Short() {
		t.Skip("a row group is a million rows")
	}
	const n = groupRows + 40_000
	in := newInput(n, 1<<17, func(i int, r *schemas.Row) {
		r.SetDouble(schemas.InputTokens, float64(i%300_000/2)) // each twice
		if i%16 == 0 || i > groupRows {
			r.SetString(schemas.SessionID, fmt.Sprintf("session-%024d", i))
		}
	})
	data := in.write(t, WriteOptions{Jobs: 2})
	in.compareRead(t, data, 101)
	f := openTest(t, data)
	if got := len(f.RowGroups()); got != 2 {
		t.Fatalf("%d row groups", got)
	}
	for g, rows := range []int64{groupRows, n - groupRows} {
		for _, c := range schemas.Usage.Columns() {
			if diff := cmp.Diff(every(int64(pageLen(c)), rows), cuts(f, g, c)); diff != "" {
				t.Errorf("row group %d: %v: %s", g, c, diff)
			}
		}
	}
	pages := func(g int) (plain, dict int32) {
		for _, s := range f.Metadata().RowGroups[g].Columns[schemas.InputTokens].MetaData.EncodingStats {
			switch {
			case s.PageType == format.DataPage && s.Encoding == format.Plain:
				plain += s.Count
			case s.PageType == format.DataPage:
				dict += s.Count
			}
		}
		return plain, dict
	}
	if plain, dict := pages(0); plain == 0 || dict == 0 {
		t.Errorf("row group 0: %d plain pages, %d with a dictionary: want both", plain, dict)
	}
	if plain, _ := pages(1); plain > 0 {
		t.Errorf("row group 1: %d plain pages", plain)
	}
}

// The list of file rules, without the help of checkFooter.
func TestFileRules(t *testing.T) {
	data := newInput(3, 10, func(i int, r *schemas.Row) {
		for c := schemas.EventTimeSource; c < schemas.SourceFile; c++ {
			switch schemas.Columns[c].Kind {
			case schemas.String:
				r.SetString(c, "")
			case schemas.Double:
				r.SetDouble(c, 0)
			default:
				r.SetInt(c, 0)
			}
		}
	}).write(t, WriteOptions{})
	f := openTest(t, data)
	m := f.Metadata()
	java := regexp.MustCompile(`(.*?)\s+version\s*(?:([^(]*?)\s*(?:\(\s*build\s*([^)]*?)\s*\))?)?`)
	java.Longest()
	if got := regexp.MustCompile("^(?:" + java.String() + ")$").FindStringSubmatch(m.CreatedBy); !slices.Equal(got[1:], []string{"usagelake", "1", "parquet-go"}) {
		t.Errorf("created by %q: %q", m.CreatedBy, got)
	}
	if diff := cmp.Diff([]format.KeyValue{
		{Key: "usagelake.partition", Value: "event_date=2024-10-04/part-0003.parquet"},
		{Key: "usagelake.rows", Value: "3"},
		{Key: "usagelake.schema_version", Value: "1"},
	}, []format.KeyValue(m.KeyValueMetadata)); diff != "" {
		t.Error(diff)
	}
	if m.Schema[0].Name != "usagelake" || len(m.Schema) != 60 {
		t.Errorf("root %q with %d elements", m.Schema[0].Name, len(m.Schema))
	}
	for i, e := range m.Schema[1:] {
		if e.Name != schemas.Columns[i].Name || e.FieldID != int32(i+1) {
			t.Errorf("column %d is %q with id %d", i, e.Name, e.FieldID)
		}
	}
	var sorted []string
	for _, s := range m.RowGroups[0].SortingColumns {
		if s.Descending || s.NullsFirst {
			t.Errorf("sorted by %v", s)
		}
		sorted = append(sorted, m.Schema[s.ColumnIdx+1].Name)
	}
	if diff := cmp.Diff([]string{"event_time", "source_file", "source_line", "source_row", "source_id"}, sorted); diff != "" {
		t.Error(diff)
	}
	for i, chunk := range m.RowGroups[0].Columns {
		c, md := schemas.Col(i), chunk.MetaData
		if md.Codec != format.Zstd {
			t.Errorf("%v: %v", c, md.Codec)
		}
		for _, e := range md.Encoding {
			if e != format.Plain && e != format.RLE && e != format.RLEDictionary {
				t.Errorf("%v: %v", c, e)
			}
		}
		if dict := slices.Contains(md.Encoding, format.RLEDictionary); dict != (md.DictionaryPageOffset > 0) {
			t.Errorf("%v: encodings %v, dictionary at %d", c, md.Encoding, md.DictionaryPageOffset)
		} else if plain := c == schemas.RequestID || c == schemas.SourceLine || c == schemas.EventTime || c == schemas.IsBYOK; plain && dict {
			t.Errorf("%v: has a dictionary", c)
		}
		for _, s := range md.EncodingStats {
			if s.PageType == format.DataPageV2 {
				t.Errorf("%v: %v", c, s)
			}
		}
		if (md.BloomFilterOffset > 0) != (c == schemas.RequestID) {
			t.Errorf("%v: bloom filter at %d", c, md.BloomFilterOffset)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	set := func(i int, r *schemas.Row) { r.SetString(schemas.RequestID, fmt.Sprint(i)) }
	in := newInput(100, 10, set)
	good := in.write(t, WriteOptions{})
	files := map[string][]byte{"cut": good[:len(good)-1], "empty": nil, "text": []byte("PAR1 is not enough PAR1")}
	add := func(name string, unit schemas.Unit, rows *input) {
		var buf bytes.Buffer
		if _, err := Write(&buf, unit, rows, WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		files[name] = buf.Bytes()
	}
	swapped := newInput(100, 10, set)
	swapped.Order[3], swapped.Order[4] = swapped.Order[4], swapped.Order[3]
	add("order", testUnit, swapped)
	pages := newInput(pageRows+10, pageRows, set)
	pages.Order[pageRows-1], pages.Order[pageRows] = pages.Order[pageRows], pages.Order[pageRows-1]
	add("order of pages", testUnit, pages)
	twice := newInput(100, 10, set)
	twice.Order[3] = twice.Order[4]
	add("same row twice", testUnit, twice)
	add("bucket", schemas.Unit{Day: testUnit.Day}, in)
	add("day", testUnit, newInput(3, 10, func(i int, r *schemas.Row) {
		r.SetInt(schemas.EventTime, (testUnit.Day + schemas.Day(i)).Start())
	}))
	add("no line", testUnit, newInput(3, 10, func(i int, r *schemas.Row) { r.Clear(schemas.SourceLine) }))
	noID := newInput(3, 10, set)
	noID.Sources.Set(0, Source{File: "a.jsonl"})
	add("no source id", testUnit, noID)

	var foreign bytes.Buffer
	if err := parquet.Write(&foreign, []struct{ A int }{{1}, {2}}); err != nil {
		t.Fatal(err)
	}
	files["foreign"] = foreign.Bytes()
	for name, data := range files {
		if _, err := verify(data); err == nil {
			t.Errorf("%s: no error", name)
		} else {
			t.Logf("%s: %v", name, err)
		}
	}
}

// Whatever byte of the pages is damaged, reading gives rows or an error, and
// leaks nothing.
func TestReadDamagedByte(t *testing.T) {
	in := newInput(3000, 1000, func(i int, r *schemas.Row) {
		r.SetString(schemas.RequestID, fmt.Sprintf("chatcmpl-%030d", i*7919))
		r.SetString(schemas.Model, fmt.Sprint("m", i%7))
		r.SetDouble(schemas.InputTokens, float64(i%1000))
	})
	good := in.write(t, WriteOptions{})
	first := openTest(t, good).Metadata().RowGroups[0].Columns[0].ColumnIndexOffset
	rng := rand.New(rand.NewPCG(1, 2))
	failed := 0
	for range 500 {
		data := slices.Clone(good)
		at := rng.Int64N(first) // pages and bloom filter
		data[at] ^= byte(1 + rng.IntN(255))
		mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
		batches, err := Read(bytes.NewReader(data), int64(len(data)), schemas.Usage, mem, new(Sources))
		if err != nil {
			failed++
		}
		for _, b := range batches {
			b.Release()
		}
		mem.AssertSize(t, 0)
	}
	// The others are in the bloom filter and in columns that are NULL.
	if failed < 100 {
		t.Errorf("%d of 500 damaged bytes were found", failed)
	}
}

// A footer is read as parquet-go reads it, or not at all.
func TestReadFooter(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, codec := range []string{"zstd", "snappy"} {
		for _, rows := range []int{8, 300, pageRows + 3000} {
			data := motley(rows, 1000).write(t, WriteOptions{Codec: codec})
			size := int64(len(data))
			want, err := layoutOf(schemas.Usage).foreign(bytes.NewReader(data), size)
			if err != nil {
				t.Fatal(err)
			}
			got, err := layoutOf(schemas.Usage).ReadFooter(bytes.NewReader(data), size)
			if err != nil {
				t.Fatal(err)
			}
			for i := range want.Groups { // what all files have in common is not told
				want.Groups[i].SortingColumns = nil
				for c := range want.Groups[i].Columns {
					want.Groups[i].Columns[c].MetaData.PathInSchema = nil
				}
			}
			for i := range want.Pages {
				want.Pages[i].MinValues, want.Pages[i].MaxValues = nil, nil
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(encode.Footer{}), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s, %d rows: %s", codec, rows, diff)
			}
			first := int(want.Groups[0].Columns[0].ColumnIndexOffset)
			for range 300 {
				bad := slices.Clone(data)
				at := first + rng.IntN(len(data)-first)
				bad[at] ^= byte(1 + rng.IntN(255))
				if at >= len(data)-8 { // the length, the magic number
					if _, err := layoutOf(schemas.Usage).ReadFooter(bytes.NewReader(bad), size); !errors.Is(err, encode.ErrFooter) {
						t.Errorf("byte %d: %v", at, err)
					}
					continue
				}
				f, err := layoutOf(schemas.Usage).ReadFooter(bytes.NewReader(bad), size)
				if err != nil {
					continue
				}
				again, err := func() (_ *encode.Footer, err error) {
					defer guard(&err) // parquet-go panics
					return layoutOf(schemas.Usage).foreign(bytes.NewReader(bad), size)
				}()
				if err == nil && (again.Rows != f.Rows || !slices.EqualFunc(again.Offsets, f.Offsets, func(a, b format.OffsetIndex) bool {
					return slices.Equal(a.PageLocations, b.PageLocations)
				})) {
					t.Errorf("byte %d: parquet-go reads something else", at)
				}
			}
			for n := range 50 {
				if _, err := layoutOf(schemas.Usage).ReadFooter(bytes.NewReader(data), size-int64(n)-1); !errors.Is(err, encode.ErrFooter) {
					t.Errorf("%d bytes less: %v", n+1, err)
				}
			}
		}
	}
}
