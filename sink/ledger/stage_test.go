package ledger

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// slowly takes its time over every piece, and fails behind some.
type slowly struct {
	bytes.Buffer
	left   int
	closed bool
	late   bool // something came when it was closed
}

var errDisk = errors.New("the disk")

func (w *slowly) Write(b []byte) (int, error) {
	if time.Sleep(time.Millisecond); w.closed {
		w.late = true
	}
	if w.left--; w.left < 0 {
		return 0, errDisk
	}
	return w.Buffer.Write(b)
}

// What was written arrives, in its order, whether pieces wait or not. An error
// is told, at the end at the latest, and behind it nothing arrives; neither does
// anything when the pieces are closed.
func TestPieces(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &slowly{left: rapid.SampledFrom([]int{0, 1, 2, 5, 1000}).Draw(rt, "pieces that can be written")}
		p := &pieces{w: w, behind: rapid.IntRange(0, 3).Draw(rt, "behind")}
		var want []byte
		var failed error
		for i, n := range rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 1000, PieceBytes - 1, PieceBytes, PieceBytes + 1, 3 * PieceBytes}), 0, 6).Draw(rt, "lengths") {
			b := bytes.Repeat([]byte{byte(i + 1)}, n)
			n, err := p.Write(b)
			want = append(want, b[:n]...)
			if clear(b); err != nil {
				failed = err
				break
			}
		}
		all := failed == nil && rapid.Bool().Draw(rt, "all")
		if err := p.close(all); failed == nil {
			failed = err
		}
		w.closed = true
		if !bytes.HasPrefix(want, w.Bytes()) {
			rt.Fatal("other bytes")
		}
		whole := len(want) == w.Len()
		switch broken := w.left < 0; {
		case all && !broken && (failed != nil || !whole):
			rt.Fatalf("%v, %d of %d bytes", failed, w.Len(), len(want))
		case all && broken && !errors.Is(failed, errDisk):
			rt.Fatalf("%v, %d of %d bytes", failed, w.Len(), len(want))
		}
		time.Sleep(2 * time.Millisecond)
		if w.late {
			rt.Fatal("written when it was closed")
		}
	})
}

// waits writes only when the pieces were given up.
type waits struct {
	slowly
	p *pieces
}

func (w *waits) Write(b []byte) (int, error) {
	for w.p.err.Load() == nil {
		time.Sleep(time.Millisecond)
	}
	return w.slowly.Write(b)
}

// Of pieces that are given up the one under way is written, and no other.
func TestPiecesGivenUp(t *testing.T) {
	w := &waits{slowly: slowly{left: 1000}}
	w.p = &pieces{w: w, behind: 100}
	if _, err := w.p.Write(slices.Repeat([]byte{1}, 100*PieceBytes)); err != nil {
		t.Fatal(err)
	}
	if err := w.p.close(false); err == nil || w.Len() > PieceBytes {
		t.Errorf("%v, %d bytes were written", err, w.Len())
	}
}
