package ingest

import (
	"encoding/json"
	"errors"
	"math"

	"github.com/bytedance/sonic/decoder"

	"usagelake/schemas"
)

var (
	// ErrNotJSON says that a text is no JSON document.
	ErrNotJSON = errors.New("not a JSON document")
	// ErrNotObject says that a JSON document is no object.
	ErrNotObject = errors.New("not a JSON object")
)

// Walker walks the documents of one goroutine.
type Walker struct {
	rec      schemas.Record
	root     *edge
	learning []*node // the nodes of the layout that keep unknown members
	learnt   int     // edges they and those below them have learnt,
	round    int32   // since they were last forgotten
	occ      uint64  // the number of the last member met, over all documents
	start    uint64  // occ when the document began
	found    []*edge // learnt edges met in the document, each once
	valid    bool    // encoding/json has accepted the document
	pad      []byte  // holds a document that came without slack
}

// NewWalker compiles l. It panics if l asks for a frame or slot that l does
// not have.
func NewWalker(l *schemas.Layout) *Walker {
	rec := schemas.NewRecord(l)
	root, learning := compile(l, &rec)
	return &Walker{
		rec:      rec,
		root:     root,
		learning: learning,
		round:    1,
	}
}

// Walk makes one forward pass over doc and returns its record, which the
// walker owns and overwrites in the next Walk. The error is ErrNotJSON or
// ErrNotObject.
//
// Accepted is what encoding/json accepts, and besides documents whose sole
// faults are raw control characters or bad escapes in strings nobody reads.
// Where a path occurs more than once, by a repeated key or in several elements
// of an array, the last occurrence replaces the others wholly.
//
// Where less than 64 readable bytes follow doc in its array, Walk works on a
// copy, and Record.Doc is that copy. A document of 4 GiB is ErrNotJSON.
func (w *Walker) Walk(doc []byte) (*schemas.Record, error) {
	w.reset()
	if len(doc) >= math.MaxUint32 {
		return nil, ErrNotJSON
	}
	if cap(doc)-len(doc) < slack {
		w.pad = append(append(w.pad[:0], doc...), make([]byte, slack)...)
		doc = w.pad[:len(doc)]
	}
	w.rec.Doc = doc
	i := space(doc, 0)
	if i == len(doc) || doc[i] != '{' {
		if json.Valid(doc) {
			return nil, ErrNotObject
		}
		return nil, ErrNotJSON
	}
	w.stamp(w.root)
	if i = w.value(w.root, i); i < 0 || space(doc, i) != len(doc) {
		return nil, ErrNotJSON
	}
	for _, e := range w.found {
		if e.val.Kind == 0 || !e.live() {
			continue
		}
		for _, x := range e.extras {
			f := &w.rec.Frames[x.frame]
			f.Extra = append(f.Extra, schemas.Extra{Key: x.key, Value: e.val})
		}
	}
	return &w.rec, nil
}

// reset forgets the document before.
func (w *Walker) reset() {
	clear(w.rec.Filled)
	if len(w.found) > 0 {
		for f := range w.rec.Frames {
			w.rec.Frames[f].Extra = w.rec.Frames[f].Extra[:0]
		}
		w.found = w.found[:0]
	}
	w.start, w.valid = w.occ, false
	if w.learnt > maxExtras {
		for _, n := range w.learning {
			n.learnt = nil
		}
		w.learnt = 0
		w.round++
	}
}

// stamp numbers an occurrence of e and reports whether the document had one
// before.
func (w *Walker) stamp(e *edge) (again bool) {
	again = e.occ > w.start
	w.occ++
	e.occ = w.occ
	if e.parent != nil {
		e.under = e.parent.occ
	}
	return again
}

// The steps of the walk are scanners (see scan.go) over rec.Doc.

// object walks an object from behind its opening brace.
func (w *Walker) object(n *node, i int) int {
	b := w.rec.Doc
	i, more := first(b, i, '}')
	guess := &n.first
	for more {
		e := *guess
		if e == nil || !e.here(b, i) || e.round > 0 && e.round != w.round {
			if e, i = w.key(n, i); i < 0 {
				return -1
			}
			if e != nil {
				*guess = e
			}
		} else if i += e.size; i < len(b) && b[i] <= ' ' {
			i = space(b, i)
		}
		if e == nil || e.skip || e.round > 0 && !w.find(e) {
			i = w.skip(i)
		} else {
			i = w.member(e, i)
		}
		if i < 0 {
			return -1
		}
		if e != nil {
			guess = &e.next
		}
		if i < len(b) && b[i] == ',' {
			if i++; i < len(b) && b[i] <= ' ' {
				i = space(b, i)
			}
			continue
		}
		i, more = next(b, i, '}')
	}
	return i
}

// key reads a key with its colon and returns its edge, nil for a member to skip.
func (w *Walker) key(n *node, i int) (*edge, int) {
	b := w.rec.Doc
	if i >= len(b) || b[i] != '"' {
		return nil, -1
	}
	end, kind := readString(b, i+1)
	if end < 0 {
		return nil, -1
	}
	key := b[i+1 : end]
	if kind == schemas.Escaped {
		key = decode(b[i : end+1])
	}
	return w.edge(n, key), colon(b, end+1)
}

// edge returns n's edge for key, nil for a member to skip.
func (w *Walker) edge(n *node, key []byte) *edge {
	if e := n.edges.find(key); e != nil {
		return e
	}
	if n.keeps != nil {
		e := n.learnt[string(key)]
		if e == nil && len(w.found) < maxExtras {
			if e = n.learn(key, w.round); e != nil {
				w.learnt++
			}
		}
		if e != nil {
			return e
		}
	}
	return n.other(key)
}

// find notes a learnt edge that the document has, once. It reports whether the
// member is to be kept: the answer depends on the document alone, never on what
// was learnt from those before.
func (w *Walker) find(e *edge) bool {
	if e.occ > w.start {
		return true
	}
	if len(w.found) == maxExtras {
		return false
	}
	w.found = append(w.found, e)
	return true
}

// member walks the value of a member and lets it replace an earlier one.
func (w *Walker) member(e *edge, i int) int {
	if w.stamp(e) {
		for k := range e.clears {
			w.rec.Frames[e.clears[k].frame].Set.Remove(e.clears[k].bits)
		}
	}
	e.val = schemas.Value{}
	return w.value(e, i)
}

// array walks an array from behind its opening bracket and returns its length
// too.
func (w *Walker) array(e *edge, i int) (end, length int) {
	b := w.rec.Doc
	if e.element != nil {
		w.stamp(e.element)
	}
	i, more := first(b, i, ']')
	for more {
		if e.element != nil {
			i = w.value(e.element, i)
		} else {
			i = w.skip(i)
		}
		if i < 0 {
			return -1, 0
		}
		length++
		i, more = next(b, i, ']')
	}
	return i, length
}

// value walks a value and fills what e asks for.
func (w *Walker) value(e *edge, i int) int {
	b := w.rec.Doc
	if i >= len(b) {
		return -1
	}
	var end int
	var kind schemas.ValueKind
	switch b[i] {
	case '{':
		kind = schemas.Object
		if e.object != nil {
			end = w.object(e.object, i+1)
		} else {
			end = w.skip(i)
		}
	case '[':
		kind = schemas.Array
		if e.element != nil || e.length.word != nil {
			var length int
			end, length = w.array(e, i+1)
			e.length.fill(schemas.Value{End: uint32(length), Kind: schemas.Length})
		} else {
			end = w.skip(i)
		}
	case '"':
		i++
		if e.read {
			end, kind = readString(b, i)
		} else {
			end, kind = skipString(b, i), schemas.Text
		}
	default:
		end, kind = scalar(b, i)
	}
	if end < 0 || kind == 0 {
		return end
	}
	v := schemas.Value{Off: uint32(i), End: uint32(end), Kind: kind}
	if kind <= schemas.False {
		e.scalar.fill(v)
		if e.extras != nil {
			e.val = v
		}
	}
	if kind == schemas.Text || kind == schemas.Escaped {
		v.Kind = schemas.Text
		end++
	}
	if kind > schemas.False || e.whole {
		e.span.fill(v)
	}
	return end
}

// skip steps over a value that nobody wants.
func (w *Walker) skip(i int) int {
	b := w.rec.Doc
	if i >= len(b) {
		return -1
	}
	switch c := b[i]; c {
	case '"':
		if i = skipString(b, i+1); i < 0 {
			return -1
		}
		return i + 1
	case '{', '[':
		// '}' and ']' stand two behind their opening brackets.
		if i+1 < len(b) && b[i+1] == c+2 {
			return i + 2
		}
		return w.skipNested(i)
	}
	i, _ = scalar(b, i)
	return i
}

// skipNested steps over an object or array. sonic refuses some that are
// valid, the very deep ones for instance, so encoding/json has the last word,
// over the whole document because depth counts from its root. The walk itself
// and sonic together stay far below the depth that encoding/json allows.
func (w *Walker) skipNested(i int) int {
	b := w.rec.Doc
	if start, n := decoder.Skip(b[i:]); start >= 0 {
		return i + n
	}
	if !w.valid && !json.Valid(b) {
		return -1
	}
	w.valid = true
	return nestedEnd(b, i)
}
