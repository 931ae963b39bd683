package usagelake_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake"
	"usagelake/ingest"
	"usagelake/schemas"
	"usagelake/transform"
)

// The example logs add up to what their generator knows it wrote, and no
// memory of a load is left behind.
func TestExampleLogs(t *testing.T) {
	var want struct {
		Inputs      int               `json:"inputs"`
		Same        int               `json:"same"`
		Records     int64             `json:"records"`
		Rows        int64             `json:"rows"`
		Duplicates  int64             `json:"duplicates"`
		NoUsage     int64             `json:"no_usage"`
		Quarantined int64             `json:"quarantined"`
		Partitions  int               `json:"partitions"`
		Sums        map[string]string `json:"sums"`
		NotNull     map[string]int    `json:"not_null"`
	}
	data, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	lake := filepath.Join(t.TempDir(), "lake")
	cfg := usagelake.Config{Inputs: []string{"testdata/logs"}, Lake: lake, Allocator: mem}
	r := load(t, cfg)
	mem.AssertSize(t, 0)
	b := r.Books
	if len(r.Inputs) != want.Inputs || len(r.Partitions) != want.Partitions ||
		b.Records != want.Records || b.Rows != want.Rows || b.Duplicates != want.Duplicates ||
		b.NoUsage != want.NoUsage || b.Quarantined != want.Quarantined || len(r.Problems) != 0 {
		t.Errorf("inputs %d, partitions %d, books %+v, problems %q", len(r.Inputs), len(r.Partitions), b, r.Problems)
	}
	notNull := map[string]int{}
	for _, row := range rows(t, lake) {
		for name := range row {
			notNull[name]++
		}
	}
	for c := range schemas.NumColumns {
		name := c.String()
		if v, ok := want.Sums[name]; ok && b.RowSums.Text(c) != v {
			t.Errorf("%s adds up to %s, want %s", name, b.RowSums.Text(c), v)
		}
		if v, ok := want.NotNull[name]; ok && notNull[name] != v {
			t.Errorf("%s has %d values, want %d", name, notNull[name], v)
		}
	}
	again := load(t, cfg)
	mem.AssertSize(t, 0)
	if again.Seq != 0 || again.Books.Records != 0 || len(again.Files) != 0 {
		t.Errorf("loaded again: %+v", again)
	}
}

// Whatever a document holds: no panic, and what its text reports is what its
// rows hold.
func FuzzRecord(f *testing.F) {
	inputs, err := filepath.Glob("testdata/golden/*.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range inputs {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for start, i := 0, 0; i < len(data); i++ {
			if data[i] == '\n' {
				f.Add(data[start:i])
				start = i + 1
			}
		}
	}
	dialects := transform.Compile(nil)
	walker := ingest.NewWalker(dialects.Layout())
	normalizer := transform.NewNormalizer(transform.Options{
		Dialects: dialects,
		Walker:   func() transform.Walker { return ingest.NewWalker(dialects.Layout()) },
	})
	said := transform.Memory{}
	row := schemas.NewBuilder(memory.DefaultAllocator)
	source := &transform.Source{Time: schemas.MinTime, TimeFrom: schemas.FromFlag, Fill: []transform.Fill{{Col: schemas.Model, Value: "m"}}}
	f.Fuzz(func(t *testing.T, doc []byte) {
		rec, err := walker.Walk(doc)
		if err != nil {
			return
		}
		var in, out schemas.Sums
		add := func() {
			out.AddRow(row)
			if at := row.Int(schemas.EventTime); at < schemas.MinTime || at >= schemas.MaxTime {
				t.Errorf("event time %d", at)
			}
		}
		switch normalizer.Apply(rec, source, row, &in) {
		case transform.IsRow:
			add()
		case transform.IsMore:
			normalizer.More(rec.Doc, source, row, &in, said, add)
		}
		for c := range schemas.NumColumns {
			if c.Additive() && !transform.Derived(c) && in.At(c) != out.At(c) {
				t.Errorf("%s: the record reports %s, its rows hold %s", c, in.Text(c), out.Text(c))
			}
		}
	})
}
