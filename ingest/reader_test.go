package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/xxh3"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"usagelake/schemas"
)

// reading is all that a Reader says about a stream.
type reading struct {
	Docs    []string
	Blank   int64
	End     Position
	Pending int64
	Sum     [16]byte
	Err     string
}

func (d Doc) String() string {
	if d.nuls {
		return fmt.Sprintf("%d@%d NUL %d", d.Line, d.Offset, d.Length)
	}
	s := fmt.Sprintf("%d.%d@%d %s", d.Line, d.Ord, d.Offset, d.Data)
	if d.Reason != "" {
		s += fmt.Sprintf(" !%s %d", d.Reason, d.Length)
	}
	return s
}

func readAll(t tester, src io.Reader, opt ReaderOptions) reading {
	t.Helper()
	var out reading
	r := NewReader(src, opt)
	next := opt.Start
	next.Line = max(next.Line, 1)
	last := next.Offset
	for {
		b, err := r.Next()
		if err != nil {
			out.Err = err.Error()
			if _, again := r.Next(); again != err {
				t.Fatalf("Next after %v: %v", err, again)
			}
			break
		}
		if b.Offset < next.Offset || b.Line < next.Line {
			t.Fatalf("block at %d, line %d: want behind %v", b.Offset, b.Line, next)
		}
		if cap(b.Data)-len(b.Data) < Pad {
			t.Fatalf("no room behind the block")
		}
		next = r.End()
		out.Blank += b.Each(func(d Doc) {
			if cap(d.Data)-len(d.Data) < Pad {
				t.Fatalf("no room behind the document")
			}
			if d.nuls {
				if n := min(d.Length, nulLen); string(d.Data) != string(make([]byte, n)) || d.Reason != schemas.NotJSON || d.Ord != 0 {
					t.Fatalf("%v: %q %s %d", d, d.Data, d.Reason, d.Ord)
				}
			} else if d.Reason != schemas.LineTooLong && d.Length != int64(len(d.Data)) || d.Length < int64(len(d.Data)) {
				t.Fatalf("%v: length %d", d, d.Length)
			}
			if d.Offset < last || d.Offset+d.Length > next.Offset || d.Length == 0 {
				t.Fatalf("%v: outside of %d to %d", d, last, next.Offset)
			}
			last = d.Offset + d.Length
			out.Docs = append(out.Docs, d.String())
		})
		b.Free()
	}
	out.End, out.Pending, out.Sum = r.End(), r.Pending(), r.Sum()
	return out
}

func nul(n int) string { return strings.Repeat("\x00", n) }

// joined makes one of runs of NUL bytes that meet: a stop inside of one makes
// it two.
func joined(docs []string) (out []string) {
	var line, at, n int // of the run that is last in out
	for _, d := range docs {
		var l, a, k int
		if _, err := fmt.Sscanf(d, "%d@%d NUL %d", &l, &a, &k); err == nil {
			if l == line && a == at+n {
				out, a, k = out[:len(out)-1], at, n+k
			}
			line, at, n = l, a, k
			d = fmt.Sprintf("%d@%d NUL %d", l, a, k)
		}
		out = append(out, d)
	}
	return out
}

const pretty = "{\n  \"a\": 1\n}\n"

var readerTests = []struct {
	name    string
	in      string
	opt     ReaderOptions
	docs    []string
	blank   int64
	pending int64
}{
	{name: "empty"},
	{name: "lines", in: "{\"a\":1}\n{}\n", docs: []string{`1.0@0 {"a":1}`, `2.0@8 {}`}},
	{name: "crlf", in: "{\"a\":1}\r\n{}\r\n", docs: []string{`1.0@0 {"a":1}`, `2.0@9 {}`}},
	{name: "byte order mark", in: bom + "{}\n{}\n", docs: []string{`1.0@3 {}`, `2.0@6 {}`}},
	{name: "only a byte order mark", in: bom},
	{name: "part of a byte order mark", in: bom[:2], pending: 2},
	{name: "blank lines", in: "\n{}\n \t \r\n\n{}\n", docs: []string{`2.0@1 {}`, `5.0@10 {}`}, blank: 3},
	{name: "only blank lines", in: " \n\n  ", blank: 3},
	{name: "space around", in: "  {} \t\n", docs: []string{`1.0@2 {}`}},
	{name: "no JSON", in: "{}\nnonsense\n{}\n", docs: []string{`1.0@0 {}`, `2.0@3 nonsense`, `3.0@12 {}`}},
	{name: "last line complete", in: "{}\n{\"a\":[1]}", docs: []string{`1.0@0 {}`, `2.0@3 {"a":[1]}`}},
	{name: "last line blank", in: "{}\n  ", docs: []string{`1.0@0 {}`}, blank: 1},
	{name: "last line unfinished", in: "{}\n{\"a\":[1]", docs: []string{`1.0@0 {}`}, pending: 8},
	{name: "last line unfinished, final", in: "{}\n{\"a\":[1]", opt: ReaderOptions{Final: true}, docs: []string{`1.0@0 {}`, `2.0@3 {"a":[1]`}},
	{name: "only an unfinished line", in: "{", pending: 1},
	{
		name: "events", in: "event: x\ndata: {\"a\":1}\nid: 7\nretry: 9\n: hello\n\ndata:data:  {}\ndata: [DONE]\n",
		docs: []string{`2.0@15 {"a":1}`, `7.0@59 {}`}, blank: 6,
	},
	{name: "done", in: "[DONE]\n{}\n [DONE] \ndata:[DONE]", docs: []string{`2.0@7 {}`}, blank: 3},
	{name: "data without end", in: "data: {}\ndata: {\"a\"", docs: []string{`1.0@6 {}`}, pending: 10},
	{name: "data complete", in: "data: {}\ndata: {}", docs: []string{`1.0@6 {}`, `2.0@15 {}`}},
	{name: "event without end", in: "{}\nevent: mess", docs: []string{`1.0@0 {}`}, pending: 11},
	{name: "no event", in: "{\"event:\":1}\ndatum: 1\n\"data:\"\n", docs: []string{`1.0@0 {"event:":1}`, `2.0@13 datum: 1`, `3.0@22 "data:"`}},
	{name: "lone data", in: "data:\n", blank: 1},
	{name: "almost done", in: "[DON", pending: 4},

	{name: "NUL line", in: "\x00\x00\n{}\n", docs: []string{"1@0 NUL 2", `2.0@3 {}`}},
	{name: "NUL before a record", in: "{}\n" + nul(70) + "{}\n", docs: []string{`1.0@0 {}`, "2@3 NUL 70", `2.0@73 {}`}},
	{name: "NUL before a record, spaced", in: "\x00 {}\r\n", docs: []string{"1@0 NUL 1", `1.0@2 {}`}},
	{name: "NUL before an event", in: "{}\n\x00data: {}\n\x00: x\n", docs: []string{`1.0@0 {}`, "2@3 NUL 1", `2.0@10 {}`, "3@13 NUL 1"}},
	{name: "NUL tail", in: "{}\n" + nul(300), docs: []string{`1.0@0 {}`, "2@3 NUL 300"}},
	{name: "NUL tail, space", in: "{}\n" + nul(2) + " ", docs: []string{`1.0@0 {}`, "2@3 NUL 2"}},
	{name: "NUL tail, unfinished line", in: "{}\n\x00\x00{\"a\"", docs: []string{`1.0@0 {}`, "2@3 NUL 2"}, pending: 4},
	{name: "NUL tail, whole document", in: "{}\n\x00\x00{}", docs: []string{`1.0@0 {}`, "2@3 NUL 2", `2.0@5 {}`}},
	{name: "only NUL", in: nul(100), docs: []string{"1@0 NUL 100"}},
	{name: "NUL behind a byte order mark", in: bom + "\x00{}\n", docs: []string{"1@3 NUL 1", "1.0@4 {}"}},
	{name: "NUL, blank line", in: "\x00\n\x00 \n \n", docs: []string{"1@0 NUL 1", "2@2 NUL 1"}, blank: 1},
	{name: "NUL inside a line", in: "{\"a\":\"\x00\"}\n \x00\n\x00 \x00\n{}\x00\n", docs: []string{
		"1.0@0 {\"a\":\"\x00\"}", "2.0@11 \x00", "3@13 NUL 1", "3.0@15 \x00", "4.0@17 {}\x00",
	}},
	{name: "NUL inside an unfinished line", in: "{}\n{\"a\x00\x00", docs: []string{`1.0@0 {}`}, pending: 5},
	{name: "NUL, then an array", in: "\x00[1]", docs: []string{"1@0 NUL 1", "1.0@1 [1]"}},
	{
		name: "NUL over the limit", in: nul(100) + "{}\n" + nul(100), opt: ReaderOptions{MaxLine: 20},
		docs: []string{"1@0 NUL 100", "1.0@100 {}", "2@103 NUL 100"},
	},
	{
		name: "NUL before a long line", in: nul(100) + strings.Repeat("x", 30) + "\n", opt: ReaderOptions{MaxLine: 20},
		docs: []string{"1@0 NUL 100", "1.0@100 " + strings.Repeat("x", 30) + " !line_too_long 30"},
	},

	{name: "array", in: `[{"a":1},{"b":[2,"]"]}]`, docs: []string{`1.0@1 {"a":1}`, `1.1@9 {"b":[2,"]"]}`}},
	{name: "array over lines", in: "[\n  {},\n  {}, {}\n]\n", docs: []string{`2.0@4 {}`, `3.0@10 {}`, `3.1@14 {}`}},
	{name: "empty array", in: " [ ] \n"},
	{name: "array with byte order mark", in: bom + "[1,\"a\\\"]\"]", docs: []string{`1.0@4 1`, `1.1@6 "a\"]"`}},
	{name: "arrays", in: "[1]\n[2,3]\n{}", docs: []string{`1.0@1 1`, `2.0@5 2`, `2.1@7 3`, `3.0@10 {}`}},
	{name: "pretty", in: pretty + pretty, docs: []string{"1.0@0 {\n  \"a\": 1\n}", "4.0@13 {\n  \"a\": 1\n}"}},
	{name: "pretty, crlf", in: "\r\n { \r\n\"a\": 1}\r\n", docs: []string{"2.0@3 { \r\n\"a\": 1}"}},
	{name: "two on the last line of a value", in: "{\n}{}{}", docs: []string{"1.0@0 {\n}", "2.0@3 {}", "2.1@5 {}"}},
	{name: "missing comma", in: `[{} {"b":2},3]`, docs: []string{`1.0@1 {}`, `1.1@4 {"b":2} !not_json 7`, `1.2@12 3`}},
	{
		name: "too many commas", in: `[,{},,1,]2`, opt: ReaderOptions{Final: true},
		docs: []string{`1.0@1 , !not_json 1`, `1.1@2 {}`, `1.2@5 , !not_json 1`, `1.3@6 1`, `1.4@8 ] !not_json 1`, `1.5@9 2`},
	},
	{name: "stray bytes", in: "[1}],]}\n{}", docs: []string{`1.0@1 1`, `1.1@2 } !not_json 1`, `1.2@4 , !not_json 1`, `1.3@5 ] !not_json 1`, `1.4@6 } !not_json 1`, `2.0@8 {}`}},
	{name: "values without space", in: `[0[00]"a"1]2[3]`, docs: []string{`1.0@1 0`, `1.1@2 [00] !not_json 4`, `1.2@6 "a" !not_json 3`, `1.3@9 1 !not_json 1`, `1.4@11 2`, `1.5@13 3`}},
	{name: "trailing text", in: "[{}] x\n", docs: []string{`1.0@1 {}`, `1.1@5 x`}},
	{name: "array unclosed", in: `[{},{"a":`, docs: []string{`1.0@1 {}`}, pending: 5},
	{name: "array unclosed, final", in: `[{},{"a":`, opt: ReaderOptions{Final: true}, docs: []string{`1.0@1 {}`, `1.1@4 {"a": !not_json 5`}},
	{name: "array unclosed behind comma", in: `[{}, `, docs: []string{`1.0@1 {}`}},
	{name: "number may go on", in: "[1,23", docs: []string{`1.0@1 1`}, pending: 2},
	{name: "number, final", in: "[1,23", opt: ReaderOptions{Final: true}, docs: []string{`1.0@1 1`, `1.1@3 23 !not_json 2`}},
	{name: "array with NUL", in: "[\x00{},\x00\n\x00 \x00{}\x00\x00,3]", docs: []string{
		"1@1 NUL 1", "1.0@2 {}", "1@5 NUL 1", "2@7 NUL 1", "2@9 NUL 1", "2.0@10 {}", "2@12 NUL 2", "2.1@15 3",
	}},
	{name: "array with NUL inside", in: "[1\x00,\"\x00\",{\x00}\x00]", docs: []string{"1.0@1 1\x00", "1.1@4 \"\x00\"", "1.2@8 {\x00}", "1@11 NUL 1"}},
	{name: "array with NUL tail", in: "[{},\n" + nul(70), docs: []string{"1.0@1 {}", "2@5 NUL 70"}},
	{name: "NUL for want of a comma", in: "[{}\x00{}]", docs: []string{"1.0@1 {}", "1@3 NUL 1", "1.1@4 {} !not_json 2"}},
	{
		name: "array with NUL over the limit", in: "[1," + nul(100) + "2]", opt: ReaderOptions{MaxLine: 20},
		docs: []string{"1.0@1 1", "1@3 NUL 100", "1.1@103 2"},
	},
	{name: "pretty with NUL", in: pretty + nul(3) + pretty + nul(3), docs: []string{"1.0@0 {\n  \"a\": 1\n}", "4@13 NUL 3", "4.0@16 {\n  \"a\": 1\n}", "7@29 NUL 3"}},
	{name: "pretty unfinished", in: pretty + "{\n  \"a", docs: []string{"1.0@0 {\n  \"a\": 1\n}"}, pending: 6},
	{name: "brace, then nothing", in: "{\n", pending: 2},
	{name: "brace, final", in: "{", opt: ReaderOptions{Final: true}, docs: []string{`1.0@0 {`}},

	{
		name: "long line", in: "{}\n" + strings.Repeat("x", 30) + "\r\n{}\n", opt: ReaderOptions{MaxLine: 30},
		docs: []string{`1.0@0 {}`, `2.0@3 ` + strings.Repeat("x", 30) + "\r !line_too_long 31", `3.0@35 {}`},
	},
	{
		name: "line just not too long", in: strings.Repeat("x", 30) + "\n", opt: ReaderOptions{MaxLine: 30},
		docs: []string{`1.0@0 ` + strings.Repeat("x", 30)},
	},
	{
		name: "long last line", in: "  " + strings.Repeat("x", 30), opt: ReaderOptions{MaxLine: 30},
		docs: []string{`1.0@2 ` + strings.Repeat("x", 30) + " !line_too_long 30"},
	},
	{
		name: "long element", in: `[1,"` + strings.Repeat("x", 30) + `",2]`, opt: ReaderOptions{MaxLine: 30},
		docs: []string{`1.0@1 1`, `1.1@3 "` + strings.Repeat("x", 30) + `" !line_too_long 32`, `1.2@36 2`},
	},
}

func TestReader(t *testing.T) {
	for _, tt := range readerTests {
		t.Run(tt.name, func(t *testing.T) {
			n := int64(len(tt.in)) - tt.pending
			text := tt.in[:n]
			want := reading{
				Docs:    tt.docs,
				Blank:   tt.blank,
				Pending: tt.pending,
				End:     Position{n, 1 + int64(strings.Count(text, "\n"))},
				Sum:     xxh3.HashString128(text).Bytes(),
				Err:     io.EOF.Error(),
			}
			got := readAll(t, strings.NewReader(tt.in), tt.opt)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("-want +got\n%s", diff)
			}
			torture(t, tt.in, tt.opt, want)
		})
	}
}

// torture reads in in many ways, which must make no difference.
func torture(t tester, in string, opt ReaderOptions, want reading) {
	t.Helper()
	for size := 1; size <= 70; size++ {
		opt.BlockSize = size
		for _, wrap := range []func(io.Reader) io.Reader{
			func(r io.Reader) io.Reader { return r },
			iotest.OneByteReader,
			iotest.HalfReader,
			iotest.DataErrReader,
		} {
			got := readAll(t, wrap(strings.NewReader(in)), opt)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("block size %d: -want +got\n%s", size, diff)
			}
		}
		late := opt
		late.Late = true
		if diff := cmp.Diff(want, readAll(t, strings.NewReader(in), late)); diff != "" {
			t.Fatalf("late, block size %d: -want +got\n%s", size, diff)
		}
		if diff := cmp.Diff(want, readHeld(t, in, opt)); diff != "" {
			t.Fatalf("held, block size %d: -want +got\n%s", size, diff)
		}
	}
}

// readHeld is readAll of what is in memory, which must stay as it is.
func readHeld(t tester, in string, opt ReaderOptions) reading {
	t.Helper()
	const behind = "what is behind it"
	mem := append(append(make([]byte, 0, len(in)+Pad), in...), behind...)
	held := Hold(mem[:len(in)])
	got := readAll(t, &held, opt)
	if string(mem) != in+behind {
		t.Fatalf("what is held was changed")
	}
	return got
}

// What a block hands out of a held stream stands where it is held, unless it has no
// room behind it.
func TestReaderHeld(t *testing.T) {
	const in = "{}\n{}\n"
	for _, room := range []int{0, Pad - 1, Pad} {
		mem := append(make([]byte, 0, len(in)+room), in...)
		held := Hold(mem)
		b, err := NewReader(&held, ReaderOptions{}).Next()
		if err != nil {
			t.Fatal(err)
		}
		if same := &b.Data[0] == &mem[0]; same != (room == Pad) {
			t.Errorf("room for %d bytes: same memory: %v", room, same)
		}
		b.Free()
	}
	var none Held
	if got, err := io.ReadAll(&none); len(got) > 0 || err != nil {
		t.Errorf("nothing is held: %q, %v", got, err)
	}
	held := Hold([]byte(in))
	if err := iotest.TestReader(&held, []byte(in)); err != nil {
		t.Error(err)
	}
}

func TestReaderLong(t *testing.T) {
	text := strings.Repeat(`{"k":"v"}, `, 20_000)
	for _, tt := range []struct {
		name, in string
		docs     []string
	}{
		{"line", "{}\n data: " + text + "\n{}\n", []string{
			`1.0@0 {}`, `2.0@10 ` + text[:headLen-7] + fmt.Sprintf(" !line_too_long %d", len(text)), fmt.Sprintf("3.0@%d {}", 11+len(text)),
		}},
		{"last line", text, []string{`1.0@0 ` + text[:headLen] + fmt.Sprintf(" !line_too_long %d", len(text))}},
		{"element", "[1,[" + text + "\n],3]", []string{
			`1.0@1 1`, `1.1@3 [` + text[:headLen-1] + fmt.Sprintf(" !line_too_long %d", len(text)+3), fmt.Sprintf("2.0@%d 3", len(text)+7),
		}},
		{"last element", "[1,[" + text, []string{
			`1.0@1 1`, `1.1@3 [` + text[:headLen-1] + fmt.Sprintf(" !line_too_long %d", len(text)+1),
		}},
	} {
		for _, size := range []int{5000, headLen - 1, headLen, headLen + 1, 100_000, defaultBlock} {
			in := strings.NewReader(tt.in)
			got := readAll(t, iotest.HalfReader(in), ReaderOptions{BlockSize: size, MaxLine: 20_000})
			if diff := cmp.Diff(tt.docs, got.Docs); diff != "" {
				t.Errorf("%s, block size %d: -want +got\n%.300s", tt.name, size, diff)
			}
			if got.Sum != xxh3.HashString128(tt.in).Bytes() || got.Pending != 0 {
				t.Errorf("%s, block size %d: sum %x, pending %d", tt.name, size, got.Sum, got.Pending)
			}
		}
	}
}

// A line just below the limit grows the buffer many times.
func TestReaderGrows(t *testing.T) {
	line := `"` + strings.Repeat("y", 3<<20) + `"`
	in := "{}\n" + line + "\n{}\n" + line
	got := readAll(t, strings.NewReader(in), ReaderOptions{BlockSize: 10_000})
	want := []string{"1.0@0 {}", "2.0@3 " + line, fmt.Sprintf("3.0@%d {}", len(line)+4), fmt.Sprintf("4.0@%d %s", len(line)+7, line)}
	if !cmp.Equal(want, got.Docs) {
		t.Error("documents differ")
	}
}

func TestReaderError(t *testing.T) {
	broken := errors.New("disk on fire")
	for in, want := range map[string][]string{
		"{}\n{\"a\"":  {`1.0@0 {}`},
		"{}\n{}":      {`1.0@0 {}`, `2.0@3 {}`},
		"[{},{\"a\":": {`1.0@1 {}`},
	} {
		src := io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken))
		got := readAll(t, src, ReaderOptions{})
		if diff := cmp.Diff(want, got.Docs); diff != "" || got.Err != broken.Error() {
			t.Errorf("%q: %s %s", in, got.Err, diff)
		}
		if got.End.Offset+got.Pending != int64(len(in)) {
			t.Errorf("%q: end %v, pending %d", in, got.End, got.Pending)
		}
	}
	// A context that has ended leaves no time to look at the last line.
	got := readAll(t, io.MultiReader(strings.NewReader("{}\n{}"), iotest.ErrReader(context.DeadlineExceeded)), ReaderOptions{})
	if len(got.Docs) != 1 || got.Pending != 2 {
		t.Errorf("%q, pending %d", got.Docs, got.Pending)
	}
	r := NewReader(strings.NewReader("{}\n"), ReaderOptions{Start: Position{9, 3}})
	if _, err := r.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("start behind the end: %v", err)
	}
}

// TestReaderContinue stops at every byte of a stream and goes on when the rest
// is there.
func TestReaderContinue(t *testing.T) {
	for _, tt := range readerTests {
		if tt.opt != (ReaderOptions{}) {
			continue
		}
		whole := readAll(t, strings.NewReader(tt.in), tt.opt)
		for n := range len(tt.in) {
			for _, size := range []int{1, 7, 1000} {
				opt := tt.opt
				opt.BlockSize = size
				first := readAll(t, strings.NewReader(tt.in[:n]), opt)
				opt.Start = first.End
				second := readAll(t, strings.NewReader(tt.in), opt)

				before, after := tt.in[:first.End.Offset], tt.in[first.End.Offset:]
				text := before[strings.LastIndexByte(before, '\n')+1:]
				text = strings.TrimLeft(strings.TrimPrefix(text, bom), "\x00")
				midLine := strings.Trim(text, " \t\r") != "" && len(first.Docs) > 0
				rest, _, _ := strings.Cut(after, "\n")
				if midLine && strings.TrimSpace(rest) != "" && !isValues(tt.in) {
					// The line was given away too early: the rest is one more
					// document, or pending.
					checkUnique(t, first.Docs, second.Docs)
					continue
				}
				got := second
				got.Docs = joined(append(first.Docs, second.Docs...))
				got.Blank += first.Blank
				want := whole
				want.Docs = joined(want.Docs)
				if first.Blank > 0 && got.Blank == want.Blank+1 && strings.TrimSpace(rest) != "" {
					// So was a line that was blank.
					want.Blank = got.Blank
				}
				if isValues(tt.in) {
					want.Blank, got.Blank = 0, 0
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("%s: stop at %d of %q, block size %d: -want +got\n%s", tt.name, n, tt.in, size, diff)
				}
			}
		}
	}
}

func isValues(in string) bool {
	values, _ := framing([]byte(in))
	return values
}

func checkUnique(t tester, docs ...[]string) {
	t.Helper()
	seen := map[string]bool{}
	for _, d := range docs {
		for _, s := range d {
			key, rest, _ := strings.Cut(s, "@")
			if !strings.Contains(key, ".") {
				key += "@" + rest
			}
			if seen[key] {
				t.Fatalf("%s twice in %q", key, docs)
			}
			seen[key] = true
		}
	}
}

func TestReaderGrownLine(t *testing.T) {
	in := "{}\n{\"a\":1}"
	start := Position{int64(len(in)), 2}
	for rest, want := range map[string][]string{
		"\n{}\n":         {"3.0@11 {}"},
		"\r\n":           nil,
		" {}\n{}\n":      {"2.1@11 {}", "3.0@14 {}"},
		": x\n":          {"2.1@10 : x"},
		"{}":             nil, // pending: a third document would be 2.1 again
		"   ":            nil,
		"{\n\"b\":2}\n ": {"2.1@10 {", `3.0@12 "b":2}`},
	} {
		got := readAll(t, strings.NewReader(in+rest), ReaderOptions{Start: start})
		if diff := cmp.Diff(want, got.Docs); diff != "" {
			t.Errorf("%q: -want +got\n%s", rest, diff)
		}
		if rest == "\n{}\n" && got.Blank != 0 {
			t.Errorf("%q: %d blank lines", rest, got.Blank)
		}
	}
}

// Reading goes on inside a value that Final gave away.
func TestReaderContinueInside(t *testing.T) {
	in := "[1,\n{\"a\":[\n1"
	first := readAll(t, strings.NewReader(in), ReaderOptions{Final: true})
	for size := 1; size < 20; size++ {
		got := readAll(t, strings.NewReader(in+"]}, 2]"), ReaderOptions{Start: first.End, BlockSize: size})
		want := []string{"3.0@12 ]} !not_json 2", "3.1@16 2"}
		if diff := cmp.Diff(want, got.Docs); diff != "" {
			t.Fatalf("-want +got\n%s", diff)
		}
	}
}

// Blocks are used while the reader goes on.
func TestReaderConcurrent(t *testing.T) {
	text := records(1 << 20)
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	var docs atomic.Int64
	var wg sync.WaitGroup
	r := NewReader(bytes.NewReader(text), ReaderOptions{BlockSize: 20_000})
	for {
		b, err := r.Next()
		if err != nil {
			break
		}
		wg.Go(func() {
			b.Each(func(d Doc) {
				if !json.Valid(d.Data) {
					t.Errorf("document at %d was overwritten", d.Offset)
				}
				docs.Add(1)
			})
			b.Free()
		})
	}
	wg.Wait()
	if n := int64(bytes.Count(text, lf)); docs.Load() != n {
		t.Errorf("%d documents, want %d", docs.Load(), n)
	}
}

// A block takes several reads, whatever the framing.
// The sum is that of the stream whoever hashes its blocks, and whether anybody looks at
// them.
func TestReaderLate(t *testing.T) {
	in := strings.Repeat(`{"a":"0123456789"}`+"\n", 5000)
	want := xxh3.HashString128(in).Bytes()
	for name, use := range map[string]func([]*Block){
		"nobody":   func([]*Block) {},
		"in order": func(all []*Block) { each(all, (*Block).Free) },
		"backwards": func(all []*Block) {
			slices.Reverse(all)
			each(all, (*Block).Free)
		},
		"many": func(all []*Block) {
			var wg sync.WaitGroup
			each(all, func(b *Block) {
				wg.Go(func() {
					b.Each(func(Doc) {})
					b.Free()
				})
			})
			wg.Wait()
		},
	} {
		r := NewReader(strings.NewReader(in), ReaderOptions{Late: true, BlockSize: 1000})
		var all []*Block
		for {
			b, err := r.Next()
			if err != nil {
				break
			}
			all = append(all, b)
		}
		use(all)
		if got := r.Sum(); got != want || len(all) < 50 {
			t.Errorf("%s: %d blocks: another sum", name, len(all))
		}
	}
}

func each(all []*Block, do func(*Block)) {
	for _, b := range all {
		do(b)
	}
}

func TestReaderBlockSize(t *testing.T) {
	for _, in := range []string{strings.Repeat(slimLine+"\n", 4000), "[0\n" + strings.Repeat(","+slimLine, 4000)} {
		r := NewReader(strings.NewReader(in), ReaderOptions{})
		for r.End().Offset < int64(len(in)-2*defaultBlock) {
			b, err := r.Next()
			if err != nil || len(b.Data) < defaultBlock-len(slimLine) || len(b.Data) > defaultBlock+maxPiece {
				t.Fatalf("%d bytes, %v", len(b.Data), err)
			}
			b.Free()
		}
	}
}

func TestReaderLines(t *testing.T) {
	line := rapid.OneOf(
		rapid.SampledFrom([]string{"", " ", "\r", "[DONE]", "data: [DONE]", "event: a", "id: 1", ":", "x", "data: {}", "data:"}),
		rapid.Map(rapid.IntRange(0, 300), func(n int) string { return `{"a":"` + strings.Repeat("z", n) + `"}` }),
		rapid.StringMatching(`[ -~]{0,12}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOf(line).Draw(t, "lines")
		text := "{}\n"
		for _, l := range lines {
			text += rapid.SampledFrom([]string{"", "", "\x00", nul(17), nul(500)}).Draw(t, "NUL") + l + rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end")
		}
		opt := ReaderOptions{BlockSize: rapid.IntRange(1, 400).Draw(t, "block size")}
		docs, blank := naive(text)
		r := NewReader(strings.NewReader(text), opt)
		for {
			b, err := r.Next()
			if err == io.EOF {
				break
			}
			blank -= b.Each(func(d Doc) {
				if len(docs) == 0 || docs[0] != d.String() {
					t.Fatalf("got %q, want %q", d, docs)
				}
				docs = docs[1:]
			})
			b.Free()
		}
		if len(docs) > 0 || blank != 0 {
			t.Fatalf("missing %q and %d blank lines", docs, blank)
		}
	})
}

// naive splits text that has lines only.
func naive(text string) (docs []string, blank int64) {
	at := 0
	for i, line := range strings.SplitAfter(text, "\n") {
		nuls := len(line) - len(strings.TrimLeft(line, "\x00"))
		if nuls > 0 {
			docs = append(docs, fmt.Sprintf("%d@%d NUL %d", i+1, at, nuls))
		}
		s := strings.TrimLeft(line, "\x00")
		s = strings.Trim(s, " \t\r\n")
		field := strings.HasPrefix(s, ":") || strings.HasPrefix(s, "event:") || strings.HasPrefix(s, "id:") || strings.HasPrefix(s, "retry:")
		for strings.HasPrefix(s, "data:") {
			s = strings.TrimLeft(s[5:], " \t\r")
		}
		switch {
		case line == "":
		case s == "", s == "[DONE]", field:
			if nuls == 0 {
				blank++
			}
		default:
			docs = append(docs, fmt.Sprintf("%d.0@%d %s", i+1, at+strings.LastIndex(line, s), s))
		}
		at += len(line)
	}
	return docs, blank
}

func FuzzReader(f *testing.F) {
	for _, tt := range readerTests {
		f.Add([]byte(tt.in), uint16(3), uint16(tt.opt.MaxLine), tt.opt.Final)
	}
	f.Fuzz(func(t *testing.T, in []byte, size, maxLine uint16, final bool) {
		checkReader(t, in, ReaderOptions{MaxLine: int64(maxLine), Final: final, BlockSize: int(size)})
	})
}

// checkReader reads any bytes, which must all be accounted for.
func checkReader(t tester, in []byte, opt ReaderOptions) {
	t.Helper()
	got := readAll(t, bytes.NewReader(in), opt)
	if got.End.Offset+got.Pending != int64(len(in)) {
		t.Fatalf("%d bytes: end %v, pending %d", len(in), got.End, got.Pending)
	}
	if opt.Final && got.Pending > 0 {
		t.Fatalf("pending %d at the final end", got.Pending)
	}
	if got.Sum != xxh3.Hash128(in[:got.End.Offset]).Bytes() {
		t.Fatalf("wrong sum")
	}
	checkUnique(t, got.Docs)
	for _, size := range []int{1, 7, defaultBlock} {
		opt.BlockSize = size
		if diff := cmp.Diff(got, readAll(t, iotest.HalfReader(bytes.NewReader(in)), opt)); diff != "" {
			t.Fatalf("block size %d makes a difference:\n%s", size, diff)
		}
	}
	if diff := cmp.Diff(got, readHeld(t, string(in), opt)); diff != "" {
		t.Fatalf("to hold it makes a difference:\n%s", diff)
	}
	checkCovered(t, in, opt, got)
}

// checkCovered makes sure that what lies between documents is only what the
// framing may drop.
func checkCovered(t tester, in []byte, opt ReaderOptions, got reading) {
	if !isValues(string(in[:min(len(in), headLen)])) {
		return
	}
	covered := make([]bool, len(in))
	r := NewReader(bytes.NewReader(in), opt)
	for {
		b, err := r.Next()
		if err != nil {
			break
		}
		b.Each(func(d Doc) {
			for i := range d.Length {
				covered[d.Offset+i] = true
			}
		})
		b.Free()
	}
	for i, c := range in[bomLen(in, 0):got.End.Offset] {
		if i += bomLen(in, 0); !covered[i] && !strings.ContainsRune(" \t\r\n[,]", rune(c)) {
			t.Fatalf("byte %d is in no document", i)
		}
	}
}

// FuzzContinue stops anywhere, three times, and goes on.
func FuzzContinue(f *testing.F) {
	for _, tt := range readerTests {
		f.Add([]byte(tt.in), uint16(3), uint16(2), uint16(5), uint16(9))
	}
	f.Fuzz(func(t *testing.T, in []byte, size, a, b, c uint16) {
		checkContinue(t, in, int(size), min(int(a), len(in)), min(int(b), len(in)), min(int(c), len(in)))
	})
}

// checkContinue reads a stream that ends at one stop after the other.
func checkContinue(t tester, in []byte, size int, stops ...int) {
	t.Helper()
	opt := ReaderOptions{BlockSize: size}
	stops = append(stops, len(in), len(in))
	slices.Sort(stops)
	var docs []string
	var got reading
	for _, n := range stops {
		got = readAll(t, bytes.NewReader(in[:n]), opt)
		if got.End.Offset+got.Pending != int64(n) || got.Sum != xxh3.Hash128(in[:got.End.Offset]).Bytes() {
			t.Fatalf("%d bytes: end %v, pending %d", n, got.End, got.Pending)
		}
		if got.End.Line != 1+int64(bytes.Count(in[:got.End.Offset], lf)) {
			t.Fatalf("end %v", got.End)
		}
		docs = append(docs, got.Docs...)
		opt.Start = got.End
	}
	if len(got.Docs) > 0 || got.Blank > 0 {
		t.Fatalf("read again, it has %q and %d blank lines", got.Docs, got.Blank)
	}
	checkUnique(t, docs)
	if whole := readAll(t, bytes.NewReader(in), ReaderOptions{}); isValues(string(in[:min(len(in), headLen)])) {
		if diff := cmp.Diff(joined(whole.Docs), joined(docs)); diff != "" {
			t.Fatalf("-whole +parts\n%s", diff)
		}
	}
}

// TestReaderPieces reads streams of what makes a difference to framing.
func TestReaderPieces(t *testing.T) {
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{
			"\x00", nul(3), nul(100), "\n", "\r\n", " ", "{}", `{"a":1}`, "{\n\"a\":2}", "[", "]", ",", "{", "}", `"`, `\`, "x", "1", "data: ", "event: ", bom, "[DONE]",
		}),
		rapid.StringMatching(`[ -~]{0,12}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		in := []byte(strings.Join(rapid.SliceOf(piece).Draw(t, "pieces"), ""))
		size := rapid.IntRange(1, 200).Draw(t, "block size")
		checkReader(t, in, ReaderOptions{
			BlockSize: size,
			MaxLine:   rapid.Int64Range(1, 200).Draw(t, "max line"),
			Final:     rapid.Bool().Draw(t, "final"),
		})
		stop := rapid.IntRange(0, len(in))
		checkContinue(t, in, size, stop.Draw(t, "stop"), stop.Draw(t, "stop"))
	})
}

// TestReaderLongLines has blocks that are hashed beside the reader, of lines
// that take many pieces and buffers of many sizes. The sum can be asked for at
// any time, and blocks are freed in any order.
func TestReaderLongLines(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	rapid.Check(t, func(t *rapid.T) {
		long := rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(besideSize-200, besideSize+200), rapid.IntRange(0, 5*maxPiece))
		var text []byte
		var want []string
		for i, n := range rapid.SliceOfN(long, 1, 12).Draw(t, "lengths") {
			at := len(text)
			text = append(text, `{"a":"`...)
			for range n {
				text = append(text, byte('a'+len(text)%23))
			}
			text = append(text, "\"}\n"...)
			want = append(want, fmt.Sprintf("%d@%d %d %x", i+1, at, len(text)-at-1, xxh3.Hash128(text[at:len(text)-1]).Bytes()))
		}
		src := io.Reader(bytes.NewReader(text))
		if rapid.Bool().Draw(t, "halves") {
			src = iotest.HalfReader(src)
		}
		ask := rapid.Bool().Draw(t, "ask for the sum")
		r := NewReader(src, ReaderOptions{BlockSize: rapid.OneOf(rapid.IntRange(100, besideSize+1), rapid.IntRange(besideSize, 1<<20)).Draw(t, "block size")})
		var got []string
		var blocks []*Block
		for {
			b, err := r.Next()
			if err != nil {
				if err != io.EOF {
					t.Fatal(err)
				}
				break
			}
			if ask && r.Sum() != xxh3.Hash128(text[:r.End().Offset]).Bytes() {
				t.Fatalf("wrong sum at %d", r.End().Offset)
			}
			b.Each(func(d Doc) {
				got = append(got, fmt.Sprintf("%d@%d %d %x", d.Line, d.Offset, d.Length, xxh3.Hash128(d.Data).Bytes()))
			})
			if blocks = append(blocks, b); len(blocks) > 1 {
				i := rapid.IntRange(0, len(blocks)).Draw(t, "free")
				for _, b := range blocks[i:] {
					b.Free()
				}
				blocks = blocks[:i]
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("-want +got\n%s", diff)
		}
		if r.End() != (Position{int64(len(text)), int64(len(want)) + 1}) || r.Sum() != xxh3.Hash128(text).Bytes() {
			t.Fatalf("end %v, or wrong sum", r.End())
		}
		for _, b := range blocks {
			b.Free()
		}
	})
}

// A buffer is used again as soon as its block is free, and not before it is
// hashed.
func TestReaderFreesAtOnce(t *testing.T) {
	text := records(8 << 20)
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	for range 4 {
		if got := readAll(t, bytes.NewReader(text), ReaderOptions{BlockSize: 2 * besideSize}); got.Sum != xxh3.Hash128(text).Bytes() {
			t.Fatal("wrong sum")
		}
	}
}

// addresses counts what is read, and what of it to odd addresses; small reads
// do not count.
type addresses struct {
	r     io.Reader
	reads int
	odd   int
}

func (a *addresses) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if n >= maxPiece/2 {
		a.reads++
		if uintptr(unsafe.Pointer(unsafe.SliceData(p)))%alignment != 0 {
			a.odd++
		}
	}
	return n, err
}

func TestReaderAligned(t *testing.T) {
	for name, text := range map[string]string{
		"short lines":      strings.Repeat(slimLine+"\n", 3000),
		"long lines":       strings.Repeat(quoted(800_001)+"\n", 5),
		"a large line":     "{}\n" + quoted(keepBuffer+777_777) + "\n" + strings.Repeat("{}\n", 300_000),
		"values":           "[0\n" + strings.Repeat(","+slimLine, 3000) + "]",
		"a line too long":  quoted(2) + "\n" + strings.Repeat("x", 20<<20) + "\n" + strings.Repeat("{}\n", 300_000),
		"a run of NUL":     "{}\n" + nul(1_234_567) + strings.Repeat("{}\n", 300_000),
		"byte order mark":  bom + strings.Repeat("{}\n", 300_000),
		"long, then short": quoted(3_000_001) + "\n" + strings.Repeat("{}\n", 300_000),
	} {
		src := &addresses{r: strings.NewReader(text)}
		readAll(t, src, ReaderOptions{MaxLine: 16 << 20})
		if src.odd > 0 || src.reads < len(text)/maxPiece {
			t.Errorf("%s: %d of %d reads to an odd address", name, src.odd, src.reads)
		}
	}
}

func BenchmarkReader(b *testing.B) {
	line := `{"id":"msg_01","model":"some-model","usage":{"input_tokens":1234,"output_tokens":567}` + strings.Repeat(`,"text":"lorem ipsum dolor sit amet"`, 12) + "}\n"
	lines := bytes.Repeat([]byte(line), 64<<20/len(line))
	long := []byte(strings.Repeat(imageLine()+"\n", 64))
	values := append([]byte("[0\n"), bytes.Repeat([]byte(","+line), 64<<20/len(line))...)
	for _, bb := range []struct {
		name string
		in   Input
		each bool
	}{
		{"lines", file(b, lines), false},
		{"lines and each", file(b, lines), true},
		{"long lines", file(b, long), false},
		{"long lines and each", file(b, long), true},
		{"values", file(b, values), false},
		{"values and each", file(b, values), true},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(bb.in.Size)
			b.ReportAllocs()
			for b.Loop() {
				s, err := Open(b.Context(), bb.in)
				if err != nil {
					b.Fatal(err)
				}
				r := NewReader(s, ReaderOptions{})
				for {
					blk, err := r.Next()
					if err != nil {
						break
					}
					if bb.each {
						blk.Each(func(Doc) {})
					}
					blk.Free()
				}
				s.Close()
			}
		})
	}
}
