package ingest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"
	"golang.org/x/sys/unix"
)

var (
	// ErrDamaged tells that compressed data is cut off or broken. What was
	// read before it is good.
	ErrDamaged = errors.New("damaged compressed data")
	// ErrShrank tells that a file, plain or compressed, ends before the size
	// that it was found with. What was read before its end may be good.
	ErrShrank = errors.New("shrank while it was read")
)

// maxWindow bounds, in bytes, the memory that a zstd frame may ask for. It is
// what zstd --long can do.
const maxWindow = 128 << 20

// step bounds, in bytes, what is read or decompressed between two looks at the
// context.
const step = 1 << 20

// HeadLen is how many bytes Head looks at.
const HeadLen = 4096

// Stream is the decompressed content of an input.
type Stream struct {
	ctx        context.Context
	path       string
	src        *source
	r          io.Reader // decompresses src
	compressed bool
	far        bool // no file of this machine
	close      []func() error
}

// Open opens an input. It never waits for one: what has become a pipe or a
// device is an error. Compression is recognised by content, and members and
// frames are read through to the last. The caller closes the stream.
func Open(ctx context.Context, in Input) (*Stream, error) {
	if in.Err != nil {
		return nil, in.Err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &Stream{ctx: ctx, path: in.Path, far: in.Path == stdin || in.Store != nil}
	src, err := in.open(ctx, 0)
	if err != nil {
		return nil, err
	}
	s.src = src
	s.close = append(s.close, src.Close)
	if err := s.decompress(); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// OpenAt opens the bytes of an input as they are stored, from an offset up to
// its Size, with the errors of Open and of reading a Stream; those of the file
// tell offsets from its start. The caller closes what it returns.
func OpenAt(ctx context.Context, in Input, offset int64) (io.ReadCloser, error) {
	if in.Err != nil {
		return nil, in.Err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if offset < 0 || offset > 0 && in.Path == stdin {
		return nil, fmt.Errorf("open %s: it cannot be read from byte %d on", in.Path, offset)
	}
	return in.open(ctx, offset)
}

// open opens the bytes of an input, whatever they are.
func (in *Input) open(ctx context.Context, offset int64) (*source, error) {
	src := &source{ctx: ctx, path: in.Path, size: in.Size}
	src.n.Store(offset)
	switch {
	case in.Path == stdin:
		src.r = os.Stdin // stays open
	case in.Store != nil:
		r, err := in.Store.Open(ctx, in.Path, in.Version, in.Size, offset)
		if err != nil {
			return nil, err
		}
		src.r, src.file = r, r
	default:
		f, err := openRegular(in.Path)
		if err != nil {
			return nil, err
		}
		if offset > 0 {
			if _, err := f.Seek(offset, io.SeekStart); err != nil {
				_ = f.Close()
				return nil, err
			}
		}
		src.r, src.file = f, f
	}
	return src, nil
}

// ReadSmall reads an input that is a file of at most so many bytes, as Open and Read
// do but in one go, which takes half their time, into what take makes for it: n bytes
// and, if it is to be held, Pad more. It looks at one that is Unseen. ok is false where the input is another one, empty, larger or
// compressed.
func ReadSmall(ctx context.Context, in *Input, most int64, take func(n int) []byte) (data []byte, ok bool, err error) {
	if in.Err != nil || in.Path == stdin || in.Store != nil || in.Size != Unseen && (in.Size <= 0 || in.Size > most) {
		return nil, false, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, true, err
	}
	fd, err := uninterrupted(func() (int, error) {
		return syscall.Open(in.Path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	})
	if err != nil {
		return nil, true, &fs.PathError{Op: "open", Path: in.Path, Err: err}
	}
	defer func() { _ = syscall.Close(fd) }() // nothing was written
	var st unix.Stat_t
	if _, err := uninterrupted(func() (int, error) { return 0, unix.Fstat(fd, &st) }); err != nil {
		return nil, true, &fs.PathError{Op: "stat", Path: in.Path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, true, notRegular(in.Path)
	}
	if in.Size == Unseen {
		in.Size, in.ModTime, in.Dev, in.Inode = st.Size, time.Unix(st.Mtim.Unix()), uint64(st.Dev), st.Ino
	}
	if in.Size == 0 || in.Size > most {
		return nil, false, nil
	}
	data = take(int(in.Size))
	src := source{ctx: ctx, path: in.Path, size: in.Size, r: descriptor(fd)}
	if _, err := io.ReadFull(&src, data); err != nil {
		return nil, true, src.err
	}
	if bytes.HasPrefix(data, gzipMagic) || isZstd(data[:min(len(data), 4)]) {
		return nil, false, nil
	}
	return data, true, nil
}

// descriptor is a file without what os.File is there for: to wait for it, to share
// it, and to find out that it was not closed.
type descriptor int

func (d descriptor) Read(p []byte) (int, error) {
	n, err := uninterrupted(func() (int, error) { return syscall.Read(int(d), p) })
	if n == 0 && err == nil {
		err = io.EOF
	}
	return max(n, 0), err
}

// uninterrupted makes a system call until no signal interrupts it.
func uninterrupted(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would wait for a writer
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notRegular(path)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func notRegular(path string) error {
	return fmt.Errorf("open %s: not a regular file; a pipe goes to standard input, which - names", path)
}

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}

func (s *Stream) decompress() error {
	br := readers.Get().(*bufio.Reader)
	br.Reset(s.src)
	s.close = append(s.close, func() error {
		br.Reset(nil)
		readers.Put(br)
		return nil
	})
	s.r = br
	magic, _ := br.Peek(4) // an error comes back with the first Read
	switch {
	case bytes.HasPrefix(magic, gzipMagic):
		s.compressed = true
		s.r = &members{src: br}
	case isZstd(magic):
		s.compressed = true
		d, err := zstd.NewReader(br, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return fmt.Errorf("decompress %s: %w", s.path, err)
		}
		s.r = d
		s.close = append(s.close, func() error { d.Close(); return nil })
	}
	return nil
}

var gzipMagic = []byte{0x1f, 0x8b}

// isZstd knows the magic number of a frame and of a skippable frame.
func isZstd(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	return bytes.Equal(b, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		b[0]&0xf0 == 0x50 && bytes.Equal(b[1:], []byte{0x2a, 0x4d, 0x18})
}

// Read reads decompressed bytes. It fails with the error of the context soon
// after that has ended; only standard input may keep it waiting. An error of
// the file names its path and the offset in it, and is ErrShrank where the file
// has become too short. Past what can be decompressed the error is ErrDamaged.
func (s *Stream) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p[:min(len(p), step)])
	switch {
	case err == nil:
		return n, nil
	case s.src.err != nil:
		// The decompressor may have made anything of it.
		return n, s.src.err
	case err == io.EOF || !s.compressed:
		return n, err
	}
	return n, fmt.Errorf("decompress %s: %w: %w", s.path, ErrDamaged, err)
}

// BytesRead is the count of bytes taken from the file so far, before
// decompression. Any goroutine may ask.
func (s *Stream) BytesRead() int64 { return s.src.n.Load() }

// Slow reports whether records take longer to come than those of a plain file in this
// machine: they are decompressed, or are in a store or behind a pipe.
func (s *Stream) Slow() bool { return s.compressed || s.far }

// Close releases the file and the decompressor. Standard input stays open.
func (s *Stream) Close() error {
	var errs []error
	for _, c := range slices.Backward(s.close) {
		errs = append(errs, c())
	}
	s.close = nil
	return errors.Join(errs...)
}

// source is the bytes of a file up to the size that it was found with. It
// counts them, and an error stays.
type source struct {
	ctx  context.Context
	path string
	r    io.Reader
	file io.Closer    // or nil
	size int64        // -1: to the end
	n    atomic.Int64 // offset
	err  error        // never io.EOF
}

func (s *source) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

func (s *source) Read(p []byte) (int, error) {
	if s.err == nil {
		s.err = s.ctx.Err()
	}
	if s.err != nil {
		return 0, s.err
	}
	at := s.n.Load()
	if s.size >= 0 {
		if at >= s.size {
			return 0, io.EOF
		}
		p = p[:min(int64(len(p)), s.size-at)]
	}
	n, err := s.r.Read(p)
	at = s.n.Add(int64(n))
	switch {
	case err == nil:
		return n, nil
	case err != io.EOF:
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err
		}
		s.err = fmt.Errorf("read %s: at byte %d: %w", s.path, at, err)
		return n, s.err
	case at < s.size:
		s.err = fmt.Errorf("read %s: %w: %d of %d bytes", s.path, ErrShrank, at, s.size)
		return n, s.err
	}
	return n, io.EOF
}

// members reads a gzip file member by member. The gzip package's own way to
// do so takes a file for complete that ends inside a later member's header.
type members struct {
	src *bufio.Reader
	z   gzip.Reader
	in  bool // inside a member
}

func (m *members) Read(p []byte) (int, error) {
	for {
		if !m.in {
			if _, err := m.src.Peek(1); err != nil {
				return 0, err
			}
			if err := m.z.Reset(m.src); err != nil {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return 0, err
			}
			m.z.Multistream(false)
			m.in = true
		}
		n, err := m.z.Read(p)
		if err != io.EOF {
			return n, err
		}
		m.in = false
		if n > 0 {
			return n, nil
		}
	}
}

// Head returns the first bytes of an input, at most HeadLen after
// decompression. They hold also with an error, as what comes before it.
func Head(ctx context.Context, in Input) ([]byte, error) {
	s, err := Open(ctx, in)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	var head [HeadLen]byte
	n, err := io.ReadFull(s, head[:])
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return bytes.Clone(head[:n]), err
}

// Prefixes reads an input to its end and returns the XXH3-128 of its prefixes
// with the given lengths, which ascend, and its size; lengths count bytes
// after decompression. A length beyond the size is not in the map. The results
// hold also with an error, for the bytes before it.
func Prefixes(ctx context.Context, in Input, lengths []int64) (map[int64][16]byte, int64, error) {
	sums := make(map[int64][16]byte, len(lengths))
	s, err := Open(ctx, in)
	if err != nil {
		return sums, 0, err
	}
	defer s.Close()
	buf := buffer(defaultBlock)
	defer recycle(buf)
	buf = buf[:cap(buf)]

	var sum xxh3.Hasher128
	var size int64
	for {
		n, err := s.Read(buf)
		p := buf[:n]
		for len(lengths) > 0 && lengths[0] <= size+int64(len(p)) {
			k := max(0, lengths[0]-size)
			sum.Write(p[:k])
			size, p = size+k, p[k:]
			sums[lengths[0]] = sum.Sum128().Bytes()
			lengths = lengths[1:]
		}
		sum.Write(p)
		size += int64(len(p))
		switch err {
		case nil:
		case io.EOF:
			return sums, size, nil
		default:
			return sums, size, err
		}
	}
}
