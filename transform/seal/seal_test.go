package seal

import (
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"usagelake/schemas"
	"usagelake/transform"
)

var key, other = New([]byte(strings.Repeat("k", 32))), New([]byte(strings.Repeat("o", 32)))

// A path is kept so that its key alone opens it.
func TestPath(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		path := rapid.String().Draw(rt, "path")
		kept := key.Path(path)
		if kept != key.Path(path) {
			rt.Fatal("kept in two ways")
		}
		if got, ok := key.Open(kept); !ok || got != path {
			rt.Fatalf("%q opened as %q", path, got)
		}
		if _, ok := other.Open(kept); ok {
			rt.Fatal("another key opened it")
		}
		at := rapid.IntRange(2, len(kept)-2).Draw(rt, "at")
		if got, ok := key.Open(kept[:at] + string(kept[at]^1) + kept[at+1:]); ok {
			rt.Fatalf("opened as %q although it was changed", got)
		}
	})
	for _, text := range []string{"", "e:", "e:AAAA", "/clear"} {
		if _, ok := key.Open(text); ok {
			t.Errorf("%q was opened", text)
		}
	}
	var none *Key
	if p, ok := none.Open("/clear"); !ok || p != "/clear" || none.Path("/x") != "/x" || none.File("x") != "x" || none.Fingerprint() != "" || none.Writer() != nil {
		t.Error("no key must change nothing")
	}
	if _, ok := none.Open(key.Path("/x")); ok {
		t.Error("opened without a key")
	}
}

// What was kept of texts that were said is written as the texts would have been,
// and kept again as it was, also with the key of later.
func TestSaid(t *testing.T) {
	said := transform.Memory{"codex": {"model": "gpt", "session_id": "s1", "request_id": "r1"}}
	kept := key.Said(said)
	if said["codex"]["session_id"] != "s1" || kept["codex"]["model"] != "gpt" || kept["codex"]["session_id"] == "s1" {
		t.Fatal(said, kept)
	}
	for _, k := range []*Key{key, other} {
		recalled := k.Recalled(kept)
		if d := cmp.Diff(kept, k.Said(recalled)); d != "" {
			t.Error(d)
		}
		row := schemas.NewBuilder(memory.DefaultAllocator)
		row.SetString(schemas.SessionID, recalled["codex"]["session_id"])
		row.SetString(schemas.RequestID, recalled["codex"]["request_id"]+"#iteration2")
		k.Writer().Row(row)
		if row.Str(schemas.SessionID) != kept["codex"]["session_id"] || row.Str(schemas.RequestID) != kept["codex"]["request_id"]+"#iteration2" {
			t.Errorf("%q %q", row.Str(schemas.SessionID), row.Str(schemas.RequestID))
		}
	}
}

func TestRow(t *testing.T) {
	w := key.Writer()
	set := func(cols map[schemas.Col]string) *schemas.Builder {
		row := schemas.NewBuilder(memory.DefaultAllocator)
		for c, s := range cols {
			row.SetString(c, s)
		}
		w.Row(row)
		return row
	}
	a := set(map[schemas.Col]string{
		schemas.RequestID: "x", schemas.TransportID: "x", schemas.UserID: "x", schemas.SessionID: "x", schemas.APIKeyID: "x",
		schemas.Tags: "b=x,word,c=,a=x", schemas.ExtraJSON: `{"agent_id":"x","n":1.50,"provider":"Google AI","b":true}`,
		schemas.LineItem: "x", schemas.Dialect: "litellm.daily", schemas.ProjectID: "x", schemas.Model: "x",
	})
	distinct := map[string]bool{}
	for _, c := range []schemas.Col{schemas.RequestID, schemas.UserID, schemas.SessionID, schemas.APIKeyID, schemas.LineItem} {
		distinct[a.Str(c)] = true
	}
	if len(distinct) != 5 || a.Str(schemas.RequestID) != a.Str(schemas.TransportID) {
		t.Error("equal texts show as equal across columns, or ids of a call do not")
	}
	if a.Str(schemas.ProjectID) != "x" || a.Str(schemas.Model) != "x" {
		t.Error("names are no ids")
	}
	tags := strings.Split(a.Str(schemas.Tags), ",")
	if len(tags) != 4 || !strings.HasPrefix(tags[0], "a=h:") || !strings.HasPrefix(tags[1], "b=h:") || tags[2] != "c=" || !strings.HasPrefix(tags[3], "h:") || tags[0][2:] == tags[1][2:] {
		t.Error(tags)
	}
	extra := a.Str(schemas.ExtraJSON)
	if strings.Contains(extra, `"x"`) || !strings.HasSuffix(extra, `,"n":1.50,"provider":"Google AI","b":true}`) {
		t.Error(extra)
	}
	b := set(map[schemas.Col]string{schemas.LineItem: "vs_1", schemas.Dialect: "openai.report", schemas.RequestID: "r#step3"})
	if b.Str(schemas.LineItem) != "vs_1" || !strings.HasSuffix(b.Str(schemas.RequestID), "#step3") || len(b.Str(schemas.RequestID)) != 2+32+6 {
		t.Error(b.Str(schemas.LineItem), b.Str(schemas.RequestID))
	}
	if b.Has(schemas.UserID) {
		t.Error("NULL became a hash")
	}
}

func BenchmarkRow(b *testing.B) {
	w := key.Writer()
	row := schemas.NewBuilder(memory.DefaultAllocator)
	for b.Loop() {
		row.Drop()
		row.SetString(schemas.RequestID, "chatcmpl-0123456789")
		row.SetString(schemas.UserID, "alice")
		row.SetString(schemas.APIKeyID, "key")
		w.Row(row)
	}
}
