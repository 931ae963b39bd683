package usagelake

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"sync"

	"usagelake/ingest"
	"usagelake/transform"
)

// dialects are what records are read by, and walkers for them, which take some
// milliseconds to make.
type dialects struct {
	*transform.Dialects
	walkers sync.Pool
}

// standard are the dialects without a mapping. They take some milliseconds.
var standard = sync.OnceValue(func() *dialects { return newDialects(nil) })

func newDialects(m *transform.Mapping) *dialects {
	d := &dialects{Dialects: transform.Compile(m)}
	d.walkers.New = func() any { return ingest.NewWalker(d.Layout()) }
	return d
}

// readDialects are the dialects with a user's mapping.
func readDialects(path string) (*dialects, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := mappingText(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m, err := transform.ParseMapping(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return newDialects(m), nil
}

// mappingLine is the form of a mapping's line: keys with dots between them, in
// quotes or not, and alternatives behind |.
var mappingLine = func() *regexp.Regexp {
	const key = `(?:[^\s".|^#'!&+:\[\]=]+|"[^\s"|^#'!&+:\[\]=]+")`
	const path = `\s*` + key + `(?:\.` + key + `)*\s*`
	return regexp.MustCompile(`^\s*([a-z0-9_]+\s*=` + path + `(?:\|` + path + `)*)?(#.*)?$`)
}()

// mappingText reads a mapping. What has another form may be a log, so the error
// tells nothing of what the line says.
func mappingText(r io.Reader) (text []byte, err error) {
	in := bufio.NewScanner(r)
	n := 1
	for ; in.Scan(); n++ {
		if !mappingLine.Match(in.Bytes()) {
			return nil, fmt.Errorf("line %d: want column = path, such as user_id = meta.caller.id", n)
		}
		text = append(append(text, in.Bytes()...), '\n')
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("line %d is too long for a mapping: want column = path, such as user_id = meta.caller.id", n)
	}
	return text, in.Err()
}

// walker returns a walker, which is given back by walkers.Put.
func (d *dialects) walker() *ingest.Walker { return d.walkers.Get().(*ingest.Walker) }
