package logs

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// Every line is a document, all shapes are there, and nothing of them is left.
func TestMixed(t *testing.T) {
	s := Spec{Workload: "mixed", Lines: 2000, Files: 1, Days: 8, Start: start, Compress: "none", Seed: 1}
	p := s.fill(piece{to: s.Lines})
	kinds := map[string]int{}
	for line := range bytes.Lines(p.data) {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if bytes.IndexByte(line, '$') >= 0 {
			t.Fatalf("not filled in: %s", line)
		}
		first, _, _ := strings.Cut(string(line), `":`)
		kinds[first+string(m["type"])]++
	}
	if len(shapes) != 12 || len(kinds) < 9 {
		t.Errorf("%d shapes, %d kinds of lines: %v", len(shapes), len(kinds), kinds)
	}
	if p.calls != int64(s.Lines) || p.table != p.logged || p.table.Total == 0 {
		t.Errorf("%+v", p.table)
	}
}
