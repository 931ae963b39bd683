package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"usagelake"
	"usagelake/schemas"
)

func verifyCommand() *cobra.Command {
	var (
		lake            string
		verbose, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "verify --lake DIR",
		Short: "Re-read a lake and hold it against its ledger",
		Long: `Re-read a lake whole and hold it against its ledger: the chain of records,
every file's hash, footer, order and values, every column's sum against the
books, calls that are there twice, be it in the sums that an agent printed of
its session, files that are missing or do not belong.
Nothing is changed, except that an interrupted publication is finished.

Exit code 4 means that something is wrong; each finding is on a line of its own.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			v, err := usagelake.Verify(cmd.Context(), lake, nil)
			if err != nil {
				return err
			}
			measure(cmd, "problems", len(v.Problems))
			measureLake(cmd, v.Now)
			out := cmd.OutOrStdout()
			switch {
			case asJSON:
				if err := printJSON(out, v); err != nil {
					return err
				}
			case verbose || isTerminal(out):
				reports := ""
				if v.Reports.Rows > 0 {
					reports = fmt.Sprintf(" %s report rows,", number(v.Reports.Rows))
				}
				fmt.Fprintf(out, "%s records, %s files,%s %s rows, %s tokens in, %s tokens out: %d problems\n",
					number(v.Records), number(int64(v.Files)), reports, number(v.Rows),
					grouped(v.Sums.Text(schemas.InputTokens)), grouped(v.Sums.Text(schemas.OutputTokens)), len(v.Problems))
			}
			for _, p := range v.Problems {
				say(cmd, slog.LevelError, p)
			}
			if len(v.Problems) > 0 {
				return errCheck
			}
			return nil
		},
	}
	f := cmd.Flags()
	lakeFlag(f, &lake)
	f.BoolVarP(&verbose, "verbose", "v", false, "print what was checked also where there is no terminal")
	f.BoolVar(&asJSON, "json", false, "print the findings as JSON")
	return cmd
}
