package usagelake

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Heads are sorted as they stand, and those that are equal stay in their order.
func TestSortByHead(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		heads := rapid.SliceOfN(rapid.Map(rapid.StringMatching(`(\{"id":"a?)?[\x00ab]{0,12}`), func(s string) []byte { return []byte(s) }), 0, 60).Draw(rt, "heads")
		if rapid.Bool().Draw(rt, "alike") {
			for i := range heads {
				heads[i] = append([]byte("all begin so"), heads[i]...)
			}
		}
		var got []*task
		for _, head := range heads {
			got = append(got, &task{head: head})
		}
		want := slices.Clone(got)
		slices.SortStableFunc(want, func(a, b *task) int { return bytes.Compare(a.head, b.head) })
		sortByHead(got)
		if !slices.Equal(got, want) {
			rt.Fatalf("%q", heads)
		}
	})
}
