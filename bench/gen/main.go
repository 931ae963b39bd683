// Command gen writes invented usage logs and prints, as JSON, what it wrote:
//
//	go run ./gen -workload slim -lines 2000000 -days 8 -out DIR
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"time"

	"usagelake/bench/logs"
)

func main() {
	if err := run(); err != nil {
		slog.Error("generate", "error", err)
		os.Exit(1)
	}
}

func run() error {
	var s logs.Spec
	flag.StringVar(&s.Workload, "workload", "slim", "slim, chat or image")
	flag.IntVar(&s.Lines, "lines", 2_000_000, "number of lines")
	flag.IntVar(&s.Files, "files", 1, "number of files that hold them")
	flag.IntVar(&s.Days, "days", 8, "number of days that they are spread over, 1 to 400")
	start := flag.String("start", "2026-08-01", "first day")
	flag.StringVar(&s.Compress, "compress", "none", "none, gz or zst")
	flag.Uint64Var(&s.Seed, "seed", 1, "the same seed gives the same bytes")
	flag.BoolVar(&s.Interleave, "interleave", false, "days alternate, so that each file holds them all, instead of following each other")
	flag.BoolVar(&s.Envelope, "envelope", false, "time in an envelope's timestamp instead of the body's created")
	flag.BoolVar(&s.Dated, "dated", false, "file names hold a date")
	flag.Float64Var(&s.Copies, "copies", 0, "share of lines that repeat an earlier call with fewer output tokens")
	out := flag.String("out", "", "directory to write to, empty or missing")
	flag.Parse()
	if *out == "" || flag.NArg() > 0 {
		flag.Usage()
		return fmt.Errorf("want -out DIR and no arguments")
	}
	var err error
	if s.Start, err = time.Parse(time.DateOnly, *start); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	written, err := logs.Write(s, *out)
	if err != nil {
		return err
	}
	text := json.NewEncoder(os.Stdout)
	text.SetIndent("", "  ")
	return text.Encode(written)
}
