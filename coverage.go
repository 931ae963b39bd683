package usagelake

import (
	"context"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"usagelake/schemas"
	"usagelake/sink"
)

// Coverage says which sources have rows on which days (UTC). Files that differ
// in numbers, dates or ids only are one source: what a nightly export writes
// under a new name every day.
type Coverage struct {
	Lake    string       `json:"lake,omitempty"`
	From    string       `json:"from,omitempty"` // first day
	To      string       `json:"to,omitempty"`   // last day
	Sources []SourceDays `json:"sources"`
	Missing int          `json:"missing"` // days x sources
	Thin    int          `json:"thin"`
}

// SourceDays is a source on the days of a Coverage.
type SourceDays struct {
	Source string `json:"source"` // source_file with * for what differs
	Files  int    `json:"files"`
	First  string `json:"first"` // day with rows, of all time
	Last   string `json:"last"`
	Rows   int64  `json:"rows"` // on the days
	// Days has a letter for each day: h here, m missing, t thin, - outside of
	// the days that it is expected on.
	Days    string    `json:"days"`
	Missing []string  `json:"missing,omitempty"`
	Thin    []ThinDay `json:"thin,omitempty"`
}

// ThinDay is a day with far fewer rows than usual.
type ThinDay struct {
	Day   string `json:"day"`
	Rows  int64  `json:"rows"`
	Usual int64  `json:"usual"` // the median
}

// CoverageRules are what missing and thin mean, for people.
const CoverageRules = `A source is a file as the table names it (source_file), with * for dates, numbers
and ids, so that the files of a nightly export are one source. Days are UTC.

  missing  no rows on a day between the source's first and last day with rows;
           with --from or --to, on any day from --from up to --to, for sources
           that had rows on these days or in the 28 days before
  thin     fewer rows than a quarter of the source's median on the same weekday:
           of the 8 nearest ones with rows, where there are 3 or more, and where
           that median is 20 or more

A call that several sources hold is one row, of one of them.`

// Rules of coverage, see CoverageRules.
const (
	retired   = 28 // days
	weekdays  = 8
	fewest    = 3
	thinShare = 4
	thinFloor = 20
)

// ReadCoverage reads which sources have rows on which days. sources is a pattern
// as of path.Match; empty: all.
func ReadCoverage(ctx context.Context, cfg Config, sources string) (c *Coverage, err error) {
	err = readUsage(ctx, cfg, func(s *settings, t *table, units []schemas.Unit) error {
		if c, err = t.coverage(s, units, sources); err != nil {
			return err
		}
		c.Lake = s.Lake
		return nil
	})
	return c, err
}

// mostSources is how many are told apart. Of more, files of a directory are one,
// and so on.
const mostSources = 60

var (
	digits = regexp.MustCompile(`[0-9]{6,}(T[0-9]+)?Z?`)
	word   = regexp.MustCompile(`[^-_.:= ]+`)
	number = regexp.MustCompile(`^([0-9]+Z?|[0-9*]+T[0-9*]+Z?|[0-9a-fA-F]*[0-9][0-9a-fA-F]*)$`)
	stars  = regexp.MustCompile(`\*([-_.: T]?\*)+`)
)

// sourceOf is a file's name with * for what differs between files of a source.
func sourceOf(file string) string {
	parts := strings.Split(file, "/")
	for i, p := range parts {
		p = word.ReplaceAllStringFunc(p, func(w string) string {
			if strings.Trim(w, "0123456789") == "" || len(w) >= 4 && number.MatchString(w) {
				return "*"
			}
			return digits.ReplaceAllString(w, "*")
		})
		parts[i] = stars.ReplaceAllString(p, "*")
	}
	return strings.Join(parts, "/")
}

// CheckSource fails if pattern is none that sources can be chosen by.
func CheckSource(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil {
		return fmt.Errorf("%q: %w", pattern, err)
	}
	return nil
}

// coverage counts rows by source and day, of all files, and judges the days
// that are asked for.
func (t *table) coverage(s *settings, units []schemas.Unit, match string) (*Coverage, error) {
	if err := CheckSource(match); err != nil {
		return nil, fmt.Errorf("%w: --source %w", ErrUsage, err)
	}
	files := map[string]map[schemas.Day]int64{} // rows by file
	err := inOrder(t.ctx, s.Jobs, units, func(ctx context.Context, u schemas.Unit) (map[int32]int64, error) {
		return t.countSources(ctx, u)
	}, func(u schemas.Unit, rows map[int32]int64) error {
		for src, n := range rows {
			name := t.sources.At(src).File
			if files[name] == nil {
				files[name] = map[schemas.Day]int64{}
			}
			files[name][u.Day] += n
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	c := &Coverage{Sources: []SourceDays{}}
	if len(units) == 0 {
		return c, nil
	}
	from, to := units[0].Day, units[len(units)-1].Day+1
	if s.From != "" {
		from = s.from
	}
	if s.To != "" {
		to = s.to
	}
	if from >= to {
		return c, nil
	}
	c.From, c.To = from.String(), (to - 1).String()
	type source struct {
		files int
		rows  map[schemas.Day]int64
	}
	sources := map[string]*source{}
	name := sourceOf
	for cut := 0; ; cut++ {
		clear(sources)
		for file, rows := range files {
			to := sources[name(file)]
			if to == nil {
				to = &source{rows: map[schemas.Day]int64{}}
				sources[name(file)] = to
			}
			to.files++
			for d, n := range rows {
				to.rows[d] += n
			}
		}
		if len(sources) <= mostSources {
			break
		}
		finer := name
		name = func(file string) string { return path.Join(path.Dir(strings.TrimSuffix(finer(file), "/**")), "**") }
	}
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		if err := t.ctx.Err(); err != nil {
			return nil, err
		}
		if ok, _ := path.Match(match, name); !ok && match != "" && match != name {
			continue
		}
		d := judge(sources[name].rows, from, to, s.From != "", s.To != "")
		if d == nil {
			continue
		}
		d.Source, d.Files = name, sources[name].files
		c.Sources = append(c.Sources, *d)
		c.Missing += len(d.Missing)
		c.Thin += len(d.Thin)
	}
	return c, nil
}

// countSources counts a file's rows by source.
func (t *table) countSources(ctx context.Context, unit schemas.Unit) (map[int32]int64, error) {
	file, size, err := t.open(unit)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	rows, err := sink.OpenRows(file, size, unit.Table, t.mem, t.sources, schemas.EventTimeSource)
	if err != nil {
		return nil, err
	}
	count := map[int32]int64{}
	return count, batches(ctx, rows, func(b *schemas.Batch) {
		begin, list := 0, b.Source.Int32Values()
		for i := range list {
			if list[i] != list[begin] {
				count[list[begin]] += int64(i - begin)
				begin = i
			}
		}
		if len(list) > 0 {
			count[list[begin]] += int64(len(list) - begin)
		}
	})
}

// judge says of the days from from up to, not including, to what a source has.
// Where an end was asked for the source is expected up to there. It returns nil
// if the source has nothing to do with these days.
func judge(rows map[schemas.Day]int64, from, to schemas.Day, asksFrom, asksTo bool) *SourceDays {
	had := slices.Sorted(maps.Keys(rows))
	near := false
	for _, d := range had {
		near = near || d >= from-retired && d < to
	}
	if !near {
		return nil
	}
	begin, end := had[0], had[len(had)-1]+1
	s := &SourceDays{First: begin.String(), Last: (end - 1).String()}
	if begin < from || asksFrom {
		begin = from
	}
	if end > to || asksTo {
		end = to
	}
	days := make([]byte, to-from)
	for d := from; d < to; d++ {
		state := byte('-')
		n := rows[d]
		s.Rows += n
		switch {
		case n > 0:
			state = 'h'
			if usual, known := usually(rows, had, d); known && usual >= thinFloor && n*thinShare < usual {
				state = 't'
				s.Thin = append(s.Thin, ThinDay{d.String(), n, usual})
			}
		case d >= begin && d < end:
			state = 'm'
			s.Missing = append(s.Missing, d.String())
		}
		days[d-from] = state
	}
	s.Days = string(days)
	return s
}

// usually is the median of a source's rows on the nearest days that are the
// same weekday as d, and whether there are enough of them.
func usually(rows map[schemas.Day]int64, had []schemas.Day, d schemas.Day) (int64, bool) {
	var list []int64
	for week := schemas.Day(7); len(list) < weekdays && (d-week >= had[0] || d+week <= had[len(had)-1]); week += 7 {
		for _, o := range [...]schemas.Day{d - week, d + week} {
			if rows[o] > 0 && len(list) < weekdays {
				list = append(list, rows[o])
			}
		}
	}
	if len(list) < fewest {
		return 0, false
	}
	slices.Sort(list)
	return (list[(len(list)-1)/2] + list[len(list)/2]) / 2, true
}
