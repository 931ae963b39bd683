package main

import (
	"github.com/spf13/pflag"

	"usagelake"
)

// loadFlags are the flags of usagelake load. What they mean is said there.
func loadFlags(f *pflag.FlagSet, cfg *usagelake.Config) {
	f.StringArrayVar(&cfg.Set, "set", nil, "`column=value` for a column that records leave empty (repeatable)")
	f.StringVar(&cfg.PathColumns, "path-columns", "", "take columns from paths below INPUT by a `pattern`")
	f.StringVar(&cfg.Map, "map", "", "`file` that says where columns stand in records of your own")
	f.StringArrayVar(&cfg.Prices, "prices", nil, "price `book` that cost_usd is computed by (repeatable)")
	f.StringVar(&cfg.EventTime, "event-time", "", "event `time` of records that have none of their own")
	f.BoolVar(&cfg.StrictTime, "strict-time", false, "quarantine records that have no event time of their own")
	f.StringVar(&cfg.TimeZone, "tz", "", "time `zone` of times that name none (default UTC)")
	f.StringVar(&cfg.MaxQuarantine, "max-quarantine", "1%", "`limit` of records in quarantine: a share or a count")
	f.BoolVar(&cfg.QuarantineRaw, "quarantine-raw", false, "keep quarantined records whole, long texts included")
	f.Int64Var(&cfg.MaxLine, "max-line", 256<<20, "longest record in `bytes`")
	f.StringVar(&cfg.HashIDs, "hash-ids", "", "write ids as hashes under the key in `keyfile`, at the same path on all workers")
	f.BoolVar(&cfg.HashIDsRotate, "hash-ids-rotate", false, "go on with another key than before")
	f.Int64Var(&cfg.Split, "split", 0, "`bytes` of inputs that are read at a time by one worker (default 268435456)")
	f.StringVar(&cfg.From, "from", "", "load only event dates from this `date` on (UTC, YYYY-MM-DD)")
	f.StringVar(&cfg.To, "to", "", "load only event dates before this `date` (UTC, YYYY-MM-DD)")
	f.BoolVar(&cfg.AllowEmpty, "allow-empty", false, "an INPUT that matches nothing is no error")
	f.IntVar(&cfg.Buckets, "buckets", 0, "`number` of files per partition, fixed when the lake is made (default 1)")
	f.IntVar(&cfg.MaxPartitions, "max-partitions", 400, "`number` of new partitions that may be opened")
	f.StringVar(&cfg.Codec, "codec", "zstd", "`name` of the compression of Parquet files: zstd or snappy")
	f.IntVar(&cfg.Jobs, "jobs", 0, "`number` of CPUs that a worker uses (default all)")
	f.Int64Var(&cfg.Memory, "memory", usagelake.DefaultMemory, "budget of a worker for rows, in `bytes`")
	f.DurationVar(&cfg.LockWait, "lock-wait", 0, "how long to wait for another run that has the lake, such as 10m")
}
