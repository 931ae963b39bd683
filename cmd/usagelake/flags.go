package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"usagelake"
)

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
		return &usageError{fmt.Errorf("%s needs at least one INPUT; usagelake %[1]s --help tells more", name(cmd))}
	}
	return nil
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return &usageError{fmt.Errorf("%s takes no arguments; %s --help tells more", cmd.CommandPath(), cmd.CommandPath())}
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

// workFlags say with what a run does its work.
func workFlags(f *pflag.FlagSet, cfg *usagelake.Config) {
	f.Var(atLeast(&cfg.Jobs, 0, 0), "jobs", "`number` of workers (default one per CPU, at most 256)")
	f.Var(&size{&cfg.Memory, leastMemory}, "memory", "`budget` for rows in memory, such as 256MiB or 2GiB; beyond it scratch files are used (default 384MiB)")
	f.Var(&wait{&cfg.LockWait}, "lock-wait", "how long to wait for another run that has the lake, such as 10m")
}
