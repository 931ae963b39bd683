package usagelake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
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
	Gaps     []Gap    `json:"gaps"`               // those over the tolerance
}

// Gap is a difference in a meter of a model on a day.
type Gap struct {
	Day      string `json:"event_date"`
	Provider string `json:"provider"`
	Model    string `json:"model"` // "" is all of a report that names none
	Meter    string `json:"meter"`
	Ours     string `json:"ours"`
	Theirs   string `json:"theirs"`
	Gap      string `json:"gap"` // ours - theirs
	Cause    string `json:"likely_cause"`
}

// meters are compared, in this order. Requests are rows of ours; cost is ours by
// prices, or where there are none as it was logged.
var meters = []schemas.Col{
	schemas.Requests, schemas.InputTokens, schemas.UncachedInputTokens, schemas.CacheReadTokens, schemas.CacheWriteTokens,
	schemas.OutputTokens, schemas.ReasoningTokens, schemas.InputImageTokens, schemas.OutputImageTokens,
	schemas.ImageCount, schemas.AudioSeconds, schemas.WebSearchRequests, schemas.CostUSD,
}

// spot is where sums are compared.
type spot struct {
	day             schemas.Day
	provider, model string
}

// side is one side's sums at a spot.
type side struct {
	schemas.Sums
	has uint64 // the columns that were told, a bit for each
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

func (s *side) told(c schemas.Col) bool { return s != nil && s.has&(1<<c) != 0 }

func (s *side) of(c schemas.Col) schemas.Amount {
	if s == nil {
		return schemas.Amount{}
	}
	return s.At(c)
}

type sides map[spot]*side

func (m sides) at(s spot) *side {
	if m[s] == nil {
		m[s] = &side{}
	}
	return m[s]
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
		s: s, with: with, ours: sides{}, theirs: sides{}, done: &Reconciliation{Lake: s.Lake, Gaps: []Gap{}},
		table: tableOf(ctx, lake),
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
	case len(r.theirs) > 0:
	case with.CSV != "":
		return nil, fmt.Errorf("nothing to hold the table against: %s has no line of these days and providers", with.CSV)
	default:
		return nil, errors.New("nothing to hold the table against: no reports of these days in the lake; load them, or give a bill with --csv")
	}
	if err := r.readCalls(); err != nil {
		return nil, err
	}
	r.compare()
	return r.done, nil
}

// reconciling is one under way.
type reconciling struct {
	s            *settings
	with         Theirs
	table        *table
	ours, theirs sides
	done         *Reconciliation
}

// each hands out the rows of a table on the days in question.
func (r *reconciling) each(t schemas.Table, do func(unit schemas.Unit, row *schemas.Row)) error {
	units, err := r.table.units(t)
	if err != nil {
		return err
	}
	for _, unit := range r.s.wanted(units) {
		if err := r.table.each(unit, "", func(row *schemas.Row) { do(unit, row) }); err != nil {
			return err
		}
	}
	return nil
}

func (r *reconciling) wants(provider string) bool {
	return r.with.Provider == "" || strings.EqualFold(provider, r.with.Provider)
}

// readCalls sums up the calls of providers that theirs is of.
func (r *reconciling) readCalls() error {
	all, named := map[string]bool{}, map[string]bool{} // providers with spots for all models, and for each
	for at := range r.theirs {
		if at.model == "" {
			all[at.provider] = true
		} else {
			named[at.provider] = true
		}
	}
	days := map[schemas.Day]bool{}
	for at := range r.theirs {
		days[at.day] = true
	}
	return r.each(schemas.Usage, func(unit schemas.Unit, row *schemas.Row) {
		provider, model := price.Key(row)
		provider = strings.ToLower(provider)
		if !all[provider] && !named[provider] || !days[unit.Day] {
			return
		}
		var spots []*side
		if named[provider] {
			spots = append(spots, r.ours.at(spot{unit.Day, strings.Clone(provider), strings.Clone(model)}))
		}
		if all[provider] {
			spots = append(spots, r.ours.at(spot{unit.Day, strings.Clone(provider), ""}))
		}
		for _, s := range spots {
			s.row(row)
			s.add(schemas.Requests, schemas.AmountOf(1e6))
		}
	})
}

// grouping is exports of one report that sum up the same calls.
type grouping struct {
	dialect, operation string
	hours              bool
	by                 uint64 // the columns it is grouped by
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
	width := "days"
	if g.hours {
		width = "hours"
	}
	return fmt.Sprintf("%s %s, %s, by %s", g.dialect, g.operation, width, cmp.Or(strings.Join(by, ", "), "nothing"))
}

// readReports sums up what providers reported. One grouping of every report is
// taken: the others sum up the same calls.
func (r *reconciling) readReports() error {
	type export struct {
		source             int32
		dialect, operation string
	}
	of := func(row *schemas.Row) export {
		return export{row.Source, strings.Clone(row.Str(schemas.Dialect)), strings.Clone(row.Str(schemas.Operation))}
	}
	const hour = 3600 * 1e6
	exports, count := map[export]grouping{}, map[grouping]int{}
	err := r.each(schemas.Reports, func(_ schemas.Unit, row *schemas.Row) {
		e := of(row)
		g := exports[e]
		g.dialect, g.operation = e.dialect, e.operation
		g.hours = g.hours || row.Int(schemas.BucketEnd)-row.Int(schemas.EventTime) < 24*hour
		for _, c := range groups {
			if row.Has(c) {
				g.by |= 1 << c
			}
		}
		exports[e] = g
	})
	if err != nil {
		return err
	}
	for _, g := range exports {
		count[g]++
	}
	taken := map[[2]string]grouping{}
	for _, g := range slices.SortedFunc(maps.Keys(count), func(a, b grouping) int {
		model := func(g grouping) int { return int(g.by >> schemas.Model & 1) }
		return cmp.Or(cmp.Compare(model(b), model(a)), cmp.Compare(count[b], count[a]), strings.Compare(a.String(), b.String()))
	}) {
		report := [2]string{g.dialect, g.operation}
		if _, ok := taken[report]; ok {
			r.done.LeftOut = append(r.done.LeftOut, g.String())
			continue
		}
		taken[report] = g
		r.done.Against = append(r.done.Against, g.String())
	}
	slices.Sort(r.done.Against)
	requests := map[spot]*side{} // of rows without tokens
	err = r.each(schemas.Reports, func(unit schemas.Unit, row *schemas.Row) {
		e := of(row)
		if g := exports[e]; taken[[2]string{e.dialect, e.operation}] != g || !r.wants(row.Str(schemas.Provider)) {
			return
		}
		at := spot{unit.Day, strings.ToLower(strings.Clone(row.Str(schemas.Provider))), strings.Clone(row.Str(schemas.Model))}
		s := r.theirs.at(at)
		counted := s.told(schemas.Requests)
		before := s.of(schemas.Requests)
		s.row(row)
		if row.Has(schemas.Requests) && !row.Has(schemas.InputTokens) && !row.Has(schemas.OutputTokens) {
			// of calls that another report may count
			if s.Put(schemas.Requests, before); !counted {
				s.has &^= 1 << schemas.Requests
			}
			if requests[at] == nil {
				requests[at] = &side{}
			}
			requests[at].AddRow(row)
		}
	})
	for at, s := range requests {
		if t := r.theirs.at(at); !t.told(schemas.Requests) {
			t.add(schemas.Requests, s.of(schemas.Requests))
		}
	}
	return err
}

// compare lists the gaps.
func (r *reconciling) compare() {
	spots := maps.Clone(r.theirs)
	for at := range r.ours {
		if spots[at] == nil {
			spots[at] = nil
		}
	}
	told := map[string]uint64{} // by provider: what theirs tells at all
	for at, s := range r.theirs {
		told[at.provider] |= s.has
	}
	for _, at := range slices.SortedFunc(maps.Keys(spots), func(a, b spot) int {
		return cmp.Or(cmp.Compare(a.day, b.day), strings.Compare(a.provider, b.provider), strings.Compare(a.model, b.model))
	}) {
		for _, c := range meters {
			if told[at.provider]&(1<<c) == 0 || r.theirs[at] != nil && !r.theirs[at].told(c) {
				continue
			}
			r.done.Compared++
			ours, theirs := r.ours[at].of(c), r.theirs[at].of(c)
			gap := ours.Sub(theirs)
			if within(gap, theirs, r.with.Tolerance) {
				continue
			}
			name, digits := c.String(), 6
			if c == schemas.CostUSD {
				name, digits = "cost", 9
			}
			r.done.Gaps = append(r.done.Gaps, Gap{
				Day: at.day.String(), Provider: at.provider, Model: at.model, Meter: name,
				Ours: ours.Text(digits), Theirs: theirs.Text(digits), Gap: gap.Text(digits), Cause: r.cause(at, c),
			})
		}
	}
}

// within reports whether a gap is no more than a share.
func within(gap, of schemas.Amount, share float64) bool {
	g, w := ratio(gap), ratio(of)
	return g.Abs(g).Cmp(w.Abs(w).Mul(w, new(big.Rat).SetFloat64(share))) <= 0
}

// ratio is an amount as a rational number of its unit.
func ratio(a schemas.Amount) *big.Rat {
	r, _ := new(big.Rat).SetString(a.Text(0))
	return r
}

// near reports whether two amounts are equal but for a thousandth.
func near(a, b schemas.Amount) bool { return within(a.Sub(b), b, 0.001) }

// cause says what a gap most likely comes from.
func (r *reconciling) cause(at spot, c schemas.Col) string {
	o, t := r.ours[at], r.theirs[at]
	ours, theirs := o.of(c), t.of(c)
	zero := schemas.Amount{}
	switch {
	case o == nil:
		if r.sameDay(at, c) {
			return "model: named otherwise in the table"
		}
		return "missing requests: none of these are in the table"
	case t == nil:
		if r.sameDay(at, c) {
			return "model: named otherwise in the report"
		}
		return "not in the report: other keys, projects or accounts"
	}
	for _, other := range []schemas.Day{at.day - 1, at.day + 1} { // a part of the day is booked on another
		next := at
		next.day = other
		if r.ours[next] != nil && r.theirs[next] != nil && !near(r.ours[next].of(c), r.theirs[next].of(c)) &&
			near(ours.Add(r.ours[next].of(c)), theirs.Add(r.theirs[next].of(c))) {
			return "time zone: with " + other.String() + " it adds up"
		}
	}
	if !theirs.IsZero() && !ours.IsZero() {
		for _, unit := range []int64{1e6, 1e3, 100} {
			if near(ours.Times(unit), theirs) || near(ours, theirs.Times(unit)) {
				return fmt.Sprintf("unit: %d times", unit)
			}
		}
	}
	gap := ours.Sub(theirs)
	part := func(list ...schemas.Col) string {
		for _, s := range []*side{o, t} {
			for _, p := range list {
				if v := s.of(p); !v.IsZero() && (near(gap, v) || near(gap, zero.Sub(v))) {
					return p.String() + " is in one of the counts only"
				}
			}
			if v := s.of(schemas.CacheReadTokens).Add(s.of(schemas.CacheWriteTokens)); len(list) > 1 && !v.IsZero() && (near(gap, v) || near(gap, zero.Sub(v))) {
				return "cache reads and writes are in one of the counts only"
			}
		}
		return ""
	}
	switch c {
	case schemas.InputTokens, schemas.UncachedInputTokens:
		if why := part(schemas.CacheReadTokens, schemas.CacheWriteTokens); why != "" {
			return "cache bucket: " + why
		}
	case schemas.OutputTokens:
		if why := part(schemas.ReasoningTokens); why != "" {
			return "reasoning bucket: " + why
		}
	case schemas.CostUSD:
		if t.told(schemas.InputTokens) && near(o.of(schemas.InputTokens), t.of(schemas.InputTokens)) && near(o.of(schemas.OutputTokens), t.of(schemas.OutputTokens)) {
			if near(ours, theirs.Times(2)) || near(ours.Times(2), theirs) {
				return "tier: twice the price for the same tokens"
			}
			return "price: the same tokens at other prices"
		}
		if near(ours, theirs.Times(2)) || near(ours.Times(2), theirs) {
			return "tier: twice the price"
		}
	}
	switch requests := o.of(schemas.Requests).Sub(t.of(schemas.Requests)); {
	case !t.told(schemas.Requests):
		if gap.Cmp(zero) < 0 {
			return "missing requests: the report counts more"
		}
		return "the table counts more: other keys or projects, or a report that is not complete"
	case requests.Cmp(zero) < 0:
		return "missing requests: " + zero.Sub(requests).Text(6) + " of " + t.of(schemas.Requests).Text(6)
	case requests.Cmp(zero) > 0:
		return "the table has " + requests.Text(6) + " requests more: other keys or projects, or a report that is not complete"
	}
	return "the requests are the same: another count of the same calls"
}

// sameDay reports whether both sides agree on a meter of a provider's day over
// all models.
func (r *reconciling) sameDay(at spot, c schemas.Col) bool {
	sum := func(m sides) (all schemas.Amount) {
		for s, v := range m {
			if s.day == at.day && s.provider == at.provider && s.model != "" {
				all = all.Add(v.of(c))
			}
		}
		return all
	}
	return at.model != "" && near(sum(r.ours), sum(r.theirs))
}
