package usagelake_test

import (
	"flag"
	"path/filepath"
	"strconv"
	"testing"

	"usagelake"
)

var logs = flag.String("logs", "", "`glob` of folders of logs for BenchmarkLoad, such as bench/.work/data/*/logs")

// BenchmarkLoad loads whole logs into empty lakes, to be profiled (bench/README.md).
func BenchmarkLoad(b *testing.B) {
	dirs, err := filepath.Glob(*logs)
	if err != nil || len(dirs) == 0 {
		b.Skipf("-logs %q names no folder (%v)", *logs, err)
	}
	for _, in := range dirs {
		b.Run(filepath.Base(filepath.Dir(in)), func(b *testing.B) {
			n := 0
			for b.Loop() {
				n++
				r, err := usagelake.Load(b.Context(), usagelake.Config{Inputs: []string{in}, Lake: filepath.Join(b.TempDir(), strconv.Itoa(n))})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(r.BytesRead)
			}
		})
	}
}
