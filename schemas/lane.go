package schemas

import (
	"encoding/binary"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/zeebo/xxh3"
)

// lane holds a column of texts: data[ends[i-1]:ends[i]] where they are mostly
// distinct, else the word with number codes[i].
type lane struct {
	codes []uint16
	data  []byte
	ends  []uint32
	dict  words
}

// fill makes the texts of rows before n that have none empty, and drops those of
// rows that were not added.
func (l *lane) fill(n int) {
	if len(l.ends) > n {
		l.ends = l.ends[:n]
		l.data = l.data[:0]
		if n > 0 {
			l.data = l.data[:l.ends[n-1]]
		}
	}
	for len(l.ends) < n {
		l.ends = append(l.ends, uint32(len(l.data)))
	}
}

func (l *lane) text(i int) []byte {
	lo := uint32(0)
	if i > 0 {
		lo = l.ends[i-1]
	}
	return l.data[lo:l.ends[i]]
}

// words numbers distinct texts in the order they come, fewer than 2^16.
type words struct {
	data  []byte
	ends  []uint32
	slots []uint16 // 1 + number, 0 where there is none; by hash, linear probing
	// recent has 1 + the numbers of texts that were asked for last, by how they end:
	// many columns have few.
	recent [1 << recentBits]uint16
}

func (w *words) reset() {
	w.data, w.ends = w.data[:0], w.ends[:0]
	clear(w.recent[:])
	clear(w.slots)
}

func (w *words) at(i uint16) []byte {
	lo := uint32(0)
	if i > 0 {
		lo = w.ends[i-1]
	}
	return w.data[lo:w.ends[i]]
}

// code is the number of s, which joins if it is not there.
func (w *words) code(s string) uint16 {
	recent := &w.recent[ending(s)]
	if k := *recent; k > 0 && string(w.at(k-1)) == s {
		return k - 1
	}
	if 2*len(w.ends) >= len(w.slots) {
		w.grow()
	}
	slot := w.slot(s)
	if *slot == 0 {
		w.data = append(w.data, s...)
		w.ends = append(w.ends, uint32(len(w.data)))
		*slot = uint16(len(w.ends))
	}
	*recent = *slot
	return *slot - 1
}

const recentBits = 10

// ending is a number below 2^recentBits that is mostly another for a text that ends
// in another way.
func ending(s string) uint64 {
	var x uint64
	if n := len(s); n >= 8 {
		x = binary.LittleEndian.Uint64([]byte(s[n-8:]))
	} else {
		for i := range n {
			x = x<<8 | uint64(s[i])
		}
	}
	return (x ^ uint64(len(s))) * 0x9e3779b97f4a7c15 >> (64 - recentBits)
}

// slot is where the number of s stands, or belongs.
func (w *words) slot(s string) *uint16 {
	mask := uint64(len(w.slots) - 1)
	for i := xxh3.HashString(s) & mask; ; i = (i + 1) & mask {
		if k := w.slots[i]; k == 0 || string(w.at(k-1)) == s {
			return &w.slots[i]
		}
	}
}

func (w *words) grow() {
	w.slots = make([]uint16, max(32, 2*len(w.slots)))
	for i := range w.ends {
		*w.slot(string(w.at(uint16(i)))) = uint16(i + 1)
	}
}

func (w *words) array(p *packing) arrow.Array {
	offsets, data := p.buffer(4*(len(w.ends)+1)), p.buffer(len(w.data))
	off := arrow.Int32Traits.CastFromBytes(offsets.Bytes())
	off[0] = 0
	for i, end := range w.ends {
		off[i+1] = int32(end)
	}
	copy(data.Bytes(), w.data)
	return newArray(arrow.BinaryTypes.String, len(w.ends), 0, nil, offsets, data)
}
