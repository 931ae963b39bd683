package ingest

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A file that is read in ranges has the records, lines and end of one that is read
// whole, and one pass over it has the sums of the ranges.
func TestRanges(t *testing.T) {
	line := rapid.OneOf(
		rapid.SampledFrom([]string{"", " ", "\r", "{}", "{} {}", "data: {}", "\x00\x00{}", "no JSON"}),
		rapid.Map(rapid.IntRange(0, 200), func(n int) string { return `{"a":"` + strings.Repeat("z", n) + `"}` }),
	)
	rapid.Check(t, func(t *rapid.T) {
		text := "{}\n"
		for _, l := range rapid.SliceOf(line).Draw(t, "lines") {
			text += l + "\n"
		}
		text += rapid.SampledFrom([]string{"", "{}", `{"un`}).Draw(t, "tail")
		size := int64(len(text))
		cuts := []int64{0, size}
		for range rapid.IntRange(0, 6).Draw(t, "cuts") {
			cuts = append(cuts, rapid.Int64Range(1, size).Draw(t, "cut"))
		}
		slices.Sort(cuts)
		cuts = slices.Compact(cuts)
		var ranges []Range
		for i, to := range cuts[1:] {
			ranges = append(ranges, Range{cuts[i], to})
		}
		opt := ReaderOptions{BlockSize: rapid.IntRange(1, 400).Draw(t, "block size"), MaxLine: rapid.SampledFrom([]int64{0, 50}).Draw(t, "longest line")}
		want := readAll(t, strings.NewReader(text), opt)

		got := reading{End: Position{0, 1}}
		var sums []RangeSum
		for _, r := range ranges {
			lines, err := NewLines(iotest.OneByteReader(strings.NewReader(text[r.Before():])), r)
			if err != nil {
				t.Fatal(err)
			}
			o := opt
			before := got.End.Line
			o.Part, o.Start = true, Position{lines.Start(), got.End.Line}
			part := readAll(t, lines, o)
			if len(part.Docs) > 0 && lines.Start() < r.From {
				t.Fatalf("a line of %v begins at %d", r, lines.Start())
			}
			got.Docs = append(got.Docs, part.Docs...)
			got.Blank += part.Blank
			got.Pending += part.Pending
			got.Err = part.Err
			if lines.Start() < r.To { // a line begins in it
				got.End = part.End
			}
			sums = append(sums, RangeSum{lines.Sum(), before})
		}
		got.Sum = want.Sum // ranges have their own
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("in ranges %v: -want +got\n%s", ranges, d)
		}

		through := NewRangeSums(iotest.HalfReader(strings.NewReader(text)), ranges)
		whole, err := io.ReadAll(through)
		if err != nil || !bytes.Equal(whole, []byte(text)) {
			t.Fatal("RangeSums changes what it reads", err)
		}
		if d := cmp.Diff(sums, through.Sums()); d != "" {
			t.Errorf("sums of %v: -want +got\n%s", ranges, d)
		}
	})
}
