package transform

import (
	"fmt"
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
	values  int                 // how many are asked for; they are numbered from 1
	asked   [][]asked           // by frame and value
	usage   map[string][]member // by the path of a usage object
	kept    map[string]bool     // objects whose unknown members are kept
	byName  map[string][]*compiledEntry
	shared  map[string][]compiledRule // what sharedRules has said
	paths   [][]string                // of the mounts
	batch   [][]ref                   // by mount: there is one of them in a document of a batch job
	places  map[string]*place         // by path
	spelled map[string][]*place       // what spellings has said
	exprs   map[string]expr           // what expr has
	aside   map[string]bool           // times that every report may say
	rests   map[string]bool           // families that have a Rest
	// reports is the frame of what rows of reports hold, behind those of the
	// mounts. The walk does not look for that: it would be known at the root of
	// every record then, and no news.
	reports     int
	reportPaths []string // by slot
}

// A place is where values may stand below a mount.
type place struct {
	keys   []string
	path   string // keys joined by NUL
	values [3]int // numbers of its values, by shape; 0: nobody asks for it
	// count: a token count or another meter stands there. A condition on one asks
	// for it as a count, so that it fills one slot.
	count  bool
	member bool // it is among the members of usage
}

// asked is how a value is asked for in a frame.
type asked struct {
	slot  int // from 1; 0: it is not
	usage int // how many keys name the usage object, as want was told last
}

// member is a value below a usage object. What of them no column takes goes to
// extra_json.
type member struct {
	value int
	name  string
}

// spellings are the places of paths. What it returns is shared.
func (c *Dialects) spellings(paths string) []*place {
	all, ok := c.spelled[paths]
	if !ok {
		for _, keys := range spellings(paths) {
			path := strings.Join(keys, "\x00")
			if c.places[path] == nil {
				c.places[path] = &place{keys: keys, path: path}
			}
			all = append(all, c.places[path])
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
	if all := c.asked[r.frame]; r.value < len(all) && all[r.value].slot > 0 {
		return slot{r.frame, all[r.value].slot - 1}
	}
	return noSlot
}

// asks is how a value is asked for in a frame, to be changed.
func (c *Dialects) asks(frame, value int) *asked {
	all := &c.asked[frame]
	if n := value + 1 - len(*all); n > 0 {
		*all = append(*all, make([]asked, n)...)
	}
	return &(*all)[value]
}

type compiledEntry struct {
	*Entry
	mounts   []int  // in the order they are tried
	mountKey []byte // the same
	when     []condition
	unless   []exclusion
	agree    [2][]ref
	rules    []compiledRule
	payload  []ref
	idOf     []ref
	calls    []ref
	apart    []ref
	written  []ref
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
	const many = 4096 // of anything, about
	mounts := slices.Clone(m.bodies)
	mounts = append(mounts, Mounts...)
	c := &Dialects{
		mounts: mounts, root: slices.IndexFunc(mounts, func(m Mount) bool { return m.Path == "" && !m.Bare }),
		layout: &schemas.Layout{Slots: make([]int, len(mounts)), Wants: make([]schemas.Want, 0, 2*many)}, asked: make([][]asked, len(mounts)+1),
		usage: map[string][]member{}, kept: map[string]bool{}, byName: map[string][]*compiledEntry{}, rests: map[string]bool{}, shared: map[string][]compiledRule{},
		places: make(map[string]*place, many), spelled: make(map[string][]*place, many), exprs: make(map[string]expr, many),
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
		if e.Rest {
			c.rests[family(e.Name)] = true
		}
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
				for _, place := range c.spellings(t.path) {
					place.count = true
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
	for i, path := range e.Agree {
		ce.agree[i] = refs(path, schemas.Scalar)
	}
	for _, r := range e.Columns {
		ce.rules = append(ce.rules, c.rule(ce, r, false))
	}
	ce.rules = append(ce.rules, c.sharedRules(ce, m)...)
	ce.payload = refs(e.Payload, schemas.Span)
	ce.calls = refs(e.Calls, schemas.Scalar)
	ce.apart = refs(e.Apart, schemas.Scalar)
	ce.written = refs(e.Written, schemas.Scalar)
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

// sharedRules are those that an entry has behind its own: a user's, and the common
// ones.
func (c *Dialects) sharedRules(e *compiledEntry, m *Mapping) []compiledRule {
	if e.Report { // each has slots of its own
		return c.newSharedRules(e, m)
	}
	key := fmt.Sprintf("%s\x00%s\x00%t", e.mountKey, e.usage(), e.Own)
	rules, ok := c.shared[key]
	if !ok {
		rules = c.newSharedRules(e, m)
		c.shared[key] = rules
	}
	return rules
}

func (c *Dialects) newSharedRules(e *compiledEntry, m *Mapping) (rules []compiledRule) {
	for _, r := range m.rules {
		rules = append(rules, c.rule(e, r, true))
	}
	if !e.Own {
		rules = append(rules, c.rule(e, Rule{schemas.EventTime, envelopeTime}, true))
		for _, r := range common {
			rules = append(rules, c.rule(e, r, false))
		}
	}
	return rules
}

func (c *Dialects) rule(e *compiledEntry, r Rule, envelope bool) compiledRule {
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
	places := c.spellings(t.path)
	out = make([]ref, 0, len(places))
	for _, at := range places {
		shape := shape
		if shape == schemas.Span && at.count {
			shape = schemas.Scalar
		}
		usage := -1
		if !t.root {
			usage = c.inUsage(e.Entry, at.keys)
		}
		v := c.value(at, shape)
		if shape == schemas.Scalar && usage > 0 && len(at.keys) > usage && !at.member && !slices.ContainsFunc(at.keys, chooses) {
			at.member = true
			of := strings.Join(at.keys[:usage], ".")
			c.usage[of] = append(c.usage[of], member{v, strings.Join(at.keys[usage:], ".")})
		}
		frame := bodyFrame
		switch {
		case t.root:
			frame = c.root
			c.want(c.root, at.keys, usage, v, shape)
		case usage > 0:
			frame = matchedFrame
		}
		if !t.root {
			for _, f := range e.mounts {
				if !c.mounts[f].Bare || usage > 0 { // what is around bare members is the root's
					c.want(f, at.keys, usage, v, shape)
				} else {
					c.want(c.root, at.keys, usage, v, shape)
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
	for _, place := range c.spellings(t.path) {
		name := strings.Join(place.keys, ".")
		v := c.value(place, schemas.Scalar)
		at := c.asks(c.reports, v)
		if at.slot == 0 {
			c.reportPaths = append(c.reportPaths, name)
			at.slot = len(c.reportPaths)
		}
		e.reading.slots[name] = at.slot - 1
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

// value is the number of a place's value.
func (c *Dialects) value(at *place, shape schemas.Shape) int {
	v := &at.values[shape]
	if *v == 0 {
		c.values++
		*v = c.values
	}
	return *v
}

// want adds a path to the layout, once, and sees to it that what is unknown in
// the objects on its way through usage is kept. The first usage keys name the
// usage object.
func (c *Dialects) want(frame int, keys []string, usage, value int, shape schemas.Shape) {
	at := c.asks(frame, value)
	if at.slot > 0 && at.usage == usage {
		return
	}
	at.usage = usage
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
	if at.slot > 0 {
		return
	}
	c.layout.Wants = append(c.layout.Wants, schemas.Want{Path: join(path, keys...), Frame: frame, Slot: c.layout.Slots[frame], Shape: shape})
	c.layout.Slots[frame]++
	at.slot = c.layout.Slots[frame]
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
