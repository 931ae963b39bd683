package sink

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/zeebo/xxh3"

	"usagelake/schemas"
)

const (
	// maxText is how many bytes of a string a quarantined record keeps: it
	// holds other people's prompts.
	maxText = 64
	// maxRaw bounds the raw text kept of a record, in bytes.
	maxRaw = 64 << 10
)

// Quarantined is one record set aside, as it is written: a JSON object a line.
type Quarantined struct {
	File   string         `json:"source_file"`
	ID     string         `json:"source_id"`
	Reason schemas.Reason `json:"reason"`
	Line   int64          `json:"line"`
	Offset int64          `json:"offset"` // in the decompressed source
	Length int64          `json:"length"` // bytes
	Hash   string         `json:"hash"`   // XXH3-128 of the bytes seen
	// Raw is the text: with long strings shortened unless the run was told to
	// keep all. RawBase64 stands in its place where it is no UTF-8.
	Raw       string `json:"raw,omitempty"`
	RawBase64 []byte `json:"raw_base64,omitempty"`
	Whole     bool   `json:"whole"` // Raw is all of the record
}

// MakeQuarantined describes a record. doc is what was read of it; Length is
// its true length. whole keeps long texts.
func MakeQuarantined(reason schemas.Reason, line, offset, length int64, doc []byte, whole bool) Quarantined {
	sum := xxh3.Hash128(doc).Bytes()
	q := Quarantined{Reason: reason, Line: line, Offset: offset, Length: length, Hash: hex.EncodeToString(sum[:])}
	raw := doc
	if !whole {
		raw = shorten(doc, reason == schemas.NotJSON || reason == schemas.LineTooLong)
		if len(raw) > maxRaw {
			raw = raw[:maxRaw]
		}
	}
	q.Whole = int64(len(raw)) == length && bytes.Equal(raw, doc)
	if utf8.Valid(raw) {
		q.Raw = string(raw)
	} else {
		q.RawBase64 = bytes.Clone(raw)
	}
	return q
}

// Spool keeps quarantined records in a file until their sources are known:
// of a record it holds no more than its place in memory.
type Spool struct {
	w       *bufio.Writer
	size    int64
	entries []spooled
}

type spooled struct {
	source     int32
	offset     int64 // of the record in its source
	start, end int64 // in the spool
}

// NewSpool makes a spool that writes to w, which the caller closes.
func NewSpool(w io.Writer) *Spool { return &Spool{w: bufio.NewWriterSize(w, 64<<10)} }

// Len is the count of records.
func (s *Spool) Len() int { return len(s.entries) }

// Add takes a record of the source with this index.
func (s *Spool) Add(source int32, q *Quarantined) error {
	text, err := json.Marshal(q)
	if err != nil {
		return err
	}
	s.entries = append(s.entries, spooled{source, q.Offset, s.size, s.size + int64(len(text))})
	s.size += int64(len(text))
	_, err = s.w.Write(text)
	return err
}

// Flush makes all that was added readable.
func (s *Spool) Flush() error { return s.w.Flush() }

// WriteQuarantine writes the records of several spools, with the names of
// their sources, in the order of source_file, source_id and offset. files
// reads what the spools wrote.
func WriteQuarantine(w io.Writer, spools []*Spool, files []io.ReaderAt, sources *Sources) error {
	type entry struct {
		spooled
		file int
	}
	var all []entry
	for i, s := range spools {
		for _, e := range s.entries {
			all = append(all, entry{e, i})
		}
	}
	slices.SortFunc(all, func(a, b entry) int {
		s, t := sources.At(a.source), sources.At(b.source)
		return cmp.Or(strings.Compare(s.File, t.File), strings.Compare(s.ID, t.ID), cmp.Compare(a.offset, b.offset))
	})
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	var buf []byte
	for _, e := range all {
		buf = slices.Grow(buf[:0], int(e.end-e.start))[:e.end-e.start]
		if _, err := files[e.file].ReadAt(buf, e.start); err != nil {
			return err
		}
		var q Quarantined
		if err := json.Unmarshal(buf, &q); err != nil {
			return err
		}
		src := sources.At(e.source)
		q.File, q.ID = src.File, src.ID
		if err := enc.Encode(&q); err != nil {
			return err
		}
	}
	return nil
}

// shorten cuts the strings of a text to maxText bytes each and says how long
// they were. In a text that is no JSON what stands outside of strings can be
// anything, so it is cut likewise.
func shorten(doc []byte, broken bool) []byte {
	out := make([]byte, 0, min(len(doc), 4096))
	for len(doc) > 0 {
		if doc[0] != '"' {
			n := bytes.IndexByte(doc, '"')
			if n < 0 {
				n = len(doc)
			}
			outside := doc[:n]
			if broken {
				outside = cut(outside, 4*maxText)
			}
			out = append(out, outside...)
			doc = doc[n:]
			continue
		}
		end := 1
		for end < len(doc) && doc[end] != '"' {
			if doc[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(doc))
		out = append(append(out, '"'), cut(doc[1:end], maxText)...)
		if end < len(doc) {
			out = append(out, '"')
			end++
		}
		doc = doc[end:]
	}
	return out
}

// cut keeps the first n bytes of a text, not splitting a character or an
// escape.
func cut(text []byte, n int) []byte {
	if len(text) <= n {
		return text
	}
	k := n
	for k > 0 && !utf8.RuneStart(text[k]) {
		k--
	}
	if i := bytes.LastIndexByte(text[max(k-6, 0):k], '\\'); i >= 0 {
		k = max(k-6, 0) + i
		for k > 0 && text[k-1] == '\\' {
			k--
		}
	}
	out := append([]byte(nil), text[:k]...)
	out = append(out, "…("...)
	out = strconv.AppendInt(out, int64(len(text)-k), 10)
	return append(out, " bytes more)"...)
}
