package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"usagelake"
)

func loadCommand() *cobra.Command {
	var cfg usagelake.Config
	var out output
	cmd := &cobra.Command{
		Use:   "load INPUT... --lake DIR",
		Short: "Load usage logs into a lake",
		Long: `Load usage logs into a lake.

INPUT is a file, a directory (read recursively), a glob in quotes, or - for
standard input: JSON lines, plain, .gz or .zst, recognised by content. It and DIR
may be in S3: s3://bucket/key is an object, or all below it; the server and the
credentials are those of the environment (AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, …).
Of runs that publish into one bucket at once all but one end with 75. What was
loaded before is known by its bytes and skipped, so loading twice is harmless.

DIR is made where it is missing. The table of calls is in DIR/usage, that of sums
which providers report in DIR/reports; records that could not be read are in
DIR/quarantine.

On a terminal a summary is printed; elsewhere a load that goes well is silent.

` + exitCodes,
		Example: `  usagelake load logs/ --lake ./lake
  usagelake load 'exports/**/*.jsonl.gz' --lake ./lake --set provider=openai
  usagelake load 's3://exports/2026/**/*.gz' --lake s3://finance/lake
  zcat big.jsonl.gz | usagelake load - --lake ./lake --event-time 2026-08-21
  openssl rand -hex 32 >ids.key && chmod 600 ids.key
  usagelake load logs/ --lake ./private --hash-ids ids.key`,
		Args: inputArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.Inputs = args
			return out.run(cmd, cfg, usagelake.Load, summary)
		},
	}
	out.changeFlags(cmd, &cfg)
	out.driftFlag(cmd.Flags())
	return cmd
}

func planCommand() *cobra.Command {
	var cfg usagelake.Config
	var out output
	cmd := &cobra.Command{
		Use:   "plan INPUT... --lake DIR",
		Short: "Show what a load would do, and change nothing",
		Long: `Read the inputs as load would, and show for every partition what it holds and
what it would hold, and for every input whether it is new, goes on or is known.
Nothing is written into the lake; scratch files go to $TMPDIR. The flags are
those of load, and so are the exit codes.`,
		Example: `  usagelake plan logs/ --lake ./lake
  usagelake plan logs/ --lake ./private --hash-ids ids.key`,
		Args: inputArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.Inputs = args
			out.verbose, out.prints = true, true
			return out.run(cmd, cfg, usagelake.Plan, planSummary)
		},
	}
	out.changeFlags(cmd, &cfg)
	return cmd
}

func replayCommand() *cobra.Command {
	var cfg usagelake.Config
	var out output
	cmd := &cobra.Command{
		Use:   "replay --lake DIR",
		Short: "Read quarantined records again, after an upgrade or with other flags",
		Long: `Read the records in DIR/quarantine again. What can be read now comes into the
table, into the days it belongs to and exactly once; what still fails stays.
Give the flags that the load had, or better ones: they are not remembered.
A record whose text was shortened is read from the file it came from; if that is
gone or was changed, the record stays.

` + exitCodes,
		Example: `  usagelake replay --lake ./lake
  usagelake replay --lake ./lake --set model=gpt-image-1 --tz Europe/Berlin
  usagelake replay --lake ./private --hash-ids ids.key`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			return out.run(cmd, cfg, usagelake.Replay, summary)
		},
	}
	out.changeFlags(cmd, &cfg)
	return cmd
}

func forgetCommand() *cobra.Command {
	var cfg usagelake.Config
	var out output
	cmd := &cobra.Command{
		Use:   "forget SOURCE --lake DIR",
		Short: "Take the rows of a source out of a lake",
		Long: `Take the rows of a source out of the table, its quarantined records, and all
knowledge of it: loading the file again loads it anew. Copies of its calls that
had given way to it come back from their own files, which are read again with
the flags given here; a file that is gone is named, and the exit code is 3.

SOURCE is a source's id (or its first four digits and more), its path, or its
source_file; usagelake status --json lists them.

` + exitCodes,
		Example: `  usagelake forget exports/2026-08-21.jsonl --lake ./lake
  usagelake forget 5d41402abc4b --lake ./lake
  usagelake forget 5d41402abc4b --lake ./private --hash-ids ids.key`,
		Args: one("SOURCE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return out.run(cmd, cfg, func(ctx context.Context, cfg usagelake.Config) (*usagelake.Report, error) {
				return usagelake.Forget(ctx, cfg, args[0])
			}, forgetSummary)
		},
	}
	out.changeFlags(cmd, &cfg)
	_ = cmd.Flags().MarkHidden("max-partitions")
	return cmd
}

// one wants one argument.
func one(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return &usageError{fmt.Errorf("%s needs one %s; usagelake %[1]s --help tells more", name(cmd), what)}
		}
		return nil
	}
}

func inputArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return &usageError{fmt.Errorf("%s needs at least one INPUT; usagelake %[1]s --help tells more", cmd.Name())}
	}
	return nil
}

// changeFlags are those of a change of a lake.
func (out *output) changeFlags(cmd *cobra.Command, cfg *usagelake.Config) {
	f := cmd.Flags()
	f.SortFlags = false
	lakeFlag(f, &cfg.Lake)
	recordFlags(f, cfg)
	idFlags(f, cfg, takesInputs(cmd))
	if takesInputs(cmd) {
		inputFlags(f, cfg)
	}
	runFlags(f, cfg)
	out.flags(f)
}

func lakeFlag(f *pflag.FlagSet, lake *string) {
	f.StringVar(lake, "lake", "", "`directory` of the lake, or s3://bucket/prefix")
}

// recordFlags say how records are read.
func recordFlags(f *pflag.FlagSet, cfg *usagelake.Config) {
	f.StringArrayVar(&cfg.Set, "set", nil, "`column=value` for a column that records leave empty, such as model=gpt-image-1 (repeatable)")
	f.StringVar(&cfg.PathColumns, "path-columns", "", "take columns from paths below INPUT by a `pattern`, such as '{project_id}/{date}/*.jsonl'")
	f.StringVar(&cfg.Map, "map", "", "`file` that says where columns stand in records of your own: lines such as user_id = meta.caller.id")
	pricesFlag(f, cfg)
	f.StringVar(&cfg.EventTime, "event-time", "", "event `time` of records that have none of their own")
	f.BoolVar(&cfg.StrictTime, "strict-time", false, "quarantine records that have no event time of their own")
	f.StringVar(&cfg.TimeZone, "tz", "", "time `zone` of times that name none, such as Europe/Berlin (default UTC)")
	f.StringVar(&cfg.MaxQuarantine, "max-quarantine", "1%", "`limit` of records in quarantine: a share (10 are always allowed) or a count")
	f.BoolVar(&cfg.QuarantineRaw, "quarantine-raw", false, "keep quarantined records whole, long texts included")
	f.Var(&size{&cfg.MaxLine, 1}, "max-line", "longest record in `bytes`, such as 64MiB; longer ones are quarantined (default 256MiB)")
}

// idFlags say how ids are written.
func idFlags(f *pflag.FlagSet, cfg *usagelake.Config, rotate bool) {
	f.StringVar(&cfg.HashIDs, "hash-ids", "", "write ids of users, sessions, keys and requests as hashes under the key in `keyfile` (see docs/privacy.md)")
	if rotate {
		f.BoolVar(&cfg.HashIDsRotate, "hash-ids-rotate", false, "go on with another key than before: ids of before and after do not join")
	}
}

func pricesFlag(f *pflag.FlagSet, cfg *usagelake.Config) {
	f.StringArrayVar(&cfg.Prices, "prices", nil, "price `book` that cost_usd is computed by (repeatable; each lies over those before it)")
}

// inputFlags say what is read.
func inputFlags(f *pflag.FlagSet, cfg *usagelake.Config) {
	f.StringVar(&cfg.From, "from", "", "load only event dates from this `date` on (UTC, YYYY-MM-DD)")
	f.StringVar(&cfg.To, "to", "", "load only event dates before this `date` (UTC, YYYY-MM-DD)")
	f.BoolVar(&cfg.AllowEmpty, "allow-empty", false, "an INPUT that matches nothing is no error")
	f.Var(atLeast(&cfg.Buckets, 1, 0), "buckets", "`number` of files per partition, fixed when the lake is made (default 1)")
}

// daysFlags say which days of a lake are looked at.
func daysFlags(f *pflag.FlagSet, cfg *usagelake.Config) {
	f.StringVar(&cfg.From, "from", "", "first event `date` (UTC, YYYY-MM-DD)")
	f.StringVar(&cfg.To, "to", "", "event `date` behind the last one (UTC, YYYY-MM-DD)")
}

// runFlags say how the work is done.
func runFlags(f *pflag.FlagSet, cfg *usagelake.Config) {
	f.Var(atLeast(&cfg.MaxPartitions, 1, 400), "max-partitions", "`number` of new partitions that may be opened; more stop the run before publishing")
	f.Var(choose(&cfg.Codec, "zstd", "zstd", "snappy"), "codec", "`name` of the compression of Parquet files: zstd or snappy")
	workFlags(f, cfg)
}

// output says what is printed, and how.
type output struct {
	verbose bool
	json    bool
	drift   bool // unknown members are a failed check
	prints  bool // to print is what the command is for
}

func (out *output) flags(f *pflag.FlagSet) {
	f.BoolVarP(&out.verbose, "verbose", "v", false, "print the summary also where there is no terminal")
	f.BoolVar(&out.json, "json", false, "print a report with the books of every source as JSON")
}

func (out *output) driftFlag(f *pflag.FlagSet) {
	f.BoolVar(&out.drift, "fail-on-drift", false, "exit with 4 if usage objects hold members that are not known, or numbers that contradict what is known; what was loaded is published")
}

// run makes a change of a lake and prints what it did.
func (out *output) run(cmd *cobra.Command, cfg usagelake.Config, do func(context.Context, usagelake.Config) (*usagelake.Report, error), show func(io.Writer, *usagelake.Report)) error {
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	cfg.Log = logger(cmd)
	var bar *progress
	if isTerminal(stderr) && !out.json && !logsJSON(cmd) {
		bar = newProgress(stderr)
		cfg.Progress = bar.update
	}
	limitMemory(cfg.Memory)
	report, err := do(cmd.Context(), cfg)
	bar.finish()
	if err == nil {
		measureReport(cmd, report)
		if !out.prints {
			worked(cmd)
		}
	}
	if out.json {
		if e := writeJSON(stdout, report, err); err == nil {
			err = e
		}
	} else if err == nil && (out.verbose || isTerminal(stdout)) {
		show(stdout, report)
	}
	for _, p := range report.Problems {
		say(cmd, slog.LevelWarn, p, "run", report.Seq)
	}
	switch {
	case err != nil:
		return err
	case len(report.Problems) > 0:
		return errProblems
	case out.drift && len(report.Unknown)+len(report.Contradicts) > 0:
		say(cmd, slog.LevelWarn, "drift: usage has changed; what was loaded is published. -v or --json shows what, usagelake inspect FILE where", "run", report.Seq)
		return errCheck
	}
	return nil
}

// measureReport notes what a change of a lake did.
func measureReport(cmd *cobra.Command, r *usagelake.Report) {
	b := &r.Books
	measure(cmd, "records", b.Records)
	measure(cmd, "rows", b.Rows)
	measure(cmd, "report_rows", b.Reports)
	measure(cmd, "duplicates", b.Duplicates)
	measure(cmd, "quarantined", b.Quarantined)
	measure(cmd, "problems", len(r.Problems))
	measure(cmd, "read_bytes", r.BytesRead)
	measure(cmd, "written_bytes", r.Bytes)
	measureUnpriced(cmd, r.Unpriced)
	measureLake(cmd, r.Now)
}

func measureUnpriced(cmd *cobra.Command, list []usagelake.Unpriced) {
	var rows int64
	for _, u := range list {
		rows += u.Rows
	}
	measure(cmd, "unpriced_rows", rows)
}

func measureLake(cmd *cobra.Command, now *usagelake.Extent) {
	if now != nil {
		measure(cmd, "pending_sources", now.Pending)
		measure(cmd, "lake_rows", now.Rows)
		measure(cmd, "lake_bytes", now.Bytes)
		measure(cmd, "lake_partitions", now.Partitions)
	}
}

// besides is the memory that a run takes beside its budget, in bytes: blocks,
// tables, encoders.
const besides = 48 << 20

// growth is how much the heap may grow from one collection to the next, in percent,
// where the memory limit allows it: what a load begins with is small, and most of
// what it makes stays until its end.
const growth = 1000

// limitMemory lets the garbage collector keep the process near its budget. What is
// said outside (GOMEMLIMIT, GOGC) stays.
func limitMemory(budget int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(cmp.Or(budget, usagelake.DefaultMemory) + besides)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(growth)
	}
}

// writeJSON prints the report; a failed run says so in it.
func writeJSON(w io.Writer, report *usagelake.Report, err error) error {
	line := struct {
		*usagelake.Report
		Error string `json:"error,omitempty"`
	}{Report: report}
	if err != nil {
		line.Error = err.Error()
	}
	return printJSON(w, line)
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func isTerminal(w any) bool {
	if p, ok := w.(*printer); ok {
		w = p.Writer
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

const (
	leastMemory = 1 << 20
	mostBytes   = 64 << 40 // no machine has more
)

// size is a count of bytes as people write it: 1000000, 384MiB, 2G.
type size struct {
	n     *int64
	least int64
}

func (s *size) Type() string { return "size" }

func (s *size) String() string { return "" }

func (s *size) Set(text string) error {
	number := strings.TrimRight(text, "iBKMGTkmgtb")
	shift := map[string]int{"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40}
	unit := strings.ToLower(text[len(number):])
	unit = strings.TrimSuffix(strings.TrimSuffix(unit, "b"), "i")
	by, known := shift[unit]
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || !known || n <= 0 || n > mostBytes>>by {
		return fmt.Errorf("%q: want a size such as 384MiB", text)
	}
	if n <<= by; n < s.least {
		return fmt.Errorf("%q: want %s bytes or more, such as 384MiB", text, grouped(strconv.FormatInt(s.least, 10)))
	}
	*s.n = n
	return nil
}
