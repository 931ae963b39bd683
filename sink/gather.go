package sink

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"usagelake/schemas"
	"usagelake/sink/encode"
)

// chunk is the rows of one call of Write.
type chunk struct {
	Rows
	used []int32  // the batches that Order refers to
	memo []*memos // by batch
}

// memos is what is kept of a batch from call to call, by column.
type memos [schemas.NumColumns]*memo

// memo is what is kept of the texts of one or more arrays. They were found to
// be UTF-8.
type memo struct {
	dict arrow.ArrayData
	// codes are the numbers in the file's dictionary by those in dict, -1
	// where they are not known. They hold for one row group.
	codes []int32
	group int
}

// in is m ready for a row group and n texts.
func (m *memo) in(group, n int) *memo {
	if m.group != group {
		m.group, m.codes = group, m.codes[:0]
	}
	for len(m.codes) < n {
		m.codes = append(m.codes, -1)
	}
	return m
}

// chunk looks through the rows of a call and drops what is kept of batches
// that are not among them.
func (w *Writer) chunk(rows Rows) (*chunk, error) {
	c := &chunk{Rows: rows, memo: make([]*memos, len(rows.Batches))}
	batches := make(map[*schemas.Batch]*memos, len(rows.Batches))
	for i, b := range rows.Batches {
		m := w.batches[b]
		if m == nil {
			m = new(memos)
		}
		batches[b], c.memo[i] = m, m
	}
	w.batches = batches
	seen := make([]bool, len(rows.Batches))
	for _, ref := range rows.Order {
		if !seen[ref.Batch] {
			seen[ref.Batch] = true
			c.used = append(c.used, ref.Batch)
		}
	}
	slices.Sort(c.used)
	return c, nil
}

// job is the memory for the work on one column of a chunk.
type job struct {
	buf    encode.Buffers
	parts  []part // by batch
	levels []byte
	words  []uint64
	index  []int32
	texts  [][]byte
}

var jobs = sync.Pool{New: func() any {
	return &job{
		levels: make([]byte, ChunkRows),
		words:  make([]uint64, ChunkRows),
		index:  make([]int32, ChunkRows),
		texts:  make([][]byte, ChunkRows),
	}
}}

// part is one batch's array of a column. The zero part is all NULL.
type part struct {
	some  bool
	valid []byte // bitmap; nil if none is NULL
	off   int32  // of valid and bits

	words []uint64 // values of 8 bytes
	bits  []byte   // of flags
	index []int32  // of texts with a dictionary
	text  words
	memo  *memo
}

// words are the texts of an array, or of the sources.
type words struct {
	data    []byte
	offsets []int32
	source  func(int32) string
}

func (p *part) null(row int32) bool { return !p.some || p.valid != nil && !bit(p.valid, row+p.off) }

func bit(b []byte, i int32) bool { return b[i>>3]&(1<<(i&7)) != 0 }

// none is an empty text, where nil is NULL.
var none = []byte{}

func (t *words) at(i int32) ([]byte, error) {
	if t.source != nil {
		s := t.source(i)
		if !utf8.ValidString(s) {
			return nil, fmt.Errorf("source %q: not UTF-8", s)
		}
		return append(none, s...), nil
	}
	from, to := t.offsets[i]-t.offsets[0], t.offsets[i+1]-t.offsets[0]
	if from == to {
		return none, nil
	}
	return t.data[from:to], nil
}

// load takes the arrays of column c apart and reports whether any has a value.
func (j *job) load(w *Writer, c *chunk, col schemas.Col) (some bool, err error) {
	j.parts = slices.Grow(j.parts[:0], len(c.Batches))[:len(c.Batches)]
	var last *memo
	for _, i := range c.used {
		p := &j.parts[i]
		*p = part{some: true}
		b := c.Batches[i]
		switch col {
		case schemas.SourceFile:
			p.index, p.memo = b.Source.Int32Values(), &w.bySource[0]
			p.text.source = func(i int32) string { return w.sources.At(i).File }
		case schemas.SourceID:
			p.index, p.memo = b.Source.Int32Values(), &w.bySource[1]
			p.text.source = func(i int32) string { return w.sources.At(i).ID }
		default:
			if a := b.Cols[col]; a == nil {
				p.some = false
			} else if last, err = p.load(a, &c.memo[i][col], last); err != nil {
				return false, err
			}
		}
		if p.some && p.index != nil {
			n := len(p.text.offsets) - 1
			if p.text.source != nil {
				n = int(slices.Max(p.index)) + 1
			}
			p.memo.in(w.group, n)
		}
		some = some || p.some
	}
	return some, nil
}

// load takes an array apart. kept is the batch's memo of it; last is the memo
// of the batch before.
func (p *part) load(a arrow.Array, kept **memo, last *memo) (*memo, error) {
	if a.NullN() > 0 {
		p.valid, p.off = a.NullBitmapBytes(), int32(a.Data().Offset())
	}
	switch a := a.(type) {
	case *array.Float64:
		p.words = arrow.Uint64Traits.CastFromBytes(arrow.Float64Traits.CastToBytes(a.Float64Values()))
	case *array.Int64:
		p.words = arrow.Uint64Traits.CastFromBytes(arrow.Int64Traits.CastToBytes(a.Int64Values()))
	case *array.Timestamp:
		p.words = arrow.Uint64Traits.CastFromBytes(arrow.TimestampTraits.CastToBytes(a.TimestampValues()))
	case *array.Boolean:
		p.bits, p.off = a.Data().Buffers()[1].Bytes(), int32(a.Data().Offset())
	case *array.String:
		p.text = words{data: a.ValueBytes(), offsets: a.ValueOffsets()}
		if *kept == nil {
			*kept = new(memo)
			return *kept, p.text.check()
		}
	case *array.Dictionary:
		dict := a.Dictionary().(*array.String)
		p.index = a.Indices().(*array.Int32).Int32Values()
		p.text = words{data: dict.ValueBytes(), offsets: dict.ValueOffsets()}
		switch data := a.Data().Dictionary(); {
		case *kept != nil:
		case last != nil && last.dict == data: // batches of one row group share it
			*kept = last
		default:
			*kept = &memo{dict: data}
			if err := p.text.check(); err != nil {
				return nil, err
			}
		}
		p.memo = *kept
	}
	return *kept, nil
}

func (t *words) check() error {
	if !validTexts(t.data, t.offsets) {
		return errors.New("not UTF-8")
	}
	return nil
}

// column encodes a column of the chunk and adds it to the facts. It touches
// only what belongs to col.
func (j *job) column(w *Writer, c *chunk, col schemas.Col) error {
	defer func() { // nothing of the batches is kept
		clear(j.parts)
		clear(j.texts)
	}()
	some, err := j.load(w, c, col)
	if err != nil {
		return err
	}
	out := w.file.Column(int(col))
	for lo := 0; lo < len(c.Order); lo += pageLen(col) {
		p := rowsOf{order: c.Order[lo:min(lo+pageLen(col), len(c.Order))]}
		if col == schemas.QualityFlags && len(c.Flags) > 0 {
			p.flags = func(i int) (string, bool) { f, ok := c.Flags[lo+i]; return f, ok }
		}
		nulls := len(p.order)
		switch kind := schemas.Columns[col].Kind; {
		case !some && p.flags == nil:
			err = out.Nulls(&j.buf, len(p.order))
		case kind == schemas.String && out.Dict():
			nulls, err = j.addCodes(out, p)
		case kind == schemas.String:
			nulls, err = j.addTexts(out, p)
		default:
			nulls, err = j.addWords(out, p.order, col, &w.facts)
		}
		if err != nil {
			return err
		}
		if nulls > 0 && col == schemas.EventTime {
			return errors.New("is NULL")
		}
		w.facts.Nulls[col] += int64(nulls)
	}
	return nil
}

// rowsOf is the rows of a page.
type rowsOf struct {
	order []Ref
	flags func(i int) (string, bool) // changed quality_flags
}

// addCodes adds a page of texts by their numbers in the file's dictionary.
func (j *job) addCodes(out *encode.Column, p rowsOf) (nulls int, err error) {
	index := j.index[:len(p.order)]
	for i, ref := range p.order {
		if p.flags != nil {
			if f, ok := p.flags(i); ok {
				index[i] = -1
				if f != "" {
					if !utf8.ValidString(f) {
						return 0, errors.New("not UTF-8")
					}
					index[i] = out.Index([]byte(f))
				} else {
					nulls++
				}
				continue
			}
		}
		part := &j.parts[ref.Batch]
		if part.null(ref.Row) {
			index[i] = -1
			nulls++
			continue
		}
		k := part.index[ref.Row]
		code := part.memo.codes[k]
		if code < 0 {
			text, err := part.text.at(k)
			if err != nil {
				return 0, err
			}
			code = out.Index(text)
			part.memo.codes[k] = code
		}
		index[i] = code
	}
	if nulls == 0 {
		return 0, out.Indices(&j.buf, nil, index)
	}
	n := 0
	for i, code := range index {
		j.levels[i] = 0
		if code >= 0 {
			j.levels[i] = 1
			index[n] = code
			n++
		}
	}
	return nulls, out.Indices(&j.buf, j.levels[:len(p.order)], index[:n])
}

// addTexts adds a page of texts as they are.
func (j *job) addTexts(out *encode.Column, p rowsOf) (nulls int, err error) {
	n := 0
	for i, ref := range p.order {
		var text []byte
		part := &j.parts[ref.Batch]
		changed := false
		if p.flags != nil {
			var f string
			if f, changed = p.flags(i); changed && f != "" {
				if !utf8.ValidString(f) {
					return 0, errors.New("not UTF-8")
				}
				text = []byte(f)
			}
		}
		if !changed && !part.null(ref.Row) {
			k := ref.Row
			if part.index != nil {
				k = part.index[k]
			}
			if text, err = part.text.at(k); err != nil {
				return 0, err
			}
		}
		j.levels[i] = 0
		if text != nil {
			j.levels[i] = 1
			j.texts[n] = text
			n++
		}
	}
	if n == len(p.order) {
		return 0, out.Texts(&j.buf, nil, j.texts[:n])
	}
	return len(p.order) - n, out.Texts(&j.buf, j.levels[:len(p.order)], j.texts[:n])
}

// addWords adds a page of anything else.
func (j *job) addWords(out *encode.Column, order []Ref, col schemas.Col, facts *Facts) (nulls int, err error) {
	n := 0
	for i, ref := range order {
		p := &j.parts[ref.Batch]
		j.levels[i] = 0
		if p.null(ref.Row) {
			continue
		}
		j.levels[i] = 1
		if p.bits != nil {
			j.words[n] = 0
			if bit(p.bits, ref.Row+p.off) {
				j.words[n] = 1
			}
		} else {
			j.words[n] = p.words[ref.Row]
		}
		n++
	}
	values, levels := j.words[:n], j.levels[:len(order)]
	if n == len(order) {
		levels = nil
	}
	if err := facts.add(col, values); err != nil {
		return 0, err
	}
	return len(order) - n, out.Words(&j.buf, levels, values)
}

// add adds values of column c, doubles by their bits. It makes -0 to 0, whose
// place in statistics readers do not agree on.
func (f *Facts) add(c schemas.Col, values []uint64) error {
	switch col := schemas.Columns[c]; {
	case c == schemas.EventTime:
		for _, v := range values {
			f.addTime(int64(v))
		}
	case col.Kind == schemas.Double:
		// Whole numbers are added up as such; 2^15 of them below 2^28 times
		// 10^6, the unit of a sum, are below 2^63.
		var whole int64
		for i, v := range values {
			x := math.Float64frombits(v)
			if n := int64(x); float64(n) == x && uint64(n) < 1<<28 {
				whole += n
				values[i] = math.Float64bits(float64(n))
				continue
			}
			if !finite(x) {
				return fmt.Errorf("%v is no number", x)
			}
			if c.Additive() {
				f.Sums.AddDouble(c, x)
			}
		}
		if c.Additive() {
			f.Sums[c] = f.Sums[c].Add(schemas.AmountOf(whole * 1e6))
		}
	case c.Additive():
		for _, v := range values {
			f.Sums.AddInt(c, int64(v))
		}
	}
	return nil
}
