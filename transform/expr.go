package transform

import (
	"fmt"
	"strings"
)

// An expression says where a column comes from. It is text, so that a dialect
// is data:
//
//	a.b          a path below the dialect's frame; both a.b and its camelCase
//	             spelling, in this order; [] stands for an array's elements
//	^a.b         a path below the document's root: the envelope's word
//	#a           the length of the array a
//	a:stem       the text of a up to its first dot
//	'word'       the word itself
//	x + y        the sum of those present
//	x | y        the first that is present
//
// + binds closer than |.
type expr []sum // alternatives

type sum []term

type term struct {
	path  string // without marks
	root  bool
	count bool
	stem  bool
	word  string // a constant, where path is empty
}

func parseExpr(text string) expr {
	var e expr
	for alt := range strings.SplitSeq(text, "|") {
		var s sum
		for part := range strings.SplitSeq(alt, "+") {
			s = append(s, parseTerm(strings.TrimSpace(part)))
		}
		e = append(e, s)
	}
	return e
}

// parseTerm panics on a malformed term: entries are part of the program.
func parseTerm(text string) term {
	if word, ok := strings.CutPrefix(text, "'"); ok {
		return term{word: strings.TrimSuffix(word, "'")}
	}
	t := term{}
	text, t.root = strings.CutPrefix(text, "^")
	text, t.count = strings.CutPrefix(text, "#")
	t.path, t.stem = strings.CutSuffix(text, ":stem")
	if t.path == "" || strings.ContainsAny(t.path, " ^#'!&") {
		panic(fmt.Sprintf("transform: malformed term %q", text))
	}
	return t
}

// splitPath cuts a path into keys. A key with dots of its own is written in
// double quotes; "a[]" is a, then the elements.
func splitPath(path string) []string {
	var keys []string
	for path != "" {
		var key string
		if quoted, ok := strings.CutPrefix(path, `"`); ok {
			key, path, _ = strings.Cut(quoted, `"`)
			path = strings.TrimPrefix(path, ".")
			keys = append(keys, key)
			continue
		}
		key, path, _ = strings.Cut(path, ".")
		name, elements := strings.CutSuffix(key, "[]")
		keys = append(keys, name)
		if elements {
			keys = append(keys, "[]")
		}
	}
	return keys
}

// camel is the camelCase spelling of a snake_case key.
func camel(key string) string {
	parts := strings.Split(key, "_")
	for i, p := range parts[1:] {
		if p != "" {
			parts[i+1] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.Join(parts, "")
}
