package transform

import (
	"fmt"
	"strconv"
	"strings"
)

// An expression says where a column comes from. It is text, so that a dialect
// is data:
//
//	a.b          a path below the dialect's frame; both a.b and its camelCase
//	             spelling, in this order; [] stands for an array's elements,
//	             [k=v] for those whose member k is the string v, [0] for the
//	             first of them; a key with dots, in quotes, has one spelling
//	^a.b         a path below the document's root: the envelope's word
//	#a           the length of the array a
//	a/b          a or, where that is absent, b: two names of one thing
//	a:stem       the text of a up to its first dot
//	a:e-6        a times 10^-6, of money and durations
//	a:utc        a time, which is in UTC where it names no zone
//	a:day        the same, a day later; a:hour is an hour later
//	a:json       the text that the text of a is in JSON, or that itself
//	a:kind       the word of the text of a between its last two dots
//	a:except=b,c the text of a, if it is none of these words; of a boolean
//	             column: whether it is none of them
//	'word'       the word itself
//	x + y        the sum of those present
//	x & y        the sum, where all are present
//	x | y        the first that is present; of texts, and not empty
//
// / binds closest, then + and &, then |.
type expr []sum // alternatives

type sum []term

type term struct {
	path  string // without marks
	root  bool
	count bool
	all   bool // of a sum of which all must be there
	stem  bool
	kind  bool
	json  bool
	shift int // the power of ten that the value is multiplied by
	utc   bool
	later int64 // what is added to a time, in microseconds
	// except are words that do not count, nil where all do.
	except []string
	word   string // a constant, where path is empty
}

func parseExpr(text string) expr {
	var e expr
	for alt := range strings.SplitSeq(text, "|") {
		var s sum
		all := strings.Contains(alt, "&")
		for part := range strings.FieldsFuncSeq(alt, func(r rune) bool { return r == '+' || r == '&' }) {
			t := parseTerm(strings.TrimSpace(part))
			t.all = all
			s = append(s, t)
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
	path, how, _ := strings.Cut(text, ":")
	t.path = path
	switch power, ok := strings.CutPrefix(how, "e"); {
	case how == "stem":
		t.stem = true
	case how == "json":
		t.json = true
	case how == "kind":
		t.kind = true
	case how == "utc":
		t.utc = true
	case how == "day":
		t.utc, t.later = true, 24*60*60*1e6
	case how == "hour":
		t.utc, t.later = true, 60*60*1e6
	case strings.HasPrefix(how, "except="):
		t.except = strings.Split(how[len("except="):], ",")
	case ok:
		var err error
		if t.shift, err = strconv.Atoi(power); err != nil {
			panic(fmt.Sprintf("transform: malformed term %q", text))
		}
	case how != "":
		panic(fmt.Sprintf("transform: malformed term %q", text))
	}
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
		end := strings.IndexAny(path, `.["`)
		switch {
		case end < 0:
			keys, path = append(keys, path), ""
		case end > 0:
			keys, path = append(keys, path[:end]), path[end:]
		case path[0] == '.':
			path = path[1:]
		case path[0] == '[':
			end = strings.IndexByte(path, ']') + 1
			keys, path = append(keys, path[:end]), path[end:]
		default:
			key, rest, _ := strings.Cut(path[1:], `"`)
			keys, path = append(keys, key), rest
		}
	}
	return keys
}

// camel is the camelCase spelling of a snake_case key.
func camel(key string) string {
	if key == "" || key[0] == '[' || strings.Contains(key, ".") {
		return key
	}
	parts := strings.Split(key, "_")
	for i, p := range parts[1:] {
		if p != "" {
			parts[i+1] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.Join(parts, "")
}
