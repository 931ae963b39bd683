//go:build !linux

package disk

import "syscall"

// blockSize is the unit of the counts in st.
func blockSize(st *syscall.Statfs_t) uint64 { return uint64(st.Bsize) }
