package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write the expected output of scripts anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"usagelake": main})
}

func TestScripts(t *testing.T) {
	corpus, err := filepath.Abs("../../testdata/logs")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		UpdateScripts:       *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("CORPUS", corpus)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exitcode": exitcode,
			"stopped":  stopped,
			"holdlock": holdlock,
			"tree":     tree,
			"objects":  objects,
		},
	})
}

// exitcode runs a program that must end with exactly this code:
// exitcode N program args...
func exitcode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N program args...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// stopped runs a program whose standard input stays open and silent, sends it
// signals, and wants it to end with this exit code within two seconds of the last:
// stopped CODE SIGNAL[,SIGNAL] program args...
func stopped(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: stopped CODE SIGNAL[,SIGNAL] program args...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	path, err := exec.LookPath(args[2])
	ts.Check(err)
	cmd := exec.Command(path, args[3:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), append(os.Environ(), "PATH="+ts.Getenv("PATH"))
	said := &strings.Builder{}
	cmd.Stderr = said
	stdin, err := cmd.StdinPipe()
	ts.Check(err)
	defer stdin.Close()
	ts.Check(cmd.Start())
	defer cmd.Process.Kill()
	spool := filepath.Join(ts.MkAbs("."), "lake", "state", "staging", "stdin")
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := os.Stat(spool); err == nil {
			break
		}
		if time.Now().After(deadline) {
			ts.Fatalf("it never reads standard input")
		}
		time.Sleep(10 * time.Millisecond)
	}
	for i, name := range strings.Split(args[1], ",") {
		if i > 0 {
			time.Sleep(200 * time.Millisecond)
		}
		ts.Check(cmd.Process.Signal(map[string]syscall.Signal{"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM}[name]))
	}
	ended := make(chan int, 1)
	go func() {
		_ = cmd.Wait()
		ended <- cmd.ProcessState.ExitCode()
	}()
	select {
	case got := <-ended:
		if !strings.Contains(said.String(), "interrupted; nothing was published") {
			ts.Fatalf("it ends without a word: %q", said)
		}
		if got != want {
			ts.Fatalf("exit code %d, want %d", got, want)
		}
	case <-time.After(10 * time.Second):
		ts.Fatalf("still there ten seconds after the signal")
	}
}

// holdlock takes the lock of a lake until the script ends: holdlock LAKE
func holdlock(ts *testscript.TestScript, neg bool, args []string) {
	f, err := os.OpenFile(filepath.Join(ts.MkAbs(args[0]), "state", "lock"), os.O_RDWR, 0)
	ts.Check(err)
	ts.Check(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	ts.Defer(func() { f.Close() })
}

// objects wants every line of the last program's standard error to be a JSON
// object with a time, a level and a message, and so many of them:
// objects NUMBER
func objects(ts *testscript.TestScript, neg bool, args []string) {
	text := ts.ReadFile("stderr")
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if want := args[0]; strconv.Itoa(len(lines)) != want {
		ts.Fatalf("%d lines, want %s:\n%s", len(lines), want, text)
	}
	for _, l := range lines {
		var o struct {
			Time       time.Time
			Level, Msg string
		}
		if err := json.Unmarshal([]byte(l), &o); err != nil || o.Time.IsZero() || o.Level == "" || o.Msg == "" {
			ts.Fatalf("%v: %s", err, l)
		}
	}
}

// tree prints the files below a directory: tree DIR
func tree(ts *testscript.TestScript, neg bool, args []string) {
	root := ts.MkAbs(args[0])
	ts.Check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(root, path)
			fmt.Fprintln(ts.Stdout(), filepath.ToSlash(rel))
		}
		return err
	}))
}

// A share is the number that is written, which a gap of just as much is held
// against.
func TestShare(t *testing.T) {
	for text, want := range map[string]float64{"0.1%": 0.001, "0.7%": 0.007, "1.1%": 0.011, "2.9%": 0.029, "5.7%": 0.057, "100%": 1, "0.02": 0.02, "1e-1%": 0.001, "0": 0} {
		if got, err := share(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "%", "-1%", "NaN", "Inf", "much"} {
		if _, err := share(text); err == nil {
			t.Errorf("%q is a share", text)
		}
	}
}
