// Package usagelake turns exported LLM usage logs (JSONL) into a partitioned
// Parquet table whose numbers balance.
//
// [Load] is the whole of it, in four steps, each a function over explicit
// inputs and outputs:
//
//	plan     find the inputs, recognise what was loaded before
//	map      cut, walk and normalise records into batches per file of the table
//	reduce   merge the batches of each file with what is there, write it anew
//	commit   check the books and publish everything, or nothing
//
// A lake is a directory: usage/ is the table of calls and reports/ that of
// providers' own sums, and they hold nothing else; state/ is the ledger,
// quarantine/ the records that could not be read. docs/format.md has the details.
package usagelake

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/ingest"
	"usagelake/schemas/secret"
	"usagelake/sink"
	"usagelake/sink/disk"
	"usagelake/sink/ledger"
	"usagelake/transform"
)

// Version of the program.
const Version = "0.1.0"

// Config says what to load, where to, and how. The zero value of a field is
// its default.
type Config struct {
	Inputs []string // files, directories, globs, s3:// URLs, "-"
	Lake   string   // directory, or s3://bucket/prefix; made where it is missing

	Set           []string      // column=value for columns that a record leaves empty
	Map           string        // path of a file with a user's own names: see docs/format.md
	Prices        []string      // paths of price books, each over those before it: see docs/prices.md
	PathColumns   string        // pattern that takes columns from paths: {project_id}/{date}/*.jsonl
	EventTime     string        // of records without a time of their own
	StrictTime    bool          // such records are quarantined
	TimeZone      string        // of times without a zone; default UTC
	From, To      string        // event dates, UTC, YYYY-MM-DD; To is exclusive
	MaxPartitions int           // new partitions that one load may open; default 400
	MaxQuarantine string        // records, or a share such as 1%; default 1%, and never 10 or fewer
	MaxLine       int64         // bytes of a record; default 256 MiB
	QuarantineRaw bool          // keep quarantined records whole
	HashIDs       string        // path of a file with the key that ids are hashed with: see docs/privacy.md
	HashIDsRotate bool          // go on with another key than before
	AllowEmpty    bool          // an input that matches nothing is no error
	Buckets       int           // files per partition of a new lake; default 1
	Codec         string        // zstd or snappy; default zstd
	Jobs          int           // workers; default one per CPU
	Split         int64         // bytes of inputs in an item of a load in steps; default 256 MiB
	LockWait      time.Duration // how long to wait for another run to end; default not at all
	Memory        int64         // bytes that rows, and merging them, may take; default DefaultMemory

	Allocator memory.Allocator // of Arrow arrays; default memory.DefaultAllocator
	Log       *slog.Logger     // default: discards
	Progress  func(Progress)   // called now and then, by several goroutines; may be nil
	FS        disk.FS          // that the lake is on; default disk.OS, or the bucket that Lake names
	Objects   ingest.Store     // where inputs are whose paths are s3:// URLs; default what the environment says
	Now       func() time.Time
}

// DefaultMemory is the memory budget of a load, in bytes. Any other does too: a
// small one makes more scratch files.
const DefaultMemory = 384 << 20

// Progress is how far a load is.
type Progress struct {
	Step       string // plan, map, reduce, commit; report; reprice
	Bytes      int64  // of the inputs, on disk, read so far
	TotalBytes int64
	Records    int64
}

// Errors that callers tell apart.
var (
	// ErrUsage: the configuration is at fault. Nothing was done.
	ErrUsage = errors.New("usage")
	// ErrLocked: another process has the lake. Nothing was done.
	ErrLocked = disk.ErrLocked
	// ErrUnavailable: a store of objects cannot be reached. What was begun is
	// finished by the next run.
	ErrUnavailable = disk.ErrUnavailable
	// ErrOvertaken: another run has published into a lake in a store meanwhile.
	// Nothing was published; the work is to be done again on what is there now.
	ErrOvertaken = ledger.ErrOvertaken
	// ErrBooks: the books do not balance. Nothing was published.
	ErrBooks = errors.New("the books do not balance; nothing was published")
	// ErrSpace: the disk has not enough room. Nothing was published.
	ErrSpace = errors.New("not enough space; nothing was published")
	// ErrPartitions: more new partitions than allowed. Nothing was published.
	ErrPartitions = errors.New("too many new partitions; nothing was published")
)

// JSONCode says what JSON is read by on this machine.
func JSONCode() string { return ingest.JSONCode() }

// Load loads the inputs into the lake. The report is never nil; where err is
// not nil nothing was published. A load that published, but was not perfect,
// says so in Report.Problems.
func Load(ctx context.Context, cfg Config) (*Report, error) {
	return change(ctx, cfg, false, ledger.Options{Buckets: cfg.Buckets}, prepareInputs)
}

// Plan finds out what Load would do, and changes nothing. Report.Files are the
// files as they would be.
func Plan(ctx context.Context, cfg Config) (*Report, error) {
	return change(ctx, cfg, true, ledger.Options{Buckets: cfg.Buckets, ReadOnly: true}, prepareInputs)
}

// A planner decides what a change reads and takes away.
type planner func(ctx context.Context, lake *ledger.Lake) (*planned, error)

// change makes one change of a lake, or finds out what it would be. prepare
// looks at what can be at fault before the lake is touched.
func change(ctx context.Context, cfg Config, dry bool, opt ledger.Options, prepare func(context.Context, *settings) (planner, error)) (report *Report, err error) {
	report = &Report{Lake: secret.URLs(cfg.Lake)}
	s, err := cfg.check()
	if err != nil {
		return report, err
	}
	go s.dialects() // they are made while the inputs are looked for
	start := s.Now()
	defer func() { report.Seconds = s.Now().Sub(start).Seconds() }()
	undo := func(f func() error) {
		switch e := f(); {
		case e == nil || err != nil:
		case report.Seq > 0: // it is published, so it did not fail
			report.problem("%v", e)
		default:
			err = e
		}
	}

	s.dry = dry
	plan, err := prepare(ctx, s)
	if err != nil {
		return report, err
	}
	lake, err := openLake(ctx, s, opt)
	if err != nil {
		return report, err
	}
	defer undo(lake.Close)
	if err := s.fits(lake); err != nil {
		return report, err
	}
	defer func() { err = meanwhile(ctx, lake, err) }()
	scratch := sink.Scratch{FS: s.FS, Dir: lake.StagedPath("")}
	if dry || lake.Shared() {
		dir, remove, err := temporary("run")
		if err != nil {
			return report, err
		}
		defer undo(remove)
		scratch = dir
	}

	if s.stdin = scratch; s.ids != nil && slices.Contains(s.Inputs, "-") { // it holds ids in clear
		dir, remove, err := temporary("stdin")
		if err != nil {
			return report, err
		}
		defer undo(remove)
		s.stdin = dir
	}

	s.Progress(Progress{Step: "plan"})
	p, err := plan(ctx, lake)
	if err != nil {
		return report, err
	}
	if err := s.hasRoom(0); err != nil {
		return report, err
	}
	merger := newMerger(s, lake, scratch, p)
	defer undo(func() error { return merger.Close() })
	m, err := mapInputs(ctx, s, scratch, p, merger)
	for err == nil && p.twins(m, &lake.State) { // once more, without them
		if err = merger.Close(); err != nil {
			break
		}
		merger = newMerger(s, lake, scratch, p)
		m, err = mapInputs(ctx, s, scratch, p, merger)
	}
	if err != nil {
		return report, err
	}
	r, err := reduce(ctx, s, lake, p, m)
	if err != nil {
		return report, err
	}
	if err := commit(ctx, s, lake, scratch, p, m, r, report); err != nil {
		return report, err
	}
	if report.BytesRead = m.bytes; !dry {
		report.Now = extent(&lake.State)
	}
	return report, nil
}

func newMerger(s *settings, lake *ledger.Lake, scratch sink.Scratch, p *planned) *sink.Merger {
	return sink.NewMerger(sink.MergerOptions{
		Rule: transform.KeyRule, Sources: p.sources, Mem: s.Allocator, Scratch: scratch,
		Share: s.share(), Reading: s.reducing() / 2, Buckets: lake.State.Settings.Buckets,
		Empty: len(lake.State.Files) == 0, Again: p.again,
	})
}

// closing closes what a function has opened, and makes an error of that the
// function's, unless it has one. It is deferred.
func closing(err *error, end func() error) {
	if e := end(); *err == nil {
		*err = e
	}
}

// because is an error without the path that a system call was given.
func because(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}

// spare is space that must be left for the ledger, in bytes.
const spare = 16 << 20

// hasRoom fails if what is to be written does not fit on the lake's disk.
func (s *settings) hasRoom(need int64) error {
	if s.dry {
		return nil
	}
	free, err := s.FS.Free(s.Lake)
	if err != nil {
		return err
	}
	if need += spare; free < uint64(need) {
		return fmt.Errorf("%w: %s needs about %d MiB, %d MiB are free; make room, then run again", ErrSpace, s.Lake, need>>20, free>>20)
	}
	return nil
}

// openLake opens the lake, and waits for it if it is another run's.
func openLake(ctx context.Context, s *settings, opt ledger.Options) (*ledger.Lake, error) {
	for deadline := time.Now().Add(s.LockWait); ; {
		lake, err := ledger.Open(s.FS, s.Lake, opt)
		if !errors.Is(err, ErrLocked) || !time.Now().Before(deadline) {
			return lake, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func prepareInputs(ctx context.Context, s *settings) (planner, error) {
	inputs, err := discover(ctx, s)
	return func(ctx context.Context, lake *ledger.Lake) (*planned, error) {
		if err := s.keyed(lake); err != nil {
			return nil, err
		}
		return planInputs(ctx, s, lake, inputs)
	}, err
}

// discover finds the inputs. An argument that matches nothing is an error,
// since a cron job whose export is missing must not look well.
func discover(ctx context.Context, s *settings) ([]ingest.Input, error) {
	if len(s.Inputs) == 0 {
		return nil, fmt.Errorf("%w: no input given", ErrUsage)
	}
	objects, err := s.objects(s.Inputs)
	if err != nil {
		return nil, err
	}
	lake := strings.TrimSuffix(wholePath(s.Lake), "/")
	for _, in := range s.Inputs {
		if in := wholePath(in) + "/"; strings.HasPrefix(in, lake+"/") {
			return nil, fmt.Errorf("%w: input %s is in the lake itself, %s, whose files are no logs: --lake names the directory that the table is written to", ErrUsage, strings.TrimSuffix(in, "/"), s.Lake)
		}
	}
	inputs, err := ingest.Find(ctx, s.Inputs, wholePath(s.Lake), objects)
	if _, ok := errors.AsType[*ingest.NoMatchError](err); ok {
		if !s.AllowEmpty {
			return nil, fmt.Errorf("%w: %w (--allow-empty lets this pass)", ErrUsage, err)
		}
		s.Log.Warn("input matches nothing", "error", err)
		err = nil
	}
	return inputs, err
}
