package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"usagelake/sink/disk"
)

// Audit reads all records again, from the first, and names those that are
// missing or were edited, and checkpoints that cannot be believed. Where the
// chain is whole it holds the state in use against what the records add up to,
// since Open may have taken it from a checkpoint.
func (l *Lake) Audit() (problems []string) {
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	for _, name := range l.checkpoints() {
		if _, err := l.readCheckpoint(name); err != nil && !errors.Is(err, errOtherFold) {
			problem("state/%s: is not used: %v", name, err)
		}
	}
	fold, whole := newState(l.State.Settings), true
	prev, known := "", true // SHA-256 of the record before, and whether it could be read
	for seq := int64(1); seq <= l.State.Seq; seq++ {
		var r Record
		data, err := disk.ReadFile(l.fs, filepath.Join(l.records(), recordName(seq)))
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				problem("ledger record %d: is missing", seq)
			} else {
				problem("ledger record %d: %v", seq, err)
			}
			known, whole = false, false
			continue
		}
		sum := Hash(data)
		switch err := json.Unmarshal(data, &r); {
		case err != nil:
			problem("ledger record %d: was edited: %v", seq, err)
			whole = false
		case r.Seq != seq || r.Format != Format:
			problem("ledger record %d: was edited: it says to be record %d, format %d", seq, r.Seq, r.Format)
			whole = false
		case known && r.Prev != prev:
			problem("ledger records %d and %d do not fit together: one of them was edited", seq-1, seq)
			whole = false
		}
		if whole {
			fold.apply(&r, sum)
		}
		prev, known = sum, true
	}
	if !whole {
		return problems
	}
	if prev != l.State.Sum {
		problem("ledger record %d: was edited since the lake was opened", l.State.Seq)
	}
	records, used := parts(&fold), parts(&l.State)
	for _, name := range slices.Sorted(maps.Keys(records)) {
		if !bytes.Equal(records[name], used[name]) {
			problem("the state in use is not what the records add up to: %s differ; remove state/checkpoint-*.json and verify again", name)
		}
	}
	return problems
}

// parts are the parts of a snapshot, as text.
func parts(s *State) map[string]json.RawMessage {
	out := map[string]json.RawMessage{}
	data, err := json.Marshal(s.snapshot())
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		panic("ledger: a state cannot be written: " + err.Error())
	}
	return out
}
