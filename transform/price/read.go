package price

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"go.yaml.in/yaml/v3"
)

// Read reads a book. name is that of its file, for errors: a *BookError has all
// that is wrong.
func Read(r io.Reader, name string) (*Book, error) {
	p := &parser{book: &Book{}}
	var doc yaml.Node
	dec := yaml.NewDecoder(r)
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the file is empty")
		}
		return nil, &BookError{name, []Problem{{Text: err.Error()}}}
	}
	if err := dec.Decode(new(yaml.Node)); err != io.EOF {
		return nil, &BookError{name, []Problem{{Text: "more than one document; a book is one"}}}
	}
	p.top(doc.Content[0])
	if len(p.problems) == 0 {
		p.problems = p.book.finish()
	}
	if len(p.problems) > 0 {
		slices.SortStableFunc(p.problems, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
		return nil, &BookError{name, p.problems}
	}
	return p.book, nil
}

// parser reads the nodes of a book. What is wrong it notes, and goes on.
type parser struct {
	book     *Book
	per      int32 // 10^per tokens is what prices are for, unless the entry says otherwise
	problems []Problem
}

func (p *parser) bad(n *yaml.Node, format string, args ...any) {
	p.problems = append(p.problems, Problem{n.Line, fmt.Sprintf(format, args...)})
}

// members hands the members of a mapping to the functions for their keys.
func (p *parser) members(n *yaml.Node, what string, known map[string]func(*yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.bad(n, "%s: want key: value lines", what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		read := known[key.Value]
		switch {
		case seen[key.Value]:
			p.bad(key, "%s: %s is there twice", what, key.Value)
		case read == nil:
			p.bad(key, "%s: %q is not known; known are %s", what, key.Value, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		default:
			read(value)
		}
		seen[key.Value] = true
	}
}

func (p *parser) text(to *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
			p.bad(n, "want a text")
			return
		}
		*to = n.Value
	}
}

// list reads one text, or a list of them.
func (p *parser) list(to *[]string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		items := []*yaml.Node{n}
		if n.Kind == yaml.SequenceNode {
			items = n.Content
		}
		for _, item := range items {
			if item.Kind != yaml.ScalarNode || strings.TrimSpace(item.Value) == "" {
				p.bad(item, "want a name, or a list of names")
				continue
			}
			*to = append(*to, item.Value)
		}
	}
}

func (p *parser) each(n *yaml.Node, what string, read func(*yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		p.bad(n, "%s: want a list", what)
		return
	}
	for _, item := range n.Content {
		read(item)
	}
}

func (p *parser) date(to *int64) func(*yaml.Node) {
	return func(n *yaml.Node) {
		for _, layout := range []string{time.DateOnly, time.RFC3339} {
			if t, err := time.Parse(layout, n.Value); err == nil && n.Kind == yaml.ScalarNode {
				*to = t.UnixMicro()
				return
			}
		}
		p.bad(n, "%q is no date such as 2026-08-21 or 2026-08-21T12:00:00Z", n.Value)
	}
}

// units are what token prices can be for, by their power of ten.
var units = map[string]int32{"1M": 6, "1K": 3, "1": 0}

func (p *parser) unit(to *int32) func(*yaml.Node) {
	return func(n *yaml.Node) {
		unit, ok := units[n.Value]
		if !ok {
			p.bad(n, "per: %q is no unit; want 1M, 1K or 1 (tokens)", n.Value)
			return
		}
		*to = unit
	}
}

func (p *parser) top(n *yaml.Node) {
	b := p.book
	p.per = 6
	var entries *yaml.Node
	p.members(n, "book", map[string]func(*yaml.Node){
		"book": p.text(&b.Name), "note": p.text(&b.Note), "source": p.text(&b.Source), "checked": p.checked(&b.Checked),
		"per": p.unit(&p.per),
		"currency": func(n *yaml.Node) {
			if n.Value != "USD" {
				p.bad(n, "currency: %q; books are in USD", n.Value)
			}
		},
		"imports": func(n *yaml.Node) {
			p.each(n, "imports", func(n *yaml.Node) {
				var i Import
				p.members(n, "import", map[string]func(*yaml.Node){"from": p.text(&i.From), "as_of": p.text(&i.AsOf), "sha256": p.text(&i.SHA256)})
				b.Imports = append(b.Imports, i)
			})
		},
		"entries": func(n *yaml.Node) { entries = n },
	})
	if entries == nil {
		p.bad(n, "book: no entries")
		return
	}
	p.each(entries, "entries", p.entry) // when the unit is known
}

// checked reads a date that is kept as it is written.
func (p *parser) checked(to *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if _, err := time.Parse(time.DateOnly, n.Value); err != nil {
			p.bad(n, "checked: %q is no date such as 2026-08-21", n.Value)
		}
		*to = n.Value
	}
}

func (p *parser) entry(n *yaml.Node) {
	e := Entry{From: Ever, To: Forever, line: n.Line}
	per := p.per
	var prices, images, variants *yaml.Node
	keep := func(to **yaml.Node) func(*yaml.Node) { return func(n *yaml.Node) { *to = n } }
	p.members(n, "entry", map[string]func(*yaml.Node){
		"provider": p.list(&e.Provider), "model": p.list(&e.Model), "from": p.date(&e.From), "to": p.date(&e.To),
		"source": p.text(&e.Source), "checked": p.checked(&e.Checked), "per": p.unit(&per),
		"prices": keep(&prices), "images": keep(&images), "variants": keep(&variants),
	})
	p.prices(&e.Prices, prices, images, per)
	if variants != nil {
		p.each(variants, "variants", func(n *yaml.Node) { e.Variants = append(e.Variants, p.variant(n, per)) })
	}
	p.book.Entries = append(p.book.Entries, e)
}

// clock is two times of the day.
var clock = regexp.MustCompile(`^([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])$`)

func (p *parser) hours(to *Hours) func(*yaml.Node) {
	return func(n *yaml.Node) {
		m := clock.FindStringSubmatch(n.Value)
		if m == nil || m[1]+m[2] == m[3]+m[4] {
			p.bad(n, "hours: %q are no hours such as 16:30-00:30 (UTC)", n.Value)
			return
		}
		at := func(hour, minute string) int16 { // two digits each
			h, _ := strconv.Atoi(hour)
			m, _ := strconv.Atoi(minute)
			return int16(h*60 + m)
		}
		*to = Hours{at(m[1], m[2]), at(m[3], m[4])}
	}
}

func (p *parser) variant(n *yaml.Node, per int32) Variant {
	v := Variant{line: n.Line}
	var prices, images *yaml.Node
	p.members(n, "variant", map[string]func(*yaml.Node){
		"tier":   func(n *yaml.Node) { p.text(&v.Tier)(n); v.Tier = tierName(v.Tier) },
		"region": func(n *yaml.Node) { p.text(&v.Region)(n); v.Region = fold(v.Region) },
		"above": func(n *yaml.Node) {
			var err error
			if v.Above, err = strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 10, 64); err != nil || v.Above <= 0 || v.Above > 1e12 {
				p.bad(n, "above: %q is no count of tokens", n.Value)
			}
		},
		"hours":  p.hours(&v.Hours),
		"prices": func(n *yaml.Node) { prices = n },
		"images": func(n *yaml.Node) { images = n },
	})
	p.prices(&v.Prices, prices, images, per)
	return v
}

func (p *parser) prices(to *Prices, prices, images *yaml.Node, per int32) {
	if prices != nil {
		known := map[string]func(*yaml.Node){}
		for m := range NumMeters {
			known[m.String()] = func(n *yaml.Node) {
				if n.Value == "none" {
					to.none(m)
					return
				}
				usd, ok := p.money(n)
				if !ok {
					return
				}
				if m.Tokens() {
					usd = usd.Shift(6 - per)
				}
				to.set(m, usd)
			}
		}
		p.members(prices, "prices", known)
	}
	if images == nil {
		return
	}
	p.each(images, "images", func(n *yaml.Node) {
		var i ImagePrice
		priced := false
		p.members(n, "image", map[string]func(*yaml.Node){
			"size": p.text(&i.Size), "quality": p.text(&i.Quality),
			"price": func(n *yaml.Node) { i.USD, priced = p.money(n) },
		})
		if !priced {
			p.bad(n, "image: no price")
		}
		if slices.ContainsFunc(to.Images, func(o ImagePrice) bool { return fold(o.Size) == fold(i.Size) && fold(o.Quality) == fold(i.Quality) }) {
			p.bad(n, "image: the same size and quality twice")
		}
		to.Images = append(to.Images, i)
	})
}

// decimals is how a price may be written: what is longer is a slip.
var decimals = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,24})?([eE][-+]?[0-9]{1,2})?$`)

// parseMoney reads a price, exactly as it is written.
func parseMoney(text string) (decimal.Decimal, error) {
	if !decimals.MatchString(text) {
		return decimal.Decimal{}, fmt.Errorf("%q is no price: want dollars such as 0.25, not negative", text)
	}
	usd, err := decimal.NewFromString(text)
	if err == nil && (usd.Exponent() < -40 || usd.GreaterThan(decimal.New(1, 9))) {
		err = fmt.Errorf("%q is no price: too long, or more than a billion", text)
	}
	return usd, err
}

func (p *parser) money(n *yaml.Node) (decimal.Decimal, bool) {
	usd, err := parseMoney(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		p.bad(n, "%v", cmp.Or(err, errors.New("want a price")))
		return usd, false
	}
	return usd, true
}
