package transform

import (
	"encoding/json"
	"slices"
	"strings"

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
	members := make([]schemas.Extra, 0, len(found)+len(p.keep))
	members = append(members, found...)
	for _, k := range p.keep {
		members = append(members, schemas.Extra{Key: k.key, Value: rec.Frames[k.from.frame].Val[k.from.slot]})
	}
	slices.SortStableFunc(members, func(a, b schemas.Extra) int { return strings.Compare(a.Key, b.Key) })

	out := []byte{'{'}
	for i, m := range members {
		if i+1 < len(members) && members[i+1].Key == m.Key {
			continue // a repeated key: the last one counts
		}
		var value []byte
		switch m.Value.Kind {
		case schemas.True:
			value = []byte("true")
		case schemas.False:
			value = []byte("false")
		case schemas.Number:
			value = rec.Bytes(m.Value)
		case schemas.Text, schemas.Escaped:
			s := string(rec.Bytes(m.Value))
			if m.Value.Kind == schemas.Escaped {
				s = n.unescape(rec, m.Value)
			}
			if len([]rune(s)) > maxExtraText {
				n.flags |= flagExtraCut
				continue
			}
			value, _ = json.Marshal(s)
		}
		key, _ := json.Marshal(m.Key)
		if len(out)+len(key)+len(value)+3 > maxExtra {
			n.flags |= flagExtraCut
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	if len(out) > 1 {
		n.row.SetString(schemas.ExtraJSON, string(append(out, '}')))
	}
}
