package transform

import (
	"bytes"
	"regexp"
	"slices"
)

// Token-like members betray usage that no entry claims: a number but 0, or a
// string of digits, whose key speaks of tokens or whose enclosing object speaks
// of usage, or of tokens where the key is one of what went in or came out; and an object
// with such numbers that was printed as text, where the key speaks of usage or tokens. Limits, prices
// and settings that speak of tokens are decoys, and so is a piece of text that is called a
// token.

var decoys = [][]byte{
	[]byte("max"), []byte("min"), []byte("limit"), []byte("cost"), []byte("price"), []byte("per_token"), []byte("pertoken"),
	[]byte("budget"), []byte("window"), []byte("remaining"), []byte("threshold"), []byte("tokenizer"),
	[]byte("type"), []byte("reset"), []byte("logprob"), []byte("bytes"), []byte("token_id"), []byte("tokenid"), []byte("visibility"),
	[]byte("first_token"), []byte("firsttoken"), []byte("per_sec"), []byte("persec"), []byte("expir"),
}

// tokenName reports whether a key names a token count.
func tokenName(key []byte) bool {
	var buf [maxName]byte
	if len(key) > len(buf) {
		return false
	}
	k := lower(buf[:0], key)
	if string(k) == "token" {
		return false
	}
	for _, n := range countNames {
		if bytes.Contains(k, n) {
			return !decoy(k)
		}
	}
	return false
}

// countNames are parts of the names of counts, in lower case.
var countNames = [][]byte{[]byte("token"), []byte("eval_count"), []byte("_units")}

func decoy(lowered []byte) bool {
	for _, d := range decoys {
		if bytes.Contains(lowered, d) {
			return true
		}
	}
	return false
}

func usageName(key []byte) bool {
	var buf [maxName]byte
	if len(key) > len(buf) {
		return false
	}
	return bytes.Contains(lower(buf[:0], key), []byte("usage"))
}

func lower(dst, s []byte) []byte {
	for _, c := range s {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// TokenLike reports whether a member of a document looks like a token count.
// parent is the key of the enclosing object, value the member's raw text, or nil
// to ask whether it would with any.
func TokenLike(parent, key, value []byte) bool {
	if value != nil && !countText(value) {
		return (usageName(key) || tokenName(key)) && printed(value)
	}
	if tokenName(key) || value == nil && usageName(key) {
		return true
	}
	of := usageName(parent)
	if !of && !tokenName(parent) || len(key) > maxName {
		return false
	}
	var buf [maxName]byte
	k := lower(buf[:0], key)
	return (of || hasWay(k) || exact[string(k)] || typed[string(k)]) && !decoy(k)
}

// hasWay reports whether a name speaks of one of the ways.
func hasWay(name []byte) bool {
	return slices.ContainsFunc(ways, func(w []byte) bool { return bytes.Contains(name, w) })
}

// Betrays reports whether a document that no entry claims has usage all the same: a
// member that is TokenLike, an attribute that would be as a member, a list of counts, or a
// measure of tokens.
func Betrays(w Walker, doc []byte) bool {
	return w.AnyMember(doc, TokenLike) || listsTokens(doc) || listsCounts(doc) || measuresTokens(doc)
}

// listsCounts reports whether a member that is named for counts of what goes in or comes
// out is a list of numbers, such as one for each call of a run. Lists of tokens themselves
// have other names. Like listsTokens it looks at bytes.
func listsCounts(doc []byte) bool {
	for {
		at := bytes.Index(doc, tokensEnd)
		if at < 0 {
			return false
		}
		name := doc[bytes.LastIndexByte(doc[:at], '"')+1 : at+len(tokensEnd)-1]
		doc = doc[at+len(tokensEnd):]
		if listHead.Match(doc) && tokenName(name) && hasWay(bytes.ToLower(name)) {
			return true
		}
	}
}

// measuresTokens reports whether a document has an amount whose unit is tokens, as Snowflake
// lists them. Like listsTokens it looks at bytes.
func measuresTokens(doc []byte) bool {
	for {
		at := bytes.Index(doc, unitMember)
		if at < 0 {
			return false
		}
		doc = doc[at+len(unitMember):]
		if measureTail.Match(doc) {
			return true
		}
	}
}

// listsTokens reports whether a list of keys and values, as OTLP and Jaeger write
// attributes, has a count of tokens. It looks at bytes: in a text the quotes that it looks
// for are escaped.
func listsTokens(doc []byte) bool {
	for {
		at := bytes.Index(doc, keyMember)
		if at < 0 {
			return false
		}
		doc = doc[at+len(keyMember):]
		m := attributeHead.FindSubmatchIndex(doc)
		if m == nil {
			continue
		}
		name := doc[m[2]:m[3]]
		measured := bytes.HasSuffix(name, metrics)
		if !measured && !tokenName(name) && !usageName(name) {
			continue
		}
		if value := scalar(doc[m[1]:]); len(value) > 0 && (TokenLike(nil, name, value) || measured && printed(value)) {
			return true
		}
	}
}

var (
	keyMember  = []byte(`"key"`)
	metrics    = []byte("metrics")
	tokensEnd  = []byte(`okens"`)
	unitMember = []byte(`"unit"`)
	// attributeHead is what follows the word key in an attribute, up to its value.
	attributeHead = regexp.MustCompile(`^\s*:\s*"([^"\\]{1,64})"\s*,\s*(?:"v?[tT]ype"\s*:\s*"\w*"\s*,\s*)?` +
		`"value"\s*:\s*(?:\{\s*"\w+"\s*:\s*)?`)
	// listHead is what follows the name of a list of numbers, one of which is not 0.
	listHead = regexp.MustCompile(`^\s*:\s*\[[\s0.,]*[1-9]`)
	// measureTail is what follows the word unit in an amount of tokens that is not 0.
	measureTail = regexp.MustCompile(`^\s*:\s*"tokens"\s*\}?\s*,\s*"value"\s*:\s*"?[0.]*[1-9]`)
)

// scalar is the raw value that b begins with, if it is no object or array.
func scalar(b []byte) []byte {
	if len(b) == 0 || b[0] != '"' {
		return b[:max(0, bytes.IndexAny(b, ",}] \t\r\n"))]
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return b[:i+1]
		}
	}
	return nil
}

// typed are the keys of numbers that are objects, as exports of DynamoDB, MongoDB and
// Firestore have them, in lower case.
var typed = map[string]bool{
	"n": true, "$numberint": true, "$numberlong": true, "$numberdouble": true, "$numberdecimal": true,
	"integervalue": true, "doublevalue": true, "intvalue": true, "value": true,
}

// maxName is how many bytes a key has at most that is looked at.
const maxName = 64

// ways are parts of the names of what is counted in an object of tokens. Others are
// ids and places of pieces of text.
var ways = [][]byte{[]byte("input"), []byte("output"), []byte("prompt"), []byte("completion"), []byte("total"), []byte("cache"), []byte("reason")}

// exact are names of what is counted in an object of tokens that are part of others, too.
var exact = map[string]bool{"in": true, "out": true, "sent": true, "received": true, "used": true, "thoughts": true, "generated": true}

// printed reports whether value is the text of an object that speaks of tokens and has
// a number, in whatever syntax.
func printed(value []byte) bool {
	return len(value) > 0 && value[0] == '"' && bytes.ContainsAny(value, "{(") && bytes.Contains(value, []byte("oken")) &&
		bytes.ContainsAny(value, "123456789")
}

// countText reports whether value is a number or a string of digits, and is not
// 0.
func countText(value []byte) bool {
	if len(value) == 0 {
		return false
	}
	if c := value[0]; c == '-' || '0' <= c && c <= '9' {
		return bytes.ContainsAny(value, "123456789")
	}
	if len(value) < 3 || value[0] != '"' {
		return false
	}
	some := false
	for _, c := range value[1 : len(value)-1] {
		if (c < '0' || c > '9') && c != '.' {
			return false
		}
		some = some || '1' <= c && c <= '9'
	}
	return some
}
