package encode

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// Footer is what stands behind the row groups of a file: what they hold, and
// the page index of all their columns, group by group. What this package's files
// have in common is not in it, nor are the bounds of pages.
type Footer struct {
	Rows     int64
	Groups   []format.RowGroup
	Metadata []format.KeyValue
	Pages    []format.ColumnIndex
	Offsets  []format.OffsetIndex

	tail    []byte // the end of the file
	decoder decoder
}

// ErrFooter means that a footer or a page index is not as File writes it.
var ErrFooter = errors.New("footer is not as it was written")

const magic = "PAR1"

// tailBytes are read first; they hold all but the pages of a small file.
const tailBytes = 32 << 10

// ReadFooter reads the footer and the page index of a file with this layout. It
// knows the one way in which File writes them, anything else is ErrFooter; what it
// says of the pages is not checked. For a small file this takes a tenth of the time
// that parquet-go takes for any file.
func (l *Layout) ReadFooter(r io.ReaderAt, size int64) (*Footer, error) {
	f, _ := l.footers.Get().(*Footer)
	if f == nil {
		f = new(Footer)
	}
	if err := f.read(l, r, size); err != nil {
		return nil, err
	}
	return f, nil
}

// Free gives the memory of a footer to the next one. Nothing of it is of use
// any more.
func (l *Layout) Free(f *Footer) {
	if len(f.tail) > 0 { // it is of ReadFooter
		l.footers.Put(f)
	}
}

func (f *Footer) read(l *Layout, r io.ReaderAt, size int64) error {
	f.tail, f.Groups, f.Metadata = f.tail[:0], f.Groups[:0], f.Metadata[:0]
	from := func(at int64) ([]byte, error) {
		if at < 0 || at > size {
			return nil, ErrFooter
		}
		if have := size - int64(len(f.tail)); at < have {
			if len(f.tail) == 0 {
				f.tail = sized(f.tail, int(size-at))
			} else { // what was read of the shorter one refers to it
				f.tail = make([]byte, size-at)
			}
			if n, err := r.ReadAt(f.tail, at); n < len(f.tail) {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return nil, fmt.Errorf("footer: %w", err)
			}
		}
		return f.tail[at-(size-int64(len(f.tail))):], nil
	}
	const lengths = 4 + len(magic)
	if _, err := from(max(0, size-tailBytes)); err != nil {
		return err
	}
	end, err := from(size - int64(lengths))
	if err != nil {
		return err
	}
	begin := size - int64(lengths) - int64(binary.LittleEndian.Uint32(end))
	b, err := from(begin)
	if err != nil || string(end[4:]) != magic {
		return cmp.Or(err, ErrFooter)
	}
	d := &f.decoder
	d.reset(b[:len(b)-lengths])
	d.footer(l, f)
	if d.bad || len(d.b) > 0 || len(f.Groups) == 0 {
		return ErrFooter
	}
	index := f.Groups[0].Columns[0].ColumnIndexOffset
	if b, err = from(index); err != nil || index > begin {
		return cmp.Or(err, ErrFooter)
	}
	d.start(b[:begin-index])
	n := len(f.Groups) * len(l.names)
	f.Pages, f.Offsets = sized(f.Pages, n), sized(f.Offsets, n)
	columns := len(l.names)
	for i := range f.Pages {
		at, chunk := begin-int64(len(d.b)), &f.Groups[i/columns].Columns[i%columns]
		d.columnIndex(&f.Pages[i])
		d.stood(at, begin, chunk.ColumnIndexOffset, chunk.ColumnIndexLength)
	}
	for i := range f.Offsets {
		at, chunk := begin-int64(len(d.b)), &f.Groups[i/columns].Columns[i%columns]
		d.offsetIndex(&f.Offsets[i])
		d.stood(at, begin, chunk.OffsetIndexOffset, chunk.OffsetIndexLength)
	}
	if d.bad || len(d.b) > 0 {
		return ErrFooter
	}
	return nil
}

// decoder reads what compact writes. What is not there as it would be written
// makes it bad, and nothing is read from there on.
type decoder struct {
	b    []byte
	last byte
	bad  bool
	// Memory that lists share.
	encodings []format.Encoding
	stats     []format.PageEncodingStats
	pages     []format.PageLocation
	flags     []bool
	numbers   []int64
}

func (d *decoder) reset(b []byte) {
	d.encodings, d.stats, d.pages = d.encodings[:0], d.stats[:0], d.pages[:0]
	d.flags, d.numbers = d.flags[:0], d.numbers[:0]
	d.start(b)
}

func (d *decoder) start(b []byte) { d.b, d.last, d.bad = b, 0, false }

func (d *decoder) fail() {
	d.b, d.bad = nil, true
}

// stood says where what was read from at on should have stood. end is where all
// that is to be read ends.
func (d *decoder) stood(at, end, offset int64, length int32) {
	if at != offset || end-int64(len(d.b))-at != int64(length) {
		d.fail()
	}
}

// next reports whether a field is the next one.
func (d *decoder) next(id byte, t thrift.Type) bool {
	return len(d.b) > 0 && d.b[0] == (id-d.last)<<4|byte(t)
}

// at takes a field if it is the next one.
func (d *decoder) at(id byte, t thrift.Type) bool {
	if !d.next(id, t) {
		return false
	}
	d.b, d.last = d.b[1:], id
	return true
}

func (d *decoder) field(id byte, t thrift.Type) {
	if !d.at(id, t) {
		d.fail()
	}
}

func (d *decoder) number() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) number32() int32 {
	v := d.number()
	if v != int64(int32(v)) {
		d.fail()
	}
	return int32(v)
}

func (d *decoder) int64(id byte) int64 {
	d.field(id, thrift.I64)
	return d.number()
}

func (d *decoder) int32(id byte) int32 {
	d.field(id, thrift.I32)
	return d.number32()
}

func (d *decoder) some(id byte) int64 {
	if d.at(id, thrift.I64) {
		return d.number()
	}
	return 0
}

func (d *decoder) some32(id byte) int32 {
	if d.at(id, thrift.I32) {
		return d.number32()
	}
	return 0
}

// bytes are those of the file, not a copy.
func (d *decoder) bytes() []byte {
	n, size := binary.Uvarint(d.b)
	if size <= 0 || n > uint64(len(d.b)-size) {
		d.fail()
		return nil
	}
	v := d.b[size : size+int(n) : size+int(n)]
	d.b = d.b[size+int(n):]
	return v
}

// list is the length of a list whose items take a byte at least.
func (d *decoder) list(id byte, t thrift.Type) int {
	if d.field(id, thrift.LIST); len(d.b) == 0 || d.b[0]&0xf != byte(t) {
		d.fail()
		return 0
	}
	n, size := uint64(d.b[0]>>4), 0
	d.b = d.b[1:]
	if n == 15 {
		n, size = binary.Uvarint(d.b)
	}
	if size < 0 || n > uint64(len(d.b)-size) {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return int(n)
}

// exactly takes these bytes and no others.
func (d *decoder) exactly(want []byte) {
	if !bytes.HasPrefix(d.b, want) {
		d.fail()
		return
	}
	d.b = d.b[len(want):]
}

func (d *decoder) ready(id byte, list []byte) {
	if len(list) > 0 {
		d.field(id, thrift.LIST)
		d.exactly(list)
	}
}

func (d *decoder) begin() (outer byte) {
	outer, d.last = d.last, 0
	return outer
}

func (d *decoder) end(outer byte) {
	d.exactly(stop)
	d.last = outer
}

var stop = []byte{end}

func (d *decoder) footer(l *Layout, f *Footer) {
	outer := d.begin()
	if d.int32(1) != version {
		d.fail()
	}
	d.ready(2, l.schema)
	f.Rows = d.int64(3)
	n := d.list(4, thrift.STRUCT)
	for i := 0; i < n && !d.bad; i++ {
		f.Groups = another(f.Groups)
		d.rowGroup(l, &f.Groups[i])
	}
	if d.next(5, thrift.LIST) {
		n := d.list(5, thrift.STRUCT)
		for i := 0; i < n && !d.bad; i++ {
			outer := d.begin()
			d.field(1, thrift.BINARY)
			k := d.bytes()
			d.field(2, thrift.BINARY)
			v := d.bytes()
			d.end(outer)
			f.Metadata = append(f.Metadata, format.KeyValue{Key: string(k), Value: string(v)})
		}
	}
	if l.createdBy != "" {
		d.field(6, thrift.BINARY)
		if string(d.bytes()) != l.createdBy {
			d.fail()
		}
	}
	d.ready(7, l.orders)
	d.end(outer)
}

func (d *decoder) rowGroup(l *Layout, g *format.RowGroup) {
	outer := d.begin()
	if d.list(1, thrift.STRUCT) != len(l.names) {
		d.fail()
	}
	g.Columns = sized(g.Columns, len(l.names))
	for i := range g.Columns {
		d.columnChunk(l.names[i], &g.Columns[i])
	}
	g.TotalByteSize = d.int64(2)
	g.NumRows = d.int64(3)
	d.ready(4, l.sorting)
	g.FileOffset = d.some(5)
	g.TotalCompressedSize = d.some(6)
	d.field(7, thrift.I16)
	ordinal := d.number()
	if ordinal < math.MinInt16 || ordinal > math.MaxInt16 {
		d.fail()
	}
	g.Ordinal = int16(ordinal)
	d.end(outer)
}

func (d *decoder) columnChunk(name string, c *format.ColumnChunk) {
	outer := d.begin()
	c.FileOffset = d.int64(2)
	d.field(3, thrift.STRUCT)
	d.columnMeta(name, &c.MetaData)
	c.OffsetIndexOffset = d.some(4)
	c.OffsetIndexLength = d.some32(5)
	c.ColumnIndexOffset = d.some(6)
	c.ColumnIndexLength = d.some32(7)
	d.end(outer)
}

func (d *decoder) columnMeta(name string, m *format.ColumnMetaData) {
	outer := d.begin()
	m.Type = format.Type(d.int32(1))
	first := len(d.encodings)
	for range d.list(2, thrift.I32) {
		d.encodings = append(d.encodings, format.Encoding(d.number32()))
	}
	m.Encoding = d.encodings[first:len(d.encodings):len(d.encodings)]
	if d.list(3, thrift.BINARY) != 1 || string(d.bytes()) != name {
		d.fail()
	}
	m.Codec = format.CompressionCodec(d.int32(4))
	m.NumValues = d.int64(5)
	m.TotalUncompressedSize = d.int64(6)
	m.TotalCompressedSize = d.int64(7)
	m.DataPageOffset = d.int64(9)
	m.DictionaryPageOffset = d.some(11)
	d.field(12, thrift.STRUCT)
	d.statistics(&m.Statistics)
	first = len(d.stats)
	if d.next(13, thrift.LIST) {
		for range d.list(13, thrift.STRUCT) {
			outer := d.begin()
			d.stats = append(d.stats, format.PageEncodingStats{
				PageType: format.PageType(d.int32(1)), Encoding: format.Encoding(d.int32(2)), Count: d.int32(3),
			})
			d.end(outer)
		}
	}
	m.EncodingStats = d.stats[first:len(d.stats):len(d.stats)]
	m.BloomFilterOffset = d.some(14)
	m.BloomFilterLength = d.some32(15)
	d.end(outer)
}

func (d *decoder) statistics(s *format.Statistics) {
	outer := d.begin()
	*s = format.Statistics{NullCount: d.int64(3)}
	if d.at(5, thrift.BINARY) {
		s.MaxValue = d.bytes()
	}
	if d.at(6, thrift.BINARY) {
		s.MinValue = d.bytes()
	}
	d.end(outer)
}

func (d *decoder) columnIndex(x *format.ColumnIndex) {
	outer := d.begin()
	first := len(d.flags)
	for range d.list(1, thrift.BOOL) {
		if len(d.b) == 0 || d.b[0] > 1 {
			d.fail()
			return
		}
		d.flags = append(d.flags, d.b[0] == 1)
		d.b = d.b[1:]
	}
	x.NullPages = d.flags[first:len(d.flags):len(d.flags)]
	for id := byte(2); id <= 3; id++ {
		for range d.list(id, thrift.BINARY) {
			d.bytes()
		}
	}
	x.BoundaryOrder = format.BoundaryOrder(d.int32(4))
	first = len(d.numbers)
	for range d.list(5, thrift.I64) {
		d.numbers = append(d.numbers, d.number())
	}
	x.NullCounts = d.numbers[first:len(d.numbers):len(d.numbers)]
	d.end(outer)
}

func (d *decoder) offsetIndex(x *format.OffsetIndex) {
	outer := d.begin()
	first := len(d.pages)
	for range d.list(1, thrift.STRUCT) {
		outer := d.begin()
		d.pages = append(d.pages, format.PageLocation{
			Offset: d.int64(1), CompressedPageSize: d.int32(2), FirstRowIndex: d.int64(3),
		})
		d.end(outer)
	}
	x.PageLocations = d.pages[first:len(d.pages):len(d.pages)]
	d.end(outer)
}
