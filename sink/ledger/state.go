package ledger

import (
	"time"

	"usagelake/schemas"
)

// State is what the records add up to.
type State struct {
	Settings Settings
	Seq      int64  // of the last record
	Sum      string // its SHA-256

	Sources map[string]*Source // by id
	Files   map[string]File    // by path below the table root
	Seen    map[string]Seen    // by path of the file

	Runs       []Run                 // what each record did, in order
	Quarantine map[string]Quarantine // files of records set aside, by path

	// Rows and Sums are what the table must hold by the books: what was loaded
	// less what gave way to better copies.
	Rows int64
	Sums schemas.Sums

	heads map[head]map[string]bool // ids by head
	lens  map[int64]int            // sources by head length
}

// Run is one record, without its parts.
type Run struct {
	Seq        int64         `json:"seq"`
	Kind       string        `json:"kind"`
	Time       time.Time     `json:"time"`
	Sources    int           `json:"sources"`
	Files      int           `json:"files"`
	Quarantine string        `json:"quarantine,omitempty"` // file below the quarantine directory
	Books      schemas.Books `json:"books"`
}

type head struct {
	n   int64
	sum string
}

func (s *State) init() {
	s.Sources = map[string]*Source{}
	s.Files = map[string]File{}
	s.heads = map[head]map[string]bool{}
	s.lens = map[int64]int{}
	s.Seen = map[string]Seen{}
	s.Quarantine = map[string]Quarantine{}
}

func (s *State) apply(r *Record, sum string) {
	s.Seq, s.Sum = r.Seq, sum
	for i := range r.Sources {
		src := &r.Sources[i]
		if old := s.Sources[src.ID]; old != nil {
			h := head{old.HeadLen, old.Head}
			delete(s.heads[h], old.ID)
			if s.lens[old.HeadLen]--; s.lens[old.HeadLen] == 0 {
				delete(s.lens, old.HeadLen)
			}
		}
		s.Sources[src.ID] = src
		h := head{src.HeadLen, src.Head}
		if s.heads[h] == nil {
			s.heads[h] = map[string]bool{}
		}
		s.heads[h][src.ID] = true
		s.lens[src.HeadLen]++
	}
	for _, f := range r.Seen {
		s.Seen[f.Path] = f
	}
	run := Run{Seq: r.Seq, Kind: r.Kind, Time: r.Time, Sources: len(r.Sources), Files: len(r.Files)}
	if r.Quarantine != nil {
		run.Quarantine = r.Quarantine.Path
		s.Quarantine[r.Quarantine.Path] = *r.Quarantine
	}
	if r.Books != nil {
		run.Books = *r.Books
		s.Rows += r.Books.Rows
		s.Sums.Add(&r.Books.RowSums.Sums)
	}
	for i := range r.Removed {
		s.Rows -= r.Removed[i].Rows
		s.Sums.Sub(&r.Removed[i].Sums.Sums)
	}
	s.Runs = append(s.Runs, run)
	for _, f := range r.Files {
		if f.Rows == 0 {
			delete(s.Files, f.Path)
		} else {
			s.Files[f.Path] = f
		}
	}
}

// Unchanged is the source that was found in this very file before, or nil.
func (s *State) Unchanged(now Seen) *Source {
	was := s.Seen[now.Path]
	now.Source = was.Source
	src := s.Sources[was.Source]
	if src == nil || was != now || src.Filtered {
		return nil
	}
	return src
}

// HeadLengths are the lengths of prefix by which sources can be looked up.
func (s *State) HeadLengths() []int64 {
	out := make([]int64, 0, len(s.lens))
	for n := range s.lens {
		out = append(out, n)
	}
	return out
}

// ByHead lists the sources whose first n bytes have this sum.
func (s *State) ByHead(n int64, sum string) []*Source {
	var out []*Source
	for id := range s.heads[head{n, sum}] {
		out = append(out, s.Sources[id])
	}
	return out
}
