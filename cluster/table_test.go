package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7"
)

// A lake is a folder, or what is below a prefix of a bucket.
type lake struct {
	url    string // what --lake is given
	bucket bucket // of none: a folder
	prefix string
}

func localLake(t *testing.T) lake { return lake{url: filepath.Join(t.TempDir(), "lake")} }

func (b bucket) lake(prefix string) lake { return lake{url: b.url(prefix), bucket: b, prefix: prefix} }

// A table is the files of both tables, by path, with a hash of their bytes.
type table map[string]string

// table reads what a reader of the lake can see.
func (l lake) table(t *testing.T) table {
	t.Helper()
	out := table{}
	for _, dir := range []string{"usage", "reports"} {
		maps.Copy(out, l.hashes(t, dir))
	}
	for path := range out {
		if !strings.HasSuffix(path, ".parquet") {
			t.Errorf("%s/%s: want files of the table only", l.url, path)
		}
	}
	return out
}

// hashes reads all that is below a folder of the lake.
func (l lake) hashes(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	if l.bucket.server == nil {
		err := filepath.WalkDir(filepath.Join(l.url, dir), func(path string, d fs.DirEntry, err error) error {
			switch {
			case os.IsNotExist(err):
				return nil
			case err != nil || d.IsDir():
				return err
			}
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			name, err := filepath.Rel(l.url, path)
			if err != nil {
				return err
			}
			out[filepath.ToSlash(name)], err = hashed(f)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	var mu sync.Mutex
	keys := slices.Collect(maps.Keys(l.bucket.list(t, l.prefix+"/"+dir+"/")))
	var reads []func()
	for part := range slices.Chunk(keys, max(1, len(keys)/8+1)) {
		reads = append(reads, func() {
			for _, key := range part {
				o, err := l.bucket.client.GetObject(t.Context(), l.bucket.name, key, minio.GetObjectOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				sum, err := hashed(o)
				if err := o.Close(); err != nil {
					t.Error(err)
				}
				if err != nil {
					t.Errorf("%s: %v", key, err)
				}
				mu.Lock()
				out[strings.TrimPrefix(key, l.prefix+"/")] = sum
				mu.Unlock()
			}
		})
	}
	together(reads...)
	return out
}

func hashed(r io.Reader) (string, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return fmt.Sprintf("%d bytes %s", n, hex.EncodeToString(h.Sum(nil)[:8])), err
}

// diff says how two tables differ, "" if they do not.
func diff(want, got table) string {
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if got[path] != want[path] {
			fmt.Fprintf(&b, "  %s: %q, want %q\n", path, got[path], want[path])
		}
	}
	for _, path := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[path]; !ok {
			fmt.Fprintf(&b, "  %s: %q, want none\n", path, got[path])
		}
	}
	return b.String()
}

// same fails the test if the lake's table is another.
func (l lake) same(t *testing.T, want table) {
	t.Helper()
	if len(want) == 0 {
		t.Fatal("the table that is wanted is empty, which proves nothing")
	}
	if d := diff(want, l.table(t)); d != "" {
		t.Errorf("%s: another table:\n%s", l.url, d)
	}
}

// tidy fails the test if a lake that nobody uses has something left of runs.
func (l lake) tidy(t *testing.T) {
	t.Helper()
	for path := range l.hashes(t, "state") {
		if strings.HasPrefix(path, "state/staging/") || strings.HasPrefix(path, "state/intent") {
			t.Errorf("%s: %s is left", l.url, path)
		}
	}
}
