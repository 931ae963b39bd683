package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"usagelake"
)

// Inputs that beam/run sets, in place of the small ones.
const (
	envLogs  = "USAGELAKE_BEAM_LOGS"
	envSplit = "USAGELAKE_BEAM_SPLIT" // bytes of inputs in an item
)

// A place is where functions run: a runner, and workers.
type place struct {
	// args gives the flags of Beam for workers with these variables.
	args func(t *testing.T, env []string) []string
	// alone: a killed worker is a killed program.
	alone bool
	// hangs: the runner waits for a killed worker for ever.
	hangs bool
	// lasting: the runner starts what was killed again.
	lasting bool
}

func TestPrism(t *testing.T) {
	scenarios(t, place{alone: true, args: func(*testing.T, []string) []string { return nil }})
}

func TestPrismProcess(t *testing.T) {
	scenarios(t, place{args: process, hangs: true})
}

func TestPrismPool(t *testing.T) {
	scenarios(t, place{args: pool})
}

// process has the runner start workers.
func process(t *testing.T, env []string) []string {
	vars := map[string]string{envRole: "program"}
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = value
	}
	config, err := json.Marshal(map[string]any{"command": os.Args[0], "env": vars})
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--environment_type=PROCESS", "--environment_config=" + string(config)}
}

// pool starts a pool of workers, again and again until the test ends, as a
// supervisor would.
func pool(t *testing.T, env []string) []string {
	port := freePort(t)
	done := make(chan bool)
	go func() {
		defer close(done)
		for t.Context().Err() == nil {
			cmd := exec.CommandContext(t.Context(), os.Args[0], fmt.Sprint("--pool=", port))
			cmd.Env = append(append(os.Environ(), envRole+"=program"), env...)
			if out, err := cmd.CombinedOutput(); t.Context().Err() == nil {
				t.Logf("the pool ended: %v\n%s", err, out)
			}
		}
	}()
	t.Cleanup(func() { <-done })
	listens(t, port)
	return []string{"--environment_type=EXTERNAL", fmt.Sprint("--environment_config=localhost:", port)}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func listens(t *testing.T, port int) {
	t.Helper()
	for range 600 {
		c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
		if err == nil {
			c.Close()
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("nothing listens on port %d", port)
}

// scenarios load logs in all the ways that a run can go, and compare with load.
func scenarios(t *testing.T, p place) {
	logs, split := "../testdata/logs", 5000
	if dir := os.Getenv(envLogs); dir != "" {
		logs = dir
		if n, err := strconv.Atoi(os.Getenv(envSplit)); err == nil {
			split = n
		}
	}
	load := func(t *testing.T, lake string, inputs ...string) {
		t.Helper()
		if _, err := usagelake.Load(t.Context(), usagelake.Config{Inputs: inputs, Lake: lake}); err != nil {
			t.Fatal(err)
		}
	}
	submit := func(t *testing.T, lake, id string, env []string, more ...string) (string, int) {
		t.Helper()
		args := []string{logs, "--lake", lake, "--run", id, fmt.Sprint("--split=", split), "--pieces=4", "--memory=67108864"}
		return program(t, env, append(append(args, p.args(t, env)...), more...)...)
	}
	want := filepath.Join(t.TempDir(), "lake")
	load(t, want, logs)

	t.Run("load", func(t *testing.T) {
		lake := filepath.Join(t.TempDir(), "lake")
		commits := filepath.Join(t.TempDir(), "commits")
		out, code := submit(t, lake, "a", []string{envCommits + "=" + commits})
		if code != exitOK || !regexp.MustCompile(`records +[1-9]`).MatchString(out) {
			t.Fatalf("exit code %d", code)
		}
		committed(t, commits)
		same(t, lake, want)
		files := published(t, lake)
		out, code = submit(t, lake, "a", nil)
		if code != exitOK || !strings.Contains(out, "published before") {
			t.Fatalf("the same again: exit code %d", code)
		}
		out, code = submit(t, lake, "b", nil)
		if code != exitOK || !strings.Contains(out, "nothing new") {
			t.Fatalf("the same inputs again: exit code %d", code)
		}
		if !maps.Equal(files, published(t, lake)) {
			t.Error("a run that has nothing to do has changed files")
		}
	})
	for _, step := range []string{"map", "reduce", "commit"} {
		if p.hangs {
			break
		}
		t.Run("killed in "+step, func(t *testing.T) {
			lake := filepath.Join(t.TempDir(), "lake")
			died := filepath.Join(t.TempDir(), "died")
			env := []string{envDie + "=" + died + ":" + step}
			_, code := submit(t, lake, "a", env)
			if _, err := os.Stat(died); err != nil {
				t.Fatal("no worker was killed")
			}
			if !p.lasting {
				if code == exitOK || p.alone && code != -1 {
					t.Fatalf("exit code %d", code)
				}
				if n := len(published(t, lake)); n > 0 {
					t.Fatalf("%d files before the run is done", n)
				}
				_, code = submit(t, lake, "a", env)
			}
			if code != exitOK {
				t.Fatalf("exit code %d", code)
			}
			same(t, lake, want)
		})
	}
	t.Run("overtaken", func(t *testing.T) {
		lake := filepath.Join(t.TempDir(), "lake")
		other := filepath.Join(t.TempDir(), "other.jsonl")
		if err := os.WriteFile(other, []byte(`{"id":"x","created":1767225600,"model":"m","usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}`+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, code := submit(t, lake, "a", []string{envMove + "=" + other}); code != exitTryAgain {
			t.Fatalf("exit code %d, want %d", code, exitTryAgain)
		}
		both := filepath.Join(t.TempDir(), "lake")
		load(t, both, other)
		same(t, lake, both)
		if _, code := submit(t, lake, "b", nil); code != exitOK {
			t.Fatalf("planned again: exit code %d", code)
		}
		load(t, both, logs)
		same(t, lake, both)
	})
	t.Run("empty", func(t *testing.T) {
		lake, none := filepath.Join(t.TempDir(), "lake"), t.TempDir()
		commits := filepath.Join(t.TempDir(), "commits")
		env := []string{envCommits + "=" + commits}
		args := append([]string{none, "--allow-empty", "--lake", lake, "--run=a"}, p.args(t, env)...)
		if out, code := program(t, env, args...); code != exitOK || !strings.Contains(out, "nothing new") {
			t.Fatalf("exit code %d", code)
		}
		committed(t, commits)
	})
}

// committed wants a commit by a worker, before that which asks how it went.
func committed(t *testing.T, file string) {
	t.Helper()
	lines, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(lines, []byte("\n")); n != 2 {
		t.Errorf("%d commits, want 2", n)
	}
}

// same compares the tables of two lakes to the byte.
func same(t *testing.T, got, want string) {
	t.Helper()
	a, b := published(t, got), published(t, want)
	if len(b) == 0 {
		t.Fatal("nothing to compare with")
	}
	if maps.Equal(a, b) {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if a[name] != b[name] {
			t.Errorf("%s is not that of load", name)
		}
		delete(a, name)
	}
	for name := range a {
		t.Errorf("%s should not be", name)
	}
}

// published are the files of a lake that people see, with their bytes.
func published(t *testing.T, lake string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, table := range []string{"usage", "reports", "quarantine"} {
		err := filepath.WalkDir(filepath.Join(lake, table), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := os.ReadFile(path)
			files[strings.TrimPrefix(path, lake)] = string(data)
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	return files
}
