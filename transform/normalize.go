// Package transform turns what the walk found in a record into canonical rows:
// it recognises the dialect by the keys that are there, moves values to
// columns, does the arithmetic of inclusion, and checks. It is pure: no I/O,
// no clock.
package transform

import (
	"encoding/hex"
	"time"

	"github.com/zeebo/xxh3"

	"usagelake/schemas"
)

// minPayload is the size in bytes from which content can stand for an id.
const minPayload = 1024

var dialects = compile(Entries)

// Layout is what the walk must look for.
func Layout() *schemas.Layout { return dialects.layout }

// KeyRule is the rule behind call keys of a dialect, by its name in the table.
func KeyRule(dialect string) schemas.KeyRule {
	for i := range Entries {
		if Entries[i].Name == dialect {
			return Entries[i].Key
		}
	}
	return schemas.KeyRule{}
}

// Options hold for a whole run.
type Options struct {
	Location *time.Location // of times without a zone; nil is UTC
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
	IsRows Verdict = iota
	// NotClaimed: no dialect recognises it. It has no usage, unless a member
	// is TokenLike.
	NotClaimed
	// IsBad: it must be quarantined; see Normalizer.Reason.
	IsBad
)

// Normalizer makes rows of records. It belongs to one goroutine.
type Normalizer struct {
	// Reason says why the last record is bad.
	Reason schemas.Reason

	loc   *time.Location
	plans map[string]*plan // by the shape of records: what is in Record.Filled
	last  *plan
	// filled is the shape of the last record.
	filled []uint64
	key    []byte

	row     *schemas.Builder // the row at hand is open
	flags   flags
	read    []quantity // what the record at hand reports
	names   map[flags]string
	scratch []byte // of one value
	extra   extraTexts
	tagsRaw []byte
	tags    string
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
	return &Normalizer{loc: loc, plans: map[string]*plan{}, names: map[flags]string{}, extra: extraTexts{known: map[string]extraText{}}}
}

// Apply makes a row of rec: the open one of row, which stays open. Its texts are
// valid until the next Apply or until the record's block is released. Where it
// does, it adds the record's quantities, read straight from the record, to in:
// one half of the books. In all other cases the open row is NULL.
func (n *Normalizer) Apply(rec *schemas.Record, src *Source, row *schemas.Builder, in *schemas.Sums) Verdict {
	row.Drop()
	p := n.plan(rec)
	if p.entry == nil {
		return NotClaimed
	}
	n.row = row
	row.SetSource(src.Index)
	n.flags, n.read = 0, n.read[:0]
	if n.Reason = n.move(p, rec); n.Reason == "" {
		n.Reason = n.eventTime(p, rec, src)
	}
	if n.Reason != "" {
		row.Drop()
		return IsBad
	}
	n.fill(src)
	n.identify(p, rec)
	n.extras(p, rec)
	n.derive(p)
	row.SetString(schemas.Dialect, p.entry.Name)
	row.SetString(schemas.TokenBasis, p.entry.Basis)
	if n.flags != 0 {
		row.SetString(schemas.QualityFlags, n.flagNames())
	}
	for _, q := range n.read {
		in[q.col] = in[q.col].Add(schemas.AmountOf(q.v))
	}
	return IsRows
}

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
		if src.TimeFrom == "" {
			return schemas.NoTime
		}
		n.row.SetInt(schemas.EventTime, src.Time)
		n.row.SetString(schemas.EventTimeSource, src.TimeFrom)
		return ""
	}
	text, ok := numberText(rec, p.time)
	if !ok {
		return schemas.BadTime
	}
	us, reason := parseTime(text, n.loc)
	if reason != "" {
		return reason
	}
	n.row.SetInt(schemas.EventTime, us)
	n.row.SetString(schemas.EventTimeSource, p.timeFrom)
	return ""
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

// identify gives a call without an id, but with a payload, a hash of the
// payload as id.
func (n *Normalizer) identify(p *plan, rec *schemas.Record) {
	if n.row.Has(schemas.RequestID) || p.payload.frame < 0 {
		return
	}
	v := rec.Frames[p.payload.frame].Val[p.payload.slot]
	raw := rec.Bytes(v)
	if len(raw) < minPayload {
		return
	}
	sum := xxh3.Hash128(raw).Bytes()
	n.row.SetString(schemas.RequestID, "xxh3:"+hex.EncodeToString(sum[:]))
	n.flags |= flagIDFromContent
}
