package usagelake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"usagelake/ingest"
	"usagelake/sink"
	"usagelake/sink/ledger"
	"usagelake/transform/seal"
)

// Forget takes the rows of a source out of a lake, its quarantined records,
// and all knowledge of it. Copies of its calls that had given way to it come
// back from their own sources, which are read again with the flags of cfg;
// where such a source is gone, Report.Problems names it. cfg names no inputs.
//
// source is an id, the beginning of one, a path the source was found at, or its
// source_file.
func Forget(ctx context.Context, cfg Config, source string) (*Report, error) {
	return change(ctx, cfg, false, ledger.Options{MustExist: true}, func(_ context.Context, s *settings) (planner, error) {
		return func(ctx context.Context, lake *ledger.Lake) (*planned, error) {
			src, err := resolve(lake, s.ids, s.Lake, source)
			if err != nil {
				return nil, err
			}
			return planForget(ctx, s, lake, src)
		}, nil
	})
}

// leastPrefix is how many digits of an id must be given.
const leastPrefix = 4

// resolve finds the source that is meant.
func resolve(lake *ledger.Lake, key *seal.Key, dir, name string) (*ledger.Source, error) {
	state := &lake.State
	if src := state.Sources[name]; src != nil {
		return src, nil
	}
	var found []string
	if seen, ok := state.Seen[key.Path(wholePath(name))]; ok {
		found = append(found, seen.Source)
	}
	for _, id := range slices.Sorted(maps.Keys(state.Sources)) {
		if state.Sources[id].File == name || state.Sources[id].File == key.File(name) || len(name) >= leastPrefix && strings.HasPrefix(id, name) {
			found = append(found, id)
		}
	}
	slices.Sort(found)
	switch found = slices.Compact(found); len(found) {
	case 0:
		return nil, fmt.Errorf("%w: no source %q in the lake; `usagelake status --lake %s --json` lists them", ErrUsage, name, dir)
	case 1:
		return state.Sources[found[0]], nil
	}
	var list []string
	for _, id := range found {
		list = append(list, fmt.Sprintf("%s (%s)", id, state.Sources[id].File))
	}
	return nil, fmt.Errorf("%w: %q may be any of %d sources: %s", ErrUsage, name, len(found), strings.Join(list, ", "))
}

func planForget(ctx context.Context, s *settings, lake *ledger.Lake, src *ledger.Source) (*planned, error) {
	if len(losers(&lake.State, src.ID)) > 0 { // they are read again
		if err := s.keyed(lake); err != nil {
			return nil, err
		}
	}
	p := newPlanned(ledger.KindForget)
	p.forget[p.sources.Intern(sink.Source{File: src.File, ID: src.ID})] = true

	known := map[string]bool{src.ID: true}
	for queue := []string{src.ID}; len(queue) > 0; queue = queue[1:] {
		for _, pair := range losers(&lake.State, queue[0]) {
			loser := lake.State.Sources[pair.Source]
			if loser == nil || known[loser.ID] {
				continue
			}
			known[loser.ID] = true
			in, err := s.find(ctx, lake, loser)
			switch {
			case err != nil:
				err = fmt.Errorf("%w; if it is elsewhere, forget it and load it from there", err)
			case loser.Filtered:
				err = errors.New("it was loaded with --from or --to only; load it again without")
			}
			if err != nil {
				p.warn = append(p.warn, fmt.Sprintf("%s (source %s): up to %d of its rows had given way to %s and do not come back: %v",
					loser.File, loser.ID, lake.State.Beaten[pair], lake.State.Sources[pair.By].File, err))
				queue = append(queue, loser.ID) // what had given way to it may be better than nothing
				continue
			}
			t := &task{input: in, known: loser, state: Continued}
			p.tasks = append(p.tasks, t)
			p.prepare(s, t)
		}
	}
	return p, p.setAside(ctx, lake)
}

// losers are the sources of which rows gave way to one, in order.
func losers(state *ledger.State, by string) []ledger.Pair {
	var out []ledger.Pair
	for pair := range state.Beaten {
		if pair.By == by {
			out = append(out, pair)
		}
	}
	slices.SortFunc(out, func(a, b ledger.Pair) int { return strings.Compare(a.Source, b.Source) })
	return out
}

// find looks for a file that holds a source, where it was seen before.
func (s *settings) find(ctx context.Context, lake *ledger.Lake, src *ledger.Source) (ingest.Input, error) {
	gone := "no file is known that holds it"
	for _, path := range slices.Sorted(maps.Keys(lake.State.Seen)) {
		if lake.State.Seen[path].Source != src.ID {
			continue
		}
		path, ok := s.ids.Open(path)
		if !ok {
			gone = sealedPath
			continue
		}
		gone = fmt.Sprintf("%s does not hold it any more", path)
		objects, err := s.objects([]string{path})
		if err != nil {
			return ingest.Input{}, err
		}
		inputs, err := ingest.Discover(ctx, []string{path}, "", objects)
		if err != nil || len(inputs) != 1 || inputs[0].Err != nil {
			continue
		}
		sums, _, err := ingest.Prefixes(ctx, inputs[0], []int64{src.Offset})
		if ctx.Err() != nil {
			return ingest.Input{}, ctx.Err()
		}
		if err != nil && !errors.Is(err, ingest.ErrDamaged) {
			continue
		}
		if sum, ok := sums[src.Offset]; ok && hexID(sum) == src.Sum {
			return inputs[0], nil
		}
	}
	return ingest.Input{}, fmt.Errorf("%s", gone)
}
