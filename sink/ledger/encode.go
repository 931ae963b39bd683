package ledger

import (
	"encoding/json"
	"io"
	"strconv"
	"sync"

	"usagelake/schemas"
)

// encode writes the record as JSON. Sources and files come last and by hand: a load
// of many small files has a great many of both, and json.Marshal takes longer
// for them than the files take to be read.
func (r *Record) encode(w io.Writer) error {
	few := *r
	few.Sources, few.Seen = nil, nil
	data, err := json.Marshal(&few)
	if err != nil {
		return err
	}
	if _, err := w.Write(data[:len(data)-1]); err != nil {
		return err
	}
	if err := encodeList(w, "sources", r.Sources, (*Source).append); err != nil {
		return err
	}
	if err := encodeList(w, "seen", r.Seen, (*Seen).append); err != nil {
		return err
	}
	_, err = w.Write([]byte{'}'})
	return err
}

// encodeList writes a field of the record. Two parts of the list are encoded side by
// side.
func encodeList[T any](w io.Writer, name string, list []T, item func(*T, []byte) []byte) error {
	if len(list) == 0 {
		return nil
	}
	encode := func(out []byte, some []T) []byte {
		for i := range some {
			out = append(item(&some[i], out), ',')
		}
		return out
	}
	const together = 256
	first, second := append(append([]byte(`,"`), name...), `":[`...), []byte(nil)
	for len(list) > 0 {
		n := min(together, len(list))
		m := min(2*together, len(list))
		var other sync.WaitGroup
		other.Go(func() { second = encode(second[:0], list[n:m]) })
		first = encode(first, list[:n])
		other.Wait()
		if list = list[m:]; len(list) == 0 { // no comma behind the last
			if len(second) > 0 {
				second = second[:len(second)-1]
			} else {
				first = first[:len(first)-1]
			}
			second = append(second, ']')
		}
		for _, part := range [][]byte{first, second} {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
		first = first[:0]
	}
	return nil
}

// append writes what json.Unmarshal reads as s.
func (s *Source) append(out []byte) []byte {
	out = appendText(out, `{"id":`, s.ID)
	out = appendText(out, `,"file":`, s.File)
	if s.Path != "" {
		out = appendText(out, `,"path":`, s.Path)
	}
	out = appendNumber(out, `,"offset":`, s.Offset)
	out = appendNumber(out, `,"line":`, s.Line)
	out = appendText(out, `,"sum":`, s.Sum)
	out = appendText(out, `,"head":`, s.Head)
	out = appendNumber(out, `,"head_len":`, s.HeadLen)
	if s.Pending != 0 {
		out = appendNumber(out, `,"pending":`, s.Pending)
	}
	if s.Damaged {
		out = append(out, `,"damaged":true`...)
	}
	if s.Filtered {
		out = append(out, `,"filtered":true`...)
	}
	if s.FileTime != 0 {
		out = appendNumber(out, `,"file_time":`, s.FileTime)
	}
	if len(s.Said) > 0 {
		said, _ := json.Marshal(s.Said) // of texts there is no error
		out = append(append(out, `,"said":`...), said...)
	}
	if s.Books != nil {
		out = appendBooks(append(out, `,"books":`...), s.Books)
	}
	return append(out, '}')
}

// appendBooks leaves out what is 0, which most of a source's books is.
func appendBooks(out []byte, b *schemas.Books) []byte {
	out = appendNumber(out, `{"records":`, b.Records)
	for _, n := range [...]struct {
		name  string
		count int64
	}{
		{`,"extra_rows":`, b.ExtraRows},
		{`,"rows":`, b.Rows},
		{`,"reports":`, b.Reports},
		{`,"duplicates":`, b.Duplicates},
		{`,"filtered":`, b.Filtered},
		{`,"no_usage":`, b.NoUsage},
		{`,"quarantined":`, b.Quarantined},
		{`,"blank":`, b.Blank},
		{`,"pending_bytes":`, b.Pending},
	} {
		if n.count != 0 {
			out = appendNumber(out, n.name, n.count)
		}
	}
	for _, s := range [...]struct {
		name string
		sums interface{ AppendJSON([]byte) []byte }
	}{
		{`,"in":`, &b.In},
		{`,"row_sums":`, &b.RowSums},
		{`,"report_sums":`, &b.ReportSums},
		{`,"duplicate_sums":`, &b.DuplicateSums},
		{`,"filtered_sums":`, &b.FilteredSums},
	} {
		before := len(out)
		if out = s.sums.AppendJSON(append(out, s.name...)); len(out) == before+len(s.name)+len("{}") {
			out = out[:before]
		}
	}
	return append(out, '}')
}

// append is json.Marshal of s.
func (s *Seen) append(out []byte) []byte {
	out = appendText(out, `{"source":`, s.Source)
	out = appendText(out, `,"path":`, s.Path)
	out = appendNumber(out, `,"size":`, s.Size)
	out = appendNumber(out, `,"mtime_ns":`, s.Mtime)
	out = strconv.AppendUint(append(out, `,"dev":`...), s.Dev, 10)
	out = strconv.AppendUint(append(out, `,"inode":`...), s.Inode, 10)
	return append(out, '}')
}

func appendNumber(out []byte, name string, v int64) []byte {
	return strconv.AppendInt(append(out, name...), v, 10)
}

func appendText(out []byte, name, text string) []byte {
	out = append(out, name...)
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(text) // of a text there is no error
			return append(out, quoted...)
		}
	}
	return append(append(append(out, '"'), text...), '"')
}
