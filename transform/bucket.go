package transform

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/zeebo/xxh3"

	"usagelake/schemas"
	"usagelake/schemas/secret"
)

// A row of a report is a provider's sum over the calls in a bucket of time. What
// it groups them by is for the provider to say, and grows: so a row is known by
// all of its members but those that measure. Such rows are few.

// reading is what a report's entry says of members, by their canonical paths.
type reading struct {
	texts    map[string]bool // read as texts: they tell rows apart, numbers too
	measures map[string]bool // they change while the bucket is open
	aside    map[string]bool // times: they are in columns, or of no interest
	kept     map[string]bool // known, without a column
	currency map[string]bool // where the currency stands
	slots    map[string]int  // what columns are made of, by its path as written
}

// asideTimes are the names of times around a row that tell no rows apart.
var asideTimes = envelopeTime + " | start_time_iso | end_time_iso | updated_at"

func (c *Dialects) newReading(e *Entry) *reading {
	r := &reading{texts: map[string]bool{}, measures: map[string]bool{}, aside: map[string]bool{}, kept: map[string]bool{}, currency: map[string]bool{}, slots: map[string]int{}}
	add := func(to map[string]bool, from string) {
		for _, alt := range c.expr(from) {
			for _, t := range alt {
				for _, place := range c.spellings(t.path) {
					to[canonical(strings.Join(place.keys, "."))] = true
				}
			}
		}
	}
	if c.aside == nil {
		c.aside = map[string]bool{}
		add(c.aside, asideTimes)
	}
	maps.Copy(r.aside, c.aside)
	for _, rule := range e.Columns {
		switch traits[rule.Col].kind {
		case schemas.String, schemas.Bool:
			add(r.texts, rule.From)
		case schemas.Time:
			add(r.aside, rule.From)
		default:
			add(r.measures, rule.From)
		}
	}
	if e.Currency != "" {
		add(r.currency, e.Currency)
	}
	r.aside["userEmail"] = true // its user's id is there
	delete(r.texts, "object")
	r.aside["object"] = true // the operation says it
	for _, path := range e.Amends {
		add(r.measures, path)
	}
	for _, path := range e.Keep {
		add(r.kept, path)
	}
	return r
}

// sheet is a row of a report, or what is around rows, as it was read last.
type sheet struct {
	leaves []leaf
	plans  map[sheetShape]*plan
	paths  map[slot]string // canonical ones
}

// sheetShape is the same for rows with one plan.
type sheetShape struct {
	entry *compiledEntry
	set   string
}

// ofReport is the plan for a row of a report, or for what is around rows, and the
// record with what the plan asks for.
func (n *Normalizer) ofReport(p *plan, rec *schemas.Record) (*plan, *schemas.Record) {
	s := &n.sheet
	if s.plans == nil {
		s.plans, s.paths = map[sheetShape]*plan{}, map[slot]string{}
	}
	s.leaves = leavesOf(rec.Doc, p.entry.Container)
	size := len(n.dialects.reportPaths)
	f := schemas.Frame{Set: make(schemas.Bits, size/64+1), Val: make([]schemas.Value, size)}
	with := schemas.Record{Filled: rec.Filled}
	for _, m := range s.leaves {
		if at, ok := p.entry.reading.slots[m.name]; ok {
			off := uint32(len(with.Doc))
			with.Doc = append(with.Doc, m.text...)
			f.Set.Add(at)
			f.Val[at] = schemas.Value{Off: off, End: uint32(len(with.Doc)), Kind: m.kind}
		}
	}
	with.Frames = append(slices.Clip(rec.Frames), f)
	k := sheetShape{p.entry, words(f.Set)}
	of := s.plans[k]
	if of == nil {
		if len(s.plans) >= maxPlans {
			clear(s.plans)
		}
		of = n.dialects.plan(p.entry, with.Frames, p.frame)
		k.set = strings.Clone(k.set)
		s.plans[k] = of
	}
	return of, &with
}

// canonical is a path in one spelling: camelCase, whether its keys stand within
// each other or one key has dots.
func canonical(path string) string {
	keys := strings.Split(path, ".")
	for i, k := range keys {
		keys[i] = camel(k)
	}
	return strings.Join(keys, ".")
}

// leaf is a text, number or boolean of a row.
type leaf struct {
	name string // the path as written
	path string // canonical
	text string // as it stands, of texts unescaped
	kind schemas.ValueKind
}

// leavesOf are all of a document, at any depth, or only those at its top, in the
// order of their paths. Of repeated keys the last one counts; a null is not there.
func leavesOf(doc []byte, top bool) (list []leaf) {
	var tree any
	if top { // what is around rows holds all of them
		members := map[string]json.RawMessage{}
		if json.Unmarshal(doc, &members) != nil {
			return nil
		}
		object := map[string]any{}
		for k, raw := range members {
			if raw[0] != '{' && raw[0] != '[' {
				object[k] = decoded(raw)
			}
		}
		tree = object
	} else {
		tree = decoded(doc)
	}
	var add func(name string, v any)
	add = func(name string, v any) {
		m := leaf{name: name, path: canonical(name)}
		switch v := v.(type) {
		case map[string]any:
			for k, v := range v {
				add(strings.TrimPrefix(name+"."+k, "."), v)
			}
			return
		case []any:
			for i, v := range v {
				add(name+"["+strconv.Itoa(i)+"]", v)
			}
			return
		case string:
			m.text, m.kind = v, schemas.Text
		case json.Number:
			m.text, m.kind = v.String(), schemas.Number
		case bool:
			if m.text, m.kind = "false", schemas.False; v {
				m.text, m.kind = "true", schemas.True
			}
		default:
			return
		}
		list = append(list, m)
	}
	add("", tree)
	slices.SortFunc(list, func(a, b leaf) int {
		return cmp.Or(strings.Compare(a.path, b.path), strings.Compare(a.name, b.name), strings.Compare(a.text, b.text))
	})
	return list
}

// decoded is a JSON value, nil where it is none.
func decoded(text []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}

// bucket fails where a row of a report does not say from when to when it is: no
// other time can stand for that. Since all texts of a row are read, a fault in any
// of them costs it.
func (n *Normalizer) bucket(p *plan) schemas.Reason {
	if p.entry.Report && len(n.sheet.leaves) == 0 {
		return schemas.NotJSON
	}
	if p.entry.Report && (!n.row.Has(schemas.BucketEnd) || p.timeFrom == "" && !n.row.Has(schemas.EventTime)) {
		return schemas.NoBucket
	}
	return ""
}

// report completes a row of a report: amounts that are no dollars, its id, and
// what no column takes.
func (n *Normalizer) report(p *plan, rec *schemas.Record) schemas.Reason {
	if n.row.Int(schemas.BucketEnd) <= n.row.Int(schemas.EventTime) {
		return schemas.BadTime
	}
	// the bucket is the report's own word, also where it stands around the row
	n.row.SetString(schemas.EventTimeSource, schemas.FromBody)
	members := n.sheet.leaves
	used := n.used(p, rec)
	if p.entry.Currency != "" && n.row.Has(schemas.ReportedCostUSD) {
		n.currency(p.entry.reading.currency, members, used)
	}
	if reason := n.searches(); reason != "" {
		return reason
	}
	n.row.SetString(schemas.RequestID, n.bucketID(p, members))
	n.spare(p, members, used)
	return ""
}

// moment reads a time that is not the event's.
func (n *Normalizer) moment(m *move, rec *schemas.Record) (int64, schemas.Reason) {
	text, ok := numberText(rec, m.from[0])
	if !ok {
		return 0, schemas.BadTime
	}
	loc := n.loc
	if m.utc {
		loc = time.UTC
	}
	us, reason := parseTime(text, loc)
	return us + m.later, reason
}

// amount reads a quantity of any unit and sign.
func (n *Normalizer) amount(m *move, rec *schemas.Record) schemas.Reason {
	text, ok := numberText(rec, m.from[0])
	if !ok {
		return schemas.NotNumber
	}
	v, ok := parseFloat(text)
	switch {
	case !ok:
		return schemas.NotNumber
	case math.IsInf(v, 0):
		return schemas.CountTooLarge
	}
	n.row.SetDouble(m.col, v)
	return ""
}

// used is the members that are in columns, by their canonical paths.
func (n *Normalizer) used(p *plan, rec *schemas.Record) map[string]bool {
	used := map[string]bool{}
	take := func(list ...slot) {
		for _, at := range list {
			path, ok := n.sheet.paths[at]
			if !ok {
				path = canonical(n.dialects.path(at))
				n.sheet.paths[at] = path
			}
			used[path] = true
		}
	}
	for _, c := range p.counts {
		take(c.from)
	}
	for i := range p.moves {
		for m := &p.moves[i]; m != nil; m = m.or {
			take(m.from...)
			if traits[m.col].kind != schemas.String || len(m.from) > 0 && n.oneText(m, rec) != "" {
				break
			}
		}
	}
	return used
}

// currency makes a quantity of an amount that is not in dollars. A quantity of
// the row's own goes to extra_json then.
func (n *Normalizer) currency(paths map[string]bool, members []leaf, used map[string]bool) {
	name := ""
	for _, m := range members {
		if paths[m.path] {
			name, used[m.path] = m.text, true
		}
	}
	if strings.EqualFold(name, "usd") {
		return
	}
	delete(used, "quantity")
	delete(used, "quantityUnit")
	n.row.SetDouble(schemas.Quantity, float64(n.row.Int(schemas.ReportedCostUSD))/1e9)
	n.row.Clear(schemas.QuantityUnit)
	if name != "" {
		n.row.SetString(schemas.QuantityUnit, name)
	}
	n.row.Clear(schemas.ReportedCostUSD)
	n.read = slices.DeleteFunc(n.read, func(q quantity) bool { return q.col == schemas.ReportedCostUSD })
}

// searches moves the requests of a report on web searches to their column: the
// reports on web searches and on file searches look alike but for their names.
func (n *Normalizer) searches() schemas.Reason {
	if n.row.Str(schemas.Operation) != "web_searches" || !n.row.Has(schemas.Quantity) {
		return ""
	}
	v := n.row.Double(schemas.Quantity)
	switch {
	case v < 0:
		return schemas.NegativeCount
	case v > maxCount:
		return schemas.CountTooLarge
	case v != math.Trunc(v):
		return schemas.NotNumber
	}
	n.row.SetInt(schemas.WebSearchRequests, int64(v))
	n.read = append(n.read, quantity{schemas.WebSearchRequests, int64(v) * 1e6})
	n.row.Clear(schemas.Quantity)
	n.row.Clear(schemas.QuantityUnit)
	return ""
}

// bucketID is the same for all exports of one bucket: the hash of its dialect,
// operation, begin and end, and of all members that do not measure.
func (n *Normalizer) bucketID(p *plan, members []leaf) string {
	var sum xxh3.Hasher128
	add := func(text string) {
		sum.Write(binary.AppendUvarint(nil, uint64(len(text))))
		_, _ = sum.WriteString(text)
	}
	add(p.entry.Name)
	add(cmp.Or(n.row.Str(schemas.Operation), p.entry.Operation))
	for _, c := range []schemas.Col{schemas.EventTime, schemas.BucketEnd} {
		sum.Write(binary.LittleEndian.AppendUint64(nil, uint64(n.row.Int(c))))
	}
	r := p.entry.reading
	for _, m := range members {
		path := m.path
		switch {
		case r.aside[path], r.measures[path], m.text == "", m.kind == schemas.Number && !r.texts[path]:
			continue
		case r.currency[path]:
			path = "currency"
		}
		add(path)
		add(m.text)
	}
	return hashID(sum.Sum128())
}

// spare writes the members that no column takes into extra_json, and tells of
// those that the dialect does not know.
func (n *Normalizer) spare(p *plan, members []leaf, used map[string]bool) {
	r := p.entry.reading
	out := []byte{'{'}
	for _, m := range members {
		if used[m.path] || r.aside[m.path] {
			continue
		}
		if n.unknown != nil && !r.texts[m.path] && !r.measures[m.path] && !r.kept[m.path] && !r.currency[m.path] {
			n.unknown(p.entry.Name, m.name, nil)
		}
		if !isWord(m.name) || utf8.RuneCountInString(m.text) > maxExtraText || len(out)+len(m.name)+2*len(m.text)+6 > maxExtra {
			n.flags |= flagExtraCut
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(appendText(out, m.name), ':')
		if m.kind == schemas.Text {
			out = appendText(out, secret.Anywhere(m.text))
		} else {
			out = append(out, m.text...)
		}
	}
	if len(out) > 1 {
		n.row.SetString(schemas.ExtraJSON, string(append(out, '}')))
	}
}
