package usagelake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow/memory"

	"usagelake/schemas"
	"usagelake/sink"
	"usagelake/transform"
	"usagelake/transform/price"
	"usagelake/transform/seal"
)

// settings is a Config that was checked.
type settings struct {
	Config
	fills    []transform.Fill
	pattern  *transform.PathPattern
	location *time.Location
	dialects func() *dialects
	prices   *price.List // or nil
	ids      *seal.Key   // or nil: ids stay as they are
	// keyWarning is what to tell of the key's file.
	keyWarning string
	// eventTime is used where hasTime.
	eventTime int64
	hasTime   bool
	from, to  schemas.Day
	// quarantine limits: a share in percent, or a count.
	maxShare float64
	maxCount int64

	dry       bool         // nothing is changed
	keepWhole int64        // inputs of no more bytes are kept when they are planned
	stdin     sink.Scratch // where standard input is kept while it is read
}

// mostJobs is how many workers there can be: each has files open.
const mostJobs = 256

func (cfg Config) check() (*settings, error) {
	s := &settings{Config: cfg, keepWhole: wholeInput, location: time.UTC, from: -1 << 31, to: 1<<31 - 1, maxCount: -1, maxShare: 1}
	bad := func(flag string, err error) error { return fmt.Errorf("%w: %s: %w", ErrUsage, flag, err) }
	if s.Lake == "" {
		return nil, fmt.Errorf("%w: --lake DIR is missing", ErrUsage)
	}
	for _, text := range s.Set {
		f, err := transform.ParseFill(text)
		if err != nil {
			return nil, bad("--set", err)
		}
		s.fills = append(s.fills, f)
	}
	var err error
	if s.PathColumns != "" {
		if s.pattern, err = transform.ParsePathPattern(s.PathColumns); err != nil {
			return nil, bad("--path-columns", err)
		}
		if name := namedTwice(s.PathColumns); name != "" {
			return nil, bad("--path-columns", fmt.Errorf("path pattern %q has {%s} twice", s.PathColumns, name))
		}
	}
	s.dialects = standard
	if s.Map != "" {
		own, err := readDialects(s.Map)
		if err != nil {
			return nil, bad("--map", err)
		}
		s.dialects = func() *dialects { return own }
	}
	if s.prices, err = readPrices(s.Prices); err != nil {
		return nil, bad("--prices", err)
	}
	switch s.TimeZone {
	case "":
	case "Local":
		return nil, bad("--tz", errors.New(`"Local" is another zone on every machine: name it, such as Europe/Berlin`))
	default:
		if s.location, err = time.LoadLocation(s.TimeZone); err != nil {
			return nil, bad("--tz", err)
		}
	}
	if s.EventTime != "" {
		var ok bool
		if s.eventTime, ok = transform.Time(s.EventTime, s.location); !ok {
			return nil, bad("--event-time", fmt.Errorf("%q is no time between 2015 and 2100", s.EventTime))
		}
		s.hasTime = true
	}
	if s.From != "" {
		if s.from, err = schemas.ParseDay(s.From); err != nil {
			return nil, bad("--from", err)
		}
	}
	if s.To != "" {
		if s.to, err = schemas.ParseDay(s.To); err != nil {
			return nil, bad("--to", err)
		}
	}
	if s.from >= s.to {
		return nil, fmt.Errorf("%w: --from %s is not before --to %s, which is exclusive", ErrUsage, s.From, s.To)
	}
	if err := s.quarantineLimit(); err != nil {
		return nil, bad("--max-quarantine", err)
	}
	if err := s.readKey(); err != nil {
		return nil, err
	}
	switch s.Codec {
	case "", "zstd", "snappy":
	default:
		return nil, bad("--codec", fmt.Errorf("%q: want zstd or snappy", s.Codec))
	}
	if s.Buckets < 0 || s.Buckets > 4096 {
		return nil, bad("--buckets", fmt.Errorf("%d: want 1 to 4096", s.Buckets))
	}
	if s.MaxPartitions == 0 {
		s.MaxPartitions = 400
	}
	if s.Jobs > mostJobs {
		return nil, bad("--jobs", fmt.Errorf("%d: want up to %d", s.Jobs, mostJobs))
	}
	if s.Jobs <= 0 {
		s.Jobs = min(runtime.GOMAXPROCS(0), mostJobs)
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case s.Memory == 0:
		s.Memory = DefaultMemory
	case s.Memory < 0:
		return nil, bad("--memory", errors.New("less than nothing"))
	}
	if s.Allocator == nil {
		s.Allocator = memory.DefaultAllocator
	}
	if s.FS, err = lakeFS(s.Lake, s.FS); err != nil {
		return nil, err
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Progress == nil {
		s.Progress = func(Progress) {}
	}
	return s, nil
}

// namedTwice is a column that a path pattern has twice, or "".
func namedTwice(pattern string) string {
	seen := map[string]bool{}
	for _, part := range strings.Split(pattern, "{")[1:] {
		name, _, _ := strings.Cut(part, "}")
		if seen[name] {
			return name
		}
		seen[name] = true
	}
	return ""
}

func (s *settings) quarantineLimit() error {
	if s.MaxQuarantine == "" {
		return nil
	}
	var err error
	if share, ok := strings.CutSuffix(s.MaxQuarantine, "%"); ok {
		if s.maxShare, err = strconv.ParseFloat(share, 64); err != nil || !(s.maxShare >= 0 && s.maxShare <= 100) { // NaN is neither
			return fmt.Errorf("%q: want a count or a share such as 1%%", s.MaxQuarantine)
		}
		return nil
	}
	if s.maxCount, err = strconv.ParseInt(s.MaxQuarantine, 10, 64); err != nil || s.maxCount < 0 {
		return fmt.Errorf("%q: want a count or a share such as 1%%", s.MaxQuarantine)
	}
	return nil
}

// overLimit reports whether so many records in quarantine need attention.
func (s *settings) overLimit(quarantined, records int64) bool {
	if s.maxCount >= 0 {
		return quarantined > s.maxCount
	}
	return quarantined > 10 && float64(quarantined) > s.maxShare/100*float64(records)
}

// filters reports whether only a part of the event dates is wanted.
func (s *settings) filters() bool { return s.From != "" || s.To != "" }

// Check finds what is at fault in a configuration, as Load would before it looks
// at the lake. Inputs are looked for if there are any.
func Check(cfg Config) error {
	s, err := cfg.check()
	if err == nil && len(cfg.Inputs) > 0 {
		_, err = discover(context.Background(), s)
	}
	return err
}

// Rows may take three fifths of the budget while they are taken in, shared by
// the workers. What is left of them is merged within what then remains.
func (s *settings) share() int64    { return s.Memory * 3 / 5 / int64(s.Jobs) }
func (s *settings) reducing() int64 { return max(s.Memory*2/5, 1) }
