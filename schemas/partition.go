package schemas

import (
	"fmt"
	"path"
	"strings"
	"time"
)

const (
	microsPerDay = 24 * 60 * 60 * 1_000_000

	// MinTime and MaxTime bound event_time, in microseconds: 2015 up to, not
	// including, 2100.
	MinTime = 1_420_070_400_000_000
	MaxTime = 4_102_444_800_000_000
)

// Day is a UTC date, in days since 1970.
type Day int32

// DayOf is the date of a time in microseconds.
func DayOf(us int64) Day {
	d := us / microsPerDay
	if us%microsPerDay < 0 {
		d--
	}
	return Day(d)
}

// Start is the first microsecond of the day.
func (d Day) Start() int64 { return int64(d) * microsPerDay }

func (d Day) String() string { return time.UnixMicro(d.Start()).UTC().Format(time.DateOnly) }

// ParseDay reads YYYY-MM-DD.
func ParseDay(s string) (Day, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, fmt.Errorf("%q is no date: want YYYY-MM-DD", s)
	}
	return DayOf(t.UnixMicro()), nil
}

// Unit is what one file of the table holds: one bucket of one day.
type Unit struct {
	Day    Day
	Bucket uint16
}

// Compare orders units by day, then bucket.
func (u Unit) Compare(v Unit) int {
	if u.Day != v.Day {
		return int(u.Day) - int(v.Day)
	}
	return int(u.Bucket) - int(v.Bucket)
}

// Dir is the partition's directory below the table root.
func (u Unit) Dir() string { return "event_date=" + u.Day.String() }

// Path is the file's path below the table root, slash-separated.
func (u Unit) Path() string { return fmt.Sprintf("%s/part-%04d.parquet", u.Dir(), u.Bucket) }

// ParseUnit reads what Path wrote.
func ParseUnit(p string) (Unit, error) {
	dir, file := path.Split(p)
	date, ok := strings.CutPrefix(strings.TrimSuffix(dir, "/"), "event_date=")
	if !ok {
		return Unit{}, fmt.Errorf("%q is no file of the table", p)
	}
	day, err := ParseDay(date)
	if err != nil {
		return Unit{}, fmt.Errorf("%q is no file of the table: %w", p, err)
	}
	u := Unit{Day: day}
	if _, err := fmt.Sscanf(file, "part-%04d.parquet", &u.Bucket); err != nil || u.Path() != p {
		return Unit{}, fmt.Errorf("%q is no file of the table", p)
	}
	return u, nil
}
