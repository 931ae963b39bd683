package usagelake

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"usagelake/ingest"
	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/sink/disk"
	"usagelake/sink/ledger"
	"usagelake/transform"
	"usagelake/transform/price"
	"usagelake/transform/seal"
)

// mapDone is what an item of the map step came to.
type mapDone struct {
	Plan  string     `json:"plan"` // SHA-256
	Tasks []taskDone `json:"tasks"`

	Rows        *sink.Stored       `json:"rows,omitempty"`
	Quarantine  []sink.StoredSpool `json:"quarantine,omitempty"`
	Reasons     Counts             `json:"reasons,omitempty"`
	Contradicts Counts             `json:"contradicts,omitempty"`
	Unknown     []unknownDone      `json:"unknown,omitempty"`
	Tallies     []tallyDone        `json:"tallies,omitempty"`
	Unpriced    []unpricedDone     `json:"unpriced,omitempty"`
	Bytes       int64              `json:"bytes"` // read of the inputs, as stored
	// Linked: records of a range leave out what those before it say. The input must
	// be read whole.
	Linked bool `json:"linked,omitempty"`
}

// taskDone is what became of a task, or of a range of it.
type taskDone struct {
	Task    int              `json:"task"`
	Books   *schemas.Books   `json:"books,omitempty"`
	End     ingest.Position  `json:"end"`
	Sum     string           `json:"sum"`
	Head    string           `json:"head,omitempty"`
	HeadLen int64            `json:"head_len,omitempty"`
	Pending int64            `json:"pending,omitempty"`
	Said    transform.Memory `json:"said,omitempty"`
	Error   *errorDone       `json:"error,omitempty"`

	Start int64             `json:"start,omitempty"` // of a range: where its first line begins
	Part  string            `json:"part,omitempty"`  // of a range: the sum of its bytes
	Sums  []ingest.RangeSum `json:"sums,omitempty"`  // of all ranges
}

type unknownDone struct {
	Dialect string `json:"dialect"`
	Key     string `json:"key"`
	Count   int64  `json:"count"`
	Task    int    `json:"task"`
	Line    int64  `json:"line"`
}

type tallyDone struct {
	Dialect string `json:"dialect"`
	Whole   uint16 `json:"whole"`
	Calls   int64  `json:"calls"`
	Sum     int64  `json:"sum"`
	Count   int64  `json:"count"`
	Task    int    `json:"task"`
	Line    int64  `json:"line"`
}

type unpricedDone struct {
	Provider string        `json:"provider"`
	Model    string        `json:"model"`
	Why      price.Missing `json:"why"`
}

// errorDone is an error that another process met. Where ids are hashed its text is
// sealed: it names a path.
type errorDone struct {
	Text    string `json:"text"`
	Damaged bool   `json:"damaged,omitempty"`
}

func (e *errorDone) Error() string { return e.Text }

func (e *errorDone) Is(target error) bool { return e.Damaged && target == ingest.ErrDamaged }

func storedError(ids *seal.Key, err error) *errorDone {
	if err == nil {
		return nil
	}
	return &errorDone{ids.Path(err.Error()), errors.Is(err, ingest.ErrDamaged)}
}

// opened is the error that was stored.
func (e *errorDone) opened(ids *seal.Key) error {
	text, _ := ids.Open(e.Text)
	return &errorDone{text, e.Damaged}
}

// attempt is a fresh word for names of files that several processes may write.
func attempt() string { return strings.ToLower(rand.Text()[:10]) }

// Maps is how many items the map step has.
func (r *Run) Maps() int { return len(r.plan.Items) }

// Map does those items of the map step that are not done, and returns the units that
// they touch. It is safe for items of other processes, and of the same twice.
func (r *Run) Map(ctx context.Context, items ...int) ([]string, error) {
	if r.done != nil {
		return nil, nil
	}
	units := map[schemas.Unit]bool{}
	for _, i := range items {
		if i < 0 || i >= len(r.plan.Items) {
			return nil, fmt.Errorf("%w: run %s has no item %d, but %d", ErrUsage, r.plan.Run, i, len(r.plan.Items))
		}
		done, err := r.item(ctx, &r.plan.Items[i], itemName(i))
		if err == nil && done.Linked {
			done, err = r.whole(ctx, r.plan.Items[i].Tasks[0])
		}
		if err != nil {
			return nil, fmt.Errorf("item %d of the map step: %w", i, err)
		}
		if err := r.touched(done, units); err != nil {
			return nil, err
		}
	}
	var out []string
	for _, u := range slices.SortedFunc(maps.Keys(units), schemas.Unit.Compare) {
		out = append(out, u.Path())
	}
	return out, nil
}

// touched adds the units that an item's rows may change: their own, and files of the
// table that may lose rows to them.
func (r *Run) touched(done *mapDone, units map[schemas.Unit]bool) error {
	if done.Rows == nil {
		return nil
	}
	state := &r.lake.State
	for i := range done.Rows.Sections {
		s := &done.Rows.Sections[i]
		u, err := schemas.ParseUnit(s.Unit)
		if err != nil {
			return err
		}
		units[u] = true
		if s.Near > 0 {
			for _, v := range []schemas.Unit{u.On(u.Day - 1), u.On(u.Day + 1)} {
				if _, ok := state.Files[v.Path()]; ok {
					units[v] = true
				}
			}
		}
		if s.Near+s.AnyDay == 0 {
			continue
		}
		for path, f := range state.Files {
			if v, err := schemas.ParseUnit(path); err == nil && v.On(u.Day) == u && (s.AnyDay > 0 || f.AnyDay > 0) {
				units[v] = true
			}
		}
	}
	return nil
}

// whole does the work of a task's ranges in one item.
func (r *Run) whole(ctx context.Context, task int) (*mapDone, error) {
	return r.item(ctx, &runItem{Tasks: []int{task}}, fmt.Sprintf("task-%06d", task))
}

// item does an item, unless it is done.
func (r *Run) item(ctx context.Context, it *runItem, name string) (*mapDone, error) {
	done, err := r.mapped(name)
	if done != nil || err != nil {
		return done, err
	}
	if done, err = r.do(ctx, it, name+"-"+attempt()); err != nil {
		return nil, err
	}
	done.Plan = r.sum
	data, err := json.Marshal(done)
	if err != nil {
		return nil, err
	}
	if err := put(r.lake, r.dir+"/map/"+name+".json", data); err != nil {
		return nil, err
	}
	return done, nil
}

// mapped is what an item came to, or nil.
func (r *Run) mapped(name string) (*mapDone, error) {
	data, err := disk.ReadFile(r.lake.FS(), r.lake.StagedPath(r.dir+"/map/"+name+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	done := &mapDone{}
	if err := json.Unmarshal(data, done); err != nil {
		return nil, fmt.Errorf("map/%s.json of run %s: %w", name, r.plan.Run, err)
	}
	if done.Plan != r.sum {
		return nil, nil // of another plan, that two processes made at once
	}
	return done, nil
}

// do does an item. name is for its files.
func (r *Run) do(ctx context.Context, it *runItem, name string) (_ *mapDone, err error) {
	if it.Ranges != nil {
		return r.sums(ctx, it)
	}
	p := newPlanned(r.p.kind)
	p.sources, p.again = r.p.sources, r.p.again
	p.tasks = slices.Repeat([]*task{{}}, len(r.p.tasks))
	for _, i := range it.Tasks {
		t := *r.p.tasks[i]
		t.part = it.Part
		p.tasks[i] = &t
		p.bytes += t.input.Size
	}
	if err := p.setAside(ctx, r.lake); err != nil {
		return nil, err
	}
	scratch, remove, err := temporary("step")
	if err != nil {
		return nil, err
	}
	defer closing(&err, remove)
	merger := newMerger(r.s, r.lake, scratch, p)
	defer closing(&err, merger.Close)
	m, err := mapInputs(ctx, r.s, scratch, p, merger)
	if err != nil {
		return nil, err
	}
	done := &mapDone{
		Reasons: m.reasons, Contradicts: m.drift.contradicts, Bytes: m.bytes, Linked: m.linked && it.Part != nil,
	}
	for _, i := range it.Tasks {
		res := &m.reads[i]
		if errors.Is(res.err, disk.ErrUnavailable) { // not the input's fault
			return nil, res.err
		}
		done.Tasks = append(done.Tasks, taskDone{
			Task: i, Books: m.books[i], End: res.end, Sum: res.sum, Head: res.head, HeadLen: res.headLen,
			Pending: res.pending, Said: r.s.ids.Said(res.said), Error: storedError(r.s.ids, res.err), Start: res.start, Part: hexID(res.part),
		})
	}
	for k, seen := range m.drift.unknown {
		done.Unknown = append(done.Unknown, unknownDone{k.dialect, k.key, seen.count, seen.task, seen.line})
	}
	for k, t := range m.drift.tallies {
		done.Tallies = append(done.Tallies, tallyDone{k.dialect, k.whole, t.calls, t.sum, t.count, t.task, t.line})
	}
	for of, why := range m.unpriced {
		done.Unpriced = append(done.Unpriced, unpricedDone{of.Provider, of.Name, why})
	}
	if done.Linked {
		return done, nil
	}
	to := r.files("map")
	for i, spool := range m.quarantine {
		if spool.Len() == 0 {
			continue
		}
		q, err := spool.Store(to, fmt.Sprintf("%s-%d.jsonl", name, i))
		if err != nil {
			return nil, err
		}
		done.Quarantine = append(done.Quarantine, *q)
	}
	if done.Rows, err = merger.Store(ctx, to, name+".rows"); err != nil {
		return nil, err
	}
	return done, to.FS.SyncDir(to.Dir)
}

// sums does an item that hashes a whole input, beside others who read its ranges.
func (r *Run) sums(ctx context.Context, it *runItem) (*mapDone, error) {
	t := *r.p.tasks[it.Tasks[0]]
	done := taskDone{Task: it.Tasks[0], Books: &schemas.Books{}}
	sums, res, err := sumUp(ctx, &t, it.Ranges, ingest.ReaderOptions{MaxLine: r.s.MaxLine})
	if ctx.Err() != nil || errors.Is(err, disk.ErrUnavailable) { // not the input's fault
		return nil, cmp.Or(ctx.Err(), err)
	}
	done.Error = storedError(r.s.ids, err)
	done.Sums, done.End, done.Sum, done.Head, done.HeadLen = sums, res.end, res.sum, res.head, res.headLen
	return &mapDone{Tasks: []taskDone{done}}, nil
}

// sumUp reads an input from its first byte, for the sums of its ranges and of all that
// a reader takes.
func sumUp(ctx context.Context, t *task, ranges []ingest.Range, opt ingest.ReaderOptions) ([]ingest.RangeSum, *readResult, error) {
	res := &readResult{}
	stream, err := ingest.Open(ctx, t.input)
	if err != nil {
		return nil, res, err
	}
	defer stream.Close()
	src, err := t.begin(stream)
	if err != nil {
		return nil, res, err
	}
	sums := ingest.NewRangeSums(src, ranges)
	reader := ingest.NewReader(sums, opt)
	for {
		b, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, res, err
		}
		b.Free()
	}
	res.end, res.sum = reader.End(), hexID(reader.Sum())
	res.head, res.headLen = t.headUpTo(res.end.Offset)
	return sums.Sums(), res, nil
}

// open opens the bytes of a range, and one more before it.
func (p *part) open(ctx context.Context, in ingest.Input) (content, error) {
	r, err := ingest.OpenAt(ctx, in, p.Before())
	if err != nil {
		return nil, err
	}
	return &counted{ReadCloser: r}, nil
}

// counted is a range of an input.
type counted struct {
	io.ReadCloser
	n int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.n += int64(n)
	return n, err
}

func (c *counted) BytesRead() int64 { return c.n }

// gathered is what the map step came to.
type gathered struct {
	p    *planned
	m    *mapped
	rows []gatheredRows
	// sum is the SHA-256 of what decides on the rows: what was read of which input.
	sum string
}

// gatheredRows are the rows of an item.
type gatheredRows struct {
	*sink.Stored
	lines int64 // to be added to theirs
}

// gather puts together what the items of the map step came to. It is ErrIncomplete
// while one is missing.
func (r *Run) gather(ctx context.Context) (*gathered, error) {
	done := make([]*mapDone, len(r.plan.Items))
	err := sideBySide(ctx, len(done), func(i int) (err error) {
		done[i], err = r.mapped(itemName(i))
		return err
	})
	if err != nil {
		return nil, err
	}
	missing := 0
	for _, d := range done {
		if d == nil {
			missing++
		}
	}
	if missing > 0 {
		return nil, fmt.Errorf("%w: %d of %d items of the map step are missing", ErrIncomplete, missing, len(done))
	}
	p, err := r.tasks()
	if err != nil {
		return nil, err
	}
	for {
		g := &gathered{p: p, m: &mapped{
			reads: make([]readResult, len(p.tasks)), books: make([]*schemas.Books, len(p.tasks)),
			reasons: Counts{}, drift: newDrift(), unpriced: unpriced{},
		}}
		if err := r.assemble(ctx, g, done); err != nil {
			return nil, err
		}
		if !p.twins(g.m, &r.lake.State) { // or once more, without them
			p.identify(g.m)
			return g, g.hash()
		}
	}
}

// assemble puts together what there is of those inputs that are read.
func (r *Run) assemble(ctx context.Context, g *gathered, done []*mapDone) error {
	from := r.files("map")
	var parts []*mapDone
	for i := range r.plan.Items {
		it := &r.plan.Items[i]
		tasks := slices.DeleteFunc(slices.Clone(it.Tasks), func(t int) bool { return !g.p.tasks[t].read() })
		switch {
		case it.Part != nil:
			parts = append(parts, done[i])
			continue
		case it.Ranges != nil: // it stands behind the ranges
			if len(tasks) > 0 {
				if err := r.join(ctx, g, from, i, parts, done[i]); err != nil {
					return err
				}
			}
			parts = nil
		case len(tasks) == len(it.Tasks):
			g.take(from, r.s.ids, done[i])
		case len(tasks) > 0: // who needs it first does it
			name := fmt.Sprintf("%s-of-%s", itemName(i), ledger.Hash(fmt.Append(nil, tasks))[:16])
			d, err := r.item(ctx, &runItem{Tasks: tasks}, name)
			if err != nil {
				return err
			}
			g.take(from, r.s.ids, d)
		}
	}
	return nil
}

// filesAtOnce is how many small files of a run are read at a time: a store takes its
// time to answer, and there may be thousands.
const filesAtOnce = 16

// sideBySide calls do for the numbers below n, some at a time.
func sideBySide(ctx context.Context, n int, do func(i int) error) error {
	g, some := errgroup.WithContext(ctx)
	g.SetLimit(filesAtOnce)
	for i := range n {
		if some.Err() != nil {
			break
		}
		g.Go(func() error { return do(i) })
	}
	return cmp.Or(g.Wait(), ctx.Err())
}

func itemName(i int) string { return fmt.Sprintf("%06d", i) }

// hash sums up what decides on the rows.
func (g *gathered) hash() error {
	h := sha256.New()
	for i, t := range g.p.tasks {
		res := &g.m.reads[i]
		books, err := json.Marshal(g.m.books[i])
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%d %s %s %v %d %s\n", i, t.state, res.sum, res.end, res.pending, books)
	}
	g.sum = hex.EncodeToString(h.Sum(nil))
	return nil
}

// take adds what an item with whole inputs came to.
func (g *gathered) take(from sink.Scratch, ids *seal.Key, d *mapDone) {
	for i := range d.Tasks {
		of := &d.Tasks[i]
		res := &g.m.reads[of.Task]
		*res = readResult{end: of.End, sum: of.Sum, head: of.Head, headLen: of.HeadLen, pending: of.Pending, said: ids.Recalled(of.Said)}
		if of.Error != nil {
			res.err = of.Error.opened(ids)
		}
		g.m.books[of.Task] = &schemas.Books{}
		g.m.books[of.Task].Add(of.Books)
	}
	g.add(from, d, 0)
}

// add adds what there is beside the results of tasks. Its lines come behind so many
// others.
func (g *gathered) add(from sink.Scratch, d *mapDone, lines int64) {
	if d.Rows != nil && len(d.Rows.Sections) > 0 {
		g.rows = append(g.rows, gatheredRows{d.Rows, lines})
	}
	for i := range d.Quarantine {
		g.m.quarantine = append(g.m.quarantine, sink.OpenSpool(from, &d.Quarantine[i], lines))
	}
	for name, n := range d.Contradicts {
		g.m.drift.contradicts[name] += n
	}
	for _, u := range d.Unknown {
		g.m.drift.tell(unknownKey{u.Dialect, u.Key}, &unknownSeen{u.Count, u.Task, u.Line + lines})
	}
	for _, t := range d.Tallies {
		g.m.drift.tally(tallyKey{t.Dialect, t.Whole}, &tally{t.Calls, t.Sum, unknownSeen{t.Count, t.Task, t.Line + lines}})
	}
	for _, u := range d.Unpriced {
		g.m.unpriced.merge(unpriced{sink.Model{Provider: u.Provider, Name: u.Model}: u.Why})
	}
	for name, n := range d.Reasons {
		g.m.reasons[name] += n
	}
	g.m.bytes += d.Bytes
}

// join puts the ranges of an input together: the items before item i, which has seen
// them all. Each must be what that one saw; otherwise the input was changed, and is for
// the next run.
func (r *Run) join(ctx context.Context, g *gathered, from sink.Scratch, i int, parts []*mapDone, all *mapDone) error {
	it := &r.plan.Items[i]
	task := it.Tasks[0]
	if slices.ContainsFunc(parts, func(d *mapDone) bool { return d.Linked }) {
		d, err := r.whole(ctx, task)
		if err == nil {
			g.take(from, r.s.ids, d)
		}
		return err
	}
	whole := &all.Tasks[0]
	res := readResult{end: ingest.Position{Line: 1}, sum: whole.Sum, head: whole.Head, headLen: whole.HeadLen}
	var wrong error
	if whole.Error != nil {
		wrong = whole.Error.opened(r.s.ids)
	}
	books := &schemas.Books{}
	var before []int64 // lines before each range that its reader did not know of
	for k, d := range parts {
		of := &d.Tasks[0]
		if wrong == nil && of.Error != nil {
			wrong = of.Error.opened(r.s.ids)
		}
		if wrong != nil {
			break
		}
		if of.Part != hexID(whole.Sums[k].Sum) {
			wrong = errChanged
			break
		}
		before = append(before, whole.Sums[k].Line-r.plan.Items[i-len(parts)+k].Part.Line)
		if of.Start < it.Ranges[k].To { // a line begins in it
			res.end = ingest.Position{Offset: of.End.Offset, Line: of.End.Line + before[k]}
			res.pending = of.Pending
		}
		books.Add(of.Books)
	}
	if wrong == nil && res.end != whole.End {
		wrong = errChanged
	}
	if wrong != nil {
		g.p.tasks[task].state, g.p.tasks[task].err = Failed, wrong
		return nil //nolint:nilerr // it is what became of the input
	}
	for k, d := range parts {
		g.add(from, d, before[k])
	}
	g.m.reads[task], g.m.books[task] = res, books
	return nil
}
