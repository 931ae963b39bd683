package usagelake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"usagelake/ingest"
	"usagelake/schemas"
	"usagelake/transform"
)

// Explained is how a document was read: a record, or a call within one.
type Explained = transform.Explained

// Format is a shape of records that is read.
type Format = transform.Format

// Formats lists the shapes that are read, in the order they are tried.
func Formats() []Format { return transform.Formats() }

// Inspected is a sample of the records of one shape.
type Inspected struct {
	Line  int64 `json:"line"`  // of the sample, the first of its shape
	Count int64 `json:"count"` // records of the shape
	// Outcome is what became of it: that of its Parts, or why it is no record
	// that could be read.
	Outcome string      `json:"outcome"`
	Parts   []Explained `json:"parts,omitempty"` // the record, and the calls within it
}

// Inspect reads a file as a load with this Config would, and tells how its
// records are read: for the first of each shape, most shapes at most. Nothing is
// written.
func Inspect(ctx context.Context, cfg Config, path string, most int) ([]Inspected, error) {
	if most < 1 {
		return nil, fmt.Errorf("%w: --samples %d: want 1 or more", ErrUsage, most)
	}
	cfg.Lake = cmp.Or(cfg.Lake, "none")
	s, err := cfg.check()
	if err != nil {
		return nil, err
	}
	objects, err := s.objects([]string{path})
	if err != nil {
		return nil, err
	}
	inputs, err := ingest.Discover(ctx, []string{path}, "", objects)
	if _, ok := errors.AsType[*ingest.NoMatchError](err); ok {
		return nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if err != nil {
		return nil, err
	}
	if len(inputs) != 1 {
		return nil, fmt.Errorf("%w: %s is %d files; inspect looks at one", ErrUsage, path, len(inputs))
	}
	stream, err := ingest.Open(ctx, inputs[0])
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	i := inspection{
		walker: s.dialects().walker(), seen: map[string]int{}, said: transform.Memory{}, most: most,
		norm: transform.NewNormalizer(transform.Options{
			Dialects: s.dialects().Dialects,
			Location: s.location,
			Walker:   func() transform.Walker { return s.dialects().walker() },
			Prices:   s.pricer(),
		}),
	}
	s.besides(&i.source, inputs[0].File, inputs[0].ModTime.UnixMicro())
	r := ingest.NewReader(stream, ingest.ReaderOptions{MaxLine: s.MaxLine, Final: true})
	for {
		b, err := r.Next()
		if errors.Is(err, io.EOF) {
			return i.list, nil
		}
		if err != nil {
			return i.list, err
		}
		b.Each(func(d ingest.Doc) { i.add(&d) })
		b.Free()
	}
}

type inspection struct {
	walker *ingest.Walker
	norm   *transform.Normalizer
	source transform.Source
	said   transform.Memory
	seen   map[string]int // place in list, by shape
	list   []Inspected
	most   int
}

func (i *inspection) add(d *ingest.Doc) {
	in := Inspected{Line: d.Line, Count: 1}
	if reason := i.unread(d); reason != "" {
		in.Outcome = string(reason)
	} else {
		in.Parts = i.norm.Explain(d.Data, &i.source, i.said)
		if in.Outcome = outcome(in.Parts); in.Outcome == "not claimed" {
			in.Outcome = "no usage"
			if transform.Betrays(i.walker, d.Data) {
				in.Outcome = string(schemas.UnknownUsage)
			}
		}
	}
	shape := in.shape()
	if at, ok := i.seen[shape]; ok {
		i.list[at].Count++
		return
	}
	if len(i.list) == i.most {
		return
	}
	i.seen[shape] = len(i.list)
	i.list = append(i.list, in)
}

// outcome is that of a record with these parts: as many rows, or why one of them is
// bad, or that of the first.
func outcome(parts []transform.Explained) string {
	rows := 0
	for _, p := range parts {
		switch p.Outcome {
		case "row":
			rows++
		case "no usage", "not claimed":
		default:
			return p.Outcome
		}
	}
	switch rows {
	case 0:
		return parts[0].Outcome
	case 1:
		return "row"
	}
	return fmt.Sprint(rows, " rows")
}

func (i *inspection) unread(d *ingest.Doc) schemas.Reason {
	if d.Reason != "" {
		return d.Reason
	}
	if _, err := i.walker.Walk(d.Data); err != nil {
		return unread(err)
	}
	return ""
}

// shape is the same for records that are read alike.
func (in *Inspected) shape() string {
	var b strings.Builder
	b.WriteString(in.Outcome)
	for _, p := range in.Parts {
		fmt.Fprintf(&b, "\n%s %s %s %s %q", p.Outcome, p.Dialect, p.Shape, p.Envelope, p.Unknown)
		for _, v := range p.Values {
			fmt.Fprintf(&b, " %s<%s", v.Column, v.From)
		}
	}
	return b.String()
}
