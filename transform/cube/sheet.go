package cube

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"time"

	"usagelake/schemas"
)

// Sheets is a cube as it is shown. Its JSON form is what the page reads.
type Sheets struct {
	Providers []string          `json:"providers"` // number 2 and on: 0 is other, 1 is none
	Models    []string          `json:"models"`
	Projects  []string          `json:"projects"`
	Tables    map[string]*Sheet `json:"tables"`
}

// Sheet is a table as it is shown: columns of numbers, one for each cell.
type Sheet struct {
	Cells int      `json:"cells"`
	Items []string `json:"items,omitempty"`
	// Periods that begin before DailyFrom, in days since 1970, are of Span.
	DailyFrom int32 `json:"daily_from"`
	Span      Span  `json:"span"`
	// Dropped are the dimensions by which cells are not told apart, Folded how
	// many names of each went into other.
	Dropped map[string]bool    `json:"dropped,omitempty"`
	Folded  map[string]int     `json:"folded,omitempty"`
	Early   bool               `json:"early,omitempty"` // Table.Folded
	Keys    map[string][]byte  `json:"keys"`            // of day the differences
	Sums    map[string]*Column `json:"sums"`
}

// Column is the sums of a measure: unsigned base-128 numbers, those of 7 low
// bits first, in 10^-Decimals.
type Column struct {
	Decimals int    `json:"decimals"`
	Total    string `json:"total"`            // a decimal number
	Big      bool   `json:"big,omitempty"`    // the sums may not fit into 53 bits
	Signed   bool   `json:"signed,omitempty"` // the lowest bit is the sign
	Data     []byte `json:"data,omitempty"`   // empty: all are 0
}

var dimNames = [NumDims]string{"provider", "model", "project", "item"}

// longest is how many bytes of a name are shown.
const longest = 160

// Fit makes tables coarse enough for their budget of bytes, and encodes them.
// The first table may take what the others leave of all. The cube is spent.
func (c *Cube) Fit(budget map[string]int, all int) *Sheets {
	type fit struct {
		level int
		had   [NumDims]int
	}
	done := make([]fit, len(c.Tables))
	// The first table goes last: it ranks the names of the others.
	for n := len(c.Tables) - 1; n >= 0; n-- {
		t := c.Tables[n]
		f := &done[n]
		for d := range NumDims {
			f.had[d] = c.count(t, d)
		}
		room := budget[t.Name]
		if n == 0 {
			room = all
		}
		for f.level = max(t.level, 0); ; f.level++ {
			c.coarsen(t, &t.levels[f.level], 1)
			if size := t.size(); size <= room || f.level == len(t.levels)-1 {
				all -= size
				break
			}
		}
	}
	c.renumber()
	s := &Sheets{Providers: c.Shared[Provider].shown(), Models: c.Shared[Model].shown(), Projects: c.Shared[Project].shown(), Tables: map[string]*Sheet{}}
	for n, t := range c.Tables {
		l := &t.levels[done[n].level]
		sheet := t.encode()
		sheet.Items = t.Items.shown()
		sheet.Span, sheet.DailyFrom, sheet.Early = l.Span, math.MinInt32, t.Folded
		if l.Span != Days {
			sheet.DailyFrom = int32(c.Last) - int32(l.Daily) + 1
		}
		for d := range NumDims {
			if now := c.count(t, d); now < done[n].had[d] {
				sheet.Folded[dimNames[d]] = done[n].had[d] - now
			}
			if l.Keep[d] == 0 && d != Item {
				sheet.Dropped[dimNames[d]] = true
			}
		}
		s.Tables[t.Name] = sheet
	}
	return s
}

// shown are the names, cut where they are long.
func (n *Names) shown() []string {
	list := make([]string, len(n.list))
	for i, name := range n.list {
		if list[i] = name; len(name) > longest {
			list[i] = strings.ToValidUTF8(name[:longest], "") + "…"
		}
	}
	return list
}

// size is how many bytes the table takes in the page.
func (t *Table) size() (n int) {
	if t.Len() > 200_000 { // by far
		return math.MaxInt
	}
	s := t.encode()
	for _, k := range s.Keys {
		n += len(k)
	}
	for _, c := range s.Sums {
		n += len(c.Data)
	}
	n = n * 4 / 3 // base64
	used := make([]bool, int(first)+t.Items.Len())
	t.mark(used, Item)
	for id, u := range used {
		if u {
			n += min(len(t.Items.text(uint32(id))), longest) + 3
		}
	}
	return n
}

// encode writes the cells in the order of their keys.
func (t *Table) encode() *Sheet {
	order := make([]int32, t.Len())
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return t.keys[a].compare(t.keys[b]) })
	s := &Sheet{
		Cells: len(order), Dropped: map[string]bool{}, Folded: map[string]int{},
		Keys: map[string][]byte{}, Sums: map[string]*Column{},
	}
	var day []byte
	at := schemas.Day(0)
	for _, i := range order {
		day = binary.AppendUvarint(day, uint64(t.keys[i].Day-at))
		at = t.keys[i].Day
	}
	s.Keys["day"] = day
	for d := range NumDims {
		var ids []byte
		for _, i := range order {
			ids = binary.AppendUvarint(ids, uint64(t.keys[i].Is[d]))
		}
		s.Keys[dimNames[d]] = ids
	}
	for m := range t.Measures {
		s.Sums[t.Measures[m].Name] = t.column(m, order)
	}
	return s
}

// column writes the sums of a measure, in the largest unit that none has a
// part of.
func (t *Table) column(m int, order []int32) *Column {
	w := len(t.Measures)
	c := &Column{Decimals: t.Measures[m].Decimals}
	c.Total = t.Total(m).Text(c.Decimals)
	var all schemas.Amount // of their sizes
	for i := m; i < len(t.sums); i += w {
		v := t.sums[i]
		if v.Cmp(schemas.Amount{}) < 0 {
			c.Signed = true
			v = v.Neg()
		}
		all = all.Add(v)
	}
	if all.IsZero() {
		return c
	}
	unit := uint64(1)
	for ; c.Decimals > 0; c.Decimals-- {
		whole := true
		for i := m; i < len(t.sums) && whole; i += w {
			_, rest := size(t.sums[i]).DivMod(unit * 10)
			whole = rest == 0
		}
		if !whole {
			break
		}
		unit *= 10
	}
	all, _ = all.DivMod(unit)
	hi, lo := all.Words()
	c.Big = hi != 0 || lo >= 1<<52
	for _, i := range order {
		v := t.sums[int(i)*w+m]
		n, _ := size(v).DivMod(unit)
		if c.Signed {
			if n = n.Add(n); v.Cmp(schemas.Amount{}) < 0 {
				n = n.Add(schemas.AmountOf(1))
			}
		}
		c.Data = appendNumber(c.Data, n)
	}
	return c
}

// size is v without its sign.
func size(v schemas.Amount) schemas.Amount {
	if v.Cmp(schemas.Amount{}) < 0 {
		return v.Neg()
	}
	return v
}

func appendNumber(b []byte, v schemas.Amount) []byte {
	for {
		hi, lo := v.Words()
		if hi == 0 && lo < 1<<63 {
			return binary.AppendUvarint(b, lo)
		}
		var low uint64
		v, low = v.DivMod(128)
		b = append(b, byte(low)|0x80)
	}
}

func monthOf(d schemas.Day) schemas.Day {
	y, m, _ := time.UnixMicro(d.Start()).UTC().Date()
	return schemas.DayOf(time.Date(y, m, 1, 0, 0, 0, 0, time.UTC).UnixMicro())
}
