package ingest

import "bytes"

// Looks says what a file that begins with head seems to be, and what to do, where it is
// of a kind that holds no records as they are read here; "" where it may hold some.
func Looks(head []byte) string {
	for _, k := range kinds {
		if len(head) >= k.at && bytes.HasPrefix(head[k.at:], []byte(k.magic)) {
			return k.name
		}
	}
	return ""
}

var kinds = []struct {
	at    int
	magic string
	name  string
}{
	{0, "\xff\xfe", utf16},
	{0, "\xfe\xff", utf16},
	{0, "{\x00", utf16},
	{0, "\x00{", utf16},
	{0, "PAR1", "a Parquet file; its records must be JSON"},
	{0, "PK\x03\x04", "a ZIP archive; unpack it first"},
	{257, "ustar", "a tar archive; unpack it first"},
	{0, "BZh", "a bzip2 file; decompress it first, or use gzip or zstd"},
	{0, "\xfd7zXZ\x00", "an xz file; decompress it first, or use gzip or zstd"},
	{0, "\x04\x22\x4d\x18", "an lz4 file; decompress it first, or use gzip or zstd"},
	{0, "<", "HTML or XML; its records must be JSON"},
}

const utf16 = "UTF-16 text; make it UTF-8 first (iconv -f UTF-16 -t UTF-8)"
