package encode

import (
	"encoding/binary"
	"math/bits"
)

// nearWords is a page that ends with count numbers of eight bytes, most of which may
// differ from the one before in their lowest bytes alone, as the lines of a log do that
// was written nearly in order, and times.
func nearWords(raw []byte, count int) even {
	const minCount = 512
	if count < minCount {
		return even{}
	}
	return even{first: len(raw) - 8*count, count: count, near: true, spare: 8}
}

// A stretch is adjoining numbers of which each has so many lowest bytes of its own, and
// those above from the one before.
type stretch struct{ numbers, own int }

const (
	stretchBytes = blockHead + 3 + 7 // of a stretch, beside its numbers' own bytes
	mostOwn      = 8 - minMatch
)

// cut cuts numbers but the first into stretches. It reports false where these would take
// more than four and a half bytes a number.
func (e *evenPacker) cut(words []byte) bool {
	e.stretches = append(e.stretches[:0], stretch{})
	last, most := binary.LittleEndian.Uint64(words), len(words)*9/16
	size := 0 // at least
	for i := 8; i < len(words); i += 8 {
		v := binary.LittleEndian.Uint64(words[i:])
		own := max(1, (bits.Len64(v^last)+7)/8)
		last = v
		if size += own; size > most || own > mostOwn {
			return false
		}
		at := &e.stretches[len(e.stretches)-1]
		if own != at.own {
			at = e.turn(own)
		}
		at.numbers++
	}
	size = 0
	for _, s := range e.stretches {
		size += s.numbers*s.own + stretchBytes
	}
	return size <= most
}

// turn is the stretch for a number that has other bytes of its own than those of the
// last one. A short stretch is not worth to be told from those around it.
func (e *evenPacker) turn(own int) *stretch {
	n := len(e.stretches)
	at := &e.stretches[n-1]
	if own > at.own {
		if n > 1 {
			before := &e.stretches[n-2]
			if more := before.own - at.own; more > 0 && at.numbers*more < 2*stretchBytes {
				before.numbers += at.numbers
				e.stretches, at = e.stretches[:n-1], before
			}
		}
		if at.numbers*(own-at.own) < stretchBytes { // of fewer it needs none
			at.own = max(at.own, own)
			return at
		}
	}
	e.stretches = append(e.stretches, stretch{own: own})
	return &e.stretches[len(e.stretches)-1]
}

// packNear is pack for such a page.
func (e *evenPacker) packNear(dst, raw []byte, p even) ([]byte, bool) {
	if p.first >= maxLiterals-16 || !e.cut(raw[p.first:]) {
		return dst, false
	}
	own := e.stretches[0].own
	dst = begin(dst, raw, even{first: p.first + 8 + own, step: 8, match: 8 - own})
	e.stretches[0].numbers--
	words := raw[p.first+2*8:]
	for _, s := range e.stretches {
		literals, _ := encode(literalCodes, s.own)
		matches, _ := encode(matchCodes, 8-s.own)
		for n := 0; s.numbers > 0; s.numbers -= n {
			n = min(s.numbers, blockBytes/8)
			at := len(dst)
			dst = appendRawHead(append(dst, 0, 0, 0), n*s.own)
			for i := range n {
				dst = append(dst, words[8*i:8*i+s.own]...)
			}
			words = words[8*n:]
			dst = append(dst, 128+byte(n>>8), byte(n), sameCodes, literals, 0, matches, 1)
			setBlock(dst[at:], len(words) == 0)
		}
	}
	return dst, true
}
