package schemas_test

import (
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"pgregory.net/rapid"

	"usagelake/schemas"
)

// Rows gathered from batches, in any order and more than once, are those rows;
// the words of dictionaries are no more than they use.
func TestGatherKeepsRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		defer mem.AssertSize(rapidT{t}, 0)
		// few words, so that batches share them, and columns that a batch lacks
		words := rapid.SliceOfNDistinct(rapid.String(), 1, 4, rapid.ID).Draw(t, "words")
		var batches []*schemas.Batch
		var rows [][]*schemas.Row
		b := schemas.NewBuilder(mem)
		defer b.Release()
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			var lacks [schemas.NumColumns]bool
			for c := schemas.EventTimeSource; c < schemas.NumColumns; c++ {
				lacks[c] = rapid.Bool().Draw(t, "lacks")
			}
			var list []*schemas.Row
			for range rapid.IntRange(1, 12).Draw(t, "rows") {
				r := row(t)
				for c := range schemas.NumColumns {
					switch {
					case lacks[c]:
						r.Clear(c)
					case r.Has(c) && schemas.Columns[c].Kind == schemas.String && rapid.Bool().Draw(t, "word"):
						r.SetString(c, rapid.SampledFrom(words).Draw(t, "which"))
					}
				}
				list = append(list, r)
				b.Append(r)
			}
			batch := b.Flush()
			defer batch.Release()
			batches, rows = append(batches, batch), append(rows, list)
		}

		g := schemas.NewGatherer(mem, batches)
		for range rapid.IntRange(1, 3).Draw(t, "times") {
			some := batches[:rapid.IntRange(1, len(batches)).Draw(t, "some")]
			refs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) schemas.Ref {
				k := rapid.IntRange(0, len(some)-1).Draw(t, "batch")
				return schemas.Ref{Batch: int32(k), Row: int32(rapid.IntRange(0, some[k].Len()-1).Draw(t, "row"))}
			}), 1, 30).Draw(t, "refs")
			got := g.Gather(some, refs)
			if got.Len() != len(refs) || !got.Rec.Schema().Equal(g.Schema()) {
				t.Fatalf("%d rows of %v, want %d of %v", got.Len(), got.Rec.Schema(), len(refs), g.Schema())
			}
			var r schemas.Row
			for i, ref := range refs {
				if got.Row(i, &r); !same(rows[ref.Batch][ref.Row], &r) {
					t.Fatalf("row %d is not row %d of batch %d", i, ref.Row, ref.Batch)
				}
			}
			for c, a := range got.Cols {
				if d, ok := a.(*array.Dictionary); ok {
					used := map[string]bool{}
					for i := range got.Len() {
						if !got.Null(schemas.Col(c), i) {
							used[got.Str(schemas.Col(c), i)] = true
						}
					}
					if n := d.Dictionary().Len(); n != len(used) {
						t.Fatalf("%v: %d words, %d are used", schemas.Col(c), n, len(used))
					}
				}
			}
			got.Release()
			if rapid.Bool().Draw(t, "drop") {
				g.Drop(some[0])
			}
		}
	})
}
