package transform

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"usagelake/schemas"
)

// What records say of a call, or of another thing that has an id, is kept in the Memory of
// their source for later ones that name it, by texts with the names of columns, one of which
// is the id.

// named goes between a family and the number of what is named in a Memory.
const named = " call "

// mostNamed bounds what is named in a family in a source: what is under way at once.
const mostNamed = 64

// ofCall is what records before the one at hand said of its call, which may be nothing.
func (n *Normalizer) ofCall(p *plan, rec *schemas.Record, said Memory) map[string]string {
	name, _ := said.named(family(p.entry.Name), p.entry.Of, n.textOf(p, rec, p.entry.Of))
	return said[name]
}

// textOf is what a record says for a column of texts, "" for nothing.
func (n *Normalizer) textOf(p *plan, rec *schemas.Record, c schemas.Col) string {
	for i := range p.moves {
		if m := &p.moves[i]; m.col == c {
			return n.text(m, rec)
		}
	}
	return ""
}

// named is the name of what has an id in a column, "" if nothing has, and the numbers of all
// of its family.
func (m Memory) named(family string, column schemas.Col, id string) (name string, numbers []int) {
	prefix := family + named
	for key, texts := range m {
		k, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		number, _ := strconv.Atoi(k)
		numbers = append(numbers, number)
		if texts[column.String()] == id {
			name = key
		}
	}
	return name, numbers
}

// names reports whether something has an id in a column, or may have: it was sealed by an
// earlier run, or the id is not known.
func (m Memory) names(family string, column schemas.Col, id string) bool {
	prefix := family + named
	for key, texts := range m {
		if of := texts[column.String()]; strings.HasPrefix(key, prefix) && (id == "" || of == id || strings.HasPrefix(of, "\x00")) {
			return true
		}
	}
	return false
}

// keepOf keeps what a record says of what has an id. What nothing was said of for longest
// gives way.
func (m Memory) keepOf(family string, column schemas.Col, id string, texts map[string]string) {
	if id == "" || len(texts) == 0 {
		return
	}
	name, numbers := m.named(family, column, id)
	all := m[name]
	if delete(m, name); all == nil {
		all = map[string]string{column.String(): strings.Clone(id)}
		if len(numbers) == mostNamed {
			delete(m, family+named+strconv.Itoa(slices.Min(numbers)))
		}
	}
	next := 0
	if len(numbers) > 0 {
		next = slices.Max(numbers) + 1
	}
	m[family+named+strconv.Itoa(next)] = all
	maps.Copy(all, texts)
}
