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

	mu      sync.Mutex
	over    bool
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
			if err != nil {
				return err
			}
			if b.block == nil {
				break
			}
			if err := do(b); err != nil {
				return err
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
	if len(f.open) > 0 {
		return f.open[0]
	}
	return nil
}

// close closes what is left open when a run is broken off.
func (f *feed) close() {
	for _, r := range f.open {
		if r.stream != nil {
			_ = r.stream.Close()
		}
	}
}

// block is the next block, and none at the end of the input. What is wrong with the
// input is its own result; only the end of the whole run is an error.
func (r *reading) block(ctx context.Context) (work, error) {
	r.lock()
	defer r.mu.Unlock()
	if err := ctx.Err(); err != nil || r.over {
		return work{}, err
	}
	f, t, res := r.feed, r.feed.tasks[r.task], &r.feed.m.reads[r.task]
	if r.stream == nil {
		if err := r.begin(ctx, t); err != nil {
			res.err = err
			r.end()
			return work{}, nil
		}
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

func (r *reading) lock() {
	var start time.Time
	for n := 0; !r.mu.TryLock(); n++ {
		if n%looks > 0 {
			continue
		}
		switch now := time.Now(); {
		case n == 0:
			start = now
		case now.Sub(start) > patience:
			r.mu.Lock()
			return
		}
		runtime.Gosched()
	}
}

// begin opens the input.
func (r *reading) begin(ctx context.Context, t *task) error {
	stream, err := t.open(ctx)
	if err != nil {
		return err
	}
	r.stream = stream
	opt := ingest.ReaderOptions{MaxLine: r.feed.s.MaxLine, Start: t.start, Final: t.final, Large: &r.feed.m.large}
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
