package price

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

// List is books that lie over each other. It may be shared.
type List struct{ books []*Book } // the uppermost first

// mostBooks is how many books a list can have: the ones behind a price are a
// set of bits.
const mostBooks = 64

// Overlay lays books over each other, each over those before it: what a book
// says of a model, a meter, a time and a tier holds, and what it does not say
// the books below it do.
func Overlay(books ...*Book) (*List, error) {
	if len(books) > mostBooks {
		return nil, fmt.Errorf("%d price books; %d is the most", len(books), mostBooks)
	}
	l := &List{}
	for _, b := range books {
		if slices.ContainsFunc(l.books, func(o *Book) bool { return o.Name == b.Name }) {
			return nil, fmt.Errorf("two price books are named %q; price_id could not tell which", b.Name)
		}
		l.books = append([]*Book{b}, l.books...)
	}
	return l, nil
}

// key is a model of a provider, as rows name them.
type key struct{ provider, model string }

// Model is what a list says of a provider's model.
type Model struct {
	key   key
	spans []span // by time; none overlap
}

// span is a time in which nothing changes.
type span struct {
	from, to int64
	tiers    []tier
	ids      map[uint64]string // of the entries behind a price, by the set of them
	set      uint64            // what was asked for last, and its id
	text     string
	entries  []*Entry // that hold, the uppermost book's first
}

// tier is the prices of a service tier.
type tier struct {
	name  string
	lines [NumMeters][]line // the first that fits holds
	scale int32             // coefficients are dollars for one, in 10^-scale
	big   bool              // the coefficients do not fit
	// Where no price has conditions, and none is for a request: they are plain.
	plain bool
	flat  []flat
	free  []Meter // those that have no price
	text  [len(textMeters)]flat
	whole bool // and whole nano-dollars, not too many
}

// textMeters are what calls have that deal with text alone.
var textMeters = [...]Meter{Input, CacheRead, CacheWrite, Output, Reasoning}

// flat is the plain price of a meter.
type flat struct {
	meter Meter
	coef  uint64
	nanos uint64 // of one, where the tier's prices are whole
	entry uint64 // its bit; 0: there is no price
	free  uint64 // all ones where there is none
}

// line is a price under conditions.
type line struct {
	above         int64 // in 10^-6 tokens
	region        string
	hours         Hours
	size, quality string
	coef          uint64
	usd           decimal.Decimal // for one
	none          bool            // it is not known
	entry         uint8           // of the span
	variant       *Variant        // nil for the entry's own prices
}

// resolve brings together what the books say of a model.
func (l *List) resolve(k key) *Model {
	provider, name := fold(k.provider), fold(k.model)
	type candidate struct {
		entry *Entry
		fit   fit
	}
	var found [][]candidate // by book, the best first
	var ends []int64
	for _, b := range l.books {
		var list []candidate
		for _, i := range b.candidates(name) {
			e := &b.Entries[i]
			if f := e.fits(provider, name); f != (fit{}) {
				list = append(list, candidate{e, f})
				ends = append(ends, e.From, e.To)
			}
		}
		slices.SortStableFunc(list, func(a, b candidate) int {
			switch {
			case a.fit.better(b.fit):
				return -1
			case b.fit.better(a.fit):
				return 1
			}
			return 0
		})
		found = append(found, list)
	}
	slices.Sort(ends)
	ends = slices.Compact(ends)
	m := &Model{key: k}
	for i := 0; i+1 < len(ends); i++ {
		s := span{from: ends[i], to: ends[i+1], ids: map[uint64]string{}}
		for _, list := range found {
			for _, c := range list {
				if c.entry.From <= s.from && s.from < c.entry.To {
					s.entries = append(s.entries, c.entry)
					break
				}
			}
		}
		if len(s.entries) > 0 {
			s.compile()
			m.spans = append(m.spans, s)
		}
	}
	return m
}

// at is the span that holds at a time, or nil.
func (m *Model) at(us int64) *span {
	for i := range m.spans {
		if s := &m.spans[i]; s.from <= us && us < s.to {
			return s
		}
	}
	return nil
}

// compile makes the tiers of a span's entries.
func (s *span) compile() {
	names := []string{""}
	for _, e := range s.entries {
		for i := range e.Variants {
			if t := e.Variants[i].Tier; !slices.Contains(names, t) {
				names = append(names, t)
			}
		}
	}
	for _, n := range names {
		t := tier{name: n}
		for i, e := range s.entries {
			t.add(e, uint8(i), n)
		}
		if n != "" { // what the tier does not change costs what it costs
			for i, e := range s.entries {
				t.addUsual(e, uint8(i))
			}
		}
		t.fix()
		s.tiers = append(s.tiers, t)
	}
}

// add appends what an entry says in a tier: the larger contexts first, then what
// is for a region, then what is for hours.
func (t *tier) add(e *Entry, number uint8, name string) {
	var own [NumMeters][]line
	prices := func(p *Prices, v *Variant) {
		at := line{entry: number, variant: v}
		if v != nil {
			at.above, at.region, at.hours = v.Above*1e6, fold(v.Region), v.Hours
		}
		for m := range NumMeters {
			if usd, ok := p.Each[m]; ok || p.unknown(m) {
				at.usd, at.none = usd, !ok
				if m.Tokens() {
					at.usd = usd.Shift(-6)
				}
				own[m] = append(own[m], at)
			}
		}
		at.none = false
		for _, i := range p.Images {
			at.size, at.quality, at.usd = fold(i.Size), fold(i.Quality), i.USD
			own[Image] = append(own[Image], at)
		}
	}
	if name == "" {
		prices(&e.Prices, nil)
	}
	for i := range e.Variants {
		if v := &e.Variants[i]; v.Tier == name {
			prices(&v.Prices, v)
		}
	}
	for m := range own {
		slices.SortStableFunc(own[m], func(a, b line) int {
			return cmp.Or(
				cmp.Compare(b.above, a.above), some(b.region)-some(a.region), some(b.hours.String())-some(a.hours.String()),
				some(b.size)-some(a.size), some(b.quality)-some(a.quality))
		})
		t.lines[m] = append(t.lines[m], own[m]...)
	}
}

func some(s string) int { return min(len(s), 1) }

// addUsual appends what a tier leaves as it is: requests and searches.
func (t *tier) addUsual(e *Entry, number uint8) {
	usual := tier{}
	usual.add(e, number, "")
	for _, m := range [...]Meter{Request, Search} {
		t.lines[m] = append(t.lines[m], usual.lines[m]...)
	}
}

// fix brings the prices of a tier to a common scale.
func (t *tier) fix() {
	t.scale = 3 // nano-dollars for 10^-6 of a unit
	for m := range t.lines {
		for i := range t.lines[m] {
			t.scale = max(t.scale, -t.lines[m][i].usd.Exponent())
		}
	}
	t.big = t.scale > 22 // 10^19 is the largest power that a word holds
	for m := range t.lines {
		for i := range t.lines[m] {
			l := &t.lines[m][i]
			coef := new(big.Int).Mul(l.usd.Coefficient(), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(l.usd.Exponent()+t.scale)), nil))
			if !coef.IsUint64() {
				t.big = true
			}
			l.coef = coef.Uint64()
		}
	}
	t.plain = !t.big && len(t.lines[Request]) == 0
	t.whole = t.scale <= 9
	for m, lines := range t.lines {
		if len(lines) == 0 {
			t.free = append(t.free, Meter(m))
			continue
		}
		l := &lines[0]
		t.plain = t.plain && l.when() == "" && !l.none
		f := flat{meter: Meter(m), coef: l.coef, entry: 1 << l.entry}
		if t.whole {
			f.nanos = l.coef * powers[9-t.scale]
		}
		// five products of less than 2^60 do not overflow
		t.whole = t.whole && l.coef <= mostNanos && f.nanos <= mostNanos
		t.flat = append(t.flat, f)
	}
	for i, m := range textMeters {
		t.text[i] = flat{meter: m, free: math.MaxUint64}
		if k := slices.IndexFunc(t.flat, func(f flat) bool { return f.meter == m }); k >= 0 {
			t.text[i] = t.flat[k]
		}
	}
}

// mostNanos bounds whole prices: a thousand dollars for a million tokens.
const mostNanos = 1<<20 - 1

// pick is the price that holds for a meter of a row, or nil where there is none.
func (t *tier) pick(m Meter, input int64, row *place) *line {
	for i := range t.lines[m] {
		l := &t.lines[m][i]
		if l.above != 0 && input <= l.above || l.region != "" && l.region != row.region || l.hours != (Hours{}) && !l.hours.has(row.minute) {
			continue
		}
		if m == Image && (l.size != "" && l.size != row.size || l.quality != "" && l.quality != row.quality) {
			continue
		}
		if l.none {
			return nil
		}
		return l
	}
	return nil
}

// id names the entries of a set.
func (s *span) id(set uint64) string {
	if set == s.set {
		return s.text
	}
	text, ok := s.ids[set]
	if !ok {
		var names []string
		for i, e := range s.entries {
			if set&(1<<i) != 0 {
				names = append(names, e.id)
			}
		}
		text = strings.Join(names, "+")
		s.ids[set] = text
	}
	s.set, s.text = set, text
	return text
}

// usual are names of the tier that everyone has.
var usual = []string{"default", "standard", "auto", "on_demand"}

// tierName folds the name of a service tier; "" is the usual one. Google's
// ON_DEMAND_PRIORITY is priority.
func tierName(s string) string {
	s = strings.TrimPrefix(fold(s), "on_demand_")
	if slices.Contains(usual, s) {
		return ""
	}
	return s
}
