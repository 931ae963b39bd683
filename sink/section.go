package sink

import (
	"bufio"
	"errors"
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
// back: a batch in memory, a stretch of a run, or the unit's file.
type section struct {
	number int32
	unit   schemas.Unit
	old    bool // the rows are in the table
	rows   int64
	// size is the memory that reading takes, in bytes, about.
	size  int64
	marks marks

	batch *schemas.Batch // in memory, or
	order []int32        // and its order, nil where the rows stand in it
	open  func() (Batches, error)
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
// They may be set by several goroutines. The zero value has no room: all rows
// are unmarked.
type marks []uint32

func makeMarks(rows int64) marks { return make(marks, (rows+15)/16) }

func (m marks) at(row int64) mark {
	if m == nil {
		return unmarked
	}
	return mark(atomic.LoadUint32(&m[row/16])) >> (row % 16 * 2) & 3
}

func (m marks) set(row int64, v mark) {
	atomic.OrUint32(&m[row/16], uint32(v)<<(row%16*2))
}

// read begins to hand out the section's rows.
func (p *section) read() (Batches, error) {
	if p.batch != nil {
		p.batch.Rec.Retain()
		return &one{batch: p.batch}, nil
	}
	return p.open()
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

// A run is rows of several units in a file of the scratch directory: for each
// unit one Arrow IPC stream, sorted. What stands behind them belongs to Calls.
type runFile struct {
	scratch Scratch
	name    string
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

// stretch reads the stream of one unit.
func (r *runFile) stretch(off, n int64, mem memory.Allocator) (Batches, error) {
	f, err := r.open()
	if err != nil {
		return nil, err
	}
	ir, err := ipc.NewReader(bufio.NewReaderSize(io.NewSectionReader(f, off, n), 64<<10), ipc.WithAllocator(mem))
	if err != nil {
		return nil, fmt.Errorf("scratch file %s: %w", r.name, err)
	}
	return &stretch{ir, r.name}, nil
}

type stretch struct {
	ir   *ipc.Reader
	name string
}

func (s *stretch) Next() (*schemas.Batch, error) {
	rec, err := s.ir.Read()
	if errors.Is(err, io.EOF) {
		return nil, io.EOF
	}
	if err != nil {
		return nil, fmt.Errorf("scratch file %s: %w", s.name, err)
	}
	rec.Retain()
	return schemas.NewBatch(rec), nil
}

func (s *stretch) Close() error {
	s.ir.Release()
	return nil
}
