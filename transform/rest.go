package transform

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"usagelake/schemas"
)

// What calls of a session came to is kept in the Memory of their source, as accounts, so
// that sums over the session come to what is left of them. An account is of one call, of
// older calls of one model together, or of what the last sums said of a model. It has texts
// by the names of columns, so that its ids are sealed as others are, and counts in the unit
// of Sums.
type account struct {
	number int // in the order in which they were written
	texts  map[string]string
}

// ofSums is a text of accounts of what sums said.
const ofSums = "sums"

// mostCalls and mostTogether bound the accounts of a family in a source, of one call and
// others: lines that repeat a call stand near each other, and so do a session's calls and
// sums. Every line goes through all of them.
const mostCalls, mostTogether = 16, 32

// amounts are quantities in the unit of Sums.
type amounts map[schemas.Col]int64

// amounts is what the record at hand reports.
func (n *Normalizer) amounts() amounts {
	all := amounts{}
	for _, q := range n.read {
		all[q.col] += q.v
	}
	return all
}

func newAccount(session, id, model string, of amounts) account {
	a := account{texts: map[string]string{
		schemas.SessionID.String(): strings.Clone(session), schemas.Model.String(): strings.Clone(model),
	}}
	if id != "" {
		a.texts[schemas.RequestID.String()] = strings.Clone(id)
	}
	for c, v := range of {
		a.texts[c.String()] = strconv.FormatInt(v, 10)
	}
	return a
}

func (a *account) session() string { return a.texts[schemas.SessionID.String()] }
func (a *account) id() string      { return a.texts[schemas.RequestID.String()] }
func (a *account) model() string   { return a.texts[schemas.Model.String()] }
func (a *account) isOfSums() bool  { return a.texts[ofSums] != "" }

// sealed: an earlier run has sealed the ids, which cannot be compared.
func (a *account) sealed() bool { return strings.HasPrefix(a.session(), "\x00") }

func (a *account) amounts() amounts {
	all := amounts{}
	for _, c := range schemas.Meters() {
		if v, err := strconv.ParseInt(a.texts[c.String()], 10, 64); err == nil {
			all[c] = v
		}
	}
	return all
}

// numbered goes between a family and the number of an account.
const numbered = " account "

// accounts are those of a family, the oldest first.
func (m Memory) accounts(family string) (list []account) {
	for name, texts := range m {
		if of, number, ok := strings.Cut(name, numbered); ok && of == family {
			k, _ := strconv.Atoi(number)
			list = append(list, account{k, texts})
		}
	}
	slices.SortFunc(list, func(a, b account) int { return cmp.Compare(a.number, b.number) })
	return list
}

// write adds an account as the newest one. Of those that are not of one call the oldest
// gives way.
func (m Memory) write(family string, a account) {
	list := m.accounts(family)
	if len(list) > 0 {
		a.number = list[len(list)-1].number + 1
	}
	list = slices.DeleteFunc(list, func(b account) bool { return b.id() != "" })
	if a.id() == "" && len(list) == mostTogether {
		m.erase(family, list[0])
	}
	m[family+numbered+strconv.Itoa(a.number)] = a.texts
}

func (m Memory) erase(family string, a account) { delete(m, family+numbered+strconv.Itoa(a.number)) }

// tells reports whether there is an account that is or may be of a session.
func (m Memory) tells(family, session string) bool {
	return slices.ContainsFunc(m.accounts(family), func(a account) bool { return a.session() == session || a.sealed() })
}

// enter brings the row at hand to account if others said its session: sums over that may
// follow. Of records of one call the most complete one counts, as in the table.
func (n *Normalizer) enter(p *plan, row *schemas.Builder, said Memory) {
	family, session := family(p.entry.Name), row.Str(schemas.SessionID)
	if !n.dialects.rests[family] || p.entry.OfSession || session == "" ||
		said[family][schemas.SessionID.String()] != session && !said.tells(family, session) {
		return
	}
	a := newAccount(session, row.Str(schemas.RequestID), row.Str(schemas.Model), n.amounts())
	if a.id() == "" {
		said.together(family, a)
		return
	}
	var calls []account
	for _, b := range said.accounts(family) {
		switch {
		case b.id() == "":
		case b.id() == a.id() && b.session() == session && b.model() == a.model():
			if old, is := b.amounts(), a.amounts(); cmp.Or(cmp.Compare(old[schemas.OutputTokens], is[schemas.OutputTokens]),
				cmp.Compare(old[schemas.InputTokens], is[schemas.InputTokens])) > 0 {
				return
			}
			said.erase(family, b)
		default:
			calls = append(calls, b)
		}
	}
	if len(calls) == mostCalls {
		said.erase(family, calls[0])
		said.together(family, calls[0])
	}
	said.write(family, a)
}

// together adds an account to that of calls of its session and model together.
func (m Memory) together(family string, a account) {
	all := a.amounts()
	for _, b := range m.accounts(family) {
		if b.id() == "" && !b.isOfSums() && b.session() == a.session() && b.model() == a.model() {
			for c, v := range b.amounts() {
				all[c] += v
			}
			m.erase(family, b)
		}
	}
	m.write(family, newAccount(a.session(), "", a.model(), all))
}

// rest is what a record of sums says of a session, by model.
type rest struct {
	session string
	sums    []modelSum
}

type modelSum struct {
	model    string
	of, less amounts // less is what calls before it had, and sums before it said
}

// rest takes from the parts of a record of sums what the accounts of its session say. It is
// nil where they do not say enough: none is there, one is sealed, or the model of one is
// that of no part.
func (n *Normalizer) rest(parts []call, family, session string, said Memory) *rest {
	r := &rest{session: session}
	for i := range parts {
		r.sums = append(r.sums, n.modelSum(&parts[i]))
	}
	var calls, before []account
	for _, a := range said.accounts(family) {
		switch {
		case a.sealed():
			return nil
		case a.session() != session:
			continue
		case a.isOfSums():
			before = append(before, a)
		default:
			calls = append(calls, a)
		}
	}
	if len(calls)+len(before) == 0 {
		return nil
	}
	grown := true
	for _, a := range before {
		at := slices.IndexFunc(r.sums, func(s modelSum) bool { return s.model == a.model() })
		for c, v := range a.amounts() {
			grown = grown && at >= 0 && r.sums[at].of[c] >= v
		}
	}
	for _, a := range before {
		for i := range r.sums {
			if grown && r.sums[i].model == a.model() { // else they began anew
				r.sums[i].less = a.amounts()
			}
		}
	}
	for _, a := range calls {
		if !r.take(a.model(), a.amounts()) {
			return nil
		}
	}
	for i := range parts {
		parts[i].heir.less = r.sums[i].less
	}
	return r
}

// modelSum is what a part of a record says of a model.
func (n *Normalizer) modelSum(c *call) modelSum {
	s := modelSum{of: amounts{}, less: amounts{}}
	for _, f := range c.heir.texts {
		if f.Col == schemas.Model {
			s.model = f.Value
		}
	}
	rec, err := n.walker.Walk(c.doc)
	if err != nil {
		return s
	}
	p, rec := n.planOf(rec, c.entry)
	if p.entry == nil {
		return s
	}
	flags := n.flags
	n.row, n.read = n.trial, n.read[:0]
	n.row.Drop()
	if n.move(p, rec) == "" { // else the part is bad
		s.of = n.amounts()
	}
	n.row.Drop()
	n.flags = flags
	return s
}

// take takes what calls of a model had from the sums of the models that are most like it. It
// reports false where there is none, but they had something.
func (r *rest) take(model string, of amounts) bool {
	best := 0
	for i := range r.sums {
		best = max(best, alike(model, r.sums[i].model))
	}
	if best == 0 {
		return !slices.ContainsFunc(slices.Collect(maps.Values(of)), func(v int64) bool { return v != 0 })
	}
	for i := range r.sums {
		s := &r.sums[i]
		if alike(model, s.model) != best {
			continue
		}
		for c, v := range of {
			some := max(min(v, s.of[c]-s.less[c]), 0)
			s.less[c] += some
			of[c] -= some
		}
	}
	return true
}

// alike is how many bytes the names of two models share where one contains the other, else
// 0. One may be as it is configured: in brackets are options, a region or a vendor goes
// before, a version may be parted by an @.
func alike(a, b string) int {
	a, b = bareModel(a), bareModel(b)
	if len(a) > len(b) {
		a, b = b, a
	}
	if !strings.Contains(b, a) {
		return 0
	}
	return len(a)
}

func bareModel(name string) string {
	if at := strings.IndexByte(name, '['); at > 0 && strings.HasSuffix(name, "]") {
		name = name[:at]
	}
	return strings.ReplaceAll(name, "@", "-")
}

// settle writes what sums said of a session in the place of the accounts of its calls.
func (m Memory) settle(family string, r *rest) {
	for _, a := range m.accounts(family) {
		if a.session() == r.session {
			m.erase(family, a)
		}
	}
	for _, s := range r.sums {
		a := newAccount(r.session, "", s.model, s.of)
		a.texts[ofSums] = "1"
		m.write(family, a)
	}
}

// lessen takes from the counts of the row at hand what others said of them.
func (n *Normalizer) lessen(less amounts) {
	for i := range n.read {
		q := &n.read[i]
		if less[q.col] == 0 {
			continue
		}
		q.v = max(q.v-less[q.col], 0)
		if traits[q.col].kind == schemas.Money {
			n.row.SetInt(q.col, q.v)
		} else {
			n.row.SetDouble(q.col, schemas.OfMicros(q.v))
		}
	}
}
