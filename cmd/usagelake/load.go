package main

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"usagelake"
	"usagelake/schemas/secret"
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
		line.Error = secret.URLs(err.Error())
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
