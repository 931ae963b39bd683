package schemas_test

import (
	"bytes"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"pgregory.net/rapid"

	"usagelake/schemas"
)

// throughFile is a batch as a file has it.
func throughFile(t rapid.TB, b *schemas.Batch, mem memory.Allocator) (back *schemas.Batch, size int) {
	var file bytes.Buffer
	lean := b.Lean(mem)
	defer lean.Release()
	w := ipc.NewWriter(&file, ipc.WithSchema(lean.Schema()), ipc.WithAllocator(mem))
	if err := w.Write(lean); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	size = file.Len()
	r, err := ipc.NewReader(&file, ipc.WithAllocator(mem))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Release()
	rec, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	rec.Retain()
	if back, err = schemas.OfLean(rec, mem); err != nil {
		t.Fatal(err)
	}
	return back, size
}

// Rows that went through a lean record are those rows, be their values alike, near each
// other, of one length, or none of that.
func TestLeanKeepsRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		defer mem.AssertSize(rapidT{t}, 0)
		var alike, near [schemas.NumColumns]bool
		for c := range schemas.NumColumns {
			alike[c] = rapid.Bool().Draw(t, "alike")
			near[c] = rapid.Bool().Draw(t, "near")
		}
		step := rapid.SampledFrom([]int64{1, 255, 60_000, 3_000_000, 5_000_000_000}).Draw(t, "step")
		one := rapid.Bool().Draw(t, "one source")
		b := schemas.NewBuilder(mem)
		var rows []*schemas.Row
		for i := range rapid.IntRange(1, 12).Draw(t, "rows") {
			r := row(t)
			if one && i > 0 {
				r.Source = rows[0].Source
			}
			for c := range schemas.NumColumns {
				if i == 0 || !rows[0].Has(c) {
					continue
				}
				switch kind := schemas.Columns[c].Kind; {
				case kind == schemas.String && alike[c]:
					r.SetString(c, rows[0].Str(c))
				case kind == schemas.String && near[c]:
					r.SetString(c, string(bytes.Repeat([]byte{byte('a' + i)}, len(rows[0].Str(c)))))
				case kind == schemas.Double && alike[c]:
					r.SetDouble(c, rows[0].Double(c))
				case kind == schemas.Double && near[c]:
					r.SetDouble(c, rows[0].Double(c)+float64(i))
				case kind == schemas.Bool:
				case alike[c]:
					r.SetInt(c, rows[0].Int(c))
				case near[c] && c == schemas.EventTime:
					r.SetInt(c, min(rows[0].Int(c)+int64(i)*step, schemas.MaxTime-1))
				case near[c] && kind != schemas.String && kind != schemas.Double:
					r.SetInt(c, rows[0].Int(c)+int64(i)*step)
				}
			}
			rows = append(rows, r)
			b.Append(r)
		}
		batch := b.Flush(nil)
		defer batch.Release()
		lo := rapid.IntRange(0, len(rows)-1).Draw(t, "lo")
		part := batch.Part(lo, rapid.IntRange(lo+1, len(rows)).Draw(t, "hi"))
		defer part.Release()
		for _, some := range []struct {
			batch *schemas.Batch
			rows  []*schemas.Row
		}{{batch, rows}, {part, rows[lo : lo+part.Len()]}} {
			back, _ := throughFile(t, some.batch, mem)
			if back.Len() != len(some.rows) {
				t.Fatalf("%d rows, want %d", back.Len(), len(some.rows))
			}
			var r schemas.Row
			for i, want := range some.rows {
				if back.Row(i, &r); !same(want, &r) {
					t.Fatalf("row %d is another one", i)
				}
			}
			for c := range schemas.NumColumns { // arrays that every stage knows
				if c.Additive() && back.Sum(c, 0, back.Len()) != some.batch.Sum(c, 0, back.Len()) {
					t.Fatalf("%v: another sum", c)
				}
			}
			back.Release()
		}
	})
}

// What all rows have alike takes next to nothing.
func TestLeanIsSmall(t *testing.T) {
	mem := memory.NewGoAllocator()
	b := schemas.NewBuilder(mem)
	for i := range schemas.BuilderRows {
		r := &schemas.Row{Source: 7}
		r.SetInt(schemas.EventTime, 1_785_542_401_000_000+int64(i)*250_000)
		r.SetInt(schemas.SourceLine, 100_000+int64(i))
		r.SetString(schemas.Provider, "openai")
		r.SetString(schemas.RequestID, string(rune('a'+i%26))+"bcdefgh")
		r.SetDouble(schemas.ReasoningTokens, 0)
		r.SetDouble(schemas.InputTokens, float64(i))
		b.Append(r)
	}
	batch := b.Flush(nil)
	defer batch.Release()
	back, size := throughFile(t, batch, mem)
	defer back.Release()
	const row = 4 + 2 + 8 + 2 // time, line, id, tokens
	if size > row*schemas.BuilderRows+4096 {
		t.Errorf("%d rows take %d bytes", schemas.BuilderRows, size)
	}
}
