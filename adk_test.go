package usagelake_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"usagelake"
)

// adkSpan is a span of the Agent Development Kit for a request of a session: its own, around
// that of the service, or the one of the service.
func adkSpan(id int, session string, around bool) string {
	name, of := "generate_content m", `"gen_ai.conversation.id":%q`
	if around {
		name, of = "call_llm", `"gcp.vertex.agent.llm_request":"{}","gcp.vertex.agent.session_id":%q`
	}
	return fmt.Sprintf(`{"name":%q,"context":{"trace_id":"0x1","span_id":"0x%x"},"start_time":"2026-03-04T10:00:01Z","end_time":"2026-03-04T10:00:02Z",`+
		`"attributes":{"gen_ai.request.model":"m","gcp.vertex.agent.event_id":"e","gen_ai.usage.input_tokens":100,"gen_ai.usage.output_tokens":20,`+of+"}}\n",
		name, id, session)
}

// Requests of sessions that go on side by side are told by two spans each, and are one call
// each; those of early versions are told by one.
func TestSessionsOfADKSideBySide(t *testing.T) {
	t.Parallel()
	var lines []string
	add := func(session string, around bool) {
		lines = append(lines, adkSpan(len(lines)+1, session, around))
	}
	add("old", true)
	add("a", false)
	add("b", false)
	add("a", true)
	add("b", true)
	for i := range 70 { // a goes on while others come
		add("a", false)
		add(fmt.Sprint("s", i), false)
		add("a", true)
		add(fmt.Sprint("s", i), true)
	}
	const want = 1 + 2 + 70*2
	for how, hashed := range map[string]bool{"": false, ", ids hashed": true} {
		dir := t.TempDir()
		config := func(name string) usagelake.Config {
			cfg := usagelake.Config{Lake: filepath.Join(dir, name), Inputs: []string{filepath.Join(dir, name+".jsonl")}}
			if hashed {
				cfg.HashIDs = writeKey(t, filepath.Join(dir, name+".key"), "k")
			}
			return cfg
		}
		whole, grown := config("whole"), config("grown")
		write(t, whole.Inputs[0], strings.Join(lines, ""))
		load(t, whole)
		for _, n := range []int{3, 4, 100, len(lines)} {
			write(t, grown.Inputs[0], strings.Join(lines[:n], ""))
			load(t, grown)
		}
		for name, lake := range map[string]string{"at once": whole.Lake, "growing": grown.Lake} {
			if n := len(rows(t, lake)); n != want {
				t.Errorf("%s%s: %d calls, want %d", name, how, n, want)
			}
		}
	}
}
