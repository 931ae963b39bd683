package main

import (
	"io"
	"reflect"
	"slices"
	"testing"
)

// TestFlags gives every flag of load, and wants every field of a Config to be set
// that a command line can set.
func TestFlags(t *testing.T) {
	o, err := parse([]string{
		"logs", "--lake=lake", "--run=a", "--set=model=m", "--path-columns={date}/*", "--map=m", "--prices=p", "--event-time=2026-01-01", "--strict-time",
		"--tz=UTC", "--max-quarantine=2", "--quarantine-raw", "--max-line=9", "--hash-ids=k", "--hash-ids-rotate", "--split=9", "--from=2026-01-01",
		"--to=2026-01-02", "--allow-empty", "--buckets=2", "--max-partitions=9", "--codec=snappy", "--jobs=2", "--memory=9", "--lock-wait=1s",
		"s3://logs/more", "--parallelism=3",
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	not := []string{"Allocator", "Log", "Progress", "FS", "Objects", "Now"}
	cfg := reflect.ValueOf(o.cfg)
	for i := range cfg.NumField() {
		if name := cfg.Type().Field(i).Name; cfg.Field(i).IsZero() && !slices.Contains(not, name) {
			t.Errorf("no flag sets %s", name)
		}
	}
	if len(o.cfg.Inputs) != 2 || o.cfg.Inputs[1] != "s3://logs/more" || o.cfg.Inputs[0] == "logs" {
		t.Errorf("inputs are %q: want a whole path, and a URL as it is", o.cfg.Inputs)
	}
	for _, wrong := range [][]string{
		{"logs", "--run=a"},
		{"logs", "--lake=l"},
		{"-", "--lake=l", "--run=a"},
		{"logs", "--lake=l", "--run=a", "--pieces=0"},
		{"logs", "--lake=l", "--run=a", "--no-such"},
	} {
		if _, err := parse(wrong, io.Discard); err == nil {
			t.Errorf("%q: no error", wrong)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"logs"}, exitUsage},
		{[]string{"no-such-logs", "--lake=" + t.TempDir(), "--run=a"}, exitUsage},
		{[]string{"--lake=" + t.TempDir() + "/none", "--run=a"}, exitFailed},
		{[]string{"../testdata/logs", "--lake=" + t.TempDir(), "--run=a", "--max-quarantine=0"}, exitProblems},
	} {
		if _, code := program(t, nil, c.args...); code != c.want {
			t.Errorf("%q: exit code %d, want %d", c.args, code, c.want)
		}
	}
}
