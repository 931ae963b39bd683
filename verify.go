package usagelake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"runtime"
	"slices"

	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/sink/disk"
	"usagelake/sink/ledger"
	"usagelake/transform"
)

// Verification is what Verify found.
type Verification struct {
	Lake    string           `json:"lake"`
	Records int64            `json:"records"` // of the ledger
	Files   int              `json:"files"`   // of both tables
	Rows    int64            `json:"rows"`    // of the usage table
	Sums    schemas.SumsJSON `json:"sums"`
	// Reports is what the reports table holds.
	Reports Held `json:"reports"`
	// Now is how large the lake is by its ledger.
	Now *Extent `json:"now,omitempty"`
	// Problems are all deviations from what the ledger says; none if all is
	// well.
	Problems []string `json:"problems"`
}

// Verify re-reads a lake whole: the chain of the ledger, every file's hash,
// footer, order and values, every column's sum against the books, calls that are
// there twice, be it in the sums of their session, and files that do not belong. It
// changes nothing, except that a publication that was interrupted is brought to its
// end.
func Verify(ctx context.Context, dir string, fsys disk.FS) (*Verification, error) {
	v := &verification{Verification: Verification{Lake: dir, Problems: []string{}}}
	lake, err := lookAt(dir, fsys)
	if errors.Is(err, ledger.ErrBroken) {
		v.problem("%v; restore the directory state", err)
		return &v.Verification, nil
	}
	if err != nil {
		return &v.Verification, err
	}
	defer lake.Close()
	v.lake = lake
	v.Records, v.Now = lake.State.Seq, extent(&lake.State)
	v.table = tableOf(ctx, lake)
	if err := v.rows(ctx); err != nil {
		return &v.Verification, meanwhile(ctx, lake, err)
	}
	v.Rows, v.Sums, v.Reports = v.held[schemas.Usage].Rows, v.held[schemas.Usage].Sums, v.held[schemas.Reports]
	v.books()
	if err := v.sessions(ctx); err != nil {
		return &v.Verification, meanwhile(ctx, lake, err)
	}
	v.Problems = append(v.Problems, lake.Audit()...)
	for t := range schemas.NumTables {
		v.foreign(t)
	}
	v.quarantine()
	if len(v.Problems) > 0 { // what another run does meanwhile is none
		return &v.Verification, lake.Overtaken()
	}
	return &v.Verification, nil
}

type verification struct {
	Verification
	lake  *ledger.Lake
	table *table
	held  [schemas.NumTables]Held
	// readable are the files of the usage table whose rows can be read.
	readable []schemas.Unit
}

// rows checks every file, and that no call is there twice.
func (v *verification) rows(ctx context.Context) (err error) {
	scratch, remove, err := temporary("verify")
	if err != nil {
		return err
	}
	defer closing(&err, remove)
	m := sink.NewMerger(sink.MergerOptions{
		Rule: transform.KeyRule, Sources: v.table.sources, Mem: v.table.mem, Scratch: scratch,
		Share: DefaultMemory / 2, Buckets: v.lake.State.Settings.Buckets,
	})
	defer closing(&err, m.Close)
	m.All()
	for _, name := range slices.Sorted(maps.Keys(v.lake.State.Files)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		f := v.lake.State.Files[name]
		unit, err := schemas.ParseUnit(name)
		if err != nil {
			v.problem("%v", err)
			continue
		}
		if !v.file(unit, f) {
			continue
		}
		if unit.Table == schemas.Usage {
			v.readable = append(v.readable, unit)
		}
		if err := m.Old(v.table.file(unit, f.Rows)); err != nil {
			v.problem("%s: %v", name, err)
		}
	}
	if err := m.Decide(ctx, runtime.GOMAXPROCS(0)); err != nil {
		return err
	}
	for _, u := range m.Units() {
		v.problem("%s: %d rows are copies of others", u.Unit.Path(), u.Gone)
	}
	return nil
}

func (v *verification) problem(format string, args ...any) {
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

// file checks one file of the table against its record. It reports whether the
// file's rows can be read.
func (v *verification) file(unit schemas.Unit, want ledger.File) bool {
	sum, err := v.lake.FileSum(v.table.path(unit))
	switch {
	case err != nil:
		v.problem("%s: %v", want.Path, err)
		return false
	case sum == "":
		v.problem("%s: is missing", want.Path)
		return false
	case sum != want.SHA256:
		v.problem("%s: is not the file that usagelake wrote (SHA-256 %s, the ledger has %s)", want.Path, sum, want.SHA256)
	}
	f, size, err := v.table.open(unit)
	if err != nil {
		v.problem("%s: %v", want.Path, err)
		return false
	}
	defer f.Close()
	facts, err := sink.Verify(f, size, unit, 1)
	if err != nil {
		v.problem("%v", err)
		return false
	}
	v.Files++
	held := &v.held[unit.Table]
	held.Rows += facts.Rows
	held.Sums.Add(&facts.Sums)
	if facts.Rows != want.Rows {
		v.problem("%s: holds %d rows, the ledger has %d", want.Path, facts.Rows, want.Rows)
	}
	for c := range schemas.NumColumns {
		if facts.Sums.At(c) != want.Sums.At(c) {
			v.problem("%s: %s adds up to %s, the ledger has %s", want.Path, c, facts.Sums.Text(c), want.Sums.Text(c))
		}
	}
	return facts.Rows == want.Rows
}

// books holds the tables against what all loads add up to.
func (v *verification) books() {
	for t := range schemas.NumTables {
		is, want := &v.held[t], &v.lake.State.Held[t]
		if is.Rows != want.Rows {
			v.problem("the %s table holds %d rows, the books have %d", t, is.Rows, want.Rows)
		}
		for c := range schemas.NumColumns {
			if is.Sums.At(c) != want.Sums.At(c) {
				v.problem("the %s table's %s adds up to %s, the books have %s", t, c, is.Sums.Text(c), want.Sums.Text(c))
			}
		}
	}
}

// foreign lists what stands in the folder of a table and does not belong there.
func (v *verification) foreign(t schemas.Table) {
	root := v.lake.Table(t)
	dirs, err := v.lake.FS().ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		v.problem("%v", err)
		return
	}
	for _, d := range dirs {
		dir := path.Join(t.String(), d.Name())
		if !d.IsDir() {
			v.problem("%s: does not belong into the table", dir)
			continue
		}
		files, err := v.lake.FS().ReadDir(filepath.Join(root, d.Name()))
		if err != nil {
			v.problem("%v", err)
			continue
		}
		for _, f := range files {
			name := path.Join(dir, f.Name())
			if empty, ok := v.lake.State.Empty[name]; ok {
				if sum, err := v.lake.FileSum(v.lake.Path(name)); err != nil || sum != empty.SHA256 {
					v.problem("%s: is not the file without rows that usagelake wrote", name)
				}
			} else if _, ok := v.lake.State.Files[name]; !ok {
				v.problem("%s: does not belong into the table", name)
			}
		}
	}
}

// quarantine checks the files of records that were set aside.
func (v *verification) quarantine() {
	dir := v.lake.Quarantine()
	for _, name := range slices.Sorted(maps.Keys(v.lake.State.Quarantine)) {
		switch sum, err := v.lake.FileSum(filepath.Join(dir, name)); {
		case err != nil:
			v.problem("quarantine %s: %v", name, err)
		case sum == "":
			v.problem("quarantine %s: is missing", name)
		case sum != v.lake.State.Quarantine[name].SHA256:
			v.problem("quarantine %s: was changed", name)
		}
	}
	entries, err := v.lake.FS().ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		v.problem("%v", err)
	}
	for _, e := range entries {
		if _, ok := v.lake.State.Quarantine[e.Name()]; !ok {
			v.problem("quarantine %s: does not belong there", e.Name())
		}
	}
}
