package ingest

import (
	"bytes"
	"context"
	"encoding/binary"
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
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"
	"go.uber.org/goleak"
)

func gz(t testing.TB, parts ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, p := range parts {
		w := gzip.NewWriter(&out)
		w.Name = "a-name-in-the-header"
		if _, err := w.Write(p); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func zst(t testing.TB, parts ...[]byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for _, p := range parts {
		out = w.EncodeAll(p, out)
	}
	return out
}

func skippable(n int) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{0x53, 0x2a, 0x4d, 0x18}, uint32(n))
	return append(b, make([]byte, n)...)
}

// records is n bytes of lines that do not compress too well.
func records(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var b []byte
	for len(b) < n {
		b = append(b, `{"id":"`...)
		for range 40 {
			b = append(b, "0123456789abcdef"[r.IntN(16)])
		}
		b = append(b, "\"}\n"...)
	}
	return b[:n]
}

func file(t testing.TB, data []byte) Input {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return Input{Path: path, Size: int64(len(data))}
}

func readStream(t testing.TB, in Input) ([]byte, error) {
	t.Helper()
	s, err := Open(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(s)
	if err == nil && s.BytesRead() != in.Size {
		t.Errorf("%d bytes read, want %d", s.BytesRead(), in.Size)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return data, err
}

func TestOpen(t *testing.T) {
	text := records(300_000)
	a, b := text[:100_000], text[100_000:]
	for name, tt := range map[string]struct{ data, want []byte }{
		"empty":             {nil, nil},
		"plain":             {text, text},
		"plain, one byte":   {[]byte{0x1f}, []byte{0x1f}},
		"plain, magic":      {[]byte("(\xb5/"), []byte("(\xb5/")},
		"gzip":              {gz(t, text), text},
		"gzip, empty":       {gz(t, nil), nil},
		"gzip, members":     {gz(t, a, nil, b), text},
		"zstd":              {zst(t, text), text},
		"zstd, frames":      {zst(t, a, nil, b), text},
		"zstd, skippable":   {append(skippable(5), zst(t, text)...), text},
		"zstd, in between":  {bytes.Join([][]byte{zst(t, a), skippable(0), zst(t, b), skippable(70_000)}, nil), text},
		"zstd in gzip text": {gz(t, zst(t, a)), zst(t, a)},
	} {
		got, err := readStream(t, file(t, tt.data))
		if err != nil || !bytes.Equal(got, tt.want) {
			t.Errorf("%s: %d bytes, %v: want %d", name, len(got), err, len(tt.want))
		}
	}
}

func TestOpenDamaged(t *testing.T) {
	text := records(200_000)
	a, b := text[:120_000], text[120_000:]
	first := map[string]int{"gzip": len(gz(t, a)), "zstd": len(zst(t, a))}
	for name, data := range map[string][]byte{"gzip": gz(t, a, b), "zstd": zst(t, a, b)} {
		check := func(what string, n int, data []byte) {
			got, err := readStream(t, file(t, data))
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%s, %s at %d: %v", name, what, n, err)
			}
			if what == "cut" && !bytes.HasPrefix(text, got) || n >= first[name] && !bytes.HasPrefix(got, a) {
				t.Errorf("%s, %s at %d: %d bytes are wrong", name, what, n, len(got))
			}
		}
		cuts := []int{4, 5, 12, 20, first[name] / 2, first[name] - 1, len(data) - 1, len(data) - 6}
		for i := 1; i < 40; i++ {
			cuts = append(cuts, first[name]+i)
		}
		for _, n := range cuts {
			check("cut", n, data[:n])
		}
		for _, n := range []int{first[name] / 2, first[name] + 1, first[name] + 500, len(data) - 1} {
			broken := bytes.Clone(data)
			broken[n] ^= 0x55
			check("flip", n, broken)
		}
		check("garbage", len(data), append(bytes.Clone(data), "garbage"...))
	}
}

// What was read before the damage is published.
func TestReaderDamaged(t *testing.T) {
	text := records(200_000)
	data := gz(t, text)
	in := file(t, data[:len(data)*2/3])
	prefix, _ := readStream(t, in)
	s, err := Open(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := NewReader(s, ReaderOptions{BlockSize: 10_000})
	docs := 0
	for {
		b, err := r.Next()
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Error(err)
			}
			break
		}
		b.Each(func(Doc) { docs++ })
		b.Free()
	}
	n := int64(bytes.LastIndexByte(prefix, '\n') + 1)
	if docs != bytes.Count(prefix, lf) || docs == 0 || r.End().Offset != n {
		t.Errorf("%d documents, end %v, want end %d", docs, r.End(), n)
	}
	if r.Sum() != xxh3.Hash128(prefix[:n]).Bytes() {
		t.Error("wrong sum")
	}
}

func TestOpenGrown(t *testing.T) {
	in := file(t, []byte("{}\n{}\n"))
	in.Size = 3
	if got, err := readStream(t, in); string(got) != "{}\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestOpenErrors(t *testing.T) {
	if _, err := Open(t.Context(), Input{Path: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	broken := errors.New("no way in")
	if _, err := Open(t.Context(), Input{Path: "x", Err: broken}); err != broken {
		t.Errorf("input with an error: %v", err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(done, file(t, nil)); err != context.Canceled {
		t.Errorf("context has ended: %v", err)
	}
}

// What is read in one go is what Open and Read have of it, their errors too.
func TestReadSmall(t *testing.T) {
	text := records(1000)
	lowest := func() uintptr { // descriptor that is free
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		return f.Fd()
	}
	free := lowest()
	grown, shrunk := file(t, text), file(t, text[:5])
	grown.Size, shrunk.Size = 7, 9
	elsewhere := file(t, text)
	elsewhere.Store = objects{}
	for name, tt := range map[string]struct {
		in Input
		ok bool
	}{
		"plain":     {file(t, text), true},
		"one byte":  {file(t, text[:1]), true},
		"no magic":  {file(t, []byte{0x1f}), true},
		"grown":     {grown, true},
		"shrunk":    {shrunk, true},
		"missing":   {Input{Path: filepath.Join(t.TempDir(), "none"), Size: 1}, true},
		"empty":     {file(t, nil), false},
		"no room":   {file(t, records(1001)), false},
		"gzip":      {file(t, gz(t, text[:5])), false},
		"zstd":      {file(t, zst(t, text[:5])), false},
		"object":    {elsewhere, false},
		"stdin":     {Input{Path: stdin, Size: -1}, false},
		"found bad": {Input{Path: "x", Size: 1, Err: fs.ErrPermission}, false},
	} {
		got, ok, err := ReadSmall(t.Context(), &tt.in, int64(len(text)), room)
		if ok != tt.ok || !ok && err != nil {
			t.Errorf("%s: %d bytes, %v, %v", name, len(got), ok, err)
		}
		if !ok {
			continue
		}
		var want []byte
		s, wrong := Open(t.Context(), tt.in)
		if wrong == nil {
			want, wrong = io.ReadAll(s)
			s.Close()
		}
		if fmt.Sprint(err) != fmt.Sprint(wrong) || errors.Is(err, ErrShrank) != (name == "shrunk") || err == nil && !bytes.Equal(got, want) {
			t.Errorf("%s: %q, %v: want %q, %v", name, got, err, want, wrong)
		}
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok, err := ReadSmall(done, &grown, int64(len(text)), room); !ok || err != context.Canceled {
		t.Errorf("context has ended: %v, %v", ok, err)
	}
	if now := lowest(); now != free {
		t.Errorf("descriptor %d is free, it was %d", now, free)
	}
}

func room(n int) []byte { return make([]byte, n) }

// What nobody has looked at is looked at when it is read.
func TestReadSmallUnseen(t *testing.T) {
	root := tree(t, "a.jsonl", "sub/b.jsonl", "sub/c.jsonl.gz")
	for name, text := range map[string]string{"a.jsonl": "", "sub/b.jsonl": "{}\n", "sub/c.jsonl.gz": "\x1f\x8b"} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Find(t.Context(), []string{root}, "", nil)
	if err != nil || len(found) != 3 {
		t.Fatal(found, err)
	}
	all, err := Discover(t.Context(), []string{root}, "", nil)
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	for i := range found {
		in, looked := found[i], found[i]
		if in.Size != Unseen {
			t.Errorf("%+v was looked at", in)
		}
		data, ok, err := ReadSmall(t.Context(), &in, 3, room)
		if looked.Look(); err != nil || ok != (in.Size == 3) || ok && string(data) != "{}\n" || in != looked || in != all[i] {
			t.Errorf("%q, %v, %v: %+v, want %+v and %+v", data, ok, err, in, looked, all[i])
		}
		large := found[i]
		if data, ok, err := ReadSmall(t.Context(), &large, 1, room); data != nil || ok || err != nil || large != looked {
			t.Errorf("%q, %v, %v: %+v, want %+v", data, ok, err, large, looked)
		}
	}
}

// What is found as a file can be something else when it is opened.
func TestOpenReplaced(t *testing.T) {
	for name, replace := range map[string]func(path string) error{
		"directory":   func(path string) error { return os.Mkdir(path, 0o700) },
		"pipe":        func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"device":      func(path string) error { return os.Symlink("/dev/zero", path) },
		"broken link": func(path string) error { return os.Symlink("nowhere", path) },
		"vanished":    func(string) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, "a.jsonl", "b.jsonl")
			path := filepath.Join(root, "a.jsonl")
			found, err := Discover(t.Context(), []string{root}, "", nil)
			if err != nil || len(found) != 2 {
				t.Fatal(found, err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := replace(path); err != nil {
				t.Fatal(err)
			}
			want := "open " + path + ": not a regular file; a pipe goes to standard input, which - names"
			if name == "vanished" || name == "broken link" {
				want = "open " + path + ": no such file or directory"
			}
			failed := make(chan error, 2)
			go func() {
				_, err := Open(context.Background(), found[0])
				failed <- err
				_, _, err = ReadSmall(context.Background(), &found[0], 1<<10, room)
				failed <- err
			}()
			for range cap(failed) {
				select {
				case err := <-failed:
					if err == nil || err.Error() != want {
						t.Errorf("%v, want %s", err, want)
					}
				case <-time.After(10 * time.Second):
					t.Fatal("still waiting")
				}
			}
			if got, err := readStream(t, found[1]); string(got) != "b.jsonl" || err != nil {
				t.Errorf("the other input: %q, %v", got, err)
			}
		})
	}
}

// Whole records of a file that has become shorter are handed out.
func TestReaderShrunk(t *testing.T) {
	text := records(200_000)
	n := bytes.LastIndexByte(text[:100_000], '\n') + 1
	a, b := text[:n], text[n:]
	for _, tt := range []struct {
		name string
		data []byte
		to   int
		want []byte // at least these records
	}{
		{"plain", text, n + 10, a},
		{"plain, at the end of a record", text, n, a},
		{"plain, to nothing", text, 0, nil},
		{"plain, by a byte", text, len(text) - 1, text[:bytes.LastIndexByte(text[:len(text)-1], '\n')+1]},
		{"gzip", gz(t, a, b), len(gz(t, a)) + 100, a},
		{"gzip, at the end of a member", gz(t, a, b), len(gz(t, a)), a},
		{"gzip, to its magic number", gz(t, a), 3, nil},
		{"zstd", zst(t, a, b), len(zst(t, a)) + 100, a},
		{"zstd, at the end of a frame", zst(t, a, b), len(zst(t, a)), a},
		{"zstd, to its magic number", zst(t, a), 4, nil},
	} {
		in := file(t, tt.data)
		if err := os.Truncate(in.Path, int64(tt.to)); err != nil {
			t.Fatal(err)
		}
		s, err := Open(t.Context(), in)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := readAll(t, s, ReaderOptions{BlockSize: 10_000})
		if n := bytes.Count(text[:got.End.Offset], []byte("}")); len(got.Docs) != n || n < bytes.Count(tt.want, lf) {
			t.Errorf("%s: %d records, want %d", tt.name, len(got.Docs), bytes.Count(tt.want, lf))
		}
		if got.Sum != xxh3.Hash128(text[:got.End.Offset]).Bytes() {
			t.Errorf("%s: wrong sum", tt.name)
		}
		want := fmt.Sprintf("read %s: shrank while it was read: %d of %d bytes", in.Path, tt.to, len(tt.data))
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, ErrShrank) || errors.Is(err, ErrDamaged) || err.Error() != want || got.Err != want {
			t.Errorf("%s: %v and %s, want %s", tt.name, err, got.Err, want)
		}
		s.Close()
	}
}

// trickle reads n bytes at a time and calls each before every read.
type trickle struct {
	r    io.Reader
	n    int
	each func() error
}

func (t *trickle) Read(p []byte) (int, error) {
	if err := t.each(); err != nil {
		return 0, err
	}
	return t.r.Read(p[:min(len(p), t.n)])
}

// A disk fails in the middle of a file.
func TestReaderFault(t *testing.T) {
	text := records(200_000)
	for name, data := range map[string][]byte{"plain": text, "gzip": gz(t, text), "zstd": zst(t, text[:90_000], text[90_000:])} {
		left := len(data) * 2 / 3 / 1000
		s := &Stream{ctx: t.Context(), path: "disk/x.jsonl", src: &source{
			ctx: t.Context(), path: "disk/x.jsonl", size: int64(len(data)),
			r: &trickle{bytes.NewReader(data), 1000, func() error {
				if left--; left < 0 {
					return &fs.PathError{Op: "read", Path: "disk/x.jsonl", Err: syscall.EIO}
				}
				return nil
			}},
		}}
		if err := s.decompress(); err != nil {
			t.Fatal(err)
		}
		got := readAll(t, s, ReaderOptions{BlockSize: 7000})
		s.Close()
		want := fmt.Sprintf("read disk/x.jsonl: at byte %d: input/output error", len(data)*2/3/1000*1000)
		if got.Err != want {
			t.Errorf("%s: %s, want %s", name, got.Err, want)
		}
		if n := int64(bytes.Count(text[:got.End.Offset], lf)); n == 0 || int64(len(got.Docs)) != n || got.Sum != xxh3.Hash128(text[:got.End.Offset]).Bytes() {
			t.Errorf("%s: %d records, end %v", name, len(got.Docs), got.End)
		}
	}

	// A file whose first byte cannot be read, by the system's own word.
	in := Input{Path: "/proc/self/mem", Size: 100}
	if _, err := os.Stat(in.Path); err != nil {
		return
	}
	if _, err := Head(t.Context(), in); !errors.Is(err, syscall.EIO) || err.Error() != "read /proc/self/mem: at byte 0: input/output error" {
		t.Errorf("%v", err)
	}
}

// Reading ends soon after the context, also where it would go on for long
// without a look at the file.
func TestContextEnds(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	zeros := make([]byte, 64<<20)
	const size = 1 << 36 // a minute's reading
	sparse := file(t, nil)
	if err := os.Truncate(sparse.Path, size); err != nil {
		t.Skip(err)
	}
	sparse.Size = size
	gzip := file(t, bytes.Repeat(gz(t, zeros), size/len(zeros)/4))
	zstd := file(t, bytes.Repeat(zst(t, zeros), size/len(zeros)))

	prefixes := func(ctx context.Context, in Input) error {
		_, _, err := Prefixes(ctx, in, []int64{size - 1})
		return err
	}
	read := func(opt ReaderOptions) func(ctx context.Context, in Input) error {
		return func(ctx context.Context, in Input) error {
			s, err := Open(ctx, in)
			if err != nil {
				return err
			}
			defer s.Close()
			return errors.New(readAll(t, s, opt).Err)
		}
	}
	for _, tt := range []struct {
		name string
		in   Input
		read func(ctx context.Context, in Input) error
	}{
		{"prefixes", sparse, prefixes},
		{"prefixes, gzip", gzip, prefixes},
		{"prefixes, zstd", zstd, prefixes},
		{"replay", sparse, read(ReaderOptions{Start: Position{size - 1, 1}})},
		{"replay, zstd", zstd, read(ReaderOptions{Start: Position{size - 1, 1}})},
		{"NUL bytes", sparse, read(ReaderOptions{})},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var ended time.Time
		stop := time.AfterFunc(50*time.Millisecond, func() {
			ended = time.Now()
			cancel()
		})
		err := tt.read(ctx, tt.in)
		if stop.Stop() {
			t.Fatalf("%s: ended by itself: %v", tt.name, err)
		}
		<-ctx.Done()
		if took := time.Since(ended); took > 5*time.Second || err.Error() != context.Canceled.Error() {
			t.Errorf("%s: %v after %v", tt.name, err, took)
		}
	}
}

// Not a byte is read from a file once the context has ended.
func TestContextEndsAtOnce(t *testing.T) {
	text := records(300_000)
	for name, data := range map[string][]byte{"plain": text, "gzip": gz(t, text), "zstd": zst(t, text)} {
		for at := range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			reads := 0
			s := &Stream{ctx: ctx, path: "x", src: &source{ctx: ctx, path: "x", size: int64(len(data)), r: &trickle{bytes.NewReader(data), 1000, func() error {
				if reads++; reads == at+1 {
					cancel()
				}
				return nil
			}}}}
			if err := s.decompress(); err != nil {
				t.Fatal(err)
			}
			r := NewReader(s, ReaderOptions{BlockSize: 5000, Start: Position{Offset: 100_000}})
			var err error
			for err == nil {
				_, err = r.Next()
			}
			if reads != at+1 || err != context.Canceled {
				t.Errorf("%s: %v, %d reads, want %d", name, err, reads, at+1)
			}
			s.Close()
		}
	}
}

func TestHead(t *testing.T) {
	for _, n := range []int{0, 1, 4095, 4096, 4097, 50_000} {
		text := records(n)
		want := text[:min(n, 4096)]
		for _, data := range [][]byte{text, gz(t, text), zst(t, text)} {
			if got, err := Head(t.Context(), file(t, data)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes: %d, %v", n, len(got), err)
			}
		}
	}
	data := gz(t, records(3000))
	got, err := Head(t.Context(), file(t, data[:len(data)-4]))
	if !errors.Is(err, ErrDamaged) || !bytes.Equal(got, records(3000)) {
		t.Errorf("damaged: %d, %v", len(got), err)
	}
}

func TestPrefixes(t *testing.T) {
	text := records(1<<20 + 5000)
	n := int64(len(text))
	lengths := []int64{0, 1, 1, 4096, 1<<20 - 1, 1 << 20, 1<<20 + 1, n - 1, n, n + 1, 2 * n}
	want := map[int64][16]byte{}
	for _, l := range lengths[:9] {
		want[l] = xxh3.Hash128(text[:l]).Bytes()
	}
	for _, data := range [][]byte{text, gz(t, text[:n/2], text[n/2:]), zst(t, text)} {
		got, size, err := Prefixes(t.Context(), file(t, data), lengths)
		if err != nil || size != n {
			t.Errorf("size %d, %v", size, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
	got, size, err := Prefixes(t.Context(), file(t, nil), []int64{0, 1})
	if len(got) != 1 || size != 0 || err != nil {
		t.Errorf("empty: %v, %d, %v", got, size, err)
	}
	data := zst(t, text)
	got, size, err = Prefixes(t.Context(), file(t, data[:len(data)/2]), lengths)
	if !errors.Is(err, ErrDamaged) || got[4096] != want[4096] || size == 0 || size >= n {
		t.Errorf("damaged: %d, %v", size, err)
	}
}

func FuzzOpen(f *testing.F) {
	text := []byte(strings.Repeat("{\"a\":1}\n", 30))
	f.Add(text)
	f.Add(gz(f, text, text))
	f.Add(zst(f, text, text))
	f.Add(skippable(3))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &Stream{ctx: t.Context(), path: "x", src: &source{ctx: t.Context(), r: bytes.NewReader(data), size: -1}}
		if err := s.decompress(); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := io.Copy(io.Discard, io.LimitReader(s, 1<<20)); err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	})
}
