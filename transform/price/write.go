package price

import (
	"io"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Write writes the book, so that Read reads the same. Comments that the book had
// are gone.
func (b *Book) Write(w io.Writer) error {
	top := mapping("book", name(b.Name))
	add := func(to *yaml.Node, key string, value *yaml.Node) {
		to.Content = append(to.Content, name(key), value)
	}
	text := func(to *yaml.Node, key, value string) {
		if value != "" {
			add(to, key, name(value))
		}
	}
	plainly := func(to *yaml.Node, key, value string) {
		if value != "" {
			add(to, key, plain(value))
		}
	}
	text(top, "note", b.Note)
	add(top, "currency", name("USD"))
	add(top, "per", name("1M"))
	text(top, "source", b.Source)
	plainly(top, "checked", b.Checked)
	if len(b.Imports) > 0 {
		list := sequence()
		for _, i := range b.Imports {
			list.Content = append(list.Content, mapping("from", name(i.From), "as_of", plain(i.AsOf), "sha256", name(i.SHA256)))
		}
		add(top, "imports", list)
	}
	prices := func(to *yaml.Node, p *Prices) {
		if len(p.Each) > 0 || p.None != 0 {
			m := mapping()
			for meter := range NumMeters {
				if usd, ok := p.Each[meter]; ok {
					add(m, meter.String(), plain(usd.String()))
				}
				if p.unknown(meter) {
					add(m, meter.String(), name("none"))
				}
			}
			add(to, "prices", m)
		}
		if len(p.Images) > 0 {
			list := sequence()
			for _, i := range p.Images {
				m := mapping()
				m.Style = yaml.FlowStyle
				text(m, "size", i.Size)
				text(m, "quality", i.Quality)
				add(m, "price", plain(i.USD.String()))
				list.Content = append(list.Content, m)
			}
			add(to, "images", list)
		}
	}
	entries := sequence()
	for i := range b.Entries {
		e := &b.Entries[i]
		n := mapping()
		if len(e.Provider) > 0 {
			add(n, "provider", names(e.Provider))
		}
		add(n, "model", names(e.Model))
		if e.From != Ever {
			add(n, "from", plain(day(e.From)))
		}
		if e.To != Forever {
			add(n, "to", plain(day(e.To)))
		}
		text(n, "source", e.Source)
		plainly(n, "checked", e.Checked)
		prices(n, &e.Prices)
		if len(e.Variants) > 0 {
			list := sequence()
			for j := range e.Variants {
				v := &e.Variants[j]
				m := mapping()
				text(m, "tier", v.Tier)
				text(m, "region", v.Region)
				if v.Above > 0 {
					add(m, "above", plain(strconv.FormatInt(v.Above, 10)))
				}
				if v.Hours != (Hours{}) {
					add(m, "hours", name(v.Hours.String()))
				}
				prices(m, &v.Prices)
				list.Content = append(list.Content, m)
			}
			add(n, "variants", list)
		}
		entries.Content = append(entries.Content, n)
	}
	add(top, "entries", entries)
	enc := yaml.NewEncoder(w)
	enc.SetIndent(2)
	if err := enc.Encode(top); err != nil {
		return err
	}
	return enc.Close()
}

// name is a text, quoted where it looks like something else.
func name(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

// plain is a number or a date.
func plain(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s} }

func sequence() *yaml.Node { return &yaml.Node{Kind: yaml.SequenceNode} }

// names is one text, or a list of them.
func names(list []string) *yaml.Node {
	if len(list) == 1 {
		return name(list[0])
	}
	n := sequence()
	n.Style = yaml.FlowStyle
	for _, s := range list {
		n.Content = append(n.Content, name(s))
	}
	return n
}

// mapping is a mapping of keys to nodes, in turn.
func mapping(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i < len(pairs); i += 2 {
		n.Content = append(n.Content, name(pairs[i].(string)), pairs[i+1].(*yaml.Node))
	}
	return n
}
