package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"usagelake"
	"usagelake/schemas"
)

// summary prints what a run did, for people. Of inputs and files is said only where
// nothing was new: a run that was published tells of its books alone.
func summary(w io.Writer, r *usagelake.Report) {
	b := &r.Books
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	states := usagelake.Counts{}
	for _, in := range r.Inputs {
		states[string(in.State)]++
	}
	var known string
	for _, name := range states.Names() {
		known += fmt.Sprintf(", %d %s", states[name], name)
	}
	if known != "" {
		known = "  (" + known[2:] + ")"
	}
	if r.Seq == 0 {
		fmt.Fprintf(w, "nothing new%s\n", known)
		return
	}
	fmt.Fprintf(t, "records\t%d\n", b.Records)
	fmt.Fprintf(t, "rows\t%d\n", b.Rows)
	fmt.Fprintf(t, "duplicates\t%d\n", b.Duplicates)
	fmt.Fprintf(t, "no usage\t%d\n", b.NoUsage)
	fmt.Fprintf(t, "quarantined\t%d\n", b.Quarantined)
	if b.Reports > 0 {
		fmt.Fprintf(t, "report rows\t%d\n", b.Reports)
	}
	fmt.Fprintf(t, "tokens in\t%s\n", b.RowSums.Text(schemas.InputTokens))
	fmt.Fprintf(t, "tokens out\t%s\n", b.RowSums.Text(schemas.OutputTokens))
	fmt.Fprintf(t, "published as\trecord %d of the ledger\n", r.Seq)
	t.Flush()
}
