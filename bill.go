package usagelake

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"usagelake/ingest"
	"usagelake/schemas"
	"usagelake/transform"
)

// readCSV sums up a bill.
func (r *reconciling) readCSV() error {
	f, err := openLimited(r.with.CSV, mostBillLine, "bill")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	defer f.Close()
	f.over = fmt.Errorf("a line is longer than %d MiB: no bill, or a quote that does not end", mostBillLine)
	text := bufio.NewReader(f)
	if mark, _ := text.Peek(len(byteOrderMark)); string(mark) == byteOrderMark {
		_, _ = text.Discard(len(mark)) // they are there
	}
	if err := isText(text); err != nil {
		return fmt.Errorf("%w: --csv %s: %w", ErrUsage, r.with.CSV, err)
	}
	rows := csv.NewReader(text)
	rows.TrimLeadingSpace = true
	head, err := rows.Read()
	if err != nil {
		return fmt.Errorf("%s: %w", r.with.CSV, err)
	}
	cols, err := r.columns(head)
	if err != nil {
		return err
	}
	r.done.Against = []string{r.with.CSV}
	for {
		f.left = mostBillLine << 20 // of the next line
		fields, err := rows.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", r.with.CSV, err)
		}
		line, _ := rows.FieldPos(0)
		if err := r.billed(cols, fields); err != nil {
			return fmt.Errorf("%s, line %d: %w", r.with.CSV, line, err)
		}
	}
}

const byteOrderMark = "\uFEFF"

// mostBillLine is how many MiB a line of a bill can have.
const mostBillLine = 1

// isText reports, by how it begins, why a file cannot be CSV.
func isText(r *bufio.Reader) error {
	head, _ := r.Peek(ingest.HeadLen) // an error comes back with the first Read
	control := func(c rune) bool { return c < ' ' && c != '\t' && c != '\r' && c != '\n' }
	switch looks := ingest.Looks(head); {
	case len(head) == 0:
		return errors.New("is empty; want a line of column names, then the lines of the bill")
	case looks != "":
		return errors.New("is no CSV; it looks like " + looks)
	case bytes.ContainsFunc(head, control):
		return errors.New("is no CSV: it holds bytes that are no text; decompress it, or export it as CSV")
	}
	return nil
}

// billColumn is a column of a bill.
type billColumn struct {
	name  string // day, model, provider or a meter's
	title string // in the bill
	meter schemas.Col
	at    int
	shift int32
}

// mostShift is the largest power of ten that an amount may be multiplied by.
const mostShift = 18

// CheckColumn fails if text cannot be one of Theirs.Columns.
func CheckColumn(text string) error {
	_, err := parseColumn(text)
	return err
}

func parseColumn(text string) (billColumn, error) {
	names := map[string]schemas.Col{"cost": schemas.CostUSD}
	for _, c := range meters {
		names[c.String()] = c
	}
	name, column, ok := strings.Cut(text, "=")
	c := billColumn{name: name, meter: names[name]}
	if at := strings.LastIndex(column, ":e"); at > 0 {
		n, err := strconv.Atoi(column[at+len(":e"):])
		if errors.Is(err, strconv.ErrRange) || err == nil && max(n, -n) > mostShift {
			return c, fmt.Errorf("%q: want a power of ten from e-%d to e%[2]d, such as e-2 for cents", text, mostShift)
		}
		if err == nil {
			c.shift, column = int32(n), column[:at]
		}
	}
	c.title = column
	switch {
	case !ok:
		return c, fmt.Errorf("%q: want name=column", text)
	case c.meter == 0 && name != "day" && name != "model" && name != "provider":
		return c, fmt.Errorf("%q: a bill can have day, model, provider, %s", text, strings.Join(slices.Sorted(maps.Keys(names)), ", "))
	}
	return c, nil
}

func (r *reconciling) columns(head []string) (cols []billColumn, err error) {
	for _, text := range r.with.Columns {
		c, err := parseColumn(text)
		if err != nil {
			return nil, fmt.Errorf("%w: --columns: %w", ErrUsage, err)
		}
		is := func(h string) bool { return strings.TrimSpace(h) == c.title }
		c.at = slices.IndexFunc(head, is)
		switch {
		case c.at < 0:
			return nil, fmt.Errorf("%w: --columns %q: %s has no such column; it has: %s", ErrUsage, text, r.with.CSV, titles(head))
		case slices.ContainsFunc(head[c.at+1:], is):
			return nil, fmt.Errorf("%w: --columns %q: %s has two columns of that name", ErrUsage, text, r.with.CSV)
		case c.meter == 0 && slices.ContainsFunc(cols, func(o billColumn) bool { return o.name == c.name }):
			return nil, fmt.Errorf("%w: --columns %q: %s is there twice", ErrUsage, text, c.name)
		}
		cols = append(cols, c)
	}
	if !slices.ContainsFunc(cols, func(c billColumn) bool { return c.name == "day" }) {
		return nil, fmt.Errorf("%w: --columns must say where the day is: day=column", ErrUsage)
	}
	if r.with.Provider == "" && !slices.ContainsFunc(cols, func(c billColumn) bool { return c.name == "provider" }) {
		return nil, fmt.Errorf("%w: whose bill is it? --provider, or provider=column in --columns", ErrUsage)
	}
	return cols, nil
}

// titles lists a bill's columns, so many and so much of each as can be read.
func titles(head []string) string {
	const most, longest = 30, 40
	var list []string
	for i, h := range head {
		if i == most {
			list = append(list, fmt.Sprintf("and %d more", len(head)-i))
			break
		}
		if text := []rune(h); len(text) > longest {
			h = string(text[:longest]) + "…"
		}
		list = append(list, strconv.Quote(h))
	}
	return strings.Join(list, ", ")
}

// billed takes in a line of a bill.
func (r *reconciling) billed(cols []billColumn, fields []string) error {
	at := spot{provider: strings.ToLower(r.with.Provider)}
	for _, c := range cols {
		switch text := strings.TrimSpace(fields[c.at]); c.name {
		case "day":
			var err error
			if at.day, err = billDay(text); err != nil {
				return fmt.Errorf("column %q: %w", c.title, err)
			}
		case "model":
			at.model = text
		case "provider":
			at.provider = strings.ToLower(text)
		}
	}
	if at.day < r.s.from || at.day >= r.s.to || !r.wants(at.provider) {
		return nil
	}
	s := r.account("").at(at)
	for _, c := range cols {
		text := strings.TrimSpace(fields[c.at])
		if c.meter == 0 || text == "" {
			continue
		}
		d, err := c.amount(text)
		if err != nil {
			return fmt.Errorf("column %q: %w", c.title, err)
		}
		scale := int32(6)
		if c.meter == schemas.CostUSD {
			scale = 9
		}
		v := d.Shift(c.shift + scale).Round(0).BigInt()
		if !v.IsInt64() {
			return fmt.Errorf("column %q: the number is too large for %s", c.title, c.name)
		}
		s.add(c.meter, schemas.AmountOf(v.Int64()))
	}
	return nil
}

// billNumber is a number that can be read in one way only: 1.234,50 and 1,5 are
// others in other countries.
var billNumber = regexp.MustCompile(`^([-+]?\$?|\$[-+])(?:[0-9]{1,30}|[0-9]{1,3}(?:,[0-9]{3}){1,9})?(?:\.[0-9]{0,30})?(?:[eE][-+]?[0-9]{1,2})?$`)

// amount reads a number of the column.
func (c *billColumn) amount(text string) (decimal.Decimal, error) {
	if m := billNumber.FindStringSubmatch(text); m != nil && (c.meter == schemas.CostUSD || !strings.Contains(m[1], "$")) {
		if d, err := decimal.NewFromString(strings.NewReplacer("$", "", ",", "").Replace(text)); err == nil {
			return d, nil
		}
	}
	return decimal.Decimal{}, errors.New("holds no number that is sure: want 1234.5 or 1,234.50, with a point for decimals and commas between thousands only, and of costs $1,234.50")
}

// billDay reads a day, or a point in time: as in records, or with other marks
// between year, month and day.
func billDay(text string) (schemas.Day, error) {
	for _, layout := range []string{"20060102", "2006/01/02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return schemas.DayOf(t.UnixMicro()), nil
		}
	}
	if us, ok := transform.Time(text, time.UTC); ok {
		return schemas.DayOf(us), nil
	}
	return 0, errors.New("holds no date that is sure (11/04 may be April or November): write it as YYYY-MM-DD")
}
