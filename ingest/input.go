// Package ingest turns inputs into records: it finds files, decompresses them,
// cuts their bytes into blocks of whole JSON documents, and walks a document
// once for the paths that a layout wants. It knows nothing of tokens.
package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"golang.org/x/sync/errgroup"
)

// stdin is the argument and the path that stand for standard input.
const stdin = "-"

// Input is one file or object to read, or standard input (Path "-").
type Input struct {
	// Path opens the file; of an object it is the URL.
	Path string
	// File is the source_file column: the path below the argument,
	// slash-separated, valid UTF-8, without compression suffix.
	File string
	// Size is the bytes on disk when the file was looked at, -1 for standard
	// input. Reading stops there, so that a file that grows is read as it was.
	// Before that it is Unseen.
	Size    int64
	ModTime time.Time
	// Dev and Inode are 0 where the system has no such numbers. Of an object
	// Inode is the XXH3-64 of its version.
	Dev, Inode uint64
	// Store is where an object is read, in this Version; nil for files.
	Store   Store
	Version string
	// Err says why the input cannot be read. The other inputs are not
	// affected.
	Err error
}

// Unseen is the Size of a file that a directory lists and that nobody has looked at.
const Unseen = -2

// NoMatchError tells of an argument that names no file.
type NoMatchError struct{ Arg string }

func (e *NoMatchError) Error() string { return fmt.Sprintf("input %s: no file found", e.Arg) }

// Discover finds the inputs that the arguments name: files, directories with
// everything below, doublestar patterns, "-", and the same of objects in a
// store, by s3:// URLs: s3://bucket/a is the object or, where there is none,
// all that begins with s3://bucket/a/. Patterns match files only; an existing
// path is never taken for a pattern. In directories, and where a pattern has a
// wildcard, names that start with a dot do not count. The directory lake, an
// absolute path, a URL or "", is never entered. store may be nil where no
// argument is a URL.
//
// The result is sorted by File and Path and has each file once. With a
// *NoMatchError, or several joined, it holds what the other arguments name; any
// other error is that of a store, or of the context.
func Discover(ctx context.Context, args []string, lake string, store Store) ([]Input, error) {
	found, err := Find(ctx, args, lake, store)
	look(found, Unseen)
	return found, err
}

// Find is Discover for those who look at the files that directories list when they
// open them, by Look or ReadSmall: that saves a call for each.
func Find(ctx context.Context, args []string, lake string, store Store) ([]Input, error) {
	f := finder{lake: lake, store: store, seen: map[string]bool{}}
	if lake != "" && !IsObject(lake) {
		f.local = filepath.Clean(lake)
		f.lakeInfo, _ = os.Stat(lake)
	}
	var errs []error
	for _, arg := range args {
		met, err := false, error(nil)
		if IsObject(arg) {
			met, err = f.object(ctx, arg)
		} else {
			met = f.argument(arg)
		}
		if err != nil {
			return nil, err
		}
		if !met {
			errs = append(errs, &NoMatchError{arg})
		}
	}
	look(f.found, 0)
	slices.SortFunc(f.found, func(a, b Input) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Path, b.Path))
	})
	if len(errs) == 1 {
		return f.found, errs[0]
	}
	return f.found, errors.Join(errs...)
}

// A finder gathers inputs. Its methods report whether they met any, be it
// known already.
type finder struct {
	lake     string
	local    string // lake, where it is a directory
	lakeInfo fs.FileInfo
	store    Store
	seen     map[string]bool // by absolute path, or URL
	found    []Input
}

func (f *finder) argument(arg string) bool {
	if arg == stdin {
		return f.add(Input{Path: stdin, File: stdin, Size: -1})
	}
	info, err := os.Stat(arg)
	switch {
	case err == nil && info.IsDir():
		path := filepath.Clean(arg)
		return f.dir(path, absolute(path), "")
	case missing(err):
		return strings.ContainsAny(arg, "*?[{") && f.pattern(arg)
	}
	path := filepath.Clean(arg)
	return f.file(absolute(path), Input{Path: path, File: filepath.Base(arg)})
}

func (f *finder) pattern(arg string) bool {
	base, pattern := doublestar.SplitPattern(filepath.ToSlash(filepath.Clean(arg)))
	base = filepath.FromSlash(base)
	tree := &listing{FS: os.DirFS(base), base: base}
	// The only error is a malformed pattern, which names nothing either.
	names, _ := doublestar.Glob(tree, pattern, doublestar.WithFilesOnly(), doublestar.WithNoHidden())
	met := false
	for _, name := range names {
		path := filepath.Join(base, name)
		met = f.file(absolute(path), Input{Path: path, File: name}) || met
	}
	for name, err := range tree.failed {
		if path := filepath.Join(base, name); !f.inLake(absolute(path)) {
			met = f.add(Input{Path: path, File: name, Err: err})
		}
	}
	return met
}

// A listing is a tree of files below base that remembers which directories
// could not be read: a pattern skips those, and there may be inputs in them.
type listing struct {
	fs.FS
	base   string
	failed map[string]error
}

func (l *listing) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(filepath.Join(l.base, name))
	if err != nil && !missing(err) {
		if l.failed == nil {
			l.failed = map[string]error{}
		}
		l.failed[name] = err
	}
	return entries, err
}

// dir adds the files below a directory; abs is its absolute path, rel that below
// the argument.
func (f *finder) dir(path, abs, rel string) bool {
	if info, err := os.Stat(path); err == nil && f.lakeInfo != nil && os.SameFile(info, f.lakeInfo) {
		return false
	}
	if f.inLake(abs) {
		return false
	}
	entries, err := os.ReadDir(path)
	f.found = slices.Grow(f.found, len(entries))
	met := false
	if err != nil {
		met = f.add(Input{Path: path, File: filepath.Join(rel, "."), Err: err})
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path, abs, rel := inDir(path, e.Name()), inDir(abs, e.Name()), inDir(rel, e.Name())
		switch {
		case e.IsDir():
			met = f.dir(path, abs, rel) || met
		case e.Type().IsRegular():
			met = f.file(abs, Input{Path: path, File: rel, Size: Unseen}) || met
		case e.Type()&fs.ModeSymlink != 0:
			// A link that leads nowhere is worth a word, one to a directory
			// or a device is not.
			if info, err := os.Stat(path); err != nil || info.Mode().IsRegular() {
				met = f.file(abs, Input{Path: path, File: rel}) || met
			}
		}
	}
	return met
}

// inDir is filepath.Join for a directory's clean path, "" for none, and a name in it.
func inDir(dir, name string) string {
	if dir == "" || os.IsPathSeparator(dir[len(dir)-1]) {
		return dir + name
	}
	if dir == "." {
		return name
	}
	return dir + string(filepath.Separator) + name
}

func (f *finder) file(abs string, in Input) bool {
	if f.inLake(abs) {
		return false
	}
	return f.addAs(abs, in)
}

// look looks at the files of a size, several at a time: there may be many.
func look(found []Input, size int64) {
	const share = 64
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for files := range slices.Chunk(found, share) {
		g.Go(func() error {
			for i := range files {
				if in := &files[i]; in.Size == size && in.Err == nil && in.Store == nil {
					in.Look()
				}
			}
			return nil
		})
	}
	_ = g.Wait()
}

// Look fills in what the file system says of a file, or Err.
func (in *Input) Look() {
	info, err := os.Stat(in.Path)
	switch {
	case err != nil:
		in.Err = err
	case !info.Mode().IsRegular():
		in.Err = notRegular(in.Path)
	default:
		in.Size, in.ModTime = info.Size(), info.ModTime()
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			in.Dev, in.Inode = uint64(st.Dev), st.Ino
		}
	}
}

func (f *finder) add(in Input) bool {
	key := in.Path
	if key != stdin && in.Store == nil {
		key = absolute(in.Path)
	}
	return f.addAs(key, in)
}

// addAs adds an input unless there is one by this name.
func (f *finder) addAs(key string, in Input) bool {
	if key != stdin {
		in.File = sourceFile(in.File)
	}
	if !f.seen[key] {
		f.seen[key] = true
		f.found = append(f.found, in)
	}
	return true
}

func (f *finder) inLake(abs string) bool {
	rest, ok := strings.CutPrefix(abs, f.local)
	return ok && f.local != "" && (rest == "" || os.IsPathSeparator(rest[0]) || os.IsPathSeparator(f.local[len(f.local)-1]))
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return filepath.Clean(path)
}

func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

func sourceFile(rel string) string {
	name := strings.ToValidUTF8(filepath.ToSlash(rel), "\uFFFD")
	for _, suffix := range []string{".gz", ".zst", ".zstd"} {
		if s, ok := strings.CutSuffix(name, suffix); ok && s != "" && !strings.HasSuffix(s, "/") {
			return s
		}
	}
	return name
}
