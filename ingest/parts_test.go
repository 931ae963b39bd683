package ingest

import (
	"fmt"
	"strings"
	"testing"

	"usagelake/schemas"
)

// Elements of an array can be chosen by a member, and by their place; of those
// met again the last counts.
func TestElements(t *testing.T) {
	l := &schemas.Layout{Slots: []int{5}}
	for slot, path := range []string{"at.[k=in].v", "at.[k=out].v", "time.[0]", "time.[1].s", "first.[0].k"} {
		l.Wants = append(l.Wants, schemas.Want{Path: strings.Split(path, "."), Slot: slot})
	}
	w := NewWalker(l)
	for doc, want := range map[string]string{
		`{"at":[{"k":"in","v":1},{"v":2,"k":"out"},{"k":"x","v":3},{"v":4},5]}`: "0=1 1=2",
		`{"at":[{"k":"in","v":1},{"k":"in","v":2}]}`:                            "0=2",
		`{"at":{"k":"in","v":1}}`:                                               "",
		`{"time":[7,{"s":8},9]}`:                                                "2=7 3=8",
		`{"time":[{"s":7},8]}`:                                                  "",
		`{"first":[{"k":"a"},{"k":"b"}]}`:                                       "4=a",
		`{"time":[]}`:                                                           "",
		`{"time":7}`:                                                            "",
		`{"time":[7,8],"time":[null]}`:                                          "",
		`{"time":[7,{"s":8}],"time":[6]}`:                                       "2=6",
	} {
		rec, err := w.Walk([]byte(doc))
		if err != nil {
			t.Fatal(doc, err)
		}
		var got []string
		for slot := range l.Slots[0] {
			if f := &rec.Frames[0]; f.Set.Has(slot) {
				got = append(got, fmt.Sprintf("%d=%s", slot, rec.Bytes(f.Val[slot])))
			}
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%s: %s, want %s", doc, text, want)
		}
	}
}

func TestUnfold(t *testing.T) {
	w := NewWalker(&schemas.Layout{Slots: []int{1}})
	paths := [][]string{{"a"}, {"o", "b"}, {"l", "[k=u]", "v"}}
	for doc, want := range map[string]string{
		`{"a":"{\"x\":[1]}","o":{"b":" [2] \n"},"c":"{}"}`: `{"a":{"x":[1]},"o":{"b":[2]},"c":"{}"}`,
		`{"a":"7","o":{"b":"{\"x\""}}`:                     "",
		`{"a":{"x":1}}`:                                    "",
		`{"a":""}`:                                         "",
		// a stream of events, with what is none between them
		`{"a":"event: m\ndata: {\"x\":1}\r\n\ndata:{\"x\":2}\n\n: ping\ndata: [DONE]\n"}`: `{"a":[{"x":1},{"x":2}]}`,
		`{"a":"data: nothing"}`: `{"a":[]}`,
		`{"a":"database"}`:      "",
		// an element of a list that is told by a member
		`{"l":[{"k":"w","v":"[0]"},"u",{"v":"[1]","k":"u"},{"k":7,"v":"[2]"},{"v":"[3]"}]}`: `{"l":[{"k":"w","v":"[0]"},"u",{"v":[1],"k":"u"},{"k":7,"v":"[2]"},{"v":"[3]"}]}`,
	} {
		if got := string(w.Unfold(padded([]byte(doc), `"}]`), paths)); got != want {
			t.Errorf("%s\n got %s\nwant %s", doc, got, want)
		}
	}
}
