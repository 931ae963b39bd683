package ledger_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usagelake/sink/disk"
	"usagelake/sink/disk/faults"
	"usagelake/sink/ledger"
)

func open(t *testing.T, fsys disk.FS, dir string) *ledger.Lake {
	t.Helper()
	l, err := ledger.Open(fsys, dir, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// stage writes a staged file and returns the move that publishes it.
func stage(t *testing.T, l *ledger.Lake, name, target, content, old string) ledger.Move {
	t.Helper()
	if err := disk.WriteFile(l.FS(), l.StagedPath(name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return ledger.Move{Staged: name, Target: target, Old: old, New: ledger.Hash([]byte(content))}
}

func content(t *testing.T, dir, target string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, target))
	if errors.Is(err, fs.ErrNotExist) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const (
	fileA = "usage/event_date=2026-01-01/part-0000.parquet"
	fileB = "usage/event_date=2026-01-02/part-0000.parquet"
	fileC = "usage/event_date=2026-01-03/part-0000.parquet"
)

func tableFile(target string, rows int64) ledger.File {
	return ledger.File{Path: strings.TrimPrefix(target, "usage/"), Rows: rows}
}

func TestRecordsFold(t *testing.T) {
	dir := t.TempDir()
	l := open(t, disk.OS{}, dir)
	src := ledger.Source{ID: "s1", Head: "h", HeadLen: 4, Offset: 10}
	file := ledger.Seen{Source: "s1", Path: "/x", Size: 5}
	publish := func(r ledger.Record, moves ...ledger.Move) {
		t.Helper()
		r.Kind = ledger.KindLoad
		if err := l.Publish(&ledger.Publication{Record: r, Moves: moves}); err != nil {
			t.Fatal(err)
		}
	}
	publish(ledger.Record{Sources: []ledger.Source{src}, Seen: []ledger.Seen{file}, Files: []ledger.File{tableFile(fileA, 1)}}, stage(t, l, "a", fileA, "A1", ""))
	src.Offset = 20
	publish(ledger.Record{Sources: []ledger.Source{src}, Files: []ledger.File{tableFile(fileB, 2)}}, stage(t, l, "b", fileB, "B1", ""))
	for _, again := range []bool{false, true} {
		if again {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = open(t, disk.OS{}, dir)
		}
		s := &l.State
		if s.Seq != 2 || s.Sources["s1"].Offset != 20 || len(s.Files) != 2 {
			t.Errorf("again %v: state %+v", again, s)
		}
		if got := s.ByHead(4, "h"); len(got) != 1 || got[0].Offset != 20 || !cmp.Equal(s.HeadLengths(), []int64{4}) {
			t.Errorf("again %v: by head %v", again, got)
		}
		if s.Unchanged(file) == nil || s.Unchanged(ledger.Seen{Path: "/x", Size: 6}) != nil || s.Unchanged(ledger.Seen{Path: "/y", Size: 5}) != nil {
			t.Errorf("again %v: seen files %v", again, s.Seen)
		}
	}
	publish(ledger.Record{Files: []ledger.File{tableFile(fileA, 0)}}, ledger.Move{Target: fileA, Old: ledger.Hash([]byte("A1"))})
	if _, err := os.Stat(filepath.Dir(filepath.Join(dir, fileA))); !errors.Is(err, fs.ErrNotExist) || len(l.State.Files) != 1 {
		t.Errorf("a removed file leaves its partition: %v", err)
	}
	l.Close()

	// an edited record breaks the chain
	record := filepath.Join(dir, "state/ledger/000000002.json")
	data, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func() error{
		"edited":  func() error { return os.WriteFile(record, []byte(strings.Replace(string(data), "20", "21", 1)), 0o600) },
		"removed": func() error { return os.Remove(record) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		if l, err := ledger.Open(disk.OS{}, dir, ledger.Options{}); err == nil {
			l.Close()
			t.Errorf("a record that was %s goes unnoticed", name)
		}
		if err := os.WriteFile(record, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	l := open(t, disk.OS{}, dir)
	if _, err := ledger.Open(disk.OS{}, dir, ledger.Options{}); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("second open: %v", err)
	}
	l.Close()
	open(t, disk.OS{}, dir).Close()
}

var errKilled = errors.New("killed")

// killed is a file system on which nothing works from operation left on.
func killed(left *int) disk.FS {
	return &faults.FS{FS: disk.OS{}, Fail: func(int, string) error {
		if *left--; *left < 0 {
			return errKilled
		}
		return nil
	}}
}

// A publication that adds, replaces and removes is stopped at every operation.
// The next open finds all of it done or nothing.
func TestInterruptedPublication(t *testing.T) {
	for n := 0; ; n++ {
		dir := t.TempDir()
		l := open(t, disk.OS{}, dir)
		first := []ledger.Move{stage(t, l, "a", fileA, "A1", ""), stage(t, l, "b", fileB, "B1", "")}
		if err := l.Publish(&ledger.Publication{Record: ledger.Record{Files: []ledger.File{tableFile(fileA, 1), tableFile(fileB, 1)}}, Moves: first}); err != nil {
			t.Fatal(err)
		}
		l.Close()

		left := 1 << 30
		l = open(t, killed(&left), dir)
		moves := []ledger.Move{
			stage(t, l, "a", fileA, "A2", ledger.Hash([]byte("A1"))),
			stage(t, l, "c", fileC, "C1", ""),
			{Target: fileB, Old: ledger.Hash([]byte("B1"))},
		}
		left = n
		err := l.Publish(&ledger.Publication{
			Record: ledger.Record{Files: []ledger.File{tableFile(fileA, 2), tableFile(fileB, 0), tableFile(fileC, 1)}},
			Moves:  moves,
		})
		l.Close()

		l = open(t, disk.OS{}, dir)
		got := fmt.Sprint(content(t, dir, fileA), content(t, dir, fileB), content(t, dir, fileC), l.State.Seq, len(l.State.Files))
		before, after := fmt.Sprint("A1", "B1", "-", 1, 2), fmt.Sprint("A2", "-", "C1", 2, 2)
		if got != before && got != after || err == nil && got != after {
			t.Fatalf("stopped at operation %d (%v): %s", n, err, got)
		}
		if entries, err := os.ReadDir(filepath.Join(dir, "state/staging")); err != nil || len(entries) != 0 {
			t.Fatalf("stopped at operation %d: staging holds %v, %v", n, entries, err)
		}
		if content(t, dir, "state/intent.json") != "-" {
			t.Fatalf("stopped at operation %d: the intent is still there", n)
		}
		l.Close()
		if err == nil {
			if n < 15 {
				t.Errorf("only %d operations were tried", n)
			}
			return
		}
	}
}

// Someone else's change of a file stops the roll-forward.
func TestForeignChange(t *testing.T) {
	dir := t.TempDir()
	left := 1 << 30
	l := open(t, killed(&left), dir)
	moves := []ledger.Move{stage(t, l, "a", fileA, "A1", ""), stage(t, l, "b", fileB, "B1", "")}
	left = 8 // into the renames
	if err := l.Publish(&ledger.Publication{Moves: moves}); err == nil {
		t.Fatal("published")
	}
	l.Close()
	if content(t, dir, "state/intent.json") == "-" {
		t.Fatal("stopped before the intent")
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, fileB)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, fileB), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.Open(disk.OS{}, dir, ledger.Options{}); err == nil || !strings.Contains(err.Error(), fileB) {
		t.Errorf("open: %v", err)
	}
	if got := content(t, dir, fileB); got != "mine" {
		t.Errorf("the file holds %q", got)
	}
}
