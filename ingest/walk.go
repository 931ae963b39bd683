package ingest

import (
	"encoding/json"
	"errors"
	"math"
	"math/bits"
	"slices"

	"github.com/bytedance/sonic/decoder"

	"usagelake/schemas"
)

var (
	// ErrNotJSON says that a text is no JSON document.
	ErrNotJSON = errors.New("not a JSON document")
	// ErrNotObject says that a JSON document is no object.
	ErrNotObject = errors.New("not a JSON object")
)

// Walker walks the documents of one goroutine. Logs are written by machines:
// each member leads to the one that followed it last, and keys that no path
// wants are learnt too. What it answers depends on the document alone, never
// on those before.
type Walker struct {
	*trie
	record schemas.Record
	learnt int     // edges learnt
	occ    uint64  // the number of the last member met, over all documents
	start  uint64  // occ when the document began
	found  []*edge // kept edges met in the document, each once
	extras []int   // the frames that have Extra
	sound  bool    // the document is known to be sound
	pad    []byte  // holds a document that came without slack

	names node // what AnyMember has learnt
	forms forms

	// unknown stands for members to skip that were not learnt. What follows
	// them is not predicted.
	unknown edge
}

// NewWalker compiles l. It panics if l asks for a frame or slot that l does
// not have.
func NewWalker(l *schemas.Layout) *Walker {
	w := &Walker{record: schemas.NewRecord(l)}
	w.trie = compile(l, &w.record)
	w.unknown.parent = w.root
	return w
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
	f, err := w.walk(doc)
	if err != nil {
		return nil, err
	}
	if f != nil {
		f.complete(w.record.Doc, nil)
		w.spread(f)
	}
	return &w.record, nil
}

// Scan is Walk, but the values of a document whose form is known are not spread
// over the frames: see schemas.Record.
func (w *Walker) Scan(doc []byte) (*schemas.Record, error) {
	f, err := w.walk(doc)
	switch {
	case err != nil:
		return nil, err
	case f != nil:
		f.complete(w.record.Doc, f.record.Form.Unread)
		return &f.record, nil
	}
	return &w.record, nil
}

// walk fills the record of the form that it returns or, where that is nil, the
// walker's.
func (w *Walker) walk(doc []byte) (*form, error) {
	w.reset()
	if len(doc) >= math.MaxUint32 {
		return nil, ErrNotJSON
	}
	if cap(doc)-len(doc) < slack {
		w.pad = append(append(w.pad[:0], doc...), make([]byte, slack)...)
		doc = w.pad[:len(doc)]
	}
	w.record.Doc = doc
	if f := w.recognise(doc); f != nil {
		return f, nil
	}
	clear(w.record.Filled)
	w.forms.begin()
	i := space(doc, 0)
	if i == len(doc) || doc[i] != '{' {
		if json.Valid(doc) {
			return nil, ErrNotObject
		}
		return nil, ErrNotJSON
	}
	if i = w.value(w.root, i); i < 0 || space(doc, i) != len(doc) {
		return nil, ErrNotJSON
	}
	w.learnForm()
	w.keep(slices.DeleteFunc(w.found, func(e *edge) bool { return !e.live() }))
	return nil, nil
}

// keep hands out the members that were kept.
func (w *Walker) keep(found []*edge) {
	for _, e := range found {
		if e.val.Kind == 0 {
			continue
		}
		for _, x := range e.extras {
			f := &w.record.Frames[x.frame]
			if len(f.Extra) == 0 {
				w.extras = append(w.extras, x.frame)
			}
			f.Extra = append(f.Extra, schemas.Extra{Key: x.key, Value: e.val})
		}
	}
}

// reset forgets the document before.
func (w *Walker) reset() {
	for _, f := range w.extras {
		w.record.Frames[f].Extra = w.record.Frames[f].Extra[:0]
	}
	w.extras, w.found = w.extras[:0], w.found[:0]
	w.occ++
	w.start, w.sound = w.occ, false
	w.forms.tape = nil
	w.root.occ = w.occ
	if w.learnt > maxLearnt {
		w.forget()
		w.names, w.learnt, w.forms.known = node{}, 0, nil
	}
}

// The steps of the walk are scanners (see scan.go) over record.Doc.

// object walks an object from behind its opening brace.
func (w *Walker) object(n *node, i int) int {
	b, opening := w.record.Doc, i-1
	under := n.owner.occ
	follows := &n.first // where the next member is foretold
	more := true
	if at(b, i) != '"' {
		i, more = first(b, i, '}')
	}
	for more {
		e := *follows
		if e == nil {
			e = &w.unknown
		}
		if e.low(b, i)|e.high(b, i) == 0 && e.size > 0 { // it stands there
			i += e.size
			if at(b, i) <= ' ' {
				i = space(b, i)
			}
		} else {
			if e, i = w.key(n, i); i < 0 {
				return -1
			}
			switch {
			case e == nil && n.unread > 0:
				n.wild = true
				if w.forms.tape != nil {
					w.forms.tape.broken = true
				}
				return w.skipNested(b, opening)
			case e == nil:
				e = &w.unknown
				e.next = nil
			case e.size > 0:
				*follows = e
			}
		}
		follows = &e.next

		if e.occ > w.start || e.extras != nil {
			if !w.again(e) {
				e = &w.unknown
			}
		}
		w.occ++
		e.occ, e.under = w.occ, under

		x := load64(b, i)
		n := bits.TrailingZeros64(notDigits(x)) >> 3
		zero := (uint64(byte(x)^'0') - 1) >> 63 // 1: it begins with one
		if c := at(b, i+n); (c == ',' || c == '}') && n > 0 && zero*uint64(n>>1) == 0 && e.extras == nil {
			v := schemas.Value{Off: uint32(i), End: uint32(i + n), Kind: schemas.Number}
			fill(e.scalars, v)
			if w.forms.tape != nil {
				w.forms.tape.leaf(e, i, i+n, scalarClass)
			}
			i += n
		} else {
			i = w.value(e, i)
		}
		if uint(i) >= uint(len(b)) {
			return -1
		}
		switch at(b, i) {
		case ',':
			if i++; at(b, i) <= ' ' {
				i = space(b, i)
			}
		case '}':
			return i + 1
		default:
			i, more = next(b, i, '}')
		}
	}
	return i
}

// key reads a key and the colon and returns the edge for it, or nil for a
// member to skip that is not learnt.
func (w *Walker) key(n *node, i int) (*edge, int) {
	b := w.record.Doc
	if i >= len(b) || b[i] != '"' {
		return nil, -1
	}
	var end int
	kind := schemas.Text
	if n.unread > 0 {
		end = skipString(b, i+1)
	} else {
		end, kind = readString(b, i+1)
	}
	if end < 0 {
		return nil, -1
	}
	key := b[i+1 : end]
	if kind == schemas.Escaped {
		key = decode(b[i : end+1])
	}
	if i = colon(b, end+1); i < 0 {
		return nil, -1
	}
	e := n.edges.find(key)
	if e != nil && e.ahead != nil {
		w.settle(e)
	}
	if e == nil && (n.keeps == nil && w.learnt <= maxLearnt || n.keeps != nil && len(w.found) < maxExtras) {
		if e = n.learn(key); e != nil {
			w.learnt++
		}
	}
	return e, i
}

// again prepares for an edge that the document has met before or that is kept.
// It reports false for a member that is over the limit of those kept.
func (w *Walker) again(e *edge) bool {
	if e.occ > w.start {
		if w.forms.tape != nil && e != &w.unknown {
			w.forms.tape.broken = true
		}
		for k := range e.clears {
			c := &e.clears[k]
			w.record.Frames[c.frame].Set.Remove(c.bits)
		}
	} else {
		if len(w.found) == maxExtras {
			return false
		}
		w.found = append(w.found, e)
	}
	e.val = schemas.Value{}
	return true
}

// array walks an array from behind its opening bracket and returns its length
// too.
func (w *Walker) array(e *edge, i int) (end, length int) {
	b := w.record.Doc
	if e.choice != nil && w.forms.tape != nil {
		w.forms.tape.broken = true // what its elements fill depends on a text
	}
	item := e.element
	if item == nil {
		item = &w.unknown
	}
	w.occ++
	item.occ, item.under = w.occ, e.occ
	i, more := first(b, i, ']')
	for more {
		item := item
		if e.choice != nil && i < len(b) && b[i] == '{' {
			if chosen := e.choice.of(b, i); chosen != nil {
				w.occ++
				chosen.occ, chosen.under = w.occ, e.occ
				item = chosen
			}
		}
		if length < len(e.nth) && e.nth[length] != nil {
			item = e.nth[length]
			w.occ++
			item.occ, item.under = w.occ, e.occ
		}
		if i = w.value(item, i); i < 0 {
			return -1, 0
		}
		length++
		i, more = next(b, i, ']')
	}
	return i, length
}

// of is the edge for the object at i of an array, nil if there is none.
func (c *choice) of(b []byte, i int) *edge { return c.edge[string(memberText(b, i, c.key))] }

// memberText is the first text or number that the object at i has under a key, nil if there is
// none. It looks no further than a fault, which the walk finds.
func memberText(b []byte, i int, key string) []byte {
	i, more := first(b, i+1, '}')
	for more && i >= 0 {
		raw, at := memberKey(b, i)
		if at < 0 {
			return nil
		}
		end := valueEnd(b, at)
		if end < 0 {
			return nil
		}
		switch c := b[at]; {
		case c != '"' && (c < '0' || c > '9') || string(name(raw)) != key:
		case c == '"':
			return name(b[at:end])
		default:
			return b[at:end]
		}
		i, more = next(b, end, '}')
	}
	return nil
}

// value walks a value and fills what e asks for.
func (w *Walker) value(e *edge, i int) int {
	b := w.record.Doc
	if i >= len(b) {
		return -1
	}
	var end int
	var kind schemas.ValueKind
	tape := w.forms.tape
	switch b[i] {
	case '{':
		walked, from := e.object != nil && !e.object.wild, tape.len()
		switch {
		case walked:
			end = w.object(e.object, i+1)
		case at(b, i+1) == '}':
			end = i + 2
		default:
			end = w.skipNested(b, i)
		}
		fill(e.others, schemas.Value{Off: uint32(i), End: uint32(end), Kind: schemas.Object})
		switch {
		case tape == nil:
		case walked:
			tape.span(e, schemas.Object, from, i, end)
		default:
			tape.leaf(e, i, end, objectClass)
		}
		return end
	case '[':
		walked, from := e.element != nil || e.counts != nil || e.choice != nil || e.nth != nil, tape.len()
		switch {
		case walked:
			var length int
			end, length = w.array(e, i+1)
			v := schemas.Value{End: uint32(length), Kind: schemas.Length}
			fill(e.counts, v)
			tape.length(e, v)
		case at(b, i+1) == ']':
			end = i + 2
		default:
			end = w.skipNested(b, i)
		}
		fill(e.others, schemas.Value{Off: uint32(i), End: uint32(end), Kind: schemas.Array})
		switch {
		case tape == nil:
		case walked:
			tape.span(e, schemas.Array, from, i, end)
		default:
			tape.leaf(e, i, end, arrayClass)
		}
		return end
	case '"':
		i++
		if e.read {
			end, kind = readString(b, i)
		} else {
			end, kind = skipString(b, i), schemas.Text
		}
		if end < 0 {
			return -1
		}
		v := schemas.Value{Off: uint32(i), End: uint32(end), Kind: kind}
		fill(e.scalars, v)
		if kind == schemas.Escaped {
			v.Kind = schemas.Text
			fill(e.others, v)
			v.Kind = kind
		}
		if e.extras != nil {
			e.val = v
		}
		if tape != nil {
			tape.leaf(e, i-1, end+1, scalarClass)
		}
		return end + 1
	default:
		end, kind = scalar(b, i)
		if end < 0 || kind == 0 {
			return end
		}
		v := schemas.Value{Off: uint32(i), End: uint32(end), Kind: kind}
		fill(e.scalars, v)
		if e.extras != nil {
			e.val = v
		}
		if tape != nil {
			tape.leaf(e, i, end, scalarClass)
		}
		return end
	}
}

func fill(targets []target, v schemas.Value) {
	for k := range targets {
		t := &targets[k]
		*t.val = v
		*t.word |= t.bit
	}
}

// skipNested steps over an object or array that nobody wants. sonic refuses
// some that are valid, the very deep ones for instance; then the whole
// document is looked at, because depth counts from its root. The walk itself
// and sonic together stay far below the depth that encoding/json allows.
func (w *Walker) skipNested(b []byte, i int) int {
	if start, n := decoder.Skip(b[i:]); start >= 0 {
		return i + n
	}
	if !w.sound && !w.isSound(b) {
		return -1
	}
	w.sound = true
	return nestedEnd(b, i)
}
