package encode

import "sync"

const segmentBytes = 32 << 10

type segment [segmentBytes]byte

var segments = sync.Pool{New: func() any { return new(segment) }}

// spool holds encoded pages until their row group ends, in segments that all
// files share.
type spool struct {
	full []*segment
	last *segment
	used int // bytes of last
}

func (s *spool) write(b []byte) {
	for len(b) > 0 {
		if s.last == nil || s.used == segmentBytes {
			if s.last != nil {
				s.full = append(s.full, s.last)
			}
			s.last, s.used = segments.Get().(*segment), 0
		}
		n := copy(s.last[s.used:], b)
		s.used += n
		b = b[n:]
	}
}

// drain writes everything to out and gives the memory back.
func (s *spool) drain(out *output) {
	for i, seg := range s.full {
		out.write(seg[:])
		segments.Put(seg)
		s.full[i] = nil
	}
	if s.last != nil {
		out.write(s.last[:s.used])
		segments.Put(s.last)
	}
	s.full, s.last, s.used = s.full[:0], nil, 0
}
