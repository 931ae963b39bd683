package ingest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/zeebo/xxh3"
)

// Range is a part of a plain file: the lines that begin in [From, To). Ranges that
// adjoin have every line between them once.
type Range struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Lines reads the bytes of a range, which are whole lines, and hashes them.
type Lines struct {
	src   io.Reader
	at    int64 // of the next byte
	to    int64
	start int64
	over  bool
	sum   xxh3.Hasher128
}

// NewLines finds the first line of a range. src begins at Before(r).
func NewLines(src io.Reader, r Range) (*Lines, error) {
	l := &Lines{src: src, at: r.Before(), to: r.To}
	if r.From > 0 {
		in := bufio.NewReaderSize(src, 64<<10)
		l.src = in
		for {
			line, err := in.ReadSlice('\n')
			l.at += int64(len(line))
			if errors.Is(err, bufio.ErrBufferFull) {
				continue
			}
			if l.over = err == io.EOF; err != nil && !l.over {
				return nil, err
			}
			break
		}
	}
	l.start = l.at
	l.over = l.over || l.at >= l.to
	return l, nil
}

// Before is where reading a range begins: if the byte there ends a line, the next
// one begins in the range.
func (r Range) Before() int64 { return max(r.From-1, 0) }

// Start is where the first line begins; if that is not in the range, none does.
func (l *Lines) Start() int64 { return l.start }

// Sum is the XXH3-128 of the bytes that were read.
func (l *Lines) Sum() [16]byte { return l.sum.Sum128().Bytes() }

func (l *Lines) Read(p []byte) (int, error) {
	if l.over {
		return 0, io.EOF
	}
	n, err := l.src.Read(p)
	if end := lineEndFrom(p[:n], l.to-1-l.at); end >= 0 {
		n, l.over = end, true
		if err != nil && err != io.EOF {
			err = nil // it is behind the range
		}
	}
	l.sum.Write(p[:n])
	l.at += int64(n)
	return n, err
}

// lineEndFrom is the place behind the first newline in p at or behind from, which
// may be anywhere; -1 where there is none.
func lineEndFrom(p []byte, from int64) int {
	from = max(from, 0)
	if from >= int64(len(p)) {
		return -1
	}
	i := bytes.IndexByte(p[from:], '\n')
	if i < 0 {
		return -1
	}
	return int(from) + i + 1
}

// RangeSums are the sums of adjoining ranges, each as Lines has it, over a stream
// that begins with the first one.
type RangeSums struct {
	src   io.Reader
	to    []int64 // ends of the ranges that are not over
	open  bool    // a line begins in the first of them
	at    int64
	line  int64 // of the beginning of the range at hand
	lines int64 // in it
	sum   xxh3.Hasher128
	list  []RangeSum
}

// RangeSum is what there is in a range.
type RangeSum struct {
	Sum  [16]byte // XXH3-128
	Line int64    // number of its first line, from 1
}

// NewRangeSums makes a reader of src that sums up what goes through it.
func NewRangeSums(src io.Reader, ranges []Range) *RangeSums {
	s := &RangeSums{src: src, open: true, line: 1}
	for _, r := range ranges {
		s.to = append(s.to, r.To)
	}
	return s
}

func (s *RangeSums) Read(p []byte) (int, error) {
	n, err := s.src.Read(p)
	rest := p[:n]
	for len(s.to) > 0 {
		end := 0
		if s.open {
			if end = lineEndFrom(rest, s.to[0]-1-s.at); end < 0 {
				break
			}
		}
		s.take(rest[:end])
		rest = rest[end:]
		s.next()
	}
	s.take(rest)
	return n, err
}

func (s *RangeSums) take(p []byte) {
	s.sum.Write(p)
	s.at += int64(len(p))
	s.lines += int64(bytes.Count(p, lf))
}

func (s *RangeSums) next() {
	s.list = append(s.list, RangeSum{s.sum.Sum128().Bytes(), s.line})
	s.line += s.lines
	s.lines = 0
	s.sum.Reset()
	s.to = s.to[1:]
	s.open = len(s.to) > 0 && s.at < s.to[0]
}

// Sums are those of all ranges, at the end of the stream.
func (s *RangeSums) Sums() []RangeSum {
	for len(s.to) > 0 {
		s.next()
	}
	return s.list
}

// Beginning returns the first n bytes of a plain file that is framed by lines, or
// all it has; ok is false for other inputs, which cannot be read in ranges.
func Beginning(ctx context.Context, in Input, n int) (head []byte, ok bool, err error) {
	s, err := Open(ctx, in)
	if err != nil {
		return nil, false, err
	}
	defer s.Close()
	if s.compressed {
		return nil, false, nil
	}
	head = make([]byte, n, n+Pad)
	k, err := io.ReadFull(s, head)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	values, sure := framing(head[:min(k, headLen)])
	return head[:k], !values && (sure || k >= headLen), err
}
