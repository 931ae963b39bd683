package ingest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"
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
	s, err := Open(in)
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
	s, err := Open(in)
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
	if _, err := Open(Input{Path: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	broken := errors.New("no way in")
	if _, err := Open(Input{Path: "x", Err: broken}); err != broken {
		t.Errorf("input with an error: %v", err)
	}
	// A directory opens, but cannot be read.
	s, err := Open(Input{Path: t.TempDir(), Size: 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Read(make([]byte, 10)); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("directory: %v", err)
	}
}

func TestHead(t *testing.T) {
	for _, n := range []int{0, 1, 4095, 4096, 4097, 50_000} {
		text := records(n)
		want := text[:min(n, 4096)]
		for _, data := range [][]byte{text, gz(t, text), zst(t, text)} {
			if got, err := Head(file(t, data)); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes: %d, %v", n, len(got), err)
			}
		}
	}
	data := gz(t, records(3000))
	got, err := Head(file(t, data[:len(data)-4]))
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
		got, size, err := Prefixes(file(t, data), lengths)
		if err != nil || size != n {
			t.Errorf("size %d, %v", size, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
	}
	got, size, err := Prefixes(file(t, nil), []int64{0, 1})
	if len(got) != 1 || size != 0 || err != nil {
		t.Errorf("empty: %v, %d, %v", got, size, err)
	}
	data := zst(t, text)
	got, size, err = Prefixes(file(t, data[:len(data)/2]), lengths)
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
		s := &Stream{path: "x", src: &source{r: bytes.NewReader(data)}}
		if err := s.decompress(); err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := io.Copy(io.Discard, io.LimitReader(s, 1<<20)); err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	})
}
