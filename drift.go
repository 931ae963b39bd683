package usagelake

import (
	"cmp"
	"slices"
	"strings"

	"usagelake/transform"
)

// Unknown is a member of usage objects that their dialect does not know: a
// vendor has changed something. Its values are in extra_json.
type Unknown struct {
	Dialect string `json:"dialect"`
	Key     string `json:"key"` // below the usage object; of one that is no word its hash
	Count   int64  `json:"count"`
	File    string `json:"file"` // where it stands first: path of the input
	Line    int64  `json:"line"`
}

// drift gathers what records have that their dialects do not know, and what
// contradicts these.
type drift struct {
	unknown     map[unknownKey]*unknownSeen
	contradicts Counts // by provider, or by dialect where there is none
}

type unknownKey struct{ dialect, key string }

type unknownSeen struct {
	count int64
	task  int // the first
	line  int64
}

// maxUnknown bounds the members that are told apart. A log whose keys are data
// has any number of them.
const maxUnknown = 1000

func newDrift() *drift {
	return &drift{unknown: map[unknownKey]*unknownSeen{}, contradicts: Counts{}}
}

func (d *drift) add(dialect, key string, task int, line int64) {
	k := unknownKey{dialect, key}
	seen := d.unknown[k]
	if seen == nil {
		if len(d.unknown) >= maxUnknown {
			return
		}
		seen = &unknownSeen{task: task, line: line}
		d.unknown[unknownKey{dialect, strings.Clone(key)}] = seen
	}
	seen.count++
	if task < seen.task || task == seen.task && line < seen.line {
		seen.task, seen.line = task, line
	}
}

func (d *drift) merge(o *drift) {
	for k, seen := range o.unknown {
		mine := d.unknown[k]
		if mine == nil {
			d.unknown[k] = seen
			continue
		}
		mine.count += seen.count
		if seen.task < mine.task || seen.task == mine.task && seen.line < mine.line {
			mine.task, mine.line = seen.task, seen.line
		}
	}
	for name, n := range o.contradicts {
		d.contradicts[name] += n
	}
}

// list is what is unknown, the most frequent first.
func (d *drift) list(tasks []*task) []Unknown {
	var out []Unknown
	for k, seen := range d.unknown {
		out = append(out, Unknown{k.dialect, transform.Label(k.key), seen.count, tasks[seen.task].input.Path, seen.line})
	}
	slices.SortFunc(out, func(a, b Unknown) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Dialect, b.Dialect), strings.Compare(a.Key, b.Key))
	})
	return out
}
