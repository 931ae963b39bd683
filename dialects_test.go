package usagelake_test

import (
	"path/filepath"
	"strings"
	"testing"

	"usagelake"
)

// What is wrong with a mapping is told without what it says: it may be a log.
func TestMappingTellsNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own.map")
	check := func(text string) error {
		write(t, path, text)
		return usagelake.Check(usagelake.Config{Lake: "lake", Map: path})
	}
	for _, text := range []string{
		"# ours\r\nuser_id = meta.caller.id | who # a person\r\n\nbody = payload.llm\nevent_time=\"at.ms\"\n", "model=$x.@y.\"a.b\".c|d\n",
	} {
		if err := check(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{
		`{"prompt":"hunter2"}`, `prompt="hunter2 and more"`, "user_id = hunter2..x", `user_id = "hunter2`, "user_id = hunter2:x", "hunter2", "user_id = a b hunter2",
		strings.Repeat("hunter2", 1<<16),
	} {
		if err := check("model = x\n" + text + "\n"); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "own.map: line 2") || !strings.Contains(err.Error(), "want column = path") {
			t.Errorf("%.40q: %.200v", text, err)
		}
	}
}
