package transform

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/zeebo/xxh3"

	"usagelake/schemas"
)

// maxNesting is how deep documents within a record are read.
const maxNesting = 3

// Memory is what the records of a source have said so far that later ones may
// leave out or refer to: texts of columns, and running sums by the names of their
// members, by family of dialects.
type Memory map[string]map[string]string

// Clone is a copy that later records do not change.
func (m Memory) Clone() Memory {
	c := Memory{}
	for family, cols := range m {
		c[family] = maps.Clone(cols)
	}
	return c
}

// of is what the family of a dialect has said.
func (m Memory) of(dialect string) map[string]string {
	name := family(dialect)
	if m[name] == nil {
		m[name] = map[string]string{}
	}
	return m[name]
}

// call is a document that may be a call.
type call struct {
	doc   []byte
	entry string // the name of its entry, or empty: any
	heir  heir
	tree  *tree // nil where the call stands in none
	id    string
	wraps bool // its entry does
	plain bool // its entry is of Texts, and none is JSON
	// summed: it sums up what records before it said.
	summed bool
	// idle: it has the running sums of the record before, to which it adds nothing.
	idle bool
	// settles is what it says by model where its parts are the rest of that, else nil.
	settles *rest
	// released: it waited for the record at hand.
	released bool
	// unclaimed: it is a part that no entry fits.
	unclaimed bool
	// deeper: its parts are too deep in the record to be read.
	deeper bool
	// instead is the first of the calls that it says again, where it is a part that is Instead.
	instead int
	isCall  bool
	// sum: it is a part that is Instead, and sums up calls of other records.
	sum bool
	// tallies is its entry, where that has a Tally that somebody is told of.
	tallies *Entry
}

// tree is how parts of a record stand below each other.
type tree struct {
	parents map[string]string // by id
	above   map[string]bool   // those that have a call below them
}

// again reports whether a part that is Instead says what those before it say.
func (c *call) again(before []call) bool {
	return c.instead > 0 && slices.ContainsFunc(before[c.instead:], func(b call) bool { return b.isCall && b.instead == 0 })
}

// isRow notes that a part comes to a row, in its tree, too.
func (c *call) isRow() {
	c.isCall = true
	if c.tree == nil {
		return
	}
	t := c.tree
	for p := t.parents[c.id]; p != "" && !t.above[p]; p = t.parents[p] {
		t.above[p] = true
	}
}

// counts reports whether a part does, as to the tree.
func (c *call) counts() bool { return c.tree == nil || !c.tree.above[c.id] }

// heir is what a document inherits.
type heir struct {
	texts      []Fill
	time       int64
	timeFrom   string // "" where there is none
	zeroIsNone bool
	recalled   map[string]string
	less       amounts // what others said of its counts
}

// More makes the rows of a record of which Apply said that it IsMore: none, one,
// or several. said is what records before it said; it is changed, and is nil
// where that is not known. For each row, which is the open one of row, add is called. It is all rows
// or, where one of them is bad, none.
func (n *Normalizer) More(doc []byte, src *Source, row *schemas.Builder, in *schemas.Sums, said Memory, add func()) Verdict {
	n.prepare()
	var calls []call
	n.gather(&calls, call{doc: doc}, said, 0)
	var ignored schemas.Sums
	rows, verdict := 0, NotClaimed
	some := false
	unknown := n.unknown
	n.unknown = nil
	defer func() { n.unknown = unknown }()
	for i := range calls {
		if calls[i].sum || calls[i].again(calls[:i]) {
			continue
		}
		switch v := n.one(&calls[i], src, n.trial, &ignored, said, false); v {
		case IsBad:
			return IsBad
		case IsRow:
			calls[i].isRow()
			some = true
		case NoCall:
			verdict = NoCall
		case NotClaimed:
			calls[i].unclaimed = i > 0
		}
	}
	for i := range calls {
		if n.hides(&calls[i], some) {
			n.Reason = schemas.UnknownUsage
			return IsBad
		}
	}
	n.unknown = unknown
	var used int64
	for i := range calls {
		if !calls[i].sum && calls[i].counts() && !calls[i].again(calls[:i]) && n.one(&calls[i], src, row, in, said, true) == IsRow {
			rows++
			used += n.tokens()
			add()
		}
	}
	if len(calls) > 0 && calls[0].tallies != nil {
		n.tellTally(calls, used)
	}
	if rows > 0 {
		return IsRow
	}
	return verdict
}

// hides reports whether there is what looks like a count of tokens in a part that
// nobody knows or reads, or in what wraps no row.
func (n *Normalizer) hides(c *call, rows bool) bool {
	return (c.unclaimed || c.deeper || c.wraps && !rows) && Betrays(n.walker, c.doc)
}

// Linked reports whether any record so far was one that recalls what others before it
// said, or that those behind it recall.
func (n *Normalizer) Linked() bool { return n.linked }

func (n *Normalizer) prepare() {
	if n.walker == nil {
		n.walker, n.trial = n.make(), schemas.NewBuilder(memory.DefaultAllocator)
	}
}

// one makes the row of one call.
func (n *Normalizer) one(c *call, src *Source, row *schemas.Builder, in *schemas.Sums, said Memory, remember bool) Verdict {
	row.Drop()
	rec, err := n.walker.Walk(c.doc)
	if err != nil {
		return NotClaimed
	}
	p, rec := n.planOf(rec, c.entry)
	if p.entry == nil {
		return NotClaimed
	}
	n.linked = n.linked || len(p.entry.Recall)+len(p.entry.Remember) > 0 || p.entry.Began != "" || p.entry.Waits
	switch {
	case p.entry.Container, c.summed:
		if remember && said != nil {
			n.remember(p, rec, row, said)
			if c.settles != nil {
				said.settle(family(p.entry.Name), c.settles)
			}
		}
		return NoCall
	case c.idle:
		return NoCall
	case p.entry.Differs && said == nil: // from what?
		n.Reason = schemas.UnknownUsage
		return IsBad
	}
	h := c.heir
	if len(p.entry.Recall) > 0 {
		n.copying(p, rec, &h, said)
		h.recalled = said[family(p.entry.Name)]
		if p.entry.Of != 0 {
			h.recalled = n.ofCall(p, rec, said)
		}
	}
	v := n.apply(p, rec, src, row, in, &h)
	var waits map[string]string
	if p.entry.Waits {
		if waits, n.Reason = n.waits(p, rec, row); n.Reason != "" {
			return IsBad
		}
	}
	if remember && said != nil {
		switch {
		case c.released:
			delete(said, family(p.entry.Name)+thatWaits)
		case v == IsRow:
			n.saysAgain(p, said)
		case p.entry.Waits:
			said[family(p.entry.Name)+thatWaits] = waits
		}
		n.remember(p, rec, row, said)
		if p.entry.Began != "" {
			n.begin(p, rec, said)
		}
		if p.entry.Running != "" && v != IsBad {
			n.sumUp(p, c.doc, said)
		}
		if v == IsRow {
			n.enter(p, row, said)
		}
	}
	return v
}

// family is that of a dialect: those that know each other's ids.
func family(name string) string {
	name, _, _ = strings.Cut(name, ".")
	return name
}

// planOf is the plan for a record, and the record with all that the plan asks
// for.
func (n *Normalizer) planOf(rec *schemas.Record, entry string) (*plan, *schemas.Record) {
	var p *plan
	if entry == "" {
		p = n.plan(rec)
	} else {
		p = n.namedPlan(rec, entry)
	}
	if p.entry != nil && p.entry.Report {
		return n.ofReport(p, rec)
	}
	return p, rec
}

// gather lists a document and its parts. What is folded is unfolded.
func (n *Normalizer) gather(calls *[]call, c call, said Memory, depth int) {
	rec, err := n.walker.Walk(c.doc)
	if err != nil {
		return
	}
	p, rec := n.planOf(rec, c.entry)
	unfolded := false
	if paths := p.folded(rec); len(paths) > 0 {
		if text := n.walker.Unfold(c.doc, paths); text != nil {
			c.doc, unfolded = text, true
			if rec, err = n.walker.Walk(c.doc); err != nil {
				return
			}
			p, rec = n.planOf(rec, c.entry)
		}
	}
	var of string
	if e := p.entry; e != nil {
		c.wraps, c.plain, c.deeper = e.Wraps, e.Texts && !unfolded, depth == maxNesting && e.Container
		if e.Tally != 0 && n.tallied != nil {
			c.tallies = e.Entry
		}
		if w, some := waiting(e, said); some && depth == 0 {
			*calls = append(*calls, w)
		}
		of, c.summed = n.summed(p, rec, said)
	}
	*calls = append(*calls, c)
	if p.entry == nil || depth == maxNesting || p.entry.Ignore || p.excluded(rec) || c.plain || c.summed && !p.entry.Rest {
		return
	}
	own := len(*calls)
	if p.entry.Running != "" {
		(*calls)[own-1].idle = n.repeats(p, c.doc, said)
		return
	}
	for i := range p.entry.also {
		part := &p.entry.also[i]
		sum := false
		if part.Instead {
			of, _ := p.sumOf(rec)
			if sum = of != "1"; sum && c.tallies == nil {
				continue
			}
		}
		var from heir
		number := 0
		mount := splitPath(n.dialects.mounts[p.frame].Path)
		var group *tree
		if part.Tree[0] != "" {
			group = &tree{map[string]string{}, map[string]bool{}}
		}
		n.walker.Each(c.doc, join(mount, part.path...), func(key, value []byte) {
			if len(value) == 0 || value[0] != '{' || part.Unlike != "" && !n.unlike(c.doc, mount, part.Unlike, value) {
				return
			}
			if number++; number == 1 { // none was walked yet
				from = n.inheritance(p, rec, part, &c.heir, said)
			}
			h := from
			h.texts = slices.Clone(from.texts)
			if part.Key != 0 {
				h.texts = append(h.texts, Fill{part.Key, string(key)})
			}
			if part.ID != "" && (part.Unlike == "" || number > 1) {
				for k := range h.texts {
					if h.texts[k].Col == schemas.RequestID {
						h.texts[k].Value += part.ID
						if number > 1 {
							h.texts[k].Value += strconv.Itoa(number)
						}
					}
				}
			}
			child := call{doc: value, entry: part.Entry, heir: h, tree: group, sum: sum}
			if part.Instead {
				child.instead = own
			}
			if group != nil {
				child.id = n.member(value, part.Tree[0])
				group.parents[child.id] = n.member(value, part.Tree[1])
			}
			n.gather(calls, child, said, depth+1)
		})
		if number == 0 {
			continue
		}
		if rec, err = n.walker.Walk(c.doc); err != nil { // the parts were walked
			return
		}
		if p.entry.Report {
			p, rec = n.planOf(rec, c.entry)
		}
	}
	if !c.summed {
		return
	}
	if r := n.rest((*calls)[own:], family(p.entry.Name), of, said); r != nil {
		(*calls)[own-1].summed, (*calls)[own-1].settles = false, r
	} else {
		*calls = (*calls)[:own]
	}
}

// summed reports whether a record sums up what others before it said, and the value that
// they have in common. What an earlier run sealed begins with NUL and cannot be compared: it
// is taken for the same.
func (n *Normalizer) summed(p *plan, rec *schemas.Record, said Memory) (value string, is bool) {
	col := p.entry.Sums
	if col == 0 {
		return "", false
	}
	n.linked = true
	own := n.inheritance(p, rec, &compiledPart{Part: &Part{Inherit: []schemas.Col{col}}}, &heir{}, said)
	of := family(p.entry.Name)
	before, some := said[of][col.String()]
	value = before
	for _, f := range own.texts {
		if f.Col == col {
			value = f.Value
		}
	}
	return value, said == nil || some && (strings.HasPrefix(before, "\x00") || value == before) ||
		said.names(of, col, value) || col == schemas.SessionID && said.tells(of, value)
}

// unlike reports whether a part names a model, and a record, below its mount, names another.
func (n *Normalizer) unlike(doc []byte, mount []string, path string, part []byte) bool {
	own := n.member(part, "model")
	if own == "" || own == "null" {
		return false
	}
	served := ""
	n.walker.Each(doc, join(mount, splitPath(path)...), func(_, value []byte) { served = string(value) })
	return served != "" && served != own
}

// member is the raw text of a member of a document, empty where there is none.
func (n *Normalizer) member(doc []byte, path string) (text string) {
	for _, keys := range spellings(path) {
		n.walker.Each(doc, keys, func(_, value []byte) { text = string(value) })
	}
	return text
}

// inheritance is what a record leaves to its parts: its own, what it recalls, and
// what it inherited.
func (n *Normalizer) inheritance(p *plan, rec *schemas.Record, part *compiledPart, own *heir, said Memory) heir {
	n.row = n.trial
	n.row.Drop()
	before := n.flags
	h := heir{time: own.time, timeFrom: own.timeFrom, zeroIsNone: !part.Zero}
	for i := range p.moves {
		m := &p.moves[i]
		if !slices.Contains(part.Inherit, m.col) {
			continue
		}
		s := ""
		switch {
		case traits[m.col].kind == schemas.String:
			s = n.text(m, rec)
		case traits[m.col].kind == schemas.Time:
			if us, reason := n.moment(m, rec); reason == "" {
				s = strconv.FormatInt(us, 10)
			}
		case traits[m.col].kind == schemas.Double && !traits[m.col].additive:
			if v, ok := n.duration(m, rec); ok {
				s = strconv.FormatFloat(v, 'f', -1, 64)
			}
		}
		if s != "" {
			h.texts = append(h.texts, Fill{m.col, strings.Clone(s)})
		}
	}
	more := func(f Fill) {
		if slices.Contains(part.Inherit, f.Col) && !slices.ContainsFunc(h.texts, func(g Fill) bool { return g.Col == f.Col }) {
			h.texts = append(h.texts, f)
		}
	}
	n.linked = n.linked || len(p.entry.Recall) > 0
	for _, c := range p.entry.Recall {
		if text, ok := said[family(p.entry.Name)][c.String()]; ok && traits[c].kind == schemas.String {
			more(Fill{c, text})
		}
	}
	for _, f := range own.texts {
		more(f)
	}
	if p.timeFrom != "" {
		if text, ok := numberText(rec, p.time); ok {
			if us, reason := parseTime(text, n.zone(p)); reason == "" {
				h.time, h.timeFrom = us, schemas.FromEnvelope
			}
		}
	}
	if p.entry.History {
		h.timeFrom = ""
	}
	n.flags = before
	return h
}

// inherit fills in what the record at hand does not say.
func (n *Normalizer) inherit(e *Entry, h *heir) {
	for _, f := range h.texts {
		n.take(f.Col, f.Value)
	}
	if h.timeFrom != "" && !n.row.Has(schemas.EventTime) {
		n.row.SetInt(schemas.EventTime, h.time)
		n.row.SetString(schemas.EventTimeSource, h.timeFrom)
	}
	for _, c := range e.Recall {
		if text, ok := h.recalled[c.String()]; ok {
			n.take(c, text)
		}
	}
}

// take fills a column in from the text of its value, unless the record says it.
func (n *Normalizer) take(c schemas.Col, text string) {
	if n.row.Has(c) {
		return
	}
	if traits[c].kind == schemas.String {
		n.row.SetString(c, text)
		return
	}
	if traits[c].kind == schemas.Time {
		if us, err := strconv.ParseInt(text, 10, 64); err == nil {
			n.row.SetInt(c, us)
		}
		return
	}
	v, reason := measured([]byte(text))
	if reason != "" {
		return
	}
	n.row.SetDouble(c, v)
	if traits[c].additive {
		n.read = append(n.read, quantity{c, rawMicros([]byte(text))})
	}
}

// running stands before the names of sums in a Memory.
const running = "running "

// sumUp keeps the running sums of a record.
func (n *Normalizer) sumUp(p *plan, doc []byte, said Memory) {
	sums := said.of(p.entry.Name)
	n.eachSum(p, doc, func(name, value string) { sums[name] = value })
}

// repeats reports whether a record's running sums are those of the record before, in
// the same source: nothing was used since.
func (n *Normalizer) repeats(p *plan, doc []byte, said Memory) bool {
	sums := said[family(p.entry.Name)]
	some, grown := false, false
	n.eachSum(p, doc, func(name, value string) {
		some, grown = true, grown || sums[name] != value
	})
	return some && !grown
}

// eachSum calls fn for the running sums of a record, by their names in a Memory.
func (n *Normalizer) eachSum(p *plan, doc []byte, fn func(name, value string)) {
	n.walker.Each(doc, append(splitPath(p.entry.Running), "*"), func(key, value []byte) {
		if _, reason := measured(value); reason == "" && p.entry.counted(string(key)) != schemas.NumColumns {
			fn(running+string(key), string(value))
		}
	})
}

// origin is the name in a Memory of what tells the first call of a source with running sums
// from those of others: its counts can be theirs, those behind it have sums that are not. It
// is too short to tell whose it is.
const origin = "origin"

// begins is what goes into the id of a call that is made from its counts.
func (e *Entry) begins(h *heir) string {
	if e.Running == "" || h == nil {
		return ""
	}
	for key := range h.recalled {
		if strings.HasPrefix(key, running) {
			return ""
		}
	}
	return h.recalled[origin]
}

// counted is the additive column that a member of the entry's counts is for,
// NumColumns if there is none.
func (e *Entry) counted(member string) schemas.Col {
	for _, r := range e.Columns {
		if traits[r.Col].additive && r.From[strings.LastIndexByte(r.From, '.')+1:] == member {
			return r.Col
		}
	}
	return schemas.NumColumns
}

// differ takes the sums of the record before from those of the record at hand. Where
// any has fallen they began anew.
func (n *Normalizer) differ(e *Entry, said map[string]string) {
	var before [schemas.NumColumns]float64
	for key, text := range said {
		if member, ok := strings.CutPrefix(key, running); ok {
			if c := e.counted(member); c != schemas.NumColumns {
				before[c], _ = measured([]byte(text))
			}
		}
	}
	if slices.ContainsFunc(n.read, func(q quantity) bool { return n.row.Double(q.col) < before[q.col] }) {
		return
	}
	for i := range n.read {
		q := &n.read[i]
		v := n.row.Double(q.col) - before[q.col]
		n.row.SetDouble(q.col, v)
		q.v = schemas.Micros(v)
	}
}

// remember keeps what the record at hand says for those after it.
func (n *Normalizer) remember(p *plan, rec *schemas.Record, row *schemas.Builder, said Memory) {
	if len(p.entry.Remember) == 0 {
		return
	}
	if p.entry.Ignore || p.entry.Container { // it says something, but is no row
		n.row, n.flags, n.read = row, 0, n.read[:0]
		row.Drop()
		if n.move(p, rec) != "" {
			row.Drop()
			return
		}
		n.guard()
		defer row.Drop()
	}
	if of := p.entry.Of; of != 0 {
		texts := map[string]string{}
		for _, c := range p.entry.Remember {
			if row.Has(c) {
				texts[c.String()] = strings.Clone(row.Str(c))
			}
		}
		said.keepOf(family(p.entry.Name), of, row.Str(of), texts)
		return
	}
	cols := said.of(p.entry.Name)
	if c := p.entry.Origin; c != 0 && row.Has(c) {
		cols[origin] = strconv.Itoa(int(uint16(xxh3.HashString(row.Str(c)))))
	}
	for _, c := range p.entry.Remember {
		switch {
		case !row.Has(c):
			delete(cols, c.String())
		case traits[c].kind == schemas.String:
			cols[c.String()] = strings.Clone(row.Str(c))
		case traits[c].kind == schemas.Double:
			cols[c.String()] = strconv.FormatFloat(row.Double(c), 'f', -1, 64)
		}
	}
}
