package ingest

import (
	"bytes"

	"usagelake/schemas"
)

// place is what surrounds the next byte outside of a value.
type place uint8

const (
	topLevel   place = iota
	afterOpen        // behind the bracket that opens a top-level array
	afterValue       // behind an element
	afterComma
)

// extent is what makes a value end.
type extent uint8

const (
	noValue     extent = iota // no value is open
	bareValue                 // ends before a separator or another value
	closedValue               // a string, object or array: ends with its closing byte
	strayByte                 // a single byte that must not be there
	nulRun                    // NUL bytes; ends with the last of them
)

// cutter finds the values in a sequence of JSON values; of an array at the top
// level, the elements. It knows only brackets, strings and separators. It can
// be fed in pieces, and a copy of it goes on from where it was copied.
type cutter struct {
	at, line int64 // of the next byte
	ord      int   // how many values began on the line
	max      int64 // MaxLine
	place    place

	open    extent
	depth   int
	quoted  bool
	escaped bool
	doc     Doc // of the open value, or of the one that ended last; no Data
}

// next goes forward in b, to the end of a value or of b. It returns how many
// bytes that is and whether a value, c.doc, ended. It makes no progress only
// where a value ended.
func (c *cutter) next(b []byte) (int, bool) {
	n := 0
	if c.open == noValue {
		if n = c.seek(b); n == len(b) {
			return n, false
		}
	}
	k, ended := c.within(b[n:])
	value := b[n : n+k]
	c.at += int64(k)
	if lines := bytes.Count(value, lf); lines > 0 {
		c.line, c.ord = c.line+int64(lines), 0
	}
	if ended {
		c.end()
	}
	return n + k, ended
}

// seek goes to the next value and opens it.
func (c *cutter) seek(b []byte) int {
	n := bomLen(b, c.at)
	for ; n < len(b); n++ {
		switch ch := b[n]; {
		case ch == '\n':
			c.line, c.ord = c.line+1, 0
		case isWhite(ch):
		case ch == '[' && c.place == topLevel:
			c.place = afterOpen
		case ch == ']' && (c.place == afterOpen || c.place == afterValue):
			c.place = topLevel
		case ch == ',' && c.place == afterValue:
			c.place = afterComma
		default:
			c.at += int64(n)
			c.begin(ch)
			return n
		}
	}
	c.at += int64(n)
	return n
}

func (c *cutter) begin(ch byte) {
	if ch == 0 {
		c.open, c.doc = nulRun, nulDoc(Position{c.at, c.line}, 0)
		return
	}
	c.doc = Doc{Offset: c.at, Line: c.line, Ord: c.ord}
	c.ord++
	c.depth, c.quoted, c.escaped = 0, false, false
	switch ch {
	case ']', ',', '}':
		c.open = strayByte
		c.doc.Reason = schemas.NotJSON
		if ch == ']' {
			c.place = topLevel
		}
		return
	case '{', '[', '"':
		c.open = closedValue
	default:
		c.open = bareValue
	}
	if c.place == afterValue {
		c.doc.Reason = schemas.NotJSON // for want of a comma
	}
	if c.place != topLevel {
		c.place = afterValue
	}
}

// within returns how many bytes of b belong to the open value and whether it
// ends behind them.
func (c *cutter) within(b []byte) (int, bool) {
	switch c.open {
	case strayByte:
		return 1, true
	case bareValue:
		n := plain(b, inBare)
		return n, n < len(b)
	case nulRun:
		n := nuls(b)
		return n, n < len(b)
	}
	for i := 0; i < len(b); i++ {
		switch {
		case c.escaped:
			c.escaped = false
		case c.quoted:
			i += plain(b[i:], inText)
			if i == len(b) {
				return i, false
			}
			if b[i] == '\\' {
				c.escaped = true
			} else if c.quoted = false; c.depth == 0 {
				return i + 1, true
			}
		default:
			i += plain(b[i:], inObject)
			if i == len(b) {
				return i, false
			}
			switch b[i] {
			case '"':
				c.quoted = true
			case '{', '[':
				c.depth++
			default:
				if c.depth--; c.depth == 0 {
					return i + 1, true
				}
			}
		}
	}
	return len(b), false
}

// Where a byte matters.
const (
	inText   = 1 << iota // inside of a string
	inObject             // inside of an object or array, outside of strings
	inBare               // in a value without brackets or quotes: ends it
)

var matters = [256]uint8{
	'\\': inText,
	'"':  inText | inObject | inBare,
	'{':  inObject | inBare,
	'}':  inObject | inBare,
	'[':  inObject | inBare,
	']':  inObject | inBare,
	',':  inBare,
	' ':  inBare,
	'\t': inBare,
	'\r': inBare,
	'\n': inBare,
}

// plain is the length of the run of bytes that do not matter.
func plain(b []byte, where uint8) int {
	for i, ch := range b {
		if matters[ch]&where != 0 {
			return i
		}
	}
	return len(b)
}

func (c *cutter) end() {
	c.open = noValue
	c.doc.Length = c.at - c.doc.Offset
	if c.doc.Length > c.max && !c.doc.nuls {
		c.doc.Reason = schemas.LineTooLong
	}
}

// tear ends the open value because the stream ends. Only a bare value that is
// no element can be complete.
func (c *cutter) tear() {
	if c.open == closedValue || c.place != topLevel {
		c.doc.Reason = schemas.NotJSON
	}
	c.end()
}

// resume goes on at p, before which all was given away. What is left of an open
// value is broken.
func (c *cutter) resume(p Position) {
	c.at, c.line = p.Offset, p.Line
	switch c.open {
	case bareValue, nulRun:
		c.open = noValue
	case closedValue:
		c.doc = Doc{Offset: p.Offset, Line: p.Line, Ord: c.ord, Reason: schemas.NotJSON}
		c.ord++
	}
}

// rewound is c as it was before the first byte of the open value.
func (c cutter) rewound() cutter {
	if c.open != noValue {
		c.at, c.line, c.ord = c.doc.Offset, c.doc.Line, c.doc.Ord+1
		c.depth, c.quoted, c.escaped = 0, false, false
	}
	return c
}
