package cluster

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Exit codes of usagelake.
const (
	ok      = 0
	failed  = 1
	usage   = 2
	look    = 3
	check   = 4
	again   = 75
	killed  = -1
	patient = 3 * time.Minute // no run of a test takes longer
)

// A program is usagelake as someone starts it: with the store's address, the
// keys, and nothing else of the machine's settings.
type program struct {
	dir string // where it runs
	env []string
	not []string // what may be in no output
}

// at is the program with a server, or a proxy before it, as its store.
func (s *server) at(t *testing.T, addr string) program {
	t.Helper()
	home := t.TempDir()
	return program{
		dir: home,
		env: []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home,
			"AWS_ENDPOINT_URL_S3=http://" + addr, "AWS_REGION=us-east-1",
			"AWS_ACCESS_KEY_ID=" + s.access, "AWS_SECRET_ACCESS_KEY=" + s.secret,
			"AWS_EC2_METADATA_DISABLED=true",
		},
		not: []string{s.access, s.secret, url.QueryEscape(s.secret)},
	}
}

// with is the program with more in its environment; later ones win.
func (p program) with(env ...string) program {
	p.env = append(slices.Clip(p.env), env...)
	return p
}

// A running program.
type running struct {
	t        *testing.T
	p        program
	args     []string
	cmd      *exec.Cmd
	out, err bytes.Buffer
	began    time.Time
	done     chan struct{}
	result   result // when done
}

// result is how a program ended.
type result struct {
	code     int // killed: by a signal
	out, err string
	wall     time.Duration
}

// start starts the program. It is killed when it takes longer than any run may.
func (p program) start(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{t: t, p: p, args: args, cmd: exec.CommandContext(t.Context(), programs.usagelake, args...), began: time.Now(), done: make(chan struct{})}
	r.cmd.Dir, r.cmd.Env, r.cmd.Stdout, r.cmd.Stderr = p.dir, p.env, &r.out, &r.err
	bind(r.cmd)
	started := make(chan error)
	starters <- func() { started <- r.cmd.Start() }
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(limitOf(), func() {
		t.Errorf("usagelake %q took longer than %v", args, limitOf())
		r.kill()
	})
	go func() {
		defer close(r.done)
		_ = r.cmd.Wait()
		limit.Stop()
		r.result = result{r.cmd.ProcessState.ExitCode(), r.out.String(), r.err.String(), time.Since(r.began)}
	}()
	return r
}

// starters is the queue of a thread that lasts: on Linux a child that is bound
// dies with the thread that started it, and those of tests come and go.
var starters = func() chan func() {
	queue := make(chan func())
	go func() {
		lockThread()
		for f := range queue {
			f()
		}
	}()
	return queue
}()

func limitOf() time.Duration {
	if *long {
		return 10 * patient
	}
	return patient
}

func (r *running) kill() { _ = r.cmd.Process.Kill() }

func (r *running) signal(s syscall.Signal) { _ = r.cmd.Process.Signal(s) }

// wait waits for the end.
func (r *running) wait() result {
	r.t.Helper()
	<-r.done
	for _, secret := range r.p.not {
		if secret != "" && strings.Contains(r.result.out+r.result.err, secret) {
			r.t.Errorf("usagelake %q printed a key", r.args)
		}
	}
	if strings.Contains(r.result.err, "panic:") || strings.Contains(r.result.err, "goroutine ") || r.result.code == usage && !slices.Contains(r.args, "bad") && strings.Contains(r.result.err, "Usage:") {
		r.t.Errorf("usagelake %q: exit code %d:\n%s", r.args, r.result.code, r.result.err)
	}
	return r.result
}

// run starts the program and waits for it.
func (p program) run(t *testing.T, args ...string) result {
	t.Helper()
	return p.start(t, args...).wait()
}

// must runs the program, which ends with one of the codes: 0 if none is named.
func (p program) must(t *testing.T, args []string, codes ...int) result {
	t.Helper()
	r := p.run(t, args...)
	r.want(t, args, codes...)
	return r
}

// want fails the test if the program ended otherwise.
func (r result) want(t *testing.T, args []string, codes ...int) {
	t.Helper()
	if len(codes) == 0 {
		codes = []int{ok}
	}
	if !slices.Contains(codes, r.code) {
		t.Fatalf("usagelake %q: exit code %d, want %d:\n%s%s", args, r.code, codes, r.out, r.err)
	}
}

// load is the arguments of a load that prints its report.
func load(lake string, args ...string) []string {
	return append([]string{"load", "--lake", lake, "-v"}, args...)
}

// verified checks a lake from the bottom.
func (p program) verified(t *testing.T, lake string) {
	t.Helper()
	p.must(t, []string{"verify", "--lake", lake})
}

// together runs functions at once, and waits for all.
func together(fs ...func()) {
	var all sync.WaitGroup
	for _, f := range fs {
		all.Go(f)
	}
	all.Wait()
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d after %v\n%s%s", r.code, r.wall, r.out, r.err)
}
