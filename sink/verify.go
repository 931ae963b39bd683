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

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"usagelake/schemas"
)

// Verify reads a whole file: the footer against the file rules, the unit, the
// order of the rows, every value, the statistics and the bloom filter. It
// returns what the file holds.
func Verify(r io.ReaderAt, size int64, unit schemas.Unit) (facts Facts, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("verify %s: %w", unit.Path(), err)
		}
	}()
	defer guard(&err)
	f, err := open(r, size, parquet.PrefetchBloomFilters(true))
	if err != nil {
		return facts, err
	}
	if p, _ := f.Lookup(keyPartition); p != unit.Path() {
		return facts, fmt.Errorf("is the file %q", p)
	}
	v := verifier{unit: unit}
	v.facts.Rows = f.NumRows()
	for i, g := range f.RowGroups() {
		if err := v.group(g, f, i); err != nil {
			return facts, fmt.Errorf("row group %d: %w", i, err)
		}
	}
	return v.facts, nil
}

type verifier struct {
	unit  schemas.Unit
	facts Facts

	// The sort key of the row group, column by column.
	time, line, row []int64
	file, id        labels
	last            *rowKey // the last row of the row group before
}

func (v *verifier) group(g parquet.RowGroup, f *parquet.File, ordinal int) error {
	v.time, v.line, v.row = v.time[:0], v.line[:0], v.row[:0]
	v.file, v.id = labels{}, labels{}
	meta := &f.Metadata().RowGroups[ordinal]
	for i := range g.ColumnChunks() {
		c := schemas.Col(i)
		pages := f.ColumnIndexes()[ordinal*int(schemas.NumColumns)+i].NullCounts
		if err := v.chunk(g, c, &meta.Columns[i].MetaData, pages); err != nil {
			return err
		}
	}
	return v.order()
}

// chunk checks one column and adds it to the facts.
func (v *verifier) chunk(g parquet.RowGroup, c schemas.Col, meta *format.ColumnMetaData, pageNulls []int64) error {
	var (
		b     bounds
		dict  *texts
		nulls int64
	)
	err := eachPage(g, c, func(p *page) error {
		n := int64(p.nulls)
		if len(pageNulls) == 0 || n != pageNulls[0] {
			return errors.New("NULLs of a page differ from the page index")
		}
		pageNulls = pageNulls[1:]
		nulls += n
		switch schemas.Columns[c].Kind {
		case schemas.Double:
			return v.doubles(p, c, &b)
		case schemas.Bool:
			for i := range p.rows - p.nulls {
				if p.bool(i) {
					b.addInt(1)
				} else {
					b.addInt(0)
				}
			}
			return nil
		case schemas.String:
			if p.dict != nil && p.dict != dict {
				dict = p.dict
				if err := checkTexts(dict, &b); err != nil {
					return err
				}
			}
			return v.strings(p, c, g.ColumnChunks()[c], &b)
		default:
			return v.ints(p, c, &b)
		}
	})
	if err != nil {
		return err
	}
	v.facts.Nulls[c] += nulls
	if s := &meta.Statistics; nulls != s.NullCount || !b.equal(c, s.MinValue, s.MaxValue) {
		return fmt.Errorf("%v: values differ from the statistics", c)
	}
	return nil
}

func (v *verifier) doubles(p *page, c schemas.Col, b *bounds) error {
	for _, x := range p.f64 {
		if !finite(x) || x == 0 && math.Signbit(x) {
			return fmt.Errorf("holds %v", x)
		}
		b.addDouble(x)
		if c.Additive() {
			v.facts.Sums.AddDouble(c, x)
		}
	}
	return nil
}

func (v *verifier) ints(p *page, c schemas.Col, b *bounds) error {
	for _, x := range p.i64 {
		b.addInt(x)
		if c.Additive() {
			v.facts.Sums.AddInt(c, x)
		}
	}
	keep := map[schemas.Col]*[]int64{schemas.EventTime: &v.time, schemas.SourceLine: &v.line, schemas.SourceRow: &v.row}[c]
	if keep == nil {
		return nil
	}
	if p.nulls > 0 {
		return errors.New("is NULL")
	}
	*keep = append(*keep, p.i64...)
	if c == schemas.EventTime {
		for _, us := range p.i64 {
			if schemas.DayOf(us) != v.unit.Day {
				return fmt.Errorf("%d is not on %v", us, v.unit.Day)
			}
			v.facts.addTime(us)
		}
	}
	return nil
}

func (v *verifier) strings(p *page, c schemas.Col, chunk parquet.ColumnChunk, b *bounds) error {
	if err := checkTexts(&p.str, b); err != nil {
		return err
	}
	switch c {
	case schemas.RequestID:
		filter := chunk.BloomFilter()
		for i := range p.str.len() {
			if ok, err := filter.Check(parquet.ByteArrayValue(p.str.at(i))); err != nil || !ok {
				return fmt.Errorf("bloom filter misses a value: %w", cmp.Or(err, errors.New("no bit")))
			}
		}
	case schemas.SourceFile:
		return v.file.add(p)
	case schemas.SourceID:
		return v.id.add(p)
	}
	return nil
}

func checkTexts(t *texts, b *bounds) error {
	if t.len() == 0 {
		return nil
	}
	if !validTexts(t.data[t.offsets[0]:t.offsets[t.len()]], t.offsets) {
		return errors.New("not UTF-8")
	}
	for i := range t.len() {
		b.addText(t.at(i))
	}
	return nil
}

// bounds are the least and greatest value of a column, in the bytes that
// statistics hold.
type bounds struct {
	any        bool
	minI, maxI int64
	minF, maxF float64
	minS, maxS []byte
}

func (b *bounds) addInt(x int64) {
	if !b.any {
		b.any, b.minI, b.maxI = true, x, x
	}
	b.minI, b.maxI = min(b.minI, x), max(b.maxI, x)
}

func (b *bounds) addDouble(x float64) {
	if !b.any {
		b.any, b.minF, b.maxF = true, x, x
	}
	b.minF, b.maxF = min(b.minF, x), max(b.maxF, x)
}

func (b *bounds) addText(x []byte) {
	if !b.any || bytes.Compare(x, b.minS) < 0 {
		b.minS = append(b.minS[:0], x...)
	}
	if !b.any || bytes.Compare(x, b.maxS) > 0 {
		b.maxS = append(b.maxS[:0], x...)
	}
	b.any = true
}

func (b *bounds) equal(c schemas.Col, least, most []byte) bool {
	if !b.any {
		return least == nil && most == nil
	}
	le := binary.LittleEndian
	switch schemas.Columns[c].Kind {
	case schemas.String:
		return bytes.Equal(least, b.minS) && bytes.Equal(most, b.maxS)
	case schemas.Bool:
		return bytes.Equal(least, []byte{byte(b.minI)}) && bytes.Equal(most, []byte{byte(b.maxI)})
	case schemas.Double:
		return bytes.Equal(least, le.AppendUint64(nil, math.Float64bits(b.minF))) &&
			bytes.Equal(most, le.AppendUint64(nil, math.Float64bits(b.maxF)))
	default:
		return bytes.Equal(least, le.AppendUint64(nil, uint64(b.minI))) &&
			bytes.Equal(most, le.AppendUint64(nil, uint64(b.maxI)))
	}
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

func (v *verifier) key(i int) rowKey {
	return rowKey{v.time[i], v.file.at(i), v.line[i], v.row[i], v.id.at(i)}
}

// order checks the order of the row group's rows.
func (v *verifier) order() error {
	if first := v.key(0); v.last != nil && v.last.compare(first) >= 0 {
		return errors.New("first row is not behind the row group before")
	}
	for i := 1; i < len(v.time); i++ {
		if v.time[i] <= v.time[i-1] && v.key(i-1).compare(v.key(i)) >= 0 {
			return fmt.Errorf("row %d is not behind the row before", i)
		}
	}
	if slices.Contains(v.id.names, "") {
		return fmt.Errorf("%v is empty", schemas.SourceID)
	}
	last := v.key(len(v.time) - 1)
	v.last = &last
	return nil
}
