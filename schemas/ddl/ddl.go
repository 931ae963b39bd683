// Package ddl writes the SQL that gives a warehouse the tables of a lake:
// external tables, or views over the files where an engine has none, and views
// over those. A [Dialect] is data; the statements are the same text for all of
// them. The package is pure.
package ddl

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"usagelake/schemas"
)

// Lake is what statements say of a lake.
type Lake struct {
	// Location is the lake's URL, or its absolute path, without a slash at the
	// end.
	Location string
	Given    bool // somebody named it; it is not just where the lake is
	// Schema is the schema, or dataset, of the tables and views; if empty, the
	// dialect's own, which for most is the session's.
	Schema string
	// Days are the partitions that are there, of each table.
	Days [schemas.NumTables][]schemas.Day
}

// Names are the names of all dialects.
func Names() (names []string) {
	for _, d := range dialects {
		names = append(names, d.Name)
	}
	return names
}

// Lookup finds a dialect by name.
func Lookup(name string) (*Dialect, bool) {
	i := slices.IndexFunc(dialects, func(d *Dialect) bool { return d.Name == name })
	if i < 0 {
		return nil, false
	}
	return dialects[i], true
}

// Check reports why the engine cannot read a lake, or have a schema, of these
// names.
func (d *Dialect) Check(l Lake) error {
	scheme, _, isURL := strings.Cut(l.Location, "://")
	switch {
	case isURL && !slices.Contains(d.schemes, scheme):
		return fmt.Errorf("--location %s: %s reads %s", l.Location, d.Name, list(d.schemes))
	case !isURL && !d.local && l.Given:
		return fmt.Errorf("--location %s is no URL: %s reads %s", l.Location, d.Name, list(d.schemes))
	case !isURL && !d.local:
		return fmt.Errorf("--location is missing: %s does not read files of this machine; say where the lake is copied to, a URL of %s", d.Name, list(d.schemes))
	case d.globs && strings.ContainsAny(l.Location, "*?[]{}"):
		return fmt.Errorf("%s: %s takes * ? [ ] { } in a path for a pattern", l.Location, d.Name)
	case strings.ContainsFunc(l.Location, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%q: a control character in the location", l.Location)
	}
	if err := CheckSchema(l.Schema); err != nil {
		return fmt.Errorf("--schema %w", err)
	}
	return nil
}

var schemaName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// CheckSchema fails if name is none that every engine takes without quotes. An empty
// one is the dialect's own.
func CheckSchema(name string) error {
	if name != "" && !schemaName.MatchString(name) {
		return fmt.Errorf("%q: want letters, digits and _", name)
	}
	return nil
}

func list(schemes []string) string { return strings.Join(schemes, "://, ") + "://" }

// Write is the text of all statements, each with a semicolon. The lake is one
// that Check has nothing against.
func (d *Dialect) Write(l Lake) string {
	w := &writer{Dialect: d, lake: l, schema: l.Schema}
	if w.schema == "" {
		w.schema = d.schema
	}
	fmt.Fprintf(&w.out, "-- The tables of a lake for %s, by usagelake ddl; columns of version %d.\n", d.Name, schemas.Version)
	for _, line := range d.before {
		fmt.Fprintf(&w.out, "-- %s\n", w.fill(line, nil))
	}
	for _, statement := range d.once {
		w.statement(w.fill(statement, nil))
	}
	for t := range schemas.NumTables {
		w.table(t)
	}
	for _, v := range views {
		w.statement(w.view(v.name, v.text()))
	}
	return w.out.String()
}

// about is what a table is, for people.
var about = [schemas.NumTables]string{
	schemas.Usage:   "LLM usage: a row for each call",
	schemas.Reports: "what LLM providers report: a row for each bucket of their own sums over calls",
}

// The partition column, which is in the path and not in the files.
const (
	partition    = "event_date"
	partitionDoc = "UTC date of event_time; the partition"
)

type writer struct {
	*Dialect
	lake   Lake
	schema string
	out    strings.Builder
}

func (w *writer) statement(text string) { fmt.Fprintf(&w.out, "\n%s;\n", text) }

// identifier quotes a name. The contract's names are plain words, so a dialect
// without quotes can say them as they are.
func (w *writer) identifier(name string) string { return w.quote + name + w.quote }

// text quotes a text.
func (w *writer) text(s string) string { return quoted(s, w.backslash) }

func quoted(s string, backslash bool) string {
	if backslash {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// in puts a name into the schema, if there is one.
func (w *writer) in(name string) string {
	if w.schema == "" {
		return w.identifier(name)
	}
	return w.identifier(w.schema) + "." + w.identifier(name)
}

var placeholder = regexp.MustCompile(`\{[a-z/]+\}`)

// fill fills the placeholders of a template; those that are nobody's stay.
func (w *writer) fill(template string, more map[string]string) string {
	return placeholder.ReplaceAllStringFunc(template, func(p string) string {
		if v, ok := more[p[1:len(p)-1]]; ok {
			return v
		}
		switch p {
		case "{lake}":
			return w.text(w.lake.Location)
		case "{lake/}":
			return w.text(w.lake.Location + "/")
		case "{stage}":
			return w.in("usagelake")
		case "{schema}":
			return w.identifier(w.schema)
		case "{schemaname}":
			return w.schema
		case "{partition}":
			return w.identifier(partition)
		}
		return p
	})
}

// column is what templates of a column may say.
func (w *writer) column(name, kind, doc, comma string) map[string]string {
	return map[string]string{"name": w.identifier(name), "type": kind, "doc": w.text(doc), "remark": doc, "comma": comma}
}

func (w *writer) table(t schemas.Table) {
	cols := t.Columns()
	day := w.column(partition, w.date, partitionDoc, "")
	last := ","
	if w.apart {
		last = ""
	}
	var lines, structure, names []string
	for i, c := range cols {
		comma := ","
		if i == len(cols)-1 {
			comma = last
		}
		kind := w.types[schemas.Columns[c].Kind]
		if c.Required() && w.required != "" {
			kind = w.required
		}
		lines = append(lines, "  "+w.fill(w.line, w.column(c.String(), kind, schemas.Columns[c].Doc, comma)))
		structure = append(structure, w.identifier(c.String())+" "+kind)
		names = append(names, w.identifier(c.String()))
	}
	if !w.apart {
		text := w.line
		if w.dayLine != "" {
			text = w.dayLine
		}
		lines = append(lines, "  "+w.fill(text, day))
		structure = append(structure, w.identifier(partition)+" "+w.date)
		names = append(names, w.identifier(partition))
	}
	dir := w.lake.Location + "/" + t.String()
	values := map[string]string{
		"table": w.in(t.String()), "tablename": w.text(t.String()), "about": w.text(about[t]),
		"columns": strings.Join(lines, "\n"), "names": strings.Join(names, ", "), "structure": w.text(strings.Join(structure, ", ")),
		"day": w.fill(w.line, day), "daycolumn": w.identifier(partition) + " " + w.date,
		"dir": w.text(dir), "dir/": w.text(dir + "/"), "all": w.text(dir + "/*"), "glob": w.text(dir + "/*/*.parquet"),
		"days": w.text(dir + "/event_date=${event_date}/"), "stagedir": t.String() + "/",
	}
	scheme, _, isURL := strings.Cut(w.lake.Location, "://")
	if isURL {
		values["reader"] = w.readers[scheme]
	} else {
		values["reader"] = w.readers[""]
	}
	if len(w.lake.Days[t]) == 0 && w.empty != "" {
		fmt.Fprintf(&w.out, "\n-- No files are in %s yet: an empty view. Run ddl again when there are.", t)
		w.statement(w.fill(w.empty, values))
	} else {
		w.statement(w.fill(w.create, values))
	}
	for _, s := range w.after {
		w.statement(w.fill(s, values))
	}
	if w.commentTable != "" {
		w.statement(w.fill(w.commentTable, values))
	}
	if w.commentColumn != "" {
		for _, c := range cols {
			values["name"], values["doc"] = w.identifier(c.String()), w.text(schemas.Columns[c].Doc)
			w.statement(w.fill(w.commentColumn, values))
		}
		values["name"], values["doc"] = w.identifier(partition), w.text(partitionDoc)
		w.statement(w.fill(w.commentColumn, values))
	}
	if w.addDay != "" {
		for _, d := range w.lake.Days[t] {
			values["date"], values["daydir"] = w.text(d.String()), w.text(dir+"/event_date="+d.String()+"/")
			w.statement(w.fill(w.addDay, values))
		}
	}
}

var name = regexp.MustCompile(`\[[A-Za-z0-9_]+\]`)

// view is the statement of a view. In its text [x] is a name, and {x} what the
// dialect says for it.
func (w *writer) view(as, text string) string {
	v := *w // views may be quoted otherwise than tables
	if w.viewQuote != "" {
		d := *w.Dialect
		d.quote, d.backslash = w.viewQuote, false
		v.Dialect = &d
	}
	in := v.in(as)
	if w.viewsLoose {
		in = v.identifier(as)
	}
	text = v.fill(text, map[string]string{
		"usage": v.in(schemas.Usage.String()), "double": w.double, "whole": w.whole, "string": w.str,
		"start": w.start, "next": w.next, "month": w.month, "monthend": w.monthEnd,
	})
	text = name.ReplaceAllStringFunc(text, func(n string) string { return v.identifier(n[1 : len(n)-1]) })
	return "CREATE OR REPLACE VIEW " + in + " AS\n" + text + w.viewTail
}
