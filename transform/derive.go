package transform

import (
	"math"

	"usagelake/schemas"
)

// derive fills in what follows from what is there, and checks that the parts
// fit the wholes. Differences are taken in fixed point: 9559.6 - 6205.53 is
// 3354.07.
func (n *Normalizer) derive(p *plan) {
	r := n.row
	unit := 1.0
	if n.flags&flagFractional != 0 {
		unit = 1e6
	}
	fixed := func(c schemas.Col) int64 { return n.fixed(c, unit) }
	hasIn, hasOut := r.Has(schemas.InputTokens), r.Has(schemas.OutputTokens)
	in, out := fixed(schemas.InputTokens), fixed(schemas.OutputTokens)

	switch {
	case !hasIn || !hasOut:
	case !r.Has(schemas.TotalTokens):
		r.SetDouble(schemas.TotalTokens, float64(in+out)/unit)
		n.flags |= flagTotalDerived
	case fixed(schemas.TotalTokens) != in+out:
		n.flags |= flagTotalMismatch
	}
	if hasIn {
		if rest := in - fixed(schemas.CacheReadTokens) - fixed(schemas.CacheWriteTokens); rest >= 0 {
			r.SetDouble(schemas.UncachedInputTokens, float64(rest)/unit)
		} else {
			n.flags |= flagCacheExceeds
		}
		if n.partsWrong(p, in, unit, schemas.InputTextTokens, schemas.InputImageTokens, schemas.InputAudioTokens, schemas.InputVideoTokens) {
			n.flags |= flagInputParts
		}
	}
	if hasOut {
		if p.entry.AssumeImageOutput && !r.Has(schemas.OutputImageTokens) && !r.Has(schemas.OutputTextTokens) {
			r.SetDouble(schemas.OutputImageTokens, r.Double(schemas.OutputTokens))
			n.flags |= flagAssumedImage
		}
		if n.partsWrong(p, out, unit, schemas.OutputTextTokens, schemas.OutputImageTokens, schemas.OutputAudioTokens) {
			n.flags |= flagOutputParts
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

// fixed is a token quantity in 1/unit, 1 or 10^6.
func (n *Normalizer) fixed(c schemas.Col, unit float64) int64 {
	return int64(math.RoundToEven(n.row.Double(c) * unit))
}

func (n *Normalizer) partsWrong(p *plan, whole int64, unit float64, parts ...schemas.Col) bool {
	var sum int64
	some := false
	for _, c := range parts {
		some = some || n.row.Has(c)
		sum += n.fixed(c, unit)
	}
	return some && (sum > whole || p.entry.PartsAddUp && sum != whole)
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
