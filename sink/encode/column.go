package encode

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/bloom/xxhash"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/format"

	"usagelake/schemas"
)

// indexBytes is the most bytes of a text in the page index.
const indexBytes = 16

// lengthBytes stand before each text.
const lengthBytes = 4

// Buffers are the memory for the work on one page. They belong to one
// goroutine at a time; the zero value is ready.
type Buffers struct {
	index                             []int32
	header, levels, body, raw, packed []byte
	even                              evenPacker
	other                             []byte
	null                              nullPage
}

// nullPage is the last page of NULLs alone. They are most of a small file, and
// all the same.
type nullPage struct {
	rows  int
	coded bool
	codec compress.Codec
	head  Header
	size  int // bytes of the header in bytes
	bytes []byte
}

// Column writes one column. Every call of Nulls, Words, Same, Indices, SameIndex
// or Texts adds a page. levels has a byte for each row of the page, 0 if it is NULL
// and 1 if not; the values are those of the rows that are not NULL. Nothing that is
// handed over is kept.
type Column struct {
	name     string
	path     []string // the name
	typ      parquet.Type
	kind     parquet.Kind
	optional bool
	spec     Spec
	codec    compress.Codec

	// The column chunk so far.
	rows, nulls  int64
	pages        spool
	offsets      []format.PageLocation // from the first data page
	index        parquet.ColumnIndexer
	size, raw    int64 // bytes of all pages, compressed and not
	plain, coded int32 // count of data pages without and with a dictionary
	least, most  parquet.Value
	// blank is the rows of the first pages, as long as they are all NULL:
	// whether they have a dictionary shows with the first value.
	blank  []int
	words  wordDict
	texts  textDict
	full   bool // the dictionary was given up
	hashes hashes
	blocks bloom.SplitBlockFilter
	// evenPages is how many pages there were that evenPacker could pack, wins
	// is whether it did better when that was tried last.
	evenPages int
	wins      bool

	// Of a column that was written before: bytes of its pages of rows, and
	// its dictionary.
	there    int64
	dict     Header
	dictSize int // bytes of the header
}

func newColumn(leaf parquet.Field, spec Spec) *Column {
	c := &Column{name: leaf.Name(), typ: leaf.Type(), optional: leaf.Optional(), spec: spec}
	c.kind, c.path = c.typ.Kind(), []string{c.name}
	switch {
	case !leaf.Leaf(), leaf.Repeated():
		panic(fmt.Sprintf("encode: %s is not flat", c.name))
	case c.kind == parquet.ByteArray, c.kind == parquet.Int64, c.kind == parquet.Double:
	case c.kind == parquet.Boolean && spec.Dict == 0:
	default:
		panic(fmt.Sprintf("encode: %s is %v", c.name, c.typ))
	}
	c.index = c.typ.NewColumnIndexer(indexBytes)
	return c
}

// Dict reports whether the next page refers to the dictionary: texts then come
// by Indices, and not by Texts.
func (c *Column) Dict() bool { return c.spec.Dict > 0 && !c.full }

// Nulls adds a page of NULLs.
func (c *Column) Nulls(b *Buffers, rows int) error {
	if !c.optional {
		return fmt.Errorf("%d NULLs", rows)
	}
	if c.rows == 0 || len(c.blank) > 0 {
		c.blank = append(c.blank, rows)
		c.rows += int64(rows)
		return nil
	}
	return c.null(b, rows)
}

func (c *Column) null(b *Buffers, rows int) error {
	n := &b.null
	if n.rows != rows || n.coded != c.Dict() || n.codec != c.codec {
		p := page{rows: rows, nulls: rows}
		if err := c.open(b, p); err != nil {
			return err
		}
		if c.Dict() {
			p.enc = format.RLEDictionary
			b.raw = append(b.raw, 0)
		}
		head := p.header()
		if err := c.pack(b, &head, p.even); err != nil {
			return err
		}
		*n = nullPage{rows, c.Dict(), c.codec, head, len(b.header), append(append(n.bytes[:0], b.header...), b.packed...)}
	}
	c.pages.write(n.bytes)
	c.record(&n.head, n.size, parquet.Value{}, parquet.Value{})
	return nil
}

// Words adds a page of an INT64, DOUBLE or BOOLEAN column. Doubles are given as
// schemas.Word has them, and none is NaN; booleans are 0 and 1.
func (c *Column) Words(b *Buffers, levels []byte, values []uint64) error {
	if len(values) == 0 {
		return c.Nulls(b, len(levels))
	}
	if err := c.begin(b); err != nil {
		return err
	}
	p := page{rows: len(levels), levels: levels}
	p.nulls = p.rows - len(values)
	if allSame(values) {
		return c.same(b, p, values[0])
	}
	p.lo, p.hi = c.bounds(values)
	if err := c.open(b, p); err != nil {
		return err
	}
	switch {
	case c.kind == parquet.Boolean:
		b.raw = appendBits(b.raw, values)
	case c.Dict():
		var or int32
		b.index, or = c.words.index(b.index[:0], values)
		if c.rows == 0 && c.words.rare(len(values)) {
			c.full = true
			b.raw = c.appendWords(b.raw, values)
			p.even = evenWords(b.raw, len(values))
			break
		}
		if err := b.indices(b.index, or); err != nil {
			return err
		}
		p.enc = format.RLEDictionary
		c.full = c.words.size() > c.spec.Dict
	default:
		b.raw = c.appendWords(b.raw, values)
		if len(b.raw) > smallPage && c.spec.Dict == 0 {
			p.even = nearWords(b.raw, len(values))
		} else {
			p.even = evenWords(b.raw, len(values))
		}
	}
	return c.add(b, p)
}

// fewValues is how many values are not worth a trial of what packs them best.
const fewValues = 512

// Same adds the page that Words adds of the same value for every row.
func (c *Column) Same(b *Buffers, rows int, value uint64) error {
	if err := c.begin(b); err != nil {
		return err
	}
	return c.same(b, page{rows: rows}, value)
}

func (c *Column) same(b *Buffers, p page, value uint64) error {
	p.lo = c.value(value)
	p.hi = p.lo
	if err := c.open(b, p); err != nil {
		return err
	}
	n := p.rows - p.nulls
	switch {
	case c.kind == parquet.Boolean:
		for ; n > 0; n -= 8 {
			b.raw = append(b.raw, byte(-value)>>(8-min(n, 8)))
		}
	case c.Dict():
		b.index, _ = c.words.index(b.index[:0], []uint64{value})
		b.repeat(b.index[0], n)
		p.enc = format.RLEDictionary
		c.full = c.words.size() > c.spec.Dict
	default:
		at := len(b.raw)
		b.raw = c.appendWords(slices.Grow(b.raw, 8*n), []uint64{value})
		b.raw = b.raw[:at+8*n]
		for k, all := 8, b.raw[at:]; k < len(all); k *= 2 {
			copy(all[k:], all[:k])
		}
	}
	return c.add(b, p)
}

func allSame[T uint64 | int32](values []T) bool {
	for _, v := range values {
		if v != values[0] {
			return false
		}
	}
	return true
}

// Index is the number of text in the dictionary, which it joins. It is valid
// until the row group ends.
func (c *Column) Index(text []byte) int32 { return c.texts.index(text) }

// Indices adds a page of texts by their numbers in the dictionary.
func (c *Column) Indices(b *Buffers, levels []byte, index []int32) error {
	if len(index) == 0 {
		return c.Nulls(b, len(levels))
	}
	if err := c.begin(b); err != nil {
		return err
	}
	p := page{rows: len(levels), levels: levels, enc: format.RLEDictionary}
	p.nulls = p.rows - len(index)
	if allSame(index) {
		return c.sameIndex(b, p, index[0])
	}
	if err := c.open(b, p); err != nil {
		return err
	}
	lo, hi, or := c.texts.bounds(int32(len(c.offsets)), index)
	p.lo, p.hi = parquet.ByteArrayValue([]byte(lo)), parquet.ByteArrayValue([]byte(hi))
	if err := b.indices(index, or); err != nil {
		return err
	}
	c.full = c.texts.bytes > c.spec.Dict
	return c.add(b, p)
}

// SameIndex adds the page that Indices adds of the same number for every row.
func (c *Column) SameIndex(b *Buffers, rows int, index int32) error {
	if err := c.begin(b); err != nil {
		return err
	}
	return c.sameIndex(b, page{rows: rows, enc: format.RLEDictionary}, index)
}

func (c *Column) sameIndex(b *Buffers, p page, index int32) error {
	if err := c.open(b, p); err != nil {
		return err
	}
	p.lo = parquet.ByteArrayValue([]byte(c.texts.texts[index]))
	p.hi = p.lo
	b.repeat(index, p.rows-p.nulls)
	c.full = c.texts.bytes > c.spec.Dict
	return c.add(b, p)
}

// Texts adds a page of texts.
func (c *Column) Texts(b *Buffers, levels []byte, texts [][]byte) error {
	if len(texts) == 0 {
		return c.Nulls(b, len(levels))
	}
	if err := c.begin(b); err != nil {
		return err
	}
	p := page{rows: len(levels), levels: levels}
	p.nulls = p.rows - len(texts)
	if err := c.open(b, p); err != nil {
		return err
	}
	size := 0
	for _, s := range texts {
		size += lengthBytes + len(s)
	}
	b.raw = slices.Grow(b.raw, size)
	lo, hi := texts[0], texts[0]
	from, to := Lead(lo), Lead(hi)
	length, differ := len(lo), 0
	for _, s := range texts {
		differ |= length ^ len(s)
		if x := Lead(s); x <= from && bytes.Compare(s, lo) < 0 {
			lo, from = s, x
		} else if x >= to && bytes.Compare(s, hi) > 0 {
			hi, to = s, x
		}
		b.raw = binary.LittleEndian.AppendUint32(b.raw, uint32(len(s)))
		b.raw = append(b.raw, s...)
	}
	p.lo, p.hi = parquet.ByteArrayValue(lo), parquet.ByteArrayValue(hi)
	if differ == 0 {
		levels := len(b.raw) - len(texts)*(lengthBytes+length)
		prefix := commonPrefix(lo, hi)
		p.even = evenTexts(levels, len(texts), length, prefix)
		p.even.sure = len(texts) <= fewValues && ownStems(texts, prefix)
	}
	if c.spec.Bloom > 0 {
		for _, s := range texts {
			c.hashes.add(Hash(s))
		}
	}
	return c.add(b, p)
}

// Lead is the beginning of a text as a number of the same order.
func Lead(text []byte) uint64 {
	if len(text) >= 8 {
		return binary.BigEndian.Uint64(text)
	}
	var b [8]byte
	copy(b[:], text)
	return binary.BigEndian.Uint64(b[:])
}

func commonPrefix(a, b []byte) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// Page tells of the next page of rows of a file that is followed. size is the
// bytes of its header, lo and hi are the bounds of its values, if it has any.
func (c *Column) Page(h *Header, size int, lo, hi parquet.Value) {
	c.record(h, size, lo, hi)
	c.there = c.size
}

// Dictionary tells of the dictionary of a file that is followed.
func (c *Column) Dictionary(h *Header, size int) { c.dict, c.dictSize = *h, size }

// Hash is what the bloom filter holds of a text.
func Hash(text []byte) uint64 { return xxhash.Sum64(text) }

// Hashes takes texts of a file that is followed into the bloom filter.
func (c *Column) Hashes(hashes []uint64) {
	for _, h := range hashes {
		c.hashes.add(h)
	}
}

// begin encodes the pages that waited for the first value.
func (c *Column) begin(b *Buffers) error {
	if len(c.blank) == 0 {
		return nil
	}
	c.rows = 0
	for _, rows := range c.blank {
		if err := c.null(b, rows); err != nil {
			return err
		}
	}
	c.blank = c.blank[:0]
	return nil
}

func (c *Column) bounds(values []uint64) (lo, hi parquet.Value) {
	if c.kind == parquet.Double {
		return c.doubleBounds(values)
	}
	least, most := int64(math.MaxInt64), int64(math.MinInt64)
	for _, v := range values {
		least, most = min(least, int64(v)), max(most, int64(v))
	}
	return c.value(uint64(least)), c.value(uint64(most))
}

func (c *Column) doubleBounds(values []uint64) (lo, hi parquet.Value) {
	least, most := uint64(math.MaxUint64), uint64(0)
	for _, v := range values {
		least, most = min(least, v), max(most, v)
	}
	if most < schemas.WholeWords {
		return c.value(least), c.value(most)
	}
	from, to := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		x := schemas.OfWord(v)
		from, to = min(from, x), max(to, x)
	}
	return parquet.DoubleValue(from), parquet.DoubleValue(to)
}

func (c *Column) value(v uint64) parquet.Value {
	switch c.kind {
	case parquet.Double:
		return parquet.DoubleValue(schemas.OfWord(v))
	case parquet.Boolean:
		return parquet.BooleanValue(v != 0)
	default:
		return parquet.Int64Value(int64(v))
	}
}

// appendWords appends values as PLAIN has them.
func (c *Column) appendWords(dst []byte, values []uint64) []byte {
	at := len(dst)
	dst = slices.Grow(dst, 8*len(values))[:at+8*len(values)]
	for i, v := range values {
		if c.kind == parquet.Double {
			v = math.Float64bits(schemas.OfWord(v))
		}
		binary.LittleEndian.PutUint64(dst[at+8*i:], v)
	}
	return dst
}

func appendBits(dst []byte, values []uint64) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, (len(values)+7)/8)...)
	for i, v := range values {
		dst[at+i/8] |= byte(v) << (i % 8)
	}
	return dst
}

// indices adds numbers in a dictionary to a page.
func (b *Buffers) indices(index []int32, or int32) (err error) {
	width := bits.Len32(uint32(or))
	b.body, err = (&rle.Encoding{BitWidth: width}).EncodeInt32(b.body, index)
	b.raw = append(append(b.raw, byte(width)), b.body...)
	return err
}

// repeat adds the same number n times, as indices does.
func (b *Buffers) repeat(index int32, n int) {
	width := bits.Len32(uint32(index))
	b.raw = binary.AppendUvarint(append(b.raw, byte(width)), uint64(n)<<1)
	for ; width > 0; width -= 8 {
		b.raw = append(b.raw, byte(index))
		index >>= 8
	}
}

// end writes the column chunk.
func (c *Column) end(b *Buffers, out *output, m *format.ColumnMetaData, index *format.ColumnIndex, offsets *format.OffsetIndex) error {
	if len(c.blank) > 0 {
		c.full = true // no dictionary without a value
		if err := c.begin(b); err != nil {
			return err
		}
	}
	*m = format.ColumnMetaData{ // in the memory of the one before
		Type:          format.Type(c.kind),
		PathInSchema:  c.path,
		Codec:         c.codec.CompressionCodec(),
		NumValues:     c.rows,
		Encoding:      m.Encoding[:0],
		EncodingStats: m.EncodingStats[:0],
	}
	m.Statistics.NullCount = c.nulls
	if c.nulls < c.rows {
		m.Statistics.MinValue = c.least.AppendBytes([]byte{})
		m.Statistics.MaxValue = c.most.AppendBytes([]byte{})
	}
	stat := func(t format.PageType, e format.Encoding, n int32) {
		if n > 0 {
			m.EncodingStats = append(m.EncodingStats, format.PageEncodingStats{PageType: t, Encoding: e, Count: n})
		}
	}
	m.Encoding = append(m.Encoding, format.Plain) // pages or the dictionary
	if c.optional {
		m.Encoding = append(m.Encoding, format.RLE)
	}
	stat(format.DataPage, format.Plain, c.plain)
	if c.coded > 0 {
		m.Encoding = append(m.Encoding, format.RLEDictionary)
		stat(format.DataPage, format.RLEDictionary, c.coded)
		stat(format.DictionaryPage, format.Plain, 1)
		m.DictionaryPageOffset = out.n
		if err := c.dictionary(b, out); err != nil {
			return err
		}
	}
	m.DataPageOffset = out.n
	c.pages.drain(out)
	out.skip(c.there)
	m.TotalCompressedSize, m.TotalUncompressedSize = c.size, c.raw
	*index = c.index.ColumnIndex()
	offsets.PageLocations = sized(offsets.PageLocations, len(c.offsets))
	for i, p := range c.offsets {
		p.Offset += m.DataPageOffset
		offsets.PageLocations[i] = p
	}
	return out.err
}

func (c *Column) dictionary(b *Buffers, out *output) error {
	if c.there > 0 {
		c.count(&c.dict, c.dictSize)
		out.skip(int64(c.dictSize + c.dict.Packed))
		return nil
	}
	head, like := Header{Dict: true, Values: len(c.words.words), Encoding: format.Plain}, even{}
	if c.kind == parquet.ByteArray {
		head.Values = len(c.texts.texts)
		b.raw = c.texts.plain(b.raw[:0])
	} else {
		b.raw = c.appendWords(b.raw[:0], c.words.words)
		like = evenWords(b.raw, len(c.words.words))
	}
	if err := c.pack(b, &head, like); err != nil {
		return err
	}
	c.count(&head, len(b.header))
	out.write(b.header)
	out.write(b.packed)
	return out.err
}

// filter writes the bloom filter of the column chunk.
func (c *Column) filter(out *output, w *compact, m *format.ColumnMetaData) error {
	if c.spec.Bloom == 0 {
		return nil
	}
	n := bloom.NumSplitBlocksOf(c.rows, c.spec.Bloom)
	if cap(c.blocks) < n {
		c.blocks = make(bloom.SplitBlockFilter, n)
	}
	c.blocks = c.blocks[:n]
	c.blocks.Reset()
	c.hashes.drain(c.blocks)
	m.BloomFilterOffset = out.n
	w.bloomHeader(len(c.blocks.Bytes()))
	out.take(w)
	out.write(c.blocks.Bytes())
	m.BloomFilterLength = int32(out.n - m.BloomFilterOffset)
	return out.err
}

// reset makes the column ready for the next row group.
func (c *Column) reset() {
	c.rows, c.nulls, c.size, c.raw, c.plain, c.coded = 0, 0, 0, 0, 0, 0
	c.offsets, c.blank = c.offsets[:0], c.blank[:0]
	c.hashes.forget()
	c.index.Reset()
	c.least, c.most, c.full = parquet.Value{}, parquet.Value{}, false
	c.there, c.dict, c.dictSize = 0, Header{}, 0
	c.evenPages, c.wins = 0, false
	c.words.reset()
	c.texts.reset()
}
