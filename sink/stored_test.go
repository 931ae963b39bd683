package sink

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/schemas"
	"usagelake/sink/disk/faults"
)

// A disk that is full at any moment fails the step that stores rows, and no more.
func TestStoreOnAFullDisk(t *testing.T) {
	store := func(fail func(i int, op string) error) (n int, err error) {
		mem := faults.NewMem()
		if err := mem.MkdirAll("run", 0o700); err != nil {
			t.Fatal(err)
		}
		fsys := &faults.FS{FS: mem, Fail: func(i int, op string) error {
			n = i
			return fail(i, op)
		}}
		sources := new(Sources)
		source := sources.Intern(Source{File: "f", ID: "s"})
		m := NewMerger(MergerOptions{
			Rule: testRules, Sources: sources, Mem: memory.DefaultAllocator, Scratch: Scratch{FS: fsys, Dir: "run"},
			Share: 1 << 30, Reading: 1 << 30, Buckets: 1, Empty: true,
		})
		defer m.Close()
		in := m.Intake()
		var row schemas.Row
		for i := range 20_000 {
			day := testUnit.Day + schemas.Day(i/10_000)
			r := modelRow{id: fmt.Sprint("id", i), time: day.Start() + int64(i), from: schemas.FromEnvelope, line: int64(i + 1)}
			r.fill(&row, source)
			in.Row.Set(&row)
			if err := in.Add(); err != nil {
				t.Fatal(err)
			}
		}
		in.Close()
		_, err = m.Store(context.Background(), Scratch{FS: fsys, Dir: "run"}, "rows")
		return n, err
	}
	all, err := store(func(int, string) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	for at := range all + 1 {
		_, err := store(func(i int, _ string) error {
			if i >= at {
				return syscall.ENOSPC
			}
			return nil
		})
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("from operation %d of %d on: %v", at, all, err)
		}
	}
}
