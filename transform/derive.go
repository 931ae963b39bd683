package transform

import "usagelake/schemas"

// Readings of reported parts, the values of token_basis: whether cache and
// reasoning tokens are in the totals around them. Where a dialect does not say,
// which is ambiguous, the reported total decides, if it can.
const (
	inclusive = "inclusive"
	exclusive = "exclusive"
	ambiguous = "ambiguous"
)

// whole is a row's token counts that others are held against, in the fixed point
// of Normalizer.fixed; 0 where NULL.
type whole struct {
	in, out, total          int64
	hasIn, hasOut, hasTotal bool
	read, write, reasoning  int64
}

func (n *Normalizer) whole() (w whole) {
	r := n.row
	w.in, w.hasIn = n.fixed(schemas.InputTokens), r.Has(schemas.InputTokens)
	w.out, w.hasOut = n.fixed(schemas.OutputTokens), r.Has(schemas.OutputTokens)
	w.total, w.hasTotal = n.fixed(schemas.TotalTokens), r.Has(schemas.TotalTokens)
	w.read, w.write = n.fixed(schemas.CacheReadTokens), n.fixed(schemas.CacheWriteTokens)
	w.reasoning = n.fixed(schemas.ReasoningTokens)
	return w
}

// rule is the entry's reading of the parts, or what the record says of its cache. That is
// added to the input where it is apart.
func (n *Normalizer) rule(p *plan, rec *schemas.Record, w *whole) string {
	if p.apart == noSlot {
		return p.entry.Basis
	}
	switch rec.Frames[p.apart.frame].Val[p.apart.slot].Kind {
	case schemas.True:
		if w.hasIn {
			n.raise(schemas.InputTokens, &w.in, w.read+w.write)
		}
		return exclusive
	case schemas.False:
		return inclusive
	}
	return p.entry.Basis
}

// basis holds a row's reading of the parts against the total that is reported,
// and returns it. Where neither the rule nor the total tells, a part that is more than
// its whole does.
func (n *Normalizer) basis(rule string, w *whole) string {
	cache, reasoning := w.read+w.write, w.reasoning
	apart := rule == ambiguous && (w.hasIn && cache > w.in || w.hasOut && reasoning > w.out)
	switch {
	case cache+reasoning == 0:
		return rule
	case !w.hasIn || !w.hasOut || !w.hasTotal:
	case w.in+w.out == w.total:
		if rule == ambiguous && !apart {
			return inclusive
		}
	default:
		if basis, fits := n.fit(rule, w); fits {
			return basis
		}
	}
	if !apart {
		return rule
	}
	if w.hasIn && cache > w.in {
		n.raise(schemas.InputTokens, &w.in, cache)
	}
	if w.hasOut && reasoning > w.out {
		n.raise(schemas.OutputTokens, &w.out, reasoning)
	}
	return exclusive
}

// fit is the reading of a row whose total is not input and output, if there is one that
// the total fits.
func (n *Normalizer) fit(rule string, w *whole) (string, bool) {
	cache, reasoning := w.read+w.write, w.reasoning
	if rule == exclusive { // they were added
		cache, reasoning = -cache, -reasoning
	}
	for _, more := range [...][2]int64{{cache, 0}, {0, reasoning}, {cache, reasoning}} {
		if w.in+more[0]+w.out+more[1] != w.total {
			continue
		}
		if rule != ambiguous {
			n.flags |= flagBasisContradicts
			return rule, true
		}
		n.raise(schemas.InputTokens, &w.in, more[0])
		n.raise(schemas.OutputTokens, &w.out, more[1])
		return exclusive, true
	}
	return rule, false
}

// raise adds to a whole what was reported apart from it.
func (n *Normalizer) raise(c schemas.Col, whole *int64, more int64) {
	*whole += more
	n.setFixed(c, *whole)
	n.reread(c, more)
}

// reread adds what a column has more of than was read.
func (n *Normalizer) reread(c schemas.Col, more int64) {
	if n.flags&flagFractional == 0 {
		more *= 1e6
	}
	n.read = append(n.read, quantity{c, more})
}

// derive fills in what follows from what is there, and checks that the parts
// fit the wholes. Differences are taken in fixed point: 9559.6 - 6205.53 is
// 3354.07.
func (n *Normalizer) derive(p *plan, rec *schemas.Record) {
	r, w := n.row, n.whole()
	r.SetString(schemas.TokenBasis, n.basis(n.rule(p, rec, &w), &w))

	switch {
	case !w.hasIn || !w.hasOut:
	case !w.hasTotal:
		n.setFixed(schemas.TotalTokens, w.in+w.out)
		n.flags |= flagTotalDerived
	case w.total != w.in+w.out:
		n.flags |= flagTotalMismatch
	}
	if w.hasIn {
		if rest := w.in - w.read - w.write; rest >= 0 {
			n.setFixed(schemas.UncachedInputTokens, rest)
		} else {
			n.flags |= flagCacheExceeds
		}
		if n.partsWrong(p, w.in, p.inParts) {
			n.flags |= flagInputParts
		}
	}
	if w.hasOut {
		if n.partsWrong(p, w.out, p.outParts) {
			n.flags |= flagOutputParts
		}
		if p.entry.AssumeImageOutput && !r.Has(schemas.OutputImageTokens) && !r.Has(schemas.OutputTextTokens) {
			n.setFixed(schemas.OutputImageTokens, w.out)
			n.flags |= flagAssumedImage
		}
		if w.reasoning > w.out {
			n.flags |= flagReasoningExceeds
		}
	}
	if p.entry.Unsure {
		n.flags |= flagUnsure
	}
	if p.entry.Operation != "" && !r.Has(schemas.Operation) {
		r.SetString(schemas.Operation, p.entry.Operation)
		if p.entry.AssumeImageOutput { // images: generation, edit and variation look alike
			n.flags |= flagAssumedOperation
		}
	}
	if !r.Has(schemas.IsBatch) && p.batch {
		r.SetInt(schemas.IsBatch, 1)
	}
	status := "ok"
	if r.Has(schemas.ErrorCode) {
		status = "error"
	}
	r.SetString(schemas.Status, status)
}

// fixed is a token quantity in fixed point: whole, or in 10^-6 where one of the
// record's is not.
func (n *Normalizer) fixed(c schemas.Col) int64 {
	if n.flags&flagFractional == 0 {
		return n.row.Int(c)
	}
	return schemas.Micros(n.row.Double(c))
}

func (n *Normalizer) setFixed(c schemas.Col, v int64) {
	if n.flags&flagFractional == 0 {
		n.row.SetInt(c, v)
	} else {
		n.row.SetDouble(c, schemas.OfMicros(v))
	}
}

func (n *Normalizer) partsWrong(p *plan, whole int64, parts []schemas.Col) bool {
	var sum int64
	for _, c := range parts {
		sum += n.fixed(c)
	}
	return len(parts) > 0 && (sum > whole || p.entry.PartsAddUp && sum != whole)
}

// price gives the row its cost.
func (n *Normalizer) price(row *schemas.Builder) {
	q := n.prices.Price(row)
	n.missing = q.Missing
	if !q.Priced() {
		n.flags |= flagUnpriced
		return
	}
	row.SetInt(schemas.CostUSD, q.Nanos)
	row.SetString(schemas.PriceID, q.ID)
	if q.Assumed {
		n.flags |= flagPriceAssumed
	}
}

// Derived reports whether a column can hold a quantity that its record did not
// report, so that it does not balance against the raw records.
func Derived(c schemas.Col) bool {
	switch c {
	case schemas.TotalTokens, schemas.UncachedInputTokens, schemas.OutputImageTokens, schemas.CostUSD:
		return true
	}
	return false
}
