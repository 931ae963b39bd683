package sink

import (
	"cmp"
	"context"
	"encoding/binary"
	"io"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"
	"golang.org/x/sync/errgroup"

	"usagelake/schemas"
)

// Copies of a call are the same call: rows with one call key. The winner is
// the most complete one: largest output, then input, then the latest, then the
// first by place. It does not depend on the order of loads. Rows of one place
// are the same row, whatever their key; the one in the table stays.

// call is what must be known of a row to find its copies.
type call struct {
	reuse  uint64 // the same for rows with the same id
	key    schemas.CallKey
	time   int64
	output float64 // -1 where NULL
	input  float64
	place
	section int32 // number of the section the row is in,
	index   int64 // and of the row there
	scope   schemas.Scope
	old     bool // the row is in the table
	flag    bool // and has the flag id_reused
}

// callBytes is the length of a call in a file.
const callBytes = 8 + 16 + 3*8 + 8 + 8 + 4 + 4 + 8 + 1

func (c *call) append(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, c.reuse)
	b = append(b, c.key[:]...)
	b = le.AppendUint64(b, uint64(c.time))
	b = le.AppendUint64(b, math.Float64bits(c.output))
	b = le.AppendUint64(b, math.Float64bits(c.input))
	b = le.AppendUint64(b, uint64(c.line))
	b = le.AppendUint64(b, uint64(c.row))
	b = le.AppendUint32(b, uint32(c.source))
	b = le.AppendUint32(b, uint32(c.section))
	b = le.AppendUint64(b, uint64(c.index))
	bits := byte(c.scope) << 2
	if c.old {
		bits |= 1
	}
	if c.flag {
		bits |= 2
	}
	return append(b, bits)
}

func (c *call) parse(b []byte) {
	le := binary.LittleEndian
	c.reuse = le.Uint64(b)
	copy(c.key[:], b[8:])
	b = b[24:]
	c.time = int64(le.Uint64(b))
	c.output = math.Float64frombits(le.Uint64(b[8:]))
	c.input = math.Float64frombits(le.Uint64(b[16:]))
	c.line = int64(le.Uint64(b[24:]))
	c.row = int64(le.Uint64(b[32:]))
	c.source = int32(le.Uint32(b[40:]))
	c.section = int32(le.Uint32(b[44:]))
	c.index = int64(le.Uint64(b[48:]))
	c.scope, c.old, c.flag = schemas.Scope(b[56]>>2), b[56]&1 != 0, b[56]&2 != 0
}

// shelves is how many shares a call log is kept in, by hash: copies are in one
// share, and shares are looked at one by one.
const shelves = 256

// A callLog gathers calls. Its memory is bounded by spill.
type callLog struct {
	calls   [shelves][]call
	spilled []spilledCalls
}

// spilledCalls are calls in the file of a run.
type spilledCalls struct {
	run *runFile
	at  [shelves + 1]int64 // where each share begins
}

func (l *callLog) add(c call) {
	i := c.reuse >> 56
	l.calls[i] = append(l.calls[i], c)
}

// held counts the calls in memory.
func (l *callLog) held() (n int64) {
	for i := range l.calls {
		n += int64(len(l.calls[i]))
	}
	return n
}

// spill writes all calls to w, whose next byte is off in the file of r, and
// forgets them. It returns the offset behind.
func (l *callLog) spill(w io.Writer, off int64, r *runFile) (int64, error) {
	s := spilledCalls{run: r}
	var buf []byte
	for i, list := range l.calls {
		s.at[i] = off
		buf = buf[:0]
		for k := range list {
			buf = list[k].append(buf)
		}
		if _, err := w.Write(buf); err != nil {
			return off, err
		}
		off += int64(len(buf))
		l.calls[i] = nil
	}
	s.at[shelves] = off
	if off > s.at[0] {
		l.spilled = append(l.spilled, s)
	}
	return off, nil
}

// share returns all calls of share i.
func (l *callLog) share(i int, to []call) ([]call, error) {
	to = append(to, l.calls[i]...)
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
		if _, err := f.ReadAt(buf, s.at[i]); err != nil && (err != io.EOF || n == 0) {
			return nil, err
		}
		for ; len(buf) > 0; buf = buf[callBytes:] {
			var c call
			c.parse(buf)
			to = append(to, c)
		}
	}
	return to, nil
}

// identity is what decides the call key of row i.
func identity(b *schemas.Batch, i int) schemas.Identity {
	id := schemas.Identity{RequestID: b.Str(schemas.RequestID, i)}
	if id.RequestID == "" {
		return id
	}
	id.Dialect = b.Str(schemas.Dialect, i)
	id.TransportID = b.Str(schemas.TransportID, i)
	id.Model = b.Str(schemas.Model, i)
	id.TimeSource = b.Str(schemas.EventTimeSource, i)
	id.Flags = b.Str(schemas.QualityFlags, i)
	id.EventTime = b.Int(schemas.EventTime, i)
	return id
}

// CallColumns are the columns that a call is known by.
var CallColumns = []schemas.Col{
	schemas.EventTime, schemas.EventTimeSource, schemas.RequestID, schemas.TransportID, schemas.Model,
	schemas.Dialect, schemas.QualityFlags, schemas.InputTokens, schemas.OutputTokens,
	schemas.SourceLine, schemas.SourceRow,
}

// placeKey is the key of a row that is looked up by its place.
func placeKey(p place) (key schemas.CallKey, hash uint64) {
	var b [20]byte
	le := binary.LittleEndian
	le.PutUint64(b[0:], uint64(p.line))
	le.PutUint64(b[8:], uint64(p.row))
	le.PutUint32(b[16:], uint32(p.source))
	return xxh3.Hash128(b[:]).Bytes(), xxh3.Hash(b[:])
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

// Pair says that rows of one source gave way to rows of another.
type Pair struct{ Source, By int32 }

// verdicts gathers what is decided.
type verdicts struct {
	m      *Merger
	order  *order
	places bool // rows are grouped by their place, not by their call
	beaten map[Pair]int64
	units  map[schemas.Unit]*change
}

// change is what becomes of a unit.
type change struct {
	fresh   int64 // new rows
	freshly int64 // of them lost
	gone    int64 // rows of the table that are lost
	anyDay  int64 // rows whose copies are looked for on every day: so many more
}

// decide finds all copies: first rows of one place, then rows of one call.
func (m *Merger) decide(ctx context.Context, jobs int) error {
	order := m.opt.Sources.order()
	var mu sync.Mutex
	for _, step := range []struct {
		logs   []*callLog
		places bool
	}{{m.places, true}, {m.calls, false}} {
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(jobs)
		for i := range shelves {
			g.Go(func() error {
				if err := ctx.Err(); err != nil {
					return err
				}
				var list []call
				var err error
				for _, l := range step.logs {
					if list, err = l.share(i, list); err != nil {
						return err
					}
				}
				v := &verdicts{m: m, order: order, places: step.places, beaten: map[Pair]int64{}, units: map[schemas.Unit]*change{}}
				v.share(list)
				mu.Lock()
				defer mu.Unlock()
				for p, n := range v.beaten {
					m.beaten[p] += n
				}
				for u, c := range v.units {
					t := m.unit(u)
					t.freshly += c.freshly
					t.gone += c.gone
					t.anyDay += c.anyDay
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	m.order = order
	return nil
}

// share decides on one share of a log.
func (v *verdicts) share(list []call) {
	type head struct {
		reuse uint64
		at    int32
	}
	heads := make([]head, len(list))
	for i := range list {
		heads[i] = head{list[i].reuse, int32(i)}
	}
	slices.SortFunc(heads, func(a, b head) int { return cmp.Compare(a.reuse, b.reuse) })
	var group []call
	for len(heads) > 0 {
		n := 1
		for n < len(heads) && heads[n].reuse == heads[0].reuse {
			n++
		}
		if n > 1 || list[heads[0].at].flag {
			group = group[:0]
			for _, h := range heads[:n] {
				group = append(group, list[h.at])
			}
			v.group(group)
		}
		heads = heads[n:]
	}
}

// group decides on rows with one id, or of one place.
func (v *verdicts) group(list []call) {
	list = slices.DeleteFunc(list, func(c call) bool { return v.section(&c).marks.at(c.index) == lost })
	slices.SortFunc(list, func(a, b call) int {
		if c := slices.Compare(a.key[:], b.key[:]); c != 0 || v.places {
			return cmp.Or(c, cmp.Compare(age(&a), age(&b)))
		}
		return v.better(&a, &b)
	})
	kept := make([]call, 0, len(list))
	first := 0 // of kept, with the key at hand
	for i := range list {
		c := &list[i]
		if i > 0 && c.key != list[i-1].key {
			first = len(kept)
		}
		k := slices.IndexFunc(kept[first:], func(k call) bool { return v.copies(&k, c) })
		if k < 0 {
			kept = append(kept, *c)
			continue
		}
		v.lose(c, &kept[first+k])
	}
	if !v.places {
		v.flag(kept)
	}
}

// better orders copies, the winner first.
func (v *verdicts) better(a, b *call) int {
	return cmp.Or(
		cmp.Compare(b.output, a.output),
		cmp.Compare(b.input, a.input),
		cmp.Compare(b.time, a.time),
		v.order.comparePlaces(a.place, b.place),
		cmp.Compare(age(a), age(b)),
	)
}

// age puts what is in the table before what is new: loading a row again
// changes nothing.
func age(c *call) int {
	if c.old {
		return 0
	}
	return 1
}

// copies reports whether two rows of one key are the same call: on one day or
// days beside each other, or anywhere where the time of one is not the call's
// own.
func (v *verdicts) copies(a, b *call) bool {
	if v.places || a.scope == schemas.AnyDay || b.scope == schemas.AnyDay {
		return true
	}
	d := v.section(a).unit.Day - v.section(b).unit.Day
	return -1 <= d && d <= 1
}

func (v *verdicts) section(c *call) *section { return v.m.sections[c.section] }

func (v *verdicts) lose(c, by *call) {
	p := v.section(c)
	p.marks.set(c.index, lost)
	t := v.units[p.unit]
	if t == nil {
		t = &change{}
		v.units[p.unit] = t
	}
	if c.old {
		t.gone++
	} else {
		t.freshly++
	}
	if c.scope == schemas.AnyDay {
		t.anyDay--
	}
	if c.source != by.source {
		v.beaten[Pair{c.source, by.source}]++
	}
}

// flag sees to it that rows of one unit with one id and several keys have the
// flag id_reused, and no others.
func (v *verdicts) flag(kept []call) {
	slices.SortFunc(kept, func(a, b call) int {
		return cmp.Or(v.section(&a).unit.Compare(v.section(&b).unit), slices.Compare(a.key[:], b.key[:]))
	})
	for len(kept) > 0 {
		n, several := 1, false
		for n < len(kept) && v.section(&kept[n]).unit == v.section(&kept[0]).unit {
			several = several || kept[n].key != kept[0].key
			n++
		}
		for i := range kept[:n] {
			switch c := &kept[i]; {
			case c.flag == several:
			case several:
				v.section(c).marks.set(c.index, reused)
			default:
				v.section(c).marks.set(c.index, single)
			}
		}
		kept = kept[n:]
	}
}
