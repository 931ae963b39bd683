package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"usagelake"
)

func formatsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "formats",
		Short: "List the formats that are read",
		Long: `List the formats that are read, in the order in which they are tried: the name
that the column dialect has, how the reported parts are to be read (inclusive:
they are in the totals around them; exclusive: they were added to them), and what
the shape is. Those without a reading are known and are no calls of their own.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			list := usagelake.Formats()
			if asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			defer t.Flush()
			for _, f := range list {
				fmt.Fprintf(t, "%s\t%s\t%s\n", f.Dialect, f.Basis, f.Doc)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}
