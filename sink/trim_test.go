package sink

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/schemas"
	"usagelake/sink/disk"
	"usagelake/sink/disk/faults"
)

// trimmed is a file system that lets nobody read what was trimmed.
type trimmed struct {
	disk.FS
	mu    sync.Mutex
	files map[string][]piece
	bytes int64
}

func newTrimmed(fs disk.FS) *trimmed { return &trimmed{FS: fs, files: map[string][]piece{}} }

func (t *trimmed) Trim(path string, off, n int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.files[path] = append(t.files[path], piece{off, n})
	t.bytes += n
	return nil
}

func (t *trimmed) Open(path string) (disk.Reader, error) {
	f, err := t.FS.Open(path)
	return &trimmedReader{f, t, path}, err
}

type trimmedReader struct {
	disk.Reader
	fs   *trimmed
	path string
}

func (r *trimmedReader) ReadAt(b []byte, off int64) (int, error) {
	r.fs.mu.Lock()
	defer r.fs.mu.Unlock()
	if slices.ContainsFunc(r.fs.files[r.path], func(p piece) bool { return off < p.Off+p.Len && p.Off < off+int64(len(b)) }) {
		return 0, fmt.Errorf("%s: %d bytes from %d on were trimmed", r.path, len(b), off)
	}
	return r.Reader.ReadAt(b, off)
}

// What a merge has read of its scratch files gives its space back, all of it.
func TestMergeTrims(t *testing.T) {
	var fresh []*modelRow
	for i := range 20_000 {
		fresh = append(fresh, &modelRow{
			source: Source{"f", "a"}, line: int64(i + 1), time: worldDay.Start() + int64(i%1000), from: schemas.FromEnvelope,
			id: fmt.Sprint("id-", i/2), dialect: "c.model", out: 1, in: -1, label: fmt.Sprint(i % 7),
		})
	}
	for _, reading := range []int64{1 << 40, 200 << 10} { // at once, or through longer runs
		mem := faults.NewMem()
		if err := mem.MkdirAll("scratch", 0o700); err != nil {
			t.Fatal(err)
		}
		fs := newTrimmed(mem)
		if _, err := newMergeTable().merge(t.Context(), way{share: 100 << 10, reading: reading, intakes: 2, jobs: 2, fs: fs}, fresh, nil, nil, 1, memory.DefaultAllocator); err != nil {
			t.Fatal(err)
		}
		entries, err := fs.ReadDir("scratch")
		if err != nil {
			t.Fatal(err)
		}
		var size int64
		for _, e := range entries {
			info, err := e.Info()
			if err != nil {
				t.Fatal(err)
			}
			size += info.Size()
		}
		if fs.bytes != size || size == 0 {
			t.Errorf("%d of %d bytes were given back", fs.bytes, size)
		}
	}
}
