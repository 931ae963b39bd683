package ledger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

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

// killed is fs on which nothing works from operation left on.
func killed(fs disk.FS, left *int) disk.FS {
	return &faults.FS{FS: fs, Fail: func(int, string) error {
		if *left--; *left < 0 {
			return errKilled
		}
		return nil
	}}
}

const (
	quarantine1 = "quarantine/000000001.jsonl"
	quarantine2 = "quarantine/000000002.jsonl"
)

var everyRecord = ledger.Options{CheckpointEvery: 1}

// firstScene publishes two files of the table and one of the quarantine.
func firstScene(t *testing.T, l *ledger.Lake) {
	t.Helper()
	if err := l.Publish(&ledger.Publication{
		Record: ledger.Record{
			Files:      []ledger.File{tableFile(fileA, 1), tableFile(fileB, 1)},
			Sources:    []ledger.Source{{ID: "s1"}},
			Quarantine: &ledger.Quarantine{Path: filepath.Base(quarantine1), Records: 1},
		},
		Moves: []ledger.Move{
			stage(t, l, "a", fileA, "A1", ""), stage(t, l, "b", fileB, "B1", ""), stage(t, l, "q", quarantine1, "Q1", ""),
		},
	}); err != nil {
		t.Fatal(err)
	}
}

// secondScene stages a change that replaces, adds and removes files of the
// table and forgets the source. The only file of the quarantine gives way to
// another or, with empty, to none.
func secondScene(t *testing.T, l *ledger.Lake, empty bool) *ledger.Publication {
	t.Helper()
	p := &ledger.Publication{
		Record: ledger.Record{
			Kind:           ledger.KindForget,
			Files:          []ledger.File{tableFile(fileA, 2), tableFile(fileB, 0), tableFile(fileC, 1)},
			Forgotten:      []string{"s1"},
			QuarantineGone: []string{filepath.Base(quarantine1)},
		},
		Moves: []ledger.Move{
			stage(t, l, "a", fileA, "A2", ledger.Hash([]byte("A1"))),
			stage(t, l, "c", fileC, "C1", ""),
			{Target: fileB, Old: ledger.Hash([]byte("B1"))},
			{Target: quarantine1, Old: ledger.Hash([]byte("Q1"))},
		},
	}
	if !empty {
		p.Record.Quarantine = &ledger.Quarantine{Path: filepath.Base(quarantine2), Records: 1}
		p.Moves = append(p.Moves, stage(t, l, "q", quarantine2, "Q2", ""))
	}
	return p
}

// whole tells what a lake holds, before or after the change; all else is a
// failure.
func whole(t *testing.T, fsys disk.FS, dir string, l *ledger.Lake, empty bool) (after bool) {
	t.Helper()
	read := func(target string) string {
		data, err := disk.ReadFile(fsys, filepath.Join(dir, target))
		if errors.Is(err, fs.ErrNotExist) {
			return "-"
		}
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	s := &l.State
	got := fmt.Sprint(read(fileA), read(fileB), read(fileC), read(quarantine1), read(quarantine2), s.Seq, len(s.Files), len(s.Sources), len(s.Quarantine))
	was := fmt.Sprint("A1", "B1", "-", "Q1", "-", 1, 2, 1, 1)
	is := fmt.Sprint("A2", "-", "C1", "-", "Q2", 2, 2, 0, 1)
	if empty {
		is = fmt.Sprint("A2", "-", "C1", "-", "-", 2, 2, 0, 0)
	}
	if got != was && got != is {
		t.Fatalf("the lake holds %s", got)
	}
	if p := l.Audit(); len(p) > 0 {
		t.Fatal(p)
	}
	for _, path := range []string{"state/intent-000000002.json", "state/intent-000000002.json.tmp", "state/ledger/000000002.json.tmp", "state/checkpoint-000000002.json.tmp"} {
		if read(path) != "-" {
			t.Fatalf("%s is there", path)
		}
	}
	if entries, err := fsys.ReadDir(filepath.Join(dir, "state/staging")); err != nil || len(entries) != 0 {
		t.Fatalf("staging holds %v, %v", entries, err)
	}
	if _, err := fsys.ReadDir(filepath.Join(dir, filepath.Dir(fileB))); got == is && !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the folder of a file that was removed: %v", err)
	}
	return got == is
}

// A publication that adds, replaces and removes is stopped at every operation.
// The next open finds all of it done or nothing.
func TestInterruptedPublication(t *testing.T) {
	for n, stopped := 0, true; stopped; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			dir := t.TempDir()
			left := 1 << 30
			l, err := ledger.Open(killed(disk.OS{}, &left), dir, everyRecord)
			if err != nil {
				t.Fatal(err)
			}
			firstScene(t, l)
			p := secondScene(t, l, n%2 == 0)
			left = n
			err = l.Publish(p)
			stopped = left < 0
			l.Close()

			l = open(t, disk.OS{}, dir)
			defer l.Close()
			after := whole(t, disk.OS{}, dir, l, n%2 == 0)
			if err == nil && !after {
				t.Fatal("it says that it went well, but nothing has changed")
			}
			if err != nil && after && !strings.Contains(err.Error(), "will be finished by the next run") {
				t.Errorf("something has changed, though: %v", err)
			}
			if info, err := os.Stat(filepath.Join(dir, "quarantine")); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("quarantine: %v, %v", info, err)
			}
			if !stopped && n < 30 {
				t.Errorf("only %d operations were tried", n)
			}
		})
	}
}

// Each operation of a publication fails once, as on a disk that is full. The
// process lives: it names the file, publishes nothing more if it has begun, and
// else leaves nothing behind and can go on.
func TestPublishFails(t *testing.T) {
	for _, mode := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, faults.ErrShort} {
		for n, hit := 0, true; hit; n++ {
			t.Run(fmt.Sprint(mode, n), func(t *testing.T) {
				mem := faults.NewMem()
				at := -1
				fsys := &faults.FS{FS: mem, Fail: func(int, string) error {
					if at < 0 {
						return nil
					}
					if at++; at == n+1 {
						return mode
					}
					return nil
				}}
				l, err := ledger.Open(fsys, lakeDir, everyRecord)
				if err != nil {
					t.Fatal(err)
				}
				firstScene(t, l)
				p := secondScene(t, l, false)
				at = 0
				err = l.Publish(p)
				hit = at > n
				switch at = -1; {
				case err == nil: // it failed where that does no harm
				case !strings.Contains(err.Error(), " "+lakeDir):
					t.Errorf("the error names no file: %v", err)
				case strings.Contains(err.Error(), "will be finished by the next run"):
					if err := l.Publish(&ledger.Publication{}); !errors.Is(err, ledger.ErrInterrupted) {
						t.Errorf("publishing over what was begun: %v", err)
					}
				case !errors.Is(err, mode) && !errors.Is(err, io.ErrShortWrite):
					t.Errorf("the error is another: %v", err)
				default: // nothing has happened
					if n%2 == 0 {
						if err := l.Publish(p); err != nil {
							t.Errorf("once more: %v", err)
						}
					} else if l.Close(); true {
						for _, dir := range []string{"state/staging", "state", "state/ledger"} {
							entries, _ := mem.ReadDir(filepath.Join(lakeDir, dir))
							for _, e := range entries {
								if dir == "state/staging" || strings.HasSuffix(e.Name(), ".tmp") {
									t.Errorf("%v leaves %s/%s", err, dir, e.Name())
								}
							}
						}
					}
				}
				l.Close()
				l, oerr := ledger.Open(mem, lakeDir, everyRecord)
				if oerr != nil {
					t.Fatal(oerr)
				}
				if after := whole(t, mem, lakeDir, l, false); err == nil && !after {
					t.Error("it says that it went well, but nothing has changed")
				}
			})
		}
	}
}

// The power fails at every operation of a publication, or behind the last.
// What is left is a lake as before or as after, and as after if Publish said
// so.
func TestPowerLossInPublication(t *testing.T) {
	base := faults.NewMem()
	l, err := ledger.Open(base, lakeDir, everyRecord)
	if err != nil {
		t.Fatal(err)
	}
	firstScene(t, l)
	l.Close()
	states := [2]int{}
	for n, stopped := 0, true; stopped; n++ {
		mem := base.Copy()
		left := 1 << 30
		l, err := ledger.Open(killed(mem, &left), lakeDir, everyRecord)
		if err != nil {
			t.Fatal(err)
		}
		empty := n%2 == 0
		p := secondScene(t, l, empty)
		left = n
		err = l.Publish(p)
		stopped = left < 0
		for seed := range uint64(60) {
			crashed := mem.Crash(rand.New(rand.NewPCG(seed, uint64(n))))
			l, oerr := ledger.Open(crashed, lakeDir, everyRecord)
			if oerr != nil {
				t.Fatalf("cut at operation %d, seed %d: %v", n, seed, oerr)
			}
			after := whole(t, crashed, lakeDir, l, empty)
			if err == nil && !after {
				t.Fatalf("cut at operation %d, seed %d: what was published is lost", n, seed)
			}
			if states[0]++; after {
				states[1]++
			}
			// what Open made of it is durable too
			l.Close()
			again := crashed.Crash(rand.New(rand.NewPCG(seed, 0)))
			if l, oerr = ledger.Open(again, lakeDir, everyRecord); oerr != nil {
				t.Fatalf("cut at operation %d, seed %d, and again: %v", n, seed, oerr)
			}
			if after != whole(t, again, lakeDir, l, empty) {
				t.Fatalf("cut at operation %d, seed %d: a second cut takes back what was rolled forward", n, seed)
			}
		}
	}
	t.Logf("%d states, %d of them published", states[0], states[1])
}

// Someone else's change of a file stops the roll-forward.
func TestForeignChange(t *testing.T) {
	dir := t.TempDir()
	left := 1 << 30
	l := open(t, killed(disk.OS{}, &left), dir)
	moves := []ledger.Move{stage(t, l, "a", fileA, "A1", ""), stage(t, l, "b", fileB, "B1", "")}
	left = 12 // into the renames
	if err := l.Publish(&ledger.Publication{Moves: moves}); err == nil {
		t.Fatal("published")
	}
	l.Close()
	if content(t, dir, "state/intent-000000001.json") == "-" {
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

// What stands in the place of a new file and is not of the ledger is not replaced.
func TestForeignFile(t *testing.T) {
	for _, fsys := range []disk.FS{faults.NewMem(), faults.NewObjects()} {
		for _, target := range []string{fileB, "quarantine/000000001.jsonl"} {
			l := open(t, fsys, lakeDir)
			if err := fsys.MkdirAll(filepath.Dir(lakeDir+"/"+target), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := disk.WriteFile(fsys, lakeDir+"/"+target, []byte("mine"), 0o644); err != nil {
				t.Fatal(err)
			}
			moves := []ledger.Move{stage(t, l, l.Stage("a"), fileA, "A1", ""), stage(t, l, l.Stage("b"), target, "B1", "")}
			err := l.Publish(&ledger.Publication{Moves: moves})
			if err == nil || !strings.Contains(err.Error(), target+" is there, but the ledger does not know it") {
				t.Errorf("publish: %v", err)
			}
			l.Close()
			if got, err := disk.ReadFile(fsys, lakeDir+"/"+target); string(got) != "mine" {
				t.Errorf("the file holds %q, %v", got, err)
			}
			if _, err := disk.ReadFile(fsys, lakeDir+"/"+fileA); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a file was published: %v", err)
			}
			if err := fsys.Remove(lakeDir + "/" + target); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A ledger without the settings of its lake is not taken for a new lake's: with other
// buckets its calls would not be found.
func TestSettingsLost(t *testing.T) {
	for _, fsys := range []disk.FS{faults.NewMem(), faults.NewObjects()} {
		l, err := ledger.Open(fsys, lakeDir, ledger.Options{Buckets: 4})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Publish(&ledger.Publication{}); err != nil {
			t.Fatal(err)
		}
		l.Close()
		if err := fsys.Remove(lakeDir + "/state/lake.json"); err != nil {
			t.Fatal(err)
		}
		for _, opt := range []ledger.Options{{}, {ReadOnly: true}, {MustExist: true}} {
			if _, err := ledger.Open(fsys, lakeDir, opt); !errors.Is(err, ledger.ErrBroken) || !strings.Contains(err.Error(), "state/lake.json is missing") {
				t.Errorf("%+v: %v", opt, err)
			}
		}
	}
}

// An intent that holds the record, as older versions wrote it, is carried out like
// one whose record is staged.
func TestIntentWithRecord(t *testing.T) {
	dir := t.TempDir()
	left := 1 << 30
	l, err := ledger.Open(killed(disk.OS{}, &left), dir, everyRecord)
	if err != nil {
		t.Fatal(err)
	}
	firstScene(t, l)
	p := secondScene(t, l, false)
	left = 14 // into the moves
	if err := l.Publish(p); err == nil {
		t.Fatal("published")
	}
	l.Close()
	const record = "state/staging/000000002.json"
	path := filepath.Join(dir, "state/intent-000000002.json")
	var intent map[string]json.RawMessage
	if err := json.Unmarshal([]byte(content(t, dir, "state/intent-000000002.json")), &intent); err != nil {
		t.Fatal(err)
	}
	delete(intent, "last")
	intent["record"] = json.RawMessage(content(t, dir, record))
	data, err := json.Marshal(intent)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(path, data, 0o600), os.Remove(filepath.Join(dir, record))); err != nil {
		t.Fatal(err)
	}
	l, err = ledger.Open(disk.OS{}, dir, everyRecord)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if !whole(t, disk.OS{}, dir, l, false) {
		t.Error("it was not carried out")
	}
}

// The power fails while files of many partitions are published, side by side: all
// of them are there afterwards, or none, and none is lost.
func TestPowerLossAmongMany(t *testing.T) {
	const partitions = 150
	target := func(i int) string {
		day := time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
		return "usage/event_date=" + day + "/part-0000.parquet"
	}
	all := 0
	for n, stopped := 0, true; stopped; n += 7 {
		mem := faults.NewMem()
		left := 1 << 30
		l, err := ledger.Open(killed(mem, &left), lakeDir, everyRecord)
		if err != nil {
			t.Fatal(err)
		}
		p := &ledger.Publication{Record: ledger.Record{Kind: ledger.KindLoad}}
		for i := range partitions {
			p.Moves = append(p.Moves, stage(t, l, fmt.Sprint(i), target(i), fmt.Sprint("is ", i), ""))
			p.Record.Files = append(p.Record.Files, ledger.File{Path: target(i), Rows: 1})
		}
		left = n
		err = l.Publish(p)
		stopped = left < 0
		for seed := range uint64(4) {
			crashed := mem.Crash(rand.New(rand.NewPCG(seed, uint64(n))))
			l, oerr := ledger.Open(crashed, lakeDir, everyRecord)
			if oerr != nil {
				t.Fatalf("cut at operation %d, seed %d: %v", n, seed, oerr)
			}
			there := 0
			for i := range partitions {
				if data, err := disk.ReadFile(crashed, filepath.Join(lakeDir, target(i))); err == nil && string(data) == fmt.Sprint("is ", i) {
					there++
				}
			}
			if there != len(l.State.Files) || there != 0 && there != partitions || err == nil && there == 0 {
				t.Fatalf("cut at operation %d, seed %d: %d of %d are there, and %d in the ledger; publishing said %v", n, seed, there, partitions, len(l.State.Files), err)
			}
			if there > 0 {
				all++
			}
			l.Close()
		}
	}
	if all == 0 {
		t.Error("none was published")
	}
}
