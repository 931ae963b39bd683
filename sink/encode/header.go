package encode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"

	"github.com/parquet-go/parquet-go/format"
)

// Header is the header of a page. There is one way to write it in Thrift's
// compact protocol, and ParseHeader takes no other.
type Header struct {
	Dict     bool // a dictionary, not a page of rows
	Raw      int  // bytes of the page behind the header, before compression
	Packed   int  // and as they are in the file
	CRC      uint32
	Values   int // rows, or the words of a dictionary
	Encoding format.Encoding
	Nulls    int
}

// The bytes before the fields of a header: how far the number of the field is
// behind that of the one before, and its type.
const (
	nextInt32  = 0x15
	nextStruct = 0x1c
	afterCRC   = 0x10 // more where there is no checksum, which is the way to write 0
	dictStruct = 0x3c // field 7 behind field 4
	nullCount  = 0x36 // field 3 of the statistics, an int64
	end        = 0x00
)

var errHeader = errors.New("header of a page is not as it was written")

// maxHeader is more bytes than any header has.
const maxHeader = 64

func (h *Header) append(b []byte) []byte {
	number := func(field byte, v int64) { b = binary.AppendVarint(append(b, field), v) }
	kind, body := format.DataPage, byte(nextStruct)
	if h.Dict {
		kind, body = format.DictionaryPage, dictStruct
	}
	number(nextInt32, int64(kind))
	number(nextInt32, int64(h.Raw))
	number(nextInt32, int64(h.Packed))
	if h.CRC != 0 {
		number(nextInt32, int64(int32(h.CRC)))
	} else {
		body += afterCRC
	}
	b = append(b, body)
	number(nextInt32, int64(h.Values))
	number(nextInt32, int64(h.Encoding))
	if !h.Dict {
		number(nextInt32, int64(format.RLE)) // of both levels
		number(nextInt32, int64(format.RLE))
		b = append(b, nextStruct)
		number(nullCount, int64(h.Nulls))
		b = append(b, end)
	}
	return append(b, end, end)
}

// ParseHeader reads a header at the beginning of b. size is its bytes.
func ParseHeader(b []byte) (h Header, size int, err error) {
	rest := b
	number := func(field byte) int64 {
		if len(rest) == 0 || rest[0] != field {
			err = errHeader
			return 0
		}
		v, n := binary.Varint(rest[1:])
		if n <= 0 || v < math.MinInt32 || v > math.MaxInt32 {
			err = errHeader
			return 0
		}
		rest = rest[1+n:]
		return v
	}
	h.Dict = number(nextInt32) == int64(format.DictionaryPage)
	h.Raw, h.Packed = int(number(nextInt32)), int(number(nextInt32))
	if len(rest) > 0 && rest[0] == nextInt32 {
		h.CRC = uint32(number(nextInt32))
	}
	if len(rest) > 0 {
		rest = rest[1:]
	}
	h.Values, h.Encoding = int(number(nextInt32)), format.Encoding(number(nextInt32))
	if !h.Dict {
		number(nextInt32)
		number(nextInt32)
		if len(rest) > 0 {
			rest = rest[1:]
		}
		h.Nulls = int(number(nullCount))
	}
	var buf [maxHeader]byte
	want := h.append(buf[:0])
	if err != nil || !bytes.HasPrefix(b, want) || h.Raw < 0 || h.Packed < 0 || h.Values < 0 || h.Nulls < 0 {
		return Header{}, 0, errHeader
	}
	return h, len(want), nil
}
