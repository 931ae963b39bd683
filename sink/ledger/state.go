package ledger

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"usagelake/schemas"
)

// State is what the records add up to.
type State struct {
	Settings Settings
	Seq      int64  // of the last record
	Sum      string // its SHA-256
	IDKey    string // fingerprint of the key that ids are hashed with; "" is none

	Sources map[string]*Source // by id; without Books, which are of one change
	Files   map[string]File    // by path below the lake
	// Empty are files without rows, in the place of those that were removed:
	// in a store, from which no file of a table is taken away.
	Empty  map[string]File
	Seen   map[string]Seen // by path of the file
	Beaten map[Pair]int64  // rows that lost, by who lost to whom

	Runs       []Run                 // what each record did, in order
	Quarantine map[string]Quarantine // files of records set aside, by path

	// Held is what each table must hold by the books: what was loaded less what
	// was removed.
	Held [schemas.NumTables]Held

	heads *heads // of Sources
}

// Held counts rows and their quantities.
type Held struct {
	Rows int64            `json:"rows"`
	Sums schemas.SumsJSON `json:"sums"`
}

func (h *Held) add(rows int64, sums schemas.Sums) {
	h.Rows += rows
	h.Sums.Add(&sums)
}

// Pair is a source and one that it lost rows to.
type Pair struct{ Source, By string }

// Run is one record, without its parts.
type Run struct {
	Seq        int64         `json:"seq"`
	Kind       string        `json:"kind"`
	Time       time.Time     `json:"time"`
	Run        string        `json:"run,omitempty"` // id, of a load in steps
	Asked      string        `json:"asked,omitempty"`
	Sources    int           `json:"sources"`
	Forgotten  int           `json:"forgotten,omitempty"` // sources
	Removed    int64         `json:"removed,omitempty"`   // rows
	Files      int           `json:"files"`
	Quarantine string        `json:"quarantine,omitempty"` // file below the quarantine directory
	Books      schemas.Books `json:"books"`
}

// heads are sources by their heads. They are made when one is asked for: most runs
// know their inputs by the files.
type heads struct {
	once    sync.Once
	lengths []int64
	sources map[head][]*Source // in the order of their ids
}

type head struct {
	n   int64
	sum string
}

// newState is the state of a lake without records.
func newState(settings Settings) State {
	return State{
		Settings:   settings,
		Sources:    map[string]*Source{},
		Files:      map[string]File{},
		Empty:      map[string]File{},
		Seen:       map[string]Seen{},
		Beaten:     map[Pair]int64{},
		Quarantine: map[string]Quarantine{},
		heads:      &heads{},
	}
}

// apply folds a record with this SHA-256 into the state.
func (s *State) apply(r *Record, sum string) {
	s.Seq, s.Sum = r.Seq, sum
	s.IDKey = cmp.Or(r.IDKey, s.IDKey)
	run := Run{
		Seq: r.Seq, Kind: r.Kind, Time: r.Time, Run: r.Run, Asked: r.Asked,
		Sources: len(r.Sources), Forgotten: len(r.Forgotten), Files: len(r.Files),
	}
	s.forget(r.Forgotten)
	for _, path := range r.QuarantineGone {
		delete(s.Quarantine, path)
	}
	for i := range r.Removed {
		gone := &r.Removed[i]
		h := &s.Held[schemas.Usage]
		if gone.Table == schemas.Reports.String() {
			h = &s.Held[schemas.Reports]
		}
		h.Rows -= gone.Rows
		h.Sums.Sub(&gone.Sums.Sums)
		run.Removed += gone.Rows
	}
	s.heads = &heads{}
	if len(s.Sources) == 0 { // it may be the first that brings many
		s.Sources = make(map[string]*Source, len(r.Sources))
	}
	if len(s.Seen) == 0 {
		s.Seen = make(map[string]Seen, len(r.Seen))
	}
	var besides sync.WaitGroup // nothing else is about files that were seen
	besides.Go(func() {
		for _, f := range r.Seen {
			s.Seen[f.Path] = f
		}
	})
	defer besides.Wait()
	for i := range r.Sources {
		src := r.Sources[i]
		src.Books = nil
		s.Sources[src.ID] = &src
	}
	for _, b := range r.Beaten {
		s.Beaten[Pair{b.Source, b.By}] += b.Rows
	}
	if r.Quarantine != nil {
		run.Quarantine = r.Quarantine.Path
		s.Quarantine[r.Quarantine.Path] = *r.Quarantine
	}
	if r.Books != nil {
		run.Books = *r.Books
		s.Held[schemas.Usage].add(r.Books.Rows, r.Books.RowSums.Sums)
		s.Held[schemas.Reports].add(r.Books.Reports, r.Books.ReportSums.Sums())
	}
	s.Runs = append(s.Runs, run)
	if r.Kind == KindReprice {
		s.reprice(r.Files)
	}
	for _, f := range r.Files {
		delete(s.Files, f.Path)
		delete(s.Empty, f.Path)
		switch {
		case f.Rows > 0:
			s.Files[f.Path] = f
		case f.SHA256 != "":
			s.Empty[f.Path] = f
		}
	}
}

// reprice brings the cost of files that were repriced into what their table
// must hold.
func (s *State) reprice(files []File) {
	held := &s.Held[schemas.Usage].Sums
	for _, f := range files {
		was := s.Files[f.Path]
		held.Plus(schemas.CostUSD, f.Sums.At(schemas.CostUSD).Sub(was.Sums.At(schemas.CostUSD)))
	}
}

// forget removes sources and all that speaks of them.
func (s *State) forget(ids []string) {
	if len(ids) == 0 {
		return
	}
	gone := make(map[string]bool, len(ids))
	for _, id := range ids {
		gone[id] = true
		delete(s.Sources, id)
	}
	maps.DeleteFunc(s.Seen, func(_ string, f Seen) bool { return gone[f.Source] })
	maps.DeleteFunc(s.Beaten, func(p Pair, _ int64) bool { return gone[p.Source] || gone[p.By] })
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
func (s *State) HeadLengths() []int64 { return s.byHead().lengths }

// ByHead lists the sources whose first n bytes have this sum.
func (s *State) ByHead(n int64, sum string) []*Source { return s.byHead().sources[head{n, sum}] }

func (s *State) byHead() *heads {
	h := s.heads
	h.once.Do(func() {
		h.sources = make(map[head][]*Source, len(s.Sources))
		lengths := map[int64]bool{}
		for _, src := range s.Sources {
			at := head{src.HeadLen, src.Head}
			h.sources[at] = append(h.sources[at], src)
			lengths[at.n] = true
		}
		for _, list := range h.sources {
			slices.SortFunc(list, func(a, b *Source) int { return cmp.Compare(a.ID, b.ID) })
		}
		h.lengths = slices.Sorted(maps.Keys(lengths))
	})
	return h
}
