package encode

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	parquetzstd "github.com/parquet-go/parquet-go/compress/zstd"
)

// nearPage is levels and numbers that rise by one from a number on, but that those within
// a distance stand in any order.
func nearPage(rng *rand.Rand, from uint64, count, distance int) []byte {
	raw := []byte("levels")
	for i := range count {
		raw = binary.LittleEndian.AppendUint64(raw, from+uint64(i+rng.IntN(distance+1)))
	}
	return raw
}

// Pages of numbers that are near to each other come out as they were, if they are packed
// at all, and take little more than a byte a number.
func TestNear(t *testing.T) {
	dec := newDecoder(t)
	rng := rand.New(rand.NewPCG(1, 2))
	var e evenPacker
	packed := 0
	for _, from := range []uint64{0, 1, 200, 65_000, 1<<24 - 300, 1<<32 - 300, 1<<40 - 9, 1<<56 - 1000, 1<<63 - 600} {
		for _, count := range []int{511, 512, 513, 5000, 16_384, 16_386, 32_768} {
			for _, distance := range []int{0, 1, 9, 40, 1000, 1 << 20} {
				raw := nearPage(rng, from, count, distance)
				out, ok := e.pack(nil, raw, nearWords(raw, count))
				if ok && count < 512 || !ok && count > 1000 && distance < 10 && from < 1<<32 {
					t.Errorf("%d numbers from %d on, within %d: packed %v", count, from, distance, ok)
				}
				if !ok {
					continue
				}
				packed++
				got, err := dec.DecodeAll(out, nil)
				if err != nil || !bytes.Equal(got, raw) {
					t.Fatalf("%d numbers from %d on, within %d: %v", count, from, distance, err)
				}
				if most := len(raw)*9/16 + 100; len(out) > most || distance == 0 && count > 1000 && len(out) > count*9/8 {
					t.Errorf("%d numbers from %d on, within %d: %d bytes", count, from, distance, len(out))
				}
			}
		}
	}
	if packed < 150 {
		t.Errorf("only %d pages were packed", packed)
	}
}

// Stretches are cut so that what is packed is what was there, whatever the numbers are.
func TestNearAny(t *testing.T) {
	dec := newDecoder(t)
	rng := rand.New(rand.NewPCG(3, 4))
	var e evenPacker
	packed := 0
	for range 400 {
		odds := 1 + rng.IntN(60)
		var raw []byte
		v := rng.Uint64()
		for range 512 + rng.IntN(2000) {
			switch own := rng.IntN(6); {
			case rng.IntN(odds) > 0:
				v = v&^0xff | uint64(rng.IntN(256))
			default:
				v ^= rng.Uint64() >> (8 * (8 - own) % 64) * uint64(min(own, 1))
			}
			raw = binary.LittleEndian.AppendUint64(raw, v)
		}
		out, ok := e.pack(nil, raw, nearWords(raw, len(raw)/8))
		if !ok {
			continue
		}
		packed++
		if got, err := dec.DecodeAll(out, nil); err != nil || !bytes.Equal(got, raw) {
			t.Fatalf("one of %d numbers has more bytes: %v", odds, err)
		}
	}
	if packed < 100 {
		t.Errorf("only %d pages were packed", packed)
	}
}

// Lines that stand nearly in order are packed without a search; numbers in which it finds
// much are left to it.
func TestNearTrial(t *testing.T) {
	codec := &parquetzstd.Codec{Level: parquetzstd.SpeedFastest}
	rng := rand.New(rand.NewPCG(1, 2))
	const rows = 8192
	ones := bytes.Repeat([]byte{1}, rows)
	for name, tt := range map[string]struct {
		number func(i int) uint64
		some   bool // pages are even: where a number has nearly all bytes of its own, one is not
		wins   bool
	}{
		"lines":   {func(i int) uint64 { return uint64(i + rng.IntN(12)) }, true, true},
		"runs":    {func(i int) uint64 { return uint64(i / 50) }, true, false},
		"times":   {func(i int) uint64 { return 1785542401e6 + uint64(i)*250_000 + uint64(rng.IntN(1e6)) }, true, true},
		"seconds": {func(i int) uint64 { return 1785542401e6 + uint64(i/3)*1e6 }, true, false},
		"far":     {func(int) uint64 { return rng.Uint64() }, false, false},
	} {
		col := newColumn(testSchema.Fields()[timeCol], Spec{})
		col.codec = codec
		var b Buffers
		for page := range trialPages + 2 {
			values := make([]uint64, rows)
			for i := range values {
				values[i] = tt.number(page*rows + i)
			}
			if err := col.Words(&b, ones, values); err != nil {
				t.Fatal(err)
			}
			plain, err := codec.Encode(nil, b.raw)
			if err != nil {
				t.Fatal(err)
			}
			if len(b.packed) > len(plain)+len(plain)/8 {
				t.Errorf("%s: page %d takes %d bytes, the codec needs %d", name, page, len(b.packed), len(plain))
			}
		}
		if tt.some != (col.evenPages > trialPages/2) || col.wins != tt.wins {
			t.Errorf("%s: %d even pages, wins is %v", name, col.evenPages, col.wins)
		}
	}
}
