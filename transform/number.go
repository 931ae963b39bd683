package transform

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"unsafe"

	"usagelake/schemas"
)

const (
	maxCount = 1e12
	// maxNanos is the largest DECIMAL(18,9).
	maxNanos = 999_999_999_999_999_999
)

// view is b as a string, without a copy. It is valid as long as b is unchanged.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// parseFloat reads a number's text. Integers of up to 15 digits are exact and
// need no library.
func parseFloat(text []byte) (float64, bool) {
	if v, ok := digits(text); ok {
		return float64(v), true
	}
	if len(text) == 0 || !numberStart(text[0]) {
		return 0, false
	}
	for _, c := range text {
		if !numberStart(c) && c != '.' && c != 'e' && c != 'E' && c != '+' {
			return 0, false // hexadecimal, underscores, inf, nan: not JSON
		}
	}
	v, err := strconv.ParseFloat(view(text), 64)
	if err != nil && !math.IsInf(v, 0) {
		return 0, false
	}
	return v, true
}

// digits reads 1 to 15 decimal digits.
func digits(text []byte) (int64, bool) {
	if len(text) == 0 || len(text) > 15 {
		return 0, false
	}
	var v int64
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int64(c-'0')
	}
	return v, true
}

// wholeAt reads doc[off:end] as 1 to 8 decimal digits, all at once.
func wholeAt(doc []byte, off, end uint32) (int64, bool) {
	n := end - off
	if n-1 >= 8 || end < 8 || uint64(end) > uint64(len(doc)) {
		return 0, false
	}
	shift := 8 * (8 - n) & 63
	// the digits stand in the high bytes, the first one lowest
	x := binary.LittleEndian.Uint64(doc[end-8:end])>>shift<<shift ^ 0x3030303030303030<<shift
	if (x|(x+0x0606060606060606))&0xf0f0f0f0f0f0f0f0 != 0 {
		return 0, false
	}
	x = x*10 + x>>8
	return int64((x&0xff000000ff*0x000f424000000064 + x>>16&0xff000000ff*0x0000271000000001) >> 32), true
}

func numberStart(c byte) bool { return c == '-' || '0' <= c && c <= '9' }

// measured reads a token quantity or another meter.
func measured(text []byte) (float64, schemas.Reason) {
	v, ok := parseFloat(text)
	switch {
	case !ok:
		return 0, schemas.NotNumber
	case v < 0:
		return 0, schemas.NegativeCount
	case v > maxCount:
		return 0, schemas.CountTooLarge
	}
	return v + 0, "" // -0 + 0 is +0
}

// nanos reads a decimal text as 10^-9, rounded half to even, exactly.
func nanos(text []byte) (int64, schemas.Reason) {
	if v, ok := plainNanos(text); ok {
		return v, ""
	}
	d, ok := parseDecimal(text)
	if !ok {
		return 0, schemas.NotNumber
	}
	v, ok := d.scaled(9)
	if !ok {
		return 0, schemas.MoneyRange
	}
	return v, ""
}

// plainNanos reads up to 18 digits in 10^-9, 9 of them behind a point at most.
func plainNanos(text []byte) (v int64, ok bool) {
	if len(text) > 18 {
		return 0, false
	}
	whole := -1 // digits before the point
	for i, c := range text {
		switch {
		case '0' <= c && c <= '9':
			v = v*10 + int64(c-'0')
		case c == '.' && whole < 0:
			whole = i
		default:
			return 0, false
		}
	}
	places := 0
	if whole >= 0 {
		places = len(text) - whole - 1
	} else {
		whole = len(text)
	}
	if whole == 0 || whole > 9 || places > 9 {
		return 0, false
	}
	return v * powers[9-places], true
}

var powers = [...]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

// decimal is a number's text taken apart: digits × 10^exp.
type decimal struct {
	neg    bool
	digits []byte // without leading zeros; nil is 0
	exp    int
}

// parseDecimal reads JSON's number grammar; a leading zero or plus sign is
// tolerated in quoted numbers.
func parseDecimal(text []byte) (decimal, bool) {
	var d decimal
	s := text
	if len(s) > 0 && s[0] == '-' {
		d.neg, s = true, s[1:]
	}
	digits := make([]byte, 0, 32)
	seen, point := false, false
	i := 0
	for ; i < len(s); i++ {
		c := s[i]
		if c == '.' && !point {
			point = true
			continue
		}
		if c < '0' || c > '9' {
			break
		}
		seen = true
		if point {
			d.exp--
		}
		if c != '0' || len(digits) > 0 {
			digits = append(digits, c)
		}
	}
	if !seen {
		return d, false
	}
	if i < len(s) {
		if s[i] != 'e' && s[i] != 'E' {
			return d, false
		}
		e, err := strconv.Atoi(string(s[i+1:]))
		if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range is cut to the limits
			return d, false
		}
		d.exp += min(max(e, -(1<<20)), 1<<20)
	}
	if len(digits) > 0 {
		d.digits = digits
	}
	return d, true
}

// scaled is the number × 10^places, rounded half to even; false beyond 18
// digits.
func (d decimal) scaled(places int) (int64, bool) {
	if d.digits == nil {
		return 0, true
	}
	exp := d.exp + places
	if len(d.digits)+exp > 18 {
		return 0, false
	}
	keep := len(d.digits)
	if exp < 0 {
		keep += exp
	}
	if keep < 0 {
		return 0, true
	}
	var v int64
	for _, c := range d.digits[:keep] {
		v = v*10 + int64(c-'0')
	}
	for range max(exp, 0) {
		v *= 10
	}
	if keep < len(d.digits) {
		rest := d.digits[keep:]
		half := rest[0] > '5'
		if rest[0] == '5' {
			half = v&1 == 1
			for _, c := range rest[1:] {
				half = half || c != '0'
			}
		}
		if half {
			v++
		}
	}
	if v > maxNanos {
		return 0, false
	}
	if d.neg {
		v = -v
	}
	return v, true
}

// shifted appends a number's text times a power of ten.
func shifted(dst, text []byte, power int) []byte {
	mantissa, exp := text, 0
	if i := bytes.IndexAny(text, "eE"); i >= 0 {
		var err error
		if exp, err = strconv.Atoi(string(text[i+1:])); err != nil {
			return append(dst, text...) // far out of any range, or no number
		}
		mantissa = text[:i]
	}
	return strconv.AppendInt(append(append(dst, mantissa...), 'e'), int64(exp+power), 10)
}

// rawMicros is a count in 10^-6, read apart from measured, for the books.
func rawMicros(text []byte) int64 {
	if d, ok := parseDecimal(text); ok && d.exp >= 0 {
		if v, ok := d.scaled(6); ok {
			return v
		}
	}
	v, _ := strconv.ParseFloat(string(text), 64)
	return schemas.Micros(v)
}
