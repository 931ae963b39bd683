package ingest

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// maxDepth is encoding/json's limit, and so that of an accepted document.
const maxDepth = 10_000

// AnyMember reports whether pick returns true for some member of doc, at any
// depth, arrays included. parent is the key of the nearest member around it,
// empty at the root; key is unescaped; value is the raw text of the value, of
// objects and arrays only the first byte. Strings are not looked into. It is
// for documents that Walk accepted and no path claimed.
//
// pick is also asked without a value, whether any value could be picked under
// that key and parent. Its answer is remembered, so the answers of all picks
// that a walker is given must be the same.
func (w *Walker) AnyMember(doc []byte, pick func(parent, key, value []byte) bool) bool {
	if cap(doc)-len(doc) < slack {
		doc = slices.Grow(slices.Clip(doc), slack)
	}
	s := search{w: w, doc: doc, pick: pick}
	s.value(&w.names, space(doc, 0), nil, 0)
	return s.found
}

// isSound reports whether doc is a document as Walk accepts it, whatever is in
// its strings.
func (w *Walker) isSound(doc []byte) bool {
	s := search{w: w, doc: doc}
	i := s.value(nil, space(doc, 0), nil, 0)
	return i >= 0 && space(doc, i) == len(doc)
}

// A search is one AnyMember. Its steps are scanners (see scan.go); they also
// return -1 to stop after a find.
type search struct {
	w     *Walker
	doc   []byte
	pick  func(parent, key, value []byte) bool // nil picks nothing
	found bool
}

// value searches a value with depth objects and arrays around it. parent is
// the raw key of the nearest member around it, in quotes, and n, or nil, what
// was learnt of the objects there.
func (s *search) value(n *node, i int, parent []byte, depth int) int {
	b := s.doc
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '{':
		if depth == maxDepth {
			return -1
		}
		return s.object(n, i+1, parent, depth+1)
	case '[':
		if depth == maxDepth {
			return -1
		}
		i, more := first(b, i+1, ']')
		for more && i >= 0 {
			if i = s.value(n, i, parent, depth+1); i >= 0 {
				i, more = next(b, i, ']')
			}
		}
		return i
	}
	return plainValue(b, i)
}

func (s *search) object(n *node, i int, parent []byte, depth int) int {
	b := s.doc
	if n == nil {
		n = &full
	}
	follows := &n.first
	i, more := first(b, i, '}')
	for more {
		if i >= len(b) || b[i] != '"' {
			return -1
		}
		e, key := *follows, i
		if e != nil && e.stands(b, i) {
			i += e.size
		} else {
			end := skipString(b, i+1)
			if end < 0 {
				return -1
			}
			if e = s.edge(n, parent, b[i:end+1]); e != nil && e.size > 0 {
				*follows = e
			}
			if i = colon(b, end+1); i < 0 {
				return -1
			}
		}
		if e != nil {
			follows = &e.next
		}
		if i = space(b, i); i >= len(b) {
			return -1
		}
		nested := b[i] == '{' || b[i] == '['
		end := i + 1
		if !nested {
			if end = plainValue(b, i); end < 0 {
				return -1
			}
		}
		var below *node
		if nested || e == nil || !e.skip {
			raw := b[key : skipString(b, key+1)+1]
			if s.pick != nil && (e == nil || !e.skip) && s.pick(name(parent), name(raw), b[i:end]) {
				s.found = true
				return -1
			}
			if nested {
				if e != nil {
					if e.object == nil {
						e.object = &node{}
					}
					below = e.object
				}
				if end = s.value(below, i, raw, depth); end < 0 {
					return -1
				}
			}
		}
		i, more = next(b, end, '}')
	}
	return i
}

// full learns nothing.
var full = node{skipped: maxSkipped}

// edge returns n's edge for a raw key in quotes, or nil.
func (s *search) edge(n *node, parent, raw []byte) *edge {
	key := raw[1 : len(raw)-1]
	e := n.edges.find(key)
	if e == nil && n.skipped < maxSkipped && len(key) <= maxPattern && s.w.learnt <= maxLearnt {
		e = newEdge(string(key), nil)
		e.skip = !s.pick(name(parent), name(raw), nil)
		n.edges.add(e)
		n.skipped++
		s.w.learnt++
	}
	return e
}

// name is the text of a raw key in quotes.
func name(raw []byte) []byte {
	if raw == nil {
		return nil
	}
	key := raw[1 : len(raw)-1]
	if bytes.IndexByte(key, '\\') >= 0 || !utf8.Valid(key) {
		key = decode(raw)
	}
	return key
}

// plainValue steps over a value that is no object or array.
func plainValue(b []byte, i int) int {
	if b[i] != '"' {
		i, _ = scalar(b, i)
		return i
	}
	if i = skipString(b, i+1); i < 0 {
		return -1
	}
	return i + 1
}
