package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"usagelake"
)

// A Job is what a worker must know of a run. It travels with the pipeline; all
// else is in the run's plan, in the lake.
type Job struct {
	Lake     string
	ID       string
	HashIDs  string // path of the key's file, on every worker
	LockWait time.Duration
	Pieces   int   // that the units are reduced in
	Jobs     int   // CPUs that a worker uses
	Memory   int64 // budget of a worker, in bytes
}

func (j Job) config() usagelake.Config {
	return usagelake.Config{Lake: j.Lake, HashIDs: j.HashIDs, LockWait: j.LockWait, Jobs: j.Jobs, Memory: j.Memory, Log: slog.Default()}
}

// run is a *usagelake.Run.
type run interface {
	Done() int64
	Maps() int
	Map(ctx context.Context, items ...int) ([]string, error)
	Units(ctx context.Context) ([]string, error)
	Reduce(ctx context.Context, units ...string) error
	Commit(ctx context.Context) (*usagelake.Report, error)
}

// shared is a run that all functions of a process use, one at a time: a runner
// may start as many of them as it likes in one worker, whose memory is still
// the budget of one run.
type shared struct {
	job   Job
	run   run
	users int           // guarded by opened
	turn  chan struct{} // holds a token while nobody uses the run
}

var opened = struct {
	sync.Mutex
	runs map[Job]*shared
}{runs: map[Job]*shared{}}

// share opens the run of a job, or hands out the one that is open. Each call
// wants a close.
func share(ctx context.Context, job Job) (*shared, error) {
	opened.Lock()
	defer opened.Unlock()
	s := opened.runs[job]
	if s == nil {
		limitMemory(job.Memory)
		r, err := openRun(ctx, job.config(), job.ID)
		if err != nil {
			return nil, err
		}
		s = &shared{job: job, run: r, turn: make(chan struct{}, 1)}
		s.turn <- struct{}{}
		opened.runs[job] = s
	}
	s.users++
	return s, nil
}

// do calls f when it is its turn.
func (s *shared) do(ctx context.Context, f func(run) error) error {
	select {
	case <-s.turn:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { s.turn <- struct{}{} }()
	return f(s.run)
}

// close ends the run with its last user. A nil shared was never opened.
func (s *shared) close() error {
	if s == nil {
		return nil
	}
	opened.Lock()
	defer opened.Unlock()
	if s.users--; s.users > 0 {
		return nil
	}
	delete(opened.runs, s.job)
	return nil
}
