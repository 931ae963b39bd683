package sink_test

import (
	"bytes"
	"testing"

	"github.com/parquet-go/parquet-go"

	"usagelake/schemas"
	"usagelake/sink"
)

// A file without rows is one that others can read, with all columns.
func TestWriteEmpty(t *testing.T) {
	for table := range schemas.NumTables {
		unit := schemas.Unit{Table: table, Day: 20_000}
		var buf bytes.Buffer
		if err := sink.WriteEmpty(&buf, unit); err != nil {
			t.Fatal(err)
		}
		f, err := parquet.OpenFile(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if f.NumRows() != 0 || len(f.RowGroups()) != 0 || len(f.Schema().Fields()) < 10 {
			t.Errorf("%s: %d rows, %d columns", table, f.NumRows(), len(f.Schema().Fields()))
		}
		var again bytes.Buffer
		if err := sink.WriteEmpty(&again, unit); err != nil || !bytes.Equal(buf.Bytes(), again.Bytes()) || !bytes.HasPrefix(buf.Bytes(), []byte("PAR1")) {
			t.Errorf("%s: once more %d bytes, %v", table, again.Len(), err)
		}
	}
}
