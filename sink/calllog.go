package sink

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sync/atomic"
)

// A ref names a row by the hash of its id, or of its place: rows with one hash
// may be copies, and are looked at.
type ref struct {
	hash    uint64
	section int32 // number of the section the row is in,
	index   int32 // and of the row there; 1<<31 more if it must be looked at anyway
}

const (
	refBytes = 16
	anyway   = -1 << 31
)

func (r *ref) pos() int64 { return int64(r.index &^ anyway) }

// shelves is how many shares a call log is kept in, by hash: copies are in one
// share, and shares are looked at one by one.
const shelves = 256

// A callLog gathers refs. Its memory is bounded by spill.
type callLog struct {
	shelves [shelves]shelf
	n       int64 // in memory
	spilled []spilledCalls
}

// A shelf is refs in lists that do not grow once they are full.
type shelf struct {
	full [][]ref
	last []ref
}

func (s *shelf) len() int {
	n := len(s.last)
	for _, list := range s.full {
		n += len(list)
	}
	return n
}

// spilledCalls are refs in the file of a run.
type spilledCalls struct {
	run *runFile
	at  [shelves + 1]int64 // where each share begins
}

func (l *callLog) add(r ref) {
	s := &l.shelves[r.hash>>56]
	if len(s.last) == cap(s.last) {
		if s.last != nil {
			s.full = append(s.full, s.last)
		}
		s.last = make([]ref, 0, 16<<min(len(s.full), 6))
	}
	s.last = append(s.last, r)
	l.n++
}

// spill writes all refs behind what w has in the file of r, and forgets them.
func (l *callLog) spill(w *offsetWriter, r *runFile) error {
	if l.n == 0 {
		return nil
	}
	s := spilledCalls{run: r}
	var buf []byte
	for i := range l.shelves {
		s.at[i] = w.n
		for _, list := range append(l.shelves[i].full, l.shelves[i].last) {
			buf = buf[:0]
			for k := range list {
				buf = binary.LittleEndian.AppendUint64(buf, list[k].hash)
				buf = binary.LittleEndian.AppendUint32(buf, uint32(list[k].section))
				buf = binary.LittleEndian.AppendUint32(buf, uint32(list[k].index))
			}
			if _, err := w.Write(buf); err != nil {
				return err
			}
		}
		l.shelves[i] = shelf{}
	}
	s.at[shelves] = w.n
	l.spilled = append(l.spilled, s)
	l.n = 0
	return nil
}

// share returns all refs of share i behind to.
func (l *callLog) share(i int, to []ref) ([]ref, error) {
	to = slices.Grow(to, l.shelves[i].len())
	for _, list := range l.shelves[i].full {
		to = append(to, list...)
	}
	to = append(to, l.shelves[i].last...)
	for _, s := range l.spilled {
		n := s.at[i+1] - s.at[i]
		if n == 0 {
			continue
		}
		f, err := s.run.open()
		if err != nil {
			return nil, err
		}
		buf := make([]byte, n)
		if k, err := f.ReadAt(buf, s.at[i]); k < len(buf) {
			return nil, err
		}
		for ; len(buf) > 0; buf = buf[refBytes:] {
			le := binary.LittleEndian
			to = append(to, ref{le.Uint64(buf), int32(le.Uint32(buf[8:])), int32(le.Uint32(buf[12:]))})
		}
	}
	return to, nil
}

// spent gives back the space of what was spilled, when all shares were looked at.
func (l *callLog) spent() {
	for _, s := range l.spilled {
		s.run.spent(piece{s.at[0], s.at[shelves] - s.at[0]})
	}
}

// A desk is where refs of one share are looked through. Its memory is used again.
type desk struct {
	refs  []ref
	slots []int32 // by hash, linear probing; 1 + index into refs, 0 is free
}

// suspects are those refs that share their hash with another, or must be looked at
// anyway, in place of all.
func (d *desk) suspects() []ref {
	list := d.refs
	size := 1 << bits.Len(uint(2*len(list)))
	d.slots = slices.Grow(d.slots[:0], size)
	table := d.slots[:size]
	clear(table)
	again := make([]uint64, (len(list)+63)/64)
	for i := range list {
		at := list[i].hash & uint64(size-1)
		for table[at] != 0 && list[table[at]-1].hash != list[i].hash {
			at = (at + 1) & uint64(size-1)
		}
		first := table[at] - 1
		if first < 0 {
			table[at], first = int32(i+1), int32(i)
		}
		if first != int32(i) || list[i].index < 0 {
			again[i/64] |= 1 << (i % 64)
			again[first/64] |= 1 << (first % 64)
		}
	}
	n := 0
	for i := range list {
		if again[i/64]&(1<<(i%64)) != 0 {
			list[n] = list[i]
			n++
		}
	}
	return list[:n]
}

// A sieve tells of an id whether it may be among those put into it: one bit
// for a hash. It never says no wrongly.
type sieve []uint32

const sieveBits = 26 // 8 MiB

func (s sieve) put(hash uint64) {
	if s != nil {
		i := hash >> (64 - sieveBits)
		atomic.OrUint32(&s[i/32], 1<<(i%32))
	}
}

func (s sieve) may(hash uint64) bool {
	i := hash >> (64 - sieveBits)
	return s[i/32]&(1<<(i%32)) != 0
}
