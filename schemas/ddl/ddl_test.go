package ddl

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"usagelake/schemas"
)

// lake is one that the dialect can read, of an awkward name.
func lake(d *Dialect) Lake {
	l := Lake{Location: "/srv/someone's lake"}
	if !d.local {
		l.Location = d.schemes[0] + "://bucket/someone's lake"
	}
	l.Days[schemas.Usage] = []schemas.Day{20_000, 20_001}
	l.Days[schemas.Reports] = []schemas.Day{20_001}
	return l
}

// statements are those of a text, by the semicolons that end their lines.
func statements(text string) []string {
	list := strings.Split(text, ";\n")
	return list[:len(list)-1]
}

// made is the statement that makes the table, or view.
func made(t *testing.T, text, name string) string {
	t.Helper()
	makes := regexp.MustCompile(`(?m)^CREATE (OR REPLACE )?(EXTERNAL )?(TABLE|VIEW) (IF NOT EXISTS )?\S*\b` + name + `\b\S* `)
	var found []string
	for _, s := range statements(text) {
		if makes.MatchString(s + " ") {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d statements make %s", len(found), name)
	}
	return found[0]
}

// Every column of the contract is in every dialect, in order, with its type and
// what is said of it.
func TestColumns(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.Name, func(t *testing.T) {
			text := d.Write(lake(d))
			for table := range schemas.NumTables {
				rest := made(t, text, table.String())
				for _, c := range table.Columns() {
					kind := d.types[schemas.Columns[c].Kind]
					if c.Required() && d.required != "" {
						kind = d.required
					}
					name := d.quote + c.String() + d.quote
					line := name + " " + kind
					if strings.HasPrefix(d.line, "CAST") {
						line = "CAST(NULL AS " + kind + ") AS " + name
					}
					_, after, ok := strings.Cut(rest, "\n  "+line)
					if !ok {
						t.Fatalf("%s: no %q behind the column before it", table, line)
					}
					rest = after
					doc := quoted(schemas.Columns[c].Doc, d.backslash)
					switch {
					case d.commentColumn != "":
						if want := "." + name + " IS " + doc + ";\n"; !strings.Contains(text, want) {
							t.Errorf("no %q", want)
						}
					case strings.Contains(d.line, "{remark}"):
						if line, _, _ := strings.Cut(rest, "\n"); !strings.HasSuffix(line, " -- "+schemas.Columns[c].Doc) {
							t.Errorf("%s: %q says nothing of it", c, line)
						}
					default:
						if line, _, _ := strings.Cut(rest, "\n"); !strings.Contains(line, doc) {
							t.Errorf("%s: %q says nothing of it", c, line)
						}
					}
				}
				if !strings.Contains(made(t, text, table.String()), partition) {
					t.Errorf("%s has no %s", table, partition)
				}
			}
			whole := made(t, text, "usage_whole")
			for _, c := range schemas.Usage.Columns() {
				if !strings.Contains(whole, d.column("u", c.String())+" AS ") && !strings.Contains(whole, d.column("u", c.String())+" + 0.5) AS ") {
					t.Errorf("usage_whole has no %s", c)
				}
			}
		})
	}
}

// column is a table's column as views say it.
func (d *Dialect) column(table, name string) string {
	q := d.quote
	if d.viewQuote != "" {
		q = d.viewQuote
	}
	return q + table + q + "." + q + name + q
}

// Nothing of a template is left in the statements, and they can be told apart.
func TestText(t *testing.T) {
	for _, d := range dialects {
		text := d.Write(lake(d))
		if left := regexp.MustCompile(`[^$]\{[a-z/]+\}|\[[A-Za-z_]+\]`).FindString(text); left != "" {
			t.Errorf("%s: %q is not filled in", d.Name, left)
		}
		if d.Name == "athena" && !strings.Contains(text, "event_date=${event_date}/") {
			t.Error("athena: the path of a day is not one of its projection")
		}
		for _, v := range views {
			made(t, text, v.name)
		}
		for _, s := range statements(text) {
			for line := range strings.Lines(s) {
				if code, _, _ := strings.Cut(line, "--"); strings.HasSuffix(strings.TrimSpace(code), ";") {
					t.Errorf("%s: a semicolon ends a line within a statement: %q", d.Name, line)
				}
			}
		}
		if d.Write(lake(d)) != text {
			t.Errorf("%s: another text the second time", d.Name)
		}
		for _, in := range strings.SplitAfter(text, "someone") {
			if strings.HasPrefix(in, "'s lake") {
				t.Errorf("%s: the location's quote ends its text", d.Name)
			}
		}
	}
}

// Names of Snowflake are not quoted, so none may be a word of its own.
func TestUnquoted(t *testing.T) {
	reserved := strings.Fields(`account all alter and any as between by case cast check column connect connection constraint create cross current
		current_date current_time current_timestamp current_user database delete distinct drop else exists false following for from full grant
		group gscluster having ilike in increment inner insert intersect into is issue join lateral left like localtime localtimestamp minus
		natural not null of on or order organization qualify regexp revoke right rlike row rows sample schema select set some start table
		tablesample then to trigger true try_cast union unique update using values view when whenever where with`)
	plain := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	for c := range schemas.NumColumns {
		if slices.Contains(reserved, c.String()) || !plain.MatchString(c.String()) {
			t.Errorf("%s wants quotes", c)
		}
	}
	for _, v := range views {
		for _, n := range name.FindAllString(v.text(), -1) {
			if n = strings.ToLower(n[1 : len(n)-1]); slices.Contains(reserved, n) || !plain.MatchString(n) {
				t.Errorf("%s: %s wants quotes", v.name, n)
			}
		}
	}
}

func TestSchema(t *testing.T) {
	for dialect, want := range map[string][]string{
		"duckdb":   {`VIEW "usage" AS`, `VIEW "usage_daily" AS`},
		"bigquery": {"TABLE `usagelake`.`usage` (", "VIEW `usagelake`.`usage_daily` AS", "CREATE SCHEMA `usagelake`"},
		"redshift": {`TABLE "usagelake"."usage" (`, `VIEW "usage_daily" AS`, `FROM "usagelake"."usage"`},
		"trino":    {`TABLE IF NOT EXISTS "usagelake"."usage" (`, "('usagelake', 'usage', 'FULL')"},
	} {
		d, _ := Lookup(dialect)
		text := d.Write(lake(d))
		l := lake(d)
		l.Schema = "tokens"
		other := d.Write(l)
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s: no %s", dialect, w)
			}
			if w = strings.ReplaceAll(w, "usagelake", "tokens"); dialect != "duckdb" && !strings.Contains(other, w) {
				t.Errorf("%s with a schema of its own: no %s", dialect, w)
			}
		}
		if dialect == "duckdb" && !strings.Contains(other, `VIEW "tokens"."usage_daily" AS`) {
			t.Errorf("no schema in\n%s", other)
		}
	}
}

// A day's partition is added where the engine does not find it.
func TestDays(t *testing.T) {
	d, _ := Lookup("redshift")
	text := d.Write(lake(d))
	want := `ALTER TABLE "usagelake"."usage" ADD IF NOT EXISTS PARTITION ("event_date" = '2024-10-05') LOCATION 's3://bucket/someone''s lake/usage/event_date=2024-10-05/';`
	if !strings.Contains(text, want) || strings.Count(text, "ADD IF NOT EXISTS") != 3 {
		t.Errorf("no %s in\n%s", want, text)
	}
	// DuckDB has no view of files that are not there
	d, _ = Lookup("duckdb")
	l := lake(d)
	l.Days[schemas.Reports] = nil
	if text := d.Write(l); strings.Contains(made(t, text, "reports"), "read_parquet") || !strings.Contains(made(t, text, "usage"), "read_parquet") {
		t.Errorf("files of the empty table are looked for:\n%s", text)
	}
}

func TestCheck(t *testing.T) {
	for _, test := range []struct{ dialect, location, schema, want string }{
		{"athena", "s3://bucket/lake", "", ""},
		{"athena", "/srv/lake", "", "--location is missing"},
		{"athena", "gs://bucket/lake", "", "athena reads s3://"},
		{"duckdb", "/srv/lake", "x", ""},
		{"duckdb", "s3://bucket/lake", "", ""},
		{"duckdb", "/srv/la*ke", "", "pattern"},
		{"spark", "/srv/la*ke", "", ""},
		{"spark", "/srv/la\nke", "", "control character"},
		{"bigquery", "gs://bucket/lake", "a b", "--schema"},
		{"bigquery", "s3://bucket/lake", "", "bigquery reads gs://"},
		{"duckdb", "https://host/lake", "", "duckdb reads s3://"},
		{"bigquery", "gs://bucket/lake", "a`; DROP TABLE x", "--schema"},
	} {
		d, ok := Lookup(test.dialect)
		if !ok {
			t.Fatal(test.dialect)
		}
		err := d.Check(Lake{Location: test.location, Schema: test.schema})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v", test, err)
		}
	}
	athena, _ := Lookup("athena")
	if err := athena.Check(Lake{Location: "/srv/lake", Given: true}); err == nil || err.Error() != "--location /srv/lake is no URL: athena reads s3://" {
		t.Error(err)
	}
	if _, ok := Lookup("mysql"); ok {
		t.Error("mysql is no dialect")
	}
}

// Every reader of files that a dialect may need is there.
func TestReaders(t *testing.T) {
	for _, d := range dialects {
		if !strings.Contains(d.create, "{reader}") {
			continue
		}
		for _, scheme := range append([]string{""}, d.schemes...) {
			if d.readers[scheme] == "" {
				t.Errorf("%s reads nothing of %q", d.Name, scheme)
			}
		}
	}
}
