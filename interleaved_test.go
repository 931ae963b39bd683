package usagelake_test

import (
	"fmt"
	"path/filepath"
	"slices"
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
func TestSessionsOfADKInterleaved(t *testing.T) {
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

// Runs of Qwen Code whose lines are mixed in one log are the calls of their lines; what they
// end with says those again.
func TestRunsOfQwenInterleaved(t *testing.T) {
	t.Parallel()
	message := func(id, session string, in int) string {
		return fmt.Sprintf(`{"type":"assistant","uuid":"u-%s","timestamp":"2026-03-05T03:50:00Z","session_id":%q,"parent_tool_use_id":null,"message":{"id":%[1]q,"type":"message",`+
			`"role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":%[3]d,"output_tokens":5,"cache_read_input_tokens":0,"total_tokens":%[4]d}}}`+"\n", id, session, in, in+5)
	}
	sum := func(session string, in int) string {
		return fmt.Sprintf(`{"type":"result","subtype":"success","uuid":"r-%s","timestamp":"2026-03-05T03:51:00Z","session_id":%[1]q,"is_error":false,"duration_ms":9,"duration_api_ms":8,`+
			`"num_turns":1,"result":"x","usage":{"input_tokens":%d,"output_tokens":5,"cache_read_input_tokens":0,"total_tokens":%d}}`+"\n", session, in, in+5)
	}
	dir := t.TempDir()
	cfg := usagelake.Config{Lake: filepath.Join(dir, "lake"), Inputs: []string{write(t, filepath.Join(dir, "a.jsonl"),
		message("m1", "a", 100)+message("m2", "b", 200)+sum("a", 100)+sum("b", 200)+sum("c", 300))}}
	load(t, cfg)
	var got []string
	for _, r := range rows(t, cfg.Lake) {
		got = append(got, r["session_id"]+" "+r["input_tokens"])
	}
	slices.Sort(got)
	if want := []string{"a 100", "b 200", "c 300"}; !slices.Equal(got, want) {
		t.Errorf("calls of %v, want %v", got, want)
	}
}
