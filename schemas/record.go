package schemas

// Bits is a set of slots.
type Bits []uint64

// Has reports whether s is in the set.
func (b Bits) Has(s int) bool { return b[s>>6]&(1<<(s&63)) != 0 }

// Add puts s into the set.
func (b Bits) Add(s int) { b[s>>6] |= 1 << (s & 63) }

// Remove takes the members of o out of the set.
func (b Bits) Remove(o Bits) {
	for i := range b {
		b[i] &^= o[i]
	}
}

// Shape says what the walk keeps of a wanted value.
type Shape uint8

const (
	// Scalar keeps a number, string or boolean; strings are validated.
	// Objects and arrays at the path do not fill the slot.
	Scalar Shape = iota
	// Span keeps the extent of any value that is not null, unread.
	Span
	// Count keeps the length of an array.
	Count
)

// Want asks the walk for one path of one frame.
type Want struct {
	// Path from the root of the document; "[]" stands for every element of an
	// array, "[by=is]" for those whose member by is the string or number is, "[0]" to "[9]" for
	// one by its place. The last one wins.
	Path  []string
	Frame int
	Slot  int
	Shape Shape
}

// Layout is what a walk is compiled from. A frame is one envelope position
// (the document's root, response.body, …) with slots of its own, so that two
// copies of a usage object in one record never mix.
type Layout struct {
	Slots []int // how many each frame has
	Wants []Want
	// Keep lists objects whose unknown members are kept in Frame.Extra.
	Keep []KeepPath
}

// KeepPath names an object whose unknown members are kept.
type KeepPath struct {
	Path  []string
	Frame int
	// Name is put before the member's key, with a dot, in Extra.Key; it is
	// empty for the usage object itself.
	Name string
	// If is nil or picks the keys to keep.
	If func(key []byte) bool
}

// ValueKind tells what JSON value a capture holds.
type ValueKind uint8

const (
	Number  ValueKind = iota + 1
	Text              // a string without escapes, valid UTF-8
	Escaped           // a string with valid escapes or with invalid UTF-8
	True
	False
	Object
	Array
	Length // no text; End is the length of the array
)

// Value is one capture. Off and End bound its text in Record.Doc, without the
// quotes for strings.
type Value struct {
	Off, End uint32
	Kind     ValueKind
	Whole    bool   // Number is that of the text; where it is not set it may be too
	Number   uint32 // of up to 8 digits
}

// Extra is a member of a kept object that no path wants.
type Extra struct {
	Key   string
	Value Value
}

// Frame is what the walk found at one envelope position. Val[s] is meaningful
// only where Set has s: present and not null.
type Frame struct {
	Set   Bits // a part of Record.Filled
	Val   []Value
	Extra []Extra
}

// Record is one JSON document as the walk leaves it. It belongs to its walker
// and is valid until the next walk; Doc is valid as long as its block.
type Record struct {
	Doc    []byte
	Frames []Frame
	// Filled holds the sets of all frames, one behind the other: the shape of
	// the document as the layout sees it.
	Filled []uint64
	// Form is nil, or what the document has in common with others: then Frames has
	// one more than the layout, and that alone holds values. Whoever keeps them may
	// put a copy of its Val there, for the values of the next document to go to.
	Form *Form
}

// A Form is what documents have in common whose text is the same but for the
// values. All have the same Filled.
type Form struct {
	At    map[Slot]int // where in the last frame the value of a slot stands that is filled
	Extra []ExtraAt    // of all frames, in order
	// Unread tells which values of the last frame nobody looks at, nil for none:
	// whoever reads the records may set it. Then these may be left as they are.
	Unread []bool
}

// ExtraAt is where in the last frame the value of an Extra stands.
type ExtraAt struct {
	Frame int
	Key   string
	At    int
}

// Slot names a slot of a layout.
type Slot struct{ Frame, Number int }

// NewRecord makes an empty record for l.
func NewRecord(l *Layout) Record {
	words := 0
	for _, n := range l.Slots {
		words += (n + 63) / 64
	}
	r := Record{Frames: make([]Frame, len(l.Slots)), Filled: make([]uint64, words)}
	rest := r.Filled
	for f, n := range l.Slots {
		words := (n + 63) / 64
		r.Frames[f] = Frame{Set: rest[:words:words], Val: make([]Value, n)}
		rest = rest[words:]
	}
	return r
}

// Spread fills in the Extra of the frames from the values of the last one, of a
// record that has a Form.
func (r *Record) Spread() {
	if len(r.Form.Extra) == 0 {
		return
	}
	for _, e := range r.Form.Extra {
		x := &r.Frames[e.Frame].Extra
		*x = (*x)[:0]
	}
	values := r.Frames[len(r.Frames)-1].Val
	for _, e := range r.Form.Extra {
		x := &r.Frames[e.Frame].Extra
		*x = append(*x, Extra{Key: e.Key, Value: values[e.At]})
	}
}

// Bytes is the raw text of v.
func (r *Record) Bytes(v Value) []byte { return r.Doc[v.Off:v.End] }
