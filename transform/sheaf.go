package transform

import (
	"math/bits"
	"slices"
	"strings"

	"usagelake/schemas"
	"usagelake/schemas/secret"
	"usagelake/transform/price"
)

// A Sheaf is records of one form and source whose rows are made together, column
// by column. Their documents must stay as they are until then. It belongs to a
// Normalizer.
type Sheaf struct {
	src    *Source
	plan   *plan
	usual  *usual
	docs   [][]byte
	places []Place
	values []schemas.Value // of SheafMost records, width of each
	width  int
	walked *schemas.Record // the walker's, which puts values to the others
	rec    schemas.Record  // of one of them
	done   int             // how many of them are rows, or were handed out
}

// Place is where a record stands.
type Place struct {
	Line, Row int64 // source_line and source_row
	Offset    int64 // in its stream
}

// SheafMost is the most records of a sheaf.
const SheafMost = 64

// Full reports whether the rows must be made before another record is gathered.
func (s *Sheaf) Full() bool { return len(s.docs) == SheafMost }

// Len is how many records there are.
func (s *Sheaf) Len() int { return len(s.docs) }

// record is that with number i, until the next call.
func (s *Sheaf) record(i int) *schemas.Record {
	s.rec.Doc = s.docs[i]
	s.rec.Frames[len(s.rec.Frames)-1].Val = s.of(i)
	s.rec.Spread()
	return &s.rec
}

// Gather puts a record to those of its form whose rows Rows will make. It returns
// nil where its row is not like theirs, as far as the form tells: Apply makes it.
func (n *Normalizer) Gather(rec *schemas.Record, src *Source, row *schemas.Builder, at Place) *Sheaf {
	if rec.Form == nil {
		return nil
	}
	p := n.plan(rec)
	u := p.usual
	if !u.of(src, row) {
		return nil
	}
	s := p.sheaf
	if s == nil || s.walked != rec {
		s = newSheaf(p, rec)
		p.sheaf = s
	}
	if len(s.docs) == 0 {
		s.src, s.usual = src, u
		n.sheaves = append(n.sheaves, s)
	} else if s.usual != u || s.src != src {
		return nil
	}
	s.docs = append(s.docs, rec.Doc)
	s.places = append(s.places, at)
	s.aim(len(s.docs) % SheafMost)
	return s
}

// newSheaf makes a sheaf for records of a form, the first of which it takes the
// values of.
func newSheaf(p *plan, rec *schemas.Record) *Sheaf {
	val := rec.Frames[len(rec.Frames)-1].Val
	s := &Sheaf{
		plan: p, walked: rec, values: slices.Repeat(val, SheafMost), width: len(val),
		rec: schemas.Record{Filled: rec.Filled, Frames: slices.Clone(rec.Frames), Form: rec.Form},
	}
	for i := range s.rec.Frames {
		s.rec.Frames[i].Extra = nil // of its own
	}
	return s
}

// of is the values of record i.
func (s *Sheaf) of(i int) []schemas.Value { return s.values[i*s.width : (i+1)*s.width] }

// aim has the walker put the values of the next document where those of record i
// stand.
func (s *Sheaf) aim(i int) { s.walked.Frames[len(s.walked.Frames)-1].Val = s.of(i) }

// Sheaf is one that has records, nil where none has.
func (n *Normalizer) Sheaf() *Sheaf {
	if len(n.sheaves) == 0 {
		return nil
	}
	return n.sheaves[0]
}

// Rows makes the rows of a sheaf and adds them to the builder that its records were
// gathered for, and the records' quantities to in, like Apply. Records whose rows
// turn out to be unlike the others it hands to single, for Apply: they are valid
// until that returns, and are counted there. Then the sheaf is empty.
func (n *Normalizer) Rows(s *Sheaf, in *schemas.Sums, single func(rec *schemas.Record, at Place)) {
	if n.staged == nil {
		n.staged = &staged{}
	}
	for bad, all := n.stage(s), len(s.docs); s.done < all; {
		lo := s.done
		hi := min(lo+bits.TrailingZeros64(bad>>lo), all)
		if hi > lo {
			n.put(s, lo, hi, in)
			s.done = hi
		}
		if hi < all {
			n.single(s, single)
		}
	}
	n.empty(s)
}

// Singly hands out the records of a sheaf that are no rows yet, and empties it.
func (n *Normalizer) Singly(s *Sheaf, single func(rec *schemas.Record, at Place)) {
	for s.done < len(s.docs) {
		n.single(s, single)
	}
	n.empty(s)
}

func (n *Normalizer) single(s *Sheaf, single func(rec *schemas.Record, at Place)) {
	i := s.done
	s.done++
	single(s.record(i), s.places[i])
}

func (n *Normalizer) empty(s *Sheaf) {
	clear(s.docs)
	s.docs, s.places, s.done = s.docs[:0], s.places[:0], 0
	s.aim(0)
	n.sheaves = slices.DeleteFunc(n.sheaves, func(o *Sheaf) bool { return o == s })
}

// staged is the columns of a sheaf's rows that differ from row to row.
type staged struct {
	words [schemas.NumColumns + 1][SheafMost]uint64 // as in a Builder; those of none are 0
	texts [schemas.NumColumns][SheafMost]string
	// names are those of the models by their numbers in the builder, as long as
	// its flushes are since; -1 where they have none.
	names [SheafMost]uint16
	since int
}

// none stands for a column that rows do not have.
const none = schemas.NumColumns

// usual is what the rows of a form and a source have in common as long as nothing
// is wrong with them: the columns they have, and the texts of those that are not
// read from values. It is taken from a row that was made by Apply. A row of which
// anything else is true is made by Apply too.
type usual struct {
	src   *Source
	row   *schemas.Builder
	stamp *schemas.Stamp
	words uint64 // the columns of numbers
	texts uint64 // those of texts that stamp does not have
	moves []move // to them

	in, out, total, read, write, reasoning schemas.Col // or none
	totalled                               bool        // the total is no sum
	image, batch                           bool        // the output is taken for images; it stands where batches do
	extra                                  bool        // there is extra_json
	extraFlags                             flags       // of extra_json
	assumed                                bool        // so is the cost

	// models are what is known of the prices of models, by their numbers in the
	// builder as long as its flushes are since.
	models []*price.Model
	since  int
}

// fixedFlags follow from what a row has, whatever its values.
const fixedFlags = flagTotalDerived | flagAssumedImage | flagAssumedOperation | flagModelFilled | flagUnsure

// of reports whether it holds for a row of a source.
func (u *usual) of(src *Source, row *schemas.Builder) bool {
	return u != nil && u.row == row && (u.src == src || len(u.src.Fill)+len(src.Fill) == 0 && u.src.TimeFrom == src.TimeFrom)
}

// learnEvery is how many rows are made by Apply until it is looked anew what is
// usual.
const learnEvery = 32

// learns reports whether to look at the row that was just made by Apply.
func (p *plan) learns(src *Source, row *schemas.Builder) bool {
	if p.usual != nil && !p.usual.of(src, row) {
		p.unusual = 0
	}
	p.unusual++
	return p.unusual%learnEvery == 1
}

// whatIsUsual takes it from the row that was just made. It is nil where the plan's
// rows depend on values in other ways than usual knows.
func (n *Normalizer) whatIsUsual(p *plan, rec *schemas.Record, src *Source) *usual {
	row := n.row
	if p.entry.Basis == ambiguous || slices.ContainsFunc(p.keep, func(k keep) bool { return k.unread }) {
		return nil
	}
	u := &usual{src: src, row: row}
	for i := range p.counts {
		u.words |= 1 << p.counts[i].col
	}
	for i := range p.moves {
		m := &p.moves[i]
		switch {
		case traits[m.col].kind != schemas.String:
			u.words |= 1 << m.col
		case len(m.from) == 0: // a word
			continue
		case row.Has(m.col) && n.text(m, rec) == "":
			return nil // it has its text from elsewhere
		default:
			u.texts |= 1 << m.col
		}
		u.moves = append(u.moves, *m)
	}
	if u.texts&(1<<schemas.RequestID) == 0 {
		return nil
	}
	at := func(c schemas.Col) schemas.Col {
		if u.words&(1<<c) == 0 {
			return none
		}
		return c
	}
	u.in, u.out, u.total = at(schemas.InputTokens), at(schemas.OutputTokens), at(schemas.TotalTokens)
	u.read, u.write, u.reasoning = at(schemas.CacheReadTokens), at(schemas.CacheWriteTokens), at(schemas.ReasoningTokens)
	u.totalled = u.total != none
	u.image = n.flags&flagAssumedImage != 0
	u.batch = row.Has(schemas.IsBatch) && u.words&(1<<schemas.IsBatch) == 0
	u.words |= 1 << schemas.EventTime
	if u.in != none {
		u.words |= 1 << schemas.UncachedInputTokens
		if u.out != none {
			u.words |= 1 << schemas.TotalTokens
		}
	}
	if u.batch {
		u.words |= 1 << schemas.IsBatch
	}
	if u.image {
		u.words |= 1 << schemas.OutputImageTokens
	}
	if u.extra = row.Has(schemas.ExtraJSON) && u.texts&(1<<schemas.ExtraJSON) == 0; u.extra {
		u.texts |= 1 << schemas.ExtraJSON
	}
	all := n.flags
	n.flags = 0
	n.extraText(p, rec)
	u.extraFlags, n.flags = n.flags, all
	u.assumed = all&flagPriceAssumed != 0
	if all&^(fixedFlags|flagPriceAssumed) != u.extraFlags {
		return nil
	}
	if row.Has(schemas.CostUSD) {
		u.words |= 1 << schemas.CostUSD
		u.texts |= 1 << schemas.PriceID
	}
	u.stamp = row.NewStamp(row.Texts() &^ u.texts)
	if u.stamp == nil || u.words|u.texts|u.stamp.Set != row.Columns() {
		return nil
	}
	return u
}

// stage works out the columns of a sheaf's rows. It returns a bit for every record
// whose row is not a usual one, or may be none: what is staged of it means nothing.
func (n *Normalizer) stage(s *Sheaf) (bad uint64) {
	p, u, to := s.plan, s.usual, n.staged
	n.flags, to.since = 0, -1
	for i := range p.counts {
		bad |= s.wholes(p.counts[i].from.slot, &to.words[p.counts[i].col])
	}
	for i := range u.moves {
		switch m := &u.moves[i]; {
		case traits[m.col].kind == schemas.String:
			bad |= n.texts(s, m, &to.texts[m.col])
		case len(m.from) > 1:
			bad |= s.sums(m.from, &to.words[m.col])
		default:
			bad |= n.words(s, m, &to.words[m.col])
		}
	}
	bad |= n.derived(s)
	bad |= n.times(s, &to.words[schemas.EventTime])
	for set := u.texts &^ (1<<schemas.PriceID | 1<<schemas.ExtraJSON); set != 0; set &= set - 1 {
		c := schemas.Col(bits.TrailingZeros64(set))
		bad |= ungarded(c, to.texts[c][:len(s.docs)])
	}
	if len(p.unless) > 0 {
		for i := range s.docs {
			if p.excluded(s.record(i)) {
				bad |= 1 << i
			}
		}
	}
	bad |= n.extraTexts(s)
	if n.prices != nil {
		bad |= n.costs(s, bad)
	}
	return bad
}

// wholes reads a column of counts of up to 8 digits.
func (s *Sheaf) wholes(slot int, out *[SheafMost]uint64) (bad uint64) {
	at := slot
	for i, doc := range s.docs {
		v := &s.values[at]
		at += s.width
		if v.Whole {
			out[i&(SheafMost-1)] = uint64(v.Number)
			continue
		}
		whole, ok := wholeAt(doc, v.Off, v.End)
		if !ok || v.Kind != schemas.Number {
			bad |= 1 << i
		}
		out[i&(SheafMost-1)] = uint64(whole)
	}
	return bad
}

// sums adds up columns of counts.
func (s *Sheaf) sums(slots []slot, out *[SheafMost]uint64) (bad uint64) {
	var part [SheafMost]uint64
	clear(out[:])
	for _, at := range slots {
		bad |= s.wholes(at.slot, &part)
		for i := range s.docs {
			out[i] += part[i]
		}
	}
	return bad
}

// derived fills in what follows from the counts, where their parts fit the wholes.
func (n *Normalizer) derived(s *Sheaf) (bad uint64) {
	u, w := s.usual, &n.staged.words
	rows := len(s.docs)
	wrong := func(i int, yes bool) {
		if yes {
			bad |= 1 << i
		}
	}
	in, out, total := &w[u.in], &w[u.out], &w[schemas.TotalTokens]
	if u.in != none {
		rest, read, write := &w[schemas.UncachedInputTokens], &w[u.read], &w[u.write]
		for i := range rows {
			rest[i] = in[i] - read[i] - write[i]
			wrong(i, int64(rest[i]) < 0)
		}
		bad |= s.partsWrong(w, in, s.plan.inParts)
	}
	if u.out != none {
		reasoning := &w[u.reasoning]
		for i := range rows {
			wrong(i, reasoning[i] > out[i])
		}
		bad |= s.partsWrong(w, out, s.plan.outParts)
	}
	switch {
	case u.in == none || u.out == none:
	case u.totalled:
		for i := range rows {
			wrong(i, total[i] != in[i]+out[i])
		}
	default:
		for i := range rows {
			total[i] = in[i] + out[i]
		}
	}
	if u.batch {
		for i := range rows {
			w[schemas.IsBatch][i] = 1
		}
	}
	if u.image {
		w[schemas.OutputImageTokens] = *out
	}
	return bad
}

func (s *Sheaf) partsWrong(w *[none + 1][SheafMost]uint64, whole *[SheafMost]uint64, parts []schemas.Col) (bad uint64) {
	if len(parts) == 0 {
		return 0
	}
	for i := range s.docs {
		var sum uint64
		for _, c := range parts {
			sum += w[c][i]
		}
		if sum > whole[i] || s.plan.entry.PartsAddUp && sum != whole[i] {
			bad |= 1 << i
		}
	}
	return bad
}

// times fills in event times.
func (n *Normalizer) times(s *Sheaf, out *[SheafMost]uint64) (bad uint64) {
	p := s.plan
	for i := range s.docs {
		us, reason := s.src.Time, schemas.Reason("")
		if p.timeFrom != "" {
			v := &s.values[i*s.width+p.time.slot]
			if v.Kind != schemas.Number && v.Kind != schemas.Text {
				bad |= 1 << i
				continue
			}
			if seconds, ok := secondsAt(s.docs[i], v.Off, v.End); ok {
				out[i] = uint64(seconds) * 1e6
				continue
			}
			us, reason = parseTime(s.docs[i][v.Off:v.End], n.zone(p))
		}
		if reason != "" {
			bad |= 1 << i
		}
		out[i] = uint64(us)
	}
	if n.wanted != nil {
		for i := range s.docs {
			if !n.wanted(int64(out[i])) {
				bad |= 1 << i
			}
		}
	}
	return bad
}

// words fills in a column of numbers that are no counts.
func (n *Normalizer) words(s *Sheaf, m *move, out *[SheafMost]uint64) (bad uint64) {
	kind := traits[m.col].kind
	plain := len(m.from) > 0 && m.shift == 0 && m.except == nil
	for i, doc := range s.docs {
		if plain {
			switch v := &s.values[i*s.width+m.from[0].slot]; {
			case kind == schemas.Money && v.Kind == schemas.Number:
				if w, ok := plainNanos(doc[v.Off:v.End]); ok && w < most {
					out[i] = uint64(w)
					continue
				}
			case kind == schemas.Bool && (v.Kind == schemas.True || v.Kind == schemas.False):
				out[i] = uint64(schemas.False - v.Kind)
				continue
			}
		}
		w, ok := n.word(m, s.record(i))
		if !ok || n.flags != 0 {
			n.flags = 0
			bad |= 1 << i
		}
		out[i] = w
	}
	return bad
}

// texts fills in a column of texts that are not empty.
func (n *Normalizer) texts(s *Sheaf, m *move, out *[SheafMost]string) (bad uint64) {
	plain := m.except == nil && !m.stem && !m.kind && m.col != schemas.Tags && m.col != schemas.Operation
	for i, doc := range s.docs {
		if v := &s.values[i*s.width+m.from[0].slot]; plain && v.Kind == schemas.Text && v.End > v.Off {
			out[i] = view(doc[v.Off:v.End])
			continue
		}
		out[i] = n.text(m, s.record(i))
		if m.col == schemas.Operation {
			out[i] = operation(out[i])
		}
		if out[i] == "" || n.flags != 0 {
			n.flags = 0
			bad |= 1 << i
		}
	}
	return bad
}

// ungarded tells which texts guard would change.
func ungarded(c schemas.Col, texts []string) (bad uint64) {
	isGuarded, isWorded := (guarded|1<<schemas.APIKeyID)&(1<<c) != 0, worded&(1<<c) != 0
	for i, s := range texts {
		var changes bool
		switch {
		case isGuarded:
			changes = len(s) > maxLabel || secret.Begins(s)
		case isWorded:
			changes = len(s) > maxExtraText || strings.IndexByte(s, ' ') >= 0 || secret.Begins(s)
		case c == schemas.ErrorCode:
			changes = !isWord(s)
		}
		if changes {
			bad |= 1 << i
		}
	}
	return bad
}

// extraTexts fills in extra_json.
func (n *Normalizer) extraTexts(s *Sheaf) (bad uint64) {
	p, u := s.plan, s.usual
	if len(p.keep) == 0 && len(s.rec.Form.Extra) == 0 {
		return 0
	}
	out := &n.staged.texts[schemas.ExtraJSON]
	one := len(p.keep) == 1 && len(s.rec.Form.Extra) == 0 && u.extra && u.extraFlags == 0
	for i, doc := range s.docs {
		if one {
			v := &s.values[i*s.width+p.keep[0].from.slot]
			if text, ok := p.textOf(doc[v.Off:v.End]); ok && v.Kind == schemas.Text {
				out[i] = text
				continue
			}
		}
		n.flags = 0
		out[i] = n.extraText(p, s.record(i))
		if n.flags != u.extraFlags || (out[i] != "") != u.extra {
			bad |= 1 << i
		}
	}
	n.flags = 0
	return bad
}

// costs prices the rows, but those that are bad.
func (n *Normalizer) costs(s *Sheaf, but uint64) (bad uint64) {
	u, w := s.usual, &n.staged.words
	row := stagedRow{u: u, staged: n.staged}
	priced := u.words&(1<<schemas.CostUSD) != 0
	beside := price.Beside(u.words)
	tier, tiers := n.prices.Tier(&row), (u.texts|u.words)&(1<<schemas.ServiceTier|1<<schemas.IsBatch) != 0
	models := n.models(s, but)
	in, read, write, out, reasoning, times := &w[u.in], &w[u.read], &w[u.write], &w[u.out], &w[u.reasoning], &w[schemas.EventTime]
	for i := range s.docs {
		if but&(1<<i) != 0 {
			continue
		}
		row.i = i
		if tiers {
			tier = n.prices.Tier(&row)
		}
		more := uint64(0)
		for set := beside; set != 0; set &= set - 1 {
			more |= w[bits.TrailingZeros64(set)][i]
		}
		q, ok := price.Quote{}, false
		if m := models[i]; m != nil && more == 0 {
			q, ok = m.Text(tier, int64(times[i]), &price.Tokens{
				Input: in[i], CacheRead: read[i], CacheWrite: write[i], Output: out[i], Reasoning: reasoning[i],
			})
		}
		if !ok {
			q = n.prices.Price(&row)
		}
		if q.Priced() != priced || q.Assumed != u.assumed {
			bad |= 1 << i
		}
		w[schemas.CostUSD][i], n.staged.texts[schemas.PriceID][i] = uint64(q.Nanos), q.ID
	}
	return bad
}

// models are what is known of the prices of the rows' models, but of those that are
// bad; nil where price.Model.Text is not for a row.
func (n *Normalizer) models(s *Sheaf, but uint64) (list [SheafMost]*price.Model) {
	u, st := s.usual, n.staged
	if u.in == none || u.out == none {
		return list
	}
	row := stagedRow{u: u, staged: st}
	if u.texts&(1<<schemas.Provider) != 0 || u.texts&(1<<schemas.Model) == 0 {
		for i := range s.docs {
			row.i = i
			if provider, name := price.Key(&row); but&(1<<i) == 0 && name != "" {
				list[i] = n.prices.Model(provider, name)
			}
		}
		return list
	}
	provider, _ := price.Key(&row) // of all
	names := &st.texts[schemas.Model]
	if st.since = u.row.Flushes(); u.since != st.since {
		u.since = st.since
		clear(u.models)
	}
	for i := range s.docs {
		if but&(1<<i) != 0 {
			continue
		}
		k := u.row.Number(schemas.Model, names[i])
		st.names[i] = k
		if int(k) >= len(u.models) {
			u.models = append(u.models, make([]*price.Model, int(k)+1-len(u.models))...)
		}
		if u.models[k] == nil {
			u.models[k] = n.prices.Model(provider, names[i])
		}
		list[i] = u.models[k]
	}
	return list
}

// stagedRow is row i of what is staged.
type stagedRow struct {
	u *usual
	*staged
	i int
}

var _ price.Row = (*stagedRow)(nil)

func (r *stagedRow) Int(c schemas.Col) int64 {
	if r.u.words&(1<<c) == 0 {
		return 0
	}
	return int64(r.words[c][r.i])
}

func (r *stagedRow) Str(c schemas.Col) string {
	if r.u.texts&(1<<c) == 0 {
		return r.u.stamp.Text(c)
	}
	return r.texts[c][r.i]
}

func (r *stagedRow) Quantities(of uint64, to *[schemas.NumColumns]int64) uint64 {
	for set := r.u.words & of; set != 0; set &= set - 1 {
		c := bits.TrailingZeros64(set)
		to[c] = int64(r.words[c][r.i]) * 1e6
	}
	return r.u.words | r.u.texts | r.u.stamp.Set
}

// put adds the rows [lo, hi) of what is staged, and their quantities to in.
func (n *Normalizer) put(s *Sheaf, lo, hi int, in *schemas.Sums) {
	u, row := s.usual, s.usual.row
	for set := u.words; set != 0; set &= set - 1 {
		c := schemas.Col(bits.TrailingZeros64(set))
		copy(row.NextWords(c, hi-lo), n.staged.words[c][lo:hi])
	}
	for set := u.texts; set != 0; set &= set - 1 {
		c := schemas.Col(bits.TrailingZeros64(set))
		switch texts := n.staged.texts[c][lo:hi]; {
		case c == schemas.Model && n.staged.since == row.Flushes():
			row.NextNumbers(c, n.staged.names[lo:hi])
		case c == schemas.PriceID || c == schemas.ExtraJSON:
			row.NextShared(c, texts)
		default:
			row.NextTexts(c, texts)
		}
	}
	lines, rows := row.NextWords(schemas.SourceLine, hi-lo), row.NextWords(schemas.SourceRow, hi-lo)
	for i, at := range s.places[lo:hi] {
		lines[i], rows[i] = uint64(at.Line), uint64(at.Row)
	}
	for i := range s.plan.counts {
		n.tally(s.plan.counts[i].col, lo, hi, in)
	}
	for i := range u.moves {
		if c := u.moves[i].col; c.Additive() {
			n.tally(c, lo, hi, in)
		}
	}
	for _, e := range s.rec.Form.Extra {
		if e.Frame != s.plan.frame || n.unknown == nil || known[e.Key] {
			continue
		}
		for i := range s.places[lo:hi] {
			n.unknown(s.plan.entry.Name, e.Key, &s.places[lo+i])
		}
	}
	row.AddAll(hi-lo, u.words|u.texts|1<<schemas.SourceLine|1<<schemas.SourceRow, s.src.Index, u.stamp)
}

// tally adds up a column that records report.
func (n *Normalizer) tally(c schemas.Col, lo, hi int, in *schemas.Sums) {
	var sum uint64 // of at most 2^6 values below 2^56
	for _, w := range n.staged.words[c][lo:hi] {
		sum += w
	}
	amount := schemas.AmountOf(int64(sum))
	if traits[c].kind != schemas.Money {
		amount = amount.Times(1e6)
	}
	in.Plus(c, amount)
}
