package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// A config file is a mapping. Its keys are the long names of flags, which hold
// for every command that has the flag, and names of commands, whose mappings hold
// for that command alone and go first:
//
//	lake: /srv/lake
//	memory: 512MiB
//	load:
//	  inputs: [/srv/logs]
//	  memory: 2GiB
//
// inputs stands for the INPUT arguments. The environment goes before the file:
// USAGELAKE_LOCK_WAIT is --lock-wait. The command line goes before both.

// inputsKey is the name of the INPUT arguments among those of the flags.
const inputsKey = "inputs"

// reporting are the flags that say how a run is reported, and as what. They are
// read before all others, since what is wrong with those has to be reported too.
var reporting = []string{"log-format", "metrics-file", "lake"}

// A setting is what a config file or the environment says about a flag.
type setting struct {
	values []string
	list   bool   // they were written as a list
	from   string // file:line, or the variable
}

// settings is a config file, read.
type settings struct {
	file     string
	common   map[string]setting
	sections map[string]map[string]setting // by command
	faults   []error                       // each with its file and line
}

func (s *settings) fault(at *yaml.Node, format string, args ...any) {
	s.faults = append(s.faults, fmt.Errorf("%s:%d: %w", s.file, at.Line, fmt.Errorf(format, args...)))
}

// readSettings reads a config file for the commands below root. Without a file
// there are no settings.
func readSettings(root *cobra.Command, file string) *settings {
	s := &settings{file: file, common: map[string]setting{}, sections: map[string]map[string]setting{}}
	if file == "" {
		return s
	}
	data, err := readConfig(file)
	if err != nil {
		s.faults = append(s.faults, fmt.Errorf("--config: %w", err))
		return s
	}
	var doc, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(&doc); {
	case err == io.EOF:
		return s
	case err != nil:
		s.faults = append(s.faults, fmt.Errorf("%s: %w", file, err))
		return s
	}
	if dec.Decode(&more) != io.EOF {
		s.fault(&more, "a second document; a config file has one")
	}
	keys := map[string][]string{} // by command
	var common []string
	for _, cmd := range commands(root) {
		keys[name(cmd)] = keysOf(cmd)
		common = append(common, keys[name(cmd)]...)
	}
	s.mapping(doc.Content[0], "the file", func(key, value *yaml.Node) {
		of, command := keys[key.Value]
		switch {
		case value.Kind == yaml.MappingNode || command && value.ShortTag() == "!!null":
			if !command {
				s.fault(key, "%s", noCommand(root, key.Value))
				return
			}
			section := map[string]setting{}
			s.sections[key.Value] = section
			if value.Kind != yaml.MappingNode {
				return
			}
			s.mapping(value, key.Value, func(k, v *yaml.Node) {
				if !slices.Contains(of, k.Value) {
					s.fault(k, "%s has no key %q%s", key.Value, k.Value, meant(k.Value, of))
					return
				}
				s.add(section, k, v)
			})
		case command:
			s.fault(key, "%s is a command: want a mapping of its keys, such as {%s: …}", key.Value, of[0])
		case !slices.Contains(common, key.Value):
			s.fault(key, "no key %q%s", key.Value, meant(key.Value, append(common, names(root)...)))
		default:
			s.add(s.common, key, value)
		}
	})
	return s
}

// mostConfig is the most bytes that are read as a config: it may be another file.
const mostConfig = 1 << 20

func readConfig(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, mostConfig+1))
	if len(data) > mostConfig {
		return nil, fmt.Errorf("%s is longer than %d KiB, and no config", file, mostConfig>>10)
	}
	return data, err
}

// noCommand says that a key which has keys is no command.
func noCommand(root *cobra.Command, key string) string {
	var below []string
	for _, of := range names(root) {
		if strings.HasPrefix(of, key+" ") {
			below = append(below, of+":")
		}
	}
	if len(below) > 0 {
		return fmt.Sprintf("%s holds commands: want one of them as a key of the file, %s", key, strings.Join(below, " or "))
	}
	return fmt.Sprintf("no command %q%s", key, meant(key, names(root)))
}

// mapping calls each for the members of a mapping.
func (s *settings) mapping(n *yaml.Node, what string, each func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		if n.ShortTag() != "!!null" {
			s.fault(n, "%s is no mapping of keys to values", what)
		}
		return
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if lines[key.Value] > 0 {
			s.fault(key, "%s stands already in line %d", key.Value, lines[key.Value])
			continue
		}
		lines[key.Value] = key.Line
		each(key, value)
	}
}

func (s *settings) add(to map[string]setting, key, value *yaml.Node) {
	values, list, err := texts(value)
	if err != nil {
		s.fault(key, "%s: %w", key.Value, err)
		return
	}
	to[key.Value] = setting{values: values, list: list, from: fmt.Sprintf("%s:%d", s.file, key.Line)}
}

// texts are the values of a scalar, or of a list of scalars, as they are
// written.
func texts(n *yaml.Node) (values []string, list bool, err error) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items, list = n.Content, true
	}
	values = []string{}
	for _, item := range items {
		if item.Kind == yaml.AliasNode {
			item = item.Alias
		}
		if item.Kind != yaml.ScalarNode || item.ShortTag() == "!!null" {
			return nil, false, errors.New("want a value, or a list of values; put quotes around one that begins with { or [")
		}
		values = append(values, item.Value)
	}
	return values, list, nil
}

// variable is the variable of the environment for a flag.
func variable(key string) string {
	return "USAGELAKE_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

// of finds what holds for a key of a command: the environment, its section, the
// top of the file.
func (s *settings) of(cmd *cobra.Command, key string) (setting, bool) {
	if text := os.Getenv(variable(key)); text != "" {
		found := setting{values: []string{text}, from: variable(key)}
		var n yaml.Node
		if strings.HasPrefix(text, "[") && yaml.Unmarshal([]byte(text), &n) == nil {
			if values, list, err := texts(n.Content[0]); err == nil && takesList(cmd, key) {
				found.values, found.list = values, list
			}
		}
		return found, true
	}
	if found, ok := s.sections[name(cmd)][key]; ok {
		return found, true
	}
	found, ok := s.common[key]
	return found, ok
}

func takesList(cmd *cobra.Command, key string) bool {
	if key == inputsKey {
		return true
	}
	_, list := cmd.Flags().Lookup(key).Value.(pflag.SliceValue)
	return list
}

// apply gives a command's flags what the settings say, except for those of the
// command line.
func (s *settings) apply(cmd *cobra.Command, keys []string) (faults []error) {
	for _, key := range keys {
		flag := cmd.Flags().Lookup(key)
		found, ok := s.of(cmd, key)
		if flag == nil || flag.Changed || !ok {
			continue
		}
		var err error
		switch list, lists := flag.Value.(pflag.SliceValue); {
		case found.list && !lists:
			err = errors.New("takes one value, not a list")
		case found.list:
			err, flag.Changed = list.Replace(found.values), true
		default:
			if err = cmd.Flags().Set(key, found.values[0]); err != nil {
				err = badValue(flag, found.values[0], errors.Unwrap(err)) // without the name of the flag
			}
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %s: %w", found.from, key, err))
		}
	}
	return faults
}

// configured lets the config file and the environment speak for every command
// below root, and the value's kind for completion.
func configured(root *cobra.Command) {
	root.PersistentFlags().String("config", os.Getenv(variable("config")), "YAML `file` of flags by their long names (see config check --help)")
	complete(root)
	for _, cmd := range commands(root) {
		complete(cmd)
		arguments, run := cmd.Args, cmd.RunE
		var inputs []string
		cmd.Args = func(cmd *cobra.Command, given []string) error {
			begin(cmd)
			s := readSettings(root, configFile(cmd))
			faults := append(s.apply(cmd, reporting), s.faults...)
			others := slices.DeleteFunc(keysOf(cmd), func(key string) bool { return slices.Contains(reporting, key) })
			if faults = append(faults, s.apply(cmd, others)...); len(faults) > 0 {
				return &usageError{errors.Join(faults...)}
			}
			inputs = given
			if found, ok := s.of(cmd, inputsKey); ok && takesInputs(cmd) && len(given) == 0 {
				inputs = found.values
			}
			return arguments(cmd, inputs)
		}
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return run(cmd, inputs) }
	}
}

// reportingFlags say how a run of any command is reported.
func reportingFlags(f *pflag.FlagSet) {
	var format string
	f.Var(choose(&format, "text", "text", "json"), "log-format", "`format` of standard error: text, or json, an object a line")
	f.String("metrics-file", "", "`path` of a file for Prometheus' textfile collector; written by rename, also when the run fails")
}

// reportingOnly makes of a command line that could not be read, or be carried
// out, what says how to report that. It reports whether a command was meant that
// is to be measured.
func reportingOnly(cmd *cobra.Command, args []string) bool {
	root := cmd.Root()
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.ParseErrorsAllowlist.UnknownFlags = true
	f.AddFlagSet(root.PersistentFlags())
	if lake := cmd.Flags().Lookup("lake"); lake != nil {
		f.AddFlag(lake)
	}
	_ = f.Parse(args)
	_ = readSettings(root, configFile(cmd)).apply(cmd, reporting)
	return slices.Contains(commands(root), cmd)
}

// configFile is the file that --config names, or the environment.
func configFile(cmd *cobra.Command) string {
	return cmd.Root().PersistentFlags().Lookup("config").Value.String()
}

// commands are those below root that do something, the ones of cobra and those
// about the config left out.
func commands(root *cobra.Command) (list []*cobra.Command) {
	for _, cmd := range root.Commands() {
		switch {
		case cmd.HasSubCommands():
			list = append(list, commands(cmd)...)
		case cmd.Runnable() && !slices.Contains([]string{"help", "completion"}, cmd.Name()):
			list = append(list, cmd)
		}
	}
	return slices.DeleteFunc(list, func(cmd *cobra.Command) bool {
		at := strings.Fields(cmd.CommandPath())[1]
		return at == "config" || at == "completion"
	})
}

func names(root *cobra.Command) (list []string) {
	for _, cmd := range commands(root) {
		list = append(list, name(cmd))
	}
	return list
}

// name is what a command is called below usagelake: prices lint.
func name(cmd *cobra.Command) string {
	_, below, _ := strings.Cut(cmd.CommandPath(), " ")
	return below
}

// takesInputs reports whether a command's arguments are INPUT.
func takesInputs(cmd *cobra.Command) bool { return strings.Contains(cmd.Use, "INPUT...") }

// keysOf are the keys that a command has: its flags and, where it takes them,
// the inputs.
func keysOf(cmd *cobra.Command) (keys []string) {
	if takesInputs(cmd) {
		keys = append(keys, inputsKey)
	}
	cmd.InheritedFlags() // brings them into Flags
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !slices.Contains([]string{"config", "help", "version"}, f.Name) {
			keys = append(keys, f.Name)
		}
	})
	return keys
}

// meant asks whether another name was meant.
func meant(name string, list []string) string {
	if found, ok := nearest(name, list); ok {
		return fmt.Sprintf("; did you mean %q?", found)
	}
	return "; usagelake --help and that of its commands list the names"
}

// nearest is the name that takes the fewest changes of a letter to get to, unless
// these are most of it.
func nearest(to string, list []string) (found string, ok bool) {
	found = slices.MinFunc(list, func(a, b string) int { return distance(to, a) - distance(to, b) })
	return found, 2*distance(to, found) <= len(to)
}

// distance counts the letters to put in, take out or change between two names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0]++
		for j := range len(b) {
			swap := last
			if a[i] != b[j] {
				swap++
			}
			last = row[j+1]
			row[j+1] = min(swap, row[j]+1, last+1)
		}
	}
	return row[len(b)]
}
