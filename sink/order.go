package sink

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"usagelake/schemas"
)

// order compares rows by the sort key. It holds for the sources as they were
// when it was made: while inputs are still read their ids are not known, and
// rows that differ in nothing else are in no order.
type order struct {
	file  []int32 // ranks of a source's file, by its index
	id    []int32 // and of its id, nil where the files differ
	twins bool    // several sources have the same file
}

func (s *Sources) order() *order {
	s.mu.RLock()
	list := slices.Clone(s.list)
	s.mu.RUnlock()
	o := &order{}
	o.file, o.twins = ranks(list, func(s Source) string { return s.File })
	if o.twins {
		o.id, _ = ranks(list, func(s Source) string { return s.ID })
	}
	return o
}

// ranks numbers the texts of sources in their order, equal ones alike.
func ranks(list []Source, text func(Source) string) (out []int32, equal bool) {
	at := make([]int, len(list))
	for i := range at {
		at[i] = i
	}
	slices.SortFunc(at, func(a, b int) int { return strings.Compare(text(list[a]), text(list[b])) })
	out = make([]int32, len(list))
	rank := int32(0)
	for i, k := range at {
		if i > 0 {
			if text(list[at[i-1]]) == text(list[k]) {
				equal = true
			} else {
				rank++
			}
		}
		out[k] = rank
	}
	return out, equal
}

// place is where a row was read. Two rows of one place are the same row.
type place struct {
	line, row int64
	source    int32
}

// comparePlaces orders by source_file, source_line, source_row, source_id.
func (o *order) comparePlaces(a, b place) int {
	if a.source != b.source {
		if c := cmp.Compare(o.file[a.source], o.file[b.source]); c != 0 {
			return c
		}
	}
	if a.line != b.line {
		return cmp.Compare(a.line, b.line)
	}
	if a.row != b.row {
		return cmp.Compare(a.row, b.row)
	}
	if !o.twins {
		return 0
	}
	return cmp.Compare(o.id[a.source], o.id[b.source])
}

// A spot is where a row stands in the order of the sort key.
type spot struct {
	time int64
	place
}

func (o *order) compareSpots(a, b spot) int {
	if a.time != b.time {
		return cmp.Compare(a.time, b.time)
	}
	return o.comparePlaces(a.place, b.place)
}

// tied reports whether two rows differ in nothing but, at most, their sources'
// ids: these may not be known yet.
func (o *order) tied(a, b spot) bool {
	return a.time == b.time && a.line == b.line && a.row == b.row && o.file[a.source] == o.file[b.source]
}

// keys are the sort keys of a batch's rows.
type keys struct {
	time, line, row []uint64 // none is below 0
	source          []int32
}

// idleKeys are keys of no batch, whose memory is used again.
var idleKeys = sync.Pool{New: func() any { return new(keys) }}

// idle gives the keys back.
func (k *keys) idle() {
	k.source = nil // it is the batch's
	idleKeys.Put(k)
}

// keyBytes is what the key of a row takes.
const keyBytes = 24

// read reads the keys of the rows [lo, hi) of a batch in place of those before.
func (k *keys) read(b *schemas.Batch, lo, hi int) {
	k.time = b.Words(k.time[:0], schemas.EventTime, lo, hi)
	k.line = b.Words(k.line[:0], schemas.SourceLine, lo, hi)
	k.row = b.Words(k.row[:0], schemas.SourceRow, lo, hi)
	k.source = b.Source.Int32Values()[lo:hi]
}

func (k *keys) place(i int) place { return place{int64(k.line[i]), int64(k.row[i]), k.source[i]} }

func (k *keys) spot(i int) spot { return spot{int64(k.time[i]), k.place(i)} }

// sorted is the order of a batch's rows, nil where they stand in it.
func (o *order) sorted(k *keys) []int32 {
	return sorted(len(k.time), func(i, j int) int { return o.compareSpots(k.spot(i), k.spot(j)) })
}

// A sorter has the memory that it takes to sort rows, to use it again.
type sorter struct {
	heads []int64
	by    []int32
}

// byTime is the order of rows by their times, in microseconds, and then their
// places, until the next call; nil where they stand in it. As logs go they stand
// nearly in it.
func (s *sorter) byTime(times []int64, places func(i, j int) int) []int32 {
	n, i := len(times), 1
	least, most := slices.Min(times), slices.Max(times)
	for i < n && (times[i-1] < times[i] || times[i-1] == times[i] && places(i-1, i) <= 0) {
		i++
	}
	if i == n {
		return nil
	}
	if most-least >= 1<<(63-rowBits) {
		return sorted(n, func(i, j int) int { return cmp.Or(cmp.Compare(times[i], times[j]), places(i, j)) })
	}
	heads, by := slices.Grow(s.heads[:0], n), slices.Grow(s.by[:0], n) // sorting plain numbers is much faster
	for i, t := range times {
		heads = append(heads, (t-least)<<rowBits|int64(i))
	}
	if !settle(heads) {
		slices.Sort(heads)
	}
	from := 0 // the first row of the time at hand
	for i, h := range heads {
		by = append(by, int32(h&(1<<rowBits-1)))
		if i+1 < n && heads[i+1]>>rowBits == h>>rowBits {
			continue
		}
		if i > from {
			slices.SortStableFunc(by[from:i+1], func(i, j int32) int { return places(int(i), int(j)) })
		}
		from = i + 1
	}
	s.heads, s.by = heads, by
	return by
}

// settle sorts numbers that stand nearly in order. It reports whether they did.
func settle(list []int64) bool {
	left := 16 * len(list) // moves
	for i, v := range list {
		k := i
		for ; k > 0 && list[k-1] > v; k-- {
			list[k] = list[k-1]
		}
		list[k] = v
		if left -= i - k; left < 0 {
			return false
		}
	}
	return true
}

// rowBits is enough for the rows of a batch.
const rowBits = 14

const _ = uint(1<<rowBits - schemas.BuilderRows)

// sorted is the order of n rows, nil where they stand in it.
func sorted(n int, compare func(i, j int) int) []int32 {
	i := 1
	for i < n && compare(i-1, i) <= 0 {
		i++
	}
	if i >= n {
		return nil
	}
	at := make([]int32, n)
	for i := range at {
		at[i] = int32(i)
	}
	slices.SortStableFunc(at, func(a, b int32) int { return compare(int(a), int(b)) })
	return at
}
