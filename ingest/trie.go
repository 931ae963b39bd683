package ingest

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"usagelake/schemas"
)

// Limits of what a walker learns from documents. A kept object of any real
// log is far below them; a hostile one must not fill the memory.
const (
	maxExtras = 1 << 12 // unknown members kept of a document; the rest is skipped
	maxName   = 1 << 10 // bytes of an Extra.Key; members with longer ones are skipped
)

// A node is an object on a wanted path.
type node struct {
	owner  *edge // the member (or array element) whose value the object is
	edges  table
	keeps  []keep
	learnt map[string]*edge // kept members by key; documents choose these keys
}

// A keep collects the unknown members of a node for one frame.
type keep struct {
	frame  int
	prefix string // of the keys, with the final dot
	pick   func(key []byte) bool
}

// An edge is a member on a wanted path, or the elements of an array there. It
// is unique for its path, so what it remembers of a document needs no stack.
type edge struct {
	key     string
	object  *node // what to walk if the value is an object
	element *edge // what to walk for every element if the value is an array

	scalars, spans, counts []target
	read                   bool // strings here are kept, so they must be valid

	// clears holds the slots of this edge and of everything below it.
	clears []slots

	// extras is set on learnt edges only. val is the value to keep; no kind
	// means none.
	extras []extra
	val    schemas.Value

	// occ numbers the last occurrence; the numbers of a walker only grow.
	// under is the occurrence of parent that it was met in: an edge belongs
	// to the document as it counts only if that one was not replaced since.
	occ, under uint64
	parent     *edge
}

type target struct{ frame, slot int }

type slots struct {
	frame int
	bits  schemas.Bits
}

type extra struct {
	frame int
	key   string
}

// compile builds the trie of l below a new root edge and returns it with the
// nodes that learn.
func compile(l *schemas.Layout) (root *edge, learning []*node) {
	if l.Slots > schemas.MaxSlots {
		panic(fmt.Sprintf("ingest: a layout of %d slots", l.Slots))
	}
	root = &edge{}
	for _, want := range l.Wants {
		if uint(want.Frame) >= uint(l.Frames) || uint(want.Slot) >= uint(l.Slots) {
			panic(fmt.Sprintf("ingest: no frame %d or slot %d for %q", want.Frame, want.Slot, want.Path))
		}
		e, t := root.descend(want.Path), target{want.Frame, want.Slot}
		switch want.Shape {
		case schemas.Scalar:
			e.scalars, e.read = append(e.scalars, t), true
		case schemas.Span:
			e.spans = append(e.spans, t)
		case schemas.Count:
			e.counts = append(e.counts, t)
		}
		for ; e != nil; e = e.parent {
			e.slots(t.frame).Add(t.slot)
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
			child = &edge{key: key, parent: e}
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
func (e *edge) slots(frame int) *schemas.Bits {
	for i := range e.clears {
		if e.clears[i].frame == frame {
			return &e.clears[i].bits
		}
	}
	e.clears = append(e.clears, slots{frame: frame})
	return &e.clears[len(e.clears)-1].bits
}

// learn adds an edge for a key that n does not know. It returns nil if the
// member is not to be kept.
func (n *node) learn(key []byte) *edge {
	e := &edge{key: string(key), parent: n.owner, read: true}
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
