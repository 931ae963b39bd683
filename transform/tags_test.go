package transform

import (
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/ingest" //nolint:depguard // records come from a walk
	"usagelake/schemas"
)

// Tags of which some cannot be read do not show on the record behind.
func TestTagsBehindBadOnes(t *testing.T) {
	w, n := ingest.NewWalker(benchDialects.Layout()), NewNormalizer(Options{Dialects: benchDialects})
	row := schemas.NewBuilder(memory.DefaultAllocator)
	var in schemas.Sums
	for i, c := range []struct{ tags, want string }{
		{`{"env":"prod"}`, "env=prod"},
		{`{"feature":"chat","nested":{}}`, "feature=chat"},
		{`{"env":"prod"}`, "env=prod"},
	} {
		line := `{"request_id":"a","startTime":"2026-08-01T00:00:00Z","call_type":"acompletion","model":"m","prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"spend":0.1,"request_tags":` + c.tags + `}`
		rec, err := w.Walk(ingest.MakeDoc([]byte(line), 0, 1, 0).Data)
		if err != nil {
			t.Fatal(err)
		}
		if v := n.Apply(rec, &Source{}, row, &in); v != IsRow {
			t.Fatalf("record %d: %v", i, v)
		}
		if got := row.Str(schemas.Tags); got != c.want {
			t.Errorf("record %d: tags %q, want %q", i, got, c.want)
		}
	}
}
