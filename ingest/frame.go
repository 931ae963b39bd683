package ingest

import (
	"bytes"
	"encoding/json"

	"usagelake/schemas"
)

const (
	bom     = "\uFEFF"
	sseDone = "[DONE]" // ends an SSE stream
)

var lf = []byte{'\n'}

// lineDoc finds the record on a line. The line is length bytes long; raw is
// all of it, or at least its beginning if it is longer than limit.
func lineDoc(raw []byte, length int64, at Position, lead lead, limit int64) (Doc, bool) {
	from := bomLen(raw, at.Offset)
	d := Doc{Line: at.Line}
	if lead == behindText {
		d.Ord = 1
	}
	if length > limit && length > int64(from) { // a byte order mark alone is no line
		raw = raw[:min(len(raw), headLen)]
		lo, hi, _ := bounds(raw[from:])
		if lo == hi {
			lo = 0
		}
		lo += from
		d.Data, d.Offset, d.Length = raw[lo:], at.Offset+int64(lo), length-int64(lo)
		d.Reason = schemas.LineTooLong
		return d, true
	}
	lo, hi, ok := bounds(raw[from:])
	if lead == behindText {
		ok = lo < hi
	}
	lo, hi = lo+from, hi+from
	d.Data, d.Offset, d.Length = raw[lo:hi], at.Offset+int64(lo), int64(hi-lo)
	return d, ok
}

// bounds finds the text of a line without white space and SSE prefixes, and
// whether it is a record.
func bounds(line []byte) (lo, hi int, record bool) {
	hi = len(line)
	for hi > 0 && isWhite(line[hi-1]) {
		hi--
	}
	for lo < hi && isWhite(line[lo]) {
		lo++
	}
	if lo == hi {
		return lo, hi, false
	}
	switch line[lo] {
	case '{':
		return lo, hi, true
	case ':', 'e', 'i', 'r':
		for _, field := range [...]string{":", "event:", "id:", "retry:"} {
			if bytes.HasPrefix(line[lo:hi], []byte(field)) {
				return lo, hi, false
			}
		}
	}
	for bytes.HasPrefix(line[lo:hi], []byte("data:")) {
		for lo += len("data:"); lo < hi && isWhite(line[lo]); {
			lo++
		}
	}
	return lo, hi, lo < hi && string(line[lo:hi]) != sseDone
}

// isWhole reports whether an unterminated last line can be handed out: a complete
// document, blank, or too long to wait for. Other SSE lines may go on.
func (r *Reader) isWhole(line []byte) bool {
	if r.opt.Final || int64(len(line)) > r.opt.MaxLine {
		return true
	}
	line = line[bomLen(line, r.end.Offset):]
	lo, hi, _ := bounds(line)
	if len(trimWhite(line)) == 0 {
		return true
	}
	// A line is given away in two parts at most: its second document has ord
	// 1, and there must not be another.
	return r.lead != behindText && (string(line[lo:hi]) == sseDone || json.Valid(line[lo:hi]))
}

// framing chooses between lines and values by the beginning of a stream, as
// soon as that is sure. A stream that begins with NUL bytes has lines.
func framing(b []byte) (values, sure bool) {
	if len(b) < len(bom) && string(b) == bom[:len(b)] {
		return false, false
	}
	b = bytes.TrimLeft(bytes.TrimPrefix(b, []byte(bom)), " \t\r\n")
	switch {
	case len(b) == 0:
		return false, false
	case b[0] == '[':
		n := min(len(b), len(sseDone))
		values = string(b[:n]) != sseDone[:n]
		return values, values || n == len(sseDone)
	case b[0] == '{':
		b = bytes.TrimLeft(b[1:], " \t\r")
		return len(b) > 0 && b[0] == '\n', len(b) > 0
	}
	return false, true
}

// lead is what stands on a line before a position, given away already.
type lead uint8

const (
	lineStart  lead = iota // nothing
	behindNULs             // NUL bytes only
	behindSpace
	behindText
)

// nuls finds the run of NUL bytes that a line begins with. It is b[from:end],
// where b stands at offset and l before it.
func (l lead) nuls(b []byte, offset int64) (from, end int) {
	if l != lineStart && l != behindNULs || offset != 0 && len(b) > 0 && b[0] != 0 {
		return 0, 0
	}
	from = bomLen(b, offset)
	return from, from + nuls(b[from:])
}

// after is the lead behind p, which stands at offset and follows l.
func (l lead) after(p []byte, offset int64) lead {
	p = p[bomLen(p, offset):]
	if i := lastNewline(p); i >= 0 {
		l, p = lineStart, p[i+1:]
	}
	if _, n := l.nuls(p, -1); n > 0 {
		l, p = behindNULs, p[n:]
	}
	switch {
	case l == behindText || len(p) == 0:
		return l
	case len(trimWhite(p)) > 0:
		return behindText
	}
	return behindSpace
}

// bomLen is the length of the byte order mark that b begins with if it stands
// at the start of the stream.
func bomLen(b []byte, offset int64) int {
	if offset == 0 && bytes.HasPrefix(b, []byte(bom)) {
		return len(bom)
	}
	return 0
}

var zeros [4 << 10]byte

// nuls is the length of the run of NUL bytes that b begins with.
func nuls(b []byte) int {
	n := 0
	for bytes.HasPrefix(b[n:], zeros[:]) {
		n += len(zeros)
	}
	for n < len(b) && b[n] == 0 {
		n++
	}
	return n
}

func isWhite(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func trimWhite(b []byte) []byte { return bytes.Trim(b, " \t\r\n") }

// lastNewline is bytes.LastIndexByte, which goes byte by byte, made fast for
// long lines.
func lastNewline(b []byte) int {
	const window = 4 << 10
	for hi := len(b); hi > 0; {
		lo := max(0, hi-window)
		if bytes.IndexByte(b[lo:hi], '\n') >= 0 {
			return lo + bytes.LastIndexByte(b[lo:hi], '\n')
		}
		hi = lo
	}
	return -1
}
