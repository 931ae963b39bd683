package encode

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"github.com/parquet-go/parquet-go/format"
)

// page is a data page before it is compressed; Buffers.raw has its bytes.
type page struct {
	rows, nulls int
	levels      []byte
	enc         format.Encoding
	lo, hi      parquet.Value
	even        even // count is 0 if it is not
}

func (p *page) header() Header { return Header{Values: p.rows, Encoding: p.enc, Nulls: p.nulls} }

// open begins a page with its levels.
func (c *Column) open(b *Buffers, p page) error {
	b.raw = b.raw[:0]
	if !c.optional {
		if p.nulls > 0 {
			return fmt.Errorf("%d NULLs", p.nulls)
		}
		return nil
	}
	if err := b.setLevels(p); err != nil {
		return err
	}
	b.raw = binary.LittleEndian.AppendUint32(b.raw, uint32(len(b.levels)))
	b.raw = append(b.raw, b.levels...)
	return nil
}

// add ends a page.
func (c *Column) add(b *Buffers, p page) error {
	head := p.header()
	if err := c.pack(b, &head, p.even); err != nil {
		return err
	}
	c.pages.write(b.header)
	c.pages.write(b.packed)
	c.record(&head, len(b.header), p.lo, p.hi)
	return nil
}

// record takes a page of rows into the metadata. size is the bytes of its
// header, lo and hi are the bounds of its values, if it has any.
func (c *Column) record(h *Header, size int, lo, hi parquet.Value) {
	before := c.size
	c.count(h, size)
	c.offsets = append(c.offsets, format.PageLocation{
		Offset:             before,
		CompressedPageSize: int32(c.size - before),
		FirstRowIndex:      c.rows,
	})
	c.index.IndexPage(int64(h.Values), int64(h.Nulls), lo, hi)
	if h.Nulls < h.Values {
		if c.least.IsNull() || c.typ.Compare(lo, c.least) < 0 {
			c.least = lo.Clone()
		}
		if c.most.IsNull() || c.typ.Compare(hi, c.most) > 0 {
			c.most = hi.Clone()
		}
	}
	c.rows += int64(h.Values)
	c.nulls += int64(h.Nulls)
	if h.Encoding == format.RLEDictionary {
		c.coded++
	} else {
		c.plain++
	}
}

func (c *Column) count(h *Header, size int) {
	c.size += int64(size + h.Packed)
	c.raw += int64(size + h.Raw)
}

func (b *Buffers) setLevels(p page) (err error) {
	switch {
	case p.nulls == 0 || p.nulls == p.rows:
		level := byte(1)
		if p.nulls > 0 {
			level = 0
		}
		b.levels = append(binary.AppendUvarint(b.levels[:0], uint64(p.rows)<<1), level)
	default:
		b.levels, err = (&rle.Encoding{BitWidth: 1}).EncodeLevels(b.levels, p.levels)
	}
	return err
}

// pack compresses b.raw into b.packed and makes its header.
func (c *Column) pack(b *Buffers, h *Header, even even) error {
	if len(b.raw) > math.MaxInt32 {
		return fmt.Errorf("a page of %d bytes", len(b.raw))
	}
	if err := c.compress(b, even); err != nil {
		return err
	}
	h.Raw, h.Packed, h.CRC = len(b.raw), len(b.packed), crc32.ChecksumIEEE(b.packed)
	b.header = h.append(b.header[:0])
	return nil
}

// trialPages is how many even pages are packed as was best for the first one.
const trialPages = 32

func (c *Column) compress(b *Buffers, even even) (err error) {
	if len(b.raw) <= rawBytes && c.codec.CompressionCodec() == format.Zstd {
		b.packed = rawFrame(b.packed, b.raw)
		return nil
	}
	if even.sure && c.codec.CompressionCodec() == format.Zstd {
		var ok bool
		if b.packed, ok = b.even.pack(b.packed, b.raw, even); ok {
			return nil
		}
	}
	ok := even.count > 0 && !even.sure && c.codec.CompressionCodec() == format.Zstd
	trial := ok && c.evenPages%trialPages == 0
	if ok && (trial || c.wins) {
		b.other, ok = b.even.pack(b.other, b.raw, even)
	}
	if !ok || trial || !c.wins {
		if b.packed, err = c.codec.Encode(b.packed, b.raw); err != nil {
			return err
		}
	}
	if ok {
		if trial {
			c.wins = len(b.other) <= len(b.packed)+len(b.packed)/even.spare
		}
		c.evenPages++
		if c.wins {
			b.packed, b.other = b.other, b.packed
		}
	}
	return nil
}
