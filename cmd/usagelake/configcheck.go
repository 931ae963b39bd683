package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"usagelake"
)

func configCommand() *cobra.Command {
	cmd := holder(&cobra.Command{
		Use:   "config COMMAND",
		Short: "Check a config file",
	})
	cmd.AddCommand(configCheckCommand())
	return cmd
}

func configCheckCommand() *cobra.Command {
	verbose := false
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Show what a config file comes to, and what is wrong with it",
		Long: `Show every value that a config file and the environment give to commands, with
the place that it is from, and check it as the commands would: sizes, dates, time
zones, books and other files. Nothing is changed. Without FILE it is the one that
--config or USAGELAKE_CONFIG names.

A config file is YAML. A key is the long name of a flag and holds for all commands
that have it; below the name of a command it holds for that command, and goes
first. A flag that can be repeated takes a list; inputs are the INPUT arguments of
load and plan. Paths are relative to where the command runs.

  lake: /srv/usagelake/lake
  log-format: json
  load:
    inputs: [/srv/llm-logs]
    memory: 2GiB
  prices explain:
    json: true

What goes first: the command line, then the environment (USAGELAKE_LOCK_WAIT is
--lock-wait; of a flag that can be repeated it is one value, or a list such as
'[a.yaml, b.yaml]'), then the command's own keys, then those at the top.

Exit code 2 means that something is wrong; each fault is on a line of its own. A
variable USAGELAKE_… that is no flag's is told of, and is no fault.`,
		Example: `  usagelake config check /etc/usagelake.yaml
  USAGELAKE_MEMORY=1GiB usagelake config check --verbose`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &usageError{errors.New("config check takes one FILE; usagelake config check --help tells more")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			file := configFile(cmd)
			if len(args) > 0 {
				file = args[0]
			}
			s := readSettings(cmd.Root(), file)
			s.apply(cmd, reporting)
			faults := s.faults
			var said []string
			t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, of := range names(cmd.Root()) {
				list, wrong := s.effective(of)
				faults = append(faults, wrong...)
				if _, own := s.sections[of]; own || verbose {
					fmt.Fprintln(t, of)
					for _, e := range list {
						if e.from != byDefault || verbose {
							fmt.Fprintf(t, "  %s\t%s\t%s\n", e.key, e.public(e.key), e.from)
						}
					}
				}
			}
			if !verbose {
				s.rest(t, cmd.Root())
			}
			t.Flush()
			if file == "" {
				say(cmd, slog.LevelWarn, "no config file: neither FILE nor --config nor USAGELAKE_CONFIG names one")
			}
			for _, v := range strangers(cmd.Root()) { // it may be another program's
				say(cmd, slog.LevelWarn, v+" in the environment is the name of no flag")
			}
			for _, f := range faults {
				if text := f.Error(); !slices.Contains(said, text) {
					said = append(said, text)
					say(cmd, slog.LevelError, text)
				}
			}
			if len(faults) > 0 {
				return &usageError{errConfig}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show every command with all its values, those by default too")
	return cmd
}

// errConfig is the error of a config whose faults were said.
var errConfig = errors.New("the config is at fault")

// byDefault is where values are from that nobody gave.
const byDefault = "default"

// public is what a config dump may have of a setting.
func (s setting) public(key string) string {
	var list []string
	for _, v := range s.values {
		list = append(list, public(key, v))
	}
	return strings.Join(list, ", ")
}

// An effective value is what a command gets for a key.
type effective struct {
	key string
	setting
}

// effective finds what a command gets, and what is wrong with that.
func (s *settings) effective(command string) (list []effective, faults []error) {
	root := rootCommand() // a fresh one, since values stay in flags
	cmd, _, err := root.Find(strings.Fields(command))
	if err != nil {
		return nil, []error{err}
	}
	keys := keysOf(cmd)
	faults = s.apply(cmd, keys)
	for _, key := range keys {
		e := effective{key: key, setting: setting{from: byDefault}}
		found, ok := s.of(cmd, key)
		if ok {
			e.setting = found
		}
		flag := cmd.Flags().Lookup(key)
		switch {
		case !ok && flag != nil && flag.DefValue != "[]":
			e.values = []string{flag.DefValue}
		case ok && flag == nil:
			lake, empty := cmd.Flags().Lookup("lake").Value.String(), cmd.Flags().Lookup("allow-empty").Value.String()
			if lake == "" {
				lake = "lake"
			}
			if err := usagelake.Check(usagelake.Config{Lake: lake, Inputs: found.values, AllowEmpty: empty == "true"}); err != nil {
				faults = append(faults, fmt.Errorf("%s: %s: %w", found.from, key, cause(err)))
			}
		case ok && flag.Changed:
			for _, v := range valuesOf(flag) {
				if err := checkValue(flag, v); err != nil {
					faults = append(faults, fmt.Errorf("%s: %s: %w", found.from, key, err))
				}
			}
		}
		list = append(list, e)
	}
	return list, append(faults, s.span(cmd)...)
}

// span finds what is wrong with the days between two dates that are none by
// themselves.
func (s *settings) span(cmd *cobra.Command) []error {
	from, ok := s.of(cmd, "from")
	flags := []*pflag.Flag{cmd.Flags().Lookup("from"), cmd.Flags().Lookup("to")}
	for _, f := range flags {
		if f == nil || !f.Changed || checkValue(f, f.Value.String()) != nil {
			return nil
		}
	}
	err := usagelake.Check(usagelake.Config{Lake: ".", From: flags[0].Value.String(), To: flags[1].Value.String()})
	if !ok || err == nil {
		return nil
	}
	_, text, _ := strings.Cut(err.Error(), ": ")
	return []error{fmt.Errorf("%s: from: %s", from.from, text)}
}

func valuesOf(f *pflag.Flag) []string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.GetSlice()
	}
	return []string{f.Value.String()}
}

// strangers are the variables of the environment that look like those of flags.
func strangers(root *cobra.Command) (list []string) {
	known := []string{variable("config")}
	for _, cmd := range commands(root) {
		for _, key := range keysOf(cmd) {
			known = append(known, variable(key))
		}
	}
	for _, v := range os.Environ() {
		name, value, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, variable("")) && value != "" && !slices.Contains(known, name) {
			list = append(list, name)
		}
	}
	return list
}

// rest prints what holds for the commands that have no section of their own.
func (s *settings) rest(t *tabwriter.Writer, root *cobra.Command) {
	given := map[string]setting{}
	var keys []string
	for _, cmd := range commands(root) {
		if _, own := s.sections[name(cmd)]; own {
			continue
		}
		for _, key := range keysOf(cmd) {
			if found, ok := s.of(cmd, key); ok && given[key].from == "" {
				given[key] = found
				keys = append(keys, key)
			}
		}
	}
	if len(keys) == 0 {
		return
	}
	fmt.Fprintln(t, "other commands, where they have it")
	for _, key := range keys {
		fmt.Fprintf(t, "  %s\t%s\t%s\n", key, given[key].public(key), given[key].from)
	}
}
