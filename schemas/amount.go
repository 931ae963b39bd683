package schemas

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// Amount is a sum in fixed point, 128 bits wide, so that the order of adding
// never matters. Its unit is 10^-6 for quantities and 10^-9 for money.
type Amount struct {
	hi int64
	lo uint64
}

// AmountOf is v units.
func AmountOf(v int64) Amount { return Amount{v >> 63, uint64(v)} }

// Add is a + b.
func (a Amount) Add(b Amount) Amount {
	lo, carry := bits.Add64(a.lo, b.lo, 0)
	return Amount{a.hi + b.hi + int64(carry), lo}
}

// Sub is a - b.
func (a Amount) Sub(b Amount) Amount {
	lo, borrow := bits.Sub64(a.lo, b.lo, 0)
	return Amount{a.hi - b.hi - int64(borrow), lo}
}

// Times is n * a.
func (a Amount) Times(n int64) Amount {
	hi, lo := bits.Mul64(a.lo, uint64(n))
	hi += uint64(a.hi) * uint64(n)
	if n < 0 {
		hi -= a.lo
	}
	return Amount{int64(hi), lo}
}

// IsZero reports whether a is 0.
func (a Amount) IsZero() bool { return a == Amount{} }

// Cmp is less than 0 where a is less than b, 0 where they are equal.
func (a Amount) Cmp(b Amount) int { return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo)) }

// Float is a, rounded.
func (a Amount) Float() float64 { return float64(a.hi)*(1<<64) + float64(a.lo) }

// Neg is -a.
func (a Amount) Neg() Amount { return Amount{}.Sub(a) }

// Words are the two halves of a, the upper one with the sign.
func (a Amount) Words() (hi int64, lo uint64) { return a.hi, a.lo }

// DivMod is a / d and what remains, for an a that is not negative.
func (a Amount) DivMod(d uint64) (Amount, uint64) {
	hi, rest := uint64(a.hi)/d, uint64(a.hi)%d
	lo, rest := bits.Div64(rest, a.lo, d)
	return Amount{int64(hi), lo}, rest
}

func (a Amount) big() *big.Int {
	v := new(big.Int).Lsh(big.NewInt(a.hi), 64)
	return v.Add(v, new(big.Int).SetUint64(a.lo))
}

// Text is a as a decimal number with the given count of decimals, without
// trailing zeros.
func (a Amount) Text(decimals int) string {
	if a.hi == 0 && a.lo>>63 == 0 {
		unit := uint64(math.Pow10(decimals))
		text := strconv.AppendUint(make([]byte, 0, 24), a.lo/unit, 10)
		if rest := a.lo % unit; rest > 0 {
			at := len(text)
			text = strconv.AppendUint(text, unit+rest, 10) // with a digit for the point to stand in
			text[at] = '.'
			text = bytes.TrimRight(text, "0")
		}
		return string(text)
	}
	v := a.big()
	sign := ""
	if v.Sign() < 0 {
		sign, v = "-", v.Neg(v)
	}
	digits := v.String()
	if n := decimals + 1 - len(digits); n > 0 {
		digits = strings.Repeat("0", n) + digits
	}
	whole, frac := digits[:len(digits)-decimals], strings.TrimRight(digits[len(digits)-decimals:], "0")
	if frac == "" {
		return sign + whole
	}
	return sign + whole + "." + frac
}

// ParseAmount reads what Text wrote.
func ParseAmount(s string, decimals int) (Amount, error) {
	whole, frac, _ := strings.Cut(s, ".")
	if len(frac) > decimals || whole == "" {
		return Amount{}, fmt.Errorf("amount %q: not a number with up to %d decimals", s, decimals)
	}
	digits := whole + frac + strings.Repeat("0", decimals-len(frac))
	if v, err := strconv.ParseInt(digits, 10, 64); err == nil {
		return AmountOf(v), nil
	}
	v, ok := new(big.Int).SetString(digits, 10)
	if !ok || v.BitLen() > 126 {
		return Amount{}, fmt.Errorf("amount %q: not a number with up to %d decimals", s, decimals)
	}
	low := new(big.Int).And(v, new(big.Int).SetUint64(math.MaxUint64))
	return Amount{new(big.Int).Rsh(v, 64).Int64(), low.Uint64()}, nil
}

// Micros is a quantity in units of 10^-6, rounded half to even. Quantities in
// the table are at most 10^12 in size, so the result always fits.
func Micros(v float64) int64 {
	if math.Abs(v) < exactMicros/1e6 {
		return int64(math.RoundToEven(v * 1e6))
	}
	whole := math.Trunc(v)
	return int64(whole)*1e6 + int64(math.RoundToEven((v-whole)*1e6))
}

// OfMicros is the quantity of so many units of 10^-6, or the one next to it.
func OfMicros(v int64) float64 {
	if -exactMicros < v && v < exactMicros {
		return float64(v) / 1e6
	}
	return float64(v/1e6) + float64(v%1e6)/1e6
}

// exactMicros bounds the numbers that a float64 has all of.
const exactMicros = 1 << 53

// Sums holds one Amount for each additive column, in order. There are many of
// them: a load has some for every source, and for every source in every file.
type Sums struct{ of [numSums]Amount }

const numSums = int(RejectedPredictionTokens-InputTokens) + 7

// places are where the sums of columns stand; numSums for those that have none.
var places = func() (at [NumColumns]uint8) {
	for c := range at {
		at[c] = uint8(numSums)
	}
	for i, c := range additive {
		at[c] = uint8(i)
	}
	if len(additive) != numSums {
		panic("schemas: Sums are not of all additive columns")
	}
	return at
}()

// At is the sum of column c, 0 if it is not additive.
func (s *Sums) At(c Col) Amount {
	if i := int(places[c]); i < numSums {
		return s.of[i]
	}
	return Amount{}
}

// Put makes a the sum of the additive column c.
func (s *Sums) Put(c Col, a Amount) { s.of[places[c]] = a }

// Plus adds a to the sum of the additive column c.
func (s *Sums) Plus(c Col, a Amount) {
	sum := &s.of[places[c]]
	*sum = sum.Add(a)
}

// Add adds the other sums.
func (s *Sums) Add(o *Sums) {
	for i := range s.of {
		s.of[i] = s.of[i].Add(o.of[i])
	}
}

// Sub takes the other sums away.
func (s *Sums) Sub(o *Sums) {
	for i := range s.of {
		s.of[i] = s.of[i].Sub(o.of[i])
	}
}

// AddDouble adds a value of a Double column.
func (s *Sums) AddDouble(c Col, v float64) { s.Plus(c, AmountOf(Micros(v))) }

// AddInt adds a value of an Int or Money column.
func (s *Sums) AddInt(c Col, v int64) {
	if Columns[c].Kind == Int {
		v *= 1e6
	}
	s.Plus(c, AmountOf(v))
}

// quantities is a Row or a Builder's open row.
type quantities interface {
	Has(c Col) bool
	Int(c Col) int64
	Double(c Col) float64
}

// AddRow adds every additive column of a Row or of a Builder's open row.
func (s *Sums) AddRow(r quantities) {
	for _, c := range additive {
		if !r.Has(c) {
			continue
		}
		if Columns[c].Kind == Double {
			s.AddDouble(c, r.Double(c))
		} else {
			s.AddInt(c, r.Int(c))
		}
	}
}

func (c Col) decimals() int {
	if Columns[c].Kind == Money {
		return 9
	}
	return 6
}

// Text is the sum of column c as a decimal number.
func (s *Sums) Text(c Col) string {
	a := s.At(c)
	return a.Text(c.decimals())
}

// fromNamed are the sums of decimal numbers by column name.
func fromNamed(m map[string]string) (Sums, error) {
	var s Sums
	for name, text := range m {
		c, ok := Lookup(name)
		if !ok || !c.Additive() {
			return s, fmt.Errorf("sums: %q is no additive column", name)
		}
		a, err := ParseAmount(text, c.decimals())
		if err != nil {
			return s, fmt.Errorf("sums: %s: %w", name, err)
		}
		s.Put(c, a)
	}
	return s, nil
}
