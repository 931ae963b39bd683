package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// report prints what was measured and the floors. A floor that does not hold
// or was not measured is an error.
func report(out io.Writer, all []workload, of []results) error {
	missed := 0
	var failures []string
	table := newTable(out, "workload", "trial", "wall s", "CPU s", "peak MiB", "/ first", "rows", "MB out", "start s")
	for i, w := range all {
		for _, t := range w.trials {
			o := of[i][t.name]
			if errors.Is(o.err, errMissing) {
				table.row(w.name, t.name, "missing")
				continue
			}
			if !o.good() {
				table.row(w.name, t.name, "failed")
				failures = append(failures, fmt.Sprintf("%s, %s: %v", w.name, t.name, o.err))
				continue
			}
			// Against the first trial: usagelake, or what it is compared to.
			ratio, rows, start := "", "not checked", ""
			if first := of[i][w.trials[0].name]; first.good() {
				ratio = fmt.Sprintf("%.2f", float64(o.wall)/float64(first.wall))
			}
			if t.data.Lines == 0 {
				rows = ""
			} else if o.checked {
				rows = fmt.Sprint(o.rows)
			}
			if o.start.wall > 0 {
				start = seconds(o.start.wall)
			}
			table.row(w.name, t.name, seconds(o.wall), seconds(o.cpu), fmt.Sprint(o.rss/mib), ratio, rows, fmt.Sprintf("%.1f", float64(o.bytes)/1e6), start)
		}
	}
	if err := table.flush(); err != nil {
		return err
	}

	table = newTable(out, "workload", "floor", "bound", "measured", "", "by bare")
	for i, w := range all {
		for _, f := range w.floors {
			bound := fmt.Sprintf("<= %g%s", f.limit, f.unit)
			if f.atLeast {
				bound = fmt.Sprintf(">= %g%s", f.limit, f.unit)
			}
			v, ok := f.value(of[i])
			measured, verdict := "", "not measured"
			if ok {
				measured, verdict = digits(v)+f.unit, "pass"
				if !f.holds(v) {
					verdict = "FAIL"
				}
			}
			if verdict != "pass" {
				missed++
			}
			least := ""
			if f.bare != nil {
				if v, ok := f.bare(of[i]); ok {
					least = digits(v) + f.unit
				}
			}
			table.row(w.name, f.text, bound, measured, verdict, least)
		}
	}
	if err := table.flush(); err != nil {
		return err
	}
	for _, text := range failures {
		fmt.Fprintln(out, text)
	}
	if missed > 0 {
		return fmt.Errorf("%d floors do not hold or were not measured", missed)
	}
	return nil
}

func seconds(d time.Duration) string { return digits(d.Seconds()) }

// digits is a number's text with three digits, or all of a larger one's.
func digits(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// table is a Markdown table with straight columns.
type table struct {
	to *tabwriter.Writer
	n  int
}

func newTable(out io.Writer, names ...string) *table {
	fmt.Fprintln(out)
	t := &table{tabwriter.NewWriter(out, 0, 0, 1, ' ', 0), len(names)}
	t.row(names...)
	t.row(strings.Split(strings.Repeat(" ---", t.n), " ")[1:]...)
	return t
}

func (t *table) row(cells ...string) {
	for len(cells) < t.n {
		cells = append(cells, "")
	}
	fmt.Fprintln(t.to, "| "+strings.Join(cells, "\t| ")+"\t|")
}

func (t *table) flush() error { return t.to.Flush() }
