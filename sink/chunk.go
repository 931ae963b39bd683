package sink

import (
	"errors"
	"fmt"
	"maps"
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
	rows int
	used []int32  // the batches that Order refers to
	memo []*memos // by batch
}

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

// look goes through the rows of a call. It drops what is kept of batches that
// are not in their list.
func (w *Writer) look(rows Rows) *chunk {
	c := &w.chunk
	*c = chunk{Rows: rows, rows: rows.Len(), memo: make([]*memos, len(rows.Batches)), used: c.used[:0]}
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
	for _, r := range rows.Order {
		if !seen[r.Batch] {
			seen[r.Batch] = true
			c.used = append(c.used, r.Batch)
		}
	}
	slices.Sort(c.used) // neighbours may share a dictionary
	return c
}

// flagged is the runs of quality_flags: what is changed lies in two batches
// more. The first one is returned, the second one is NULL.
func (c *chunk) flagged() (runs []Run, changed part, err error) {
	extra := int32(len(c.Batches))
	keys := slices.Sorted(maps.Keys(c.Flags))
	if first, last := keys[0], keys[len(keys)-1]; first < 0 || last >= c.rows {
		return nil, changed, fmt.Errorf("flags of rows %d to %d of %d", first, last, c.rows)
	}
	var lists []string
	at := 0
	for _, r := range c.Order {
		for len(keys) > 0 && keys[0] < at+int(r.N) {
			before := int32(keys[0] - at)
			if before > 0 {
				runs = append(runs, Run{r.Batch, r.Row, before})
			}
			if list := c.Flags[keys[0]]; list == "" {
				runs = append(runs, Run{extra + 1, 0, 1})
			} else if !utf8.ValidString(list) {
				return nil, changed, errors.New("not UTF-8")
			} else {
				runs = append(runs, Run{extra, int32(len(lists)), 1})
				changed.index = append(changed.index, int32(len(lists)))
				changed.codes = append(changed.codes, -1)
				lists = append(lists, list)
			}
			r.Row, r.N, at = r.Row+before+1, r.N-before-1, keys[0]+1
			keys = keys[1:]
		}
		if r.N > 0 {
			runs = append(runs, r)
		}
		at += int(r.N)
	}
	changed.some, changed.dict = true, true
	changed.at = func(i int32) ([]byte, error) { return []byte(lists[i]), nil }
	return runs, changed, nil
}

// job is the memory for the work on one column of a chunk.
type job struct {
	buf   encode.Buffers
	parts []part // by batch

	// levels are those of the rows of a page, 1 or, if NULL, 0; the values are
	// those that are not NULL.
	levels []byte
	words  []uint64
	index  []int32
	codes  []int32 // of a run
	texts  [][]byte
}

var jobs = sync.Pool{New: func() any {
	return &job{
		levels: make([]byte, ChunkRows),
		words:  make([]uint64, ChunkRows),
	}
}}

// part is one batch's array of a column. The zero part is all NULL.
type part struct {
	batch *schemas.Batch // nil: of texts that at knows
	col   schemas.Col
	some  bool
	off   int    // of valid
	valid []byte // bitmap; nil if none is NULL

	// Texts: that of a row is at(index), by its number in the dictionary, or by
	// the row without one. codes are those of a memo.
	dict  bool
	codes []int32
	at    func(int32) ([]byte, error)
	index []int32 // by row, where it is not the batch that knows it; none is NULL
	// Of a batch, the texts that it holds.
	data    []byte
	offsets []int32
}

// text is one of the texts that the batch holds.
func (p *part) text(i int32) []byte {
	return p.data[p.offsets[i]-p.offsets[0] : p.offsets[i+1]-p.offsets[0]]
}

func (p *part) null(row int32) bool { return p.valid != nil && !bit(p.valid, int(row)+p.off) }

func bit(b []byte, i int) bool { return b[i>>3]&(1<<(i&7)) != 0 }

// numbers are the numbers in the dictionary of the rows of a run.
func (j *job) numbers(p *part, r Run) []int32 {
	if p.index != nil {
		return p.index[r.Row : r.Row+r.N]
	}
	j.codes = p.batch.Codes(j.codes[:0], p.col, int(r.Row), int(r.Row+r.N))
	return j.codes
}

// load takes the arrays of column col apart. It reports whether any has a
// value.
func (j *job) load(w *Writer, c *chunk, col schemas.Col) (some bool, err error) {
	j.parts = slices.Grow(j.parts[:0], len(c.Batches)+2)[:len(c.Batches)+2]
	var last *memo
	for _, i := range c.used {
		b, p := c.Batches[i], &j.parts[i]
		switch col {
		case schemas.SourceFile, schemas.SourceID:
			w.loadSource(p, b.Source.Int32Values(), col)
		default:
			if a := b.Cols[col]; a == nil || a.NullN() == a.Len() {
				last = nil
			} else if last, err = p.load(b, col, c.memo[i][col], last, w.group); err != nil {
				return false, err
			}
			c.memo[i][col] = last
		}
		some = some || p.some
	}
	return some, nil
}

func (w *Writer) loadSource(p *part, index []int32, col schemas.Col) {
	p.some, p.dict, p.index = true, true, index
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

// load looks at a batch's column. It returns the memo of its texts, which is the
// one that was kept, that of the batch before, or new.
func (p *part) load(b *schemas.Batch, col schemas.Col, kept, last *memo, group int) (*memo, error) {
	p.batch, p.col, p.some = b, col, true
	p.valid, p.off = b.Valid(col)
	if schemas.Columns[col].Kind != schemas.String {
		return nil, nil
	}
	var strs *array.String
	strs, p.dict = b.Texts(col)
	p.data, p.offsets = strs.ValueBytes(), strs.ValueOffsets()
	p.at = func(i int32) ([]byte, error) { return p.text(i), nil }
	var dict arrow.ArrayData
	if p.dict {
		dict = b.Cols[col].Data().Dictionary()
	}
	switch {
	case kept != nil:
	case last != nil && last.dict == dict && dict != nil: // batches of one row group share it
		kept = last
	case !validTexts(p.data, p.offsets):
		return nil, errors.New("not UTF-8")
	default:
		kept = &memo{dict: dict}
	}
	if p.dict {
		p.codes = kept.in(group, strs.Len())
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
	runs := c.Order
	if col == schemas.QualityFlags && len(c.Flags) > 0 {
		var p part
		if runs, p, err = c.flagged(); err != nil {
			return err
		}
		j.parts[len(c.Batches)] = p
		some = true
	}
	var (
		out   = w.file.Column(w.layout.numbers[col])
		nulls int
	)
	switch {
	case !some:
		nulls, err = j.addNulls(out, c.rows, pageLen(col))
	case schemas.Columns[col].Kind != schemas.String:
		if word, ok := c.same(col); ok {
			w.facts.addSame(col, word, c.rows)
			return out.Same(&j.buf, c.rows, word)
		}
		nulls, err = j.addWords(out, runs, c.rows, func(values []uint64) error { return w.facts.add(col, values) })
	default:
		if pageLen(col) >= c.rows { // or the dictionary may be given up in between
			if code, ok, err := j.same(out, runs); err != nil {
				return err
			} else if ok {
				return out.SameIndex(&j.buf, c.rows, code)
			}
		}
		nulls, err = j.addTexts(out, runs, pageLen(col))
	}
	w.facts.Nulls[col] += int64(nulls)
	return err
}

// same is the word of all rows in a column of numbers, if the batches know that
// it is the same.
func (c *chunk) same(col schemas.Col) (word uint64, ok bool) {
	for k, i := range c.used {
		v, ok := c.Batches[i].Same(col)
		if !ok || k > 0 && v != word {
			return 0, false
		}
		word = v
	}
	return word, true
}

// same is the number in the file's dictionary of the text of all rows, if the
// batches know that it is the same.
func (j *job) same(out *encode.Column, runs []Run) (code int32, ok bool, err error) {
	for k, r := range runs {
		p := &j.parts[r.Batch]
		if !p.some || p.valid != nil || !p.dict || len(p.codes) != 1 || !out.Dict() {
			return 0, false, nil
		}
		v, err := p.code(out, 0)
		if err != nil || k > 0 && v != code {
			return 0, false, err
		}
		code = v
	}
	return code, true, nil
}

// forget drops everything that belongs to the batches.
func (j *job) forget() {
	clear(j.parts)
	j.drop()
}

// drop forgets the values of a page of texts.
func (j *job) drop() {
	clear(j.texts)
	j.texts, j.index = j.texts[:0], j.index[:0]
}

// ones are the levels of rows that are not NULL.
var ones = func() (levels [ChunkRows]byte) {
	for i := range levels {
		levels[i] = 1
	}
	return levels
}()

// addNulls adds pages of NULLs.
func (j *job) addNulls(out *encode.Column, rows, page int) (nulls int, err error) {
	for lo := 0; lo < rows && err == nil; lo += page {
		err = out.Nulls(&j.buf, min(page, rows-lo))
	}
	return rows, err
}

// addWords adds a page of values that are no texts, after look has seen them.
func (j *job) addWords(out *encode.Column, runs []Run, rows int, look func([]uint64) error) (nulls int, err error) {
	levels := j.levels[:rows]
	copy(levels, ones[:])
	var at, n int
	for _, r := range runs {
		p := &j.parts[r.Batch]
		levels := levels[at : at+int(r.N)]
		at += int(r.N)
		switch {
		case !p.some:
			clear(levels)
		case p.valid == nil:
			n = len(p.batch.Words(j.words[:n], p.col, int(r.Row), int(r.Row+r.N)))
		default:
			p.batch.Words(j.words[:n], p.col, int(r.Row), int(r.Row+r.N))
			to := n
			for i := range levels {
				if p.null(r.Row + int32(i)) {
					levels[i] = 0
					continue
				}
				j.words[to] = j.words[n+i]
				to++
			}
			n = to
		}
	}
	if err := look(j.words[:n]); err != nil {
		return 0, err
	}
	return rows - n, out.Words(&j.buf, levels, j.words[:n])
}

// addTexts adds pages of texts, by their numbers in the file's dictionary while
// it has one.
func (j *job) addTexts(out *encode.Column, runs []Run, page int) (nulls int, err error) {
	n := 0 // rows in levels
	flush := func() (err error) {
		nulls += n - len(j.index) - len(j.texts)
		if out.Dict() {
			err = out.Indices(&j.buf, j.levels[:n], j.index)
		} else {
			err = out.Texts(&j.buf, j.levels[:n], j.texts)
		}
		j.drop()
		n = 0
		return err
	}
	for _, r := range runs {
		p := &j.parts[r.Batch]
		for left := r.N; left > 0; left -= r.N {
			r.N = min(left, int32(page-n))
			levels := j.levels[n:][:r.N]
			switch {
			case !p.some:
				clear(levels)
			case out.Dict():
				err = j.codesOf(p, out, r, levels)
			default:
				err = j.textsOf(p, r, levels)
			}
			if err != nil {
				return 0, err
			}
			r.Row += r.N
			if n += int(r.N); n == page {
				if err := flush(); err != nil {
					return 0, err
				}
			}
		}
	}
	if n > 0 {
		err = flush()
	}
	return nulls, err
}

// codesOf adds the numbers in the file's dictionary of the rows of a run to
// index, and sets their levels.
func (j *job) codesOf(p *part, out *encode.Column, r Run, levels []byte) error {
	copy(levels, ones[:])
	at := len(j.index)
	j.index = slices.Grow(j.index, len(levels))
	index := j.index[at:][:len(levels)]
	n := 0
	if !p.dict {
		for i := range levels {
			if row := r.Row + int32(i); p.null(row) {
				levels[i] = 0
			} else {
				index[n] = out.Index(p.text(row))
				n++
			}
		}
		j.index = j.index[:at+n]
		return nil
	}
	if p.valid == nil && len(p.codes) == 1 {
		code, err := p.code(out, 0)
		for i := range index {
			index[i] = code
		}
		j.index = j.index[:at+len(index)]
		return err
	}
	for i, v := range j.numbers(p, r) {
		if p.valid != nil && p.null(r.Row+int32(i)) {
			levels[i] = 0
			continue
		}
		code := p.codes[v]
		if code < 0 {
			var err error
			if code, err = p.code(out, v); err != nil {
				return err
			}
		}
		index[n] = code
		n++
	}
	j.index = j.index[:at+n]
	return nil
}

// textsOf adds the texts of the rows of a run to texts, and sets their levels.
func (j *job) textsOf(p *part, r Run, levels []byte) error {
	copy(levels, ones[:])
	var numbers []int32
	if p.dict {
		numbers = j.numbers(p, r)
	}
	for i := range levels {
		row := r.Row + int32(i)
		switch {
		case p.valid != nil && p.null(row):
			levels[i] = 0
		case p.dict:
			text, err := p.at(numbers[i])
			if err != nil {
				return err
			}
			j.texts = append(j.texts, text)
		default:
			j.texts = append(j.texts, p.text(row))
		}
	}
	return nil
}

// code is the number in the file's dictionary of a text with a number in the
// batch's.
func (p *part) code(out *encode.Column, v int32) (int32, error) {
	if p.codes[v] < 0 {
		text, err := p.at(v)
		if err != nil {
			return 0, err
		}
		p.codes[v] = out.Index(text)
	}
	return p.codes[v], nil
}

// addSame adds n times a word that is below 256.
func (f *Facts) addSame(c schemas.Col, word uint64, n int) {
	switch {
	case c == schemas.EventTime:
		f.addTime(int64(word))
		return
	case !c.Additive():
		return
	}
	sum := int64(word) * int64(n)
	if schemas.Columns[c].Kind != schemas.Money {
		sum *= 1e6
	}
	f.Sums.Plus(c, schemas.AmountOf(sum))
}

// add adds values of column c, doubles as schemas.Word has them.
func (f *Facts) add(c schemas.Col, values []uint64) error {
	switch kind := schemas.Columns[c].Kind; {
	case c == schemas.EventTime:
		for _, v := range values {
			f.addTime(int64(v))
		}
	case kind == schemas.Double:
		var sum uint64 // of small whole numbers
		for _, v := range values {
			if v < small {
				sum += v
				continue
			}
			x := schemas.OfWord(v)
			if !finite(x) {
				return fmt.Errorf("%v is no number", x)
			}
			if c.Additive() {
				f.Sums.AddDouble(c, x)
			}
		}
		if c.Additive() {
			f.Sums.Plus(c, schemas.AmountOf(int64(sum)*1e6))
		}
	case c.Additive():
		for _, v := range values {
			f.Sums.AddInt(c, int64(v))
		}
	}
	return nil
}
