package encode

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
)

// wordDict numbers distinct words in the order of their first appearance.
type wordDict struct {
	words []uint64
	// Both hold 1 + index into words, 0 where there is none.
	small []int32 // by value, for small whole numbers
	slots []int32 // by hash, linear probing, for all others
	used  int     // slots
}

// smallMax bounds the numbers that are looked up by value.
const smallMax = 1 << 17

// reset takes no longer than the use before: most files are small.
func (d *wordDict) reset() {
	if 16*len(d.words) < len(d.small) {
		for _, v := range d.words {
			if v < uint64(len(d.small)) {
				d.small[v] = 0
			}
		}
	} else {
		clear(d.small)
	}
	clear(d.slots)
	if 16*d.used < len(d.slots) {
		d.slots = d.slots[:minSlots]
	}
	d.words, d.used = d.words[:0], 0
}

// minSlots is the least length of slots that are not empty.
const minSlots = 1024

// index numbers values into dst and returns it with the bits that any of the
// numbers has.
func (d *wordDict) index(dst []int32, values []uint64) (_ []int32, or int32) {
	at := len(dst)
	dst = slices.Grow(dst, len(values))[:at+len(values)]
	out := dst[at:]
	for len(out) > 0 {
		n := min(len(out), indexBlock)
		if len(d.slots) > minSlots {
			or |= d.far(out[:n], values[:n])
		} else {
			or |= d.near(out[:n], values[:n])
		}
		out, values = out[n:], values[n:]
	}
	return dst, or
}

// indexBlock is how many values are numbered at a time.
const indexBlock = 512

func (d *wordDict) near(out []int32, values []uint64) (or int32) {
	for i, v := range values[:len(out)] {
		var k int32
		if v < uint64(len(d.small)) {
			k = d.small[v]
		}
		if k == 0 {
			k = d.number(v)
		}
		or |= k - 1
		out[i] = k - 1
	}
	return or
}

// far does what near does. It reads the first slot of each value before any of
// them is needed: in a large dictionary each is far away.
func (d *wordDict) far(out []int32, values []uint64) (or int32) {
	mask := uint64(len(d.slots) - 1)
	for i, v := range values[:len(out)] {
		out[i] = d.slots[hash(v)&mask]
	}
	for i, v := range values[:len(out)] {
		k := out[i]
		if v < uint64(len(d.small)) {
			k = d.small[v]
		} else if k > 0 && d.words[k-1] != v {
			k = 0
		}
		if k == 0 {
			k = d.number(v)
		}
		or |= k - 1
		out[i] = k - 1
	}
	return or
}

// number is 1 + the index of v, which joins if it is not there.
func (d *wordDict) number(v uint64) int32 {
	var slot *int32
	switch {
	case v < uint64(len(d.small)):
		slot = &d.small[v]
	case v < smallMax:
		d.small = append(d.small, make([]int32, max(1024, 1<<bits.Len64(v))-len(d.small))...)
		slot = &d.small[v]
	default:
		slot = d.slot(v)
	}
	if *slot == 0 {
		d.words = append(d.words, v)
		*slot = int32(len(d.words))
	}
	return *slot
}

// slot finds v, or a free slot for it.
func (d *wordDict) slot(v uint64) *int32 {
	if 2*d.used >= len(d.slots) {
		old := d.slots
		d.slots = make([]int32, max(minSlots, 2*len(old)))
		clear(d.slots) // pages that are read before they are written cost two faults
		for _, k := range old {
			if k > 0 {
				*d.find(d.words[k-1]) = k
			}
		}
	}
	slot := d.find(v)
	if *slot == 0 {
		d.used++
	}
	return slot
}

func (d *wordDict) find(v uint64) *int32 {
	mask := uint64(len(d.slots) - 1)
	at := hash(v) & mask
	for d.slots[at] != 0 && d.words[d.slots[at]-1] != v {
		at = (at + 1) & mask
	}
	return &d.slots[at]
}

// hash spreads the high bits of v, which is where doubles differ, too.
func hash(v uint64) uint64 {
	hi, lo := bits.Mul64(v^0x9e3779b97f4a7c15, 0xa0761d6478bd642f)
	return hi ^ lo
}

// rare reports whether so few of the n values of a column's first page repeat that a
// dictionary would be of no use: it and the indices would take more bytes than the
// values, or about as many where each is far away in memory.
func (d *wordDict) rare(n int) bool {
	if n <= fewValues {
		return 4*len(d.words) >= 3*n
	}
	return 2*d.used > n
}

func (d *wordDict) size() int { return 8 * len(d.words) }

// textDict numbers distinct texts in the order of their first appearance.
type textDict struct {
	texts  []string
	hashes []uint64
	slots  []int32 // by hash, linear probing; 1 + index into texts, 0 is free
	bytes  int
	// page is the last page that each text stands in, for the page's bounds.
	page []int32
	// recent is 1 + the numbers of texts that were asked for last, by how
	// they begin and end: most columns that come as texts have few.
	recent [256]int32
}

func (d *textDict) reset() {
	clear(d.recent[:])
	clear(d.texts)
	d.texts, d.hashes, d.page, d.bytes = d.texts[:0], d.hashes[:0], d.page[:0], 0
	clear(d.slots)
}

func (d *textDict) index(text []byte) int32 {
	n := uint64(len(text))
	if n >= 8 {
		n += Lead(text)*3 + Lead(text[n-8:])*5 + Lead(text[n/2-4:])*7
	}
	recent := &d.recent[hash(n)>>56]
	if k := *recent - 1; k >= 0 && d.texts[k] == string(text) {
		return k
	}
	k := d.find(text)
	*recent = k + 1
	return k
}

func (d *textDict) find(text []byte) int32 {
	if 2*len(d.texts) >= len(d.slots) {
		d.slots = make([]int32, max(64, 2*len(d.slots)))
		for k, h := range d.hashes {
			at := d.free(h)
			d.slots[at] = int32(k + 1)
		}
	}
	h := Hash(text)
	mask := uint64(len(d.slots) - 1)
	at := h & mask
	for ; d.slots[at] != 0; at = (at + 1) & mask {
		if k := d.slots[at] - 1; d.hashes[k] == h && d.texts[k] == string(text) {
			return k
		}
	}
	k := int32(len(d.texts))
	d.slots[at] = k + 1
	d.texts = append(d.texts, string(text))
	d.hashes = append(d.hashes, h)
	d.page = append(d.page, -1)
	d.bytes += 4 + len(text)
	return k
}

// free is the first free slot for a hash.
func (d *textDict) free(h uint64) uint64 {
	mask := uint64(len(d.slots) - 1)
	at := h & mask
	for d.slots[at] != 0 {
		at = (at + 1) & mask
	}
	return at
}

// bounds are the least and the greatest of the texts that page refers to, and
// the bits that any of the numbers has.
func (d *textDict) bounds(page int32, index []int32) (lo, hi string, or int32) {
	first := true
	for _, k := range index {
		or |= k
		if d.page[k] == page {
			continue
		}
		d.page[k] = page
		s := d.texts[k]
		if first || strings.Compare(s, lo) < 0 {
			lo = s
		}
		if first || strings.Compare(s, hi) > 0 {
			hi = s
		}
		first = false
	}
	return lo, hi, or
}

func (d *textDict) plain(dst []byte) []byte {
	for _, s := range d.texts {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(s)))
		dst = append(dst, s...)
	}
	return dst
}
