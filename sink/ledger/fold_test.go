package ledger_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"usagelake/schemas"
	"usagelake/sink/disk/faults"
	"usagelake/sink/ledger"
)

func sums(tokens int64) (s schemas.SumsJSON) {
	s.AddInt(schemas.ImageCount, tokens)
	s.AddInt(schemas.ReportedCostUSD, 3*tokens)
	return s
}

// drawRecord makes a record of few names, so that records meet.
func drawRecord(t *rapid.T) ledger.Record {
	some := func(what string) int { return rapid.IntRange(0, 3).Draw(t, what) }
	pick := func(what, name string) string {
		return name + fmt.Sprint(rapid.IntRange(1, 5).Draw(t, what))
	}
	n := func(what string) int64 { return rapid.Int64Range(1, 1000).Draw(t, what) }

	r := ledger.Record{
		Kind: rapid.SampledFrom([]string{ledger.KindLoad, ledger.KindReplay, ledger.KindForget, ledger.KindReprice}).Draw(t, "kind"),
		Time: time.Now(), // with all that JSON does not keep
	}
	if rapid.IntRange(0, 3).Draw(t, "takes away") == 0 {
		for range some("forgotten") {
			r.Forgotten = append(r.Forgotten, pick("forgotten id", "s"))
		}
		for range some("quarantine gone") {
			r.QuarantineGone = append(r.QuarantineGone, pick("gone", "q"))
		}
	}
	for range some("removed") {
		r.Removed = append(r.Removed, ledger.Removed{Source: pick("removed id", "s"), Table: rapid.SampledFrom([]string{"", "reports"}).Draw(t, "table"), Rows: n("rows"), Sums: sums(n("tokens"))})
	}
	if some("key") == 3 {
		r.IDKey = pick("id key", "k")
	}
	seen := map[string]bool{}
	for range some("sources") {
		id := pick("source", "s")
		if seen[id] {
			continue
		}
		seen[id] = true
		src := ledger.Source{ID: id, File: "f", Offset: n("offset"), HeadLen: int64(some("head")), Books: &schemas.Books{Rows: n("rows"), In: sums(n("tokens"))}}
		src.Head = fmt.Sprint("h", src.HeadLen)
		r.Sources = append(r.Sources, src)
	}
	for range some("seen") {
		// a path need not be UTF-8
		r.Seen = append(r.Seen, ledger.Seen{Source: pick("seen source", "s"), Path: rapid.SampledFrom([]string{"/a", "/b", "/\xfe", "/\xff"}).Draw(t, "path"), Size: n("size")})
	}
	for range some("files") {
		r.Files = append(r.Files, ledger.File{Path: pick("file", "p"), Rows: int64(some("rows")), Sums: sums(n("tokens"))})
	}
	for range some("beaten") {
		r.Beaten = append(r.Beaten, ledger.Beaten{Source: pick("loser", "s"), By: pick("winner", "s"), Rows: n("rows")})
	}
	if rapid.Bool().Draw(t, "quarantine") {
		r.Quarantine = &ledger.Quarantine{Path: pick("quarantine", "q"), Records: n("records")}
	}
	if rapid.Bool().Draw(t, "books") {
		r.Books = &schemas.Books{Rows: n("rows"), RowSums: sums(n("tokens")), Reports: n("reports")}
		reports := sums(n("tokens"))
		r.Books.ReportSums.Add(&reports.Sums)
	}
	return r
}

// said is what records say of a state, put differently than by folding: of each
// thing the last word counts.
func said(records []ledger.Record) *ledger.State {
	forgotten := map[string]int{} // id: behind the last record that forgot it
	gone := map[string]int{}
	for i, r := range records {
		for _, id := range r.Forgotten {
			forgotten[id] = i
		}
		for _, p := range r.QuarantineGone {
			gone[p] = i
		}
	}
	s := &ledger.State{
		Sources: map[string]*ledger.Source{}, Files: map[string]ledger.File{}, Seen: map[string]ledger.Seen{},
		Beaten: map[ledger.Pair]int64{}, Quarantine: map[string]ledger.Quarantine{},
	}
	for i, r := range records {
		for _, src := range r.Sources {
			if i >= forgotten[src.ID] {
				src.Books = nil
				s.Sources[src.ID] = &src
			}
		}
		for _, f := range r.Seen {
			f.Path = strings.ToValidUTF8(f.Path, "\ufffd") // as JSON has it
			delete(s.Seen, f.Path)
			if i >= forgotten[f.Source] {
				s.Seen[f.Path] = f
			}
		}
		for _, f := range r.Files {
			delete(s.Files, f.Path)
			if f.Rows > 0 {
				s.Files[f.Path] = f
			}
		}
		for _, b := range r.Beaten {
			if i >= forgotten[b.Source] && i >= forgotten[b.By] {
				s.Beaten[ledger.Pair{Source: b.Source, By: b.By}] += b.Rows
			}
		}
		if q := r.Quarantine; q != nil && i >= gone[q.Path] {
			s.Quarantine[q.Path] = *q
		}
		if b := r.Books; b != nil {
			s.Held[schemas.Usage].Rows += b.Rows
			s.Held[schemas.Usage].Sums.Add(&b.RowSums.Sums)
			s.Held[schemas.Reports].Rows += b.Reports
			reports := b.ReportSums.Sums()
			s.Held[schemas.Reports].Sums.Add(&reports)
		}
		for _, x := range r.Removed {
			table := schemas.Usage
			if x.Table != "" {
				table = schemas.Reports
			}
			s.Held[table].Rows -= x.Rows
			s.Held[table].Sums.Sub(&x.Sums.Sums)
		}
	}
	return s
}

// text shows what records can say of a state.
func text(s *ledger.State) string {
	pairs := map[string]int64{}
	for p, rows := range s.Beaten {
		pairs[p.Source+" by "+p.By] = rows
	}
	out, err := json.MarshalIndent([]any{s.Sources, s.Files, s.Seen, s.Quarantine, s.Held, pairs}, "", " ")
	if err != nil {
		panic(err)
	}
	return string(out)
}

// The state is what the records say, whether it grew with them, was read from
// all of them, or from a checkpoint and those behind it.
func TestFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fsys := faults.NewMem()
		opt := ledger.Options{Buckets: 3, CheckpointEvery: rapid.Int64Range(1, 5).Draw(t, "checkpoint every")}
		open := func() *ledger.Lake {
			l, err := ledger.Open(fsys, "lake", opt)
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		check := func(what string, l *ledger.Lake, want string) {
			if d := cmp.Diff(want, text(&l.State)); d != "" {
				t.Fatalf("%s: the state is not what the records say\n%s", what, d)
			}
			if p := l.Audit(); len(p) > 0 {
				t.Fatalf("%s: %s", what, p)
			}
			lengths := map[int64]bool{}
			for id, src := range l.State.Sources {
				lengths[src.HeadLen] = true
				if !slices.Contains(l.State.ByHead(src.HeadLen, src.Head), src) {
					t.Fatalf("%s: %s is not found by its head", what, id)
				}
			}
			if got := l.State.HeadLengths(); len(got) != len(lengths) {
				t.Fatalf("%s: head lengths %v, should be %v", what, got, lengths)
			}
			for n := range int64(4) {
				for _, src := range l.State.ByHead(n, fmt.Sprint("h", n)) {
					if src == nil || l.State.Sources[src.ID] != src {
						t.Fatalf("%s: %v is found by its head", what, src)
					}
				}
			}
		}
		l := open()
		var records []ledger.Record
		for range rapid.IntRange(1, 12).Draw(t, "records") {
			r := drawRecord(t)
			if err := l.Publish(&ledger.Publication{Record: r}); err != nil {
				t.Fatal(err)
			}
			records = append(records, r)
		}
		want := text(said(records))
		check("grown", l, want)
		l.Close()

		checkpointed := open()
		check("from a checkpoint", checkpointed, want)
		checkpointed.Close()
		names, err := fsys.ReadDir("lake/state")
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		for _, e := range names {
			if strings.HasPrefix(e.Name(), "checkpoint-") {
				count++
				if err := fsys.Remove(filepath.Join("lake/state", e.Name())); err != nil {
					t.Fatal(err)
				}
			}
		}
		if want := min(int(int64(len(records))/opt.CheckpointEvery), 1); count != want {
			t.Fatalf("%d checkpoints after %d records, should be %d", count, len(records), want)
		}
		folded := open()
		check("from all records", folded, want)
		if !reflect.DeepEqual(folded.State, checkpointed.State) {
			t.Fatalf("from all records %+v\nfrom a checkpoint %+v", folded.State, checkpointed.State)
		}
		folded.Close()
	})
}
