package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"text/tabwriter"

	"usagelake"
)

// facts are what --version prints: the version first, then what the program was
// made of.
func facts() string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(&b, "usagelake %s\n", usagelake.Version)
	made := map[string]string{}
	sonic := "sonic"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			made[s.Key] = s.Value
		}
		for _, d := range info.Deps {
			if strings.HasSuffix(d.Path, "/sonic") {
				sonic = "sonic " + strings.TrimPrefix(d.Version, "v")
			}
		}
	}
	switch commit := made["vcs.revision"]; {
	case commit == "":
		fmt.Fprintln(t, "commit\tnot known (built with -buildvcs=false, or outside of a clone)")
	case made["vcs.modified"] == "true":
		fmt.Fprintf(t, "commit\t%s of %s, and changes that were not committed\n", commit, made["vcs.time"])
	default:
		fmt.Fprintf(t, "commit\t%s of %s\n", commit, made["vcs.time"])
	}
	fmt.Fprintf(t, "built by\t%s for %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(t, "JSON by\t%s, %s\n", sonic, usagelake.JSONCode())
	t.Flush()
	return b.String()
}
