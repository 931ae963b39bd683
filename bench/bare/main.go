// Command bare does little more than to look at every byte of a load, with two threads:
//
//	bare IN LIKE OUT
//
// It reads the logs below IN, hashes them, cuts them into lines and has sonic check
// that each is JSON. Then it writes files below OUT, as many and as large as those of
// the table LIKE, and makes them durable. No value is looked at and no row is made.
// It is a measure and no bound: a load that knows the form of its lines has less to
// check.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/bytedance/sonic"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"
	"golang.org/x/sync/errgroup"
)

const (
	threads = 2
	// filesAtOnce wait for the disk together.
	filesAtOnce = 32
	// blockBytes fit into a core's cache.
	blockBytes = 256 << 10
	// padding is what sonic may read behind a text, in bytes.
	padding = 64
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return errors.New("want IN LIKE OUT")
	}
	var g errgroup.Group
	g.SetLimit(threads)
	in, err := files(args[0])
	if err != nil {
		return err
	}
	if len(in) == 1 { // both threads at one
		if err := scan(in[0].path, threads); err != nil {
			return err
		}
	} else {
		for _, f := range in {
			g.Go(func() error { return scan(f.path, 1) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	like, err := files(args[1])
	if err != nil {
		return err
	}
	g.SetLimit(filesAtOnce)
	for i, f := range like {
		if filepath.Ext(f.path) == ".parquet" {
			g.Go(func() error { return publish(filepath.Join(args[2], fmt.Sprint(i)), f.size) })
		}
	}
	return g.Wait()
}

type file struct {
	path string
	size int64
}

func files(dir string) (list []file, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		list = append(list, file{path, info.Size()})
		return err
	})
	return list, err
}

// lines hands out a stream in blocks of whole lines.
type lines struct {
	mu   sync.Mutex
	src  io.Reader
	sum  xxh3.Hasher128
	rest []byte // of a line that has begun
	err  error
}

// next fills a block in the memory of b; it is empty at the end. Who reads it works
// on it, while it is in that core's cache.
func (l *lines) next(b []byte) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b = append(b[:0], l.rest...)
	l.rest = l.rest[:0]
	end := 0
	for l.err == nil && end == 0 {
		from := len(b)
		for want := from + blockBytes; len(b) < want && l.err == nil; {
			if cap(b) < want+padding {
				b = append(make([]byte, 0, 2*want+padding), b...)
			}
			var n int
			n, l.err = l.src.Read(b[len(b):want])
			b = b[:len(b)+n]
		}
		_, _ = l.sum.Write(b[from:])
		end = lastLine(b, from)
	}
	switch {
	case l.err != nil && l.err != io.EOF:
		return nil, l.err
	case l.err == io.EOF:
		return b, nil
	}
	l.rest = append(l.rest, b[end:]...)
	return b[:end], nil
}

// lastLine is where the last line ends that does so behind from, 0 if none does.
func lastLine(b []byte, from int) int {
	const window = 4096
	for to := len(b); to > from; to -= window {
		part := b[max(from, to-window):to]
		if bytes.IndexByte(part, '\n') >= 0 { // fast, as the search from the end is not
			return to - len(part) + bytes.LastIndexByte(part, '\n') + 1
		}
	}
	return 0
}

var memories = sync.Pool{New: func() any { return new([]byte) }}

// scan checks the lines of a file.
func scan(path string, threads int) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	l := &lines{src: f}
	switch {
	case strings.HasSuffix(path, ".gz"):
		z, err := gzip.NewReader(bufio.NewReader(f))
		if err != nil {
			return err
		}
		l.src = z
	case strings.HasSuffix(path, ".zst"):
		z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return err
		}
		defer z.Close()
		l.src = z
	}
	var g errgroup.Group
	for range threads {
		g.Go(func() error {
			memory := memories.Get().(*[]byte)
			defer memories.Put(memory)
			for {
				block, err := l.next(*memory)
				if err != nil || len(block) == 0 {
					return err
				}
				*memory = block
				for line := range bytes.SplitSeq(block, []byte{'\n'}) {
					if len(line) > 0 && !sonic.Valid(line) {
						return fmt.Errorf("%s: a line is no JSON", path)
					}
				}
			}
		})
	}
	return g.Wait()
}

// publish writes a file of so many bytes, durably, as one is put into a table.
func publish(dir string, size int64) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	staged := dir + ".tmp"
	f, err := os.Create(staged)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, zeros{}, size)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(staged, filepath.Join(dir, "part")); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
