package transform

import (
	"slices"
	"strings"

	"usagelake/schemas"
)

// Dialects are entries resolved to slots of one layout, with a user's mapping.
// They do not change.
type Dialects struct {
	layout  *schemas.Layout
	mounts  []Mount
	root    int // the mount at the document's root
	entries []compiledEntry
	values  map[valueKey]int // a number for each value that is asked for
	slots   []map[int]int    // by frame: the slot of a value, by its number
	usage   map[int]member   // values below usage, by number: what of them no column takes goes to extra_json
	kept    map[string]bool  // objects whose unknown members are kept
	byName  map[string][]*compiledEntry
	rules   map[ruleKey]compiledRule
	// counts are paths of counts, by their keys joined by NUL. A condition on
	// one asks for it as a count, so that it fills one slot.
	counts  map[string]bool
	paths   [][]string            // of the mounts
	batch   [][]ref               // by mount: there is one of them in a document of a batch job
	spelled map[string][]spelling // what spellings has said
	exprs   map[string]expr       // what expr has
	wanted  map[wanted]bool       // what want was asked for
	aside   map[string]bool       // times that every report may say
	// reports is the frame of what rows of reports hold, behind those of the
	// mounts. The walk does not look for that: it would be known at the root of
	// every record then, and no news.
	reports     int
	reportPaths []string // by slot
}

// wanted is what want is asked for: a value below a frame, of which the first
// usage keys name the usage object.
type wanted struct{ frame, value, usage int }

// spelling is the keys of a path, and the same joined by NUL.
type spelling struct {
	keys []string
	path string
}

// spellings are those of paths. What it returns is shared.
func (c *Dialects) spellings(paths string) []spelling {
	all, ok := c.spelled[paths]
	if !ok {
		for _, keys := range spellings(paths) {
			all = append(all, spelling{keys, strings.Join(keys, "\x00")})
		}
		c.spelled[paths] = all
	}
	return all
}

// expr is parseExpr. What it returns is shared.
func (c *Dialects) expr(text string) expr {
	e, ok := c.exprs[text]
	if !ok {
		e = parseExpr(text)
		c.exprs[text] = e
	}
	return e
}

// valueKey is a value below a frame.
type valueKey struct {
	path  string // keys joined by NUL
	shape schemas.Shape
}

// member is a value below a usage object.
type member struct{ usage, name string }

// ref names a value of a frame; at knows its slot.
type ref struct{ frame, value int }

// slot is where a record has a value.
type slot struct{ frame, slot int }

var noSlot = slot{frame: -1}

const (
	matchedFrame = -1 // that of the matched mount
	bodyFrame    = -2 // the same, but the root where usage stands bare in it
)

// at is the slot of r where a mount has matched, noSlot where it has none.
func (c *Dialects) at(r ref, frame int) slot {
	switch {
	case r.frame == bodyFrame && c.mounts[frame].Bare:
		r.frame = c.root
	case r.frame < 0:
		r.frame = frame
	}
	if at, ok := c.slots[r.frame][r.value]; ok {
		return slot{r.frame, at}
	}
	return noSlot
}

type compiledEntry struct {
	*Entry
	mounts   []int  // in the order they are tried
	mountKey []byte // the same
	when     []condition
	unless   []exclusion
	rules    []compiledRule
	payload  []ref
	idOf     []ref
	calls    []ref
	folded   []compiledFold
	keep     []compiledKeep
	also     []compiledPart
	reading  *reading // of a report
}

type condition struct {
	any []ref
	not bool
}

// exclusion is of records that have one of the words.
type exclusion struct {
	any   []ref
	words []string
}

type compiledRule struct {
	col  schemas.Col
	from []compiledSum
	// envelope marks event times that are not the body's own.
	envelope bool
}

type compiledSum []compiledTerm

type compiledTerm struct {
	any []ref // the spellings, in order
	*term
}

type compiledKeep struct {
	key string
	any []ref
}

type compiledFold struct {
	ref
	path []string
}

type compiledPart struct {
	*Part
	path []string
}

// Compile makes dialects of the Entries, with a user's mapping, which may be nil.
func Compile(m *Mapping) *Dialects { return compile(Entries, m) }

// Layout is what the walk must look for.
func (c *Dialects) Layout() *schemas.Layout { return c.layout }

func compile(entries []Entry, m *Mapping) *Dialects {
	if m == nil {
		m = &Mapping{}
	}
	const many = 2048 // of anything, about
	mounts := slices.Clone(m.bodies)
	mounts = append(mounts, Mounts...)
	c := &Dialects{
		mounts: mounts, root: slices.IndexFunc(mounts, func(m Mount) bool { return m.Path == "" && !m.Bare }),
		layout: &schemas.Layout{Slots: make([]int, len(mounts))}, values: make(map[valueKey]int, many), slots: make([]map[int]int, len(mounts)+1),
		usage: map[int]member{}, kept: map[string]bool{}, byName: map[string][]*compiledEntry{},
		rules: map[ruleKey]compiledRule{}, counts: map[string]bool{},
		spelled: make(map[string][]spelling, many), exprs: make(map[string]expr, many), wanted: make(map[wanted]bool, 4*many),
	}
	for f := range c.slots {
		c.slots[f] = map[int]int{}
	}
	c.reports = len(mounts)
	for _, m := range mounts {
		c.paths = append(c.paths, splitPath(m.Path))
	}
	for i := range entries {
		if !entries[i].Report {
			c.countsOf(&entries[i])
		}
	}
	for _, m := range mounts {
		var refs []ref
		if m.Batch != "" {
			refs = c.refs(nil, parseTerm("^"+m.Batch), schemas.Span)
		}
		c.batch = append(c.batch, refs)
	}
	c.entries = make([]compiledEntry, len(entries))
	for i := range entries {
		e := &c.entries[i]
		c.entry(e, &entries[i], m)
		c.byName[e.Name] = append(c.byName[e.Name], e)
	}
	return c
}

// countsOf notes where an entry's token counts and other meters stand.
func (c *Dialects) countsOf(e *Entry) {
	for _, r := range e.Columns {
		if t := &traits[r.Col]; t.kind != schemas.Double || !t.additive {
			continue
		}
		for _, alt := range c.expr(r.From) {
			for _, t := range alt {
				for _, spelling := range c.spellings(t.path) {
					c.counts[spelling.path] = true
				}
			}
		}
	}
}

func (c *Dialects) entry(ce *compiledEntry, e *Entry, m *Mapping) {
	ce.Entry = e
	if e.Report {
		ce.reading = c.newReading(e)
	}
	for f := range c.mounts {
		if e.standsAt(&c.mounts[f]) {
			ce.mounts = append(ce.mounts, f)
			ce.mountKey = append(ce.mountKey, byte(f))
		}
	}
	refs := func(list string, shape schemas.Shape) (out []ref) {
		for p := range strings.SplitSeq(list, "|") {
			if p = strings.TrimSpace(p); p != "" {
				out = append(out, c.refs(ce, parseTerm(p), shape)...)
			}
		}
		return out
	}
	for _, w := range e.When {
		text, not := strings.CutPrefix(w, "!")
		ce.when = append(ce.when, condition{refs(text, schemas.Span), not})
	}
	for _, u := range e.Unless {
		at := strings.LastIndexByte(u, '=')
		ce.unless = append(ce.unless, exclusion{refs(u[:at], schemas.Scalar), strings.Split(u[at+1:], "|")})
	}
	for _, r := range e.Columns {
		ce.rules = append(ce.rules, c.rule(ce, r, false))
	}
	for _, r := range m.rules {
		ce.rules = append(ce.rules, c.rule(ce, r, true))
	}
	if !e.Own {
		ce.rules = append(ce.rules, c.rule(ce, Rule{schemas.EventTime, envelopeTime}, true))
		for _, r := range common {
			ce.rules = append(ce.rules, c.rule(ce, r, false))
		}
	}
	ce.payload = refs(e.Payload, schemas.Span)
	ce.calls = refs(e.Calls, schemas.Scalar)
	for _, p := range e.IDOf {
		ce.idOf = append(ce.idOf, refs(p, schemas.Span)...)
	}
	for _, p := range e.Folded {
		for i, r := range refs("^"+p, schemas.Scalar) {
			ce.folded = append(ce.folded, compiledFold{r, spellings(p)[i]})
		}
	}
	for _, p := range e.Keep {
		if e.Report { // keeps all
			break
		}
		at := refs(p, schemas.Scalar)
		if c.inUsage(e, splitPath(p)) < 0 { // what is below usage is kept as it is
			ce.keep = append(ce.keep, compiledKeep{strings.TrimPrefix(p, "^"), at})
		}
	}
	for i := range e.Parts {
		ce.also = append(ce.also, compiledPart{&e.Parts[i], splitPath(e.Parts[i].Path)})
	}
}

// rule is a rule of an entry. The common ones are the same for most entries.
func (c *Dialects) rule(e *compiledEntry, r Rule, envelope bool) compiledRule {
	if e.Report {
		return c.newRule(e, r, envelope)
	}
	k := ruleKey{r, string(e.mountKey), e.usage(), envelope}
	cr, ok := c.rules[k]
	if !ok {
		cr = c.newRule(e, r, envelope)
		c.rules[k] = cr
	}
	return cr
}

// ruleKey is what a compiled rule depends on.
type ruleKey struct {
	Rule
	mounts, usage string
	envelope      bool
}

func (c *Dialects) newRule(e *compiledEntry, r Rule, envelope bool) compiledRule {
	cr := compiledRule{col: r.Col, envelope: envelope}
	shape := schemas.Scalar
	if r.Col == schemas.Tags {
		shape = schemas.Span
	}
	sums := c.expr(r.From)
	cr.from = make([]compiledSum, len(sums))
	for i, terms := range sums {
		cr.from[i] = make(compiledSum, len(terms))
		for k := range terms {
			t := &terms[k]
			if e.Report {
				cr.from[i][k] = compiledTerm{c.reportRefs(e, *t), t}
			} else {
				cr.from[i][k] = compiledTerm{c.refs(e, *t, shape), t}
			}
		}
	}
	return cr
}

// refs asks the layout for a term in both spellings and returns its values.
func (c *Dialects) refs(e *compiledEntry, t term, shape schemas.Shape) (out []ref) {
	if t.path == "" {
		return nil
	}
	if t.count {
		shape = schemas.Count
	}
	spellings := c.spellings(t.path)
	out = make([]ref, 0, len(spellings))
	for _, spelling := range spellings {
		keys, shape := spelling.keys, shape
		if shape == schemas.Span && c.counts[spelling.path] {
			shape = schemas.Scalar
		}
		usage := -1
		if !t.root {
			usage = c.inUsage(e.Entry, keys)
		}
		v := c.value(spelling.path, shape)
		if shape == schemas.Scalar && usage > 0 && len(keys) > usage && c.usage[v].usage == "" && !slices.ContainsFunc(keys, chooses) {
			c.usage[v] = member{strings.Join(keys[:usage], "."), strings.Join(keys[usage:], ".")}
		}
		frame := bodyFrame
		switch {
		case t.root:
			frame = c.root
			c.want(c.root, keys, usage, v, shape)
		case usage > 0:
			frame = matchedFrame
		}
		if !t.root {
			for _, f := range e.mounts {
				if !c.mounts[f].Bare || usage > 0 { // what is around bare members is the root's
					c.want(f, keys, usage, v, shape)
				} else {
					c.want(c.root, keys, usage, v, shape)
				}
			}
		}
		out = append(out, ref{frame, v})
	}
	return out
}

// reportRefs notes that the rows of a report are asked for a term, in both
// spellings, and returns its values.
func (c *Dialects) reportRefs(e *compiledEntry, t term) (out []ref) {
	if t.path == "" {
		return nil
	}
	for _, spelling := range c.spellings(t.path) {
		name := strings.Join(spelling.keys, ".")
		v := c.value(spelling.path, schemas.Scalar)
		at, ok := c.slots[c.reports][v]
		if !ok {
			at = len(c.reportPaths)
			c.slots[c.reports][v] = at
			c.reportPaths = append(c.reportPaths, name)
		}
		e.reading.slots[name] = at
		out = append(out, ref{c.reports, v})
	}
	return out
}

// spellings are the keys of a path, or of several with a / between them, as they
// stand and in camelCase, if that is another one.
func spellings(paths string) (all [][]string) {
	for path := range strings.SplitSeq(paths, "/") {
		snake := splitPath(path)
		camels := make([]string, len(snake))
		for i, k := range snake {
			camels[i] = camel(k)
		}
		if all = append(all, snake); !slices.Equal(camels, snake) {
			all = append(all, camels)
		}
	}
	return all
}

func chooses(key string) bool { return strings.HasPrefix(key, "[") }

// inUsage is how many of the keys name the entry's usage object, -1 where the
// path is not below it.
func (c *Dialects) inUsage(e *Entry, keys []string) int {
	for _, usage := range c.spellings(e.usage()) {
		if n := len(usage.keys); len(keys) >= n && slices.Equal(keys[:n], usage.keys) {
			return n
		}
	}
	return -1
}

func (c *Dialects) value(path string, shape schemas.Shape) int {
	k := valueKey{path, shape}
	v, ok := c.values[k]
	if !ok {
		v = len(c.values)
		c.values[k] = v
	}
	return v
}

// want adds a path to the layout, once, and sees to it that what is unknown in
// the objects on its way through usage is kept. The first usage keys name the
// usage object.
func (c *Dialects) want(frame int, keys []string, usage, value int, shape schemas.Shape) {
	k := wanted{frame, value, usage}
	if c.wanted[k] {
		return
	}
	c.wanted[k] = true
	m := c.mounts[frame]
	path := c.paths[frame]
	if m.Bare {
		if keys = keys[usage:]; len(keys) == 0 {
			return
		}
		c.keepUnknown(frame, nil, "", tokenName)
		c.keepBelow(frame, nil, keys, shape)
	} else if usage > 0 && len(keys) > usage {
		below := join(path, keys[:usage]...)
		c.keepUnknown(frame, below, "", nil)
		c.keepBelow(frame, below, keys[usage:], shape)
	}
	if _, ok := c.slots[frame][value]; ok {
		return
	}
	at := c.layout.Slots[frame]
	c.slots[frame][value] = at
	c.layout.Slots[frame]++
	c.layout.Wants = append(c.layout.Wants, schemas.Want{Path: join(path, keys...), Frame: frame, Slot: at, Shape: shape})
}

// keepBelow keeps what is unknown in the objects on the way, and in the one at
// its end if no more is asked of it than whether it is there.
func (c *Dialects) keepBelow(frame int, at, keys []string, shape schemas.Shape) {
	last := len(keys) - 1
	if shape == schemas.Span {
		last++
	}
	for i := 1; i <= last && !(i < len(keys) && chooses(keys[i])); i++ {
		c.keepUnknown(frame, join(at, keys[:i]...), strings.Join(keys[:i], "."), nil)
	}
}

func (c *Dialects) keepUnknown(frame int, path []string, name string, pick func([]byte) bool) {
	id := strings.Join(path, "\x00") + string(rune('0'+frame))
	if c.kept[id] {
		return
	}
	c.kept[id] = true
	c.layout.Keep = append(c.layout.Keep, schemas.KeepPath{Path: path, Frame: frame, Name: name, If: pick})
}

// join is a new path: keys below path.
func join(path []string, keys ...string) []string {
	return append(slices.Clip(path), keys...)
}
