package usagelake

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"usagelake/schemas"
	"usagelake/sink/disk"
	"usagelake/sink/ledger"
)

// Status is what a lake knows of itself.
type Status struct {
	Lake       string           `json:"lake"`
	Sources    []SourceStatus   `json:"sources"`
	Partitions int              `json:"partitions"`
	Rows       int64            `json:"rows"`
	Bytes      int64            `json:"bytes"`
	Sums       schemas.SumsJSON `json:"sums"`
	Quarantine int64            `json:"quarantined"` // records that are set aside now
	Runs       []ledger.Run     `json:"runs"`
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
	if dir == "" {
		return nil, fmt.Errorf("%w: --lake DIR is missing", ErrUsage)
	}
	if fsys == nil {
		fsys = disk.OS{}
	}
	lake, err := ledger.Open(fsys, dir, ledger.Options{MustExist: true})
	if err != nil {
		return nil, err
	}
	state := &lake.State
	s := &Status{Lake: dir, Sources: []SourceStatus{}, Rows: state.Rows, Runs: state.Runs}
	s.Sums.Sums = state.Sums
	for _, q := range state.Quarantine {
		s.Quarantine += q.Records
	}
	days := map[string]bool{}
	for name, f := range state.Files {
		s.Bytes += f.Bytes
		dir, _, _ := strings.Cut(name, "/")
		days[dir] = true
	}
	s.Partitions = len(days)
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
