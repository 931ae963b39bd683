package transform

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"usagelake/schemas"
	"usagelake/schemas/secret"
)

const (
	maxExtraText = 64   // characters of a string in extra_json
	maxExtra     = 4096 // bytes of extra_json
)

// extraTexts are texts of extra_json by what they are made of: records of one
// kind have a few.
type extraTexts struct {
	members []schemas.Extra
	from    []byte
	known   map[string]extraText
}

type extraText struct {
	text  string
	flags flags
}

const maxExtraTexts = 1024

// tell tells of members that no entry knows, and of counts that this one does not.
func (n *Normalizer) tell(p *plan, rec *schemas.Record) {
	if n.unknown == nil {
		return
	}
	found := rec.Frames[p.frame].Extra
	for i := range found {
		if !known[found[i].Key] {
			n.unknown(p.entry.Name, found[i].Key, nil)
		}
	}
	for _, k := range p.keep {
		if k.unread && countText(rec.Bytes(rec.Frames[k.from.frame].Val[k.from.slot])) {
			n.unknown(p.entry.Name, k.key, nil)
		}
	}
}

// extraText is extra_json, what no column takes: one flat object, keys sorted,
// without content. It is "" where there is nothing.
func (n *Normalizer) extraText(p *plan, rec *schemas.Record) string {
	found := rec.Frames[p.frame].Extra
	if len(found) == 0 && len(p.keep) == 0 {
		return ""
	}
	x := &n.extra
	one := len(found) == 0 && len(p.keep) == 1
	if one {
		v := rec.Frames[p.keep[0].from.frame].Val[p.keep[0].from.slot]
		if one = v.Kind == schemas.Text; one {
			if text, ok := p.textOf(rec.Bytes(v)); ok {
				return text
			}
		}
	}
	x.members, x.from = x.members[:0], x.from[:0]
	for _, m := range found {
		if n.worded(rec, &m) {
			x.members = append(x.members, m)
		} else {
			n.flags |= flagExtraCut
		}
	}
	for _, k := range p.keep {
		x.members = append(x.members, schemas.Extra{Key: k.key, Value: rec.Frames[k.from.frame].Val[k.from.slot]})
	}
	for _, m := range x.members {
		raw := rec.Bytes(m.Value)
		x.from = append(append(x.from, byte(len(m.Key)), byte(len(m.Key)>>8), byte(m.Value.Kind)), m.Key...)
		x.from = append(binary.LittleEndian.AppendUint32(x.from, uint32(len(raw))), raw...)
	}
	e, ok := x.known[string(x.from)]
	if !ok {
		before := n.flags
		n.flags = 0
		e.text = n.extraJSON(rec)
		e.flags, n.flags = n.flags, before
		if len(x.known) >= maxExtraTexts {
			clear(x.known)
		}
		if len(x.from) <= maxExtra {
			x.known[string(x.from)] = e
		}
	}
	n.flags |= e.flags
	if one && e.flags == 0 && len(p.texts) < maxExtraTexts {
		if p.texts == nil {
			p.texts = map[string]keptText{}
		}
		of := string(rec.Bytes(rec.Frames[p.keep[0].from.frame].Val[p.keep[0].from.slot]))
		p.texts[of] = keptText{of, e.text}
	}
	return e.text
}

// textOf is extra_json of the one text that is kept, if it is known.
func (p *plan) textOf(raw []byte) (string, bool) {
	letters := len(raw)
	if letters > 0 {
		letters += int(raw[0])*3 + int(raw[len(raw)-1])*5
	}
	recent := &p.recent[letters%len(p.recent)]
	if recent.text != "" && recent.of == string(raw) {
		return recent.text, true
	}
	known, ok := p.texts[string(raw)]
	if ok {
		*recent = known
	}
	return known.text, ok
}

// worded reports whether a member that no entry names may be kept: numbers and
// booleans under a name, and texts of members that are known and no content. Of others
// nobody can say that they are none.
func (n *Normalizer) worded(rec *schemas.Record, m *schemas.Extra) bool {
	if !isWord(m.Key) {
		return false
	}
	switch m.Value.Kind {
	case schemas.Text:
		return known[m.Key] && !content[m.Key] && isWord(view(rec.Bytes(m.Value)))
	case schemas.Escaped:
		return false
	}
	return true
}

func (n *Normalizer) extraJSON(rec *schemas.Record) string {
	members := n.extra.members
	slices.SortStableFunc(members, func(a, b schemas.Extra) int { return strings.Compare(a.Key, b.Key) })
	out := []byte{'{'}
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
	if len(out) == 1 {
		return ""
	}
	return string(append(out, '}'))
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
	if utf8.RuneCountInString(s) > maxExtraText || strings.ContainsAny(s, "\n\r") {
		return nil, false
	}
	s = secret.Anywhere(s)
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
