package usagelake_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usagelake"
	"usagelake/schemas"
)

const (
	oldBook = `
book: old
entries:
  - {model: "gpt-*", prices: {input: 2.5, cache_read: 1.25, output: 10, input_image: 10, output_image: 40}}
  - {provider: openrouter, model: "google/*", prices: {input: 1, cache_read: 1, cache_write: 1, input_audio: 1, input_video: 1, output: 3, output_audio: 3, output_image: 3}}
`
	newBook = `
book: new
entries:
  - {model: "gpt-*", to: 2025-06-01, prices: {input: 2.5, cache_read: 1.25, output: 10, input_image: 10, output_image: 40}}
  - {model: "gpt-*", from: 2025-06-01, prices: {input: 2, cache_read: 0.5, output: 8, input_image: 10, output_image: 32}}
`
)

// reprice reprices, and finds the lake in order.
func reprice(t *testing.T, cfg usagelake.Config, dry bool) *usagelake.Repricing {
	t.Helper()
	done, err := usagelake.Reprice(context.Background(), cfg, dry)
	if err != nil {
		t.Fatal(err)
	}
	v, err := usagelake.Verify(context.Background(), cfg.Lake, nil)
	if err != nil || len(v.Problems) > 0 {
		t.Fatal(err, v.Problems)
	}
	return done
}

// Days that are repriced hold, to the byte, what a load by the same books makes
// of the logs, whatever they cost before.
func TestRepriceIsLikeALoad(t *testing.T) {
	dir := t.TempDir()
	in, was, is := filepath.Join("testdata", "logs"), write(t, filepath.Join(dir, "old.yaml"), oldBook), write(t, filepath.Join(dir, "new.yaml"), newBook)
	loaded := func(name string, books ...string) usagelake.Config {
		cfg := usagelake.Config{Inputs: []string{in}, Lake: filepath.Join(dir, name), Prices: books, Set: []string{"model=gpt-image-1"}}
		load(t, cfg)
		return cfg
	}
	want := hashes(t, loaded("want", is).Lake)
	for name, books := range map[string][]string{"none": nil, "old": {was}, "both": {was, is}} {
		cfg := loaded(name, books...)
		before := hashes(t, cfg.Lake)
		cfg.Inputs, cfg.Prices, cfg.From, cfg.To = nil, []string{is}, "2015-01-01", "2100-01-01"

		foreseen := reprice(t, cfg, true)
		if d := cmp.Diff(before, hashes(t, cfg.Lake)); d != "" {
			t.Errorf("%s: a dry run changed the lake\n%s", name, d)
		}
		done := reprice(t, cfg, false)
		if d := cmp.Diff(want, hashes(t, cfg.Lake)); d != "" {
			t.Errorf("%s: -loaded +repriced\n%s", name, d)
		}
		if done.Seq == 0 || done.Changed == 0 || done.Files == 0 || len(done.Models) == 0 || done.Old == done.New {
			t.Errorf("%s: %+v", name, done)
		}
		foreseen.Seq, foreseen.Bytes, foreseen.Seconds = done.Seq, done.Bytes, done.Seconds
		if d := cmp.Diff(foreseen, done); d != "" {
			t.Errorf("%s: -foreseen +done\n%s", name, d)
		}
		if again := reprice(t, cfg, false); again.Seq != 0 || again.Changed != 0 || again.Files != 0 {
			t.Errorf("%s: the second time: %+v", name, again)
		}
	}
}

// Days outside are left alone, and so is everything but the cost.
func TestRepriceDays(t *testing.T) {
	dir := t.TempDir()
	var lines []string
	for _, day := range []string{"2026-03-01", "2026-03-02", "2026-03-03"} {
		lines = append(lines, `{"id":"`+day+`","created_at":"`+day+`T12:00:00Z","model":"gpt-4o","provider":"openai","usage":{"prompt_tokens":1000000,"completion_tokens":100000,"total_tokens":1100000}}`,
			`{"id":"x`+day+`","created_at":"`+day+`T12:00:00Z","model":"other","usage":{"prompt_tokens":7,"completion_tokens":1,"total_tokens":8}}`)
	}
	cfg := usagelake.Config{
		Inputs: []string{write(t, filepath.Join(dir, "a.jsonl"), strings.Join(lines, "\n")+"\n")},
		Lake:   filepath.Join(dir, "lake"), Prices: []string{write(t, filepath.Join(dir, "old.yaml"), oldBook)},
	}
	load(t, cfg)
	before := rows(t, cfg.Lake)
	cfg.Prices = []string{write(t, filepath.Join(dir, "new.yaml"), newBook)}
	cfg.From, cfg.To = "2026-03-02", "2026-03-03"
	done := reprice(t, cfg, false)
	want := &usagelake.Repricing{
		Lake: cfg.Lake, Seq: 2, Rows: 2, Files: 1, Repriced: usagelake.Repriced{Changed: 1, Old: "3.5", New: "2.8", Change: "-0.7"},
		Models: []usagelake.RepricedModel{{
			Day: "2026-03-02", Provider: "openai", Model: "gpt-4o",
			Repriced: usagelake.Repriced{Changed: 1, Old: "3.5", New: "2.8", Change: "-0.7"},
		}},
		Unpriced: []usagelake.Unpriced{{Provider: "openai", Model: "other", Rows: 1, Tokens: "8", Why: []string{"no entry"}}},
		Bytes:    done.Bytes, Seconds: done.Seconds,
	}
	if d := cmp.Diff(want, done); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	after := rows(t, cfg.Lake)
	for i := range before {
		b, a := maps.Clone(before[i]), maps.Clone(after[i])
		if b["request_id"] == "2026-03-02" {
			if a["cost_usd"] != "2.8" || a["price_id"] == b["price_id"] {
				t.Errorf("%v", a)
			}
			for _, c := range []string{"cost_usd", "price_id"} {
				delete(a, c)
				delete(b, c)
			}
		}
		if d := cmp.Diff(b, a); d != "" {
			t.Errorf("%s: -before +after\n%s", b["request_id"], d)
		}
	}

	// more of an old day, at another price: what is there costs what it did
	more := cfg
	more.Inputs = []string{write(t, filepath.Join(dir, "b.jsonl"), strings.ReplaceAll(lines[2], `"id":"`, `"id":"later-`)+"\n")}
	more.Prices, more.From, more.To = []string{filepath.Join(dir, "old.yaml")}, "", ""
	load(t, more)
	costs := map[string]string{}
	for _, row := range rows(t, cfg.Lake) {
		if c, ok := row["cost_usd"]; ok {
			costs[row["request_id"]] = c
		}
	}
	if d := cmp.Diff(map[string]string{"2026-03-01": "3.5", "2026-03-02": "2.8", "2026-03-03": "3.5", "later-2026-03-02": "3.5"}, costs); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	// a model that the book does not know any more loses its cost, and says so
	cfg.Prices = []string{write(t, filepath.Join(dir, "none.yaml"), "book: none\nentries:\n  - {model: nothing, prices: {input: 1}}\n")}
	if done := reprice(t, cfg, false); done.New != "0" || done.Changed != 2 || done.Unpriced[0].Model != "gpt-4o" {
		t.Errorf("%+v", done)
	}
	for _, row := range rows(t, cfg.Lake) {
		if row["request_id"] == "2026-03-02" && (row["cost_usd"] != "" || row["price_id"] != "" || row["quality_flags"] != schemas.FlagUnpriced) {
			t.Errorf("%v", row)
		}
	}
	if _, err := usagelake.Forget(context.Background(), usagelake.Config{Lake: cfg.Lake}, "a.jsonl"); err != nil {
		t.Fatal(err)
	}
	if v, err := usagelake.Verify(context.Background(), cfg.Lake, nil); err != nil || len(v.Problems) > 0 || v.Rows != 1 {
		t.Error(err, v)
	}
}

func TestRepriceRefuses(t *testing.T) {
	dir := t.TempDir()
	book := write(t, filepath.Join(dir, "new.yaml"), newBook)
	cfg := usagelake.Config{Inputs: []string{filepath.Join("testdata", "logs", "openrouter")}, Lake: filepath.Join(dir, "lake")}
	load(t, cfg)
	for name, change := range map[string]func(*usagelake.Config){
		"--prices BOOK is missing": func(c *usagelake.Config) { c.Prices = nil },
		"from which day to which":  func(c *usagelake.Config) { c.To = "" },
		"is not before":            func(c *usagelake.Config) { c.From = c.To },
	} {
		cfg := usagelake.Config{Lake: cfg.Lake, Prices: []string{book}, From: "2025-01-01", To: "2026-01-01"}
		change(&cfg)
		if _, err := usagelake.Reprice(context.Background(), cfg, false); !errors.Is(err, usagelake.ErrUsage) || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
	cfg = usagelake.Config{Lake: filepath.Join(dir, "nowhere"), Prices: []string{book}, From: "2025-01-01", To: "2026-01-01"}
	if _, err := usagelake.Reprice(context.Background(), cfg, false); err == nil {
		t.Error("a lake that is not there was repriced")
	}
}

// A year repriced twice has the same bytes, and those of before when it is
// repriced back.
func TestRepriceYear(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var lines strings.Builder
	for d := range 365 {
		for i := range 5 {
			lines.WriteString(call(fmt.Sprintf("call-%d-%d", d, i), day.AddDate(0, 0, -d).Unix()+int64(i), 1000*i+d, 7*d))
		}
	}
	book := func(name, from string, price float64) string {
		return write(t, filepath.Join(dir, name+".yaml"), fmt.Sprintf("book: %s\nentries:\n  - {model: \"*\", from: %s, prices: {input: %v, output: 3, cache_read: 1}}\n", name, from, price))
	}
	first, second := book("first", "2000-01-01", 1.25), book("second", day.AddDate(0, 0, -200).Format(time.DateOnly), 1.5)
	cfg := usagelake.Config{
		Inputs: []string{write(t, filepath.Join(dir, "year.jsonl"), lines.String())}, Lake: filepath.Join(dir, "lake"), Prices: []string{first},
	}
	load(t, cfg)
	was := hashes(t, cfg.Lake)
	cfg.Inputs, cfg.From, cfg.To = nil, "2000-01-01", "2100-01-01"

	cfg.Prices = []string{first, second}
	done := reprice(t, cfg, false)
	is := hashes(t, cfg.Lake)
	if done.Files != 201 || done.Rows != 365*5 {
		t.Errorf("%d files, %d rows", done.Files, done.Rows)
	}
	if again := reprice(t, cfg, false); again.Seq != 0 {
		t.Errorf("the second time: %+v", again)
	}
	if d := cmp.Diff(is, hashes(t, cfg.Lake)); d != "" {
		t.Errorf("the second time\n%s", d)
	}
	cfg.Prices = []string{first}
	reprice(t, cfg, false)
	if d := cmp.Diff(was, hashes(t, cfg.Lake)); d != "" {
		t.Errorf("and back\n%s", d)
	}
}
