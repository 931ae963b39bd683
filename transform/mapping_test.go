package transform

import (
	"strings"
	"testing"
)

func TestParseMapping(t *testing.T) {
	m, err := ParseMapping(strings.NewReader("# ours\nuser_id = meta.caller.id | who # a person\n\nbody = payload.llm\nevent_time=\"at.ms\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(m.rules) != 2 || m.rules[0].From != "^meta.caller.id | ^who" || m.rules[1].From != `^"at.ms"` || len(m.bodies) != 1 || m.bodies[0].Path != "payload.llm" {
		t.Errorf("%+v", m)
	}
	for text, want := range map[string]string{
		"user_id":                 "line 1: want column = path",
		"\nuser_id =":             "line 2: ",
		"input_tokens = a":        `"input_tokens" cannot be mapped; these can: body, event_time, `,
		"nonsense = a":            `"nonsense" cannot be mapped`,
		"user_id = a b":           "want column = path",
		"user_id = a | ":          "want column = path",
		"user_id = a..b":          "want column = path",
		"user_id = list[k=v].x":   "want column = path",
		"user_id = 'constant'":    "want column = path",
		"user_id = \"unfinished":  "want column = path",
		"model = x\nmodel ~ y.z.": "line 2",
	} {
		if _, err := ParseMapping(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
