package sink

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"usagelake/schemas"
)

// A day of any size is read in the memory of a few pages.
func TestReadMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes two million rows")
	}
	const n = 2_000_000
	f, err := os.Create(filepath.Join(t.TempDir(), "part"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	some := slim(50_000)
	for len(some.Order) < n { // Write does not look at the order
		some.Order = append(some.Order, some.Order[:min(50_000, n-len(some.Order))]...)
	}
	if _, err := Write(f, testUnit, some, WriteOptions{Jobs: 2}); err != nil {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	runtime.GC()
	runtime.GC() // pools give up what they hold at the second one
	before := heap()
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	rows, err := OpenRows(f, info.Size(), schemas.Usage, mem, new(Sources))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var read, peak int64
	arrays := 0
	for {
		b, err := rows.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		read += int64(b.Len())
		peak = max(peak, heap()-before)
		arrays = max(arrays, mem.CurrentAlloc())
		b.Release()
	}
	t.Logf("%d MB of file: heap of %d MB, of which %d MB in arrays", info.Size()>>20, peak>>20, arrays>>20)
	if read != n {
		t.Errorf("%d rows, want %d", read, n)
	}
	if peak > 100<<20 || arrays > 10<<20 {
		t.Errorf("heap of %d bytes, arrays of %d", peak, arrays)
	}
	mem.AssertSize(t, 0)
	if ids, err := SourceIDs(f, info.Size(), schemas.Usage); err != nil || !slices.Equal(ids, []string{"5eed"}) {
		t.Errorf("source ids %q: %v", ids, err)
	}
}

// someRows have a dictionary that is kept, one that is given up after 32,768
// rows, plain texts, NULLs, and a column that is NULL in the first batch.
func someRows(n int) *input {
	long := strings.Repeat("x", 80)
	return newInput(n, 10_000, func(i int, r *schemas.Row) {
		r.SetString(schemas.Model, fmt.Sprint("m", i%7))
		r.SetString(schemas.SessionID, fmt.Sprint(long, i))
		if i%3 > 0 {
			r.SetString(schemas.RequestID, fmt.Sprint("id-", i))
			r.SetDouble(schemas.InputTokens, float64(i%1000))
			r.SetInt(schemas.IsBatch, int64(i%2))
		}
		if i >= batchRows {
			r.SetInt(schemas.ImageCount, 1)
		}
	})
}

func TestReadBatches(t *testing.T) {
	data := someRows(40_000).write(t, WriteOptions{})
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	batches, err := Read(bytes.NewReader(data), int64(len(data)), schemas.Usage, mem, new(Sources))
	if err != nil {
		t.Fatal(err)
	}
	var lens []int
	dicts := map[schemas.Col][]any{}
	for _, b := range batches {
		lens = append(lens, b.Len())
		for _, c := range []schemas.Col{schemas.Model, schemas.SessionID} {
			dicts[c] = append(dicts[c], b.Cols[c].(*array.Dictionary).Data().Dictionary())
		}
	}
	if diff := cmp.Diff([]int{batchRows, batchRows, 40_000 - 2*batchRows}, lens); diff != "" {
		t.Errorf("rows of batches: %s", diff)
	}
	if m := dicts[schemas.Model]; m[0] != m[1] || m[1] != m[2] {
		t.Error("the batches do not share a dictionary")
	}
	if s := dicts[schemas.SessionID]; s[0] != s[1] || s[1] == s[2] {
		t.Error("a batch shares the dictionary that was given up, or others do not")
	}
	if b := batches; b[0].Cols[schemas.ImageCount] != nil || b[1].Cols[schemas.ImageCount] == nil {
		t.Error("a column is there where it is NULL, or is not where it has values")
	}
	for _, b := range batches {
		b.Release()
	}
	mem.AssertSize(t, 0)
}

// Batches of constant pages share arrays, but only where they hold the same.
func TestReadConstantPages(t *testing.T) {
	in := newInput(3*pageRows+100, pageRows, func(i int, r *schemas.Row) {
		r.SetString(schemas.Model, []string{"a", "b", "a", "a"}[i/pageRows])
		r.SetDouble(schemas.InputTokens, []float64{0, 7, 7, 7}[i/pageRows])
		if i < 2*pageRows {
			r.SetInt(schemas.CostUSD, 5)
		}
		r.SetInt(schemas.SourceRow, 0)
	})
	data := in.write(t, WriteOptions{})
	in.compareRead(t, data, 1)
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	batches, err := Read(bytes.NewReader(data), int64(len(data)), schemas.Usage, mem, new(Sources), schemas.Model)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if batches[2*i].Cols[schemas.Model].Data() != batches[2*i+1].Cols[schemas.Model].Data() {
			t.Errorf("the batches of page %d do not share an array", i)
		}
	}
	for _, b := range batches {
		b.Release()
	}
	mem.AssertSize(t, 0)
}

// Reading may end anywhere; batches outlive it.
func TestReadEnds(t *testing.T) {
	in := someRows(40_000)
	data := in.write(t, WriteOptions{})
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	for stop := range 5 {
		var sources Sources
		rows, err := OpenRows(bytes.NewReader(data), int64(len(data)), schemas.Usage, mem, &sources)
		if err != nil {
			t.Fatal(err)
		}
		var last *schemas.Batch
		n := 0
		for range stop {
			b, err := rows.Next()
			if err == io.EOF {
				if _, err := rows.Next(); err != io.EOF {
					t.Errorf("behind the end: %v", err)
				}
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if last != nil {
				last.Release()
			}
			last = b
			n += b.Len()
		}
		for range 2 {
			if err := rows.Close(); err != nil {
				t.Error(err)
			}
		}
		if b, err := rows.Next(); b != nil || err == nil || err == io.EOF {
			t.Errorf("after Close: %v", err)
		}
		assertClosed(t, rows)
		if last == nil {
			continue
		}
		var got schemas.Row
		last.Row(last.Len()-1, &got)
		if diff := diffRows(in.Sources, in.row(n-1), &sources, &got); diff != "" {
			t.Errorf("row %d: %s", n-1, diff)
		}
		last.Release()
	}
	mem.AssertSize(t, 0)
}

func assertClosed(t *testing.T, r *RowReader) {
	t.Helper()
	if len(r.columns) > 0 || r.source.file.pages != nil || r.source.id.pages != nil {
		t.Error("pages are open")
	}
}

// badReader fails at the n-th read.
type badReader struct {
	io.ReaderAt
	n    int
	fail func() error
}

func (r *badReader) ReadAt(p []byte, off int64) (int, error) {
	if r.n--; r.n < 0 {
		return 0, r.fail()
	}
	return r.ReaderAt.ReadAt(p, off)
}

// A failure of any read comes out as an error, nothing else, and leaks nothing.
func TestReadFails(t *testing.T) {
	data := someRows(batchRows+10).write(t, WriteOptions{})
	step := 1
	if testing.Short() {
		step = 5
	}
	for name, fail := range map[string]func() error{
		"error": func() error { return io.ErrNoProgress },
		"panic": func() error { panic(io.ErrNoProgress) },
		"EOF":   func() error { return io.EOF },
	} {
		mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
		reads := 0
		for ; ; reads += step {
			r := &badReader{bytes.NewReader(data), reads, fail}
			_, err := SourceIDs(r, int64(len(data)), schemas.Usage)
			if failed := r.n < 0; failed != (err != nil) {
				t.Errorf("%s of read %d: SourceIDs: %v", name, reads, err)
			} else if !failed {
				break
			}
		}
		for reads = 0; ; reads += step {
			r := &badReader{bytes.NewReader(data), reads, fail}
			_, err := Verify(r, int64(len(data)), testUnit, 1)
			if failed := r.n < 0; failed != (err != nil) {
				t.Errorf("%s of read %d: Verify: %v", name, reads, err)
			} else if !failed {
				break
			}
		}
		for reads = 0; ; reads += step {
			r := &badReader{bytes.NewReader(data), reads, fail}
			rows, err := OpenRows(r, int64(len(data)), schemas.Usage, mem, new(Sources))
			opened := err == nil
			for err == nil {
				var b *schemas.Batch
				if b, err = rows.Next(); err == nil {
					b.Release()
				}
			}
			if r.n >= 0 {
				if err != io.EOF {
					t.Errorf("%s: %v", name, err)
				}
				break
			}
			if err == io.EOF || !strings.HasPrefix(err.Error(), "read: ") {
				t.Errorf("%s of read %d: %v", name, reads, err)
			}
			if !opened {
				continue
			}
			text, _ := strings.CutPrefix(err.Error(), "read: row group 0: ")
			column, _, _ := strings.Cut(text, ":")
			if _, ok := schemas.Lookup(column); !ok {
				t.Errorf("%s of read %d: names no column: %v", name, reads, err)
			}
			if _, again := rows.Next(); !errors.Is(again, err) {
				t.Errorf("%s of read %d: %v, then %v", name, reads, err, again)
			}
			assertClosed(t, rows)
			rows.Close()
		}
		if reads < 10 {
			t.Errorf("%s: only %d reads", name, reads)
		}
		mem.AssertSize(t, 0)
	}
}

// A damaged page is an error that names the column, and none for those who do
// not read the column.
func TestReadDamagedColumn(t *testing.T) {
	good := someRows(40_000).write(t, WriteOptions{})
	group := openTest(t, good).Metadata().RowGroups[0]
	mem := memory.NewCheckedAllocator(memory.DefaultAllocator)
	read := func(data []byte, cols ...schemas.Col) error {
		batches, err := Read(bytes.NewReader(data), int64(len(data)), schemas.Usage, mem, new(Sources), cols...)
		for _, b := range batches {
			b.Release()
		}
		return err
	}
	for i, chunk := range group.Columns {
		c, md := schemas.Col(i), chunk.MetaData
		if md.Statistics.NullCount == md.NumValues {
			continue
		}
		data := slices.Clone(good)
		first := md.DataPageOffset
		if md.DictionaryPageOffset > 0 {
			first = md.DictionaryPageOffset
		}
		data[first+md.TotalCompressedSize-1] ^= 0x55 // in the last page
		if err := read(data); err == nil || !strings.Contains(err.Error(), c.String()+": ") {
			t.Errorf("%v: %v", c, err)
		}
		if c == schemas.SourceFile || c == schemas.SourceID {
			continue
		}
		if err := read(data, c); err == nil {
			t.Errorf("%v alone: no error", c)
		}
		other := schemas.SourceLine
		if c == other {
			other = schemas.SourceRow
		}
		if err := read(data, other); err != nil {
			t.Errorf("%v is damaged: %v", c, err)
		}
	}
	mem.AssertSize(t, 0)
}

func TestSourceIDs(t *testing.T) {
	for name, tt := range map[string]struct{ rows, sources int }{
		"one":             {10, 1},
		"dictionary":      {70_000, 1000},
		"dictionary lost": {70_000, 70_000},
	} {
		t.Run(name, func(t *testing.T) {
			var want []string
			in := newInput(tt.rows, 16_384, func(i int, r *schemas.Row) { r.Source = int32(i % tt.sources) })
			in.Sources = new(Sources)
			for i := range tt.sources {
				id := fmt.Sprintf("%032x", i*7919%tt.sources)
				in.Sources.Intern(Source{"a", id})
				want = append(want, id)
			}
			data := in.write(t, WriteOptions{})
			got, err := SourceIDs(bytes.NewReader(data), int64(len(data)), schemas.Usage)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if _, err := SourceIDs(bytes.NewReader(data[:100]), 100, schemas.Usage); err == nil {
				t.Error("half a file: no error")
			}
		})
	}
}
