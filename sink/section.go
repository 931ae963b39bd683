package sink

import (
	"bufio"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/schemas"
	"usagelake/sink/disk"
)

// A section is rows of one unit in the order of the sort key, read from front to
// back: a part of a batch in memory, a stretch of a run, or the unit's file.
type section struct {
	number int32
	unit   schemas.Unit
	old    bool // the rows are in the table
	rows   int64
	// first and last are the spots of its ends; of a file they are not known.
	first, last spot
	// size is the memory that reading takes, in bytes, about.
	size   int64
	marks  marks
	marked atomic.Bool // some row is

	batch *schemas.Batch // in memory: its rows from low on, or
	low   int
	run   *stretch // where it stands in a run, or
	open  func() (Batches, error)
	calls func() (Batches, error) // open with no more than callColumns; may be nil
}

// Batches hands out batches; the caller releases them.
type Batches interface {
	Next() (*schemas.Batch, error) // io.EOF behind the last
	Close() error
}

// A mark is what is known of a row before it is merged.
type mark uint32

const (
	unmarked mark = iota // it stays as it is
	lost                 // a copy of it stays
	single               // it stays, without the flag id_reused
	reused               // it stays, with the flag
)

// marks are two bits for each row of a section, in the order they are read in.
type marks []uint32

func makeMarks(rows int64) marks { return make(marks, (rows+15)/16) }

func (m marks) at(row int64) mark {
	return mark(atomic.LoadUint32(&m[row/16])) >> (row % 16 * 2) & 3
}

// mark marks a row that has no mark. Several goroutines may do so.
func (p *section) mark(row int64, v mark) {
	atomic.OrUint32(&p.marks[row/16], uint32(v)<<(row%16*2))
	p.marked.Store(true)
}

// read begins to hand out the section's rows, for the last time or not.
func (p *section) read(last bool) (Batches, error) {
	switch {
	case p.batch != nil:
		return &one{p.batch.Part(p.low, p.low+int(p.rows))}, nil
	case p.run != nil:
		all := *p.run
		all.last = last
		return &all, nil
	}
	return p.open()
}

// readBytes is the memory that reading a batch of a run takes, in bytes, about.
func readBytes(at piece, rows int64) int64 { return 2*at.Len + (keyBytes+leanBytes)*rows }

// leanBytes is what a row of a batch may take more in memory than in a run.
const leanBytes = 16

// rowBytes is what a row takes while the section is read, in bytes, about; 0 if
// it stands in no run.
func (p *section) rowBytes() (n int64) {
	if p.run == nil {
		return 0
	}
	for _, at := range p.run.pieces {
		n += at.Len
	}
	return readBytes(piece{Len: n}, p.rows) / p.rows
}

// release gives back the memory that the section holds.
func (p *section) release() {
	if p.batch != nil {
		p.batch.Release()
		p.batch = nil
	}
}

// one is batches of a single one.
type one struct{ batch *schemas.Batch }

func (o *one) Next() (*schemas.Batch, error) {
	b := o.batch
	if b == nil {
		return nil, io.EOF
	}
	o.batch = nil
	return b, nil
}

func (o *one) Close() error {
	if o.batch != nil {
		o.batch.Release()
	}
	return nil
}

// A runFile is a file of the scratch directory: batches of several units, each
// an Arrow IPC stream. What stands behind them belongs to a callLog.
type runFile struct {
	scratch Scratch
	name    string
	own     bool // nobody else reads it
	mu      sync.Mutex
	file    disk.Reader
}

// open opens the file, once.
func (r *runFile) open() (disk.Reader, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		return r.file, nil
	}
	f, err := r.scratch.Open(r.name)
	if err != nil {
		return nil, err
	}
	r.file = f
	return f, nil
}

func (r *runFile) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

// spent gives back the space of a piece. Pages that were just used cost less, as those of
// the file that is written from it, than others do.
func (r *runFile) spent(at piece) {
	if r.own {
		r.scratch.Trim(r.name, at)
	}
}

// piece is where a batch stands in a file.
type piece struct {
	Off int64 `json:"off"`
	Len int64 `json:"len"`
}

// stretch reads batches of a run.
type stretch struct {
	run    *runFile
	mem    memory.Allocator
	pieces []piece
	lines  int64 // to be added to source_line
	last   bool  // what was read is not read again
}

func (s *stretch) Next() (*schemas.Batch, error) {
	if len(s.pieces) == 0 {
		return nil, io.EOF
	}
	f, err := s.run.open()
	if err != nil {
		return nil, err
	}
	at := s.pieces[0]
	s.pieces = s.pieces[1:]
	ir, err := ipc.NewReader(bufio.NewReader(io.NewSectionReader(f, at.Off, at.Len)), ipc.WithAllocator(s.mem))
	if err != nil {
		return nil, fmt.Errorf("scratch file %s: %w", s.run.name, err)
	}
	defer ir.Release()
	rec, err := ir.Read()
	if err != nil {
		return nil, fmt.Errorf("scratch file %s: %w", s.run.name, err)
	}
	if s.last {
		s.run.spent(at)
	}
	rec.Retain()
	b, err := schemas.OfLean(rec, s.mem)
	if err != nil {
		return nil, fmt.Errorf("scratch file %s: %w", s.run.name, err)
	}
	if s.lines != 0 {
		b.ShiftLines(s.lines)
	}
	return b, nil
}

func (s *stretch) Close() error { return nil }

// offsetWriter counts what goes through it.
type offsetWriter struct {
	w *bufio.Writer
	n int64
}

func (w *offsetWriter) Write(b []byte) (int, error) {
	n, err := w.w.Write(b)
	w.n += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return n, err
}

// batch writes a batch.
func (w *offsetWriter) batch(b *schemas.Batch, mem memory.Allocator) (piece, error) {
	off := w.n
	rec := b.Lean(mem)
	defer rec.Release()
	out := ipc.NewWriter(w, ipc.WithSchema(rec.Schema()), ipc.WithAllocator(mem))
	err := out.Write(rec)
	if e := out.Close(); err == nil {
		err = e
	}
	return piece{Off: off, Len: w.n - off}, err
}
