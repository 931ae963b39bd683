package transform

import (
	"regexp"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestPlainCalendar: what plainCalendar reads calendar reads alike, and nearly all
// of its kind is read by both.
func TestPlainCalendar(t *testing.T) {
	usual := regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$`)
	both := 0
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(-1<<33, 1<<35).Draw(t, "at"), rapid.Int64Range(0, 1e9-1).Draw(t, "nanos")).UTC()
		text := []byte(at.Format(rapid.SampledFrom([]string{time.RFC3339, time.RFC3339Nano, "2006-01-02T15:04:05.000Z"}).Draw(t, "layout")))
		for range rapid.IntRange(0, 2).Draw(t, "changes") {
			text[rapid.IntRange(0, len(text)-1).Draw(t, "at")] = rapid.SampledFrom([]byte("0123456789-:.TZ \x00\xff/")).Draw(t, "byte")
		}
		got, ok := plainCalendar(text)
		want, wanted := calendar(text, time.UTC)
		if ok && (!wanted || got != want) {
			t.Fatalf("%q: %d, want %d, %v", text, got, want, wanted)
		}
		if ok {
			both++
		} else if wanted && usual.Match(text) {
			t.Fatalf("%q is not read", text)
		}
	})
	if both == 0 {
		t.Error("none was read")
	}
}
