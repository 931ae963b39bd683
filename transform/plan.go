package transform

import (
	"slices"
	"strings"
	"unsafe"

	"usagelake/schemas"
)

// maxPlans bounds the plans that are kept. Logs of machines need a few.
const maxPlans = 4096

// maxLaid bounds those for forms. A walker knows a few at a time.
const maxLaid = 64

// plan is an entry resolved for one set of filled slots: what to move where.
// Records of one shape share one plan, however many dialects there are.
type plan struct {
	shape  string         // of the records it is for
	entry  *compiledEntry // nil: no dialect
	frame  int
	counts []count
	moves  []move // all others
	// The parts of input and output that there are.
	inParts, outParts []schemas.Col

	time     slot
	timeFrom string // "" where the record has no time of its own
	utc      bool   // time is in UTC where it names no zone
	payload  slot   // noSlot where there is none
	calls    slot   // the same
	apart    slot   // the same
	written  slot   // the same
	agree    [2]slot
	idOf     []slot
	unless   []exclusionAt
	keep     []keep
	texts    map[string]keptText // by the one text that is kept
	recent   [64]keptText        // some of texts, by a few letters
	// more: the record can come to other rows than one, or is read with what
	// records before it said, or is a sum, or says how it is read.
	more  bool
	folds []fold
	batch bool // the record is of a batch job

	// Of a form's plan: what most rows have in common, nil where that is not known,
	// and how many had not.
	usual   *usual
	unusual int
	sheaf   *Sheaf // nil before the first record
}

// keptText is extra_json where it holds one text.
type keptText struct{ of, text string }

// count is a quantity with one source, as most are.
type count struct {
	col  schemas.Col
	from slot
}

type move struct {
	col   schemas.Col
	from  []slot // more than one: a sum; none: word
	*term        // of the first of them
	or    *move  // what to take where a text is empty
}

type keep struct {
	key  string
	from slot
	// unread: it is called a count of tokens, and nobody knows what it says more than
	// the columns.
	unread bool
}

// fold is a text that may hold JSON.
type fold struct {
	from slot
	path []string
}

type exclusionAt struct {
	from  slot
	words []string
}

// plan is how a record is read.
func (n *Normalizer) plan(rec *schemas.Record) *plan {
	if rec.Form != nil {
		if rec.Form != n.form {
			n.form, n.last = rec.Form, n.laidPlan(rec)
		}
		return n.last
	}
	shape := words(rec.Filled)
	if n.form == nil && n.last != nil && shape == n.last.shape {
		return n.last
	}
	n.form, n.last = nil, n.shapePlan(rec.Frames, shape)
	return n.last
}

// shapePlan is the plan for records of a shape.
func (n *Normalizer) shapePlan(frames []schemas.Frame, shape string) *plan {
	p, ok := n.plans[shape]
	if !ok {
		if len(n.plans) >= maxPlans {
			clear(n.plans)
		}
		p = n.dialects.resolve(frames)
		p.shape = strings.Clone(shape)
		n.plans[p.shape] = p
	}
	return p
}

// namedPlan is the plan by the entries of a name: to make one takes as long as to read a
// hundred records.
func (n *Normalizer) namedPlan(rec *schemas.Record, entry string) *plan {
	key := namedShape{entry, words(rec.Filled)}
	p, ok := n.named[key]
	if !ok {
		if len(n.named) >= maxPlans {
			clear(n.named)
		}
		p = n.dialects.named(entry, rec.Frames)
		key.shape = strings.Clone(key.shape)
		n.named[key] = p
	}
	return p
}

// namedShape is the shape of records that are read by the entries of a name.
type namedShape struct{ entry, shape string }

// laidPlan is the plan for records of a form: that of their shape, with the slots
// where the values stand.
func (n *Normalizer) laidPlan(rec *schemas.Record) *plan {
	if p, ok := n.laid[rec.Form]; ok {
		return p
	}
	if len(n.laid) >= maxLaid {
		clear(n.laid)
	}
	values := len(rec.Frames) - 1 // the frame that holds them
	p := *n.shapePlan(rec.Frames[:values], words(rec.Filled))
	unread := slices.Repeat([]bool{true}, len(rec.Frames[values].Val))
	lay := func(at *slot) {
		if *at != noSlot {
			*at = slot{values, rec.Form.At[schemas.Slot{Frame: at.frame, Number: at.slot}]}
			unread[at.slot] = false
		}
	}
	layAll := func(list []slot) []slot {
		list = slices.Clone(list)
		for i := range list {
			lay(&list[i])
		}
		return list
	}
	p.counts, p.moves, p.unless, p.keep, p.texts = slices.Clone(p.counts), slices.Clone(p.moves), slices.Clone(p.unless), slices.Clone(p.keep), nil
	p.folds = slices.Clone(p.folds)
	for i := range p.counts {
		lay(&p.counts[i].from)
	}
	for i := range p.moves {
		for m := &p.moves[i]; ; m = m.or {
			m.from = layAll(m.from)
			if m.or == nil {
				break
			}
			or := *m.or
			m.or = &or
		}
	}
	for i := range p.unless {
		lay(&p.unless[i].from)
	}
	for i := range p.keep {
		lay(&p.keep[i].from)
	}
	for i := range p.folds {
		lay(&p.folds[i].from)
	}
	p.idOf = layAll(p.idOf)
	lay(&p.payload)
	lay(&p.calls)
	lay(&p.apart)
	lay(&p.written)
	lay(&p.agree[0])
	lay(&p.agree[1])
	if p.timeFrom != "" {
		lay(&p.time)
	}
	for _, e := range rec.Form.Extra {
		unread[e.At] = false
	}
	rec.Form.Unread = unread
	n.laid[rec.Form] = &p
	return &p
}

// words is the bytes of b as a string, without a copy, which is the fast way to
// compare them. It is valid as long as b is unchanged.
func words(b []uint64) string {
	return unsafe.String((*byte)(unsafe.Pointer(unsafe.SliceData(b))), 8*len(b))
}

// resolve finds the first entry, then the first mount, that fits.
func (c *Dialects) resolve(filled []schemas.Frame) *plan {
	for i := range c.entries {
		e := &c.entries[i]
		if e.Named {
			continue
		}
		for _, frame := range e.mounts {
			if c.matches(e, filled, frame) {
				return c.plan(e, filled, frame)
			}
		}
	}
	return &plan{}
}

// named resolves a record that is known to be of an entry with that name, if it
// fits.
func (c *Dialects) named(name string, filled []schemas.Frame) *plan {
	for _, e := range c.byName[name] {
		for _, frame := range e.mounts {
			if c.matches(e, filled, frame) {
				return c.plan(e, filled, frame)
			}
		}
	}
	return &plan{}
}

// present is the slot of the first of refs that is filled.
func (c *Dialects) present(filled []schemas.Frame, frame int, refs []ref) (slot, bool) {
	for _, r := range refs {
		if at := c.at(r, frame); at != noSlot && filled[at.frame].Set.Has(at.slot) {
			return at, true
		}
	}
	return noSlot, false
}

func (c *Dialects) matches(e *compiledEntry, filled []schemas.Frame, frame int) bool {
	for _, k := range e.when {
		if _, ok := c.present(filled, frame, k.any); ok == k.not {
			return false
		}
	}
	return true
}

func (c *Dialects) plan(e *compiledEntry, filled []schemas.Frame, frame int) *plan {
	p := &plan{entry: e, frame: frame, more: len(e.Parts) > 0 || len(e.Remember) > 0 || len(e.Recall) > 0 || e.Began != "" || e.Waits || e.Sums != 0 || e.Report || e.Wraps}
	if e.Report && len(filled) == c.reports { // ofReport makes the plan
		return p
	}
	for _, r := range e.folded {
		if at, ok := c.present(filled, frame, []ref{r.ref}); ok {
			p.folds, p.more = append(p.folds, fold{at, r.path}), true
		}
	}
	for _, u := range e.unless {
		if at, ok := c.present(filled, frame, u.any); ok {
			p.unless = append(p.unless, exclusionAt{at, u.words})
		}
	}
	var done [schemas.NumColumns]bool
	id := noSlot
	for i := range e.rules {
		r := &e.rules[i]
		if done[r.col] {
			continue
		}
		taken := noSlot
		if r.col == schemas.TransportID {
			taken = id // an id is not its own transport id
		}
		m, ok := c.move(r, filled, frame, taken)
		if !ok {
			continue
		}
		done[r.col] = true
		switch r.col {
		case schemas.EventTime:
			p.time, p.timeFrom, p.utc = m.from[0], schemas.FromBody, m.utc
			if r.envelope || e.EnvelopeTime {
				p.timeFrom = schemas.FromEnvelope
			}
			continue
		case schemas.RequestID:
			if len(m.from) > 0 {
				id = m.from[0]
			}
		}
		if t := &traits[m.col]; t.kind == schemas.Double && t.additive && len(m.from) == 1 {
			p.counts = append(p.counts, count{m.col, m.from[0]})
		} else {
			p.moves = append(p.moves, m)
		}
	}
	p.inParts = p.reported(schemas.InputTextTokens, schemas.InputImageTokens, schemas.InputAudioTokens, schemas.InputVideoTokens)
	p.outParts = p.reported(schemas.OutputTextTokens, schemas.OutputImageTokens, schemas.OutputAudioTokens)
	_, p.batch = c.present(filled, frame, c.batch[frame])
	p.payload, _ = c.present(filled, frame, e.payload)
	p.calls, _ = c.present(filled, frame, e.calls)
	p.apart, _ = c.present(filled, frame, e.apart)
	p.written, _ = c.present(filled, frame, e.written)
	for i, from := range e.agree {
		p.agree[i], _ = c.present(filled, frame, from)
	}
	p.more = p.more || p.calls != noSlot || p.apart != noSlot
	for _, r := range e.idOf {
		if at, ok := c.present(filled, frame, []ref{r}); ok {
			p.idOf = append(p.idOf, at)
		}
	}
	for _, k := range e.keep {
		if at, ok := c.present(filled, frame, k.any); ok {
			p.keep = append(p.keep, keep{key: k.key, from: at})
		}
	}
	for _, usage := range spellings(e.usage()) {
		name := strings.Join(usage, ".")
		for _, m := range c.usage[name] {
			if c.mounts[frame].Bare && !tokenName([]byte(m.name)) {
				continue
			}
			if at := c.at(ref{frame, m.value}, frame); at != noSlot && filled[frame].Set.Has(at.slot) && !p.moved(at) {
				p.keep = append(p.keep, keep{m.name, at, tokenName([]byte(m.name)) && !known[m.name] && !slices.Contains(e.Keep, name+"."+m.name)})
			}
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

func (c *Dialects) move(r *compiledRule, filled []schemas.Frame, frame int, taken slot) (move, bool) {
	var first move
	found, last := false, &first
	for _, alt := range r.from {
		m := move{col: r.col}
		for _, t := range alt {
			if t.word != "" {
				m.term = t.term
				continue
			}
			if at, ok := c.present(filled, frame, t.any); ok && at != taken {
				m.from = append(m.from, at)
				m.term = t.term
			} else if t.all {
				m.term = nil
				break
			}
		}
		switch {
		case m.term == nil:
			continue
		case traits[r.col].kind != schemas.String:
			return m, true
		case found:
			last.or = &m
			last = last.or
		default:
			first, found = m, true
		}
	}
	return first, found
}

// moved reports whether a column takes what stands there, or takes it where what it
// would rather have says nothing.
func (p *plan) moved(at slot) bool {
	for i := range p.counts {
		if p.counts[i].from == at {
			return true
		}
	}
	for i := range p.moves {
		for m := &p.moves[i]; m != nil; m = m.or {
			if slices.Contains(m.from, at) {
				return true
			}
		}
	}
	return false
}
