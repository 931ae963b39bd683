package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"
)

// ErrDamaged tells that compressed data is cut off or broken. What was read
// before it is good.
var ErrDamaged = errors.New("damaged compressed data")

// maxWindow bounds, in bytes, the memory that a zstd frame may ask for. It is
// what zstd --long can do.
const maxWindow = 128 << 20

// HeadLen is how many bytes Head looks at.
const HeadLen = 4096

// Stream is the decompressed content of an input.
type Stream struct {
	path       string
	src        *source
	r          io.Reader // decompresses src
	compressed bool
	close      []func() error
}

// Open opens an input. Compression is recognised by content, and members and
// frames are read through to the last. A Read past what can be decompressed
// returns an error that wraps ErrDamaged. The caller closes the stream.
func Open(in Input) (*Stream, error) {
	if in.Err != nil {
		return nil, in.Err
	}
	s := &Stream{path: in.Path}
	f := os.Stdin
	if in.Path != stdin {
		var err error
		if f, err = os.Open(in.Path); err != nil {
			return nil, err
		}
		s.close = append(s.close, f.Close)
	}
	s.src = &source{r: f}
	if in.Size >= 0 {
		s.src.r = io.LimitReader(f, in.Size)
	}
	if err := s.decompress(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Stream) decompress() error {
	br := bufio.NewReaderSize(s.src, 64<<10)
	s.r = br
	magic, _ := br.Peek(4) // an error comes back with the first Read
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
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

// isZstd knows the magic number of a frame and of a skippable frame.
func isZstd(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	return bytes.Equal(b, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		b[0]&0xf0 == 0x50 && bytes.Equal(b[1:], []byte{0x2a, 0x4d, 0x18})
}

// Read reads decompressed bytes.
func (s *Stream) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
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

// Close releases the file and the decompressor. Standard input stays open.
func (s *Stream) Close() error {
	var errs []error
	for _, c := range slices.Backward(s.close) {
		errs = append(errs, c())
	}
	s.close = nil
	return errors.Join(errs...)
}

// source counts what is read and remembers why it failed.
type source struct {
	r   io.Reader
	n   atomic.Int64
	err error // never io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n.Add(int64(n))
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
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
func Head(in Input) ([]byte, error) {
	s, err := Open(in)
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
func Prefixes(in Input, lengths []int64) (map[int64][16]byte, int64, error) {
	sums := make(map[int64][16]byte, len(lengths))
	s, err := Open(in)
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
