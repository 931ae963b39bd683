package usagelake

import (
	"context"

	"usagelake/transform"
)

// said is what the records of a source said up to the end of a block. Blocks are
// worked on side by side; where one needs to know what was said before, it waits
// for the one before. Blocks are handed out in order, so that one is at work.
type said struct {
	before *said
	done   chan struct{} // closed at the end of the block
	memory transform.Memory
}

// newSaid is what was said before a source's first block.
func newSaid(m transform.Memory) *said { return &said{done: ended, memory: m} }

// ended is the channel of all that nobody works on.
var ended = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// said is what the records before the task's first one said.
func (t *task) said() transform.Memory {
	if t.known == nil || t.start.Offset == 0 {
		return nil
	}
	return t.ids.Recalled(t.known.Said)
}

// next is for the block behind.
func (s *said) next() *said { return &said{before: s, done: make(chan struct{})} }

// here is what was said before the record at hand, which may add to it. It is
// for the one who works on the block.
func (s *said) here(ctx context.Context) (transform.Memory, error) {
	if s.memory == nil {
		before, err := s.before.end(ctx)
		if err != nil {
			return nil, err
		}
		s.memory = before.Clone()
	}
	return s.memory, nil
}

// end waits for the end of the block and is what was said up to it.
func (s *said) end(ctx context.Context) (transform.Memory, error) {
	for {
		select {
		case <-s.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if s.memory != nil || s.before == nil {
			return s.memory, nil
		}
		s = s.before
	}
}

// all is what was said when all blocks have ended.
func (s *said) all() transform.Memory {
	for s != nil {
		if s.memory != nil {
			return s.memory
		}
		s = s.before
	}
	return nil
}

// finish ends the block.
func (s *said) finish() {
	for s.memory == nil && s.before != nil {
		select {
		case <-s.before.done: // nobody need go through it again
			s.memory, s.before = s.before.memory, s.before.before
			continue
		default:
		}
		break
	}
	close(s.done)
}
