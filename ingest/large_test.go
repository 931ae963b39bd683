package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"go.uber.org/goleak"

	"usagelake/schemas"
)

// counted is a lock that knows how often it was taken and given back.
type counted struct {
	sync.Mutex
	locked, unlocked atomic.Int32
}

func (c *counted) Lock() {
	c.Mutex.Lock()
	c.locked.Add(1)
}

func (c *counted) Unlock() {
	c.unlocked.Add(1)
	c.Mutex.Unlock()
}

func (c *counted) check(t *testing.T, locked int32) {
	t.Helper()
	if l, u := c.locked.Load(), c.unlocked.Load(); l != locked || u != locked {
		t.Errorf("locked %d times, unlocked %d times, want %d", l, u, locked)
	}
}

func quoted(n int) string { return `"` + strings.Repeat("x", n-2) + `"` }

// Several readers meet large records at the same time.
func TestLarge(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	sizes := []int{10, keepBuffer + 1, keepBuffer / 2, 100, 2 * keepBuffer}
	var lines, values strings.Builder
	values.WriteString("[0")
	for _, n := range sizes {
		lines.WriteString(quoted(n) + "\n")
		values.WriteString("\n,[" + quoted(n-2) + "]")
	}
	values.WriteString("]")

	var lock counted
	var inMemory, docs atomic.Int32
	blocks := make(chan *Block)
	var readers, workers sync.WaitGroup
	for i := range 4 {
		readers.Go(func() {
			in := lines.String()
			if i == 0 {
				in = values.String()
			}
			r := NewReader(strings.NewReader(in), ReaderOptions{Large: &lock})
			for {
				b, err := r.Next()
				if err != nil {
					if err != io.EOF {
						t.Error(err)
					}
					return
				}
				if i == 3 && r.End().Offset > keepBuffer {
					b.Free() // and leave the reader
					return
				}
				blocks <- b
			}
		})
	}
	for range 2 {
		workers.Go(func() {
			for b := range blocks {
				isLarge := cap(b.Data) > keepBuffer
				if isLarge && inMemory.Add(1) > 1 {
					t.Error("two large records in memory")
				}
				b.Each(func(d Doc) {
					if d.Reason != "" || d.Length > 1 && d.Data[d.Length-2] != 'x' && d.Data[d.Length-2] != '"' {
						t.Errorf("record at %d: %s", d.Offset, d.Reason)
					}
					docs.Add(1)
				})
				if isLarge {
					inMemory.Add(-1)
				}
				b.Free()
				b.Free()
			}
		})
	}
	readers.Wait()
	close(blocks)
	workers.Wait()
	lock.check(t, 3*2+1)
	if n := docs.Load(); n != 6+5+5+1 {
		t.Errorf("%d records", n)
	}
}

// The lock is given back with a large record that is not handed out.
func TestLargeNotHandedOut(t *testing.T) {
	broken := errors.New("disk on fire")
	text := quoted(2 * keepBuffer)
	for _, tt := range []struct {
		name    string
		in      io.Reader
		opt     ReaderOptions
		docs    string
		pending int
	}{
		{"unfinished line", strings.NewReader("{}\n" + text[:len(text)-1]), ReaderOptions{}, "[1.0@0 {}]", len(text) - 1},
		{"unfinished value", strings.NewReader("[{}," + text[:len(text)-1]), ReaderOptions{}, "[1.0@1 {}]", len(text) - 1},
		{"error", io.MultiReader(strings.NewReader("{}\n"+text[:len(text)-1]), iotest.ErrReader(broken)), ReaderOptions{}, "[1.0@0 {}]", len(text) - 1},
		{"too long", strings.NewReader("{}\n" + text + text), ReaderOptions{MaxLine: keepBuffer + 1}, "", 0},
		{"too long a value", strings.NewReader("[{}," + text), ReaderOptions{MaxLine: keepBuffer + 1}, "", 0},
	} {
		var lock counted
		tt.opt.Large = &lock
		got := readAll(t, tt.in, tt.opt)
		lock.check(t, 1)
		if got.Pending != int64(tt.pending) || tt.docs != "" && fmt.Sprint(got.Docs) != tt.docs {
			t.Errorf("%s: pending %d, %.100s", tt.name, got.Pending, got.Docs)
		}
		if tt.docs == "" && (len(got.Docs) != 2 || !strings.Contains(got.Docs[1], string(schemas.LineTooLong))) {
			t.Errorf("%s: %.100s", tt.name, got.Docs)
		}
	}
}

// A NUL run is never large, nor is what stands beside it in a block.
func TestLargeNUL(t *testing.T) {
	var lock counted
	in := "{}\n" + nul(3*keepBuffer) + "{}\n[" + nul(3*keepBuffer) + "\n"
	got := readAll(t, strings.NewReader(in), ReaderOptions{Large: &lock, MaxLine: 4 * keepBuffer})
	lock.check(t, 1)
	if len(got.Docs) != 4 || got.Docs[1] != fmt.Sprintf("2@3 NUL %d", 3*keepBuffer) || got.Docs[2] != fmt.Sprintf("2.0@%d {}", 3*keepBuffer+3) {
		t.Errorf("%.100s", got.Docs)
	}
}

// A large record grows without copies: the heap sees no more of it than small
// buffers.
func TestLargeMemory(t *testing.T) {
	in := []byte("{}\n" + quoted(100<<20) + "\n")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := NewReader(bytes.NewReader(in), ReaderOptions{})
	n := 0
	for {
		b, err := r.Next()
		if err != nil {
			break
		}
		b.Each(func(d Doc) { n += len(d.Data) })
		b.Free()
	}
	runtime.ReadMemStats(&after)
	if n != 2+100<<20 {
		t.Errorf("%d bytes", n)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 4*keepBuffer {
		t.Errorf("%d bytes allocated", got)
	}
}

// Where there is no address space the reader says so, and gives the lock back.
func TestLargeNoMemory(t *testing.T) {
	var lock counted
	if _, err := newLarge(&lock, 1<<62); err == nil {
		t.Error("no error")
	}
	lock.check(t, 1)
}
