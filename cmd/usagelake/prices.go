package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"usagelake"
)

func pricesCommand() *cobra.Command {
	cmd := holder(&cobra.Command{
		Use:   "prices COMMAND",
		Short: "Make, check and explain price books",
		Long: `A price book is a YAML file of dated prices by provider, model and meter.
load --prices BOOK computes cost_usd by it. docs/prices.md has its schema.`,
	})
	cmd.AddCommand(pricesImportCommand(), pricesLintCommand(), pricesExplainCommand())
	return cmd
}

func pricesImportCommand() *cobra.Command {
	var cfg usagelake.PriceImport
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import --from litellm|langfuse --as-of DATE FILE -o BOOK",
		Short: "Bring a published list of prices into a book",
		Long: `Bring a published list of prices into a book: LiteLLM's
model_prices_and_context_window.json, or Langfuse's default-model-prices.json.
The lists have no history: their prices hold from DATE on. Import a later list
into the same book, with its later date: a price that changed ends on that day,
and the new one begins; what was priced before costs what it did.

What the list prices and a book cannot say is left out; -v names it. Comments in
BOOK are lost.`,
		Example: `  usagelake prices import --from litellm --as-of 2026-08-21 model_prices_and_context_window.json -o prices.yaml`,
		Args:    one("FILE"),
	}
	verbose := false
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg.File = args[0]
		done, err := usagelake.ImportPrices(cfg)
		if err != nil {
			return err
		}
		worked(cmd)
		out := cmd.OutOrStdout()
		if asJSON {
			return printJSON(out, done)
		}
		if !verbose && !isTerminal(out) {
			return nil
		}
		fmt.Fprintf(out, "%s: %d added, %d changed, %d the same, %d not in the file any more; %d prices left out\n",
			done.Book, done.Added, done.Changed, done.Same, done.Gone, len(done.Left))
		if verbose {
			for _, l := range done.Left {
				fmt.Fprintf(out, "left out  %s\n", shown(l))
			}
		}
		return nil
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.Var(choose(&cfg.From, "", "litellm", "langfuse"), "from", "`kind` of FILE: litellm or langfuse")
	f.StringVar(&cfg.AsOf, "as-of", "", "`date` from which the prices hold (UTC, YYYY-MM-DD)")
	f.StringVarP(&cfg.Out, "output", "o", "", "`path` of the book; made where it is missing")
	f.BoolVarP(&verbose, "verbose", "v", false, "name what is left out")
	f.BoolVar(&asJSON, "json", false, "print what was done as JSON")
	return cmd
}

func pricesLintCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "lint BOOK...",
		Short: "Look for what is wrong in price books",
		Long: `Look for what is wrong in price books, or looks wrong: what cannot be read, units
that are none, two prices for one time, times without a price between two, prices
of a thousand tokens given for a million, cached input dearer than fresh, entries
without a source or the date it was checked. Each finding is on a line of its own.

Exit code 4 means that there are findings.`,
		Example: `  usagelake prices lint prices.yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{fmt.Errorf("prices lint needs at least one BOOK; usagelake prices lint --help tells more")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			type finding struct {
				Book string `json:"book"`
				usagelake.PriceProblem
			}
			list := []finding{}
			for _, path := range args {
				problems, err := usagelake.LintPrices(path)
				if err != nil {
					return err
				}
				for _, p := range problems {
					list = append(list, finding{path, p})
				}
			}
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), list); err != nil {
					return err
				}
			} else {
				for _, l := range list {
					fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", shown(l.Book), shown(fmt.Sprint(l.PriceProblem)))
				}
			}
			if len(list) > 0 {
				return errCheck
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	return cmd
}

func pricesExplainCommand() *cobra.Command {
	var (
		cfg    usagelake.Config
		at     usagelake.PricePlace
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "explain --lake DIR --prices BOOK --request-id ID",
		Short: "Show why a call costs what it costs",
		Long: `Price rows of a lake by the books that are given, and show every meter with its
quantity, its price, what that comes to, and the entry that the price is from.
Beside it stands what the row says: the cost that was computed when it was
loaded, and the cost that its log reported. Nothing is changed.

The rows are those with a request id, or those of a line of a source.`,
		Example: `  usagelake prices explain --lake ./lake --prices prices.yaml --request-id gen-1773012759-4u9w7
  usagelake prices explain --lake ./lake --prices prices.yaml --source-file app.jsonl --source-line 17`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := usagelake.ExplainPrice(cmd.Context(), cfg, at)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			for i := range list {
				if i > 0 {
					fmt.Fprintln(cmd.OutOrStdout())
				}
				printPrice(cmd.OutOrStdout(), &list[i])
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	lakeFlag(f, &cfg.Lake)
	pricesFlag(f, &cfg)
	f.StringVar(&at.RequestID, "request-id", "", "`id` of the call")
	f.StringVar(&at.File, "source-file", "", "`path` of the source, as the column source_file has it")
	f.Int64Var(&at.Line, "source-line", 0, "`number` of the line in it")
	f.BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

func printPrice(w io.Writer, e *usagelake.PriceExplained) {
	fmt.Fprintf(w, "%s  %s %s  %s, line %d\n", e.Time, shown(e.Provider), shown(e.Model), shown(e.File), e.Line)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	for _, l := range e.Lines {
		if l.USD == "" {
			fmt.Fprintf(t, "  %s\t%s\tno price\n", l.Meter, grouped(l.Quantity))
			continue
		}
		from := slices.DeleteFunc([]string{l.Entry, l.When, l.Source, l.Checked}, func(s string) bool { return s == "" })
		fmt.Fprintf(t, "  %s\t%s\tx %s / %s\t= %s\t%s\n", l.Meter, grouped(l.Quantity), l.USD, l.Per, l.Amount, strings.Join(from, ", "))
	}
	value := func(name, usd, id string) {
		switch {
		case usd == "":
			usd = "none"
		default:
			usd += " USD"
		}
		if id != "" {
			id = "  (" + id + ")"
		}
		fmt.Fprintf(t, "%s\t%s%s\n", name, usd, id)
	}
	t.Flush()
	note := e.PriceID
	if len(e.Why) > 0 {
		note = strings.Join(e.Why, ", ")
	}
	if e.Assumed {
		note += "; which cached tokens are image or audio is assumed"
	}
	value("cost by these books", e.Cost, note)
	value("cost in the table", e.Stored, e.StoredPriceID)
	value("cost as logged", e.Reported, "")
}
