package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// It reads to the end, whatever the lines are like: one that is no JSON is found
// wherever it stands, and nothing else is.
func TestScan(t *testing.T) {
	long := `{"a":"` + strings.Repeat("x", 3*blockBytes) + `"}` + "\n"
	short := strings.Repeat(`{"b":[1,2]}`+"\n", 60_000)
	for name, text := range map[string]string{
		"short": short, "long": strings.Repeat(long, 5), "both": short + long + short, "no end": short + strings.TrimSpace(long), "empty": "",
	} {
		for _, suffix := range []string{".jsonl", ".gz"} {
			for _, wrong := range []string{"", "{]\n"} {
				for _, text := range []string{text + "\n" + wrong, wrong + text} {
					path := filepath.Join(t.TempDir(), name+suffix)
					data := []byte(text)
					if suffix == ".gz" {
						var b bytes.Buffer
						w := gzip.NewWriter(&b)
						_, _ = w.Write(data)
						if err := w.Close(); err != nil {
							t.Fatal(err)
						}
						data = b.Bytes()
					}
					if err := os.WriteFile(path, data, 0o600); err != nil {
						t.Fatal(err)
					}
					if err := scan(path, threads); (err != nil) != (wrong != "") {
						t.Errorf("%s%s, with %q: %v", name, suffix, wrong, err)
					}
				}
			}
		}
	}
}

// It writes as much as it is shown.
func TestRun(t *testing.T) {
	in, like, out := t.TempDir(), t.TempDir(), t.TempDir()
	for path, size := range map[string]int{filepath.Join(like, "a.parquet"): 100, filepath.Join(like, "b.parquet"): 300_000, filepath.Join(like, "c.json"): 7} {
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(in, "a.jsonl"), []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{in, like, out}); err != nil {
		t.Fatal(err)
	}
	list, err := files(out)
	if err != nil || len(list) != 2 || list[0].size+list[1].size != 300_100 {
		t.Errorf("%+v, %v", list, err)
	}
	if err := run(nil); err == nil {
		t.Error("no arguments, no error")
	}
}
