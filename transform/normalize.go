// Package transform turns what the walk found in a record into canonical rows:
// it recognises the dialect by the keys that are there, moves values to
// columns, does the arithmetic of inclusion, and checks. It is pure: no I/O,
// no clock.
package transform

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zeebo/xxh3"

	"usagelake/schemas"
	"usagelake/transform/price"
)

// minPayload is the size in bytes from which content can stand for an id.
const minPayload = 1024

// KeyRule is the rule behind call keys of a dialect, by its name in the table.
func KeyRule(dialect string) schemas.KeyRule { return keyRules()[dialect] }

var keyRules = sync.OnceValue(func() map[string]schemas.KeyRule {
	m := map[string]schemas.KeyRule{}
	for i := range Entries {
		if e := &Entries[i]; !e.Ignore {
			m[e.Name] = e.Key
		}
	}
	return m
})

// OfSession reports whether rows of a dialect sum up calls that have their session_id.
func OfSession(dialect string) bool { return ofSession()[dialect] }

var ofSession = sync.OnceValue(func() map[string]bool {
	m := map[string]bool{}
	for i := range Entries {
		m[Entries[i].Name] = Entries[i].OfSession
	}
	return m
})

// TakesRest reports whether rows of a dialect are what sums leave of a session when its calls
// in the same source are taken from them.
func TakesRest(dialect string) bool { return takesRest()[dialect] }

var takesRest = sync.OnceValue(func() map[string]bool {
	m := map[string]bool{}
	for i := range Entries {
		if e := &Entries[i]; e.Rest {
			for _, p := range e.Parts {
				m[p.Entry] = true
			}
		}
	}
	return m
})

// Options hold for a whole run.
type Options struct {
	Dialects *Dialects
	Location *time.Location // of times without a zone; nil is UTC
	Walker   func() Walker  // makes one for documents within a record
	// Unknown is told of every member of a usage object that its dialect does
	// not know, and where its record stands: nil is that which was given to Apply.
	// It may be nil.
	Unknown func(dialect, key string, at *Place)
	// Tally is told how many micro-tokens of a whole, by a hash of it, the calls of a record
	// had, and how many such a record says that all calls of the whole had. It may be nil.
	Tally func(dialect string, whole uint16, calls, sum int64)
	// Prices quotes the rows, for a normalizer of its own. Without it they have no
	// cost_usd.
	Prices *price.Pricer
	// Wanted tells which event times, in microseconds, rows have that are wanted: no
	// other row is made in a sheaf. nil wants all.
	Wanted func(us int64) bool
}

// Walker reads documents within a record. Its own record is not that which Apply
// gets.
type Walker interface {
	Walk(doc []byte) (*schemas.Record, error)
	AnyMember(doc []byte, pick func(parent, key, value []byte) bool) bool
	Each(doc []byte, path []string, fn func(key, value []byte))
	Unfold(doc []byte, paths [][]string) []byte
}

// Source is what is known about a source beside its records.
type Source struct {
	Index int32 // in the run's table of sources
	// Fill lists values for columns that a record leaves empty; the first one
	// for a column wins.
	Fill []Fill
	// Time is the event time of records that have none of their own, and
	// TimeFrom says where it is from. An empty TimeFrom means there is none:
	// such records are quarantined.
	Time     int64
	TimeFrom string
}

// Verdict says what a record came to, where it came to no rows.
type Verdict uint8

const (
	IsRow Verdict = iota
	// IsMore: it comes to any number of rows, which More makes.
	IsMore
	// NotClaimed: no dialect recognises it. It has no usage, unless it Betrays
	// some.
	NotClaimed
	// NoCall: it is known, and has no usage of its own.
	NoCall
	// IsBad: it must be quarantined; see Normalizer.Reason.
	IsBad
)

// Normalizer makes rows of records. It belongs to one goroutine.
type Normalizer struct {
	// Reason says why the last record is bad.
	Reason schemas.Reason

	dialects *Dialects
	loc      *time.Location
	walker   Walker        // nil before it is needed
	make     func() Walker // makes it
	// unknown is Options.Unknown. A record of which all parts are only looked at
	// is told of once.
	unknown func(dialect, key string, at *Place)
	tallied func(dialect string, whole uint16, calls, sum int64) // or nil
	prices  *price.Pricer                                        // or nil
	wanted  func(us int64) bool
	missing price.Missing    // of the last row
	plans   map[string]*plan // by the shape of records: what is in Record.Filled
	named   map[namedShape]*plan
	laid    map[*schemas.Form]*plan
	last    *plan
	form    *schemas.Form // of the record of last, nil where it has none

	row     *schemas.Builder // the row at hand is open
	linked  bool             // a record recalled what others said, or may be recalled
	flags   flags
	read    []quantity // what the record at hand reports
	names   map[flags]string
	scratch []byte // of one value
	extra   extraTexts
	tagsRaw []byte
	tags    string
	trial   *schemas.Builder // of rows that are only looked at
	sheet   sheet
	sheaves []*Sheaf // that have records
	staged  *staged
}

// quantity is a value of an additive column as its record has it, in the unit of
// Sums.
type quantity struct {
	col schemas.Col
	v   int64
}

// NewNormalizer makes a normalizer.
func NewNormalizer(opt Options) *Normalizer {
	loc := opt.Location
	if loc == nil {
		loc = time.UTC
	}
	return &Normalizer{
		dialects: opt.Dialects, loc: loc, make: opt.Walker, unknown: opt.Unknown, tallied: opt.Tally, prices: opt.Prices, wanted: opt.Wanted, plans: map[string]*plan{}, named: map[namedShape]*plan{}, laid: map[*schemas.Form]*plan{}, names: map[flags]string{},
		extra: extraTexts{known: map[string]extraText{}},
	}
}

// Apply makes a row of rec: the open one of row, which stays open. Its texts are
// valid until the next Apply or until the record's block is released. Where it
// does, it adds the record's quantities, read straight from the record, to in:
// one half of the books. In all other cases the open row is NULL.
func (n *Normalizer) Apply(rec *schemas.Record, src *Source, row *schemas.Builder, in *schemas.Sums) Verdict {
	row.Drop()
	p := n.plan(rec)
	switch {
	case p.entry == nil || p.entry.Texts && len(p.folded(rec)) == 0:
		return NotClaimed
	case p.more:
		return IsMore
	}
	verdict := n.apply(p, rec, src, row, in, nil)
	if rec.Form != nil && verdict == IsRow && p.learns(src, row) {
		if u := n.whatIsUsual(p, rec, src); u != nil {
			p.usual = u
		}
	}
	return verdict
}

// count adds what the record at hand reports.
func (n *Normalizer) count(in *schemas.Sums) {
	for _, q := range n.read {
		in.Plus(q.col, schemas.AmountOf(q.v))
	}
}

// apply is Apply for a plan, with what is inherited for columns that the record
// leaves empty.
func (n *Normalizer) apply(p *plan, rec *schemas.Record, src *Source, row *schemas.Builder, in *schemas.Sums, heir *heir) Verdict {
	switch calls, says := p.sumOf(rec); {
	case p.entry.Ignore || p.excluded(rec) || says && calls == "0":
		return NoCall
	case says && calls != "1":
		n.Reason = schemas.UnknownUsage
		row.Drop()
		return IsBad
	}
	n.row = row
	row.SetSource(src.Index)
	n.flags, n.read, n.missing = 0, n.read[:0], 0
	if n.Reason = n.move(p, rec); n.Reason == "" {
		if heir != nil {
			n.inherit(p.entry.Entry, heir)
			if p.entry.Differs {
				n.differ(p.entry.Entry, heir.recalled)
			}
			n.lessen(heir.less)
		}
		if n.Reason = n.bucket(p); n.Reason == "" {
			n.Reason = n.eventTime(p, rec, src)
		}
		if n.Reason == "" && heir != nil {
			n.dateBack(heir.recalled)
		}
	}
	if n.Reason != "" {
		row.Drop()
		return IsBad
	}
	if heir != nil && (heir.zeroIsNone || p.entry.Differs || p.entry.ZeroIsNone) && n.nothing() {
		row.Drop()
		return NoCall
	}
	if p.entry.Report {
		if n.Reason = n.report(p, rec); n.Reason != "" {
			row.Drop()
			return IsBad
		}
		n.fill(src)
	} else {
		n.fill(src)
		n.identify(p, rec, heir)
		n.tell(p, rec)
		if text := n.extraText(p, rec); text != "" {
			n.row.SetString(schemas.ExtraJSON, text)
		}
	}
	n.guard()
	n.derive(p, rec)
	row.SetString(schemas.Dialect, p.entry.Name)
	if n.prices != nil && !p.entry.Report {
		n.price(row)
	}
	if n.flags != 0 {
		row.SetString(schemas.QualityFlags, n.flagNames())
	}
	if p.entry.Report {
		row.Keep(schemas.Reports)
	}
	n.count(in)
	return IsRow
}

// Contradicts reports whether the last row's numbers contradict its dialect.
func (n *Normalizer) Contradicts() bool { return n.flags&flagBasisContradicts != 0 }

// Unpriced is why the last row has no cost, 0 where it has one.
func (n *Normalizer) Unpriced() price.Missing { return n.missing }

// nothing reports whether the record at hand reports no quantity but 0.
func (n *Normalizer) nothing() bool {
	return !slices.ContainsFunc(n.read, func(q quantity) bool { return q.v != 0 })
}

// excluded reports whether a value says that the record is no call.
func (p *plan) excluded(rec *schemas.Record) bool {
	for i := range p.unless {
		u := &p.unless[i]
		text, ok := numberText(rec, u.from)
		if rec.Frames[u.from.frame].Val[u.from.slot].Kind == schemas.True {
			text, ok = []byte("true"), true
		}
		if ok && slices.Contains(u.words, string(text)) {
			return true
		}
	}
	return p.entry.Agree[0] != "" && !p.agrees(rec)
}

// agrees reports whether two values are there and the same.
func (p *plan) agrees(rec *schemas.Record) bool {
	if p.agree[0] == noSlot || p.agree[1] == noSlot {
		return false
	}
	one, ok := numberText(rec, p.agree[0])
	other, too := numberText(rec, p.agree[1])
	return ok && too && bytes.Equal(one, other)
}

// sumOf is how many calls a record says that it sums up.
func (p *plan) sumOf(rec *schemas.Record) (calls string, says bool) {
	if p.calls == noSlot {
		return "", false
	}
	text, ok := numberText(rec, p.calls)
	return strings.TrimSuffix(string(text), ".0"), ok
}

// folded is the paths of texts that begin as JSON does that is no plain list of numbers,
// or as a stream of events.
func (p *plan) folded(rec *schemas.Record) (paths [][]string) {
	for i := range p.folds {
		f := &p.folds[i]
		v := rec.Frames[f.from.frame].Val[f.from.slot]
		if (v.Kind == schemas.Text || v.Kind == schemas.Escaped) && foldStart.Match(rec.Bytes(v)) {
			paths = append(paths, f.path)
		}
	}
	return paths
}

var foldStart = regexp.MustCompile(`^(?:\s|\\[nrt])*(?:[{[](?:\s|\\[nrt])*(?:\\"|[{}\[\]])|data:|event:)`)

func (n *Normalizer) flagNames() string {
	s, ok := n.names[n.flags]
	if !ok {
		s = n.flags.String()
		n.names[n.flags] = s
	}
	return s
}

func (n *Normalizer) eventTime(p *plan, rec *schemas.Record, src *Source) schemas.Reason {
	if p.timeFrom == "" {
		if n.row.Has(schemas.EventTime) { // inherited
			return ""
		}
		if src.TimeFrom == "" {
			return schemas.NoTime
		}
		n.row.SetInt(schemas.EventTime, src.Time)
		n.row.SetString(schemas.EventTimeSource, src.TimeFrom)
		return ""
	}
	us, reason := n.timeOf(p, rec)
	if reason != "" {
		return reason
	}
	n.row.SetInt(schemas.EventTime, us)
	n.row.SetString(schemas.EventTimeSource, p.timeFrom)
	return ""
}

// timeOf is the event time that a record has of its own.
func (n *Normalizer) timeOf(p *plan, rec *schemas.Record) (int64, schemas.Reason) {
	text, ok := numberText(rec, p.time)
	if !ok {
		return 0, schemas.BadTime
	}
	return parseTime(text, n.zone(p))
}

// zone is that of a plan's times that name none.
func (n *Normalizer) zone(p *plan) *time.Location {
	if p.utc {
		return time.UTC
	}
	return n.loc
}

func (n *Normalizer) fill(src *Source) {
	for i := range src.Fill {
		f := &src.Fill[i]
		if n.row.Has(f.Col) {
			continue
		}
		n.row.SetString(f.Col, f.Value)
		if f.Col == schemas.Model {
			n.flags |= flagModelFilled
		}
	}
}

// identify gives a call without an id one that follows from what it holds: the
// hash of its payload, or of the values that tell it from others.
func (n *Normalizer) identify(p *plan, rec *schemas.Record, heir *heir) {
	if n.row.Has(schemas.RequestID) {
		return
	}
	if len(p.idOf) > 0 {
		var sum xxh3.Hasher128
		for _, at := range p.idOf {
			raw := rec.Bytes(rec.Frames[at.frame].Val[at.slot])
			sum.Write(binary.AppendUvarint(nil, uint64(len(raw))))
			sum.Write(raw)
		}
		sum.Write([]byte(p.entry.begins(heir)))
		n.row.SetString(schemas.RequestID, hashID(sum.Sum128()))
		return
	}
	if p.payload == noSlot {
		return
	}
	raw := rec.Bytes(rec.Frames[p.payload.frame].Val[p.payload.slot])
	if len(raw) < minPayload {
		return
	}
	n.row.SetString(schemas.RequestID, hashID(xxh3.Hash128(raw)))
	n.flags |= flagIDFromContent
}

func hashID(sum xxh3.Uint128) string {
	b := sum.Bytes()
	return "xxh3:" + hex.EncodeToString(b[:])
}
