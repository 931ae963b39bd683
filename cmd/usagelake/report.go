package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/spf13/cobra"

	"usagelake"
	"usagelake/cmd/usagelake/page"
	"usagelake/schemas"
)

// reportMemory is what the figures of a report may take, in bytes.
const reportMemory = 176 << 20

func reportCommand() *cobra.Command {
	var (
		cfg    usagelake.Config
		output string
		show   bool
	)
	cmd := &cobra.Command{
		Use:   "report --lake DIR -o FILE.html",
		Short: "Write a page of charts: cost, tokens, users, quality, coverage",
		Long: `Write one HTML page about the calls of a lake: cost and tokens by day and model,
what the input and output consist of, images, top users, projects and keys, what
caches saved, quality, and which sources have rows on which days. The page holds
its data and needs no network; filters by date, provider, model and project work
in it. All days are UTC, all costs US dollars: by price book (cost_usd) and as
logged (reported_cost_usd), side by side, never added.

Of very large lakes the page has old days as weeks or months, and small models,
projects and users as "other", and says so. All sums are exact. The same lake and
arguments give the same bytes.

What caches saved needs --prices: cache reads at the price of plain input, less
what they cost.

Sources and days:
` + usagelake.CoverageRules,
		Example: `  usagelake report --lake lake -o report.html --open
  usagelake report --lake lake -o august.html --from 2026-08-01 --to 2026-09-01 --prices book.yaml`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			switch {
			case output == "":
				return &usageError{errors.New("-o FILE.html is missing (- is standard output)")}
			case output == "-" && show:
				return &usageError{errors.New("--open needs -o FILE.html")}
			}
			if usagelake.IsURL(output) {
				return &usageError{fmt.Errorf("-o %s: the page is written to a file; copy it there, or pipe it with -o -", output)}
			}
			if output != "-" {
				if err := place(output); err != nil {
					return err
				}
			}
			limitMemory(reportMemory)
			f, err := usagelake.ReadFigures(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if output == "-" {
				return page.Write(cmd.OutOrStdout(), f)
			}
			if err := writeFile(output, func(w io.Writer) error { return page.Write(w, f) }); err != nil {
				return err
			}
			worked(cmd)
			if isTerminal(cmd.OutOrStdout()) {
				days := ""
				if f.Rows > 0 {
					days = fmt.Sprintf(", %s to %s", f.From, f.To)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s rows%s\n", output, number(f.Rows), days)
			}
			if show {
				if err := open(cmd, output); err != nil {
					say(cmd, slog.LevelWarn, err.Error())
				}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	lakeFlag(f, &cfg.Lake)
	f.StringVarP(&output, "output", "o", "", "`path` of the file to write; - is standard output")
	daysFlags(f, &cfg)
	f.StringArrayVar(&cfg.Prices, "prices", nil, "price `book`, to say what caches saved (repeatable; each lies over those before it)")
	f.BoolVar(&show, "open", false, "open the page in the browser")
	f.Var(atLeast(&cfg.Jobs, 0, 0), "jobs", "`number` of files read at a time (default one per CPU, at most 256)")
	f.Var(&wait{&cfg.LockWait}, "lock-wait", "how long to wait for another run that has the lake, such as 10m")
	return cmd
}

// place fails if no file can be written there.
func place(path string) error {
	if err := usagelake.CheckPath(path); err != nil {
		return err
	}
	switch info, err := os.Stat(path); {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s: is a directory; want the path of a file", path)
	case err == nil && !info.Mode().IsRegular(): // a device would be gone
		return fmt.Errorf("%s: is there and no regular file; want the path of a file", path)
	}
	if err := directory(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: there is no directory %s", path, filepath.Dir(path))
	}
	if lake := lakeOf(path); lake != "" {
		return fmt.Errorf("%s: is among the files of lake %s, which are its own; write it elsewhere", path, lake)
	}
	return nil
}

// lakeOf is the lake in whose directories a file is, or "". A file beside them harms
// nobody.
func lakeOf(path string) string {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	for err == nil && dir != filepath.Dir(dir) {
		base := filepath.Base(dir)
		dir = filepath.Dir(dir)
		if _, err := os.Stat(filepath.Join(dir, "state", "lake.json")); err == nil && slices.Contains(lakeDirs, base) {
			return dir
		}
	}
	return ""
}

var lakeDirs = []string{schemas.Usage.String(), schemas.Reports.String(), "quarantine", "state"}

// writeFile writes a file whole or not at all.
func writeFile(path string, write func(io.Writer) error) (err error) {
	if err := place(path); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", path, because(err))
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 1<<16)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Sync(); err != nil { // else it can be empty after a loss of power
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// because is an error without the path that a system call was given.
func because(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}

// open shows a file in the browser.
func open(cmd *cobra.Command, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	program := "xdg-open"
	if runtime.GOOS == "darwin" {
		program = "open"
	}
	if err := exec.CommandContext(cmd.Context(), program, path).Run(); err != nil {
		return fmt.Errorf("%s is written, but no browser could be opened (%s: %w): open it yourself", path, program, err)
	}
	return nil
}
