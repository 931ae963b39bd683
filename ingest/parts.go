package ingest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
)

// Each calls fn for every value at path in doc, a document that Walk accepted.
// "[]" in a path stands for the elements of an array, "[k=v]" for those whose member k
// is the string v, "*" for the members of an object. key is the text of the nearest key, value the raw text of the value,
// which shares doc's array and so its slack. Of repeated keys each counts.
func (*Walker) Each(doc []byte, path []string, fn func(key, value []byte)) {
	p := parts{doc: doc, fn: fn}
	p.value(space(doc, 0), path, nil)
}

type parts struct {
	doc []byte
	fn  func(key, value []byte)
}

// value goes to the end of a value and returns it, -1 where the document is not
// sound.
func (p *parts) value(i int, path []string, key []byte) int {
	b := p.doc
	if i < 0 || i >= len(b) {
		return -1
	}
	if len(path) == 0 {
		end := valueEnd(b, i)
		if end >= 0 {
			p.fn(key, b[i:end])
		}
		return end
	}
	by, is := choosing(path[0])
	array := path[0] == "[]" || is != ""
	switch {
	case b[i] == '[' && array:
		i, more := first(b, i+1, ']')
		for more && i >= 0 {
			if is == "" || i < len(b) && b[i] == '{' && string(memberText(b, i, by)) == is {
				i = p.value(i, path[1:], key)
			} else {
				i = valueEnd(b, i)
			}
			if i >= 0 {
				i, more = next(b, i, ']')
			}
		}
		return i
	case b[i] == '{' && !array:
		return p.object(i, path)
	}
	return valueEnd(b, i)
}

func (p *parts) object(i int, path []string) int {
	b := p.doc
	i, more := first(b, i+1, '}')
	for more && i >= 0 {
		raw, at := memberKey(b, i)
		if at < 0 {
			return -1
		}
		if key := name(raw); path[0] == "*" || string(key) == path[0] {
			i = p.value(at, path[1:], key)
		} else {
			i = valueEnd(b, at)
		}
		if i >= 0 {
			i, more = next(b, i, '}')
		}
	}
	return i
}

// valueEnd is the end of the value at i of a sound document.
func valueEnd(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	if b[i] == '{' || b[i] == '[' {
		return nestedEnd(b, i)
	}
	return plainValue(b, i)
}

// memberKey is the raw key of the member at i, in quotes, and where its value is.
func memberKey(b []byte, i int) (raw []byte, value int) {
	if i >= len(b) || b[i] != '"' {
		return nil, -1
	}
	end := skipString(b, i+1)
	if end < 0 {
		return nil, -1
	}
	return b[i : end+1], colon(b, end+1)
}

// Unfold is a document like doc, where strings at the paths that hold a JSON
// object or array are replaced by that, and those that hold a stream of events
// by the array of their data. It is nil where there is none.
func (w *Walker) Unfold(doc []byte, paths [][]string) []byte {
	type text struct {
		lo, hi int
		json   []byte
	}
	var found []text
	for _, path := range paths {
		w.Each(doc, path, func(_, value []byte) {
			if len(value) < 4 || value[0] != '"' {
				return
			}
			var s string
			if json.Unmarshal(value, &s) != nil {
				return
			}
			inner := bytes.TrimSpace([]byte(s))
			if bytes.HasPrefix(inner, dataPrefix) || bytes.HasPrefix(inner, eventPrefix) {
				inner = events(inner)
			}
			if len(inner) == 0 || inner[0] != '{' && inner[0] != '[' || !json.Valid(inner) {
				return
			}
			lo := cap(doc) - cap(value)
			found = append(found, text{lo, lo + len(value), inner})
		})
	}
	if len(found) == 0 {
		return nil
	}
	slices.SortFunc(found, func(a, b text) int { return cmp.Compare(a.lo, b.lo) })
	out := make([]byte, 0, 2*len(doc)+slack)
	at := 0
	for _, t := range found {
		if t.lo < at {
			continue // a path that is given twice
		}
		out = append(append(out, doc[at:t.lo]...), t.json...)
		at = t.hi
	}
	out = append(out, doc[at:]...)
	return slices.Grow(out, slack)
}

var dataPrefix, eventPrefix = []byte("data:"), []byte("event:")

// events is the JSON array of what a stream's events carry. What is no JSON
// object is left out.
func events(stream []byte) []byte {
	out := []byte{'['}
	for line := range bytes.Lines(stream) {
		data, ok := bytes.CutPrefix(line, dataPrefix)
		if data = bytes.TrimSpace(data); !ok || len(data) == 0 || data[0] != '{' || !json.Valid(data) {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, data...)
	}
	return append(out, ']')
}
