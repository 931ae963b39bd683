package sink

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/schemas"
)

// slim is n calls of a day as a gateway logs them: usage with every detail, no
// content.
func slim(n int) *input {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	rng := rand.New(rand.NewPCG(1, 2))
	models := []string{
		"openai/gpt-4o-mini", "openai/gpt-5", "google/gemini-2.5-flash", "anthropic/claude-sonnet-4",
		"mistralai/mistral-large-2411", "deepseek/deepseek-r1", "openai/o3", "google/gemini-2.5-pro",
	}
	vendors := []string{"OpenAI", "Google", "Anthropic", "Mistral", "DeepInfra", "Azure"}
	id := []byte("gen-....................")
	return newInput(n, 16_384, func(i int, r *schemas.Row) {
		r.SetInt(schemas.EventTime, testUnit.Day.Start()+int64(i*86_400/n)*1e6)
		for k := 4; k < len(id); k++ {
			id[k] = letters[rng.Uint32()%64]
		}
		r.SetString(schemas.RequestID, string(id))
		for c, text := range map[schemas.Col]string{
			schemas.EventTimeSource: "body", schemas.Operation: "chat", schemas.Provider: "openrouter",
			schemas.Dialect: "openrouter.chat", schemas.TokenBasis: "inclusive", schemas.Status: "ok",
		} {
			r.SetString(c, text)
		}
		r.SetString(schemas.Model, models[rng.IntN(len(models))])
		r.SetString(schemas.UserID, fmt.Sprint("user-", 1000+rng.IntN(2000)))
		r.SetString(schemas.ExtraJSON, `{"provider":"`+vendors[rng.IntN(len(vendors))]+`"}`)
		r.SetInt(schemas.IsBYOK, 0)
		in, out := 20+rng.IntN(32<<rng.IntN(10)), 1+rng.IntN(16<<rng.IntN(8))
		read, reasoning := 0, 0
		if rng.IntN(10) < 3 {
			read = in / 128 * 128
		}
		if rng.IntN(2) == 0 {
			reasoning = rng.IntN(out + 1)
		}
		for c, v := range map[schemas.Col]int{
			schemas.InputTokens: in, schemas.OutputTokens: out, schemas.TotalTokens: in + out,
			schemas.UncachedInputTokens: in - read, schemas.CacheReadTokens: read, schemas.ReasoningTokens: reasoning,
			schemas.InputAudioTokens: 0, schemas.OutputAudioTokens: 0,
			schemas.AcceptedPredictionTokens: 0, schemas.RejectedPredictionTokens: 0,
		} {
			r.SetDouble(c, float64(v))
		}
		r.SetInt(schemas.ReportedCostUSD, int64(in*1250+out*10_000))
	})
}

// perMillion runs a benchmark's loop and reports the processor time of a
// million rows, that of the garbage collector included.
func perMillion(b *testing.B, rows int, work func() error) {
	spent := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	b.ReportAllocs()
	before := spent()
	for b.Loop() {
		if err := work(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(spent()-before)/float64(b.N)/float64(rows)/1e3, "cpu-s/Mrow")
}

const benchRows = 1_000_000

func BenchmarkWrite(b *testing.B) {
	in := slim(benchRows)
	for _, jobs := range []int{1, 2} {
		b.Run(fmt.Sprint("jobs=", jobs), func(b *testing.B) {
			perMillion(b, benchRows, func() error {
				_, err := Write(io.Discard, testUnit, in, WriteOptions{Jobs: jobs})
				return err
			})
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	data := slim(benchRows).write(b, WriteOptions{})
	b.SetBytes(int64(len(data)))
	perMillion(b, benchRows, func() error {
		_, err := verify(data)
		return err
	})
	b.ReportMetric(float64(len(data))/benchRows, "B/row")
}

// identity are the columns that tell copies of a call.
var identityColumns = []schemas.Col{
	schemas.EventTime, schemas.EventTimeSource, schemas.RequestID, schemas.TransportID, schemas.Model,
	schemas.InputTokens, schemas.OutputTokens, schemas.Dialect, schemas.QualityFlags, schemas.SourceLine, schemas.SourceRow,
}

func BenchmarkRead(b *testing.B) {
	data := slim(benchRows).write(b, WriteOptions{})
	for _, tt := range []struct {
		name string
		cols []schemas.Col
	}{
		{"all", nil},
		{"identity", identityColumns},
		{"source", []schemas.Col{schemas.SourceID}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			perMillion(b, benchRows, func() error {
				rows, err := OpenRows(bytes.NewReader(data), int64(len(data)), schemas.Usage, memory.DefaultAllocator, new(Sources), tt.cols...)
				if err != nil {
					return err
				}
				for {
					batch, err := rows.Next()
					if err == io.EOF {
						return rows.Close()
					}
					if err != nil {
						return err
					}
					batch.Release()
				}
			})
		})
	}
}

// Many files are small: one for each of many days.
func BenchmarkSmallFile(b *testing.B) {
	const rows = 250
	in := slim(rows)
	data := in.write(b, WriteOptions{})
	b.Run("write", func(b *testing.B) {
		perMillion(b, rows, func() error {
			_, err := Write(io.Discard, testUnit, in, WriteOptions{})
			return err
		})
	})
	b.Run("verify", func(b *testing.B) {
		perMillion(b, rows, func() error {
			_, err := verify(data)
			return err
		})
	})
}
