package ingest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"usagelake/schemas"
)

// A tester is a testing.TB or a rapid.T.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// testLayout has every shape in three frames, the root and two mounts; frame 0
// wants something below the mount of frame 2.
func testLayout() *schemas.Layout {
	paths := []struct {
		path  string
		shape schemas.Shape
	}{
		{"id", schemas.Scalar},
		{"usage.in", schemas.Scalar},
		{"usage.out", schemas.Scalar},
		{"usage.details.cached", schemas.Scalar},
		{"content", schemas.Span},
		{"data", schemas.Count},
		{"data", schemas.Span},
		{"data", schemas.Scalar},
		{"data.url", schemas.Scalar},
		{"data.[].url", schemas.Scalar},
		{"data.[].size.w", schemas.Scalar},
		{"data.[].parts", schemas.Count},
		{"tags.[]", schemas.Scalar},
		{"grid.[].[]", schemas.Span},
		{"ephemeral_1h_input_tokens", schemas.Scalar},
		{"ephemeral_5m_input_tokens", schemas.Scalar},
	}
	n := len(paths) + 1
	l := &schemas.Layout{Slots: []int{n, n, n}}
	for frame, mount := range []string{"", "body.", "response."} {
		for slot, p := range paths {
			l.Wants = append(l.Wants, schemas.Want{
				Path: strings.Split(mount+p.path, "."), Frame: frame, Slot: slot, Shape: p.shape,
			})
		}
	}
	l.Wants = append(l.Wants,
		schemas.Want{Path: []string{"response", "request_id"}, Frame: 0, Slot: len(paths), Shape: schemas.Scalar},
		schemas.Want{Path: []string{"response", "id"}, Frame: 1, Slot: len(paths), Shape: schemas.Scalar},
	)
	l.Keep = []schemas.KeepPath{
		{Path: []string{"usage"}, Frame: 0},
		{Path: []string{"usage", "details"}, Frame: 0, Name: "details"},
		{Path: []string{"response", "usage"}, Frame: 2},
		{Path: []string{"response", "usage"}, Frame: 1, Name: "twice"},
		{Path: nil, Frame: 0, Name: "top", If: func(key []byte) bool { return bytes.HasSuffix(key, []byte("tokens")) }},
	}
	return l
}

// findings is what a record says, in a form to compare: "frame/slot" and
// "frame+key", with the decoded value.
type findings []string

func (f *findings) add(at string, v any) { *f = append(*f, fmt.Sprintf("%s = %#v", at, v)) }

func recorded(t tester, rec *schemas.Record) findings {
	got := findings{}
	for n := range rec.Frames {
		f := &rec.Frames[n]
		for s := range 64 * len(f.Set) {
			if f.Set.Has(s) {
				got.add(fmt.Sprintf("%d/%d", n, s), valueOf(t, rec, f.Val[s]))
			}
		}
		for _, x := range f.Extra {
			got.add(fmt.Sprintf("%d+%s", n, x.Key), valueOf(t, rec, x.Value))
		}
	}
	slices.Sort(got)
	return got
}

func valueOf(t tester, rec *schemas.Record, v schemas.Value) any {
	if v.Kind == schemas.Length {
		return int(v.End)
	}
	raw := rec.Bytes(v)
	text := string(raw)
	var ok bool
	switch v.Kind {
	case schemas.Text, schemas.Escaped:
		text = `"` + text + `"`
		ok = true
	case schemas.Number:
		ok = raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9'
	case schemas.True:
		ok = text == "true"
	case schemas.False:
		ok = text == "false"
	case schemas.Object:
		ok = raw[0] == '{'
	case schemas.Array:
		ok = raw[0] == '['
	}
	if !ok {
		t.Errorf("kind %d for %q", v.Kind, raw)
	}
	x, err := decodeAny([]byte(text))
	if err != nil {
		t.Errorf("captured %q: %v", raw, err)
	}
	return x
}

func decodeAny(doc []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// expected computes the findings from the decoded document, want by want.
func expected(l *schemas.Layout, root any) findings {
	want := findings{}
	for _, w := range l.Wants {
		if v := lookup(w.Path, w.Shape, root, nil); v != nil {
			want.add(fmt.Sprintf("%d/%d", w.Frame, w.Slot), v)
		}
	}
	for _, k := range l.Keep {
		v := root
		for _, key := range k.Path {
			m, _ := v.(map[string]any)
			v = m[key]
		}
		prefix := k.Name
		if prefix != "" {
			prefix += "."
		}
		var keep func(path []string, prefix string, v any)
		keep = func(path []string, prefix string, v any) {
			m, _ := v.(map[string]any)
			for key, v := range m {
				at := append(slices.Clip(path), key)
				if len(prefix)+len(key) > maxName || k.If != nil && !k.If([]byte(key)) || named(l, at) {
					continue
				}
				switch v.(type) {
				case nil, []any:
				case map[string]any:
					if k.If == nil {
						keep(at, prefix+key+".", v)
					}
				default:
					want.add(fmt.Sprintf("%d+%s", k.Frame, prefix+key), v)
				}
			}
		}
		keep(k.Path, prefix, v)
	}
	slices.Sort(want)
	return want
}

// named reports whether some want or kept object is at path or below.
func named(l *schemas.Layout, path []string) bool {
	under := func(p []string) bool { return len(p) >= len(path) && slices.Equal(p[:len(path)], path) }
	return slices.ContainsFunc(l.Wants, func(w schemas.Want) bool { return under(w.Path) }) ||
		slices.ContainsFunc(l.Keep, func(k schemas.KeepPath) bool { return under(k.Path) })
}

// lookup returns what is found at path below v, or else have.
func lookup(path []string, shape schemas.Shape, v, have any) any {
	list, isList := v.([]any)
	object, isObject := v.(map[string]any)
	switch {
	case len(path) > 0 && path[0] == "[]":
		for _, item := range list {
			have = lookup(path[1:], shape, item, have)
		}
	case len(path) > 0:
		if item, ok := object[path[0]]; ok {
			return lookup(path[1:], shape, item, nil)
		}
	case v == nil:
	case shape == schemas.Span, shape == schemas.Scalar && !isList && !isObject:
		return v
	case shape == schemas.Count && isList:
		return len(list)
	}
	return have
}

// neutral replaces control characters and bad escapes inside strings. What
// json.Valid says of the result is whether doc is sound but for these.
func neutral(doc []byte) []byte {
	out := slices.Clone(doc)
	inside := false
	for i := 0; i < len(out); i++ {
		switch {
		case out[i] == '"':
			inside = !inside
		case !inside:
		case out[i] < 0x20:
			out[i] = ' '
		case out[i] == '\\' && i+1 < len(out):
			legal := strings.IndexByte(`"\/bfnrt`, out[i+1]) >= 0
			if out[i+1] == 'u' && i+6 <= len(out) {
				legal = json.Valid([]byte(`"` + string(out[i:i+6]) + `"`))
			}
			if !legal {
				out[i], out[i+1] = '?', '?'
			}
			i++
		}
	}
	return out
}

// padded returns doc with its slack, filled with misleading bytes.
func padded(doc []byte, tail string) []byte {
	b := append(slices.Clip(slices.Clone(doc)), strings.Repeat(tail, slack/len(tail)+1)...)
	return b[:len(doc)]
}

// checkWalk holds a walk against encoding/json. It returns whether the
// document was accepted although encoding/json refuses it.
func checkWalk(t tester, w *Walker, l *schemas.Layout, doc []byte) (lenient bool) {
	t.Helper()
	rec, err := w.Walk(doc)
	valid := json.Valid(doc)
	if err != nil && err != ErrNotObject && err != ErrNotJSON {
		t.Fatalf("%.200q: error %v", doc, err)
	}
	if (rec == nil) != (err != nil) {
		t.Fatalf("%.200q: record %v with error %v", doc, rec, err)
	}
	if valid && err == ErrNotJSON {
		t.Fatalf("%.200q: wrongly refused", doc)
	}
	if !valid {
		if err == ErrNotJSON {
			return false
		}
		if err != nil || !json.Valid(neutral(doc)) {
			t.Fatalf("%.200q: wrongly accepted (%v)", doc, err)
		}
		checkLenient(t, w, l, rec)
		return true
	}
	root, err2 := decodeAny(doc)
	if err2 != nil {
		t.Fatalf("%.200q: %v", doc, err2)
	}
	if _, object := root.(map[string]any); object != (err == nil) {
		t.Fatalf("%.200q: error %v", doc, err)
	}
	if err != nil {
		return false
	}
	if d := cmp.Diff(expected(l, root), recorded(t, rec)); d != "" {
		t.Fatalf("%.300q:\n%s", doc, d)
	}
	checkMembers(t, w, doc)
	return false
}

// checkLenient holds the record of a document with faults in unread strings
// against that of its neutral form: the same captures, and none of what is
// read was at fault.
func checkLenient(t tester, w *Walker, l *schemas.Layout, rec *schemas.Record) {
	t.Helper()
	doc := rec.Doc
	got := captures(l, rec)
	better := padded(neutral(doc), "}")
	checkWalk(t, w, l, better)
	rec, err := w.Walk(better)
	if err != nil {
		t.Fatalf("%.200q: %v", better, err)
	}
	if d := cmp.Diff(captures(l, rec), got); d != "" {
		t.Fatalf("%.300q:\n%s", doc, d)
	}
}

// textOnly is v without the number that its text is, which it must be.
func textOnly(rec *schemas.Record, v schemas.Value) schemas.Value {
	if v.Whole && (v.Kind != schemas.Number || fmt.Sprint(v.Number) != string(rec.Bytes(v))) {
		panic(fmt.Sprintf("%q is said to be %d", rec.Bytes(v), v.Number))
	}
	v.Whole, v.Number = false, 0
	return v
}

// capture is a value of a record and where it was found.
type capture struct {
	At    string
	Value schemas.Value
	Text  string // of what is read
}

func captures(l *schemas.Layout, rec *schemas.Record) (all []capture) {
	for _, want := range l.Wants {
		if f := &rec.Frames[want.Frame]; f.Set.Has(want.Slot) {
			c := capture{At: fmt.Sprint(want.Frame, "/", want.Slot), Value: textOnly(rec, f.Val[want.Slot])}
			if want.Shape == schemas.Scalar {
				c.Text = string(rec.Bytes(c.Value))
			}
			all = append(all, c)
		}
	}
	for n, f := range rec.Frames {
		for _, x := range f.Extra {
			all = append(all, capture{fmt.Sprint(n, "+", x.Key), textOnly(rec, x.Value), string(rec.Bytes(x.Value))})
		}
	}
	return all
}

// checkMembers holds AnyMember against the tokens of encoding/json.
func checkMembers(t tester, w *Walker, doc []byte) {
	t.Helper()
	var got []string
	found := w.AnyMember(doc, func(parent, key, value []byte) bool {
		if value == nil {
			return true
		}
		first := value[0]
		if len(value) > 1 && !json.Valid(value) {
			t.Errorf("%.200q: value %q", doc, value)
		}
		got = append(got, fmt.Sprintf("%q %q %c", parent, key, first))
		return false
	})
	if found {
		t.Errorf("%.200q: found without a pick", doc)
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var want []string
	var value func(parent string) byte
	value = func(parent string) byte {
		token, err := d.Token()
		if err != nil {
			t.Fatalf("%.200q: %v", doc, err)
		}
		switch token := token.(type) {
		case json.Delim:
			for d.More() {
				if token == '[' {
					value(parent)
					continue
				}
				key, _ := d.Token()
				n := len(want)
				want = append(want, "")
				first := value(key.(string))
				want[n] = fmt.Sprintf("%q %q %c", parent, key, first)
			}
			d.Token()
			return byte(token)
		case json.Number:
			return token[0]
		case bool:
			return fmt.Sprint(token)[0]
		case nil:
			return 'n'
		}
		return '"'
	}
	value("")
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%.300q: members\n%s", doc, d)
	}
	if n := len(want); n > 0 {
		calls := 0
		if !w.AnyMember(doc, func(_, _, value []byte) bool {
			if value != nil {
				calls++
			}
			return value == nil || calls == (n+1)/2
		}) || calls != (n+1)/2 {
			t.Errorf("%.200q: a pick did not end the search", doc)
		}
	}
}

func TestNeutral(t *testing.T) {
	for doc, want := range map[string]bool{
		`{"a":"\x"}`: true, "{\"a\":\"\n\"}": true, `{"a":"\u12"}`: true, `{"a":"\u12g4"}`: true,
		`{"a":"\"}`: false, `{"a":\x}`: false, "{\"a\"\x01:1}": false, `{"a":01}`: false, `{"\`: false,
	} {
		if json.Valid(neutral([]byte(doc))) != want {
			t.Errorf("%q: not %v", doc, want)
		}
	}
	if !utf8.Valid(neutral([]byte(`"é"`))) {
		t.Error("a letter was broken")
	}
}
