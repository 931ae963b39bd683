package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"usagelake/sink/disk"
)

// recover rolls an interrupted publication forward, or one that another run is
// at, and sweeps what cannot be published any more.
func (l *Lake) recover() error {
	for {
		seq := l.NextSeq()
		data, err := disk.ReadFile(l.fs, l.intent(seq))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		// An intent counts as long as there is no record: one whose record was
		// there before it came too late.
		done, err := l.doneByOthers(seq)
		switch {
		case err != nil:
			return err
		case done:
		case l.opt.ReadOnly && l.shared != nil:
			return fmt.Errorf("lake %s: another run is publishing (%w), or was interrupted (%w): try again; `usagelake status --lake %s` finishes it",
				l.dir, disk.ErrLocked, ErrInterrupted, l.dir)
		case l.opt.ReadOnly:
			return fmt.Errorf("lake %s: %w: `usagelake status --lake %s` does it", l.dir, ErrInterrupted, l.dir)
		default:
			if err := l.resume(data, seq); err != nil {
				if done, e := l.doneByOthers(seq); e != nil || !done {
					return err
				}
			}
		}
		if err := l.fold(); err != nil {
			return err
		}
		if l.State.Seq < seq {
			return fmt.Errorf("ledger %s: %w: it was there and is gone", l.record(seq), ErrBroken)
		}
	}
	if l.opt.ReadOnly {
		return nil
	}
	return l.sweep()
}

// doneByOthers reports whether there is a record by now.
func (l *Lake) doneByOthers(seq int64) (bool, error) {
	if l.shared == nil {
		return false, nil
	}
	return l.exists(l.record(seq))
}

// resume carries out an intent that another run wrote.
func (l *Lake) resume(data []byte, seq int64) error {
	path := l.intent(seq)
	var in intent
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if in.Format != Format {
		return fmt.Errorf("%s has format %d, this program knows %d", path, in.Format, Format)
	}
	if in.Last == nil && l.shared == nil { // by a version that had the record in the intent
		encode := func(w io.Writer) error { _, err := w.Write(in.Record); return err }
		if err := l.stageRecord(seq, &in, encode); err != nil {
			return err
		}
	}
	moves := in.Moves
	if in.Last != nil {
		moves = append(slices.Clip(moves), *in.Last)
	}
	var g errgroup.Group
	g.SetLimit(1)
	if l.shared != nil {
		g.SetLimit(movesAtOnce)
	}
	for _, m := range moves {
		g.Go(func() error { return l.resumable(m) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	record := []byte(in.Record)
	if in.Last != nil {
		var err error
		if record, err = disk.ReadFile(l.fs, l.StagedPath(in.Last.Staged)); err != nil {
			return err
		}
	}
	var r Record
	if err := json.Unmarshal(record, &r); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if r.Seq != seq || r.Prev != l.State.Sum {
		return fmt.Errorf("%s: %w: it does not follow record %d", path, ErrBroken, l.State.Seq)
	}
	return l.finish(seq, &in)
}

// resumable checks that a move was done or can be: anything else means that
// someone else changed the lake, and nothing more is touched. The staged file is
// looked at first, since another run may be moving it.
func (l *Lake) resumable(m Move) error {
	staged := ""
	if m.New != "" {
		var err error
		if staged, err = l.FileSum(l.StagedPath(m.Staged)); err != nil {
			return err
		}
	}
	now, err := l.FileSum(l.Path(m.Target))
	if err != nil {
		return err
	}
	if now == m.New || now == m.Old && staged == m.New {
		return nil
	}
	return fmt.Errorf("%s was changed by someone else while a publication was interrupted; restore it, then run again", m.Target)
}

// sweep removes what runs left that were interrupted or failed: files that were
// staged, by this Lake or for a record that there is by now, intents that came
// too late, and small files half written; of records none is left, since they are
// written again. It removes all it can and returns the first error.
func (l *Lake) sweep() (err error) {
	note := func(e error) {
		if err == nil {
			err = e
		}
	}
	entries, err := l.fs.ReadDir(l.state())
	var old []string
	for _, f := range entries {
		var seq int64
		name := f.Name()
		switch n, e := fmt.Sscanf(name, "intent-%d.json", &seq); {
		case l.shared == nil && strings.HasSuffix(name, ".tmp"):
			note(l.fs.Remove(l.Path("state/" + name)))
		case name == "intent.json":
			return fmt.Errorf("lake %s: an older version of the program was interrupted: run `usagelake status` of that version first", l.dir)
		case n != 1 || e != nil || name != intentName(seq):
		case seq <= l.State.Seq:
			old = append(old, l.Path("state/"+name))
		case l.shared == nil:
			return fmt.Errorf("lake %s: %w: state/%s does not follow record %d", l.dir, ErrBroken, name, l.State.Seq)
		}
	}
	if len(old) > 0 {
		// until its record is durable an intent is all there is
		if e := l.fs.SyncDir(l.records()); e != nil {
			return e
		}
	}
	for _, path := range old {
		note(l.fs.Remove(path))
	}
	entries, e := l.fs.ReadDir(l.staging())
	note(e)
	for _, f := range entries {
		seq, ok := runOf(f.Name())
		switch path := l.StagedPath(f.Name()); {
		case ok && f.IsDir():
			if seq <= l.State.Seq || f.Name() == runName(seq, l.id) {
				note(l.removeAll(path))
			}
		case l.shared == nil:
			note(l.fs.Remove(path))
		}
	}
	return err
}

// removeAll removes a directory and all below it.
func (l *Lake) removeAll(dir string) (err error) {
	entries, err := l.fs.ReadDir(dir)
	for _, f := range entries {
		path, e := filepath.Join(dir, f.Name()), error(nil)
		if f.IsDir() {
			e = l.removeAll(path)
		} else {
			e = l.fs.Remove(path)
		}
		if err == nil {
			err = e
		}
	}
	if err == nil && l.shared == nil {
		err = l.fs.Remove(dir)
	}
	return err
}
