package usagelake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"usagelake/ingest"
	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/sink/ledger"
	"usagelake/transform"
	"usagelake/transform/seal"
)

// commit closes the books of every source, and publishes if they balance.
func commit(ctx context.Context, s *settings, lake *ledger.Lake, scratch sink.Scratch, p *planned, m *mapped, r *reduced, report *Report) error {
	s.Progress(Progress{Step: "commit"})
	if err := closeBooks(s, p, m, r, report); err != nil {
		return err
	}
	record := ledger.Record{
		Kind: p.kind, Time: s.Now().UTC(), Tool: "usagelake " + Version, Run: p.run, Asked: p.asked,
		Files: r.files, Beaten: r.beaten, Removed: r.removed(p), Books: &report.Books,
	}
	for i, t := range p.tasks {
		if t.err == nil && t.read() {
			t.err = m.reads[i].err
		}
	}
	var besides sync.WaitGroup
	besides.Go(func() {
		record.Sources = p.sourcesAfter(s, m)
		record.Seen = p.seenFiles(s, lake, m)
	})
	report.outcome(s, p, m, r)
	besides.Wait()

	for i := range report.Files {
		if f, ok := lake.State.Files[report.Files[i].Path]; ok {
			report.Files[i].Before = &Held{Rows: f.Rows, Sums: f.Sums}
		}
	}
	if s.dry {
		return allFailed(p, report)
	}
	for i := range p.forget {
		record.Forgotten = append(record.Forgotten, p.sources.At(i).ID)
	}
	slices.Sort(record.Forgotten)
	if key := s.ids.Fingerprint(); key != lake.State.IDKey {
		record.IDKey = key
	}
	moves := r.moves
	if err := p.carry(ctx, lake, scratch, m, &record, &moves); err != nil {
		return err
	}
	if len(record.Sources) == 0 && len(record.Seen) == 0 && len(moves) == 0 && len(record.Forgotten) == 0 && record.IDKey == "" {
		return allFailed(p, report)
	}
	if slices.ContainsFunc(m.quarantine, func(q *sink.Spool) bool { return q.Len() > 0 }) {
		move, q, err := stageQuarantine(lake, p, m)
		if err != nil {
			return err
		}
		moves = append(moves, move)
		record.Quarantine = q
		report.Quarantine = lake.Path(ledger.QuarantinePath(q.Path))
	}
	if err := ctx.Err(); err != nil {
		return err // the last moment at which nothing has happened
	}
	if err := lake.Publish(&ledger.Publication{Record: record, Moves: moves}); err != nil {
		return err
	}
	report.Seq = lake.State.Seq
	return nil
}

// removed lists the rows that were in a table and are not any more.
func (r *reduced) removed(p *planned) []ledger.Removed {
	var out []ledger.Removed
	for table := range schemas.NumTables {
		for i, t := range r.rows[table].Removed {
			gone := ledger.Removed{Source: p.sources.At(i).ID, Rows: t.Rows}
			if gone.Sums.Sums = t.Sums; table != schemas.Usage {
				gone.Table = table.String()
			}
			out = append(out, gone)
		}
	}
	slices.SortFunc(out, func(a, b ledger.Removed) int {
		return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.Table, b.Table))
	})
	return out
}

// closeBooks brings what became of the rows into the books of their sources,
// and checks them.
func closeBooks(s *settings, p *planned, m *mapped, r *reduced, report *Report) error {
	const share = 256
	var mu sync.Mutex
	err := each(context.Background(), s.Jobs, (len(p.tasks)+share-1)/share, func(_ context.Context, i int) error {
		sum, err := closeSome(p, m, r, i*share, min((i+1)*share, len(p.tasks)))
		mu.Lock()
		report.Books.Add(sum)
		mu.Unlock()
		return err
	})
	if err != nil {
		return err
	}
	if err := report.Books.Check(transform.Derived); err != nil {
		return fmt.Errorf("%w: %w", ErrBooks, err)
	}
	return nil
}

// closeSome closes the books of the tasks [from, to), and adds them up.
func closeSome(p *planned, m *mapped, r *reduced, from, to int) (*schemas.Books, error) {
	sum := &schemas.Books{}
	for i, t := range p.tasks[from:to] {
		if !t.read() {
			continue
		}
		b := m.books[from+i]
		if kept := r.rows[schemas.Usage].Kept[t.source.Index]; kept != nil {
			b.Rows, b.RowSums.Sums = kept.Rows, kept.Sums
		}
		if kept := r.rows[schemas.Reports].Kept[t.source.Index]; kept != nil {
			b.Reports = kept.Rows
			b.ReportSums.Add(&kept.Sums)
		}
		for _, rows := range r.rows {
			if lost := rows.Lost[t.source.Index]; lost != nil {
				b.Duplicates += lost.Rows
				b.DuplicateSums.Add(&lost.Sums)
			}
		}
		if err := b.Check(transform.Derived); err != nil {
			return sum, fmt.Errorf("%w: %s: %w", ErrBooks, t.input.Path, err)
		}
		sum.Add(b)
	}
	return sum, nil
}

// sourcesAfter are the sources that the ledger shall know something new of.
func (p *planned) sourcesAfter(s *settings, m *mapped) []ledger.Source {
	sources := make([]ledger.Source, 0, len(p.tasks))
	for i, t := range p.tasks {
		if src, changed := sourceAfter(s, p, t, &m.reads[i]); changed {
			src.Books = m.books[i]
			sources = append(sources, src)
		}
	}
	return sources
}

// sourceAfter is what the ledger shall know of a task's source from now on;
// false where that is nothing new.
func sourceAfter(s *settings, p *planned, t *task, res *readResult) (ledger.Source, bool) {
	if !t.read() || t.only != nil || t.apart || res.end.Offset == 0 || t.known != nil && res.end.Offset < t.known.Offset {
		return ledger.Source{}, false // nothing was read, or not even what is known
	}
	at := p.sources.At(t.source.Index)
	src := ledger.Source{ID: at.ID, File: at.File, FileTime: t.input.ModTime.UnixMicro()}
	if s.ids != nil {
		src.Path = s.ids.Path(t.name)
	}
	if t.known != nil {
		src.FileTime = t.known.FileTime
		src.Head, src.HeadLen = t.known.Head, t.known.HeadLen
	} else {
		src.HeadLen, src.Head = res.headLen, res.head
	}
	src.Offset, src.Line, src.Sum = res.end.Offset, res.end.Line, res.sum
	src.Pending, src.Said = res.pending, s.ids.Said(res.said)
	src.Damaged = errors.Is(res.err, ingest.ErrDamaged)
	src.Filtered = s.filters()
	if k := t.known; k != nil && k.Offset == src.Offset && k.Pending == src.Pending &&
		k.Damaged == src.Damaged && k.Filtered == src.Filtered {
		return src, false
	}
	return src, true
}

// seenFiles are the files that sources were found in, where that is news.
func (p *planned) seenFiles(s *settings, lake *ledger.Lake, m *mapped) []ledger.Seen {
	files := make([]ledger.Seen, 0, len(p.tasks))
	for i, t := range p.tasks {
		if f, changed := seenFile(lake, s.ids, p, t, &m.reads[i]); changed {
			files = append(files, f)
		}
	}
	return files
}

// seenFile is the file a task's source was found in; false where it was known
// or must be looked at again, as one of which only some records were read: it
// may have grown.
func seenFile(lake *ledger.Lake, ids *seal.Key, p *planned, t *task, res *readResult) (ledger.Seen, bool) {
	id, ok := t.id(p)
	if !ok || t.final || t.apart || t.only != nil || t.state == Known || t.err != nil && !errors.Is(t.err, ingest.ErrDamaged) {
		return ledger.Seen{}, false
	}
	if t.read() && res.end.Offset == 0 {
		return ledger.Seen{}, false
	}
	now := t.seen
	if now.Path == "" {
		now = seen(ids.Path(wholePath(t.input.Path)), t.input)
	}
	now.Source = id
	return now, lake.State.Seen[now.Path] != now
}

// outcome writes into the report what became of the inputs, and what a person
// should look at.
func (report *Report) outcome(s *settings, p *planned, m *mapped, r *reduced) {
	report.Problems = append(report.Problems, p.warn...)
	report.Inputs = slices.Grow(report.Inputs, len(p.tasks))
	for i, t := range p.tasks {
		in := InputReport{Path: t.input.Path, State: t.state, Books: m.books[i]}
		if t.final {
			in.Path = "-"
		}
		res := &m.reads[i]
		if id, ok := t.id(p); ok && (!t.read() || t.apart || res.end.Offset > 0) {
			in.Source = id
		}
		b := in.Books
		switch {
		case errors.Is(t.err, ingest.ErrDamaged):
			in.State = Damaged
		case t.err != nil:
			in.State = Failed
		case t.apart || t.only != nil:
			in.State = Replayed
		case t.read() && b.Records+b.Blank == 0 && t.known != nil:
			in.State = Known
		case t.read() && t.known == nil && b.Records == 0 && b.Pending > 0:
			if in.State = Pending; t.looks != "" {
				report.problem("%s: nothing in it could be read: %d bytes without a whole record; it looks like %s", in.Path, b.Pending, t.looks)
			}
		case t.read() && res.end.Offset == 0:
			in.State = Empty
		case t.read() && b.Records > 0 && b.Quarantined == b.Records:
			hint := ""
			if t.looks != "" {
				hint = "; it looks like " + t.looks
			}
			report.problem("%s: nothing in it could be read: all %d records are in the quarantine%s", in.Path, b.Records, hint)
		}
		if t.err != nil {
			in.Error = t.err.Error()
			report.problem("%s", in.whatIsWrong())
		}
		report.Inputs = append(report.Inputs, in)
	}
	for _, f := range r.files {
		report.Files = append(report.Files, FileReport{Path: f.Path, Rows: f.Rows, Bytes: f.Bytes, Sums: f.Sums})
		report.Bytes += f.Bytes
		if unit, err := schemas.ParseUnit(f.Path); err == nil && !slices.Contains(report.Partitions, unit.Dir()) {
			report.Partitions = append(report.Partitions, unit.Dir())
		}
	}
	report.Flags, report.Reasons = Counts{}, m.reasons
	for _, rows := range r.rows {
		for name, n := range rows.Flags {
			report.Flags[name] += n
		}
		for _, t := range rows.Removed {
			report.Displaced += t.Rows
		}
	}
	report.Unknown, report.Contradicts = m.drift.list(p.tasks), m.drift.contradicts
	report.Unpriced = m.unpriced.list(r.rows[schemas.Usage].Unpriced)
	if b := &report.Books; s.overLimit(b.Quarantined, b.Records) {
		report.problem("%d of %d records are in the quarantine: more than --max-quarantine allows", b.Quarantined, b.Records)
	}
}

// whatIsWrong is the error of an input, behind its path, which it may name.
func (in *InputReport) whatIsWrong() string {
	text := in.Error
	switch doing, why, ok := strings.Cut(text, " "+in.Path+": "); {
	case ok && (doing == "open" || doing == "stat"):
		text = why
	case ok:
		text = doing + ": " + why
	}
	text = in.Path + ": " + text
	if in.State == Damaged {
		text += "; what is before the damage is loaded, the rest is when the file has changed"
	}
	return text
}

// allFailed is the error of a run in which no input could be read at all.
func allFailed(p *planned, report *Report) error {
	failed := 0
	for _, in := range report.Inputs {
		if in.State == Failed {
			failed++
		}
	}
	if failed == 0 || failed < len(p.tasks) {
		return nil
	}
	return fmt.Errorf("none of %d inputs could be read; the first: %w", failed, p.tasks[0].err)
}

// stageQuarantine writes the file of the records that this change sets aside.
func stageQuarantine(lake *ledger.Lake, p *planned, m *mapped) (_ ledger.Move, _ *ledger.Quarantine, err error) {
	q := &ledger.Quarantine{Path: fmt.Sprintf("%09d.jsonl", lake.NextSeq())}
	for _, s := range m.quarantine {
		q.Records += int64(s.Len())
	}
	name := lake.Stage(q.Path)
	_, q.SHA256, err = lake.WriteStaged(name, 0o600, 0, func(w io.Writer) error {
		return sink.WriteQuarantine(w, m.quarantine, p.sources)
	})
	return ledger.Move{Staged: name, Target: ledger.QuarantinePath(q.Path), New: q.SHA256}, q, err
}
