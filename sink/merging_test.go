package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/schemas"
	"usagelake/sink/disk/faults"
)

// Chunks that are put together ahead of who writes them are those that are put
// together in turn. Whatever fails, at any of them, is told, nothing is emitted
// behind it, and no memory is kept.
func TestMergingAhead(t *testing.T) {
	errEmit, errScratch := errors.New("emit"), errors.New("scratch")
	const rows, chunk = 300, 20
	merge := func(t *testing.T, how string, at int) (lines []int64, err error) {
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		defer mem.AssertSize(t, 0)
		var fail error // of the scratch files
		scratch := &faults.FS{FS: faults.NewMem(), Fail: func(int, string) error { return fail }}
		if err := scratch.MkdirAll("scratch", 0o700); err != nil {
			t.Fatal(err)
		}
		var sources Sources
		src := sources.Intern(Source{"f", "id"})
		m := NewMerger(MergerOptions{
			Rule: testRules, Sources: &sources, Mem: mem, Scratch: Scratch{FS: scratch, Dir: "scratch"},
			Share: 10_000, Reading: 1 << 40, Buckets: 1, Empty: true,
		})
		defer func() {
			fail = nil
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}()
		in := m.Intake()
		for i := range rows {
			r := modelRow{
				source: Source{"f", "id"}, line: int64(i), time: worldDay.Start() + int64(i*7919%rows), from: schemas.FromBody,
				dialect: "a.plain", in: -1, out: 1, label: "u",
			}
			var row schemas.Row
			r.fill(&row, src)
			in.Row.Set(&row)
			if err := in.Add(); err != nil {
				t.Fatal(err)
			}
		}
		in.Close()
		if err := m.Decide(t.Context(), 1); err != nil {
			t.Fatal(err)
		}

		list := m.sectionsOf(schemas.Unit{Day: worldDay}, true)
		defer func() {
			for _, p := range list {
				p.release()
			}
		}()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		g := newMerging(ctx, m.order, NewOutcome(), list)
		defer g.close()
		n, failed := 0, false
		emit := func(c *portion) error {
			if failed {
				t.Errorf("%s: a chunk behind the error", how)
			}
			r := c.rows()
			for _, run := range r.Order {
				for row := run.Row; row < run.Row+run.N; row++ {
					lines = append(lines, r.Batches[run.Batch].Int(schemas.SourceLine, int(row)))
				}
			}
			if n++; n <= at {
				return nil
			}
			switch how {
			case "emit":
				failed = true
				return errEmit
			case "context":
				cancel()
			}
			return nil
		}
		if how == "scratch" {
			begin := scratch.Count()
			fail = errScratch
			scratch.Fail = func(i int, _ string) error {
				if i-begin >= at {
					return fail
				}
				return nil
			}
		}
		if how == "in turn" {
			return lines, g.run(chunk, false, func(c *portion) error {
				defer c.release()
				return emit(c)
			})
		}
		return lines, g.ahead(chunk, emit)
	}

	want, err := merge(t, "in turn", rows)
	if err != nil || len(want) != rows {
		t.Fatal(len(want), err)
	}
	for how, reason := range map[string]error{"nothing": nil, "emit": errEmit, "context": context.Canceled, "scratch": errScratch} {
		times := 0
		for at := range rows/chunk + 4 {
			name := fmt.Sprintf("%s fails at %d", how, at)
			got, err := merge(t, how, at)
			if err == nil {
				if !slices.Equal(got, want) {
					t.Errorf("%s: other rows", name)
				}
				continue
			}
			times++
			if !errors.Is(err, reason) {
				t.Errorf("%s: %v", name, err)
			}
			if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
				t.Errorf("%s: other rows", name)
			}
		}
		if (times > 0) != (reason != nil) {
			t.Errorf("%s: %d errors", how, times)
		}
	}
}
