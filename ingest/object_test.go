package ingest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/xxh3"
)

// objects is a store in memory: the bytes of objects, by URL. A version is
// their hash.
type objects map[string]string

var (
	modified   = time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)
	errTrouble = errors.New("trouble")
)

func version(data string) string { return fmt.Sprintf("%x", xxh3.HashString(data)) }

func (o objects) List(ctx context.Context, prefix string, each func(url, version string, size int64, modified time.Time) error) error {
	if strings.Contains(prefix, "trouble") {
		return errTrouble
	}
	for _, url := range slices.Sorted(maps.Keys(o)) {
		if strings.HasPrefix(url, prefix) {
			if err := each(url, version(o[url]), int64(len(o[url])), modified); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

func (o objects) Stat(_ context.Context, url string) (string, int64, time.Time, error) {
	data, ok := o[url]
	if !ok {
		return "", 0, time.Time{}, fs.ErrNotExist
	}
	return version(data), int64(len(data)), modified, nil
}

func (o objects) Open(_ context.Context, url, was string, _, offset int64) (io.ReadCloser, error) {
	data := o[url]
	if version(data) != was {
		return nil, fmt.Errorf("open %s: was replaced", url)
	}
	return io.NopCloser(iotest.HalfReader(strings.NewReader(data[offset:]))), nil
}

func TestDiscoverObjects(t *testing.T) {
	store := objects{}
	for _, key := range []string{
		"logs/a.jsonl", "logs/b/c.jsonl.gz", "logs/b/.hidden", "logs/.dir/x.jsonl", "logs/folder/", "logs-2026/d.jsonl",
		"logs.jsonl", "logs/odd*.jsonl", "lake/usage/u.parquet", "lakes/e.jsonl", "logs//double.jsonl",
	} {
		store["s3://bucket/"+key] = key
	}
	for _, tt := range []struct {
		args []string
		want string // File=key below the bucket
		err  string
	}{
		{[]string{"s3://bucket/logs.jsonl"}, "logs.jsonl=logs.jsonl", ""},
		{[]string{"s3://bucket/logs/"}, "/double.jsonl=logs//double.jsonl a.jsonl=logs/a.jsonl b/c.jsonl=logs/b/c.jsonl.gz odd*.jsonl=logs/odd*.jsonl", ""},
		{[]string{"s3://bucket/logs"}, "/double.jsonl=logs//double.jsonl a.jsonl=logs/a.jsonl b/c.jsonl=logs/b/c.jsonl.gz odd*.jsonl=logs/odd*.jsonl", ""},
		{[]string{"s3://bucket/logs/b/c.jsonl.gz", "s3://bucket/logs/b"}, "c.jsonl=logs/b/c.jsonl.gz", ""},
		{[]string{"s3://bucket/logs/*.jsonl"}, "a.jsonl=logs/a.jsonl odd*.jsonl=logs/odd*.jsonl", ""},
		{[]string{"s3://bucket/logs/odd*.jsonl"}, "odd*.jsonl=logs/odd*.jsonl", ""},
		{[]string{"s3://bucket/logs/**/*.gz"}, "b/c.jsonl=logs/b/c.jsonl.gz", ""},
		{[]string{"s3://bucket/log*/d.jsonl"}, "logs-2026/d.jsonl=logs-2026/d.jsonl", ""},
		{[]string{"s3://bucket/logs/*/.hid*"}, "", "s3://bucket/logs/*/.hid*"},
		{[]string{"s3://bucket/logs/*/.hidden"}, "b/.hidden=logs/b/.hidden", ""},
		{[]string{"s3://bucket/la*/*.jsonl"}, "lakes/e.jsonl=lakes/e.jsonl", ""},
		{[]string{"s3://bucket/lake"}, "", "s3://bucket/lake"},
		{[]string{"s3://bucket/none", "s3://bucket/logs.jsonl", "s3://", "s3://b*/x", "s3://bucket/["}, "logs.jsonl=logs.jsonl", "s3://bucket/none s3:// s3://b*/x s3://bucket/["},
		{[]string{"s3://trouble/x"}, "", "trouble"},
	} {
		found, err := Discover(t.Context(), tt.args, "s3://bucket/lake", store)
		var got []string
		for _, in := range found {
			got = append(got, in.File+"="+strings.TrimPrefix(in.Path, "s3://bucket/"))
			key := strings.TrimPrefix(in.Path, "s3://bucket/")
			if want := (Input{
				Path: in.Path, File: in.File, Size: int64(len(key)), ModTime: modified,
				Inode: xxh3.HashString(version(key)), Version: version(key),
			}); in.Store == nil || !cmp.Equal(want, in, cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Store" }, cmp.Ignore())) {
				t.Errorf("%s: %+v", tt.args, in)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: found %s", tt.args, got)
		}
		for arg := range strings.FieldsSeq(tt.err) {
			if err == nil || !strings.Contains(err.Error(), arg) {
				t.Errorf("%s: error %v", tt.args, err)
			}
		}
		if tt.err == "" && err != nil {
			t.Errorf("%s: error %v", tt.args, err)
		}
	}
	if _, err := Discover(t.Context(), []string{"s3://bucket/logs"}, "", nil); !errors.Is(err, errNoStore) {
		t.Errorf("without a store: %v", err)
	}
}

// What is in a store is read as a file is, from the start or from a byte on.
func TestReadObject(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write([]byte("{}\n"))
	z.Close()
	dir := t.TempDir()
	store := objects{"s3://b/plain": "0123456789", "s3://b/packed": packed.String()}
	if err := os.WriteFile(filepath.Join(dir, "plain"), []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	found, err := Discover(t.Context(), []string{"s3://b/", dir}, "", store)
	if err != nil || len(found) != 3 {
		t.Fatal(found, err)
	}
	for _, in := range found {
		read := func(r io.ReadCloser, err error) string {
			if err != nil {
				return err.Error()
			}
			data, err := io.ReadAll(r)
			if e := r.Close(); err != nil || e != nil {
				return fmt.Sprint(string(data), err, e)
			}
			return string(data)
		}
		if in.File == "packed" {
			if got := read(Open(t.Context(), in)); got != "{}\n" {
				t.Errorf("%s: %q", in.Path, got)
			}
			if got := read(OpenAt(t.Context(), in, 0)); got != packed.String() {
				t.Errorf("%s, as stored: %q", in.Path, got)
			}
			continue
		}
		in.Size = 8 // it has grown since
		for offset, want := range map[int64]string{0: "01234567", 3: "34567", 8: "", 9: ""} {
			if got := read(OpenAt(t.Context(), in, offset)); got != want {
				t.Errorf("%s from %d: %q", in.Path, offset, got)
			}
		}
		if _, err := OpenAt(t.Context(), in, -1); err == nil {
			t.Errorf("%s: before its start", in.Path)
		}
		in.Size = 12 // it has shrunk
		r, err := OpenAt(t.Context(), in, 3)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := io.ReadAll(r); !errors.Is(err, ErrShrank) || string(data) != "3456789" || !strings.Contains(err.Error(), "10 of 12") {
			t.Errorf("%s shrank: %q, %v", in.Path, data, err)
		}
		r.Close()
		ctx, cancel := context.WithCancel(t.Context())
		if r, err = OpenAt(ctx, in, 0); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: after the end: %v", in.Path, err)
		}
		r.Close()
	}
	store["s3://b/plain"] = "other"
	for _, in := range found {
		if in.Store != nil && in.File == "plain" {
			if _, err := Open(t.Context(), in); err == nil {
				t.Error("an object that was replaced is read")
			}
		}
	}
	if _, err := OpenAt(t.Context(), Input{Path: stdin, Size: -1}, 1); err == nil {
		t.Error("standard input from byte 1")
	}
}
