package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"usagelake"
)

func loadCommand() *cobra.Command {
	var (
		cfg     usagelake.Config
		verbose bool
		asJSON  bool
		format  string
	)
	cmd := &cobra.Command{
		Use:   "load INPUT... --lake DIR",
		Short: "Load usage logs into a lake",
		Long: `Load usage logs into a lake.

INPUT is a file, a directory (read recursively), a glob in quotes, or - for
standard input: JSON lines, plain, .gz or .zst, recognised by content. What was
loaded before is known by its bytes and skipped, so loading twice is harmless.
The table is in DIR/usage, records that could not be read are in DIR/quarantine.

On a terminal a summary is printed; elsewhere a load that goes well is silent.

` + exitCodes,
		Example: `  usagelake load logs/ --lake ./lake
  usagelake load 'exports/**/*.jsonl.gz' --lake ./lake --set provider=openai
  zcat big.jsonl.gz | usagelake load - --lake ./lake --event-time 2026-08-21`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{errors.New("load needs at least one INPUT; usagelake load --help tells more")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.Inputs = args
			return runLoad(cmd, cfg, output{verbose, asJSON, format})
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&cfg.Lake, "lake", "", "`directory` of the lake; made where it is missing")
	f.StringArrayVar(&cfg.Set, "set", nil, "`column=value` for a column that records leave empty, such as model=gpt-image-1 (repeatable)")
	f.StringVar(&cfg.PathColumns, "path-columns", "", "take columns from paths below INPUT by a `pattern`, such as '{project_id}/{date}/*.jsonl'")
	f.StringVar(&cfg.EventTime, "event-time", "", "event `time` of records that have none of their own")
	f.BoolVar(&cfg.StrictTime, "strict-time", false, "quarantine records that have no event time of their own")
	f.StringVar(&cfg.TimeZone, "tz", "", "time `zone` of times that name none, such as Europe/Berlin (default UTC)")
	f.StringVar(&cfg.From, "from", "", "load only event dates from this `date` on (UTC, YYYY-MM-DD)")
	f.StringVar(&cfg.To, "to", "", "load only event dates before this `date` (UTC, YYYY-MM-DD)")
	f.IntVar(&cfg.MaxPartitions, "max-partitions", 400, "`number` of new partitions that the load may open; more stop it before publishing")
	f.StringVar(&cfg.MaxQuarantine, "max-quarantine", "1%", "`limit` of records in quarantine: a share (10 are always allowed) or a count")
	f.BoolVar(&cfg.QuarantineRaw, "quarantine-raw", false, "keep quarantined records whole, long texts included")
	f.Int64Var(&cfg.MaxLine, "max-line", 256<<20, "longest record in `bytes`; longer ones are quarantined")
	f.BoolVar(&cfg.AllowEmpty, "allow-empty", false, "an INPUT that matches nothing is no error")
	f.IntVar(&cfg.Buckets, "buckets", 0, "`number` of files per partition, fixed when the lake is made (default 1)")
	f.StringVar(&cfg.Codec, "codec", "zstd", "`name` of the compression of Parquet files: zstd or snappy")
	f.IntVar(&cfg.Jobs, "jobs", 0, "`number` of workers (default one per CPU)")
	f.Var(&size{&cfg.Memory}, "memory", "`budget` for rows in memory, such as 256MiB or 2GiB; beyond it scratch files are used (default 384MiB)")
	f.DurationVar(&cfg.LockWait, "lock-wait", 0, "how long to wait for another run that has the lake, such as 10m")
	f.BoolVarP(&verbose, "verbose", "v", false, "print the summary also where there is no terminal")
	f.BoolVar(&asJSON, "json", false, "print a report with the books of every source as JSON")
	f.StringVar(&format, "log-format", "text", "`format` of warnings on standard error: text or json")
	return cmd
}

type output struct {
	verbose bool
	json    bool
	format  string
}

func runLoad(cmd *cobra.Command, cfg usagelake.Config, out output) error {
	stdout, stderr := cmd.OutOrStdout(), cmd.ErrOrStderr()
	switch out.format {
	case "text":
		cfg.Log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	case "json":
		cfg.Log = slog.New(slog.NewJSONHandler(stderr, nil))
	default:
		return &usageError{fmt.Errorf("--log-format %q: want text or json", out.format)}
	}
	var bar *progress
	if isTerminal(stderr) && !out.json {
		bar = newProgress(stderr)
		cfg.Progress = bar.update
	}
	report, err := usagelake.Load(cmd.Context(), cfg)
	bar.finish()
	if out.json {
		if e := writeJSON(stdout, report, err); e != nil && err == nil {
			err = e
		}
	} else if err == nil && (out.verbose || isTerminal(stdout)) {
		summary(stdout, report)
	}
	for _, p := range report.Problems {
		if out.format == "json" {
			cfg.Log.Warn(p)
		} else {
			fmt.Fprintf(stderr, "usagelake: %s\n", p)
		}
	}
	if err == nil && len(report.Problems) > 0 {
		return errProblems
	}
	return err
}

// withoutTime leaves the time to cron and journald.
func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
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
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// size is a count of bytes as people write it: 1000000, 384MiB, 2G.
type size struct{ n *int64 }

func (s *size) Type() string { return "size" }

func (s *size) String() string { return "" }

func (s *size) Set(text string) error {
	number := strings.TrimRight(text, "iBKMGTkmgtb")
	shift := map[string]int{"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40}
	unit := strings.ToLower(text[len(number):])
	unit = strings.TrimSuffix(strings.TrimSuffix(unit, "b"), "i")
	by, known := shift[unit]
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || !known || n <= 0 || n > math.MaxInt64>>by {
		return fmt.Errorf("%q: want a size such as 384MiB", text)
	}
	*s.n = n << by
	return nil
}
