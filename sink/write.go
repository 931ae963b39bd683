package sink

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/parquet-go/parquet-go/compress"
	"github.com/parquet-go/parquet-go/compress/snappy"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/parquet-go/parquet-go/format"

	"usagelake/schemas"
	"usagelake/sink/encode"
)

// ChunkRows is how many rows every call of Writer.Write but the last brings. It
// divides row groups, and every page's length divides it.
const ChunkRows = 32_768

// The codecs keep their encoders between files.
var codecs = map[string]compress.Codec{
	"":       &zstdCodec,
	"zstd":   &zstdCodec,
	"snappy": &snappy.Codec{},
}

var zstdCodec = zstd.Codec{Level: zstd.SpeedFastest}

// Writer writes the file of a unit, chunk by chunk. It holds a row group of
// encoded pages at most. After an error it is of no more use, and w holds a
// part of a file.
type Writer struct {
	unit    schemas.Unit
	sources *Sources
	layout  *layout
	file    *encode.File
	jobs    int
	batches map[*schemas.Batch]*memos // those of the last call
	named   [2]memo                   // of source_file and source_id, by index in sources
	chunk   chunk                     // of the call
	group   int                       // number of the row group, from 1
	short   bool                      // the last chunk has come
	facts   Facts
	err     error
}

// NewWriter begins the file of a unit. sources is what the batches' Source
// columns index, codec "zstd" (if empty) or "snappy". These and the rows alone make
// the bytes.
func NewWriter(w io.Writer, unit schemas.Unit, sources *Sources, codec string) (*Writer, error) {
	packer, ok := codecs[codec]
	if !ok {
		return nil, fmt.Errorf("write %s: unknown codec %q", unit.Path(), codec)
	}
	l := layoutOf(unit.Table)
	return &Writer{
		unit: unit, sources: sources,
		layout: l, file: l.NewFile(w, packer),
		jobs: 1, group: 1,
	}, nil
}

// SetJobs says how many columns the calls of Write that follow encode at a time.
func (w *Writer) SetJobs(n int) { w.jobs = max(n, 1) }

// Write adds rows in the order of the sort key; Verify checks the order and
// the unit. Every call but the last brings exactly ChunkRows rows. Batches may
// be released when Write returned. What it prepared for a batch it keeps until
// a call whose list does not have the batch.
func (w *Writer) Write(rows Rows) (err error) {
	if w.err != nil {
		return w.err
	}
	defer func() { err = w.fail(err) }()
	defer guard(&err)
	switch n := rows.Len(); {
	case n == 0:
		return nil
	case n > ChunkRows || w.short:
		return fmt.Errorf("%d rows: a chunk is %d, the last one may be shorter", n, ChunkRows)
	default:
		w.short = n < ChunkRows
	}
	err = w.encode(w.look(rows))
	w.chunk.Rows = Rows{}
	if err != nil {
		return err
	}
	w.facts.Rows += int64(w.chunk.rows)
	if w.facts.Rows%groupRows == 0 {
		w.group++
		return w.file.EndGroup()
	}
	return nil
}

// Close ends the file and returns what it holds. An empty file is an error.
func (w *Writer) Close() (facts Facts, err error) {
	if w.err != nil {
		return facts, w.err
	}
	defer func() {
		if err = w.fail(err); err == nil {
			w.err = errors.New("write to a closed file")
		}
	}()
	w.batches = nil
	if w.facts.Rows == 0 {
		return facts, errors.New("no rows")
	}
	return w.facts, w.file.Close(fileKeys(w.unit, w.facts.Rows))
}

// WriteEmpty writes the file of a unit that has no rows.
func WriteEmpty(w io.Writer, unit schemas.Unit) error {
	l := layoutOf(unit.Table)
	if err := l.NewFile(w, codecs[""]).Close(fileKeys(unit, 0)); err != nil {
		return fmt.Errorf("write %s: %w", unit.Path(), err)
	}
	return nil
}

// fileKeys is what the footer of a file says of it by name.
func fileKeys(unit schemas.Unit, rows int64) []format.KeyValue {
	return []format.KeyValue{
		{Key: keyPartition, Value: unit.File()},
		{Key: keyRows, Value: strconv.FormatInt(rows, 10)},
		{Key: keyVersion, Value: strconv.Itoa(schemas.Version)},
	}
}

func (w *Writer) fail(err error) error {
	if err != nil {
		w.err = fmt.Errorf("write %s: %w", w.unit.Path(), err)
	}
	return w.err
}

// encode encodes the columns of a chunk. They do not touch each other, so jobs
// do not change the bytes.
func (w *Writer) encode(c *chunk) error {
	var (
		next atomic.Int32
		wg   sync.WaitGroup
		errs = make([]error, w.jobs)
	)
	work := func(i int) {
		defer guard(&errs[i])
		j := jobs.Get().(*job)
		defer jobs.Put(j)
		for errs[i] == nil {
			k := int(next.Add(1)) - 1
			if k >= len(w.layout.columns) {
				return
			}
			col := w.layout.columns[k]
			if err := j.column(w, c, col); err != nil {
				errs[i] = fmt.Errorf("%v: %w", col, err)
			}
		}
	}
	for i := range errs[1:] {
		wg.Go(func() { work(i + 1) })
	}
	work(0)
	wg.Wait()
	return errors.Join(errs...)
}
