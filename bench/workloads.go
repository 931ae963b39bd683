package main

import (
	"fmt"
	"time"

	"usagelake/bench/logs"
)

// A workload is a few trials that are measured in turn, round by round, and
// what they are held to.
type workload struct {
	name   string
	doc    string
	trials []trial
	floors []floor
	times  int // runs of a trial in a round, for short ones; 0 is 1
}

// A trial is one process: an engine reads logs and writes a table.
type trial struct {
	name   string
	engine string    // usagelake, duckdb, clickhouse or bare
	data   logs.Spec // without lines: the engine only says its version
	// onto: into what the trial before it left, instead of an empty directory.
	onto bool
	// workers, unless 0: in steps, by so many processes at a time.
	workers int
}

// A floor is a bound on what was measured.
type floor struct {
	text    string
	limit   float64
	atLeast bool // otherwise at most
	unit    string
	// value returns what was measured, and false where a part of it is missing.
	value func(results) (float64, bool)
	// bare is the value if usagelake did no more than bare does; nil where that
	// is not measured.
	bare func(results) (float64, bool)
}

// results are a workload's outcomes by the name of the trial.
type results map[string]*outcome

// outcome is what a trial came to.
type outcome struct {
	usage                   // median; of peers without their start
	rounds  []time.Duration // wall time of each, of peers without their start
	start   usage           // of peers: what was taken off
	rows    int64           // that were counted where checked
	bytes   int64           // of Parquet
	read    int64           // bytes of the logs, not compressed
	checked bool            // rows and sums are those of the logs
	err     error           // why there is nothing
}

const (
	mib    = 1 << 20
	budget = 384 // MiB, usagelake's default --memory
)

func (f *floor) holds(v float64) bool {
	if f.atLeast {
		return v >= f.limit
	}
	return v <= f.limit
}

// faster: usagelake takes less time than the faster peer, by a factor.
func faster(limit float64) floor {
	than := func(engine string) func(results) (float64, bool) {
		return func(r results) (float64, bool) {
			own, best := r[engine], (*outcome)(nil)
			for _, peer := range peerNames {
				if p := r[peer]; p.good() && (best == nil || p.wall < best.wall) {
					best = p
				}
			}
			if !own.good() || best == nil {
				return 0, false
			}
			return best.over(own), true
		}
	}
	return floor{
		text: "time of the faster peer / usagelake's", limit: limit, atLeast: true, unit: "x",
		value: than("usagelake"), bare: than(bare),
	}
}

// memory: a trial's peak memory is bounded.
func memory(trial string, limit float64) floor {
	return floor{
		text: "peak memory of " + trial, limit: limit, unit: " MiB",
		value: func(r results) (float64, bool) {
			o := r[trial]
			if !o.good() {
				return 0, false
			}
			return float64(o.rss) / mib, true
		},
	}
}

// within: a trial takes at most limit times as long as another.
func within(trial, other string, limit float64) floor {
	return floor{
		text: fmt.Sprintf("time of %s / of %s", trial, other), limit: limit, unit: "x",
		value: func(r results) (float64, bool) {
			a, b := r[trial], r[other]
			if !a.good() || !b.good() {
				return 0, false
			}
			return a.over(b), true
		},
	}
}

// aboveBare says what within would come to if a trial took as much longer than the
// other as bare does for the logs of the one than for those of the other.
func (f floor) aboveBare(trial, other string) floor {
	time := f.value
	f.bare = func(r results) (float64, bool) {
		a, b, c := r[bare+", "+trial], r[bare+", "+other], r[other]
		if _, ok := time(r); !ok || !a.good() || !b.good() {
			return 0, false
		}
		var ratios []float64
		for i := range min(len(a.rounds), len(b.rounds), len(c.rounds)) {
			ratios = append(ratios, float64(c.rounds[i]+a.rounds[i]-b.rounds[i])/float64(c.rounds[i]))
		}
		return median(ratios), true
	}
	return f
}

// perByte: a trial takes at most limit times as long as another for a byte of
// logs.
func perByte(trial, other string, limit float64) floor {
	f := within(trial, other, limit)
	f.text = fmt.Sprintf("time a byte of %s / of %s", trial, other)
	time := f.value
	f.value = func(r results) (float64, bool) {
		v, ok := time(r)
		if !ok {
			return 0, false
		}
		return v * float64(r[other].read) / float64(r[trial].read), true
	}
	return f
}

// below: a trial takes at most so many milliseconds.
func below(trial string, limit float64) floor {
	return floor{
		text: "time of " + trial, limit: limit, unit: " ms",
		value: func(r results) (float64, bool) {
			o := r[trial]
			if !o.good() {
				return 0, false
			}
			return float64(o.wall) / 1e6, true
		},
	}
}

func (o *outcome) good() bool { return o != nil && o.err == nil }

// over is how many times as long o takes as p: the median of the rounds' ratios,
// so that a machine that is slow for a while is so for both.
func (o *outcome) over(p *outcome) float64 {
	var ratios []float64
	for i := range min(len(o.rounds), len(p.rounds)) {
		ratios = append(ratios, float64(o.rounds[i])/float64(p.rounds[i]))
	}
	return median(ratios)
}

// workloads are all of them, in the order of the table. scale multiplies the
// lines and files of the large ones, not the days.
func workloads(scale float64) []workload {
	scaled := func(n int) int { return max(10, int(float64(n)*scale)) }
	spec := func(kind string, lines, files, days int) logs.Spec {
		return logs.Spec{
			Workload: kind, Lines: lines, Files: min(files, lines), Days: days, Seed: 1, Compress: "none",
			Start: time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC),
		}
	}
	slim := spec("slim", scaled(2_000_000), 1, 8)
	packed := func(how string) logs.Spec {
		s := slim
		s.Compress = how
		return s
	}
	race := func(name, doc string, data logs.Spec, ratio, rss float64) workload {
		w := workload{name: name, doc: doc, floors: []floor{faster(ratio), memory("usagelake", rss)}}
		for _, engine := range append([]string{"usagelake", bare}, peerNames...) {
			w.trials = append(w.trials, trial{name: engine, engine: engine, data: data})
		}
		return w
	}
	own := func(name string, data logs.Spec) trial { return trial{name: name, engine: "usagelake", data: data} }
	// pair is two trials by usagelake, and what bare takes for the logs of each.
	pair := func(a, b string, of, to logs.Spec) []trial {
		return []trial{
			own(a, of),
			{name: bare + ", " + a, engine: bare, data: of},
			own(b, to),
			{name: bare + ", " + b, engine: bare, data: to},
		}
	}
	onto := func(name string, data logs.Spec) trial {
		return trial{name: name, engine: "usagelake", data: data, onto: true}
	}
	wholeDay := spec("slim", slim.Lines, 1, 1)
	late := spec("slim", scaled(1000), 1, 1)
	late.Seed = 2
	manyDays := spec("slim", scaled(100_000), 1, 400)

	ten := func(name, doc string, days int) workload {
		return workload{
			name: name, doc: doc,
			trials: []trial{own("slim", slim), own("ten times", spec("slim", 10*slim.Lines, 1, days))},
			floors: []floor{perByte("ten times", "slim", 1.2), memory("ten times", budget+128)},
		}
	}
	inSteps := func(workers int) trial {
		return trial{name: fmt.Sprintf("workers: %d", workers), engine: "usagelake", data: slim, workers: workers}
	}

	return []workload{
		// First: a file system is slow to make files for minutes after many were
		// removed, as those of a workload are at its end.
		{
			name: "files", doc: "100,000 lines in 10,000 files",
			trials: pair("one file", "many files",
				spec("slim", scaled(100_000), 1, 8), spec("slim", scaled(100_000), scaled(10_000), 8)),
			floors: []floor{within("many files", "one file", 2).aboveBare("many files", "one file"), memory("many files", budget+128)},
		},
		{
			name: "days", doc: "100,000 lines in 400 partitions",
			trials: pair("8 days", "400 days", spec("slim", manyDays.Lines, 1, 8), manyDays),
			floors: []floor{within("400 days", "8 days", 2).aboveBare("400 days", "8 days"), memory("400 days", budget+128)},
		},
		race("slim", "usage with every detail, no content, 8 days", slim, 1.5, 512),
		race("chat", "chat completions with their content", spec("chat", scaled(500_000), 1, 8), 2.5, 384),
		race("image", "images responses with their payload", spec("image", scaled(1500), 1, 8), 2, 384),
		race("slim-gz", "slim as one .gz", packed("gz"), 1.5, 512),
		race("slim-zst", "slim as one .zst", packed("zst"), 1.5, 512),
		// Apart, for the page cache does not hold the logs of both.
		ten("big-days", "ten times slim, over 80 days", 80),
		ten("big-day", "ten times slim, in one day", 1),
		{
			name: "mixed", doc: "twelve dialects in one file",
			trials: []trial{own("slim", slim), own("mixed", spec("mixed", scaled(2_000_000), 1, 8))},
			floors: []floor{memory("mixed", 512)},
		},
		{
			name: "late", doc: "1,000 rows into a day of 2 million",
			trials: []trial{own("the day", wholeDay), onto("late file", late)},
			floors: []floor{within("late file", "the day", 1.2), memory("late file", budget+128)},
		},
		{
			name: "reload", doc: "400 days that are known",
			trials: []trial{own("400 days", manyDays), onto("again", manyDays)},
			floors: []floor{below("again", 1000)},
		},
		{
			name: "steps", doc: "slim by 1, 2 and 4 processes of one core",
			trials: []trial{own("one load", slim), inSteps(1), inSteps(2), inSteps(4)},
			floors: []floor{within("workers: 2", "workers: 1", 0.75), memory("workers: 4", budget+128)},
		},
		{
			name: "start", doc: "what a run costs at least", times: 5,
			trials: []trial{own("--version", logs.Spec{}), own("ten lines", spec("slim", 10, 1, 1))},
			floors: []floor{below("--version", 30), below("ten lines", 150)},
		},
	}
}
