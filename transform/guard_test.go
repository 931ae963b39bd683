package transform

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/schemas"
)

const liveKey = "sk-proj-0123456789abcdefghijABCDEFGHIJ"

func TestGuard(t *testing.T) {
	long := strings.Repeat("word ", 200)
	for _, c := range []struct {
		col  schemas.Col
		text string
		want string // "": NULL; a prefix
	}{
		{schemas.UserID, "alice", "alice"},
		{schemas.UserID, strings.Repeat("u", maxLabel), strings.Repeat("u", maxLabel)},
		{schemas.UserID, long, "xxh3:"},
		{schemas.RequestID, long, "xxh3:"},
		{schemas.Model, liveKey, "sha256:"},
		{schemas.LineItem, "Images, DALL-E 3", "Images, DALL-E 3"},
		{schemas.Operation, "chat", "chat"},
		{schemas.Operation, "tell me a joke", ""},
		{schemas.ServiceTier, liveKey, ""},
		{schemas.APIKeyID, "sk-1", "masked"},
		{schemas.APIKeyID, liveKey, "sha256:"},
		{schemas.APIKeyID, long, "xxh3:"},
		{schemas.APIKeyID, "production", "production"},
		{schemas.ErrorCode, "rate_limit_exceeded", "rate_limit_exceeded"},
		{schemas.ErrorCode, "no such model: tell me a joke", otherError},
		{schemas.ErrorCode, liveKey, otherError},
	} {
		n := &Normalizer{row: schemas.NewBuilder(memory.DefaultAllocator)}
		n.row.SetString(c.col, c.text)
		n.guard()
		got := n.row.Str(c.col)
		if c.want == "" && n.row.Has(c.col) || !strings.HasPrefix(got, c.want) || len(got) > maxLabel {
			t.Errorf("%s %.20q became %q, want %q", c.col, c.text, got, c.want)
		}
		if (c.want == "") != (n.flags == flagUnreadable) {
			t.Errorf("%s %.20q: flags %s", c.col, c.text, n.flags)
		}
	}
	for text, want := range map[string]string{
		"prod": "prod", "two words": "two words", strings.Repeat("t", maxTag): strings.Repeat("t", maxTag),
		long: "xxh3:", liveKey: "sha256:", "x-api-key: " + liveKey: "masked",
	} {
		if got := tag(text); !strings.HasPrefix(got, want) || len(got) > maxTag {
			t.Errorf("tag %.20q became %q", text, got)
		}
	}
}

// TestGuardKeepsApart: whatever ids look like, different ones stay different ones,
// since calls are told apart by them.
func TestGuardKeepsApart(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 8))
	random := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[rng.IntN(64)]
		}
		return string(b)
	}
	seen := map[string]string{}
	hidden := 0
	n := &Normalizer{row: schemas.NewBuilder(memory.DefaultAllocator)}
	for range 20_000 {
		id := random(rng.IntN(4)*5) + []string{"", "sk-", "-sk-", "r8_", "-r8_", "hf_", ".ghp_", "Bearer ", "eyJ" + random(12) + "." + random(12) + "."}[rng.IntN(9)] + random(20)
		for _, begin := range []string{"", "sk", "r8", "gen-", "be"} {
			id := begin + id
			n.row.Drop()
			n.row.SetString(schemas.RequestID, id)
			n.guard()
			got := n.row.Str(schemas.RequestID)
			if was, ok := seen[got]; ok && was != id {
				t.Fatalf("%q and %q became %q", was, id, got)
			}
			seen[got] = id
			if got != id {
				hidden++
			}
		}
	}
	if hidden < 1000 {
		t.Errorf("%d ids were hidden", hidden)
	}
}
