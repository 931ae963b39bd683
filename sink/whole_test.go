package sink

import (
	"io"

	"usagelake/schemas"
)

// Write writes all rows of a file, as any caller would.
func Write(w io.Writer, unit schemas.Unit, rows Rows, opt WriteOptions) (Facts, error) {
	out, err := NewWriter(w, unit, rows.Sources, opt)
	if err != nil {
		return Facts{}, err
	}
	for lo := 0; lo < len(rows.Order); lo += ChunkRows {
		chunk := rows
		chunk.Order = rows.Order[lo:min(lo+ChunkRows, len(rows.Order))]
		chunk.Flags = map[int]string{}
		for i := range chunk.Order {
			if flags, ok := rows.Flags[lo+i]; ok {
				chunk.Flags[i] = flags
			}
		}
		if err := out.Write(chunk); err != nil {
			return Facts{}, err
		}
	}
	return out.Close()
}
