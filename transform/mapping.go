package transform

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"usagelake/schemas"
)

// Mapping is a user's names for what stands around a call in a record.
type Mapping struct {
	rules  []Rule
	bodies []Mount
}

// mappable are columns that a mapping can name beside those that can be filled.
var mappable = map[schemas.Col]bool{
	schemas.EventTime: true, schemas.RequestID: true, schemas.TransportID: true, schemas.ErrorCode: true, schemas.CacheHit: true,
	schemas.IsBatch: true, schemas.ReportedCostUSD: true, schemas.DurationMs: true, schemas.TimeToFirstTokenMs: true,
}

// ParseMapping reads lines of "column = path": where a column is found that a
// call's own body does not have. A path leads from the record's root: keys with
// dots between them, in double quotes where they have dots of their own;
// alternatives stand behind |. "body = path" says where a call's body stands.
// What follows # is not read.
func ParseMapping(r io.Reader) (*Mapping, error) {
	m := &Mapping{}
	in := bufio.NewScanner(r)
	n := 1
	for ; in.Scan(); n++ {
		text, _, _ := strings.Cut(in.Text(), "#")
		if strings.TrimSpace(text) == "" {
			continue
		}
		if err := m.parse(text); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("line %d: %w", n, errMapping)
	}
	return m, in.Err()
}

// errMapping tells nothing of what a line says: a log may have been given instead.
var errMapping = errors.New("want column = path, such as user_id = meta.caller.id")

var columnName = regexp.MustCompile(`^[a-z0-9_]{1,40}$`)

func (m *Mapping) parse(text string) error {
	name, paths, ok := strings.Cut(text, "=")
	name, paths = strings.TrimSpace(name), strings.TrimSpace(paths)
	if !ok || paths == "" || !columnName.MatchString(name) {
		return errMapping
	}
	var terms []string
	for p := range strings.SplitSeq(paths, "|") {
		p = strings.TrimSpace(p)
		if p == "" || strings.ContainsAny(p, " \t^#'!&+:[]=") || strings.Count(p, `"`)%2 != 0 || strings.Contains(p, "..") {
			return errMapping
		}
		terms = append(terms, "^"+p)
	}
	if name == "body" {
		for _, t := range terms {
			m.bodies = append(m.bodies, Mount{Path: t[1:], Body: true, Own: true})
		}
		return nil
	}
	col, ok := schemas.Lookup(name)
	if !ok || !fillable[col] && !mappable[col] {
		var names []string
		for c := range schemas.NumColumns {
			if fillable[c] || mappable[c] {
				names = append(names, c.String())
			}
		}
		return fmt.Errorf("%q cannot be mapped; these can: body, %s", name, strings.Join(names, ", "))
	}
	m.rules = append(m.rules, Rule{col, strings.Join(terms, " | ")})
	return nil
}
