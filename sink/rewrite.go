package sink

import (
	"bufio"
	"context"

	"usagelake/schemas"
	"usagelake/sink/disk"
)

// A rewriter writes sections to runs, merged into longer ones. It belongs to one
// goroutine.
type rewriter struct {
	m      *Merger
	order  *order
	early  bool // the ids of sources are not known yet
	cut    int  // rows of a batch
	copier *schemas.Builder

	// The run that is written.
	run  *runFile
	file disk.Writer
	w    *offsetWriter
}

func newRewriter(m *Merger, o *order) *rewriter {
	return &rewriter{m: m, order: o, cut: schemas.BuilderRows, copier: schemas.NewBuilder(m.opt.Mem), early: m.early}
}

// rowsWithin is how many rows like those of sections a batch may have for a section
// to take no more than size bytes while it is read.
func rowsWithin(size int64, of []*section) int {
	row := int64(1)
	for _, p := range of {
		row = max(row, p.rowBytes())
	}
	return int(min(max(size/row, leastRows), schemas.BuilderRows))
}

// leastRows is the fewest rows that batches are cut into.
const leastRows = 64

// begin begins a run.
func (r *rewriter) begin() (err error) {
	if r.run, r.file, err = r.m.run(); err != nil {
		return err
	}
	r.w = &offsetWriter{w: bufio.NewWriterSize(r.file, 256<<10)}
	return nil
}

// end ends the run. What was written can be read only then.
func (r *rewriter) end() error {
	err := r.w.w.Flush()
	if e := r.file.Close(); err == nil {
		err = e
	}
	r.run, r.file, r.w = nil, nil, nil
	return err
}

// merge writes the rows of a unit's sections as one section, or as several where
// the order of two rows is not known yet. Of every batch it calls wrote, if that
// is not nil. The sections remain the caller's.
func (r *rewriter) merge(ctx context.Context, list []*section, wrote func(p *section, base int64, b *schemas.Batch)) (longer []*section, err error) {
	var (
		p   *section
		out *stretch
		k   keys
	)
	done := func() {
		if p != nil {
			p.run = out
		}
	}
	var all int64
	for _, from := range list {
		all += from.rows
	}
	g := newMerging(ctx, r.order, nil, list)
	defer g.close()
	err = g.run(r.cut, true, func(c *portion) error {
		defer c.release()
		b := r.batch(c)
		defer b.Release()
		k.read(b, 0, b.Len())
		if p == nil || r.early && r.order.twins && r.order.tied(p.last, k.spot(0)) {
			done()
			p = &section{unit: list[0].unit, first: k.spot(0), marks: makeMarks(all)}
			out = &stretch{run: r.run, mem: r.m.opt.Mem}
			r.m.number(p)
			longer = append(longer, p)
		}
		at, err := r.w.batch(b, r.m.opt.Mem)
		if err != nil {
			return err
		}
		for _, m := range c.marks {
			p.mark(p.rows+int64(m.at), m.mark)
		}
		out.pieces = append(out.pieces, at)
		p.size = max(p.size, readBytes(at, int64(b.Len())))
		p.last = k.spot(b.Len() - 1)
		if wrote != nil {
			wrote(p, p.rows, b)
		}
		p.rows += int64(b.Len())
		return nil
	})
	done()
	return longer, err
}

// batch is the rows of a chunk as a batch.
func (r *rewriter) batch(c *portion) *schemas.Batch {
	if b := c.batches[0]; len(c.order) == 1 && c.n == b.Len() {
		b.Rec.Retain()
		return b
	}
	for _, run := range c.order {
		r.copier.Copy(c.batches[run.Batch], int(run.Row), int(run.Row+run.N))
	}
	return r.copier.Flush(nil)
}
