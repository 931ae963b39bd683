package usagelake

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/sink/ledger"
	"usagelake/transform"
	"usagelake/transform/cube"
	"usagelake/transform/price"
)

// Figures are what a lake's calls add up to, small enough for a page, and how
// well they are known. Equal lakes and arguments give equal figures.
type Figures struct {
	Lake    string `json:"lake"` // the directory's name
	Version string `json:"version"`
	Run     int64  `json:"run"` // the last one
	RunKind string `json:"run_kind"`
	RunTime string `json:"run_time"` // UTC
	From    string `json:"from"`     // first day of the calls in it
	To      string `json:"to"`       // last day
	Rows    int64  `json:"rows"`
	Days    int    `json:"days"`   // with rows
	Priced  bool   `json:"priced"` // savings were worked out by price books

	*cube.Sheets

	Rules      string            `json:"coverage_rules"`
	Coverage   *Coverage         `json:"coverage"`
	Quarantine Counts            `json:"quarantine"` // records by reason, of the whole lake
	FlagDocs   map[string]string `json:"flag_docs"`
	Reasons    map[string]string `json:"reason_docs"`
	Books      FigureBooks       `json:"books"`
}

// FigureBooks are what the runs of a lake took in, all together.
type FigureBooks struct {
	Records     int64 `json:"records"`
	Duplicates  int64 `json:"duplicates"`
	NoUsage     int64 `json:"no_usage"`
	Filtered    int64 `json:"filtered"`
	Quarantined int64 `json:"quarantined"` // that are set aside now
	ReportRows  int64 `json:"report_rows"`
}

// Measures of the table of calls. Tokens of the input are those of rows whose
// cache fits into it, and together they are the input; so are those of the
// output.
const (
	calls = iota
	input
	fresh
	cacheRead
	cacheWrite
	unclear
	output
	outputText
	outputImage
	outputAudio
	reasoning
	images
	cost
	costRows
	reported
	reportedRows
	noCost
	cached     // rows with cache reads or writes
	savedRows  // those of them that have a price
	saved      // by cache reads
	writeExtra // for cache writes
	numMeasures
)

const tokenDecimals, moneyDecimals = 6, 9

var measures = [numMeasures]cube.Measure{
	calls:        {Name: "calls", Weighs: true},
	input:        {Name: "input_tokens", Decimals: tokenDecimals, Weighs: true},
	fresh:        {Name: "fresh", Decimals: tokenDecimals},
	cacheRead:    {Name: "cache_read", Decimals: tokenDecimals},
	cacheWrite:   {Name: "cache_write", Decimals: tokenDecimals},
	unclear:      {Name: "unclear", Decimals: tokenDecimals},
	output:       {Name: "output_tokens", Decimals: tokenDecimals, Weighs: true},
	outputText:   {Name: "text", Decimals: tokenDecimals},
	outputImage:  {Name: "image", Decimals: tokenDecimals},
	outputAudio:  {Name: "audio", Decimals: tokenDecimals},
	reasoning:    {Name: "reasoning", Decimals: tokenDecimals},
	images:       {Name: "image_count"},
	cost:         {Name: "cost_usd", Decimals: moneyDecimals, Weighs: true},
	costRows:     {Name: "cost_usd_rows"},
	reported:     {Name: "reported_cost_usd", Decimals: moneyDecimals, Weighs: true},
	reportedRows: {Name: "reported_cost_usd_rows"},
	noCost:       {Name: "no_cost_rows"},
	cached:       {Name: "cached_rows"},
	savedRows:    {Name: "saved_rows"},
	saved:        {Name: "saved_usd", Decimals: moneyDecimals},
	writeExtra:   {Name: "write_extra_usd", Decimals: moneyDecimals},
}

// parts are the measures of the other tables, by their number in measures.
var parts = []int{calls, input, output, images, cost, costRows, reported, reportedRows}

func levels(items int, ladder ...cube.Level) []cube.Level {
	for i := range ladder {
		if ladder[i].Keep[cube.Provider] == 0 && ladder[i].Keep[cube.Model] > 0 {
			ladder[i].Keep[cube.Provider] = 20
		}
		if items > 0 {
			ladder[i].Keep[cube.Item] = max(items>>(i/3), 12)
		}
	}
	return ladder
}

// keep is names of models and projects.
func keep(models, projects int) [cube.NumDims]int {
	return [cube.NumDims]int{cube.Model: models, cube.Project: projects}
}

// specs are the tables. What is dropped first is what readers miss least: days
// long ago, then rare models and projects.
func specs() []cube.Spec {
	some := make([]cube.Measure, len(parts))
	for i, m := range parts {
		some[i] = measures[m]
	}
	small := func(name string, cells, items int) cube.Spec {
		return cube.Spec{Name: name, Measures: some, Cells: cells, Levels: levels(items,
			cube.Level{Span: cube.Days, Keep: keep(60, 30)},
			cube.Level{Daily: 62, Span: cube.Weeks, Keep: keep(60, 30)},
			cube.Level{Daily: 31, Span: cube.Weeks, Keep: keep(40, 20)},
			cube.Level{Span: cube.Weeks, Keep: keep(40, 20)},
			cube.Level{Span: cube.Weeks, Keep: keep(20, 10)},
			cube.Level{Span: cube.Months, Keep: keep(20, 10)},
			cube.Level{Span: cube.Months, Keep: keep(20, 0)},
			cube.Level{Span: cube.Months, Keep: keep(8, 0)},
			cube.Level{Span: cube.Months, Keep: keep(0, 0)},
			cube.Level{Span: cube.All, Keep: keep(0, 0)},
		)}
	}
	return []cube.Spec{
		{Name: "calls", Measures: measures[:], Cells: 210_000, Levels: levels(0,
			cube.Level{Span: cube.Days, Keep: keep(100, 60)},
			cube.Level{Daily: 184, Span: cube.Weeks, Keep: keep(60, 40)},
			cube.Level{Daily: 92, Span: cube.Weeks, Keep: keep(60, 30)},
			cube.Level{Daily: 92, Span: cube.Weeks, Keep: keep(40, 20)},
			cube.Level{Daily: 62, Span: cube.Weeks, Keep: keep(30, 15)},
			cube.Level{Daily: 62, Span: cube.Weeks, Keep: keep(20, 10)},
			cube.Level{Daily: 31, Span: cube.Weeks, Keep: keep(20, 10)},
			cube.Level{Daily: 31, Span: cube.Weeks, Keep: keep(12, 8)},
			cube.Level{Span: cube.Weeks, Keep: keep(12, 8)},
			cube.Level{Span: cube.Months, Keep: keep(12, 8)},
			cube.Level{Span: cube.Months, Keep: keep(8, 4)},
		)},
		small("users", 50_000, 100),
		small("keys", 50_000, 100),
		small("images", 20_000, 60),
		small("flags", 20_000, 60),
	}
}

// Bytes of the page that tables may take: budget each, figuresSize all of them.
var budget = map[string]int{"users": 300_000, "keys": 200_000, "images": 100_000, "flags": 100_000}

const figuresSize = 1_400_000

// mostThin is how many thin days of a source have their numbers in the page.
const mostThin = 50

// ReadFigures sums up the calls of the event dates from cfg.From up to, not
// including, cfg.To. With cfg.Prices it works out what caches saved. It changes
// nothing.
func ReadFigures(ctx context.Context, cfg Config) (*Figures, error) {
	f := &Figures{Version: Version, Rules: CoverageRules, Quarantine: Counts{}, FlagDocs: map[string]string{}, Reasons: map[string]string{}}
	err := readUsage(ctx, cfg, f.read)
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (f *Figures) read(s *settings, t *table, units []schemas.Unit) error {
	f.Lake, f.Priced = filepath.Base(wholePath(s.Lake)), s.prices != nil
	f.books(&t.lake.State)
	if err := f.sums(t, s, units); err != nil {
		return err
	}
	var err error
	if f.Coverage, err = t.coverage(s, units, ""); err != nil {
		return err
	}
	for i := range f.Coverage.Sources { // the letters say it, and a page must be small
		c := &f.Coverage.Sources[i]
		c.Missing, c.Thin = nil, c.Thin[max(0, len(c.Thin)-mostThin):]
	}
	err = eachQuarantined(t.ctx, t.lake, func(_ string, q *sink.Quarantined) error {
		f.Quarantine[string(q.Reason)]++
		return nil
	})
	if err != nil {
		return err
	}
	for _, d := range transform.Flags {
		f.FlagDocs[d.Name] = d.Doc
	}
	for _, r := range schemas.Reasons {
		f.Reasons[string(r.Reason)] = r.Doc
	}
	return nil
}

// books notes what the ledger knows.
func (f *Figures) books(state *ledger.State) {
	for _, r := range state.Runs {
		f.Run, f.RunKind, f.RunTime = r.Seq, r.Kind, r.Time.UTC().Format(time.RFC3339)
		f.Books.Records += r.Books.Records
		f.Books.Duplicates += r.Books.Duplicates
		f.Books.NoUsage += r.Books.NoUsage
		f.Books.Filtered += r.Books.Filtered
	}
	for _, q := range state.Quarantine {
		f.Books.Quarantined += q.Records
	}
	f.Books.ReportRows = state.Held[schemas.Reports].Rows
}

// sums makes the tables of the figures.
func (f *Figures) sums(t *table, s *settings, units []schemas.Unit) error {
	if units = s.wanted(units); len(units) == 0 {
		f.Sheets = cube.New(0, specs()).Fit(budget, figuresSize)
		return nil
	}
	first, last := units[0].Day, units[len(units)-1].Day
	f.From, f.To = first.String(), last.String()
	all := cube.New(last, specs())
	var day schemas.Day
	err := inOrder(t.ctx, s.Jobs, units, func(ctx context.Context, u schemas.Unit) (*cube.Cube, error) {
		return t.sumUp(ctx, u, s.pricer())
	}, func(u schemas.Unit, c *cube.Cube) error {
		if f.Days == 0 || u.Day != day {
			f.Days++
			day = u.Day
		}
		f.Rows += t.lake.State.Files[u.Path()].Rows
		all.Merge(c)
		s.Progress(Progress{Step: "report"})
		return nil
	})
	if err != nil {
		return err
	}
	f.Sheets = all.Fit(budget, figuresSize)
	return nil
}

// of the table of calls: what the figures need.
var (
	figureColumns = []schemas.Col{
		schemas.Provider, schemas.Model, schemas.ProjectID, schemas.UserID, schemas.APIKeyID,
		schemas.InputTokens, schemas.OutputTokens, schemas.UncachedInputTokens, schemas.CacheReadTokens, schemas.CacheWriteTokens,
		schemas.OutputImageTokens, schemas.OutputAudioTokens, schemas.ReasoningTokens,
		schemas.ImageCount, schemas.ImageSize, schemas.ImageQuality, schemas.ReportedCostUSD, schemas.CostUSD, schemas.QualityFlags,
	}
	priceColumns = append(slices.Clone(figureColumns),
		schemas.EventTime, schemas.RequestModel, schemas.Dialect, schemas.Region, schemas.ServiceTier, schemas.IsBatch, schemas.CacheHit,
		schemas.CacheWrite1hTokens, schemas.InputTextTokens, schemas.InputImageTokens, schemas.InputAudioTokens, schemas.InputVideoTokens,
		schemas.CacheReadImageTokens, schemas.CacheReadAudioTokens, schemas.OutputTextTokens, schemas.AudioSeconds, schemas.WebSearchRequests,
	)
)

// sumUp sums up the calls of a file. pricer is nil where there are no books.
func (t *table) sumUp(ctx context.Context, unit schemas.Unit, pricer *price.Pricer) (*cube.Cube, error) {
	columns := figureColumns
	if pricer != nil {
		columns = priceColumns
	}
	file, size, err := t.open(unit)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	rows, err := sink.OpenRows(file, size, unit.Table, t.mem, t.sources, columns...)
	if err != nil {
		return nil, err
	}
	u := &summing{cube: cube.OfDay(unit.Day, specs()), day: unit.Day, pricer: pricer}
	return u.cube, batches(ctx, rows, func(b *schemas.Batch) {
		u.add(b)
		u.cube.Tidy()
	})
}

// summing is a file that is summed up. It belongs to one goroutine.
type summing struct {
	cube   *cube.Cube
	day    schemas.Day
	pricer *price.Pricer
	row    schemas.Row

	ids    [5]ids // of figureColumns
	lists  flagLists
	values [schemas.NumColumns][]int64 // in 10^-6, or 10^-9 dollars; 0 where NULL
	text   []byte
}

// add takes a batch.
func (u *summing) add(b *schemas.Batch) {
	n := b.Len()
	names := [...]*cube.Names{&u.cube.Shared[cube.Provider], &u.cube.Shared[cube.Model], &u.cube.Shared[cube.Project], &u.cube.Tables[1].Items, &u.cube.Tables[2].Items}
	for i := range u.ids {
		u.ids[i].read(b, figureColumns[i], names[i], u.cube.Age)
	}
	for _, c := range figureColumns {
		if c.Additive() {
			u.values[c] = numbers(u.values[c], b, c)
		}
	}
	u.lists.read(b, &u.cube.Tables[4].Items, u.cube.Age)
	var m [numMeasures]int64
	for i := range n {
		u.measure(b, i, &m)
		k := cube.Key{Day: u.day, Is: [cube.NumDims]uint32{u.ids[0].of[i], u.ids[1].of[i], u.ids[2].of[i], cube.None}}
		cell := u.cube.Tables[0].Cell(k)
		for j := range m {
			cell[j] = cell[j].Add(schemas.AmountOf(m[j]))
		}
		k.Is[cube.Item] = u.ids[3].of[i]
		addParts(u.cube.Tables[1].Cell(k), &m)
		k.Is[cube.Item] = u.ids[4].of[i]
		addParts(u.cube.Tables[2].Cell(k), &m)
		if m[images] > 0 {
			k.Is[cube.Item] = u.picture(b, i)
			addParts(u.cube.Tables[3].Cell(k), &m)
		}
		for _, id := range u.lists.at(i) {
			k.Is[cube.Item] = id
			addParts(u.cube.Tables[4].Cell(k), &m)
		}
	}
}

func addParts(cell []schemas.Amount, m *[numMeasures]int64) {
	for j, p := range parts {
		cell[j] = cell[j].Add(schemas.AmountOf(m[p]))
	}
}

// picture is the number of a row's image size and quality.
func (u *summing) picture(b *schemas.Batch, i int) uint32 {
	tab := func(s string) string { return strings.ReplaceAll(s, "\t", " ") }
	u.text = append(u.text[:0], tab(b.Str(schemas.ImageSize, i))...)
	u.text = append(u.text, '\t')
	u.text = append(u.text, tab(b.Str(schemas.ImageQuality, i))...)
	return u.cube.Tables[3].Items.ID(u.text)
}

// measure works out the measures of row i. The parts of the input are disjoint,
// and so are those of the output.
func (u *summing) measure(b *schemas.Batch, i int, m *[numMeasures]int64) {
	v := func(c schemas.Col) int64 { return u.values[c][i] }
	*m = [numMeasures]int64{calls: 1, input: v(schemas.InputTokens), output: v(schemas.OutputTokens), images: v(schemas.ImageCount) / 1e6}
	read, write := v(schemas.CacheReadTokens), v(schemas.CacheWriteTokens)
	if m[input] > 0 {
		if b.Null(schemas.UncachedInputTokens, i) {
			m[unclear] = m[input]
		} else {
			m[fresh], m[cacheRead], m[cacheWrite] = v(schemas.UncachedInputTokens), read, write
		}
	}
	if rest := m[output]; rest > 0 {
		for _, p := range [...]struct {
			to int
			c  schemas.Col
		}{{outputImage, schemas.OutputImageTokens}, {outputAudio, schemas.OutputAudioTokens}, {reasoning, schemas.ReasoningTokens}} {
			m[p.to] = min(v(p.c), rest)
			rest -= m[p.to]
		}
		m[outputText] = rest
	}
	hasCost, hasReported := !b.Null(schemas.CostUSD, i), !b.Null(schemas.ReportedCostUSD, i)
	if hasCost {
		m[cost], m[costRows] = v(schemas.CostUSD), 1
	}
	if hasReported {
		m[reported], m[reportedRows] = v(schemas.ReportedCostUSD), 1
	}
	if !hasCost && !hasReported {
		m[noCost] = 1
	}
	if read > 0 || write > 0 {
		m[cached] = 1
		if u.pricer != nil {
			u.save(b, i, m)
		}
	}
}

// save works out what the cache saved a row: what it would have cost if what was
// read had been plain input, less what it costs; and what it costs, less what it
// would have cost if what was written had been plain input.
func (u *summing) save(b *schemas.Batch, i int, m *[numMeasures]int64) {
	r := &u.row
	b.Row(i, r)
	is := u.pricer.Price(r)
	unread, unwritten := is, is
	if r.Has(schemas.CacheWriteTokens) || r.Has(schemas.CacheWrite1hTokens) {
		r.Clear(schemas.CacheWriteTokens)
		r.Clear(schemas.CacheWrite1hTokens)
		unwritten = u.pricer.Price(r)
		b.Row(i, r)
	}
	if r.Has(schemas.CacheReadTokens) {
		r.Clear(schemas.CacheReadTokens)
		r.Clear(schemas.CacheReadImageTokens)
		r.Clear(schemas.CacheReadAudioTokens)
		unread = u.pricer.Price(r)
	}
	if is.Priced() && unread.Priced() && unwritten.Priced() && r.Has(schemas.InputTokens) {
		m[savedRows], m[saved], m[writeExtra] = 1, unread.Nanos-is.Nanos, is.Nanos-unwritten.Nanos
	}
}

// numbers are a column's values, 0 where NULL: of a Double and an Int in 10^-6.
func numbers(to []int64, b *schemas.Batch, c schemas.Col) []int64 {
	n := b.Len()
	to = slices.Grow(to[:0], n)[:n]
	switch a := b.Cols[c].(type) {
	case nil:
		clear(to)
		return to
	case *array.Float64:
		for i, v := range a.Float64Values() {
			to[i] = schemas.Micros(v)
		}
	default:
		unit := int64(1e6)
		if schemas.Columns[c].Kind == schemas.Money {
			unit = 1
		}
		for i := range n {
			to[i] = b.Int(c, i) * unit
		}
	}
	if a := b.Cols[c]; a.NullN() > 0 {
		for i := range n {
			if a.IsNull(i) {
				to[i] = 0
			}
		}
	}
	return to
}

// codes is what the words of a dictionary became. A file's batches share one.
type codes[T any] struct {
	dict  arrow.ArrayData
	age   int
	words []T
	done  []bool
}

// dictionary prepares for the words of a.
func (c *codes[T]) dictionary(a *array.Dictionary, age int) {
	if d := a.Data().Dictionary(); d != c.dict || age != c.age {
		c.dict, c.age = d, age
		c.words, c.done = make([]T, d.Len()), make([]bool, d.Len())
	}
}

// ids are a column as numbers of names.
type ids struct {
	codes[uint32]
	of   []uint32
	code []int32
}

func (d *ids) read(b *schemas.Batch, c schemas.Col, names *cube.Names, age int) {
	n := b.Len()
	d.of = slices.Grow(d.of[:0], n)[:n]
	a, ok := b.Cols[c].(*array.Dictionary)
	if !ok {
		for i := range d.of {
			if d.of[i] = cube.None; !b.Null(c, i) {
				d.of[i] = names.ID([]byte(b.Str(c, i)))
			}
		}
		return
	}
	d.dictionary(a, age)
	d.code = b.Codes(d.code[:0], c, 0, n)
	texts, _ := b.Texts(c)
	for i, w := range d.code {
		if a.IsNull(i) {
			d.of[i] = cube.None
			continue
		}
		if !d.done[w] {
			d.done[w], d.words[w] = true, names.ID([]byte(texts.Value(int(w))))
		}
		d.of[i] = d.words[w]
	}
}

// flagLists are quality_flags as numbers of names.
type flagLists struct {
	codes[[]uint32]
	of   [][]uint32
	code []int32
}

func (l *flagLists) read(b *schemas.Batch, names *cube.Names, age int) {
	n := b.Len()
	l.of = l.of[:0]
	a, ok := b.Cols[schemas.QualityFlags].(*array.Dictionary)
	split := func(text string) (list []uint32) {
		for name := range strings.SplitSeq(text, ",") {
			if name != "" {
				list = append(list, names.ID([]byte(name)))
			}
		}
		return list
	}
	switch {
	case ok:
		l.dictionary(a, age)
		l.code = b.Codes(l.code[:0], schemas.QualityFlags, 0, n)
		texts, _ := b.Texts(schemas.QualityFlags)
		for i, w := range l.code {
			if a.IsNull(i) {
				l.of = append(l.of, nil)
				continue
			}
			if !l.done[w] {
				l.done[w], l.words[w] = true, split(texts.Value(int(w)))
			}
			l.of = append(l.of, l.words[w])
		}
	case b.Cols[schemas.QualityFlags] != nil:
		for i := range n {
			l.of = append(l.of, split(b.Str(schemas.QualityFlags, i)))
		}
	}
}

func (l *flagLists) at(i int) []uint32 {
	if len(l.of) == 0 {
		return nil
	}
	return l.of[i]
}
