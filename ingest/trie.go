package ingest

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"unicode/utf8"

	"usagelake/schemas"
)

// Limits of what a walker learns from documents. A kept object of any real
// log is far below them; a hostile one must not fill the memory.
const (
	maxExtras = 1 << 12 // unknown members kept of a document; the rest is skipped
	maxName   = 1 << 10 // bytes of an Extra.Key; members with longer ones are skipped
	maxOthers = 64      // keys of an object that nobody wants and that are known again
	maxOther  = 64      // bytes of such a key
)

// A node is an object on a wanted path.
type node struct {
	owner  *edge // the member (or array element) whose value the object is
	edges  table
	keeps  []keep
	learnt map[string]*edge // kept members by key; documents choose these keys
	others map[string]*edge // some members that nobody wants, by key
	first  *edge            // the member that an object began with the last time
}

// A keep collects the unknown members of a node for one frame.
type keep struct {
	frame  int
	prefix string // of the keys, with the final dot
	pick   func(key []byte) bool
}

// An edge is a member on a wanted path, or the elements of an array there. It
// is unique for its path, so what it remembers of a document needs no stack.
// What every member needs stands first: a document touches many edges.
type edge struct {
	// pattern is the key with its quotes and colon, as it mostly stands in a
	// document, in words of 8 bytes; size is its length, 0 where it may stand
	// there otherwise or is long. tail is the bytes of its last word.
	pattern [maxPattern / 8]uint64
	tail    uint64
	size    int

	// next is the member that followed this one the last time. It is a guess:
	// what is walked never depends on it.
	next *edge
	// round is the walker's when it learnt the edge, 0 for those of the layout.
	// A learnt edge of an earlier round is forgotten.
	round  int32
	skip   bool // nobody wants the member
	read   bool // strings here are kept, so they must be valid
	whole  bool // a scalar fills span too, as it has places for values
	scalar want // what is filled by a scalar,
	// occ numbers the last occurrence; the numbers of a walker only grow.
	// under is the occurrence of parent that it was met in: an edge belongs
	// to the document as it counts only if that one was not replaced since.
	occ, under uint64
	parent     *edge

	object  *node // what to walk if the value is an object
	element *edge // what to walk for every element if the value is an array

	span   want // by an object or array as a whole,
	length want // and by an array's length

	// clears holds the slots of this edge and of everything below it.
	clears []slots

	// extras is set on learnt edges only. val is the value to keep; no kind
	// means none.
	extras []extra
	val    schemas.Value

	key string
}

// maxPattern is the most bytes of a pattern that is guessed: there is slack for
// it behind a document.
const maxPattern = 48

// A want is what a value fills: places for it, and bits of Record.Filled.
type want struct {
	value *schemas.Value // the first of them; may be nil
	bits  uint64
	word  *uint64
	more  []want // the others
}

func (w *want) add(value *schemas.Value, word *uint64, bit uint64) {
	if w.word == nil || w.word == word && (w.value == nil || value == nil) {
		w.word = word
		w.bits |= bit
		if value != nil {
			w.value = value
		}
		return
	}
	w.more = append(w.more, want{value: value, word: word, bits: bit})
}

// fill fills all places with v.
func (w *want) fill(v schemas.Value) {
	if w.word != nil {
		*w.word |= w.bits
	}
	if w.value != nil {
		*w.value = v
	}
	if w.more != nil {
		w.fillMore(v)
	}
}

func (w *want) fillMore(v schemas.Value) {
	for i := range w.more {
		w.more[i].fill(v)
	}
}

type slots struct {
	frame int
	bits  schemas.Bits
}

type extra struct {
	frame int
	key   string
}

// compile builds the trie of l below a new root edge and returns it with the
// nodes that learn. It fills rec.
func compile(l *schemas.Layout, rec *schemas.Record) (root *edge, learning []*node) {
	if l.Slots > schemas.MaxSlots {
		panic(fmt.Sprintf("ingest: a layout of %d slots", l.Slots))
	}
	root = &edge{}
	for _, want := range l.Wants {
		if uint(want.Frame) >= uint(l.Frames) || uint(want.Slot) >= uint(l.Slots) {
			panic(fmt.Sprintf("ingest: no frame %d or slot %d for %q", want.Frame, want.Slot, want.Path))
		}
		e, f := root.descend(want.Path), &rec.Frames[want.Frame]
		value, word, bit := &f.Val[want.Slot], &f.Set[want.Slot>>6], uint64(1)<<(want.Slot&63)
		switch want.Shape {
		case schemas.Scalar:
			e.scalar.add(value, word, bit)
			e.read = true
		case schemas.Count:
			e.length.add(value, word, bit)
		case schemas.Span:
			e.span.add(value, word, bit)
			e.whole = true
		case schemas.Any:
			e.scalar.add(nil, word, bit)
			e.span.add(nil, word, bit)
		}
		for ; e != nil; e = e.parent {
			e.slots(l, want.Frame).Add(want.Slot)
		}
	}
	for _, k := range l.Keep {
		if uint(k.Frame) >= uint(l.Frames) {
			panic(fmt.Sprintf("ingest: no frame %d for %q", k.Frame, k.Path))
		}
		prefix := k.Name
		if prefix != "" {
			prefix += "."
		}
		n := root.descend(k.Path).node()
		if n.keeps == nil {
			learning = append(learning, n)
		}
		n.keeps = append(n.keeps, keep{k.Frame, prefix, k.If})
	}
	return root, learning
}

// descend returns the edge at path below e and makes what is missing.
func (e *edge) descend(path []string) *edge {
	for _, key := range path {
		if key == "[]" {
			if e.element == nil {
				e.element = &edge{parent: e}
			}
			e = e.element
			continue
		}
		n := e.node()
		child := n.edges.find([]byte(key))
		if child == nil {
			child = newEdge(key, e)
			n.edges.add(child)
		}
		e = child
	}
	return e
}

// node returns the node for e's objects and makes it if missing.
func (e *edge) node() *node {
	if e.object == nil {
		e.object = &node{owner: e}
	}
	return e.object
}

// slots returns the slots of one frame in e.clears.
func (e *edge) slots(l *schemas.Layout, frame int) schemas.Bits {
	for i := range e.clears {
		if e.clears[i].frame == frame {
			return e.clears[i].bits
		}
	}
	e.clears = append(e.clears, slots{frame: frame, bits: make(schemas.Bits, l.Words())})
	return e.clears[len(e.clears)-1].bits
}

// learn adds an edge for a key that n does not know. It returns nil if the
// member is not to be kept.
func (n *node) learn(key []byte, round int32) *edge {
	e := newEdge(string(key), n.owner)
	e.round, e.read = round, true
	for _, k := range n.keeps {
		if len(k.prefix)+len(key) > maxName || k.pick != nil && !k.pick(key) {
			continue
		}
		name := k.prefix + e.key
		e.extras = append(e.extras, extra{k.frame, name})
		if k.pick == nil {
			below := e.node()
			below.keeps = append(below.keeps, keep{frame: k.frame, prefix: name + "."})
		}
	}
	if e.extras == nil {
		return nil
	}
	if n.learnt == nil {
		n.learnt = make(map[string]*edge)
	}
	n.learnt[e.key] = e
	return e
}

// other returns an edge for a key that nobody wants, nil where it is not worth
// one.
func (n *node) other(key []byte) *edge {
	e := n.others[string(key)]
	if e == nil && len(n.others) < maxOthers && len(key) <= maxOther {
		e = newEdge(string(key), n.owner)
		e.skip = true
		if n.others == nil {
			n.others = make(map[string]*edge)
		}
		n.others[e.key] = e
	}
	return e
}

func newEdge(key string, parent *edge) *edge {
	e := &edge{key: key, parent: parent}
	if len(key)+3 > maxPattern || !utf8.ValidString(key) {
		return e
	}
	for i := range len(key) {
		if c := key[i]; c < ' ' || c == '"' || c == '\\' {
			return e
		}
	}
	var text [maxPattern]byte
	e.size = copy(text[:], `"`+key+`":`)
	for i := range e.pattern {
		e.pattern[i] = binary.LittleEndian.Uint64(text[8*i:])
	}
	e.tail = math.MaxUint64 >> (-8 * e.size & 63)
	return e
}

// here reports whether the pattern stands in a document with slack, at i.
func (e *edge) here(b []byte, i int) bool {
	if e.size == 0 || i+e.size > len(b) {
		return false
	}
	last := (e.size - 1) >> 3
	for k := range last {
		if load64(b, i+8*k) != e.pattern[k] {
			return false
		}
	}
	return load64(b, i+8*last)&e.tail == e.pattern[last]
}

// live reports whether neither e's last occurrence nor one around it was
// replaced by a repeated key.
func (e *edge) live() bool {
	for ; e.parent != nil; e = e.parent {
		if e.under != e.parent.occ {
			return false
		}
	}
	return true
}

// A table finds the edges of the layout by key: open addressing, at most half
// full. Keys that agree in length and at both ends share a hash, as real ones
// do, so it always compares all of the key.
type table struct {
	cells []*edge // a power of two of them
	n     int
}

func (t *table) find(key []byte) *edge {
	if t.n == 0 {
		return nil
	}
	for i := hash(key); ; i++ {
		e := t.cells[i&uint64(len(t.cells)-1)]
		if e == nil || e.key == string(key) {
			return e
		}
	}
}

// add adds an edge whose key is not in the table.
func (t *table) add(e *edge) {
	if 2*(t.n+1) > len(t.cells) {
		old := t.cells
		*t = table{cells: make([]*edge, max(4, 2*len(old)))}
		for _, e := range old {
			if e != nil {
				t.add(e)
			}
		}
	}
	i := hash([]byte(e.key))
	for t.cells[i&uint64(len(t.cells)-1)] != nil {
		i++
	}
	t.cells[i&uint64(len(t.cells)-1)] = e
	t.n++
}

func hash(key []byte) uint64 {
	var head, tail uint64
	switch n := len(key); {
	case n >= 8:
		head, tail = binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[n-8:])
	case n >= 4:
		head, tail = uint64(binary.LittleEndian.Uint32(key)), uint64(binary.LittleEndian.Uint32(key[n-4:]))
	case n > 0:
		head, tail = uint64(key[0]), uint64(key[n/2])<<8|uint64(key[n-1])
	}
	h := (head ^ bits.RotateLeft64(tail, 29) ^ uint64(len(key))) * 0x9e3779b97f4a7c15
	return h >> 32
}
