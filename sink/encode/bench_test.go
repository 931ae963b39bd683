package encode

import (
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/parquet-go/parquet-go/compress/zstd"
)

// BenchmarkTexts writes pages of ids, whose lengths are even or not, and pages
// of few texts through a dictionary.
func BenchmarkTexts(b *testing.B) {
	const rows = 8192
	layout := newTestLayout()
	layout.specs[nameCol] = Spec{Dict: 1 << 20, Texts: true}
	rng := rand.New(rand.NewPCG(1, 2))
	ones := make([]byte, rows)
	for i := range ones {
		ones[i] = 1
	}
	for _, tt := range []struct {
		name string
		col  int
		text func(i int) string
	}{
		{"even", idCol, func(int) string { return fmt.Sprintf("gen-%020x", rng.Uint64()) }},
		{"uneven", idCol, func(i int) string { return fmt.Sprintf("gen-%0*x", 18+i%3, rng.Uint64()) }},
		{"few", nameCol, func(i int) string { return fmt.Sprintf(`{"provider":"Vendor%d"}`, i*i%6) }},
	} {
		b.Run(tt.name, func(b *testing.B) {
			texts := make([][]byte, rows)
			size := 0
			for i := range texts {
				texts[i] = []byte(tt.text(i))
				size += len(texts[i])
			}
			col := newColumn(testSchema.Fields()[tt.col], layout.specs[tt.col])
			col.codec = &zstd.Codec{Level: zstd.SpeedFastest}
			var buf Buffers
			out := output{w: io.Discard}
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if err := col.Texts(&buf, ones, texts); err != nil {
					b.Fatal(err)
				}
				if col.rows >= 1<<18 {
					col.pages.drain(&out)
					col.reset()
				}
			}
		})
	}
}

// BenchmarkWords writes pages of a column with a dictionary, and a constant one.
func BenchmarkWords(b *testing.B) {
	const rows = 32_768
	rng := rand.New(rand.NewPCG(1, 2))
	ones := make([]byte, rows)
	for i := range ones {
		ones[i] = 1
	}
	for _, n := range []int{1, 20_000} {
		b.Run(fmt.Sprint("of=", n), func(b *testing.B) {
			words := make([]uint64, rows)
			for i := range words {
				words[i] = uint64(rng.IntN(n))
			}
			col := newColumn(testSchema.Fields()[costCol], Spec{Dict: 1 << 20})
			col.codec = &zstd.Codec{Level: zstd.SpeedFastest}
			var buf Buffers
			out := output{w: io.Discard}
			b.ReportAllocs()
			b.SetBytes(8 * rows)
			for b.Loop() {
				if err := col.Words(&buf, ones, words); err != nil {
					b.Fatal(err)
				}
				if col.rows >= 1<<20 {
					col.pages.drain(&out)
					col.reset()
				}
			}
		})
	}
}
