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
	"usagelake/schemas/secret"
	"usagelake/sink/disk"
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
	Ord    int            `json:"ord,omitempty"` // of the record among those that begin on the line, from 0
	Offset int64          `json:"offset"`        // in the decompressed source
	Length int64          `json:"length"`        // bytes
	// Hash is the XXH3-128 of the bytes seen. It and the text are empty where ids
	// are hashed: the record stands in its source's file.
	Hash string `json:"hash"`
	// Raw is the text: with long strings shortened unless the run was told to
	// keep all. RawBase64 stands in its place where it is no UTF-8.
	Raw       string `json:"raw,omitempty"`
	RawBase64 []byte `json:"raw_base64,omitempty"`
	Whole     bool   `json:"whole"` // Raw is all of the record
}

// Fill takes over the text of a record, of which doc was read. whole keeps long
// texts, and credentials. Reason and Length must be set.
func (q *Quarantined) Fill(doc []byte, whole bool) {
	sum := xxh3.Hash128(doc).Bytes()
	q.Hash = hex.EncodeToString(sum[:])
	raw := doc
	if !whole {
		raw = secret.Blot(shorten(doc, q.Reason == schemas.NotJSON || q.Reason == schemas.LineTooLong))
		if len(raw) > maxRaw {
			raw = raw[:maxRaw]
		}
	}
	q.Whole = int64(len(raw)) == q.Length && bytes.Equal(raw, doc)
	if utf8.Valid(raw) {
		q.Raw = string(raw)
	} else {
		q.RawBase64 = bytes.Clone(raw)
	}
}

// Text is what is kept of the record.
func (q *Quarantined) Text() []byte {
	if q.RawBase64 != nil {
		return q.RawBase64
	}
	return []byte(q.Raw)
}

// ReadQuarantine hands out the records of a file that WriteQuarantine wrote.
func ReadQuarantine(r io.Reader, each func(*Quarantined) error) error {
	dec := json.NewDecoder(bufio.NewReaderSize(r, 64<<10))
	for {
		var q Quarantined
		switch err := dec.Decode(&q); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
		if err := each(&q); err != nil {
			return err
		}
	}
}

// Spool keeps quarantined records in a scratch file until their sources are
// known: of a record it holds no more than its place in memory.
type Spool struct {
	scratch Scratch
	name    string
	file    disk.Writer
	w       *bufio.Writer
	size    int64
	lines   int64 // to be added to those of the records
	entries []spooled
}

type spooled struct {
	source     int32
	offset     int64 // of the record in its source
	start, end int64 // in the spool
}

// StoredSpool is a closed spool in a file, for other processes that have the same
// Sources, by index.
type StoredSpool struct {
	File    string     `json:"file"`
	Records [][4]int64 `json:"records"` // source, offset, and where it stands in the file
}

// Store copies a closed spool into a file of the directory to, durably.
func (s *Spool) Store(to Scratch, name string) (_ *StoredSpool, err error) {
	in, err := s.scratch.Open(s.name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	f, err := to.Create(name)
	if err != nil {
		return nil, err
	}
	defer closing(&err, f.Close)
	out := &StoredSpool{File: name}
	for _, e := range s.entries {
		out.Records = append(out.Records, [4]int64{int64(e.source), e.offset, e.start, e.end})
	}
	if n, err := io.Copy(f, in); err != nil {
		return nil, err
	} else if n != s.size {
		return nil, io.ErrShortWrite
	}
	return out, f.Sync()
}

// OpenSpool is a spool as Store left it in the directory from. lines is added to
// those of the records.
func OpenSpool(from Scratch, s *StoredSpool, lines int64) *Spool {
	out := &Spool{scratch: from, name: s.File, lines: lines}
	for _, r := range s.Records {
		out.entries = append(out.entries, spooled{int32(r[0]), r[1], r[2], r[3]})
	}
	return out
}

// NewSpool makes a spool with its file.
func NewSpool(scratch Scratch, name string) (*Spool, error) {
	f, err := scratch.Create(name)
	if err != nil {
		return nil, err
	}
	return &Spool{scratch: scratch, name: name, file: f, w: bufio.NewWriterSize(f, 64<<10)}, nil
}

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

// Close makes all that was added readable, and ends the spool.
func (s *Spool) Close() error {
	err := s.w.Flush()
	if e := s.file.Close(); err == nil {
		err = e
	}
	return err
}

// WriteQuarantine writes the records of several closed spools, with the names
// of their sources, in the order of source_file, source_id and offset.
func WriteQuarantine(w io.Writer, spools []*Spool, sources *Sources) error {
	type entry struct {
		spooled
		file int
	}
	var all []entry
	files := make([]disk.Reader, len(spools))
	for i, s := range spools {
		if len(s.entries) == 0 {
			continue
		}
		f, err := s.scratch.Open(s.name)
		if err != nil {
			return err
		}
		defer f.Close()
		files[i] = f
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
		q.Line += spools[e.file].lines
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
