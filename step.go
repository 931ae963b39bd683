package usagelake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"usagelake/ingest"
	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/sink/disk"
	"usagelake/sink/ledger"
	"usagelake/transform"
	"usagelake/transform/price"
)

// Run is a load in steps, for many machines: each step is a process of its own, or
// many, that share nothing but the lake and the inputs. A plan says what is to be
// done, in items that do not depend on each other; what an item came to stands in a
// file, written whole and last. So any step may be killed, repeated, or run twice at
// once. Only Commit changes the lake. What a run keeps until then is in its directory
// of staging, which goes when the ledger has moved on, by this run or another.
type Run struct {
	s    *settings
	lake *ledger.Lake // its state is that of the plan; it is not locked
	plan runPlan
	sum  string   // SHA-256 of the plan as it stands
	p    *planned // as of the plan; belongs to no step
	dir  string   // below staging, slash-separated
	done *ledger.Run
}

var (
	// ErrIncomplete: items of the step before are missing. Nothing was done.
	ErrIncomplete = errors.New("the step before is not complete")
	// ErrMoved: the ledger has moved on since the run was planned. Nothing was
	// published, and nothing of the run ever will be.
	ErrMoved = errors.New("the lake was changed since the run was planned")
)

// defaultSplit is how many bytes of inputs make an item of the map step.
const defaultSplit = 256 << 20

// runPlan is what the plan step leaves to the others.
type runPlan struct {
	Tool   string    `json:"tool"`
	Run    string    `json:"run"`
	Asked  string    `json:"asked"`
	Seq    int64     `json:"seq"`  // of the ledger's last record,
	Prev   string    `json:"prev"` // and its hash
	Flags  runFlags  `json:"flags"`
	Tasks  []runTask `json:"tasks"`
	Items  []runItem `json:"items"`
	IDKey  string    `json:"id_key,omitempty"`
	Rotate bool      `json:"rotate,omitempty"`
}

// runFlags are what of a Config decides on what comes out, with the files that it
// names as they were.
type runFlags struct {
	Set           []string  `json:"set,omitempty"`
	Map           *runText  `json:"map,omitempty"`
	Prices        []runText `json:"prices,omitempty"`
	PathColumns   string    `json:"path_columns,omitempty"`
	EventTime     string    `json:"event_time,omitempty"`
	StrictTime    bool      `json:"strict_time,omitempty"`
	TimeZone      string    `json:"tz,omitempty"`
	From          string    `json:"from,omitempty"`
	To            string    `json:"to,omitempty"`
	MaxPartitions int       `json:"max_partitions,omitempty"`
	MaxQuarantine string    `json:"max_quarantine,omitempty"`
	MaxLine       int64     `json:"max_line,omitempty"`
	QuarantineRaw bool      `json:"quarantine_raw,omitempty"`
	Codec         string    `json:"codec,omitempty"`
}

// runText is a file that a flag names.
type runText struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// runTask is a task as planned. Where ids are hashed its texts are sealed.
type runTask struct {
	Path    string          `json:"path"`
	File    string          `json:"file"`
	Size    int64           `json:"size"`
	ModTime time.Time       `json:"mtime"`
	Dev     uint64          `json:"dev,omitempty"`
	Inode   uint64          `json:"inode,omitempty"`
	Version string          `json:"version,omitempty"`
	State   InputState      `json:"state"`
	Error   string          `json:"error,omitempty"`
	Known   string          `json:"known,omitempty"` // id of the source
	Start   ingest.Position `json:"start"`
	HeadSum string          `json:"head,omitempty"`
	HeadLen int             `json:"head_len,omitempty"`
	Same    int             `json:"same"` // number of the task, or -1
}

// runItem is what one process does at a time in the map step: some inputs, or a range
// of one, or the sums of one whose ranges are other items.
type runItem struct {
	Tasks  []int          `json:"tasks"`
	Part   *part          `json:"part,omitempty"`
	Ranges []ingest.Range `json:"ranges,omitempty"`
}

// part is a range of a task's input.
type part struct {
	ingest.Range
	Line int64 `json:"line"` // number of its first line; 1 where it is known only later
}

// runID is what an id of a run may be: it is part of file names.
var runID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func checkRunID(id string) error {
	if id == "" {
		return fmt.Errorf("%w: --run ID is missing", ErrUsage)
	}
	if !runID.MatchString(id) {
		return fmt.Errorf("%w: --run %q: want up to 64 letters, digits, points, lines", ErrUsage, id)
	}
	return nil
}

// PlanRun plans a load of cfg's inputs in steps, under an id of the caller's, or
// takes up what was planned under it: of the same inputs, by name, and with the same
// flags, else it is ErrUsage. Standard input cannot be loaded in steps.
func PlanRun(ctx context.Context, cfg Config, id string) (_ *Run, err error) {
	s, err := cfg.check()
	if err != nil {
		return nil, err
	}
	if err := checkRunID(id); err != nil {
		return nil, err
	}
	if slices.Contains(s.Inputs, "-") {
		return nil, fmt.Errorf("%w: standard input cannot be loaded in steps: write it to a file first", ErrUsage)
	}
	flags, err := s.runFlags()
	if err != nil {
		return nil, err
	}
	inputs, err := discover(ctx, s)
	if err != nil {
		return nil, err
	}
	lake, err := openLake(ctx, s, ledger.Options{Buckets: s.Buckets})
	if err != nil {
		return nil, err
	}
	defer closing(&err, lake.Close)
	asked, err := s.asked(flags)
	if err != nil {
		return nil, err
	}
	if run, err := openRun(s, lake, id); err == nil {
		return run, run.isFor(asked, id)
	} else if !errors.Is(err, errNoRun) {
		return nil, err
	}
	if err := s.fits(lake); err != nil {
		return nil, err
	}
	if err := s.keyed(lake); err != nil {
		return nil, err
	}
	s.keepWhole = 0 // other processes read them
	p, err := planInputs(ctx, s, lake, inputs)
	if err != nil {
		return nil, err
	}
	plan := runPlan{
		Tool: "usagelake " + Version, Run: id, Asked: asked, Seq: lake.State.Seq, Prev: lake.State.Sum, Flags: *flags,
		IDKey: s.ids.Fingerprint(), Rotate: s.HashIDsRotate,
	}
	number := map[*task]int{}
	for i, t := range p.tasks {
		number[t] = i
	}
	for _, t := range p.tasks {
		in := t.input
		if in.Store == nil && in.Err == nil {
			if in.Path, err = filepath.Abs(in.Path); err != nil {
				return nil, err
			}
		}
		of := runTask{
			Path: s.ids.Path(in.Path), File: s.ids.Path(in.File), Size: in.Size, ModTime: in.ModTime.UTC(), Dev: in.Dev, Inode: in.Inode, Version: in.Version,
			State: t.state, Start: t.start, HeadSum: t.headSum, HeadLen: t.headLen, Same: -1,
		}
		if t.err != nil {
			of.Error = s.ids.Path(t.err.Error())
		}
		if t.known != nil {
			of.Known = t.known.ID
		}
		if t.same != nil {
			of.Same = number[t.same]
		}
		plan.Tasks = append(plan.Tasks, of)
	}
	if plan.Items, err = items(ctx, s, lake, p); err != nil {
		return nil, err
	}
	data, err := json.Marshal(&plan)
	if err != nil {
		return nil, err
	}
	dir := runDir(lake.NextSeq(), id)
	for _, d := range []string{dir, dir + "/map", dir + "/reduce"} {
		if err := lake.FS().MkdirAll(lake.StagedPath(d), 0o700); err != nil {
			return nil, err
		}
	}
	if err := put(lake, dir+"/plan.json", data); err != nil {
		return nil, err
	}
	return openRun(s, lake, id)
}

// asked is a hash of what a load in steps is asked to do: of its inputs, by their
// names, and its flags.
func (s *settings) asked(flags *runFlags) (string, error) {
	of := struct {
		Inputs []string
		Flags  *runFlags
	}{Flags: flags}
	for _, in := range s.Inputs {
		if !IsURL(in) {
			var err error
			if in, err = filepath.Abs(in); err != nil {
				return "", err
			}
		}
		of.Inputs = append(of.Inputs, s.ids.Path(in))
	}
	data, err := json.Marshal(&of)
	return ledger.Hash(data), err
}

// isFor fails if a run was asked to do something else.
func (r *Run) isFor(asked, id string) error {
	was, is := r.plan.Asked, "planned"
	if r.done != nil {
		was, is = r.done.Asked, "in the lake"
	}
	if was == asked || was == "" { // older records do not have it
		return nil
	}
	return fmt.Errorf("%w: a run %s is %s already, for other inputs or with other flags: take another --run, or the arguments of before", ErrUsage, id, is)
}

// runDir is the directory of a run below staging. It is dead when the ledger has a
// record with that number.
func runDir(seq int64, id string) string { return fmt.Sprintf("%09d-%s", seq, id) }

// put writes a small file of a run, whole or not at all, and durably.
func put(lake *ledger.Lake, name string, data []byte) error {
	at := lake.StagedPath(name)
	if lake.Shared() { // there a file is whole or not at all
		return disk.WriteFile(lake.FS(), at, data, 0o600)
	}
	temp := fmt.Sprintf("%s.%s", at, attempt())
	if err := disk.WriteFile(lake.FS(), temp, data, 0o600); err != nil {
		return err
	}
	if err := lake.FS().Rename(temp, at); err != nil {
		return err
	}
	return lake.FS().SyncDir(filepath.Dir(at))
}

func (s *settings) runFlags() (*runFlags, error) {
	f := &runFlags{
		Set: s.Set, PathColumns: s.PathColumns, EventTime: s.EventTime, StrictTime: s.StrictTime, TimeZone: s.TimeZone,
		From: s.From, To: s.To, MaxPartitions: s.MaxPartitions, MaxQuarantine: s.MaxQuarantine, MaxLine: s.MaxLine,
		QuarantineRaw: s.QuarantineRaw, Codec: s.Codec,
	}
	read := func(path string) (runText, error) {
		data, err := os.ReadFile(path)
		return runText{path, string(data)}, err
	}
	if s.Map != "" {
		text, err := read(s.Map)
		if err != nil {
			return nil, err
		}
		f.Map = &text
	}
	for _, path := range s.Prices {
		text, err := read(path)
		if err != nil {
			return nil, err
		}
		f.Prices = append(f.Prices, text)
	}
	return f, nil
}

// config is a step's own Config with the flags of the plan.
func (f *runFlags) config(own Config) (*settings, error) {
	own.Set, own.PathColumns, own.EventTime, own.StrictTime, own.TimeZone = f.Set, f.PathColumns, f.EventTime, f.StrictTime, f.TimeZone
	own.From, own.To, own.MaxPartitions, own.MaxQuarantine, own.MaxLine = f.From, f.To, f.MaxPartitions, f.MaxQuarantine, f.MaxLine
	own.QuarantineRaw, own.Codec, own.Map, own.Prices, own.Inputs = f.QuarantineRaw, f.Codec, "", nil, nil
	s, err := own.check()
	if err != nil {
		return nil, err
	}
	if f.Map != nil {
		m, err := transform.ParseMapping(strings.NewReader(f.Map.Text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Map.Path, err)
		}
		d := newDialects(m)
		s.dialects = func() *dialects { return d }
	}
	var books []*price.Book
	for _, text := range f.Prices {
		b, err := price.Read(strings.NewReader(text.Text), text.Path)
		if err != nil {
			return nil, err
		}
		books = append(books, b)
	}
	if len(books) > 0 {
		if s.prices, err = price.Overlay(books...); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// items divides what is to be read.
func items(ctx context.Context, s *settings, lake *ledger.Lake, p *planned) ([]runItem, error) {
	split := s.Split
	if split <= 0 {
		split = defaultSplit
	}
	var list []runItem
	var some runItem
	var size int64
	flush := func() {
		if len(some.Tasks) > 0 {
			list = append(list, some)
		}
		some, size = runItem{}, 0
	}
	for i, t := range p.tasks {
		if !t.read() {
			continue
		}
		ranges, err := ranges(ctx, s, t, split)
		if err != nil {
			return nil, err
		}
		if len(ranges) > 1 {
			lines, err := firstLines(ctx, lake, t, ranges)
			if err != nil {
				return nil, err
			}
			for k, r := range ranges {
				list = append(list, runItem{Tasks: []int{i}, Part: &part{r, lines[k]}})
			}
			list = append(list, runItem{Tasks: []int{i}, Ranges: ranges})
			continue
		}
		if size += t.input.Size; size > split {
			flush()
			size = t.input.Size
		}
		some.Tasks = append(some.Tasks, i)
	}
	flush()
	return list, nil
}

// ranges are those that an input is read in: one, unless it is large, plain, new, framed
// by lines, and its records speak for themselves.
func ranges(ctx context.Context, s *settings, t *task, split int64) ([]ingest.Range, error) {
	n := (t.input.Size + split - 1) / split
	if n < 2 || t.known != nil {
		return nil, nil
	}
	head, ok, err := ingest.Beginning(ctx, t.input, 256<<10)
	if err != nil {
		return nil, ctx.Err() // the map step finds it
	}
	if !ok || linked(s, t, head) {
		return nil, nil
	}
	var out []ingest.Range
	for i := range n {
		out = append(out, ingest.Range{From: t.input.Size * i / n, To: t.input.Size * (i + 1) / n})
	}
	return out, nil
}

// linked reports whether the first records of an input recall each other. Where later
// ones do, the map step finds it.
func linked(s *settings, t *task, head []byte) bool {
	w := &worker{s: s, drift: newDrift()}
	w.ready()
	defer s.dialects().walkers.Put(w.walker)
	row := schemas.NewBuilder(s.Allocator)
	var sums schemas.Sums
	reader := ingest.NewReader(strings.NewReader(string(head)), ingest.ReaderOptions{MaxLine: s.MaxLine})
	for {
		b, err := reader.Next()
		if err != nil {
			return w.norm.Linked()
		}
		b.Each(func(d ingest.Doc) {
			if d.Reason != "" {
				return
			}
			rec, err := w.walker.Scan(d.Data)
			if err == nil && w.norm.Apply(rec, &t.source, row, &sums) == transform.IsMore {
				w.norm.More(d.Data, &t.source, row, &sums, nil, func() {})
			}
			row.Drop()
		})
		b.Free()
	}
}

// firstLines are the numbers of the first lines of ranges. Rows without an id go to a
// bucket by their line, so where there are several it must be known beforehand.
func firstLines(ctx context.Context, lake *ledger.Lake, t *task, ranges []ingest.Range) ([]int64, error) {
	lines := slices.Repeat([]int64{1}, len(ranges))
	if lake.State.Settings.Buckets == 1 {
		return lines, nil
	}
	sums, _, err := sumUp(ctx, t, ranges, ingest.ReaderOptions{})
	if err != nil {
		return nil, err
	}
	for i := range sums {
		lines[i] = sums[i].Line
	}
	return lines, nil
}

// errNoRun tells of a run that was not planned.
var errNoRun = errors.New("no such run")

// OpenRun opens a run that was planned. Of cfg count Lake, Jobs, Memory, HashIDs, and
// what is about this process; the rest is the plan's.
func OpenRun(ctx context.Context, cfg Config, id string) (_ *Run, err error) {
	s, err := Config{
		Lake: cfg.Lake, Jobs: cfg.Jobs, Memory: cfg.Memory, HashIDs: cfg.HashIDs, LockWait: cfg.LockWait, Objects: cfg.Objects,
		Allocator: cfg.Allocator, Log: cfg.Log, Progress: cfg.Progress, FS: cfg.FS, Now: cfg.Now,
	}.check()
	if err != nil {
		return nil, err
	}
	if err := checkRunID(id); err != nil {
		return nil, err
	}
	lake, err := openLake(ctx, s, ledger.Options{ReadOnly: true, MustExist: true})
	if errors.Is(err, ledger.ErrInterrupted) { // be it by this run: to open the lake finishes it
		lake, err = openLake(ctx, s, ledger.Options{MustExist: true})
	}
	if err != nil {
		return nil, err
	}
	defer closing(&err, lake.Close)
	run, err := openRun(s, lake, id)
	if errors.Is(err, errNoRun) {
		return nil, fmt.Errorf("%w, or there is no run %q: plan it", ErrMoved, id)
	}
	return run, err
}

// openRun finds a run in a lake whose state was read.
func openRun(s *settings, lake *ledger.Lake, id string) (*Run, error) {
	r := &Run{s: s, lake: lake, dir: runDir(lake.NextSeq(), id)}
	for i := range lake.State.Runs {
		if lake.State.Runs[i].Run == id {
			r.done = &lake.State.Runs[i]
			return r, nil
		}
	}
	data, err := disk.ReadFile(lake.FS(), lake.StagedPath(r.dir+"/plan.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoRun
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &r.plan); err != nil {
		return nil, fmt.Errorf("plan of run %s: %w", id, err)
	}
	if tool := "usagelake " + Version; r.plan.Tool != tool {
		return nil, fmt.Errorf("%w: run %s was planned by %s, and this is %s: all steps are for one version", ErrUsage, id, r.plan.Tool, tool)
	}
	r.sum = ledger.Hash(data)
	own := s.Config
	own.HashIDsRotate = r.plan.Rotate
	if r.s, err = r.plan.Flags.config(own); err != nil {
		return nil, err
	}
	if is := r.s.ids.Fingerprint(); is != r.plan.IDKey {
		return nil, fmt.Errorf("%w: run %s was planned with another key of --hash-ids (fingerprint %q; here it is %q)", ErrUsage, id, r.plan.IDKey, is)
	}
	r.p, err = r.tasks()
	return r, err
}

// tasks makes the tasks anew that were planned.
func (r *Run) tasks() (*planned, error) {
	p := newPlanned(ledger.KindLoad)
	p.run, p.asked = r.plan.Run, r.plan.Asked
	for i := range r.plan.Tasks {
		of := &r.plan.Tasks[i]
		var text [3]string
		for k, kept := range []string{of.Path, of.File, of.Error} {
			text[k], _ = r.s.ids.Open(kept) // the key is that of the plan
		}
		t := &task{
			input: ingest.Input{Path: text[0], File: text[1], Size: of.Size, ModTime: of.ModTime, Dev: of.Dev, Inode: of.Inode, Version: of.Version},
			state: of.State, start: of.Start, headSum: of.HeadSum, headLen: of.HeadLen,
		}
		if of.Error != "" {
			t.err = errors.New(text[2])
		}
		if ingest.IsObject(text[0]) {
			var err error
			if t.input.Store, err = r.s.objects(text[:1]); err != nil {
				return nil, err
			}
		}
		if of.Known != "" {
			if t.known = r.lake.State.Sources[of.Known]; t.known == nil {
				return nil, fmt.Errorf("plan of run %s: the ledger has no source %s", r.plan.Run, of.Known)
			}
		}
		p.tasks = append(p.tasks, t)
	}
	for i, of := range r.plan.Tasks {
		if of.Same >= 0 {
			p.tasks[i].same = p.tasks[of.Same]
		}
		if t := p.tasks[i]; t.read() {
			p.prepare(r.s, t)
		}
	}
	return p, nil
}

// Done reports the number of the ledger's record that the run has become, 0 where it
// has not.
func (r *Run) Done() int64 {
	if r.done == nil {
		return 0
	}
	return r.done.Seq
}

// files is a directory of the run, for files that others read.
func (r *Run) files(dir string) sink.Scratch {
	return sink.Scratch{FS: r.lake.FS(), Dir: r.lake.StagedPath(path.Join(r.dir, dir))}
}

// moved is ErrMoved where the ledger has moved on, and otherwise err.
func (r *Run) moved(err error) error {
	lake, e := ledger.Open(r.lake.FS(), r.s.Lake, ledger.Options{ReadOnly: true, MustExist: true})
	if e != nil {
		return err
	}
	seq := lake.State.Seq
	if e := lake.Close(); e != nil || seq == r.plan.Seq {
		return err
	}
	return fmt.Errorf("%w: plan it again", ErrMoved)
}
