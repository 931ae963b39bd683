package usagelake

import (
	"fmt"
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
	f, err := openLimited(path, 1, "map")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	m, err := transform.ParseMapping(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return newDialects(m), nil
}

// walker returns a walker, which is given back by walkers.Put.
func (d *dialects) walker() *ingest.Walker { return d.walkers.Get().(*ingest.Walker) }
