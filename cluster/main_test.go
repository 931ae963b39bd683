package cluster

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

var (
	long  = flag.Bool("long", false, "run the long forms of heavy tests")
	seed  = flag.Uint64("seed", 1, "of what happens by chance")
	size  = flag.Float64("size", 5, "GB of logs in the finale of the long form")
	other = flag.String("other", "", "commands that load the finale's logs into a lake of their own, which must be the same; separated by ';', words by blanks, with {inputs}, {lake} and {run}")
)

// The programs that are run, by path: usagelake, gen of bench, versitygw.
var programs struct{ usagelake, gen, versitygw string }

// TestMain builds what USAGELAKE, USAGELAKE_GEN and VERSITYGW do not name, and
// ends the server that the tests share.
func TestMain(m *testing.M) {
	flag.Parse()
	runtime.LockOSThread() // children die with the thread that started them, and this one lasts
	dir, err := os.MkdirTemp("", "usagelake-cluster-")
	if err != nil {
		slog.Error("temporary folder", "error", err)
		os.Exit(1)
	}
	code := 1
	if err := build(dir); err != nil {
		slog.Error("build", "error", err)
	} else if shared, err = serve(filepath.Join(dir, "server")); err != nil {
		slog.Error("server", "error", err)
	} else {
		code = m.Run()
		shared.stop()
	}
	if err := os.RemoveAll(dir); err != nil {
		slog.Error("temporary folder", "error", err)
	}
	os.Exit(code)
}

func build(dir string) error {
	for _, p := range []struct {
		path           *string
		variable       string
		folder, source string
	}{
		{&programs.usagelake, "USAGELAKE", "..", "./cmd/usagelake"},
		{&programs.gen, "USAGELAKE_GEN", "../bench", "./gen"},
		{&programs.versitygw, "VERSITYGW", ".", "github.com/versity/versitygw/cmd/versitygw"},
	} {
		if *p.path = os.Getenv(p.variable); *p.path != "" {
			continue
		}
		*p.path = filepath.Join(dir, filepath.Base(p.source))
		cmd := exec.Command("go", "build", "-o", *p.path, p.source)
		cmd.Dir = p.folder
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", p.source, err, out)
		}
	}
	return nil
}

// generate writes invented logs by bench's generator, and returns how many
// bytes their lines have.
func generate(t *testing.T, dir string, args ...string) int64 {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), programs.gen, append(args, "-out", dir)...)
	bind(cmd)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("gen %q: %v\n%s", args, err, out)
	}
	var written struct {
		Bytes int64 `json:"bytes"`
	}
	if err := json.Unmarshal(out, &written); err != nil {
		t.Fatalf("gen %q: %v\n%s", args, err, out)
	}
	return written.Bytes
}

// write makes a file, and the folders above it.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// extend writes behind what a file holds.
func extend(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(f, text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}
