package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"usagelake"
	"usagelake/schemas/ddl"
)

// The kind of a flag's value is the word that its usage has in backquotes:
// `directory`, `file`, `date`. Completion and config check go by it.

// choice is one of a few words.
type choice struct {
	value *string
	words []string
}

// choose makes a choice of words.
func choose(value *string, def string, words ...string) *choice {
	*value = def
	return &choice{value, words}
}

func (c *choice) Type() string { return "string" }

func (c *choice) String() string { return *c.value }

func (c *choice) Set(text string) error {
	for _, w := range c.words {
		if w == text {
			*c.value = w
			return nil
		}
	}
	return fmt.Errorf("%q: want %s", text, strings.Join(c.words, " or "))
}

// whole is a whole number from least on.
type whole struct {
	value *int
	least int
}

// atLeast makes a whole number.
func atLeast(value *int, least, def int) *whole {
	*value = def
	return &whole{value, least}
}

func (w *whole) Type() string { return "int" }

func (w *whole) String() string { return strconv.Itoa(*w.value) }

func (w *whole) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < w.least {
		return fmt.Errorf("%q: want a whole number from %d on", text, w.least)
	}
	*w.value = n
	return nil
}

// badValue is what is wrong with the value of a flag, in words.
func badValue(f *pflag.Flag, value string, err error) error {
	switch f.Value.Type() {
	case "bool":
		return fmt.Errorf("%q: want true or false", value)
	case "int64":
		return fmt.Errorf("%q: want a whole number", value)
	}
	return err
}

// wait is how long to wait.
type wait struct{ value *time.Duration }

func (w *wait) Type() string { return "duration" }

func (w *wait) String() string {
	if *w.value == 0 {
		return "0"
	}
	return w.value.String()
}

func (w *wait) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return fmt.Errorf("%q: want a time such as 90s, 10m or 1h30m", text)
	}
	*w.value = d
	return nil
}

const (
	leastMemory = 1 << 20
	mostBytes   = 64 << 40 // no machine has more
)

// size is a count of bytes as people write it: 1000000, 384MiB, 2G.
type size struct {
	n     *int64
	least int64
}

func (s *size) Type() string { return "size" }

func (s *size) String() string { return "" }

func (s *size) Set(text string) error {
	number := strings.TrimRight(text, "iBKMGTkmgtb")
	shift := map[string]int{"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40}
	unit := strings.ToLower(text[len(number):])
	unit = strings.TrimSuffix(strings.TrimSuffix(unit, "b"), "i")
	by, known := shift[unit]
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || !known || n <= 0 || n > mostBytes>>by {
		return fmt.Errorf("%q: want a size such as 384MiB", text)
	}
	if n <<= by; n < s.least {
		return fmt.Errorf("%q: want %s bytes or more, such as 384MiB", text, grouped(strconv.FormatInt(s.least, 10)))
	}
	*s.n = n
	return nil
}

// complete says how the values of a command's flags, and its arguments, are
// completed in a shell.
func complete(cmd *cobra.Command) {
	each := func(f *pflag.Flag) {
		if _, ok := cmd.GetFlagCompletionFunc(f.Name); ok {
			return
		}
		done := cobra.NoFileCompletions
		switch kind, _ := pflag.UnquoteUsage(f); kind {
		case "file", "book", "path", "keyfile":
			done = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault)
		case "directory":
			done = cobra.FixedCompletions(nil, cobra.ShellCompDirectiveFilterDirs)
		}
		if c, ok := f.Value.(*choice); ok {
			done = cobra.FixedCompletions(c.words, cobra.ShellCompDirectiveNoFileComp)
		}
		_ = cmd.RegisterFlagCompletionFunc(f.Name, done) // fails if there is one
	}
	cmd.LocalFlags().VisitAll(each)
	if arguments := strings.Fields(cmd.Use)[1:]; cmd.ValidArgsFunction == nil && (len(arguments) == 0 || strings.HasPrefix(arguments[0], "-")) {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
}

// checkValue finds what a command would find at fault with the value of a flag.
// Nothing is changed.
func checkValue(f *pflag.Flag, value string) error {
	cfg := usagelake.Config{Lake: "."}
	kind, _ := pflag.UnquoteUsage(f)
	switch {
	case f.Name == "map":
		cfg.Map = value
	case f.Name == "schema":
		return ddl.CheckSchema(value)
	case f.Name == "columns":
		return usagelake.CheckColumn(value)
	case f.Name == "source":
		return usagelake.CheckSource(value)
	case kind == "keyfile":
		cfg.HashIDs = value
	case kind == "book":
		cfg.Prices = []string{value}
	case kind == "date":
		cfg.From = value
	case kind == "zone":
		cfg.TimeZone = value
	case kind == "time":
		cfg.EventTime = value
	case kind == "limit":
		cfg.MaxQuarantine = value
	case kind == "pattern":
		cfg.PathColumns = value
	case kind == "column=value":
		cfg.Set = []string{value}
	case kind == "share":
		_, err := share(value)
		return err
	case kind == "file":
		file, err := os.Open(value)
		if err != nil {
			return err
		}
		return file.Close()
	case kind == "path": // of a file that is made
		return directory(filepath.Dir(value))
	case kind == "directory":
		if err := usagelake.CheckPath(value); err != nil {
			return cause(err)
		}
		if err := directory(value); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil // it is made
	}
	return cause(usagelake.Check(cfg))
}

func directory(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no directory", path)
	}
	return err
}

// cause is the last part of a usage error of the package usagelake, which
// begins with the flag.
func cause(err error) error {
	if parts, ok := err.(interface{ Unwrap() []error }); ok {
		all := parts.Unwrap()
		return all[len(all)-1]
	}
	return err
}
