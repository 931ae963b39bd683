package transform

import "usagelake/schemas"

// derive fills in what follows from what is there, and checks that the parts
// fit the wholes. Differences are taken in fixed point: 9559.6 - 6205.53 is
// 3354.07.
func (n *Normalizer) derive(p *plan) {
	r, fixed := n.row, n.fixed
	hasIn, hasOut := r.Has(schemas.InputTokens), r.Has(schemas.OutputTokens)
	in, out := fixed(schemas.InputTokens), fixed(schemas.OutputTokens)

	switch {
	case !hasIn || !hasOut:
	case !r.Has(schemas.TotalTokens):
		n.setFixed(schemas.TotalTokens, in+out)
		n.flags |= flagTotalDerived
	case fixed(schemas.TotalTokens) != in+out:
		n.flags |= flagTotalMismatch
	}
	if hasIn {
		if rest := in - fixed(schemas.CacheReadTokens) - fixed(schemas.CacheWriteTokens); rest >= 0 {
			n.setFixed(schemas.UncachedInputTokens, rest)
		} else {
			n.flags |= flagCacheExceeds
		}
		if n.partsWrong(p, in, p.inParts) {
			n.flags |= flagInputParts
		}
	}
	if hasOut {
		if n.partsWrong(p, out, p.outParts) {
			n.flags |= flagOutputParts
		}
		if p.entry.AssumeImageOutput && !r.Has(schemas.OutputImageTokens) && !r.Has(schemas.OutputTextTokens) {
			n.setFixed(schemas.OutputImageTokens, out)
			n.flags |= flagAssumedImage
		}
		if fixed(schemas.ReasoningTokens) > out {
			n.flags |= flagReasoningExceeds
		}
	}
	if p.entry.Operation != "" && !r.Has(schemas.Operation) {
		r.SetString(schemas.Operation, p.entry.Operation)
		if p.entry.AssumeImageOutput { // images: generation, edit and variation look alike
			n.flags |= flagAssumedOperation
		}
	}
	if !r.Has(schemas.IsBatch) && Mounts[p.frame].IsBatch {
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
		n.row.SetDouble(c, float64(v)/1e6)
	}
}

func (n *Normalizer) partsWrong(p *plan, whole int64, parts []schemas.Col) bool {
	var sum int64
	for _, c := range parts {
		sum += n.fixed(c)
	}
	return len(parts) > 0 && (sum > whole || p.entry.PartsAddUp && sum != whole)
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
