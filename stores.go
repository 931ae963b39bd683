package usagelake

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"usagelake/bucket"
	"usagelake/ingest"
	"usagelake/schemas/secret"
	"usagelake/sink/disk"
	"usagelake/sink/ledger"
)

// IsURL reports whether the path of an input or a lake is one in a store of
// objects, such as s3://bucket/lake.
func IsURL(path string) bool { return ingest.IsObject(path) }

// scheme is what a URL begins with, also one that is not spelled well; a letter
// alone is a drive.
var scheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+:/`)

// CheckPath fails if the path of an input, a lake or a page is a URL of a kind that
// is not known, which would be taken for a local path.
func CheckPath(path string) error {
	if err := checkURL(path); err != nil {
		return err
	}
	if IsURL(path) || !scheme.MatchString(path) {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrUsage, fmt.Errorf("%s: only s3:// is known of URLs; want a local path, or s3://bucket/key", path))
}

// checkURL fails if a URL holds credentials: what is printed, measured and kept in the
// ledger names it.
func checkURL(path string) error {
	if shown := secret.URLs(path); shown != path && scheme.MatchString(path) {
		return fmt.Errorf("%w: %w", ErrUsage, fmt.Errorf("%s: credentials do not belong into a URL; give them by the environment (AWS_ACCESS_KEY_ID, …)", shown))
	}
	return nil
}

// objects is where the inputs are that URLs name, or nil where none does.
func (s *settings) objects(paths []string) (ingest.Store, error) {
	for _, path := range paths {
		if err := CheckPath(path); err != nil {
			return nil, err
		}
	}
	if s.Objects == nil && slices.ContainsFunc(paths, IsURL) {
		store, err := openBucket()
		if err != nil {
			return nil, err
		}
		s.Objects = store
	}
	return s.Objects, nil
}

// lakeFS is the file system that a lake is on, unless one is given.
func lakeFS(dir string, given disk.FS) (disk.FS, error) {
	if err := CheckPath(dir); err != nil {
		return nil, err
	}
	if given != nil {
		return given, nil
	}
	if !IsURL(dir) {
		return disk.OS{}, nil
	}
	if name, _, _ := strings.Cut(strings.TrimPrefix(dir, ingest.ObjectScheme), "/"); name == "" {
		return nil, fmt.Errorf("%w: lake %s: want s3://bucket/prefix", ErrUsage, dir)
	}
	store, err := openBucket()
	if err != nil {
		return nil, err
	}
	return store.FS(), nil
}

func openBucket() (*bucket.Store, error) {
	store, err := bucket.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return store, nil
}

// meanwhile is err, or what lies behind it: where no lock keeps others out, the
// files of a lake may be others by now than its ledger said.
func meanwhile(ctx context.Context, lake *ledger.Lake, err error) error {
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrUsage) {
		return err
	}
	if e := lake.Overtaken(); e != nil {
		return e
	}
	return err
}
