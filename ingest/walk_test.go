package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"usagelake/schemas"
)

// Slots of smallLayout.
const (
	slotID = iota
	slotIn
	slotContent
	slotCount
	slotURL
	slotData
	slotRequest
)

func smallLayout() *schemas.Layout {
	return &schemas.Layout{
		Slots: []int{7, 7, 7},
		Wants: []schemas.Want{
			{Path: []string{"id"}, Slot: slotID},
			{Path: []string{"usage", "in"}, Slot: slotIn},
			{Path: []string{"content"}, Slot: slotContent, Shape: schemas.Span},
			{Path: []string{"data"}, Slot: slotCount, Shape: schemas.Count},
			{Path: []string{"data", "[]", "url"}, Slot: slotURL},
			{Path: []string{"data"}, Slot: slotData, Shape: schemas.Span},
			{Path: []string{"response", "request_id"}, Slot: slotRequest},
			{Path: []string{"response", "request_id"}, Frame: 2, Slot: slotRequest},
			{Path: []string{"response", "usage", "in"}, Frame: 2, Slot: slotIn},
		},
		Keep: []schemas.KeepPath{
			{Path: []string{"usage"}},
			{Path: []string{"response", "usage"}, Frame: 2, Name: "u"},
			{Frame: 1, If: func(key []byte) bool { return string(key) == "tokens" }},
		},
	}
}

var slotNames = []string{"id", "in", "content", "count", "url", "data", "request"}

// dump prints a record: frame.slot=kind:text, and frame+key for extras.
func dump(rec *schemas.Record) string {
	kinds := []string{"", "num", "text", "esc", "true", "false", "obj", "arr", "len"}
	show := func(v schemas.Value) string {
		if v.Kind == schemas.Length {
			return fmt.Sprint("len:", v.End)
		}
		return kinds[v.Kind] + ":" + string(rec.Bytes(v))
	}
	var out []string
	for n := range rec.Frames {
		f := &rec.Frames[n]
		for s, name := range slotNames {
			if f.Set.Has(s) {
				out = append(out, fmt.Sprintf("%d.%s=%s", n, name, show(f.Val[s])))
			}
		}
		for _, x := range f.Extra {
			out = append(out, fmt.Sprintf("%d+%s=%s", n, x.Key, show(x.Value)))
		}
	}
	return strings.Join(out, " ")
}

func TestWalk(t *testing.T) {
	w := NewWalker(smallLayout())
	for _, c := range []struct{ doc, want string }{
		{`{}`, ``},
		{" \t\r\n{ \"id\" : 1 } \t\r\n", `0.id=num:1`},
		{`{"id":-0.5e+10}`, `0.id=num:-0.5e+10`},
		{`{"id":"x"}`, `0.id=text:x`},
		{`{"id":""}`, `0.id=text:`},
		{`{"id":"é"}`, `0.id=text:é`},
		{`{"id":"a\u00e9\n"}`, `0.id=esc:a\u00e9\n`},
		{"{\"id\":\"abcdefgh\xff\"}", "0.id=esc:abcdefgh\xff"},
		{"{\"id\":\"\xff\"}", "0.id=esc:\xff"},
		{`{"id":true}`, `0.id=true:true`},
		{`{"id":false}`, `0.id=false:false`},

		// What does not fill.
		{`{"id":null}`, ``},
		{`{"id":{"id":1}}`, ``},
		{`{"id":[1]}`, ``},
		{`{"usage":7}`, ``},
		{`{"usage":[{"in":1}]}`, ``},
		{`{"ID":1,"i":1,"idx":1,"":1}`, ``},
		{`{"x":{"id":1,"usage":{"in":1}}}`, ``},

		// Repetition: the last wins, wholly.
		{`{"id":1,"id":2}`, `0.id=num:2`},
		{`{"id":1,"id":null}`, ``},
		{`{"id":1,"id":{}}`, ``},
		{`{"id":null,"id":2}`, `0.id=num:2`},
		{`{"usage":{"in":1},"usage":{}}`, ``},
		{`{"usage":{"in":1},"usage":null}`, ``},
		{`{"usage":{"in":1},"usage":5}`, ``},
		{`{"usage":{"in":1},"usage":{"in":2}}`, `0.in=num:2`},
		{`{"usage":{"in":1,"x":1},"usage":{"y":2}}`, `0+y=num:2`},
		{`{"usage":{"in":1,"x":1},"usage":null}`, ``},
		{`{"usage":{"x":1,"y":2,"x":3}}`, `0+x=num:3 0+y=num:2`},
		{`{"usage":{"x":1,"x":null}}`, ``},
		{`{"usage":{"x":1,"x":[]}}`, ``},
		{`{"usage":{"x":1,"x":{"y":2}}}`, `0+x.y=num:2`},
		{`{"usage":{"x":{"y":2},"x":1}}`, `0+x=num:1`},
		{`{"usage":{"x":{"y":2,"z":3},"x":{"z":4}}}`, `0+x.z=num:4`},
		{`{"usage":{"x":{"y":{"z":1}}},"usage":{"x":{}},"usage":{"x":{"y":{}}}}`, ``},
		{`{"usage":{"x.y":1,"x":{"y":2}}}`, `0+x.y=num:1 0+x.y=num:2`},
		{`{"response":{"request_id":"r","usage":{"in":1,"x":1}},"response":{}}`, ``},
		{`{"response":{"request_id":"r"},"response":"r"}`, ``},
		{`{"data":[{"url":"a"}],"data":[]}`, `0.count=len:0 0.data=arr:[]`},
		{`{"data":[{"url":"a"}],"data":null}`, ``},
		{`{"content":"a","content":null}`, ``},

		// Keys with escapes and without UTF-8.
		{`{"\u0069d":1}`, `0.id=num:1`},
		{`{"id":1,"\u0069\u0064":2}`, `0.id=num:2`},
		{`{"us\u0061ge":{"\u0069n":3}}`, `0.in=num:3`},
		{`{"usage":{"a\tb":1,"\ud83d\ude00":2,"\ud83d":3}}`, "0+a\tb=num:1 0+\U0001f600=num:2 0+\ufffd=num:3"},
		{"{\"id\xff\":1,\"\xffid\":2}", ``},
		{"{\"usage\":{\"\xff\":1,\"\xfe\":2}}", "0+\ufffd=num:2"},

		// Arrays.
		{`{"data":[]}`, `0.count=len:0 0.data=arr:[]`},
		{`{"data":[ ]}`, `0.count=len:0 0.data=arr:[ ]`},
		{
			`{"data":[1,{"url":"a"},[{"url":"x"}],{"url":"b"},{},null,"s"]}`,
			`0.count=len:7 0.url=text:b 0.data=arr:[1,{"url":"a"},[{"url":"x"}],{"url":"b"},{},null,"s"]`,
		},
		{`{"data":[{"url":"a"},{"url":null}]}`, `0.count=len:2 0.data=arr:[{"url":"a"},{"url":null}]`},
		{`{"data":{"url":"a"}}`, `0.data=obj:{"url":"a"}`},
		{`{"data":"[1,2]"}`, `0.data=text:[1,2]`},

		// Spans are not read.
		{`{"content":"a\qb"}`, `0.content=text:a\qb`},
		{"{\"content\":\"a\x01\xff\"}", "0.content=text:a\x01\xff"},
		{`{"content":"\\"}`, `0.content=text:\\`},
		{`{"content":{ }}`, `0.content=obj:{ }`},
		{`{"content":[{"a":"]"}]}`, `0.content=arr:[{"a":"]"}]`},
		{`{"content":12}`, `0.content=num:12`},
		{`{"content":true}`, `0.content=true:true`},
		{`{"content":null}`, ``},

		// Frames.
		{`{"response":{"request_id":"r"}}`, `0.request=text:r 2.request=text:r`},
		{`{"usage":{"in":1},"response":{"usage":{"in":2}}}`, `0.in=num:1 2.in=num:2`},

		// Extras.
		{
			`{"usage":{"in":1,"x":2,"s":"t","e":"\n","t":true,"f":false,"n":null,"a":[1],"o":{"p":{"q":3,"r":[],"in":4}}}}`,
			`0.in=num:1 0+x=num:2 0+s=text:t 0+e=esc:\n 0+t=true:true 0+f=false:false 0+o.p.q=num:3 0+o.p.in=num:4`,
		},
		{`{"response":{"usage":{"x":1,"o":{"y":2}}}}`, `2+u.x=num:1 2+u.o.y=num:2`},
		{`{"tokens":5,"other":6}`, `1+tokens=num:5`},
		{`{"tokens":{"tokens":5}}`, ``},
	} {
		rec, err := w.Walk(padded([]byte(c.doc), `"}]`))
		if err != nil {
			t.Errorf("%s: %v", c.doc, err)
			continue
		}
		if got := dump(rec); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.doc, got, c.want)
		}
	}
}

func TestWalkRefuses(t *testing.T) {
	w := NewWalker(smallLayout())
	for _, doc := range []string{
		``, ` `, "\x00", `{`, `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a" 1}`, `{"a":}`,
		`{a:1}`, `{'a':1}`, `{1:1}`, `{"a":1}}`, `{"a":1} x`, `{}{}`, "{}\x00", "{}\v", "{}\u00a0", "\ufeff{}",
		`{"a":01}`, `{"a":1.}`, `{"a":.1}`, `{"a":-}`, `{"a":+1}`, `{"a":1e}`, `{"a":1e+}`, `{"a":0x1}`, `{"a":--1}`, `{"a":1 2}`,
		`{"a":NaN}`, `{"a":Infinity}`, `{"a":tru}`, `{"a":True}`, `{"a":nul`, `{"a":truefalse}`,
		`{"id":01}`, `{"id":012}`, `{"id":0123}`, `{"id":01234}`, `{"id":00000000}`, `{"id":0123456789}`, `{"a":00}`, `{"id":-01}`, `{"id":-}`, `{"id":1.}`, `{"id":nul}`, `{"id":`, `{"id":"`, `{"id":"\`, `{"a":"\`, `{"\`, `{"id":"a`,
		`{"id":"\x"}`, `{"id":"\u12"}`, `{"id":"\u12g4"}`, `{"id":"\u`, "{\"id\":\"\n\"}", "{\"id\":\"abcdefgh\x1f\"}",
		`{"\x":1}`, "{\"\t\":1}", `{"usage":{"\x":1}}`, `{"usage":{"new":"\x"}}`, "{\"usage\":{\"new\":\"\x01\"}}",
		`{"a":[1,]}`, `{"a":[1`, `{"a":[}`, `{"a":[1}}`, `{"a":{"b":1]}`, `{"a":{"b"}}`, `{"a":{"b":01}}`, `{"a":[tru]}`,
		`{"data":[1,]}`, `{"data":[,]}`, `{"data":[1 2]}`, `{"data":[`, `{"data":[1`, `{"data":[1}`, `{"data":[{"url":}]}`,
		`{"usage":{}`, `{"usage":{"in":1}`, `{"usage":{"in":1,}}`, `[`, `[1,]`, `"`, `"\x"`, `nul`, `1 2`,
	} {
		for _, tail := range []string{"\x00", `"}]`, `e}`, `1}`, `]}`, `l}`, ` `, `"`, `\`} {
			if rec, err := w.Walk(padded([]byte(doc), tail)); err != ErrNotJSON || rec != nil {
				t.Errorf("%q before %q: %v", doc, tail, err)
			}
		}
	}
	for _, doc := range []string{`1`, `"x"`, ` [1,{}]`, `null `, `true`, `[]`, `-0`} {
		if rec, err := w.Walk(padded([]byte(doc), `}`)); err != ErrNotObject || rec != nil {
			t.Errorf("%q: %v", doc, err)
		}
	}
}

func TestWalkOwnsCopy(t *testing.T) {
	w := NewWalker(smallLayout())
	doc := slices.Clip([]byte(`{"id":"x"}`))
	rec, err := w.Walk(doc)
	if err != nil || &rec.Doc[0] == &doc[0] || cap(rec.Doc)-len(rec.Doc) < slack {
		t.Fatalf("no copy: %v", err)
	}
	doc = padded(doc, "\x00")
	if rec, err = w.Walk(doc); err != nil || &rec.Doc[0] != &doc[0] {
		t.Fatalf("a copy without need: %v", err)
	}
}

func TestWalkDepth(t *testing.T) {
	w := NewWalker(smallLayout())
	nest := func(n int, opening, middle, closing string) string {
		return strings.Repeat(opening, n) + middle + strings.Repeat(closing, n)
	}
	for _, around := range []string{`{"x":%s}`, `{"content":%s}`, `{"id":%s}`, `{"usage":{"new":%s}}`, `{"data":[%s]}`, `{"x":%[1]s,"y":%[1]s,"id":1}`, `%s`} {
		for _, inner := range []int{1, 1000, 4090, 4095, 4096, 4097, 9990, 9997, 9998, 9999, 10000, 10001, 20000} {
			for _, value := range []string{
				nest(inner, `[`, `"\"]"`, `]`),
				nest(inner, `{"a":`, `1`, `}`),
				nest(inner, `{"":`, `1`, `}`),
				nest(inner, `[`, ``, ``),
			} {
				doc := padded(fmt.Appendf(nil, around, value), `]`)
				rec, err := w.Walk(doc)
				if json.Valid(doc) != (err != ErrNotJSON) {
					t.Errorf("%s, %d deep: %v", around, inner, err)
				}
				if strings.Contains(around, `"id":1`) && err == nil && dump(rec) != `0.id=num:1` {
					t.Errorf("%s, %d deep: %s", around, inner, dump(rec))
				}
				if err == nil && w.AnyMember(doc, func(_, key, value []byte) bool { return value == nil || string(key) == "a" }) != strings.Contains(value, "a") {
					t.Errorf("%s, %d deep: AnyMember is wrong", around, inner)
				}
			}
		}
	}
}

func TestExtraLimits(t *testing.T) {
	l := smallLayout()
	w := NewWalker(l)
	many := func(n int, name string) []byte {
		b := []byte(`{"usage":{"in":1`)
		for i := range n {
			b = fmt.Appendf(b, `,"%s%d":%d`, name, i, i)
		}
		return padded(append(b, `}}`...), `}`)
	}
	// What is kept does not depend on the documents before.
	for i := range 10 {
		for _, n := range []int{maxExtras - 1, maxExtras, maxExtras + 100, 4 * maxExtras} {
			rec, err := w.Walk(many(n, fmt.Sprint("k", i, "_")))
			if err != nil {
				t.Fatal(err)
			}
			if got := len(rec.Frames[0].Extra); got != min(n, maxExtras) {
				t.Errorf("%d extras of %d", got, n)
			}
		}
		if w.learnt > 2*maxExtras {
			t.Errorf("%d learnt edges", w.learnt)
		}
	}
	long := strings.Repeat("k", maxName)
	rec, err := w.Walk(padded([]byte(`{"usage":{"`+long+`":1,"a`+long+`":2,"`+long[1:]+`":{"":3,"b":4,"":{"b":5}}}}`), `}`))
	if err != nil {
		t.Fatal(err)
	}
	if x := rec.Frames[0].Extra; len(x) != 1 || x[0].Key != long {
		t.Errorf("%d extras", len(x))
	}
}

// TestForget: what was foretold is forgotten with what was learnt.
func TestForget(t *testing.T) {
	w := NewWalker(smallLayout())
	for _, c := range []struct{ before, doc, want string }{
		{`{"usage":{"in":1,"x":1}}`, `{"usage":{"in":1,"x":2,"y":0,"x":4}}`, `0.in=num:1 0+x=num:4 0+y=num:0`},
		{`{"usage":{"x":1}}`, `{"usage":{"x":2,"y":0,"x":4}}`, `0+x=num:4 0+y=num:0`},
	} {
		for _, doc := range []string{c.before, c.doc} {
			rec, err := w.Walk(padded([]byte(doc), "}"))
			if err != nil {
				t.Fatal(err)
			}
			if got := dump(rec); doc == c.doc && got != c.want {
				t.Errorf("%s: %s", doc, got)
			}
			w.learnt = maxLearnt + 1
		}
	}
}

// TestSlack walks and searches truncated documents before memory that must not
// be read.
func TestSlack(t *testing.T) {
	const room = 64 << 10
	mem, err := syscall.Mmap(-1, 0, 2*room, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(mem)
	if err := syscall.Mprotect(mem[room:], syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	w := NewWalker(testLayout())
	docs := slices.Clone(samples)
	for _, item := range []string{`{"a":`, `[`, `{"id":`, `{"content":[`} {
		docs = append(docs, `{"usage":`+strings.Repeat(item, 100)+`12345`, `{"x":`+strings.Repeat(item, 100)+`"text"`)
	}
	for _, doc := range docs {
		for n := range len(doc) + 1 {
			for _, tail := range []string{"}", "]", "0", `"`, `\`, " ", ",", `:"`, "l", "\x00"} {
				at := room - slack - n
				copy(mem[at:], doc[:n])
				copy(mem[at+n:room], strings.Repeat(tail, slack))
				b := mem[at : at+n : room]
				_, err := w.Walk(b)
				if (err == nil) != (json.Valid(b) && n > 0 && b[0] == '{') && !json.Valid(neutral(b)) {
					t.Fatalf("%q before %q: %v", b, tail, err)
				}
				w.AnyMember(b, func(_, _, value []byte) bool { return value == nil })
			}
		}
	}
}

// TestPattern holds a pattern against keys that are nearly the same.
func TestPattern(t *testing.T) {
	for n := range maxPattern + 1 {
		p := newPattern(strings.Repeat("abcdefgh", 5)[:n])
		if n > maxPattern-3 {
			if p.size != 0 {
				t.Errorf("a pattern for %d bytes", n)
			}
			continue
		}
		text := `"` + strings.Repeat("abcdefgh", 5)[:n] + `":`
		for _, tail := range []string{"\x00", "\xff", `"`, `1,`} {
			b := padded([]byte(text), tail)
			if !p.stands(b, 0) || p.size != len(text) {
				t.Errorf("%s does not stand before %q", text, tail)
			}
			for bit := range 8 * len(b) {
				b[bit/8] ^= 1 << (bit % 8)
				if p.stands(b, 0) {
					t.Errorf("%s stands in %q", text, b)
				}
				b[bit/8] ^= 1 << (bit % 8)
			}
		}
	}
	for _, key := range []string{`a"`, `a\`, "a\n", "\xff"} {
		if p := newPattern(key); p.size != 0 {
			t.Errorf("a pattern for %q", key)
		}
	}
}

func TestNewWalkerRefuses(t *testing.T) {
	for name, l := range map[string]schemas.Layout{
		"slot":  {Slots: []int{1}, Wants: []schemas.Want{{Slot: 1}}},
		"frame": {Slots: []int{1}, Wants: []schemas.Want{{Frame: 1}}},
		"keep":  {Slots: []int{1}, Keep: []schemas.KeepPath{{Frame: -1}}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			NewWalker(&l)
		}()
	}
}

func TestAnyMember(t *testing.T) {
	w := NewWalker(smallLayout())
	doc := []byte("{\"a\":{\"b\\u0062\":[{\"c\":\"d\\\"\"},[{\"e\":-1.5}]],\"s\":\"{\\\"in\\\":1}\",\"b\\x\":null},\"f\":true,\"\xff\":{}}")
	if _, err := w.Walk(doc); err != nil {
		t.Fatal(err)
	}
	var got []string
	w.AnyMember(doc, func(parent, key, value []byte) bool {
		if value == nil {
			return true
		}
		got = append(got, fmt.Sprintf("%s/%s=%s", parent, key, value))
		return false
	})
	want := []string{`/a={`, `a/bb=[`, `bb/c="d\""`, `bb/e=-1.5`, `a/s="{\"in\":1}"`, `a/b\x=null`, `/f=true`, "/\ufffd={"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, doc := range []string{``, `[`, `{`, `{"a`, `{"a"`, `{"a":`, `{"a":x}`, `{"a":"`, `[{"a":[}`, `{"a":1`, `{"a":{`, strings.Repeat("[", 1e6)} {
		w.AnyMember([]byte(doc), func(_, _, value []byte) bool { return value == nil })
	}
}

// samples are documents that exercise testLayout.
var samples = []string{
	`{"id":"a","usage":{"in":1,"out":2.5,"details":{"cached":3,"new":4},"x":{"y":5}},"content":"hi \"there\"","data":[{"url":"u","size":{"w":1},"parts":[1,2]}]}`,
	`{"body":{"id":1,"tags":["a",null,"b"],"grid":[[1,"x\\"],[]]},"response":{"request_id":"r","id":2,"usage":{"z":{"k":true}}}}`,
	`{"ephemeral_1h_input_tokens":1,"ephemeral_5m_input_tokens":2,"more_tokens":3,"data":{"url":"v"}}`,
	`{"messages":[{"role":"user","content":"a\\\"b\u00e9 and some more text that is longer than one word"}],"x":{"y":[1.5e3,-0,true,false,null,{},[]]}}`,
	"{ \"id\" : \"\u00e9\" ,\r\n\t\"usage\" : { \"in\" : -0 , \"in\" : null } , \"data\" : [ ] , \"x\" : [ 1 , { } ] }\n",
	`{"\u0069d":1,"usage":{"a\/b":"\ud83d\ude00"},"usage":{"c":1},"response":null}`,
}

func TestTruncated(t *testing.T) {
	l := testLayout()
	w := NewWalker(l)
	for _, s := range samples {
		whole := padded([]byte(s), `"}]`)
		checkWalk(t, w, l, whole)
		end := len(strings.TrimSpace(s))
		for n := range end {
			// The slack is the rest of the document, the most misleading of all.
			for _, doc := range [][]byte{whole[:n], padded(whole[:n], "\x00"), slices.Clip(whole[:n])} {
				if _, err := w.Walk(doc); err != ErrNotJSON {
					t.Fatalf("%q: %v", doc, err)
				}
			}
		}
	}
}

func TestMutants(t *testing.T) {
	l := testLayout()
	w := NewWalker(l)
	rng := rand.New(rand.NewPCG(1, 2))
	const bytes = "\"\"\\{}[]:,0123456789.eE+-tfnu \n\x00\x1f\x7f\xff"
	n, lenient := 0, 0
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end) && n < 1_000_000; n++ {
		b := []byte(samples[rng.IntN(len(samples))])
		for range 1 + rng.IntN(3) {
			i := rng.IntN(len(b))
			c := bytes[rng.IntN(len(bytes))]
			switch rng.IntN(4) {
			case 0:
				b[i] = c
			case 1:
				b = slices.Insert(b, i, c)
			case 2:
				b = slices.Delete(b, i, i+1)
			case 3:
				j := min(len(b), i+rng.IntN(20))
				b = slices.Insert(b, rng.IntN(len(b)), slices.Clone(b[i:j])...)
			}
		}
		if checkWalk(t, w, l, padded(b, `"}]`)) {
			lenient++
		}
	}
	t.Logf("%d mutants, %d accepted with a fault in an unread string", n, lenient)
}

// TestGenerated walks documents that hit the layout's keys often.
func TestGenerated(t *testing.T) {
	l := testLayout()
	w := NewWalker(l)
	keys := rapid.SampledFrom([]string{
		"id", "usage", "in", "out", "details", "cached", "content", "data", "url", "size", "w", "parts", "tags", "grid",
		"body", "response", "request_id", "more_tokens", "x", "y", "x.y", "", `\u0069d`, `us\u0061ge`, `a\nb`, "é", "\xff", "\xfe",
		"ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens", "\ufffd",
	})
	scalars := rapid.SampledFrom([]string{
		"null", "true", "false", "0", "-0", "12", "1.50", "1e400", `""`, `"a"`, `"\""`, `"\\"`, `"é\u00e9"`, "\"\xff\"",
		`"` + strings.Repeat("long ", 50) + `"`, "[]", "{}",
	})
	spaces := rapid.SampledFrom([]string{"", "", "", " ", "\r\n\t "})
	rapid.Check(t, func(t *rapid.T) {
		var value func(depth int) string
		items := func(depth int, item func() string) string {
			var b strings.Builder
			for i := range rapid.IntRange(0, 6).Draw(t, "n") {
				if i > 0 {
					b.WriteString(",")
				}
				b.WriteString(item())
			}
			return b.String() + spaces.Draw(t, "space")
		}
		object := func(depth int) string {
			return "{" + items(depth, func() string {
				return spaces.Draw(t, "space") + `"` + keys.Draw(t, "key") + `"` + spaces.Draw(t, "space") + ":" + value(depth)
			}) + "}"
		}
		value = func(depth int) string {
			kind := rapid.IntRange(0, 6).Draw(t, "kind")
			switch {
			case depth > 0 && kind >= 4:
				return object(depth - 1)
			case depth > 0 && kind == 3:
				return "[" + items(depth, func() string { return value(depth - 1) }) + "]"
			}
			return scalars.Draw(t, "scalar")
		}
		doc := padded([]byte(object(5)), `"}]`)
		if !json.Valid(doc) {
			t.Fatalf("the generator is wrong: %q", doc)
		}
		checkWalk(t, w, l, doc)
	})
}

// TestHistory walks documents with one walker and each with a walker of its
// own: what was learnt does not show.
func TestHistory(t *testing.T) {
	l := testLayout()
	rng := rand.New(rand.NewPCG(3, 4))
	known := []string{"id", "usage", "in", "details", "cached", "content", "data", "url", "body", "response", "more_tokens", "tags"}
	var value func(depth, pool int, comma, colon string) string
	value = func(depth, pool int, comma, colon string) string {
		kind := rng.IntN(9)
		if depth == 0 {
			kind = rng.IntN(7)
		}
		switch kind {
		case 7:
			return "[" + value(depth-1, pool, comma, colon) + comma + value(depth-1, pool, comma, colon) + "]"
		case 8:
			var members []string
			for range rng.IntN(7) {
				key := fmt.Sprint("key", rng.IntN(pool))
				switch rng.IntN(8) {
				case 0, 1, 2, 3:
					key = known[rng.IntN(len(known))]
				case 4:
					key = []string{`a\nb`, `\u0069d`, "\xff", "\ufffd", `a\qb`, strings.Repeat("long", 9) + fmt.Sprint(rng.IntN(pool))}[rng.IntN(6)]
				}
				members = append(members, `"`+key+`"`+colon+value(depth-1, pool, comma, colon))
			}
			return "{" + strings.Join(members, comma) + "}"
		}
		return []string{"null", "true", "12", "0.5", `"text"`, "{}", `"a\qb"`}[kind]
	}
	type outcome struct {
		Error    error
		Captures []capture
		Members  []string
	}
	outcomeOf := func(w *Walker, doc []byte) (o outcome) {
		rec, err := w.Walk(doc)
		o.Error = err
		if err == nil {
			o.Captures = captures(l, rec)
		}
		w.AnyMember(doc, func(parent, key, value []byte) bool {
			if value == nil {
				return len(key)%2 == 0 || len(parent)%3 == 0
			}
			if len(key)%2 == 0 || len(parent)%3 == 0 {
				o.Members = append(o.Members, fmt.Sprintf("%s %s %s", parent, key, value))
			}
			return false
		})
		return o
	}
	w := NewWalker(l)
	accepted := 0
	for n := range 20_000 {
		comma, colon := ",", ":"
		if rng.IntN(4) == 0 {
			comma, colon = ", ", ": "
		}
		pool := []int{3, 60, 5000}[n/1000%3]
		doc := value(4, pool, comma, colon)
		for doc[0] != '{' {
			doc = value(4, pool, comma, colon)
		}
		b := padded([]byte(doc), `"}]`)
		got, want := outcomeOf(w, b), outcomeOf(NewWalker(l), b)
		if d := cmp.Diff(want, got, cmpopts.EquateErrors()); d != "" {
			t.Fatalf("%s\n%s", doc, d)
		}
		if got.Error == nil {
			accepted++
		}
	}
	if accepted < 5000 || w.learnt == 0 {
		t.Errorf("%d documents accepted, %d edges learnt", accepted, w.learnt)
	}
}

func FuzzWalk(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s))
	}
	for _, s := range []string{`[1]`, `{"id":"\x"}`, `{"content":"\x"}`, `{"data":[{"url":1},{"url":null}]}`, `{"x":"\`, `{"x":[0`} {
		f.Add([]byte(s))
	}
	l := testLayout()
	w := NewWalker(l)
	f.Fuzz(func(t *testing.T, doc []byte) {
		checkWalk(t, w, l, doc)
		checkWalk(t, w, l, padded(doc, `"}]`))
	})
}

// suite returns the documents of JSONTestSuite.
func suite(t *testing.T) map[string][]byte {
	shared := os.Getenv("USAGELAKE_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "shared")
	}
	files, _ := filepath.Glob(filepath.Join(shared, "corpora", "JSONTestSuite", "test_*", "*.json"))
	if len(files) == 0 {
		t.Skip("JSONTestSuite is not there; set USAGELAKE_SHARED to the folder that has corpora/JSONTestSuite")
	}
	docs := make(map[string][]byte, len(files))
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		docs[filepath.Base(name)] = b
	}
	return docs
}

func TestJSONTestSuite(t *testing.T) {
	w := NewWalker(smallLayout())
	var bare, total, valid, lenient int
	for name, doc := range suite(t) {
		_, err := w.Walk(doc)
		if (err != ErrNotJSON) != json.Valid(doc) && (err != nil || !json.Valid(neutral(doc))) {
			t.Errorf("%s: %v", name, err)
		}
		bare++
		first := byte(0)
		if trimmed := strings.TrimLeft(string(doc), " \t\r\n"); trimmed != "" {
			first = trimmed[0]
		}
		shifts := 70
		if testing.Short() {
			shifts = 8
		}
		for shift := range shifts + 1 {
			pad := strings.Repeat("p", shift)
			for _, key := range []string{`"x":`, `"id":`, `"content":`, `"usage":`, `"usage":{"new":`, `"data":[`} {
				b := slices.Concat([]byte(`{"`+pad+`":1,`+key), doc)
				switch {
				case strings.HasSuffix(key, "["):
					b = append(b, ']')
				case strings.Contains(key, "{"):
					b = append(b, '}')
				}
				b = padded(append(b, '}'), `"}]`)
				_, err := w.Walk(b)
				want := json.Valid(b)
				total++
				if want {
					valid++
				}
				switch {
				case want == (err == nil):
				case want:
					t.Errorf("%s, %s, shifted by %d: wrongly refused", name, key, shift)
				case first == '"' && (key == `"id":` || key == `"usage":{"new":`):
					t.Errorf("%s, %s, shifted by %d: a bad string is read", name, key, shift)
				case !json.Valid(neutral(b)):
					t.Errorf("%s, %s, shifted by %d: wrongly accepted", name, key, shift)
				default:
					lenient++
				}
				if err != nil && !errors.Is(err, ErrNotJSON) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	t.Logf("%d bare, %d shifted documents, %d of them valid; 0 wrongly refused, %d accepted with a fault in an unread string",
		bare, total, valid, lenient)
}
