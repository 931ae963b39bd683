package sink

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/bitpack"
	"github.com/parquet-go/parquet-go/encoding/rle"
	"pgregory.net/rapid"

	"usagelake/schemas"
	"usagelake/sink/encode"
)

// There is no byte of a file that may be another one; every third is tried.
func TestVerifyFindsEveryFlip(t *testing.T) {
	for codec, step := range map[string]int{"zstd": 3, "snappy": 19} {
		if testing.Short() {
			step *= 5
		}
		in := motley(70, 50)
		good := in.write(t, WriteOptions{Codec: codec})
		rng := rand.New(rand.NewPCG(1, 2))
		for at := 0; at < len(good); at += step {
			data := slices.Clone(good)
			data[at] ^= byte(1 + rng.IntN(255))
			if _, err := verify(data); err == nil {
				t.Errorf("%s: byte %d of %d was %02x and is %02x, which is not found", codec, at, len(good), good[at], data[at])
			}
		}
		for _, data := range [][]byte{append(slices.Clone(good), 0), good[:len(good)-1], slices.Insert(slices.Clone(good), 4, 0)} {
			if _, err := verify(data); err == nil {
				t.Errorf("%s: a file of %d bytes instead of %d", codec, len(data), len(good))
			}
		}
	}
}

// What Verify finds in a file is what parquet-go reads from it.
func TestVerifyLikeParquetGo(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		in := motley(rapid.IntRange(8, 700).Draw(rt, "rows"), 100)
		if rapid.Bool().Draw(rt, "sums beyond 64 bits") {
			costs := rapid.SampledFrom([][]int64{
				{999_999_999_999_999_999}, {-999_999_999_999_999_999, 5}, {999_999_999_999_999_999, -1, -999_999_999_999_999_999},
			}).Draw(rt, "costs")
			in = newInput(50, 10, func(i int, r *schemas.Row) {
				r.SetDouble(schemas.InputTokens, rapid.SampledFrom([]float64{1e12, 0.25, 1 << 28, 7}).Draw(rt, "tokens"))
				r.SetInt(schemas.CostUSD, rapid.SampledFrom(costs).Draw(rt, "cost")+int64(i)%2)
				r.SetInt(schemas.ImageCount, rapid.SampledFrom([]int64{1 << 28, 3, 1e12}).Draw(rt, "images"))
			})
		}
		data := in.write(adapter{TB: t, rt: rt}, WriteOptions{})
		got, err := verify(data)
		if err != nil {
			rt.Fatal(err)
		}
		f := openTest(t, data)
		want := Facts{Rows: f.NumRows()}
		for _, c := range schemas.Usage.Columns() {
			for _, v := range chunkValues(t, f, c) {
				kind := schemas.Columns[c].Kind
				switch {
				case v.IsNull():
					want.Nulls[c]++
				case kind == schemas.Time:
					want.addTime(v.Int64())
				case kind == schemas.Double && c.Additive():
					want.Sums.AddDouble(c, v.Double())
				case c.Additive():
					want.Sums.AddInt(c, v.Int64())
				}
			}
		}
		if got != want {
			rt.Fatalf("%+v, parquet-go reads %+v", got, want)
		}
	})
}

// Jobs change neither the facts nor which error is found.
func TestVerifyJobs(t *testing.T) {
	in := motley(3000, 700)
	good := in.write(t, WriteOptions{})
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range 60 {
		data := slices.Clone(good)
		for range i % 4 { // in several columns at a time
			data[rng.IntN(len(data))] ^= 1
		}
		want, wantErr := verify(data)
		for _, jobs := range []int{2, 3, 100} {
			got, err := Verify(bytes.NewReader(data), int64(len(data)), testUnit, jobs)
			if got != want || fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("%d jobs: %+v, %v; with one %+v, %v", jobs, got, err, want, wantErr)
			}
		}
	}
}

// bad writes a file of one row, or two, with what Writer would refuse.
func bad(t *testing.T, c schemas.Col, add func(*encode.Column, *encode.Buffers, []byte) error) []byte {
	t.Helper()
	var (
		out  bytes.Buffer
		b    encode.Buffers
		file = layoutOf(schemas.Usage).NewFile(&out, codecs[""])
	)
	ones := []byte{1, 1}
	for _, k := range schemas.Usage.Columns() {
		col := file.Column(int(k))
		var err error
		switch {
		case k == c:
			err = add(col, &b, ones)
		case k == schemas.EventTime:
			us := uint64(testUnit.Day.Start())
			err = col.Words(&b, ones, []uint64{us, us + 1})
		case k == schemas.SourceLine, k == schemas.SourceRow:
			err = col.Words(&b, ones, []uint64{1, 2})
		case k == schemas.SourceFile, k == schemas.SourceID:
			n := col.Index([]byte("x"))
			err = col.Indices(&b, ones, []int32{n, n})
		default:
			err = col.Nulls(&b, 2)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(fileKeys(testUnit, 2)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Values that no row may have are found in files that are right otherwise.
func TestVerifyRefusesValues(t *testing.T) {
	words := func(values ...float64) func(*encode.Column, *encode.Buffers, []byte) error {
		return func(c *encode.Column, b *encode.Buffers, levels []byte) error {
			var list []uint64
			for _, v := range values {
				list = append(list, math.Float64bits(v))
			}
			return c.Words(b, levels, list)
		}
	}
	texts := func(list ...string) func(*encode.Column, *encode.Buffers, []byte) error {
		return func(c *encode.Column, b *encode.Buffers, levels []byte) error {
			if c.Dict() {
				return c.Indices(b, levels, []int32{c.Index([]byte(list[0])), c.Index([]byte(list[1]))})
			}
			return c.Texts(b, levels, [][]byte{[]byte(list[0]), []byte(list[1])})
		}
	}
	negative := math.Copysign(0, -1)
	for name, tt := range map[string]struct {
		col  schemas.Col
		add  func(*encode.Column, *encode.Buffers, []byte) error
		want string // of the error, none if empty
	}{
		"good":           {schemas.InputTokens, words(1, 2.5), ""},
		"good text":      {schemas.RequestID, texts("ä", "b"), ""},
		"good word":      {schemas.Model, texts("ä", "b"), ""},
		"NaN":            {schemas.InputTokens, words(1, math.NaN()), "holds NaN"},
		"infinite":       {schemas.InputTokens, words(math.Inf(1), 1), "holds +Inf"},
		"only infinite":  {schemas.InputTokens, words(math.Inf(-1), math.Inf(-1)), "holds -Inf"},
		"-0":             {schemas.InputTokens, words(1, negative), "holds -0"},
		"-0 of -0":       {schemas.DurationMs, words(negative, negative), "holds -0"},
		"UTF-8":          {schemas.RequestID, texts("a\xff", "b"), "not UTF-8"},
		"UTF-8 of two":   {schemas.RequestID, texts("\xc3", "\xa4"), "not UTF-8"},
		"UTF-8 of word":  {schemas.Model, texts("a\xff", "b"), "not UTF-8"},
		"UTF-8 of words": {schemas.Model, texts("\xc3", "\xa4"), "not UTF-8"},
		"UTF-8, length":  {schemas.RequestID, texts("\xc3", strings.Repeat("a", 0xa4)), "not UTF-8"},
		"UTF-8 of extra": {schemas.ExtraJSON, texts("a\xff", "b"), "not UTF-8"},
		"no id":          {schemas.SourceID, texts("", ""), "source_id is empty"},
	} {
		_, err := verify(bad(t, tt.col, tt.add))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// Runs are read as parquet-go writes them, whatever there is in between.
func TestRuns(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		width := rapid.IntRange(0, 20).Draw(rt, "width")
		var want []int32
		for range rapid.IntRange(0, 6).Draw(rt, "runs") {
			n := rapid.IntRange(1, 40).Draw(rt, "n")
			same := rapid.Bool().Draw(rt, "same")
			v := rapid.Int32Range(0, 1<<width-1)
			x := v.Draw(rt, "x")
			for range n {
				if !same {
					x = v.Draw(rt, "x")
				}
				want = append(want, x)
			}
		}
		src, err := (&rle.Encoding{BitWidth: width}).EncodeInt32(nil, want)
		if err != nil {
			rt.Fatal(err)
		}
		if width == 0 && len(want) == 0 {
			src = nil
		}
		got, err := runs(src, width, len(want))
		if err != nil || !slices.Equal(got, want) {
			rt.Fatalf("%v, want %v: %v", got, want, err)
		}
		// They are not more, nor fewer by eight, which padding does not explain.
		n := rapid.IntRange(0, 100).Draw(rt, "other count")
		if _, err := runs(src, width, n); err == nil && (n > len(want) || n+8 <= len(want)) {
			rt.Fatalf("%d numbers read as %d", len(want), n)
		}
		if len(src) > 0 {
			src = slices.Clone(src)
			src[rapid.IntRange(0, len(src)-1).Draw(rt, "at")] ^= rapid.ByteRange(1, 255).Draw(rt, "flip")
			_, _ = runs(src, width, len(want))
		}
	})
}

// runs reads numbers as pageReader.indices does.
func runs(src []byte, width, n int) ([]int32, error) {
	dict := &dictionary{n: math.MaxInt32}
	r := pageReader{words: dict, mem: new(pageBuffers)}
	r.rows = n
	src = slices.Grow(append([]byte{byte(width)}, src...), bitpack.PaddingInt32)
	if err := r.indices(src, n); err != nil {
		return nil, err
	}
	out := []int32{}
	for i := range n {
		out = append(out, r.number(i))
	}
	return out, nil
}

// Levels are those that parquet-go writes.
func TestLevels(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var levels []byte
		for range rapid.IntRange(1, 8).Draw(rt, "runs") {
			if rapid.Bool().Draw(rt, "same") {
				levels = append(levels, bytes.Repeat([]byte{rapid.ByteRange(0, 1).Draw(rt, "level")}, rapid.IntRange(1, 40).Draw(rt, "n"))...)
			} else {
				levels = append(levels, rapid.SliceOfN(rapid.ByteRange(0, 1), 1, 40).Draw(rt, "levels")...)
			}
		}
		src, err := (&rle.Encoding{BitWidth: 1}).EncodeLevels(nil, levels)
		if err != nil {
			rt.Fatal(err)
		}
		r := pageReader{mem: &pageBuffers{valid: bytes.Repeat([]byte{0xff}, 100)}}
		r.rows = len(levels)
		if err := r.levels(src); err != nil {
			rt.Fatal(err)
		}
		nulls := 0
		for i, level := range levels {
			if r.null(i) != (level == 0) {
				rt.Fatalf("row %d of %v is %v", i, levels, r.null(i))
			}
			nulls += int(1 - level)
		}
		if r.nulls != nulls {
			rt.Fatalf("%d NULLs, want %d", r.nulls, nulls)
		}
		r.rows++
		if err := r.levels(src); err == nil {
			rt.Fatal("a level is missing, which is not found")
		}
	})
}
