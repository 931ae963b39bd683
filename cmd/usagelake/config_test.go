package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// eachFlag calls f for every key of every command that is a flag.
func eachFlag(t *testing.T, f func(t *testing.T, root, cmd *cobra.Command, flag *pflag.Flag)) {
	for _, command := range names(rootCommand()) {
		cmd, _, err := rootCommand().Find(strings.Fields(command))
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keysOf(cmd) {
			if key == inputsKey {
				continue
			}
			t.Run(command+" "+key, func(t *testing.T) {
				root := rootCommand()
				cmd, _, _ := root.Find(strings.Fields(command))
				keysOf(cmd)
				f(t, root, cmd, cmd.Flags().Lookup(key))
			})
		}
	}
}

// A value of a flag's type that is not its default, and another.
func examples(f *pflag.Flag) (one, other string) {
	switch f.Value.Type() {
	case "bool":
		return "true", "false"
	case "int", "int64":
		return "3", "4"
	case "size":
		return "5MiB", "6MiB"
	case "duration":
		return "3s", "4s"
	case "shard":
		return "1/2", "0/3"
	}
	if c, ok := f.Value.(*choice); ok {
		return c.words[len(c.words)-1], c.words[0]
	}
	return "a: {b}", "c, d"
}

// Every flag of every command can be given by the file and by the environment,
// and each goes before those below it.
func TestEveryFlag(t *testing.T) {
	eachFlag(t, func(t *testing.T, root, cmd *cobra.Command, flag *pflag.Flag) {
		one, other := examples(flag)
		want := func(value string) {
			t.Helper()
			fresh, _, _ := rootCommand().Find(strings.Fields(name(cmd)))
			keysOf(fresh)
			if err := fresh.Flags().Set(flag.Name, value); err != nil {
				t.Fatal(err)
			}
			if got, want := fmt.Sprint(flag.Value), fmt.Sprint(fresh.Flags().Lookup(flag.Name).Value); got != want || !flag.Changed {
				t.Errorf("%s, want %s", got, want)
			}
		}
		apply := func(file string) {
			t.Helper()
			path := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
				t.Fatal(err)
			}
			s := readSettings(root, path)
			if faults := append(s.faults, s.apply(cmd, keysOf(cmd))...); len(faults) > 0 {
				t.Fatal(faults)
			}
		}
		unset := func() { flag.Changed = false }
		apply(fmt.Sprintf("%s: %q", flag.Name, one))
		want(one)
		unset()
		apply(fmt.Sprintf("%s: %q\n%s: {%[1]s: %[4]q}", flag.Name, one, name(cmd), other))
		if _, list := flag.Value.(pflag.SliceValue); !list {
			want(other)
		}
		unset()
		t.Setenv("USAGELAKE_"+strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_")), one)
		apply(fmt.Sprintf("%s: %q\n%s: {%[1]s: %[2]q}", flag.Name, other, name(cmd)))
		if _, list := flag.Value.(pflag.SliceValue); !list {
			want(one)
		}
		if err := cmd.Flags().Set(flag.Name, other); err != nil { // the command line
			t.Fatal(err)
		}
		was := fmt.Sprint(flag.Value)
		apply(fmt.Sprintf("%s: %q", flag.Name, one))
		if fmt.Sprint(flag.Value) != was {
			t.Errorf("%s, want %s", flag.Value, was)
		}
	})
}

// The kind of every flag's value is one that completion and config check know,
// or need not know.
func TestKinds(t *testing.T) {
	known := []string{ // what checkValue looks at
		"book", "column=value", "date", "directory", "file", "keyfile", "limit", "path", "pattern", "share", "time", "zone",
	}
	plain := []string{ // what the flag's type says all of, or nobody can check beforehand
		"", "URL", "budget", "bytes", "duration", "format", "id", "kind", "name", "name=column", "number", "part",
	}
	eachFlag(t, func(t *testing.T, root, cmd *cobra.Command, flag *pflag.Flag) {
		kind, _ := pflag.UnquoteUsage(flag)
		if !slices.Contains(known, kind) && !slices.Contains(plain, kind) {
			t.Errorf("kinds.go does not know %q; use one of its words in backquotes, or add this one", kind)
		}
	})
}

// The config in deploy says nothing wrong; deploy/check runs a night by it.
func TestExampleConfig(t *testing.T) {
	s := readSettings(rootCommand(), "../../deploy/usagelake.yaml")
	faults := s.faults
	for _, command := range names(rootCommand()) {
		_, wrong := s.effective(command)
		faults = append(faults, wrong...)
	}
	for _, f := range faults {
		if !strings.Contains(f.Error(), "no such file") && !strings.Contains(f.Error(), "no file found") { // its paths are of another machine
			t.Error(f)
		}
	}
	if len(s.common)+len(s.sections["load"]) < 8 {
		t.Errorf("%v: too little of an example", s)
	}
}

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "ab", 2}, {"load", "load", 0}, {"laod", "load", 2}, {"lod", "load", 1}, {"loads", "load", 1}, {"plan", "load", 3}, {"memroy", "memory", 2},
	} {
		if got := distance(c.a, c.b); got != c.want || got != distance(c.b, c.a) {
			t.Errorf("%s, %s: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// A metrics file keeps the series of others whatever the names, and is the same
// text whoever wrote first.
func TestMetrics(t *testing.T) {
	lakes := []string{"/lake", `/a "lake"`, `/b\`, "/c\nd", "/e}", "/f\xff", `/g",lake="/lake`}
	var file []byte
	for i, lake := range lakes {
		file = metrics(file, "load", lake, map[string]float64{"build_info": 1, "rows": float64(i), "last_success_timestamp_seconds": 1e9})
		file = append(file, "usagelake_rows{command=\"load\nnonsense\n"...)
	}
	for i, lake := range lakes { // once more, and now it fails
		file = metrics(file, "load", lake, map[string]float64{"build_info": 1, "exit_code": float64(i)})
	}
	text := string(file)
	line := regexp.MustCompile(`^(# (HELP|TYPE) usagelake_[a-z_]+ .+|usagelake_[a-z_]+\{([a-z]+="([^"\\]|\\[\\"n])*",?)+\} [0-9.]+)$`)
	for l := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if !line.MatchString(l) {
			t.Errorf("no line of the format: %q", l)
		}
	}
	for metric, want := range map[string]int{"build_info": len(lakes), "exit_code": len(lakes), "last_success_timestamp_seconds": len(lakes), "rows": 0} {
		if got := strings.Count(text, "\nusagelake_"+metric+"{"); got != want {
			t.Errorf("%s: %d series, want %d\n%s", metric, got, want, text)
		}
		if got := strings.Count(text, "# TYPE usagelake_"+metric+" "); got != min(want, 1) {
			t.Errorf("%s: %d headers", metric, got)
		}
	}
}

// A file that is no config, such as a log, is not read to its end.
func TestLargeConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(file, bytes.Repeat([]byte("# nothing\n"), mostConfig/10+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readConfig(file); err == nil || !strings.Contains(err.Error(), "is longer than 1024 KiB, and no config") {
		t.Error(err)
	}
}
