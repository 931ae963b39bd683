package secret

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

const live = "sk-proj-Zm9vYmFyYmF6cXV4MDEyMzQ1Njc4OWFiY2RlZg"

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(h[:16])
}

func TestKey(t *testing.T) {
	hidden := map[string]string{
		live:                                     sum(live),
		"Bearer " + live:                         sum(live), // the same key
		"bearer abcdefghijklmnopqrstuvwxyz":      sum("abcdefghijklmnopqrstuvwxyz"),
		"sk-1234":                                Masked,
		"Bearer 1234":                            Masked,
		"Basic YWxpY2U6c2VjcmV0c2VjcmV0c2VjcmV0": Masked,
		"gsk_abcdefghijklmnopqrstuvwxyz0123":     sum("gsk_abcdefghijklmnopqrstuvwxyz0123"),
		"AIzaSyA-abcdefghijklmnopqrstuvwxyz012":  sum("AIzaSyA-abcdefghijklmnopqrstuvwxyz012"),
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl": sum("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"),
		"prod key: " + live: "prod key: " + live, // begins as a name: see Anywhere
	}
	for text, want := range hidden {
		if got := Key(text); got != want {
			t.Errorf("Key(%q) = %q, want %q", text, got, want)
		}
	}
	for _, name := range []string{
		"", "s", "key_abc", "apikey_01RjNATyu2BRbWc3tk", "production", "sk", "sk-...1234", "sk-proj-****abcd", "basic", "token",
		"88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b", "AKIAIOSFODNN7EXAMPLE", "hf_team", "bearer-of-bad-news",
	} {
		if got := Key(name); got != name {
			t.Errorf("Key(%q) = %q: it is no credential", name, got)
		}
	}
}

func TestTextAndAnywhere(t *testing.T) {
	for _, plain := range []string{"sk-SK", "sk-frontend", "basic plan", "token budget", "task-0123456789abcdefghij", "chatcmpl-abc", "Basic understanding of things"} {
		if got := Text(plain); got != plain {
			t.Errorf("Text(%q) = %q", plain, got)
		}
		if got := Anywhere(plain); got != plain {
			t.Errorf("Anywhere(%q) = %q", plain, got)
		}
	}
	if got := Text(live); got != sum(live) {
		t.Error(got)
	}
	for _, text := range []string{"authorization: Bearer " + live, "key=" + live, live + " and more"} {
		if got := Anywhere(text); got != Masked {
			t.Errorf("Anywhere(%q) = %q", text, got)
		}
	}
}

func TestBlot(t *testing.T) {
	in := `{"authorization":"Bearer ` + live + `","api_key":"` + live + `","x":"Basic YWxpY2U6c2VjcmV0c2VjcmV0","model":"gpt-4o","task":"task-0123456789abcdefghij","cut":"eyJhbGciOiJIUzI1NiJ9.eyJzdW…(40 bytes more)"}`
	out := string(Blot([]byte(in)))
	if want := `{"authorization":"masked","api_key":"masked","x":"masked","model":"gpt-4o","task":"task-0123456789abcdefghij","cut":"masked…(40 bytes more)"}`; out != want {
		t.Errorf("%s", out)
	}
	if strings.Contains(out, "Zm9v") {
		t.Error("a key shows")
	}
}

func BenchmarkText(b *testing.B) {
	ids := []string{"chatcmpl-abcdefghijklmnopqrstuvw", "user-12345", "gpt-4o-2024-08-06", "openai", "req_0123456789abcdef", "session-1", "proj_abc", "chat"}
	for b.Loop() {
		for _, s := range ids {
			Text(s)
		}
	}
}
