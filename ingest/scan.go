package ingest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"unicode/utf8"
	"unsafe"

	"github.com/bytedance/sonic/decoder"

	"usagelake/schemas"
)

// slack is how many bytes behind a document must be readable: the loads below
// and sonic's machine code look ahead of its end.
const slack = 64

// at and load64 do not check bounds: they are a quarter of the walk's speed.
// What they are given has slack, and i is at most len(b), or len(b) and the
// length of a predicted key (see maxPattern).

func at(b []byte, i int) byte {
	return *(*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i))
}

func load64(b []byte, i int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i))[:])
}

// The scanners take a document with slack and a position in it, and return the
// position behind what they read, or -1 if it is not there. What lies in the
// slack does not change an answer.

// space steps over white space.
func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// colon steps over a colon and the white space around it.
func colon(b []byte, i int) int {
	i = space(b, i)
	if i >= len(b) || b[i] != ':' {
		return -1
	}
	return space(b, i+1)
}

// next steps over a comma and the white space around it, to the next item,
// or over the closing bracket. more tells which.
func next(b []byte, i int, closing byte) (_ int, more bool) {
	i = space(b, i)
	switch {
	case i >= len(b):
	case b[i] == ',':
		return space(b, i+1), true
	case b[i] == closing:
		return i + 1, false
	}
	return -1, false
}

// first steps from behind an opening bracket to the first item, or over the
// closing bracket of an empty container.
func first(b []byte, i int, closing byte) (_ int, more bool) {
	i = space(b, i)
	if i < len(b) && b[i] == closing {
		return i + 1, false
	}
	return i, true
}

// scalar reads a number, true, false or null. The kind of null is 0.
func scalar(b []byte, i int) (int, schemas.ValueKind) {
	if i < len(b) {
		switch b[i] {
		case 't':
			return literal(b, i, "true"), schemas.True
		case 'f':
			return literal(b, i, "false"), schemas.False
		case 'n':
			return literal(b, i, "null"), 0
		}
	}
	return number(b, i), schemas.Number
}

func literal(b []byte, i int, want string) int {
	end := i + len(want)
	if end > len(b) || string(b[i:end]) != want {
		return -1
	}
	return end
}

func number(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = digits(b, i); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = digits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		i = digits(b, i)
	}
	return i
}

// digits reads one digit or more.
func digits(b []byte, i int) int {
	start := i
	for i < len(b) {
		m := notDigits(load64(b, i))
		i += bits.TrailingZeros64(m) >> 3
		if m != 0 {
			break
		}
	}
	i = min(i, len(b))
	if i == start {
		return -1
	}
	return i
}

// longString is the length in bytes from which searching for a quote with
// machine code pays.
const longString = 32

// skipString returns the position of the closing quote of an unread string; i
// is behind the opening one. A quote closes unless an odd number of
// backslashes stands before it.
func skipString(b []byte, i int) int {
	start := i
	for i < len(b) {
		if i-start >= longString {
			return skipLongString(b, start, i)
		}
		m := quotes(load64(b, i))
		i += bits.TrailingZeros64(m) >> 3
		if m == 0 {
			continue
		}
		if i >= len(b) {
			break
		}
		if at(b, i) == '"' {
			return i
		}
		i += 2
	}
	return -1
}

// skipLongString goes on with skipString at i, which is not inside an escape.
func skipLongString(b []byte, start, i int) int {
	n := bytes.IndexByte(b[i:], '"')
	if n < 0 {
		return -1
	}
	if n == 0 || b[i+n-1] != '\\' {
		return i + n
	}
	from, n := decoder.Skip(b[start-1:])
	if from < 0 {
		return -1
	}
	return start - 1 + n - 1
}

// readString is skipString for strings that are kept: these have no raw
// control characters and only legal escapes.
func readString(b []byte, i int) (int, schemas.ValueKind) {
	start, kind, high := i, schemas.Text, uint64(0)
	for i < len(b) {
		x := load64(b, i)
		m := special(x)
		if m == 0 {
			high |= x & tops
			i += 8
			continue
		}
		n := bits.TrailingZeros64(m)
		high |= x & (1<<n - 1) & tops
		if i += n >> 3; i >= len(b) {
			break
		}
		switch b[i] {
		case '"':
			if kind == schemas.Text && high != 0 && !utf8.Valid(b[start:i]) {
				kind = schemas.Escaped
			}
			return i, kind
		case '\\':
			kind = schemas.Escaped
			if i = escape(b, i+1); i < 0 {
				return -1, 0
			}
		default:
			return -1, 0
		}
	}
	return -1, 0
}

const (
	ones = 0x0101010101010101
	tops = 0x8080808080808080
)

// The masks mark bytes of x by the top bit. The lowest mark is exact, those
// above may be false.

// special marks quotes, backslashes and control characters.
func special(x uint64) uint64 { return quotes(x) | (x-ones*0x20)&^x&tops }

// quotes marks quotes and backslashes.
func quotes(x uint64) uint64 {
	quote, slash := x^ones*'"', x^ones*'\\'
	return ((quote-ones)&^quote | (slash-ones)&^slash) & tops
}

// notDigits marks what is no digit.
func notDigits(x uint64) uint64 {
	x ^= ones * '0'
	return (x + ones*(0x80-10) | x) & tops
}

// escape reads an escape; i is behind its backslash.
func escape(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		if i+5 > len(b) {
			return -1
		}
		for _, c := range b[i+1 : i+5] {
			if c-'0' >= 10 && c|0x20-'a' >= 6 {
				return -1
			}
		}
		return i + 5
	}
	return -1
}

// decode returns the text of a string given with its quotes, with U+FFFD for
// what is not UTF-8. A string with a bad escape is returned as it stands.
func decode(quoted []byte) []byte {
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return quoted[1 : len(quoted)-1]
	}
	return []byte(s)
}

// nestedEnd returns the end of the object or array at i of a valid document.
func nestedEnd(b []byte, i int) int {
	for depth := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			if i = skipString(b, i+1); i < 0 {
				return -1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}
