package price

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/shopspring/decimal"
)

// Prices of a million tokens outside of this are slips of a unit, as a rule.
var (
	leastToken = decimal.New(1, -3)
	mostToken  = decimal.New(2000, 0)
)

// Lint says what is wrong with a book, and what looks wrong. The error is that
// of reading r.
func Lint(r io.Reader, name string) ([]Problem, error) {
	b, err := Read(r, name)
	if bad, ok := errors.AsType[*BookError](err); ok {
		return bad.Problems, nil
	}
	if err != nil {
		return nil, err
	}
	l := &linter{book: b}
	l.gaps()
	for i := range b.Entries {
		l.entry(&b.Entries[i])
	}
	slices.SortStableFunc(l.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return l.problems, nil
}

type linter struct {
	book     *Book
	problems []Problem
}

func (l *linter) say(line int, format string, args ...any) {
	l.problems = append(l.problems, Problem{line, fmt.Sprintf(format, args...)})
}

// gaps finds times in which a model has no price that it had before and after.
func (l *linter) gaps() {
	held := map[string][]*Entry{}
	for i := range l.book.Entries {
		e := &l.book.Entries[i]
		for _, k := range e.keys() {
			held[k] = append(held[k], e)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(held)) {
		list := held[k]
		slices.SortFunc(list, func(a, b *Entry) int { return cmp.Compare(a.From, b.From) })
		for i := 1; i < len(list); i++ {
			if was, is := list[i-1], list[i]; was.To < is.From {
				_, model, _ := strings.Cut(k, "\x00")
				l.say(is.line, "%s has no price from %s to %s", model, day(was.To), day(is.From))
			}
		}
	}
}

func (l *linter) entry(e *Entry) {
	if e.Source == "" && l.book.Source == "" {
		l.say(e.line, "%s: no source; say where the prices are published", e.Model[0])
	}
	if e.Checked == "" && l.book.Checked == "" {
		l.say(e.line, "%s: no checked date; say when the source was looked at", e.Model[0])
	}
	l.prices(e.line, e.Model[0], &e.Prices, nil)
	for i := range e.Variants {
		v := &e.Variants[i]
		l.prices(v.line, e.Model[0], &v.Prices, &e.Prices)
		l.hours(e, v)
		if v.Tier != "batch" && v.Tier != "flex" || v.Above != 0 || v.Region != "" || v.Hours != (Hours{}) {
			continue
		}
		for m := range NumMeters {
			if usual, ok := e.Prices.Each[m]; ok && v.Prices.Each[m].GreaterThan(usual) {
				l.say(v.line, "%s: %s is dearer in %s than usual", e.Model[0], m, v.Tier)
			}
		}
	}
}

// hours finds times of the day in which a meter has no price that it has in others.
func (l *linter) hours(e *Entry, v *Variant) {
	if v.Hours == (Hours{}) {
		return
	}
	said := func(p *Prices, m Meter) bool {
		_, ok := p.Each[m]
		return ok || p.unknown(m)
	}
	for m := range NumMeters {
		if !said(&v.Prices, m) || v.Tier == "" && said(&e.Prices, m) {
			continue
		}
		for minute := range int16(24 * 60) {
			if !slices.ContainsFunc(e.Variants, func(o Variant) bool {
				return o.Tier == v.Tier && (o.Region == "" || o.Region == v.Region) && o.Above <= v.Above && said(&o.Prices, m) && (o.Hours == (Hours{}) || o.Hours.has(minute))
			}) {
				l.say(v.line, "%s: %s has no price at %02d:%02d", e.Model[0], m, minute/60, minute%60)
				break
			}
		}
	}
}

// prices looks at prices that lie over others, or over none.
func (l *linter) prices(line int, model string, p, below *Prices) {
	of := func(m Meter) (decimal.Decimal, bool) {
		usd, ok := p.Each[m]
		if !ok && below != nil {
			usd, ok = below.Each[m]
		}
		return usd, ok
	}
	for m := range NumMeters {
		usd, ok := p.Each[m]
		if !ok || !m.Tokens() || usd.IsZero() {
			continue
		}
		if usd.LessThan(leastToken) {
			l.say(line, "%s: %s is %s dollars for a million tokens; is it the price of a thousand, or of one? per: says so", model, m, usd)
		}
		if usd.GreaterThan(mostToken) {
			l.say(line, "%s: %s is %s dollars for a million tokens; is per: right?", model, m, usd)
		}
	}
	for _, pair := range [...][2]Meter{{CacheRead, Input}, {CacheReadImage, InputImage}, {CacheReadAudio, InputAudio}} {
		read, ok := of(pair[0])
		fresh, both := of(pair[1])
		if ok && both && read.GreaterThan(fresh) {
			l.say(line, "%s: %s is dearer than %s", model, pair[0], pair[1])
		}
	}
}
