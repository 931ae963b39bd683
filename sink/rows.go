// Package sink stores canonical rows: one Parquet file for each unit of the
// table, written, read back and checked column by column.
package sink

import (
	"math"
	"sync"
	"unicode/utf8"

	"usagelake/schemas"
)

// Source names a stream of records: the columns source_file and source_id.
type Source struct{ File, ID string }

// Sources is a run's table of sources: what Batch.Source and Row.Source index.
// It is safe for concurrent use. The zero value is empty.
type Sources struct {
	mu    sync.RWMutex
	list  []Source
	index map[Source]int32 // of those with an id; nil until one is looked for
}

// Intern returns the index of src. A source without an id is not yet known to
// equal another: it gets an index of its own.
func (s *Sources) Intern(src Source) int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if src.ID != "" {
		if s.index == nil {
			s.index = make(map[Source]int32, len(s.list))
			for i, src := range s.list {
				s.put(int32(i), src)
			}
		}
		if i, ok := s.index[src]; ok {
			return i
		}
	}
	i := int32(len(s.list))
	s.list = append(s.list, src)
	s.put(i, src)
	return i
}

// At is the source with index i.
func (s *Sources) At(i int32) Source {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.list[i]
}

// Set changes the source with index i. The id of a new source is known only
// when it was read to its end.
func (s *Sources) Set(i int32, src Source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.list[i]; s.index[old] == i {
		delete(s.index, old)
	}
	s.list[i] = src
	s.put(i, src)
}

// put brings a source into the index, if there is one, unless another is equal.
func (s *Sources) put(i int32, src Source) {
	if s.index == nil || src.ID == "" {
		return
	}
	if _, ok := s.index[src]; !ok {
		s.index[src] = i
	}
}

func (s *Sources) len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.list)
}

// A Run is N adjoining rows of a batch in a list, from Row on.
type Run struct{ Batch, Row, N int32 }

// Rows are the rows of one file, in the order they are written.
type Rows struct {
	Batches []*schemas.Batch
	Order   []Run
	// Flags is quality_flags of those rows, by their number in the order, where
	// it differs from what the batch holds; "" means NULL.
	Flags map[int]string
}

// Len is the count of rows.
func (r *Rows) Len() (n int) {
	for i := range r.Order {
		n += int(r.Order[i].N)
	}
	return n
}

// appendRun appends rows to an order of rows.
func appendRun(order []Run, r Run) []Run {
	if n := len(order); n > 0 {
		if last := &order[n-1]; last.Batch == r.Batch && last.Row+last.N == r.Row {
			last.N += r.N
			return order
		}
	}
	return append(order, r)
}

// Facts are what a file holds. A file is right when the facts read back from
// it equal the facts of what was written.
type Facts struct {
	Rows  int64
	Nulls [schemas.NumColumns]int64
	// Sums are over the additive columns.
	Sums schemas.Sums
	// MinTime and MaxTime bound event_time, both inclusive, in microseconds.
	MinTime, MaxTime int64
}

func (f *Facts) addTime(us int64) {
	if f.MinTime == 0 { // no time of the table is 0
		f.MinTime, f.MaxTime = us, us
	}
	f.MinTime, f.MaxTime = min(f.MinTime, us), max(f.MaxTime, us)
}

func finite(v float64) bool { return !math.IsNaN(v - v) }

// validTexts reports whether each of the adjoining strings is UTF-8: their
// join is, and none starts inside a character.
func validTexts[T int32 | uint32](data []byte, offsets []T) bool {
	for _, o := range offsets {
		if i := int(o - offsets[0]); i < len(data) && !utf8.RuneStart(data[i]) {
			return false
		}
	}
	return utf8.Valid(data)
}
