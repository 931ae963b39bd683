package transform

import (
	"bytes"
	"cmp"
	"io/fs"
	"math/rand/v2"
	"os" //nolint:depguard // example logs
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/ingest" //nolint:depguard // forms come from a walk only
	"usagelake/schemas"
	"usagelake/transform/price"
)

// TestSheaf makes rows of example logs, their lines repeated with other values, as
// they are made in sheaves and as they are made one by one.
func TestSheaf(t *testing.T) {
	book, err := price.Read(strings.NewReader("book: b\nentries: [{provider: '*', model: '*', prices: {input: 0.15, output: 0.6}}, {provider: '*', model: m, prices: {input: 1.5, output: 6}}]"), "b")
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
	model := regexp.MustCompile(`"model":"[^"\\]*"`)
	rng := rand.New(rand.NewPCG(3, 6))
	walker := ingest.NewWalker(benchDialects.Layout())
	rows, short := 0, 0
	repeat := 8
	if testing.Short() {
		repeat = 4
	}
	long := slices.Concat(lines(t, "logs", 5), slices.Repeat(usualLines, repeat))
	for i, line := range slices.Concat(long, lines(t, "golden", 1000)) {
		most := int64(240)
		if i >= len(long) {
			most = 40
		}
		scanner := ingest.NewWalker(benchDialects.Layout()) // that has not given up on forms
		var pricers [2]*price.Pricer
		if i%2 == 0 {
			pricers = [2]*price.Pricer{list.Pricer(), list.Pricer()}
		}
		told := map[string]int{}
		wanted := func(us int64) bool { return us/1e6%5 != 3 }
		forms := NewNormalizer(Options{Dialects: benchDialects, Prices: pricers[0], Wanted: wanted, Unknown: func(dialect, key string, _ *Place) { told[dialect+" "+key]++ }})
		other := NewNormalizer(Options{Dialects: benchDialects, Prices: pricers[1], Unknown: func(dialect, key string, _ *Place) { told[dialect+" "+key]-- }})
		a, b := schemas.NewBuilder(memory.DefaultAllocator), schemas.NewBuilder(memory.DefaultAllocator)
		var inA, inB schemas.Sums
		src := sources[0]
		got, want := map[int64]outcome{}, map[int64]outcome{} // by line
		docs := map[int64][]byte{}
		var cut []*schemas.Batch // of a's rows since they were compared
		compare := func() {
			rows := a
			if len(cut) > 0 {
				rows = schemas.NewBuilder(memory.DefaultAllocator)
				for _, b := range append(cut, a.Flush(nil)) {
					rows.Copy(b, 0, b.Len())
					b.Release()
				}
				cut = nil
			}
			same(t, rows, b)
		}
		single := func(rec *schemas.Record, at Place) {
			if docs[at.Line] == nil || !bytes.Equal(rec.Doc, docs[at.Line]) {
				t.Fatalf("line %d is another document", at.Line)
			}
			got[at.Line] = apply(forms, rec, src, a, &inA, at.Line)
			if rng.IntN(20) == 0 && a.Len() > 0 { // as where few rows make a batch
				cut = append(cut, a.Flush(nil))
			}
		}
		rowsOf := func() {
			for s := forms.Sheaf(); s != nil; s = forms.Sheaf() {
				forms.Rows(s, &inA, single)
			}
			_, lines, _ := a.Places()
			for i, us := range a.Times() {
				if !wanted(us) && !got[lines[i]].single {
					t.Fatalf("line %d is not wanted", lines[i])
				}
			}
		}
		for at := int64(1); at <= most; at++ {
			if rng.IntN(10) == 0 {
				rowsOf() // a sheaf is of one source
				src = sources[rng.IntN(len(sources))]
			}
			doc := line
			for range max(0, rng.IntN(6)-3) {
				if at := token.FindAllIndex(doc, -1); at != nil {
					k := at[rng.IntN(len(at))]
					doc = bytes.Join([][]byte{doc[:k[0]+1], doc[k[1]:]}, []byte(values[rng.IntN(len(values))]))
				}
			}
			if rng.IntN(3) == 0 { // their prices differ
				doc = model.ReplaceAll(doc, [][]byte{[]byte(`"model":"m"`), []byte(`"model":"n"`)}[rng.IntN(2)])
			}
			d := ingest.MakeDoc(doc, 0, 1, 0).Data
			one, errA := scanner.Scan(d)
			two, errB := walker.Walk(d)
			if errA != nil || errB != nil {
				break // TestForms compares errors
			}
			docs[at] = d
			want[at] = apply(other, two, src, b, &inB, at)
			switch s := forms.Gather(one, src, a, Place{Line: at}); {
			case s == nil:
				single(one, Place{Line: at})
			default:
				got[at] = outcome{}
				if s.Full() {
					forms.Rows(s, &inA, single)
				}
			}
			if rng.IntN(80) == 0 { // as blocks end
				rowsOf()
				compare()
			}
		}
		rowsOf()
		for at, doc := range docs {
			if got[at] != want[at] && (got[at] != outcome{} || want[at].verdict != IsRow) {
				t.Fatalf("%.400q: %+v, want %+v", doc, got[at], want[at])
			}
			if want[at].verdict == IsRow {
				rows++
				if got[at] == (outcome{}) {
					short++
				}
			}
		}
		for key, n := range told {
			if n != 0 {
				t.Fatalf("%.400q: %s was told of %d times too often", line, key, n)
			}
		}
		if inA != inB {
			t.Fatalf("%.400q:\n%v\n%v", line, inA, inB)
		}
		compare()
	}
	t.Logf("%d of %d rows were made in sheaves", short, rows)
	if rows < 2000 || short < rows/10 {
		t.Errorf("%d of %d rows were made in sheaves", short, rows)
	}
}

// outcome is what Apply says of a record, and empty for one that has its row from a
// sheaf.
type outcome struct {
	verdict     Verdict
	reason      schemas.Reason
	missing     price.Missing
	contradicts bool
	single      bool
}

// apply adds a record's row.
func apply(n *Normalizer, rec *schemas.Record, src *Source, row *schemas.Builder, in *schemas.Sums, line int64) outcome {
	o := outcome{verdict: n.Apply(rec, src, row, in), single: true}
	switch o.verdict {
	case IsBad:
		o.reason = n.Reason
	case IsRow:
		o.missing, o.contradicts = n.Unpriced(), n.Contradicts()
		row.SetInt(schemas.SourceLine, line)
		row.SetInt(schemas.SourceRow, 0)
		row.Add()
	}
	return o
}

// usualLines are of dialects that do not say the time, the model, or what their
// parts are in, of a call that may be none, and of one whose parts must add up.
var usualLines = [][]byte{
	[]byte(`{"id":"chatcmpl-1","object":"chat.completion","model":"m","user":"u","usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}`),
	[]byte(`{"id":"chatcmpl-1","object":"chat.completion","created":1785542401,"model":"","user":"","usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}`),
	[]byte(`{"span_id":"a","start_time":1785542401,"attributes":{"gen_ai.response.id":"x","gen_ai.usage.input_tokens":10,"gen_ai.usage.output_tokens":1,"gen_ai.usage.cache_read.input_tokens":0,"gen_ai.usage.total_tokens":11}}`),
	[]byte(`{"type":"assistant","timestamp":"2026-08-01T00:00:05Z","sessionId":"s","requestId":"r","message":{"id":"m","type":"message","role":"assistant","model":"claude","usage":{"input_tokens":9,"output_tokens":1}}}`),
	[]byte(`{"id":"chatcmpl-1","object":"chat.completion","created":1785542401,"model":"m","usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10,"news":{"a":1},"more":5}}`),
	[]byte(`{"id":"chatcmpl-1","object":"chat.completion","created":1785542401,"model":"m","usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10,"thoughts_tokens":5}}`),
	[]byte(`{"type":"response.image_generation_call.completed","id":"i","created":1785542401,"usage":{"input_tokens":10,"input_tokens_details":{"image_tokens":9,"text_tokens":1},"output_tokens":1,"total_tokens":11}}`),
}

// same flushes two builders that took in the same rows.
func same(t *testing.T, a, b *schemas.Builder) {
	if a.Len() == 0 {
		return
	}
	_, lines, _ := a.Places()
	order := make([]int32, len(lines))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(i, j int32) int { return cmp.Compare(lines[i], lines[j]) })
	if a.Len() != b.Len() {
		t.Fatalf("%d rows, want %d", a.Len(), b.Len())
	}
	x, y := a.Flush(order), b.Flush(nil)
	defer x.Release()
	defer y.Release()
	var r, s schemas.Row
	for i := range x.Len() {
		x.Row(i, &r)
		y.Row(i, &s)
		if r.Source != s.Source {
			t.Fatalf("row %d: source %d, want %d", i, r.Source, s.Source)
		}
		for c := range schemas.NumColumns {
			if r.Has(c) != s.Has(c) || r.Str(c) != s.Str(c) || r.Int(c) != s.Int(c) || r.Double(c) != s.Double(c) {
				t.Fatalf("line %d: %v differs: %q %d %v, want %q %d %v", r.Int(schemas.SourceLine), c,
					r.Str(c), r.Int(c), r.Double(c), s.Str(c), s.Int(c), s.Double(c))
			}
		}
	}
}

// lines are the first ones of each log in a directory of testdata.
func lines(t *testing.T, dir string, most int) (lines [][]byte) {
	root := filepath.Join("..", "testdata", dir)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".jsonl" {
			return err
		}
		text, err := os.ReadFile(path)
		for i, line := range bytes.Split(text, []byte("\n")) {
			if i < most && len(line) > 0 && line[0] == '{' {
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
