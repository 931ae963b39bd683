package transform

import (
	"github.com/zeebo/xxh3"

	"usagelake/schemas"
)

// tokens is what the record at hand reports of input and output, in the unit of Sums.
func (n *Normalizer) tokens() (sum int64) {
	for _, q := range n.read {
		if q.col == schemas.InputTokens || q.col == schemas.OutputTokens {
			sum += q.v
		}
	}
	return sum
}

// tellTally tells what the calls of a record used, of which the first is the record itself,
// whose entry has a Tally, and what its parts that are sums say.
func (n *Normalizer) tellTally(calls []call, used int64) {
	e := calls[0].tallies
	var whole string
	var sum int64
	for i := range calls[1:] {
		c := &calls[1+i]
		for _, f := range c.heir.texts {
			if f.Col == e.Tally {
				whole = f.Value
			}
		}
		if !c.sum {
			continue
		}
		of := n.modelSum(c).of
		said := of[schemas.InputTokens] + of[schemas.OutputTokens]
		if said == 0 && Betrays(n.walker, c.doc) {
			said = 1 // nobody knows how many
		}
		sum += said
	}
	if whole != "" && used+sum > 0 {
		n.tallied(e.Name, uint16(xxh3.HashString(whole)), used, sum)
	}
}
