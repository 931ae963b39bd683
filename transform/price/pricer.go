package price

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"strings"

	"github.com/shopspring/decimal"

	"usagelake/schemas"
)

// CacheHit is the price_id of what a gateway answered from its own cache: it
// cost nothing.
const CacheHit = "cache_hit"

// Pricer quotes rows. It belongs to one goroutine, and allocates only for a
// model that it has not seen.
type Pricer struct {
	list   *List
	models map[key]*Model
	recent [64]*Model // by a few letters

	name, folded string     // the service tier that was folded last
	quantities   quantities // of the row at hand
	usage        usage
}

// mostModels is how many models a pricer remembers: logs can have any number of
// names.
const mostModels = 4096

// Pricer makes a pricer.
func (l *List) Pricer() *Pricer { return &Pricer{list: l, models: map[key]*Model{}} }

// Quote is what a row cost.
type Quote struct {
	Nanos   int64  // 10^-9 dollars
	ID      string // of the prices: entries of books, from the uppermost down
	Missing Missing
	// Assumed: the cost depends on how parts of the input overlap, and the row
	// does not say.
	Assumed bool
}

// Priced reports whether the row has a cost. If not, Missing says why.
func (q *Quote) Priced() bool { return q.Missing == 0 }

// Missing is why a row has no cost: a bit for every meter that has a quantity
// and no price, and those below.
type Missing uint32

// Why a row has no cost, beside meters without a price.
const (
	NoEntry    Missing = 1 << (31 - iota) // no book knows the model
	NoTime                                // none knows it at that time
	NoTier                                // none has prices for the service tier
	NoQuantity                            // the row has nothing that could be billed
	NoModel                               // the row names no model, and no entry is for any
	TooMuch                               // a billion dollars or more
)

// Texts say what is missing, for people.
func (m Missing) Texts() (list []string) {
	for _, why := range [...]struct {
		bit  Missing
		text string
	}{
		{NoEntry, "no entry"},
		{NoModel, "no model named; load with --set model=NAME"},
		{NoTime, "no entry at the time"},
		{NoTier, "no prices for the service tier"},
		{NoQuantity, "nothing counted"},
		{TooMuch, "a billion dollars or more"},
	} {
		if m&why.bit != 0 {
			list = append(list, why.text)
		}
	}
	for meter := range NumMeters {
		if m&(1<<meter) != 0 {
			list = append(list, "no price for "+meter.String())
		}
	}
	return list
}

// place is what prices depend on beside quantities.
type place struct {
	region, size, quality string
	minute                int16 // of the day
}

// Price quotes a row.
func (p *Pricer) Price(r Row) Quote { return p.price(r, nil) }

// Explain is Price, with the lines that the cost is the sum of.
func (p *Pricer) Explain(r Row) (Quote, []Line) {
	var lines []Line
	q := p.price(r, &lines)
	return q, lines
}

func (p *Pricer) price(r Row, lines *[]Line) Quote {
	if r.Int(schemas.CacheHit) != 0 {
		return Quote{ID: CacheHit}
	}
	m := p.Model(Key(r))
	switch {
	case len(m.spans) > 0:
	case m.key.model == "":
		return Quote{Missing: NoModel}
	default:
		return Quote{Missing: NoEntry}
	}
	s := m.at(r.Int(schemas.EventTime))
	if s == nil {
		return Quote{Missing: NoTime}
	}
	t := s.tier(p.Tier(r))
	if t == nil {
		return Quote{Missing: NoTier}
	}
	u, of := &p.usage, &p.quantities
	of.set = r.Quantities(measured, &of.v)
	u.measure(r, of, likely)
	if t.plain && lines == nil && !u.doubt {
		if q, ok := s.plainQuote(t, u); ok {
			return q
		}
	}
	at := placeOf(r, of)
	q := s.quote(t, u, &at, lines)
	if u.doubt {
		u.measure(r, of, other)
		if o := s.quote(t, u, &at, nil); q.Priced() && (!o.Priced() || o.Nanos != q.Nanos) {
			q.Assumed = true
		}
	}
	return q
}

// Tokens are the quantities of a call that has no others, in whole tokens. None is
// more than 2^40.
type Tokens struct{ Input, CacheRead, CacheWrite, Output, Reasoning uint64 }

// Text is what Price says of a row that names this model, by its Key, has input and
// output, and in which all columns Beside them are 0 or NULL. tier is its Tier, us its
// time in microseconds. It reports false where that takes a closer look.
func (m *Model) Text(tier string, us int64, n *Tokens) (q Quote, ok bool) {
	s := m.at(us)
	if s == nil {
		return Quote{}, false
	}
	t := s.tier(tier)
	if t == nil || !t.plain || n.CacheRead+n.CacheWrite > n.Input || n.Reasoning > n.Output {
		return Quote{}, false
	}
	counts := [len(textMeters)]uint64{n.Input - n.CacheRead - n.CacheWrite, n.CacheRead, n.CacheWrite, n.Output - n.Reasoning, n.Reasoning}
	if t.text[4].entry == 0 { // it costs what the output costs that it is a part of
		counts[3], counts[4] = n.Output, 0
	}
	set, free, nanos := uint64(0), uint64(0), uint64(0)
	for i := range counts { // and not a copy of them
		n, f := counts[i], &t.text[i]
		some := some64(n)
		set |= f.entry & some
		free |= f.free & some
		nanos += n * f.nanos
	}
	if set == 0 || free != 0 {
		return Quote{}, false
	}
	if q.Nanos = int64(nanos); !t.whole {
		var sum wide
		for i := range counts {
			sum.add(counts[i]*1e6, t.text[i].coef)
		}
		q.Nanos = t.nanos(sum)
	}
	if q.Nanos >= 1e18 || q.Nanos < 0 {
		return Quote{}, false
	}
	q.ID = s.id(set)
	return q, true
}

// Beside are those columns of a set of numbers that a price can depend on, and that
// Text does not look at.
func Beside(set uint64) uint64 { return set & beside }

var beside = func() uint64 {
	set := measured
	for _, c := range []schemas.Col{schemas.CacheHit, schemas.IsBatch, schemas.ImageCount, schemas.WebSearchRequests} {
		set |= 1 << c
	}
	for _, c := range []schemas.Col{
		schemas.InputTokens, schemas.CacheReadTokens, schemas.CacheWriteTokens, schemas.OutputTokens, schemas.ReasoningTokens,
		schemas.InputTextTokens, schemas.OutputTextTokens, // the wholes are there
	} {
		set &^= 1 << c
	}
	return set
}()

// Key is the provider and the model whose prices a row has.
func Key(r Row) (provider, name string) {
	name = r.Str(schemas.Model)
	if name == "" {
		name = r.Str(schemas.RequestModel)
	}
	return schemas.Vendor(r.Str(schemas.Provider), r.Str(schemas.Dialect)), name
}

// Model is what the list says of a model as rows name it. It belongs to the pricer's
// goroutine.
func (p *Pricer) Model(provider, name string) *Model {
	k := key{provider, name}
	recent := &p.recent[k.letters()%uint(len(p.recent))]
	if m := *recent; m != nil && m.key == k {
		return m
	}
	m := p.models[k]
	if m == nil {
		if len(p.models) == mostModels {
			clear(p.models)
		}
		k = key{strings.Clone(provider), strings.Clone(name)} // a row's texts go with it
		m = p.list.resolve(k)
		p.models[k] = m
	}
	*recent = m
	return m
}

// letters is a number that is mostly another for another key.
func (k key) letters() (n uint) {
	if len(k.provider) > 0 {
		n = uint(k.provider[0])
	}
	if l := len(k.model); l > 0 {
		n = n*7 + uint(l)*5 + uint(k.model[l-1])*3 + uint(k.model[l/2])
	}
	return n
}

func (s *span) tier(name string) *tier {
	for i := range s.tiers {
		if s.tiers[i].name == name {
			return &s.tiers[i]
		}
	}
	return nil
}

// Tier is the service tier whose prices a row has.
func (p *Pricer) Tier(r Row) string {
	if r.Int(schemas.IsBatch) != 0 {
		return "batch"
	}
	name := r.Str(schemas.ServiceTier)
	if name == "" || name == "default" {
		return ""
	}
	if name != p.name {
		p.name = strings.Clone(name)
		p.folded = tierName(p.name)
	}
	return p.folded
}

func placeOf(r Row, q *quantities) (at place) {
	at.minute = int16(r.Int(schemas.EventTime) / 60e6 % (24 * 60))
	if q.has(schemas.Region) {
		at.region = fold(r.Str(schemas.Region))
	}
	if q.has(schemas.ImageCount) {
		at.size, at.quality = fold(r.Str(schemas.ImageSize)), fold(r.Str(schemas.ImageQuality))
	}
	return at
}

// charge is a quantity of a meter and its price, nil where there is none.
type charge struct {
	meter Meter
	n     int64 // in 10^-6
	line  *line
}

// quote adds up a row's meters. lines, where it is not nil, gets what is added.
func (s *span) quote(t *tier, u *usage, at *place, lines *[]Line) (q Quote) {
	if u.q[Reasoning] != 0 && t.pick(Reasoning, u.input, at) == nil { // it costs what the output costs that it is a part of
		u.q[Output] += u.q[Reasoning]
		u.q[Reasoning] = 0
	}
	if len(t.lines[Request]) > 0 {
		u.q[Request] = 1e6
	}
	counted := u.told
	set := uint64(0)
	var room [NumMeters]charge
	charges := room[:0]
	for m, n := range &u.q {
		if n == 0 {
			continue
		}
		m := Meter(m)
		switch l := t.pick(m, u.input, at); {
		case l != nil:
			charges = append(charges, charge{m, n, l})
			set |= 1 << l.entry
			counted = true
		case m.required() || !u.tokens && m != Request:
			charges = append(charges, charge{m, n, nil})
			q.Missing |= 1 << m
		}
	}
	if q.Missing == 0 && !counted {
		q.Missing = NoQuantity
	}
	if lines != nil {
		*lines = s.lines(charges)
	}
	if q.Missing != 0 {
		return q
	}
	if q.Nanos = t.sum(charges); q.Nanos >= 1e18 || q.Nanos < 0 {
		return Quote{Missing: TooMuch}
	}
	q.ID = s.id(max(set, 1))
	return q
}

// plainQuote is quote for most rows. It reports false where a quantity has no
// price, or there is none.
func (s *span) plainQuote(t *tier, u *usage) (q Quote, ok bool) {
	if len(t.lines[Reasoning]) == 0 {
		u.q[Output] += u.q[Reasoning]
		u.q[Reasoning] = 0
	}
	for _, m := range t.free {
		if u.q[m] != 0 {
			return Quote{}, false
		}
	}
	var sum wide
	set := uint64(0)
	for i := range t.flat {
		f := &t.flat[i]
		n := uint64(u.q[f.meter])
		set |= f.entry & some64(n)
		sum.add(n, f.coef)
	}
	if set == 0 {
		return Quote{}, false
	}
	if q.Nanos = t.nanos(sum); q.Nanos >= 1e18 || q.Nanos < 0 {
		return Quote{Missing: TooMuch}, true
	}
	q.ID = s.id(set)
	return q, true
}

// some64 is all ones where n is not 0.
func some64(n uint64) uint64 { return -((n | -n) >> 63) }

// sum is the sum of products in nano-dollars, rounded half to even; less than 0
// where it is too large to tell. All charges have a price.
func (t *tier) sum(charges []charge) int64 {
	if t.big {
		return exactSum(charges)
	}
	var sum wide
	for i := range charges {
		if !sum.add(uint64(charges[i].n), charges[i].line.coef) {
			return exactSum(charges)
		}
	}
	return t.nanos(sum)
}

// wide is a sum of products, 128 bits of it.
type wide struct{ hi, lo uint64 }

// add adds a product. It reports false where the sum does not fit any more.
func (s *wide) add(a, b uint64) bool {
	hi, lo := bits.Mul64(a, b)
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, lo, 0)
	s.hi, carry = bits.Add64(s.hi, hi, carry)
	return carry == 0
}

// nanos is a sum of products in nano-dollars, rounded half to even; less than 0
// where it is too large to tell.
func (t *tier) nanos(sum wide) int64 {
	unit := powers[t.scale-3]
	if sum.hi >= unit {
		return -1
	}
	nanos, rest := bits.Div64(sum.hi, sum.lo, unit)
	if half := unit - rest; rest > half || rest == half && nanos&1 == 1 {
		nanos++
	}
	return int64(min(nanos, math.MaxInt64))
}

// exactSum is sum for any numbers.
func exactSum(charges []charge) int64 {
	var sum decimal.Decimal
	for _, c := range charges {
		sum = sum.Add(decimal.New(c.n, -6).Mul(c.line.usd))
	}
	if sum = sum.RoundBank(9).Shift(9); sum.GreaterThanOrEqual(decimal.New(1, 18)) {
		return -1
	}
	return sum.IntPart()
}

// powers are those of ten that a word holds.
var powers = func() (p [20]uint64) {
	p[0] = 1
	for i := range p[1:] {
		p[i+1] = p[i] * 10
	}
	return p
}()

// Line is a part of a quote.
type Line struct {
	Meter    string `json:"meter"`
	Quantity string `json:"quantity"`
	USD      string `json:"usd,omitempty"` // the price; "" where there is none
	Per      string `json:"per"`           // what it is for: 1M tokens, or 1
	Amount   string `json:"amount,omitempty"`
	Entry    string `json:"entry,omitempty"` // id of the entry that has the price
	When     string `json:"when,omitempty"`  // its conditions
	Source   string `json:"source,omitempty"`
	Checked  string `json:"checked,omitempty"`
}

// lines are charges for people.
func (s *span) lines(charges []charge) (list []Line) {
	for _, c := range charges {
		out := Line{Meter: c.meter.String(), Quantity: schemas.AmountOf(c.n).Text(6), Per: "1"}
		if c.meter.Tokens() {
			out.Per = "1M tokens"
		}
		if l := c.line; l != nil {
			usd := l.usd
			if c.meter.Tokens() {
				usd = usd.Shift(6)
			}
			e := s.entries[l.entry]
			out.USD, out.Amount, out.Entry, out.When = usd.String(), decimal.New(c.n, -6).Mul(l.usd).String(), e.id, l.when()
			out.Source, out.Checked = cmp.Or(e.Source, e.book.Source), cmp.Or(e.Checked, e.book.Checked)
		}
		list = append(list, out)
	}
	return list
}

func (l *line) when() string {
	var list []string
	if v := l.variant; v != nil {
		if v.Tier != "" {
			list = append(list, "tier "+v.Tier)
		}
		if v.Region != "" {
			list = append(list, "region "+v.Region)
		}
		if v.Above != 0 {
			list = append(list, fmt.Sprintf("above %d", v.Above))
		}
		if v.Hours != (Hours{}) {
			list = append(list, "hours "+v.Hours.String())
		}
	}
	if l.size != "" {
		list = append(list, "size "+l.size)
	}
	if l.quality != "" {
		list = append(list, "quality "+l.quality)
	}
	return strings.Join(list, ", ")
}
