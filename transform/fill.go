package transform

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"usagelake/schemas"
)

// fillable columns may be given from outside: what many bodies do not hold.
var fillable = map[schemas.Col]bool{
	schemas.Operation: true, schemas.Provider: true, schemas.Model: true, schemas.RequestModel: true,
	schemas.Region: true, schemas.ServiceTier: true, schemas.ProjectID: true, schemas.TeamID: true,
	schemas.UserID: true, schemas.SessionID: true, schemas.APIKeyID: true, schemas.Tags: true,
}

// Fill is a value for a column that a record leaves empty.
type Fill struct {
	Col   schemas.Col
	Value string
}

// ParseFill reads column=value.
func ParseFill(text string) (Fill, error) {
	name, value, ok := strings.Cut(text, "=")
	if !ok || value == "" {
		return Fill{}, fmt.Errorf("%q: want column=value", text)
	}
	col, err := fillableColumn(name)
	if err != nil {
		return Fill{}, err
	}
	return Fill{col, value}, nil
}

func fillableColumn(name string) (schemas.Col, error) {
	col, ok := schemas.Lookup(name)
	if ok && fillable[col] {
		return col, nil
	}
	var names []string
	for c := range schemas.NumColumns {
		if fillable[c] {
			names = append(names, c.String())
		}
	}
	return 0, fmt.Errorf("%q cannot be set; these can: %s", name, strings.Join(names, ", "))
}

// PathPattern takes columns from the path of a source.
type PathPattern struct {
	re    *regexp.Regexp
	names []string
}

// ParsePathPattern reads a pattern such as {project_id}/{date}/*.jsonl.gz:
// {column} and {date} match one path element or a part of it, * any part of
// one, ** any number of elements. A compression suffix does not matter.
func ParsePathPattern(text string) (*PathPattern, error) {
	p := &PathPattern{}
	var re strings.Builder
	re.WriteString("^")
	for rest := trimCompression(text); rest != ""; {
		switch {
		case strings.HasPrefix(rest, "**/"):
			re.WriteString("(?:.*/)?")
			rest = rest[3:]
		case strings.HasPrefix(rest, "**"):
			re.WriteString(".*")
			rest = rest[2:]
		case rest[0] == '*':
			re.WriteString("[^/]*")
			rest = rest[1:]
		case rest[0] == '{':
			name, after, ok := strings.Cut(rest[1:], "}")
			if !ok {
				return nil, fmt.Errorf("path pattern %q: { without }", text)
			}
			if name != "date" {
				if _, err := fillableColumn(name); err != nil {
					return nil, fmt.Errorf("path pattern %q: %w", text, err)
				}
			}
			p.names = append(p.names, name)
			re.WriteString("([^/]+?)")
			rest = after
		default:
			_, n := utf8.DecodeRuneInString(rest)
			re.WriteString(regexp.QuoteMeta(rest[:n]))
			rest = rest[n:]
		}
	}
	re.WriteString("$")
	var err error
	if p.re, err = regexp.Compile(re.String()); err != nil {
		return nil, fmt.Errorf("path pattern %q: %w", text, err)
	}
	return p, nil
}

func trimCompression(s string) string {
	for _, suffix := range []string{".gz", ".zst", ".zstd"} {
		if t, ok := strings.CutSuffix(s, suffix); ok {
			return t
		}
	}
	return s
}

// Match is what the pattern takes from a source's path: fills, and the text of
// {date}. ok is false where the path does not match.
func (p *PathPattern) Match(file string) (fills []Fill, date string, ok bool) {
	m := p.re.FindStringSubmatch(file)
	if m == nil {
		return nil, "", false
	}
	for i, name := range p.names {
		if name == "date" {
			date = m[i+1]
			continue
		}
		col, _ := schemas.Lookup(name)
		fills = append(fills, Fill{col, m[i+1]})
	}
	return fills, date, true
}
