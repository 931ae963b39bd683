package main

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"usagelake"
)

func reconcileCommand() *cobra.Command {
	var (
		cfg             usagelake.Config
		with            usagelake.Theirs
		tolerance       string
		verbose, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "reconcile --lake DIR",
		Short: "Hold the table against what providers count, or against a bill",
		Long: `Hold the calls of a lake against what providers report of them: their usage and
cost reports, loaded like logs into DIR/reports, or a bill as CSV. Sums are
compared by day (UTC), provider, model and meter; every gap over the tolerance is
printed with what it most likely comes from. Costs are by prices (load --prices)
or, where a call has none, as it was logged.

Of several exports of the same report, by model and by project say, one a day is
taken; -v says which. What different reports say of the same calls, a gateway's and
the vendor's say, is held against the table one by one. Days that the table has
before those of a report, or behind them, are not compared; -v counts them, and
where --from or --to asks for them standard error does.

Exit code 4 means that there are gaps.`,
		Example: `  usagelake reconcile --lake lake --from 2026-08-01 --to 2026-09-01
  usagelake reconcile --lake lake --csv bill.csv --provider openai \
    --columns day=Date,model=Model,input_tokens='Prompt tokens',cost='Amount (cents):e-2'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if with.Tolerance, err = share(tolerance); err != nil {
				return &usageError{err}
			}
			done, err := usagelake.Reconcile(cmd.Context(), cfg, with)
			if err != nil {
				return err
			}
			measure(cmd, "problems", len(done.Gaps))
			out := cmd.OutOrStdout()
			if asJSON {
				err = printJSON(out, done)
			} else {
				reconcileSummary(out, done, verbose || isTerminal(out))
			}
			if n := len(done.NotReached); n > 0 && cfg.From+cfg.To != "" {
				say(cmd, slog.LevelWarn, fmt.Sprintf("%d of the days asked for were not compared: nothing of theirs reaches them (%s to %s)", n, done.NotReached[0], done.NotReached[n-1]))
			}
			if err == nil && len(done.Gaps) > 0 {
				err = errCheck
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	lakeFlag(f, &cfg.Lake)
	daysFlags(f, &cfg)
	f.StringVar(&with.Provider, "provider", "", "`name` of the only provider to look at, or of the one whose bill it is")
	f.StringVar(&with.CSV, "csv", "", "`file` of a bill, with a line of column names; without it, DIR/reports")
	f.StringSliceVar(&with.Columns, "columns", nil, "`name=column` of the bill: day, model, provider, requests, cost, input_tokens and other meters; cost=Amount:e-2 is in cents; columns under one name are added up (repeatable, comma-joined)")
	f.StringVar(&tolerance, "tolerance", "0.1%", "`share` of theirs that a gap may be")
	f.BoolVarP(&verbose, "verbose", "v", false, "print what was compared also where there is no terminal")
	f.BoolVar(&asJSON, "json", false, "print the gaps as JSON")
	return cmd
}

// share reads a share such as 0.1%.
func share(text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return 0, fmt.Errorf("--tolerance %q: want a share such as 0.1%%", text)
	}
	if percent {
		v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'f', -1, 64)+"e-2", 64) // 0.7% is 0.007, and 0.7/100 is less
	}
	return v, nil
}

// reconcileSummary prints the gaps and, if all is wanted, what was compared.
func reconcileSummary(w io.Writer, r *usagelake.Reconciliation, all bool) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	reports := map[string]bool{}
	for _, g := range r.Gaps {
		reports[g.Report] = true
	}
	report := func(text string) string { // a column, where there are several
		if len(reports) > 1 {
			return text + "\t"
		}
		return ""
	}
	if len(r.Gaps) > 0 {
		fmt.Fprintf(t, "%sevent date\tprovider\tmodel\tmeter\tours\ttheirs\tgap\tlikely cause\n", report("report"))
		for _, g := range r.Gaps {
			model := "(all)"
			if g.Model != "" {
				model = shown(g.Model)
			}
			fmt.Fprintf(t, "%s%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", report(g.Report), g.Day, shown(g.Provider), model, g.Meter, grouped(g.Ours), grouped(g.Theirs), signed(grouped(g.Gap)), shown(g.Cause))
		}
		t.Flush()
	}
	if !all {
		return
	}
	if len(r.Gaps) > 0 {
		fmt.Fprintln(w)
	}
	for i, a := range r.Against {
		fmt.Fprintf(t, "%s\t%s\n", first(i, "against"), shown(a))
	}
	for i, a := range r.LeftOut {
		fmt.Fprintf(t, "%s\t%s\n", first(i, "not taken too"), shown(a))
	}
	fmt.Fprintf(t, "compared\t%s sums, %s gaps\n", number(int64(r.Compared)), number(int64(len(r.Gaps))))
	if n := len(r.NotReached); n > 0 {
		fmt.Fprintf(t, "not reached\t%s days of the table, %s to %s\n", number(int64(n)), r.NotReached[0], r.NotReached[n-1])
	}
	t.Flush()
}

// first is a label for the first of several lines.
func first(i int, label string) string {
	if i > 0 {
		return ""
	}
	return label
}
