package encode

import (
	"bytes"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"pgregory.net/rapid"
)

// A header is what Thrift makes of it, and is read from nothing else.
func TestHeader(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		number := rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(0, 1<<31-1))
		h := Header{
			Dict:     rapid.Bool().Draw(rt, "dict"),
			Raw:      number.Draw(rt, "raw"),
			Packed:   number.Draw(rt, "packed"),
			CRC:      uint32(rapid.OneOf(rapid.Just(0), number, rapid.Just(1<<32-1)).Draw(rt, "crc")),
			Values:   number.Draw(rt, "values"),
			Encoding: rapid.SampledFrom([]format.Encoding{format.Plain, format.RLEDictionary}).Draw(rt, "encoding"),
		}
		want := format.PageHeader{UncompressedPageSize: int32(h.Raw), CompressedPageSize: int32(h.Packed), CRC: int32(h.CRC)}
		if h.Dict {
			want.Type = format.DictionaryPage
			want.DictionaryPageHeader.Set(format.DictionaryPageHeader{NumValues: int32(h.Values), Encoding: h.Encoding})
		} else {
			h.Nulls = number.Draw(rt, "nulls")
			want.DataPageHeader.Set(format.DataPageHeader{
				NumValues: int32(h.Values), Encoding: h.Encoding,
				DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE,
				Statistics: format.Statistics{NullCount: int64(h.Nulls)},
			})
		}
		bytesOf, err := thrift.Marshal(new(thrift.CompactProtocol), &want)
		if err != nil {
			rt.Fatal(err)
		}
		if got := h.append(nil); !bytes.Equal(got, bytesOf) {
			rt.Fatalf("%x, want %x", got, bytesOf)
		}
		if len(bytesOf) > maxHeader {
			rt.Fatalf("%d bytes", len(bytesOf))
		}
		got, n, err := ParseHeader(append(bytesOf, 0, 1, 2))
		if err != nil || got != h || n != len(bytesOf) {
			rt.Fatalf("%+v of %d bytes, want %+v of %d: %v", got, n, h, len(bytesOf), err)
		}
		for i := range bytesOf {
			if _, _, err := ParseHeader(bytesOf[:i]); err == nil {
				rt.Fatalf("%d bytes of %x are a header", i, bytesOf)
			}
			bytesOf[i] ^= rapid.ByteRange(1, 255).Draw(rt, "flip")
			if got, n, err := ParseHeader(bytesOf); err == nil && got == h && n == len(bytesOf) {
				rt.Fatalf("%x is the same header", bytesOf)
			}
			bytesOf[i] = h.append(nil)[i]
		}
	})
}
