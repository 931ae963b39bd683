package sink

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/schemas"
)

// slim is n calls as a gateway logs them.
func slim(n int) *input {
	rng := rand.New(rand.NewPCG(1, 2))
	models := []string{"gpt-4o", "gpt-4o-mini", "o3", "claude-sonnet-4", "gemini-2.5-pro"}
	return newInput(n, 16_384, func(i int, r *schemas.Row) {
		r.SetString(schemas.RequestID, fmt.Sprintf("%08x-%04x-%04x-%04x-%012x",
			rng.Uint32(), rng.Uint32()>>16, rng.Uint32()>>16, rng.Uint32()>>16, rng.Uint64()>>16))
		r.SetString(schemas.Operation, "chat")
		r.SetString(schemas.Provider, "openai")
		r.SetString(schemas.Model, models[rng.IntN(len(models))])
		r.SetString(schemas.UserID, fmt.Sprint("user-", rng.IntN(5000)))
		in, out, read := float64(rng.IntN(20_000)), float64(rng.IntN(2000)), float64(rng.IntN(5000))
		r.SetDouble(schemas.InputTokens, in+read)
		r.SetDouble(schemas.OutputTokens, out)
		r.SetDouble(schemas.TotalTokens, in+read+out)
		r.SetDouble(schemas.UncachedInputTokens, in)
		r.SetDouble(schemas.CacheReadTokens, read)
		r.SetDouble(schemas.ReasoningTokens, float64(rng.IntN(500)))
	})
}

func BenchmarkWrite(b *testing.B) {
	in := slim(1_000_000)
	for _, jobs := range []int{1, 2} {
		b.Run(fmt.Sprint("jobs=", jobs), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Write(io.Discard, testUnit, in.Rows, WriteOptions{Jobs: jobs}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	data := slim(1_000_000).write(b, WriteOptions{})
	b.ReportMetric(float64(len(data))/1e6, "MB/file")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := verify(data); err != nil {
			b.Fatal(err)
		}
	}
}

// identity are the columns that tell copies of a call.
var identityColumns = []schemas.Col{
	schemas.EventTime, schemas.EventTimeSource, schemas.RequestID, schemas.TransportID, schemas.Model,
	schemas.InputTokens, schemas.OutputTokens, schemas.Dialect, schemas.QualityFlags, schemas.SourceLine, schemas.SourceRow,
}

func BenchmarkRead(b *testing.B) {
	data := slim(1_000_000).write(b, WriteOptions{})
	for _, tt := range []struct {
		name string
		cols []schemas.Col
	}{
		{"all", nil},
		{"identity", identityColumns},
		{"source", []schemas.Col{schemas.SourceID}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rows, err := OpenRows(bytes.NewReader(data), int64(len(data)), memory.DefaultAllocator, new(Sources), tt.cols...)
				if err != nil {
					b.Fatal(err)
				}
				for {
					batch, err := rows.Next()
					if err == io.EOF {
						break
					}
					if err != nil {
						b.Fatal(err)
					}
					batch.Release()
				}
			}
		})
	}
}
