package usagelake

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"usagelake/ingest"
	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/sink/disk"
	"usagelake/sink/ledger"
	"usagelake/transform"
)

// batchRows is how many rows a worker gathers for one file of the table before
// it hands them on.
const batchRows = 16_384

// mapped is the outcome of the map step.
type mapped struct {
	batches    map[schemas.Unit][]*schemas.Batch
	reads      []readResult     // by task
	books      []*schemas.Books // by task; nil where it was not read
	quarantine []*sink.Spool    // in the staged files spoolName(i)
	reasons    Counts
}

func (m *mapped) release() {
	for _, list := range m.batches {
		release(list)
	}
	m.batches = nil
}

func release(list []*schemas.Batch) {
	for _, b := range list {
		b.Release()
	}
}

// readResult is how far an input was read.
type readResult struct {
	end     ingest.Position
	sum     [16]byte
	pending int64
	err     error
}

type work struct {
	task  int
	block *ingest.Block
}

// mapInputs reads the planned inputs: readers cut blocks, workers walk and
// normalise them. What it returns does not depend on who did what.
func mapInputs(ctx context.Context, s *settings, lake *ledger.Lake, p *planned) (_ *mapped, err error) {
	m := &mapped{
		batches: map[schemas.Unit][]*schemas.Batch{},
		reads:   make([]readResult, len(p.tasks)),
		books:   make([]*schemas.Books, len(p.tasks)),
		reasons: Counts{},
	}
	for i, t := range p.tasks {
		if t.read() {
			m.books[i] = &schemas.Books{}
		}
	}
	workers := make([]*worker, s.Jobs)
	for i := range workers {
		if workers[i], err = newWorker(s, p, lake, i); err != nil {
			for _, w := range workers[:i] {
				_ = w.spoolFile.Close()
			}
			return nil, err
		}
	}
	var next, records, bytesRead atomic.Int64
	blocks := make(chan work, s.Jobs)
	g, ctx := errgroup.WithContext(ctx)

	var readers sync.WaitGroup
	for range s.Jobs {
		readers.Add(1)
		g.Go(func() error {
			defer readers.Done()
			for {
				i := int(next.Add(1)) - 1
				if i >= len(p.tasks) {
					return nil
				}
				if !p.tasks[i].read() {
					continue
				}
				if err := m.read(ctx, s, p.tasks[i], i, blocks, &bytesRead); err != nil {
					return err
				}
			}
		})
	}
	g.Go(func() error {
		readers.Wait()
		close(blocks)
		return nil
	})

	for _, w := range workers {
		g.Go(func() error {
			for b := range blocks {
				w.block(b)
				b.block.Free()
				s.Progress(Progress{
					Step: "map", Bytes: bytesRead.Load(), TotalBytes: p.bytes,
					Records: records.Add(w.records),
				})
				w.records = 0
			}
			if w.err != nil {
				return w.err
			}
			return ctx.Err()
		})
	}
	err = g.Wait()
	for b := range blocks {
		b.block.Free()
	}
	for _, w := range workers {
		if e := w.finish(m); err == nil {
			err = e
		}
	}
	if err != nil {
		m.release()
		return nil, err
	}
	for i, b := range m.books {
		if b != nil {
			b.Pending = m.reads[i].pending
		}
	}
	return m, nil
}

// read cuts one input into blocks. What is wrong with the input is its own
// result; only the end of the whole run is an error.
func (m *mapped) read(ctx context.Context, s *settings, t *task, i int, blocks chan<- work, bytesRead *atomic.Int64) error {
	res := &m.reads[i]
	stream, err := ingest.Open(ctx, t.input)
	if err != nil {
		res.err = err
		return nil
	}
	defer stream.Close()
	r := ingest.NewReader(stream, ingest.ReaderOptions{MaxLine: s.MaxLine, Start: t.start, Final: t.final})
	var counted int64
	for {
		b, err := r.Next()
		n := stream.BytesRead()
		bytesRead.Add(n - counted)
		counted = n
		if err != nil {
			if err != io.EOF {
				res.err = err
			}
			res.end, res.sum, res.pending = r.End(), r.Sum(), r.Pending()
			return nil
		}
		select {
		case blocks <- work{i, b}:
		case <-ctx.Done():
			b.Free()
			return ctx.Err()
		}
	}
}

// worker walks and normalises blocks. It shares nothing with others.
type worker struct {
	s        *settings
	p        *planned
	buckets  int
	walker   *ingest.Walker
	norm     *transform.Normalizer
	builders map[schemas.Unit]*schemas.Builder
	batches  map[schemas.Unit][]*schemas.Batch
	books    map[int]*schemas.Books // by task
	reasons  Counts
	records  int64 // since the last block

	spool     *sink.Spool
	spoolFile disk.Writer
	err       error // the first of writing the spool
}

// spoolName is the staged file of a worker's quarantined records.
func spoolName(worker int) string { return fmt.Sprintf("quarantine-%d", worker) }

func newWorker(s *settings, p *planned, lake *ledger.Lake, i int) (*worker, error) {
	f, err := lake.FS().Create(lake.StagedPath(spoolName(i)), 0o600)
	if err != nil {
		return nil, err
	}
	return &worker{
		s: s, p: p, buckets: lake.State.Settings.Buckets,
		spool: sink.NewSpool(f), spoolFile: f,
		walker:   ingest.NewWalker(transform.Layout()),
		norm:     transform.NewNormalizer(transform.Options{Location: s.location}),
		builders: map[schemas.Unit]*schemas.Builder{},
		batches:  map[schemas.Unit][]*schemas.Batch{},
		books:    map[int]*schemas.Books{},
		reasons:  Counts{},
	}, nil
}

func (w *worker) block(b work) {
	t, books := w.p.tasks[b.task], w.books[b.task]
	if books == nil {
		books = &schemas.Books{}
		w.books[b.task] = books
	}
	books.Blank += b.block.Each(func(d ingest.Doc) {
		w.records++
		books.Records++
		if reason := w.record(t, books, &d); reason != "" {
			books.Quarantined++
			w.quarantine(t, &d, reason)
		}
	})
}

// record brings one document into the books and, where it is a call, into a
// batch. It returns why the document must be quarantined, or "".
func (w *worker) record(t *task, books *schemas.Books, d *ingest.Doc) (reason schemas.Reason) {
	defer func() {
		if e := recover(); e != nil {
			w.s.Log.Error("a record could not be handled; please report this", "file", t.input.File, "line", d.Line, "panic", fmt.Sprint(e))
			reason = schemas.RecordPanic
		}
	}()
	if d.Reason != "" {
		return d.Reason
	}
	rec, err := w.walker.Walk(d.Data)
	switch {
	case errors.Is(err, ingest.ErrNotObject):
		return schemas.NotObject
	case err != nil:
		return schemas.NotJSON
	}
	switch w.norm.Apply(rec, &t.source, &books.In.Sums) {
	case transform.IsBad:
		return w.norm.Reason
	case transform.NotClaimed:
		if w.walker.AnyMember(d.Data, transform.TokenLike) {
			return schemas.UnknownUsage
		}
		books.NoUsage++
		return ""
	}
	books.ExtraRows += int64(len(w.norm.Rows)) - 1
	for i := range w.norm.Rows {
		row := &w.norm.Rows[i]
		row.SetInt(schemas.SourceLine, d.Line)
		row.SetInt(schemas.SourceRow, int64(d.Ord)*1024+int64(i))
		w.append(t, books, row)
	}
	return ""
}

func (w *worker) append(t *task, books *schemas.Books, row *schemas.Row) {
	day := schemas.DayOf(row.Int(schemas.EventTime))
	if day < w.s.from || day >= w.s.to {
		books.Filtered++
		books.FilteredSums.AddRow(row)
		return
	}
	unit := schemas.Unit{Day: day, Bucket: w.bucket(t, row)}
	b := w.builders[unit]
	if b == nil {
		b = schemas.NewBuilder(w.s.Memory)
		w.builders[unit] = b
	}
	b.Append(row)
	if b.Len() >= batchRows {
		w.batches[unit] = append(w.batches[unit], b.Flush())
	}
}

func (w *worker) bucket(t *task, row *schemas.Row) uint16 {
	if w.buckets == 1 {
		return 0
	}
	id := row.Identity()
	key, scope := id.Key(transform.KeyRule(id.Dialect))
	if scope == schemas.NoCopies {
		return schemas.PlaceBucket(w.p.sources.At(t.source.Index).File, row.Int(schemas.SourceLine), row.Int(schemas.SourceRow), w.buckets)
	}
	return key.Bucket(w.buckets)
}

func (w *worker) quarantine(t *task, d *ingest.Doc, reason schemas.Reason) {
	w.reasons[string(reason)]++
	q := sink.MakeQuarantined(reason, d.Line, d.Offset, d.Length, d.Data, w.s.QuarantineRaw)
	if err := w.spool.Add(t.source.Index, &q); w.err == nil {
		w.err = err
	}
}

// finish hands over what the worker has gathered. It ends the worker.
func (w *worker) finish(m *mapped) error {
	for unit, b := range w.builders {
		if b.Len() > 0 {
			w.batches[unit] = append(w.batches[unit], b.Flush())
		}
		b.Release()
	}
	for unit, list := range w.batches {
		m.batches[unit] = append(m.batches[unit], list...)
	}
	for i, b := range w.books {
		m.books[i].Add(b)
	}
	m.quarantine = append(m.quarantine, w.spool)
	for r, n := range w.reasons {
		m.reasons[r] += n
	}
	err := w.spool.Flush()
	if e := w.spoolFile.Close(); err == nil {
		err = e
	}
	return err
}

func hexID(sum [16]byte) string { return hex.EncodeToString(sum[:]) }
