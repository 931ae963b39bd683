package usagelake_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usagelake"
)

// Recorded logs of gateways and agents add up to what was counted from the
// files by itself.
func TestGatewaySamplesAddUp(t *testing.T) {
	for file, want := range map[string]sampleSums{
		"aider/analytics.jsonl":                  {UsageLines: 107, Calls: 107, Input: 2_484_349, Output: 45_772, CostRows: 107, Cost: "5.305332"},
		"azure/apim-gateway.jsonl":               {UsageLines: 1, Calls: 1, Input: 14, Output: 8},
		"codex/rollout.jsonl":                    {UsageLines: 1, Calls: 1, Input: 16_341, Output: 81, CacheRead: 3584, Reasoning: 63},
		"litellm/spend-logs.jsonl":               {UsageLines: 1, Calls: 1, Input: 10, Output: 20, CostRows: 1, Cost: "0.000225"},
		"litellm/standard-logging-payload.jsonl": {UsageLines: 1, Calls: 1, Input: 10, Output: 20, CostRows: 1, Cost: "0.000225"},
		// four generations; two of them are around the others and only estimate
		"langfuse/trace.json": {UsageLines: 2, Calls: 2, Input: 826, Output: 245, CostRows: 2, Cost: "0.000270899"},
		"qwen/session.jsonl":  {UsageLines: 2, Calls: 2, Input: 1100, Output: 25, CacheRead: 50},
	} {
		lake := filepath.Join(t.TempDir(), "lake")
		r := load(t, usagelake.Config{Inputs: []string{shared(t, "samples/"+file)}, Lake: lake})
		if b := r.Books; b.Rows != want.Calls || b.Rows+b.Duplicates != want.UsageLines || b.Quarantined != 0 {
			t.Errorf("%s: %d rows, %d duplicates, %d quarantined; want %d of %d", file, b.Rows, b.Duplicates, b.Quarantined, want.Calls, want.UsageLines)
		}
		want.check(t, file, lake)
	}
}

// Gateways that write times in UTC without saying so are not read in the zone of
// others.
func TestGatewayTimesAreUTC(t *testing.T) {
	lake := filepath.Join(t.TempDir(), "lake")
	in := write(t, filepath.Join(t.TempDir(), "a.jsonl"), `{"request_id":"a","call_type":"acompletion","spend":0,"prompt_tokens":1,`+
		`"completion_tokens":1,"startTime":"2026-03-02 07:15:00.25"}
{"id":"b","ts":"2026-03-02 07:15:00.25","usage":{"prompt_tokens":1,"completion_tokens":1}}
`)
	load(t, usagelake.Config{Inputs: []string{in}, Lake: lake, TimeZone: "Asia/Tokyo"})
	got := map[string]string{}
	for _, row := range rows(t, lake) {
		got[row["request_id"]] = row["event_time"]
	}
	want := map[string]string{"a": "2026-03-02T07:15:00.25Z", "b": "2026-03-01T22:15:00.25Z"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// Inspect counts the calls of a trace as a load does.
func TestInspectTree(t *testing.T) {
	const generation = `{"id":%q,"traceId":"t","parentObservationId":%q,"type":"GENERATION","startTime":"2026-03-02T09:00:00Z","usageDetails":{"input":5,"output":1,"total":6}}`
	in := write(t, filepath.Join(t.TempDir(), "a.jsonl"),
		`{"trace":{"id":"t"},"observations":[`+fmt.Sprintf(generation, "a", "")+","+fmt.Sprintf(generation, "b", "a")+"]}\n")
	shapes, err := usagelake.Inspect(context.Background(), usagelake.Config{}, in, 10)
	if err != nil || len(shapes) != 1 {
		t.Fatal(shapes, err)
	}
	var got []string
	for _, p := range shapes[0].Parts {
		got = append(got, p.Dialect+" "+p.Outcome)
	}
	want := []string{"langfuse.trace no usage", "langfuse.observation no usage", "langfuse.observation row"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
