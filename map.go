package usagelake

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"
	"golang.org/x/sync/errgroup"

	"usagelake/ingest"
	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/transform"
	"usagelake/transform/seal"
)

// mapped is the outcome of the map step.
type mapped struct {
	merger     *sink.Merger
	reads      []readResult     // by task
	books      []*schemas.Books // by task; nil where it was not read
	quarantine []*sink.Spool
	reasons    Counts
	drift      *drift
	unpriced   unpriced
	linked     bool       // records of some source say what others of it leave out
	large      sync.Mutex // held while a large record is in memory
	bytes      int64      // of the inputs, on disk, that were read
}

// readResult is how far an input was read.
type readResult struct {
	end     ingest.Position
	sum     string // XXH3-128 of all up to there: the id of a new source
	head    string // that of its first headLen bytes
	headLen int64
	pending int64
	said    transform.Memory // what its records said that later ones may leave out
	err     error

	start int64    // of a range: where its first line begins
	part  [16]byte // of a range: the sum of what was read
}

// work is a block of a task's input, or records of it that were set aside.
type work struct {
	task  int
	block *ingest.Block
	said  *said // up to the end of the block
	docs  []ingest.Doc
}

// mapInputs reads the planned inputs: workers cut blocks, walk and normalise them,
// and a merger takes in the rows. What it returns does not depend on who did what.
func mapInputs(ctx context.Context, s *settings, scratch sink.Scratch, p *planned, merger *sink.Merger) (_ *mapped, err error) {
	m := &mapped{
		merger:   merger,
		reads:    make([]readResult, len(p.tasks)),
		books:    make([]*schemas.Books, len(p.tasks)),
		reasons:  Counts{},
		drift:    newDrift(),
		unpriced: unpriced{},
	}
	workers := make([]*worker, s.Jobs)
	for i := range workers {
		if workers[i], err = newWorker(s, p, merger, scratch, i); err != nil {
			for _, w := range workers[:i] {
				_ = w.spool.Close()
			}
			return nil, err
		}
	}
	s.Progress(Progress{Step: "map", TotalBytes: p.bytes})
	var records atomic.Int64
	in := &feed{s: s, m: m, tasks: p.tasks, said: make([]*said, len(p.tasks))}
	g, ctx := errgroup.WithContext(ctx)
	kept := make(chan work) // records that were set aside
	g.Go(func() error {
		defer close(kept)
		if p.replay == nil {
			return nil
		}
		return p.replay.send(ctx, kept)
	})
	for _, w := range workers {
		work := func(b work) error {
			w.work(ctx, b)
			s.Progress(Progress{
				Step: "map", Bytes: in.bytes.Load(), TotalBytes: p.bytes,
				Records: records.Add(w.records),
			})
			w.records = 0
			return w.err
		}
		g.Go(func() error {
			if err := in.drain(ctx, work); err != nil {
				return err
			}
			for b := range kept {
				if err := work(b); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	err = g.Wait()
	in.close()
	m.bytes = in.bytes.Load()
	var closing sync.WaitGroup
	for _, w := range workers {
		closing.Go(w.intake.Close)
	}
	closing.Wait()
	for _, w := range workers {
		if e := w.finish(m); err == nil {
			err = e
		}
	}
	if err != nil {
		return nil, err
	}
	for i, t := range p.tasks {
		if !t.read() {
			continue
		}
		if m.books[i] == nil {
			m.books[i] = &schemas.Books{}
		}
		m.books[i].Pending = m.reads[i].pending
		m.reads[i].said = in.said[i].all()
		for _, dialect := range m.reads[i].said.Waiting() {
			m.drift.tell(unknownKey{dialect, lastCall}, &unknownSeen{1, i, m.reads[i].end.Line - 1})
		}
	}
	return m, nil
}

// errChanged tells of an input that another file has taken the place of since
// it was planned. What it is now is for the next run to find out.
var errChanged = errors.New("changed since it was found; the next run reads it")

// begin sees to it that a task's input begins with what the plan step knew it
// by: the head, and all that was loaded before.
func (t *task) begin(r io.Reader) (io.Reader, error) {
	if _, ok := r.(*kept); ok && t.known == nil {
		return r, nil // the very bytes
	}
	head := make([]byte, t.headLen)
	switch _, err := io.ReadFull(r, head); {
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF), err == nil && len(head) > 0 && hexSum(head) != t.headSum:
		return nil, errChanged
	case err != nil:
		return nil, err
	}
	t.head = head
	r = io.MultiReader(bytes.NewReader(head), r)
	if t.known != nil {
		r = &prefixed{r: r, left: t.known.Offset, want: t.known.Sum}
	}
	return r, nil
}

// prefixed fails at the end of a stream's prefix if that has another sum.
type prefixed struct {
	r    io.Reader
	left int64 // bytes of the prefix
	sum  xxh3.Hasher128
	want string
}

func (p *prefixed) Read(b []byte) (int, error) {
	if p.left == 0 {
		return p.r.Read(b)
	}
	n, err := p.r.Read(b[:min(int64(len(b)), p.left)])
	p.sum.Write(b[:n])
	p.left -= int64(n)
	if err == io.EOF && p.left > 0 || p.left == 0 && hexID(p.sum.Sum128().Bytes()) != p.want {
		return 0, errChanged
	}
	return n, err
}

// worker walks and normalises blocks. It shares nothing with others.
type worker struct {
	s        *settings
	p        *planned
	walker   *ingest.Walker
	norm     *transform.Normalizer
	intake   *sink.Intake
	books    map[int]*schemas.Books // by task
	reasons  Counts
	records  int64               // since the last block
	wanted   func(us int64) bool // by day; nil where all are
	gathers  bool                // documents of one form, to make their rows together
	drift    *drift
	unpriced unpriced

	// Of what is at hand: its block (nil for records from elsewhere), task and
	// line.
	said *said
	task int
	line int64

	ids   *seal.Writer // or nil
	spool *sink.Spool
	err   error // the first of writing to scratch files
}

func newWorker(s *settings, p *planned, merger *sink.Merger, scratch sink.Scratch, i int) (*worker, error) {
	spool, err := sink.NewSpool(scratch, fmt.Sprintf("quarantine-%d", i))
	if err != nil {
		return nil, err
	}
	w := &worker{
		s: s, p: p,
		spool:    spool,
		ids:      s.ids.Writer(),
		intake:   merger.Intake(),
		books:    map[int]*schemas.Books{},
		reasons:  Counts{},
		drift:    newDrift(),
		unpriced: unpriced{},
	}
	if s.filters() {
		w.wanted = func(us int64) bool {
			day := schemas.DayOf(us)
			return day >= s.from && day < s.to
		}
	}
	// rows whose ids are hashed come one by one
	w.gathers = w.ids == nil && w.intake.Most() >= transform.SheafMost
	return w, nil
}

// ready makes what takes some milliseconds.
func (w *worker) ready() {
	if w.walker != nil {
		return
	}
	dialects := w.s.dialects()
	w.walker = dialects.walker()
	w.norm = transform.NewNormalizer(transform.Options{
		Dialects: dialects.Dialects, Location: w.s.location,
		Walker: func() transform.Walker { return dialects.walker() },
		Unknown: func(dialect, key string, at *transform.Place) {
			line := w.line
			if at != nil {
				line = at.Line
			}
			w.drift.add(dialect, key, w.task, line)
		},
		Tally: func(dialect string, whole uint16, calls, sum int64) {
			if w.p == nil || w.p.tasks[w.task].only != nil { // of the whole not all is read
				return
			}
			of := &tally{calls: calls, sum: sum}
			if sum > 0 {
				of.unknownSeen = unknownSeen{1, w.task, w.line}
			}
			w.drift.tally(tallyKey{dialect, whole}, of)
		},
		Prices: w.s.pricer(),
		Wanted: w.wanted,
	})
}

func (b *work) free() {
	if b.block != nil {
		b.block.Free()
	}
}

func (w *worker) work(ctx context.Context, b work) {
	defer b.free()
	w.ready()
	if w.said = b.said; w.said != nil {
		defer w.said.finish()
	}
	w.task = b.task
	t, books := w.p.tasks[b.task], w.books[b.task]
	if books == nil {
		books = &schemas.Books{}
		w.books[b.task] = books
	}
	for i := range b.docs {
		w.doc(ctx, t, books, &b.docs[i])
	}
	if b.block != nil {
		blank := b.block.Each(func(d ingest.Doc) {
			if t.only == nil || t.only.take(d.Offset) {
				w.doc(ctx, t, books, &d)
			}
		})
		if t.only == nil {
			books.Blank += blank
		}
	}
	for s := w.norm.Sheaf(); s != nil; s = w.norm.Sheaf() {
		w.rows(ctx, t, books, s)
	}
}

func (w *worker) doc(ctx context.Context, t *task, books *schemas.Books, d *ingest.Doc) {
	w.records++
	w.line = d.Line
	books.Records++
	if reason := w.record(ctx, t, books, d); reason != "" {
		w.quarantine(t, books, d, reason)
	}
}

// record brings one document into the books and, where it is a call, into a
// batch, or gathers it for rows. It returns why the document must be quarantined,
// or "".
func (w *worker) record(ctx context.Context, t *task, books *schemas.Books, d *ingest.Doc) (reason schemas.Reason) {
	defer w.caught(t, d, &reason)
	if d.Reason != "" {
		return d.Reason
	}
	rec, err := w.walker.Scan(d.Data)
	if err != nil {
		return unread(err)
	}
	if w.gathers {
		at := transform.Place{Line: d.Line, Row: rowOf(d, 0), Offset: d.Offset}
		if s := w.norm.Gather(rec, &t.source, w.intake.Row, at); s != nil {
			if s.Full() {
				w.rows(ctx, t, books, s)
			}
			return ""
		}
	}
	return w.single(ctx, t, books, d, rec)
}

// unread is why a document must be quarantined that cannot be walked.
func unread(err error) schemas.Reason {
	if errors.Is(err, ingest.ErrNotObject) {
		return schemas.NotObject
	}
	return schemas.NotJSON
}

// caught makes a panic the reason to quarantine a document. It is deferred.
func (w *worker) caught(t *task, d *ingest.Doc, reason *schemas.Reason) {
	if e := recover(); e != nil {
		w.s.Log.Error("a record could not be handled; please report this", "file", t.input.File, "line", d.Line, "panic", fmt.Sprint(e))
		w.intake.Row.Drop()
		*reason = schemas.RecordPanic
	}
}

// single is record for a document by itself.
func (w *worker) single(ctx context.Context, t *task, books *schemas.Books, d *ingest.Doc, rec *schemas.Record) schemas.Reason {
	row := w.intake.Row
	verdict := w.norm.Apply(rec, &t.source, row, &books.In.Sums)
	switch verdict {
	case transform.IsRow:
		w.place(d, 0)
		w.add(books, row)
	case transform.IsMore:
		verdict = w.more(ctx, t, books, d)
	}
	switch verdict {
	case transform.IsBad:
		return w.norm.Reason
	case transform.NotClaimed:
		if transform.Betrays(w.walker, d.Data) {
			return schemas.UnknownUsage
		}
		books.NoUsage++
	case transform.NoCall:
		books.NoUsage++
	}
	return ""
}

// rows brings the documents of a sheaf into a batch.
func (w *worker) rows(ctx context.Context, t *task, books *schemas.Books, s *transform.Sheaf) {
	single := func(rec *schemas.Record, at transform.Place) {
		d := ingest.Doc{Data: rec.Doc, Offset: at.Offset, Line: at.Line, Ord: int(at.Row / rowsEach), Length: int64(len(rec.Doc))}
		if reason := w.again(ctx, t, books, &d, rec); reason != "" {
			w.quarantine(t, books, &d, reason)
		}
	}
	defer func() {
		if e := recover(); e != nil {
			w.norm.Singly(s, single) // it shows again at the one whose fault it is
		}
	}()
	if err := w.intake.Reserve(s.Len()); w.err == nil {
		w.err = err
	}
	w.norm.Rows(s, &books.In.Sums, single)
	if err := w.intake.Added(); w.err == nil {
		w.err = err
	}
}

// again is single for a document that was gathered.
func (w *worker) again(ctx context.Context, t *task, books *schemas.Books, d *ingest.Doc, rec *schemas.Record) (reason schemas.Reason) {
	defer w.caught(t, d, &reason)
	w.line = d.Line
	return w.single(ctx, t, books, d, rec)
}

// more brings the rows of a document into a batch that is no single row.
func (w *worker) more(ctx context.Context, t *task, books *schemas.Books, d *ingest.Doc) transform.Verdict {
	var memory transform.Memory
	if w.said != nil && t.only == nil { // of those before not all are read again
		var err error
		if memory, err = w.said.here(ctx); err != nil { // the run ends
			w.err = cmp.Or(w.err, err)
			return transform.NoCall
		}
	}
	rows := int64(0)
	verdict := w.norm.More(d.Data, &t.source, w.intake.Row, &books.In.Sums, memory, func() {
		w.place(d, rows)
		rows++
		w.add(books, w.intake.Row)
	})
	books.ExtraRows += max(rows-1, 0)
	return verdict
}

// place says where the open row comes from: it is the row with that number of a
// document.
func (w *worker) place(d *ingest.Doc, number int64) {
	w.intake.Row.SetInt(schemas.SourceLine, d.Line)
	w.intake.Row.SetInt(schemas.SourceRow, rowOf(d, number))
}

// rowsEach is more than the rows of a document.
const rowsEach = 1024

// rowOf is the source_row of the row with that number of a document.
func rowOf(d *ingest.Doc, number int64) int64 { return int64(d.Ord)*rowsEach + number }

// add takes in the open row, unless its day is not wanted.
func (w *worker) add(books *schemas.Books, row *schemas.Builder) {
	if w.norm.Contradicts() {
		w.drift.contradicts[cmp.Or(strings.Clone(row.Str(schemas.Provider)), row.Str(schemas.Dialect))]++
	}
	if why := w.norm.Unpriced(); why != 0 {
		w.unpriced.add(sink.ModelOf(row), why)
	}
	if w.wanted != nil && !w.wanted(row.Int(schemas.EventTime)) {
		books.Filtered++
		books.FilteredSums.AddRow(row)
		row.Drop()
		return
	}
	if w.ids != nil {
		w.ids.Row(row)
	}
	if err := w.intake.Add(); w.err == nil {
		w.err = err
	}
}

// quarantine sets a record aside, unless it is there from an earlier reading.
func (w *worker) quarantine(t *task, books *schemas.Books, d *ingest.Doc, reason schemas.Reason) {
	books.Quarantined++
	w.reasons[string(reason)]++
	if t.aside[d.Offset] {
		return
	}
	q := sink.Quarantined{Reason: reason, Line: d.Line, Ord: d.Ord, Offset: d.Offset, Length: d.Length}
	// what is replayed and was kept whole stays whole: its file may be gone
	if w.ids == nil { // with hashed ids the place is all that is kept
		q.Fill(d.Data, w.s.QuarantineRaw || t.only != nil && !t.only.want[d.Offset])
	}
	if err := w.spool.Add(t.source.Index, &q); w.err == nil {
		w.err = err
	}
}

// finish hands over what the worker has gathered beside its rows. It ends the
// worker.
func (w *worker) finish(m *mapped) error {
	if w.walker != nil {
		w.s.dialects().walkers.Put(w.walker)
	}
	for i, b := range w.books {
		if m.books[i] == nil {
			m.books[i] = b
		} else {
			m.books[i].Add(b)
		}
	}
	m.linked = m.linked || w.norm != nil && w.norm.Linked()
	m.quarantine = append(m.quarantine, w.spool)
	m.drift.merge(w.drift)
	m.unpriced.merge(w.unpriced)
	for r, n := range w.reasons {
		m.reasons[r] += n
	}
	return w.spool.Close()
}

func hexID(sum [16]byte) string { return hex.EncodeToString(sum[:]) }
