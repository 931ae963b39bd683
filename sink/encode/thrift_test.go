package encode

import (
	"bytes"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"pgregory.net/rapid"
)

// What is written is what Thrift makes of the same structures.
func TestThrift(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var (
			n32   = rapid.OneOf(rapid.Int32Range(0, 200), rapid.Just[int32](0), rapid.Int32())
			n64   = rapid.OneOf(rapid.Int64Range(0, 200), rapid.Just[int64](0), rapid.Int64())
			short = rapid.SliceOfN(rapid.Byte(), 0, 20)
			long  = rapid.OneOf(short, rapid.SliceOfN(rapid.Byte(), 128, 300))
			count = rapid.OneOf(rapid.IntRange(0, 3), rapid.IntRange(14, 17))
		)
		draw := func(g *rapid.Generator[int32]) int32 { return g.Draw(rt, "n32") }
		big := func() int64 { return n64.Draw(rt, "n64") }
		maybe := func() []byte {
			if rapid.Bool().Draw(rt, "none") {
				return nil
			}
			return long.Draw(rt, "value")
		}
		same := func(what string, v any, write func(*compact)) {
			want, err := thrift.Marshal(new(thrift.CompactProtocol), v)
			if err != nil {
				rt.Fatal(err)
			}
			w := compact{b: []byte("before"), last: 3}
			if write(&w); !bytes.Equal(w.b, append([]byte("before"), want...)) || w.last != 3 {
				rt.Fatalf("%s %+v: %x, want %x", what, v, w.b[len("before"):], want)
			}
		}

		pages := count.Draw(rt, "pages")
		index := format.ColumnIndex{
			NullPages: make([]bool, pages), MinValues: make([][]byte, pages), MaxValues: make([][]byte, pages),
			NullCounts: make([]int64, pages), BoundaryOrder: format.BoundaryOrder(rapid.Int32Range(0, 2).Draw(rt, "order")),
		}
		offsets := format.OffsetIndex{PageLocations: make([]format.PageLocation, pages)}
		for i := range pages {
			index.NullPages[i], index.NullCounts[i] = rapid.Bool().Draw(rt, "null"), big()
			index.MinValues[i], index.MaxValues[i] = short.Draw(rt, "min"), short.Draw(rt, "max")
			offsets.PageLocations[i] = format.PageLocation{Offset: big(), CompressedPageSize: draw(n32), FirstRowIndex: big()}
		}
		same("column index", &index, func(w *compact) { w.columnIndex(&index) })
		same("offset index", &offsets, func(w *compact) { w.offsetIndex(&offsets) })

		size := draw(n32)
		same("bloom filter", &format.BloomFilterHeader{
			NumBytes:    size,
			Algorithm:   format.BloomFilterAlgorithm{Value: new(format.SplitBlockAlgorithm)},
			Hash:        format.BloomFilterHash{Value: new(format.XxHash)},
			Compression: format.BloomFilterCompression{Value: new(format.BloomFilterUncompressed)},
		}, func(w *compact) { w.bloomHeader(int(size)) })

		chunk := func() (c format.ColumnChunk) {
			c.FileOffset, c.OffsetIndexOffset, c.ColumnIndexOffset = big(), big(), big()
			c.OffsetIndexLength, c.ColumnIndexLength = draw(n32), draw(n32)
			m := &c.MetaData
			m.Type, m.Codec = format.Type(draw(n32)), format.CompressionCodec(draw(n32))
			for range count.Draw(rt, "encodings") {
				m.Encoding = append(m.Encoding, format.Encoding(rapid.Int32Range(0, 9).Draw(rt, "encoding")))
			}
			for range count.Draw(rt, "stats") {
				m.EncodingStats = append(m.EncodingStats, format.PageEncodingStats{
					PageType: format.PageType(draw(n32)), Encoding: format.Encoding(draw(n32)), Count: draw(n32),
				})
			}
			m.PathInSchema = []string{string(long.Draw(rt, "name"))}
			m.NumValues, m.TotalUncompressedSize, m.TotalCompressedSize = big(), big(), big()
			m.DataPageOffset, m.DictionaryPageOffset = big(), big()
			m.BloomFilterOffset, m.BloomFilterLength = big(), draw(n32)
			m.Statistics = format.Statistics{NullCount: big(), MinValue: maybe(), MaxValue: maybe()}
			return c
		}
		l := Layout{createdBy: string(long.Draw(rt, "created by"))}
		meta := format.FileMetaData{Version: 2, NumRows: big(), CreatedBy: l.createdBy}
		for range rapid.IntRange(1, 16).Draw(rt, "columns") {
			e := format.SchemaElement{Name: string(short.Draw(rt, "element")), FieldID: draw(n32)}
			e.Type.Set(format.Type(draw(n32)))
			meta.Schema = append(meta.Schema, e)
			meta.ColumnOrders = append(meta.ColumnOrders, format.ColumnOrder{Value: new(format.TypeDefinedOrder)})
		}
		var sorting []format.SortingColumn
		for range rapid.IntRange(0, 3).Draw(rt, "sorting") {
			sorting = append(sorting, format.SortingColumn{ColumnIdx: draw(n32), Descending: rapid.Bool().Draw(rt, "descending")})
		}
		for range count.Draw(rt, "groups") {
			g := format.RowGroup{
				TotalByteSize: big(), NumRows: big(), FileOffset: big(), TotalCompressedSize: big(),
				Ordinal: rapid.Int16().Draw(rt, "ordinal"), SortingColumns: sorting,
			}
			for range rapid.IntRange(0, 2).Draw(rt, "chunks") {
				g.Columns = append(g.Columns, chunk())
			}
			meta.RowGroups = append(meta.RowGroups, g)
		}
		for range count.Draw(rt, "pairs") {
			meta.KeyValueMetadata = append(meta.KeyValueMetadata, format.KeyValue{
				Key: string(short.Draw(rt, "key")), Value: string(long.Draw(rt, "value")),
			})
		}
		l.schema, l.orders, l.sorting = marshalList(meta.Schema), marshalList(meta.ColumnOrders), marshalList(sorting)
		same("footer", &meta, func(w *compact) { w.footer(&l, meta.NumRows, meta.RowGroups, meta.KeyValueMetadata) })
	})
}
