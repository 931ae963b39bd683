package transform

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"usagelake/schemas"
)

const (
	maxExtraText = 64   // characters of a string in extra_json
	maxExtra     = 4096 // bytes of extra_json
)

// extras writes what no column takes into extra_json: one flat object, keys
// sorted.
func (n *Normalizer) extras(p *plan, rec *schemas.Record) {
	found := rec.Frames[p.frame].Extra
	if len(found) == 0 && len(p.keep) == 0 {
		return
	}
	n.members = append(n.members[:0], found...)
	for _, k := range p.keep {
		n.members = append(n.members, schemas.Extra{Key: k.key, Value: rec.Frames[k.from.frame].Val[k.from.slot]})
	}
	members := n.members
	slices.SortStableFunc(members, func(a, b schemas.Extra) int { return strings.Compare(a.Key, b.Key) })

	n.extra = append(n.extra[:0], '{')
	out := n.extra
	for i, m := range members {
		if i+1 < len(members) && members[i+1].Key == m.Key {
			continue // a repeated key: the last one counts
		}
		value, ok := n.extraValue(rec, m.Value)
		if !ok || len(out)+len(m.Key)+len(value)+5 > maxExtra {
			n.flags |= flagExtraCut
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(appendText(out, m.Key), ':'), value...)
	}
	some := len(out) > 1
	out = append(out, '}')
	n.extra = out
	if some {
		n.row.SetString(schemas.ExtraJSON, view(n.extra))
	}
}

// extraValue is a value as JSON; false where it is too long.
func (n *Normalizer) extraValue(rec *schemas.Record, v schemas.Value) ([]byte, bool) {
	switch v.Kind {
	case schemas.True:
		return []byte("true"), true
	case schemas.False:
		return []byte("false"), true
	case schemas.Number:
		return rec.Bytes(v), true
	}
	s := view(rec.Bytes(v))
	if v.Kind == schemas.Escaped {
		s = n.unescape(rec, v)
	}
	if utf8.RuneCountInString(s) > maxExtraText {
		return nil, false
	}
	n.scratch = appendText(n.scratch[:0], s)
	return n.scratch, true
}

// appendText appends a JSON string.
func appendText(out []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			quoted, _ := json.Marshal(s)
			return append(out, quoted...)
		}
	}
	return append(append(append(out, '"'), s...), '"')
}
