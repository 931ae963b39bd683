package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// usage is what a process took. The kernel says so when the process ends.
type usage struct {
	wall, cpu time.Duration
	rss       int64 // peak, bytes
}

// measure runs a command and returns its usage and standard output. Its error
// holds the end of what the command wrote to standard error.
//
// A child's peak memory begins with that of the process that starts it, so
// this one stays small: logs are generated in another process.
func measure(cmd *exec.Cmd) (usage, string, error) {
	var out, failure bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failure
	syscall.Sync() // nobody pays for what others left to be written
	start := time.Now()
	err := cmd.Run()
	u := usage{wall: time.Since(start)}
	if err != nil {
		text := strings.Join(strings.Fields(failure.String()), " ")
		return u, "", fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, text[max(0, len(text)-600):])
	}
	u.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.rss = r.Maxrss
		if runtime.GOOS != "darwin" { // bytes there, KiB elsewhere
			u.rss <<= 10
		}
	}
	return u, out.String(), nil
}

// middle is the median wall and CPU time and the largest memory.
func middle(all []usage) usage {
	var u usage
	var walls, cpus []time.Duration
	for _, one := range all {
		walls, cpus = append(walls, one.wall), append(cpus, one.cpu)
		u.rss = max(u.rss, one.rss)
	}
	u.wall, u.cpu = median(walls), median(cpus)
	return u
}

// median is that of the values, which it sorts, or 0 of none.
func median[T time.Duration | float64](values []T) T {
	n := len(values)
	if n == 0 {
		return 0
	}
	slices.Sort(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// warm reads a directory's files into the page cache.
func warm(dir string) error {
	buffer := make([]byte, 1<<20)
	return walk(dir, func(path string, _ int64) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		for {
			if _, err := f.Read(buffer); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
		}
	})
}

// walk calls do for every file below dir, with its size.
func walk(dir string, do func(path string, size int64) error) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return do(path, info.Size())
	})
}
