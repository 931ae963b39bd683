// Command steps loads logs in steps, by several processes at a time, as the arrays of a
// scheduler would:
//
//	steps USAGELAKE WORKERS IN LAKE
//
// Each worker has one job, so that as many cores work as there are workers.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "steps:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 4 {
		return errors.New("want USAGELAKE WORKERS IN LAKE")
	}
	program, in, lake := args[0], args[2], args[3]
	workers, err := strconv.Atoi(args[1])
	if err != nil || workers < 1 {
		return fmt.Errorf("%q: want a number of workers", args[1])
	}
	step := func(args ...string) error {
		cmd := exec.Command(program, append(append([]string{"step"}, args...), "--lake", lake, "--run", "bench")...)
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("step %s: %w: %s", args[0], err, out)
		}
		return nil
	}
	all := func(name string) error {
		failed := make([]error, workers)
		var at sync.WaitGroup
		for i := range workers {
			at.Go(func() { failed[i] = step(name, "--shard", fmt.Sprintf("%d/%d", i, workers)) })
		}
		at.Wait()
		return errors.Join(failed...)
	}
	if err := step("plan", in, "--split", "64MiB"); err != nil {
		return err
	}
	if err := all("map"); err != nil {
		return err
	}
	if err := all("reduce"); err != nil {
		return err
	}
	return step("commit")
}
