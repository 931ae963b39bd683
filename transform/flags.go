package transform

import (
	"slices"
	"strings"

	"usagelake/schemas"
	"usagelake/transform/price"
)

// flags is a set of quality flags.
type flags uint32

const (
	flagTotalDerived flags = 1 << iota
	flagTotalMismatch
	flagFractional
	flagAssumedImage
	flagAssumedOperation
	flagInputParts
	flagOutputParts
	flagCacheExceeds
	flagReasoningExceeds
	flagInvalidUTF8
	flagIDFromContent
	flagModelFilled
	flagExtraCut
	flagUnreadable
	flagBasisContradicts
	flagUnsure
	flagUnpriced
	flagPriceAssumed
	flagTimeOfTurn

	allFlags = iota // how many there are
)

// Flags lists the quality flags a row can carry, with one line for people.
var Flags = []struct{ Name, Doc string }{
	{"total_derived", "no total reported; total_tokens is input + output"},
	{"total_mismatch", "the reported total is not input + output"},
	{"fractional_tokens", "a token quantity is no whole number"},
	{"output_assumed_image", "output tokens not broken down; an image model's are image tokens"},
	{"operation_assumed", "the record does not name the operation; the dialect's usual one"},
	{"input_parts_mismatch", "the parts of the input do not fit the whole"},
	{"output_parts_mismatch", "the parts of the output do not fit the whole"},
	{"cache_exceeds_input", "cache reads and writes exceed the input; uncached_input_tokens is NULL"},
	{"reasoning_exceeds_output", "reasoning tokens exceed the output"},
	{"invalid_utf8", "a text held invalid UTF-8, replaced by U+FFFD"},
	{schemas.FlagIDFromContent, "no id; request_id is a hash of the content"},
	{schemas.FlagModelFilled, "model was given from outside, by --set or the path"},
	{"extra_cut", "extra_json leaves out what is too long, or may be content"},
	{"field_unreadable", "a field beside the counts could not be read and is NULL"},
	{"basis_contradicts", "the reported total fits another reading of the parts than the dialect's; the dialect's was kept"},
	{"input_unsure", "the export is known to hold something else for input and total; they are NULL, see extra_json"},
	{schemas.FlagUnpriced, "the price books have no price for the model, or for something that was counted; cost_usd is NULL"},
	{"price_assumed", "cost_usd depends on which of the cached tokens are image or audio, or are written and read at once; the record does not say"},
	{schemas.FlagTimeOfTurn, "a line that was copied into its file, with the time of the copy; event_time is when its turn began, or its session where no line tells of turns"},
	{schemas.FlagIDReused, "another call in this file of the table carries the same id"},
}

func (f flags) String() string {
	var names []string
	for i := range Flags {
		if f&(1<<i) != 0 {
			names = append(names, Flags[i].Name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

// PriceFlags is a row's quality_flags with another quote.
func PriceFlags(list string, q *price.Quote) string {
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		if name != "" && name != schemas.FlagUnpriced && name != flagPriceAssumed.String() {
			names = append(names, name)
		}
	}
	switch {
	case !q.Priced():
		names = append(names, schemas.FlagUnpriced)
	case q.Assumed:
		names = append(names, flagPriceAssumed.String())
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}
