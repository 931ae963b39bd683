package usagelake_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"usagelake/sink/ledger"
)

// listing is everything below a directory: mode, inode, times, and the hash of
// what is in it.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		sum := ""
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum = ledger.Hash(data)
		}
		out[rel] = fmt.Sprint(info.Mode(), " inode ", info.Sys().(*syscall.Stat_t).Ino, " at ", info.ModTime().UnixNano(), " ", sum)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
