package sink

import (
	"bytes"
	"testing"
	"fmt"
	"github.com/apache/arrow/go/v17/arrow/memory"
	"usagelake/schemas"
	"github.com/parquet-go/parquet-go"
)

func TestX(t *testing.T) {
	bld := schemas.NewBuilder(memory.DefaultAllocator)
	src := &Sources{}
	s := src.Intern(Source{"a.jsonl", "00"})
	day := schemas.Day(20000)
	var r schemas.Row
	rows := Rows{Sources: src}
	for i := range 40000 {
		r.Reset()
		r.Source = s
		r.SetInt(schemas.EventTime, day.Start()+int64(i/2))
		r.SetInt(schemas.SourceLine, int64(i))
		r.SetInt(schemas.SourceRow, 0)
		r.SetString(schemas.Model, "")
		r.SetString(schemas.RequestID, fmt.Sprint("id-", i))
		r.SetDouble(schemas.InputTokens, float64(i%100))
		bld.Append(&r)
		rows.Order = append(rows.Order, Ref{0, int32(i)})
	}
	rows.Batches = []*schemas.Batch{bld.Flush()}
	var buf bytes.Buffer
	u := schemas.Unit{Day: day}
	f, err := Write(&buf, u, rows, WriteOptions{})
	if err != nil { t.Fatal(err) }
	pf, err := parquet.OpenFile(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	if err != nil { t.Fatal(err) }
	for _, e := range pf.Metadata().Schema { fmt.Printf("%q %d %v|%v|%v\n", e.Name, e.FieldID, e.RepetitionType.V, e.Type.V, &e.LogicalType) }
	g, err := Verify(bytes.NewReader(buf.Bytes()), int64(buf.Len()), u)
	if err != nil { t.Error(err) }
	if f != g { t.Error("facts") }
	bs, err := Read(bytes.NewReader(buf.Bytes()), int64(buf.Len()), memory.DefaultAllocator, src)
	fmt.Println(len(bs), err, buf.Len())
}
