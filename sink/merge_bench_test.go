package sink

import (
	"fmt"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/schemas"
	"usagelake/sink/disk/faults"
)

// BenchmarkMerger takes rows in, looks for copies and hands them out in order,
// as a load does. With a narrow share they go through scratch files; with many
// days each one has few rows.
func BenchmarkMerger(b *testing.B) {
	const n = 200_000
	for _, bm := range []struct {
		name  string
		share int64
		days  int
	}{{"memory", 1 << 40, 1}, {"scratch", 4 << 20, 1}, {"80 days by turns", 1 << 40, 80}} {
		b.Run(bm.name, func(b *testing.B) {
			rows := make([]schemas.Row, 1000)
			for i := range rows {
				r := &rows[i]
				r.SetString(schemas.EventTimeSource, schemas.FromBody)
				r.SetString(schemas.Dialect, "a.body")
				r.SetString(schemas.Operation, "chat")
				r.SetString(schemas.Model, fmt.Sprint("model-", i%8))
				r.SetString(schemas.UserID, fmt.Sprint("user-", i*7%500))
				r.SetDouble(schemas.InputTokens, float64(i*31%9000))
				r.SetDouble(schemas.OutputTokens, float64(i*17%900))
				r.SetDouble(schemas.CacheReadTokens, 0)
				r.SetInt(schemas.ReportedCostUSD, int64(i*7919))
				r.SetInt(schemas.SourceRow, 0)
			}
			ids := make([]string, n)
			for i := range ids {
				ids[i] = fmt.Sprintf("gen-%020d", i*7919)
			}
			b.ReportAllocs()
			for b.Loop() {
				fs := faults.NewMem()
				if err := fs.MkdirAll("scratch", 0o700); err != nil {
					b.Fatal(err)
				}
				var sources Sources
				src := sources.Intern(Source{"f", "id"})
				m := NewMerger(MergerOptions{
					Rule: testRules, Sources: &sources, Mem: memory.DefaultAllocator, Scratch: Scratch{FS: fs, Dir: "scratch"},
					Share: bm.share, Reading: 1 << 40, Buckets: 1, Empty: true,
				})
				in := m.Intake()
				for i := range n {
					r := &rows[i%len(rows)]
					r.Source = src
					r.SetInt(schemas.EventTime, testUnit.Day.Start()+int64(i%bm.days)*86_400_000_000+int64(i/3))
					r.SetInt(schemas.SourceLine, int64(i))
					r.SetString(schemas.RequestID, ids[i])
					in.Row.Set(r)
					if err := in.Add(); err != nil {
						b.Fatal(err)
					}
				}
				in.Close()
				if err := m.Decide(b.Context(), 1); err != nil {
					b.Fatal(err)
				}
				out := 0
				for _, u := range m.Units() {
					if _, err := m.Merge(b.Context(), u.Unit, func(rows Rows) error { out += rows.Len(); return nil }); err != nil {
						b.Fatal(err)
					}
				}
				if err := m.Close(); err != nil || out != n {
					b.Fatal(out, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
		})
	}
}
