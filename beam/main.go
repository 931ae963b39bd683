// Command usagelake-beam runs a load on Apache Beam: on prism, Beam's own
// runner, or on any that takes portable pipelines, such as Flink's.
//
//	usagelake-beam INPUT... --lake DIR --run ID [flags of load] [flags of Beam]
//
// What it does is what the steps plan, map, reduce and commit of usagelake do,
// and the table is the same to the byte. docs/beam.md says how to run it.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	_ "time/tzdata" // --tz works where the system has no zone files

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners"
	"github.com/spf13/pflag"

	"usagelake"

	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/exec/optimized"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/flink"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal"
)

// Exit codes are those of usagelake's steps.
const (
	exitOK       = 0
	exitFailed   = 1
	exitUsage    = 2
	exitProblems = 3
	exitTryAgain = 75
)

const help = `usagelake-beam INPUT... --lake DIR --run ID [flags]

Load usage logs into a lake with workers of Apache Beam. A run that was broken
off goes on where it was when it is started again with the same ID; without INPUT
the run must have been planned (usagelake step plan).

Exit codes:
  0    all well
  1    failed, nothing was published; start it again with the same ID
  2    wrong usage; starting it again does not help
  3    published, but a person should look
  75   another run has the lake, or the lake has changed since this run was
       planned: start it again, in the latter case with another ID

Flags:
`

// options are what the command line says, but for what it says to Beam.
type options struct {
	cfg     usagelake.Config
	id      string
	pieces  int
	json    bool
	verbose bool
	pool    int    // port
	runner  string // where a runner that starts this process says what to do
}

func main() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) }

// execute is main with its surroundings as arguments. It returns the exit code.
func execute(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return exitOK
	case err != nil:
		err = fmt.Errorf("%w: %w", usagelake.ErrUsage, err)
	default:
		level := "warn"
		if o.verbose {
			level = "info"
		}
		log.SetupLogging(level, "text") // of slog too
		beam.Init()                     // a worker that Beam's boot program starts does not return
		err = o.do(ctx, stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "usagelake-beam: %v\n", err)
	}
	return exitCode(err)
}

func (o *options) do(ctx context.Context, stdout io.Writer) error {
	switch {
	case o.pool != 0:
		return servePool(ctx, o.pool)
	case o.runner != "":
		return serveProcess(ctx, flag.Lookup("id").Value.String(), o.runner)
	}
	report, err := drive(ctx, o)
	if err != nil {
		return err
	}
	if o.json {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(report)
	} else {
		summary(stdout, report)
	}
	for _, p := range report.Problems {
		slog.Warn(p)
	}
	if err == nil && len(report.Problems) > 0 {
		return errProblems
	}
	return err
}

// drive plans the run, or takes up its plan, has Beam do it, and returns what it did:
// the books, and how many problems there are.
func drive(ctx context.Context, o *options) (*usagelake.Report, error) {
	limitMemory(o.cfg.Memory)
	open := openRun
	if len(o.cfg.Inputs) > 0 {
		open = planRun
	}
	r, err := open(ctx, o.cfg, o.id)
	if err != nil {
		return nil, err
	}
	if seq := r.Done(); seq > 0 {
		slog.Warn("the run was published before", "run", o.id, "record", seq)
	}
	job := Job{
		Lake: o.cfg.Lake, ID: o.id, HashIDs: o.cfg.HashIDs, LockWait: o.cfg.LockWait,
		Pieces: o.pieces, Jobs: o.cfg.Jobs, Memory: o.cfg.Memory,
	}
	done, err := beam.Run(ctx, cmp.Or(*runners.Runner, "prism"), pipeline(job, r.Maps()))
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", o.id, told(err))
	}
	if r, err = openRun(ctx, o.cfg, o.id); err != nil {
		return nil, err
	}
	report, err := r.Commit(ctx) // a worker has published it: this tells of it
	if err != nil {
		return nil, err
	}
	if n := counted(done, problems); n > 0 && len(report.Problems) == 0 {
		report.Problems = []string{fmt.Sprintf("there is more to say (%d): the log of the worker that published the run says it", n)}
	}
	return report, nil
}

// counted is what the workers have counted under a name.
func counted(done beam.PipelineResult, name string) (n int64) {
	if done == nil {
		return 0
	}
	for _, c := range done.Metrics().AllMetrics().Counters() {
		if c.Name() == name {
			n += c.Result()
		}
	}
	return n
}

// told is a worker's error as a runner hands it on: its text, in which the errors
// that callers tell apart are found again.
func told(err error) error {
	for _, known := range append(passing, usagelake.ErrUsage) {
		if strings.Contains(err.Error(), known.Error()) && !errors.Is(err, known) {
			return fmt.Errorf("%w: %w", known, err)
		}
	}
	return err
}

// passing are faults that may be gone when the same is tried again.
var passing = []error{
	usagelake.ErrLocked, usagelake.ErrOvertaken, usagelake.ErrUnavailable, usagelake.ErrIncomplete, usagelake.ErrMoved,
}

var errProblems = errors.New("published, but not all is well")

func exitCode(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errProblems):
		return exitProblems
	case errors.Is(err, usagelake.ErrUsage):
		return exitUsage
	case slices.ContainsFunc(passing, func(e error) bool { return errors.Is(err, e) }):
		return exitTryAgain
	}
	return exitFailed
}

// parse reads the command line. Beam's own flags are those of the package flag.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	f := pflag.NewFlagSet("usagelake-beam", pflag.ContinueOnError)
	f.SortFlags = false
	f.SetOutput(stderr)
	f.Usage = func() { fmt.Fprint(stderr, help, f.FlagUsages()) }
	cfg := &o.cfg
	f.StringVar(&cfg.Lake, "lake", "", "`directory` of the lake, at the same path on all workers, or s3://bucket/prefix")
	f.StringVar(&o.id, "run", "", "`name` of the run: what is started again under it goes on where it was")
	loadFlags(f, cfg)
	f.IntVar(&o.pieces, "pieces", 16, "`number` of pieces that the files of the table are written in, more than there are workers")
	f.BoolVar(&o.json, "json", false, "print a report with the books of every source as JSON")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "print what Beam has to say")
	f.IntVar(&o.pool, "pool", 0, "be a pool of workers for --environment_type=EXTERNAL on this `port` of localhost, until killed")
	f.StringVar(&o.runner, "provision_endpoint", "", "be a worker for --environment_type=PROCESS (set by the runner)")
	flag.VisitAll(func(g *flag.Flag) {
		if f.Lookup(g.Name) == nil {
			f.AddGoFlag(g)
		}
	})
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var err error
	f.Visit(func(set *pflag.Flag) { // Beam asks flag which of its options are set
		if g := flag.Lookup(set.Name); g != nil && err == nil {
			err = flag.Set(set.Name, g.Value.String())
		}
	})
	if err != nil || o.pool != 0 || o.runner != "" || flag.Lookup("worker").Value.String() == "true" {
		return o, err
	}
	if cfg.Lake == "" || o.id == "" || o.pieces < 1 {
		return nil, errors.New("want --lake, --run, and one of --pieces or more; usagelake-beam --help tells more")
	}
	cfg.Inputs = f.Args()
	// workers have directories of their own to start from
	for _, path := range []*string{&cfg.Lake, &cfg.HashIDs} {
		if *path, err = absolute(*path); err != nil {
			return nil, err
		}
	}
	for i := range cfg.Inputs {
		if cfg.Inputs[i] == "-" {
			return nil, errors.New("standard input cannot be read by workers; give files, or s3:// paths")
		}
		if cfg.Inputs[i], err = absolute(cfg.Inputs[i]); err != nil {
			return nil, err
		}
	}
	if *jobopts.WorkerBinary == "" { // Beam would compile one
		*jobopts.WorkerBinary, err = os.Executable()
	}
	return o, err
}

func absolute(path string) (string, error) {
	if path == "" || strings.Contains(path, "://") {
		return path, nil
	}
	return filepath.Abs(path)
}

// besides is the memory that a worker takes beside its budget, in bytes: blocks,
// encoders, and Beam.
const besides = 96 << 20

// limitMemory lets the garbage collector keep the process near its budget. A
// limit from outside (GOMEMLIMIT) stays.
func limitMemory(budget int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(cmp.Or(budget, usagelake.DefaultMemory) + besides)
	}
}
