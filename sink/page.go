package sink

import (
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"

	"usagelake/schemas"
)

// page holds the values of one page. They are valid until the next page.
type page struct {
	rows  int
	nulls int
	valid []byte // for each row 0 if it is NULL, 1 if not; nil if none is NULL

	// The values of the rows that are not NULL, by the kind of the column.
	i64  []int64
	f64  []float64
	bits []byte // least significant first
	str  texts
	idx  []int32 // strings: into dict, if that is not nil
	dict *texts  // the same for all pages of a chunk that have it
}

// null reports whether a row is NULL.
func (p *page) null(row int) bool { return p.valid != nil && p.valid[row] == 0 }

func (p *page) bool(i int) bool { return p.bits[i>>3]&(1<<(i&7)) != 0 }

// text is the string with number i among those that are not NULL.
func (p *page) text(i int) []byte {
	if p.dict != nil {
		return p.dict.at(int(p.idx[i]))
	}
	return p.str.at(i)
}

// texts are adjoining strings.
type texts struct {
	data    []byte
	offsets []uint32
}

func (t *texts) len() int { return max(len(t.offsets)-1, 0) }

func (t *texts) at(i int) []byte { return t.data[t.offsets[i]:t.offsets[i+1]] }

// eachPage calls fn for every page of a column chunk of rows rows.
func eachPage(chunk parquet.ColumnChunk, c schemas.Col, rows int64, fn func(*page) error) error {
	pages := chunk.Pages()
	defer pages.Close()
	var d decoder
	for {
		src, err := pages.ReadPage()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%v: %w", c, err)
		}
		rows -= src.NumRows()
		if err = d.decode(src, c); err == nil {
			err = fn(&d.page)
		}
		parquet.Release(src)
		if err != nil {
			return fmt.Errorf("%v: %w", c, err)
		}
	}
	if rows != 0 {
		return fmt.Errorf("%v: %d rows are missing", c, rows)
	}
	return nil
}

// decoder turns the pages of one column chunk into plain slices.
type decoder struct {
	page
	dict parquet.Dictionary // what page.dict or the values below come from
	i64  []int64
	f64  []float64
}

func (d *decoder) decode(src parquet.Page, c schemas.Col) error {
	dict := d.page.dict
	d.page = page{rows: int(src.NumRows())}
	if c != schemas.EventTime {
		d.valid = src.DefinitionLevels()
		if len(d.valid) != d.rows {
			return errors.New("levels are missing")
		}
		for _, level := range d.valid {
			if level > 1 {
				return fmt.Errorf("level %d", level)
			}
			d.nulls += int(1 - level)
		}
	}
	var (
		kind   = schemas.Columns[c].Kind
		values = src.Data()
		have   int
	)
	if from := src.Dictionary(); from != nil {
		if from != d.dict {
			d.dict = from
			words := from.Page().Data()
			switch kind {
			case schemas.Double:
				d.f64 = words.Double()
			case schemas.String:
				dict = new(texts)
				dict.data, dict.offsets = words.ByteArray()
			default:
				d.i64 = words.Int64()
			}
		}
		index := values.Int32()
		have = len(index)
		switch kind {
		case schemas.Double:
			d.page.f64 = pick(d.f64, index)
		case schemas.String:
			d.page.idx, d.page.dict = index, dict
			for _, i := range index {
				if i < 0 || int(i) >= dict.len() {
					return errors.New("index beyond the dictionary")
				}
			}
		default:
			d.page.i64 = pick(d.i64, index)
		}
	} else {
		switch kind {
		case schemas.Double:
			d.page.f64 = values.Double()
			have = len(d.page.f64)
		case schemas.String:
			d.page.str.data, d.page.str.offsets = values.ByteArray()
			have = d.page.str.len()
		case schemas.Bool:
			d.page.bits = values.Boolean()
			have = min(8*len(d.page.bits), d.rows-d.nulls)
		default:
			d.page.i64 = values.Int64()
			have = len(d.page.i64)
		}
	}
	if have != d.rows-d.nulls {
		return fmt.Errorf("%d values for %d rows", have, d.rows-d.nulls)
	}
	return nil
}

func pick[T any](dict []T, index []int32) []T {
	out := make([]T, len(index))
	for i, k := range index {
		out[i] = dict[k]
	}
	return out
}
