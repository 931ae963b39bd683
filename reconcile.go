package usagelake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"usagelake/schemas"
	"usagelake/transform/price"
)

// Theirs says what the table of calls is held against.
type Theirs struct {
	// CSV is the path of a bill; empty: what providers reported to the lake.
	CSV string
	// Columns maps columns of the CSV: "day=Date", "model=Model", "provider=…",
	// "requests=…", and additive columns of the table, such as
	// "input_tokens=Prompt Tokens". "cost=Amount:e-2" is an amount in cents.
	Columns []string
	// Provider is the only one to look at; of a CSV without that column, whose
	// it is. Empty: all.
	Provider string
	// Tolerance is the share of theirs that a gap may be.
	Tolerance float64
}

// Reconciliation is the table of calls held against what others count.
type Reconciliation struct {
	Lake     string   `json:"lake"`
	Against  []string `json:"against"`            // what was taken for theirs
	LeftOut  []string `json:"left_out,omitempty"` // other groupings of the same
	Compared int      `json:"compared"`           // days x models x meters
	// NotReached are the days asked for that the table has and theirs ends before,
	// or begins behind.
	NotReached []string `json:"not_reached,omitempty"`
	Gaps       []Gap    `json:"gaps"` // those over the tolerance
}

// Gap is a difference in a meter of a model on a day.
type Gap struct {
	Report   string `json:"report,omitempty"` // dialect of the report; none of a bill
	Day      string `json:"event_date"`
	Provider string `json:"provider"`
	Model    string `json:"model"` // "" is all of a day, where theirs has something under no model
	Meter    string `json:"meter"`
	Ours     string `json:"ours"`
	Theirs   string `json:"theirs"`
	Gap      string `json:"gap"` // ours - theirs
	Cause    string `json:"likely_cause"`
}

// meters are compared, in this order. Requests are rows of ours; cost is ours by
// prices, or where there are none as it was logged.
var meters = [...]schemas.Col{
	schemas.Requests, schemas.InputTokens, schemas.UncachedInputTokens, schemas.CacheReadTokens, schemas.CacheWriteTokens,
	schemas.OutputTokens, schemas.ReasoningTokens, schemas.InputImageTokens, schemas.OutputImageTokens,
	schemas.ImageCount, schemas.AudioSeconds, schemas.WebSearchRequests, schemas.CostUSD,
}

// spot is where sums are compared.
type spot struct {
	day             schemas.Day
	provider, model string
}

// whole is the spot of all models of the day.
func (s spot) whole() spot { return spot{s.day, s.provider, ""} }

// side is one side's sums at a spot.
type side struct {
	schemas.Sums
	has uint64 // the columns that were told, a bit for each

	// Of ours only: what else a gap may come from.
	costless int64          // rows that have no cost
	batches  schemas.Amount // the cost of batches
	answered *side          // by the cache of a gateway, which is no vendor's business
}

func (s *side) add(c schemas.Col, v schemas.Amount) {
	s.Plus(c, v)
	s.has |= 1 << c
}

// row adds what a row measures. Its cost is the one by prices or, where there is
// none, as it was logged.
func (s *side) row(row *schemas.Row) {
	s.AddRow(row)
	for _, c := range meters {
		if row.Has(c) {
			s.has |= 1 << c
		}
	}
	if !row.Has(schemas.CostUSD) && row.Has(schemas.ReportedCostUSD) {
		s.add(schemas.CostUSD, schemas.AmountOf(row.Int(schemas.ReportedCostUSD)))
	}
}

// call adds a call of ours.
func (s *side) call(row *schemas.Row) {
	before := s.of(schemas.CostUSD)
	s.row(row)
	s.add(schemas.Requests, oneRequest)
	switch {
	case !row.Has(schemas.CostUSD) && !row.Has(schemas.ReportedCostUSD):
		s.costless++
	case row.Int(schemas.IsBatch) != 0:
		s.batches = s.batches.Add(s.of(schemas.CostUSD).Sub(before))
	}
	if row.Int(schemas.CacheHit) != 0 {
		if s.answered == nil {
			s.answered = &side{}
		}
		s.answered.row(row)
		s.answered.add(schemas.Requests, oneRequest)
	}
}

var oneRequest = schemas.AmountOf(1e6)

func (s *side) told(c schemas.Col) bool { return s != nil && s.has&(1<<c) != 0 }

func (s *side) of(c schemas.Col) schemas.Amount {
	if s == nil {
		return schemas.Amount{}
	}
	return s.At(c)
}

// sides are the sums of one side.
type sides struct {
	spots  map[spot]*side
	models map[spot][]string // that are named, by spots of the whole day
}

func newSides() sides { return sides{map[spot]*side{}, map[spot][]string{}} }

// at is the side at a spot, to be added to.
func (m sides) at(s spot) *side {
	if m.spots[s] == nil {
		m.spots[s] = &side{}
		if s.model != "" {
			m.models[s.whole()] = append(m.models[s.whole()], s.model)
		}
	}
	return m.spots[s]
}

// get is the side at a spot, or nil.
func (m sides) get(s spot) *side { return m.spots[s] }

// account is what one of theirs says: a bill, or the reports of a dialect. Two of
// them tell of the same calls, and are not added up.
type account struct {
	report string // its dialect; "" of a bill
	sides
	reach map[scope]days
}

// scope is what an account tells of, for the days that it reaches.
type scope struct {
	provider string
	named    bool // by model
	meter    schemas.Col
}

// days are those from first up to last.
type days struct{ first, last schemas.Day }

func (d days) has(day schemas.Day) bool { return d.first <= day && day <= d.last }

// finish is called when all was added. Where theirs has something under no model,
// such as searches beside the tokens of models, all of the day is compared.
func (a *account) finish() {
	a.reach = map[scope]days{}
	for at, s := range a.spots {
		for _, c := range meters {
			if !s.told(c) {
				continue
			}
			k := scope{at.provider, at.model != "", c}
			d, ok := a.reach[k]
			if !ok {
				d = days{at.day, at.day}
			}
			a.reach[k] = days{min(d.first, at.day), max(d.last, at.day)}
		}
	}
	for at, s := range a.spots {
		if all := a.get(at.whole()); at.model != "" && all != nil {
			for _, c := range meters {
				if all.told(c) && s.told(c) {
					all.add(c, s.of(c))
				}
			}
		}
	}
}

// tells reports whether the account says how much of a meter there was at a spot:
// nothing, too, on the days that it reaches.
func (a *account) tells(at spot, c schemas.Col) bool {
	if s := a.get(at); s != nil {
		return s.told(c)
	}
	d, ok := a.reach[scope{at.provider, at.model != "", c}]
	if !ok || !d.has(at.day) {
		return false
	}
	if at.model == "" {
		_, named := a.reach[scope{at.provider, true, c}]
		return !named
	}
	return !a.get(at.whole()).told(c)
}

// Reconcile holds the calls of the event dates from cfg.From up to, not
// including, cfg.To against what providers report of them, or a bill.
func Reconcile(ctx context.Context, cfg Config, with Theirs) (_ *Reconciliation, err error) {
	s, err := cfg.check()
	if err != nil {
		return nil, err
	}
	lake, err := lookAt(s.Lake, s.FS)
	if err != nil {
		return nil, err
	}
	defer closing(&err, lake.Close)
	defer func() {
		if err == nil {
			err = lake.Overtaken() // it may be some of the old and some of the new
		}
		err = meanwhile(ctx, lake, err)
	}()
	r := &reconciling{
		s: s, with: with, ours: newSides(), families: map[string]string{}, accounts: map[string]*account{}, done: &Reconciliation{Lake: s.Lake, Gaps: []Gap{}},
		table: tableOf(ctx, lake), tolerance: exactly(with.Tolerance),
	}
	if with.CSV != "" {
		err = r.readCSV()
	} else {
		err = r.readReports()
	}
	if err != nil {
		return nil, err
	}
	switch {
	case len(r.accounts) > 0:
	case with.CSV != "":
		return nil, fmt.Errorf("nothing to hold the table against: %s has no line of these days and providers", with.CSV)
	default:
		return nil, errors.New("nothing to hold the table against: no reports of these days and providers in the lake; load them, or give a bill with --csv")
	}
	for _, a := range r.accounts {
		a.finish()
	}
	if err := r.readCalls(); err != nil {
		return nil, err
	}
	return r.done, r.compare()
}

// reconciling is one under way.
type reconciling struct {
	s         *settings
	with      Theirs
	tolerance *big.Rat
	table     *table
	ours      sides
	accounts  map[string]*account // by report
	halves    map[spot]*halves
	families  map[string]string // by model
	done      *Reconciliation
}

func (r *reconciling) account(report string) *account {
	if r.accounts[report] == nil {
		r.accounts[report] = &account{report: report, sides: newSides()}
	}
	return r.accounts[report]
}

// each hands out the rows of a table on the days that are wanted.
func (r *reconciling) each(t schemas.Table, wanted func(schemas.Day) bool, do func(day schemas.Day, row *schemas.Row)) error {
	units, err := r.table.units(t)
	if err != nil {
		return err
	}
	for _, unit := range units {
		if !wanted(unit.Day) {
			continue
		}
		if err := r.table.each(unit, "", func(row *schemas.Row) { do(unit.Day, row) }); err != nil {
			return err
		}
	}
	return nil
}

func (r *reconciling) asked(day schemas.Day) bool { return day >= r.s.from && day < r.s.to }

func (r *reconciling) wants(provider string) bool {
	return r.with.Provider == "" || strings.EqualFold(provider, r.with.Provider)
}

// keyOf is the provider and model that a row is compared by.
func keyOf(row *schemas.Row) (provider, model string) {
	provider, model = price.Key(row)
	return strings.ToLower(provider), model
}

// readCalls sums up the calls of providers that theirs is of.
func (r *reconciling) readCalls() error {
	reached, whole := map[string]days{}, map[string]bool{} // by provider: the days, and whether some are of all models
	for _, a := range r.accounts {
		for k, d := range a.reach {
			all, ok := reached[k.provider]
			if !ok {
				all = d
			}
			reached[k.provider] = days{min(all.first, d.first), max(all.last, d.last)}
			whole[k.provider] = whole[k.provider] || !k.named
		}
	}
	last := schemas.Day(math.MinInt32)
	wanted := func(day schemas.Day) bool {
		if !r.asked(day) {
			return false
		}
		for _, d := range reached {
			if d.has(day) {
				return true
			}
		}
		if day != last { // it may have several files
			r.done.NotReached = append(r.done.NotReached, day.String())
		}
		last = day
		return false
	}
	return r.each(schemas.Usage, wanted, func(day schemas.Day, row *schemas.Row) {
		provider, model := keyOf(row)
		if d, ok := reached[provider]; !ok || !d.has(day) {
			return
		}
		r.ours.at(spot{day, strings.Clone(provider), strings.Clone(model)}).call(row)
		if whole[provider] && model != "" {
			r.ours.at(spot{day, strings.Clone(provider), ""}).call(row)
		}
	})
}

// grouping is exports of one report that sum up the same calls.
type grouping struct {
	dialect, operation string
	width              width
	by                 uint64 // the columns it is grouped by
}

// width is how long buckets are, some of which may be cut off.
type width uint8

const (
	minutes width = iota
	hours
	wholeDays
	longer // than a day: of which day its calls are nobody knows
)

func (w width) String() string { return [...]string{"minutes", "hours", "days", "more than a day"}[w] }

func widthOf(row *schemas.Row) width {
	const minute, hour = 60 * 1e6, 3600 * 1e6
	switch long := row.Int(schemas.BucketEnd) - row.Int(schemas.EventTime); {
	case long <= minute:
		return minutes
	case long <= hour:
		return hours
	case long <= 25*hour: // where clocks change
		return wholeDays
	}
	return longer
}

// groups are the columns that reports can be grouped by.
var groups = []schemas.Col{
	schemas.Model, schemas.ProjectID, schemas.TeamID, schemas.UserID, schemas.APIKeyID, schemas.ServiceTier,
	schemas.IsBatch, schemas.Region, schemas.LineItem, schemas.ImageSize,
}

func (g grouping) String() string {
	var by []string
	for _, c := range groups {
		if g.by&(1<<c) != 0 {
			by = append(by, c.String())
		}
	}
	return fmt.Sprintf("%s %s, %s, by %s", g.dialect, g.operation, g.width, cmp.Or(strings.Join(by, ", "), "nothing"))
}

// before orders groupings by how well they can be compared: models first, then
// what cannot count a call under two tags, then what there is most of.
func (g grouping) before(o grouping, exports map[grouping]int) int {
	bit := func(g grouping, c schemas.Col) int { return int(g.by >> c & 1) }
	return cmp.Or(
		cmp.Compare(bit(o, schemas.Model), bit(g, schemas.Model)), cmp.Compare(bit(g, schemas.LineItem), bit(o, schemas.LineItem)),
		cmp.Compare(exports[o], exports[g]), strings.Compare(g.String(), o.String()),
	)
}

// chooseReports tells which rows of reports are taken. Of every report it is one grouping a
// day: the others sum up the same calls.
func (r *reconciling) chooseReports() (taken func(day schemas.Day, row *schemas.Row) bool, err error) {
	type export struct {
		source             int32
		dialect, operation string
		width              width
		total              bool // of tokens of all models, in a file that may have them by model too
	}
	type report struct {
		day                schemas.Day
		dialect, operation string
	}
	of := func(row *schemas.Row) export {
		total := !row.Has(schemas.Model) && (row.Has(schemas.InputTokens) || row.Has(schemas.OutputTokens))
		return export{row.Source, strings.Clone(row.Str(schemas.Dialect)), strings.Clone(row.Str(schemas.Operation)), widthOf(row), total}
	}
	exports, on := map[export]grouping{}, map[report]map[export]bool{}
	err = r.each(schemas.Reports, r.asked, func(day schemas.Day, row *schemas.Row) {
		if provider, _ := keyOf(row); !r.wants(provider) {
			return
		}
		e := of(row)
		g := exports[e]
		g.dialect, g.operation, g.width = e.dialect, e.operation, e.width
		for _, c := range groups {
			if row.Has(c) {
				g.by |= 1 << c
			}
		}
		exports[e] = g
		at := report{day, e.dialect, e.operation}
		if on[at] == nil {
			on[at] = map[export]bool{}
		}
		on[at][e] = true
	})
	if err != nil {
		return nil, err
	}
	count := map[grouping]int{}
	for _, g := range exports {
		count[g]++
	}
	best := map[report]grouping{}
	against, left := map[string]bool{}, map[string]bool{}
	for at, list := range on {
		for e := range list {
			g := exports[e]
			if b, ok := best[at]; g.width != longer && (!ok || g.before(b, count) < 0) {
				best[at] = g
			}
		}
		for e := range list {
			g := exports[e]
			if b, ok := best[at]; ok && b == g {
				against[g.String()] = true
			} else {
				left[g.String()] = true
			}
		}
	}
	r.done.Against, r.done.LeftOut = slices.Sorted(maps.Keys(against)), slices.Sorted(maps.Keys(left))
	return func(day schemas.Day, row *schemas.Row) bool {
		e := of(row)
		b, ok := best[report{day, e.dialect, e.operation}]
		return ok && b == exports[e]
	}, nil
}

// readReports sums up what providers reported. Requests without tokens are of calls that
// another report may count: they count where none does.
func (r *reconciling) readReports() error {
	taken, err := r.chooseReports()
	if err != nil {
		return err
	}
	type place struct {
		*account
		spot
	}
	requests := map[place]schemas.Amount{}
	err = r.each(schemas.Reports, r.asked, func(day schemas.Day, row *schemas.Row) {
		provider, model := keyOf(row)
		if !r.wants(provider) || !taken(day, row) {
			return
		}
		at := place{r.account(strings.Clone(row.Str(schemas.Dialect))), spot{day, strings.Clone(provider), strings.Clone(model)}}
		s := at.at(at.spot)
		before, counted := s.of(schemas.Requests), s.told(schemas.Requests)
		s.row(row)
		if row.Has(schemas.Requests) && !row.Has(schemas.InputTokens) && !row.Has(schemas.OutputTokens) {
			requests[at] = requests[at].Add(s.of(schemas.Requests).Sub(before))
			if s.Put(schemas.Requests, before); !counted {
				s.has &^= 1 << schemas.Requests
			}
		}
	})
	for at, n := range requests {
		if s := at.get(at.spot); !s.told(schemas.Requests) {
			s.add(schemas.Requests, n)
		}
	}
	return err
}

// A difference is a gap, and where it is.
type difference struct {
	*account
	at    spot
	meter schemas.Col
}

// compare lists the gaps.
func (r *reconciling) compare() error {
	var found []difference
	for _, name := range slices.Sorted(maps.Keys(r.accounts)) {
		a := r.accounts[name]
		spots := map[spot]bool{}
		for _, list := range []sides{a.sides, r.ours} {
			for at := range list.spots {
				spots[at] = true
			}
		}
		for at := range spots {
			for _, c := range meters {
				if !a.tells(at, c) {
					continue
				}
				r.done.Compared++
				if d := (difference{a, at, c}); !r.balances(d) && !(r.mayBeUnnamed(d) && r.balances(difference{a, at.whole(), c})) {
					found = append(found, d)
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b difference) int {
		return cmp.Or(
			strings.Compare(a.report, b.report), cmp.Compare(a.at.day, b.at.day), strings.Compare(a.at.provider, b.at.provider),
			strings.Compare(a.at.model, b.at.model), cmp.Compare(slices.Index(meters[:], a.meter), slices.Index(meters[:], b.meter)),
		)
	})
	zones, err := r.zones(found)
	if err != nil {
		return err
	}
	for _, d := range found {
		name, digits := d.meter.String(), 6
		if d.meter == schemas.CostUSD {
			name, digits = "cost", 9
		}
		ours, theirs := r.ours.get(d.at).of(d.meter), d.get(d.at).of(d.meter)
		r.done.Gaps = append(r.done.Gaps, Gap{
			Report: d.report, Day: d.at.day.String(), Provider: d.at.provider, Model: d.at.model, Meter: name,
			Ours: ours.Text(digits), Theirs: theirs.Text(digits), Gap: ours.Sub(theirs).Text(digits), Cause: r.cause(d, zones),
		})
	}
	return nil
}

// balances reports whether a difference is within the tolerance.
func (r *reconciling) balances(d difference) bool {
	theirs := d.get(d.at).of(d.meter)
	return within(r.ours.get(d.at).of(d.meter).Sub(theirs), theirs, r.tolerance)
}

// mayBeUnnamed reports whether what ours has more of a model may be in what theirs
// has of the day under no model: searches say, beside the tokens of models.
func (r *reconciling) mayBeUnnamed(d difference) bool {
	gap := r.ours.get(d.at).of(d.meter).Sub(d.get(d.at).of(d.meter))
	if d.at.model == "" || gap.Cmp(schemas.Amount{}) < 0 {
		return false
	}
	rest := d.unnamed(d.at, d.meter)
	return !rest.IsZero() && (gap.Cmp(rest) <= 0 || near(gap, rest))
}

// unnamed is what an account has of a spot's day under no model.
func (a *account) unnamed(at spot, c schemas.Col) schemas.Amount {
	if all := a.get(at.whole()); all.told(c) {
		return all.of(c).Sub(total(a.sides, at, c, every))
	}
	return schemas.Amount{}
}

// within reports whether a gap is no more than a share.
func within(gap, of schemas.Amount, share *big.Rat) bool {
	g, w := ratio(gap), ratio(of)
	return g.Abs(g).Cmp(w.Abs(w).Mul(w, share)) <= 0
}

// exactly is the number that the shortest text of a float is of: 0.1 is a tenth.
func exactly(v float64) *big.Rat {
	r, _ := new(big.Rat).SetString(strconv.FormatFloat(v, 'g', -1, 64))
	return r
}

// ratio is an amount as a rational number of its unit.
func ratio(a schemas.Amount) *big.Rat {
	r, _ := new(big.Rat).SetString(a.Text(0))
	return r
}
