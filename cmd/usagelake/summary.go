package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"usagelake"
	"usagelake/schemas"
)

// planSummary prints what a load would do, for people.
func planSummary(w io.Writer, r *usagelake.Report) {
	for _, part := range []func(io.Writer, *usagelake.Report){planInputs, planFiles} {
		var text strings.Builder
		part(&text, r)
		for line := range strings.Lines(text.String()) {
			fmt.Fprintln(w, strings.TrimRight(line, " \n"))
		}
		if text.Len() > 0 {
			fmt.Fprintln(w)
		}
	}
	summary(w, r)
}

// planInputs lists the inputs that are not known.
func planInputs(w io.Writer, r *usagelake.Report) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	for _, in := range r.Inputs {
		switch b := in.Books; {
		case in.State == usagelake.Known:
		case b == nil:
			fmt.Fprintf(t, "%s\t%s\t\n", in.State, shown(in.Path))
		default:
			reports := ""
			if b.Reports > 0 {
				reports = fmt.Sprintf(", %s report rows", number(b.Reports))
			}
			fmt.Fprintf(t, "%s\t%s\t%s records, %s rows%s\n", in.State, shown(in.Path), number(b.Records), number(b.Rows), reports)
		}
	}
}

// planFiles lists the files that would be written.
func planFiles(w io.Writer, r *usagelake.Report) {
	if len(r.Files) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	priced := ""
	if r.Books.RowSums.Text(schemas.CostUSD) != "0" {
		priced = "\tcost by prices"
	}
	fmt.Fprintln(t, "partition\trows\ttokens in\ttokens out\treported cost"+priced)
	for _, f := range r.Files {
		was := usagelake.Held{}
		if f.Before != nil {
			was = *f.Before
		}
		change := func(c schemas.Col) string { return arrow(grouped(was.Sums.Text(c)), grouped(f.Sums.Text(c))) }
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s", partition(f.Path), arrow(number(was.Rows), number(f.Rows)),
			change(schemas.InputTokens), change(schemas.OutputTokens), change(schemas.ReportedCostUSD))
		if priced != "" {
			fmt.Fprintf(t, "\t%s", change(schemas.CostUSD))
		}
		fmt.Fprintln(t)
	}
}

// partition is the path of a file or directory of a table as people read it: its
// date, and its table where that is not the usage table.
func partition(path string) string {
	return strings.Replace(strings.TrimPrefix(path, schemas.Usage.String()+"/"), "event_date=", "", 1)
}

func arrow(was, is string) string {
	if was == is {
		return is
	}
	return was + " -> " + is
}

// forgetSummary prints what was taken out, and what came back for it.
func forgetSummary(w io.Writer, r *usagelake.Report) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "rows taken out\t%s\n", number(r.Displaced))
	fmt.Fprintf(t, "rows that came back\t%s\n", number(r.Books.Rows+r.Books.Reports))
	for _, in := range r.Inputs {
		fmt.Fprintf(t, "  read again\t%s\n", shown(in.Path))
	}
	fmt.Fprintf(t, "partitions written\t%s\n", number(int64(len(r.Partitions))))
	t.Flush()
}

// summary prints what a load did, for people.
func summary(w io.Writer, r *usagelake.Report) {
	b := &r.Books
	states := map[usagelake.InputState]int{}
	for _, in := range r.Inputs {
		states[in.State]++
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, value string, notes ...string) {
		notes = slices.DeleteFunc(notes, func(n string) bool { return n == "" })
		if len(notes) > 0 {
			value += "  (" + strings.Join(notes, ", ") + ")"
		}
		fmt.Fprintf(t, "%s\t%s\n", name, value)
	}
	var kinds []string
	for _, s := range []usagelake.InputState{
		usagelake.Loaded, usagelake.Continued, usagelake.Known, usagelake.Same, usagelake.Empty, usagelake.Pending, usagelake.Failed, usagelake.Damaged, usagelake.Replayed,
	} {
		if n := states[s]; n > 0 {
			kinds = append(kinds, fmt.Sprintf("%d %s", n, s))
		}
	}
	if b.Records == 0 && len(r.Files) == 0 {
		line("nothing new", "", kinds...)
		pendingLines(t, r.Inputs)
		t.Flush()
		return
	}
	line("inputs", number(int64(len(r.Inputs))), kinds...)
	pendingLines(t, r.Inputs)
	line("records", number(b.Records), extra(b.ExtraRows))
	line("rows", number(b.Rows))
	line("duplicates", number(b.Duplicates), replaced(r.Displaced))
	if b.Filtered > 0 {
		line("filtered", number(b.Filtered))
	}
	line("no usage", number(b.NoUsage), without(r.Inputs))
	line("quarantined", number(b.Quarantined), counts(r.Reasons)...)
	if len(r.Flags) > 0 {
		line("flags", strings.Join(counts(r.Flags), ", "))
	}
	if len(r.Contradicts) > 0 {
		line("contradicts", strings.Join(counts(r.Contradicts), ", "), "the reported total fits another reading than the dialect's")
	}
	for i, u := range r.Unknown {
		if i == 5 {
			line("unknown", fmt.Sprintf("%d more; --json lists them", len(r.Unknown)-i))
			break
		}
		line("unknown", fmt.Sprintf("%s in usage of %s", shown(u.Key), u.Dialect), number(u.Count)+" times", fmt.Sprintf("first in %s, line %d", shown(u.File), u.Line))
	}
	var usage, reports []string
	for _, p := range r.Partitions {
		if strings.HasPrefix(p, schemas.Reports.String()+"/") {
			reports = append(reports, p)
		} else {
			usage = append(usage, p)
		}
	}
	if b.Reports > 0 {
		line("report rows", number(b.Reports), "sums that providers report, in "+schemas.Reports.String()+"/", span(reports))
	}
	line("partitions", number(int64(len(usage))), span(usage))
	line("tokens in", grouped(b.RowSums.Text(schemas.InputTokens)))
	line("tokens out", grouped(b.RowSums.Text(schemas.OutputTokens)))
	if cost := b.RowSums.Text(schemas.ReportedCostUSD); cost != "0" {
		line("reported cost", cost+" USD")
	}
	if cost := b.RowSums.Text(schemas.CostUSD); cost != "0" {
		line("cost by prices", cost+" USD")
	}
	unpricedLines(t, r.Unpriced)
	if r.Seq > 0 {
		line("bytes", number(r.Bytes))
	}
	line("seconds", fmt.Sprintf("%.2f", r.Seconds))
	if r.Quarantine != "" {
		line("quarantine", r.Quarantine)
	}
	t.Flush()
}

// pendingLines print the inputs that have bytes and no record.
func pendingLines(w io.Writer, inputs []usagelake.InputReport) {
	n := 0
	for _, in := range inputs {
		if in.State != usagelake.Pending {
			continue
		}
		if n++; n <= 5 {
			fmt.Fprintf(w, "pending\t%s  (%s bytes, and the first record has no end yet)\n", shown(in.Path), number(in.Books.Pending))
		}
	}
	if n > 5 {
		fmt.Fprintf(w, "pending\t%d more; --json lists them\n", n-5)
	}
}

// unpricedLines print the models without a cost, those with the most tokens.
func unpricedLines(w io.Writer, list []usagelake.Unpriced) {
	for i, u := range list {
		if i == 5 {
			fmt.Fprintf(w, "unpriced\t%d more; --json lists them\n", len(list)-i)
			break
		}
		notes := append([]string{grouped(u.Tokens) + " tokens", number(u.Rows) + " rows"}, u.Why...)
		fmt.Fprintf(w, "unpriced\t%s  (%s)\n", shown(strings.TrimSpace(u.Provider+" "+u.Model)), strings.Join(notes, ", "))
	}
}

func extra(n int64) string {
	if n == 0 {
		return ""
	}
	return "and " + number(n) + " further rows inside them"
}

// without names inputs that were read for the first time and have records, but no usage.
func without(inputs []usagelake.InputReport) string {
	n, first := 0, ""
	for _, in := range inputs {
		if in.State == usagelake.Loaded && in.Books.Records > 0 && in.Books.NoUsage == in.Books.Records {
			if n++; n == 1 {
				first = shown(in.Path)
			}
		}
	}
	switch n {
	case 0:
		return ""
	case 1:
		return "nothing else is in " + first
	}
	return fmt.Sprintf("nothing else is in %s inputs; the first: %s", number(int64(n)), first)
}

func replaced(n int64) string {
	if n == 0 {
		return ""
	}
	return number(n) + " published before gave way to better copies"
}

func span(partitions []string) string {
	if len(partitions) == 0 {
		return ""
	}
	date := func(p string) string { return p[strings.LastIndexByte(p, '=')+1:] }
	first, last := date(partitions[0]), date(partitions[len(partitions)-1])
	if first == last {
		return first
	}
	return first + " to " + last
}

func counts(c usagelake.Counts) []string {
	var out []string
	for _, name := range c.Names() {
		out = append(out, fmt.Sprintf("%s %s", number(c[name]), name))
	}
	return out
}

func number(n int64) string { return grouped(fmt.Sprint(n)) }

// grouped puts commas between thousands.
func grouped(s string) string {
	whole, frac, point := strings.Cut(s, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if point {
		whole += "." + frac
	}
	return sign + whole
}
