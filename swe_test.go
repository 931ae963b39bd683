package usagelake_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"usagelake"
)

// A run of SWE-agent is a file that is written anew at each step: its sums are those of the
// longest, in whatever order the files come, and two runs are two.
func TestRunsOfSWEAgent(t *testing.T) {
	t.Parallel()
	run := func(total string, seconds float64, steps int) string {
		list := strings.Repeat(fmt.Sprintf(`{"action":"ls","observation":"","response":"x","state":"{}","thought":"","execution_time":%v},`, seconds), steps)
		return fmt.Sprintf(`{"environment":"swe_main","trajectory":[%s],"history":[],"info":{"model_stats":{%s"instance_cost":%v,"tokens_sent":%d,"tokens_received":%d,"api_calls":%d}}}`,
			strings.TrimSuffix(list, ","), total, 0.01*float64(steps), 100*steps, 10*steps, steps)
	}
	for name, total := range map[string]string{"before version 1": `"total_cost":0.5,`, "version 1": ""} {
		half, whole, other := run(total, 0.25, 2), run(total, 0.25, 5), run(total, 0.5, 3)
		for order, files := range map[string][]string{"growing": {half, whole, other}, "backwards": {other, whole, half}} {
			t.Run(name+", "+order, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				cfg := usagelake.Config{Lake: filepath.Join(dir, "lake")}
				for i, text := range files {
					cfg.Inputs = []string{write(t, filepath.Join(dir, fmt.Sprint(i), "run.traj"), text)}
					load(t, cfg)
				}
				costs := map[string]bool{}
				for _, r := range rows(t, cfg.Lake) {
					costs[r["reported_cost_usd"]] = true
				}
				if len(costs) != 2 || !costs["0.05"] || !costs["0.03"] || len(rows(t, cfg.Lake)) != 2 {
					t.Errorf("runs that cost %v, want 0.05 and 0.03", costs)
				}
			})
		}
	}
}
