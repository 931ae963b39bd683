package usagelake

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"usagelake/schemas"
	"usagelake/schemas/ddl"
	"usagelake/sink/disk"
	"usagelake/sink/ledger"
)

// Warehouse says for what DDL writes its statements.
type Warehouse struct {
	Dialect  string // one of ddl.Names
	Location string // URL of the lake where it is copied to; if empty, its path
	Schema   string // schema, or dataset; if empty, the dialect's own
}

// DDL is the SQL that gives a warehouse the tables of a lake, and views over
// them. The lake is read, and changed by nothing.
func DDL(lake string, to Warehouse, fsys disk.FS) (string, error) {
	if lake == "" {
		return "", fmt.Errorf("%w: --lake DIR is missing", ErrUsage)
	}
	d, ok := ddl.Lookup(to.Dialect)
	if !ok {
		return "", fmt.Errorf("%w: --dialect %q: want %s", ErrUsage, to.Dialect, strings.Join(ddl.Names(), "|"))
	}
	for _, path := range []string{lake, to.Location} {
		if err := checkURL(path); err != nil {
			return "", err
		}
	}
	l := ddl.Lake{Location: strings.TrimRight(to.Location, "/"), Given: to.Location != "", Schema: to.Schema}
	if l.Location == "" {
		l.Location = strings.TrimRight(filepath.ToSlash(wholePath(lake)), "/")
	}
	if err := d.Check(l); err != nil {
		return "", fmt.Errorf("%w: %w", ErrUsage, err)
	}
	fsys, err := lakeFS(lake, fsys)
	if err != nil {
		return "", err
	}
	open, err := ledger.Open(fsys, lake, ledger.Options{MustExist: true, ReadOnly: true})
	if err != nil {
		return "", err
	}
	defer open.Close()
	for name := range open.State.Files {
		unit, err := schemas.ParseUnit(name)
		if err != nil {
			return "", err
		}
		l.Days[unit.Table] = append(l.Days[unit.Table], unit.Day)
	}
	for t := range l.Days {
		slices.Sort(l.Days[t])
		l.Days[t] = slices.Compact(l.Days[t])
	}
	return d.Write(l), nil
}
