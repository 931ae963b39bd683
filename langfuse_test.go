package usagelake_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"usagelake"
)

// An event that changes an observation has the model that an event before it said, in the
// same batch or in another line, wherever a load ends.
func TestModelsOfLangfuseEvents(t *testing.T) {
	t.Parallel()
	event := func(kind, id, rest string) string {
		return fmt.Sprintf(`{"id":"e","type":"generation-%s","timestamp":"2026-03-02T13:00:00.000Z","body":{"id":%q,"traceId":"t"%s}}`, kind, id, rest)
	}
	model := func(name string) string {
		return fmt.Sprintf(`,"startTime":"2026-03-02T13:00:00.200Z","model":%q`, name)
	}
	usage := func(in int) string {
		return fmt.Sprintf(`,"usageDetails":{"input":%d,"output":5,"total":%d}`, in, in+5)
	}
	lines := []string{
		event("create", "a", model("m-a")),
		event("create", "b", model("m-b")),
		event("update", "a", usage(1)),
		`{"batch":[` + event("create", "c", model("m-c")) + `,` + event("update", "b", usage(2)) + `,` + event("update", "c", usage(3)) + `]}`,
		event("update", "d", usage(4)), // of which nothing was said
		event("create", "e", model("m-e")+usage(5)),
		event("update", "e", usage(6)), // of the same call
	}
	for i := range 100 {
		lines = append(lines, event("create", fmt.Sprint("f", i), model("m-f")))
	}
	lines = append(lines, event("update", "f99", usage(7)), event("update", "a", usage(8)))
	const want = "2 m-b, 3 m-c, 4 , 6 m-e, 7 m-f, 8 "
	check := func(name, lake string) {
		var got []string
		for _, r := range rows(t, lake) {
			got = append(got, r["input_tokens"]+" "+r["model"])
		}
		slices.Sort(got)
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%s: got %s, want %s", name, s, want)
		}
	}
	dir := t.TempDir()
	cfg := usagelake.Config{Inputs: []string{filepath.Join(dir, "a.jsonl")}, Lake: filepath.Join(dir, "lake")}
	write(t, cfg.Inputs[0], strings.Join(lines, "\n")+"\n")
	load(t, cfg)
	check("at once", cfg.Lake)
	cfg = usagelake.Config{Inputs: []string{filepath.Join(dir, "b.jsonl")}, Lake: filepath.Join(dir, "grown")}
	for i := range lines {
		if i < 8 || i == len(lines)-1 {
			write(t, cfg.Inputs[0], strings.Join(lines[:i+1], "\n")+"\n")
			load(t, cfg)
		}
	}
	check("growing", cfg.Lake)
}
