package transform

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/ingest" //nolint:depguard // what a layout costs shows in a walk only
	"usagelake/schemas"
	"usagelake/transform/price"
)

const (
	slimLine = `{"id":"gen-U8-zQjmLgcp1e8NcBrY5","provider":"OpenAI","model":"openai/gpt-4o-mini","object":"chat.completion",` +
		`"created":1785542401,"user":"user-1262","choices":[],"usage":{"prompt_tokens":116,"completion_tokens":285,"total_tokens":401,` +
		`"cost":0.0001884,"is_byok":false,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"cost_details":` +
		`{"upstream_inference_cost":null},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,` +
		`"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}`
	chatHead = `{"id":"chatcmpl-c-NhSP-VpGzC5QlPIyD_CUlXXY4ov","object":"chat.completion","created":1785542401,` +
		`"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":"`
	chatText = `She said \"not reported is not zero\" and closed the file.\nСчета сходятся, строки посчитаны один раз. `
	chatTail = `","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":116,` +
		`"completion_tokens":285,"total_tokens":401,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},` +
		`"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,` +
		`"rejected_prediction_tokens":0}},"service_tier":"default","system_fingerprint":"fp_a1b2c3d4e5"}`
	imageHead = `{"background":"opaque","created":1785542401,"data":[{"b64_json":"`
	imageTail = `"}],"output_format":"png","quality":"high","size":"1024x1536","usage":{"input_tokens":60,"input_tokens_details":` +
		`{"image_tokens":0,"text_tokens":60},"output_tokens":6208,"total_tokens":6268}}`
	agentLine = `{"parentUuid":"0b0b9c5e-64b1-4c3c-9a54-0f5ed2a1a6ef","isSidechain":false,"userType":"external","cwd":"/home/me/src/ledger",` +
		`"sessionId":"7d9a1f53-3a1b-4c0e-8a3e-6b8d8a4f2a11","version":"2.0.14","gitBranch":"main","type":"user","message":{"role":"user",` +
		`"content":[{"tool_use_id":"toolu_01Abc","type":"tool_result","content":"     1\tpackage ledger\n     2\t\n     3\timport \"sort\"\n"}]},` +
		`"uuid":"f8a7d0f6-0a53-4a40-a8a7-f4f27de1b8bd","timestamp":"2026-08-21T10:15:30.123Z","toolUseResult":{"type":"text","file":` +
		`{"filePath":"/home/me/src/ledger/sort.go","content":"package ledger\n\nimport \"sort\"\n","numLines":3,"startLine":1,"totalLines":3}}}`
)

var benchDialects = Compile(nil)

// BenchmarkRecognise walks a line for the real layout and looks up its plan.
func BenchmarkRecognise(b *testing.B) {
	for _, c := range []struct{ name, line, dialect string }{
		{"slim", slimLine, "openrouter.chat"},
		{"chat", chatHead + strings.Repeat(chatText, 14) + chatTail, "openai.chat"},
		{"image", imageHead + base64.StdEncoding.EncodeToString(make([]byte, 600<<10)) + imageTail, "openai.images"},
		{"agent", agentLine, ""},
	} {
		b.Run(c.name, func(b *testing.B) {
			w, n := ingest.NewWalker(benchDialects.Layout()), NewNormalizer(Options{Dialects: benchDialects})
			docs := others(c.line, max(1, min(2000, 1<<20/len(c.line))))
			b.SetBytes(int64(len(c.line)))
			b.ReportAllocs()
			var p *plan
			for i := 0; b.Loop(); i++ {
				rec, err := w.Scan(docs[i%len(docs)])
				if err != nil {
					b.Fatal(err)
				}
				p = n.plan(rec)
			}
			if p.entry == nil && c.dialect != "" || p.entry != nil && p.entry.Name != c.dialect {
				b.Errorf("not %q", c.dialect)
			}
		})
	}
}

// BenchmarkUnclaimed is what a line without usage costs: a walk, and a search
// for members that look like token counts.
func BenchmarkUnclaimed(b *testing.B) {
	w := ingest.NewWalker(benchDialects.Layout())
	doc := ingest.MakeDoc([]byte(agentLine), 0, 1, 0).Data
	b.Run("walk", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := w.Walk(doc); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("search", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if w.AnyMember(doc, TokenLike) {
				b.Fatal("found")
			}
		}
	})
}

// BenchmarkApply makes rows of a walked line, with or without a cost, and takes
// them into a builder.
// BenchmarkApply is for a document, its walk aside, by itself and in a sheaf.
func BenchmarkApply(b *testing.B) {
	book, err := price.Read(strings.NewReader("book: b\nentries: [{provider: openrouter, model: '*', prices: {input: 0.15, output: 0.6}}]"), "b")
	if err != nil {
		b.Fatal(err)
	}
	list, err := price.Overlay(book)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name, line string
		prices     *price.Pricer
		single     bool
	}{
		{"slim", slimLine, nil, false},
		{"slim priced", slimLine, list.Pricer(), false},
		{"chat", chatHead + chatText + chatTail, nil, false},
		{"single", slimLine, nil, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			w, n := ingest.NewWalker(benchDialects.Layout()), NewNormalizer(Options{Dialects: benchDialects, Prices: c.prices})
			row := schemas.NewBuilder(memory.DefaultAllocator)
			docs := others(c.line, 2000)
			var rec *schemas.Record
			var values [][]schemas.Value // by document
			for range 2 {                // what is learnt in the first round holds for the second
				values = nil
				for _, doc := range docs {
					var err error
					if rec, err = w.Scan(doc); err != nil {
						b.Fatal(err)
					}
					values = append(values, slices.Clone(rec.Frames[len(rec.Frames)-1].Val))
				}
			}
			var in schemas.Sums
			src := &Source{}
			add := func() {
				if row.Len() > schemas.BuilderRows-SheafMost {
					row.Flush(nil).Release()
				}
			}
			single := func(rec *schemas.Record, _ Place) {
				if n.Apply(rec, src, row, &in) != IsRow {
					b.Fatal(n.Reason)
				}
				row.Add()
				add()
			}
			b.SetBytes(int64(len(c.line)))
			b.ReportAllocs()
			next := func(i int) {
				rec.Doc = docs[i%len(docs)]
				copy(rec.Frames[len(rec.Frames)-1].Val, values[i%len(docs)])
				if !c.single {
					if s := n.Gather(rec, src, row, Place{Line: int64(i)}); s != nil {
						if s.Full() {
							n.Rows(s, &in, single)
							add()
						}
						return
					}
				}
				single(rec, Place{})
			}
			for i := 0; b.Loop(); i++ {
				next(i)
			}
		})
	}
}

// others are documents like line, of another user and with other counts.
func others(line string, count int) (docs [][]byte) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range count {
		in, out := rng.IntN(9000), rng.IntN(900)
		text := strings.NewReplacer(
			`"prompt_tokens":116`, fmt.Sprintf(`"prompt_tokens":%d`, in),
			`"completion_tokens":285`, fmt.Sprintf(`"completion_tokens":%d`, out),
			`"total_tokens":401`, fmt.Sprintf(`"total_tokens":%d`, in+out),
			`0.0001884`, fmt.Sprintf("0.%08d", 1+rng.IntN(99999)),
			`user-1262`, fmt.Sprintf(`user-%d`, 1000+rng.IntN(1000)),
		).Replace(line)
		docs = append(docs, ingest.MakeDoc([]byte(text), 0, 1, 0).Data)
	}
	return docs
}

const partsLine = `{"parentUuid":null,"sessionId":"s","cwd":"/x","type":"assistant","uuid":"u","timestamp":"2026-03-04T10:00:00Z","requestId":"r",` +
	`"message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-4-8","content":[{"type":"text","text":"x"}],` +
	`"stop_reason":"end_turn","usage":{"input_tokens":3,"cache_creation_input_tokens":10,"cache_read_input_tokens":100,"output_tokens":20,` +
	`"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":10},"service_tier":"standard","iterations":` +
	`[{"type":"message","input_tokens":3,"output_tokens":20,"cache_read_input_tokens":100,"cache_creation_input_tokens":10}]}}}`

// BenchmarkMore is for a document with parts that entries are named for.
func BenchmarkMore(b *testing.B) {
	more := partsMore(b)
	b.SetBytes(int64(len(partsLine)))
	b.ReportAllocs()
	for b.Loop() {
		more()
	}
}

// A document with parts is read by plans that were made before.
func TestPartsAreCheap(t *testing.T) {
	if n := testing.AllocsPerRun(100, partsMore(t)); n > 80 {
		t.Errorf("%v allocations", n)
	}
}

func partsMore(tb testing.TB) func() {
	walker := func() Walker { return ingest.NewWalker(benchDialects.Layout()) }
	w, n := walker(), NewNormalizer(Options{Dialects: benchDialects, Walker: walker})
	row := schemas.NewBuilder(memory.DefaultAllocator)
	doc, src, said := ingest.MakeDoc([]byte(partsLine), 0, 1, 0).Data, &Source{}, Memory{}
	var in schemas.Sums
	return func() {
		rec, err := w.Walk(doc)
		if err != nil {
			tb.Fatal(err)
		}
		if v := n.Apply(rec, src, row, &in); v != IsMore {
			tb.Fatalf("verdict %v", v)
		}
		if v := n.More(doc, src, row, &in, said, row.Drop); v != IsRow {
			tb.Fatalf("verdict %v", v)
		}
	}
}
