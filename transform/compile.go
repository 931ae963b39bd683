package transform

import (
	"slices"
	"strings"

	"usagelake/schemas"
)

// compiled is every entry resolved to slots of one layout.
type compiled struct {
	layout  *schemas.Layout
	slots   map[slotKey]int
	entries []compiledEntry
	// usage names the scalar slots below usage: what of them no column takes
	// goes to extra_json.
	usage map[int]string
	asked map[string]bool
}

type slotKey struct {
	path  string // keys joined by NUL, relative to the frame
	shape schemas.Shape
}

// ref names a slot of a frame.
type ref struct{ frame, slot int }

const (
	matchedFrame = -1 // that of the matched mount
	bodyFrame    = -2 // the same, but the root where usage stands bare in it
)

var rootFrame = slices.IndexFunc(Mounts, func(m Mount) bool { return m.Path == "" && !m.Bare })

// in is r where a mount has matched.
func (r ref) in(frame int) ref {
	switch {
	case r.frame == bodyFrame && Mounts[frame].Bare:
		r.frame = rootFrame
	case r.frame < 0:
		r.frame = frame
	}
	return r
}

type compiledEntry struct {
	*Entry
	when    []condition
	rules   []compiledRule
	payload []ref
	keep    []compiledKeep
}

type condition struct {
	any []ref
	not bool
}

type compiledRule struct {
	col  schemas.Col
	from []compiledSum
	// envelope marks event times that are not the body's own.
	envelope bool
}

type compiledSum []compiledTerm

type compiledTerm struct {
	any  []ref // the spellings, in order
	stem bool
	word string
}

type compiledKeep struct {
	key string
	any []ref
}

// compile turns entries into a layout for the walk and rules over its slots.
func compile(entries []Entry) *compiled {
	c := &compiled{layout: &schemas.Layout{Frames: len(Mounts)}, slots: map[slotKey]int{}, usage: map[int]string{}, asked: map[string]bool{}}
	for i := range entries {
		c.entries = append(c.entries, c.entry(&entries[i]))
	}
	c.layout.Slots = len(c.slots)
	return c
}

func (c *compiled) entry(e *Entry) compiledEntry {
	ce := compiledEntry{Entry: e}
	for _, w := range e.When {
		text, not := strings.CutPrefix(w, "!")
		cond := condition{not: not}
		for p := range strings.SplitSeq(text, "|") {
			cond.any = append(cond.any, c.refs(parseTerm(strings.TrimSpace(p)), schemas.Span)...)
		}
		ce.when = append(ce.when, cond)
	}
	for _, r := range e.Columns {
		ce.rules = append(ce.rules, c.rule(r, false))
	}
	ce.rules = append(ce.rules, c.rule(Rule{schemas.EventTime, envelopeTime}, true))
	for _, r := range common {
		ce.rules = append(ce.rules, c.rule(r, false))
	}
	for p := range strings.SplitSeq(e.Payload, "|") {
		if p = strings.TrimSpace(p); p != "" {
			ce.payload = append(ce.payload, c.refs(parseTerm(p), schemas.Span)...)
		}
	}
	for _, p := range e.Keep {
		ce.keep = append(ce.keep, compiledKeep{p, c.refs(parseTerm(p), schemas.Scalar)})
	}
	return ce
}

func (c *compiled) rule(r Rule, envelope bool) compiledRule {
	cr := compiledRule{col: r.Col, envelope: envelope}
	shape := schemas.Scalar
	if r.Col == schemas.Tags {
		shape = schemas.Span
	}
	for _, alt := range parseExpr(r.From) {
		var cs compiledSum
		for _, t := range alt {
			cs = append(cs, compiledTerm{c.refs(t, shape), t.stem, t.word})
		}
		cr.from = append(cr.from, cs)
	}
	return cr
}

// refs asks the layout for a term in both spellings and returns its slots.
func (c *compiled) refs(t term, shape schemas.Shape) []ref {
	if t.path == "" {
		return nil
	}
	if t.count {
		shape = schemas.Count
	}
	snake := splitPath(t.path)
	spellings := [][]string{snake}
	camels := make([]string, len(snake))
	for i, k := range snake {
		camels[i] = camel(k)
	}
	if strings.Join(camels, ".") != strings.Join(snake, ".") {
		spellings = append(spellings, camels)
	}
	var out []ref
	for _, keys := range spellings {
		frame := matchedFrame
		if keys[0] != "usage" {
			frame = bodyFrame
		}
		slot := c.slot(keys, shape)
		if shape == schemas.Scalar && keys[0] == "usage" && !t.root {
			c.usage[slot] = strings.Join(keys[1:], ".")
		}
		if t.root {
			frame = rootFrame
			c.want(rootFrame, keys, slot, shape)
		} else {
			for f, m := range Mounts {
				if !m.Bare || keys[0] == "usage" { // what is around bare members is the root's
					c.want(f, keys, slot, shape)
				}
			}
		}
		out = append(out, ref{frame, slot})
	}
	return out
}

func (c *compiled) slot(keys []string, shape schemas.Shape) int {
	k := slotKey{strings.Join(keys, "\x00"), shape}
	s, ok := c.slots[k]
	if !ok {
		s = len(c.slots)
		c.slots[k] = s
	}
	return s
}

// want adds a path to the layout, once, and sees to it that what is unknown in
// the objects on its way through usage is kept.
func (c *compiled) want(frame int, keys []string, slot int, shape schemas.Shape) {
	m := Mounts[frame]
	path := splitPath(m.Path)
	if m.Bare {
		if keys[0] == "usage" {
			if keys = keys[1:]; len(keys) == 0 {
				return
			}
			c.keepUnknown(frame, nil, "", tokenName)
			c.keepBelow(frame, nil, keys)
		}
	} else if keys[0] == "usage" && len(keys) > 1 {
		below := join(path, "usage")
		c.keepUnknown(frame, below, "", nil)
		c.keepBelow(frame, below, keys[1:])
	}
	full := join(path, keys...)
	id := strings.Join(full, "\x00") + string(rune('0'+frame)) + string(rune('0'+shape)) + "w"
	if c.asked[id] {
		return
	}
	c.asked[id] = true
	c.layout.Wants = append(c.layout.Wants, schemas.Want{Path: full, Frame: frame, Slot: slot, Shape: shape})
}

func (c *compiled) keepBelow(frame int, at, keys []string) {
	for i := 1; i < len(keys); i++ {
		c.keepUnknown(frame, join(at, keys[:i]...), strings.Join(keys[:i], "."), nil)
	}
}

func (c *compiled) keepUnknown(frame int, path []string, name string, pick func([]byte) bool) {
	id := strings.Join(path, "\x00") + string(rune('0'+frame)) + "k"
	if c.asked[id] {
		return
	}
	c.asked[id] = true
	c.layout.Keep = append(c.layout.Keep, schemas.KeepPath{Path: path, Frame: frame, Name: name, If: pick})
}

// join is a new path: keys below path.
func join(path []string, keys ...string) []string {
	return append(slices.Clip(path), keys...)
}
