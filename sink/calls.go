package sink

import (
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"sync/atomic"

	"github.com/zeebo/xxh3"
	"golang.org/x/sync/errgroup"

	"usagelake/schemas"
)

// Copies of a call are the same call: rows with one call key. The winner is
// the most complete one: largest output, then input, then the latest, then the
// first by place. A bucket of a report grows while it is open: of its rows what
// else they measure decides before the place. It does not depend on the order of
// loads. Rows of one place are the same row, whatever their key; the one in the
// table stays.

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

// call is what must be known of a row to tell whether it is a copy.
type call struct {
	ref
	key    schemas.CallKey
	time   int64
	output float64 // -1 where NULL
	input  float64
	grown  *grown // of a report's row
	place
	scope schemas.Scope
	old   bool // the row is in the table
	flag  bool // and has the flag id_reused
}

// grown is what rows of a bucket are compared by, in order, besides output and
// input; -Inf where NULL.
type grown [len(growing)]float64

var growing = [...]schemas.Col{
	schemas.Requests, schemas.ReportedCostUSD, schemas.Quantity, schemas.ImageCount, schemas.AudioSeconds, schemas.WebSearchRequests,
}

// callBytes is the size of a call in memory, about.
const callBytes = 128

// A look is at what of a batch's rows decides where their copies can lie.
type look struct {
	m        *Merger
	b        *schemas.Batch
	dialects []int32 // and so on: the numbers in the batch's dictionaries, nil where all rows are alike
	froms    []int32
	flags    []int32
	alike    bool // in all of these

	last [3]int32
	kind kind
}

// kind is the same for rows with the same dialect, event_time_source and flags.
type kind struct {
	scope schemas.Scope
	flag  bool // id_reused
	seed  uint64
}

// hash is the same for rows with the same id, whether or not they are copies.
func (k *kind) hash(id string) uint64 { return xxh3.HashStringSeed(id, k.seed) }

func (m *Merger) look(b *schemas.Batch) *look {
	l := &look{m: m, b: b, last: [3]int32{-1, -1, -1}}
	codes := func(c schemas.Col) []int32 {
		if b.Cols[c] == nil {
			return nil
		}
		if texts, _ := b.Texts(c); texts.Len() == 1 && b.Cols[c].NullN() == 0 {
			return nil
		}
		return b.Codes(nil, c, 0, b.Len())
	}
	l.dialects, l.froms, l.flags = codes(schemas.Dialect), codes(schemas.EventTimeSource), codes(schemas.QualityFlags)
	l.alike = l.dialects == nil && l.froms == nil && l.flags == nil
	return l
}

// at is the kind of row i, which has an id.
func (l *look) at(i int) *kind {
	if l.alike && l.last[0] == -2 {
		return &l.kind
	}
	now := [3]int32{-2, -2, -2}
	for k, codes := range [...][]int32{l.dialects, l.froms, l.flags} {
		if codes != nil {
			now[k] = codes[i]
		}
	}
	if l.flags != nil && l.b.Null(schemas.QualityFlags, i) {
		now[2] = -2
	}
	if now != l.last {
		id := identity(l.b, i)
		l.last = now
		l.kind = kind{
			scope: id.Scope(l.m.opt.Rule(id.Dialect)),
			flag:  schemas.HasFlag(id.Flags, schemas.FlagIDReused),
			seed:  id.FamilyHash(),
		}
	}
	return &l.kind
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

// eachID calls fn for every row of a batch that has an id.
func (m *Merger) eachID(b *schemas.Batch, fn func(i int, id string, k *kind)) {
	m.look(b).eachID(0, b.Len(), fn)
}

// eachID calls fn for those of the rows [lo, hi) that have an id.
func (l *look) eachID(lo, hi int, fn func(i int, id string, k *kind)) {
	if l.b.Cols[schemas.RequestID] == nil {
		return
	}
	ids, _ := l.b.Texts(schemas.RequestID)
	for i := lo; i < hi; i++ {
		if id := ids.Value(i); id != "" {
			fn(i, id, l.at(i))
		}
	}
}

// eachAgain calls fn for every one of the rows [lo, hi) of a batch whose source is
// read again, with the hash of its place.
func (m *Merger) eachAgain(b *schemas.Batch, lo, hi int, fn func(i int, hash uint64)) {
	if len(m.opt.Again) == 0 {
		return
	}
	var k keys
	k.read(b, lo, hi)
	for i, src := range k.source {
		if m.opt.Again[src] {
			_, hash := placeKey(k.place(i))
			fn(lo+i, hash)
		}
	}
}

// ref names row i of a batch that begins at row base of the section.
func (p *section) ref(hash uint64, base int64, i int) ref {
	return ref{hash: hash, section: p.number, index: int32(base) + int32(i)}
}

// callOf is row i of a batch of a table.
func (m *Merger) callOf(t schemas.Table, b *schemas.Batch, i int) call {
	c := call{output: -1, input: -1, time: b.Int(schemas.EventTime, i)}
	c.place = place{b.Int(schemas.SourceLine, i), b.Int(schemas.SourceRow, i), b.Source.Value(i)}
	id := identity(b, i)
	c.key, c.scope = id.Key(m.opt.Rule(id.Dialect))
	c.flag = schemas.HasFlag(id.Flags, schemas.FlagIDReused)
	if !b.Null(schemas.OutputTokens, i) {
		c.output = b.Double(schemas.OutputTokens, i)
	}
	if !b.Null(schemas.InputTokens, i) {
		c.input = b.Double(schemas.InputTokens, i)
	}
	if t == schemas.Reports {
		c.grown = new(grown)
		for k, col := range growing {
			switch {
			case b.Null(col, i):
				c.grown[k] = math.Inf(-1)
			case schemas.Columns[col].Kind == schemas.Double:
				c.grown[k] = b.Double(col, i)
			default:
				c.grown[k] = float64(b.Int(col, i))
			}
		}
	}
	return c
}

// CallColumns are the columns that a row of a table is known by.
func CallColumns(t schemas.Table) []schemas.Col {
	cols := []schemas.Col{
		schemas.EventTime, schemas.EventTimeSource, schemas.RequestID, schemas.TransportID, schemas.Model,
		schemas.Dialect, schemas.QualityFlags, schemas.InputTokens, schemas.OutputTokens,
		schemas.SourceLine, schemas.SourceRow,
	}
	if t == schemas.Reports {
		cols = append(cols, growing[:]...)
	}
	return cols
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

// loss is rows of a unit that gave way.
type loss struct {
	unit schemas.Unit
	Pair
}

// verdicts decides.
type verdicts struct {
	m      *Merger
	places bool // rows are grouped by their place, not by their call
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
	m.order = m.opt.Sources.order()
	desks := make([]desk, jobs)
	for _, step := range []struct {
		logs   []*callLog
		places bool
	}{{m.places, true}, {m.calls, false}} {
		var list []ref
		for i := 0; i < shelves; {
			var err error
			n := min(4*jobs, shelves-i)
			if list, err = m.suspects(ctx, desks, step.logs, i, n, list); err != nil {
				return err
			}
			if i += n; i < shelves && int64(len(list))*callBytes < m.opt.Reading {
				continue
			}
			calls, err := m.details(ctx, jobs, list)
			if err != nil {
				return err
			}
			v := &verdicts{m: m, places: step.places}
			v.all(calls)
			list = list[:0]
		}
	}
	return nil
}

// suspects appends the suspects of n shares from share i on, which it finds at as
// many desks at once as there are.
func (m *Merger) suspects(ctx context.Context, desks []desk, logs []*callLog, i, n int, to []ref) ([]ref, error) {
	found := make([][]ref, n)
	g, ctx := errgroup.WithContext(ctx)
	for j := range min(len(desks), n) {
		g.Go(func() error {
			d := &desks[j]
			for k := j; k < n; k += len(desks) {
				if err := ctx.Err(); err != nil {
					return err
				}
				d.refs = d.refs[:0]
				for _, l := range logs {
					var err error
					if d.refs, err = l.share(i+k, d.refs); err != nil {
						return err
					}
				}
				found[k] = slices.Clone(d.suspects())
			}
			return nil
		})
	}
	err := g.Wait()
	return append(to, slices.Concat(found...)...), err
}

// details reads the rows of refs. What it returns is in no order.
func (m *Merger) details(ctx context.Context, jobs int, refs []ref) ([]call, error) {
	slices.SortFunc(refs, func(a, b ref) int {
		return cmp.Or(cmp.Compare(a.section, b.section), cmp.Compare(a.pos(), b.pos()))
	})
	calls := make([]call, len(refs))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for lo := 0; lo < len(refs); {
		hi := lo + 1
		for hi < len(refs) && refs[hi].section == refs[lo].section {
			hi++
		}
		of, to := refs[lo:hi], calls[lo:hi]
		g.Go(func() error { return m.read(ctx, m.sections[of[0].section], of, to) })
		lo = hi
	}
	return calls, g.Wait()
}

// read reads rows of one section, which refs name in order.
func (m *Merger) read(ctx context.Context, p *section, refs []ref, to []call) error {
	open := p.read
	if p.calls != nil {
		open = p.calls
	}
	in, err := open()
	if err != nil {
		return err
	}
	defer in.Close()
	var base int64
	for i := 0; i < len(refs); {
		if err := ctx.Err(); err != nil {
			return err
		}
		b, err := in.Next()
		if err != nil {
			return err
		}
		for ; i < len(refs) && refs[i].pos() < base+int64(b.Len()); i++ {
			to[i] = m.callOf(p.unit.Table, b, int(refs[i].pos()-base))
			to[i].ref, to[i].old = refs[i], p.old
		}
		base += int64(b.Len())
		b.Release()
	}
	return nil
}

// all decides on calls.
func (v *verdicts) all(list []call) {
	if v.places {
		for i := range list {
			list[i].key, _ = placeKey(list[i].place)
		}
	}
	slices.SortFunc(list, func(a, b call) int { return cmp.Compare(a.hash, b.hash) })
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].hash == list[0].hash {
			n++
		}
		v.group(list[:n])
		list = list[n:]
	}
}

// group decides on rows with one id, or of one place.
func (v *verdicts) group(list []call) {
	v.m.aim.look(v, list)
	list = slices.DeleteFunc(list, func(c call) bool { return v.section(&c).marks.at(c.pos()) == lost })
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
		cmp.Compare(v.section(a).unit.Table, v.section(b).unit.Table),
		cmp.Compare(b.output, a.output),
		cmp.Compare(b.input, a.input),
		compareGrown(b.grown, a.grown),
		cmp.Compare(b.time, a.time),
		v.m.order.comparePlaces(a.place, b.place),
		cmp.Compare(age(a), age(b)),
	)
}

func compareGrown(a, b *grown) int {
	if a == nil || b == nil {
		return 0
	}
	return slices.Compare(a[:], b[:])
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
	if v.places {
		return true
	}
	if v.section(a).unit.Table != v.section(b).unit.Table {
		return false
	}
	if a.scope == schemas.AnyDay || b.scope == schemas.AnyDay {
		return true
	}
	d := v.section(a).unit.Day - v.section(b).unit.Day
	return -1 <= d && d <= 1
}

func (v *verdicts) section(c *call) *section { return v.m.sections[c.section] }

func (v *verdicts) lose(c, by *call) {
	p := v.section(c)
	p.mark(c.pos(), lost)
	t := v.m.unit(p.unit)
	if c.old {
		t.gone++
	} else {
		t.freshly++
	}
	if c.scope == schemas.AnyDay {
		t.anyDay--
	}
	if c.source != by.source {
		v.m.beaten[loss{p.unit, Pair{c.source, by.source}}]++
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
				v.section(c).mark(c.pos(), reused)
			default:
				v.section(c).mark(c.pos(), single)
			}
		}
		kept = kept[n:]
	}
}
