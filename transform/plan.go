package transform

import (
	"encoding/binary"
	"slices"

	"usagelake/schemas"
)

// maxPlans bounds the plans that are kept. Logs of machines need a few.
const maxPlans = 4096

// plan is an entry resolved for one set of filled slots: what to move where.
// Records of one shape share one plan, however many dialects there are.
type plan struct {
	entry  *compiledEntry // nil: no dialect
	frame  int
	counts []count
	moves  []move // all others
	// The parts of input and output that there are.
	inParts, outParts []schemas.Col
	time              ref
	timeFrom          string // "" where the record has no time of its own
	payload           ref    // frame -1 where there is none
	keep              []keep
	texts             map[string]string // extra_json by the one text that is kept
}

// count is a quantity with one source, as most are.
type count struct {
	col  schemas.Col
	from ref
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
	if n.last != nil && slices.Equal(rec.Filled, n.filled) {
		return n.last
	}
	n.key = n.key[:0]
	for _, word := range rec.Filled {
		n.key = binary.LittleEndian.AppendUint64(n.key, word)
	}
	p, ok := n.plans[string(n.key)]
	if !ok {
		if len(n.plans) >= maxPlans {
			clear(n.plans)
		}
		p = dialects.resolve(rec.Frames)
		n.plans[string(n.key)] = p
	}
	n.last, n.filled = p, append(n.filled[:0], rec.Filled...)
	return p
}

// resolve finds the first entry, then the first mount, that fits.
func (c *compiled) resolve(filled []schemas.Frame) *plan {
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
func present(filled []schemas.Frame, frame int, refs []ref) (ref, bool) {
	for _, r := range refs {
		r = r.in(frame)
		if filled[r.frame].Set.Has(r.slot) {
			return r, true
		}
	}
	return ref{frame: -1}, false
}

func (e *compiledEntry) matches(filled []schemas.Frame, frame int) bool {
	for _, c := range e.when {
		if _, ok := present(filled, frame, c.any); ok == c.not {
			return false
		}
	}
	return true
}

func (c *compiled) plan(e *compiledEntry, filled []schemas.Frame, frame int) *plan {
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
		if t := &traits[m.col]; t.kind == schemas.Double && t.additive && len(m.from) == 1 {
			p.counts = append(p.counts, count{m.col, m.from[0]})
		} else {
			p.moves = append(p.moves, m)
		}
	}
	p.inParts = p.reported(schemas.InputTextTokens, schemas.InputImageTokens, schemas.InputAudioTokens, schemas.InputVideoTokens)
	p.outParts = p.reported(schemas.OutputTextTokens, schemas.OutputImageTokens, schemas.OutputAudioTokens)
	p.payload, _ = present(filled, frame, e.payload)
	for _, k := range e.keep {
		if r, ok := present(filled, frame, k.any); ok {
			p.keep = append(p.keep, keep{k.key, r})
		}
	}
	for slot, name := range c.usage {
		if at := (ref{frame, slot}); filled[frame].Set.Has(slot) && !p.moved(at) {
			p.keep = append(p.keep, keep{name, at})
		}
	}
	return p
}

// reported is those of the columns that the plan moves something to.
func (p *plan) reported(cols ...schemas.Col) (some []schemas.Col) {
	for _, c := range cols {
		if slices.ContainsFunc(p.counts, func(k count) bool { return k.col == c }) ||
			slices.ContainsFunc(p.moves, func(m move) bool { return m.col == c }) {
			some = append(some, c)
		}
	}
	return some
}

func (r *compiledRule) resolve(filled []schemas.Frame, frame int, taken *ref) (move, bool) {
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
	for i := range p.counts {
		if p.counts[i].from == at {
			return true
		}
	}
	for i := range p.moves {
		if slices.Contains(p.moves[i].from, at) {
			return true
		}
	}
	return false
}
