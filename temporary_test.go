package usagelake_test

import (
	"os"
	"path/filepath"
	"testing"

	"usagelake"
	"usagelake/sink/disk"
)

// What a process left that was killed goes with the next one; a directory that somebody
// works in stays, and so does one that is not a process's of ours.
func TestTemporaryIsSwept(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	left := func(name string, files ...string) string {
		dir := filepath.Join(temp, name)
		for _, f := range files {
			write(t, filepath.Join(dir, f), "x")
		}
		return dir
	}
	dead, alive := left("usagelake-step-1", "lock", "rows"), left("usagelake-step-2", "lock", "rows")
	other, bare := left("others-3", "lock", "rows"), left("usagelake-4", "rows")
	lock, err := disk.OS{}.Lock(filepath.Join(alive, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	lake := filepath.Join(t.TempDir(), "lake")
	load(t, usagelake.Config{Inputs: []string{"testdata/logs"}, Lake: lake})
	if p := problems(t, lake); len(p) > 0 {
		t.Error(p)
	}
	for dir, want := range map[string]bool{dead: false, alive: true, other: true, bare: true} {
		if _, err := os.Stat(filepath.Join(dir, "rows")); (err == nil) != want {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if entries, err := os.ReadDir(temp); err != nil || len(entries) != 3 {
		t.Errorf("%v, %v", entries, err)
	}
}
