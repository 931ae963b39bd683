package sink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"slices"
	"sync"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/parquet-go/bitpack"
	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/format"

	"usagelake/schemas"
	"usagelake/sink/encode"
)

// page holds the values of one page. They are valid until the next page.
type page struct {
	rows  int
	nulls int
	valid []byte // a bit for each row, least significant first; nil if all or none are NULL

	// The values of the rows that are not NULL, by the kind of the column. If
	// the page has a dictionary, they are numbers of it, of which same says
	// that all are the first and only one of idx.
	i64  []int64
	f64  []float64
	bits []byte // least significant first
	str  texts
	dict *dictionary // the same for all pages of a chunk that have it
	idx  []int32
	same bool
}

// values is the count of the rows that are not NULL.
func (p *page) values() int { return p.rows - p.nulls }

// null reports whether a row is NULL.
func (p *page) null(row int) bool {
	if p.valid == nil {
		return p.nulls > 0
	}
	return !bit(p.valid, row)
}

// number is that of value i in the dictionary.
func (p *page) number(i int) int32 {
	if p.same {
		return p.idx[0]
	}
	return p.idx[i]
}

// dictionary is the words of a column chunk, by the kind of the column.
type dictionary struct {
	n   int
	i64 []int64
	f64 []float64
	str texts

	header     encode.Header
	headerSize int
}

// texts are strings as a page has them: each behind its length.
type texts struct {
	data    []byte
	offsets []uint32 // of the strings in data, and one more
}

const lengthBytes = 4

func (t *texts) len() int { return max(len(t.offsets)-1, 0) }

// size is the bytes of the strings [from, to).
func (t *texts) size(from, to int) int {
	if from == to {
		return 0
	}
	return int(t.offsets[to]-t.offsets[from]) - (to-from)*lengthBytes
}

func (t *texts) at(i int) []byte { return t.data[t.offsets[i] : t.offsets[i+1]-lengthBytes] }

// split finds n strings in data, which has nothing else. It returns the memory
// of the offsets, for which it takes that of buf.
func (t *texts) split(buf []uint32, data []byte, n int) ([]uint32, error) {
	buf = slices.Grow(buf[:0], n+1)[:n+1]
	at := lengthBytes
	for i := range n {
		if at > len(data) {
			return buf, errTexts
		}
		buf[i] = uint32(at)
		at += int(binary.LittleEndian.Uint32(data[at-lengthBytes:])) + lengthBytes
	}
	if at != len(data)+lengthBytes {
		return buf, errTexts
	}
	buf[n] = uint32(at)
	t.data, t.offsets = data, buf
	return buf, nil
}

var errTexts = errors.New("strings do not fill the page")

// aheadBytes is how much is read at a time, if pages are not larger.
const aheadBytes = 128 << 10

// codecOf is the codec of a file's pages.
func codecOf(c format.CompressionCodec) compress.Codec {
	if c == format.Snappy {
		return codecs["snappy"]
	}
	return codecs["zstd"]
}

// pageReader steps through the pages of a column chunk and holds one of them.
// The page index, which open has checked, says where they are.
type pageReader struct {
	page
	header     encode.Header // of the page, and its bytes
	headerSize int

	col   schemas.Col
	meta  *format.ColumnMetaData
	todo  []format.PageLocation
	left  int64 // rows of the pages to come
	codec compress.Codec
	file  io.ReaderAt
	end   int64 // of the chunk
	words *dictionary
	mem   *pageBuffers
}

// pageBuffers are the memory of a pageReader.
type pageBuffers struct {
	ahead              []byte // of the file
	from               int64  // where ahead begins
	raw, words         []byte
	valid              []byte
	i64, i64Words      []int64
	f64, f64Words      []float64
	idx                []int32
	offsets, wordsFrom []uint32
}

var pageMemory = sync.Pool{New: func() any { return new(pageBuffers) }}

// openPages begins to read a column of a row group.
func openPages(f *file, group int, c schemas.Col) *pageReader {
	meta := f.chunk(group, c)
	r := &pageReader{
		col: c, meta: meta, left: meta.NumValues, file: f.r, codec: codecOf(meta.Codec),
		todo: f.pages(group, c),
		mem:  pageMemory.Get().(*pageBuffers),
	}
	last := r.todo[len(r.todo)-1]
	r.end = last.Offset + int64(last.CompressedPageSize)
	r.mem.from, r.mem.ahead = 0, r.mem.ahead[:0]
	return r
}

// close gives the memory back. What was read is of no more use.
func (r *pageReader) close() {
	if r.mem != nil {
		pageMemory.Put(r.mem)
	}
	r.page, r.words, r.mem, r.todo = page{}, nil, nil, nil
}

// next reads the next page in place of the last one, io.EOF behind the end.
func (r *pageReader) next() (err error) {
	r.page = page{}
	if len(r.todo) == 0 {
		return io.EOF
	}
	if r.words == nil && r.meta.DictionaryPageOffset > 0 {
		if r.words, err = r.dictionary(); err != nil {
			return fmt.Errorf("dictionary: %w", err)
		}
	}
	at := r.todo[0]
	r.todo = r.todo[1:]
	rows := min(r.left, int64(pageLen(r.col)))
	r.left -= rows
	r.header, r.headerSize, err = r.read(at.Offset, int64(at.CompressedPageSize), &r.mem.raw)
	if err != nil {
		return err
	}
	if r.header.Dict || int64(r.header.Values) != rows {
		return fmt.Errorf("page of %d rows, want %d", r.header.Values, rows)
	}
	r.page.rows = int(rows)
	return r.decode(r.mem.raw)
}

// read unpacks a page of so many bytes, header and all, into raw.
func (r *pageReader) read(at, size int64, raw *[]byte) (h encode.Header, headerSize int, err error) {
	packed, err := r.bytes(at, size)
	if err != nil {
		return h, 0, err
	}
	if h, headerSize, err = encode.ParseHeader(packed); err != nil {
		return h, 0, err
	}
	if packed = packed[headerSize:]; len(packed) != h.Packed {
		return h, 0, fmt.Errorf("page of %d bytes, want %d", len(packed), h.Packed)
	}
	if sum := crc32.ChecksumIEEE(packed); sum != h.CRC {
		return h, 0, fmt.Errorf("checksum is %08x, want %08x", sum, h.CRC)
	}
	if *raw, err = r.codec.Decode(*raw, packed); err != nil {
		return h, 0, err
	}
	if len(*raw) != h.Raw {
		return h, 0, fmt.Errorf("%d bytes unpacked, want %d", len(*raw), h.Raw)
	}
	*raw = slices.Grow(*raw, bitpack.PaddingInt32) // bitpack reads beyond the end
	return h, headerSize, nil
}

// bytes are those of the file from an offset on, until the next call.
func (r *pageReader) bytes(at, size int64) ([]byte, error) {
	m := r.mem
	if at < m.from || at+size > m.from+int64(len(m.ahead)) {
		n := int(max(size, min(aheadBytes, r.end-at)))
		m.ahead, m.from = slices.Grow(m.ahead[:0], n)[:n], at
		if got, err := r.file.ReadAt(m.ahead, at); got < n {
			m.ahead = m.ahead[:0]
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return m.ahead[at-m.from:][:size], nil
}

func (r *pageReader) dictionary() (*dictionary, error) {
	m := r.mem
	from := r.meta.DictionaryPageOffset
	h, size, err := r.read(from, r.meta.DataPageOffset-from, &m.words)
	if err != nil {
		return nil, err
	}
	if !h.Dict || h.Encoding != format.Plain {
		return nil, fmt.Errorf("encoding %v", h.Encoding)
	}
	d := &dictionary{n: h.Values, header: h, headerSize: size}
	switch schemas.Columns[r.col].Kind {
	case schemas.Double:
		m.f64Words, err = numbers(m.f64Words, m.words, d.n)
		d.f64 = m.f64Words
	case schemas.String:
		m.wordsFrom, err = d.str.split(m.wordsFrom, m.words, d.n)
	default:
		m.i64Words, err = numbers(m.i64Words, m.words, d.n)
		d.i64 = m.i64Words
	}
	return d, err
}

var errValues = errors.New("not as many values as rows")

// numbers are n of them, in place of buf.
func numbers[T int64 | float64](buf []T, raw []byte, n int) ([]T, error) {
	if len(raw) != 8*n {
		return buf, errValues
	}
	buf = slices.Grow(buf[:0], n)[:n]
	copy(arrow.GetBytes(buf), raw)
	return buf, nil
}

// decode takes an unpacked page apart.
func (r *pageReader) decode(raw []byte) (err error) {
	p, m := &r.page, r.mem
	if !r.col.Required() {
		if len(raw) < lengthBytes {
			return errLevels
		}
		n := binary.LittleEndian.Uint32(raw)
		if raw = raw[lengthBytes:]; uint64(n) > uint64(len(raw)) {
			return errLevels
		}
		if err := r.levels(raw[:n:n]); err != nil {
			return err
		}
		raw = raw[n:]
	}
	if p.nulls != r.header.Nulls {
		return fmt.Errorf("%d NULLs, the header has %d", p.nulls, r.header.Nulls)
	}
	n := p.values()
	kind := schemas.Columns[r.col].Kind
	switch {
	case r.header.Encoding == format.RLEDictionary:
		return r.indices(raw, n)
	case r.header.Encoding != format.Plain:
		return fmt.Errorf("encoding %v", r.header.Encoding)
	case kind == schemas.Double:
		m.f64, err = numbers(m.f64, raw, n)
		p.f64 = m.f64
	case kind == schemas.Bool:
		if p.bits = raw; len(raw) != (n+7)/8 {
			err = errValues
		}
	case kind == schemas.String:
		m.offsets, err = p.str.split(m.offsets, raw, n)
	default:
		m.i64, err = numbers(m.i64, raw, n)
		p.i64 = m.i64
	}
	return err
}

var errLevels = errors.New("levels are damaged")

// levels reads which rows are NULL.
func (r *pageReader) levels(src []byte) error {
	p := &r.page
	run, size := binary.Uvarint(src)
	if run == uint64(p.rows)<<1 && size == len(src)-1 && src[size] <= 1 {
		p.nulls = p.rows * int(1-src[size])
		return nil
	}
	n := (p.rows + 7) / 8
	r.mem.valid = slices.Grow(r.mem.valid[:0], n)[:n]
	p.valid = r.mem.valid
	clear(p.valid)
	some := 0
	err := eachRun(src, 1, p.rows, func(at, n int, value int32, packed []byte) {
		switch {
		case packed != nil && at%8 == 0:
			copy(p.valid[at/8:], packed)
		case packed == nil && value == 0:
		default:
			for i := range n {
				if packed == nil || bit(packed, i) {
					p.valid[(at+i)/8] |= 1 << ((at + i) % 8)
				}
			}
		}
	})
	if err != nil {
		return err
	}
	if rest := p.rows % 8; rest > 0 {
		p.valid[n-1] &= 1<<rest - 1
	}
	for _, b := range p.valid {
		some += bits.OnesCount8(b)
	}
	if p.nulls = p.rows - some; some == 0 || some == p.rows {
		p.valid = nil
	}
	return nil
}

// indices reads n numbers in the dictionary.
func (r *pageReader) indices(src []byte, n int) error {
	p, m := &r.page, r.mem
	if p.dict = r.words; p.dict == nil {
		return errors.New("no dictionary")
	}
	if len(src) == 0 || src[0] > 32 {
		return errIndex
	}
	width := int(src[0])
	m.idx = slices.Grow(m.idx[:0], n+8)[:n+8]
	err := eachRun(src[1:], width, n, func(at, count int, value int32, packed []byte) {
		switch {
		case packed != nil:
			bitpack.Unpack(m.idx[at:at+(count+7)/8*8], packed[:cap(packed)], uint(width))
		case count == n:
			p.same = true
			m.idx[0] = value
		default:
			run := m.idx[at : at+count]
			for i := range run {
				run[i] = value
			}
		}
	})
	if err != nil {
		return err
	}
	if p.idx = m.idx[:n]; p.same {
		p.idx = m.idx[:1]
	}
	most := uint32(0)
	for _, k := range p.idx {
		most = max(most, uint32(k))
	}
	if n > 0 && int64(most) >= int64(p.dict.n) {
		return errIndex
	}
	return nil
}

var errIndex = errors.New("index beyond the dictionary")

// eachRun calls fn for the runs of n numbers in Parquet's hybrid of repeats and
// packed bits: count of them from number at on are value, or in packed, with a
// bit or more of padding behind.
func eachRun(src []byte, width, n int, fn func(at, count int, value int32, packed []byte)) error {
	at := 0
	for len(src) > 0 {
		head, size := binary.Uvarint(src)
		left := uint64(n - at)
		if size <= 0 || head>>1 == 0 || left == 0 {
			return errRuns
		}
		src = src[size:]
		count := head >> 1
		if head&1 == 0 {
			bytes := (width + 7) / 8
			if count > left || len(src) < bytes {
				return errRuns
			}
			var word [4]byte
			copy(word[:], src[:bytes])
			fn(at, int(count), int32(binary.LittleEndian.Uint32(word[:])), nil)
			src = src[bytes:]
		} else {
			if width == 0 || count > (left+7)/8 || count*uint64(width) > uint64(len(src)) {
				return errRuns
			}
			bytes := int(count) * width
			count = min(8*count, left)
			fn(at, int(count), 0, src[:bytes])
			src = src[bytes:]
		}
		at += int(count)
	}
	if at != n {
		return errRuns
	}
	return nil
}

var errRuns = errors.New("runs do not make as many numbers as there are rows")

func nameColumn(err *error, c schemas.Col) {
	if *err != nil {
		*err = fmt.Errorf("%v: %w", c, *err)
	}
}
