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
			if reason := n.time(m, rec); reason != "" {
				return reason
			}
		case schemas.Double:
			if m.col == schemas.Quantity {
				if reason := n.amount(m, rec); reason != "" {
					return reason
				}
			} else if !t.additive {
				n.duration(m, rec)
			} else if reason := n.quantity(m.col, rec, m.from...); reason != "" {
				return reason
			}
		case schemas.Int:
			v, raw, reason := measure(rec, m.from[0])
			if reason == "" && v != float64(int64(v)) {
				reason = schemas.NotNumber
			}
			if reason != "" {
				return reason
			}
			n.row.SetInt(m.col, int64(v))
			n.read = append(n.read, quantity{m.col, raw})
		case schemas.Money:
			text, ok := numberText(rec, m.from[0])
			if !ok {
				return schemas.NotNumber
			}
			if m.shift != 0 {
				n.scratch = shifted(n.scratch[:0], text, m.shift)
				text = n.scratch
			}
			v, reason := nanos(text)
			if reason != "" {
				return reason
			}
			n.row.SetInt(m.col, v)
			n.read = append(n.read, quantity{m.col, v})
		case schemas.Bool:
			n.boolean(m, rec)
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

// duration reads what is not worth losing a record for.
func (n *Normalizer) duration(m *move, rec *schemas.Record) {
	if text, ok := numberText(rec, m.from[0]); ok {
		if m.shift != 0 {
			n.scratch = shifted(n.scratch[:0], text, m.shift)
			text = n.scratch
		}
		if v, reason := measured(text); reason == "" {
			n.row.SetDouble(m.col, v)
			return
		}
	}
	n.flags |= flagUnreadable
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
		v = float64(sum) / 1e6
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

// boolean reads a boolean column. Python's None and an empty text say nothing.
func (n *Normalizer) boolean(m *move, rec *schemas.Record) {
	v := int64(0)
	switch kind := rec.Frames[m.from[0].frame].Val[m.from[0].slot].Kind; {
	case m.except != nil:
		if n.text(m, rec) != "" {
			v = 1
		}
	case kind == schemas.True:
		v = 1
	case kind != schemas.False:
		switch strings.ToLower(n.text(m, rec)) {
		case "true", "1":
			v = 1
		case "false", "0":
		case "none", "":
			return
		default:
			n.flags |= flagUnreadable
			return
		}
	}
	n.row.SetInt(m.col, v)
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
