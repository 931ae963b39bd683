// Command duckdb runs the statements on standard input in a DuckDB of their
// own and prints the last one's rows, values separated by tabs. It is a module
// of its own, since DuckDB is large and needs cgo.
package main

import (
	"database/sql"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	_ "github.com/duckdb/duckdb-go/v2"
)

func main() {
	threads := flag.Int("threads", 2, "threads of DuckDB")
	flag.Parse()
	text, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = run(string(text), *threads, os.Stdout)
	}
	if err != nil {
		slog.Error("duckdb", "error", err)
		os.Exit(1)
	}
}

func run(text string, threads int, out io.Writer) error {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // the settings are a connection's
	// Order is what DuckDB is fastest without. Nothing may be fetched.
	settings := fmt.Sprintf("SET threads = %d; SET preserve_insertion_order = false; SET autoinstall_known_extensions = false", threads)
	if _, err := db.Exec(settings); err != nil {
		return err
	}
	rows, err := db.Query(text)
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	values, dest := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		dest[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		line := make([]string, len(values))
		for i, v := range values {
			line[i] = fmt.Sprint(v)
		}
		fmt.Fprintln(out, strings.Join(line, "\t"))
	}
	return rows.Err()
}
