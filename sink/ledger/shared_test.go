package ledger_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"usagelake/sink/disk"
	"usagelake/sink/disk/faults"
	"usagelake/sink/ledger"
)

// late is a store on which the request to make an intent gets no answer. It
// arrives when arrive is called.
type late struct {
	*faults.Objects
	arrive func()
}

func (l *late) PutNew(path string, data []byte) error {
	if strings.Contains(path, "intent-") {
		l.arrive = func() { _ = l.Objects.PutNew(path, data) }
		return errors.New("no answer")
	}
	return l.Objects.PutNew(path, data)
}

// stageShared stages a change of two files, and returns it with what it moves.
func stageShared(t *testing.T, l *ledger.Lake) *ledger.Publication {
	t.Helper()
	return &ledger.Publication{
		Record: ledger.Record{Kind: ledger.KindLoad, Files: []ledger.File{tableFile(fileA, 1), tableFile(fileB, 1)}},
		Moves:  []ledger.Move{stage(t, l, l.Stage("a"), fileA, "A1", ""), stage(t, l, l.Stage("b"), fileB, "B1", "")},
	}
}

func published(t *testing.T, fsys disk.FS) {
	t.Helper()
	l := open(t, fsys, lakeDir)
	defer l.Close()
	for target, want := range map[string]string{fileA: "A1", fileB: "B1"} {
		if got, err := disk.ReadFile(fsys, lakeDir+"/"+target); string(got) != want {
			t.Errorf("%s holds %q, %v", target, got, err)
		}
	}
	if l.State.Seq != 1 {
		t.Errorf("the lake has %d records", l.State.Seq)
	}
}

// Where it is not known whether a publication was begun, it can be carried out
// still, though the run has ended.
func TestLateIntent(t *testing.T) {
	o := &late{Objects: faults.NewObjects()}
	l := open(t, o, lakeDir)
	p := stageShared(t, l)
	if err := l.Publish(p); err == nil || !strings.Contains(err.Error(), "is not known") {
		t.Fatalf("publishing: %v", err)
	}
	l.Close()
	open(t, o.Objects, lakeDir).Close()
	o.arrive()
	published(t, o.Objects)
}

// The intent of a run that was killed is carried out by one while another makes
// its moves.
func TestResumeBesideAnother(t *testing.T) {
	before := faults.NewObjects()
	begun := false
	l := open(t, faults.Share(before, func(_ int, op string) error {
		if op == "copy" {
			begun = true
		}
		if begun {
			return errKilled
		}
		return nil
	}, nil), lakeDir)
	p := stageShared(t, l)
	if err := l.Publish(p); err == nil {
		t.Fatal("it was not killed")
	}
	for k, hit := 0, true; hit; k++ {
		o := before.Copy()
		hit = false
		l, err := ledger.Open(faults.Share(o, func(n int, _ string) error {
			if n == k {
				hit = true
				for _, m := range p.Moves {
					// what has left staging was moved before
					err := o.Rename(lakeDir+"/state/staging/"+m.Staged, lakeDir+"/"+m.Target)
					if err != nil && !errors.Is(err, fs.ErrNotExist) {
						return err
					}
				}
			}
			return nil
		}, nil), lakeDir, ledger.Options{})
		if err != nil {
			t.Errorf("another moves before operation %d: %v", k, err)
			continue
		}
		l.Close()
		published(t, o)
	}
}

// Of two that were opened at once one publishes. The other leaves nothing, and
// nothing of a table is removed.
func TestOvertaken(t *testing.T) {
	o := faults.NewObjects()
	a, b := open(t, o, lakeDir), open(t, o, lakeDir)
	pa, pb := stageShared(t, a), stageShared(t, b)
	pb.Record.Tool = "another"
	if err := a.Publish(pa); err != nil {
		t.Fatal(err)
	}
	if err := b.Overtaken(); !errors.Is(err, ledger.ErrOvertaken) {
		t.Errorf("it is said: %v", err)
	}
	if err := b.Publish(pb); !errors.Is(err, ledger.ErrOvertaken) {
		t.Errorf("the second one: %v", err)
	}
	b.Close()
	if err := a.Publish(&ledger.Publication{Moves: []ledger.Move{{Target: fileA, Old: pa.Moves[0].New}}}); err == nil {
		t.Error("a file of the table was removed")
	}
	a.Close()
	published(t, o)
	for path := range tree(t, o, lakeDir) {
		if strings.Contains(path, "staging/") || strings.Contains(path, "intent") {
			t.Errorf("%s is left", path)
		}
	}
}

// Directories in staging live until there is their record, also on a disk.
func TestWorkDirectories(t *testing.T) {
	for name, fsys := range map[string]disk.FS{"disk": faults.NewMem(), "store": faults.NewObjects()} {
		l := open(t, fsys, lakeDir)
		for _, dir := range []string{"000000001-x/deep", "000000002-y"} {
			if err := fsys.MkdirAll(l.StagedPath(dir), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		moves := []ledger.Move{stage(t, l, "000000001-x/deep/a", fileA, "A1", ""), stage(t, l, "000000002-y/b", fileB, "B1", "")}
		stage(t, l, "000000001-x/rest", fileC, "C1", "")
		l.Close()
		l = open(t, fsys, lakeDir)
		for i, m := range moves {
			if err := l.Publish(&ledger.Publication{Moves: []ledger.Move{m}}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			l.Close()
			left := ""
			for path, holds := range tree(t, fsys, lakeDir+"/state/staging") {
				if holds != "/" {
					left += path
				}
			}
			if want := []string{lakeDir + "/state/staging/000000002-y/b", ""}[i]; left != want {
				t.Errorf("%s: after record %d there is %q, want %q", name, i+1, left, want)
			}
			l = open(t, fsys, lakeDir)
		}
		if entries, err := fsys.ReadDir(l.StagedPath("")); err != nil || len(entries) > 0 {
			t.Errorf("%s: %v is left, %v", name, entries, err)
		}
		l.Close()
	}
}

// careless is a store that makes a file although it is there.
type careless struct{ *faults.Objects }

func (c careless) PutNew(path string, data []byte) error {
	_ = c.Remove(path)
	return c.Objects.PutNew(path, data)
}

func TestCarelessStore(t *testing.T) {
	o := careless{faults.NewObjects()}
	for range 2 {
		if _, err := ledger.Open(o, lakeDir, ledger.Options{}); err == nil || !strings.Contains(err.Error(), "If-None-Match") {
			t.Errorf("a lake in a store that excludes nobody: %v", err)
		}
	}
	if _, err := ledger.Open(o, lakeDir, ledger.Options{MustExist: true}); !errors.Is(err, ledger.ErrNoLake) {
		t.Errorf("a lake was left: %v", err)
	}
}
