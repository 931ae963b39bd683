package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// Trim makes a hole, of whole blocks.
func (OS) Trim(path string, off, n int64) error {
	const block = 4096
	from, to := (off+block-1)/block*block, (off+n)/block*block
	if from >= to {
		return nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, to-from)
	if err != nil {
		return &os.PathError{Op: "fallocate", Path: path, Err: err}
	}
	return nil
}
