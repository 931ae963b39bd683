package disk

import (
	"os"
	"syscall"
)

// startWriting begins to bring what was written to the disk. Errors show in Sync.
func startWriting(f *os.File) {
	const write = 2 // SYNC_FILE_RANGE_WRITE
	_ = syscall.SyncFileRange(int(f.Fd()), 0, 0, write)
}
