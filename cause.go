package usagelake

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"usagelake/schemas"
)

// near reports whether two amounts are equal but for a thousandth.
func near(a, b schemas.Amount) bool {
	return size(a.Sub(b)).Times(1000).Cmp(size(b)) <= 0
}

// size is an amount without its sign.
func size(a schemas.Amount) schemas.Amount {
	if a.Cmp(schemas.Amount{}) < 0 {
		return a.Neg()
	}
	return a
}

// cause says what a gap most likely comes from.
func (r *reconciling) cause(d difference, zones map[difference]zone) string {
	at, c := d.at, d.meter
	o, t := r.ours.get(at), d.get(at)
	ours, theirs := o.of(c), t.of(c)
	gap := ours.Sub(theirs)
	if z, ok := zones[d]; ok {
		return "time zone: by days of " + z.String() + " it adds up"
	}
	if why := r.otherName(d); why != "" {
		return why
	}
	switch {
	case o == nil:
		return "missing requests: none of these are in the table"
	case t == nil:
		return "not in the report: other keys, projects or accounts, or calls of another kind"
	case o.answered != nil && near(gap, o.answered.of(c)):
		return "gateway cache: its answers are in the table only"
	}
	if !theirs.IsZero() && !ours.IsZero() {
		for _, unit := range []int64{1e6, 1e3, 100} {
			if near(ours.Times(unit), theirs) || near(ours, theirs.Times(unit)) {
				return fmt.Sprintf("unit: %d times", unit)
			}
		}
	}
	switch {
	case twice(o, t, t):
		return "twice: ours is twice theirs by every meter; calls that are logged twice under other ids?"
	case twice(t, o, t):
		return "twice: theirs is twice ours by every meter; lines that are in it twice, or half of the calls are missing"
	}
	var why string
	switch c {
	case schemas.InputTokens, schemas.UncachedInputTokens:
		why = apart(gap, o, t, "cache", schemas.CacheReadTokens, schemas.CacheWriteTokens)
	case schemas.OutputTokens:
		why = apart(gap, o, t, "reasoning", schemas.ReasoningTokens)
	case schemas.CostUSD:
		why = r.otherPrice(d)
	}
	if why != "" {
		return why
	}
	switch requests := o.of(schemas.Requests).Sub(t.of(schemas.Requests)); {
	case !t.told(schemas.Requests):
		switch {
		case gap.Cmp(schemas.Amount{}) > 0:
			return "the table counts more: other keys or projects, or a report that is not complete"
		case c == schemas.CostUSD && at.model == "":
			return "missing requests, or line items that are no calls: the report counts more"
		}
		return "missing requests: the report counts more"
	case requests.Cmp(schemas.Amount{}) < 0:
		return "missing requests: " + requests.Neg().Text(6) + " of " + t.of(schemas.Requests).Text(6)
	case requests.Cmp(schemas.Amount{}) > 0:
		return "the table has " + requests.Text(6) + " requests more: other keys or projects, or a report that is not complete"
	}
	return "the requests are the same: another count of the same calls"
}

// twice reports whether one side has twice of the other's, by two meters at least
// and all that theirs tells.
func twice(much, little, theirs *side) bool {
	n := 0
	for _, c := range meters {
		if a, b := much.of(c), little.of(c); theirs.told(c) && !(a.IsZero() && b.IsZero()) {
			if !near(a, b.Times(2)) {
				return false
			}
			n++
		}
	}
	return n > 1
}

// apart says which of the parts of a meter a gap is.
func apart(gap schemas.Amount, o, t *side, bucket string, parts ...schemas.Col) string {
	is := func(v schemas.Amount) bool { return !v.IsZero() && (near(gap, v) || near(gap, v.Neg())) }
	for _, s := range []*side{o, t} {
		var all schemas.Amount
		for _, p := range parts {
			if is(s.of(p)) {
				return bucket + " bucket: " + p.String() + " is in one of the counts only"
			}
			all = all.Add(s.of(p))
		}
		if is(all) {
			return bucket + " bucket: " + bucket + " reads and writes are in one of the counts only"
		}
	}
	return ""
}

// otherPrice says why a cost is another although the calls may be the same.
func (r *reconciling) otherPrice(d difference) string {
	at, c := d.at, schemas.CostUSD
	o, t := r.ours.get(at), d.get(at)
	ours, theirs := o.of(c), t.of(c)
	gap := ours.Sub(theirs)
	same, known := r.sameTokens(d)
	missing := o.of(schemas.Requests).Cmp(t.of(schemas.Requests)) < 0 && t.told(schemas.Requests)
	if known && !same || missing {
		return ""
	}
	if o.costless > 0 && gap.Cmp(schemas.Amount{}) < 0 {
		return fmt.Sprintf("price: %d of the table's %s rows have no cost", o.costless, o.of(schemas.Requests).Text(6))
	}
	if r.mayBeUnnamed(d) {
		return "line items: it has " + d.unnamed(at, c).Text(9) + " of the day under no model, for searches or tools say"
	}
	switch b := o.batches; {
	case b.IsZero() || b == ours:
	case near(gap.Times(2), b):
		return "tier: the table's batches cost " + b.Text(9) + ", twice as much as theirs"
	case near(gap.Neg(), b):
		return "tier: the table's batches cost " + b.Text(9) + ", half as much as theirs"
	}
	double := near(ours, theirs.Times(2)) || near(ours.Times(2), theirs)
	switch {
	case same && double:
		return "tier: twice the price for the same tokens"
	case same && at.model == "":
		return "price, or line items that are no tokens: the day's tokens are the same"
	case same:
		return "price: the same tokens at other prices"
	case double:
		return "tier, or requests: one is twice the other"
	}
	return ""
}

// sameTokens reports whether both sides have the tokens that a cost is for, if that
// is known: a cost without a model is for those of the day.
func (r *reconciling) sameTokens(d difference) (same, known bool) {
	same = true
	for _, c := range []schemas.Col{schemas.InputTokens, schemas.OutputTokens} {
		ours, theirs, told := r.ours.get(d.at).of(c), d.get(d.at).of(c), d.get(d.at).told(c)
		if _, named := d.reach[scope{d.at.provider, true, c}]; d.at.model == "" && !told && named {
			ours, theirs, told = total(r.ours, d.at, c, every), total(d.sides, d.at, c, every), true
		}
		if told {
			known, same = true, same && near(ours, theirs)
		}
	}
	return same && known, known
}

// total sums up a meter over those of the models of a spot's day that are wanted.
func total(of sides, at spot, c schemas.Col, wanted func(model string) bool) (sum schemas.Amount) {
	for _, model := range of.models[at.whole()] {
		if wanted(model) {
			sum = sum.Add(of.get(spot{at.day, at.provider, model}).of(c))
		}
	}
	return sum
}

func every(string) bool { return true }

// dated is what tells the snapshots of a model apart.
var dated = regexp.MustCompile(`-(?:20\d\d-?\d\d-?\d\d|latest)(?:-v\d+(?::\d+)?)?$`)

// spelled evens out how models are written: "Claude Sonnet 4.5" is claude-sonnet-4-5.
var spelled = strings.NewReplacer(" ", "-", ".", "-", "_", "-", "@", "-")

// family is what the names of a model have in common.
func (r *reconciling) family(model string) string {
	name, ok := r.families[model]
	if !ok {
		name = dated.ReplaceAllString(spelled.Replace(strings.ToLower(model[strings.LastIndexByte(model, '/')+1:])), "")
		r.families[model] = name
	}
	return name
}

// otherName says whether a gap is due to what a model is called.
func (r *reconciling) otherName(d difference) string {
	at := d.at
	if at.model == "" {
		return ""
	}
	addsUp := func(wanted func(string) bool) bool {
		ours, theirs := total(r.ours, at, d.meter, wanted), total(d.sides, at, d.meter, wanted)
		return near(ours, theirs) && !theirs.IsZero()
	}
	alike := func(model string) bool { return r.family(model) == r.family(at.model) }
	others := func(of, not sides) string {
		var list []string
		for _, model := range of.models[at.whole()] {
			if model != at.model && alike(model) && !slices.Contains(not.models[at.whole()], model) {
				list = append(list, model)
			}
		}
		slices.Sort(list)
		return strings.Join(list, ", ")
	}
	o, t := r.ours.get(at), d.get(at)
	if o != nil && t != nil {
		tables, reports := others(r.ours, d.sides), others(d.sides, r.ours)
		switch {
		case tables+reports == "" || !addsUp(alike):
			return ""
		case tables != "":
			return "model: with " + tables + " of the table it adds up"
		}
		return "model: with " + reports + " of the report it adds up"
	}
	where, of := "table", r.ours
	if t == nil {
		where, of = "report", d.sides
	}
	switch list := others(of, sides{}); {
	case list != "" && addsUp(alike):
		return "model: " + list + " in the " + where
	case list != "":
		return "model: " + list + " in the " + where + ", with another count"
	case addsUp(every):
		return "model: named otherwise in the " + where
	}
	return ""
}

// zone is how many half hours a clock is ahead of UTC.
type zone int

func (z zone) String() string {
	sign := '+'
	if z < 0 {
		sign, z = '-', -z
	}
	return fmt.Sprintf("UTC%c%02d:%02d", sign, z/2, z%2*30)
}

// halves are the sums of a day by half hours, of the meters.
type halves [48]*[len(meters)]schemas.Amount

// zones are the gaps that are none by the days of another zone, and which that is.
func (r *reconciling) zones(found []difference) (map[difference]zone, error) {
	if err := r.readHalves(found); err != nil {
		return nil, err
	}
	var all []zone
	for z := zone(-24); z <= 28; z++ {
		if z != 0 {
			all = append(all, z)
		}
	}
	fit := map[difference][]zone{}
	votes := map[zone]int{}
	for _, d := range found {
		for _, z := range all {
			if r.fits(d, z) {
				fit[d] = append(fit[d], z)
				votes[z]++
			}
		}
	}
	// the one that explains most; of those the one by full hours, and the nearest
	best := func(a, b zone) int {
		return cmp.Or(cmp.Compare(votes[b], votes[a]), cmp.Compare(a&1, b&1), cmp.Compare(a*a, b*b), cmp.Compare(b, a))
	}
	out := map[difference]zone{}
	for d, list := range fit {
		out[d] = slices.MinFunc(list, best)
	}
	return out, nil
}

// readHalves sums up the calls around gaps by half hours. They may be of days that
// were not asked for.
func (r *reconciling) readHalves(found []difference) error {
	r.halves = map[spot]*halves{}
	around := map[schemas.Day]bool{}
	models := map[spot]bool{} // without their day
	for _, d := range found {
		if d.get(d.at) == nil {
			continue
		}
		for day := d.at.day - 2; day <= d.at.day+2; day++ {
			around[day] = true
		}
		models[spot{provider: d.at.provider, model: d.at.model}] = true
	}
	if len(models) == 0 {
		return nil
	}
	return r.each(schemas.Usage, func(day schemas.Day) bool { return around[day] }, func(day schemas.Day, row *schemas.Row) {
		provider, model := keyOf(row)
		for _, name := range slices.Compact([]string{"", model}) {
			if !models[spot{provider: provider, model: name}] {
				continue
			}
			at := spot{day, strings.Clone(provider), strings.Clone(name)}
			if r.halves[at] == nil {
				r.halves[at] = &halves{}
			}
			const half = 1800 * 1e6
			h := &r.halves[at][row.Int(schemas.EventTime)/half%48]
			if *h == nil {
				*h = &[len(meters)]schemas.Amount{}
			}
			var s side
			s.call(row)
			for i, c := range meters {
				(*h)[i] = (*h)[i].Add(s.of(c))
			}
		}
	})
}

// byZone is what ours has of a meter on a day of a zone, and what of it is on
// another day by UTC.
func (r *reconciling) byZone(at spot, c schemas.Col, z zone) (sum, moved schemas.Amount) {
	meter := slices.Index(meters[:], c)
	first := 48*int(at.day) - int(z) // no time is before 1970
	for h := first; h < first+48; {
		day := at
		day.day = schemas.Day(h / 48)
		list, end := r.halves[day], min(first+48, h/48*48+48)
		for ; h < end; h++ {
			if list == nil || list[h%48] == nil {
				continue
			}
			v := list[h%48][meter]
			if sum = sum.Add(v); day != at {
				moved = moved.Add(v)
			}
		}
	}
	return sum, moved
}

// fits reports whether there is no gap by the days of a zone: nor in what else is
// counted, nor on the days beside.
func (r *reconciling) fits(d difference, z zone) bool {
	if d.get(d.at) == nil {
		return false
	}
	moves := false
	for _, day := range []schemas.Day{d.at.day, d.at.day - 1, d.at.day + 1} {
		at := d.at
		at.day = day
		for _, c := range []schemas.Col{schemas.Requests, schemas.InputTokens, schemas.OutputTokens, d.meter} {
			theirs := d.get(at).of(c)
			switch {
			case d.get(at).told(c):
			case at.model == "" && len(d.models[at]) > 0: // by model on this day
				theirs = total(d.sides, at, c, every)
			default:
				continue
			}
			sum, moved := r.byZone(at, c, z)
			if !near(sum, theirs) {
				return false
			}
			moves = moves || c == d.meter && !moved.IsZero()
		}
	}
	return moves
}
