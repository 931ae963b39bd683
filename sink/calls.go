package sink

import (
	"encoding/binary"
	"math"

	"github.com/zeebo/xxh3"

	"usagelake/schemas"
)

// call is what must be known of a row to tell whether it is a copy.
type call struct {
	ref
	key    schemas.CallKey
	time   int64
	output float64 // -1 where NULL
	input  float64
	cost   int64  // that is reported, of a row of usage; -1 where NULL
	grown  *grown // of a report's row
	place
	scope schemas.Scope
	old   bool // the row is in the table
	flag  bool // and has the flag id_reused
}

// grown is what rows of a bucket are compared by, in order, besides output and
// input; -Inf where NULL.
type grown [len(growing)]float64

var growing = [...]schemas.Col{
	schemas.Requests, schemas.ReportedCostUSD, schemas.Quantity, schemas.ImageCount, schemas.AudioSeconds, schemas.WebSearchRequests,
}

// callBytes is the size of a call in memory, about.
const callBytes = 128

// A look is at what of a batch's rows decides where their copies can lie.
type look struct {
	m        *Merger
	b        *schemas.Batch
	dialects []int32 // and so on: the numbers in the batch's dictionaries, nil where all rows are alike
	froms    []int32
	flags    []int32
	alike    bool // in all of these

	last [3]int32
	kind kind
}

// kind is the same for rows with the same dialect, event_time_source and flags.
type kind struct {
	scope schemas.Scope
	flag  bool // id_reused
	seed  uint64
}

// hash is the same for rows with the same id, whether or not they are copies.
func (k *kind) hash(id string) uint64 { return xxh3.HashStringSeed(id, k.seed) }

func (m *Merger) look(b *schemas.Batch) *look {
	l := &look{m: m, b: b, last: [3]int32{-1, -1, -1}}
	codes := func(c schemas.Col) []int32 {
		if b.Cols[c] == nil {
			return nil
		}
		if texts, _ := b.Texts(c); texts.Len() == 1 && b.Cols[c].NullN() == 0 {
			return nil
		}
		return b.Codes(nil, c, 0, b.Len())
	}
	l.dialects, l.froms, l.flags = codes(schemas.Dialect), codes(schemas.EventTimeSource), codes(schemas.QualityFlags)
	l.alike = l.dialects == nil && l.froms == nil && l.flags == nil
	return l
}

// at is the kind of row i, which has an id.
func (l *look) at(i int) *kind {
	if l.alike && l.last[0] == -2 {
		return &l.kind
	}
	now := [3]int32{-2, -2, -2}
	for k, codes := range [...][]int32{l.dialects, l.froms, l.flags} {
		if codes != nil {
			now[k] = codes[i]
		}
	}
	if l.flags != nil && l.b.Null(schemas.QualityFlags, i) {
		now[2] = -2
	}
	if now != l.last {
		id := identity(l.b, i)
		l.last = now
		l.kind = kind{
			scope: id.Scope(l.m.opt.Rule(id.Dialect)),
			flag:  schemas.HasFlag(id.Flags, schemas.FlagIDReused),
			seed:  id.FamilyHash(),
		}
	}
	return &l.kind
}

// identity is what decides the call key of row i.
func identity(b *schemas.Batch, i int) schemas.Identity {
	id := schemas.Identity{RequestID: b.Str(schemas.RequestID, i)}
	if id.RequestID == "" {
		return id
	}
	id.Dialect = b.Str(schemas.Dialect, i)
	id.TransportID = b.Str(schemas.TransportID, i)
	id.Model = b.Str(schemas.Model, i)
	id.TimeSource = b.Str(schemas.EventTimeSource, i)
	id.Flags = b.Str(schemas.QualityFlags, i)
	id.EventTime = b.Int(schemas.EventTime, i)
	return id
}

// eachID calls fn for every row of a batch that has an id.
func (m *Merger) eachID(b *schemas.Batch, fn func(i int, id string, k *kind)) {
	m.look(b).eachID(0, b.Len(), fn)
}

// eachID calls fn for those of the rows [lo, hi) that have an id.
func (l *look) eachID(lo, hi int, fn func(i int, id string, k *kind)) {
	if l.b.Cols[schemas.RequestID] == nil {
		return
	}
	ids, _ := l.b.Texts(schemas.RequestID)
	for i := lo; i < hi; i++ {
		if id := ids.Value(i); id != "" {
			fn(i, id, l.at(i))
		}
	}
}

// eachAgain calls fn for every one of the rows [lo, hi) of a batch whose source is
// read again, with the hash of its place.
func (m *Merger) eachAgain(b *schemas.Batch, lo, hi int, fn func(i int, hash uint64)) {
	if len(m.opt.Again) == 0 {
		return
	}
	var k keys
	k.read(b, lo, hi)
	for i, src := range k.source {
		if m.opt.Again[src] {
			_, hash := placeKey(k.place(i))
			fn(lo+i, hash)
		}
	}
}

// ref names row i of a batch that begins at row base of the section.
func (p *section) ref(hash uint64, base int64, i int) ref {
	return ref{hash: hash, section: p.number, index: int32(base) + int32(i)}
}

// callOf is row i of a batch of a table.
func (m *Merger) callOf(t schemas.Table, b *schemas.Batch, i int) call {
	c := call{output: -1, input: -1, time: b.Int(schemas.EventTime, i)}
	c.place = place{b.Int(schemas.SourceLine, i), b.Int(schemas.SourceRow, i), b.Source.Value(i)}
	id := identity(b, i)
	c.key, c.scope = id.Key(m.opt.Rule(id.Dialect))
	c.flag = schemas.HasFlag(id.Flags, schemas.FlagIDReused)
	if !b.Null(schemas.OutputTokens, i) {
		c.output = b.Double(schemas.OutputTokens, i)
	}
	if !b.Null(schemas.InputTokens, i) {
		c.input = b.Double(schemas.InputTokens, i)
	}
	if t == schemas.Usage {
		c.cost = -1
		if !b.Null(schemas.ReportedCostUSD, i) {
			c.cost = b.Int(schemas.ReportedCostUSD, i)
		}
	}
	if t == schemas.Reports {
		c.grown = new(grown)
		for k, col := range growing {
			switch {
			case b.Null(col, i):
				c.grown[k] = math.Inf(-1)
			case schemas.Columns[col].Kind == schemas.Double:
				c.grown[k] = b.Double(col, i)
			default:
				c.grown[k] = float64(b.Int(col, i))
			}
		}
	}
	return c
}

// callColumns are the columns that a row of a table is known by.
func callColumns(t schemas.Table) []schemas.Col {
	cols := []schemas.Col{
		schemas.EventTime, schemas.EventTimeSource, schemas.RequestID, schemas.TransportID, schemas.Model,
		schemas.Dialect, schemas.QualityFlags, schemas.InputTokens, schemas.OutputTokens,
		schemas.SourceLine, schemas.SourceRow,
	}
	if t == schemas.Reports {
		return append(cols, growing[:]...)
	}
	return append(cols, schemas.ReportedCostUSD)
}

// placeKey is the key of a row that is looked up by its place.
func placeKey(p place) (key schemas.CallKey, hash uint64) {
	var b [20]byte
	le := binary.LittleEndian
	le.PutUint64(b[0:], uint64(p.line))
	le.PutUint64(b[8:], uint64(p.row))
	le.PutUint32(b[16:], uint32(p.source))
	return xxh3.Hash128(b[:]).Bytes(), xxh3.Hash(b[:])
}
