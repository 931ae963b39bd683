package ingest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/zeebo/xxh3"
)

const (
	defaultBlock   = 256 << 10
	defaultMaxLine = 256 << 20
	maxMaxLine     = 4 << 30 // Walk takes no longer document

	// maxPiece is how much is read at once, in bytes, to be looked at while it
	// is in the cache.
	maxPiece = 128 << 10
	// besideSize is the size in bytes from which a block is hashed by a
	// goroutine of its own. Only blocks of long records are so large: there is
	// little else to do with them, while short ones keep all cores busy.
	besideSize = defaultBlock + maxPiece
)

// ReaderOptions sets how a Reader cuts. The zero value is ready for use.
type ReaderOptions struct {
	// BlockSize is the target size of a block in bytes, 256 KiB by default.
	// Blocks grow to what a long record needs.
	BlockSize int
	// MaxLine is the longest line or array element that is a record, in
	// bytes; 256 MiB by default, 4 GiB at most. Longer ones are handed out as
	// LineTooLong and never held in memory.
	MaxLine int64
	// Large is locked while a record of more than 8 MiB (or 4 BlockSize) is
	// in memory: from before its buffer grows beyond that until its block is
	// freed, or Next returns without it. Readers that share it have no more
	// than one such record among them. Next waits for it, so others must
	// free the blocks that were handed out. May be nil.
	Large sync.Locker
	// Start is where to continue: the bytes before it are hashed, but not
	// handed out.
	Start Position
	// Part says that the stream is a part of one: it begins at Start, with a line
	// of a source that is framed by lines. The sum is of the part then.
	Part bool
	// Late says that blocks are hashed by who looks at them, and not before they are
	// handed out: for a stream that takes longer to read than its records take to be
	// handled.
	Late bool
	// Final says that nothing can ever follow the stream: an unfinished tail
	// is a record then.
	Final bool
}

// Position is a place in a decompressed stream. The zero Position is its
// start.
type Position struct {
	Offset int64
	Line   int64 // line number of the byte at Offset, from 1
}

// Reader cuts a stream into blocks of whole records and hashes what it hands
// out. What comes out depends only on the stream's bytes, not on how they
// arrive nor on the block size. A Reader belongs to one goroutine. It can be
// left at any time: between calls of Next it holds nothing that must be freed.
//
// Large blocks are hashed beside what the reader does, so that two cores have
// work: while one block is hashed, the next is read.
type Reader struct {
	src   io.Reader
	opt   ReaderOptions
	piece int   // bytes to read at once
	limit int64 // longest record to hold in memory
	small int   // largest buffer for a record that is not large
	room  int   // size of the next buffer: records were so long lately

	mem   []byte // holds buf; nil where a Held does
	buf   []byte // read, but not handed out; begins at end.Offset
	pos   int    // buf[:pos] has been looked at
	whole int    // where the last whole record in it ends; 0: there is none
	lines int    // line framing: newlines in buf[:whole]
	err   error  // why src ended
	end   Position

	sum    xxh3.Hasher128 // belongs to hashed, if there is one
	hashed *hashing       // of the last block; nil: all is hashed

	large *large // whose memory mem is; nil: the heap's
	tail  int64  // size of what was pending when the reader ended

	begun  bool
	values bool   // values framing
	lead   lead   // line framing: what stands before end on its line
	base   cutter // values framing: the state at buf[0],
	cut    cutter // and at buf[pos]
}

// NewReader makes a reader that reads src from its first byte.
func NewReader(src io.Reader, opt ReaderOptions) *Reader {
	r := new(Reader)
	r.Reset(src, opt)
	return r
}

// Reset makes the reader what NewReader returns, in the memory that it has.
func (r *Reader) Reset(src io.Reader, opt ReaderOptions) {
	if opt.BlockSize <= 0 {
		opt.BlockSize = defaultBlock
	}
	if opt.MaxLine <= 0 {
		opt.MaxLine = defaultMaxLine
	}
	opt.MaxLine = min(opt.MaxLine, maxMaxLine)
	opt.Start.Line = cmp.Or(opt.Start.Line, 1)
	end := Position{0, 1}
	if opt.Part {
		end = opt.Start
	}
	r.settle()
	*r = Reader{
		src:   src,
		opt:   opt,
		piece: min(opt.BlockSize, maxPiece),
		limit: max(opt.MaxLine, headLen),
		small: max(keepBuffer-bufferPad, 4*opt.BlockSize),
		room:  opt.BlockSize,
		end:   end,
	}
}

// Next returns the next block. After the last one it returns io.EOF, or why
// the stream broke off, and goes on to do so: whole records before that were
// handed out. The caller frees the block.
func (r *Reader) Next() (*Block, error) {
	if !r.begun {
		r.begun = true
		r.values = !r.opt.Part && r.decide()
		r.cut = cutter{line: 1, max: r.opt.MaxLine}
		r.base = r.cut
		if err := r.replay(); err != nil {
			r.err = err
		}
	}
	if r.values {
		return r.nextValues()
	}
	return r.nextLines()
}

// End is the place behind the last byte that was handed out or passed over.
func (r *Reader) End() Position { return r.end }

// Pending is how many bytes were read and not handed out. Once Next has
// returned an error it is the size of the unfinished tail.
func (r *Reader) Pending() int64 { return r.tail + int64(len(r.buf)) }

// Sum is the XXH3-128, big-endian, of all bytes before End.
func (r *Reader) Sum() [16]byte {
	r.settle()
	return r.sum.Sum128().Bytes()
}

// decide reads as much as is needed to choose the framing.
func (r *Reader) decide() (values bool) {
	for {
		values, sure := framing(r.buf[:min(len(r.buf), headLen)])
		if sure {
			return values
		}
		if r.err != nil || len(r.buf) >= headLen {
			return false
		}
		r.more()
	}
}

// replay passes over the bytes before the start position.
func (r *Reader) replay() error {
	start := r.opt.Start
	for r.end.Offset < start.Offset {
		if len(r.buf) == 0 {
			r.fill(r.piece)
		}
		if len(r.buf) == 0 {
			if r.err == io.EOF {
				return fmt.Errorf("continue at byte %d: %w", start.Offset, io.ErrUnexpectedEOF)
			}
			return r.err
		}
		p := r.buf[:min(start.Offset-r.end.Offset, int64(len(r.buf)))]
		lead := r.lead.after(p, r.end.Offset)
		for n := 0; r.values && n < len(p); {
			k, _ := r.cut.next(p[n:])
			n += k
		}
		r.pos = len(p)
		r.drop(len(p))
		r.lead = lead
	}
	r.end.Line = start.Line
	r.cut.resume(start)
	r.base, r.pos = r.cut, 0
	return nil
}

func (r *Reader) nextLines() (*Block, error) {
	for {
		p := r.buf[r.pos:]
		if n := bytes.Count(p, lf); n > 0 {
			r.lines += n
			r.whole = r.pos + lastNewline(p) + 1
		}
		r.pos = len(r.buf)
		switch {
		case r.whole > 0 && r.enough():
			return r.take(r.whole), nil
		case r.whole > 0:
			r.more()
		case r.atNULs():
			return r.takeNULs(), nil
		case int64(len(r.buf)) > r.limit:
			return r.takeLong(), nil
		case r.err == nil:
			r.more()
		case len(r.buf) > 0 && !canceled(r.err) && r.isWhole(r.buf):
			return r.take(len(r.buf)), nil
		default:
			return nil, r.stop()
		}
	}
}

func (r *Reader) nextValues() (*Block, error) {
	for {
		for r.pos < len(r.buf) {
			n, ok := r.cut.next(r.buf[r.pos:])
			r.pos += n
			if ok {
				r.whole = r.pos
			}
		}
		n := len(r.buf)
		if r.cut.open != noValue {
			n = int(r.cut.doc.Offset - r.end.Offset)
		}
		switch {
		case r.whole > 0 && r.enough():
			return r.take(n), nil
		case r.whole > 0:
			r.more()
		case n > 0:
			r.drop(n)
		case r.cut.open == nulRun:
			return r.takeNULs(), nil
		case int64(len(r.buf)) > r.limit:
			return r.takeLong(), nil
		case r.err == nil:
			r.more()
		case len(r.buf) > 0 && (r.opt.Final || int64(len(r.buf)) > r.opt.MaxLine):
			r.cut.open = noValue
			b := r.take(len(r.buf))
			b.torn = true
			return b, nil
		default:
			return nil, r.stop()
		}
	}
}

// enough reports whether a block with what is in the buffer is large enough.
func (r *Reader) enough() bool { return len(r.buf) >= r.opt.BlockSize || r.err != nil }

// take hands out the first n bytes of the buffer.
func (r *Reader) take(n int) *Block {
	lines := r.lines
	if r.values {
		lines = bytes.Count(r.buf[:n], lf)
	}
	b := &Block{
		Data:   r.buf[:n],
		Offset: r.end.Offset,
		Line:   r.end.Line,
		mem:    r.mem,
		lines:  lines,
		values: r.values,
		cut:    r.base,
		lead:   r.lead,
		max:    r.opt.MaxLine,
		large:  r.large,
	}
	r.hash(b)
	r.pass(n, lines)
	rest := r.buf[n:]
	if len(r.buf) < r.room/4 {
		r.room = max(r.room/2, r.opt.BlockSize)
	}
	r.mem, r.buf, r.large = nil, nil, nil
	if len(rest) > 0 {
		r.mem = buffer(max(r.room, len(rest)+r.piece))
		r.buf = align(r.mem, rest)
	}
	return b
}

// takeLong hands out the record that fills the buffer and is over the limit.
func (r *Reader) takeLong() *Block {
	at, lead := r.end, r.lead
	b := &Block{Offset: at.Offset, Line: at.Line}
	b.Data = append(buffer(headLen), r.buf[:headLen]...)
	b.mem = b.Data
	r.leave(len(r.buf))
	r.free()

	if r.values {
		if !r.skip(r.cut.next) {
			r.cut.tear()
		}
		d := r.cut.doc.in(b.Data, at.Offset)
		b.long = &d
		return b
	}
	ended := r.skip(func(p []byte) (int, bool) {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			return len(p), false
		}
		return i + 1, true
	})
	length := r.end.Offset - at.Offset
	if ended {
		length--
	}
	d, _ := lineDoc(b.Data, length, at, lead, r.opt.MaxLine)
	b.long = &d
	return b
}

// atNULs reports whether the line that the buffer begins with begins with NUL
// bytes. The buffer then begins with them.
func (r *Reader) atNULs() bool {
	from, end := r.lead.nuls(r.buf, r.end.Offset)
	if end == from {
		return false
	}
	r.drop(from)
	return true
}

// takeNULs hands out the run of NUL bytes that the buffer begins with, however
// long it is.
func (r *Reader) takeNULs() *Block {
	at := r.end
	if r.values {
		r.drop(len(r.buf))
		if !r.skip(r.cut.next) {
			r.cut.tear()
		}
	} else {
		r.skip(func(p []byte) (int, bool) {
			n := nuls(p)
			return n, n < len(p)
		})
		r.lead = behindNULs
	}
	length := r.end.Offset - at.Offset
	b := &Block{Offset: at.Offset, Line: at.Line}
	b.Data = append(buffer(nulLen), zeros[:min(length, nulLen)]...)
	b.mem = b.Data
	d := nulDoc(at, length).in(b.Data, at.Offset)
	b.long = &d
	return b
}

// skip passes over the rest of the record that is open at the beginning of the
// buffer. next tells how many bytes of p belong to it and whether it ends
// there; false means that the stream ended before.
func (r *Reader) skip(next func(p []byte) (int, bool)) bool {
	for {
		n, ended := next(r.buf)
		r.pos = n
		r.drop(n)
		if ended || r.err != nil {
			return ended
		}
		r.fill(r.piece)
	}
}

// drop passes over the first n bytes of the buffer.
func (r *Reader) drop(n int) {
	r.leave(n)
	if r.mem == nil { // nothing comes behind it
		r.buf = r.buf[n:]
		return
	}
	r.buf = align(r.mem, r.buf[n:])
}

// leave passes over the first n bytes of the buffer, which the caller then
// takes out.
func (r *Reader) leave(n int) {
	p := r.buf[:n]
	r.settle()
	r.sum.Write(p)
	r.pass(n, bytes.Count(p, lf))
}

// pass moves the end over the first n bytes of the buffer, which have so many
// newlines. The caller has them hashed, and takes them out.
func (r *Reader) pass(n, lines int) {
	r.end.Offset += int64(n)
	r.end.Line += int64(lines)
	r.pos -= n
	r.whole, r.lines = 0, 0
	r.lead = lineStart
	r.base = r.cut.rewound()
}

// hash adds a block, which follows what was hashed before, to the sum, or sees to it
// that it is added. It must stay as it is until then.
func (r *Reader) hash(b *Block) {
	large := len(b.Data) >= besideSize
	if !large && !r.opt.Late {
		r.settle()
		r.sum.Write(b.Data)
		return
	}
	r.hashed = &hashing{before: r.hashed, sum: &r.sum, data: b.Data}
	b.hashed, b.late = r.hashed, !large
	if large {
		go r.hashed.do()
	}
}

// hashing is a block that is to be hashed behind others, once, by whoever comes first.
type hashing struct {
	once   sync.Once
	before *hashing // nil: all of it is hashed
	sum    *xxh3.Hasher128
	data   []byte
}

// do hashes what comes before, and the block. When it returns that is done.
func (h *hashing) do() {
	h.once.Do(func() {
		if h.before != nil {
			h.before.do()
		}
		h.sum.Write(h.data)
		h.before, h.data = nil, nil
	})
}

// settle sees to it that all is hashed.
func (r *Reader) settle() {
	if r.hashed != nil {
		r.hashed.do()
		r.hashed = nil
	}
}

// stop gives the buffer back when the stream has ended.
func (r *Reader) stop() error {
	r.tail += int64(len(r.buf))
	r.pos = 0
	r.free()
	return r.err
}

func (r *Reader) free() {
	if r.large != nil {
		r.large.free()
		r.large = nil
	} else {
		recycle(r.mem)
	}
	r.mem, r.buf = nil, nil
}

// more makes the buffer longer by at least one byte, or r.err tells why not.
// It reads little ahead of a long record.
func (r *Reader) more() {
	n := len(r.buf) + r.piece
	if len(r.buf) < r.small {
		n = min(n, r.small)
	}
	if int64(n) > r.limit {
		n = max(min(n, r.opt.BlockSize), int(r.limit)+1)
	}
	r.fill(n)
}

// fill reads until the buffer holds n bytes or the stream ends.
func (r *Reader) fill(n int) {
	if held, ok := r.src.(interface{ take() []byte }); ok && len(r.buf) == 0 {
		r.free()
		r.buf, r.err = held.take(), io.EOF
		return
	}
	if cap(r.buf) < n+Pad {
		r.grow(n)
	}
	for idle := 0; len(r.buf) < n && r.err == nil; idle++ {
		var k int
		k, r.err = r.src.Read(r.buf[len(r.buf):n])
		if k > 0 {
			r.buf = r.buf[:len(r.buf)+k]
			idle = 0
		}
		if idle == 100 && r.err == nil {
			r.err = io.ErrNoProgress
		}
	}
}

// grow makes room for n bytes, or r.err tells why not.
func (r *Reader) grow(n int) {
	mem := r.mem
	if n <= r.small {
		r.room = min(max(n, r.room, 2*len(r.buf)), r.small)
		r.mem = buffer(r.room)
	} else {
		l, err := newLarge(r.opt.Large, max(n, int(r.limit)+1))
		if err != nil {
			r.err = err
			return
		}
		r.mem, r.large = l.mem[:0], l
	}
	r.buf = align(r.mem, r.buf)
	recycle(mem)
}

// canceled reports whether a stream was broken off because a context ended: then
// nothing more is to be had from it soon.
func canceled(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
