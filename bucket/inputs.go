package bucket

import (
	"context"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
)

// List hands out all objects whose URLs begin with a prefix, in order, with
// their ETags for versions.
func (s *Store) List(ctx context.Context, prefix string, each func(url, version string, size int64, modified time.Time) error) error {
	ctx, cancel := context.WithCancel(ctx) // ends the listing behind an error
	defer cancel()
	n := nameOfURL(prefix)
	for o := range s.client.ListObjectsIter(ctx, n.bucket, minio.ListObjectsOptions{Prefix: n.key, Recursive: true}) {
		if o.Err != nil {
			return s.wrong("list", n, o.Err)
		}
		if err := each(name{n.bucket, o.Key}.String(), o.ETag, o.Size, o.LastModified.Truncate(time.Second)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Stat finds one object. Its time is in whole seconds, as in List: not all that
// a server says has more.
func (s *Store) Stat(ctx context.Context, url string) (version string, size int64, modified time.Time, err error) {
	n := nameOfURL(url)
	o, err := s.stat(ctx, "stat", n)
	if err != nil {
		return "", 0, time.Time{}, err
	}
	return o.ETag, o.Size, o.LastModified.Truncate(time.Second), nil
}

// nameOfURL takes a URL apart, whose key may hold anything.
func nameOfURL(url string) name {
	bucket, key, _ := strings.Cut(strings.TrimPrefix(url, scheme), "/")
	return name{bucket, key}
}

const (
	// firstRange and secondRange, in bytes, are read of an object before more is
	// asked for: many are small, and of many only the beginning is looked at.
	firstRange  = 128 << 10
	secondRange = 1 << 20
	// aheadRange is read at a time then, and as many ranges at once as ahead.
	aheadRange = 4 << 20
	ahead      = 4
)

// Open opens a version of an object that has so many bytes, to be read from one
// of them on. It asks for nothing before it is read, and then for some ranges
// ahead. Reading ends with the context. The caller closes it.
func (s *Store) Open(ctx context.Context, url, version string, size, offset int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	return &stream{s: s, ctx: ctx, cancel: cancel, name: nameOfURL(url), version: version, next: offset, size: size}, nil
}

// stream is an object being read. It belongs to one goroutine.
type stream struct {
	s       *Store
	ctx     context.Context // of this reader alone
	cancel  context.CancelFunc
	name    name
	version string
	next    int64 // where the range begins that is asked for next
	size    int64
	asked   int // ranges so far
	ranges  []*byteRange
	work    sync.WaitGroup
	err     error
}

// byteRange is a part of an object that is under way.
type byteRange struct {
	buf  []byte // what was not read yet of it, once done
	mem  *[aheadRange]byte
	done chan struct{}
	err  error
}

var rangeMemory = sync.Pool{New: func() any { return new([aheadRange]byte) }}

func (r *stream) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		r.ask()
		if len(r.ranges) == 0 {
			return 0, io.EOF
		}
		now := r.ranges[0]
		<-now.done
		if now.err != nil {
			r.err = now.err
			return 0, r.err
		}
		if len(now.buf) > 0 {
			n := copy(p, now.buf)
			if now.buf = now.buf[n:]; len(now.buf) == 0 {
				r.drop(now)
				r.ranges = r.ranges[1:]
			}
			return n, nil
		}
	}
}

// ask asks for as many ranges as may be under way.
func (r *stream) ask() {
	for r.next < r.size {
		most, length := 1, int64(firstRange)
		switch {
		case r.asked == 1:
			length = secondRange
		case r.asked > 1:
			most, length = ahead, aheadRange
		}
		if len(r.ranges) >= most {
			return
		}
		length = min(length, r.size-r.next)
		b := &byteRange{done: make(chan struct{})}
		if length <= firstRange {
			b.buf = make([]byte, length)
		} else {
			b.mem = rangeMemory.Get().(*[aheadRange]byte)
			b.buf = b.mem[:length]
		}
		from := r.next
		r.work.Go(func() {
			defer close(b.done)
			b.err = r.s.fetch(r.ctx, r.name, r.version, from, b.buf)
		})
		r.ranges = append(r.ranges, b)
		r.next += length
		r.asked++
	}
}

func (r *stream) drop(b *byteRange) {
	if b.mem != nil {
		rangeMemory.Put(b.mem)
		b.mem, b.buf = nil, nil
	}
}

func (r *stream) Close() error {
	r.cancel()
	r.work.Wait()
	for _, b := range r.ranges {
		r.drop(b)
	}
	r.ranges = nil
	return nil
}
