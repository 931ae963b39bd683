package encode

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/zstd"
	parquetzstd "github.com/parquet-go/parquet-go/compress/zstd"
)

func newDecoder(t *testing.T) *zstd.Decoder {
	t.Helper()
	dec, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(dec.Close)
	return dec
}

// Pages of even texts come out as they were, if they are packed at all.
func TestEven(t *testing.T) {
	dec := newDecoder(t)
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
					out, ok := e.pack(nil, raw, evenTexts(6, count, length, prefix))
					if !ok {
						continue
					}
					packed++
					got, err := dec.DecodeAll(out, nil)
					if err != nil || !bytes.Equal(got, raw) {
						t.Fatalf("%d texts of %d bytes, %d alike, of %d letters: %v", count, length, prefix, letters, err)
					}
				}
			}
		}
	}
	if packed < 1000 {
		t.Errorf("only %d pages were packed", packed)
	}
}

// Even texts in which a search for repetitions finds much are left to it.
func TestEvenTrial(t *testing.T) {
	codec := &parquetzstd.Codec{Level: parquetzstd.SpeedFastest}
	rng := rand.New(rand.NewPCG(1, 2))
	ones := bytes.Repeat([]byte{1}, 4096)
	for name, tt := range map[string]struct {
		own  int // bytes that texts share with no other
		wins bool
	}{"random": {16, true}, "repeated": {2, false}} {
		col := newColumn(testSchema.Fields()[idCol], Spec{})
		col.codec = codec
		var b Buffers
		for page := range 2*trialPages + 1 {
			stem := fmt.Sprintf("%032x", rng.Uint64())[:16]
			var texts [][]byte
			for i := range ones {
				if i%64 == 0 {
					stem = fmt.Sprintf("%016x", rng.Uint64())
				}
				s := fmt.Sprintf("%s%016x", stem, rng.Uint64())
				texts = append(texts, []byte(s[tt.own:16]+s[32-tt.own:]))
			}
			if err := col.Texts(&b, ones, texts); err != nil {
				t.Fatal(err)
			}
			if page == 0 && col.wins != tt.wins {
				t.Errorf("%s: wins is %v", name, col.wins)
			}
			plain, err := codec.Encode(nil, b.raw)
			if err != nil {
				t.Fatal(err)
			}
			if len(b.packed) > len(plain)+len(plain)/50 {
				t.Errorf("%s: page %d takes %d bytes, the codec needs %d", name, page, len(b.packed), len(plain))
			}
		}
		if col.evenPages != 2*trialPages+1 && tt.wins {
			t.Errorf("%s: %d even pages", name, col.evenPages)
		}
	}
}

// Small pages and dictionaries of numbers come out as they were, if they are packed at
// all: those of which some bytes differ, wherever they stand.
func TestEvenWords(t *testing.T) {
	dec := newDecoder(t)
	rng := rand.New(rand.NewPCG(1, 2))
	var e evenPacker
	for from := range 8 {
		for to := from + 1; to <= 8; to++ {
			for _, count := range []int{15, 16, 17, 250, 500, 600, 40_000} {
				raw := []byte("levels")
				for range count {
					x := uint64(0x0102030405060708)
					for i := from; i < to; i++ {
						x ^= uint64(rng.IntN(256)) << (8 * i)
					}
					raw = binary.LittleEndian.AppendUint64(raw, x)
				}
				out, ok := e.pack(nil, raw, evenWords(raw, count))
				if want := count >= 16 && to-from <= 5; ok != want {
					t.Errorf("%d numbers, bytes %d to %d differ: packed %v, want %v", count, from, to, ok, want)
				}
				if !ok {
					continue
				}
				got, err := dec.DecodeAll(out, nil)
				if err != nil || !bytes.Equal(got, raw) {
					t.Fatalf("%d numbers, bytes %d to %d differ: %v", count, from, to, err)
				}
				if most := len("levels") + 48 + count*(to-from) + count/100; len(out) > most {
					t.Errorf("%d numbers, bytes %d to %d differ: %d bytes, want no more than %d", count, from, to, len(out), most)
				}
			}
		}
	}
	if _, ok := e.pack(nil, make([]byte, 400), evenWords(make([]byte, 400), 50)); ok {
		t.Error("numbers that are all the same were packed")
	}
}

// A few numbers of which most differ have no dictionary, nor have those behind them;
// a few that repeat themselves, and many, have one.
func TestFewNumbers(t *testing.T) {
	for name, tt := range map[string]struct {
		rows, distinct int
		coded          int32
	}{
		"differ":       {400, 300, 0},
		"repeat":       {400, 299, 2},
		"many":         {513, 513, 2},
		"all the same": {400, 1, 2},
	} {
		col := newColumn(testSchema.Fields()[costCol], Spec{Dict: 1 << 20})
		col.codec = &parquetzstd.Codec{Level: parquetzstd.SpeedFastest}
		var b Buffers
		values := make([]uint64, tt.rows)
		for i := range values {
			values[i] = uint64(i % tt.distinct)
		}
		for range 2 {
			if err := col.Words(&b, bytes.Repeat([]byte{1}, tt.rows), values); err != nil {
				t.Fatal(err)
			}
		}
		if col.coded != tt.coded || col.plain != 2-tt.coded {
			t.Errorf("%s: %d pages with a dictionary, %d without", name, col.coded, col.plain)
		}
	}
}

// A few even texts are packed without a trial, unless they begin like their neighbours
// behind what all of them share.
func TestFewTexts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for name, tt := range map[string]struct {
		count, together int
		trials          int
	}{
		"random":        {300, 1, 0},
		"some together": {300, 100, 1},
		"many":          {600, 1, 1},
	} {
		col := newColumn(testSchema.Fields()[idCol], Spec{})
		col.codec = &parquetzstd.Codec{Level: parquetzstd.SpeedFastest}
		var b Buffers
		var texts [][]byte
		stem := uint32(0)
		for i := range tt.count {
			if i%tt.together == 0 {
				stem = rng.Uint32()
			}
			texts = append(texts, fmt.Appendf(nil, "gen-%08x%016x", stem, rng.Uint64()))
		}
		if err := col.Texts(&b, bytes.Repeat([]byte{1}, tt.count), texts); err != nil {
			t.Fatal(err)
		}
		if col.evenPages != tt.trials {
			t.Errorf("%s: %d trials, want %d", name, col.evenPages, tt.trials)
		}
	}
}
