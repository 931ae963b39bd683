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
	bytes atomic.Int64 // read

	mu   sync.Mutex
	next int // task
	open []*reading
}

// A reading is an input that is being read.
type reading struct {
	feed *feed
	task int

	mu      sync.Mutex
	over    bool
	stream  content // nil before the first block
	reader  *ingest.Reader
	counted int64 // of stream's bytes
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
		if err := r.begin(ctx, t, res); err != nil {
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
		res.said = res.said.next()
		return work{task: r.task, block: b, said: res.said}, nil
	}
	if errors.Is(err, errChanged) && r.reader.End().Offset > t.start.Offset {
		return work{}, fmt.Errorf("%s: %w", t.input.Path, err) // its rows are among the others already
	}
	if err != io.EOF {
		res.err = err
	}
	res.end, res.sum, res.pending = r.reader.End(), r.reader.Sum(), r.reader.Pending()
	r.end()
	return work{}, nil
}

// patience is how long a worker looks whether the input is free before it sleeps:
// to be woken takes about as long as a block.
const patience = time.Millisecond

func (r *reading) lock() {
	if r.mu.TryLock() {
		return
	}
	for start := time.Now(); time.Since(start) < patience; runtime.Gosched() {
		if r.mu.TryLock() {
			return
		}
	}
	r.mu.Lock()
}

// begin opens the input.
func (r *reading) begin(ctx context.Context, t *task, res *readResult) error {
	stream, err := t.open(ctx)
	if err != nil {
		return err
	}
	r.stream = stream
	src, err := t.begin(stream)
	if err != nil {
		return err
	}
	f := r.feed
	r.reader = ingest.NewReader(src, ingest.ReaderOptions{MaxLine: f.s.MaxLine, Start: t.start, Final: t.final, Large: &f.m.large})
	res.said = newSaid(t.said())
	return nil
}

// end closes the input.
func (r *reading) end() {
	r.over = true
	if r.stream != nil {
		_ = r.stream.Close()
	}
	f := r.feed
	f.mu.Lock()
	f.open = slices.DeleteFunc(f.open, func(o *reading) bool { return o == r })
	f.mu.Unlock()
}
