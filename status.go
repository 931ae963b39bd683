package usagelake

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"usagelake/schemas"
	"usagelake/sink/disk"
	"usagelake/sink/ledger"
)

// Status is what a lake knows of itself.
type Status struct {
	Lake    string         `json:"lake"`
	Sources []SourceStatus `json:"sources"`
	// Of the usage table.
	Partitions int              `json:"partitions"`
	Rows       int64            `json:"rows"`
	Bytes      int64            `json:"bytes"`
	Sums       schemas.SumsJSON `json:"sums"`
	// Reports is the reports table, whose sums are over the same calls.
	Reports    TableStatus  `json:"reports"`
	Quarantine int64        `json:"quarantined"` // records that are set aside now
	Runs       []ledger.Run `json:"runs"`
}

// TableStatus is what a table holds.
type TableStatus struct {
	Partitions int   `json:"partitions"`
	Bytes      int64 `json:"bytes"`
	Held
}

// SourceStatus is one source.
type SourceStatus struct {
	ID     string   `json:"id"`
	File   string   `json:"file"`  // as first seen
	Bytes  int64    `json:"bytes"` // consumed, decompressed
	Lines  int64    `json:"lines"`
	Paths  []string `json:"paths"`                // where it was found
	Open   int64    `json:"pending_bytes"`        // an unfinished tail
	Damage bool     `json:"damaged,omitempty"`    // the compressed file ends in damage
	Part   bool     `json:"incomplete,omitempty"` // loaded with --from or --to only
}

// ReadStatus reads what a lake's ledger says. It changes nothing, except that a
// publication that was interrupted is brought to its end.
func ReadStatus(dir string, fsys disk.FS) (*Status, error) {
	lake, err := lookAt(dir, fsys)
	if err != nil {
		return nil, err
	}
	state := &lake.State
	s := &Status{Lake: dir, Sources: []SourceStatus{}, Runs: state.Runs}
	for _, q := range state.Quarantine {
		s.Quarantine += q.Records
	}
	tables, err := tablesOf(state)
	if err != nil {
		return nil, errors.Join(err, lake.Close())
	}
	usage := &tables[schemas.Usage]
	s.Partitions, s.Bytes, s.Rows, s.Sums, s.Reports = usage.Partitions, usage.Bytes, usage.Rows, usage.Sums, tables[schemas.Reports]
	paths := map[string][]string{}
	for _, p := range slices.Sorted(maps.Keys(state.Seen)) {
		id := state.Seen[p].Source
		paths[id] = append(paths[id], p)
	}
	for id, src := range state.Sources {
		s.Sources = append(s.Sources, SourceStatus{
			ID: id, File: src.File, Bytes: src.Offset, Lines: src.Line - 1, Paths: paths[id],
			Open: src.Pending, Damage: src.Damaged, Part: src.Filtered,
		})
	}
	slices.SortFunc(s.Sources, func(a, b SourceStatus) int {
		return strings.Compare(a.File+"\x00"+a.ID, b.File+"\x00"+b.ID)
	})
	return s, lake.Close()
}

// tablesOf is what the tables of a lake hold.
func tablesOf(state *ledger.State) (tables [schemas.NumTables]TableStatus, err error) {
	seen := map[string]bool{}
	for name, f := range state.Files {
		unit, err := schemas.ParseUnit(name)
		if err != nil {
			return tables, err
		}
		t := &tables[unit.Table]
		t.Bytes += f.Bytes
		if !seen[unit.Dir()] {
			seen[unit.Dir()] = true
			t.Partitions++
		}
	}
	for t := range tables {
		tables[t].Held = state.Held[t]
	}
	return tables, nil
}

// extent is how large a lake is; nil where its ledger names what is no file of a
// table, which verify reports.
func extent(state *ledger.State) *Extent {
	tables, err := tablesOf(state)
	if err != nil {
		return nil
	}
	usage := &tables[schemas.Usage]
	e := &Extent{Rows: usage.Rows, Bytes: usage.Bytes, Partitions: usage.Partitions}
	for _, src := range state.Sources {
		if src.Pending > 0 {
			e.Pending++
		}
	}
	return e
}
