// Package transform turns what the walk found in a record into canonical rows:
// it recognises the dialect by the keys that are there, moves values to
// columns, does the arithmetic of inclusion, and checks. It is pure: no I/O,
// no clock.
package transform

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

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
	// Rows are the rows of the last record. They are valid, with their
	// strings, until the next Apply or until the record's block is released.
	Rows []schemas.Row
	// Reason says why the last record is bad.
	Reason schemas.Reason

	loc   *time.Location
	plans map[planKey]*plan
	last  *plan
	lkey  planKey

	row     schemas.Row
	flags   flags
	names   map[flags]string
	scratch []byte // of one value
	extra   []byte // extra_json
	members []schemas.Extra
	tagsRaw []byte
	tags    string
}

// NewNormalizer makes a normalizer.
func NewNormalizer(opt Options) *Normalizer {
	loc := opt.Location
	if loc == nil {
		loc = time.UTC
	}
	return &Normalizer{
		loc: loc, plans: map[planKey]*plan{}, names: map[flags]string{},
		Rows: make([]schemas.Row, 0, 1),
	}
}

// Apply makes rows of rec. Where it does, it adds the record's quantities, read
// straight from the record, to in: one half of the books.
func (n *Normalizer) Apply(rec *schemas.Record, src *Source, in *schemas.Sums) Verdict {
	p := n.plan(rec)
	if p.entry == nil {
		return NotClaimed
	}
	n.row.Reset()
	n.row.Source = src.Index
	n.flags = 0
	if n.Reason = n.move(p, rec); n.Reason == "" {
		n.Reason = n.eventTime(p, rec, src)
	}
	if n.Reason != "" {
		return IsBad
	}
	n.fill(src)
	n.identify(p, rec)
	n.extras(p, rec)
	n.derive(p)
	n.row.SetString(schemas.Dialect, p.entry.Name)
	n.row.SetString(schemas.TokenBasis, p.entry.Basis)
	if n.flags != 0 {
		n.row.SetString(schemas.QualityFlags, n.flagNames())
	}
	n.addRaw(p, rec, in)
	n.Rows = append(n.Rows[:0], n.row)
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

// move carries the plan's values to their columns.
func (n *Normalizer) move(p *plan, rec *schemas.Record) schemas.Reason {
	for i := range p.moves {
		m := &p.moves[i]
		if len(m.from) == 0 {
			n.constant(m)
			continue
		}
		switch schemas.Columns[m.col].Kind {
		case schemas.Double:
			if reason := n.double(m, rec); reason != "" {
				return reason
			}
		case schemas.Int:
			v, reason := n.quantity(rec, m.from[0])
			if reason == "" && v != float64(int64(v)) {
				reason = schemas.NotNumber
			}
			if reason != "" {
				return reason
			}
			n.row.SetInt(m.col, int64(v))
		case schemas.Money:
			text, ok := numberText(rec, m.from[0])
			if !ok {
				return schemas.NotNumber
			}
			v, reason := nanos(text)
			if reason != "" {
				return reason
			}
			n.row.SetInt(m.col, v)
		case schemas.Bool:
			if v, ok := boolean(rec, m.from[0]); ok {
				n.row.SetInt(m.col, v)
			} else {
				n.flags |= flagUnreadable
			}
		case schemas.String:
			if s := n.text(m, rec); s != "" {
				n.row.SetString(m.col, s)
			}
		}
	}
	return ""
}

func (n *Normalizer) constant(m *move) {
	if schemas.Columns[m.col].Kind == schemas.String {
		n.row.SetString(m.col, m.word)
	} else {
		v, _ := digits([]byte(m.word))
		n.row.SetInt(m.col, v)
	}
}

func (n *Normalizer) double(m *move, rec *schemas.Record) schemas.Reason {
	if !m.col.Additive() { // a duration: not worth losing a record for
		if text, ok := numberText(rec, m.from[0]); ok {
			if v, reason := count(text); reason == "" {
				n.row.SetDouble(m.col, v)
				return ""
			}
		}
		n.flags |= flagUnreadable
		return ""
	}
	v, reason := n.quantity(rec, m.from[0])
	if reason != "" {
		return reason
	}
	if len(m.from) > 1 { // in fixed point, so that fractions add up as written
		sum := schemas.Micros(v)
		for _, r := range m.from[1:] {
			w, reason := n.quantity(rec, r)
			if reason != "" {
				return reason
			}
			sum += schemas.Micros(w)
		}
		v = float64(sum) / 1e6
	}
	if v != float64(int64(v)) && m.col.Tokens() {
		n.flags |= flagFractional
	}
	n.row.SetDouble(m.col, v)
	return ""
}

func (n *Normalizer) quantity(rec *schemas.Record, r ref) (float64, schemas.Reason) {
	v := rec.Frames[r.frame].Val[r.slot]
	if v.Kind == schemas.Length {
		return float64(v.End), ""
	}
	text, ok := numberText(rec, r)
	if !ok {
		return 0, schemas.NotNumber
	}
	return count(text)
}

// numberText is the text of a number or of a string that may hold one.
func numberText(rec *schemas.Record, r ref) ([]byte, bool) {
	v := rec.Frames[r.frame].Val[r.slot]
	if v.Kind != schemas.Number && v.Kind != schemas.Text {
		return nil, false
	}
	return rec.Bytes(v), true
}

func boolean(rec *schemas.Record, r ref) (int64, bool) {
	v := rec.Frames[r.frame].Val[r.slot]
	switch v.Kind {
	case schemas.True:
		return 1, true
	case schemas.False:
		return 0, true
	case schemas.Text, schemas.Number:
		switch strings.ToLower(string(rec.Bytes(v))) {
		case "true", "1":
			return 1, true
		case "false", "0":
			return 0, true
		}
	}
	return 0, false
}

// text reads a string column; a number or boolean is taken as written.
func (n *Normalizer) text(m *move, rec *schemas.Record) string {
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

var tagEscape = strings.NewReplacer("%", "%25", ",", "%2C", "=", "%3D")

// tagList writes an object of scalars, or an array of strings, as sorted k=v
// pairs (or words), comma-joined; commas and equal signs inside are escaped as
// in a URL.
func (n *Normalizer) tagList(rec *schemas.Record, v schemas.Value) string {
	raw := rec.Bytes(v)
	if v.Kind != schemas.Object && v.Kind != schemas.Array {
		n.flags |= flagUnreadable
		return ""
	}
	if len(n.tagsRaw) > 0 && bytes.Equal(raw, n.tagsRaw) {
		return n.tags
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var tree any
	if d.Decode(&tree) != nil {
		n.flags |= flagUnreadable
		return ""
	}
	var list []string
	switch t := tree.(type) {
	case map[string]any:
		for k, v := range t {
			if s, ok := scalarText(v); ok {
				list = append(list, tagEscape.Replace(k)+"="+tagEscape.Replace(s))
			} else if v != nil {
				n.flags |= flagUnreadable
			}
		}
	case []any:
		for _, v := range t {
			if s, ok := scalarText(v); ok {
				list = append(list, strings.ReplaceAll(strings.ReplaceAll(s, "%", "%25"), ",", "%2C"))
			} else {
				n.flags |= flagUnreadable
			}
		}
	}
	slices.Sort(list)
	n.tags = strings.Join(list, ",")
	if n.flags&flagUnreadable == 0 {
		n.tagsRaw = append(n.tagsRaw[:0], raw...)
	}
	return n.tags
}

func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	}
	return "", false
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

// derive fills in what follows from what is there, and checks that the parts
// fit the wholes. Differences are taken in fixed point: 9559.6 - 6205.53 is
// 3354.07.
func (n *Normalizer) derive(p *plan) {
	r := &n.row
	micros := func(c schemas.Col) int64 { return schemas.Micros(r.Double(c)) }
	hasIn, hasOut := r.Has(schemas.InputTokens), r.Has(schemas.OutputTokens)
	in, out := micros(schemas.InputTokens), micros(schemas.OutputTokens)

	switch {
	case !hasIn || !hasOut:
	case !r.Has(schemas.TotalTokens):
		r.SetDouble(schemas.TotalTokens, float64(in+out)/1e6)
		n.flags |= flagTotalDerived
	case micros(schemas.TotalTokens) != in+out:
		n.flags |= flagTotalMismatch
	}
	if hasIn {
		if rest := in - micros(schemas.CacheReadTokens) - micros(schemas.CacheWriteTokens); rest >= 0 {
			r.SetDouble(schemas.UncachedInputTokens, float64(rest)/1e6)
		} else {
			n.flags |= flagCacheExceeds
		}
		if n.partsWrong(p, in, schemas.InputTextTokens, schemas.InputImageTokens, schemas.InputAudioTokens, schemas.InputVideoTokens) {
			n.flags |= flagInputParts
		}
	}
	if hasOut {
		if p.entry.AssumeImageOutput && !r.Has(schemas.OutputImageTokens) && !r.Has(schemas.OutputTextTokens) {
			r.SetDouble(schemas.OutputImageTokens, r.Double(schemas.OutputTokens))
			n.flags |= flagAssumedImage
		}
		if n.partsWrong(p, out, schemas.OutputTextTokens, schemas.OutputImageTokens, schemas.OutputAudioTokens) {
			n.flags |= flagOutputParts
		}
		if micros(schemas.ReasoningTokens) > out {
			n.flags |= flagReasoningExceeds
		}
	}
	if p.entry.Operation != "" && !r.Has(schemas.Operation) {
		r.SetString(schemas.Operation, p.entry.Operation)
		if p.entry.AssumeImageOutput { // images: generation, edit and variation look alike
			n.flags |= flagAssumedOperation
		}
	}
	if !r.Has(schemas.IsBatch) && Mounts[p.frame].IsBatch {
		r.SetInt(schemas.IsBatch, 1)
	}
	status := "ok"
	if r.Has(schemas.ErrorCode) {
		status = "error"
	}
	r.SetString(schemas.Status, status)
}

func (n *Normalizer) partsWrong(p *plan, whole int64, parts ...schemas.Col) bool {
	var sum int64
	some := false
	for _, c := range parts {
		some = some || n.row.Has(c)
		sum += schemas.Micros(n.row.Double(c))
	}
	return some && (sum > whole || p.entry.PartsAddUp && sum != whole)
}

// addRaw adds the reported quantities as the record has them.
func (n *Normalizer) addRaw(p *plan, rec *schemas.Record, in *schemas.Sums) {
	for i := range p.moves {
		m := &p.moves[i]
		if !m.col.Additive() {
			continue
		}
		if len(m.from) == 0 {
			v, _ := digits([]byte(m.word))
			in.AddInt(m.col, v)
			continue
		}
		for _, r := range m.from {
			v := rec.Frames[r.frame].Val[r.slot]
			switch {
			case v.Kind == schemas.Length:
				in.AddInt(m.col, int64(v.End))
			case schemas.Columns[m.col].Kind == schemas.Money:
				nano, _ := nanos(rec.Bytes(v))
				in.AddInt(m.col, nano)
			default:
				in[m.col] = in[m.col].Add(schemas.AmountOf(rawMicros(rec.Bytes(v))))
			}
		}
	}
}

// Derived reports whether a column can hold a quantity that its record did not
// report, so that it does not balance against the raw records.
func Derived(c schemas.Col) bool {
	switch c {
	case schemas.TotalTokens, schemas.UncachedInputTokens, schemas.OutputImageTokens, schemas.CostUSD:
		return true
	}
	return false
}
