package ingest

import (
	"fmt"
	"io"
	"sync"
	"syscall"
)

// Pad is how many bytes may be read behind every document.
const Pad = 64

const (
	// alignment is what a file is read to, in bytes: some processors take five
	// times as long to copy from the page cache to an odd address.
	alignment = 64
	// bufferPad is what a buffer has beside what is asked for.
	bufferPad = Pad + alignment
	// keepBuffer is the largest buffer, in bytes, that is used again, and
	// beyond which a record is large.
	keepBuffer = 8 << 20
)

// buffers holds *[]byte of any capacity.
var buffers sync.Pool

// buffer returns an empty buffer for n bytes and the padding.
func buffer(n int) []byte {
	if b, ok := buffers.Get().(*[]byte); ok && cap(*b) >= n+bufferPad {
		return *b
	}
	return make([]byte, 0, n+bufferPad)
}

// align copies b, which may lie in the buffer too, to where what is read behind
// it goes to an aligned address. Buffers of more than a few pages are aligned.
func align(buffer, b []byte) []byte {
	from := -len(b) & (alignment - 1)
	return append(buffer[from:from], b...)
}

// Held is a stream that is in memory already. A Reader hands its records out where
// they stand. The zero Held is empty.
type Held struct{ rest []byte }

// Hold makes a stream of data, which must stay as it is. It is copied where it has no
// Pad bytes of room behind it.
func Hold(data []byte) Held {
	if cap(data)-len(data) < Pad {
		data = append(make([]byte, 0, len(data)+Pad), data...)
	}
	return Held{data}
}

func (h *Held) Read(p []byte) (int, error) {
	n := copy(p, h.rest)
	h.rest = h.rest[n:]
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// take is what has not been read.
func (h *Held) take() []byte {
	rest := h.rest
	h.rest = nil
	return rest
}

// recycle takes back what buffer returned.
func recycle(b []byte) {
	b = b[:0]
	if cap(b) > Pad && cap(b) <= keepBuffer {
		buffers.Put(&b)
	}
}

// large is the memory of a large record, and the lock that goes with it. It
// lies outside of the Go heap: address space for the longest record is reserved
// at once, but memory is used only for what is written, so that the buffer
// grows without copies, and free gives the memory back at once. A collected
// heap would let garbage grow by as much again.
type large struct {
	mem  []byte
	lock sync.Locker
}

// newLarge takes lock, which may be nil, and reserves n bytes and the padding,
// aligned.
func newLarge(lock sync.Locker, n int) (*large, error) {
	if lock != nil {
		lock.Lock()
	}
	mem, err := syscall.Mmap(-1, 0, n+bufferPad, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE)
	if err != nil {
		if lock != nil {
			lock.Unlock()
		}
		return nil, fmt.Errorf("reserve %d bytes for a large record: %w", n, err)
	}
	return &large{mem, lock}, nil
}

// free gives memory and lock back. It is called once.
func (l *large) free() {
	_ = syscall.Munmap(l.mem) // fails only for what is not mapped
	if l.lock != nil {
		l.lock.Unlock()
	}
}
