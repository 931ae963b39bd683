package usagelake

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"

	"usagelake/sink/ledger"
)

// stageFile writes a staged file, makes it durable, and returns its size and
// SHA-256. Up to behind pieces of it may wait to be written while write goes on.
func stageFile(lake *ledger.Lake, name string, perm fs.FileMode, behind int, write func(io.Writer) error) (size int64, sum string, err error) {
	f, err := lake.FS().Create(lake.StagedPath(name), perm)
	if err != nil {
		return 0, "", err
	}
	h := &hashed{w: f, sum: sha256.New()}
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

const (
	pieceBytes  = 256 << 10
	groupPieces = 128 // hold a row group, as a rule
)

var freePieces = sync.Pool{New: func() any { return new([pieceBytes]byte) }}

// pieces writes to w in pieces of pieceBytes, those behind the first in a
// goroutine of its own, if any may wait for it.
type pieces struct {
	w      io.Writer
	behind int // how many may wait

	last  *[pieceBytes]byte // that is filled, nil if there is none
	used  int               // bytes of last
	queue chan *[pieceBytes]byte
	done  chan struct{} // is closed when all of queue was written
	err   atomic.Pointer[error]
}

func (p *pieces) Write(b []byte) (n int, err error) {
	for n < len(b) {
		if p.last != nil && p.used == pieceBytes {
			if err := p.hand(); err != nil {
				return n, err
			}
		}
		if p.last == nil {
			p.last, p.used = freePieces.Get().(*[pieceBytes]byte), 0
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
		p.queue, p.done = make(chan *[pieceBytes]byte, p.behind), make(chan struct{})
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
	w   io.Writer
	sum hash.Hash
	n   int64
}

func (h *hashed) Write(b []byte) (int, error) {
	n, err := h.w.Write(b)
	h.sum.Write(b[:n])
	h.n += int64(n)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return n, err
}
