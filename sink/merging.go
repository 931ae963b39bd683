package sink

import (
	"context"
	"io"
	"sort"
	"sync"

	"usagelake/schemas"
)

// A cursor stands on a row of a section. It begins to read when it is the first
// of all, so that of sections behind each other few are open.
type cursor struct {
	section *section
	in      Batches // nil before

	batch *schemas.Batch
	keys  *keys   // of the batch
	order []int32 // nil where the rows stand in it
	pos   int     // in that order
	base  int64   // number of the batch's first row in the section
	ref   int32   // of the batch in the chunk that is put together, -1 if it is not there
}

// row is the number in its batch of the row at a position.
func (c *cursor) row(pos int) int {
	if c.order != nil {
		return int(c.order[pos])
	}
	return pos
}

func (c *cursor) spot() spot {
	if c.in == nil {
		return c.section.first
	}
	return c.keys.spot(c.row(c.pos))
}

// letGo gives the cursor's batch back.
func (c *cursor) letGo() {
	c.batch.Release()
	c.keys.idle()
	c.batch, c.keys = nil, nil
}

// until is the position behind the rows of the batch that come before a spot, at
// least that behind the cursor's.
func (c *cursor) until(o *order, limit spot) int {
	n := c.batch.Len()
	before := func(pos int) bool { return o.compareSpots(c.keys.spot(c.row(pos)), limit) < 0 }
	if before(n - 1) {
		return n
	}
	lo, step := c.pos+1, 1
	for lo+step < n && before(lo+step) {
		lo += step
		step *= 2
	}
	return lo + sort.Search(min(step, n-lo), func(i int) bool { return !before(lo + i) })
}

// cursors are a heap, the one with the least row on top.
type cursors struct {
	order *order
	list  []*cursor
}

func (h *cursors) less(a, b *cursor) bool {
	return h.order.compareSpots(a.spot(), b.spot()) < 0
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

// second is the cursor that comes next behind the top, nil if there is none.
func (h *cursors) second() *cursor {
	switch {
	case len(h.list) < 2:
		return nil
	case len(h.list) > 2 && h.less(h.list[2], h.list[1]):
		return h.list[2]
	}
	return h.list[1]
}

// merging merges sections of one unit.
type merging struct {
	ctx   context.Context
	heap  cursors
	books *Outcome // nil: the rows are not counted, and those that are lost are kept
	chunk *portion // that is put together
}

func newMerging(ctx context.Context, o *order, books *Outcome, list []*section) *merging {
	g := &merging{ctx: ctx, heap: cursors{order: o}, books: books, chunk: portions.Get().(*portion)}
	for _, p := range list {
		c := &cursor{section: p, ref: -1}
		if o.twins { // which of its rows is the first is not sure
			p.first = spot{}
		}
		g.heap.push(c)
	}
	return g
}

// next moves a cursor to its next batch, be it the first. It reports whether there
// is one.
func (g *merging) next(c *cursor) (bool, error) {
	if err := g.ctx.Err(); err != nil {
		return false, err
	}
	switch {
	case c.batch != nil:
		c.base += int64(c.batch.Len())
		c.letGo()
	case c.in == nil:
		in, err := c.section.read(true)
		if err != nil {
			return false, err
		}
		c.in = in
	}
	b, err := c.in.Next()
	if err == io.EOF {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	c.batch, c.keys, c.order, c.pos, c.ref = b, idleKeys.Get().(*keys), nil, 0, -1
	c.keys.read(b, 0, b.Len())
	if g.heap.order.twins {
		c.order = g.heap.order.sorted(c.keys)
	}
	if g.books != nil {
		g.books.take(c.section, c.base, b)
	}
	return true, nil
}

// run hands out the rows in order, in chunks of n that emit releases. With alone
// a batch of about as many that no other row comes between is a chunk of its own.
func (g *merging) run(n int, alone bool, emit func(*portion) error) error {
	for len(g.heap.list) > 0 {
		c := g.heap.list[0]
		if c.batch != nil {
			if err := g.front(c, n, alone, emit); err != nil {
				return err
			}
			if c.pos < c.batch.Len() {
				g.heap.fix()
				continue
			}
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

// front takes the rows of the first cursor that come before all others.
func (g *merging) front(c *cursor, n int, alone bool, emit func(*portion) error) error {
	end := c.batch.Len()
	if next := g.heap.second(); next != nil {
		end = c.until(g.heap.order, next.spot())
	}
	whole := alone && c.pos == 0 && end == c.batch.Len() && n/2 <= end && end/2 <= n
	if whole {
		if err := g.flush(emit); err != nil {
			return err
		}
	}
	for c.pos < end {
		k := end
		if !whole {
			k = min(end, c.pos+n-g.chunk.n)
		}
		g.take(c, k)
		if whole || g.chunk.n == n {
			if err := g.flush(emit); err != nil {
				return err
			}
		}
	}
	return nil
}

// ahead is run for an emit that takes its time: while it has a chunk, the next one
// is put together.
func (g *merging) ahead(n int, emit func(*portion) error) (err error) {
	ctx, stop := context.WithCancel(g.ctx)
	defer stop()
	g.ctx = ctx
	next := make(chan *portion)
	go func() {
		defer close(next)
		err = g.run(n, false, func(c *portion) error {
			select {
			case next <- c:
				return nil
			case <-ctx.Done():
				c.release()
				return ctx.Err()
			}
		})
	}()
	var failed error
	for c := range next {
		if failed == nil {
			if failed = emit(c); failed != nil {
				stop()
			}
		}
		c.release()
	}
	if failed != nil {
		return failed
	}
	return err
}

// take puts the rows of a cursor up to a position into the chunk.
func (g *merging) take(c *cursor, end int) {
	to := g.chunk
	some := c.section.marked.Load()
	for n := 1; c.pos < end; c.pos += n {
		row, m := c.row(c.pos), unmarked
		switch {
		case some:
			m = c.section.marks.at(c.base + int64(row))
		case c.order == nil:
			n = end - c.pos
		}
		if m == lost && g.books != nil {
			continue
		}
		if c.ref < 0 {
			c.ref = int32(len(to.batches))
			c.batch.Rec.Retain()
			to.batches = append(to.batches, c.batch)
		}
		r := Run{Batch: c.ref, Row: int32(row), N: int32(n)}
		if m != unmarked {
			to.marks = append(to.marks, marked{to.n, r, m})
		}
		to.order = appendRun(to.order, r)
		to.n += n
	}
}

// drain brings all rows into the books and hands out none.
func (g *merging) drain() error {
	for _, c := range g.heap.list {
		for more := true; more; {
			var err error
			if more, err = g.next(c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *merging) flush(emit func(*portion) error) error {
	if g.chunk.n == 0 {
		return nil
	}
	full := g.chunk
	g.chunk = portions.Get().(*portion)
	for _, c := range g.heap.list {
		c.ref = -1
	}
	if err := emit(full); err != nil {
		return err
	}
	return g.ctx.Err()
}

// close lets go of what was not read to its end.
func (g *merging) close() {
	g.chunk.release()
	for _, c := range g.heap.list {
		if c.batch != nil {
			c.letGo()
		}
		if c.in != nil {
			_ = c.in.Close()
		}
	}
}

// portion is a chunk of rows in order, with the batches they are in.
type portion struct {
	batches []*schemas.Batch
	order   []Run
	n       int // rows
	marks   []marked
}

// marked is a row of a chunk that has a mark.
type marked struct {
	at  int // its number in the order
	row Run // alone
	mark
}

var portions = sync.Pool{New: func() any { return new(portion) }}

// rows is the chunk, to be written.
func (c *portion) rows() Rows {
	r := Rows{Batches: c.batches, Order: c.order}
	for _, m := range c.marks {
		was := c.batches[m.row.Batch].Str(schemas.QualityFlags, int(m.row.Row))
		if now := withReuse(was, m.mark == reused); now != was {
			if r.Flags == nil {
				r.Flags = map[int]string{}
			}
			r.Flags[m.at] = now
		}
	}
	return r
}

// release gives the chunk and its batches back.
func (c *portion) release() {
	for _, b := range c.batches {
		b.Release()
	}
	clear(c.batches)
	c.batches, c.order, c.n, c.marks = c.batches[:0], c.order[:0], 0, c.marks[:0]
	portions.Put(c)
}
