package sink

import (
	"path/filepath"

	"usagelake/sink/disk"
)

// Scratch is a directory for files that do not outlive a run. Whoever made it
// removes them.
type Scratch struct {
	FS  disk.FS
	Dir string
}

// Create makes a file for writing.
func (s Scratch) Create(name string) (disk.Writer, error) {
	return s.FS.Create(filepath.Join(s.Dir, name), 0o600)
}

// Open opens a file for reading.
func (s Scratch) Open(name string) (disk.Reader, error) {
	return s.FS.Open(filepath.Join(s.Dir, name))
}
