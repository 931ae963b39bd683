package usagelake_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usagelake"
	"usagelake/ingest"
	"usagelake/sink/disk"
	"usagelake/sink/disk/faults"
)

// nobody is who runs the program in the tests below, if the tests are root's,
// whom no permission holds.
const nobody = 65534

// A stranger runs the program as one whom permissions hold, in a directory of
// its own.
type stranger struct {
	t      *testing.T
	dir    string
	binary string
}

func newStranger(t *testing.T, binary string) *stranger {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &stranger{t, dir, binary}
	s.own()
	return s
}

// own gives all files to who runs the program.
func (s *stranger) own() {
	s.t.Helper()
	if os.Getuid() != 0 {
		return
	}
	err := filepath.WalkDir(s.dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			err = os.Lchown(path, nobody, nobody)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *stranger) path(name string) string { return filepath.Join(s.dir, name) }

func (s *stranger) file(name, text string) {
	s.t.Helper()
	write(s.t, s.path(name), text)
	s.own()
}

func (s *stranger) chmod(perm fs.FileMode, names ...string) {
	s.t.Helper()
	for _, name := range names {
		if err := os.Chmod(s.path(name), perm); err != nil {
			s.t.Fatal(err)
		}
	}
}

// run runs the program in the directory. It must end soon, with this code, and
// say all of these.
func (s *stranger) run(code int, args string, says ...string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.binary, strings.Fields(args)...)
	cmd.Dir = s.dir
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) {
		s.t.Skipf("another user cannot run the program: %v", err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		s.t.Errorf("usagelake %s: exit code %d, want %d: %v\n%s", args, got, code, err, out)
	}
	for _, text := range says {
		if !strings.Contains(string(out), text) {
			s.t.Errorf("usagelake %s: does not say %q:\n%s", args, text, out)
		}
	}
}

// all is every file and directory of a lake, with its content.
func (s *stranger) all(lake string) map[string]string {
	s.t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(s.path(lake), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			out[path] = "/"
			return err
		}
		data, err := os.ReadFile(path)
		out[path] = string(data)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// What cannot be read fails alone: the rest is published, what failed is named,
// and the next run tries it again. A lake that cannot be written stays as it is.
func TestPermissions(t *testing.T) {
	binary := program(t)
	for d := binary; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	good := call("good", day.Unix(), 1, 1)
	locked := call("locked", day.Unix(), 2, 2)
	secret := call("secret", day.Unix(), 3, 3)
	scene := func(t *testing.T) *stranger {
		s := newStranger(t, binary)
		s.file("in/good.jsonl", good)
		s.file("in/locked/a.jsonl", locked)
		s.file("in/secret.jsonl", secret)
		s.chmod(0, "in/locked", "in/secret.jsonl")
		t.Cleanup(func() { s.chmod(0o755, "in/locked") })
		return s
	}

	t.Run("some inputs", func(t *testing.T) {
		s := scene(t)
		for range 2 { // it stays wrong until someone looks
			s.run(3, "load in --lake lake", "in/locked", "in/secret.jsonl", "permission denied")
			if got := tokens(t, s.path("lake")); got != "1/1" {
				t.Errorf("the table has %s", got)
			}
		}
		s.chmod(0o755, "in/locked", "in/secret.jsonl")
		s.run(0, "load in --lake lake")
		if got := tokens(t, s.path("lake")); got != "1/1 2/2 3/3" {
			t.Errorf("the table has %s", got)
		}
		s.run(0, "verify --lake lake")
	})

	t.Run("all inputs", func(t *testing.T) {
		s := scene(t)
		s.run(1, "load in/locked in/secret.jsonl --lake lake", "none of 2 inputs could be read")
		s.run(0, "load in/good.jsonl --lake lake")
		before := s.all("lake")
		s.run(1, "load in/locked in/secret.jsonl --lake lake", "none of 2 inputs could be read")
		if d := cmp.Diff(before, s.all("lake")); d != "" {
			t.Errorf("the lake changed\n%s", d)
		}
	})

	t.Run("fifo", func(t *testing.T) {
		s := newStranger(t, binary)
		s.file("in/good.jsonl", good)
		if err := syscall.Mkfifo(s.path("in/fifo.jsonl"), 0o644); err != nil {
			t.Skip(err)
		}
		s.own()
		s.run(1, "load in/fifo.jsonl --lake lake", "in/fifo.jsonl: not a regular file")
		s.run(3, "load in/good.jsonl in/fifo.jsonl --lake lake", "in/fifo.jsonl: not a regular file")
		s.run(0, "load in --lake lake") // a directory's pipes are not asked for
		if got := tokens(t, s.path("lake")); got != "1/1" {
			t.Errorf("the table has %s", got)
		}
	})

	t.Run("lake", func(t *testing.T) {
		s := newStranger(t, binary)
		s.file("a.jsonl", good+`{"request_id":"timeless","model":"m","prompt_tokens":1,"completion_tokens":2}`+"\n")
		s.file("b.jsonl", locked)
		s.run(0, "load a.jsonl --strict-time --max-quarantine 1 --lake lake")
		before := s.all("lake")
		for _, dirs := range [][]string{
			{"lake", "lake/state", "lake/state/staging", "lake/state/ledger", "lake/usage", "lake/usage/event_date=2026-08-20", "lake/quarantine"},
			{"lake/state"},
			{"lake/state/staging"},
		} {
			s.chmod(0o555, dirs...)
			s.run(1, "load b.jsonl --lake lake", "permission denied")
			s.run(1, "replay --event-time 2026-08-20 --lake lake --memory 1MiB", "permission denied")
			s.run(1, "forget a.jsonl --lake lake", "permission denied")
			s.chmod(0o755, dirs...)
			if d := cmp.Diff(before, s.all("lake")); d != "" {
				t.Errorf("%v: the lake changed\n%s", dirs, d)
			}
		}
		// what only reads needs no more than that
		s.chmod(0o444, "lake/state/lock")
		s.chmod(0o555, "lake", "lake/state", "lake/state/staging")
		s.run(0, "status --lake lake")
		s.run(0, "verify --lake lake")
		s.run(1, "reconcile --lake lake", "no reports of these days")
		s.chmod(0o755, "lake", "lake/state", "lake/state/staging")
		s.chmod(0o600, "lake/state/lock")
		// where the table cannot be written the change is begun, and waits
		s.chmod(0o555, "lake/usage/event_date=2026-08-20")
		s.run(1, "load b.jsonl --lake lake", "permission denied", "will be finished by the next run")
		s.chmod(0o755, "lake/usage/event_date=2026-08-20")
		s.run(0, "load b.jsonl --lake lake")
		if got := tokens(t, s.path("lake")); got != "1/1 2/2" {
			t.Errorf("the table has %s", got)
		}
		s.run(0, "verify --lake lake")
		// no lake can be made
		s.chmod(0o555, ".")
		s.run(1, "load a.jsonl --lake new", "permission denied")
		s.chmod(0o755, ".")
	})
}

// On a file system that is read-only nothing is changed, and the error says so.
func TestReadOnlyFileSystem(t *testing.T) {
	dir := t.TempDir()
	a := write(t, filepath.Join(dir, "a.jsonl"), call("a", day.Unix(), 1, 1)+"{\"broken\":\n")
	b := write(t, filepath.Join(dir, "b.jsonl"), call("b", day.Unix(), 2, 2))
	mem := faults.NewMem()
	load(t, usagelake.Config{Inputs: []string{a}, Lake: faultyLake, FS: mem})
	before := whole(t, mem)
	fsys := &faults.FS{FS: mem, Fail: func(_ int, op string) error {
		switch op {
		case "open", "read", "readat", "readdir", "rlock", "free", "mkdir", "unlock": // of directories that are there
			return nil
		}
		return syscall.EROFS
	}}
	for name, change := range map[string]func(usagelake.Config) (*usagelake.Report, error){
		"load": func(cfg usagelake.Config) (*usagelake.Report, error) {
			cfg.Inputs = []string{b}
			return usagelake.Load(context.Background(), cfg)
		},
		"replay": func(cfg usagelake.Config) (*usagelake.Report, error) {
			return usagelake.Replay(context.Background(), cfg)
		},
		"forget": func(cfg usagelake.Config) (*usagelake.Report, error) {
			return usagelake.Forget(context.Background(), cfg, "a.jsonl")
		},
	} {
		if _, err := change(usagelake.Config{Lake: faultyLake, FS: fsys}); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), faultyLake) {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(before, whole(t, mem)); d != "" {
			t.Errorf("%s changes the lake\n%s", name, d)
		}
	}
}

// A file may change at any moment after it was found: the others are published,
// and every record is loaded once, also those without an id, when it is back and
// what took its place has a name of its own.
func TestFilesThatChangeUnderWay(t *testing.T) {
	t.Parallel()
	anonymous := func(n int) string {
		return fmt.Sprintf(`{"timestamp":"2026-08-%02dT12:00:00Z","model":"m","prompt_tokens":%d,"completion_tokens":%[2]d}`+"\n", 20+n%2, n)
	}
	// What a file is looked up by is not all of it.
	pad := strings.Repeat(" ", 2*ingest.HeadLen)
	text, tail, other := pad+anonymous(2), strings.Repeat(pad, 16)+anonymous(3), anonymous(4)+strings.Repeat(pad, 20)
	foreign := pad + other
	spoils := []struct {
		name string
		do   func(path string) error
		gz   bool
		// quiet: nothing of it can be told from a log that grows
		quiet bool
	}{
		{name: "vanishes", do: os.Remove},
		{name: "becomes a directory", do: func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o755)) }},
		{name: "is emptied", do: func(path string) error { return os.Truncate(path, 0) }},
		{name: "shrinks", do: func(path string) error { return os.Truncate(path, int64(len(text))-9) }, quiet: true},
		{name: "shrinks to a record", do: func(path string) error { return os.Truncate(path, int64(len(text))) }, quiet: true},
		{name: "is cut short", do: func(path string) error { return os.Truncate(path, int64(len(packed(t, ".gz", text))+15)) }, gz: true},
		{name: "is overwritten", do: func(path string) error { return os.WriteFile(path, []byte(other), 0o644) }},
		{name: "is overwritten behind its head", do: func(path string) error { return os.WriteFile(path, []byte(foreign), 0o644) }, quiet: true},
	}
	for _, known := range []string{"", "known", "filtered"} {
		for _, when := range []string{"plan", "map"} {
			for _, spoil := range spoils {
				if testing.Short() && when == "plan" {
					continue
				}
				if known == "filtered" && when == "plan" && (spoil.name == "shrinks to a record" || spoil.name == "is cut short") {
					continue // the beginning of a file is not recognised after the file
				}
				t.Run(fmt.Sprintf("%s %s before %s", known, spoil.name, when), func(t *testing.T) {
					dir := t.TempDir()
					lake := filepath.Join(dir, "lake")
					bad := filepath.Join(dir, "in", "bad.jsonl")
					put := func(parts ...string) {
						content := strings.Join(parts, "")
						if spoil.gz {
							content = ""
							for _, p := range parts {
								content += packed(t, ".gz", p)
							}
						}
						write(t, bad, content)
					}
					put(text)
					load(t, usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, "other.jsonl"), anonymous(9))}, Lake: lake})
					switch known {
					case "known":
						load(t, usagelake.Config{Inputs: []string{bad}, Lake: lake})
					case "filtered":
						put(text, tail)
						load(t, usagelake.Config{Inputs: []string{bad}, Lake: lake, From: "2026-08-21"})
					}
					put(text, tail)
					write(t, filepath.Join(dir, "in", "good.jsonl"), anonymous(1))

					var once sync.Once
					spoilt := func() {
						once.Do(func() {
							if err := spoil.do(bad); err != nil {
								t.Error(err)
							}
						})
					}
					cfg := usagelake.Config{Inputs: []string{filepath.Join(dir, "in")}, Lake: lake}
					if when == "plan" { // the inputs are found by then
						cfg.Progress = func(usagelake.Progress) { spoilt() }
					} else { // the first file that a load makes is for what it sets aside
						cfg.FS = &faults.FS{FS: disk.OS{}, Fail: func(_ int, op string) error {
							if op == "create" {
								spoilt()
							}
							return nil
						}}
					}
					r, err := usagelake.Load(t.Context(), cfg)
					// When rows of a file that is read again are found to be
					// another's, the run ends.
					if ends := err != nil && known == "filtered" && strings.Contains(err.Error(), bad+": changed"); err != nil && !ends {
						t.Fatal(err)
					}
					if err == nil && len(r.Problems) == 0 && when == "map" && (!spoil.quiet || known != "" && spoil.name != "shrinks to a record") {
						t.Error("it says nothing")
					}
					for _, p := range r.Problems {
						if !strings.Contains(p, bad) {
							t.Errorf("it does not name the file: %s", p)
						}
					}
					if got := tokens(t, lake); strings.Contains(got, "1/1") != (err == nil) {
						t.Errorf("%v; the table has %s", err, got)
					}
					if p := problems(t, lake); len(p) > 0 {
						t.Error(p)
					}

					if err := os.RemoveAll(bad); err != nil {
						t.Fatal(err)
					}
					put(text, tail)
					if err := os.Chtimes(bad, day, day); err != nil {
						t.Fatal(err)
					}
					write(t, filepath.Join(dir, "in", "foreign.jsonl"), map[bool]string{true: other, false: foreign}[spoil.name == "is overwritten"])
					r = load(t, usagelake.Config{Inputs: cfg.Inputs, Lake: lake})
					got := strings.Fields(tokens(t, lake))
					slices.Sort(got)
					if d := cmp.Diff(strings.Fields("1/1 2/2 3/3 4/4 9/9"), got); d != "" || len(r.Problems) > 0 {
						t.Errorf("when it is back: %v\n%s", r.Problems, d)
					}
				})
			}
		}
	}
}
