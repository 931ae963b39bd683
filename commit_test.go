package usagelake

import (
	"errors"
	"testing"

	"usagelake/ingest"
	"usagelake/schemas"
	"usagelake/sink"
)

// A row or a token that goes missing, or is there twice, stops the
// publication.
func TestBooksThatDoNotBalance(t *testing.T) {
	for name, c := range map[string]struct {
		rows int64
		in   float64
		ok   bool
	}{
		"as they came":    {2, 30, true},
		"a row is gone":   {1, 30, false},
		"a row too many":  {3, 30, false},
		"a token is gone": {2, 31, false},
	} {
		p := &planned{sources: &sink.Sources{}}
		task := &task{input: ingest.Input{Path: "a.jsonl"}, state: Loaded}
		task.source.Index = p.sources.Intern(sink.Source{File: "a.jsonl"})
		p.tasks = append(p.tasks, task)

		books := &schemas.Books{Records: 3, NoUsage: 1}
		books.In.AddDouble(schemas.InputTokens, c.in)
		kept := &sink.Tally{Rows: c.rows}
		kept.Sums.AddDouble(schemas.InputTokens, 30)
		m := &mapped{books: []*schemas.Books{books}}
		for table := range schemas.NumTables {
			r := &reduced{rows: [schemas.NumTables]*sink.Outcome{sink.NewOutcome(), sink.NewOutcome()}}
			r.rows[table].Kept[task.source.Index] = kept
			books := *books
			m.books[0] = &books
			report := &Report{}
			err := closeBooks(&settings{Config: Config{Jobs: 2}}, p, m, r, report)
			if c.ok != (err == nil) || !c.ok && !errors.Is(err, ErrBooks) {
				t.Errorf("%s: %s: %v", name, table, err)
			}
			if b := report.Books; c.ok && [...]int64{b.Rows, b.Reports}[table] != c.rows {
				t.Errorf("%s: %d rows, %d reports", table, b.Rows, b.Reports)
			}
		}
	}
}
