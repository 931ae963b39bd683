package transform

import (
	"slices"

	"usagelake/schemas"
)

// planKey is the set of filled slots of every frame: all that a plan depends
// on.
type planKey [8]schemas.Bits

const _ = uint(len(planKey{}) - 7) // Mounts must fit

// maxPlans bounds the plans that are kept. Logs of machines need a few.
const maxPlans = 4096

// plan is an entry resolved for one set of filled slots: what to move where.
// Records of one shape share one plan, however many dialects there are.
type plan struct {
	entry    *compiledEntry // nil: no dialect
	frame    int
	moves    []move
	time     ref
	timeFrom string // "" where the record has no time of its own
	payload  ref    // frame -1 where there is none
	keep     []keep
}

type move struct {
	col  schemas.Col
	from []ref // more than one: a sum; none: word
	word string
	stem bool
}

type keep struct {
	key  string
	from ref
}

func (n *Normalizer) plan(rec *schemas.Record) *plan {
	var key planKey
	for f := range rec.Frames {
		key[f] = rec.Frames[f].Set
	}
	if n.last != nil && key == n.lkey {
		return n.last
	}
	p, ok := n.plans[key]
	if !ok {
		if len(n.plans) >= maxPlans {
			clear(n.plans)
		}
		p = dialects.resolve(&key)
		n.plans[key] = p
	}
	n.last, n.lkey = p, key
	return p
}

// resolve finds the first entry, then the first mount, that fits.
func (c *compiled) resolve(filled *planKey) *plan {
	for i := range c.entries {
		e := &c.entries[i]
		for frame, m := range Mounts {
			if m.Bare && e.NoBare || !e.matches(filled, frame) {
				continue
			}
			return c.plan(e, filled, frame)
		}
	}
	return &plan{}
}

// present is the first of refs that is filled.
func present(filled *planKey, frame int, refs []ref) (ref, bool) {
	for _, r := range refs {
		if r.frame == matchedFrame {
			r.frame = frame
		}
		if filled[r.frame].Has(r.slot) {
			return r, true
		}
	}
	return ref{frame: -1}, false
}

func (e *compiledEntry) matches(filled *planKey, frame int) bool {
	for _, c := range e.when {
		if _, ok := present(filled, frame, c.any); ok == c.not {
			return false
		}
	}
	return true
}

func (c *compiled) plan(e *compiledEntry, filled *planKey, frame int) *plan {
	p := &plan{entry: e, frame: frame}
	var done [schemas.NumColumns]bool
	var id ref
	for i := range e.rules {
		r := &e.rules[i]
		if done[r.col] {
			continue
		}
		var taken *ref
		if r.col == schemas.TransportID {
			taken = &id // an id is not its own transport id
		}
		m, ok := r.resolve(filled, frame, taken)
		if !ok {
			continue
		}
		done[r.col] = true
		switch r.col {
		case schemas.EventTime:
			p.time, p.timeFrom = m.from[0], schemas.FromBody
			if r.envelope {
				p.timeFrom = schemas.FromEnvelope
			}
			continue
		case schemas.RequestID:
			id = m.from[0]
		}
		p.moves = append(p.moves, m)
	}
	p.payload, _ = present(filled, frame, e.payload)
	for _, k := range e.keep {
		if r, ok := present(filled, frame, k.any); ok {
			p.keep = append(p.keep, keep{k.key, r})
		}
	}
	for slot, name := range c.usage {
		if at := (ref{frame, slot}); filled[frame].Has(slot) && !p.moved(at) {
			p.keep = append(p.keep, keep{name, at})
		}
	}
	return p
}

func (r *compiledRule) resolve(filled *planKey, frame int, taken *ref) (move, bool) {
	for _, alt := range r.from {
		m := move{col: r.col}
		for _, t := range alt {
			if t.word != "" {
				m.word = t.word
				continue
			}
			if at, ok := present(filled, frame, t.any); ok && (taken == nil || at != *taken) {
				m.from = append(m.from, at)
				m.stem = t.stem
			}
		}
		if len(m.from) > 0 || m.word != "" {
			return m, true
		}
	}
	return move{}, false
}

func (p *plan) moved(at ref) bool {
	for i := range p.moves {
		if slices.Contains(p.moves[i].from, at) {
			return true
		}
	}
	return false
}
