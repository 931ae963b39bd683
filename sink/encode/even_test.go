package encode

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func TestEven(t *testing.T) {
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	var e evenPacker
	packed := 0
	for _, length := range []int{1, 2, 3, 15, 16, 17, 24, 36, 47, 48, 63, 64, 65, 100, 127, 128, 130, 255, 256, 400, 600} {
		for _, prefix := range []int{0, 1, 4, 9, 27, 28, 31, 32, 33, 40, 62, 99, 200, 300} {
			if prefix > length {
				continue
			}
			for _, count := range []int{63, 64, 300} {
				for _, letters := range []int{1, 2, 64, 256} {
					raw := []byte("levels")
					text := bytes.Repeat([]byte("x"), length)
					for range count {
						for i := prefix; i < length; i++ {
							text[i] = byte(rng.IntN(letters))
						}
						raw = binary.LittleEndian.AppendUint32(raw, uint32(length))
						raw = append(raw, text...)
					}
					out, ok := e.pack(nil, raw, even{levels: 6, count: count, length: length, prefix: prefix})
					if !ok {
						continue
					}
					packed++
					got, err := dec.DecodeAll(out, nil)
					if err != nil || !bytes.Equal(got, raw) {
						t.Fatalf("%d texts of %d bytes, %d alike, of %d letters: %v", count, length, prefix, letters, err)
					}
					if d := os.Getenv("ZD"); d != "" {
						name := fmt.Sprintf("%s/%d-%d-%d-%d", d, length, prefix, count, letters)
						os.WriteFile(name, raw, 0o600)
						os.WriteFile(name+".zst", out, 0o600)
					}
				}
			}
		}
	}
	t.Log(packed)
	if packed < 1000 {
		t.Errorf("only %d pages were packed", packed)
	}
}
