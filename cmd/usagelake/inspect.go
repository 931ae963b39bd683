package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"usagelake"
)

func inspectCommand() *cobra.Command {
	var (
		cfg    usagelake.Config
		asJSON bool
		most   int
	)
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show how the records of a file are read",
		Long: `Show how the records of a file are read: for the first record of each shape the
dialect that fits, the row that it comes to with the path that each value is
from, and what of its usage has no column. Nothing is written.

Values are shown as they are: ids, models, names. Content of prompts and answers
is never among them.`,
		Example: `  usagelake inspect exports/2026-08-21.jsonl
  usagelake inspect session.jsonl --samples 3 --json`,
		Args: one("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := usagelake.Inspect(cmd.Context(), cfg, args[0], most)
			switch { // what was read before an error is shown
			case err != nil && len(list) == 0:
			case asJSON:
				err = errors.Join(printJSON(cmd.OutOrStdout(), list), err)
			case len(list) == 0:
				fmt.Fprintln(cmd.OutOrStdout(), "no records")
			default:
				printInspected(cmd.OutOrStdout(), list)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.Var(atLeast(&most, 1, 10), "samples", "`number` of shapes to show, the first ones")
	f.BoolVar(&asJSON, "json", false, "print all of it as JSON")
	recordFlags(f, &cfg)
	_ = f.MarkHidden("max-quarantine") // nothing is quarantined here
	_ = f.MarkHidden("quarantine-raw")
	return cmd
}

func printInspected(w io.Writer, list []usagelake.Inspected) {
	for i, in := range list {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "line %d: %s", in.Line, in.Outcome)
		if in.Count > 1 {
			fmt.Fprintf(w, ", and %s more like it", number(in.Count-1))
		}
		fmt.Fprintln(w)
		for k := range in.Parts {
			printExplained(w, &in.Parts[k], k > 0)
		}
	}
}

func printExplained(w io.Writer, e *usagelake.Explained, part bool) {
	if e.Dialect == "" {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if part {
		fmt.Fprintf(t, "  and within it: %s\n", e.Outcome)
	}
	at := e.Envelope
	if at == "" {
		at = "the record itself"
	}
	fmt.Fprintf(t, "  dialect\t%s: %s\n", e.Dialect, e.Shape)
	fmt.Fprintf(t, "  stands at\t%s\n", at)
	for _, v := range e.Values {
		fmt.Fprintf(t, "  %s\t%s\t<- %s\n", v.Column, shown(short(v.Value)), shown(v.From))
	}
	if len(e.Unused) > 0 {
		fmt.Fprintf(t, "  without a column\t%s\n", shown(strings.Join(e.Unused, ", ")))
	}
	if len(e.Unknown) > 0 {
		fmt.Fprintf(t, "  not known\t%s\n", shown(strings.Join(e.Unknown, ", ")))
	}
	t.Flush()
}

// short is a value of which a column has room; --json has all of it.
func short(s string) string {
	const most = 44
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
