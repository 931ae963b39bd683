// Package sink stores canonical rows: one Parquet file for each unit of the
// table, written, read back and checked column by column.
package sink

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"usagelake/schemas"
)

// Source names a stream of records: the columns source_file and source_id.
type Source struct{ File, ID string }

// Sources is a run's table of sources: what Batch.Source and Row.Source index.
// It is safe for concurrent use. The zero value is empty.
type Sources struct {
	mu    sync.RWMutex
	list  []Source
	index map[Source]int32
}

// Intern returns the index of src. A source without an id is not yet known to
// equal another: it gets an index of its own.
func (s *Sources) Intern(src Source) int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.index[src]; ok {
		return i
	}
	i := int32(len(s.list))
	s.list = append(s.list, Source{})
	s.set(i, src)
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
	s.set(i, src)
}

func (s *Sources) set(i int32, src Source) {
	s.list[i] = src
	if src.ID == "" {
		return
	}
	if _, ok := s.index[src]; ok {
		return
	}
	if s.index == nil {
		s.index = map[Source]int32{}
	}
	s.index[src] = i
}

// snapshot is the list as it stands now.
func (s *Sources) snapshot() []Source {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.list)
}

// Ref names a row of a list of batches.
type Ref = schemas.Ref

// Rows are the rows of one file, in the order they are written.
type Rows struct {
	Batches []*schemas.Batch
	Order   []Ref
	Sources *Sources
	// Flags is quality_flags of row Order[i] where it differs from what the
	// batch holds; "" means NULL.
	Flags map[int]string
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

// check holds the batches against their contract before a byte is written. It
// looks at all rows of a batch, also at those that Order leaves out, because a
// run over whole arrays is far cheaper than one through Order.
func (r Rows) check() error {
	for _, b := range r.Batches {
		if t := b.Cols[schemas.EventTime]; b.Len() > 0 && (t == nil || t.NullN() > 0) {
			return fmt.Errorf("%v is NULL", schemas.EventTime)
		}
		for c, a := range b.Cols {
			if err := checkArray(a); err != nil {
				return fmt.Errorf("%v: %w", schemas.Col(c), err)
			}
		}
	}
	for _, flags := range r.Flags {
		if !utf8.ValidString(flags) {
			return fmt.Errorf("%v: not UTF-8", schemas.QualityFlags)
		}
	}
	for _, src := range r.Sources.snapshot() {
		if !utf8.ValidString(src.File) || !utf8.ValidString(src.ID) {
			return fmt.Errorf("source %q: not UTF-8", src.File)
		}
	}
	return nil
}

func checkArray(a arrow.Array) error {
	switch a := a.(type) {
	case *array.Float64:
		for i, v := range a.Float64Values() {
			if !finite(v) && a.IsValid(i) {
				return fmt.Errorf("%v is no number", v)
			}
		}
	case *array.String:
		if offsets := a.ValueOffsets(); !validTexts(a.ValueBytes(), offsets) {
			return errors.New("not UTF-8")
		}
	case *array.Dictionary:
		return checkArray(a.Dictionary())
	}
	return nil
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

// longest is the greatest length of a string and the length of all together,
// in bytes.
func longest(a *array.String) (most, all int) {
	for i := range a.Len() {
		n := a.ValueLen(i)
		most, all = max(most, n), all+n
	}
	return most, all
}

// pageBuffer bounds the bytes that parquet-go buffers for one page of any
// column, so that it never cuts a page by itself.
func (r Rows) pageBuffer() int {
	var most, all [schemas.NumColumns]int
	text := func(c schemas.Col, m, n int) { most[c], all[c] = max(most[c], m), all[c]+n }
	for _, b := range r.Batches {
		for c := range schemas.NumColumns {
			switch a := b.Cols[c].(type) {
			case *array.String:
				m, n := longest(a)
				text(c, m, n)
			case *array.Dictionary:
				m, n := longest(a.Dictionary().(*array.String))
				text(c, m, n)
			}
		}
	}
	for _, src := range r.Sources.snapshot() {
		text(schemas.SourceFile, len(src.File), len(src.File))
		text(schemas.SourceID, len(src.ID), len(src.ID))
	}
	for _, flags := range r.Flags {
		text(schemas.QualityFlags, len(flags), len(flags))
	}

	const overhead = 16 // bytes of offset, length and level beside a value
	size := pageRows * (8 + overhead)
	for c := range schemas.NumColumns {
		switch {
		case schemas.Columns[c].Plain:
			size = max(size, pageLen(c)*overhead+min(all[c], pageLen(c)*most[c]))
		case all[c] > dictBytes: // only then the dictionary may be given up
			size = max(size, pageLen(c)*(overhead+most[c]))
		}
	}
	return min(size+size/16, math.MaxInt32) // parquet-go keeps 2 % back
}
