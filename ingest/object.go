package ingest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/zeebo/xxh3"
)

// ObjectScheme begins the URL of an object: s3://bucket/key.
const ObjectScheme = "s3://"

// Store is where the objects are that s3:// URLs name. An object's version is
// a text that changes with every change of its bytes.
type Store interface {
	// List hands out all objects whose URLs begin with a prefix, in order. It
	// ends with the first error of each, and with that of the context.
	List(ctx context.Context, prefix string, each func(url, version string, size int64, modified time.Time) error) error
	// Stat finds one object; its error is fs.ErrNotExist where there is none.
	Stat(ctx context.Context, url string) (version string, size int64, modified time.Time, err error)
	// Open reads a version of an object, which has so many bytes, from one of
	// them on. It fails, or reading does, where the object is another by now,
	// and reading ends with the context.
	Open(ctx context.Context, url, version string, size, offset int64) (io.ReadCloser, error)
}

// IsObject reports whether an argument or a path is the URL of an object.
func IsObject(path string) bool { return strings.HasPrefix(path, ObjectScheme) }

// errNoStore tells of a URL where only files can be read.
var errNoStore = errors.New("objects cannot be read here")

// object adds what the URL of an object, or of a prefix, names: an object of
// that name, everything below it, or what a pattern matches.
func (f *finder) object(ctx context.Context, arg string) (met bool, err error) {
	if f.store == nil {
		return false, &fs.PathError{Op: "open", Path: arg, Err: errNoStore}
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(arg, ObjectScheme), "/")
	if bucket == "" || strings.ContainsAny(bucket, "*?[{") {
		return false, nil
	}
	root := ObjectScheme + bucket + "/"
	if key != "" && !strings.HasSuffix(key, "/") {
		version, size, modified, err := f.store.Stat(ctx, root+key)
		if err == nil {
			return f.addObject(root+key, path.Base(key), version, size, modified), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		if strings.ContainsAny(key, `*?[{`) {
			return f.objectPattern(ctx, root, key)
		}
		key += "/"
	}
	err = f.store.List(ctx, root+key, func(url, version string, size int64, modified time.Time) error {
		rel := strings.TrimPrefix(url, root+key)
		if !hidden(rel, nil) {
			met = f.addObject(url, rel, version, size, modified) || met
		}
		return nil
	})
	return met, err
}

func (f *finder) objectPattern(ctx context.Context, root, key string) (met bool, err error) {
	base, pattern := doublestar.SplitPattern(key)
	if base == "." {
		base = ""
	} else {
		base += "/"
	}
	if !doublestar.ValidatePattern(pattern) {
		return false, nil
	}
	known := pattern[:strings.IndexAny(pattern+`\`, `*?[{\`)] // what all names begin with
	parts := strings.Split(pattern, "/")
	err = f.store.List(ctx, root+base+known, func(url, version string, size int64, modified time.Time) error {
		rel := strings.TrimPrefix(url, root+base)
		if ok, _ := doublestar.Match(pattern, rel); ok && !hidden(rel, parts) {
			met = f.addObject(url, rel, version, size, modified) || met
		}
		return nil
	})
	return met, err
}

// hidden reports whether a part of a name starts with a dot, and is not spelled
// out as one of those.
func hidden(name string, spelled []string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") && !slices.Contains(spelled, part) {
			return true
		}
	}
	return false
}

// addObject adds an object. A name that ends in a slash is some tool's way to
// make a folder.
func (f *finder) addObject(url, rel, version string, size int64, modified time.Time) bool {
	if strings.HasSuffix(url, "/") || f.lake != "" && IsObject(f.lake) && strings.HasPrefix(url, strings.TrimSuffix(f.lake, "/")+"/") {
		return false
	}
	return f.add(Input{
		Path: url, File: rel, Size: size, ModTime: modified,
		Inode: xxh3.HashString(version), Store: f.store, Version: version,
	})
}
