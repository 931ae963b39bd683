// Command gen writes testdata/logs, a small corpus of usage logs, and beside
// it README.md and expected.json, which say what the logs must add up to. The
// data is invented. Run it from the root of the repository:
//
//	go run ./testdata/gen
//
// The same program writes the same bytes. Every record has a time of its own
// or a date in its file's name, since a clone's file times are not ours.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

func main() {
	dir := flag.String("dir", "testdata", "folder to write to")
	flag.Parse()
	if err := run(*dir); err != nil {
		slog.Error("generate", "error", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	files := corpus()
	slices.SortFunc(files, func(a, b *file) int { return strings.Compare(a.name, b.name) })
	logs := filepath.Join(dir, "logs")
	if err := os.RemoveAll(logs); err != nil {
		return err
	}
	for _, f := range files {
		data, err := f.bytes()
		if err != nil {
			return err
		}
		path := filepath.Join(logs, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	books := add(files)
	text, err := json.MarshalIndent(books, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "expected.json"), append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "README.md"), readme(files, books), 0o644)
}

// file is one log of the corpus.
type file struct {
	name, doc string
	same      string // the file that it is a copy of
	crlf, bom bool
	openEnd   bool // no newline at the end
	parts     int  // gzip members or zstd frames
	join      [3]string
	prefix    string // of a record

	lines   []string
	records int
	calls   []*call
	noUsage int
	bad     []string // reasons
}

// call adds a record that is a call.
func (f *file) call(text string, t *tally, id string, at time.Time) {
	t.derive()
	f.calls = append(f.calls, &call{file: f.name, order: f.records, id: id, at: at, sums: t.sums})
	f.record(text)
}

// none adds a record without usage.
func (f *file) none(text string) {
	f.noUsage++
	f.record(text)
}

// wrong adds a record for the quarantine.
func (f *file) wrong(reason, text string) {
	f.bad = append(f.bad, reason)
	f.record(text)
}

func (f *file) record(text string) {
	f.records++
	f.line(f.prefix + text)
}

// line adds what is no record.
func (f *file) line(text string) { f.lines = append(f.lines, text) }

func (f *file) plain() []byte {
	eol := "\n"
	if f.crlf {
		eol = "\r\n"
	}
	between := eol
	if f.join[1] != "" {
		between = f.join[1]
	}
	text := f.join[0] + strings.Join(f.lines, between) + f.join[2]
	if !f.openEnd {
		text += eol
	}
	if f.bom {
		text = "\uFEFF" + text
	}
	return []byte(text)
}

func (f *file) bytes() ([]byte, error) {
	text := f.plain()
	var out bytes.Buffer
	// parts end wherever they end, also inside of a line
	for part := range slices.Chunk(text, len(text)/max(f.parts, 1)+1) {
		var w io.WriteCloser
		var err error
		switch filepath.Ext(f.name) {
		case ".gz":
			w, err = gzip.NewWriterLevel(&out, gzip.BestCompression)
		case ".zst":
			w, err = zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
		default:
			return text, nil
		}
		if err != nil {
			return nil, err
		}
		if _, err = w.Write(part); err == nil {
			err = w.Close()
		}
		if err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

func readme(files []*file, e *expected) []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, `# testdata

`+"`logs`"+` is a small corpus of usage logs: invented data in the shapes that usagelake
reads. `+"`gen`"+` writes it, this page and `+"`expected.json`"+`, from the root of the
repository:

    go run ./testdata/gen

## Files

`)
	for _, f := range files {
		fmt.Fprintf(&b, "- `%s`: %s\n", f.name, f.doc)
	}
	fmt.Fprint(&b, `
## What they add up to

Counted while the logs are written, apart from usagelake; `+"`expected.json`"+` has the
same by column, date and file.

`)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, l := range []struct {
		name  string
		value any
	}{
		{"inputs", fmt.Sprintf("%d, %d of them a copy of another", e.Inputs, e.Same)},
		{"records", e.Records},
		{"rows", e.Rows},
		{"duplicates", e.Duplicates},
		{"no usage", e.NoUsage},
		{"quarantined", e.Quarantined},
		{"event dates", e.Partitions},
		{"input tokens", e.InputTokens},
		{"output tokens", e.OutputTokens},
		{"reported cost", e.ReportedCost + " USD"},
	} {
		fmt.Fprintf(t, "    %s\t%v\n", l.name, l.value)
	}
	t.Flush()
	return b.Bytes()
}
