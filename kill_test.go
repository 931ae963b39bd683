package usagelake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/xxh3"

	"usagelake/schemas"
	"usagelake/sink"
)

// program builds the command.
//
// A test that starts programs is not parallel: until a child has become the
// program it holds all that is open here, the locks of lakes among it.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "usagelake")
	if out, err := exec.Command("go", "build", "-o", path, "./cmd/usagelake").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// A step of a lake's life is one command, without --lake.
type step struct {
	name string
	args []string
}

// life writes logs of some days and lists what is done with them: a first load,
// one that merges into all days, opens one and sets records aside, a log that
// goes on, a replay, and a source to be forgotten.
func life(t *testing.T, dir string) []step {
	rnd := rand.New(rand.NewPCG(5, 6))
	const days, calls = 3, 600
	at := func(days int) int64 { return day.Unix() + rnd.Int64N(int64(days)*86_400) }
	text := func(n int, each func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(each(i))
		}
		return b.String()
	}
	times := make([]int64, calls)
	first := text(calls, func(i int) string {
		times[i] = at(days)
		return call(fmt.Sprint("first", i), times[i], i, 1)
	})
	grows := text(calls, func(i int) string { return call(fmt.Sprint("grows", i), at(days), 1, i) })
	more := text(calls/2, func(i int) string { return call(fmt.Sprint("more", i), at(days), 2, i) })
	better := text(calls, func(i int) string {
		switch {
		case i%200 == 7:
			return "{\"broken\":\n"
		case i%200 == 9:
			return fmt.Sprintf(`{"request_id":"aside%d","model":"m","prompt_tokens":1,"completion_tokens":2}`+"\n", i)
		case i%3 == 0: // a copy, every other time the more complete one
			return call(fmt.Sprint("first", i), times[i], i, i%2*2)
		}
		return call(fmt.Sprint("better", i), at(days+1), 3, i)
	})
	other := text(calls, func(i int) string { return call(fmt.Sprint("other", i), at(days), 4, i) })

	in := func(name, text string) { write(t, filepath.Join(dir, name), text) }
	in("1/first.jsonl", first)
	in("1/grows.jsonl", grows+more[:60]) // in the midst of a record
	in("2/better.jsonl", better)
	in("2/other.jsonl", other)
	in("3/grows.jsonl", grows+more)
	return []step{
		{"first load", []string{"load", filepath.Join(dir, "1")}},
		{"merge", []string{"load", filepath.Join(dir, "2"), "--strict-time"}},
		{"growing log", []string{"load", filepath.Join(dir, "3")}},
		{"replay", []string{"replay", "--event-time", "2026-08-20T12:00:00Z"}},
		{"forget", []string{"forget", "better.jsonl"}},
	}
}

// published is what stands below a lake for people to see, by path: the table's
// files and those of the quarantine, and the names of the ledger's records.
type published map[string]content

type content struct {
	Sum  uint64
	Rows int64 // of files of the table
}

func publishedIn(t *testing.T, lake string) published {
	t.Helper()
	out := published{}
	for _, dir := range []string{"usage", "quarantine", "state/ledger"} {
		err := filepath.WalkDir(filepath.Join(lake, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name, _ := filepath.Rel(lake, path)
			switch {
			case d.IsDir():
				out[name+"/"] = content{}
			case dir == "state/ledger": // records hold the time
				out[name] = content{}
			default:
				out[name], err = contentOf(path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// contentOf reads a file as others do: a table's file row by row.
func contentOf(path string) (c content, err error) {
	f, err := os.Open(path)
	if err != nil {
		return c, err
	}
	defer f.Close()
	if strings.HasSuffix(path, ".parquet") {
		info, err := f.Stat()
		if err != nil {
			return c, err
		}
		in, err := sink.OpenRows(f, info.Size(), schemas.Usage, memory.DefaultAllocator, &sink.Sources{}, schemas.EventTime, schemas.InputTokens)
		if err != nil {
			return c, err
		}
		defer in.Close()
		for {
			b, err := in.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return c, err
			}
			c.Rows += int64(b.Len())
			b.Release()
		}
	}
	h := xxh3.New()
	_, err = io.Copy(h, io.NewSectionReader(f, 0, 1<<40))
	c.Sum = h.Sum64()
	return c, err
}

// A watcher reads a lake's table in a loop, as a query does at any time.
type watcher struct {
	lake   string
	states []published  // before the first step, and after each
	now    atomic.Int64 // the step under way, from 1
	seen   int          // files read
	wrong  []string
}

// watch reads until ctx ends. A file is the one before or after a step that was
// under way meanwhile; one that is there before and after is always there.
func (w *watcher) watch(ctx context.Context) {
	paths := map[string]bool{}
	for _, s := range w.states {
		for path := range s {
			if strings.HasSuffix(path, ".parquet") {
				paths[path] = true
			}
		}
	}
	for ctx.Err() == nil {
		for path := range paths {
			from := w.now.Load()
			got, err := contentOf(filepath.Join(w.lake, path))
			may := w.states[from-1 : w.now.Load()+1]
			switch {
			case errors.Is(err, fs.ErrNotExist):
				if !slices.ContainsFunc(may, func(s published) bool { _, ok := s[path]; return !ok }) {
					w.wrong = append(w.wrong, fmt.Sprintf("step %d: %s is not there", from, path))
				}
			case err != nil:
				w.wrong = append(w.wrong, fmt.Sprintf("step %d: %s: %v", from, path, err))
			default:
				w.seen++
				if !slices.ContainsFunc(may, func(s published) bool { return s[path] == got }) {
					w.wrong = append(w.wrong, fmt.Sprintf("step %d: %s has %d rows, want one of %v", from, path, got.Rows, may))
				}
			}
		}
		names, _ := filepath.Glob(filepath.Join(w.lake, "usage", "*", "*"))
		for _, name := range names {
			if rel, _ := filepath.Rel(w.lake, name); !paths[rel] {
				w.wrong = append(w.wrong, rel+" does not belong into the table")
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// TestKill kills the program at any moment of its work, again and again, and
// repeats the same command until it is done. In the end the lake is what it is
// without kills, to the byte, every change was made once, and verify finds
// nothing. Meanwhile a reader sees only whole files, as before or as after.
func TestKill(t *testing.T) {
	kills := 25
	switch {
	case *long:
		kills = 1000
	case testing.Short():
		kills = 20
	}
	dir := t.TempDir()
	binary := program(t)
	steps := life(t, filepath.Join(dir, "in"))

	reference := filepath.Join(dir, "reference")
	states := []published{{}}
	takes := make([]time.Duration, len(steps)) // undisturbed
	for i, s := range steps {
		start := time.Now()
		if out, err := exec.Command(binary, append(s.args, "--lake", reference)...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", s.name, err, out)
		}
		takes[i] = time.Since(start)
		states = append(states, publishedIn(t, reference))
		if maps.Equal(states[i], states[i+1]) {
			t.Fatalf("%s changes nothing", s.name)
		}
	}
	t.Logf("undisturbed the steps take %v", takes)

	var tried, landed, begun, rounds, seen int
	for ; landed < kills; rounds++ {
		rnd := rand.New(rand.NewPCG(1, uint64(rounds)))
		lake := filepath.Join(dir, fmt.Sprint("lake", rounds))
		w := &watcher{lake: lake, states: states}
		w.now.Store(1)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.watch(ctx)
		}()
		flags := [][]string{nil, {"--memory", "1MiB"}, {"--memory", "1MiB", "--jobs", "1"}}[rounds%3]
		for i, s := range steps {
			w.now.Store(int64(i + 1))
			args := slices.Concat(s.args, flags, []string{"--lake", lake})
			at := fmt.Sprintf("round %d, %s", rounds, s.name)
			for left := 1 + rnd.IntN(9); ; left-- {
				intent := filepath.Join(lake, "state", fmt.Sprintf("intent-%09d.json", i+1))
				p := start(t, binary, args...)
				switch {
				case left <= 0:
				case rnd.IntN(4) == 0: // to hit the moment that matters most
					p.await(intent)
					p.kill(time.Duration(rnd.Int64N(int64(5 * time.Millisecond))))
					tried++
				default:
					p.kill(time.Duration(rnd.Int64N(int64(takes[i]))))
					tried++
				}
				killed, took, err := p.wait()
				if killed && left > 0 {
					landed++
					if _, err := os.Stat(intent); err == nil {
						begun++
					}
					continue
				}
				// what was forgotten before the kill is unknown
				if err != nil && !(s.name == "forget" && strings.Contains(err.Error(), "no source")) {
					t.Fatalf("%s: %v", at, err)
				}
				if left <= 0 && err == nil {
					takes[i] = (3*takes[i] + took) / 4 // the machine may have other work
				}
				break
			}
			if d := cmp.Diff(states[i+1], publishedIn(t, lake)); d != "" {
				t.Errorf("%s: -without kills +with\n%s", at, d)
			}
			if _, _, err := start(t, binary, "verify", "--lake", lake).wait(); err != nil {
				t.Errorf("%s: verify: %v", at, err)
			}
			if names, _ := filepath.Glob(filepath.Join(lake, "state", "staging", "*")); len(names) > 0 {
				t.Errorf("%s: %v are left", at, names)
			}
		}
		cancel()
		<-ended
		seen += w.seen
		for _, text := range w.wrong[:min(len(w.wrong), 10)] {
			t.Errorf("round %d: a reader: %s", rounds, text)
		}
		if t.Failed() {
			t.FailNow()
		}
		if err := os.RemoveAll(lake); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d kills landed in a run, %d of them amidst publishing; %d rounds of %d steps; a reader read %d files; 0 violations",
		landed, tried, begun, rounds, len(steps), seen)
}

// process is the program at work.
type process struct {
	cmd   *exec.Cmd
	out   bytes.Buffer
	since time.Time
	ended chan struct{}
	err   error
}

// start starts the program. It does not outlive the test.
func start(t *testing.T, program string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.CommandContext(t.Context(), program, args...), since: time.Now(), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
	}()
	return p
}

// await returns when there is a file, or the process has ended.
func (p *process) await(path string) {
	for {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-p.ended:
			return
		case <-time.After(100 * time.Microsecond):
		}
	}
}

// kill kills the process after some time, unless it has ended.
func (p *process) kill(after time.Duration) {
	select {
	case <-p.ended:
	case <-time.After(after):
		_ = p.cmd.Process.Kill()
	}
}

func (p *process) wait() (killed bool, took time.Duration, err error) {
	<-p.ended
	if err = p.err; err != nil {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(p.out.String()))
	}
	return p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled(), time.Since(p.since), err
}
