package sink

import (
	"bufio"
	"context"
	"io"

	"github.com/apache/arrow/go/v17/arrow/ipc"

	"usagelake/schemas"
)

// A cursor stands on a row of a section.
type cursor struct {
	section *section
	in      Batches

	batch *schemas.Batch
	keys  keys
	order []int32 // nil where the rows stand in it
	pos   int     // in that order
	base  int64   // number of the batch's first row in the section
	ref   int32   // of the batch in the chunk at hand, -1 if it is not there
}

// row is the number of the row in its batch.
func (c *cursor) row() int {
	if c.order != nil {
		return int(c.order[c.pos])
	}
	return c.pos
}

// cursors are a heap, the one with the least row on top.
type cursors struct {
	order *order
	list  []*cursor
}

func (h *cursors) less(a, b *cursor) bool {
	return h.order.compare(&a.keys, a.row(), &b.keys, b.row()) < 0
}

func (h *cursors) push(c *cursor) {
	h.list = append(h.list, c)
	for i := len(h.list) - 1; i > 0; {
		up := (i - 1) / 2
		if !h.less(h.list[i], h.list[up]) {
			return
		}
		h.list[i], h.list[up] = h.list[up], h.list[i]
		i = up
	}
}

// fix puts the top where it belongs after it moved on.
func (h *cursors) fix() {
	for i := 0; ; {
		k := 2*i + 1
		if k >= len(h.list) {
			return
		}
		if k+1 < len(h.list) && h.less(h.list[k+1], h.list[k]) {
			k++
		}
		if !h.less(h.list[k], h.list[i]) {
			return
		}
		h.list[i], h.list[k] = h.list[k], h.list[i]
		i = k
	}
}

// pop takes the top away.
func (h *cursors) pop() {
	n := len(h.list) - 1
	h.list[0] = h.list[n]
	h.list = h.list[:n]
	h.fix()
}

// pieces hands out all rows of batches in order, at most n at a time. Rows that
// differ in nothing but their sources' ids stay together: their order is not
// known yet.
func (o *order) pieces(batches []*schemas.Batch, n int, piece func([]schemas.Ref) error) error {
	h := cursors{order: o}
	for i, b := range batches {
		c := &cursor{batch: b, keys: keysOf(b), ref: int32(i)}
		c.order = o.sorted(&c.keys)
		h.push(c)
	}
	refs := make([]schemas.Ref, 0, n)
	var last *cursor
	lastRow := 0
	for len(h.list) > 0 {
		c := h.list[0]
		row := c.row()
		if len(refs) >= n && (!o.twins || o.compare(&last.keys, lastRow, &c.keys, row) != 0) {
			if err := piece(refs); err != nil {
				return err
			}
			refs = refs[:0]
		}
		refs = append(refs, schemas.Ref{Batch: c.ref, Row: int32(row)})
		last, lastRow = c, row
		if c.pos++; c.pos == c.batch.Len() {
			h.pop()
		} else {
			h.fix()
		}
	}
	if len(refs) == 0 {
		return nil
	}
	return piece(refs)
}

// merging merges sections of one unit.
type merging struct {
	ctx   context.Context
	heap  cursors
	books *Outcome // nil: the rows are not counted, and those that are lost are kept

	batches []*schemas.Batch // of the chunk at hand
	refs    []schemas.Ref
	marks   []mark
	spent   []*schemas.Batch // left behind by their cursors, but in the chunk
}

func newMerging(ctx context.Context, o *order, books *Outcome) *merging {
	return &merging{ctx: ctx, heap: cursors{order: o}, books: books}
}

// add begins to read a section.
func (g *merging) add(p *section) error {
	in, err := p.read()
	if err != nil {
		return err
	}
	c := &cursor{section: p, in: in, ref: -1}
	ok, err := g.next(c)
	if ok {
		g.heap.push(c)
		return nil
	}
	if e := in.Close(); err == nil {
		err = e
	}
	return err
}

// next moves a cursor to its next batch.
func (g *merging) next(c *cursor) (bool, error) {
	if err := g.ctx.Err(); err != nil {
		return false, err
	}
	if c.batch != nil {
		c.base += int64(c.batch.Len())
		if c.ref >= 0 {
			g.spent = append(g.spent, c.batch)
		} else {
			c.batch.Release()
		}
		c.batch = nil
	}
	b, err := c.in.Next()
	if err == io.EOF {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	c.batch, c.keys, c.pos, c.ref = b, keysOf(b), 0, -1
	c.order = c.section.order
	if g.heap.order.twins {
		c.order = g.heap.order.sorted(&c.keys)
	}
	if g.books != nil {
		g.books.take(c.section, c.base, b)
	}
	return true, nil
}

// run hands out the rows in order, in chunks of n.
func (g *merging) run(n int, emit func(*merging) error) error {
	for len(g.heap.list) > 0 {
		c := g.heap.list[0]
		row := c.row()
		if m := c.section.marks.at(c.base + int64(row)); m != lost || g.books == nil {
			if c.ref < 0 {
				c.ref = int32(len(g.batches))
				g.batches = append(g.batches, c.batch)
			}
			g.refs = append(g.refs, schemas.Ref{Batch: c.ref, Row: int32(row)})
			g.marks = append(g.marks, m)
			if len(g.refs) == n {
				if err := g.flush(emit); err != nil {
					return err
				}
			}
		}
		if c.pos++; c.pos < c.batch.Len() {
			g.heap.fix()
			continue
		}
		more, err := g.next(c)
		if err != nil {
			return err
		}
		if more {
			g.heap.fix()
			continue
		}
		g.heap.pop()
		if err := c.in.Close(); err != nil {
			return err
		}
	}
	return g.flush(emit)
}

// drain brings all rows into the books and hands out none.
func (g *merging) drain() error {
	for _, c := range g.heap.list {
		for {
			more, err := g.next(c)
			if err != nil {
				return err
			}
			if !more {
				break
			}
		}
	}
	return nil
}

func (g *merging) flush(emit func(*merging) error) error {
	if len(g.refs) == 0 {
		return nil
	}
	err := emit(g)
	g.batches, g.refs, g.marks = g.batches[:0], g.refs[:0], g.marks[:0]
	for _, b := range g.spent {
		b.Release()
	}
	g.spent = g.spent[:0]
	for _, c := range g.heap.list {
		c.ref = -1
	}
	if err == nil {
		err = g.ctx.Err()
	}
	return err
}

// rows is the chunk at hand, to be written.
func (g *merging) rows(sources *Sources) Rows {
	r := Rows{Batches: g.batches, Order: g.refs, Sources: sources, Flags: map[int]string{}}
	for i, m := range g.marks {
		if m == unmarked {
			continue
		}
		ref := g.refs[i]
		was := g.batches[ref.Batch].Str(schemas.QualityFlags, int(ref.Row))
		if now := withReuse(was, m == reused); now != was {
			r.Flags[i] = now
		}
	}
	return r
}

// close lets go of what was not read to its end.
func (g *merging) close() {
	for _, b := range g.spent {
		b.Release()
	}
	for _, c := range g.heap.list {
		if c.batch != nil {
			c.batch.Release()
		}
		_ = c.in.Close()
	}
}

// narrow merges sections into fewer ones until all can be read side by side. The
// file of the unit stays as it is.
func (m *Merger) narrow(ctx context.Context, list []*section) ([]*section, error) {
	for {
		var size int64
		n, first := 0, 0
		for n < len(list) && (n < first+2 || size+list[n].size <= m.opt.Reading) {
			if list[n].old {
				first = n + 1
			}
			size += list[n].size
			n++
		}
		if n == len(list) {
			return list, nil
		}
		p, err := m.together(ctx, list[first:n])
		if err != nil {
			return nil, err
		}
		list = append(append(list[:first:first], list[n:]...), p)
	}
}

// together writes sections as one, with their marks.
func (m *Merger) together(ctx context.Context, list []*section) (_ *section, err error) {
	g := newMerging(ctx, m.order, nil)
	defer g.close()
	p := &section{unit: list[0].unit, size: 2 * recordBytes}
	for _, from := range list {
		p.rows += from.rows
		if err := g.add(from); err != nil {
			return nil, err
		}
	}
	p.marks = makeMarks(p.rows)
	r, f, err := m.run()
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	w := &offsetWriter{w: bufio.NewWriterSize(f, 1<<20)}
	var firsts []*schemas.Batch
	cut := batchRows
	for _, c := range g.heap.list {
		firsts = append(firsts, c.batch)
		cut = min(cut, max(c.batch.Len(), 64))
	}
	gather := schemas.NewGatherer(m.opt.Mem, firsts) // a stretch's batches have the same columns
	out := ipc.NewWriter(w, ipc.WithSchema(gather.Schema()), ipc.WithAllocator(m.opt.Mem), ipc.WithLZ4())
	var row int64
	err = g.run(cut, func(g *merging) error {
		for _, mk := range g.marks {
			p.marks.set(row, mk)
			row++
		}
		b := gather.Gather(g.batches, g.refs)
		defer b.Release()
		for _, spent := range g.spent {
			gather.Drop(spent)
		}
		return out.Write(b.Rec)
	})
	if err == nil {
		err = out.Close()
	}
	if err == nil {
		err = w.w.Flush()
	}
	for _, from := range list {
		from.release()
	}
	p.open = func() (Batches, error) { return r.stretch(0, w.n, m.opt.Mem) }
	return p, err
}
