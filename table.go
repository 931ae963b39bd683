package usagelake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/sink/disk"
	"usagelake/sink/ledger"
)

// table reads the files of the tables, until ctx ends.
type table struct {
	ctx     context.Context
	lake    *ledger.Lake
	sources *sink.Sources
	mem     memory.Allocator
	within  func(schemas.Unit) bool // units that are looked at; nil: all
}

func (t *table) path(unit schemas.Unit) string {
	return t.lake.Path(unit.Path())
}

// open opens a unit's file. Reading it fails when the run is to end.
func (t *table) open(unit schemas.Unit) (disk.Reader, int64, error) {
	f, err := t.lake.FS().Open(t.path(unit))
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return &stoppable{f, t.ctx}, info.Size(), nil
}

// stoppable is a file that cannot be read any more when ctx has ended: a big
// one takes longer than a signal may.
type stoppable struct {
	disk.Reader
	ctx context.Context
}

func (s *stoppable) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Reader.Read(b)
}

func (s *stoppable) ReadAt(b []byte, at int64) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Reader.ReadAt(b, at)
}

// file is a unit's file, to be merged from.
func (t *table) file(unit schemas.Unit, rows int64) sink.File {
	return sink.File{Unit: unit, Rows: rows, Open: func(cols ...schemas.Col) (sink.Batches, error) {
		f, size, err := t.open(unit)
		if err != nil {
			return nil, err
		}
		r, err := sink.OpenRows(f, size, unit.Table, t.mem, t.sources, cols...)
		if err != nil {
			f.Close()
			return nil, err
		}
		return &opened{r, f, unit, rows}, nil
	}}
}

// opened are the rows of a file that is closed with them.
type opened struct {
	*sink.RowReader
	f    disk.Reader
	unit schemas.Unit
	left int64 // rows that the ledger has, and that were not read yet
}

// Next fails where there are more rows or fewer than the ledger has: in a store the
// file may be another's by now.
func (o *opened) Next() (*schemas.Batch, error) {
	b, err := o.RowReader.Next()
	if err == nil {
		o.left -= int64(b.Len())
	}
	if err == nil && o.left < 0 || err == io.EOF && o.left > 0 {
		if b != nil {
			b.Release()
		}
		return nil, fmt.Errorf("%s does not hold the rows that usagelake wrote", o.unit.Path())
	}
	return b, err
}

func (o *opened) Close() error {
	err := o.RowReader.Close()
	if e := o.f.Close(); err == nil {
		err = e
	}
	return err
}

// same fails if a unit's file is not the very one that the ledger knows: what
// someone else made of it must not be merged as ours, nor make new rows copies.
func (t *table) same(unit schemas.Unit) error {
	h := sha256.New()
	f, _, err := t.open(unit)
	if err == nil {
		_, err = io.Copy(h, f)
		f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if hex.EncodeToString(h.Sum(nil)) != t.lake.State.Files[unit.Path()].SHA256 {
		return fmt.Errorf("%s is not the file that usagelake wrote: restore it, then load again", unit.Path())
	}
	return nil
}

// because says why a unit's file could not be read: where someone changed it,
// that.
func (t *table) because(unit schemas.Unit, err error) error {
	if e := t.same(unit); e != nil {
		err = e
	}
	return fmt.Errorf("partition %s: %w", unit.Dir(), err)
}

// copies shows the merger all files that may hold copies of its rows, or rows
// of the sources that are read again.
func (t *table) copies(ctx context.Context, m *sink.Merger, again map[int32]bool) error {
	ids := t.ids(again)
	for _, path := range slices.Sorted(maps.Keys(t.lake.State.Files)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		f := t.lake.State.Files[path]
		unit, err := schemas.ParseUnit(path)
		if err != nil {
			return err
		}
		if t.within != nil && !t.within(unit) {
			continue
		}
		may, asked := m.Ask(unit, f.AnyDay > 0)
		if !may && len(asked) > 0 {
			may, err = t.holds(unit, asked)
		}
		if err == nil && !may && len(ids) > 0 {
			may, err = t.comesFrom(unit, ids)
		}
		if err == nil && may {
			err = t.same(unit)
		}
		if err == nil && may {
			err = m.Old(t.file(unit, f.Rows))
		}
		if err != nil {
			return t.because(unit, err)
		}
	}
	return nil
}

// forget takes the rows of sources out of all files.
func (t *table) forget(ctx context.Context, m *sink.Merger, sources map[int32]bool) error {
	if len(sources) == 0 {
		return nil
	}
	ids := t.ids(sources)
	for _, path := range slices.Sorted(maps.Keys(t.lake.State.Files)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		unit, err := schemas.ParseUnit(path)
		if err != nil {
			return err
		}
		comes, err := t.comesFrom(unit, ids)
		if err == nil && comes {
			err = t.same(unit)
		}
		if err == nil && comes {
			err = m.Forget(t.file(unit, t.lake.State.Files[path].Rows), sources)
		}
		if err != nil {
			return t.because(unit, err)
		}
	}
	return nil
}

func (t *table) ids(sources map[int32]bool) map[string]bool {
	out := map[string]bool{}
	for i := range sources {
		out[t.sources.At(i).ID] = true
	}
	return out
}

// holds asks a file's bloom filter whether it may hold any of the request ids.
func (t *table) holds(unit schemas.Unit, ids []string) (bool, error) {
	f, size, err := t.open(unit)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return sink.MayHold(f, size, unit.Table, ids)
}

// comesFrom reports whether a file has rows of any of the sources.
func (t *table) comesFrom(unit schemas.Unit, ids map[string]bool) (bool, error) {
	f, size, err := t.open(unit)
	if err != nil {
		return false, err
	}
	defer f.Close()
	list, err := sink.SourceIDs(f, size, unit.Table)
	return slices.ContainsFunc(list, func(id string) bool { return ids[id] }), err
}

// rowBytes is what a new row takes in a file, at least as a rule.
const rowBytes = 40

// staged is how many bytes, about, the files take that units are staged in.
func (t *table) staged(units []sink.Change) (n int64) {
	for _, u := range units {
		if u.Write {
			n += t.lake.State.Files[u.Unit.Path()].Bytes + u.Rows*rowBytes
		}
	}
	return n
}

// smallFile is the size, in bytes, up to which a file is read in one go.
const smallFile = 1 << 20

// smallFiles holds *[]byte of any capacity.
var smallFiles = sync.Pool{New: func() any { return new([]byte) }}

// check reads a staged file back and holds it against what was to be written.
func (t *table) check(unit schemas.Unit, name string, size int64, facts sink.Facts, jobs int) error {
	f, err := t.lake.FS().Open(t.lake.StagedPath(name))
	if err != nil {
		return err
	}
	defer f.Close()
	var r io.ReaderAt = &stoppable{f, t.ctx}
	if size <= smallFile { // of many columns, with little in each
		buf := smallFiles.Get().(*[]byte)
		defer smallFiles.Put(buf)
		*buf = slices.Grow((*buf)[:0], int(size))[:size]
		data := *buf
		if _, err := r.ReadAt(data, 0); err != nil && err != io.EOF {
			return err
		}
		r = bytes.NewReader(data)
	}
	back, err := sink.Verify(r, size, unit, jobs)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if back != facts {
		return errors.New("read back: the file does not hold what was written")
	}
	return nil
}
