package transform

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"usagelake/schemas"
)

// A call that Waits is kept in the Memory of its source until a record behind it tells
// whether it is said again, as texts by the names of columns.

// thatWaits is behind the name of a family in a Memory, for the call that waits there.
const thatWaits = " waits"

// waits is what is kept of the call of the record at hand. It must be one that can be read:
// no other record may tell of it.
func (n *Normalizer) waits(p *plan, rec *schemas.Record, row *schemas.Builder) (map[string]string, schemas.Reason) {
	n.row, n.flags, n.read = row, 0, n.read[:0]
	row.Drop()
	defer row.Drop()
	us, reason := n.timeOf(p, rec)
	if reason = cmp.Or(reason, n.move(p, rec)); reason != "" {
		return nil, reason
	}
	texts := map[string]string{
		schemas.EventTime.String(): strconv.FormatInt(us, 10),
		schemas.RequestID.String(): strings.Clone(row.Str(schemas.RequestID)),
	}
	for _, q := range n.read {
		texts[q.col.String()] = strconv.FormatFloat(row.Double(q.col), 'f', -1, 64)
	}
	return texts, ""
}

// waiting is the call that waits for records of an entry, if one does.
func waiting(e *compiledEntry, said Memory) (call, bool) {
	if e.Releases == "" {
		return call{}, false
	}
	texts := said[family(e.Name)+thatWaits]
	if len(texts) == 0 {
		return call{}, false
	}
	c := call{doc: []byte("{}"), entry: e.Releases, released: true, heir: heir{timeFrom: schemas.FromEnvelope}}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		switch col, known := schemas.Lookup(name); {
		case !known:
		case col == schemas.EventTime:
			c.heir.time, _ = strconv.ParseInt(texts[name], 10, 64)
		default:
			c.heir.texts = append(c.heir.texts, Fill{col, texts[name]})
		}
	}
	return c, true
}

// saysAgain ends the wait of a call that the row at hand, of the same family, is.
func (n *Normalizer) saysAgain(p *plan, said Memory) {
	name := family(p.entry.Name) + thatWaits
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
		if e := &Entries[i]; e.Waits && len(m[family(e.Name)+thatWaits]) > 0 {
			dialects = append(dialects, e.Name)
		}
	}
	return dialects
}
