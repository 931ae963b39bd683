package ingest

import (
	"math/bits"
	"slices"

	"usagelake/schemas"
)

// A form is what the documents of one program have in common: all of their text
// but the values. A document of a known form need not be walked: its text is
// compared, its values are read with the walk's own scanners, and what they fill
// follows from the form. Only documents in which no member repeats have one.
type form struct {
	text   string // all of fields and the tail, to tell forms apart
	fields []field
	tail   string // what stands behind the last value
	spans  []span
	again  []again

	// record is of the document at hand. Its last frame holds the values of fields,
	// then of spans, then what does not change.
	record schemas.Record
	last   *schemas.Frame
	own    []ownValue
}

// ownValue is where a value of the last frame stands in a walker's own record.
type ownValue struct {
	schemas.Slot
	at int
}

// A field is the text before a value, and the value.
type field struct {
	size  int      // of the text, in bytes
	words []uint64 // the text; the last one is filled up with zeros
	mask  uint64   // of the last word
	class class
	read  bool // strings must be valid
}

// An again is the value of a field once more, for those who take it unread.
type again struct{ field, value int }

// class is what of a value the form depends on. null is a part of the text.
type class byte

const (
	scalarClass class = iota
	objectClass
	arrayClass
)

// A span is the extent of an object or array with values in it: from and to
// number the fields in whose text it begins and ends, offsets are within that.
type span struct {
	edge                   *edge
	kind                   schemas.ValueKind
	from, fromOff, to, end int
}

// A length is that of an array.
type length struct {
	edge  *edge
	value schemas.Value
}

// Limits of the forms that a walker knows, and of what one may cost.
const (
	maxForms  = 16
	maxFields = 256
	maxCredit = 512
	missCost  = 4
	restFor   = 1 << 12 // documents, when too many have had no known form
)

// forms are those that were met last, the last one first.
type forms struct {
	known  []*form
	credit int // what misses may still cost; a hit earns 1
	rest   int // documents to come that are not compared with forms
	tape   *tape
	spare  tape
}

// A tape is what the walk has met in a document, to make a form of.
type tape struct {
	leaves  []leaf
	spans   []span // offsets are in the document
	lengths []length
	broken  bool // it has no form
}

type leaf struct {
	edge     *edge
	off, end int
	class    class
}

func (t *tape) len() int {
	if t == nil {
		return 0
	}
	return len(t.leaves)
}

// length notes that of an array that was walked.
func (t *tape) length(e *edge, v schemas.Value) {
	if t != nil && len(e.counts) > 0 {
		t.lengths = append(t.lengths, length{e, v})
	}
}

// leaf notes a value.
func (t *tape) leaf(e *edge, off, end int, c class) {
	if end < 0 || len(t.leaves) == maxFields {
		t.broken = true
		return
	}
	t.leaves = append(t.leaves, leaf{e, off, end, c})
}

// span notes an object or array that was walked, in which the first of the
// leaves is number from.
func (t *tape) span(e *edge, kind schemas.ValueKind, from, off, end int) {
	if end >= 0 && len(e.others) > 0 {
		t.spans = append(t.spans, span{edge: e, kind: kind, from: from, fromOff: off, to: len(t.leaves), end: end})
	}
}

// begin makes ready to learn the form of a document.
func (f *forms) begin() {
	f.tape = nil
	if f.rest > 0 {
		f.rest--
		return
	}
	if f.known != nil {
		if f.credit -= missCost; f.credit < 0 {
			f.credit, f.rest = maxCredit/2, restFor
			return
		}
	} else {
		f.credit = maxCredit
	}
	t := &f.spare
	t.leaves, t.spans, t.lengths, t.broken = t.leaves[:0], t.spans[:0], t.lengths[:0], false
	f.tape = t
}

// learnForm makes the form of the document that was walked.
func (w *Walker) learnForm() {
	t := w.forms.tape
	w.forms.tape = nil
	if t == nil || t.broken {
		return
	}
	doc := w.record.Doc
	f := &form{fields: make([]field, len(t.leaves))}
	var text []byte
	behind := 0
	for i, l := range t.leaves {
		before := doc[behind:l.off]
		behind = l.end
		text = append(append(append(text, before...), 0), byte(l.class))
		f.fields[i] = newField(before, l)
	}
	f.tail = string(doc[behind:])
	f.text = string(append(text, f.tail...))
	if i := slices.IndexFunc(w.forms.known, func(k *form) bool { return k.text == f.text }); i >= 0 {
		w.forms.first(i) // a value of it was unusual
		return
	}
	for _, s := range t.spans {
		s.fromOff -= t.endOf(s.from)
		s.end -= t.endOf(s.to)
		f.spans = append(f.spans, s)
	}
	if !w.lay(f, t) {
		return
	}
	if len(w.forms.known) == maxForms {
		w.forms.known = w.forms.known[:maxForms-1]
	}
	w.forms.known = append(w.forms.known, f)
	w.forms.first(len(w.forms.known) - 1)
}

// lay makes the record of documents of a form: it has the sets of the walker's
// own, which has just been filled by one of them. It reports false where an object
// or array and another value fill one slot: which one counts is the walk's to say.
func (w *Walker) lay(f *form, t *tape) bool {
	f.record = schemas.Record{Filled: slices.Clone(w.record.Filled), Frames: make([]schemas.Frame, len(w.record.Frames)+1)}
	rest := f.record.Filled
	for i, frame := range w.record.Frames {
		n := len(frame.Set)
		f.record.Frames[i].Set, rest = rest[:n:n], rest[n:]
	}
	at := map[schemas.Slot]int{}
	put := func(targets []target, v int) {
		for _, t := range targets {
			if *t.word&t.bit != 0 {
				at[t.slot] = v
			}
		}
	}
	var extras []schemas.ExtraAt
	values := make([]schemas.Value, len(t.leaves)+len(f.spans))
	for i, l := range t.leaves {
		if l.class == scalarClass {
			put(l.edge.scalars, i)
			for _, x := range l.edge.extras {
				extras = append(extras, schemas.ExtraAt{Frame: x.frame, Key: x.key, At: i})
			}
			if len(l.edge.others) > 0 {
				put(l.edge.others, len(values))
				f.again = append(f.again, again{i, len(values)})
				values = append(values, schemas.Value{})
			}
		} else {
			put(l.edge.others, i)
		}
	}
	for i, s := range f.spans {
		if slices.ContainsFunc(s.edge.others, func(t target) bool { _, twice := at[t.slot]; return twice }) {
			return false
		}
		put(s.edge.others, len(t.leaves)+i)
	}
	for _, l := range t.lengths {
		put(l.edge.counts, len(values))
		values = append(values, l.value)
	}
	f.last = &f.record.Frames[len(w.record.Frames)]
	f.last.Val = values
	f.record.Form = &schemas.Form{At: at, Extra: extras}
	for slot, v := range at {
		f.own = append(f.own, ownValue{slot, v})
	}
	return true
}

// endOf is where the value before leaf i ends.
func (t *tape) endOf(i int) int {
	if i == 0 {
		return 0
	}
	return t.leaves[i-1].end
}

// first moves a form to the front.
func (f *forms) first(i int) {
	k := f.known[i]
	copy(f.known[1:i+1], f.known[:i])
	f.known[0] = k
}

// recognise looks for the form of doc, and fills the form's record with the values
// of its fields if it is a known one.
func (w *Walker) recognise(doc []byte) *form {
	if w.forms.rest > 0 {
		return nil
	}
	for i, f := range w.forms.known {
		if !w.follow(f, doc) {
			continue
		}
		if i > 0 {
			w.forms.first(i)
		}
		w.forms.credit = min(w.forms.credit+1, maxCredit)
		return f
	}
	return nil
}

// newField makes the field of a value, with the text before it.
func newField(before []byte, l leaf) field {
	s := field{size: len(before), words: make([]uint64, (len(before)+7)/8), mask: ^uint64(0), class: l.class, read: l.edge.read}
	for i, c := range before {
		s.words[i/8] |= uint64(c) << (i % 8 * 8)
	}
	if n := len(before) % 8; n > 0 {
		s.mask = 1<<(n*8) - 1
	}
	return s
}

// stands reports whether the field's text stands in b at i, where there is as
// much and slack.
func (s *field) stands(b []byte, i int) bool {
	last := len(s.words) - 1
	if last < 0 {
		return true
	}
	for _, w := range s.words[:last] {
		if load64(b, i) != w {
			return false
		}
		i += 8
	}
	return (load64(b, i)^s.words[last])&s.mask == 0
}

// follow compares a document with a form and reads its values.
func (w *Walker) follow(f *form, b []byte) bool {
	i := 0
	values := f.last.Val[:len(f.fields)]
	for k := range f.fields {
		s := &f.fields[k]
		if len(b)-i <= s.size || !s.stands(b, i) {
			return false
		}
		i += s.size
		off, kind := i, schemas.Number
		switch c := b[i]; {
		case s.class != scalarClass:
			kind = schemas.Object
			if s.class == arrayClass {
				kind = schemas.Array
			}
			if c != opening[s.class] {
				return false
			}
			if at(b, i+1) == opening[s.class]+2 { // ] and } stand two behind [ and {
				i += 2
			} else {
				i = w.skipNested(b, i)
			}
		case c-'0' < 10:
			x := load64(b, i)
			n := bits.TrailingZeros64(notDigits(x)) >> 3
			if end := at(b, i+n); (end == ',' || end == '}') && (n == 1 || c != '0') {
				i += n
				set(&values[k], off, i, kind)
				values[k].Whole, values[k].Number = true, whole(x, n)
				continue
			}
			i = number(b, i)
		case c == '"':
			off++
			if s.read {
				i, kind = readString(b, off)
			} else {
				i, kind = skipString(b, off), schemas.Text
			}
			if i >= 0 {
				set(&values[k], off, i, kind)
				i++
				continue
			}
		case c == 'n' || c == '{' || c == '[':
			return false
		default:
			i, kind = scalar(b, i)
		}
		if i < 0 {
			return false
		}
		set(&values[k], off, i, kind)
	}
	return len(b)-i == len(f.tail) && string(b[i:]) == f.tail
}

// set sets a value, field by field: to make it first and then copy it is slow.
func set(v *schemas.Value, off, end int, kind schemas.ValueKind) {
	v.Off, v.End, v.Kind, v.Whole = uint32(off), uint32(end), kind, false
}

// whole is the number of the first n digits in x, 1 to 8 of them.
func whole(x uint64, n int) uint32 {
	x = (x ^ ones*'0') << (64 - 8*n) // the first one lowest, behind zeros
	x = x*10 + x>>8
	return uint32((x&0xff000000ff*0x000f424000000064 + x>>16&0xff000000ff*0x0000271000000001) >> 32)
}

var opening = [...]byte{objectClass: '{', arrayClass: '['}

// complete fills in what follows from the form of the document, but for values
// that are not read.
func (f *form) complete(doc []byte, unread []bool) {
	f.record.Doc = doc
	values := f.last.Val
	for _, a := range f.again {
		if a.value < len(unread) && unread[a.value] {
			continue
		}
		v := values[a.field]
		if v.Kind == schemas.Escaped {
			v.Kind = schemas.Text
		}
		values[a.value] = v
	}
	for i := range f.spans {
		at := len(f.fields) + i
		if at < len(unread) && unread[at] {
			continue
		}
		s := &f.spans[i]
		set(&values[at], int(f.behind(s.from))+s.fromOff, int(f.behind(s.to))+s.end, s.kind)
	}
	f.record.Spread()
}

// behind is where the value before that of field i ends.
func (f *form) behind(i int) uint32 {
	if i == 0 {
		return 0
	}
	switch v := &f.last.Val[i-1]; v.Kind {
	case schemas.Text, schemas.Escaped:
		return v.End + 1 // its quote
	default:
		return v.End
	}
}

// spread fills the walker's own record like that of a form.
func (w *Walker) spread(f *form) {
	copy(w.record.Filled, f.record.Filled)
	for _, v := range f.own {
		w.record.Frames[v.Frame].Val[v.Number] = f.last.Val[v.at]
	}
	for i := range w.record.Frames {
		if x := f.record.Frames[i].Extra; len(x) > 0 {
			w.record.Frames[i].Extra = append(w.record.Frames[i].Extra, x...)
			w.extras = append(w.extras, i)
		}
	}
}
