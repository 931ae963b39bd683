package sink

import (
	"cmp"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"usagelake/schemas"
)

// order compares rows by the sort key. It holds for the sources as they were
// when it was made: while inputs are still read their ids are not known, and
// rows that differ in nothing else are in no order.
type order struct {
	file, id []int32 // ranks of a source's file and id, by its index
	twins    bool    // several sources have the same file
}

func (s *Sources) order() *order {
	s.mu.RLock()
	list := slices.Clone(s.list)
	s.mu.RUnlock()
	o := &order{}
	o.file, o.twins = ranks(list, func(s Source) string { return s.File })
	o.id, _ = ranks(list, func(s Source) string { return s.ID })
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
	return cmp.Compare(o.id[a.source], o.id[b.source])
}

// keys are the sort keys of a batch's rows.
type keys struct {
	time      []arrow.Timestamp
	line, row []int64
	source    []int32
}

func keysOf(b *schemas.Batch) keys {
	return keys{
		time:   b.Cols[schemas.EventTime].(*array.Timestamp).TimestampValues(),
		line:   b.Cols[schemas.SourceLine].(*array.Int64).Int64Values(),
		row:    b.Cols[schemas.SourceRow].(*array.Int64).Int64Values(),
		source: b.Source.Int32Values(),
	}
}

func (k *keys) place(i int) place { return place{k.line[i], k.row[i], k.source[i]} }

// compare orders row i of a against row j of b.
func (o *order) compare(a *keys, i int, b *keys, j int) int {
	if a.time[i] != b.time[j] {
		return cmp.Compare(a.time[i], b.time[j])
	}
	return o.comparePlaces(a.place(i), b.place(j))
}

// sorted is the order of a batch's rows, nil where they stand in it.
func (o *order) sorted(k *keys) []int32 {
	n := len(k.time)
	inOrder := true
	for i := 1; i < n && inOrder; i++ {
		inOrder = o.compare(k, i-1, k, i) <= 0
	}
	if inOrder {
		return nil
	}
	at := make([]int32, n)
	for i := range at {
		at[i] = int32(i)
	}
	slices.SortFunc(at, func(a, b int32) int { return o.compare(k, int(a), k, int(b)) })
	return at
}
