package transform

import (
	"bytes"
	"path"
	"regexp"
	"strconv"
	"time"

	"usagelake/schemas"
)

// parseTime reads a point in time, in microseconds since 1970. Numbers and
// strings of digits are seconds, milliseconds, microseconds, nanoseconds or
// .NET's ticks, told apart by magnitude; strings are RFC 3339 with any offset and fraction,
// or date and time without a zone, which are in loc. Fractions below a
// microsecond are cut off.
func parseTime(text []byte, loc *time.Location) (int64, schemas.Reason) {
	if v, ok := digits(text); ok && len(text) == 10 && v >= schemas.MinTime/1e6 && v < schemas.MaxTime/1e6 {
		return v * 1e6, ""
	}
	us, ok := plainCalendar(text)
	if !ok {
		text = bytes.TrimSpace(text)
		if len(text) == 0 {
			return 0, schemas.BadTime
		}
		us, ok = epoch(text)
	}
	if !ok {
		if us, ok = calendar(text, loc); !ok {
			return 0, schemas.BadTime
		}
	}
	if us < schemas.MinTime || us >= schemas.MaxTime {
		return 0, schemas.TimeOutOfRange
	}
	return us, ""
}

// secondsAt reads doc[off:end] as parseTime does, where it is in seconds of 10
// digits.
func secondsAt(doc []byte, off, end uint32) (int64, bool) {
	if end-off != 10 {
		return 0, false
	}
	high, ok := wholeAt(doc, off, off+8)
	low, more := wholeAt(doc, off+8, end)
	v := high*100 + low
	return v, ok && more && v >= schemas.MinTime/1e6 && v < schemas.MaxTime/1e6
}

// ticksEpoch is 1970 in .NET's ticks, which are 100 nanoseconds since the year 1.
const ticksEpoch = 621_355_968_000_000_000

// epoch reads a number. A number that is a time in no unit gives 0, which is
// out of range.
func epoch(text []byte) (int64, bool) {
	whole, frac, _ := bytes.Cut(text, []byte("."))
	v, err := strconv.ParseInt(view(whole), 10, 64)
	if err != nil || whole[0] == '+' {
		f, ok := parseFloat(text)
		if !ok {
			return 0, false
		}
		if f < 0 || f > 1e19 {
			return 0, true
		}
		v, frac = int64(f), nil
		if f < 1e13 { // seconds and milliseconds keep their fraction
			frac = []byte(strconv.FormatFloat(f-float64(v), 'f', 6, 64)[2:])
		}
	}
	for _, c := range frac {
		if c < '0' || c > '9' {
			f, ok := parseFloat(text)
			if !ok {
				return 0, false
			}
			return epoch([]byte(strconv.FormatFloat(f, 'f', -1, 64)))
		}
	}
	for _, unit := range [...]struct{ perSecond, micros int64 }{{1, 1_000_000}, {1e3, 1000}, {1e6, 1}} {
		if v >= schemas.MinTime/1_000_000*unit.perSecond && v < schemas.MaxTime/1_000_000*unit.perSecond {
			us := v * unit.micros
			scale := unit.micros
			for _, c := range frac {
				scale /= 10
				us += int64(c-'0') * scale
			}
			return us, true
		}
	}
	for _, us := range [...]int64{v / 1000, (v - ticksEpoch) / 10} {
		if us >= schemas.MinTime && us < schemas.MaxTime {
			return us, true
		}
	}
	return 0, true
}

// calendar reads YYYY-MM-DD, then optionally T, t or a space, HH:MM[:SS] with
// a fraction after a dot or comma, then a zone: Z, UTC, GMT or an offset.
func calendar(s []byte, loc *time.Location) (int64, bool) {
	f := fields{s: s, ok: true}
	year := f.number(4)
	f.one('-')
	month := f.number(2)
	f.one('-')
	day := f.number(2)
	var hour, minute, second, micro int
	if f.ok && len(f.s) > 0 {
		if f.s[0] != 'T' && f.s[0] != 't' && f.s[0] != ' ' {
			return 0, false
		}
		f.s = f.s[1:]
		hour = f.number(2)
		f.one(':')
		minute = f.number(2)
		if len(f.s) > 0 && f.s[0] == ':' {
			f.s = f.s[1:]
			second = f.number(2)
			if len(f.s) > 0 && (f.s[0] == '.' || f.s[0] == ',') {
				f.s = f.s[1:]
				micro = f.fraction()
			}
		}
		if zone, ok := f.zone(loc); ok {
			loc = zone
		} else {
			return 0, false
		}
	}
	if !f.ok || month < 1 || month > 12 || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, micro*1000, loc)
	if _, m, d := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Date(); int(m) != month || d != day {
		return 0, false
	}
	return t.UnixMicro(), true
}

// plainCalendar is calendar for YYYY-MM-DDTHH:MM:SS, perhaps a fraction after a dot,
// and Z, as most logs have it.
func plainCalendar(s []byte) (int64, bool) {
	last := len(s) - 1
	if last < 19 || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[last] != 'Z' {
		return 0, false
	}
	bad := false
	two := func(at int) int {
		high, low := s[at]-'0', s[at+1]-'0'
		bad = bad || high > 9 || low > 9
		return int(high)*10 + int(low)
	}
	year, month, day := two(0)*100+two(2), two(5), two(8)
	hour, minute, second := two(11), two(14), two(17)
	micro, scale := 0, 100_000
	if last > 19 {
		bad = bad || last == 20 || s[19] != '.'
		for _, c := range s[20:last] {
			bad = bad || c-'0' > 9
			micro += int(c-'0') * scale
			scale /= 10
		}
	}
	if bad || hour > 23 || minute > 59 || second > 59 {
		return 0, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	if _, m, d := t.Date(); int(m) != month || d != day {
		return 0, false
	}
	return t.UnixMicro() + int64(micro), true
}

// fields takes fixed-width parts off the front of a text.
type fields struct {
	s  []byte
	ok bool
}

func (f *fields) number(width int) int {
	if !f.ok || len(f.s) < width {
		f.ok = false
		return 0
	}
	v, ok := digits(f.s[:width])
	f.ok = ok
	f.s = f.s[width:]
	return int(v)
}

func (f *fields) one(c byte) {
	if !f.ok || len(f.s) == 0 || f.s[0] != c {
		f.ok = false
		return
	}
	f.s = f.s[1:]
}

func (f *fields) fraction() int {
	v, scale, n := 0, 100_000, 0
	for len(f.s) > 0 && '0' <= f.s[0] && f.s[0] <= '9' {
		v += int(f.s[0]-'0') * scale
		scale /= 10
		f.s = f.s[1:]
		n++
	}
	f.ok = f.ok && n > 0
	return v
}

func (f *fields) zone(loc *time.Location) (*time.Location, bool) {
	s := bytes.TrimSpace(f.s)
	switch string(s) {
	case "":
		return loc, f.ok
	case "Z", "z", "UTC", "GMT":
		return time.UTC, f.ok
	}
	sign := 1
	switch s[0] {
	case '-':
		sign = -1
	case '+':
	default:
		return nil, false
	}
	z := fields{s: s[1:], ok: true}
	hours, minutes := z.number(2), 0
	if len(z.s) > 0 && z.s[0] == ':' {
		z.s = z.s[1:]
	}
	if len(z.s) > 0 {
		minutes = z.number(2)
	}
	if !z.ok || len(z.s) > 0 || hours > 23 || minutes > 59 {
		return nil, false
	}
	return time.FixedZone("", sign*(hours*3600+minutes*60)), f.ok
}

var fileDate = regexp.MustCompile(`(?:^|[^0-9])((?:20|21)\d\d)([-_.]?)(\d\d)([-_.]?)(\d\d)(?:\d{2}){0,3}(?:[^0-9]|$)`)

// FileDate is the date in a file's name, at midnight in loc.
func FileDate(file string, loc *time.Location) (int64, bool) {
	base := path.Base(file)
	for mayHaveYear(base) {
		m := fileDate.FindStringSubmatchIndex(base)
		if m == nil {
			return 0, false
		}
		if base[m[4]:m[5]] == base[m[8]:m[9]] {
			text := base[m[2]:m[3]] + "-" + base[m[6]:m[7]] + "-" + base[m[10]:m[11]]
			if us, reason := parseTime([]byte(text), loc); reason == "" {
				return us, true
			}
		}
		base = base[m[3]:]
	}
	return 0, false
}

// mayHaveYear reports whether there are four digits that fileDate may take for a
// year: it takes a while to find out that there are none.
func mayHaveYear(s string) bool {
	digit := func(c byte) bool { return '0' <= c && c <= '9' }
	for i := 0; i+4 <= len(s); i++ {
		if s[i] == '2' && (s[i+1] == '0' || s[i+1] == '1') && digit(s[i+2]) && digit(s[i+3]) {
			return true
		}
	}
	return false
}

// Time reads a point in time as records give them, in microseconds.
func Time(text string, loc *time.Location) (int64, bool) {
	us, reason := parseTime([]byte(text), loc)
	return us, reason == ""
}
