package usagelake

import (
	"fmt"
	"maps"
	"slices"

	"usagelake/schemas"
	"usagelake/sink/ledger"
)

// Report is what a load did. Its JSON form is for machines; fields may be
// added.
type Report struct {
	Lake string `json:"lake"`
	Seq  int64  `json:"seq,omitempty"` // of the ledger record; 0 where nothing was new

	Inputs     []InputReport `json:"inputs"`
	Books      schemas.Books `json:"books"`      // of the whole run
	Partitions []string      `json:"partitions"` // directories below the lake
	Files      []FileReport  `json:"files"`
	Bytes      int64         `json:"bytes"` // of Parquet written
	Flags      Counts        `json:"flags,omitempty"`
	Quarantine string        `json:"quarantine,omitempty"` // path of the file of quarantined records
	Reasons    Counts        `json:"reasons,omitempty"`    // of quarantined records
	// Unknown is what usage objects hold that their dialects do not know,
	// Contradicts the rows whose numbers contradict their dialect's reading, by
	// provider (or dialect): a vendor has changed something.
	Unknown     []Unknown `json:"unknown,omitempty"`
	Contradicts Counts    `json:"contradicts,omitempty"`
	// Unpriced are the models of rows that have no cost although price books were
	// given, the most tokens first.
	Unpriced  []Unpriced `json:"unpriced,omitempty"`
	Displaced int64      `json:"displaced,omitempty"`  // published rows that gave way to better copies
	BytesRead int64      `json:"bytes_read,omitempty"` // of the inputs, on disk
	Now       *Extent    `json:"now,omitempty"`        // of the lake after the change; nil where nothing could change
	Seconds   float64    `json:"seconds"`

	// Problems are what a person should look at although the load was
	// published.
	Problems []string `json:"problems,omitempty"`
}

// Counts counts by name.
type Counts map[string]int64

// Names are the names, sorted.
func (c Counts) Names() []string { return slices.Sorted(maps.Keys(c)) }

// InputState says what became of an input.
type InputState string

// States of an input.
const (
	Loaded    InputState = "loaded"    // its records are in the books
	Continued InputState = "continued" // what was new behind a known prefix is in the books
	Known     InputState = "known"     // nothing new
	Same      InputState = "same"      // its bytes are those of another input of this run, or a beginning of them
	Empty     InputState = "empty"     // no bytes
	Pending   InputState = "pending"   // has bytes, but not one whole record yet
	Failed    InputState = "failed"    // could not be read; tried again next time
	Damaged   InputState = "damaged"   // read up to the damage; continues when the whole file comes
	Replayed  InputState = "replayed"  // records of it that were set aside were read again
)

// InputReport is what became of one input.
type InputReport struct {
	Path   string         `json:"path"`
	Source string         `json:"source,omitempty"` // id
	State  InputState     `json:"state"`
	Error  string         `json:"error,omitempty"`
	Books  *schemas.Books `json:"books,omitempty"` // nil where nothing was read
}

// FileReport is one file of a table that was written or, with 0 rows,
// removed.
type FileReport struct {
	Path  string           `json:"path"` // below the lake
	Rows  int64            `json:"rows"`
	Bytes int64            `json:"bytes"`
	Sums  schemas.SumsJSON `json:"sums"`
	// Before is what the file held before the change; nil where it is new.
	Before *Held `json:"before,omitempty"`
}

// Extent is how large a lake is. Rows, bytes of Parquet and partitions are those
// of the usage table.
type Extent struct {
	Rows       int64 `json:"rows"`
	Bytes      int64 `json:"bytes"`
	Partitions int   `json:"partitions"`
	Pending    int   `json:"pending_sources"` // sources with an unfinished tail
}

// Held is what a table, or a file of it, holds.
type Held = ledger.Held

func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}
