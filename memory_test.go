package usagelake_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The program stays near its budget: budget and 128 MiB at the most, whether
// its rows are of one day or of many, and it writes the same bytes.
func TestMemory(t *testing.T) {
	const budget = 32 << 20
	lines := 400_000
	switch {
	case testing.Short():
		t.Skip("reads a hundred megabytes several times")
	case *long:
		lines = 4_000_000
	case runtime.GOOS != "linux":
		t.Skip("the unit of Maxrss is known for Linux")
	}
	dir := t.TempDir()
	usagelake := program(t)
	for _, days := range []int{1, 40} {
		in := filepath.Join(dir, fmt.Sprint(days, ".jsonl"))
		calls(t, in, lines, days)
		var want map[string]string
		for _, memory := range []string{"32MiB", "4GiB"} {
			lake := filepath.Join(dir, fmt.Sprint(days, memory))
			cmd := exec.Command(usagelake, "load", in, "--lake", lake, "--memory", memory)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			peak := cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
			t.Logf("%d lines of %d days, --memory %s: peak %d MiB", lines, days, memory, peak>>20)
			if memory == "4GiB" {
				if peak < budget+128<<20 {
					t.Errorf("%d MiB hold all rows: the test shows nothing", peak>>20)
				}
			} else if peak > budget+128<<20 {
				t.Errorf("peak %d MiB", peak>>20)
			}
			got := hashes(t, lake)
			if want == nil {
				want = got
			} else if d := cmp.Diff(want, got); d != "" || len(got) != days {
				t.Errorf("other bytes\n%s", d)
			}
			if err := os.RemoveAll(lake); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// calls writes a log whose lines go round the days.
func calls(t *testing.T, path string, lines, days int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	for i := range lines {
		second := day.Unix() + int64(i%days)*86_400 + int64(i)%86_400
		fmt.Fprintf(w, `{"id":"call-%024d","created":%d,"model":"m-%d","user":"user-%d","usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}}}`+"\n",
			i, second, i%7, i%5000, 100+i%900, i%300, 100+i%900+i%300, i%100)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}
