package ingest

import (
	"bytes"
	"unicode/utf8"
)

// maxDepth is encoding/json's limit, and so that of an accepted document.
const maxDepth = 10_000

// AnyMember reports whether pick returns true for some member of doc, at any
// depth, arrays included. parent is the key of the nearest member around it,
// empty at the root; key is unescaped; value is the raw text of the value, of
// objects and arrays only the first byte. Strings are not looked into. It is
// for documents that Walk accepted and no path claimed.
func (w *Walker) AnyMember(doc []byte, pick func(parent, key, value []byte) bool) bool {
	s := search{doc: doc, pick: pick}
	s.value(space(doc, 0), nil, 0)
	return s.found
}

// A search is one AnyMember. Its steps are scanners (see scan.go); they also
// return -1 to stop after a find.
type search struct {
	doc   []byte
	pick  func(parent, key, value []byte) bool
	found bool
}

func (s *search) value(i int, parent []byte, depth int) int {
	b := s.doc
	if i >= len(b) || depth > maxDepth {
		return -1
	}
	switch b[i] {
	case '{':
		i, more := first(b, i+1, '}')
		for more && i >= 0 {
			if i = s.member(i, parent, depth); i >= 0 {
				i, more = next(b, i, '}')
			}
		}
		return i
	case '[':
		i, more := first(b, i+1, ']')
		for more && i >= 0 {
			if i = s.value(i, parent, depth+1); i >= 0 {
				i, more = next(b, i, ']')
			}
		}
		return i
	}
	return plainValue(b, i)
}

func (s *search) member(i int, parent []byte, depth int) int {
	b := s.doc
	if i >= len(b) || b[i] != '"' {
		return -1
	}
	end := skipString(b, i+1)
	if end < 0 {
		return -1
	}
	key := b[i+1 : end]
	if bytes.IndexByte(key, '\\') >= 0 || !utf8.Valid(key) {
		key = decode(b[i : end+1])
	}
	if i = colon(b, end+1); i < 0 || i >= len(b) {
		return -1
	}
	nested := b[i] == '{' || b[i] == '['
	if end = i + 1; !nested {
		if end = plainValue(b, i); end < 0 {
			return -1
		}
	}
	if s.pick(parent, key, b[i:end]) {
		s.found = true
		return -1
	}
	if nested {
		return s.value(i, key, depth+1)
	}
	return end
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
