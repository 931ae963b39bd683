package transform

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"usagelake/schemas"
)

// A call that Waits is kept in the Memory of its source until a record behind it tells
// whether it is said again, as texts by the names of columns.

// waits is behind the name of a family in a Memory, for the call that waits there.
const waits = " waits"

// wait keeps the call of the record at hand.
func (n *Normalizer) wait(p *plan, rec *schemas.Record, row *schemas.Builder, said Memory) {
	n.row, n.flags, n.read = row, 0, n.read[:0]
	row.Drop()
	defer row.Drop()
	us, reason := n.timeOf(p, rec)
	if reason != "" || n.move(p, rec) != "" {
		return
	}
	texts := map[string]string{
		schemas.EventTime.String(): strconv.FormatInt(us, 10),
		schemas.RequestID.String(): strings.Clone(row.Str(schemas.RequestID)),
	}
	for _, q := range n.read {
		texts[q.col.String()] = strconv.FormatFloat(row.Double(q.col), 'f', -1, 64)
	}
	said[family(p.entry.Name)+waits] = texts
}

// waiting is the call that waits for records of an entry, if one does.
func waiting(e *compiledEntry, said Memory) (call, bool) {
	if e.Releases == "" {
		return call{}, false
	}
	texts := said[family(e.Name)+waits]
	if len(texts) == 0 {
		return call{}, false
	}
	c := call{doc: []byte("{}"), entry: e.Releases, released: true, heir: heir{timeFrom: schemas.FromEnvelope}}
	for _, col := range slices.Sorted(maps.Keys(columnsByName)) {
		switch text, some := texts[col]; {
		case !some:
		case columnsByName[col] == schemas.EventTime:
			c.heir.time, _ = strconv.ParseInt(text, 10, 64)
		default:
			c.heir.texts = append(c.heir.texts, Fill{columnsByName[col], text})
		}
	}
	return c, true
}

var columnsByName = func() map[string]schemas.Col {
	m := map[string]schemas.Col{}
	for c := range schemas.NumColumns {
		m[c.String()] = c
	}
	return m
}()

// saysAgain ends the wait of a call that the row at hand, of the same family, is.
func (n *Normalizer) saysAgain(p *plan, said Memory) {
	name := family(p.entry.Name) + waits
	texts := said[name]
	if len(texts) == 0 {
		return
	}
	for _, c := range []schemas.Col{schemas.InputTokens, schemas.OutputTokens} {
		if v, _ := measured([]byte(texts[c.String()])); v != n.row.Double(c) {
			return
		}
	}
	delete(said, name)
}

// Waiting are the dialects of calls that wait for records that are not there yet.
func (m Memory) Waiting() (dialects []string) {
	for i := range Entries {
		if e := &Entries[i]; e.Waits && len(m[family(e.Name)+waits]) > 0 {
			dialects = append(dialects, e.Name)
		}
	}
	return dialects
}
