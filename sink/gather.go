package sink

import (
	"errors"
	"fmt"
	"maps"
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
	runs []run
	used []int32  // the batches that Order refers to
	memo []*memos // by batch
}

// run is adjoining rows of a batch that stay together.
type run struct{ batch, row, n int32 }

// memos is what is kept of a batch from call to call, by column.
type memos [schemas.NumColumns]*memo

// memo is kept of the texts of an array, or of arrays that share them. They
// were found to be UTF-8.
type memo struct {
	dict arrow.ArrayData
	// codes are the numbers in the file's dictionary by those in dict, -1
	// where it is not known. They hold for one row group.
	codes []int32
	group int
}

// in is the codes for a row group and n texts.
func (m *memo) in(group, n int) []int32 {
	if m.group != group {
		m.group, m.codes = group, m.codes[:0]
	}
	for len(m.codes) < n {
		m.codes = append(m.codes, -1)
	}
	return m.codes
}

// chunk looks through the rows of a call. It drops what is kept of batches
// that are not in their list.
func (w *Writer) chunk(rows Rows) *chunk {
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

	next := Ref{Batch: -1}
	for _, ref := range rows.Order {
		if ref != next {
			c.runs = append(c.runs, run{batch: ref.Batch, row: ref.Row})
		}
		c.runs[len(c.runs)-1].n++
		next = Ref{ref.Batch, ref.Row + 1}
	}
	seen := make([]bool, len(rows.Batches))
	for _, r := range c.runs {
		if !seen[r.batch] {
			seen[r.batch] = true
			c.used = append(c.used, r.batch)
		}
	}
	slices.Sort(c.used) // neighbours may share a dictionary
	return c
}

// flagged is the runs of quality_flags: changed flags are in two batches more,
// the given texts and NULL.
func (c *chunk) flagged() (runs []run, changed texts, err error) {
	extra := int32(len(c.Batches))
	keys := slices.Sorted(maps.Keys(c.Flags))
	if first, last := keys[0], keys[len(keys)-1]; first < 0 || last >= len(c.Order) {
		return nil, changed, fmt.Errorf("flags from row %d to row %d of %d", first, last, len(c.Order))
	}
	at := 0
	changed.offsets = []uint32{0}
	for _, r := range c.runs {
		for len(keys) > 0 && keys[0] < at+int(r.n) {
			before := int32(keys[0] - at)
			if before > 0 {
				runs = append(runs, run{r.batch, r.row, before})
			}
			if flags := c.Flags[keys[0]]; flags == "" {
				runs = append(runs, run{extra + 1, 0, 1})
			} else {
				runs = append(runs, run{extra, int32(changed.len()), 1})
				changed.data = append(changed.data, flags...)
				changed.offsets = append(changed.offsets, uint32(len(changed.data)))
			}
			r.row += before + 1
			r.n -= before + 1
			at = keys[0] + 1
			keys = keys[1:]
		}
		if r.n > 0 {
			runs = append(runs, r)
		}
		at += int(r.n)
	}
	if !validTexts(changed.data, changed.offsets) {
		err = errors.New("not UTF-8")
	}
	return runs, changed, err
}

// job is the memory for the work on one column of a chunk.
type job struct {
	buf   encode.Buffers
	parts []part // by batch
	nulls bool   // any of them has a NULL

	// By row, but words, which are those of the rows that are not NULL.
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
	off   int32  // of valid and bits
	valid []byte // bitmap; nil if none is NULL

	words []uint64 // values of 8 bytes
	bits  []byte   // flags
	// Texts: that of a row is at(index[row]), or at(row) without index. codes
	// are those of a memo.
	index []int32
	codes []int32
	at    func(int32) ([]byte, error)
}

func (p *part) null(row int32) bool { return p.valid != nil && !bit(p.valid, row+p.off) }

func bit(b []byte, i int32) bool { return b[i>>3]&(1<<(i&7)) != 0 }

// load takes the arrays of column col apart. It reports whether any has a
// value.
func (j *job) load(w *Writer, c *chunk, col schemas.Col) (some bool, err error) {
	j.parts = slices.Grow(j.parts[:0], len(c.Batches)+2)[:len(c.Batches)+2]
	j.nulls = false
	var last *memo
	for _, i := range c.used {
		b, p := c.Batches[i], &j.parts[i]
		switch col {
		case schemas.SourceFile, schemas.SourceID:
			w.loadSource(p, b.Source.Int32Values(), col)
		default:
			if a := b.Cols[col]; a == nil || a.NullN() == a.Len() {
				last = nil
			} else if last, err = p.load(a, c.memo[i][col], last, w.group); err != nil {
				return false, err
			}
			c.memo[i][col] = last
		}
		some = some || p.some
		j.nulls = j.nulls || !p.some || p.valid != nil
	}
	return some, nil
}

func (w *Writer) loadSource(p *part, index []int32, col schemas.Col) {
	p.some, p.index = true, index
	p.codes = w.named[col-schemas.SourceFile].in(w.group, w.sources.len())
	p.at = func(i int32) ([]byte, error) {
		src := w.sources.At(i)
		s := src.File
		if col == schemas.SourceID {
			s = src.ID
		}
		if !utf8.ValidString(s) {
			return nil, fmt.Errorf("source %q: not UTF-8", s)
		}
		return append([]byte{}, s...), nil
	}
}

// load takes an array apart. It returns the array's memo, which is kept, that
// of the batch before, or new.
func (p *part) load(a arrow.Array, kept, last *memo, group int) (*memo, error) {
	p.some = true
	if a.NullN() > 0 {
		p.valid, p.off = a.NullBitmapBytes(), int32(a.Data().Offset())
	}
	var (
		words *array.String
		dict  arrow.ArrayData
	)
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
		words = a
	case *array.Dictionary:
		words, dict = a.Dictionary().(*array.String), a.Data().Dictionary()
		p.index = a.Indices().(*array.Int32).Int32Values()
	}
	if words == nil {
		return nil, nil
	}
	data, offsets := words.ValueBytes(), words.ValueOffsets()
	p.at = func(i int32) ([]byte, error) {
		return data[offsets[i]-offsets[0] : offsets[i+1]-offsets[0]], nil
	}
	switch {
	case kept != nil:
	case last != nil && last.dict == dict && dict != nil: // batches of one row group share it
		kept = last
	case !validTexts(data, offsets):
		return nil, errors.New("not UTF-8")
	default:
		kept = &memo{dict: dict}
	}
	if dict != nil {
		p.codes = kept.in(group, words.Len())
	}
	return kept, nil
}

// column encodes column col of the chunk and adds it to the facts. It touches
// only what belongs to col.
func (j *job) column(w *Writer, c *chunk, col schemas.Col) error {
	defer j.forget()
	some, err := j.load(w, c, col)
	if err != nil {
		return err
	}
	runs := c.runs
	if col == schemas.QualityFlags && len(c.Flags) > 0 {
		var changed texts
		if runs, changed, err = c.flagged(); err != nil {
			return err
		}
		p := &j.parts[len(c.Batches)]
		p.some = true
		for i := range changed.len() {
			p.index = append(p.index, int32(i))
			p.codes = append(p.codes, -1)
		}
		p.at = func(i int32) ([]byte, error) { return changed.at(int(i)), nil }
		some, j.nulls = true, true
	}
	var (
		out  = w.file.Column(int(col))
		rows = len(c.Order)
		kind = schemas.Columns[col].Kind
	)
	add := func(lo, hi int) (int, error) { return hi - lo, out.Nulls(&j.buf, hi-lo) }
	switch {
	case !some:
	case kind == schemas.String && out.Dict():
		err = j.pickCodes(out, runs)
		add = func(lo, hi int) (int, error) { return j.addCodes(out, lo, hi) }
	case kind == schemas.String:
		err = j.pickTexts(runs)
		add = func(lo, hi int) (int, error) { return j.addTexts(out, lo, hi) }
	default:
		n := j.pickWords(runs)
		err = w.facts.add(col, j.words[:n])
		add = func(lo, hi int) (int, error) { return hi - n, j.addWords(out, n, hi) }
	}
	for lo := 0; lo < rows && err == nil; lo += pageLen(col) {
		var nulls int
		nulls, err = add(lo, min(lo+pageLen(col), rows))
		if nulls > 0 && col == schemas.EventTime {
			err = errors.New("is NULL")
		}
		w.facts.Nulls[col] += int64(nulls)
	}
	return err
}

// forget drops everything that belongs to the batches.
func (j *job) forget() {
	clear(j.parts)
	clear(j.texts)
	j.texts = j.texts[:0]
}

// pickCodes sets index, -1 where NULL.
func (j *job) pickCodes(out *encode.Column, runs []run) error {
	i := 0
	for _, r := range runs {
		p := &j.parts[r.batch]
		index := j.index[i : i+int(r.n)]
		i += int(r.n)
		if !p.some {
			for k := range index {
				index[k] = -1
			}
			continue
		}
		for k, v := range p.index[r.row : r.row+r.n] {
			if p.null(r.row + int32(k)) {
				index[k] = -1
				continue
			}
			code := p.codes[v]
			if code < 0 {
				text, err := p.at(v)
				if err != nil {
					return err
				}
				code = out.Index(text)
				p.codes[v] = code
			}
			index[k] = code
		}
	}
	return nil
}

// addCodes adds the rows [lo, hi) as a page.
func (j *job) addCodes(out *encode.Column, lo, hi int) (nulls int, err error) {
	index := j.index[lo:hi]
	if !j.nulls {
		return 0, out.Indices(&j.buf, nil, index)
	}
	levels := j.levels[lo:hi]
	n := 0
	for i, code := range index {
		index[n] = code
		levels[i] = byte(^code>>31) & 1 // 0 if code is -1
		n += int(levels[i])
	}
	return len(index) - n, out.Indices(&j.buf, levels, index[:n])
}

// pickTexts sets texts, nil where NULL.
func (j *job) pickTexts(runs []run) (err error) {
	for _, r := range runs {
		p := &j.parts[r.batch]
		for row := r.row; row < r.row+r.n; row++ {
			var text []byte
			if p.some && !p.null(row) {
				k := row
				if p.index != nil {
					k = p.index[row]
				}
				if text, err = p.at(k); err != nil {
					return err
				}
				if text == nil {
					text = []byte{}
				}
			}
			j.texts = append(j.texts, text)
		}
	}
	return nil
}

// addTexts adds the rows [lo, hi) as a page.
func (j *job) addTexts(out *encode.Column, lo, hi int) (nulls int, err error) {
	texts := j.texts[lo:hi]
	if !j.nulls {
		return 0, out.Texts(&j.buf, nil, texts)
	}
	levels := j.levels[lo:hi]
	n := 0
	for i, text := range texts {
		levels[i] = 0
		if text != nil {
			levels[i] = 1
			texts[n] = text
			n++
		}
	}
	return len(texts) - n, out.Texts(&j.buf, levels, texts[:n])
}

// pickWords sets words, and levels if there are NULLs. It returns the count of
// words.
func (j *job) pickWords(runs []run) (n int) {
	i := 0
	for _, r := range runs {
		p := &j.parts[r.batch]
		levels := j.levels[i : i+int(r.n)]
		i += int(r.n)
		switch {
		case !p.some:
			clear(levels)
		case p.valid == nil && p.bits == nil:
			n += copy(j.words[n:], p.words[r.row:r.row+r.n])
			if j.nulls {
				for k := range levels {
					levels[k] = 1
				}
			}
		default:
			for k := range levels {
				row := r.row + int32(k)
				levels[k] = 0
				if p.null(row) {
					continue
				}
				levels[k] = 1
				if p.bits == nil {
					j.words[n] = p.words[row]
				} else if j.words[n] = 0; bit(p.bits, row+p.off) {
					j.words[n] = 1
				}
				n++
			}
		}
	}
	return n
}

// addWords adds all rows as a page.
func (j *job) addWords(out *encode.Column, n, rows int) error {
	if n == rows {
		return out.Words(&j.buf, nil, j.words[:n])
	}
	return out.Words(&j.buf, j.levels[:rows], j.words[:n])
}

// add adds values of column c, doubles by their bits. It makes -0 to 0: readers
// disagree on its place in statistics.
func (f *Facts) add(c schemas.Col, values []uint64) error {
	switch kind := schemas.Columns[c].Kind; {
	case kind == schemas.Time:
		for _, v := range values {
			f.addTime(int64(v))
		}
	case kind == schemas.Double:
		// Whole numbers are added up as such: 2^15 of them, each below 2^28,
		// times 10^6, the unit of a sum, are below 2^63.
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
