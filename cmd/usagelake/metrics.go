package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"usagelake"
	"usagelake/schemas/secret"
)

// A metrics file is in Prometheus' text format, for the textfile collector of
// node_exporter. Its series have the labels command and lake; those of other
// commands and lakes that the file has stay, so one file may do for all.

// metricNames are all metrics, with their meanings. A run writes those that it
// measured.
var metricNames = []struct{ name, help string }{
	{"build_info", "The program; always 1."},
	{"last_run_timestamp_seconds", "When the last run ended."},
	{"last_success_timestamp_seconds", "When the last run ended that had exit code 0 or 3."},
	{"exit_code", "Exit code of the last run."},
	{"duration_seconds", "How long the last run took."},
	{"records", "Records that the last run read."},
	{"rows", "Rows of calls that the last run took in or, by reprice, looked at."},
	{"changed_rows", "Rows whose cost the last run changed."},
	{"report_rows", "Rows of provider reports that the last run took in."},
	{"duplicates", "Rows that the last run left out as copies."},
	{"quarantined", "Records that the last run put into quarantine."},
	{"unpriced_rows", "Rows of the last run without a cost, although it had price books."},
	{"problems", "What the last run found that a person should look at."},
	{"read_bytes", "Bytes of input that the last run read, as on disk."},
	{"written_bytes", "Bytes of Parquet that the last run wrote."},
	{"pending_sources", "Sources in the lake with an unfinished tail."},
	{"lake_rows", "Rows of calls in the lake."},
	{"lake_bytes", "Bytes of Parquet in the lake."},
	{"lake_partitions", "Partitions of the lake's table of calls."},
}

// invocation is what is measured of a run. It is in the context of the command.
type invocation struct {
	start  time.Time
	begun  bool // the command line was read and a command is to run: not --help
	worked bool // it has done what it is for, but for printing that
	values map[string]float64
}

type invocationKey struct{}

// measured has an invocation to measure.
func measured(ctx context.Context) (context.Context, *invocation) {
	inv := &invocation{start: time.Now(), values: map[string]float64{}}
	return context.WithValue(ctx, invocationKey{}, inv), inv
}

// invoked is the invocation that a command runs in.
func invoked(cmd *cobra.Command) *invocation {
	inv, _ := cmd.Context().Value(invocationKey{}).(*invocation)
	return inv
}

// begin notes that a command runs.
func begin(cmd *cobra.Command) { invoked(cmd).begun = true }

// worked notes that a command has done what it is for: to print that is no part of
// it.
func worked(cmd *cobra.Command) { invoked(cmd).worked = true }

// measure notes a number for the metrics file. The name is one of metricNames.
func measure[N int | int64](cmd *cobra.Command, metric string, n N) {
	invoked(cmd).values[metric] = float64(n)
}

// begins is what a metrics file begins with.
const begins = "# HELP usagelake_"

// writeMetrics writes the metrics file of a run that ends with an exit code.
func writeMetrics(cmd *cobra.Command, inv *invocation, code int) error {
	path := cmd.Root().PersistentFlags().Lookup("metrics-file").Value.String()
	if path == "" {
		return nil
	}
	old, err := oldMetrics(path)
	if err != nil {
		return fmt.Errorf("--metrics-file: %w", err)
	}
	lake := ""
	if f := cmd.Flags().Lookup("lake"); f != nil && f.Value.String() != "" {
		if lake = secret.URLs(f.Value.String()); !usagelake.IsURL(lake) {
			if lake, err = filepath.Abs(lake); err != nil {
				return err
			}
		}
	}
	now := time.Now()
	values := maps.Clone(inv.values)
	values["build_info"] = 1
	values["last_run_timestamp_seconds"] = float64(now.UnixMilli()) / 1000
	values["duration_seconds"] = now.Sub(inv.start).Seconds()
	values["exit_code"] = float64(code)
	if code == exitOK || code == exitIncomplete {
		values["last_success_timestamp_seconds"] = values["last_run_timestamp_seconds"]
	}
	err = writeFile(path, func(w io.Writer) error { // beside it under a name that the collector does not take
		_, err := w.Write(metrics(old, name(cmd), lake, values))
		return err
	})
	if err != nil {
		return fmt.Errorf("--metrics-file: %w", err)
	}
	return nil
}

// oldMetrics is a metrics file that is there, or nothing. Of another file no more is
// read than its beginning: it may be a log of any size, or a pipe without an end.
func oldMetrics(path string) ([]byte, error) {
	if err := place(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	old := make([]byte, len(begins))
	switch n, err := io.ReadFull(f, old); {
	case err == io.EOF:
		return nil, nil
	case err != nil && err != io.ErrUnexpectedEOF:
		return nil, err
	case string(old[:n]) != begins:
		return nil, fmt.Errorf("%s is left as it is: it is no metrics file, which begins with %q; name another", path, begins)
	}
	rest, err := io.ReadAll(f)
	return append(old, rest...), err
}

var (
	series = regexp.MustCompile(`(?m)^usagelake_([a-z_]+)(\{command="(?:[^"\\\n]|\\.)*",lake="(?:[^"\\\n]|\\.)*")(,[^\n]*)?\} [-+0-9.eE]+$`)
	escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
)

// metrics is a metrics file: old, but with these values for a command and a lake.
// When it last succeeded is kept where values do not say it.
func metrics(old []byte, command, lake string, values map[string]float64) []byte {
	labels := fmt.Sprintf(`{command="%s",lake="%s"`, escape.Replace(command), escape.Replace(strings.ToValidUTF8(lake, "\uFFFD")))
	lines := map[string][]string{}
	for _, m := range series.FindAllSubmatch(old, -1) {
		metric, of := string(m[1]), string(m[2])
		_, again := values[metric]
		if of != labels || metric == "last_success_timestamp_seconds" && !again {
			lines[metric] = append(lines[metric], string(m[0]))
		}
	}
	var b bytes.Buffer
	for _, m := range metricNames {
		list := lines[m.name]
		if v, ok := values[m.name]; ok {
			further := ""
			if m.name == "build_info" {
				further = fmt.Sprintf(`,version="%s",goversion="%s"`, usagelake.Version, runtime.Version())
			}
			list = append(list, fmt.Sprintf("usagelake_%s%s%s} %s", m.name, labels, further, strconv.FormatFloat(v, 'f', -1, 64)))
		}
		if len(list) > 0 {
			fmt.Fprintf(&b, "# HELP usagelake_%s %s\n# TYPE usagelake_%[1]s gauge\n%[3]s\n", m.name, m.help, strings.Join(list, "\n"))
		}
	}
	return b.Bytes()
}
