package encode

import (
	"bytes"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// A page of any size that is not compressed comes out as it was.
func TestRawFrame(t *testing.T) {
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	frame := []byte("from before")
	for n := range rawBytes + 1 {
		raw := bytes.Repeat([]byte{byte(n)}, n)
		frame = rawFrame(frame, raw)
		got, err := dec.DecodeAll(frame, nil)
		if err != nil || !bytes.Equal(got, raw) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		var head zstd.Header
		if err := head.Decode(frame); err != nil || head.FrameContentSize != uint64(n) {
			t.Fatalf("%d bytes: the frame tells of %d: %v", n, head.FrameContentSize, err)
		}
	}
}
