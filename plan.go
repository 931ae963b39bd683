package usagelake

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/zeebo/xxh3"
	"golang.org/x/sync/errgroup"

	"usagelake/ingest"
	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/sink/ledger"
	"usagelake/transform"
	"usagelake/transform/seal"
)

// A task is one input as planned: read it from here, under this identity, or
// leave it.
type task struct {
	input  ingest.Input
	state  InputState // "" until decided; a task to be read is Loaded or Continued
	err    error
	seen   ledger.Seen     // without a source; none where it was not looked up
	known  *ledger.Source  // the source it continues, or nil
	name   string          // of the source, as first seen; rows have it as source_file
	ids    *seal.Key       // or nil
	start  ingest.Position // where reading begins
	part   *part           // nil: to the end
	source transform.Source
	head   []byte // first bytes, decompressed
	whole  []byte // all bytes, decompressed, of a small input; nil where it is read again
	// headSum is the XXH3-128 of the head, which had headLen bytes.
	headSum string
	headLen int
	looks   string // what it seems to be by its head, where that is nothing to be read
	final   bool   // nothing can ever be appended
	same    *task  // the task whose bytes begin with, or are, this one's

	aside map[int64]bool // offsets of its records that are in the quarantine already
	only  *offsets       // nil, or the records to be read
	apart bool           // its records come from the quarantine, not from a file
}

// read reports whether the map step reads the task.
func (t *task) read() bool { return t.state == Loaded || t.state == Continued }

// planned is the outcome of the plan step.
type planned struct {
	kind    string
	run     string // id, of a load in steps
	asked   string // and what it was asked to do, hashed
	tasks   []*task
	sources *sink.Sources
	again   map[int32]bool // sources that are read again from their start
	bytes   int64          // on disk, to be read
	warn    []string

	forget map[int32]bool // sources whose rows are taken out
	replay *replay        // nil, or the quarantined records to be read again
}

func newPlanned(kind string) *planned {
	return &planned{kind: kind, sources: &sink.Sources{}, again: map[int32]bool{}, forget: map[int32]bool{}}
}

// planInputs decides for every input whether it is new, grows a known source,
// or holds nothing new. Sources are known by content: a renamed, moved or
// recompressed file is the same source.
func planInputs(ctx context.Context, s *settings, lake *ledger.Lake, inputs []ingest.Input) (*planned, error) {
	p := newPlanned(ledger.KindLoad)
	all := make([]task, len(inputs))
	for i := range inputs {
		t := &all[i]
		t.input, t.err = inputs[i], inputs[i].Err
		p.tasks = append(p.tasks, t)
		if t.input.Path == "-" && t.err == nil {
			t.final = true
			if err := spool(ctx, s.stdin, &t.input); err != nil {
				return nil, err
			}
		}
	}
	var kept atomic.Int64
	err := each(ctx, s.Jobs, len(p.tasks), func(ctx context.Context, i int) error {
		t, room := p.tasks[i], int64(0)
		if kept.Load() < s.Memory/keptShare {
			room = s.keepWhole
		}
		recognise(ctx, s.ids, t, &lake.State, room)
		kept.Add(int64(cap(t.whole)))
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	if err := parted(ctx, p.tasks); err != nil {
		return nil, err
	}
	if err := dropContained(ctx, p.tasks); err != nil {
		return nil, err
	}
	var read []*task
	for _, t := range p.tasks {
		if t.state == "" {
			t.state = Loaded
		}
		if t.read() {
			read = append(read, t)
		} else {
			t.whole = nil
		}
	}
	p.prepare(s, read...)
	return p, p.setAside(ctx, lake)
}

// each calls do for the numbers below n, in so many goroutines, until one of them
// fails or ctx ends.
func each(ctx context.Context, goroutines, n int, do func(ctx context.Context, i int) error) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range min(goroutines, n) {
		g.Go(func() error {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := do(ctx, int(i-1)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

const (
	// wholeInput is how many bytes of an input, decompressed, are kept until
	// they are mapped: to open and read a small file once more takes longer
	// than what is done with it.
	wholeInput = 64 << 10
	// keptShare is the part of the memory budget that all of them may take.
	keptShare = 6
)

// recognise looks an input up among the known sources. It keeps all of one that
// has no more than so many bytes.
func recognise(ctx context.Context, ids *seal.Key, t *task, known *ledger.State, room int64) {
	if t.err != nil {
		t.state = Failed
		return
	}
	path := ids.Path(wholePath(t.input.Path))
	if _, was := known.Seen[path]; was && t.input.Size == ingest.Unseen {
		t.input.Look()
	}
	t.seen = seen(path, t.input)
	if src := known.Unchanged(t.seen); src != nil && !t.final {
		t.state, t.known = Known, src
		return
	}
	t.head, t.whole, t.err = head(ctx, &t.input, room)
	t.seen = seen(path, t.input)
	if t.err != nil && !errors.Is(t.err, ingest.ErrDamaged) {
		t.state = Failed
		return
	}
	t.err = nil // damage shows again when it is read
	t.headSum, t.headLen, t.looks = hexSum(t.head), len(t.head), ingest.Looks(t.head)
	if len(t.head) == 0 {
		t.state = Empty
		return
	}
	var candidates []*ledger.Source
	for _, n := range known.HeadLengths() {
		if n <= int64(len(t.head)) {
			candidates = append(candidates, known.ByHead(n, hexSum(t.head[:n]))...)
		}
	}
	if len(candidates) == 0 {
		return
	}
	lengths := make([]int64, 0, len(candidates))
	for _, c := range candidates {
		lengths = append(lengths, c.Offset)
	}
	slices.Sort(lengths)
	sums, _, _ := t.prefixes(ctx, slices.Compact(lengths)) // who calls looks at ctx
	if t.state == Failed {
		return
	}
	for _, c := range candidates {
		sum, ok := sums[c.Offset]
		if !ok || hex.EncodeToString(sum[:]) != c.Sum {
			continue
		}
		// of several, the longest; then a fixed one
		if t.known == nil || c.Offset > t.known.Offset || c.Offset == t.known.Offset && c.ID < t.known.ID {
			t.known = c
		}
	}
	if t.known != nil {
		t.state = Continued
		if !t.known.Filtered {
			t.start = ingest.Position{Offset: t.known.Offset, Line: t.known.Line}
		}
	}
}

// prefixes is ingest.Prefixes. A task whose input cannot be read has failed; only the
// end of the whole run is an error.
func (t *task) prefixes(ctx context.Context, lengths []int64) (map[int64][16]byte, int64, error) {
	sums, size, err := ingest.Prefixes(ctx, t.input, lengths)
	if err != nil && !errors.Is(err, ingest.ErrDamaged) {
		t.state, t.err = Failed, err
	}
	return sums, size, ctx.Err()
}

// head is ingest.Head, and all that the input holds if that is no more than room. It
// looks at one that is unseen.
func head(ctx context.Context, in *ingest.Input, room int64) (head, whole []byte, err error) {
	if room > 0 {
		switch whole, ok, err := ingest.ReadSmall(ctx, in, room, fromShelf); {
		case err != nil:
			return nil, nil, err
		case ok:
			return whole[:min(len(whole), ingest.HeadLen)], whole, nil
		}
	} else if in.Size == ingest.Unseen {
		in.Look()
	}
	if room == 0 || in.Size > room {
		head, err = ingest.Head(ctx, *in)
		return head, nil, err
	}
	s, err := ingest.Open(ctx, *in)
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	buf := heads.Get().(*[wholeInput + 1]byte)
	defer heads.Put(buf)
	n, err := io.ReadFull(s, buf[:room+1])
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		whole = append(make([]byte, 0, n+ingest.Pad), buf[:n]...)
		return whole[:min(n, ingest.HeadLen)], whole, nil
	}
	return bytes.Clone(buf[:min(n, ingest.HeadLen)]), nil, err
}

// shelf is memory for inputs that are kept: to get it for each takes as long as to
// read it.
type shelf struct{ free []byte }

func fromShelf(n int) []byte {
	const piece, line = 256 << 10, 64 // what is read to odd addresses takes longer
	room := (n + ingest.Pad + line - 1) &^ (line - 1)
	s := shelves.Get().(*shelf)
	defer shelves.Put(s)
	if len(s.free) < room {
		s.free = make([]byte, max(room, piece))
	}
	p := s.free[:n:room]
	s.free = s.free[room:]
	return p
}

var shelves = sync.Pool{New: func() any { return new(shelf) }}

var heads = sync.Pool{New: func() any { return new([wholeInput + 1]byte) }}

// content is what an input holds, decompressed.
type content interface {
	io.ReadCloser
	// BytesRead is the count of bytes taken from the file so far.
	BytesRead() int64
}

// headUpTo is the XXH3-128 of the first n bytes, or of the head if that is shorter, and
// of how many. It lets go of the head.
func (t *task) headUpTo(n int64) (sum string, length int64) {
	head := t.head
	if t.head = nil; n >= int64(len(head)) && len(head) == t.headLen {
		return t.headSum, int64(t.headLen)
	}
	length = min(int64(len(head)), n)
	return hexSum(head[:length]), length
}

// open opens the task's input, or what was kept of it.
func (t *task) open(ctx context.Context) (content, error) {
	switch {
	case t.part != nil:
		return t.part.open(ctx, t.input)
	case t.whole == nil:
		return ingest.Open(ctx, t.input)
	}
	k := &kept{ingest.Hold(t.whole), t.input.Size}
	t.whole = nil
	return k, nil
}

// kept is an input that was read before.
type kept struct {
	ingest.Held
	size int64 // of the file
}

func (k *kept) BytesRead() int64 { return max(k.size, 0) }
func (k *kept) Close() error     { return nil }

// prepare gives tasks their identity and what is known beside their records.
func (p *planned) prepare(s *settings, tasks ...*task) {
	for _, t := range tasks {
		p.name(s, t)
	}
	fits := make([]bool, len(tasks))
	_ = each(context.Background(), s.Jobs, len(tasks), func(_ context.Context, i int) error {
		t := tasks[i]
		fileTime := t.input.ModTime.UnixMicro()
		switch {
		case t.final:
			fileTime = 0 // standard input has none
		case t.known != nil:
			fileTime = t.known.FileTime
		}
		fits[i] = s.besides(&t.source, t.name, fileTime)
		return nil
	})
	for i, t := range tasks {
		if !fits[i] {
			p.warn = append(p.warn, fmt.Sprintf("%s: path does not match --path-columns", t.input.Path))
		}
	}
}

// name gives a task its identity.
func (p *planned) name(s *settings, t *task) {
	t.name, t.ids = t.input.File, s.ids
	src := sink.Source{File: s.ids.File(t.name)} // its id is set when it was read
	if t.known != nil {
		src = sink.Source{File: t.known.File, ID: t.known.ID}
		if s.ids == nil {
			t.name = src.File
		} else if name, ok := s.ids.Open(t.known.Path); ok {
			t.name = name
		}
	}
	p.bytes += max(t.input.Size, 0)
	t.source = transform.Source{Index: p.sources.Intern(src)}
	if t.known != nil && t.start.Offset == 0 {
		p.again[t.source.Index] = true
	}
}

// besides fills in what is known of a source beside its records: from its path,
// from flags, from its file's time (0: there is none). It reports false where the
// path says nothing although it should.
func (s *settings) besides(src *transform.Source, file string, fileTime int64) (ok bool) {
	date, ok := "", true
	if s.pattern != nil {
		src.Fill, date, ok = s.pattern.Match(file)
	}
	src.Fill = append(src.Fill, s.fills...)
	switch {
	case s.StrictTime:
	case s.hasTime:
		src.Time, src.TimeFrom = s.eventTime, schemas.FromFlag
	default:
		if us, ok := transform.Time(date, s.location); ok {
			src.Time, src.TimeFrom = us, schemas.FromFileName
		} else if us, ok := transform.FileDate(file, s.location); ok {
			src.Time, src.TimeFrom = us, schemas.FromFileName
		} else if fileTime >= schemas.MinTime && fileTime < schemas.MaxTime {
			src.Time, src.TimeFrom = fileTime, schemas.FromFileTime
		}
	}
	return ok
}

// id is the source that the task's bytes belong to; false where
// there is none.
func (t *task) id(p *planned) (string, bool) {
	for t.same != nil {
		t = t.same
	}
	switch {
	case t.known != nil:
		return t.known.ID, true
	case t.read():
		return p.sources.At(t.source.Index).ID, true
	}
	return "", false
}

// seen is a file as the ledger has it, under this path.
func seen(path string, in ingest.Input) ledger.Seen {
	return ledger.Seen{Path: path, Size: in.Size, Mtime: in.ModTime.UnixNano(), Dev: in.Dev, Inode: in.Inode}
}

// wholePath is a path as the ledger has it: from the root on, or the URL of an
// object.
func wholePath(path string) string {
	if ingest.IsObject(path) {
		return path
	}
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

func hexSum(b []byte) string {
	sum := xxh3.Hash128(b).Bytes()
	return hex.EncodeToString(sum[:])
}

// spool copies standard input to a file, so that it can be hashed and read
// like any other. When ctx ends it returns at once; the goroutine that waits for
// input ends with the next input or with the process.
func spool(ctx context.Context, scratch sink.Scratch, in *ingest.Input) (err error) {
	const name = "stdin"
	f, err := scratch.Create(name)
	if err != nil {
		return err
	}
	defer closing(&err, f.Close)
	type copied struct {
		n   int64
		err error
	}
	done := make(chan copied, 1)
	go func() { // a read of standard input cannot be broken off
		n, err := io.Copy(f, os.Stdin)
		done <- copied{n, err}
	}()
	var n int64
	select {
	case c := <-done:
		if c.err != nil {
			return fmt.Errorf("read standard input: %w", c.err)
		}
		n = c.n
	case <-ctx.Done():
		return ctx.Err()
	}
	in.Path, in.Size = filepath.Join(scratch.Dir, name), n
	in.File = name
	return nil
}
