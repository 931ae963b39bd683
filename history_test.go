package usagelake_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"usagelake"
)

// Files grow and are packed; some are loaded, strictly or in part, others
// forgotten, and what was set aside is read again. The lake is right after
// every step, and once all was loaded it has the rows that one load of all
// files makes.
func TestAnyHistory(t *testing.T) {
	t.Parallel()
	steps := map[string]int{}
	checks := checkIn(t, func(rt *rapid.T, dir string) {
		n := 0
		texts := make([]string, rapid.IntRange(1, 4).Draw(rt, "files"))
		paths := make([]string, len(texts))
		grow := func(f int) {
			texts[f] += joined(randomLines(rt, &n, 6))
			suffix := rapid.SampledFrom([]string{"", "", ".gz", ".zst"}).Draw(rt, "packed") // recognised by content, not by name
			paths[f] = write(t, filepath.Join(dir, fmt.Sprintf("f%d.jsonl", f)), packed(t, suffix, texts[f]))
		}
		for f := range texts {
			texts[f] = fmt.Sprintf(`{"file":%d}`+"\n", f)
			grow(f)
		}
		lake := filepath.Join(dir, "lake")
		config := func() usagelake.Config {
			return usagelake.Config{
				Lake: lake, QuarantineRaw: rapid.Bool().Draw(rt, "raw"), MaxQuarantine: "1000",
				Memory: rapid.SampledFrom([]int64{0, 1, 60_000}).Draw(rt, "memory"), Jobs: rapid.SampledFrom([]int{1, 2, 7}).Draw(rt, "jobs"),
			}
		}
		for range rapid.IntRange(1, 7).Draw(rt, "steps") {
			cfg := config()
			_, err := os.Stat(lake)
			step := rapid.SampledFrom([]string{"load", "load", "load", "grow", "replay", "forget"}).Draw(rt, "step")
			if err != nil && step != "grow" {
				step = "load"
			}
			steps[step]++
			switch step {
			case "grow":
				grow(rapid.IntRange(0, len(texts)-1).Draw(rt, "which"))
				continue
			case "load":
				cfg.StrictTime = rapid.Bool().Draw(rt, "strict")
				cfg.Inputs = rapid.Permutation(paths).Draw(rt, "order")[:rapid.IntRange(1, len(paths)).Draw(rt, "some")]
				switch rapid.IntRange(0, 5).Draw(rt, "filter") {
				case 0:
					cfg.From = day.Add(24 * time.Hour).Format(time.DateOnly)
				case 1:
					cfg.To = day.Add(24 * time.Hour).Format(time.DateOnly)
				}
				load(t, cfg)
			case "replay":
				cfg.StrictTime = rapid.Bool().Draw(rt, "strict")
				if r := replay(t, cfg); len(r.Problems) > 0 {
					rt.Fatalf("replay: %q", r.Problems)
				}
			case "forget":
				file := fmt.Sprintf("f%d.jsonl", rapid.IntRange(0, len(texts)-1).Draw(rt, "which"))
				id, ok := sourceIDs(t, lake)[file]
				if !ok {
					continue
				}
				r := forget(t, cfg, file)
				for _, p := range r.Problems {
					if !strings.Contains(p, "--from or --to only") {
						rt.Fatalf("forget: %q", p)
					}
				}
				for _, row := range rows(t, lake) {
					if row["source_id"] == id {
						rt.Fatalf("a row of %s is left", file)
					}
				}
			}
			clean(rt, t, lake)
		}
		all := usagelake.Config{Lake: filepath.Join(dir, "all"), Inputs: paths}
		load(t, all)
		cfg := config()
		cfg.Inputs = paths
		load(t, cfg)
		cfg.Inputs = nil
		replay(t, cfg)
		clean(rt, t, lake)
		if d := gocmp.Diff(sourceless(t, all.Lake), sourceless(t, lake)); d != "" {
			rt.Fatalf("-one load +history\n%s", d)
		}
		if d := gocmp.Diff(asidePlaces(t, all.Lake), asidePlaces(t, lake), cmpopts.EquateEmpty()); d != "" {
			rt.Fatalf("quarantine -one load +history\n%s", d)
		}
	})
	t.Logf("%d checks, %v", checks, steps)
}
