package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"
)

// WriteStaged writes a staged file, makes it durable, and returns its size and
// SHA-256. Up to behind pieces of it, of PieceBytes each, may wait to be written
// while write goes on.
func (l *Lake) WriteStaged(name string, perm fs.FileMode, behind int, write func(io.Writer) error) (size int64, sum string, err error) {
	path := l.StagedPath(name)
	f, err := l.fs.Create(path, perm)
	if err != nil {
		return 0, "", err
	}
	h := &hashed{path: path, w: f, sum: sha256.New()}
	p := &pieces{w: h, behind: behind}
	err = write(p)
	if e := p.close(err == nil); err == nil {
		err = e
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return h.n, hex.EncodeToString(h.sum.Sum(nil)), err
}

// PieceBytes is how many bytes are hashed and written at a time.
const PieceBytes = 256 << 10

var freePieces = sync.Pool{New: func() any { return new([PieceBytes]byte) }}

// pieces writes to w in pieces of PieceBytes, those behind the first in a
// goroutine of its own, if any may wait for it.
type pieces struct {
	w      io.Writer
	behind int // how many may wait

	last  *[PieceBytes]byte // that is filled, nil if there is none
	used  int               // bytes of last
	queue chan *[PieceBytes]byte
	done  chan struct{} // is closed when all of queue was written
	err   atomic.Pointer[error]
}

func (p *pieces) Write(b []byte) (n int, err error) {
	for n < len(b) {
		if p.last != nil && p.used == PieceBytes {
			if err := p.hand(); err != nil {
				return n, err
			}
		}
		if p.last == nil {
			p.last, p.used = freePieces.Get().(*[PieceBytes]byte), 0
		}
		k := copy(p.last[p.used:], b[n:])
		p.used += k
		n += k
	}
	return n, nil
}

// hand sees to it that the last piece, which is full, is written.
func (p *pieces) hand() error {
	if p.behind == 0 {
		_, err := p.w.Write(p.last[:])
		p.used = 0
		return err
	}
	if p.queue == nil {
		p.queue, p.done = make(chan *[PieceBytes]byte, p.behind), make(chan struct{})
		go p.follow()
	}
	if err := p.err.Load(); err != nil {
		return *err
	}
	p.queue <- p.last
	p.last = nil
	return nil
}

// follow writes what is in the queue, up to the first error.
func (p *pieces) follow() {
	defer close(p.done)
	for piece := range p.queue {
		if p.err.Load() == nil {
			if _, err := p.w.Write(piece[:]); err != nil {
				p.err.Store(&err)
			}
		}
		freePieces.Put(piece)
	}
}

// close gives the memory back. With all that is left is written before.
func (p *pieces) close(all bool) (err error) {
	if p.queue != nil {
		if !all {
			p.err.CompareAndSwap(nil, &io.ErrClosedPipe)
		}
		close(p.queue)
		<-p.done
		if failed := p.err.Load(); failed != nil {
			err = *failed
		}
	}
	if p.last != nil {
		if all && err == nil {
			_, err = p.w.Write(p.last[:p.used])
		}
		freePieces.Put(p.last)
		p.last = nil
	}
	return err
}

// hashed writes through a hash.
type hashed struct {
	path string // of what is written
	w    io.Writer
	sum  hash.Hash
	n    int64
}

func (h *hashed) Write(b []byte) (int, error) {
	n, err := h.w.Write(b)
	h.sum.Write(b[:n])
	h.n += int64(n)
	if err == nil && n < len(b) {
		err = &fs.PathError{Op: "write", Path: h.path, Err: io.ErrShortWrite}
	}
	return n, err
}
