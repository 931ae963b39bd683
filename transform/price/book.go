package price

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// Book is a list of dated prices in US dollars.
type Book struct {
	Name    string // in price_id
	Note    string
	Source  string // of entries that name none: where the prices are published
	Checked string // of entries that name none: when they were looked at
	Imports []Import
	Entries []Entry

	exact map[string][]int // entries by a folded model pattern that stands for itself
	globs []int            // entries with another
}

// Import says what an importer read.
type Import struct{ From, AsOf, SHA256 string }

// Entry is what one model costs, or several at the same prices, for a time.
type Entry struct {
	Provider []string // patterns; none is any provider
	Model    []string // patterns
	From, To int64    // UTC, in microseconds; To is exclusive
	Prices   Prices
	Variants []Variant
	Source   string
	Checked  string

	line int
	id   string
	book *Book
}

// Times without a beginning or an end.
const (
	Ever    int64 = math.MinInt64
	Forever int64 = math.MaxInt64
)

// Variant is what changes under conditions, all of which hold.
type Variant struct {
	Tier   string // service tier; "" is the usual one
	Region string // "" is any
	Above  int64  // tokens of the whole input, more than which reprice the whole request
	Hours  Hours  // of the event time
	Prices Prices

	line int
}

// Hours are a time of the day by UTC, in minutes: from From up to, not including, To,
// on the next day where To is not later. The zero Hours are all of the day.
type Hours struct{ From, To int16 }

func (h Hours) has(minute int16) bool {
	if h.From < h.To {
		return h.From <= minute && minute < h.To
	}
	return minute >= h.From || minute < h.To
}

func (h Hours) String() string {
	if h == (Hours{}) {
		return ""
	}
	return fmt.Sprintf("%02d:%02d-%02d:%02d", h.From/60, h.From%60, h.To/60, h.To%60)
}

// Prices are dollars by meter: for a million tokens, for one of anything else.
// That of Image is for any size and quality; Images are for some.
type Prices struct {
	Each   map[Meter]decimal.Decimal
	None   uint32 // a bit for every meter whose price is not known here, and is no other
	Images []ImagePrice
}

// ImagePrice is the price of an image of some size and quality.
type ImagePrice struct {
	Size, Quality string // "" is any
	USD           decimal.Decimal
}

func (p *Prices) set(m Meter, usd decimal.Decimal) {
	if p.Each == nil {
		p.Each = map[Meter]decimal.Decimal{}
	}
	p.Each[m] = usd
}

// none says that the price of m is not known.
func (p *Prices) none(m Meter) { p.None |= 1 << m }

func (p *Prices) unknown(m Meter) bool { return p.None&(1<<m) != 0 }

func (p *Prices) empty() bool { return len(p.Each)+len(p.Images) == 0 && p.None == 0 }

// text is the same for prices that are the same.
func (p *Prices) text() string {
	var b strings.Builder
	for m := range NumMeters {
		if usd, ok := p.Each[m]; ok {
			fmt.Fprintf(&b, "%s=%s;", m, usd)
		}
		if p.unknown(m) {
			fmt.Fprintf(&b, "%s=none;", m)
		}
	}
	images := slices.Clone(p.Images)
	slices.SortFunc(images, func(a, b ImagePrice) int { return strings.Compare(a.Size+"\x00"+a.Quality, b.Size+"\x00"+b.Quality) })
	for _, i := range images {
		fmt.Fprintf(&b, "image(%q,%q)=%s;", i.Size, i.Quality, i.USD)
	}
	return b.String()
}

// text is the same for entries that say the same prices.
func (e *Entry) text() string {
	var variants []string
	for i := range e.Variants {
		v := &e.Variants[i]
		variants = append(variants, fmt.Sprintf("%q,%q,%d%s:%s", v.Tier, v.Region, v.Above, v.Hours, v.Prices.text()))
	}
	slices.Sort(variants)
	return e.Prices.text() + strings.Join(variants, "\n")
}

// name gives the entry its id: book:provider/model@from#hash, with the first
// patterns of its own and a hash of its prices. An entry that ends later has the same
// id, one that costs otherwise has another.
func (b *Book) name(e *Entry) {
	provider := "*"
	if len(e.Provider) > 0 {
		provider = e.Provider[0]
	}
	from := ""
	if e.From != Ever {
		from = "@" + day(e.From)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q\n%q\n%s", e.Provider, e.Model, e.text()))
	e.book = b
	e.id = fmt.Sprintf("%s:%s/%s%s#%s", b.Name, provider, e.Model[0], from, hex.EncodeToString(sum[:3]))
}

// day writes a time as a date where it is one.
func day(us int64) string {
	t := time.UnixMicro(us).UTC()
	if t.Truncate(24 * time.Hour).Equal(t) {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339Nano)
}

// Problem is what is wrong with a book, or looks wrong.
type Problem struct {
	Line int    `json:"line,omitempty"` // of the book; 0 where it is of no line
	Text string `json:"text"`
}

func (p Problem) String() string {
	if p.Line == 0 {
		return p.Text
	}
	return fmt.Sprintf("line %d: %s", p.Line, p.Text)
}

// BookError is the error of a book that cannot be used.
type BookError struct {
	Name     string // of the file
	Problems []Problem
}

func (e *BookError) Error() string {
	more := ""
	if n := len(e.Problems) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more; usagelake prices lint lists them)", n)
	}
	return fmt.Sprintf("%s: %s%s", e.Name, e.Problems[0], more)
}

// finish checks the book as a whole, and gives its entries their ids.
func (b *Book) finish() (problems []Problem) {
	bad := func(line int, format string, args ...any) {
		problems = append(problems, Problem{line, fmt.Sprintf(format, args...)})
	}
	if b.Name == "" || strings.ContainsFunc(b.Name, func(r rune) bool { return !nameRune(r) }) {
		bad(1, "book: want a short name of letters, digits, dots, - and _; price_id begins with it")
	}
	type held struct {
		from, to int64
		line     int
	}
	b.exact, b.globs = map[string][]int{}, nil
	seen := map[[2]string][]held{}
	for i := range b.Entries {
		e := &b.Entries[i]
		if len(e.Model) == 0 {
			bad(e.line, "an entry without model; name the model as the column has it, * stands for anything")
			continue
		}
		if e.From >= e.To {
			bad(e.line, "%s: to must be after from", e.Model[0])
			continue
		}
		if e.Prices.empty() && len(e.Variants) == 0 {
			bad(e.line, "%s: no prices; a price of nothing is 0", e.Model[0])
		}
		type condition struct {
			tier, region string
			above        int64
		}
		conditions := map[condition][]*Variant{}
		for j := range e.Variants {
			v := &e.Variants[j]
			key := condition{v.Tier, v.Region, v.Above}
			switch {
			case key == condition{} && v.Hours == Hours{}:
				bad(v.line, "%s: a variant without tier, region, above or hours; its prices belong to the entry", e.Model[0])
			case v.Prices.empty():
				bad(v.line, "%s: a variant without prices", e.Model[0])
			}
			for _, o := range conditions[key] {
				switch {
				case o.Hours == v.Hours:
					bad(v.line, "%s: two variants with the same conditions", e.Model[0])
				case o.Hours == Hours{} || v.Hours == Hours{}: // what hours do not say
				case o.Hours.has(v.Hours.From) || v.Hours.has(o.Hours.From):
					bad(v.line, "%s: hours %s overlap those of line %d", e.Model[0], v.Hours, o.line)
				}
			}
			conditions[key] = append(conditions[key], v)
		}
		for _, p := range patternsOf(e.Provider) {
			for _, m := range e.Model {
				key := [2]string{fold(p), fold(m)}
				for _, s := range seen[key] {
					if e.From < s.to && s.from < e.To {
						bad(e.line, "%s overlaps the entry of line %d in time; end that with to, or begin later", m, s.line)
					}
				}
				seen[key] = append(seen[key], held{e.From, e.To, e.line})
			}
		}
		b.name(e)
		b.index(i)
	}
	return problems
}

// index lets an entry be found.
func (b *Book) index(i int) {
	glob := false
	for _, m := range b.Entries[i].Model {
		if strings.Contains(m, "*") {
			glob = true
		} else {
			b.exact[fold(m)] = append(b.exact[fold(m)], i)
		}
	}
	if glob {
		b.globs = append(b.globs, i)
	}
}

// candidates are the entries that may be for a folded model, in order.
func (b *Book) candidates(model string) []int {
	list := slices.Concat(b.exact[model], b.globs)
	slices.Sort(list)
	return slices.Compact(list)
}

func nameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
}

// patternsOf is the provider patterns of an entry: none is any.
func patternsOf(list []string) []string {
	if len(list) == 0 {
		return []string{"*"}
	}
	return list
}

// fold is how names are compared.
func fold(s string) string { return strings.ToLower(s) }

// rank says how well a folded pattern fits a folded name: not at all (0), by
// chance, or exactly. A pattern with more letters of its own fits better.
func rank(pattern, name string) int {
	if !strings.Contains(pattern, "*") {
		if pattern == name {
			return math.MaxInt
		}
		return 0
	}
	parts := strings.Split(pattern, "*")
	rest, ok := strings.CutPrefix(name, parts[0])
	if !ok {
		return 0
	}
	last := parts[len(parts)-1]
	for _, p := range parts[1 : len(parts)-1] {
		_, after, found := strings.Cut(rest, p)
		if !found {
			return 0
		}
		rest = after
	}
	if !strings.HasSuffix(rest, last) {
		return 0
	}
	return 1 + len(pattern) - len(parts) + 1
}

// fit is how an entry fits a call. The zero fit is none.
type fit struct {
	provider, model int
	pattern         string // the better of two that fit as well is the first by name
}

func (f fit) better(o fit) bool {
	switch {
	case f.provider != o.provider:
		return f.provider > o.provider
	case f.model != o.model:
		return f.model > o.model
	}
	return f.pattern < o.pattern
}

// fits is how the entry fits a folded provider and model.
func (e *Entry) fits(provider, model string) (best fit) {
	for _, p := range patternsOf(e.Provider) {
		pr := rank(fold(p), provider)
		if pr == 0 {
			continue
		}
		for _, m := range e.Model {
			f := fit{pr, rank(fold(m), model), fold(p) + "\x00" + fold(m)}
			if f.model > 0 && (best == fit{} || f.better(best)) {
				best = f
			}
		}
	}
	return best
}
