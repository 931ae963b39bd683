package usagelake_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"usagelake"
	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/sink/disk"
	"usagelake/sink/disk/faults"
	"usagelake/sink/ledger"
)

// listing is everything below a directory: mode, inode, times, and the hash of
// what is in it.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		sum := ""
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum = ledger.Hash(data)
		}
		out[rel] = fmt.Sprint(info.Mode(), " inode ", info.Sys().(*syscall.Stat_t).Ino, " at ", info.ModTime().UnixNano(), " ", sum)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func plan(t *testing.T, cfg usagelake.Config) *usagelake.Report {
	t.Helper()
	r, err := usagelake.Plan(context.Background(), cfg)
	if err != nil {
		t.Fatalf("plan %v: %v", cfg.Inputs, err)
	}
	return r
}

// foreseen is what a plan and its load must agree in.
func foreseen(r *usagelake.Report) *usagelake.Report {
	out := *r
	out.Seq, out.Bytes, out.Seconds, out.Quarantine, out.Now = 0, 0, 0, "", nil
	out.Files = slices.Clone(r.Files)
	for i := range out.Files {
		out.Files[i].Bytes = 0
	}
	return &out
}

// Whatever is there and whatever comes: a load does what its plan said, and
// the plan touches nothing.
func TestPlanForetellsTheLoad(t *testing.T) {
	t.Parallel()
	plans, changed := 0, 0
	checks := checkIn(t, func(rt *rapid.T, dir string) {
		n := 0
		lake := filepath.Join(dir, "lake")
		texts := map[string]string{}
		for range rapid.IntRange(1, 4).Draw(rt, "runs") {
			for f := range rapid.IntRange(1, 3).Draw(rt, "files") {
				name := filepath.Join(dir, "in", fmt.Sprintf("f%d.jsonl", f))
				grown := joined(randomLines(rt, &n, 6))
				switch was := texts[name]; rapid.IntRange(0, 5).Draw(rt, "file") {
				case 0: // as it was
				case 1: // another
					texts[name] = fmt.Sprintf(`{"file":%d}`+"\n", n) + grown
				case 2: // the same as the first, or no more than a beginning
					first := texts[filepath.Join(dir, "in", "f0.jsonl")]
					texts[name] = first[:rapid.IntRange(0, len(first)).Draw(rt, "part")]
				case 3: // with an unfinished line
					texts[name] = was + grown + `{"created":`
				default:
					texts[name] = was + grown
				}
				write(t, name, texts[name])
			}
			cfg := usagelake.Config{
				Lake: lake, Inputs: []string{filepath.Join(dir, "in")}, StrictTime: rapid.Bool().Draw(rt, "strict"),
				Memory: rapid.SampledFrom([]int64{0, 1, 60_000}).Draw(rt, "memory"), Jobs: rapid.SampledFrom([]int{1, 2, 7}).Draw(rt, "jobs"),
			}
			if rapid.IntRange(0, 3).Draw(rt, "filter") == 0 {
				cfg.To = day.Add(24 * time.Hour).Format(time.DateOnly)
			}
			before := listing(t, dir)
			planned, failed := usagelake.Plan(context.Background(), cfg)
			foretold := foreseen(planned)
			if d := gocmp.Diff(before, listing(t, dir)); d != "" {
				rt.Fatalf("plan has changed something\n%s", d)
			}
			held := map[string]usagelake.Held{}
			if s, err := os.Stat(lake); err == nil && s.IsDir() {
				held = heldBy(t, lake)
			}
			r, err := usagelake.Load(context.Background(), cfg)
			if fmt.Sprint(err) != fmt.Sprint(failed) {
				rt.Fatalf("load: %v; plan: %v", err, failed)
			}
			if err != nil { // a file that was cut back, and nothing else
				continue
			}
			if d := gocmp.Diff(foreseen(r), foretold, cmpopts.EquateEmpty(), gocmp.AllowUnexported(schemas.Amount{}, schemas.Sums{})); d != "" {
				rt.Fatalf("-load +plan\n%s", d)
			}
			plans++
			now := heldBy(t, lake)
			for _, f := range foretold.Files {
				changed++
				was, ok := held[f.Path]
				if (f.Before != nil) != ok || ok && *f.Before != was {
					rt.Fatalf("%s held %+v before, plan says %+v", f.Path, was, f.Before)
				}
				if is := now[f.Path]; is != (usagelake.Held{Rows: f.Rows, Sums: f.Sums}) {
					rt.Fatalf("%s holds %+v, plan says %+v", f.Path, is, f)
				}
				delete(held, f.Path)
				delete(now, f.Path)
			}
			if d := gocmp.Diff(held, now, gocmp.AllowUnexported(schemas.Amount{}, schemas.Sums{})); d != "" {
				rt.Fatalf("files the plan does not speak of\n%s", d)
			}
		}
	})
	t.Logf("%d checks, %d plans, %d files foretold", checks, plans, changed)
}

// heldBy is what the files of a lake hold, read from them.
func heldBy(t *testing.T, lake string) map[string]usagelake.Held {
	t.Helper()
	out := map[string]usagelake.Held{}
	for _, name := range tableFiles(t, lake) {
		data, err := os.ReadFile(filepath.Join(lake, name))
		if err != nil {
			t.Fatal(err)
		}
		unit, err := schemas.ParseUnit(name)
		if err != nil {
			t.Fatal(err)
		}
		facts, err := sink.Verify(bytes.NewReader(data), int64(len(data)), unit, 1)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = usagelake.Held{Rows: facts.Rows, Sums: schemas.SumsJSON{Sums: facts.Sums}}
	}
	return out
}

func TestPlanMakesNoLake(t *testing.T) {
	dir := t.TempDir()
	cfg := usagelake.Config{
		Inputs: []string{write(t, filepath.Join(dir, "in", "a.jsonl"), call("a", day.Unix(), 1, 2)+"{\"broken\":\n")},
		Lake:   filepath.Join(dir, "deep", "lake"),
	}
	before := listing(t, dir)
	r := plan(t, cfg)
	if len(r.Files) != 1 || r.Files[0].Rows != 1 || r.Files[0].Before != nil || r.Books.Quarantined != 1 || r.Quarantine != "" || r.Seq != 0 {
		t.Errorf("report %+v", r)
	}
	if d := gocmp.Diff(before, listing(t, dir)); d != "" {
		t.Errorf("plan has made something\n%s", d)
	}
}

// A lake in the middle of a publication, or in use, or changed by someone, is
// not planned for, and not touched.
func TestPlanRefuses(t *testing.T) {
	dir := t.TempDir()
	a := write(t, filepath.Join(dir, "a.jsonl"), call("a", day.Unix(), 1, 1))
	b := write(t, filepath.Join(dir, "b.jsonl"), call("b", day.Unix(), 2, 2))
	check := func(name, lake string, want error, text string) {
		t.Helper()
		before := listing(t, lake)
		_, err := usagelake.Plan(context.Background(), usagelake.Config{Inputs: []string{b}, Lake: lake})
		if err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %v %q", name, err, want, text)
		}
		if d := gocmp.Diff(before, listing(t, lake)); d != "" {
			t.Errorf("%s: plan has changed something\n%s", name, d)
		}
	}

	lake := filepath.Join(dir, "interrupted")
	load(t, usagelake.Config{Inputs: []string{a}, Lake: lake})
	stop := errors.New("killed")
	begun := false
	fsys := &faults.FS{FS: disk.OS{}, Fail: func(_ int, op string) error {
		if op == "rename" && begun { // the first puts the intent in its place
			return stop
		}
		begun = begun || op == "rename"
		return nil
	}}
	if _, err := usagelake.Load(context.Background(), usagelake.Config{Inputs: []string{b}, Lake: lake, FS: fsys}); !errors.Is(err, stop) {
		t.Fatal(err)
	}
	check("interrupted", lake, ledger.ErrInterrupted, "`usagelake status --lake "+lake+"` does it")
	if _, err := usagelake.ReadStatus(lake, nil); err != nil {
		t.Fatal(err)
	}
	if r := plan(t, usagelake.Config{Inputs: []string{b}, Lake: lake}); r.Inputs[0].State != usagelake.Known {
		t.Errorf("after it was finished: %s", r.Inputs[0].State)
	}

	lake = filepath.Join(dir, "changed")
	load(t, usagelake.Config{Inputs: []string{a}, Lake: lake})
	other := filepath.Join(dir, "other")
	load(t, usagelake.Config{Inputs: []string{b}, Lake: other})
	part := tableFiles(t, lake)[0]
	data, err := os.ReadFile(filepath.Join(other, part))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(lake, part), string(data))
	check("changed", lake, nil, "is not the file that usagelake wrote")

	// while a load is at work, and while another plan is
	lake = filepath.Join(dir, "busy")
	load(t, usagelake.Config{Inputs: []string{a}, Lake: lake})
	looked := false
	cfg := usagelake.Config{Inputs: []string{b}, Lake: lake, Progress: func(p usagelake.Progress) {
		if p.Step == "commit" {
			looked = true
			check("busy", lake, usagelake.ErrLocked, "locked")
		}
	}}
	load(t, cfg)
	if !looked {
		t.Error("no plan was made during the load")
	}
	cfg.Progress = func(p usagelake.Progress) {
		if p.Step == "commit" {
			plan(t, usagelake.Config{Inputs: []string{b}, Lake: lake})
			if _, err := usagelake.Load(context.Background(), usagelake.Config{Inputs: []string{b}, Lake: lake}); !errors.Is(err, usagelake.ErrLocked) {
				t.Errorf("a load during a plan: %v", err)
			}
		}
	}
	plan(t, cfg)
}

// A source that is cut back to what its first load consumed holds nothing new.
// Where that load left days out, what is missing cannot be told.
func TestCutSource(t *testing.T) {
	line := `{"created":%d,"model":"m","usage":{"prompt_tokens":1,"completion_tokens":2}}` + "\n"
	begun := fmt.Sprintf(line, day.Unix()) + fmt.Sprintf(line, day.Unix()+86_400)
	for _, to := range []string{"", day.Add(24 * time.Hour).Format(time.DateOnly)} {
		dir := t.TempDir()
		in, lake := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "lake")
		cfg := usagelake.Config{Lake: lake, Inputs: []string{in}, To: to}
		write(t, in, begun)
		load(t, cfg)
		write(t, in, begun+fmt.Sprintf(line, day.Unix()+1))
		load(t, cfg)
		before := heldBy(t, lake)
		write(t, in, begun+`{"created":`)
		cfg.To = ""
		r, err := usagelake.Load(context.Background(), cfg)
		switch {
		case to == "" && (err != nil || r.Inputs[0].State != usagelake.Known):
			t.Errorf("%v, %+v", err, r.Inputs)
		case to != "" && (err == nil || !strings.Contains(err.Error(), "--to")):
			t.Errorf("%v, %+v", err, r.Inputs)
		}
		if d := gocmp.Diff(before, heldBy(t, lake), gocmp.AllowUnexported(schemas.Amount{}, schemas.Sums{})); d != "" {
			t.Errorf("-before +after\n%s", d)
		}
	}
}
