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
	layout.specs[nameCol] = Spec{Dict: 1 << 20}
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
			data := make([]byte, 0, 64*rows) // as a batch holds them
			for i := range texts {
				at := len(data)
				data = append(data, tt.text(i)...)
				texts[i] = data[at:]
			}
			size := len(data)
			col := newColumn(testSchema.Fields()[tt.col], layout.specs[tt.col])
			col.codec = &zstd.Codec{Level: zstd.SpeedFastest}
			var buf Buffers
			var index []int32
			out := output{w: io.Discard}
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				var err error
				if col.Dict() {
					index = index[:0]
					for _, s := range texts {
						index = append(index, col.Index(s))
					}
					err = col.Indices(&buf, ones, index)
				} else {
					err = col.Texts(&buf, ones, texts)
				}
				if err != nil {
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

// BenchmarkWords writes pages of a column with a dictionary: a constant one, one
// of small numbers, and one of amounts.
func BenchmarkWords(b *testing.B) {
	const rows, pages = 32_768, 8
	rng := rand.New(rand.NewPCG(1, 2))
	ones := make([]byte, rows)
	for i := range ones {
		ones[i] = 1
	}
	for _, tt := range []struct {
		name string
		word func() int
	}{
		{"constant", func() int { return 0 }},
		{"small", func() int { return rng.IntN(20_000) }},
		{"amounts", func() int { return 1250*rng.IntN(32<<rng.IntN(10)) + 10_000*rng.IntN(16<<rng.IntN(8)) }},
	} {
		b.Run(tt.name, func(b *testing.B) {
			words := make([]uint64, rows*pages)
			for i := range words {
				words[i] = uint64(tt.word())
			}
			col := newColumn(testSchema.Fields()[costCol], Spec{Dict: 1 << 20})
			col.codec = &zstd.Codec{Level: zstd.SpeedFastest}
			var buf Buffers
			out := output{w: io.Discard}
			b.ReportAllocs()
			b.SetBytes(8 * rows * pages)
			for b.Loop() {
				for page := range pages {
					if err := col.Words(&buf, ones, words[page*rows:][:rows]); err != nil {
						b.Fatal(err)
					}
				}
				col.pages.drain(&out)
				col.reset()
			}
		})
	}
}
