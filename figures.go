package usagelake

import (
	"context"
	"path/filepath"
	"time"

	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/sink/ledger"
	"usagelake/transform"
	"usagelake/transform/cube"
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
