package logs

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

var start = time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)

func specs() map[string]Spec {
	base := Spec{Workload: "slim", Lines: 9000, Files: 1, Days: 8, Start: start, Compress: "none", Seed: 1}
	with := func(change func(s *Spec)) Spec {
		s := base
		change(&s)
		return s
	}
	return map[string]Spec{
		"slim":        base,
		"gz":          with(func(s *Spec) { s.Compress, s.Files = "gz", 3 }),
		"zst":         with(func(s *Spec) { s.Compress, s.Files = "zst", 3 }),
		"many files":  with(func(s *Spec) { s.Lines, s.Files, s.Dated = 1000, 300, true }),
		"days":        with(func(s *Spec) { s.Days, s.Interleave, s.Files = 400, true, 7 }),
		"copies":      with(func(s *Spec) { s.Copies = 0.1 }),
		"envelope":    with(func(s *Spec) { s.Copies, s.Envelope, s.Interleave = 0.4, true, true }),
		"chat":        with(func(s *Spec) { s.Workload, s.Copies = "chat", 0.01 }),
		"image":       with(func(s *Spec) { s.Workload, s.Lines, s.Copies = "image", 20, 0.5 }),
		"image event": with(func(s *Spec) { s.Workload, s.Lines, s.Envelope, s.Copies = "image", 20, true, 0.5 }),
	}
}

// record is a line as encoding/json reads it.
type record struct {
	Timestamp *time.Time
	Response  *record

	ID      string
	Created *int64
	Data    []struct {
		B64 []byte `json:"b64_json"`
	}
	Choices []struct{ Message struct{ Content string } }
	Usage   struct {
		Prompt     int64       `json:"prompt_tokens"`
		Completion int64       `json:"completion_tokens"`
		Input      int64       `json:"input_tokens"`
		Output     int64       `json:"output_tokens"`
		Total      int64       `json:"total_tokens"`
		Cost       json.Number `json:"cost"`
		InDetails  struct {
			Cached int64 `json:"cached_tokens"`
		} `json:"prompt_tokens_details"`
		OutDetails struct {
			Reasoning int64 `json:"reasoning_tokens"`
		} `json:"completion_tokens_details"`
		Parts struct {
			Text  int64 `json:"text_tokens"`
			Image int64 `json:"image_tokens"`
		} `json:"input_tokens_details"`
	}
}

// decode reads a line: when, which call, and what is added up.
func decode(t *testing.T, s Spec, line []byte) (at time.Time, id string, sums Sums) {
	t.Helper()
	var r record
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatalf("%v in %.300s", err, line)
	}
	if (r.Timestamp != nil) != s.Envelope || (r.Response != nil) != s.Envelope {
		t.Fatalf("envelope: %.300s", line)
	}
	if s.Envelope {
		at = *r.Timestamp
		r = *r.Response
	}
	if (r.Created == nil) != s.Envelope {
		t.Fatalf("created: %.300s", line)
	}
	if r.Created != nil {
		at = time.Unix(*r.Created, 0).UTC()
	}
	id = r.ID
	u := r.Usage
	sums = Sums{Input: u.Prompt, Output: u.Completion, Total: u.Total}
	switch s.Workload {
	case "image":
		id = string(r.Data[0].B64)
		sums.Input, sums.Output = u.Input, u.Output
		if u.Parts.Text+u.Parts.Image != u.Input {
			t.Errorf("parts of the input: %+v", u)
		}
	case "chat":
		if r.Choices[0].Message.Content == "" && len(line) > 900 {
			t.Errorf("no content: %s", line)
		}
	case "slim":
		cost, ok := new(big.Rat).SetString(u.Cost.String())
		if !ok {
			t.Fatalf("cost %s", u.Cost)
		}
		cost.Mul(cost, big.NewRat(1e9, 1))
		if !cost.IsInt() {
			t.Fatalf("cost %s", u.Cost)
		}
		sums.Cost = cost.Num().Int64()
	}
	if id == "" || u.InDetails.Cached > u.Prompt || u.OutDetails.Reasoning > u.Completion || sums.Total != sums.Input+sums.Output {
		t.Errorf("no good call: %.300s", line)
	}
	return at, id, sums
}

// TestWrite holds what Write says against what encoding/json reads.
func TestWrite(t *testing.T) {
	for name, s := range specs() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			w, err := Write(s, dir)
			if err != nil {
				t.Fatal(err)
			}
			got := Written{Spec: s}
			calls, made := make(map[string]Sums), make(map[string]time.Time)
			days := make(map[string]bool)
			lines, moved := 0, false // some copy has another time than its call
			var before time.Time
			names, err := os.ReadDir(dir)
			if err != nil || len(names) != s.Files {
				t.Fatalf("%d files, %v", len(names), err)
			}
			for _, entry := range names {
				ofFile := make(map[string]bool)
				data := content(t, &got, filepath.Join(dir, entry.Name()))
				for line := range bytes.Lines(data) {
					lines++
					got.Bytes += int64(len(line))
					at, id, sums := decode(t, s, line)
					if at.Before(start) || !at.Before(start.AddDate(0, 0, s.Days)) {
						t.Errorf("time %s", at)
					}
					if !s.Interleave && s.Copies == 0 && at.Before(before.Add(-jitter*time.Second)) {
						t.Errorf("%s long before %s", at, before)
					}
					before = at
					days[at.Format(time.DateOnly)] = true
					ofFile[at.Format(time.DateOnly)] = true
					got.Logged.Add(sums)
					if old, ok := calls[id]; ok {
						if sums.Output >= old.Output || sums.Input != old.Input {
							t.Errorf("copy with %+v of %+v", sums, old)
						}
						behind := at.Sub(made[id])
						if behind < 0 || behind >= late*time.Second || behind > 0 && (!s.Envelope || s.Workload == "image") {
							t.Errorf("copy %s behind its call", behind)
						}
						moved = moved || behind > 0
						continue
					}
					calls[id], made[id] = sums, at
				}
				if s.Interleave && len(ofFile) != s.Days {
					t.Errorf("%s: %d days", entry.Name(), len(ofFile))
				}
				if s.Dated && !strings.Contains(entry.Name(), "-2026-08-0") {
					t.Errorf("%s: no date", entry.Name())
				}
			}
			for _, sums := range calls {
				got.Calls++
				got.Table.Add(sums)
			}
			if got != w || lines != s.Lines || len(days) != s.Days && s.Lines > 100 {
				t.Errorf("%d lines, %d days\nread  %+v\nwrote %+v", lines, len(days), got, w)
			}
			if want := s.Envelope && s.Workload != "image"; moved != want {
				t.Errorf("copies with a time of their own: %v, want %v", moved, want)
			}
			if copies := float64(s.Lines) - float64(w.Calls); copies < s.Copies*float64(s.Lines)/2 || copies > s.Copies*float64(s.Lines)*2 {
				t.Errorf("%v copies, want a share of %v", copies, s.Copies)
			}
		})
	}
}

// content returns the decompressed bytes of a file and adds its size.
func content(t *testing.T, w *Written, path string) []byte {
	t.Helper()
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	w.Stored += int64(len(stored))
	r := io.Reader(bytes.NewReader(stored))
	switch w.Compress {
	case "gz":
		r, err = gzip.NewReader(r)
	case "zst":
		r, err = zstd.NewReader(bufio.NewReader(r))
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestBytesDependOnTheSpecAlone also shows that they do depend on the seed.
func TestBytesDependOnTheSpecAlone(t *testing.T) {
	all := func(s Spec, cpus int) string {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cpus))
		dir := filepath.Join(t.TempDir(), "new")
		if _, err := Write(s, dir); err != nil {
			t.Fatal(err)
		}
		names, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, n := range names {
			data, err := os.ReadFile(filepath.Join(dir, n.Name()))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&text, "%s %d\n%s", n.Name(), len(data), data)
		}
		return text.String()
	}
	for name, s := range specs() {
		t.Run(name, func(t *testing.T) {
			one := all(s, 1)
			if all(s, 4) != one {
				t.Error("four CPUs write other bytes than one")
			}
			s.Seed++
			if all(s, 2) == one {
				t.Error("another seed writes the same bytes")
			}
		})
	}
}

// TestSizes holds the mean and the bounds of a line against the workloads'
// description.
func TestSizes(t *testing.T) {
	for _, test := range []struct {
		workload             string
		lines                int
		mean, shortest, most int // within 5 %
	}{
		{"slim", 20000, 507, 480, 540},
		{"chat", 20000, 2600, 300, 4000},
		{"image", 150, 824_000, 200_000, 1_401_000},
	} {
		s := Spec{Workload: test.workload, Lines: test.lines, Files: 1, Days: 8, Start: start, Compress: "none", Seed: 1}
		data := s.fill(piece{to: s.Lines}).data
		for line := range bytes.Lines(data) {
			if len(line) < test.shortest || len(line) > test.most {
				t.Errorf("%s: a line of %d bytes", test.workload, len(line))
			}
		}
		if mean := len(data) / s.Lines; mean < test.mean*95/100 || mean > test.mean*105/100 {
			t.Errorf("%s: mean %d, want %d", test.workload, mean, test.mean)
		}
	}
}

func TestRefused(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "x"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	good := specs()["slim"]
	if _, err := Write(good, full); err == nil {
		t.Error("a directory that is not empty is no error")
	}
	for name, change := range map[string]func(s *Spec){
		"workload": func(s *Spec) { s.Workload = "fat" },
		"compress": func(s *Spec) { s.Compress = "" },
		"lines":    func(s *Spec) { s.Lines = 0 },
		"files":    func(s *Spec) { s.Files = s.Lines + 1 },
		"days":     func(s *Spec) { s.Days = 401 },
		"start":    func(s *Spec) { s.Start = s.Start.Add(time.Hour) },
		"copies":   func(s *Spec) { s.Copies = 0.9 },
	} {
		s := good
		change(&s)
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkFill(b *testing.B) {
	for _, workload := range []string{"slim", "chat", "image"} {
		b.Run(workload, func(b *testing.B) {
			s := Spec{Workload: workload, Lines: 1 << 20, Files: 1, Days: 8, Seed: 1, Compress: "none"}
			var p piece
			for b.Loop() {
				p = s.fill(piece{data: p.data[:0], to: pieceLines[workload]})
			}
			b.SetBytes(int64(len(p.data)))
		})
	}
}
