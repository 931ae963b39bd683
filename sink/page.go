package sink

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

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

// texts are adjoining strings.
type texts struct {
	data    []byte
	offsets []uint32
}

func (t *texts) len() int { return max(len(t.offsets)-1, 0) }

// size is the bytes of the strings [from, to).
func (t *texts) size(from, to int) int {
	if from == to {
		return 0
	}
	return int(t.offsets[to] - t.offsets[from])
}

func (t *texts) at(i int) []byte { return t.data[t.offsets[i]:t.offsets[i+1]] }

// pageReader steps through the pages of a column chunk and holds one of them.
type pageReader struct {
	decoder
	col   schemas.Col
	pages parquet.Pages
	src   parquet.Page // what the values alias
	left  int64        // rows of the pages to come
}

// openPages begins to read a column of a row group.
func openPages(g parquet.RowGroup, c schemas.Col) *pageReader {
	return &pageReader{col: c, pages: g.ColumnChunks()[c].Pages(), left: g.NumRows()}
}

// next reads the next page in place of the last one, io.EOF behind the end.
func (r *pageReader) next() error {
	r.release()
	if r.left == 0 {
		return io.EOF
	}
	src, err := r.pages.ReadPage()
	if err == io.EOF {
		return fmt.Errorf("%d rows are missing", r.left)
	}
	if err != nil {
		return err
	}
	r.src = src
	if n, want := src.NumRows(), min(r.left, int64(pageLen(r.col))); n != want {
		return fmt.Errorf("page of %d rows, want %d", n, want)
	}
	if r.left -= src.NumRows(); r.left == 0 {
		if more, err := r.pages.ReadPage(); err != io.EOF {
			parquet.Release(more)
			return cmp.Or(err, errors.New("a page behind the last row"))
		}
	}
	return r.decode(src, r.col)
}

func (r *pageReader) release() {
	parquet.Release(r.src)
	r.src, r.page = nil, page{}
}

func (r *pageReader) close() (err error) {
	defer guard(&err)
	r.release()
	return r.pages.Close()
}

// eachPage calls fn for every page of a column of a row group.
func eachPage(g parquet.RowGroup, c schemas.Col, fn func(*page) error) (err error) {
	defer nameColumn(&err, c)
	defer guard(&err)
	r := openPages(g, c)
	defer func() { err = cmp.Or(err, r.close()) }()
	for {
		if err := r.next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := fn(&r.page); err != nil {
			return err
		}
	}
}

func nameColumn(err *error, c schemas.Col) {
	if *err != nil {
		*err = fmt.Errorf("%v: %w", c, *err)
	}
}

// decoder turns the pages of one column chunk into plain slices.
type decoder struct {
	page
	dict parquet.Dictionary // what the following come from

	words   *texts
	dictI64 []int64
	dictF64 []float64
	pickI64 []int64 // page.i64 of a page with a dictionary
	pickF64 []float64
}

func (d *decoder) decode(src parquet.Page, c schemas.Col) error {
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
				d.dictF64 = words.Double()
			case schemas.String:
				d.words = new(texts)
				d.words.data, d.words.offsets = words.ByteArray()
			default:
				d.dictI64 = words.Int64()
			}
		}
		index := values.Int32()
		have = len(index)
		switch kind {
		case schemas.Double:
			d.pickF64 = pick(d.pickF64, d.dictF64, index)
			d.f64 = d.pickF64
		case schemas.String:
			d.idx, d.page.dict = index, d.words
			for _, i := range index {
				if i < 0 || int(i) >= d.words.len() {
					return errors.New("index beyond the dictionary")
				}
			}
		default:
			d.pickI64 = pick(d.pickI64, d.dictI64, index)
			d.i64 = d.pickI64
		}
	} else {
		switch kind {
		case schemas.Double:
			d.f64 = values.Double()
			have = len(d.f64)
		case schemas.String:
			d.str.data, d.str.offsets = values.ByteArray()
			have = d.str.len()
		case schemas.Bool:
			d.bits = values.Boolean()
			have = min(8*len(d.bits), d.rows-d.nulls)
		default:
			d.i64 = values.Int64()
			have = len(d.i64)
		}
	}
	if have != d.rows-d.nulls {
		return fmt.Errorf("%d values for %d rows", have, d.rows-d.nulls)
	}
	return nil
}

// pick is the values of dict that index names, in the memory of buf.
func pick[T any](buf, dict []T, index []int32) []T {
	buf = slices.Grow(buf[:0], len(index))[:len(index)]
	for i, k := range index {
		buf[i] = dict[k]
	}
	return buf
}
