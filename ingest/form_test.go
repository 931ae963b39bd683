package ingest

import (
	"bytes"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usagelake/schemas"
)

// formed are documents whose forms differ in what can go wrong.
var formed = []string{
	`{"id":"a-1","created":1764547200,"usage":{"in":116,"out":2.50,"details":{"cached":0},"more":null},"content":"text"}`,
	`{"id":"a-1","created":1764547200,"usage":{"in":116,"out":2.50,"details":{"cached":0},"more":7},"content":"text"}`,
	`{"usage":{"in":1,"more_tokens":{"deep":{"deeper":"x"}},"new":true},"id":12}`,
	`{ "id" : "a" , "data" : [ {"url":"u","b64":"` + string(bytes.Repeat([]byte("A"), 100)) + `"} ] , "tags" : ["x"] }`,
	`{"data":[],"tags":{},"body":{"id":"b","usage":{"in":3}},"response":{"body":{"usage":{"in":4}}}}`,
	`{"a text before a value that is longer than any pattern of a key could be":1,"id":"x","unread":{"k":[1,2,{"x":"y"}]}}`,
	`{"attributes":[{"key":"a","value":1},{"key":"b","value":2}],"id":"c"}`,
	`{"id":"é","user":-1,"usage":{"in":1e3,"out":12345678901234567890}}`,
}

// values that may stand where others did, and texts that may not.
var replaced = []string{
	`0`, `1`, `12345678`, `123456789`, `0.5`, `0.`, `.5`, `01`, `00`, `-`, `-1`, `1e3`, `1E+3`, `1e`, `1.5e-7`, `1x`, `12 `, ` 1`,
	`true`, `false`, `null`, `tru`, `nul`, `"x"`, `""`, `"a\"b"`, `"a\qb"`, `"\u00e9"`, `"\u00"`, "\"\x01\"", "\"\xff\"", `"é"`, `"open`, `"`,
	`"` + string(bytes.Repeat([]byte("long "), 20)) + `"`, `"` + string(bytes.Repeat([]byte(`q\"`), 20)) + `"`,
	`"a"`, `"b"`, `{}`, `[]`, `{"in":1}`, `{"x":{"y":[]}}`, `[1]`, `[{"url":"v"}]`, `[{"url":"v"},{"b64":1}]`, `{`, `[`, `}`, `]`, ``, `,`,
}

// TestForms changes documents of known forms: whatever the change, the walk of
// one that knows their forms has the outcome of one that has seen nothing.
func TestForms(t *testing.T) {
	l := testLayout()
	for _, key := range []string{"[key=a]", "[key=b]", "[0]"} {
		l.Wants = append(l.Wants, schemas.Want{Path: []string{"attributes", key, "value"}, Slot: l.Slots[0]})
		l.Slots[0]++
	}
	token := regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[-0-9.eE+]+|true|false|null`)
	rng := rand.New(rand.NewPCG(7, 9))
	rounds, hits := 30_000, 0
	if testing.Short() {
		rounds = 10_000
	}
	w := NewWalker(l)
	for range rounds {
		doc := []byte(formed[rng.IntN(len(formed))])
		for range rng.IntN(3) {
			at := token.FindAllIndex(doc, -1)
			if len(at) == 0 {
				break
			}
			switch k := at[rng.IntN(len(at))]; rng.IntN(8) {
			case 0: // any byte
				doc[rng.IntN(len(doc))] = " \"\\{}[],:0x\x00\xff"[rng.IntN(13)]
			case 1: // cut
				doc = doc[:1+rng.IntN(len(doc))]
			case 2: // more
				doc = append(doc, replaced[rng.IntN(len(replaced))]...)
			default:
				doc = slices.Concat(doc[:k[0]], []byte(replaced[rng.IntN(len(replaced))]), doc[k[1]:])
			}
		}
		b := padded(doc, []string{`"}]`, `,"x":1}`, "999"}[rng.IntN(3)])
		w.forms.credit, w.forms.rest = maxCredit, 0
		fresh := NewWalker(l)
		want, wantErr := fresh.Walk(b)
		laid, err := w.Scan(b)
		if err == nil && laid.Form != nil {
			hits++
			for _, x := range l.Wants {
				if !want.Frames[x.Frame].Set.Has(x.Slot) {
					continue
				}
				k, ok := laid.Form.At[schemas.Slot{Frame: x.Frame, Number: x.Slot}]
				if v := want.Frames[x.Frame].Val[x.Slot]; !ok || textOnly(laid, laid.Frames[len(l.Slots)].Val[k]) != v {
					t.Fatalf("%s\n%v is not laid out", doc, x)
				}
			}
		}
		got, err := w.Walk(b)
		if err != wantErr {
			t.Fatalf("%s\n%v, want %v", doc, err, wantErr)
		}
		if err != nil {
			continue
		}
		if d := cmp.Diff(captures(l, want), captures(l, got)); d != "" {
			t.Fatalf("%s\n%s", doc, d)
		}
		if !slices.Equal(want.Filled, got.Filled) {
			t.Fatalf("%s\nfilled %x, want %x", doc, got.Filled, want.Filled)
		}
	}
	if hits < rounds/8 {
		t.Errorf("%d of %d documents were of known forms", hits, rounds)
	}
}

// TestFormsRest: documents without a form in common are not compared with forms
// for long.
func TestFormsRest(t *testing.T) {
	w := NewWalker(testLayout())
	doc := func(key string) []byte { return padded([]byte(`{"`+key+`":1,"id":"x"}`), "\x00") }
	for i := range maxCredit {
		if _, err := w.Walk(doc(string(rune('A'+i%26)) + string(rune('a'+i/26)))); err != nil {
			t.Fatal(err)
		}
	}
	if w.forms.rest == 0 {
		t.Fatal("still at it")
	}
	for range restFor {
		if _, err := w.Walk(doc("same")); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		rec, err := w.Scan(doc("same"))
		if err != nil {
			t.Fatal(err)
		}
		if rec.Form != nil {
			return
		}
	}
	t.Error("never again")
}
