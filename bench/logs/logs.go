// Package logs writes invented usage logs of any size, and says what they add
// up to. A line is a function of the seed and its number: the same Spec gives
// the same bytes on any machine with any number of CPUs, in memory that does
// not depend on its size.
package logs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Spec says which logs to write.
type Spec struct {
	Workload string    `json:"workload"` // slim, chat, image or mixed
	Lines    int       `json:"lines"`
	Files    int       `json:"files"` // that the lines are cut into, in order
	Days     int       `json:"days"`  // event times are spread over these days, UTC
	Start    time.Time `json:"start"` // midnight of the first day
	Compress string    `json:"compress"`
	Seed     uint64    `json:"seed"`

	// Interleave: the days alternate from line to line, so that every file
	// holds them all. Otherwise they follow each other.
	Interleave bool `json:"interleave"`
	// Envelope: the time is the timestamp of an envelope around the body,
	// which has none. A call's copies then differ in time, also in day.
	Envelope bool `json:"envelope"`
	// Dated: file names hold the day of their first line.
	Dated bool `json:"dated"`
	// Copies is the share of lines that repeat an earlier call with fewer
	// output tokens.
	Copies float64 `json:"copies"`
}

// Check returns what is wrong with the spec.
func (s *Spec) Check() error {
	switch {
	case bodies[s.Workload] == nil:
		return fmt.Errorf("workload %q: want slim, chat, image or mixed", s.Workload)
	case s.Workload == "mixed" && (s.Envelope || s.Copies > 0):
		return errors.New("mixed logs have envelopes of their own, and no copies")
	case extensions[s.Compress] == "":
		return fmt.Errorf("compress %q: want none, gz or zst", s.Compress)
	case s.Lines < 1:
		return fmt.Errorf("lines %d: want 1 or more", s.Lines)
	case s.Files < 1 || s.Files > s.Lines:
		return fmt.Errorf("files %d: want 1 to the number of lines, %d", s.Files, s.Lines)
	case s.Days < 1 || s.Days > 400:
		return fmt.Errorf("days %d: want 1 to 400", s.Days)
	case s.Start.Unix()%day != 0:
		return fmt.Errorf("start %s: want midnight UTC", s.Start)
	case s.Copies < 0 || s.Copies > 0.5:
		return fmt.Errorf("copies %v: want 0 to 0.5", s.Copies)
	}
	return nil
}

// Written is what was written.
type Written struct {
	Spec
	Bytes  int64 `json:"bytes"`        // of the lines
	Stored int64 `json:"stored_bytes"` // of the files
	Calls  int64 `json:"calls"`        // lines that are no copies
	Table  Sums  `json:"table"`        // sums of the calls: what a table without copies holds
	Logged Sums  `json:"logged"`       // sums of the lines, copies included
}

// Sums are exact.
type Sums struct {
	Input  int64 `json:"input_tokens"`
	Output int64 `json:"output_tokens"`
	Total  int64 `json:"total_tokens"`
	Cost   int64 `json:"cost_nano_usd"` // 10^-9 dollars
}

// Add adds others to s.
func (s *Sums) Add(o Sums) {
	s.Input += o.Input
	s.Output += o.Output
	s.Total += o.Total
	s.Cost += o.Cost
}

var extensions = map[string]string{"none": ".jsonl", "gz": ".jsonl.gz", "zst": ".jsonl.zst"}

// piece is a run of lines of one file; the unit of parallel work.
type piece struct {
	file, from, to int // lines from..to-1
	data           []byte
	calls          int64
	table, logged  Sums
}

// pieceLines bounds the lines of a piece, so that its text is 2 to 3 MB.
var pieceLines = map[string]int{"slim": 4096, "chat": 1024, "image": 2, "mixed": 4096}

// Write writes the logs into the empty or missing directory dir.
func Write(s Spec, dir string) (Written, error) {
	w := Written{Spec: s}
	if err := s.Check(); err != nil {
		return w, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return w, err
	}
	if names, err := os.ReadDir(dir); err != nil {
		return w, err
	} else if len(names) > 0 {
		return w, fmt.Errorf("%s is not empty", dir)
	}

	// Pieces are made side by side and arrive in order: a slot of the queue is
	// a piece's promise. Buffers come back through free.
	width := 2 * runtime.GOMAXPROCS(0)
	queue, free := make(chan chan piece, width), make(chan []byte, width+2)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		defer close(queue)
		for file := range s.Files {
			end := s.first(file + 1)
			for from := s.first(file); from < end; from += pieceLines[s.Workload] {
				promise := make(chan piece, 1)
				select {
				case queue <- promise:
				case <-stop:
					return
				}
				p := piece{file: file, from: from, to: min(end, from+pieceLines[s.Workload])}
				go func() {
					select {
					case p.data = <-free:
					default:
					}
					promise <- s.fill(p)
				}()
			}
		}
	}()

	out, current := &output{compress: s.Compress}, -1
	defer out.abort()
	for promise := range queue {
		p := <-promise
		if p.file != current {
			if err := out.next(filepath.Join(dir, s.name(p.file))); err != nil {
				return w, err
			}
			current = p.file
		}
		if _, err := out.to.Write(p.data); err != nil {
			return w, err
		}
		w.Bytes += int64(len(p.data))
		w.Calls += p.calls
		w.Table.Add(p.table)
		w.Logged.Add(p.logged)
		select {
		case free <- p.data[:0]:
		default:
		}
	}
	if err := out.finish(); err != nil {
		return w, err
	}
	w.Stored = out.stored
	return w, nil
}

// first is the number of a file's first line.
func (s *Spec) first(file int) int {
	return int(int64(file) * int64(s.Lines) / int64(s.Files))
}

func (s *Spec) name(file int) string {
	name := s.Workload
	if s.Dated {
		name += time.Unix(s.time(s.first(file)), 0).UTC().Format("-2006-01-02")
	}
	return fmt.Sprintf("%s-%05d%s", name, file, extensions[s.Compress])
}

// output writes one file after the other.
type output struct {
	compress string
	file     *os.File
	buffer   *bufio.Writer  // before the file, behind the compressor
	packer   io.WriteCloser // nil where nothing is compressed
	to       io.Writer      // where lines go
	stored   int64
}

// next finishes the file before and begins another.
func (o *output) next(path string) error {
	if err := o.finish(); err != nil {
		return err
	}
	var err error
	if o.file, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644); err != nil {
		return err
	}
	o.to = o.file
	if o.compress == "none" {
		return nil
	}
	if o.buffer == nil {
		o.buffer = bufio.NewWriterSize(nil, 1<<20)
	}
	o.buffer.Reset(o.file)
	switch p := o.packer.(type) {
	case *gzip.Writer:
		p.Reset(o.buffer)
	case *zstd.Encoder:
		p.Reset(o.buffer)
	default:
		if o.compress == "gz" {
			o.packer = gzip.NewWriter(o.buffer)
		} else if o.packer, err = zstd.NewWriter(o.buffer, zstd.WithEncoderConcurrency(1)); err != nil {
			return err
		}
	}
	o.to = o.packer
	return nil
}

func (o *output) finish() error {
	if o.file == nil {
		return nil
	}
	if o.packer != nil {
		if err := o.packer.Close(); err != nil {
			return err
		}
		if err := o.buffer.Flush(); err != nil {
			return err
		}
	}
	info, err := o.file.Stat()
	if err != nil {
		return err
	}
	o.stored += info.Size()
	err = o.file.Close()
	o.file = nil
	return err
}

// abort closes what an error left open.
func (o *output) abort() {
	if o.file != nil {
		_ = o.file.Close() // the error before it is the one to report
	}
}
