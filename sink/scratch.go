package sink

import (
	"path/filepath"
	"strings"

	"usagelake/sink/disk"
)

// Scratch is a directory for files that do not outlive a run. Whoever made it
// removes them. Dir is a path of FS, be it the URL of objects.
type Scratch struct {
	FS  disk.FS
	Dir string
}

func (s Scratch) path(name string) string {
	if strings.Contains(s.Dir, "://") {
		return s.Dir + "/" + name
	}
	return filepath.Join(s.Dir, name)
}

// Create makes a file for writing.
func (s Scratch) Create(name string) (disk.Writer, error) {
	return s.FS.Create(s.path(name), 0o600)
}

// Open opens a file for reading.
func (s Scratch) Open(name string) (disk.Reader, error) {
	return s.FS.Open(s.path(name))
}

// Trim gives back the space of a part of a file that is not read any more, where that can
// be done.
func (s Scratch) Trim(name string, at piece) {
	if t, ok := s.FS.(disk.Trimmer); ok {
		_ = t.Trim(s.path(name), at.Off, at.Len) // the file is removed anyway
	}
}

// closing ends what a function has begun, and makes an error of that the function's,
// unless it has one. It is deferred.
func closing(err *error, end func() error) {
	if e := end(); *err == nil {
		*err = e
	}
}
