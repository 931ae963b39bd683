package usagelake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/sink/disk"
	"usagelake/sink/ledger"
)

// lookAt opens a lake to read it, which may be one that cannot be written. A
// publication that was interrupted is brought to its end.
func lookAt(dir string, fsys disk.FS) (*ledger.Lake, error) {
	if dir == "" {
		return nil, fmt.Errorf("%w: --lake DIR is missing", ErrUsage)
	}
	fsys, err := lakeFS(dir, fsys)
	if err != nil {
		return nil, err
	}
	lake, err := ledger.Open(fsys, dir, ledger.Options{MustExist: true, ReadOnly: true})
	if errors.Is(err, ledger.ErrInterrupted) {
		return ledger.Open(fsys, dir, ledger.Options{MustExist: true})
	}
	return lake, err
}

// readUsage lets read have the table of calls and the list of its files. Nothing is
// changed.
func readUsage(ctx context.Context, cfg Config, read func(*settings, *table, []schemas.Unit) error) (err error) {
	s, err := cfg.check()
	if err != nil {
		return err
	}
	if err := s.spanned(); err != nil {
		return err
	}
	lake, err := openLake(ctx, s, ledger.Options{MustExist: true, ReadOnly: true})
	if err != nil {
		return err
	}
	defer closing(&err, lake.Close)
	t := tableOf(ctx, lake)
	units, err := t.units(schemas.Usage)
	if err != nil {
		return err
	}
	if err = read(s, t, units); err == nil {
		err = lake.Overtaken() // it may be some of the old and some of the new
	}
	return meanwhile(ctx, lake, err)
}

// tableOf reads the tables of a lake that is not to be loaded into.
func tableOf(ctx context.Context, lake *ledger.Lake) *table {
	return &table{ctx: ctx, lake: lake, sources: &sink.Sources{}, mem: memory.DefaultAllocator}
}

// spanned fails if days are asked for that no event can be of: every day that is
// asked for is judged.
func (s *settings) spanned() error {
	first, end := schemas.DayOf(schemas.MinTime), schemas.DayOf(schemas.MaxTime)
	for _, asked := range []struct {
		flag, text string
		day        schemas.Day
	}{{"--from", s.From, s.from}, {"--to", s.To, s.to}} {
		if asked.text != "" && (asked.day < first || asked.day > end) {
			return fmt.Errorf("%w: %s %s: event dates are from %s up to, not including, %s", ErrUsage, asked.flag, asked.text, first, end)
		}
	}
	return nil
}

// units lists the files of a table, by day.
func (t *table) units(of schemas.Table) ([]schemas.Unit, error) {
	var units []schemas.Unit
	for path := range t.lake.State.Files {
		unit, err := schemas.ParseUnit(path)
		if err != nil {
			return nil, err
		}
		if unit.Table == of {
			units = append(units, unit)
		}
	}
	slices.SortFunc(units, schemas.Unit.Compare)
	return units, nil
}

// wanted are those of the units whose days are asked for.
func (s *settings) wanted(units []schemas.Unit) (list []schemas.Unit) {
	for _, u := range units {
		if u.Day >= s.from && u.Day < s.to {
			list = append(list, u)
		}
	}
	return list
}

// inOrder works on units several at a time, and takes what comes of them in
// their order.
func inOrder[T any](ctx context.Context, jobs int, units []schemas.Unit, work func(context.Context, schemas.Unit) (T, error), take func(schemas.Unit, T) error) error {
	type result struct {
		value T
		err   error
	}
	ctx, stop := context.WithCancel(ctx)
	queue := make(chan chan result, max(jobs-1, 0)) // with the one that is waited for, jobs are at work
	go func() {
		defer close(queue)
		for _, u := range units {
			done := make(chan result, 1)
			select {
			case queue <- done:
			case <-ctx.Done():
				return
			}
			go func() {
				v, err := work(ctx, u)
				done <- result{v, err}
			}()
		}
	}()
	var err error
	n := 0
	for done := range queue {
		r := <-done
		if err == nil {
			if err = r.err; err == nil {
				err = take(units[n], r.value)
			}
			if err != nil {
				err = fmt.Errorf("partition %s: %w", units[n].Dir(), err)
				stop()
			}
		}
		n++
	}
	stop()
	if err == nil && n < len(units) {
		err = context.Cause(ctx)
	}
	return err
}

// each hands out the rows of a unit's file, or none where it cannot hold the
// request id.
func (t *table) each(unit schemas.Unit, requestID string, do func(*schemas.Row)) error {
	f, size, err := t.open(unit)
	if err != nil {
		return err
	}
	defer f.Close()
	if requestID != "" {
		if may, err := sink.MayHold(f, size, unit.Table, []string{requestID}); err != nil || !may {
			return err
		}
	}
	rows, err := sink.OpenRows(f, size, unit.Table, t.mem, t.sources)
	if err == nil {
		var r schemas.Row
		err = batches(t.ctx, rows, func(b *schemas.Batch) {
			for i := range b.Len() {
				b.Row(i, &r)
				do(&r)
			}
		})
	}
	if err != nil {
		return t.because(unit, err)
	}
	return nil
}

// batches hands out all rows, until ctx ends, and closes them. do keeps no batch.
func batches(ctx context.Context, rows sink.Batches, do func(*schemas.Batch)) error {
	for {
		b, err := rows.Next()
		if err == nil {
			do(b)
			b.Release()
			err = ctx.Err()
		}
		if err == io.EOF {
			return rows.Close()
		}
		if err != nil {
			_ = rows.Close()
			return err
		}
	}
}
