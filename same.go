package usagelake

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"usagelake/ingest"
	"usagelake/sink/ledger"
)

// parted sees to it that one input continues a source, where several begin
// with what is known of it: the longest one. Another is left out if it is a
// beginning of that one, and a new source if it goes another way.
func parted(ctx context.Context, tasks []*task) error {
	groups := map[*ledger.Source][]*task{}
	for _, t := range tasks {
		if t.state == Continued {
			groups[t.known] = append(groups[t.known], t)
		}
	}
	for _, group := range groups {
		if len(group) < 2 {
			continue
		}
		if err := sameHead(ctx, group); err != nil {
			return err
		}
		taken := false
		for _, t := range group {
			if t.state != Continued {
				continue
			}
			if taken {
				t.state, t.known, t.start = Loaded, nil, ingest.Position{}
			}
			taken = true
		}
	}
	return nil
}

// dropContained leaves out inputs whose bytes are those of another new input,
// or a beginning of them. An input shorter than a head shows this by its head;
// longer ones that share a head are read.
func dropContained(ctx context.Context, tasks []*task) error {
	var fresh []*task
	for _, t := range tasks {
		if t.state == "" {
			fresh = append(fresh, t)
		}
	}
	sortByHead(fresh)
	for i := 0; i < len(fresh); {
		n := 1
		for i+n < len(fresh) && bytes.Equal(fresh[i+n].head, fresh[i].head) {
			n++
		}
		group := fresh[i : i+n]
		i += n
		if len(group[0].head) < ingest.HeadLen {
			// if any head goes on from this one, the next in order does
			whole := group[0]
			if i < len(fresh) && bytes.HasPrefix(fresh[i].head, whole.head) {
				whole = fresh[i]
			}
			for _, t := range group {
				if t != whole {
					t.state, t.same = Same, whole
				}
			}
		} else if n > 1 {
			if err := sameHead(ctx, group); err != nil {
				return err
			}
		}
	}
	return nil
}

// sortByHead sorts tasks by their heads, and by their order before. Heads of logs
// begin alike, so it compares what stands behind that.
func sortByHead(tasks []*task) {
	if len(tasks) == 0 {
		return
	}
	alike := len(tasks[0].head)
	for _, t := range tasks {
		n := 0
		for n < min(alike, len(t.head)) && t.head[n] == tasks[0].head[n] {
			n++
		}
		alike = n
	}
	type item struct {
		next uint64 // bytes of the head
		at   int
		*task
	}
	items := make([]item, len(tasks))
	for i, t := range tasks {
		var next [8]byte
		copy(next[:], t.head[alike:])
		items[i] = item{binary.BigEndian.Uint64(next[:]), i, t}
	}
	slices.SortFunc(items, func(a, b item) int {
		if a.next != b.next {
			return cmp.Compare(a.next, b.next)
		}
		return cmp.Or(bytes.Compare(a.head, b.head), cmp.Compare(a.at, b.at))
	})
	for i := range items {
		tasks[i] = items[i].task
	}
}

// sameHead compares whole inputs, the longest first.
func sameHead(ctx context.Context, group []*task) error {
	sizes := map[*task]int64{}
	var lengths []int64
	for _, t := range group {
		_, size, err := t.prefixes(ctx, nil)
		if err != nil {
			return err
		}
		if t.state != Failed {
			sizes[t] = size
			lengths = append(lengths, size)
		}
	}
	slices.Sort(lengths)
	lengths = slices.Compact(lengths)
	slices.SortStableFunc(group, func(a, b *task) int { return cmp.Compare(sizes[b], sizes[a]) })
	prefixes := map[[16]byte]*task{} // of the inputs that stay, at those lengths
	for _, t := range group {
		if t.state == Failed {
			continue
		}
		sums, _, err := t.prefixes(ctx, lengths)
		if err != nil {
			return err
		}
		if t.state == Failed {
			continue
		}
		if whole := prefixes[sums[sizes[t]]]; whole != nil {
			t.state, t.same = Same, whole
			continue
		}
		for _, sum := range sums {
			prefixes[sum] = t
		}
	}
	return nil
}

// twins leaves out new inputs of which the very bytes were consumed that were
// consumed of another, in this run or when a source was first loaded: they
// differ in what follows alone, an unfinished tail or what the source has grown
// by. It reports whether there are any.
func (p *planned) twins(m *mapped, known *ledger.State) bool {
	gone := map[string]bool{}
	for i := range p.forget {
		gone[p.sources.At(i).ID] = true
	}
	first := make(map[string]*task, len(p.tasks))
	found := false
	for i, t := range p.tasks {
		if t.state != Loaded || m.reads[i].end.Offset == 0 {
			continue
		}
		id := m.reads[i].sum
		whole, src := first[id], known.Sources[id]
		switch {
		case whole != nil:
			t.state, t.same, found = Same, whole, true
		case src == nil || gone[id]:
			first[id] = t
		case src.Filtered:
			t.state, t.err, found = Failed, errCut, true
		default:
			t.state, t.known, found = Known, src, true
		}
	}
	return found
}

// errCut tells of an input that is the beginning of a source of which not all
// rows are in the table: what is missing cannot be told.
var errCut = errors.New("is the beginning of a source that was loaded with --from or --to; " +
	"restore the whole file, or forget the source, then load again")
