package usagelake

import (
	"context"
	"maps"
	"slices"

	"usagelake/schemas"
	"usagelake/transform"
)

// sessions finds rows that sum up a session whose calls are in the table by
// themselves: from what an agent printed at the end of a run, and from its session
// log. Nothing but the session tells that they are the same, so a load cannot. What is the
// rest beside calls of its own source counts nothing twice.
func (v *verification) sessions(ctx context.Context) error {
	type sum struct {
		session string
		source  int32
		rest    bool
	}
	sums := map[sum]*schemas.Sums{}
	calls := map[string]map[int32]bool{} // sources with calls, by sessions with sums
	err := v.ofSessions(ctx, transform.OfSession, func(b *schemas.Batch, i int) {
		k := sum{string([]byte(b.Str(schemas.SessionID, i))), b.Source.Value(i), transform.TakesRest(b.Str(schemas.Dialect, i))}
		if sums[k] == nil {
			sums[k], calls[k.session] = new(schemas.Sums), map[int32]bool{}
		}
		for _, c := range []schemas.Col{schemas.InputTokens, schemas.OutputTokens} {
			sums[k].AddDouble(c, b.Double(c, i))
		}
	})
	if err != nil || len(sums) == 0 {
		return err
	}
	call := func(dialect string) bool { return !transform.OfSession(dialect) }
	err = v.ofSessions(ctx, call, func(b *schemas.Batch, i int) {
		if from := calls[b.Str(schemas.SessionID, i)]; from != nil {
			from[b.Source.Value(i)] = true
		}
	})
	if err != nil {
		return err
	}
	twice := map[int32]*schemas.Sums{} // by source
	for k, of := range sums {
		from := calls[k.session]
		if len(from) == 0 || k.rest && len(from) == 1 && from[k.source] || *of == (schemas.Sums{}) { // a cost alone
			continue
		}
		if twice[k.source] == nil {
			twice[k.source] = new(schemas.Sums)
		}
		twice[k.source].Add(of)
	}
	for _, source := range slices.Sorted(maps.Keys(twice)) {
		of, file := twice[source], v.table.sources.At(source).File
		v.problem("%s: has sums over sessions whose calls are in the table by themselves, so that %s tokens in and %s out count twice; usagelake forget %s takes them out",
			file, of.Text(schemas.InputTokens), of.Text(schemas.OutputTokens), file)
	}
	return nil
}

// ofSessions tells of all rows that have a session and a dialect that is asked for.
func (v *verification) ofSessions(ctx context.Context, of func(dialect string) bool, tell func(b *schemas.Batch, i int)) error {
	for _, unit := range v.readable {
		rows := v.lake.State.Files[unit.Path()].Rows
		r, err := v.table.file(unit, rows).Open(schemas.Dialect, schemas.SessionID, schemas.InputTokens, schemas.OutputTokens)
		if err == nil {
			err = batches(ctx, r, func(b *schemas.Batch) {
				for i := range b.Len() {
					if !b.Null(schemas.SessionID, i) && of(b.Str(schemas.Dialect, i)) {
						tell(b, i)
					}
				}
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
