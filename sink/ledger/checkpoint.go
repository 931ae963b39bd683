package ledger

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"usagelake/schemas"
	"usagelake/sink/disk"
)

const (
	// checkpointEvery is how many records go by from one checkpoint to the
	// next, unless Options say otherwise.
	checkpointEvery = 64
	// foldVersion counts the ways in which records were folded. A checkpoint of
	// another version is not used: raise it with every change of State.apply
	// or snapshot.
	foldVersion = 5
)

// checkpoint is the first line of a file that keeps the state after a record,
// so that Open need not read all of them; the second line is a snapshot. It is
// a cache: it is believed only if it is whole and its record is the one on the
// disk, and else the records are read.
type checkpoint struct {
	Format int    `json:"format"`
	Fold   int    `json:"fold"` // foldVersion
	Seq    int64  `json:"seq"`
	Record string `json:"record"` // SHA-256 of record Seq
	SHA256 string `json:"sha256"` // of the second line
}

// snapshot is a State as it is written: all but Settings, in one order.
type snapshot struct {
	IDKey      string                  `json:"id_key,omitempty"`
	Sources    []*Source               `json:"sources"`
	Files      []File                  `json:"files"`
	Empty      []File                  `json:"empty,omitempty"`
	Seen       []Seen                  `json:"seen"`
	Beaten     []Beaten                `json:"beaten"`
	Quarantine []Quarantine            `json:"quarantine"`
	Runs       []Run                   `json:"runs"`
	Held       [schemas.NumTables]Held `json:"held"` // by table
}

func (s *State) snapshot() *snapshot {
	out := &snapshot{
		IDKey:      s.IDKey,
		Sources:    ordered(s.Sources),
		Files:      ordered(s.Files),
		Empty:      ordered(s.Empty),
		Seen:       ordered(s.Seen),
		Quarantine: ordered(s.Quarantine),
		Runs:       s.Runs,
		Held:       s.Held,
	}
	for p, rows := range s.Beaten {
		out.Beaten = append(out.Beaten, Beaten{Source: p.Source, By: p.By, Rows: rows})
	}
	slices.SortFunc(out.Beaten, func(a, b Beaten) int {
		return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.By, b.By))
	})
	return out
}

// state is what snapshot was made of.
func (n *snapshot) state(settings Settings) State {
	s := newState(settings)
	for _, src := range n.Sources {
		s.Sources[src.ID] = src
	}
	for _, f := range n.Files {
		s.Files[f.Path] = f
	}
	for _, f := range n.Empty {
		s.Empty[f.Path] = f
	}
	for _, f := range n.Seen {
		s.Seen[f.Path] = f
	}
	for _, b := range n.Beaten {
		s.Beaten[Pair{b.Source, b.By}] = b.Rows
	}
	for _, q := range n.Quarantine {
		s.Quarantine[q.Path] = q
	}
	s.IDKey, s.Runs, s.Held = n.IDKey, n.Runs, n.Held
	return s
}

// ordered are the values of a map in the order of their keys.
func ordered[V any](m map[string]V) []V {
	out := make([]V, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, m[k])
	}
	return out
}

func checkpointName(seq int64) string { return fmt.Sprintf("checkpoint-%09d.json", seq) }

// checkpoints are the names of all checkpoints, the newest first.
func (l *Lake) checkpoints() []string {
	entries, _ := l.fs.ReadDir(l.state()) // without it there are none
	var names []string
	for _, e := range slices.Backward(entries) {
		if strings.HasPrefix(e.Name(), "checkpoint-") && strings.HasSuffix(e.Name(), ".json") {
			names = append(names, e.Name())
		}
	}
	return names
}

// checkpoint writes the state down if it is time to. What was published stays
// so if that fails; a later checkpoint will do.
func (l *Lake) checkpoint() {
	s := &l.State
	if s.Seq%l.opt.CheckpointEvery != 0 {
		return
	}
	state, err := json.Marshal(s.snapshot())
	if err != nil {
		return
	}
	first, err := json.Marshal(checkpoint{Format: Format, Fold: foldVersion, Seq: s.Seq, Record: s.Sum, SHA256: Hash(state)})
	if err != nil {
		return
	}
	data := slices.Concat(first, []byte{'\n'}, state)
	if l.replace(filepath.Join(l.state(), checkpointName(s.Seq)), data) != nil {
		return
	}
	for _, name := range l.checkpoints() {
		// where others may be at work a later one is theirs
		if name < checkpointName(s.Seq) || name != checkpointName(s.Seq) && l.shared == nil {
			_ = l.fs.Remove(filepath.Join(l.state(), name))
		}
	}
}

// restore is the state of the newest checkpoint that can be believed; without
// one it is the state before the first record.
func (l *Lake) restore() State {
	for _, name := range l.checkpoints() {
		if s, err := l.readCheckpoint(name); err == nil {
			return s
		}
	}
	return newState(l.State.Settings)
}

// errOtherFold: another version of the program wrote a checkpoint.
var errOtherFold = errors.New("was folded by another version")

func (l *Lake) readCheckpoint(name string) (State, error) {
	var s State
	data, err := disk.ReadFile(l.fs, filepath.Join(l.state(), name))
	if err != nil {
		return s, err
	}
	first, state, _ := bytes.Cut(data, []byte{'\n'})
	var c checkpoint
	if err := json.Unmarshal(first, &c); err != nil {
		return s, fmt.Errorf("is damaged: %w", err)
	}
	if c.Format != Format || c.Fold != foldVersion {
		return s, errOtherFold
	}
	if name != checkpointName(c.Seq) || Hash(state) != c.SHA256 {
		return s, errors.New("is damaged")
	}
	switch sum, err := l.FileSum(filepath.Join(l.records(), recordName(c.Seq))); {
	case err != nil:
		return s, err
	case sum != c.Record:
		return s, fmt.Errorf("does not fit record %d: one of the two was edited or removed", c.Seq)
	}
	var n snapshot
	if err := json.Unmarshal(state, &n); err != nil {
		return s, err
	}
	s = n.state(l.State.Settings)
	s.Seq, s.Sum = c.Seq, c.Record
	return s, nil
}
