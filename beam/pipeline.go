package main

import (
	"context"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func init() {
	register.DoFn3x1[context.Context, int, func(int, int), error](&mapItem{})
	register.DoFn4x1[context.Context, int, func(*int) bool, func(int, string), error](&listUnits{})
	register.DoFn4x1[context.Context, int, func(*string) bool, func(int, int), error](&reduceUnits{})
	register.DoFn3x1[context.Context, int, func(*int) bool, error](&commitRun{})
	register.Emitter2[int, int]()
	register.Emitter2[int, string]()
	register.Iter1[int]()
	register.Iter1[string]()
}

// nothing is an item, and a piece of the units, that stands for no work. It goes all
// the way, so that a run without items, or without units, is committed too.
const nothing = -1

// problems counts what a person should look at although the run was published.
const problems = "problems"

// pipeline is a run as Beam sees it. Ids alone go through the runner; records stay
// in the files of the lake. It keeps to what every runner can do: no side inputs,
// no state, no timers.
func pipeline(job Job, items int) *beam.Pipeline {
	p, s := beam.NewPipelineWithRoot()
	list := []int{nothing}
	for i := range items {
		list = append(list, i)
	}
	in := beam.Reshuffle(s, beam.CreateList(s, list)) // or one worker would do them all
	mapped := beam.ParDo(s.Scope("map"), &mapItem{Job: job}, in)
	units := beam.ParDo(s.Scope("units"), &listUnits{Job: job}, beam.GroupByKey(s, mapped))
	reduced := beam.ParDo(s.Scope("reduce"), &reduceUnits{Job: job}, beam.GroupByKey(s, units))
	beam.ParDo0(s.Scope("commit"), &commitRun{Job: job}, beam.GroupByKey(s, reduced))
	return p
}

// part is what the functions of a run have in common.
type part struct {
	run *shared
}

func (p *part) open(ctx context.Context, job Job) (err error) {
	p.run, err = share(ctx, job)
	return err
}

// Teardown is called by Beam when it needs the function no more.
func (p *part) Teardown() error { return p.run.close() }

// mapItem does an item of the map step.
type mapItem struct {
	Job Job
	part
}

// Setup is called by Beam before anything else; so are those of the others.
func (f *mapItem) Setup(ctx context.Context) error { return f.open(ctx, f.Job) }

// ProcessElement hands the item on to the only key there is.
func (f *mapItem) ProcessElement(ctx context.Context, item int, emit func(int, int)) error {
	emit(0, item)
	if item == nothing {
		return nil
	}
	return f.run.do(ctx, func(r run) error {
		if _, err := r.Map(ctx, item); err != nil {
			return fmt.Errorf("run %s: map: %w", f.Job.ID, err)
		}
		return nil
	})
}

// listUnits divides the units to be reduced, once all items are mapped.
type listUnits struct {
	Job Job
	part
}

func (f *listUnits) Setup(ctx context.Context) error { return f.open(ctx, f.Job) }

// ProcessElement emits units with the number of their piece. A piece has units that
// follow each other: they have calls in common, which are then read once.
func (f *listUnits) ProcessElement(ctx context.Context, _ int, _ func(*int) bool, emit func(int, string)) error {
	emit(nothing, "")
	return f.run.do(ctx, func(r run) error {
		units, err := r.Units(ctx)
		if err != nil {
			return fmt.Errorf("run %s: units: %w", f.Job.ID, err)
		}
		for i, u := range units {
			emit(i*min(f.Job.Pieces, len(units))/len(units), u)
		}
		return nil
	})
}

// reduceUnits does a piece of the reduce step.
type reduceUnits struct {
	Job Job
	part
}

func (f *reduceUnits) Setup(ctx context.Context) error { return f.open(ctx, f.Job) }

// ProcessElement hands the piece on to the only key there is.
func (f *reduceUnits) ProcessElement(ctx context.Context, piece int, next func(*string) bool, emit func(int, int)) error {
	emit(0, piece)
	if piece == nothing {
		return nil
	}
	var units []string
	for u := ""; next(&u); {
		units = append(units, u)
	}
	return f.run.do(ctx, func(r run) error {
		if err := r.Reduce(ctx, units...); err != nil {
			return fmt.Errorf("run %s: reduce piece %d of %d: %w", f.Job.ID, piece, f.Job.Pieces, err)
		}
		return nil
	})
}

// commitRun publishes, once all units are reduced.
type commitRun struct {
	Job Job
	part
}

func (f *commitRun) Setup(ctx context.Context) error { return f.open(ctx, f.Job) }

// ProcessElement is called once: there is one key.
func (f *commitRun) ProcessElement(ctx context.Context, _ int, _ func(*int) bool) error {
	return f.run.do(ctx, func(r run) error {
		report, err := r.Commit(ctx)
		if err != nil {
			return fmt.Errorf("run %s: commit: %w", f.Job.ID, err)
		}
		for _, p := range report.Problems {
			log.Warn(ctx, p)
		}
		beam.NewCounter("usagelake", problems).Inc(ctx, int64(len(report.Problems)))
		return nil
	})
}
