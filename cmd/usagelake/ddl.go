package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"usagelake"
	"usagelake/schemas/ddl"
)

func ddlCommand() *cobra.Command {
	var (
		lake string
		to   usagelake.Warehouse
	)
	cmd := &cobra.Command{
		Use:   "ddl --lake DIR --dialect NAME",
		Short: "Print the SQL that gives a warehouse the tables",
		Long: `Print the SQL that gives a warehouse the tables of a lake: usage and reports as
external tables (duckdb and clickhouse: views over the files) with types, the
partition column event_date and a comment on every column, and views over usage:

  usage_daily  requests, tokens without overlaps and cost by day, provider, model,
               operation and project
  usage_whole  usage with tokens as whole numbers
  usage_focus  charges as FinOps FOCUS 1.2 has them, by day, account, model and meter

Nothing is run and nothing in the lake changes. duckdb, clickhouse and spark read
the lake where it is; the others want --location, where you copy DIR/usage and
DIR/reports to. What is in front of the statements says what must be there, and
what to run after a load, if anything. docs/warehouse.md has a recipe for each.`,
		Example: `  usagelake ddl --lake lake --dialect duckdb | duckdb lake.db
  usagelake ddl --lake lake --dialect athena --location s3://bucket/lake > lake.sql`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := usagelake.DDL(lake, to, nil)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	lakeFlag(f, &lake)
	f.Var(choose(&to.Dialect, "", ddl.Names()...), "dialect", "`name` of the engine: "+strings.Join(ddl.Names(), ", "))
	f.StringVar(&to.Location, "location", "", "`URL` of the lake, where it is not read from DIR: s3://bucket/lake")
	f.StringVar(&to.Schema, "schema", "", "`name` of the schema or dataset (bigquery, redshift, trino: usagelake, unless told; others: the session's)")
	return cmd
}
