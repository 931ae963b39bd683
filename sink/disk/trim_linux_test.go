package disk_test

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"usagelake/sink/disk"
)

// Of what is trimmed the space is given back, and all else stays.
func TestTrim(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	data := bytes.Repeat([]byte{'x'}, 1<<20)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	const off, n = 100_001, 800_000
	if err := (disk.OS{}).Trim(path, off, n); err != nil {
		t.Fatal(err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	if st.Size != 1<<20 || st.Blocks*512 > 1<<20-n+3*4096 {
		t.Errorf("%d bytes of the file are in %d blocks", st.Size, st.Blocks)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got[:off], data[:off]) || !bytes.Equal(got[off+n:], data[off+n:]) {
		t.Error("what is around it has changed")
	}
	if err := (disk.OS{}).Trim(path, 5, 4000); err != nil {
		t.Errorf("less than a block: %v", err)
	}
	if err := (disk.OS{}).Trim(path+"2", 0, 1<<20); err == nil {
		t.Error("a file that is not there")
	}
}
