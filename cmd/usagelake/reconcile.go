package main

import (
	"fmt"
	"io"
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

Of several exports of the same report, by model and by project say, one is taken;
-v says which.

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
	f.StringSliceVar(&with.Columns, "columns", nil, "`name=column` of the bill: day, model, provider, requests, cost, input_tokens and other meters; cost=Amount:e-2 is in cents (repeatable, comma-joined)")
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
		v /= 100
	}
	return v, nil
}

// reconcileSummary prints the gaps and, if all is wanted, what was compared.
func reconcileSummary(w io.Writer, r *usagelake.Reconciliation, all bool) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(r.Gaps) > 0 {
		fmt.Fprintln(t, "event date\tprovider\tmodel\tmeter\tours\ttheirs\tgap\tlikely cause")
		for _, g := range r.Gaps {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", g.Day, shown(g.Provider), shown(g.Model), g.Meter, grouped(g.Ours), grouped(g.Theirs), signed(grouped(g.Gap)), g.Cause)
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
	t.Flush()
}

// first is a label for the first of several lines.
func first(i int, label string) string {
	if i > 0 {
		return ""
	}
	return label
}
