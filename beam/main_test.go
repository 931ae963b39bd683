package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"usagelake"
)

const (
	envRole = "USAGELAKE_BEAM_TEST" // what this binary is: unset, "tests" or "program"
	// envDie is FILE:STEP: the program kills itself in the midst of the step, if it
	// can make the file.
	envDie   = "USAGELAKE_BEAM_DIE"
	envDelay = "USAGELAKE_BEAM_DELAY" // so long after it began the step
	// envCommits is a file to which each commit adds a line.
	envCommits = "USAGELAKE_BEAM_COMMITS"
	// envMove is an input that is loaded, in the usual way, before the program commits.
	envMove = "USAGELAKE_BEAM_MOVE"
)

// TestMain makes the test binary the program where a test starts it as such. The
// tests themselves run in a network and a set of processes of their own, where
// the system lets them: Beam's servers listen on all interfaces, and so nothing
// outlives the tests.
func TestMain(m *testing.M) {
	switch os.Getenv(envRole) {
	case "program":
		planRun, openRun = mortal(planRun), mortal(openRun)
		os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
	case "tests":
		if err := loopbackUp(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	apart := []string{"--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"}
	if exec.Command("unshare", append(apart, "true")...).Run() != nil {
		fmt.Fprintln(os.Stderr, "no namespaces here: Beam's servers listen on all interfaces while the tests run")
		os.Exit(m.Run())
	}
	cmd := exec.Command("unshare", append(append(apart, os.Args[0]), os.Args[1:]...)...)
	cmd.Env = append(os.Environ(), envRole+"=tests")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(cmp.Or(cmd.ProcessState.ExitCode(), 1))
	}
	os.Exit(0)
}

// loopbackUp switches the loopback interface of a new network on.
func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	req := struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}{name: [16]byte{'l', 'o'}, flags: syscall.IFF_UP}
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&req))); errno != 0 {
		return fmt.Errorf("switch lo on: %w", errno)
	}
	return nil
}

// mortal makes runs do as envDie and envMove say.
func mortal(open func(context.Context, usagelake.Config, string) (run, error)) func(context.Context, usagelake.Config, string) (run, error) {
	return func(ctx context.Context, cfg usagelake.Config, id string) (run, error) {
		r, err := open(ctx, cfg, id)
		if err != nil {
			return nil, err
		}
		return &doomed{r, cfg.Lake}, nil
	}
}

type doomed struct {
	run
	lake string
}

func (d *doomed) Map(ctx context.Context, items ...int) ([]string, error) {
	if items[0] > 0 { // something is done before
		defer die("map")()
	}
	return d.run.Map(ctx, items...)
}

func (d *doomed) Reduce(ctx context.Context, units ...string) error {
	defer die("reduce")()
	return d.run.Reduce(ctx, units...)
}

func (d *doomed) Commit(ctx context.Context) (*usagelake.Report, error) {
	die("commit")()
	if in := os.Getenv(envMove); in != "" {
		if _, err := usagelake.Load(ctx, usagelake.Config{Inputs: []string{in}, Lake: d.lake}); err != nil {
			return nil, err
		}
	}
	if file := os.Getenv(envCommits); file != "" {
		f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o666)
		if err != nil {
			return nil, err
		}
		fmt.Fprintln(f, os.Getpid())
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return d.run.Commit(ctx)
}

// die kills the process after envDelay, if it is to die in this step. It returns
// how to wait for that.
func die(step string) (wait func()) {
	file, at, _ := strings.Cut(os.Getenv(envDie), ":")
	if at != step {
		return func() {}
	}
	delay, _ := time.ParseDuration(os.Getenv(envDelay)) // unset: at once
	survived := make(chan bool)
	time.AfterFunc(delay, func() {
		defer close(survived)
		if f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL, 0o666); err == nil {
			f.Close()
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	})
	return func() { <-survived }
}

// program runs the test binary as the program, with env besides. It returns what
// that said, and its exit code, -1 where it was killed.
func program(t *testing.T, env []string, args ...string) (string, int) {
	t.Helper()
	cmd, out := command(t, env, args...)
	begin := time.Now()
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	code := cmd.ProcessState.ExitCode()
	t.Logf("%.2f s, exit %d: %s\n%s", time.Since(begin).Seconds(), code, strings.Join(args, " "), out)
	return out.String(), code
}

func command(t *testing.T, env []string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	out := &bytes.Buffer{}
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), envRole+"=program"), env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = time.Second
	return cmd, out
}
