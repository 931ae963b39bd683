package usagelake

import (
	"fmt"
	"io"
	"os"
)

// limited is a reader of so many bytes that fails behind them: a file that is held in
// memory may be another than was meant, or a device that does not end.
type limited struct {
	io.ReadCloser
	left int64
	over error // what it fails with
}

// openLimited opens a file of up to so many MiB. what says what a longer one is none of.
func openLimited(path string, most int64, what string) (*limited, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return &limited{f, most << 20, fmt.Errorf("is longer than %d MiB, and no %s", most, what)}, nil
}

func (l *limited) Read(b []byte) (int, error) {
	if l.left < 0 {
		return 0, l.over
	}
	if int64(len(b)) > l.left+1 { // one more tells whether there are more
		b = b[:l.left+1]
	}
	n, err := l.ReadCloser.Read(b)
	if l.left -= int64(n); l.left < 0 {
		return n, l.over
	}
	return n, err
}
