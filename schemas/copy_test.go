package schemas_test

import (
	"slices"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"pgregory.net/rapid"

	"usagelake/schemas"
)

// Rows copied from batches, and put in another order, are those rows; the words
// of dictionaries are no more than they use.
func TestCopyKeepsRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
		defer mem.AssertSize(rapidT{t}, 0)
		// few words, so that batches share them, and columns that a batch lacks
		words := rapid.SliceOfNDistinct(rapid.String(), 1, 4, rapid.ID).Draw(t, "words")
		var batches []*schemas.Batch
		var rows [][]*schemas.Row
		b := schemas.NewBuilder(mem)
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
			batch := b.Flush(nil)
			defer batch.Release()
			batches, rows = append(batches, batch), append(rows, list)
		}

		to := schemas.NewBuilder(mem)
		for range rapid.IntRange(1, 3).Draw(t, "times") {
			var want []*schemas.Row
			for range rapid.IntRange(1, 6).Draw(t, "runs") {
				k := rapid.IntRange(0, len(batches)-1).Draw(t, "batch")
				lo := rapid.IntRange(0, batches[k].Len()-1).Draw(t, "lo")
				hi := rapid.IntRange(lo+1, batches[k].Len()).Draw(t, "hi")
				to.Copy(batches[k], lo, hi)
				want = append(want, rows[k][lo:hi]...)
			}
			var order []int32
			if rapid.Bool().Draw(t, "ordered") {
				for i := range want {
					order = append(order, int32(i))
				}
				order = rapid.Permutation(order).Draw(t, "order")
				was := slices.Clone(want)
				for i, k := range order {
					want[i] = was[k]
				}
			}
			got := to.Flush(order)
			if got.Len() != len(want) {
				t.Fatalf("%d rows, want %d", got.Len(), len(want))
			}
			var r schemas.Row
			for i := range want {
				if got.Row(i, &r); !same(want[i], &r) {
					t.Fatalf("row %d is another one", i)
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
		}
	})
}

// Sums are those of the rows, whatever the width of the array.
func TestSumOfBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := schemas.NewBuilder(memory.DefaultAllocator)
		var rows []*schemas.Row
		for range rapid.IntRange(1, 20).Draw(t, "rows") {
			rows = append(rows, row(t))
			b.Append(rows[len(rows)-1])
		}
		batch := b.Flush(nil)
		lo := rapid.IntRange(0, len(rows)-1).Draw(t, "lo")
		hi := rapid.IntRange(lo, len(rows)).Draw(t, "hi")
		var want schemas.Sums
		for _, r := range rows[lo:hi] {
			want.AddRow(r)
		}
		for c := range schemas.NumColumns {
			if c.Additive() {
				if got := batch.Sum(c, lo, hi); got != want.At(c) {
					t.Fatalf("%v: %v, want %v", c, got, want.At(c))
				}
			}
		}
	})
}
