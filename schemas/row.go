package schemas

import "math/bits"

// Row is one call in canonical form. Its strings may alias the block that the
// record stands in: they are valid until the block is released, and a Builder
// copies them. The zero Row is all NULL.
type Row struct {
	set uint64
	i64 [NumColumns]int64
	f64 [NumColumns]float64
	str [NumColumns]string

	// Source indexes the run's table of sources. source_file and source_id
	// follow from it when the row is written.
	Source int32
}

// Reset makes the row all NULL.
func (r *Row) Reset() { r.set, r.Source = 0, 0 }

// Has reports whether c is not NULL.
func (r *Row) Has(c Col) bool { return r.set&(1<<c) != 0 }

// Clear makes c NULL.
func (r *Row) Clear(c Col) { r.set &^= 1 << c }

// SetInt sets a Time, Int, Bool (0 or 1) or Money column.
func (r *Row) SetInt(c Col, v int64) { r.i64[c], r.set = v, r.set|1<<c }

// SetDouble sets a Double column.
func (r *Row) SetDouble(c Col, v float64) { r.f64[c], r.set = v, r.set|1<<c }

// SetString sets a String column.
func (r *Row) SetString(c Col, v string) { r.str[c], r.set = v, r.set|1<<c }

// Int is the value of a Time, Int, Bool or Money column, 0 where NULL.
func (r *Row) Int(c Col) int64 {
	if !r.Has(c) {
		return 0
	}
	return r.i64[c]
}

// Double is the value of a Double column, 0 where NULL.
func (r *Row) Double(c Col) float64 {
	if !r.Has(c) {
		return 0
	}
	return r.f64[c]
}

// Quantities fills in those columns of a set that are not NULL, in 10^-6; they are
// additive Doubles. It returns a bit for every column that is not NULL.
func (r *Row) Quantities(of uint64, to *[NumColumns]int64) uint64 {
	for set := r.set & of; set != 0; set &= set - 1 {
		c := bits.TrailingZeros64(set)
		to[c] = Micros(r.f64[c])
	}
	return r.set
}

// Str is the value of a String column, "" where NULL.
func (r *Row) Str(c Col) string {
	if !r.Has(c) {
		return ""
	}
	return r.str[c]
}
