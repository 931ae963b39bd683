package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// What the logs must add up to is counted here while they are written, apart
// from usagelake: from what the generator knows, not from what it wrote.

// tally holds one call's quantities while its record is made, by column: 10^-6
// tokens, pieces, or 10^-9 dollars.
type tally struct {
	sums  map[string]int64
	spell spelling
}

func count() *tally { return &tally{sums: map[string]int64{}} }

// spelling is a way to write a count.
type spelling int

const (
	digits    spelling = iota // 1000
	withPoint                 // 1000.0
	exponent                  // 1e3
	quoted                    // "1000"
)

// n counts v in a column and is its text.
func (t *tally) n(column string, v int64) raw {
	t.sums[column] += v * 1e6
	switch t.spell {
	case withPoint:
		return raw(fmt.Sprintf("%d.0", v))
	case exponent:
		zeros := 0
		for ; v > 0 && v%10 == 0; v /= 10 {
			zeros++
		}
		return raw(fmt.Sprintf("%de%d", v, zeros))
	case quoted:
		return raw(fmt.Sprintf("%q", fmt.Sprint(v)))
	}
	return raw(fmt.Sprint(v))
}

// micros counts a fraction, given in 10^-6, in a column and is its text.
func (t *tally) micros(column string, v int64) raw {
	t.sums[column] += v
	return raw(decimal(v, 6))
}

// cost counts dollars, given in 10^-12, and is their text. The table keeps
// 10^-9, rounded half to even.
func (t *tally) cost(pico int64) raw {
	nano, rest := pico/1000, pico%1000
	if rest > 500 || rest == 500 && nano%2 == 1 {
		nano++
	}
	t.sums["reported_cost_usd"] += nano
	return raw(decimal(pico, 12))
}

// images counts pieces.
func (t *tally) images(n int) { t.sums["image_count"] += int64(n) }

// imageOutput counts output that is not broken down: an image model's is images.
func (t *tally) imageOutput(v int64) { t.sums["output_image_tokens"] += v * 1e6 }

// derive adds what a row says beyond its record.
func (t *tally) derive() {
	in, hasIn := t.sums["input_tokens"]
	out, hasOut := t.sums["output_tokens"]
	if hasIn {
		t.sums["uncached_input_tokens"] = in - t.sums["cache_read_tokens"] - t.sums["cache_write_tokens"]
	}
	if _, ok := t.sums["total_tokens"]; !ok && hasIn && hasOut {
		t.sums["total_tokens"] = in + out
	}
}

// call is a record that is a call.
type call struct {
	file  string
	order int    // in the file
	id    string // of copies of one call; "" has none
	at    time.Time
	sums  map[string]int64
}

// better orders copies of a call, the most complete one first.
func better(a, b *call) int {
	of := func(c *call, column string) int64 {
		if v, ok := c.sums[column]; ok {
			return v
		}
		return -1
	}
	return cmp.Or(
		cmp.Compare(of(b, "output_tokens"), of(a, "output_tokens")),
		cmp.Compare(of(b, "input_tokens"), of(a, "input_tokens")),
		b.at.Compare(a.at),
		strings.Compare(sourceFile(a.file), sourceFile(b.file)),
		cmp.Compare(a.order, b.order),
	)
}

func sourceFile(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst")
}

type account struct {
	Records     int `json:"records"`
	Rows        int `json:"rows"`
	Duplicates  int `json:"duplicates"`
	NoUsage     int `json:"no_usage"`
	Quarantined int `json:"quarantined"`
}

// expected is testdata/expected.json.
type expected struct {
	Inputs int `json:"inputs"`
	Same   int `json:"same"` // inputs with the bytes of another one
	account
	Partitions   int    `json:"partitions"`
	InputTokens  string `json:"input_tokens"`
	OutputTokens string `json:"output_tokens"`
	ReportedCost string `json:"reported_cost_usd"`
	// Sums of the rows, by column.
	Sums map[string]string `json:"sums"`
	// NotNull counts the rows where a column holds a value.
	NotNull map[string]int      `json:"not_null"`
	Reasons map[string]int      `json:"reasons"` // of quarantined records
	Dates   map[string]int      `json:"dates"`   // rows by event date
	Files   map[string]*account `json:"files"`
}

func add(files []*file) *expected {
	e := &expected{Reasons: map[string]int{}, Dates: map[string]int{}, Sums: map[string]string{}, NotNull: map[string]int{}, Files: map[string]*account{}}
	var calls []*call
	for _, f := range files {
		e.Inputs++
		a := &account{}
		e.Files[f.name] = a
		if f.same != "" {
			e.Same++
			continue
		}
		a.Records = len(f.calls) + f.noUsage + len(f.bad)
		a.NoUsage, a.Quarantined = f.noUsage, len(f.bad)
		calls = append(calls, f.calls...)
		for _, reason := range f.bad {
			e.Reasons[reason]++
		}
	}

	slices.SortFunc(calls, better)
	sums := map[string]int64{}
	seen := map[string]bool{}
	for _, c := range calls {
		a := e.Files[c.file]
		if c.id != "" && seen[c.id] {
			a.Duplicates++
			continue
		}
		seen[c.id] = true
		a.Rows++
		e.Dates[c.at.UTC().Format(time.DateOnly)]++
		for column, v := range c.sums {
			sums[column] += v
			e.NotNull[column]++
		}
	}

	for _, a := range e.Files {
		e.Records += a.Records
		e.Rows += a.Rows
		e.Duplicates += a.Duplicates
		e.NoUsage += a.NoUsage
		e.Quarantined += a.Quarantined
	}
	e.Partitions = len(e.Dates)
	for _, column := range slices.Sorted(maps.Keys(sums)) {
		e.Sums[column] = columnText(column, sums[column])
	}
	e.InputTokens, e.OutputTokens, e.ReportedCost = e.Sums["input_tokens"], e.Sums["output_tokens"], e.Sums["reported_cost_usd"]
	return e
}

func columnText(column string, v int64) string {
	switch column {
	case "image_count":
		return fmt.Sprint(v)
	case "reported_cost_usd":
		return decimal(v, 9)
	}
	return decimal(v, 6)
}

// decimal is v × 10^-places.
func decimal(v int64, places int) string {
	s := fmt.Sprintf("%0*d", places+1, v)
	whole, frac := s[:len(s)-places], strings.TrimRight(s[len(s)-places:], "0")
	if frac == "" {
		return whole
	}
	return whole + "." + frac
}
