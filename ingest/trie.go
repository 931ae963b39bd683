package ingest

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"
	"unicode/utf8"

	"usagelake/schemas"
)

// Limits of what a walker learns from documents. Any real log is far below
// them; a hostile one must not fill the memory.
const (
	maxExtras  = 1 << 12 // unknown members kept of a document; the rest is skipped
	maxName    = 1 << 10 // bytes of an Extra.Key; members with longer ones are skipped
	maxLearnt  = 1 << 12 // edges learnt until the walker forgets them
	maxSkipped = 64      // edges learnt of a node for members to skip
	maxUnread  = 8       // unread objects within each other that are learnt
)

// A node is an object on a wanted path, or an unread one that was learnt.
type node struct {
	owner *edge // the member (or array element) whose value the object is
	edges table
	first *edge // what the last object began with, or nil
	keeps []keep

	skipped int   // learnt edges that skip
	unread  uint8 // how deep in unread objects, or 0: keys need not be valid
	wild    bool  // unread, and its keys cannot all be learnt
}

// A keep collects the unknown members of a node for one frame.
type keep struct {
	frame  int
	prefix string // of the keys, with the final dot
	pick   func(key []byte) bool
}

// An edge is a member on a wanted path, or the elements of an array there, or
// a learnt member. It is unique for its path, so what it remembers of a
// document needs no stack.
type edge struct {
	pattern
	next *edge // the member that followed last, or nil

	// occ numbers the last occurrence; the numbers of a walker only grow.
	// under is the occurrence of parent that it was met in: an edge belongs
	// to the document as it counts only if that one was not replaced since.
	occ, under uint64

	scalars []target // what a number, string or boolean fills
	others  []target // those of them that any value fills, unread
	object  *node    // what to walk if the value is an object
	read    bool     // strings here are kept, so they must be valid
	learnt  bool
	skip    bool // learnt, and nobody wants it

	counts  []target
	element *edge // what to walk for every element if the value is an array
	choice  *choice
	nth     []*edge // what to walk for the elements at the front, instead; nil where there is nothing
	parent  *edge
	key     string
	ahead   *ahead // until it is first met

	// clears holds the slots of this edge and of everything below it.
	clears []slots

	// extras is set on learnt edges that are kept. val is the value to keep;
	// no kind means none.
	extras []extra
	val    schemas.Value
}

// ahead is what an edge of the layout will be made of: of a layout a document meets
// little.
type ahead struct {
	wants, keeps []int32 // of the layout, those at its path and below
	depth        int     // of its path
}

// A choice tells the elements of an array apart by the text of one of their
// members.
type choice struct {
	key  string
	edge map[string]*edge // by that text
}

// target is a slot of a frame.
type target struct {
	val  *schemas.Value
	word *uint64 // of the frame's set
	bit  uint64
	slot schemas.Slot
}

type slots struct {
	frame int
	bits  schemas.Bits
}

type extra struct {
	frame int
	key   string
}

// A trie is a layout compiled for one record, as far as documents have met it.
type trie struct {
	layout *schemas.Layout
	root   *edge
	nodes  []*node // of the layout, which learn
	rec    *schemas.Record
}

// compile makes the trie of l, which fills rec.
func compile(l *schemas.Layout, rec *schemas.Record) *trie {
	check(l)
	t := &trie{layout: l, root: &edge{ahead: &ahead{}}, rec: rec}
	for i := range l.Wants {
		t.root.ahead.wants = append(t.root.ahead.wants, int32(i))
	}
	for i := range l.Keep {
		t.root.ahead.keeps = append(t.root.ahead.keeps, int32(i))
	}
	t.settle(t.root)
	return t
}

// check panics if a layout asks for what there cannot be.
func check(l *schemas.Layout) {
	chosen := map[string]string{}
	for _, want := range l.Wants {
		if uint(want.Frame) >= uint(len(l.Slots)) || uint(want.Slot) >= uint(l.Slots[want.Frame]) {
			panic(fmt.Sprintf("ingest: no frame %d or slot %d for %q", want.Frame, want.Slot, want.Path))
		}
		for i, key := range want.Path {
			by, is := choosing(key)
			if is == "" {
				continue
			}
			at := strings.Join(want.Path[:i], "\x00")
			if was := chosen[at]; was != "" && was != by {
				panic(fmt.Sprintf("ingest: elements at %q are chosen by %q and by %q", want.Path, was, by))
			}
			chosen[at] = by
		}
	}
	for _, k := range l.Keep {
		if uint(k.Frame) >= uint(len(l.Slots)) {
			panic(fmt.Sprintf("ingest: no frame %d for %q", k.Frame, k.Path))
		}
	}
}

// settle makes of e what the layout has for it, and edges for the members of its
// objects, which are settled when they are met.
func (t *trie) settle(e *edge) {
	a := e.ahead
	e.ahead = nil
	for _, i := range a.wants {
		want := &t.layout.Wants[i]
		e.slots(want.Frame, len(t.rec.Frames[want.Frame].Set)).Add(want.Slot)
		if len(want.Path) > a.depth {
			below := t.below(e, want.Path[a.depth], a.depth+1)
			below.wants = append(below.wants, i)
			continue
		}
		switch to := t.target(want.Frame, want.Slot); want.Shape {
		case schemas.Scalar:
			e.scalars, e.read = append(e.scalars, to), true
		case schemas.Span:
			e.scalars, e.others = append(e.scalars, to), append(e.others, to)
		case schemas.Count:
			e.counts = append(e.counts, to)
		}
	}
	for _, i := range a.keeps {
		k := &t.layout.Keep[i]
		if len(k.Path) > a.depth {
			below := t.below(e, k.Path[a.depth], a.depth+1)
			below.keeps = append(below.keeps, i)
			continue
		}
		prefix := k.Name
		if prefix != "" {
			prefix += "."
		}
		n := t.node(e)
		n.keeps = append(n.keeps, keep{k.Frame, prefix, k.If})
	}
	if e.element != nil {
		t.settle(e.element)
	}
	for _, nth := range e.nth {
		if nth != nil {
			t.settle(nth)
		}
	}
	if e.choice != nil {
		for _, chosen := range e.choice.edge {
			t.settle(chosen)
		}
	}
}

func (t *trie) target(frame, slot int) target {
	f := &t.rec.Frames[frame]
	return target{&f.Val[slot], &f.Set[slot>>6], 1 << (slot & 63), schemas.Slot{Frame: frame, Number: slot}}
}

// below is what the edge will be made of that is one key below e. That edge is made
// if it is missing.
func (t *trie) below(e *edge, key string, depth int) *ahead {
	if key == "[]" {
		if e.element == nil {
			e.element = &edge{parent: e, ahead: &ahead{depth: depth}}
		}
		return e.element.ahead
	}
	if n, ok := position(key); ok {
		for len(e.nth) <= n {
			e.nth = append(e.nth, nil)
		}
		if e.nth[n] == nil {
			e.nth[n] = &edge{parent: e, ahead: &ahead{depth: depth}}
		}
		return e.nth[n].ahead
	}
	if by, is := choosing(key); is != "" {
		if e.choice == nil {
			e.choice = &choice{by, map[string]*edge{}}
		}
		if e.choice.edge[is] == nil {
			e.choice.edge[is] = &edge{parent: e, ahead: &ahead{depth: depth}}
		}
		return e.choice.edge[is].ahead
	}
	n := t.node(e)
	member := n.edges.find([]byte(key))
	if member == nil {
		member = newEdge(key, e)
		member.ahead = &ahead{depth: depth}
		n.edges.add(member)
	}
	return member.ahead
}

// choosing takes an element of a path apart that chooses: "[by=is]".
func choosing(key string) (by, is string) {
	if len(key) < 2 || key[0] != '[' || key[len(key)-1] != ']' {
		return "", ""
	}
	by, is, _ = strings.Cut(key[1:len(key)-1], "=")
	return by, is
}

// position reads an element of a path that is one of an array's: "[0]".
func position(key string) (int, bool) {
	if len(key) != 3 || key[0] != '[' || key[2] != ']' || key[1] < '0' || key[1] > '9' {
		return 0, false
	}
	return int(key[1] - '0'), true
}

// node returns the node for e's objects and makes it if missing.
func (t *trie) node(e *edge) *node {
	if e.object == nil {
		e.object = &node{owner: e}
		t.nodes = append(t.nodes, e.object)
	}
	return e.object
}

// forget drops all learnt edges, and with them what was predicted.
func (t *trie) forget() {
	for _, n := range t.nodes {
		cells := n.edges.cells
		n.edges, n.first, n.skipped = table{}, nil, 0
		for _, e := range cells {
			if e != nil && !e.learnt {
				e.next = nil
				n.edges.add(e)
			}
		}
	}
}

func newEdge(key string, parent *edge) *edge {
	return &edge{pattern: newPattern(key), key: key, parent: parent}
}

// slots returns the slots of one frame in e.clears.
func (e *edge) slots(frame, words int) schemas.Bits {
	for i := range e.clears {
		if e.clears[i].frame == frame {
			return e.clears[i].bits
		}
	}
	e.clears = append(e.clears, slots{frame, make(schemas.Bits, words)})
	return e.clears[len(e.clears)-1].bits
}

// learn adds an edge for a key that n does not know. It returns nil if the
// member is to be skipped and that is not worth to be learnt.
func (n *node) learn(key []byte) *edge {
	var extras []extra
	var below *node
	for _, k := range n.keeps {
		if len(k.prefix)+len(key) > maxName || k.pick != nil && !k.pick(key) {
			continue
		}
		name := k.prefix + string(key)
		extras = append(extras, extra{k.frame, name})
		if k.pick == nil {
			if below == nil {
				below = &node{}
			}
			below.keeps = append(below.keeps, keep{frame: k.frame, prefix: name + "."})
		}
	}
	skip := extras == nil
	if skip && (n.skipped == maxSkipped || len(key) > maxPattern) {
		return nil
	}
	e := newEdge(string(key), n.owner)
	e.learnt, e.extras, e.object, e.read, e.skip = true, extras, below, !skip, skip
	switch {
	case below != nil:
		below.owner = e
	case skip:
		n.skipped++
		if n.unread < maxUnread {
			e.object = &node{owner: e, unread: n.unread + 1}
		}
	}
	n.edges.add(e)
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

// maxPattern bounds the length in bytes of a pattern. It is less than slack.
const maxPattern = 32

// A pattern is a key with its quotes and the colon behind it, to be compared
// in words.
type pattern struct {
	size       int // 0: none
	text, mask [maxPattern / 8]uint64
}

// newPattern returns the pattern of a key, or none if it is long or is not
// written as it stands.
func newPattern(key string) pattern {
	text := `"` + key + `":`
	if len(text) > maxPattern || !utf8.ValidString(key) {
		return pattern{}
	}
	for i := range len(key) {
		if c := key[i]; c < 0x20 || c == '"' || c == '\\' {
			return pattern{}
		}
	}
	p := pattern{size: len(text)}
	for i := range len(text) {
		p.text[i/8] |= uint64(text[i]) << (i % 8 * 8)
		p.mask[i/8] |= 0xff << (i % 8 * 8)
	}
	return p
}

// stands reports whether the pattern stands in b at i. No pattern stands
// anywhere.
func (p *pattern) stands(b []byte, i int) bool {
	return p.low(b, i)|p.high(b, i) == 0 && p.size > 0
}

// low and high tell where the halves of the pattern differ from b at i.

func (p *pattern) low(b []byte, i int) uint64 {
	return (load64(b, i)^p.text[0])&p.mask[0] | (load64(b, i+8)^p.text[1])&p.mask[1]
}

func (p *pattern) high(b []byte, i int) uint64 {
	return (load64(b, i+16)^p.text[2])&p.mask[2] | (load64(b, i+24)^p.text[3])&p.mask[3]
}
