// Package ledger keeps what a lake knows beside its table: which sources were
// loaded how far, which files the table consists of, one immutable record for
// every change, and the protocol that makes a change visible.
package ledger

import (
	"time"

	"usagelake/schemas"
)

// Format is the version of everything the ledger writes: 2 since paths of files
// name their table.
const Format = 2

// Kinds of change.
const (
	KindLoad    = "load"    // inputs were loaded
	KindReplay  = "replay"  // what was set aside, or a source as a whole, was read anew
	KindForget  = "forget"  // sources and their rows were taken out
	KindReprice = "reprice" // costs were computed anew
)

// Record is one change of the lake. Records are immutable and chained: Prev is
// the SHA-256 of the record before. What a record takes away leaves before what
// it brings comes, so one record can forget a source and load it again.
type Record struct {
	Format int    `json:"format"`
	Seq    int64  `json:"seq"` // from 1, without gaps
	Kind   string `json:"kind"`
	Prev   string `json:"prev"` // "" in the first record

	Time time.Time `json:"time"` // when the change was made; for people
	Tool string    `json:"tool"`
	// Run is the id of the steps that made the change, where it was made in steps.
	Run string `json:"run,omitempty"`
	// Asked is a hash of what those steps were asked to do.
	Asked string `json:"asked,omitempty"`
	// IDKey is the fingerprint of the key that ids are hashed with from this
	// change on, where it is not that of before.
	IDKey string `json:"id_key,omitempty"`

	Forgotten      []string  `json:"forgotten,omitempty"`       // ids of sources that the lake no longer knows
	QuarantineGone []string  `json:"quarantine_gone,omitempty"` // paths of quarantine files that were removed
	Removed        []Removed `json:"removed,omitempty"`         // rows that left the table

	Sources    []Source       `json:"sources,omitempty"`    // as they stand after this change
	Seen       []Seen         `json:"seen,omitempty"`       // files that sources were found in
	Files      []File         `json:"files,omitempty"`      // of the table, that this change replaced
	Beaten     []Beaten       `json:"beaten,omitempty"`     // copies that lost to a more complete one
	Quarantine *Quarantine    `json:"quarantine,omitempty"` // records set aside
	Books      *schemas.Books `json:"books,omitempty"`      // of the whole change
}

// Source is an append-only stream of decompressed bytes, known by the hash of
// the bytes consumed so far and not by its path.
type Source struct {
	ID   string `json:"id"`   // XXH3-128 of the bytes that the first load consumed, 32 hex digits
	File string `json:"file"` // source_file of its rows, as first seen
	// Path is the name behind File, encrypted, in a lake with hashed ids.
	Path string `json:"path,omitempty"`

	Offset int64  `json:"offset"` // bytes consumed
	Line   int64  `json:"line"`   // line number there
	Sum    string `json:"sum"`    // XXH3-128 of the bytes consumed
	// Head is the XXH3-128 of the first HeadLen bytes, at most 4096: what a
	// source is looked up by before it is read.
	Head    string `json:"head"`
	HeadLen int64  `json:"head_len"`

	Pending int64 `json:"pending,omitempty"` // bytes of an unfinished tail, when last read
	Damaged bool  `json:"damaged,omitempty"` // the compressed stream ended in damage
	// Filtered: loaded with --from or --to only, so that a later load reads it
	// again from the start.
	Filtered bool `json:"filtered,omitempty"`
	// FileTime is the modification time at first sight, microseconds; it stays
	// the event time of records that have no other.
	FileTime int64 `json:"file_time,omitempty"`
	// Said is what the records so far said that later ones may leave out, or sum up: texts
	// of columns and counts, by family of dialects.
	Said map[string]map[string]string `json:"said,omitempty"`

	Books *schemas.Books `json:"books,omitempty"` // of this change
}

// Seen is a file that a source was found in, so that an unchanged one needs no
// reading.
type Seen struct {
	Source string `json:"source"` // id
	Path   string `json:"path"`   // encrypted in a lake with hashed ids
	Size   int64  `json:"size"`   // on disk
	Mtime  int64  `json:"mtime_ns"`
	Dev    uint64 `json:"dev"`
	Inode  uint64 `json:"inode"`
}

// File is one file of a table.
type File struct {
	Path   string           `json:"path"` // below the lake
	Rows   int64            `json:"rows"` // 0: the file was removed or, with a SHA256, has none
	Bytes  int64            `json:"bytes,omitempty"`
	SHA256 string           `json:"sha256,omitempty"`
	Before string           `json:"before,omitempty"` // SHA-256 of the file it replaced
	Sums   schemas.SumsJSON `json:"sums"`
	// AnyDay counts rows with an id whose time is not the call's own: copies of
	// them are looked for on every day.
	AnyDay int64 `json:"any_day,omitempty"`
}

// Beaten counts rows of a source that gave way to copies from another.
type Beaten struct {
	Source string `json:"source"`
	By     string `json:"by"`
	Rows   int64  `json:"rows"`
}

// Removed counts rows of a source that were in a table before a change and
// are not after it: a better copy displaced them, or they were forgotten.
type Removed struct {
	Source string           `json:"source"`
	Table  string           `json:"table,omitempty"` // where it is not the usage table
	Rows   int64            `json:"rows"`
	Sums   schemas.SumsJSON `json:"sums"`
}

// Quarantine is the file of records that a change set aside.
type Quarantine struct {
	Path    string `json:"path"` // below the quarantine directory
	Records int64  `json:"records"`
	SHA256  string `json:"sha256"`
}
