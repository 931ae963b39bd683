package usagelake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"usagelake/ingest"
)

// A feed hands out the planned inputs to workers, block by block. Who reads a block
// works on it, while it is in its processor's cache: a worker has an input of its
// own as long as there are enough, and then joins others in theirs.
type feed struct {
	s     *settings
	m     *mapped
	tasks []*task
	said  []*said      // by task: up to the last block that was handed out
	bytes atomic.Int64 // read

	mu   sync.Mutex
	next int // task
	open []*reading
	idle []*ingest.Reader // of inputs that were read
}

// A reading is an input that is being read.
type reading struct {
	feed *feed
	task int

	joined atomic.Bool // others work on it too
	ready  ahead       // blocks that nobody has yet

	mu      sync.Mutex
	over    bool
	slow    bool    // others have nothing to do while one reads
	stream  content // nil before the first block
	reader  *ingest.Reader
	lines   *ingest.Lines // of a range; nil for the whole input
	counted int64         // of stream's bytes
}

// drain works on all there is, beside others who do.
func (f *feed) drain(ctx context.Context, do func(work) error) error {
	for r := f.begin(); r != nil; r = f.begin() {
		for {
			b, err := r.block(ctx)
			if err == nil && b.block != nil {
				err = do(b)
			}
			if err != nil {
				r.ready.drop()
				return err
			}
			if b.block == nil {
				break
			}
		}
	}
	return nil
}

// begin is an input that nobody reads yet or, where there is none, one that others
// read. It is nil at the end of all.
func (f *feed) begin() *reading {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ; f.next < len(f.tasks); f.next++ {
		if t := f.tasks[f.next]; t.read() && !t.apart {
			r := &reading{feed: f, task: f.next}
			f.next++
			f.open = append(f.open, r)
			return r
		}
	}
	if len(f.open) == 0 {
		return nil
	}
	f.open[0].joined.Store(true)
	return f.open[0]
}

// close closes what is left open when a run is broken off.
func (f *feed) close() {
	for _, r := range f.open {
		if r.stream != nil {
			_ = r.stream.Close()
		}
	}
}

// block is the next block, and none at the end of the input. Of a slow one that several
// work on, whoever reads goes on to read ahead, and the others work on what is ready:
// else they wait for him now, and all work and nobody reads then.
func (r *reading) block(ctx context.Context) (work, error) {
	b := r.lock()
	if b.block != nil {
		return b, nil
	}
	defer r.mu.Unlock()
	for {
		next, err := r.next(ctx)
		if err != nil {
			return work{}, err
		}
		if next.block != nil {
			if !r.slow || !r.joined.Load() {
				return next, nil
			}
			if r.ready.push(next) < aheadBytes {
				continue
			}
		}
		if b, ok := r.ready.pop(); ok || next.block == nil {
			return b, nil
		}
	}
}

// aheadBytes is how much of a slow input is ready, in bytes, when nobody reads on. A
// block of large records alone is more: the next one may have to wait until it is freed.
const aheadBytes = 1 << 20

// ahead is blocks in their order.
type ahead struct {
	n    atomic.Int32 // blocks
	mu   sync.Mutex
	list []work
}

// push adds a block and returns how many bytes there are.
func (a *ahead) push(b work) (bytes int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, b)
	a.n.Add(1)
	for _, b := range a.list {
		bytes += len(b.block.Data)
	}
	return bytes
}

// pop takes the first one, if there is any.
func (a *ahead) pop() (work, bool) {
	if a.n.Load() == 0 {
		return work{}, false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.list) == 0 {
		return work{}, false
	}
	b := a.list[0]
	a.list = slices.Delete(a.list, 0, 1)
	a.n.Add(-1)
	return b, true
}

// drop frees all.
func (a *ahead) drop() {
	for b, ok := a.pop(); ok; b, ok = a.pop() {
		b.free()
	}
}

// next reads a block; there is none at the end of the input. What is wrong with the
// input is its own result; only the end of the whole run is an error.
func (r *reading) next(ctx context.Context) (work, error) {
	if err := ctx.Err(); err != nil || r.over {
		return work{}, err
	}
	f, t, res := r.feed, r.feed.tasks[r.task], &r.feed.m.reads[r.task]
	if r.stream == nil && !r.begins(ctx, t, res) {
		r.end()
		return work{}, nil
	}
	b, err := r.reader.Next()
	n := r.stream.BytesRead()
	f.bytes.Add(n - r.counted)
	r.counted = n
	if err == nil {
		f.said[r.task] = f.said[r.task].next()
		return work{task: r.task, block: b, said: f.said[r.task]}, nil
	}
	if errors.Is(err, errChanged) && r.reader.End().Offset > t.start.Offset {
		return work{}, fmt.Errorf("%s: %w", t.input.Path, err) // its rows are among the others already
	}
	if err != io.EOF {
		res.err = err
	}
	res.end, res.sum, res.pending = r.reader.End(), hexID(r.reader.Sum()), r.reader.Pending()
	if r.lines != nil {
		res.start, res.part = r.lines.Start(), r.lines.Sum()
	} else {
		res.head, res.headLen = t.headUpTo(res.end.Offset)
	}
	r.end()
	return work{}, nil
}

// patience is how long a worker looks whether the input is free before it sleeps:
// to be woken takes about as long as a block.
const patience = time.Millisecond

// looks is how often it looks in between two looks at the clock, and at what else
// there is to do.
const looks = 256

// lock locks the input, or returns a block of it that is ready.
func (r *reading) lock() work {
	var start time.Time
	for n := 0; ; n++ {
		if b, ok := r.ready.pop(); ok {
			return b
		}
		if r.mu.TryLock() {
			break
		}
		if n%looks > 0 {
			continue
		}
		now := time.Now()
		if n == 0 {
			start = now
		} else if now.Sub(start) > patience {
			r.mu.Lock()
			break
		}
		runtime.Gosched()
	}
	b, ok := r.ready.pop()
	if ok {
		r.mu.Unlock()
	}
	return b
}

// begins begins the input. Where that cannot be done the reason is its result.
func (r *reading) begins(ctx context.Context, t *task, res *readResult) bool {
	res.err = r.begin(ctx, t)
	return res.err == nil
}

// begin opens the input.
func (r *reading) begin(ctx context.Context, t *task) error {
	stream, err := t.open(ctx)
	if err != nil {
		return err
	}
	r.stream = stream
	if s, ok := stream.(*ingest.Stream); ok {
		r.slow = s.Slow()
	}
	opt := ingest.ReaderOptions{MaxLine: r.feed.s.MaxLine, Start: t.start, Final: t.final, Late: r.slow, Large: &r.feed.m.large}
	var src io.Reader
	if t.part == nil {
		src, err = t.begin(stream)
	} else if r.lines, err = ingest.NewLines(stream, t.part.Range); err == nil {
		src = r.lines
		opt.Part, opt.Start = true, ingest.Position{Offset: r.lines.Start(), Line: t.part.Line}
	}
	if err != nil {
		return err
	}
	r.reader = r.feed.idleReader()
	r.reader.Reset(src, opt)
	r.feed.said[r.task] = newSaid(t.said())
	return nil
}

// idleReader is a reader to be reset: one takes as long to make as a small input
// takes to be cut.
func (f *feed) idleReader() *ingest.Reader {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.idle)
	if n == 0 {
		return new(ingest.Reader)
	}
	r := f.idle[n-1]
	f.idle = f.idle[:n-1]
	return r
}

// end closes the input.
func (r *reading) end() {
	r.over = true
	if r.stream != nil {
		_ = r.stream.Close()
	}
	f := r.feed
	f.mu.Lock()
	if r.reader != nil {
		f.idle, r.reader = append(f.idle, r.reader), nil
	}
	f.open = slices.DeleteFunc(f.open, func(o *reading) bool { return o == r })
	f.mu.Unlock()
}
