package bucket

import (
	"io"
	"os"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

const (
	// block, in bytes, is what is known of a copy to be there or not.
	block = 1 << 20
	// mostAhead is how many blocks are fetched at once where one follows on
	// those before; groupBlocks of them are one request.
	mostAhead   = 16
	groupBlocks = 4
	// copiesKept is how many local copies, and open files, outlive those who
	// read them.
	copiesKept = 64
)

// localCopy holds what was fetched of a version of an object, in a file without a
// name. It is safe for concurrent use.
type localCopy struct {
	s       *Store
	name    name
	version string
	size    int64
	file    *os.File // nil for an empty object
	users   int      // guarded by FS.mu

	mu     sync.Mutex
	change *sync.Cond
	have   []blockState
	next   int64 // the block behind those fetched last
	ahead  int64 // how many to fetch if it is asked for
}

type blockState uint8

const (
	missing blockState = iota
	coming
	here
)

// copyOf is the copy of a version of an object, with one more user.
func (f *FS) copyOf(n name, version string, size int64) (*localCopy, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.IndexFunc(f.copies, func(c *localCopy) bool { return c.name == n && c.version == version && c.size == size })
	var c *localCopy
	if i >= 0 {
		c = f.copies[i]
		f.copies = slices.Delete(f.copies, i, i+1)
	} else {
		c = &localCopy{s: f.s, name: n, version: version, size: size, have: make([]blockState, (size+block-1)/block)}
		c.change = sync.NewCond(&c.mu)
		if size > 0 {
			var err error
			if c.file, err = nameless(); err != nil {
				return nil, err
			}
		}
	}
	c.users++
	f.copies = append(f.copies, c)
	f.evict(n, version)
	return c, nil
}

// evict closes copies that nobody reads: those beyond the number that is kept,
// and other versions of an object.
func (f *FS) evict(n name, version string) {
	extra := len(f.copies) - copiesKept
	f.copies = slices.DeleteFunc(f.copies, func(c *localCopy) bool {
		if c.users > 0 || extra <= 0 && !(c.name == n && c.version != version) {
			return false
		}
		extra--
		if c.file != nil {
			_ = c.file.Close() // nothing is lost with it
		}
		return true
	})
}

func (f *FS) release(c *localCopy) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.users--
	f.evict(name{}, "")
}

func (c *localCopy) readAt(b []byte, at int64) (int, error) {
	if at >= c.size {
		return 0, io.EOF
	}
	end := min(at+int64(len(b)), c.size)
	if end > at {
		if err := c.need(at/block, (end-1)/block+1); err != nil {
			return 0, err
		}
	}
	n, err := c.file.ReadAt(b[:end-at], at)
	if err == nil && n < len(b) {
		err = io.EOF
	}
	return n, err
}

// need returns when the blocks from one up to another are here.
func (c *localCopy) need(from, to int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		var list []int64 // to be fetched now
		waits := false
		for i := from; i < to; i++ {
			switch c.have[i] {
			case missing:
				list = append(list, i)
			case coming:
				waits = true
			}
		}
		if len(list) == 0 && !waits {
			return nil
		}
		if len(list) == 0 {
			c.change.Wait()
			continue
		}
		if list[0] == c.next && c.next > 0 {
			c.ahead = min(max(2*c.ahead, 2), mostAhead)
		} else {
			c.ahead = 0
		}
		for i := to; i < min(list[0]+c.ahead, int64(len(c.have))) && c.have[i] == missing; i++ {
			list = append(list, i)
		}
		c.next = list[len(list)-1] + 1
		for _, i := range list {
			c.have[i] = coming
		}
		c.mu.Unlock()
		err := c.fetch(list)
		c.mu.Lock()
		for _, i := range list {
			if c.have[i] = here; err != nil {
				c.have[i] = missing
			}
		}
		c.change.Broadcast()
		if err != nil {
			return err
		}
	}
}

// fetch fetches blocks, which ascend, several requests at a time.
func (c *localCopy) fetch(list []int64) error {
	var g errgroup.Group
	g.SetLimit(ahead)
	for len(list) > 0 {
		n := 1
		for n < len(list) && n < groupBlocks && list[n] == list[0]+int64(n) {
			n++
		}
		from := list[0] * block
		length := min(int64(n)*block, c.size-from)
		list = list[n:]
		g.Go(func() error {
			mem := rangeMemory.Get().(*[aheadRange]byte)
			defer rangeMemory.Put(mem)
			buf := mem[:length]
			if err := c.s.fetch(background(), c.name, c.version, from, buf); err != nil {
				return err
			}
			_, err := c.file.WriteAt(buf, from)
			return err
		})
	}
	return g.Wait()
}
