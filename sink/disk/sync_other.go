//go:build !linux

package disk

import "os"

// fsync makes a file or a directory durable.
func fsync(f *os.File) error { return f.Sync() }
