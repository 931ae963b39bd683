package disk

import "syscall"

// blockSize is the unit of the counts in st: not Bsize, which is what the file
// system likes to be read in.
func blockSize(st *syscall.Statfs_t) uint64 { return uint64(st.Frsize) }
