package sink

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"usagelake/schemas"
)

// TestByTime orders times that stand in order, nearly so, and not at all.
func TestByTime(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	n := schemas.BuilderRows
	var s sorter
	for name, at := range map[string]func(i int) int64{
		"rising":   func(i int) int64 { return int64(i) },
		"near":     func(i int) int64 { return int64(i/3 + rng.IntN(6)) },
		"falling":  func(i int) int64 { return int64(n - i) },
		"anyhow":   func(int) int64 { return rng.Int64N(100) - 50 },
		"far":      func(i int) int64 { return int64(i/3+rng.IntN(6)) << 40 },
		"one late": func(i int) int64 { return int64((i + n - 1) % n) },
	} {
		for _, down := range []bool{false, true} {
			times := make([]int64, n)
			for i := range times {
				times[i] = at(i)
			}
			places := func(i, j int) int {
				if down {
					return cmp.Compare(j, i)
				}
				return cmp.Compare(i, j)
			}
			whole := func(i, j int) int { return cmp.Or(cmp.Compare(times[i], times[j]), places(i, j)) }
			if got, want := s.byTime(times, places), sorted(n, whole); !slices.Equal(got, want) || (got == nil) != (want == nil) {
				t.Errorf("%s, places fall %v: not in order", name, down)
			}
		}
	}
}
