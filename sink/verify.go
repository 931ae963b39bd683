package sink

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"usagelake/schemas"
	"usagelake/sink/encode"
)

// Verify reads a whole file: the footer against the file rules, the unit, the
// order of the rows and every value. All that is no page, which is the bounds,
// the page index, the bloom filter and the footer, must be byte by byte what
// the pages make. It returns what the file holds. jobs is how many columns are
// read at a time, each from a goroutine of its own.
func Verify(r io.ReaderAt, size int64, unit schemas.Unit, jobs int) (facts Facts, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("verify %s: %w", unit.Path(), err)
		}
	}()
	defer guard(&err)
	f, err := open(r, size, unit.Table)
	if err != nil {
		return facts, err
	}
	defer f.layout.Free(f.Footer)
	if p := key(f.Footer, keyPartition); p != unit.File() {
		return facts, fmt.Errorf("is the file %q", p)
	}
	groups := f.Groups
	v := verifier{unit: unit, file: f, jobs: jobs}
	v.again = f.layout.Follow(r, size, codecOf(groups[0].Columns[0].MetaData.Codec))
	v.facts.Rows = f.Rows
	for i := range groups {
		if err := v.group(i); err != nil {
			return facts, fmt.Errorf("row group %d: %w", i, err)
		}
	}
	if err := v.again.Close(fileKeys(unit, v.facts.Rows)); err != nil {
		return facts, fmt.Errorf("footer: %w", err)
	}
	return v.facts, nil
}

type verifier struct {
	unit  schemas.Unit
	file  *file
	again *encode.File // made of the pages
	jobs  int
	facts Facts
	last  *rowKey // the last row of the row group before
}

// group checks a row group. Its columns do not touch each other, but for those
// of the sort key, which are one piece of work. Of several errors it returns
// that of the first piece.
func (v *verifier) group(ordinal int) error {
	pieces := []func(*nullPage) error{func(*nullPage) error { return v.keys(ordinal) }}
	for _, c := range v.file.layout.columns {
		if !slices.Contains(sortKey[:], c) {
			pieces = append(pieces, func(nulls *nullPage) error { return v.column(ordinal, c, nulls) })
		}
	}
	var (
		next   atomic.Int32
		failed atomic.Bool
		wg     sync.WaitGroup
		errs   = make([]error, len(pieces))
	)
	work := func() {
		nulls := nullMemory.Get().(*nullPage)
		defer nullMemory.Put(nulls)
		for !failed.Load() {
			i := int(next.Add(1)) - 1
			if i >= len(pieces) {
				return
			}
			func() {
				defer guard(&errs[i])
				errs[i] = pieces[i](nulls)
			}()
			if errs[i] != nil {
				failed.Store(true)
			}
		}
	}
	for range v.jobs - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	if err := cmp.Or(errs...); err != nil {
		return err
	}
	return v.again.EndGroup()
}

// column checks one column.
func (v *verifier) column(group int, c schemas.Col, nulls *nullPage) (err error) {
	defer nameColumn(&err, c)
	if again, err := v.null(group, c, nulls); again || err != nil {
		return err
	}
	k := v.open(group, c)
	defer k.close()
	for err == nil {
		err = k.next()
	}
	if err != io.EOF {
		return err
	}
	if k.pages == 1 && k.words == nil && k.header.Nulls == k.header.Values {
		at := v.file.pages(group, c)[0]
		b, err := k.bytes(at.Offset, int64(at.CompressedPageSize))
		if err != nil {
			return err
		}
		nulls.codec, nulls.header, nulls.size = k.meta.Codec, k.header, k.headerSize
		nulls.bytes = append(nulls.bytes[:0], b...)
	}
	return nil
}

// nullPage is a page of NULLs that was checked, the only one of its column. In
// a small file most columns have it.
type nullPage struct {
	codec  format.CompressionCodec
	header encode.Header
	size   int    // bytes of the header
	bytes  []byte // none: there is none
	buf    []byte
}

var nullMemory = sync.Pool{New: func() any { return new(nullPage) }}

// null checks a column that has the very page of nulls, and reports whether it
// is one.
func (v *verifier) null(group int, c schemas.Col, nulls *nullPage) (bool, error) {
	meta := v.file.chunk(group, c)
	pages := v.file.pages(group, c)
	if len(pages) != 1 || int(pages[0].CompressedPageSize) != len(nulls.bytes) || meta.DictionaryPageOffset > 0 ||
		meta.NumValues != int64(nulls.header.Values) || meta.Codec != nulls.codec {
		return false, nil
	}
	nulls.buf = slices.Grow(nulls.buf[:0], len(nulls.bytes))[:len(nulls.bytes)]
	if n, err := v.file.r.ReadAt(nulls.buf, pages[0].Offset); n < len(nulls.buf) {
		return false, cmp.Or(err, io.ErrUnexpectedEOF)
	}
	if !bytes.Equal(nulls.buf, nulls.bytes) {
		return false, nil
	}
	v.facts.Nulls[c] += int64(nulls.header.Nulls)
	v.again.Column(v.file.layout.numbers[c]).Page(&nulls.header, nulls.size, parquet.Value{}, parquet.Value{})
	return true, nil
}

// checker goes through a column, checks its values and adds it to the facts.
type checker struct {
	*pageReader
	facts *Facts
	again *encode.Column
	pages int32
	*checkerMemory
}

type checkerMemory struct {
	whole  []int32 // what the words of dict are, if all are small whole numbers
	seen   []int32 // in which page, counted from 1, a word was seen last
	hashes []uint64
}

var checkerMemories = sync.Pool{New: func() any { return new(checkerMemory) }}

func (v *verifier) open(group int, c schemas.Col) *checker {
	return &checker{
		pageReader: openPages(v.file, group, c), facts: &v.facts, again: v.again.Column(v.file.layout.numbers[c]),
		checkerMemory: checkerMemories.Get().(*checkerMemory),
	}
}

func (k *checker) close() {
	k.pageReader.close()
	checkerMemories.Put(k.checkerMemory)
	k.checkerMemory = nil
}

// next checks the next page, io.EOF behind the end.
func (k *checker) next() (err error) {
	if err := k.pageReader.next(); err != nil {
		return err
	}
	if k.pages++; k.pages == 1 && k.words != nil {
		if err := k.checkWords(); err != nil {
			return fmt.Errorf("dictionary: %w", err)
		}
		k.again.Dictionary(&k.words.header, k.words.headerSize)
	}
	var lo, hi parquet.Value
	if k.values() > 0 {
		switch schemas.Columns[k.col].Kind {
		case schemas.Double:
			lo, hi, err = k.checkDoubles()
		case schemas.Bool:
			lo, hi = k.flags()
		case schemas.String:
			lo, hi, err = k.strings()
		default:
			lo, hi = k.ints()
		}
	}
	k.facts.Nulls[k.col] += int64(k.nulls)
	k.again.Page(&k.header, k.headerSize, lo, hi)
	return err
}

// small bounds whole numbers that are added up as such: 2^15 of them, each
// below 2^28, times 10^6, the unit of a sum, are below 2^63.
const small = 1 << 28

// checkWords checks the words of the dictionary and prepares for their use.
func (k *checker) checkWords() error {
	d := k.words
	switch schemas.Columns[k.col].Kind {
	case schemas.Double:
		k.whole = wholes(k.whole, d.f64, func(n int32, x float64) bool {
			return math.Float64bits(float64(n)) == math.Float64bits(x) // -0 is not 0
		})
	case schemas.String:
		k.seen = slices.Grow(k.seen[:0], d.n)[:d.n]
		clear(k.seen)
		if !d.str.valid() {
			return errText
		}
	default:
		k.whole = wholes(k.whole, d.i64, func(n int32, x int64) bool { return int64(n) == x })
	}
	return nil
}

// wholes is words as small whole numbers, nothing if one is none.
func wholes[T int64 | float64](buf []int32, words []T, same func(int32, T) bool) []int32 {
	buf = buf[:0]
	for _, x := range words {
		n := int32(x)
		if uint32(n) >= small || !same(n, x) {
			return buf[:0]
		}
		buf = append(buf, n)
	}
	return buf
}

// wholeSum adds up a page of words that are small whole numbers.
func (k *checker) wholeSum() (least, most, sum int64) {
	if k.same {
		x := int64(k.whole[k.idx[0]])
		return x, x, x * int64(k.values())
	}
	lo, hi := int32(math.MaxInt32), int32(0)
	for _, i := range k.idx {
		x := k.whole[i]
		sum += int64(x)
		lo, hi = min(lo, x), max(hi, x)
	}
	return int64(lo), int64(hi), sum
}

// add adds what is n times a unit of the column's sum.
func (k *checker) add(n int64) {
	k.facts.Sums.Plus(k.col, schemas.AmountOf(n))
}

func (k *checker) checkDoubles() (least, most parquet.Value, err error) {
	additive := k.col.Additive()
	if k.dict != nil && len(k.whole) > 0 {
		lo, hi, sum := k.wholeSum()
		if additive {
			k.add(sum * 1e6)
		}
		return parquet.DoubleValue(float64(lo)), parquet.DoubleValue(float64(hi)), nil
	}
	values := k.f64
	if k.dict != nil {
		values = pick(k, &k.mem.f64, k.dict.f64)
	}
	lo, hi := values[0], values[0]
	var sum int64 // of small whole numbers
	for _, x := range values {
		if x < lo {
			lo = x
		}
		if x > hi {
			hi = x
		}
		if n := int32(x); uint32(n) < small && math.Float64bits(float64(n)) == math.Float64bits(x) {
			sum += int64(n)
			continue
		}
		if !finite(x) || x == 0 { // 0 is whole, so this one is -0
			return least, most, fmt.Errorf("holds %v", x)
		}
		if additive {
			k.facts.Sums.AddDouble(k.col, x)
		}
	}
	if additive {
		k.add(sum * 1e6)
	}
	return parquet.DoubleValue(lo), parquet.DoubleValue(hi), nil
}

func (k *checker) ints() (least, most parquet.Value) {
	var lo, hi, sum int64
	values := k.i64
	switch {
	case k.dict != nil && len(k.whole) > 0:
		lo, hi, sum = k.wholeSum()
	default:
		if k.dict != nil {
			values = pick(k, &k.mem.i64, k.dict.i64)
		}
		lo, hi = values[0], values[0]
		for _, x := range values {
			sum += x
			lo, hi = min(lo, x), max(hi, x)
		}
	}
	if k.col.Additive() {
		unit, bound := int64(1), int64(math.MaxInt64/pageRows)
		if schemas.Columns[k.col].Kind == schemas.Int {
			unit, bound = 1e6, small
		}
		if -bound < lo && hi < bound {
			k.add(sum * unit)
		} else {
			for _, x := range values {
				k.facts.Sums.AddInt(k.col, x)
			}
		}
	}
	return parquet.Int64Value(lo), parquet.Int64Value(hi)
}

// pick is the values of a page with a dictionary of words, in the memory of buf.
func pick[T any](k *checker, buf *[]T, words []T) []T {
	out := slices.Grow((*buf)[:0], k.values())[:k.values()]
	for i := range out {
		out[i] = words[k.number(i)]
	}
	*buf = out
	return out
}

// flags are the bounds of a page of booleans.
func (k *checker) flags() (least, most parquet.Value) {
	n, some := k.values(), 0
	for i := range n {
		if bit(k.bits, i) {
			some++
		}
	}
	return parquet.BooleanValue(some == n), parquet.BooleanValue(some > 0)
}

var errText = errors.New("not UTF-8")

func (k *checker) strings() (least, most parquet.Value, err error) {
	var lo, hi []byte
	if k.dict == nil {
		if !k.str.valid() {
			return least, most, errText
		}
		lo, hi = k.str.bounds()
		if k.col == schemas.RequestID {
			k.hashes = k.hashes[:0]
			for i := range k.str.len() {
				k.hashes = append(k.hashes, encode.Hash(k.str.at(i)))
			}
			k.again.Hashes(k.hashes)
		}
	} else {
		lo, hi = k.wordBounds()
	}
	return parquet.ByteArrayValue(lo), parquet.ByteArrayValue(hi), nil
}

// wordBounds are the bounds of a page with a dictionary.
func (k *checker) wordBounds() (lo, hi []byte) {
	lo = k.dict.str.at(int(k.idx[0]))
	hi = lo
	for _, i := range k.idx {
		if k.seen[i] == k.pages {
			continue
		}
		k.seen[i] = k.pages
		s := k.dict.str.at(int(i))
		if bytes.Compare(s, lo) < 0 {
			lo = s
		} else if bytes.Compare(s, hi) > 0 {
			hi = s
		}
	}
	return lo, hi
}

// valid reports whether all strings are UTF-8. Where all bytes are ASCII, with
// the lengths between them, nothing needs to be looked at one by one.
func (t *texts) valid() bool {
	var or uint64
	b := t.data
	for ; len(b) >= 32; b = b[32:] {
		or |= binary.LittleEndian.Uint64(b) | binary.LittleEndian.Uint64(b[8:]) |
			binary.LittleEndian.Uint64(b[16:]) | binary.LittleEndian.Uint64(b[24:])
	}
	for _, c := range b {
		or |= uint64(c)
	}
	if or&0x8080808080808080 == 0 {
		return true
	}
	for i := range t.len() {
		if !utf8.Valid(t.at(i)) {
			return false
		}
	}
	return true
}

// bounds are the least and the greatest string, of which there is one at least.
func (t *texts) bounds() (lo, hi []byte) {
	lo = t.at(0)
	hi = lo
	from, to := encode.Lead(lo), encode.Lead(hi)
	for i := range t.len() {
		s := t.at(i)
		x := encode.Lead(s)
		if x <= from && bytes.Compare(s, lo) < 0 {
			lo, from = s, x
		} else if x >= to && bytes.Compare(s, hi) > 0 {
			hi, to = s, x
		}
	}
	return lo, hi
}

// rowKey is the sort key of a row.
type rowKey struct {
	time      int64
	file      string
	line, row int64
	id        string
}

func (p rowKey) compare(q rowKey) int {
	return cmp.Or(
		cmp.Compare(p.time, q.time),
		cmp.Compare(p.file, q.file),
		cmp.Compare(p.line, q.line),
		cmp.Compare(p.row, q.row),
		cmp.Compare(p.id, q.id),
	)
}

// keys checks the columns of the sort key, page by page side by side.
func (v *verifier) keys(group int) (err error) {
	var (
		columns  [len(sortKey)]*checker
		file, id labels
	)
	for i, c := range sortKey {
		columns[i] = v.open(group, c)
		defer columns[i].close()
	}
	for from := 0; ; from += pageRows {
		for _, k := range columns {
			if err := k.next(); err == io.EOF {
				return nil // of all: their pages have as many rows
			} else if err != nil {
				return fmt.Errorf("%v: %w", k.col, err)
			}
			if k.nulls > 0 {
				return fmt.Errorf("%v: is NULL", k.col)
			}
		}
		file.idx, id.idx = file.idx[:0], id.idx[:0]
		if err := errors.Join(file.add(&columns[1].page), id.add(&columns[4].page)); err != nil {
			return err
		}
		if slices.Contains(id.names, "") {
			return fmt.Errorf("%v is empty", schemas.SourceID)
		}
		p := keyPage{columns[0].i64, columns[2].i64, columns[3].i64, &file, &id}
		if row := p.unsorted(v.last); row >= 0 {
			return fmt.Errorf("row %d is not behind the row before", from+row)
		}
		last := p.key(len(p.time) - 1)
		v.last = &last
		for _, us := range []int64{p.time[0], last.time} {
			if schemas.DayOf(us) != v.unit.Day {
				return fmt.Errorf("%d is not on %v", us, v.unit.Day)
			}
			v.facts.addTime(us)
		}
	}
}

// keyPage is a page of each column of the sort key.
type keyPage struct {
	time, line, row []int64
	file, id        *labels
}

func (p *keyPage) key(i int) rowKey {
	return rowKey{p.time[i], p.file.at(i), p.line[i], p.row[i], p.id.at(i)}
}

// unsorted is the first row that is not behind the row before, which for the
// first one is last, if there is one. It is -1 if there is none.
func (p *keyPage) unsorted(last *rowKey) int {
	if last != nil && last.compare(p.key(0)) >= 0 {
		return 0
	}
	file := p.file.idx
	for i := 1; i < len(p.time); i++ {
		if p.time[i] > p.time[i-1] ||
			p.time[i] == p.time[i-1] && file[i] == file[i-1] && p.line[i] > p.line[i-1] {
			continue
		}
		if last := p.key(i - 1); last.compare(p.key(i)) >= 0 {
			return i
		}
	}
	return -1
}
