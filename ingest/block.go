package ingest

import (
	"bytes"

	"usagelake/schemas"
)

const (
	headLen = 64 << 10 // how much is kept of a line or value over MaxLine
	nulLen  = 16       // and of a run of NUL bytes
)

// Doc is one record as it stands in the source.
type Doc struct {
	// Data lies in the block, with at least 64 readable bytes behind it. White
	// space around it, byte order mark and SSE prefixes are left off.
	Data   []byte
	Offset int64 // of Data[0] in the stream
	Line   int64 // from 1
	// Ord counts the documents that begin on the line, from 0; runs of NUL
	// bytes do not count. What a line grew by after it was handed out has 1.
	Ord int
	// Length is the true length in bytes. It is len(Data) unless Reason is
	// LineTooLong: then Data is at most the first 64 KiB. Of a run of NUL
	// bytes Data is at most 16.
	Length int64
	// Reason is "", LineTooLong, or NotJSON where framing is broken and for a
	// run of NUL bytes, as a crash leaves them.
	Reason schemas.Reason

	nuls bool // a run of NUL bytes
}

// nulDoc is a run of NUL bytes, without its Data.
func nulDoc(at Position, length int64) Doc {
	return Doc{Offset: at.Offset, Line: at.Line, Length: length, Reason: schemas.NotJSON, nuls: true}
}

// MakeDoc is a record whose text was kept. It copies the text.
func MakeDoc(text []byte, offset, line int64, ord int) Doc {
	data := append(make([]byte, 0, len(text)+Pad), text...)
	return Doc{Data: data, Offset: offset, Line: line, Ord: ord, Length: int64(len(text))}
}

// in is d with the Data that stands in b, whose first byte has the offset.
func (d Doc) in(b []byte, offset int64) Doc {
	d.Data = b[d.Offset-offset:]
	switch {
	case d.nuls:
		d.Data = d.Data[:min(len(d.Data), nulLen)]
	case d.Reason == schemas.LineTooLong:
		d.Data = d.Data[:min(len(d.Data), headLen)]
	}
	d.Data = d.Data[:min(int64(len(d.Data)), d.Length)]
	return d
}

// Block is a run of whole records. It belongs to whoever got it from Next
// until Free.
type Block struct {
	// Data has at least 64 readable bytes behind it. A record over MaxLine, or
	// a run of NUL bytes, may have a block of its own with no more than its
	// beginning.
	Data         []byte
	Offset, Line int64 // of Data[0]

	mem    []byte   // what buffer returned, with Data in it
	hashed *hashing // nil: Data is not needed for the sum any more
	late   bool     // who looks at it hashes it: it is in his processor's cache then

	long   *Doc // the only record
	lines  int  // line framing: newlines in Data; its last byte is one, unless there are none
	values bool
	cut    cutter // values framing: the state at Data[0]
	torn   bool   // values framing: the stream ends inside the last value
	lead   lead   // line framing: what stands before Data on its line
	max    int64  // MaxLine
	large  *large // whose memory mem is; nil: the heap's
}

// Free gives the buffer back, and with a large record ReaderOptions.Large, as
// soon as the block is hashed. Data and the documents are invalid then: to read
// them may be a fault. To free a block again does nothing.
func (b *Block) Free() {
	if b.hashed != nil {
		b.hashed.do()
	}
	if b.large != nil {
		b.large.free()
	} else {
		recycle(b.mem)
	}
	*b = Block{}
}

// Each calls fn for every record in order. It returns the count of lines that
// are no records: blank ones and those of an SSE stream without data.
func (b *Block) Each(fn func(d Doc)) (blank int64) {
	if b.late {
		b.hashed.do()
	}
	switch {
	case b.long != nil:
		fn(*b.long)
	case b.values:
		b.eachValue(fn)
	default:
		return b.eachLine(fn)
	}
	return 0
}

func (b *Block) eachLine(fn func(Doc)) (blank int64) {
	at, lead := Position{b.Offset, b.Line}, b.lead
	last := b.Line + int64(b.lines) // the line that has no newline
	for rest := b.Data; len(rest) > 0; {
		if from, end := lead.nuls(rest, at.Offset); end > from {
			at.Offset += int64(from)
			fn(nulDoc(at, int64(end-from)).in(rest[from:], at.Offset))
			rest, lead = rest[end:], behindNULs
			at.Offset += int64(end - from)
			continue
		}
		raw, n := rest, len(rest)
		if i := lineEnd(rest, last-at.Line); i >= 0 {
			raw, n = rest[:i], i+1
		}
		if k := len(raw); lead == lineStart && k > 0 && raw[0] == '{' && raw[k-1] == '}' && int64(k) <= b.max { // as nearly all are
			fn(Doc{Data: raw, Offset: at.Offset, Line: at.Line, Length: int64(k)})
		} else if d, ok := lineDoc(raw, int64(k), at, lead, b.max); ok {
			fn(d)
		} else if lead == lineStart && !(at.Offset == 0 && string(rest) == bom) {
			blank++
		}
		rest, lead = rest[n:], lineStart
		at.Offset, at.Line = at.Offset+int64(n), at.Line+1
	}
	return blank
}

// lineEnd finds the first of the newlines in p, of which there are n. A long
// line is not searched if it is the last one.
func lineEnd(p []byte, n int64) int {
	switch n {
	case 0:
		return -1
	case 1:
		return len(p) - 1
	}
	return bytes.IndexByte(p, '\n')
}

func (b *Block) eachValue(fn func(Doc)) {
	c := b.cut
	for at := 0; at < len(b.Data); {
		n, ok := c.next(b.Data[at:])
		at += n
		if ok {
			fn(c.doc.in(b.Data, b.Offset))
		}
	}
	if c.open != noValue {
		if b.torn {
			c.tear()
		} else {
			c.end() // the byte that ends it begins the next block
		}
		fn(c.doc.in(b.Data, b.Offset))
	}
}
