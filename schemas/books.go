package schemas

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Books account for every record of a source, or of a run: a JSON document,
// be it a line, an array element or an SSE event.
type Books struct {
	Records     int64 `json:"records"`
	ExtraRows   int64 `json:"extra_rows"` // rows beyond a record's first
	Rows        int64 `json:"rows"`       // of the usage table
	Reports     int64 `json:"reports"`    // rows of the reports table
	Duplicates  int64 `json:"duplicates"`
	Filtered    int64 `json:"filtered"`
	NoUsage     int64 `json:"no_usage"`
	Quarantined int64 `json:"quarantined"`
	Blank       int64 `json:"blank"`         // lines that are no records
	Pending     int64 `json:"pending_bytes"` // an unfinished tail

	// In is what the records report, taken from their text; the others are
	// what the rows say.
	In            SumsJSON `json:"in"`
	RowSums       SumsJSON `json:"row_sums"`
	ReportSums    RareSums `json:"report_sums"`
	DuplicateSums RareSums `json:"duplicate_sums"`
	FilteredSums  RareSums `json:"filtered_sums"`
}

// Add adds another account.
func (b *Books) Add(o *Books) {
	b.Records += o.Records
	b.ExtraRows += o.ExtraRows
	b.Rows += o.Rows
	b.Reports += o.Reports
	b.Duplicates += o.Duplicates
	b.Filtered += o.Filtered
	b.NoUsage += o.NoUsage
	b.Quarantined += o.Quarantined
	b.Blank += o.Blank
	b.Pending += o.Pending
	b.In.Add(&o.In.Sums)
	b.RowSums.Add(&o.RowSums.Sums)
	b.ReportSums.Add(o.ReportSums.all())
	b.DuplicateSums.Add(o.DuplicateSums.all())
	b.FilteredSums.Add(o.FilteredSums.all())
}

// Check fails if a record or a quantity is missing or counted twice. derived
// tells the columns that can hold what no record reported; they do not balance.
func (b *Books) Check(derived func(Col) bool) error {
	if in, out := b.Records+b.ExtraRows, b.Rows+b.Reports+b.Duplicates+b.Filtered+b.NoUsage+b.Quarantined; in != out {
		return fmt.Errorf("%d records and %d extra rows came in, %d are accounted for", b.Records, b.ExtraRows, out)
	}
	out := b.RowSums.Sums
	for _, rare := range []*RareSums{&b.ReportSums, &b.DuplicateSums, &b.FilteredSums} {
		if rare.some != nil {
			out.Add(rare.some)
		}
	}
	for i, c := range additive {
		if !derived(c) && b.In.Sums.of[i] != out.of[i] {
			return fmt.Errorf("%s: records report %s, rows hold %s", c, b.In.Text(c), out.Text(c))
		}
	}
	return nil
}

// SumsJSON is Sums that read and write as an object of decimal texts.
type SumsJSON struct{ Sums }

// MarshalJSON writes the sums that are not 0, by column name.
func (s SumsJSON) MarshalJSON() ([]byte, error) { return s.AppendJSON(nil), nil }

// AppendJSON is MarshalJSON behind out.
func (s *SumsJSON) AppendJSON(out []byte) []byte {
	out = append(out, '{')
	empty := len(out)
	for _, c := range byName {
		if s.At(c).IsZero() {
			continue
		}
		if len(out) > empty {
			out = append(out, ',')
		}
		out = append(append(append(out, '"'), c.String()...), `":"`...)
		out = append(append(out, s.Text(c)...), '"')
	}
	return append(out, '}')
}

// RareSums are SumsJSON that take no memory as long as all are 0: most sources have none
// of them, and a load may have very many sources. Copies share what they hold, so only
// one of them may be added to.
type RareSums struct {
	_    [0]func() // not to be compared by ==
	some *Sums
}

// Equal reports whether the sums are the same.
func (r RareSums) Equal(o RareSums) bool { return *r.all() == *o.all() }

// Sums are the sums as they stand.
func (r RareSums) Sums() Sums { return *r.all() }

// Text is the sum of column c as a decimal number.
func (r RareSums) Text(c Col) string { return r.all().Text(c) }

// all is not to be changed.
func (r *RareSums) all() *Sums {
	if r.some == nil {
		return &noSums
	}
	return r.some
}

var noSums Sums

// Add adds the other sums.
func (r *RareSums) Add(o *Sums) {
	if *o == noSums {
		return
	}
	if r.some == nil {
		r.some = new(Sums)
	}
	r.some.Add(o)
}

// AddRow adds every additive column of a Row or of a Builder's open row.
func (r *RareSums) AddRow(row quantities) {
	if r.some == nil {
		r.some = new(Sums)
	}
	r.some.AddRow(row)
}

// MarshalJSON is that of SumsJSON.
func (r RareSums) MarshalJSON() ([]byte, error) { return r.AppendJSON(nil), nil }

// AppendJSON is that of SumsJSON.
func (r *RareSums) AppendJSON(out []byte) []byte {
	if r.some == nil {
		return append(out, "{}"...)
	}
	s := SumsJSON{*r.some}
	return s.AppendJSON(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (r *RareSums) UnmarshalJSON(data []byte) error {
	var s SumsJSON
	if err := s.UnmarshalJSON(data); err != nil {
		return err
	}
	r.some = nil
	r.Add(&s.Sums)
	return nil
}

// byName is the additive columns in the order of their names.
var byName = slices.SortedFunc(slices.Values(additive), func(a, b Col) int { return strings.Compare(a.String(), b.String()) })

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *SumsJSON) UnmarshalJSON(data []byte) error {
	if sums, ok := plainSums(string(data)); ok {
		s.Sums = sums
		return nil
	}
	var m map[string]string
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	sums, err := fromNamed(m)
	s.Sums = sums
	return err
}

// plainSums reads sums that are written just as MarshalJSON does, without
// white space: a ledger holds thousands of them.
func plainSums(text string) (s Sums, ok bool) {
	text, opened := strings.CutPrefix(text, `{"`)
	text, closed := strings.CutSuffix(text, `"}`)
	if !opened || !closed {
		return s, false
	}
	for pair := range strings.SplitSeq(text, `","`) {
		name, value, _ := strings.Cut(pair, `":"`)
		c, ok := Lookup(name)
		if !ok || !c.Additive() {
			return s, false
		}
		a, err := ParseAmount(value, c.decimals())
		if err != nil {
			return s, false
		}
		s.Put(c, a)
	}
	return s, true
}
