package ledger

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"usagelake/schemas"
)

// What is written by hand is what json.Marshal writes, but for zeros in books, and reads
// as the record.
func TestEncode(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		number := rapid.OneOf(rapid.Just[int64](0), rapid.Int64Range(0, 1000), rapid.Int64())
		text := rapid.OneOf(rapid.StringN(0, 20, -1), rapid.StringMatching(`[ -~]{0,20}`))
		n := func() int64 { return number.Draw(rt, "number") }
		s := func() string { return text.Draw(rt, "text") }
		yes := func() bool { return rapid.Bool().Draw(rt, "bool") }
		sums := func() (out schemas.SumsJSON) {
			for c := range schemas.NumColumns {
				if c.Additive() && yes() {
					out.AddInt(c, rapid.Int64Range(-1e9, 1e9).Draw(rt, "sum"))
				}
			}
			return out
		}
		rare := func() (out schemas.RareSums) {
			in := sums()
			out.Add(&in.Sums)
			return out
		}
		r := Record{Format: Format, Seq: 1, Kind: KindLoad, Prev: s(), Tool: s(), IDKey: s()}
		for range rapid.IntRange(0, 3).Draw(rt, "sources") {
			src := Source{
				ID: s(), File: s(), Offset: n(), Line: n(), Sum: s(), Head: s(), HeadLen: n(),
				Pending: n(), Damaged: yes(), Filtered: yes(), FileTime: n(),
			}
			if yes() {
				src.Path = s()
			}
			if yes() {
				src.Said = map[string]map[string]string{"codex": {"model": s(), "session_id": s()}}
			}
			if yes() {
				src.Books = &schemas.Books{
					Records: n(), ExtraRows: n(), Rows: n(), Reports: n(), Duplicates: n(), Filtered: n(), NoUsage: n(),
					Quarantined: n(), Blank: n(), Pending: n(),
					In: sums(), RowSums: sums(), ReportSums: rare(), DuplicateSums: rare(), FilteredSums: rare(),
				}
			}
			r.Sources = append(r.Sources, src)
			if src.Books == nil {
				same(rt, &src, src.append([]byte("before")))
			}
		}
		for range rapid.IntRange(0, 3).Draw(rt, "seen") {
			f := Seen{Source: s(), Path: s(), Size: n(), Mtime: n(), Dev: uint64(n()), Inode: uint64(n())}
			r.Seen = append(r.Seen, f)
			same(rt, &f, f.append([]byte("before")))
		}
		r.Forgotten = []string{s()}
		var data bytes.Buffer
		if err := r.encode(&data); err != nil {
			rt.Fatal(err)
		}
		var back Record
		if err := json.Unmarshal(data.Bytes(), &back); err != nil {
			rt.Fatalf("%v: %s", err, data.Bytes())
		}
		if d := cmp.Diff(r, back, cmp.AllowUnexported(schemas.Amount{}, schemas.Sums{})); d != "" {
			rt.Fatal(d)
		}
	})
}

func same(rt *rapid.T, v any, got []byte) {
	want, err := json.Marshal(v)
	if err != nil {
		rt.Fatal(err)
	}
	if d := cmp.Diff("before"+string(want), string(got)); d != "" {
		rt.Fatal(d)
	}
}

// A list of any length is one.
func TestEncodeLong(t *testing.T) {
	for _, n := range []int{1, 255, 256, 257, 511, 512, 513, 1025} {
		var r, back Record
		for i := range n {
			r.Seen = append(r.Seen, Seen{Source: "s", Path: "/x", Inode: uint64(i)})
			r.Sources = append(r.Sources, Source{ID: "s", Line: int64(i)})
		}
		var data bytes.Buffer
		if err := r.encode(&data); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data.Bytes(), &back); err != nil {
			t.Fatalf("%d: %v", n, err)
		}
		if d := cmp.Diff(r, back); d != "" {
			t.Errorf("%d: %s", n, d)
		}
	}
}
