package transform

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os" //nolint:depguard // example logs
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"
	"github.com/google/go-cmp/cmp"

	"usagelake/ingest" //nolint:depguard // forms come from a walk only
	"usagelake/schemas"
	"usagelake/transform/price"
)

// TestUsual makes rows of example logs, their lines repeated with other values, as
// they are made of documents of known forms and as they are made of all others.
func TestUsual(t *testing.T) {
	book, err := price.Read(strings.NewReader("book: b\nentries: [{provider: openrouter, model: '*', prices: {input: 0.15, output: 0.6}}]"), "b")
	if err != nil {
		t.Fatal(err)
	}
	list, err := price.Overlay(book)
	if err != nil {
		t.Fatal(err)
	}
	sources := []*Source{
		{Time: 1785542401e6, TimeFrom: schemas.FromFileName},
		{Index: 1, Time: 1785542402e6, TimeFrom: schemas.FromFileName},
		{Index: 2, Time: 1785542403e6, TimeFrom: schemas.FromFileTime},
		{Index: 3, Time: 1785542402e6, TimeFrom: schemas.FromFileTime, Fill: []Fill{{schemas.Model, "other"}, {schemas.UserID, "v"}, {schemas.Operation, "chat"}}},
		{Index: 4, Time: 1785542402e6, TimeFrom: schemas.FromFileTime, Fill: []Fill{{schemas.Model, "filled"}, {schemas.UserID, "u"}, {schemas.Operation, "chat"}}},
	}
	values := []string{`0`, `1`, `9`, `116`, `2500`, `12345678`, `123456789`, `0.5`, `-1`, `1e3`, `"7"`, `""`, `"x"`, `"a\"b"`, "\"\xff\"", `true`, `false`, `"none"`, `1785542403`, `"2026-08-01T00:00:05Z"`, `"gpt-image-1"`, `{}`, `[]`, `["a"]`, `"<synthetic>"`, `"m"`, `"` + liveKey + `"`, `"tell me a joke"`, `"` + strings.Repeat("long", 200) + `"`}
	token := regexp.MustCompile(`:"(?:[^"\\]|\\.)*"|:[-0-9.eE+]+|:true|:false`)
	rng := rand.New(rand.NewPCG(3, 6))
	walker := ingest.NewWalker(benchDialects.Layout())
	rows, short := 0, 0
	repeat := 8
	if testing.Short() {
		repeat = 4
	}
	for _, line := range slices.Concat(exampleLines(t), slices.Repeat(usualLines, repeat)) {
		scanner := ingest.NewWalker(benchDialects.Layout()) // that has not given up on forms
		forms := NewNormalizer(Options{Dialects: benchDialects, Prices: list.Pricer()})
		other := NewNormalizer(Options{Dialects: benchDialects, Prices: list.Pricer()})
		a, b := schemas.NewBuilder(memory.DefaultAllocator), schemas.NewBuilder(memory.DefaultAllocator)
		var inA, inB schemas.Sums
		src := sources[0]
		for range 240 {
			if rng.IntN(10) == 0 {
				src = sources[rng.IntN(len(sources))]
			}
			doc := line
			for range max(0, rng.IntN(6)-3) {
				if at := token.FindAllIndex(doc, -1); at != nil {
					k := at[rng.IntN(len(at))]
					doc = bytes.Join([][]byte{doc[:k[0]+1], doc[k[1]:]}, []byte(values[rng.IntN(len(values))]))
				}
			}
			d := ingest.MakeDoc(doc, 0, 1, 0).Data
			one, errA := scanner.Scan(d)
			two, errB := walker.Walk(d)
			if errA != nil || errB != nil {
				break // TestForms compares errors
			}
			got, want := forms.Apply(one, src, a, &inA), other.Apply(two, src, b, &inB)
			if got != want || got == IsBad && forms.Reason != other.Reason {
				t.Fatalf("%.400q: %v %q, want %v %q", doc, got, forms.Reason, want, other.Reason)
			}
			if got != IsRow {
				continue
			}
			if diff := cmp.Diff(openRow(b), openRow(a)); diff != "" || inA != inB || a.Source() != b.Source() || forms.Unpriced() != other.Unpriced() || forms.Contradicts() != other.Contradicts() {
				t.Fatalf("%.400q: %s\n%v\n%v", doc, diff, inA, inB)
			}
			rows++
			if one.Form != nil && forms.short {
				short++
			}
			a.Add()
			b.Add()
			if a.Len() == 50 {
				same(t, a, b)
			}
		}
		same(t, a, b)
	}
	t.Logf("%d of %d rows were made the short way", short, rows)
	if rows < 2000 || short < rows/10 {
		t.Errorf("%d of %d rows were made the short way", short, rows)
	}
}

// usualLines are of dialects that do not say the time, the model, or what their
// parts are in, of a call that may be none, and of one whose parts must add up.
var usualLines = [][]byte{
	[]byte(`{"id":"chatcmpl-1","object":"chat.completion","model":"m","user":"u","usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}`),
	[]byte(`{"id":"chatcmpl-1","object":"chat.completion","created":1785542401,"model":"","user":"","usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}`),
	[]byte(`{"span_id":"a","start_time":1785542401,"attributes":{"gen_ai.response.id":"x","gen_ai.usage.input_tokens":10,"gen_ai.usage.output_tokens":1,"gen_ai.usage.cache_read.input_tokens":0,"gen_ai.usage.total_tokens":11}}`),
	[]byte(`{"type":"assistant","timestamp":"2026-08-01T00:00:05Z","sessionId":"s","requestId":"r","message":{"id":"m","type":"message","role":"assistant","model":"claude","usage":{"input_tokens":9,"output_tokens":1}}}`),
	[]byte(`{"type":"response.image_generation_call.completed","id":"i","created":1785542401,"usage":{"input_tokens":10,"input_tokens_details":{"image_tokens":9,"text_tokens":1},"output_tokens":1,"total_tokens":11}}`),
}

// same flushes two builders that took in the same rows.
func same(t *testing.T, a, b *schemas.Builder) {
	if a.Len() == 0 {
		return
	}
	x, y := a.Flush(nil), b.Flush(nil)
	defer x.Release()
	defer y.Release()
	var r, s schemas.Row
	for i := range x.Len() {
		x.Row(i, &r)
		y.Row(i, &s)
		for c := range schemas.NumColumns {
			if r.Has(c) != s.Has(c) || r.Str(c) != s.Str(c) || r.Int(c) != s.Int(c) || r.Double(c) != s.Double(c) {
				t.Fatalf("row %d: %v differs", i, c)
			}
		}
	}
}

// openRow is the open row by column names.
func openRow(b *schemas.Builder) map[string]any {
	m := map[string]any{}
	for c := range schemas.NumColumns {
		switch {
		case !b.Has(c):
		case traits[c].kind == schemas.String:
			m[c.String()] = b.Str(c)
		case traits[c].kind == schemas.Double:
			m[c.String()] = b.Double(c)
		default:
			m[c.String()] = b.Int(c)
		}
	}
	return m
}

// exampleLines are some of each example log.
func exampleLines(t *testing.T) (lines [][]byte) {
	root := filepath.Join("..", "testdata", "logs")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".jsonl" {
			return err
		}
		text, err := os.ReadFile(path)
		for i, line := range bytes.Split(text, []byte("\n")) {
			if i < 5 && len(line) > 0 && line[0] == '{' {
				lines = append(lines, line)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}
