package sink

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"usagelake/schemas"
)

// Stored are the rows of a merger in a file, for mergers of other processes. They
// must have the same Sources, by index, and the same options.
type Stored struct {
	File     string          `json:"file"`
	Sections []StoredSection `json:"sections,omitempty"`
}

// StoredSection is where the rows of one unit stand, in the order of the sort key.
type StoredSection struct {
	Unit    string   `json:"unit"` // path of its file below the lake
	Rows    int64    `json:"rows"`
	First   [4]int64 `json:"first"` // time, line, row and source of the first row
	Last    [4]int64 `json:"last"`
	Size    int64    `json:"size"`    // memory that reading takes, in bytes, about
	Batches []piece  `json:"batches"` // Arrow IPC streams of one batch each
	// Calls are the refs of rows with an id, Places those of rows of sources that are
	// read again: 12 bytes each, little-endian: a hash and the number of the row.
	Calls  piece `json:"calls"`
	Places piece `json:"places"`
	// Near and AnyDay count the rows whose copies are looked for on the days beside
	// theirs and on every day.
	Near   int64 `json:"near,omitempty"`
	AnyDay int64 `json:"any_day,omitempty"`
}

// storedRef is the size of a ref in a file, in bytes.
const storedRef = 12

// Store writes all rows into a file of the directory to, durably. All intakes must be
// closed.
func (m *Merger) Store(ctx context.Context, to Scratch, name string) (_ *Stored, err error) {
	m.early, m.order = true, m.opt.Sources.order()
	f, err := to.Create(name)
	if err != nil {
		return nil, err
	}
	defer closing(&err, f.Close)
	r := newRewriter(m, m.order)
	r.run = &runFile{scratch: to, name: name}
	r.w = &offsetWriter{w: bufio.NewWriterSize(f, 256<<10)}
	out := &Stored{File: name}
	for _, u := range slices.SortedFunc(maps.Keys(m.units), schemas.Unit.Compare) {
		if err := m.store(ctx, r, u, out); err != nil {
			return nil, err
		}
	}
	if err := r.w.w.Flush(); err != nil {
		return nil, err
	}
	return out, f.Sync()
}

// store writes the rows of a unit.
func (m *Merger) store(ctx context.Context, r *rewriter, u schemas.Unit, out *Stored) error {
	list, err := m.narrow(ctx, m.sectionsOf(u, true))
	defer func() {
		for _, p := range list {
			p.release()
		}
	}()
	if err != nil || len(list) == 0 {
		return err
	}
	type refs struct {
		calls, places []byte
		near, anyDay  int64
	}
	of := map[*section]*refs{}
	write := func(to []byte, hash uint64, index int64) []byte {
		return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(to, hash), uint32(index))
	}
	longer, err := r.merge(ctx, list, func(p *section, base int64, b *schemas.Batch) {
		have := of[p]
		if have == nil {
			have = &refs{}
			of[p] = have
		}
		m.eachAgain(b, 0, b.Len(), func(i int, hash uint64) { have.places = write(have.places, hash, base+int64(i)) })
		m.eachID(b, func(i int, id string, k *kind) {
			have.calls = write(have.calls, k.hash(id), base+int64(i))
			switch k.scope {
			case schemas.AnyDay:
				have.anyDay++
			case schemas.NearDays:
				have.near++
			}
		})
	})
	if err != nil { // what a section holds may not have been noted
		return err
	}
	for _, p := range longer {
		have, s := of[p], StoredSection{
			Unit: u.Path(), Rows: p.rows, Size: p.size, Batches: p.run.pieces,
			First: p.first.stored(), Last: p.last.stored(),
		}
		s.Near, s.AnyDay = have.near, have.anyDay
		for _, part := range []struct {
			at    *piece
			bytes []byte
		}{{&s.Calls, have.calls}, {&s.Places, have.places}} {
			*part.at = piece{Off: r.w.n, Len: int64(len(part.bytes))}
			if _, e := r.w.Write(part.bytes); err == nil {
				err = e
			}
		}
		out.Sections = append(out.Sections, s)
	}
	return err
}

func (s spot) stored() [4]int64 { return [4]int64{s.time, s.line, s.row, int64(s.source)} }

func storedSpot(v [4]int64, lines int64) spot {
	return spot{v[0], place{v[1] + lines, v[2], int32(v[3])}}
}

// Take takes in the stored rows, of a file of the directory from, whose units are
// wanted. lines is added to their source_line. It comes before Ask and Old, and may be
// called by several at once.
func (m *Merger) Take(from Scratch, s *Stored, lines int64, wanted func(schemas.Unit) bool) (err error) {
	r := &runFile{scratch: from, name: s.File}
	defer closing(&err, r.close) // it is opened again when rows are merged
	m.mu.Lock()
	m.files = append(m.files, r)
	m.mu.Unlock()
	for i := range s.Sections {
		stored := &s.Sections[i]
		unit, err := schemas.ParseUnit(stored.Unit)
		if err != nil {
			return err
		}
		if !wanted(unit) {
			continue
		}
		calls, err := r.bytes(stored.Calls)
		if err != nil {
			return err
		}
		places, err := r.bytes(stored.Places)
		if err != nil {
			return err
		}
		if err := m.take(&section{
			unit: unit, rows: stored.Rows, size: stored.Size, marks: makeMarks(stored.Rows),
			first: storedSpot(stored.First, lines), last: storedSpot(stored.Last, lines),
			run: &stretch{run: r, mem: m.opt.Mem, pieces: stored.Batches, lines: lines},
		}, stored, calls, places); err != nil {
			return err
		}
	}
	return nil
}

// take takes in one section, with the refs of its rows as they are stored.
func (m *Merger) take(p *section, stored *StoredSection, calls, places []byte) error {
	m.number(p)
	m.taking.Lock()
	defer m.taking.Unlock()
	if err := m.shelve(); err != nil {
		return err
	}
	for k, refs := range [][]byte{calls, places} {
		for ; len(refs) >= storedRef; refs = refs[storedRef:] {
			hash := binary.LittleEndian.Uint64(refs)
			if k == 0 {
				m.sieve.put(hash)
			}
			m.oldLog[k].add(p.ref(hash, 0, int(binary.LittleEndian.Uint32(refs[8:]))))
		}
	}
	c := m.unit(p.unit)
	c.fresh += stored.Rows
	c.anyDay += stored.AnyDay
	if stored.Near+stored.AnyDay > 0 {
		m.asked.near[p.unit] = nil
	}
	m.asked.all = m.asked.all || stored.AnyDay > 0
	m.asked.n = askedMost + 1 // the ids themselves are not known
	return nil
}

// bytes reads a piece of the file.
func (r *runFile) bytes(at piece) ([]byte, error) {
	if at.Len == 0 {
		return nil, nil
	}
	f, err := r.open()
	if err != nil {
		return nil, err
	}
	buf := make([]byte, at.Len)
	if n, err := f.ReadAt(buf, at.Off); n < len(buf) {
		return nil, fmt.Errorf("%s: %w", r.name, err)
	}
	return buf, nil
}

// aim is at some of the units: of the others no more is known than what may decide
// on copies of these.
type aim struct {
	at   map[schemas.Unit]bool
	edge func(schemas.Unit) bool // beyond these units rows are not known
	far  bool                    // something beyond may matter
}

// Aim says which units are merged, and beyond which ones nothing is known: rows of
// these are the last that were taken in. It comes before Decide.
func (m *Merger) Aim(at []schemas.Unit, edge func(schemas.Unit) bool) {
	m.aim = &aim{at: map[schemas.Unit]bool{}, edge: edge}
	for _, u := range at {
		m.aim.at[u] = true
	}
}

// Far reports, behind Decide, whether copies reach from the units that are aimed at
// to the edge: more units must be taken in to decide on them.
func (m *Merger) Far() bool { return m.aim != nil && m.aim.far }

// has reports whether a unit is merged here.
func (a *aim) has(u schemas.Unit) bool { return a == nil || a.at[u] }

// look looks at rows with one id.
func (a *aim) look(v *verdicts, list []call) {
	if a == nil || a.far || v.places {
		return
	}
	at, edge := false, false
	for i := range list {
		u := v.section(&list[i]).unit
		at = at || a.at[u]
		edge = edge || list[i].scope != schemas.SameDay && a.edge(u)
	}
	a.far = at && edge
}
