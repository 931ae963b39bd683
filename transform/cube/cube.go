// Package cube sums calls up by day, provider, model, project and one thing
// more, in tables whose cells are bounded in number: what is too much is folded
// into Other, or days into weeks, months or all time. Whatever is folded, the
// sums over a table stay exact. It does no I/O.
package cube

import (
	"cmp"
	"slices"

	"usagelake/schemas"
)

// Dim is what cells are told apart by, beside the day.
type Dim uint8

const (
	Provider Dim = iota
	Model
	Project
	Item // of each table its own: a user, a key, a flag, …

	NumDims
)

// Numbers of names.
const (
	Other uint32 = iota // what was folded
	None                // NULL
	first               // of the names
)

// Key is what the rows of a cell have in common. Day is the first of its
// period.
type Key struct {
	Day schemas.Day
	Is  [NumDims]uint32
}

func (k Key) compare(o Key) int {
	if c := cmp.Compare(k.Day, o.Day); c != 0 {
		return c
	}
	return slices.Compare(k.Is[:], o.Is[:])
}

// Names numbers texts.
type Names struct {
	list  []string // from first on
	index map[string]uint32
}

// Len is the count of names.
func (n *Names) Len() int { return len(n.list) }

// ID is the number of a name. It keeps a copy of a new one.
func (n *Names) ID(name []byte) uint32 {
	id, ok := n.index[string(name)]
	if !ok {
		if n.index == nil {
			n.index = map[string]uint32{}
		}
		text := string(name)
		id = first + uint32(len(n.list))
		n.index[text] = id
		n.list = append(n.list, text)
	}
	return id
}

func (n *Names) text(id uint32) string {
	if id < first {
		return ""
	}
	return n.list[id-first]
}

// Measure is one of the sums of a table.
type Measure struct {
	Name     string
	Decimals int  // of its unit
	Weighs   bool // names are ranked by their share of it
}

// Table is cells with their sums.
type Table struct {
	Name     string
	Measures []Measure
	Items    Names
	// Folded: more names than are remembered were met, so that what a name has
	// can be in Other in part.
	Folded bool

	levels []Level
	level  int // that it was coarsened to; -1: none
	most   int // cells
	index  map[Key]int32
	keys   []Key
	sums   []schemas.Amount // len(Measures) for each cell
	last   Key
	at     int32 // of last
}

// Len is the count of cells.
func (t *Table) Len() int { return len(t.keys) }

// Cell is the sums of a cell, valid until the next call.
func (t *Table) Cell(k Key) []schemas.Amount {
	w := len(t.Measures)
	if len(t.keys) > 0 && k == t.last {
		return t.sums[int(t.at)*w:][:w]
	}
	i, ok := t.index[k]
	if !ok {
		i = int32(len(t.keys))
		t.index[k] = i
		t.keys = append(t.keys, k)
		t.sums = append(t.sums, make([]schemas.Amount, w)...)
	}
	t.last, t.at = k, i
	return t.sums[int(i)*w:][:w]
}

func (t *Table) clear() {
	t.index, t.keys, t.sums = map[Key]int32{}, nil, nil
}

// Total is the sum of a measure over all cells.
func (t *Table) Total(m int) (sum schemas.Amount) {
	for i := m; i < len(t.sums); i += len(t.Measures) {
		sum = sum.Add(t.sums[i])
	}
	return sum
}

// rekey moves every cell to another key.
func (t *Table) rekey(to func(Key) Key) {
	keys, sums, w := t.keys, t.sums, len(t.Measures)
	t.clear()
	for i, k := range keys {
		t.add(to(k), sums[i*w:][:w])
	}
}

func (t *Table) add(k Key, sums []schemas.Amount) {
	for i, c := 0, t.Cell(k); i < len(c); i++ {
		c[i] = c[i].Add(sums[i])
	}
}

// Span is the width of a period that is older than Level.Daily days.
type Span string

const (
	Days   Span = "day"
	Weeks  Span = "week" // from Monday
	Months Span = "month"
	All    Span = "all"
)

// Level is how coarse a table is.
type Level struct {
	Daily int          // the last so many days are told apart
	Span  Span         // how those before are
	Keep  [NumDims]int // names that are kept, those that weigh most; 0: none is
}

// start is the first day of the period that d is in, of a table that ends on
// last.
func (l *Level) start(d, last schemas.Day) schemas.Day {
	if l.Span == Days || d > last-schemas.Day(l.Daily) {
		return d
	}
	switch l.Span {
	case Weeks:
		return d - (d+3)%7 // 1970 began on a Thursday
	case Months:
		return monthOf(d)
	}
	return 0
}

// Cube is tables that share what providers, models and projects are called.
// It belongs to one goroutine.
type Cube struct {
	Last   schemas.Day // no row is later
	Shared [Item]Names
	Tables []*Table
	// Age changes when numbers of names do.
	Age int

	mostNames int // of a dimension
}

// Spec is what a table is to be.
type Spec struct {
	Name     string
	Measures []Measure
	Levels   []Level // from the finest to the coarsest
	Cells    int     // at most, as long as rows come
}

// mostNames is how many names of a dimension are remembered as long as rows
// come.
const mostNames = 60_000

// New makes a cube. The first table ranks providers, models and projects.
func New(last schemas.Day, specs []Spec) *Cube {
	c := &Cube{Last: last, mostNames: mostNames}
	for _, s := range specs {
		t := &Table{Name: s.Name, Measures: s.Measures, levels: s.Levels, level: -1, most: s.Cells}
		t.clear()
		c.Tables = append(c.Tables, t)
	}
	return c
}

// OfDay makes a cube for the rows of one day, to be merged into one by the same
// specs.
func OfDay(d schemas.Day, specs []Spec) *Cube {
	c := New(d, specs)
	for _, t := range c.Tables {
		t.most /= 4
		t.levels = slices.Clone(t.levels)
		for i := range t.levels {
			t.levels[i].Span = Days
		}
	}
	return c
}

// Merge adds the cells of another cube, made by the same specs.
func (c *Cube) Merge(o *Cube) {
	var shared [Item][]uint32
	for d := range Item {
		shared[d] = c.Shared[d].join(&o.Shared[d])
	}
	for n, t := range c.Tables {
		from, w := o.Tables[n], len(t.Measures)
		items := t.Items.join(&from.Items)
		t.Folded = t.Folded || from.Folded
		for i, k := range from.keys {
			for d := range Item {
				k.Is[d] = shared[d][k.Is[d]]
			}
			k.Is[Item] = items[k.Is[Item]]
			if t.level >= 0 {
				k.Day = t.levels[t.level].start(k.Day, c.Last)
			}
			t.add(k, from.sums[i*w:][:w])
		}
	}
	c.Tidy()
}

// join takes over the names of o and returns their numbers.
func (n *Names) join(o *Names) []uint32 {
	to := make([]uint32, first, int(first)+len(o.list))
	to[Other], to[None] = Other, None
	for _, text := range o.list {
		to = append(to, n.ID([]byte(text)))
	}
	return to
}

// names is what dimension d of a table is called.
func (c *Cube) names(t *Table, d Dim) *Names {
	if d == Item {
		return &t.Items
	}
	return &c.Shared[d]
}

// ranker is the table by which the names of a dimension are ranked.
func (c *Cube) ranker(t *Table, d Dim) *Table {
	if d == Item {
		return t
	}
	return c.Tables[0]
}

// rank lists the numbers of a dimension's names, those first that have the
// largest share of any measure.
func (c *Cube) rank(t *Table, d Dim) []uint32 {
	r, names := c.ranker(t, d), c.names(t, d)
	score := make([]float64, int(first)+names.Len())
	for m := range r.Measures {
		if !r.Measures[m].Weighs {
			continue
		}
		sums := make([]schemas.Amount, len(score))
		for i, k := range r.keys {
			sums[k.Is[d]] = sums[k.Is[d]].Add(r.sums[i*len(r.Measures)+m])
		}
		total := r.Total(m).Float()
		for id := range sums {
			if share := sums[id].Float() / total; share > score[id] { // not where it is NaN
				score[id] = share
			}
		}
	}
	list := make([]uint32, names.Len())
	for i := range list {
		list[i] = first + uint32(i)
	}
	slices.SortFunc(list, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(score[b], score[a]), cmp.Compare(names.text(a), names.text(b)))
	})
	return list
}

// kept tells the names of a dimension that stay, by number.
func (c *Cube) kept(t *Table, d Dim, keep int) []bool {
	ok := make([]bool, int(first)+c.names(t, d).Len())
	for i, id := range c.rank(t, d) {
		ok[id] = i < keep
	}
	ok[None] = keep > 0 || d == Item
	return ok
}

// coarsen folds a table to a level, of whose items so many times more are kept. It
// reports whether a name went into Other.
func (c *Cube) coarsen(t *Table, l *Level, wider int) (folded bool) {
	var keep [NumDims][]bool
	for d := range Item {
		keep[d] = c.kept(t, d, l.Keep[d])
	}
	keep[Item] = c.kept(t, Item, l.Keep[Item]*wider)
	t.rekey(func(k Key) Key {
		k.Day = l.start(k.Day, c.Last)
		for d := range NumDims {
			if !keep[d][k.Is[d]] {
				folded = folded || k.Is[d] >= first
				k.Is[d] = Other
			}
		}
		return k
	})
	return folded
}

// early is how many times more items are kept while rows still come.
const early = 4

// Tidy brings the cube back below its limits.
func (c *Cube) Tidy() {
	for _, t := range c.Tables {
		if t.Len() <= t.most {
			continue
		}
		// Once more to where it is, then on: not just below the limit, where the
		// next rows would meet it again.
		for t.level = max(t.level, 0); ; t.level++ {
			if c.coarsen(t, &t.levels[t.level], early) {
				t.Folded = true
			}
			if t.Len() <= t.most*3/4 || t.level == len(t.levels)-1 {
				break
			}
		}
	}
	for d := range Item {
		if c.Shared[d].Len() > c.mostNames {
			keep := c.kept(nil, d, c.mostNames/early)
			for _, t := range c.Tables {
				t.Folded = true
				t.drop(d, keep)
			}
			c.renumber()
		}
	}
	for _, t := range c.Tables {
		if t.Items.Len() > c.mostNames {
			t.Folded = true
			t.drop(Item, c.kept(t, Item, c.mostNames/early))
			c.renumber()
		}
	}
}

// drop folds the names of a dimension that are not kept.
func (t *Table) drop(d Dim, keep []bool) {
	t.rekey(func(k Key) Key {
		if !keep[k.Is[d]] {
			k.Is[d] = Other
		}
		return k
	})
}

// renumber forgets names that no cell has and numbers the others by rank.
func (c *Cube) renumber() {
	c.Age++
	var to [NumDims][]uint32
	for d := range Item {
		used := make([]bool, int(first)+c.Shared[d].Len())
		for _, t := range c.Tables {
			t.mark(used, d)
		}
		to[d] = c.Shared[d].pick(c.rank(nil, d), used)
	}
	for _, t := range c.Tables {
		used := make([]bool, int(first)+t.Items.Len())
		t.mark(used, Item)
		to[Item] = t.Items.pick(c.rank(t, Item), used)
		t.rekey(func(k Key) Key {
			for d := range NumDims {
				k.Is[d] = to[d][k.Is[d]]
			}
			return k
		})
	}
}

// mark notes which names of a dimension have a cell.
func (t *Table) mark(used []bool, d Dim) {
	for _, k := range t.keys {
		used[k.Is[d]] = true
	}
}

// count is how many names of a dimension have a cell.
func (c *Cube) count(t *Table, d Dim) (n int) {
	used := make([]bool, int(first)+c.names(t, d).Len())
	t.mark(used, d)
	for _, u := range used[first:] {
		if u {
			n++
		}
	}
	return n
}

// pick keeps the names in use, in this order, and returns their new numbers.
func (n *Names) pick(order []uint32, used []bool) []uint32 {
	to := make([]uint32, int(first)+len(n.list))
	to[None] = None
	old := *n
	*n = Names{}
	for _, id := range order {
		if used[id] {
			to[id] = n.ID([]byte(old.text(id)))
		}
	}
	return to
}
