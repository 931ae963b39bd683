package encode

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/klauspost/compress/huff0"
)

// even is what a page looks like whose items have as many bytes each and repeat some
// of those of the item before, always the same ones.
type even struct {
	first int  // bytes before the first that are repeated
	step  int  // of an item
	match int  // bytes of it that are repeated
	count int  // how often they are
	plain bool // the rest is left as it is
	sure  bool // there is no more to be found that is worth the search
	near  bool // of numbers: what is repeated is not always the same
	// spare: a page may be larger by one part of so many for the time that is saved.
	spare int
}

// evenTexts is the page of texts of one length, as ids are: behind the levels stand
// count texts of length bytes each behind its own length. All have the same first
// prefix bytes.
func evenTexts(levels, count, length, prefix int) even {
	const minCount = 64
	if count < minCount {
		return even{}
	}
	step := lengthBytes + length
	return even{first: levels + step, step: step, match: lengthBytes + prefix, count: count - 1, spare: 100}
}

// ownStems reports whether texts of one length that have the same first prefix bytes
// go on in ways of their own: few of them share the next bytes with the one before, as
// ids do that begin with a time.
func ownStems(texts [][]byte, prefix int) bool {
	const stem = 4
	shared := 0
	for i, s := range texts[1:] {
		if end := prefix + stem; end <= len(s) && bytes.Equal(s[prefix:end], texts[i][prefix:end]) {
			shared++
		}
	}
	return 8*shared < len(texts)
}

// smallPage is the most bytes of a page of numbers whose rest is left as it is: where
// there is little, a search for repetitions takes longest, and finds no more.
const smallPage = 4 << 10

// evenWords is a small page, or a dictionary, that ends with count numbers of eight
// bytes. Most of them have zeros above or, as doubles, below what differs.
func evenWords(raw []byte, count int) even {
	const minCount = 16
	if count < minCount {
		return even{}
	}
	words := raw[len(raw)-8*count:]
	first, differ := binary.LittleEndian.Uint64(words), uint64(0)
	for i := 8; i < len(words); i += 8 {
		differ |= first ^ binary.LittleEndian.Uint64(words[i:])
	}
	// what differs stands in bytes from to to; what is repeated begins behind it
	from, to := bits.TrailingZeros64(differ)/8, 8-bits.LeadingZeros64(differ)/8
	return even{first: len(raw) - len(words) + 8 + to, step: 8, match: 8 - to + from, count: count - 2, plain: len(raw) <= smallPage, sure: true}
}

// evenPacker compresses such pages into Zstandard frames. Where the items are random
// there is nothing to find but what is even, which is known: it is taken from the
// item before. What is left of texts goes through a Huffman code. That takes a
// fraction of the time of a search for repetitions.
type evenPacker struct {
	literals  []byte
	huffman   huff0.Scratch
	stretches []stretch
}

// The limits of Zstandard, and of the tables below.
const (
	blockBytes  = 128 << 10
	maxLiterals = 512
	minMatch    = 3
	maxMatch    = 259
)

// Kinds of blocks and of their parts, and how many bits follow a code.
const (
	compressed   = 2
	rawLiterals  = 0
	huffLiterals = 2
	sameCodes    = 1<<6 | 1<<4 | 1<<2 // one code each for all sequences
)

// A code is the least length that it stands for and the bits of what is added.
type code struct{ least, bits int }

var literalCodes = codesOf(16, 0,
	code{16, 1}, code{18, 1}, code{20, 1}, code{22, 1}, code{24, 2}, code{28, 2}, code{32, 3},
	code{40, 3}, code{48, 4}, code{64, 6}, code{128, 7}, code{256, 8})

var matchCodes = codesOf(32, 3,
	code{35, 1}, code{37, 1}, code{39, 1}, code{41, 1}, code{43, 2}, code{47, 2}, code{51, 3},
	code{59, 3}, code{67, 4}, code{83, 4}, code{99, 5}, code{131, 7})

// codesOf is n codes of one length each, from least on, and others.
func codesOf(n, least int, others ...code) (list []code) {
	for i := range n {
		list = append(list, code{least + i, 0})
	}
	return append(list, others...)
}

// field is a number of so many bits.
type field struct {
	value uint64
	bits  int
}

// encode finds the code of a length and what is added.
func encode(codes []code, length int) (byte, field) {
	i := len(codes) - 1
	for codes[i].least > length {
		i--
	}
	return byte(i), field{uint64(length - codes[i].least), codes[i].bits}
}

// pack compresses raw, a page that is even, in place of dst. It reports whether
// it could.
func (e *evenPacker) pack(dst, raw []byte, p even) ([]byte, bool) {
	if p.near {
		return e.packNear(dst, raw, p)
	}
	var (
		fresh  = p.step - p.match // bytes of each item that are its own
		blocks = (p.count*p.step + blockBytes - 1) / blockBytes
	)
	if p.step > 1<<16 || fresh < 1 || p.first >= maxLiterals || p.match < minMatch || p.match >= maxMatch {
		return dst, false
	}
	dst = begin(dst, raw, p)
	literals, own := encode(literalCodes, fresh)
	matches, more := encode(matchCodes, p.match)
	pos := p.first + p.match // in raw
	for i := range blocks {
		// n times an item's own bytes, all but the last of all before a match.
		n := p.count*(i+1)/blocks - p.count*i/blocks
		matching := n
		if i == blocks-1 {
			matching--
		}
		e.literals = e.literals[:0]
		for range matching {
			e.literals = append(e.literals, raw[pos:pos+fresh]...)
			pos += p.step
		}
		if matching < n {
			e.literals = append(e.literals, raw[pos:]...)
		}
		at := len(dst)
		dst = append(dst, 0, 0, 0)
		if p.plain {
			dst = appendRaw(dst, e.literals)
		} else {
			dst = e.appendLiterals(dst)
		}
		dst = append(dst, 128+byte(matching>>8), byte(matching), sameCodes, literals, 0, matches)
		dst = appendFields(dst, matching, own, more)
		if len(dst)-at-blockHead >= blockBytes {
			return dst, false
		}
		setBlock(dst[at:], i == blocks-1)
	}
	return dst, true
}

// begin makes the head of a frame in place of dst, and its first block, which ends
// with the first match. What follows only repeats its distance.
func begin(dst, raw []byte, p even) []byte {
	dst = binary.LittleEndian.AppendUint32(dst[:0], frameMagic)
	dst = append(dst, 0xa0) // one segment, whose size follows in four bytes
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(raw)))
	literals, own := encode(literalCodes, p.first)
	matches, more := encode(matchCodes, p.match)
	far := uint64(p.step + 3)
	distance := byte(bits.Len64(far) - 1)
	at := len(dst)
	dst = append(dst, 0, 0, 0)
	dst = appendRaw(dst, raw[:p.first])
	dst = append(dst, 1, sameCodes, literals, distance, matches)
	dst = appendFields(dst, 1, own, more, field{far - 1<<distance, int(distance)})
	setBlock(dst[at:], false)
	return dst
}

const blockHead = 3

func setBlock(b []byte, last bool) {
	head := uint32(len(b)-blockHead)<<3 | compressed<<1
	if last {
		head |= 1
	}
	b[0], b[1], b[2] = byte(head), byte(head>>8), byte(head>>16)
}

// appendRaw adds literals as they are.
func appendRaw(dst, literals []byte) []byte {
	return append(appendRawHead(dst, len(literals)), literals...)
}

func appendRawHead(dst []byte, n int) []byte {
	head := uint32(n)<<4 | 3<<2 | rawLiterals
	return append(dst, byte(head), byte(head>>8), byte(head>>16))
}

func (e *evenPacker) appendLiterals(dst []byte) []byte {
	e.huffman.Reuse = huff0.ReusePolicyNone
	out, _, err := huff0.Compress4X(e.literals, &e.huffman)
	if err != nil || len(out) >= len(e.literals) { // one byte alone, or all alike
		return appendRaw(dst, e.literals)
	}
	head := uint64(len(out))<<22 | uint64(len(e.literals))<<4 | 3<<2 | huffLiterals
	for range 5 {
		dst = append(dst, byte(head))
		head >>= 8
	}
	return append(dst, out...)
}

// appendFields adds the same fields n times, which are read from the end.
func appendFields(dst []byte, n int, fields ...field) []byte {
	var all field
	for _, f := range fields {
		all.value |= f.value << all.bits
		all.bits += f.bits
	}
	var word uint64
	have := 0
	for range n {
		word |= all.value << have
		for have += all.bits; have >= 8; have -= 8 {
			dst = append(dst, byte(word))
			word >>= 8
		}
	}
	return append(dst, byte(word|1<<have)) // the bit that says where it ends
}
