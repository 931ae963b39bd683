package ingest

import (
	"encoding/base64"
	"math"
	"strings"
	"testing"

	"usagelake/schemas"
)

// benchLayout wants about what a chat dialect wants, in four frames.
func benchLayout() *schemas.Layout {
	paths := strings.Fields(`id model created object provider usage.prompt_tokens usage.completion_tokens usage.total_tokens usage.cost
		usage.is_byok usage.prompt_tokens_details.cached_tokens usage.prompt_tokens_details.audio_tokens
		usage.completion_tokens_details.reasoning_tokens usage.cost_details.upstream_inference_cost
		system_fingerprint service_tier generation_time latency finish_reason app_id origin streamed tokens_prompt tokens_completion`)
	n := len(paths)
	l := &schemas.Layout{Slots: []int{n, n, n, n}}
	for frame, mount := range []string{"", "body.", "response.", "response.body."} {
		for slot, p := range paths {
			l.Wants = append(l.Wants, schemas.Want{Path: strings.Split(mount+p, "."), Frame: frame, Slot: slot})
		}
		l.Keep = append(l.Keep, schemas.KeepPath{Path: strings.Split(mount+"usage", "."), Frame: frame})
	}
	return l
}

const slimLine = `{"id":"gen-1764547200-Zx81kLmQpRsTuVwXyZab","model":"anthropic/claude-sonnet-4.5","created":1764547200,"provider":"Anthropic",` +
	`"app_id":123456,"origin":"https://example.org","streamed":true,"cancelled":false,"latency":812,"generation_time":4310,"finish_reason":"stop",` +
	`"native_finish_reason":"end_turn","tokens_prompt":1834,"tokens_completion":402,"usage":{"prompt_tokens":1834,"completion_tokens":402,` +
	`"total_tokens":2236,"cost":0.011532,"is_byok":false,"prompt_tokens_details":{"cached_tokens":1024},"cost_details":{"upstream_inference_cost":null}}}`

func chatLine() string {
	text := strings.Repeat(`The quick brown fox said \"jump\" and then it did so.\n`, 38)
	return `{"id":"chatcmpl-B1XyZ","object":"chat.completion","created":1764547200,"model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":` +
		`{"role":"assistant","content":"` + text + `","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":1834,` +
		`"completion_tokens":402,"total_tokens":2236,"prompt_tokens_details":{"cached_tokens":1024,"audio_tokens":0},"completion_tokens_details":` +
		`{"reasoning_tokens":0,"accepted_prediction_tokens":0}},"service_tier":"default","system_fingerprint":"fp_a7d06e42a7"}`
}

func imageLine() string {
	data := base64.StdEncoding.EncodeToString(make([]byte, 768<<10))
	return `{"id":"img-1","created":1764547200,"data":[{"b64_json":"` + data + `"}],"usage":{"total_tokens":4160}}`
}

func lines() map[string]string {
	return map[string]string{"slim": slimLine, "chat": chatLine(), "image": imageLine()}
}

func TestNoAllocation(t *testing.T) {
	w := NewWalker(benchLayout())
	for name, line := range lines() {
		doc := padded([]byte(line), "\x00")
		// The least of some runs: the race detector lets pools lose things, and
		// sonic has one.
		least := math.Inf(1)
		for range 20 {
			least = min(least, testing.AllocsPerRun(1, func() {
				if _, err := w.Walk(doc); err != nil {
					t.Fatal(err)
				}
				w.AnyMember(doc, func(_, _, _ []byte) bool { return false })
			}))
		}
		if least != 0 {
			t.Errorf("%s: %v allocations", name, least)
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	for name, line := range lines() {
		b.Run(name, func(b *testing.B) {
			w := NewWalker(benchLayout())
			doc := padded([]byte(line), "\x00")
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.Walk(doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAnyMember(b *testing.B) {
	for name, line := range lines() {
		b.Run(name, func(b *testing.B) {
			w := NewWalker(benchLayout())
			doc := padded([]byte(line), "\x00")
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				w.AnyMember(doc, func(_, _, _ []byte) bool { return false })
			}
		})
	}
}
