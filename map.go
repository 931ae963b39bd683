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
	large      sync.Mutex // held while a large record is in memory
	bytes      int64      // of the inputs, on disk, that were read
}

// readResult is how far an input was read.
type readResult struct {
	end     ingest.Position
	sum     [16]byte
	pending int64
	said    *said // at the end
	err     error
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
	in := &feed{s: s, m: m, tasks: p.tasks}
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
	head := make([]byte, len(t.head))
	switch _, err := io.ReadFull(r, head); {
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF), err == nil && !bytes.Equal(head, t.head):
		return nil, errChanged
	case err != nil:
		return nil, err
	}
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
	records  int64 // since the last block
	filter   bool  // by day
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
		filter:   s.filters(),
	}
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
		Walker:  func() transform.Walker { return dialects.walker() },
		Unknown: func(dialect, key string) { w.drift.add(dialect, key, w.task, w.line) },
		Prices:  w.s.pricer(),
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
	if b.block == nil {
		return
	}
	blank := b.block.Each(func(d ingest.Doc) {
		if t.only == nil || t.only.take(d.Offset) {
			w.doc(ctx, t, books, &d)
		}
	})
	if t.only == nil {
		books.Blank += blank
	}
}

func (w *worker) doc(ctx context.Context, t *task, books *schemas.Books, d *ingest.Doc) {
	w.records++
	w.line = d.Line
	books.Records++
	if reason := w.record(ctx, t, books, d); reason != "" {
		books.Quarantined++
		w.quarantine(t, d, reason)
	}
}

// record brings one document into the books and, where it is a call, into a
// batch. It returns why the document must be quarantined, or "".
func (w *worker) record(ctx context.Context, t *task, books *schemas.Books, d *ingest.Doc) (reason schemas.Reason) {
	defer func() {
		if e := recover(); e != nil {
			w.s.Log.Error("a record could not be handled; please report this", "file", t.input.File, "line", d.Line, "panic", fmt.Sprint(e))
			w.intake.Row.Drop()
			reason = schemas.RecordPanic
		}
	}()
	if d.Reason != "" {
		return d.Reason
	}
	rec, err := w.walker.Scan(d.Data)
	switch {
	case errors.Is(err, ingest.ErrNotObject):
		return schemas.NotObject
	case err != nil:
		return schemas.NotJSON
	}
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
		if w.walker.AnyMember(d.Data, transform.TokenLike) {
			return schemas.UnknownUsage
		}
		books.NoUsage++
	case transform.NoCall:
		books.NoUsage++
	}
	return ""
}

// more brings the rows of a document into a batch that is no single row.
func (w *worker) more(ctx context.Context, t *task, books *schemas.Books, d *ingest.Doc) transform.Verdict {
	var memory transform.Memory
	if w.said != nil {
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
	w.intake.Row.SetInt(schemas.SourceRow, int64(d.Ord)*1024+number)
}

// add takes in the open row, unless its day is not wanted.
func (w *worker) add(books *schemas.Books, row *schemas.Builder) {
	if w.norm.Contradicts() {
		w.drift.contradicts[cmp.Or(strings.Clone(row.Str(schemas.Provider)), row.Str(schemas.Dialect))]++
	}
	if why := w.norm.Unpriced(); why != 0 {
		w.unpriced.add(sink.ModelOf(row), why)
	}
	if w.filter {
		if day := schemas.DayOf(row.Int(schemas.EventTime)); day < w.s.from || day >= w.s.to {
			books.Filtered++
			books.FilteredSums.AddRow(row)
			row.Drop()
			return
		}
	}
	if w.ids != nil {
		w.ids.Row(row)
	}
	if err := w.intake.Add(); w.err == nil {
		w.err = err
	}
}

// quarantine sets a record aside, unless it is there from an earlier reading.
func (w *worker) quarantine(t *task, d *ingest.Doc, reason schemas.Reason) {
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
	m.quarantine = append(m.quarantine, w.spool)
	m.drift.merge(w.drift)
	m.unpriced.merge(w.unpriced)
	for r, n := range w.reasons {
		m.reasons[r] += n
	}
	return w.spool.Close()
}

func hexID(sum [16]byte) string { return hex.EncodeToString(sum[:]) }
