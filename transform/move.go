package transform

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"usagelake/schemas"
)

// traits are what matters here of a column.
var traits = func() (t [schemas.NumColumns]struct {
	kind     schemas.Kind
	additive bool
},
) {
	for c := range schemas.NumColumns {
		t[c].kind, t[c].additive = schemas.Columns[c].Kind, c.Additive()
	}
	return t
}()

// move carries the plan's values to their columns. What is additive it notes, as
// the record has it, too.
func (n *Normalizer) move(p *plan, rec *schemas.Record) schemas.Reason {
	for i := range p.counts {
		c := &p.counts[i]
		v := &rec.Frames[c.from.frame].Val[c.from.slot]
		if v.Kind == schemas.Number && v.End == v.Off+1 { // one digit, mostly 0
			n.row.SetInt(c.col, int64(rec.Doc[v.Off]-'0'))
			if d := rec.Doc[v.Off]; d != '0' {
				n.read = append(n.read, quantity{c.col, int64(d-'0') * 1e6})
			}
			continue
		}
		whole, ok := int64(0), v.Kind == schemas.Number
		if ok {
			whole, ok = wholeAt(rec.Doc, v.Off, v.End)
		}
		if !ok {
			if reason := n.quantity(c.col, rec, c.from); reason != "" {
				return reason
			}
			continue
		}
		n.row.SetInt(c.col, whole)
		if whole != 0 {
			n.read = append(n.read, quantity{c.col, whole * 1e6})
		}
	}
	return n.moveAll(p.moves, rec)
}

func (n *Normalizer) moveAll(moves []move, rec *schemas.Record) schemas.Reason {
	for i := range moves {
		m := &moves[i]
		if len(m.from) == 0 {
			n.constant(m)
			continue
		}
		switch t := &traits[m.col]; t.kind {
		case schemas.Time:
			us, reason := n.moment(m, rec)
			if reason != "" {
				return reason
			}
			n.row.SetInt(m.col, us)
		case schemas.Double:
			if m.col == schemas.Quantity {
				if reason := n.amount(m, rec); reason != "" {
					return reason
				}
			} else if !t.additive {
				if v, ok := n.duration(m, rec); ok {
					n.row.SetDouble(m.col, v)
				}
			} else if reason := n.quantity(m.col, rec, m.from...); reason != "" {
				return reason
			}
		case schemas.Int:
			v, raw, reason := number(m, rec)
			if reason != "" {
				return reason
			}
			n.row.SetInt(m.col, v)
			n.read = append(n.read, quantity{m.col, raw})
		case schemas.Money:
			v, reason := n.money(m, rec)
			if reason != "" {
				return reason
			}
			n.row.SetInt(m.col, v)
			n.read = append(n.read, quantity{m.col, v})
		case schemas.Bool:
			if v, ok := n.boolean(m, rec); ok {
				n.row.SetInt(m.col, v)
			}
		case schemas.String:
			s := n.text(m, rec)
			if m.col == schemas.Operation {
				s = operation(s)
			}
			if s != "" {
				n.row.SetString(m.col, s)
			}
		}
	}
	return ""
}

// word is a number that is no count, as a Builder has it. It reports false where
// there is none, or a row that has it may not be a usual one.
func (n *Normalizer) word(m *move, rec *schemas.Record) (uint64, bool) {
	if len(m.from) == 0 {
		v, _ := digits([]byte(m.word))
		return uint64(v), true
	}
	switch traits[m.col].kind {
	case schemas.Time:
		us, reason := n.moment(m, rec)
		return uint64(us), reason == ""
	case schemas.Int:
		v, _, reason := number(m, rec)
		return uint64(v), reason == "" && v < most
	case schemas.Money:
		v, reason := n.money(m, rec)
		return uint64(v), reason == "" && v >= 0 && v < most
	case schemas.Bool:
		v, ok := n.boolean(m, rec)
		return uint64(v), ok
	case schemas.Double:
		if m.col != schemas.Quantity {
			v, ok := n.duration(m, rec)
			return schemas.Word(v), ok
		}
	}
	return 0, false
}

// most is what a usual quantity is below, so that the sum of a sheaf's is a word.
const most = 1 << 56

func (n *Normalizer) constant(m *move) {
	if schemas.Columns[m.col].Kind == schemas.String {
		n.row.SetString(m.col, m.word)
		return
	}
	v, _ := digits([]byte(m.word))
	n.row.SetInt(m.col, v)
	if m.col.Additive() {
		n.read = append(n.read, quantity{m.col, v * 1e6})
	}
}

// money reads an amount of money.
func (n *Normalizer) money(m *move, rec *schemas.Record) (int64, schemas.Reason) {
	text, ok := numberText(rec, m.from[0])
	if !ok {
		return 0, schemas.NotNumber
	}
	return nanos(n.shift(m, text))
}

// shift is a number's text times the move's power of ten, until the next call.
func (n *Normalizer) shift(m *move, text []byte) []byte {
	if m.shift == 0 {
		return text
	}
	n.scratch = shifted(n.scratch[:0], text, m.shift)
	return n.scratch
}

// number reads a whole number, and the same in 10^-6.
func number(m *move, rec *schemas.Record) (v, raw int64, reason schemas.Reason) {
	x, raw, reason := measure(rec, m.from[0])
	if reason == "" && x != float64(int64(x)) {
		reason = schemas.NotNumber
	}
	return int64(x), raw, reason
}

// duration reads what is not worth losing a record for.
func (n *Normalizer) duration(m *move, rec *schemas.Record) (float64, bool) {
	if text, ok := numberText(rec, m.from[0]); ok {
		if v, reason := measured(n.shift(m, text)); reason == "" {
			return v, true
		}
	}
	n.flags |= flagUnreadable
	return 0, false
}

// quantity reads a quantity, or the sum of several.
func (n *Normalizer) quantity(c schemas.Col, rec *schemas.Record, from ...slot) schemas.Reason {
	v, raw, reason := measure(rec, from[0])
	if reason != "" {
		return reason
	}
	if len(from) > 1 { // in fixed point, so that fractions add up as written
		sum := schemas.Micros(v)
		for _, r := range from[1:] {
			w, more, reason := measure(rec, r)
			if reason != "" {
				return reason
			}
			sum += schemas.Micros(w)
			raw += more
		}
		v = schemas.OfMicros(sum)
	}
	if v != float64(int64(v)) && c.Tokens() {
		n.flags |= flagFractional
	}
	n.row.SetDouble(c, v)
	n.read = append(n.read, quantity{c, raw})
	return ""
}

// measure is a token quantity or another meter, and the same in 10^-6, read
// apart.
func measure(rec *schemas.Record, r slot) (v float64, raw int64, reason schemas.Reason) {
	val := &rec.Frames[r.frame].Val[r.slot]
	switch val.Kind {
	case schemas.Number, schemas.Text:
		text := rec.Doc[val.Off:val.End]
		v, reason = measured(text)
		if reason == "" {
			raw = rawMicros(text)
		}
		return v, raw, reason
	case schemas.Length:
		return float64(val.End), int64(val.End) * 1e6, ""
	}
	return 0, 0, schemas.NotNumber
}

// numberText is the text of a number or of a string that may hold one.
func numberText(rec *schemas.Record, r slot) ([]byte, bool) {
	v := rec.Frames[r.frame].Val[r.slot]
	if v.Kind != schemas.Number && v.Kind != schemas.Text {
		return nil, false
	}
	return rec.Bytes(v), true
}

// boolean reads a boolean column, 0 or 1. Python's None and an empty text say
// nothing.
func (n *Normalizer) boolean(m *move, rec *schemas.Record) (v int64, ok bool) {
	switch kind := rec.Frames[m.from[0].frame].Val[m.from[0].slot].Kind; {
	case m.except != nil:
		if n.text(m, rec) != "" {
			return 1, true
		}
		return 0, true
	case kind == schemas.True:
		return 1, true
	case kind == schemas.False:
		return 0, true
	}
	switch strings.ToLower(n.text(m, rec)) {
	case "true", "1":
		return 1, true
	case "false", "0":
		return 0, true
	case "none", "":
	default:
		n.flags |= flagUnreadable
	}
	return 0, false
}

// text reads a string column; a number or boolean is taken as written. It goes on
// to the other alternatives while it is empty.
func (n *Normalizer) text(m *move, rec *schemas.Record) string {
	if len(m.from) == 0 {
		return m.word
	}
	s := n.oneText(m, rec)
	if m.except != nil && slices.Contains(m.except, s) {
		s = ""
	}
	if s == "" && m.or != nil {
		return n.text(m.or, rec)
	}
	return s
}

func (n *Normalizer) oneText(m *move, rec *schemas.Record) string {
	v := rec.Frames[m.from[0].frame].Val[m.from[0].slot]
	if m.col == schemas.Tags {
		return n.tagList(rec, v)
	}
	var s string
	switch v.Kind {
	case schemas.Escaped:
		s = n.unescape(rec, v)
	case schemas.Text, schemas.Number:
		s = view(rec.Bytes(v))
	case schemas.True:
		s = "true"
	case schemas.False:
		s = "false"
	}
	if m.json {
		var said string
		if json.Unmarshal([]byte(s), &said) == nil {
			s = said
		}
	}
	if m.stem {
		s, _, _ = strings.Cut(s, ".")
	}
	if m.kind {
		s = s[:max(strings.LastIndexByte(s, '.'), 0)]
		s = s[strings.LastIndexByte(s, '.')+1:]
	}
	return s
}

func (n *Normalizer) unescape(rec *schemas.Record, v schemas.Value) string {
	if !utf8.Valid(rec.Bytes(v)) {
		n.flags |= flagInvalidUTF8
	}
	var s string
	if json.Unmarshal(rec.Doc[v.Off-1:v.End+1], &s) != nil {
		n.flags |= flagUnreadable
		return ""
	}
	return s
}
