package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"usagelake"
	"usagelake/schemas"
)

func statusCommand() *cobra.Command {
	var (
		cfg    usagelake.Config
		asJSON bool
		runs   int

		coverage, fail bool
		source         string
	)
	cmd := &cobra.Command{
		Use:   "status --lake DIR",
		Short: "Show what was loaded, what is pending, and the last runs",
		Long: `Show what was loaded, what is pending, and the last runs. With --coverage: which
sources have rows on which days, and on which they do not.

` + usagelake.CoverageRules + `

With --fail-on-missing a missing day, or no source at all, is exit code 4.`,
		Example: `  usagelake status --lake lake
  usagelake status --lake lake --coverage --from 2026-08-01 --to 2026-09-01 --fail-on-missing`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !coverage {
				for _, name := range []string{"from", "to", "source", "fail-on-missing"} {
					if cmd.Flags().Changed(name) {
						return &usageError{fmt.Errorf("--%s needs --coverage", name)}
					}
				}
			}
			if coverage {
				c, err := usagelake.ReadCoverage(cmd.Context(), cfg, source)
				if err != nil {
					return err
				}
				if asJSON {
					err = printJSON(cmd.OutOrStdout(), c)
				} else {
					printCoverage(cmd.OutOrStdout(), c)
				}
				if err == nil && fail && (c.Missing > 0 || len(c.Sources) == 0) {
					err = errCheck
				}
				return err
			}
			s, err := usagelake.ReadStatus(cfg.Lake, nil)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			printStatus(cmd.OutOrStdout(), s, runs)
			return nil
		},
	}
	f := cmd.Flags()
	lakeFlag(f, &cfg.Lake)
	f.Var(atLeast(&runs, 0, 10), "runs", "`number` of runs to show, the last ones")
	f.BoolVar(&coverage, "coverage", false, "show which sources have rows on which days")
	f.StringVar(&cfg.From, "from", "", "with --coverage: first event `date` (UTC, YYYY-MM-DD)")
	f.StringVar(&cfg.To, "to", "", "with --coverage: event `date` behind the last one")
	f.StringVar(&source, "source", "", "with --coverage: `pattern` of the sources to look at, as 'openai/*'")
	f.BoolVar(&fail, "fail-on-missing", false, "with --coverage: exit with 4 if a source lacks a day, or there is none")
	f.BoolVar(&asJSON, "json", false, "print all sources and runs, or the coverage, as JSON")
	return cmd
}

// printStatus shows the sources that need a look, not the hundreds that are
// well.
func printStatus(w io.Writer, s *usagelake.Status, runs int) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	var pending, damaged, part int
	for _, src := range s.Sources {
		if src.Open > 0 {
			pending++
		}
		if src.Damage {
			damaged++
		}
		if src.Part {
			part++
		}
	}
	fmt.Fprintf(t, "rows\t%s\n", number(s.Rows))
	fmt.Fprintf(t, "partitions\t%s\n", number(int64(s.Partitions)))
	fmt.Fprintf(t, "tokens in\t%s\n", grouped(s.Sums.Text(schemas.InputTokens)))
	fmt.Fprintf(t, "tokens out\t%s\n", grouped(s.Sums.Text(schemas.OutputTokens)))
	fmt.Fprintf(t, "bytes\t%s\n", number(s.Bytes))
	if r := &s.Reports; r.Rows > 0 {
		fmt.Fprintf(t, "report rows\t%s  (sums that providers report; %s partitions, %s bytes)\n", number(r.Rows), number(int64(r.Partitions)), number(r.Bytes))
	}
	fmt.Fprintf(t, "sources\t%s  (%d pending, %d damaged, %d incomplete)\n", number(int64(len(s.Sources))), pending, damaged, part)
	if s.Quarantine > 0 {
		fmt.Fprintf(t, "quarantine\t%s records; usagelake replay reads them again\n", number(s.Quarantine))
	}
	for _, src := range s.Sources {
		switch {
		case src.Damage:
			fmt.Fprintf(t, "  damaged\t%s: %s lines read; goes on when the whole file comes\n", shown(src.File), number(src.Lines))
		case src.Open > 0:
			fmt.Fprintf(t, "  pending\t%s: %s bytes behind line %s\n", shown(src.File), number(src.Open), number(src.Lines))
		case src.Part:
			fmt.Fprintf(t, "  incomplete\t%s: loaded with --from or --to only\n", shown(src.File))
		}
	}
	if len(s.Runs) == 0 || runs <= 0 {
		return
	}
	fmt.Fprintln(t)
	last := s.Runs[max(0, len(s.Runs)-runs):]
	reports := func(string) string { return "" } // a column, where there is anything in it
	for i := range last {
		if last[i].Books.Reports > 0 {
			reports = func(text string) string { return text + "\t" }
		}
	}
	fmt.Fprintf(t, "run\tkind\ttime\tsources\trecords\trows\t%sduplicates\tfiltered\tno usage\tquarantined\n", reports("reports"))
	for _, r := range last {
		b := &r.Books
		fmt.Fprintf(t, "%d\t%s\t%s\t%d\t%s\t%s\t%s%s\t%s\t%s\t%s\n", r.Seq, r.Kind, r.Time.Format(time.DateTime), r.Sources,
			number(b.Records), number(b.Rows), reports(number(b.Reports)), number(b.Duplicates), number(b.Filtered), number(b.NoUsage), number(b.Quarantined))
	}
}

// printCoverage shows a line for each source, and what is wrong with its days.
func printCoverage(w io.Writer, c *usagelake.Coverage) {
	if len(c.Sources) == 0 {
		fmt.Fprintln(w, "no rows on these days, nor shortly before")
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "days\t%s to %s, UTC\n\n", c.From, c.To)
	fmt.Fprintln(t, "source\tfiles\trows\tfirst\tlast\tmissing\tthin")
	for _, s := range c.Sources {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%d\t%d\n", shown(s.Source), s.Files, number(s.Rows), s.First, s.Last, len(s.Missing), len(s.Thin))
	}
	t.Flush()
	if c.Missing+c.Thin > 0 {
		fmt.Fprintln(w)
	}
	for _, s := range c.Sources {
		for _, d := range spans(s.Missing) {
			fmt.Fprintf(t, "missing\t%s\t%s\n", shown(s.Source), d)
		}
		for _, d := range s.Thin {
			fmt.Fprintf(t, "thin\t%s\t%s\t%s rows, usually %s\n", shown(s.Source), d.Day, number(d.Rows), number(d.Usual))
		}
	}
	t.Flush()
}

// spans joins days that follow each other.
func spans(days []string) (list []string) {
	for i := 0; i < len(days); {
		n := 1
		for first, err := time.Parse(time.DateOnly, days[i]); err == nil && i+n < len(days) && first.AddDate(0, 0, n).Format(time.DateOnly) == days[i+n]; {
			n++
		}
		if n == 1 {
			list = append(list, days[i])
		} else {
			list = append(list, fmt.Sprintf("%s to %s (%d days)", days[i], days[i+n-1], n))
		}
		i += n
	}
	return list
}
