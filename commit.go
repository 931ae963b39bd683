package usagelake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"usagelake/ingest"
	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/sink/ledger"
	"usagelake/transform"
)

// commit closes the books of every source, and publishes if they balance.
func commit(ctx context.Context, s *settings, lake *ledger.Lake, p *planned, m *mapped, r *reduced, report *Report) error {
	s.Progress(Progress{Step: "commit"})
	if err := closeBooks(p, m, r, report); err != nil {
		return err
	}
	report.outcome(s, p, m, r)

	record := ledger.Record{
		Kind: ledger.KindLoad, Time: s.Now().UTC(), Tool: "usagelake " + Version,
		Files: r.files, Beaten: r.beaten, Removed: r.removed, Books: &report.Books,
	}
	for i, t := range p.tasks {
		if src, changed := sourceAfter(s, p, t, &m.reads[i]); changed {
			src.Books = m.books[i]
			record.Sources = append(record.Sources, src)
		}
	}
	for i, t := range p.tasks {
		if f, changed := seenFile(lake, p, t, &m.reads[i]); changed {
			record.Seen = append(record.Seen, f)
		}
	}
	if len(record.Sources) == 0 && len(record.Seen) == 0 && len(r.files) == 0 {
		return allFailed(p, report)
	}
	moves := r.moves
	if report.Books.Quarantined > 0 {
		move, q, err := stageQuarantine(lake, p, m)
		if err != nil {
			return err
		}
		moves = append(moves, move)
		record.Quarantine = q
		report.Quarantine = filepath.Join(lake.Quarantine(), q.Path)
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

// closeBooks brings what became of the rows into the books of their sources,
// and checks them.
func closeBooks(p *planned, m *mapped, r *reduced, report *Report) error {
	for i, t := range p.tasks {
		if !t.read() {
			continue
		}
		b := m.books[i]
		if rows := r.rows[t.source.Index]; rows != nil {
			b.Rows, b.RowSums.Sums = rows.rows, rows.sums
		}
		if lost := r.lost[t.source.Index]; lost != nil {
			b.Duplicates, b.DuplicateSums.Sums = lost.rows, lost.sums
		}
		if err := b.Check(transform.Derived); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrBooks, t.input.Path, err)
		}
		report.Books.Add(b)
	}
	if err := report.Books.Check(transform.Derived); err != nil {
		return fmt.Errorf("%w: %w", ErrBooks, err)
	}
	return nil
}

// sourceAfter is what the ledger shall know of a task's source from now on;
// false where that is nothing new.
func sourceAfter(s *settings, p *planned, t *task, res *readResult) (ledger.Source, bool) {
	if !t.read() || res.end.Offset == 0 || res.end.Offset < t.start.Offset {
		return ledger.Source{}, false // nothing was read, or not even what is known
	}
	at := p.sources.At(t.source.Index)
	src := ledger.Source{ID: at.ID, File: at.File, FileTime: t.input.ModTime.UnixMicro()}
	if t.known != nil {
		src.FileTime = t.known.FileTime
		src.Head, src.HeadLen = t.known.Head, t.known.HeadLen
	} else {
		src.HeadLen = min(int64(len(t.head)), res.end.Offset)
		src.Head = hexSum(t.head[:src.HeadLen])
	}
	src.Offset, src.Line, src.Sum = res.end.Offset, res.end.Line, hexID(res.sum)
	src.Pending = res.pending
	src.Damaged = errors.Is(res.err, ingest.ErrDamaged)
	src.Filtered = s.filters()
	if k := t.known; k != nil && k.Offset == src.Offset && k.Pending == src.Pending &&
		k.Damaged == src.Damaged && k.Filtered == src.Filtered {
		return src, false
	}
	return src, true
}

// seenFile is the file a task's source was found in; false where it was known
// or must be looked at again.
func seenFile(lake *ledger.Lake, p *planned, t *task, res *readResult) (ledger.Seen, bool) {
	id, ok := t.id(p)
	if !ok || t.final || t.state == Known || t.err != nil && !errors.Is(t.err, ingest.ErrDamaged) {
		return ledger.Seen{}, false
	}
	if t.read() && res.end.Offset == 0 {
		return ledger.Seen{}, false
	}
	now := seen(t.input)
	now.Source = id
	return now, lake.State.Seen[now.Path] != now
}

// outcome writes into the report what became of the inputs, and what a person
// should look at.
func (report *Report) outcome(s *settings, p *planned, m *mapped, r *reduced) {
	report.Problems = append(report.Problems, p.warn...)
	for i, t := range p.tasks {
		in := InputReport{Path: t.input.Path, State: t.state, Books: m.books[i]}
		if t.final {
			in.Path = "-"
		}
		res := &m.reads[i]
		if t.err == nil && t.read() {
			t.err = res.err
		}
		if id, ok := t.id(p); ok && (!t.read() || res.end.Offset > 0) {
			in.Source = id
		}
		b := in.Books
		switch {
		case errors.Is(t.err, ingest.ErrDamaged):
			in.State = Damaged
		case t.err != nil:
			in.State = Failed
		case t.read() && b.Records+b.Blank == 0 && t.known != nil:
			in.State = Known
		case t.read() && res.end.Offset == 0:
			in.State = Empty
		case t.read() && b.Records > 0 && b.Quarantined == b.Records:
			report.problem("%s: nothing in it could be read: all %d records are in the quarantine", in.Path, b.Records)
		}
		if t.err != nil {
			in.Error = t.err.Error()
			report.problem("%s: %s", in.Path, in.Error)
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
	report.Flags, report.Reasons, report.Displaced = r.flags, m.reasons, r.displaced
	if b := &report.Books; s.overLimit(b.Quarantined, b.Records) {
		report.problem("%d of %d records are in the quarantine: more than --max-quarantine allows", b.Quarantined, b.Records)
	}
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
	return fmt.Errorf("none of %d inputs could be read; the first: %s", failed, report.Inputs[0].Error)
}

func stageQuarantine(lake *ledger.Lake, p *planned, m *mapped) (_ ledger.Move, _ *ledger.Quarantine, err error) {
	files := make([]io.ReaderAt, len(m.quarantine))
	q := &ledger.Quarantine{Path: fmt.Sprintf("%09d.jsonl", lake.NextSeq())}
	for i, s := range m.quarantine {
		f, err := lake.FS().Open(lake.StagedPath(spoolName(i)))
		if err != nil {
			return ledger.Move{}, nil, err
		}
		defer f.Close()
		files[i] = f
		q.Records += int64(s.Len())
	}
	_, q.SHA256, err = stageFile(lake, q.Path, 0o600, func(w io.Writer) error {
		return sink.WriteQuarantine(w, m.quarantine, files, p.sources)
	})
	return ledger.Move{Staged: q.Path, Target: ledger.QuarantinePath(q.Path), New: q.SHA256}, q, err
}
