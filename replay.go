package usagelake

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"usagelake/ingest"
	"usagelake/sink"
	"usagelake/sink/ledger"
)

// Replay reads the quarantined records of a lake again, with the flags of cfg,
// which names no inputs. What can be read now comes into the table, what still
// fails stays. A record whose text was shortened is read from its source's
// file; if that is gone the record stays.
func Replay(ctx context.Context, cfg Config) (*Report, error) {
	return change(ctx, cfg, false, ledger.Options{MustExist: true}, func(_ context.Context, s *settings) (planner, error) {
		return func(ctx context.Context, lake *ledger.Lake) (*planned, error) {
			if err := s.keyed(lake); err != nil {
				return nil, err
			}
			return planReplay(ctx, s, lake)
		}, nil
	})
}

// replay is the quarantine as it is read again.
type replay struct {
	lake  *ledger.Lake
	tasks map[string]int // by source id: whose records are read
}

// sendBytes is how many bytes of records are handed to a worker at a time.
const sendBytes = 1 << 20

func planReplay(ctx context.Context, s *settings, lake *ledger.Lake) (*planned, error) {
	p := newPlanned(ledger.KindReplay)
	p.replay = &replay{lake, map[string]int{}}
	cut := map[string]map[int64]bool{} // offsets of records whose text was shortened, by source
	err := eachQuarantined(ctx, lake, func(_ string, q *sink.Quarantined) error {
		known := lake.State.Sources[q.ID]
		if known == nil {
			return fmt.Errorf("source %s is not in the ledger", q.ID)
		}
		if _, ok := p.replay.tasks[q.ID]; !ok {
			t := &task{input: ingest.Input{Path: q.File, File: q.File}, known: known, state: Continued, apart: true}
			p.replay.tasks[q.ID] = len(p.tasks)
			p.tasks = append(p.tasks, t)
			cut[q.ID] = map[int64]bool{}
		}
		if !q.Whole {
			cut[q.ID][q.Offset] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for id, i := range p.replay.tasks {
		t := p.tasks[i]
		t.only = &offsets{want: cut[id], taken: map[int64]bool{}}
		if len(cut[id]) > 0 {
			in, err := s.find(ctx, lake, t.known)
			if err != nil {
				p.warn = append(p.warn, fmt.Sprintf("%s: %d records that are kept shortened stay in the quarantine: %v", t.known.File, len(cut[id]), err))
			} else {
				t.input, t.apart = in, false
			}
		}
		p.prepare(s, t)
	}
	return p, nil
}

// send hands the records that are kept whole to the workers.
func (r *replay) send(ctx context.Context, to chan<- work) error {
	docs := map[int][]ingest.Doc{}
	held := 0
	flush := func() error {
		for task, list := range docs {
			select {
			case to <- work{task: task, docs: list}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		clear(docs)
		held = 0
		return nil
	}
	err := eachQuarantined(ctx, r.lake, func(_ string, q *sink.Quarantined) error {
		if !q.Whole {
			return nil
		}
		task := r.tasks[q.ID]
		docs[task] = append(docs[task], ingest.MakeDoc(q.Text(), q.Offset, q.Line, q.Ord))
		if held += int(q.Length); held < sendBytes {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// offsets are the records of a source that are wanted. It is safe for
// concurrent use.
type offsets struct {
	mu    sync.Mutex
	want  map[int64]bool
	taken map[int64]bool
}

// take reports whether the record is wanted, and notes that it was found.
func (o *offsets) take(offset int64) bool {
	if !o.want[offset] {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.taken[offset] = true
	return true
}

// eachQuarantined hands out all records of the quarantine, with the file they
// stand in, in order.
func eachQuarantined(ctx context.Context, lake *ledger.Lake, each func(path string, q *sink.Quarantined) error) error {
	for _, name := range slices.Sorted(maps.Keys(lake.State.Quarantine)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		path := filepath.Join(lake.Quarantine(), name)
		sum, err := lake.FileSum(path)
		if err != nil {
			return err
		}
		if sum != lake.State.Quarantine[name].SHA256 {
			return fmt.Errorf("%s is not the file that usagelake wrote: restore it first", path)
		}
		f, err := lake.FS().Open(path)
		if err != nil {
			return err
		}
		err = sink.ReadQuarantine(f, func(q *sink.Quarantined) error { return each(name, q) })
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// setAside notes which records of sources that are read again are in the
// quarantine already.
func (p *planned) setAside(ctx context.Context, lake *ledger.Lake) error {
	if len(p.again) == 0 {
		return nil
	}
	tasks := map[string]*task{}
	for _, t := range p.tasks {
		if t.read() && p.again[t.source.Index] {
			tasks[t.known.ID] = t
			t.aside = map[int64]bool{}
		}
	}
	return eachQuarantined(ctx, lake, func(_ string, q *sink.Quarantined) error {
		if t := tasks[q.ID]; t != nil {
			t.aside[q.Offset] = true
		}
		return nil
	})
}

// carry brings the quarantine into the change: files that lose records go, and
// what stays of them moves into the file of this change.
func (p *planned) carry(ctx context.Context, lake *ledger.Lake, scratch sink.Scratch, m *mapped, record *ledger.Record, moves *[]ledger.Move) (err error) {
	var leaves func(q *sink.Quarantined) bool
	switch {
	case p.replay != nil:
		if b := record.Books; b.Records == b.Quarantined { // nothing was gained
			m.quarantine = nil
			return nil
		}
		leaves = func(q *sink.Quarantined) bool { return q.Whole || p.tasks[p.replay.tasks[q.ID]].only.taken[q.Offset] }
	case len(p.forget) > 0:
		leaves = func(q *sink.Quarantined) bool { return slices.Contains(record.Forgotten, q.ID) }
	default:
		return nil
	}
	touched := map[string]bool{}
	err = eachQuarantined(ctx, lake, func(name string, q *sink.Quarantined) error {
		touched[name] = touched[name] || leaves(q)
		return nil
	})
	if err != nil {
		return err
	}
	spool, err := sink.NewSpool(scratch, "quarantine-carried")
	if err != nil {
		return err
	}
	err = eachQuarantined(ctx, lake, func(name string, q *sink.Quarantined) error {
		if !touched[name] || leaves(q) {
			return nil
		}
		return spool.Add(p.sources.Intern(sink.Source{File: q.File, ID: q.ID}), q)
	})
	if e := spool.Close(); err == nil {
		err = e
	}
	m.quarantine = append(m.quarantine, spool)
	for _, name := range slices.Sorted(maps.Keys(touched)) {
		if touched[name] {
			record.QuarantineGone = append(record.QuarantineGone, name)
			*moves = append(*moves, ledger.Move{Target: ledger.QuarantinePath(name), Old: lake.State.Quarantine[name].SHA256})
		}
	}
	return err
}
