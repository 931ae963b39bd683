package transform

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"usagelake/schemas"
)

// What records say of a call that later ones add to is kept in the Memory of their source, by
// texts with the names of columns, one of which is the id of the call.

// named goes between a family and the number of a call in a Memory.
const named = " call "

// mostNamed bounds the calls of a family in a source that something is kept of: those that
// are under way at once.
const mostNamed = 64

// ofCall is what records before the one at hand said of its call, which may be nothing.
func (n *Normalizer) ofCall(p *plan, rec *schemas.Record, said Memory) map[string]string {
	texts, _ := said.named(family(p.entry.Name), p.entry.Of.String(), n.textOf(p, rec, p.entry.Of))
	return texts
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

// named is what is kept of a call, and the numbers of all calls of its family.
func (m Memory) named(family, column, id string) (texts map[string]string, numbers []int) {
	for name, of := range m {
		k, ok := strings.CutPrefix(name, family+named)
		if !ok {
			continue
		}
		number, _ := strconv.Atoi(k)
		numbers = append(numbers, number)
		if of[column] == id {
			texts = of
		}
	}
	return texts, numbers
}

// keepOf keeps what a record says of a call. The oldest call gives way.
func (m Memory) keepOf(family string, column schemas.Col, id string, texts map[string]string) {
	if id == "" || len(texts) == 0 {
		return
	}
	all, numbers := m.named(family, column.String(), id)
	if all == nil {
		next := 0
		if len(numbers) > 0 {
			next = slices.Max(numbers) + 1
		}
		if len(numbers) == mostNamed {
			delete(m, family+named+strconv.Itoa(slices.Min(numbers)))
		}
		all = map[string]string{column.String(): strings.Clone(id)}
		m[family+named+strconv.Itoa(next)] = all
	}
	maps.Copy(all, texts)
}
