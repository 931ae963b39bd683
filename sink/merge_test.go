package sink

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"usagelake/schemas"
	"usagelake/sink/disk"
	"usagelake/sink/disk/faults"
)

// testRules are those of dialects that make every kind of key.
func testRules(dialect string) schemas.KeyRule {
	return map[string]schemas.KeyRule{
		"a.body":      {Time: true, Model: true},
		"a.plain":     {},
		"b.transport": {Transport: true},
		"c.model":     {Model: true},
	}[dialect]
}

// modelRow is a row as the model sees it.
type modelRow struct {
	source    Source
	line, row int64
	time      int64
	from      string // event_time_source
	id        string
	dialect   string
	model     string
	transport string
	in, out   int64 // -1: NULL
	cost      int64
	flags     string // without id_reused
	label     string // tells rows apart that are equal in all else
	old       bool
}

func (r *modelRow) unit(buckets int) schemas.Unit {
	key, scope := r.key()
	u := schemas.Unit{Day: schemas.DayOf(r.time), Bucket: key.Bucket(buckets)}
	if scope == schemas.NoCopies {
		u.Bucket = schemas.PlaceBucket(r.source.File, r.line, r.row, buckets)
	}
	return u
}

func (r *modelRow) key() (schemas.CallKey, schemas.Scope) {
	id := schemas.Identity{
		Dialect: r.dialect, RequestID: r.id, TransportID: r.transport, Model: r.model,
		TimeSource: r.from, Flags: r.flags, EventTime: r.time,
	}
	return id.Key(testRules(r.dialect))
}

// id is what a row shares with others of the same id, copies or not.
func (r *modelRow) reuse() string {
	family, _, _ := strings.Cut(r.dialect, ".")
	return family + " " + r.id
}

func (r *modelRow) fill(to *schemas.Row, source int32) {
	to.Reset()
	to.Source = source
	to.SetInt(schemas.EventTime, r.time)
	to.SetString(schemas.EventTimeSource, r.from)
	to.SetString(schemas.Dialect, r.dialect)
	to.SetString(schemas.UserID, r.label)
	to.SetInt(schemas.SourceLine, r.line)
	to.SetInt(schemas.SourceRow, r.row)
	to.SetInt(schemas.ImageCount, r.line)
	for c, v := range map[schemas.Col]string{
		schemas.RequestID: r.id, schemas.Model: r.model, schemas.TransportID: r.transport, schemas.QualityFlags: r.flags,
	} {
		if v != "" {
			to.SetString(c, v)
		}
	}
	if r.in >= 0 {
		to.SetDouble(schemas.InputTokens, float64(r.in))
	}
	if r.out >= 0 {
		to.SetDouble(schemas.OutputTokens, float64(r.out))
	}
	if r.cost > 0 {
		to.SetInt(schemas.ReportedCostUSD, r.cost)
	}
}

func compareModel(a, b *modelRow) int {
	return cmp.Or(cmp.Compare(a.time, b.time), comparePlace(a, b))
}

func comparePlace(a, b *modelRow) int {
	return cmp.Or(strings.Compare(a.source.File, b.source.File), cmp.Compare(a.line, b.line), cmp.Compare(a.row, b.row), strings.Compare(a.source.ID, b.source.ID))
}

// modelTable is what a merge must make of a table and new rows.
type modelTable struct {
	rows    []*modelRow // all, in order
	reused  map[*modelRow]bool
	beaten  map[[2]Source]int64
	changes map[schemas.Unit]Change
	kept    map[Source]Tally
	lost    map[Source]Tally
	removed map[Source]Tally
	flags   map[string]int64
}

// mergeModel is the naive model: all against all.
func mergeModel(table, fresh []*modelRow, again, forget map[Source]bool, buckets int) *modelTable {
	out := &modelTable{
		reused: map[*modelRow]bool{}, beaten: map[[2]Source]int64{}, changes: map[schemas.Unit]Change{},
		kept: map[Source]Tally{}, lost: map[Source]Tally{}, removed: map[Source]Tally{}, flags: map[string]int64{},
	}
	change := func(r *modelRow, f func(c *Change, anyDay int64)) {
		u := r.unit(buckets)
		c := out.changes[u]
		c.Unit = u
		_, scope := r.key()
		n := int64(0)
		if scope == schemas.AnyDay {
			n = 1
		}
		f(&c, n)
		out.changes[u] = c
	}
	count := func(to map[Source]Tally, r *modelRow) {
		t := to[r.source]
		t.Rows++
		var row schemas.Row
		r.fill(&row, 0)
		t.Sums.AddRow(&row)
		to[r.source] = t
	}
	remove := func(r *modelRow) {
		count(out.removed, r)
		change(r, func(c *Change, anyDay int64) { c.Gone++; c.Write = true; c.AnyDay -= anyDay })
	}
	var live []*modelRow
	for _, r := range table {
		if forget[r.source] {
			remove(r)
		} else {
			live = append(live, r)
		}
	}
	at := len(live)
	for _, r := range fresh {
		change(r, func(c *Change, _ int64) { c.Rows++ })
		if again[r.source] && slices.ContainsFunc(live[:at], func(o *modelRow) bool {
			return o.source == r.source && o.line == r.line && o.row == r.row
		}) {
			count(out.lost, r)
			continue
		}
		live = append(live, r)
	}

	slices.SortStableFunc(live, func(a, b *modelRow) int {
		return cmp.Or(cmp.Compare(b.out, a.out), cmp.Compare(b.in, a.in), cmp.Compare(b.cost, a.cost), cmp.Compare(b.time, a.time), comparePlace(a, b))
	})
	for _, r := range live {
		key, scope := r.key()
		by := slices.IndexFunc(out.rows, func(k *modelRow) bool {
			other, at := k.key()
			if scope == schemas.NoCopies || at == schemas.NoCopies || other != key {
				return false
			}
			apart := schemas.DayOf(r.time) - schemas.DayOf(k.time)
			return scope == schemas.AnyDay || at == schemas.AnyDay || -1 <= apart && apart <= 1
		})
		switch {
		case by >= 0:
			if k := out.rows[by]; k.source != r.source {
				out.beaten[[2]Source{r.source, k.source}]++
			}
			if r.old {
				remove(r)
			} else {
				count(out.lost, r)
			}
			continue
		case !r.old:
			count(out.kept, r)
			change(r, func(c *Change, anyDay int64) { c.Write = true; c.AnyDay += anyDay })
		}
		out.rows = append(out.rows, r)
	}
	for _, r := range out.rows {
		key, _ := r.key()
		out.reused[r] = r.id != "" && slices.ContainsFunc(out.rows, func(o *modelRow) bool {
			other, _ := o.key()
			return o.id == r.id && o.reuse() == r.reuse() && o.unit(buckets) == r.unit(buckets) && other != key
		})
		if !r.old {
			for name := range strings.SplitSeq(withReuse(r.flags, out.reused[r]), ",") {
				if name != "" {
					out.flags[name]++
				}
			}
		}
	}
	slices.SortFunc(out.rows, compareModel)
	maps.DeleteFunc(out.changes, func(_ schemas.Unit, c Change) bool { return c.Rows == 0 && c.Gone == 0 })
	return out
}

// mergeTable is a table in memory.
type mergeTable struct {
	files   map[schemas.Unit][]byte
	rows    map[schemas.Unit]int64
	anyDay  map[schemas.Unit]int64
	sources map[Source]bool // that have rows in it
}

func newMergeTable() *mergeTable {
	return &mergeTable{map[schemas.Unit][]byte{}, map[schemas.Unit]int64{}, map[schemas.Unit]int64{}, map[Source]bool{}}
}

// way is how a merge is done; what it makes does not depend on it.
type way struct {
	share, reading int64
	intakes, jobs  int
	shuffle        uint64 // seed of the order that rows come in; 0: as they are
	fs             disk.FS
	emit           func() error // called before every chunk; may be nil
	next           func()       // called before every batch of the table; may be nil
}

// merged is what a merge made.
type merged struct {
	files   map[schemas.Unit][]byte // nil: the unit is empty now
	changes []Change
	out     *Outcome
	beaten  map[[2]Source]int64
	sources *Sources
}

// hooked calls next before every batch, from any goroutine.
type hooked struct {
	Batches
	next func()
}

func (h hooked) Next() (*schemas.Batch, error) {
	if h.next != nil {
		h.next()
	}
	return h.Batches.Next()
}

// merge merges rows into a table as a load does.
func (t *mergeTable) merge(ctx context.Context, w way, fresh []*modelRow, again, forget map[Source]bool, buckets int, mem memory.Allocator) (_ *merged, err error) {
	out := &merged{files: map[schemas.Unit][]byte{}, out: NewOutcome(), beaten: map[[2]Source]int64{}, sources: &Sources{}}
	if w.fs == nil {
		w.fs = newTrimmed(faults.NewMem())
		if err := w.fs.MkdirAll("scratch", 0o700); err != nil {
			return nil, err
		}
	}
	index := map[Source]int32{}
	intern := func(src Source) int32 {
		i, ok := index[src]
		if !ok {
			known := src
			if !t.sources[src] && !again[src] && !forget[src] {
				known.ID = "" // until it was read
			}
			i = out.sources.Intern(known)
			index[src] = i
		}
		return i
	}
	indices := func(of map[Source]bool) map[int32]bool {
		set := map[int32]bool{}
		for src := range of {
			set[intern(src)] = true
		}
		return set
	}
	againAt, forgetAt := indices(again), indices(forget)
	for _, r := range fresh {
		intern(r.source)
	}
	m := NewMerger(MergerOptions{
		Rule: testRules, Sources: out.sources, Mem: mem, Scratch: Scratch{FS: w.fs, Dir: "scratch"},
		Share: w.share, Reading: w.reading, Buckets: buckets, Empty: len(t.files) == 0, Again: againAt,
	})
	defer func() {
		if e := m.Close(); err == nil {
			err = e
		}
	}()

	fresh = slices.Clone(fresh)
	if w.shuffle != 0 {
		rand.New(rand.NewPCG(w.shuffle, 0)).Shuffle(len(fresh), func(i, j int) { fresh[i], fresh[j] = fresh[j], fresh[i] })
	}
	var wg sync.WaitGroup
	errs := make([]error, w.intakes)
	for k := range w.intakes {
		in := m.Intake()
		wg.Go(func() {
			defer in.Close()
			var row schemas.Row
			for i := k; i < len(fresh) && errs[k] == nil; i += w.intakes {
				fresh[i].fill(&row, index[fresh[i].source])
				in.Row.Set(&row)
				errs[k] = in.Add()
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for src, i := range index {
		out.sources.Set(i, src)
	}

	file := func(u schemas.Unit) File {
		return File{Unit: u, Rows: t.rows[u], Open: func(cols ...schemas.Col) (Batches, error) {
			r, err := OpenRows(bytes.NewReader(t.files[u]), int64(len(t.files[u])), schemas.Usage, mem, out.sources, cols...)
			return hooked{r, w.next}, err
		}}
	}
	comesFrom := func(u schemas.Unit, of map[Source]bool) (bool, error) {
		list, err := SourceIDs(bytes.NewReader(t.files[u]), int64(len(t.files[u])), schemas.Usage)
		return slices.ContainsFunc(list, func(id string) bool {
			for src := range of {
				if src.ID == id {
					return true
				}
			}
			return false
		}), err
	}
	units := slices.SortedFunc(maps.Keys(t.files), schemas.Unit.Compare)
	for _, u := range units {
		comes, err := comesFrom(u, forget)
		if err == nil && comes {
			err = m.Forget(file(u), forgetAt)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, u := range units {
		may, asked := m.Ask(u, t.anyDay[u] > 0)
		var err error
		if !may && len(asked) > 0 {
			may, err = MayHold(bytes.NewReader(t.files[u]), int64(len(t.files[u])), schemas.Usage, asked)
		}
		if err == nil && !may {
			may, err = comesFrom(u, again)
		}
		if err == nil && may {
			err = m.Old(file(u))
		}
		if err != nil {
			return nil, err
		}
	}
	if err := m.Decide(ctx, w.jobs); err != nil {
		return nil, err
	}
	out.changes = m.Units()
	for _, c := range out.changes {
		if !c.Write {
			rows, err := m.Merge(ctx, c.Unit, nil)
			if err != nil {
				return nil, err
			}
			out.out.Add(rows)
			continue
		}
		var buf bytes.Buffer
		var pw *Writer
		rows, err := m.Merge(ctx, c.Unit, func(rows Rows) error {
			if w.emit != nil {
				if err := w.emit(); err != nil {
					return err
				}
			}
			if pw == nil {
				var err error
				if pw, err = NewWriter(&buf, c.Unit, out.sources, ""); err != nil {
					return err
				}
			}
			return pw.Write(rows)
		})
		if err != nil {
			if pw != nil {
				_, _ = pw.Close()
			}
			return nil, err
		}
		out.out.Add(rows)
		out.files[c.Unit] = nil
		if pw != nil {
			facts, err := pw.Close()
			if err != nil {
				return nil, err
			}
			got, err := Verify(bytes.NewReader(buf.Bytes()), int64(buf.Len()), c.Unit, 1)
			if err != nil {
				return nil, err
			}
			if got != facts {
				return nil, errors.New("read back: the file does not hold what was written")
			}
			out.files[c.Unit] = buf.Bytes()
		}
	}
	for p, n := range m.Beaten() {
		out.beaten[[2]Source{out.sources.At(p.Source), out.sources.At(p.By)}] += n
	}
	return out, nil
}

// take makes the table what the merge made of it.
func (t *mergeTable) take(m *merged) error {
	for _, c := range m.changes {
		t.anyDay[c.Unit] += c.AnyDay
	}
	for u, data := range m.files {
		delete(t.files, u)
		if data == nil {
			continue
		}
		facts, err := Verify(bytes.NewReader(data), int64(len(data)), u, 1)
		if err != nil {
			return err
		}
		t.files[u], t.rows[u] = data, facts.Rows
	}
	t.sources = map[Source]bool{}
	for _, data := range t.files {
		var sources Sources
		batches, err := Read(bytes.NewReader(data), int64(len(data)), schemas.Usage, memory.DefaultAllocator, &sources, schemas.EventTime)
		if err != nil {
			return err
		}
		for _, b := range batches {
			for _, i := range b.Source.Int32Values() {
				t.sources[sources.At(i)] = true
			}
			b.Release()
		}
	}
	return nil
}

// lines are the rows of the table in its order, as texts.
func (t *mergeTable) lines() (map[schemas.Unit][]string, error) {
	out := map[schemas.Unit][]string{}
	for u, data := range t.files {
		var sources Sources
		batches, err := Read(bytes.NewReader(data), int64(len(data)), schemas.Usage, memory.DefaultAllocator, &sources)
		if err != nil {
			return nil, err
		}
		for _, b := range batches {
			var r schemas.Row
			for i := range b.Len() {
				b.Row(i, &r)
				out[u] = append(out[u], lineOf(&r, sources.At(r.Source)))
			}
			b.Release()
		}
	}
	return out, nil
}

func lineOf(r *schemas.Row, src Source) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s %s", src.File, src.ID)
	for c := range schemas.NumColumns {
		if r.Has(c) {
			fmt.Fprintf(&s, " %v=%v/%v/%v", c, r.Int(c), r.Double(c), r.Str(c))
		}
	}
	return s.String()
}

func (m *modelTable) lines(buckets int) map[schemas.Unit][]string {
	out := map[schemas.Unit][]string{}
	for _, r := range m.rows {
		var row schemas.Row
		r.fill(&row, 0)
		if flags := withReuse(r.flags, m.reused[r]); flags != "" {
			row.SetString(schemas.QualityFlags, flags)
		}
		u := r.unit(buckets)
		out[u] = append(out[u], lineOf(&row, r.source))
	}
	return out
}

// world makes rows that often have to do with each other.
type world struct {
	rnd    *rand.Rand
	ids    int
	days   int
	kinds  []string // values of dialect
	steady bool     // times stay as they are
	labels int
	times  []string         // values of event_time_source
	taken  map[Source]int64 // lines of sources so far
}

const worldDay = schemas.Day(20_000)

func oneOf[T any](rnd *rand.Rand, list ...T) T { return list[rnd.IntN(len(list))] }

func (w *world) row(src Source, line, row int64) *modelRow {
	w.labels++
	at := worldDay + schemas.Day(w.rnd.IntN(w.days))
	r := &modelRow{
		source: src, line: line, row: row,
		time:    at.Start() + oneOf[int64](w.rnd, 0, 0, 1, 43_200_000_000, 86_399_999_999),
		from:    oneOf(w.rnd, w.times...),
		dialect: oneOf(w.rnd, w.kinds...),
		model:   oneOf(w.rnd, "", "m", "m", "n"),
		in:      int64(w.rnd.IntN(4)) - 1, out: int64(w.rnd.IntN(4)) - 1,
		cost:  int64(w.rnd.IntN(3)) * 1_000_001,
		flags: oneOf(w.rnd, "", "", "", schemas.FlagIDFromContent, schemas.FlagModelFilled, "fractional_tokens,total_derived"),
		label: fmt.Sprint("row ", w.labels),
	}
	if n := w.rnd.IntN(w.ids + 1); n < w.ids {
		r.id = fmt.Sprint("id-", n)
	}
	if r.dialect == "b.transport" {
		r.transport = oneOf(w.rnd, "", "t", "u")
	}
	return r
}

// copyOf is the same row, loaded again by a run that may read it otherwise.
func (w *world) copyOf(r *modelRow) *modelRow {
	c := *r
	w.labels++
	c.old, c.label = false, fmt.Sprint("row ", w.labels)
	if w.rnd.IntN(3) == 0 {
		other := w.row(r.source, r.line, r.row)
		return other
	}
	return &c
}

// fresh draws the rows of one merge, and what is read again or forgotten.
func (w *world) fresh(n int, table []*modelRow, known []Source, first bool) (rows []*modelRow, again, forget map[Source]bool) {
	again, forget = map[Source]bool{}, map[Source]bool{}
	if first || !w.steady {
		w.times = oneOf(w.rnd,
			[]string{schemas.FromBody, schemas.FromBody, schemas.FromEnvelope, schemas.FromEnvelope, schemas.FromFileTime, schemas.FromFlag},
			[]string{schemas.FromBody}, []string{schemas.FromEnvelope}, []string{schemas.FromFileTime},
		)
	}
	var active []Source
	for i := range 1 + w.rnd.IntN(3) { // new ones; some have the same file
		active = append(active, Source{File: oneOf(w.rnd, "f", "f", "g", "h/i"), ID: fmt.Sprintf("%c-%d-%d", 'a'+rune(w.rnd.IntN(26)), w.labels, i)})
	}
	used := map[[3]any]bool{}
	if !first {
		for _, src := range known {
			switch w.rnd.IntN(4) {
			case 0:
				again[src] = true
				active = append(active, src)
			case 1:
				active = append(active, src)
			case 2:
				if w.rnd.IntN(2) == 0 {
					forget[src] = true
				}
			}
		}
		for _, r := range table {
			if again[r.source] && w.rnd.IntN(4) > 0 {
				c := w.copyOf(r)
				used[[3]any{c.source, c.line, c.row}] = true
				rows = append(rows, c)
			}
		}
	}
	for range n {
		src := oneOf(w.rnd, active...)
		if again[src] && w.rnd.IntN(2) == 0 { // a row that is there, or was lost
			line := 1 + w.rnd.Int64N(w.taken[src]+1)
			if at := [3]any{src, line, int64(0)}; !used[at] {
				used[at] = true
				rows = append(rows, w.row(src, line, 0))
			}
			continue
		}
		if w.rnd.IntN(5) > 0 || w.taken[src] == 0 {
			w.taken[src]++
		}
		row := int64(0)
		for used[[3]any{src, w.taken[src], row}] || !first && slices.ContainsFunc(table, func(o *modelRow) bool {
			return o.source == src && o.line == w.taken[src] && o.row == row
		}) {
			row += 1024
		}
		used[[3]any{src, w.taken[src], row}] = true
		rows = append(rows, w.row(src, w.taken[src], row))
	}
	return rows, again, forget
}

type checkedT struct{ *rapid.T }

func (checkedT) Helper() {}

// Whatever comes in, however it is taken in: the table, the books and what is
// told of units are those of the naive model, and the bytes do not depend on
// memory, the number of intakes or the order of rows.
func TestMergerLikeTheModel(t *testing.T) {
	checks, merges, copies, reused, spilled := 0, 0, 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		checks++
		w := &world{
			rnd:  rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0)),
			ids:  rapid.IntRange(1, 5).Draw(rt, "ids"),
			days: rapid.SampledFrom([]int{1, 2, 3, 5, 20}).Draw(rt, "days"), taken: map[Source]int64{},
			steady: rapid.Bool().Draw(rt, "steady"),
			kinds:  rapid.SampledFrom([][]string{{"a.plain"}, {"c.model"}, {"a.body", "a.plain", "b.transport", "c.model"}}).Draw(rt, "kinds"),
		}
		buckets := rapid.SampledFrom([]int{1, 1, 3}).Draw(rt, "buckets")
		table := newMergeTable()
		var rows []*modelRow
		for step := range rapid.IntRange(1, 3).Draw(rt, "merges") {
			merges++
			known := map[Source]bool{}
			for _, r := range rows {
				known[r.source] = true
			}
			list := slices.SortedFunc(maps.Keys(known), func(a, b Source) int { return strings.Compare(a.ID, b.ID) })
			n := rapid.SampledFrom([]int{0, 1, 1, 2, 3, 12, 40, 150}).Draw(rt, "rows")
			fresh, again, forget := w.fresh(n, rows, list, step == 0)
			want := mergeModel(rows, fresh, again, forget, buckets)

			mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
			var reference *merged
			for i, way := range []way{
				{share: 1 << 40, reading: 1 << 40, intakes: 1, jobs: 1},
				{
					share:   rapid.SampledFrom([]int64{1, 20_000, 200_000, 1 << 40}).Draw(rt, "share"),
					reading: rapid.SampledFrom([]int64{1, 700_000, 1 << 40}).Draw(rt, "reading"),
					intakes: rapid.IntRange(1, 3).Draw(rt, "intakes"), jobs: rapid.IntRange(1, 3).Draw(rt, "jobs"),
					shuffle: rapid.Uint64().Draw(rt, "shuffle"),
				},
			} {
				got, err := table.merge(t.Context(), way, fresh, again, forget, buckets, mem)
				if err != nil {
					rt.Fatalf("merge %d: %v", step, err)
				}
				mem.AssertSize(checkedT{rt}, 0)
				checkMerge(rt, fmt.Sprintf("merge %d, way %d", step, i), want, got)
				if i == 0 {
					reference = got
					continue
				}
				if way.share < 1<<40 {
					spilled++
				}
				for u, data := range reference.files {
					if !bytes.Equal(data, got.files[u]) || len(reference.files) != len(got.files) {
						rt.Fatalf("merge %d, %s: other bytes with %+v", step, u.Path(), way)
					}
				}
			}
			if err := table.take(reference); err != nil {
				rt.Fatal(err)
			}
			lines, err := table.lines()
			if err != nil {
				rt.Fatal(err)
			}
			if d := gocmp.Diff(want.lines(buckets), lines); d != "" {
				rt.Fatalf("merge %d, -model +table\n%s", step, d)
			}
			rows = want.rows
			anyDay := map[schemas.Unit]int64{}
			for _, r := range rows {
				r.old = true
				if _, scope := r.key(); scope == schemas.AnyDay {
					anyDay[r.unit(buckets)]++
				}
				if want.reused[r] {
					reused++
				}
			}
			maps.DeleteFunc(table.anyDay, func(_ schemas.Unit, n int64) bool { return n == 0 })
			if d := gocmp.Diff(anyDay, table.anyDay); d != "" {
				rt.Fatalf("merge %d: rows with copies on any day, -model +told\n%s", step, d)
			}
			for _, t := range want.lost {
				copies += int(t.Rows)
			}
		}
	})
	t.Logf("%d checks, %d merges of which %d spilled, %d rows lost to others, %d with an id that is reused", checks, merges, spilled, copies, reused)
}

func checkMerge(rt *rapid.T, name string, want *modelTable, got *merged) {
	named := func(m map[int32]*Tally) map[Source]Tally {
		out := map[Source]Tally{}
		for i, t := range m {
			out[got.sources.At(i)] = *t
		}
		return out
	}
	changes := map[schemas.Unit]Change{}
	for _, c := range got.changes {
		if c.Memory <= 0 {
			rt.Errorf("%s: %s takes %d bytes of memory", name, c.Unit.Path(), c.Memory)
		}
		c.Memory = 0
		changes[c.Unit] = c
	}
	for _, part := range []struct {
		name      string
		want, got any
	}{
		{"units", want.changes, changes},
		{"beaten", want.beaten, got.beaten},
		{"kept", want.kept, named(got.out.Kept)},
		{"lost", want.lost, named(got.out.Lost)},
		{"removed", want.removed, named(got.out.Removed)},
		{"flags", want.flags, got.out.Flags},
	} {
		if d := gocmp.Diff(part.want, part.got, cmpopts.EquateEmpty(), gocmp.AllowUnexported(schemas.Amount{}, schemas.Sums{})); d != "" {
			rt.Fatalf("%s, %s: -model +merger\n%s", name, part.name, d)
		}
	}
}

// Whatever fails, and whenever: the merge says so, and no memory is left
// behind.
func TestMergerFails(t *testing.T) {
	for _, how := range []string{"emit", "context", "scratch"} {
		t.Run(how, func(t *testing.T) { mergerFails(t, how) })
	}
}

func mergerFails(t *testing.T, how string) {
	failed := 0
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{
			rnd: rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0)), ids: 5, days: 2, taken: map[Source]int64{},
			kinds: []string{"a.body", "a.plain", "b.transport", "c.model"},
		}
		table := newMergeTable()
		rows, _, _ := w.fresh(40, nil, nil, true)
		first, err := table.merge(t.Context(), way{share: 1 << 40, reading: 1 << 40, intakes: 1, jobs: 1}, rows, nil, nil, 1, memory.DefaultAllocator)
		if err != nil {
			rt.Fatal(err)
		}
		if err := table.take(first); err != nil {
			rt.Fatal(err)
		}
		old := mergeModel(nil, rows, nil, nil, 1).rows
		var known []Source
		for _, r := range old {
			r.old = true
			if !slices.Contains(known, r.source) {
				known = append(known, r.source)
			}
		}
		fresh, again, forget := w.fresh(rapid.SampledFrom([]int{3, 40, 150}).Draw(rt, "rows"), old, known, false)

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		at := rapid.IntRange(0, 12).Draw(rt, "when")
		way := way{
			share: rapid.SampledFrom([]int64{1, 20_000}).Draw(rt, "share"), reading: rapid.SampledFrom([]int64{1, 1 << 40}).Draw(rt, "reading"),
			intakes: rapid.IntRange(1, 2).Draw(rt, "intakes"), jobs: 2,
		}
		var want error
		switch how {
		case "emit":
			want = io.ErrClosedPipe
			n := 0
			way.emit = func() error {
				if n++; n > at%3 {
					return want
				}
				return nil
			}
		case "context":
			want = context.Canceled
			var batches atomic.Int64
			way.next = func() {
				if batches.Add(1) > int64(at) {
					cancel()
				}
			}
		case "scratch":
			want = syscall.ENOSPC
			mem := faults.NewMem()
			if err := mem.MkdirAll("scratch", 0o700); err != nil {
				rt.Fatal(err)
			}
			way.fs = &faults.FS{FS: mem, Fail: func(i int, _ string) error {
				if i == at*7 {
					return want
				}
				return nil
			}}
		}
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		_, err = table.merge(ctx, way, fresh, again, forget, 1, mem)
		mem.AssertSize(checkedT{rt}, 0)
		if err == nil {
			return // nothing came so far
		}
		failed++
		if !errors.Is(err, want) {
			rt.Fatalf("%v, want %v", err, want)
		}
	})
	if failed == 0 {
		t.Error("nothing failed")
	}
}

// More rows than a chunk, a batch and a list of ids hold, taken in and merged
// in narrow and in wide memory: the model's rows, and the same bytes. Every
// row has a copy on the day beside it, in the table or among the new ones.
func TestMergerOfManyRows(t *testing.T) {
	n := askedMost + 2*ChunkRows/3
	if testing.Short() {
		n = 2*ChunkRows + 17
	}
	src := []Source{{"f", "a"}, {"f", "b"}, {"g", "c"}}
	rows := func(from, to int, day schemas.Day, src Source, out int64) (list []*modelRow) {
		for i := from; i < to; i++ {
			list = append(list, &modelRow{
				source: src, line: int64(i + 1), time: day.Start() + int64(i/3), from: schemas.FromEnvelope,
				id: fmt.Sprint("id-", i), dialect: "c.model", out: out, in: -1, label: fmt.Sprint(i % 7),
			})
		}
		return list
	}
	table := newMergeTable()
	wide := way{share: 1 << 40, reading: 1 << 40, intakes: 1, jobs: 2}
	first, err := table.merge(t.Context(), wide, rows(0, n/2, worldDay, src[0], 1), nil, nil, 1, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	if err := table.take(first); err != nil {
		t.Fatal(err)
	}
	// of the table's rows every one gives way; of the new ones the later half
	fresh := append(rows(0, n, worldDay+1, src[1], 3), rows(n/2, n, worldDay, src[2], 2)...)
	stay := fresh[:n:n]
	// and of these each differs from four others in its source's id alone
	for i := range n / 15 {
		for _, id := range []string{"y", "x", "z", "v", "w"} {
			twin := rows(i, i+1, worldDay+5, Source{"twins", id}, 1)[0]
			twin.id = ""
			fresh, stay = append(fresh, twin), append(stay, twin)
		}
	}
	slices.SortFunc(stay, compareModel)
	var want map[schemas.Unit][]byte
	for _, w := range []way{
		wide,
		{share: 3 << 20, reading: 1 << 20, intakes: 2, jobs: 2, shuffle: 1},
		{share: 3 << 20, reading: 1 << 40, intakes: 1, jobs: 1},
	} {
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		got, err := table.merge(t.Context(), w, fresh, nil, nil, 1, mem)
		if err != nil {
			t.Fatal(err)
		}
		mem.AssertSize(t, 0)
		beaten := map[[2]Source]int64{{src[0], src[1]}: int64(n / 2), {src[2], src[1]}: int64(n - n/2)}
		if d := gocmp.Diff(beaten, got.beaten); d != "" {
			t.Errorf("%+v: beaten -want +got\n%s", w, d)
		}
		if len(got.files) != 3 || got.files[schemas.Unit{Day: worldDay}] != nil {
			t.Fatalf("%+v: %d units changed", w, len(got.files))
		}
		if want == nil {
			want = got.files
			after := newMergeTable()
			if err := after.take(got); err != nil {
				t.Fatal(err)
			}
			lines, err := after.lines()
			if err != nil {
				t.Fatal(err)
			}
			model := modelTable{rows: stay}
			if d := gocmp.Diff(model.lines(1), lines); d != "" {
				t.Errorf("-model +table\n%s", d)
			}
		}
		for u, data := range want {
			if !bytes.Equal(data, got.files[u]) {
				t.Errorf("%+v: other bytes of %s", w, u.Path())
			}
		}
	}
}

// Many runs that overlap, in memory for few of them: rows are written again a
// few times, not once for each run.
func TestMergerOfManyRuns(t *testing.T) {
	const n = 100_000
	fresh := make([]*modelRow, n)
	for i := range fresh {
		fresh[i] = &modelRow{
			source: Source{"f", "a"}, line: int64(i + 1), time: worldDay.Start() + int64(i%1000), from: schemas.FromEnvelope,
			id: fmt.Sprint("id-", i), dialect: "c.model", out: 1, in: -1, label: fmt.Sprint(i % 7),
		}
	}
	written := func(reading int64) (bytes int64, files int) {
		fs := faults.NewMem()
		if err := fs.MkdirAll("scratch", 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := newMergeTable().merge(t.Context(), way{share: 100 << 10, reading: reading, intakes: 1, jobs: 1, fs: fs}, fresh, nil, nil, 1, memory.DefaultAllocator)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := fs.ReadDir("scratch")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			bytes += info.Size()
		}
		return bytes, len(entries)
	}
	once, runs := written(1 << 40)
	bytes, files := written(200 << 10)
	t.Logf("%d runs of %d bytes; with little memory %d of %d", runs, once, files, bytes)
	if files == runs {
		t.Fatal("all runs fitted: the test shows nothing")
	}
	if bytes > 2*once {
		t.Errorf("%d bytes written for %d of rows", bytes, once)
	}
}
