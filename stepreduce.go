package usagelake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/sink/disk"
	"usagelake/sink/ledger"
)

// unitDone is what a unit came to in the reduce step.
type unitDone struct {
	Plan string `json:"plan"` // SHA-256
	Maps string `json:"maps"` // gathered.sum

	// Sources are what the numbers below name: those of the table have numbers only
	// where it is read.
	Sources  []sink.Source    `json:"sources"`
	Move     *ledger.Move     `json:"move,omitempty"`
	File     *ledger.File     `json:"file,omitempty"`
	Kept     map[int32]counts `json:"kept,omitempty"` // by source
	Lost     map[int32]counts `json:"lost,omitempty"`
	Removed  map[int32]counts `json:"removed,omitempty"`
	Flags    map[string]int64 `json:"flags,omitempty"`
	Unpriced []unpricedRows   `json:"unpriced,omitempty"`
	Beaten   []beaten         `json:"beaten,omitempty"`
}

// counts is a sink.Tally.
type counts struct {
	Rows int64            `json:"rows"`
	Sums schemas.SumsJSON `json:"sums"`
}

type unpricedRows struct {
	Provider string `json:"provider"`
	Model    string `json:"model"`
	counts
}

type beaten struct {
	Source int32 `json:"source"`
	By     int32 `json:"by"`
	Rows   int64 `json:"rows"`
}

// Units are the files of the tables that the reduce step has to make or to look at:
// their paths below the lake. It is ErrIncomplete while an item of the map step is
// missing.
func (r *Run) Units(ctx context.Context) ([]string, error) {
	if r.done != nil {
		return nil, nil
	}
	g, err := r.gather(ctx)
	if err != nil {
		return nil, err
	}
	units, err := r.units(g)
	var out []string
	for _, u := range units {
		out = append(out, u.Path())
	}
	return out, err
}

func (r *Run) units(g *gathered) ([]schemas.Unit, error) {
	units := map[schemas.Unit]bool{}
	for i := range g.rows {
		if err := r.touched(&mapDone{Rows: g.rows[i].Stored}, units); err != nil {
			return nil, err
		}
	}
	return slices.SortedFunc(maps.Keys(units), schemas.Unit.Compare), nil
}

// Reduce makes those of the units that are not made. It is ErrIncomplete while an item
// of the map step is missing, and safe like Map.
func (r *Run) Reduce(ctx context.Context, units ...string) error {
	if r.done != nil || len(units) == 0 {
		return nil
	}
	g, err := r.gather(ctx)
	if err != nil {
		return err
	}
	var todo []schemas.Unit
	for _, name := range units {
		u, err := schemas.ParseUnit(name)
		if err != nil {
			return err
		}
		todo = append(todo, u)
	}
	done, err := r.made(ctx, todo, g.sum)
	if err != nil {
		return err
	}
	todo = slices.DeleteFunc(todo, func(u schemas.Unit) bool { return done[u] != nil })
	if len(todo) == 0 {
		return nil
	}
	all, err := r.units(g)
	if err != nil {
		return err
	}
	if err := r.allowed(all); err != nil {
		return err
	}
	slices.SortFunc(todo, schemas.Unit.Compare)
	for days := r.reach(g); ; days *= 2 { // until no call reaches further
		far, err := r.reduce(ctx, g, todo, days)
		if err != nil {
			return r.moved(err)
		}
		if !far {
			return nil
		}
	}
}

// allowed guards against a flood of partitions, as a load does.
func (r *Run) allowed(units []schemas.Unit) error {
	var changes []sink.Change
	for _, u := range units {
		changes = append(changes, sink.Change{Unit: u})
	}
	return r.s.allowed(r.lake, changes)
}

// everyDay is a reach beyond any calendar.
const everyDay = 1 << 20

// reach is on how many days around a unit's own calls are looked for that decide on its
// rows, to begin with.
func (r *Run) reach(g *gathered) schemas.Day {
	near, anyDay, anyOld := int64(0), int64(0), int64(0)
	for i := range g.rows {
		for k := range g.rows[i].Sections {
			near += g.rows[i].Sections[k].Near
			anyDay += g.rows[i].Sections[k].AnyDay
		}
	}
	for _, f := range r.lake.State.Files {
		anyOld += f.AnyDay
	}
	switch {
	case anyDay > 0 || near > 0 && anyOld > 0 || len(g.p.again) > 0:
		return everyDay
	case near > 0:
		return 1 // copies are at most a day apart; those of copies are found then
	}
	return 0
}

// reduce makes units, with what is known of so many days around them. It reports
// whether that is too little; then it has made nothing.
func (r *Run) reduce(ctx context.Context, g *gathered, units []schemas.Unit, days schemas.Day) (far bool, err error) {
	s := r.s
	scratch, remove, err := temporary("step")
	if err != nil {
		return false, err
	}
	defer closing(&err, remove)
	merger := newMerger(s, r.lake, scratch, g.p)
	defer closing(&err, merger.Close)
	apart := func(u schemas.Unit) schemas.Day { // from the nearest of the units
		least := schemas.Day(everyDay + 1)
		for _, v := range units {
			if v.On(u.Day) == u {
				least = min(least, max(u.Day-v.Day, v.Day-u.Day))
			}
		}
		return least
	}
	merger.Aim(units, func(u schemas.Unit) bool { return days > 0 && apart(u) == days })
	within := func(u schemas.Unit) bool { return apart(u) <= days }
	from := r.files("map")
	err = sideBySide(ctx, len(g.rows), func(i int) error {
		return merger.Take(from, g.rows[i].Stored, g.rows[i].lines, within)
	})
	if err != nil {
		return false, err
	}
	t := &table{ctx: ctx, lake: r.lake, sources: g.p.sources, mem: s.Allocator, within: within}
	if err := t.copies(ctx, merger, g.p.again); err != nil {
		return false, err
	}
	if err := merger.Decide(ctx, s.Jobs); err != nil {
		return false, err
	}
	if merger.Far() {
		return true, nil
	}
	changed := map[schemas.Unit]bool{}
	changes := merger.Units()
	for _, c := range changes {
		changed[c.Unit] = true
	}
	to := r.files("reduce")
	done := func(u schemas.Unit, out *unitResult) error {
		data, err := json.Marshal(r.stored(g, merger, u, out))
		if err == nil {
			err = to.FS.SyncDir(to.Dir) // the file that it names
		}
		if err != nil {
			return err
		}
		return put(r.lake, r.dir+"/reduce/"+unitName(u)+".json", data)
	}
	if err := t.reduce(ctx, s, merger, changes, r.dir+"/reduce", func(c sink.Change, out *unitResult) error {
		s.Progress(Progress{Step: "reduce"})
		return done(c.Unit, out)
	}); err != nil {
		return false, err
	}
	for _, u := range units {
		if !changed[u] {
			if err := done(u, &unitResult{rows: sink.NewOutcome()}); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// stored is what a unit came to, for the commit step.
func (r *Run) stored(g *gathered, m *sink.Merger, u schemas.Unit, out *unitResult) *unitDone {
	done := &unitDone{Plan: r.sum, Maps: g.sum, Flags: out.rows.Flags}
	if out.move != nil {
		done.Move, done.File = out.move, &out.file
	}
	numbers := map[int32]int32{}
	number := func(src int32) int32 {
		n, ok := numbers[src]
		if !ok {
			n = int32(len(done.Sources))
			numbers[src] = n
			done.Sources = append(done.Sources, g.p.sources.At(src))
		}
		return n
	}
	tallies := func(of map[int32]*sink.Tally) map[int32]counts {
		all := map[int32]counts{}
		for src, t := range of {
			all[number(src)] = storedTally(t)
		}
		return all
	}
	done.Kept, done.Lost, done.Removed = tallies(out.rows.Kept), tallies(out.rows.Lost), tallies(out.rows.Removed)
	for m, t := range out.rows.Unpriced {
		done.Unpriced = append(done.Unpriced, unpricedRows{m.Provider, m.Name, storedTally(t)})
	}
	for pair, n := range m.Beaten(u) {
		done.Beaten = append(done.Beaten, beaten{number(pair.Source), number(pair.By), n})
	}
	return done
}

func storedTally(t *sink.Tally) counts { return counts{t.Rows, schemas.SumsJSON{Sums: t.Sums}} }

func (c counts) tally() *sink.Tally { return &sink.Tally{Rows: c.Rows, Sums: c.Sums.Sums} }

// outcome is what stored wrote, with the numbers that sources have here.
func (d *unitDone) outcome(sources *sink.Sources) *unitResult {
	for i := range d.Beaten {
		b := &d.Beaten[i]
		b.Source, b.By = sources.Intern(d.Sources[b.Source]), sources.Intern(d.Sources[b.By])
	}
	out := &unitResult{move: d.Move, rows: sink.NewOutcome()}
	if d.File != nil {
		out.file = *d.File
	}
	for _, m := range []struct {
		to   map[int32]*sink.Tally
		from map[int32]counts
	}{{out.rows.Kept, d.Kept}, {out.rows.Lost, d.Lost}, {out.rows.Removed, d.Removed}} {
		for src, c := range m.from {
			m.to[sources.Intern(d.Sources[src])] = c.tally()
		}
	}
	maps.Copy(out.rows.Flags, d.Flags)
	for _, u := range d.Unpriced {
		out.rows.Unpriced[sink.Model{Provider: u.Provider, Name: u.Model}] = u.tally()
	}
	return out
}

// Commit publishes what the steps made: the load is done then, at once and for all.
// Again, it says so: the report has the number and the books of the ledger's record.
// It is ErrIncomplete while a unit is missing, and ErrMoved where the ledger is not
// that of the plan any more.
func (r *Run) Commit(ctx context.Context) (report *Report, err error) {
	start := r.s.Now()
	report = &Report{Lake: r.s.Lake}
	defer func() { report.Seconds = r.s.Now().Sub(start).Seconds() }()
	if r.done != nil {
		report.published(r.done)
		return report, nil
	}
	lake, err := openLake(ctx, r.s, ledger.Options{MustExist: true})
	if err != nil {
		return report, err
	}
	defer func() {
		if e := lake.Close(); e != nil && report.Seq > 0 { // it is published, so it did not fail
			report.problem("%v", e)
		} else if err == nil {
			err = e
		}
	}()
	if lake.State.Seq != r.plan.Seq || lake.State.Sum != r.plan.Prev {
		for i := range lake.State.Runs {
			if lake.State.Runs[i].Run == r.plan.Run { // by another process, meanwhile
				report.published(&lake.State.Runs[i])
				return report, nil
			}
		}
		return report, fmt.Errorf("%w: it has %d records, and the plan was made from %d: plan it again", ErrMoved, lake.State.Seq, r.plan.Seq)
	}
	r.lake = lake
	g, err := r.gather(ctx)
	if err != nil {
		return report, err
	}
	made, err := r.collect(ctx, g)
	if err != nil {
		return report, err
	}
	if err := commit(ctx, r.s, lake, sink.Scratch{}, g.p, g.m, made, report); err != nil {
		return report, err
	}
	report.BytesRead, report.Now = g.m.bytes, extent(&lake.State)
	return report, nil
}

// published is what is known of a run that was published before.
func (r *Report) published(run *ledger.Run) { r.Seq, r.Books = run.Seq, run.Books }

// collect puts together what the reduce step came to.
func (r *Run) collect(ctx context.Context, g *gathered) (*reduced, error) {
	units, err := r.units(g)
	if err != nil {
		return nil, err
	}
	made, err := r.made(ctx, units, g.sum)
	if err != nil {
		return nil, err
	}
	out := &reduced{}
	for t := range out.rows {
		out.rows[t] = sink.NewOutcome()
	}
	missing := 0
	lost := map[sink.Pair]int64{}
	for _, u := range units {
		done := made[u]
		if done == nil {
			missing++
			continue
		}
		out.add(u.Table, done.outcome(g.p.sources))
		for _, b := range done.Beaten {
			lost[sink.Pair{Source: b.Source, By: b.By}] += b.Rows
		}
	}
	if missing > 0 {
		return nil, fmt.Errorf("%w: %d of %d units of the reduce step are missing", ErrIncomplete, missing, len(units))
	}
	out.lost(g.p, lost)
	out.sort()
	return out, nil
}

// made is what those of the units came to that are made.
func (r *Run) made(ctx context.Context, units []schemas.Unit, maps string) (map[schemas.Unit]*unitDone, error) {
	list := make([]*unitDone, len(units))
	err := sideBySide(ctx, len(units), func(i int) (err error) {
		list[i], err = r.reduced(units[i], maps)
		return err
	})
	out := map[schemas.Unit]*unitDone{}
	for i, done := range list {
		if done != nil {
			out[units[i]] = done
		}
	}
	return out, err
}

// reduced is what a unit came to, or nil.
func (r *Run) reduced(u schemas.Unit, maps string) (*unitDone, error) {
	name := r.dir + "/reduce/" + unitName(u) + ".json"
	data, err := disk.ReadFile(r.lake.FS(), r.lake.StagedPath(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	done := &unitDone{}
	if err := json.Unmarshal(data, done); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if done.Plan != r.sum || done.Maps != maps {
		return nil, nil
	}
	return done, nil
}

func unitName(u schemas.Unit) string { return fmt.Sprintf("%s-%s-%04d", u.Table, u.Day, u.Bucket) }
