package bucket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"usagelake/sink/disk"
)

// FS is a Store as the file system of a lake. Paths are URLs, s3://bucket/key, or
// what filepath leaves of them. Files are written to and read from local ones
// without a name, in the directory for temporary files; an object appears whole
// when its Writer is synced.
type FS struct {
	s *Store

	mu     sync.Mutex
	copies []*localCopy // those used last come last
}

// FS is the store as a file system.
func (s *Store) FS() *FS { return &FS{s: s} }

var _ disk.Shared = (*FS)(nil)

const (
	// partSize, in bytes, is what a larger object is written in, several parts at
	// a time.
	partSize    = 16 << 20
	partsAtOnce = 4
	// largestCopy is what a server copies at once.
	largestCopy = 5 << 30
)

// Requests of a lake are not broken off: what was begun is brought to its end, or
// fails.
func background() context.Context { return context.Background() }

func (f *FS) MkdirAll(string, fs.FileMode) error { return nil }
func (f *FS) SyncDir(string) error               { return nil }
func (f *FS) Lock(string) (io.Closer, error)     { return unlocked{}, nil }
func (f *FS) RLock(string) (io.Closer, error)    { return unlocked{}, nil }

// Free knows no limit.
func (f *FS) Free(string) (uint64, error) { return 1 << 62, nil }

type unlocked struct{}

func (unlocked) Close() error { return nil }

func (f *FS) ReadDir(p string) ([]fs.DirEntry, error) {
	n := nameOf(p).clean()
	prefix := n.key
	if prefix != "" {
		prefix += "/"
	}
	var out []fs.DirEntry
	for o := range f.s.client.ListObjectsIter(background(), n.bucket, minio.ListObjectsOptions{Prefix: prefix}) {
		if o.Err != nil {
			return nil, f.s.wrong("readdir", n, o.Err)
		}
		rel := strings.TrimPrefix(o.Key, prefix)
		if rel == "" {
			continue
		}
		dir := strings.HasSuffix(rel, "/")
		out = append(out, fs.FileInfoToDirEntry(fileInfo{strings.TrimSuffix(rel, "/"), o.Size, o.LastModified, dir}))
	}
	// directories come behind files, page by page
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return out, nil
}

type fileInfo struct {
	name     string
	size     int64
	modified time.Time
	dir      bool
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) ModTime() time.Time { return i.modified }
func (i fileInfo) IsDir() bool        { return i.dir }
func (i fileInfo) Sys() any           { return nil }
func (i fileInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}

func (f *FS) Remove(p string) error {
	n := nameOf(p).clean()
	err := f.s.wrong("remove", n, f.s.client.RemoveObject(background(), n.bucket, n.key, minio.RemoveObjectOptions{}))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (f *FS) Rename(from, to string) error {
	a, b := nameOf(from).clean(), nameOf(to).clean()
	src := minio.CopySrcOptions{Bucket: a.bucket, Object: a.key}
	dst := minio.CopyDestOptions{Bucket: b.bucket, Object: b.key}
	_, err := f.s.client.CopyObject(background(), dst, src)
	if code := minio.ToErrorResponse(err).Code; err != nil && (code == "InvalidRequest" || code == "EntityTooLarge") {
		if o, e := f.s.client.StatObject(background(), a.bucket, a.key, minio.StatObjectOptions{}); e == nil && o.Size > largestCopy {
			src.MatchETag = o.ETag
			_, err = f.s.client.ComposeObject(background(), dst, src)
		}
	}
	if err != nil {
		return f.s.wrong("rename", a, err)
	}
	return f.Remove(from)
}

// PutNew makes an object unless there is one. A request that may have arrived is
// known by its bytes.
func (f *FS) PutNew(p string, data []byte) error {
	n := nameOf(p).clean()
	opt := putOptions()
	opt.DisableMultipart = true
	opt.SetMatchETagExcept("*")
	for try := 0; ; try++ {
		_, err := f.s.client.PutObject(background(), n.bucket, n.key, bytes.NewReader(data), int64(len(data)), opt)
		if err == nil {
			return nil
		}
		code := minio.ToErrorResponse(err).StatusCode
		err = f.s.wrong("create", n, err)
		again := code == http.StatusConflict // two at once: neither may be there
		if code == http.StatusPreconditionFailed || passing(err) {
			now, e := disk.ReadFile(f, p)
			switch {
			case e == nil && bytes.Equal(now, data):
				return nil
			case e == nil:
				return &fs.PathError{Op: "create", Path: n.String(), Err: fs.ErrExist}
			case errors.Is(e, fs.ErrNotExist):
				again = true // not yet, or gone again
			}
		}
		if !again || try+1 >= tries {
			return err
		}
		if err := pause(background(), try); err != nil {
			return err
		}
	}
}

// putOptions let the server check what arrives.
func putOptions() minio.PutObjectOptions {
	return minio.PutObjectOptions{
		ContentType: "application/octet-stream", SendContentMd5: true,
		PartSize: partSize, NumThreads: partsAtOnce,
	}
}

// nameless is a local file without a name, so that nothing is left of it.
func nameless() (*os.File, error) {
	file, err := os.CreateTemp("", "usagelake-object-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

func (f *FS) Create(p string, _ fs.FileMode) (disk.Writer, error) {
	file, err := nameless()
	if err != nil {
		return nil, err
	}
	return &writer{f: f, name: nameOf(p).clean(), file: file, changed: true}, nil
}

// writer is an object being made.
type writer struct {
	f       *FS
	name    name
	file    *os.File
	size    int64
	changed bool // since it was last made
}

func (w *writer) Write(b []byte) (int, error) {
	w.changed = true
	n, err := w.file.Write(b)
	w.size += int64(n)
	return n, err
}

func (w *writer) Sync() error {
	if !w.changed {
		return nil
	}
	// not the file itself, which would be closed
	data := io.NewSectionReader(w.file, 0, w.size)
	if _, err := w.f.s.client.PutObject(background(), w.name.bucket, w.name.key, data, w.size, putOptions()); err != nil {
		return w.f.s.wrong("write", w.name, err)
	}
	w.changed = false
	return nil
}

func (w *writer) Close() error { return w.file.Close() }

func (f *FS) Open(p string) (disk.Reader, error) {
	n := nameOf(p).clean()
	o, err := f.s.stat(background(), "open", n)
	if err != nil {
		return nil, err
	}
	c, err := f.copyOf(n, o.ETag, o.Size)
	if err != nil {
		return nil, err
	}
	return &reader{f: f, c: c, info: fileInfo{path.Base(n.key), o.Size, o.LastModified, false}}, nil
}

// reader is an object being read.
type reader struct {
	f    *FS
	c    *localCopy
	info fileInfo
	at   int64 // of Read
	once sync.Once
}

func (r *reader) Stat() (fs.FileInfo, error) { return r.info, nil }

func (r *reader) Read(b []byte) (int, error) {
	n, err := r.ReadAt(b, r.at)
	if r.at += int64(n); n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

func (r *reader) ReadAt(b []byte, at int64) (int, error) { return r.c.readAt(b, at) }

func (r *reader) Close() error {
	r.once.Do(func() { r.f.release(r.c) })
	return nil
}
