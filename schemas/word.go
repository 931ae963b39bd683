package schemas

import "math"

// WholeWords is more than any whole number that Word leaves as it is.
const WholeWords = 1 << 52

// Word is how the stages carry a value of a Double column: the number itself
// where it is whole, not negative and below WholeWords, else the bits of the
// double, which are not below. What is between 0 and 2^-1022 becomes 0.
func Word(v float64) uint64 {
	if n := uint64(int64(v)); n < WholeWords && float64(n) == v {
		return n
	}
	if bits := math.Float64bits(v); bits >= WholeWords {
		return bits
	}
	return 0
}

// OfWord is the double that a word stands for. It is never -0.
func OfWord(w uint64) float64 {
	if w < WholeWords {
		return float64(w)
	}
	return math.Float64frombits(w)
}
