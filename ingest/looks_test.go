package ingest

import (
	"strings"
	"testing"
)

func TestLooks(t *testing.T) {
	for head, want := range map[string]string{
		"\xff\xfe{\x00\"\x00":                  "UTF-16",
		"\xfe\xff\x00{":                        "UTF-16",
		"{\x00\"\x00a\x00":                     "UTF-16",
		"\x00{\x00\"":                          "UTF-16",
		"PAR1\x15\x04":                         "Parquet",
		"PK\x03\x04\x14":                       "ZIP",
		strings.Repeat("a", 257) + "ustar\x00": "tar",
		"BZh91AY":                              "bzip2",
		"\xfd7zXZ\x00\x00":                     "xz",
		"\x04\x22\x4d\x18\x64":                 "lz4",
		"<!DOCTYPE html>":                      "HTML",
	} {
		if got := Looks([]byte(head)); !strings.Contains(got, want) {
			t.Errorf("Looks(%q) = %q, want %s", head, got, want)
		}
	}
	for _, head := range []string{"", "{", "\xff", `{"usage":{}}`, "\xef\xbb\xbf{}", "[1]", "data: {}", "a,b\n", strings.Repeat(" ", 260)} {
		if got := Looks([]byte(head)); got != "" {
			t.Errorf("Looks(%q) = %q", head, got)
		}
	}
}
