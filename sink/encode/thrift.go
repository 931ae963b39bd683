package encode

import (
	"encoding/binary"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// compact writes Thrift's compact protocol: what thrift.Marshal makes of the
// same structure, which finds its way by reflection and takes as long as all
// else that is done for a small file. It writes the fields that this package
// sets.
type compact struct {
	b    []byte
	last byte // number of the field before
}

func (w *compact) field(id byte, t thrift.Type) {
	w.b = append(w.b, (id-w.last)<<4|byte(t))
	w.last = id
}

func (w *compact) number(v int64) {
	if u := uint64(v<<1) ^ uint64(v>>63); u < 0x80 {
		w.b = append(w.b, byte(u))
	} else {
		w.b = binary.AppendUvarint(w.b, u)
	}
}

func (w *compact) int32(id byte, v int32) {
	w.field(id, thrift.I32)
	w.number(int64(v))
}

func (w *compact) int64(id byte, v int64) {
	w.field(id, thrift.I64)
	w.number(v)
}

// some is int64, unless it is 0.
func (w *compact) some(id byte, v int64) {
	if v != 0 {
		w.int64(id, v)
	}
}

func (w *compact) text(s string) {
	w.b = binary.AppendUvarint(w.b, uint64(len(s)))
	w.b = append(w.b, s...)
}

func (w *compact) bytes(s []byte) {
	w.b = binary.AppendUvarint(w.b, uint64(len(s)))
	w.b = append(w.b, s...)
}

func (w *compact) list(id byte, t thrift.Type, n int) {
	w.field(id, thrift.LIST)
	if n < 15 {
		w.b = append(w.b, byte(n)<<4|byte(t))
	} else {
		w.b = binary.AppendUvarint(append(w.b, 0xf0|byte(t)), uint64(n))
	}
}

// begin and end stand around the fields of a structure; end takes what begin
// returned.
func (w *compact) begin() (outer byte) {
	outer, w.last = w.last, 0
	return outer
}

func (w *compact) end(outer byte) {
	w.b = append(w.b, end)
	w.last = outer
}

// columnIndex counts the NULLs of every page.
func (w *compact) columnIndex(x *format.ColumnIndex) {
	outer := w.begin()
	w.list(1, thrift.BOOL, len(x.NullPages))
	for _, null := range x.NullPages {
		w.b = append(w.b, flag(null))
	}
	for i, values := range [...][][]byte{x.MinValues, x.MaxValues} {
		w.list(byte(2+i), thrift.BINARY, len(values))
		for _, v := range values {
			w.bytes(v)
		}
	}
	w.int32(4, int32(x.BoundaryOrder))
	w.list(5, thrift.I64, len(x.NullCounts))
	for _, n := range x.NullCounts {
		w.number(n)
	}
	w.end(outer)
}

func flag(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func (w *compact) offsetIndex(x *format.OffsetIndex) {
	outer := w.begin()
	w.list(1, thrift.STRUCT, len(x.PageLocations))
	for i := range x.PageLocations {
		p, outer := &x.PageLocations[i], w.begin()
		w.int64(1, p.Offset)
		w.int32(2, p.CompressedPageSize)
		w.int64(3, p.FirstRowIndex)
		w.end(outer)
	}
	w.end(outer)
}

// bloomHeader is the header of a filter of so many bytes: of split blocks, with
// xxHash, not compressed, each of which is the only one of its kind.
func (w *compact) bloomHeader(size int) {
	outer := w.begin()
	w.int32(1, int32(size))
	for id := byte(2); id <= 4; id++ {
		w.field(id, thrift.STRUCT)
		w.union(1)
	}
	w.end(outer)
}

// union is one whose member has no fields.
func (w *compact) union(member byte) {
	outer := w.begin()
	w.field(member, thrift.STRUCT)
	w.b = append(w.b, end)
	w.end(outer)
}

func (w *compact) rowGroup(g *format.RowGroup, sorting []byte) {
	outer := w.begin()
	w.list(1, thrift.STRUCT, len(g.Columns))
	for i := range g.Columns {
		w.columnChunk(&g.Columns[i])
	}
	w.int64(2, g.TotalByteSize)
	w.int64(3, g.NumRows)
	w.ready(4, sorting)
	w.some(5, g.FileOffset)
	w.some(6, g.TotalCompressedSize)
	w.field(7, thrift.I16)
	w.number(int64(g.Ordinal))
	w.end(outer)
}

func (w *compact) columnChunk(c *format.ColumnChunk) {
	outer := w.begin()
	w.int64(2, c.FileOffset)
	w.field(3, thrift.STRUCT)
	w.columnMeta(&c.MetaData)
	w.some(4, c.OffsetIndexOffset)
	if c.OffsetIndexLength != 0 {
		w.int32(5, c.OffsetIndexLength)
	}
	w.some(6, c.ColumnIndexOffset)
	if c.ColumnIndexLength != 0 {
		w.int32(7, c.ColumnIndexLength)
	}
	w.end(outer)
}

func (w *compact) columnMeta(m *format.ColumnMetaData) {
	outer := w.begin()
	w.int32(1, int32(m.Type))
	w.list(2, thrift.I32, len(m.Encoding))
	for _, e := range m.Encoding {
		w.number(int64(e))
	}
	w.list(3, thrift.BINARY, len(m.PathInSchema))
	for _, name := range m.PathInSchema {
		w.text(name)
	}
	w.int32(4, int32(m.Codec))
	w.int64(5, m.NumValues)
	w.int64(6, m.TotalUncompressedSize)
	w.int64(7, m.TotalCompressedSize)
	w.int64(9, m.DataPageOffset)
	w.some(11, m.DictionaryPageOffset)
	w.field(12, thrift.STRUCT)
	w.statistics(&m.Statistics)
	if len(m.EncodingStats) > 0 {
		w.list(13, thrift.STRUCT, len(m.EncodingStats))
		for i := range m.EncodingStats {
			s, outer := &m.EncodingStats[i], w.begin()
			w.int32(1, int32(s.PageType))
			w.int32(2, int32(s.Encoding))
			w.int32(3, s.Count)
			w.end(outer)
		}
	}
	w.some(14, m.BloomFilterOffset)
	if m.BloomFilterLength != 0 {
		w.int32(15, m.BloomFilterLength)
	}
	w.end(outer)
}

func (w *compact) statistics(s *format.Statistics) {
	outer := w.begin()
	w.int64(3, s.NullCount)
	if s.MaxValue != nil {
		w.field(5, thrift.BINARY)
		w.bytes(s.MaxValue)
	}
	if s.MinValue != nil {
		w.field(6, thrift.BINARY)
		w.bytes(s.MinValue)
	}
	w.end(outer)
}

// version of the format, as a footer says it.
const version = 2

// footer writes the metadata of a file.
func (w *compact) footer(l *Layout, rows int64, groups []format.RowGroup, metadata []format.KeyValue) {
	outer := w.begin()
	w.int32(1, version)
	w.ready(2, l.schema)
	w.int64(3, rows)
	w.list(4, thrift.STRUCT, len(groups))
	for i := range groups {
		w.rowGroup(&groups[i], l.sorting)
	}
	if len(metadata) > 0 {
		w.list(5, thrift.STRUCT, len(metadata))
		for i := range metadata {
			outer := w.begin()
			w.field(1, thrift.BINARY)
			w.text(metadata[i].Key)
			w.field(2, thrift.BINARY)
			w.text(metadata[i].Value)
			w.end(outer)
		}
	}
	if l.createdBy != "" {
		w.field(6, thrift.BINARY)
		w.text(l.createdBy)
	}
	w.ready(7, l.orders)
	w.end(outer)
}

// ready is a list by marshalList, nothing where it is empty.
func (w *compact) ready(id byte, list []byte) {
	if len(list) > 0 {
		w.field(id, thrift.LIST)
		w.b = append(w.b, list...)
	}
}

// marshalList is a list, as it stands behind its field.
func marshalList[T any](list []T) []byte {
	if len(list) == 0 {
		return nil
	}
	b, err := thrift.Marshal(new(thrift.CompactProtocol), &struct {
		List thrift.Slice[T] `thrift:"1,required"`
	}{list})
	if err != nil {
		panic(err)
	}
	return b[1 : len(b)-1]
}
