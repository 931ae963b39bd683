package sink

import (
	"cmp"
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"usagelake/schemas"
)

// Copies of a call are the same call: rows with one call key. The winner is
// the most complete one: largest output, then input, then reported cost, then
// the latest, then the first by place. A bucket of a report grows while it is open: of its rows what
// else they measure decides before the place. It does not depend on the order of
// loads. Rows of one place are the same row, whatever their key; the one in the
// table stays.

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

// Decide finds the copies and their winners: first among rows of one place, then
// among rows of one call. All intakes must be closed.
func (m *Merger) Decide(ctx context.Context, jobs int) error {
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
		for _, l := range step.logs {
			l.spent()
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
	open := func() (Batches, error) { return p.read(false) }
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
		cmp.Compare(b.cost, a.cost),
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
