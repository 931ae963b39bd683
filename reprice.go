package usagelake

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"usagelake/schemas"
	"usagelake/schemas/secret"
	"usagelake/sink"
	"usagelake/sink/ledger"
	"usagelake/transform"
	"usagelake/transform/price"
)

// Repricing is what a repricing did, or would do.
type Repricing struct {
	Lake  string `json:"lake"`
	Seq   int64  `json:"seq,omitempty"` // of the ledger record; 0 where no price changed
	Rows  int64  `json:"rows"`          // that were looked at
	Files int    `json:"files"`         // that change
	Bytes int64  `json:"bytes"`         // of Parquet written
	Repriced
	// Models are those whose cost changes, by day.
	Models []RepricedModel `json:"models"`
	// Unpriced are rows that have no cost now.
	Unpriced []Unpriced `json:"unpriced,omitempty"`
	Seconds  float64    `json:"seconds"`
}

// RepricedModel is a model on a day.
type RepricedModel struct {
	Day      string `json:"event_date"`
	Provider string `json:"provider"` // or the vendor whose dialect it is, where rows name none
	Model    string `json:"model"`
	Repriced
}

// Repriced is cost_usd before and after, in dollars, of the rows that change.
type Repriced struct {
	Changed int64  `json:"changed_rows"`
	Old     string `json:"old"`
	New     string `json:"new"`
	Change  string `json:"change"`
}

// money is Repriced in nano-dollars.
type money struct {
	rows    int64
	was, is schemas.Amount
}

func (m *money) add(o *money) {
	m.rows += o.rows
	m.was, m.is = m.was.Add(o.was), m.is.Add(o.is)
}

func (m *money) texts() Repriced {
	return Repriced{Changed: m.rows, Old: m.was.Text(9), New: m.is.Text(9), Change: m.is.Sub(m.was).Text(9)}
}

// Reprice computes cost_usd, price_id and what the quality flags say of them anew
// for the calls of the event dates from cfg.From up to, not including, cfg.To, by
// the books of cfg, from what the table holds. No other column changes, and
// nothing else ever changes a price. With dry it finds out what it would do.
func Reprice(ctx context.Context, cfg Config, dry bool) (done *Repricing, err error) {
	done = &Repricing{Lake: secret.URLs(cfg.Lake), Models: []RepricedModel{}}
	s, err := cfg.check()
	if err != nil {
		return done, err
	}
	start := s.Now()
	defer func() { done.Seconds = s.Now().Sub(start).Seconds() }()
	switch {
	case s.prices == nil:
		return done, fmt.Errorf("%w: --prices BOOK is missing", ErrUsage)
	case s.From == "" || s.To == "":
		return done, fmt.Errorf("%w: say from which day to which, with --from and --to (exclusive)", ErrUsage)
	}
	s.dry = dry
	lake, err := openLake(ctx, s, ledger.Options{MustExist: true, ReadOnly: dry})
	if err != nil {
		return done, err
	}
	defer func() {
		if e := lake.Close(); err == nil && done.Seq == 0 {
			err = e
		}
	}()
	defer func() { err = meanwhile(ctx, lake, err) }()
	r := &repricing{
		s: s, table: tableOf(ctx, lake),
		models: map[repricedKey]*money{}, gaps: map[sink.Model]*sink.Tally{}, why: unpriced{},
	}
	if err := r.units(ctx); err != nil {
		return done, err
	}
	r.report(done)
	if dry || len(r.files) == 0 {
		return done, nil
	}
	if err := ctx.Err(); err != nil {
		return done, err // the last moment at which nothing has happened
	}
	record := ledger.Record{Kind: ledger.KindReprice, Time: s.Now().UTC(), Tool: "usagelake " + Version, Files: r.files}
	if err := lake.Publish(&ledger.Publication{Record: record, Moves: r.moves}); err != nil {
		return done, err
	}
	done.Seq = lake.State.Seq
	return done, nil
}

// repricing is one under way.
type repricing struct {
	s     *settings
	table *table

	mu     sync.Mutex
	rows   int64
	bytes  int64                  // written
	models map[repricedKey]*money // of rows that change
	gaps   map[sink.Model]*sink.Tally
	why    unpriced
	files  []ledger.File
	moves  []ledger.Move
}

type repricedKey struct {
	day   schemas.Day
	model sink.Model
}

// units reprices the files, several at a time.
func (r *repricing) units(ctx context.Context) error {
	units, err := r.table.units(schemas.Usage)
	if err != nil {
		return err
	}
	units = r.s.wanted(units)
	var bytes int64
	for _, u := range units {
		bytes += r.table.lake.State.Files[u.Path()].Bytes
	}
	if err := r.s.hasRoom(bytes); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.s.Jobs)
	r.table.ctx = ctx
	for _, unit := range units {
		g.Go(func() error {
			if err := r.unit(unit); err != nil {
				return fmt.Errorf("partition %s: %w", unit.Dir(), err)
			}
			r.s.Progress(Progress{Step: "reprice"})
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	slices.SortFunc(r.files, func(a, b ledger.File) int { return strings.Compare(a.Path, b.Path) })
	slices.SortFunc(r.moves, func(a, b ledger.Move) int { return strings.Compare(a.Target, b.Target) })
	return nil
}

// unit reprices one file. It writes it anew only if a row changes.
func (r *repricing) unit(unit schemas.Unit) error {
	if err := r.table.same(unit); err != nil {
		return err
	}
	u := &repricedUnit{
		pricer: r.s.pricer(), count: true, models: map[sink.Model]*money{}, gaps: map[sink.Model]*sink.Tally{},
		why: unpriced{}, lists: map[listKey]string{},
	}
	if err := u.read(r.table, unit, nil); err != nil {
		return err
	}
	var move *ledger.Move
	before := r.table.lake.State.Files[unit.Path()]
	file := before
	if changed := len(u.models) > 0; changed && !r.s.dry {
		name := r.table.lake.Stage(unitName(unit) + ".parquet")
		var facts sink.Facts
		size, sum, err := r.table.lake.WriteStaged(name, 0o644, 0, func(w io.Writer) error {
			out, err := sink.NewWriter(w, unit, r.table.sources, r.s.Codec)
			if err != nil {
				return err
			}
			again := &repricedUnit{pricer: u.pricer, lists: u.lists}
			if err := again.read(r.table, unit, out); err != nil {
				return err
			}
			facts, err = out.Close()
			return err
		})
		if err != nil {
			return err
		}
		if err := r.table.check(unit, name, size, facts, 1); err != nil {
			return err
		}
		for c := range schemas.NumColumns {
			if c != schemas.CostUSD && facts.Sums.At(c) != before.Sums.At(c) || facts.Rows != before.Rows {
				return fmt.Errorf("%w: more than the cost would change", ErrBooks)
			}
		}
		file.Before, file.SHA256, file.Bytes, file.Sums.Sums = before.SHA256, sum, size, facts.Sums
		move = &ledger.Move{Staged: name, Target: unit.Path(), Old: before.SHA256, New: sum}
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows += u.rows
	r.why.merge(u.why)
	for m, t := range u.gaps {
		if r.gaps[m] == nil {
			r.gaps[m] = &sink.Tally{}
		}
		r.gaps[m].Add(t)
	}
	for m, money := range u.models {
		r.models[repricedKey{unit.Day, m}] = money
	}
	if len(u.models) > 0 {
		r.files = append(r.files, file)
	}
	if move != nil {
		r.moves = append(r.moves, *move)
		r.bytes += file.Bytes
	}
	return nil
}

// repricedUnit is a file that is read. It belongs to one goroutine.
type repricedUnit struct {
	pricer *price.Pricer
	count  bool
	rows   int64
	models map[sink.Model]*money // of rows that change
	gaps   map[sink.Model]*sink.Tally
	why    unpriced
	lists  map[listKey]string // what transform.PriceFlags has said
}

type listKey struct {
	list            string
	priced, assumed bool
}

// read prices the rows of a unit's file, and writes them to out, unless that is
// nil.
func (u *repricedUnit) read(t *table, unit schemas.Unit, out *sink.Writer) error {
	c := &chunk{b: schemas.NewBuilder(t.mem), out: out}
	defer c.release()
	var err error
	e := t.each(unit, "", func(row *schemas.Row) {
		if u.price(row); out != nil && err == nil {
			err = c.add(row)
		}
	})
	if err = cmp.Or(err, e); err == nil && out != nil {
		err = c.write()
	}
	return err
}

// price gives a row its new cost.
func (u *repricedUnit) price(row *schemas.Row) {
	had, was := row.Has(schemas.CostUSD), row.Int(schemas.CostUSD)
	id, list := row.Str(schemas.PriceID), row.Str(schemas.QualityFlags)
	q := u.pricer.Price(row)
	if u.count {
		u.rows++
		if !q.Priced() {
			u.gap(row, q.Missing)
		}
	}
	now := u.flags(list, &q)
	if had == q.Priced() && was == q.Nanos && id == q.ID && list == now {
		return
	}
	if u.count {
		m, ok := u.models[sink.ModelOf(row)]
		if !ok {
			m = &money{}
			u.models[sink.ModelOf(row).Clone()] = m
		}
		m.add(&money{1, schemas.AmountOf(was), schemas.AmountOf(q.Nanos)})
	}
	row.Clear(schemas.CostUSD)
	row.Clear(schemas.PriceID)
	row.Clear(schemas.QualityFlags)
	if q.Priced() {
		row.SetInt(schemas.CostUSD, q.Nanos)
		row.SetString(schemas.PriceID, q.ID)
	}
	if now != "" {
		row.SetString(schemas.QualityFlags, now)
	}
}

// gap notes a row without a cost.
func (u *repricedUnit) gap(row *schemas.Row, why price.Missing) {
	u.why.add(sink.ModelOf(row), why)
	t := u.gaps[sink.ModelOf(row)]
	if t == nil {
		t = &sink.Tally{}
		u.gaps[sink.ModelOf(row).Clone()] = t
	}
	t.Rows++
	t.Sums.AddRow(row)
}

func (u *repricedUnit) flags(list string, q *price.Quote) string {
	k := listKey{list, q.Priced(), q.Assumed}
	now, ok := u.lists[k]
	if !ok {
		k.list = strings.Clone(list)
		now = transform.PriceFlags(k.list, q)
		u.lists[k] = now
	}
	return now
}

// chunk gathers rows for a writer.
type chunk struct {
	b       *schemas.Builder
	batches []*schemas.Batch
	order   []sink.Run // of all rows in batches
	rows    int        // with those in b
	out     *sink.Writer
}

func (c *chunk) add(row *schemas.Row) error {
	c.b.Append(row)
	if c.b.Full() {
		c.flush()
	}
	if c.rows++; c.rows == sink.ChunkRows {
		return c.write()
	}
	return nil
}

// flush makes a batch of the builder's rows.
func (c *chunk) flush() {
	c.order = append(c.order, sink.Run{Batch: int32(len(c.batches)), N: int32(c.b.Len())})
	c.batches = append(c.batches, c.b.Flush(nil))
}

// write writes what was gathered.
func (c *chunk) write() error {
	if c.b.Len() > 0 {
		c.flush()
	}
	defer c.release()
	return c.out.Write(sink.Rows{Batches: c.batches, Order: c.order})
}

func (c *chunk) release() {
	for _, b := range c.batches {
		b.Release()
	}
	c.batches, c.order, c.rows = c.batches[:0], c.order[:0], 0
}

// report writes down what changes.
func (r *repricing) report(done *Repricing) {
	var all money
	for k, m := range r.models {
		done.Models = append(done.Models, RepricedModel{k.day.String(), k.model.Provider, k.model.Name, m.texts()})
		all.add(m)
	}
	slices.SortFunc(done.Models, func(a, b RepricedModel) int {
		return cmp.Or(strings.Compare(a.Day, b.Day), strings.Compare(a.Provider, b.Provider), strings.Compare(a.Model, b.Model))
	})
	done.Rows, done.Files, done.Bytes = r.rows, len(r.files), r.bytes
	done.Repriced, done.Unpriced = all.texts(), r.why.list(r.gaps)
}
