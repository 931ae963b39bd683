package usagelake

import (
	"cmp"
	"maps"
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

// drift gathers what records have that their dialects do not know, what contradicts
// these, and sums over calls that are not there.
type drift struct {
	unknown     map[unknownKey]*unknownSeen
	contradicts Counts // by provider, or by dialect where there is none
	tallies     map[tallyKey]*tally
}

// tallyKey is a whole of calls. Its hash bounds how many are told apart: several that share
// one are taken together, and only of these the sum of one can hide behind the calls of
// another.
type tallyKey struct {
	dialect string
	whole   uint16
}

// tally is what the calls of a whole used, and the most that a record says they did, in
// 10^-6 tokens.
type tally struct {
	calls, sum  int64
	unknownSeen // of the records that say so
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
	return &drift{unknown: map[unknownKey]*unknownSeen{}, contradicts: Counts{}, tallies: map[tallyKey]*tally{}}
}

// tally takes in what calls of a whole used and what a record says of all of them.
func (d *drift) tally(k tallyKey, of *tally) {
	t := d.tallies[k]
	if t == nil {
		t = &tally{}
		d.tallies[k] = t
	}
	t.calls += of.calls
	t.sum = max(t.sum, of.sum)
	t.merge(&of.unknownSeen)
}

// add takes in a member that is unknown, unless there are too many.
func (d *drift) add(dialect, key string, task int, line int64) {
	k := unknownKey{dialect, key}
	if d.unknown[k] == nil {
		if len(d.unknown) >= maxUnknown {
			return
		}
		k.key = strings.Clone(key)
	}
	d.tell(k, &unknownSeen{1, task, line})
}

// tell takes in what is told of however much there is.
func (d *drift) tell(k unknownKey, of *unknownSeen) {
	seen := d.unknown[k]
	if seen == nil {
		seen = &unknownSeen{}
		d.unknown[k] = seen
	}
	seen.merge(of)
}

func (s *unknownSeen) merge(o *unknownSeen) {
	if s.count == 0 || o.count > 0 && (o.task < s.task || o.task == s.task && o.line < s.line) {
		s.task, s.line = o.task, o.line
	}
	s.count += o.count
}

func (d *drift) merge(o *drift) {
	for k, seen := range o.unknown {
		d.tell(k, seen)
	}
	for k, of := range o.tallies {
		d.tally(k, of)
	}
	for name, n := range o.contradicts {
		d.contradicts[name] += n
	}
}

// What is told of beside members that are unknown, as if it were one: sums of more than the
// calls that came with them, and the last call of an input that waits to be said again, which
// counts once the input goes on.
const (
	sumsWithoutCalls = "sums_without_calls"
	lastCall         = "last_call"
)

// list is what is unknown, the most frequent first, and with it sums over calls that did
// not come with them.
func (d *drift) list(tasks []*task) []Unknown {
	var out []Unknown
	sums := newDrift()
	for k, t := range d.tallies {
		if t.sum > t.calls {
			sums.tell(unknownKey{k.dialect, sumsWithoutCalls}, &t.unknownSeen)
		}
	}
	maps.Copy(sums.unknown, d.unknown)
	for k, seen := range sums.unknown {
		out = append(out, Unknown{k.dialect, transform.Label(k.key), seen.count, tasks[seen.task].input.Path, seen.line})
	}
	slices.SortFunc(out, func(a, b Unknown) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Dialect, b.Dialect), strings.Compare(a.Key, b.Key))
	})
	return out
}
