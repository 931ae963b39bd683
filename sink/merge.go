package sink

import (
	"cmp"
	"slices"
	"strings"

	"usagelake/schemas"
)

// Copies of a call are the same call: rows with one call key. The winner is
// the most complete one: largest output, then input, then the latest, then the
// first by place. It does not depend on the order of loads.

// place is where a row was read. Two rows of one place are the same row.
type place struct {
	source    int32
	line, row int64
}

// call is what a merge must know of a row.
type call struct {
	ref    Ref
	old    bool // it is in the table already
	key    schemas.CallKey
	scope  schemas.Scope
	reuse  uint64
	at     place
	time   int64
	output float64 // -1 where NULL
	input  float64
}

// Loss is a row that gave way.
type Loss struct {
	Ref Ref
	Old bool  // it was in the table
	By  int32 // source of the row it gave way to
}

func makeCall(b *schemas.Batch, ref Ref, old bool, rule func(dialect string) schemas.KeyRule) call {
	i := int(ref.Row)
	c := call{
		ref: ref, old: old,
		at:     place{b.Source.Value(i), b.Int(schemas.SourceLine, i), b.Int(schemas.SourceRow, i)},
		time:   b.Int(schemas.EventTime, i),
		output: -1, input: -1,
	}
	if !b.Null(schemas.OutputTokens, i) {
		c.output = b.Double(schemas.OutputTokens, i)
	}
	if !b.Null(schemas.InputTokens, i) {
		c.input = b.Double(schemas.InputTokens, i)
	}
	if id := identity(b, i); id.RequestID != "" {
		c.key, c.scope = id.Key(rule(id.Dialect))
		c.reuse = id.Reuse()
	}
	return c
}

func identity(b *schemas.Batch, i int) schemas.Identity {
	id := schemas.Identity{RequestID: b.Str(schemas.RequestID, i)}
	if id.RequestID == "" {
		return id
	}
	id.Dialect = b.Str(schemas.Dialect, i)
	id.TransportID = b.Str(schemas.TransportID, i)
	id.Model = b.Str(schemas.Model, i)
	id.TimeSource = b.Str(schemas.EventTimeSource, i)
	id.Flags = b.Str(schemas.QualityFlags, i)
	id.EventTime = b.Int(schemas.EventTime, i)
	return id
}

// better orders copies of a call, the winner first.
func better(sources *Sources) func(a, b call) int {
	return func(a, b call) int {
		return cmp.Or(
			cmp.Compare(b.output, a.output),
			cmp.Compare(b.input, a.input),
			cmp.Compare(b.time, a.time),
			byPlace(sources, a.at, b.at),
		)
	}
}

// byPlace orders rows by source_file, source_line, source_row, source_id.
func byPlace(sources *Sources, a, b place) int {
	if a.source == b.source {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.row, b.row))
	}
	s, t := sources.At(a.source), sources.At(b.source)
	return cmp.Or(
		strings.Compare(s.File, t.File),
		cmp.Compare(a.line, b.line),
		cmp.Compare(a.row, b.row),
		strings.Compare(s.ID, t.ID),
	)
}

// Merger merges new rows into one unit of the table.
type Merger struct {
	Rule    func(dialect string) schemas.KeyRule
	Sources *Sources
	// Lost holds the places of rows that lost to a copy on another day, with
	// the winner's source; see CrossDay.
	Lost map[Lost]int32
}

// Lost names a row across units.
type Lost struct {
	Unit schemas.Unit
	at   place
}

// Merged is the outcome for one unit.
type Merged struct {
	Rows   Rows
	Losses []Loss
	// Changed: the unit's file must be written anew. An unchanged unit keeps
	// its file.
	Changed bool
	// AnyDay counts rows whose copies are looked for on every day.
	AnyDay int64
}

// Merge deduplicates and sorts the rows of a unit. The first old batches are
// those that the table holds already; the result refers to all of them.
func (m *Merger) Merge(unit schemas.Unit, batches []*schemas.Batch, old int) Merged {
	var out Merged
	calls := make([]call, 0, rowCount(batches))
	seen := map[place]bool{}
	for bi, b := range batches {
		for i := range b.Len() {
			c := makeCall(b, Ref{Batch: int32(bi), Row: int32(i)}, bi < old, m.Rule)
			if by, lost := m.Lost[Lost{unit, c.at}]; lost {
				out.Losses = append(out.Losses, Loss{c.ref, c.old, by})
				continue
			}
			if old > 0 { // only what is there can be loaded again
				if seen[c.at] {
					out.Losses = append(out.Losses, Loss{c.ref, c.old, c.at.source})
					continue
				}
				seen[c.at] = true
			}
			calls = append(calls, c)
		}
	}
	calls = m.sameDay(calls, &out)
	slices.SortFunc(calls, func(a, b call) int {
		return cmp.Or(cmp.Compare(a.time, b.time), byPlace(m.Sources, a.at, b.at))
	})
	reused := reusedIDs(calls)
	out.Rows = Rows{Batches: batches, Sources: m.Sources, Order: make([]Ref, len(calls)), Flags: map[int]string{}}
	for i, c := range calls {
		out.Rows.Order[i] = c.ref
		b := batches[c.ref.Batch]
		was := b.Str(schemas.QualityFlags, int(c.ref.Row))
		if now := withReuse(was, c.scope != schemas.NoCopies && reused[c.reuse]); now != was {
			out.Rows.Flags[i] = now
		}
		if c.scope == schemas.AnyDay {
			out.AnyDay++
		}
		out.Changed = out.Changed || !c.old
	}
	for _, l := range out.Losses {
		out.Changed = out.Changed || l.Old
	}
	return out
}

// sameDay keeps the best of the copies whose key holds their time. The others
// CrossDay has decided on.
func (m *Merger) sameDay(calls []call, out *Merged) []call {
	better := better(m.Sources)
	best := make(map[schemas.CallKey]int, len(calls))
	kept := calls[:0]
	for _, c := range calls {
		if c.scope != schemas.SameDay {
			kept = append(kept, c)
			continue
		}
		i, copied := best[c.key]
		if !copied {
			best[c.key] = len(kept)
			kept = append(kept, c)
			continue
		}
		if better(c, kept[i]) < 0 {
			c, kept[i] = kept[i], c
		}
		out.Losses = append(out.Losses, Loss{c.ref, c.old, kept[i].at.source})
	}
	return kept
}

// reusedIDs are the ids that several calls of the unit carry.
func reusedIDs(calls []call) map[uint64]bool {
	first := make(map[uint64]schemas.CallKey, len(calls))
	reused := map[uint64]bool{}
	for _, c := range calls {
		if c.scope == schemas.NoCopies {
			continue
		}
		if key, ok := first[c.reuse]; !ok {
			first[c.reuse] = c.key
		} else if key != c.key {
			reused[c.reuse] = true
		}
	}
	return reused
}

// withReuse puts the flag id_reused into quality_flags, or takes it out.
func withReuse(list string, reused bool) string {
	if schemas.HasFlag(list, schemas.FlagIDReused) == reused {
		return list
	}
	var names []string
	if list != "" {
		names = strings.Split(list, ",")
	}
	if reused {
		names = append(names, schemas.FlagIDReused)
		slices.Sort(names)
	} else {
		names = slices.DeleteFunc(names, func(n string) bool { return n == schemas.FlagIDReused })
	}
	return strings.Join(names, ",")
}

func rowCount(batches []*schemas.Batch) int {
	n := 0
	for _, b := range batches {
		n += b.Len()
	}
	return n
}

// Wide are rows whose copies can lie on other days: those with an id whose key
// does not hold their time.
type Wide struct {
	rule func(dialect string) schemas.KeyRule
	rows []wideRow
	keys map[schemas.CallKey]bool // of new rows
	ids  map[schemas.Unit][]string
	any  []string // ids to be looked for on every day
}

type wideRow struct {
	call
	unit schemas.Unit
}

// NewWide makes an empty collection.
func NewWide(rule func(dialect string) schemas.KeyRule) *Wide {
	return &Wide{rule: rule, keys: map[schemas.CallKey]bool{}, ids: map[schemas.Unit][]string{}}
}

// Len is the count of rows collected.
func (w *Wide) Len() int { return len(w.rows) }

// AddNew collects the wide rows of a new batch.
func (w *Wide) AddNew(unit schemas.Unit, b *schemas.Batch) {
	for i := range b.Len() {
		id := identity(b, i)
		switch id.Scope(w.rule(id.Dialect)) {
		case schemas.NearDays:
			for _, day := range []schemas.Day{unit.Day - 1, unit.Day, unit.Day + 1} {
				near := schemas.Unit{Day: day, Bucket: unit.Bucket}
				w.ids[near] = append(w.ids[near], id.RequestID)
			}
		case schemas.AnyDay:
			w.any = append(w.any, id.RequestID)
		default:
			continue
		}
		c := makeCall(b, Ref{Row: int32(i)}, false, w.rule)
		w.keys[c.key] = true
		w.rows = append(w.rows, wideRow{c, unit})
	}
}

// Ask lists the request ids whose copies may lie in a unit. anyDay tells that
// the unit holds rows that are copies whatever their day.
func (w *Wide) Ask(unit schemas.Unit, anyDay bool) []string {
	if !anyDay {
		return append(slices.Clip(w.any), w.ids[unit]...)
	}
	ids := slices.Clip(w.any)
	for _, list := range w.ids {
		ids = append(ids, list...)
	}
	return ids
}

// AddOld collects rows of the table that are copies of new ones.
func (w *Wide) AddOld(unit schemas.Unit, b *schemas.Batch) {
	for i := range b.Len() {
		c := makeCall(b, Ref{Row: int32(i)}, true, w.rule)
		if (c.scope == schemas.NearDays || c.scope == schemas.AnyDay) && w.keys[c.key] {
			w.rows = append(w.rows, wideRow{c, unit})
		}
	}
}

// CrossDay decides between copies: a copy loses to a better one that was kept
// and is at most a day away, or any distance away where the time of one of
// them is not the call's own. It returns the losers, with the winner's source,
// and the units that lose rows.
func (w *Wide) CrossDay(sources *Sources) map[Lost]int32 {
	better := better(sources)
	slices.SortFunc(w.rows, func(a, b wideRow) int {
		return cmp.Or(slices.Compare(a.key[:], b.key[:]), better(a.call, b.call), a.unit.Compare(b.unit))
	})
	lost := map[Lost]int32{}
	for len(w.rows) > 0 {
		n := 1
		for n < len(w.rows) && w.rows[n].key == w.rows[0].key {
			n++
		}
		var kept []wideRow
		for _, r := range w.rows[:n] {
			i := slices.IndexFunc(kept, func(k wideRow) bool { return copies(k, r) })
			if i < 0 {
				kept = append(kept, r)
			} else if kept[i].at != r.at || kept[i].unit != r.unit {
				lost[Lost{r.unit, r.at}] = kept[i].at.source
			}
		}
		w.rows = w.rows[n:]
	}
	return lost
}

func copies(a, b wideRow) bool {
	if a.scope == schemas.AnyDay || b.scope == schemas.AnyDay {
		return true
	}
	d := a.unit.Day - b.unit.Day
	return -1 <= d && d <= 1
}
