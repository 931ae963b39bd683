package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"usagelake"
)

func repriceCommand() *cobra.Command {
	var (
		cfg             usagelake.Config
		dry             bool
		verbose, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "reprice --lake DIR --from DATE --to DATE --prices BOOK",
		Short: "Compute cost_usd of days in the table anew",
		Long: `Compute cost_usd of the calls of some days anew by price books, from what the
table holds: the logs are not needed. Files of these days are written again where
a cost changes, and no other column does. Nothing else ever changes a price: a
load that brings more calls to an old day leaves the cost of those there as it is.

--dry-run shows old, new and difference by day and model, and changes nothing.`,
		Example: `  usagelake reprice --lake lake --from 2026-08-01 --to 2026-09-01 --prices prices.yaml --dry-run
  usagelake reprice --lake lake --from 2026-08-01 --to 2026-09-01 --prices prices.yaml`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			limitMemory(cfg.Memory)
			done, err := usagelake.Reprice(cmd.Context(), cfg, dry)
			if err != nil {
				return err
			}
			measure(cmd, "rows", done.Rows)
			measure(cmd, "changed_rows", done.Changed)
			measure(cmd, "written_bytes", done.Bytes)
			measureUnpriced(cmd, done.Unpriced)
			if !dry {
				worked(cmd)
			}
			out := cmd.OutOrStdout()
			switch {
			case asJSON:
				return printJSON(out, done)
			case dry || verbose || isTerminal(out):
				repriceSummary(out, done, dry)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	lakeFlag(f, &cfg.Lake)
	daysFlags(f, &cfg)
	pricesFlag(f, &cfg)
	f.BoolVar(&dry, "dry-run", false, "show what would change, and change nothing")
	runFlags(f, &cfg)
	f.BoolVarP(&verbose, "verbose", "v", false, "print the changes also where there is no terminal")
	f.BoolVar(&asJSON, "json", false, "print the changes as JSON")
	_ = f.MarkHidden("max-partitions")
	return cmd
}

// repriceSummary prints old, new and difference by day and model.
func repriceSummary(w io.Writer, r *usagelake.Repricing, dry bool) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(r.Models) > 0 {
		fmt.Fprintln(t, "event date\tprovider\tmodel\trows\told USD\tnew USD\tdifference")
		for _, m := range r.Models {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", m.Day, shown(m.Provider), shown(m.Model), number(m.Changed), m.Old, m.New, signed(m.Change))
		}
		t.Flush()
		fmt.Fprintln(w)
	}
	fmt.Fprintf(t, "rows\t%s  (%s change)\n", number(r.Rows), number(r.Changed))
	if r.Changed > 0 {
		fmt.Fprintf(t, "cost of these\t%s -> %s USD  (%s)\n", r.Old, r.New, signed(r.Change))
	}
	unpricedLines(t, r.Unpriced)
	switch {
	case dry:
		fmt.Fprintf(t, "files\t%s would be written\n", number(int64(r.Files)))
	default:
		fmt.Fprintf(t, "files\t%s written\n", number(int64(r.Files)))
	}
	t.Flush()
}

// signed shows that a difference is one.
func signed(text string) string {
	if text[0] == '-' || text == "0" {
		return text
	}
	return "+" + text
}
