package usagelake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"

	"github.com/apache/arrow/go/v17/arrow/memory"

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
	Files   int              `json:"files"`
	Rows    int64            `json:"rows"`
	Sums    schemas.SumsJSON `json:"sums"`
	// Problems are all deviations from what the ledger says; none if all is
	// well.
	Problems []string `json:"problems"`
}

// Verify re-reads a lake whole: the chain of the ledger, every file's hash,
// footer, order and values, every column's sum against the books, calls that
// are there twice, and files that do not belong. It changes nothing, except
// that a publication that was interrupted is brought to its end.
func Verify(ctx context.Context, dir string, fsys disk.FS) (*Verification, error) {
	v := &verification{Verification: Verification{Lake: dir, Problems: []string{}}}
	if dir == "" {
		return &v.Verification, fmt.Errorf("%w: --lake DIR is missing", ErrUsage)
	}
	if fsys == nil {
		fsys = disk.OS{}
	}
	lake, err := ledger.Open(fsys, dir, ledger.Options{MustExist: true})
	if err != nil {
		return &v.Verification, err
	}
	defer lake.Close()
	v.lake = lake
	v.tables = &tables{lake: lake, sources: &sink.Sources{}, mem: memory.DefaultAllocator}
	v.wide = sink.NewWide(transform.KeyRule)
	v.Records = lake.State.Seq

	for _, name := range slices.Sorted(maps.Keys(lake.State.Files)) {
		if err := ctx.Err(); err != nil {
			return &v.Verification, err
		}
		v.file(lake.State.Files[name])
	}
	for l := range v.wide.CrossDay(v.tables.sources) {
		v.problem("%s: a call is there twice, on days beside each other", l.Unit.Path())
	}
	v.books()
	v.foreign()
	v.quarantine()
	return &v.Verification, nil
}

type verification struct {
	Verification
	lake   *ledger.Lake
	tables *tables
	wide   *sink.Wide
}

func (v *verification) problem(format string, args ...any) {
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

// file checks one file of the table against its record, and its rows.
func (v *verification) file(want ledger.File) {
	unit, err := schemas.ParseUnit(want.Path)
	if err != nil {
		v.problem("%v", err)
		return
	}
	sum, err := v.lake.FileSum(v.tables.path(unit))
	switch {
	case err != nil:
		v.problem("%s: %v", want.Path, err)
		return
	case sum == "":
		v.problem("%s: is missing", want.Path)
		return
	case sum != want.SHA256:
		v.problem("%s: is not the file that usagelake wrote (SHA-256 %s, the ledger has %s)", want.Path, sum, want.SHA256)
	}
	f, size, err := v.tables.open(unit)
	if err != nil {
		v.problem("%s: %v", want.Path, err)
		return
	}
	defer f.Close()
	facts, err := sink.Verify(f, size, unit)
	if err != nil {
		v.problem("%v", err)
		return
	}
	v.Files++
	v.Rows += facts.Rows
	v.Sums.Add(&facts.Sums)
	if facts.Rows != want.Rows {
		v.problem("%s: holds %d rows, the ledger has %d", want.Path, facts.Rows, want.Rows)
	}
	for c := range schemas.NumColumns {
		if facts.Sums[c] != want.Sums.Sums[c] {
			v.problem("%s: %s adds up to %s, the ledger has %s", want.Path, c, facts.Sums.Text(c), want.Sums.Text(c))
		}
	}
	batches, err := sink.Read(f, size, v.tables.mem, v.tables.sources)
	if err != nil {
		v.problem("%s: %v", want.Path, err)
		return
	}
	defer release(batches)
	for _, b := range batches {
		v.wide.AddNew(unit, b)
	}
	merger := &sink.Merger{Rule: transform.KeyRule, Sources: v.tables.sources}
	if again := merger.Merge(unit, batches, len(batches)); len(again.Losses) > 0 {
		v.problem("%s: %d rows are copies of others", want.Path, len(again.Losses))
	}
}

// books holds the table against what all loads add up to.
func (v *verification) books() {
	s := &v.lake.State
	if v.Rows != s.Rows {
		v.problem("the table holds %d rows, the books have %d", v.Rows, s.Rows)
	}
	for c := range schemas.NumColumns {
		if v.Sums.Sums[c] != s.Sums[c] {
			v.problem("the table's %s adds up to %s, the books have %s", c, v.Sums.Text(c), s.Sums.Text(c))
		}
	}
}

// foreign lists what stands in the table's folder and does not belong there.
func (v *verification) foreign() {
	root := v.lake.Table()
	dirs, err := v.lake.FS().ReadDir(root)
	if err != nil {
		v.problem("%v", err)
		return
	}
	for _, d := range dirs {
		if !d.IsDir() {
			v.problem("%s: does not belong into the table", d.Name())
			continue
		}
		files, err := v.lake.FS().ReadDir(filepath.Join(root, d.Name()))
		if err != nil {
			v.problem("%v", err)
			continue
		}
		for _, f := range files {
			name := path.Join(d.Name(), f.Name())
			if _, ok := v.lake.State.Files[name]; !ok {
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
