package sink

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"io"
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
	Source int32          `json:"-"` // in the run's table of sources
	Reason schemas.Reason `json:"reason"`
	File   string         `json:"source_file"`
	ID     string         `json:"source_id"`
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

// Compare orders entries by source and place.
func (q Quarantined) Compare(o Quarantined) int {
	return cmp.Or(strings.Compare(q.File, o.File), strings.Compare(q.ID, o.ID), cmp.Compare(q.Offset, o.Offset))
}

// Quarantine makes the entry for a record. doc is what was read of it; length
// is its true length.
func Quarantine(reason schemas.Reason, source int32, line, offset, length int64, doc []byte, whole bool) Quarantined {
	sum := xxh3.Hash128(doc).Bytes()
	q := Quarantined{
		Source: source, Reason: reason, Line: line, Offset: offset, Length: length,
		Hash: hex.EncodeToString(sum[:]),
	}
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

// WriteQuarantine writes entries, one a line, in the order given.
func WriteQuarantine(w io.Writer, list []Quarantined) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for i := range list {
		if err := enc.Encode(&list[i]); err != nil {
			return err
		}
	}
	return nil
}
