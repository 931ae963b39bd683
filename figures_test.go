package usagelake_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"usagelake"
	"usagelake/cmd/usagelake/page"
	"usagelake/schemas"
	"usagelake/transform/cube"
)

// invented is a call as it is logged.
type invented struct {
	day                             schemas.Day
	provider, model, project, user  string
	in, out, read, reasoning, nanos int64
	hasCost                         bool
}

func (v *invented) line(i int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"event_time":"%sT12:00:00Z","request_id":"r-%d","prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d},"completion_tokens_details":{"reasoning_tokens":%d}`,
		v.day, i, v.in, v.out, v.in+v.out, v.read, v.reasoning)
	for _, kv := range [][2]string{{"provider", v.provider}, {"model", v.model}, {"project_id", v.project}, {"user_id", v.user}} {
		if kv[1] != "" {
			fmt.Fprintf(&b, `,"%s":%q`, kv[0], kv[1])
		}
	}
	if v.hasCost {
		fmt.Fprintf(&b, `,"cost_usd":%d.%09d`, v.nanos/1e9, v.nanos%1e9)
	}
	return b.String() + "}\n"
}

func invent(r *rand.Rand, n int) []invented {
	pick := func(names ...string) string { return names[r.IntN(len(names))] }
	calls := make([]invented, n)
	for i := range calls {
		v := invented{
			day: schemas.Day(20600 + r.IntN(20)), provider: pick("", "openai", "acme"), model: pick("", "gpt-5", "</script><b>", "m&m's"),
			project: pick("", "ads", "\u2028"), user: pick("", "ana", "bo", "carla"), in: r.Int64N(5000), out: r.Int64N(900),
			nanos: r.Int64N(1e10), hasCost: r.IntN(3) > 0,
		}
		v.read, v.reasoning = r.Int64N(v.in+1), r.Int64N(v.out+1)
		calls[i] = v
	}
	return calls
}

// figureCells are the sums of a table's cells by day and what its names are.
func figureCells(t *testing.T, f *usagelake.Figures, table string) map[string]int64 {
	t.Helper()
	s := f.Tables[table]
	read := func(data []byte) []int64 {
		list := make([]int64, s.Cells)
		for i := range list {
			for shift := 0; len(data) > 0; shift += 7 {
				b := data[0]
				data = data[1:]
				list[i] |= int64(b&127) << shift
				if b < 128 {
					break
				}
			}
		}
		return list
	}
	day, keys := int64(0), make([]string, s.Cells)
	for i, d := range read(s.Keys["day"]) {
		day += d
		keys[i] = schemas.Day(day).String()
	}
	for _, d := range []struct {
		name  string
		names []string
	}{{"provider", f.Providers}, {"model", f.Models}, {"project", f.Projects}, {"item", s.Items}} {
		for i, id := range read(s.Keys[d.name]) {
			keys[i] += "|" + append([]string{"OTHER", ""}, d.names...)[id]
		}
	}
	sums := map[string]int64{}
	for name, c := range s.Sums {
		for i, v := range read(c.Data) {
			if v != 0 {
				unit := int64(1)
				for range c.Decimals {
					unit *= 10
				}
				switch {
				case strings.HasSuffix(name, "_usd"):
					v *= 1e9 / unit
				case v%unit != 0:
					t.Errorf("%s is no whole number", name)
				default:
					v /= unit
				}
				sums[keys[i]+" "+name] += v
			}
		}
	}
	return sums
}

// The figures of a lake are what its rows add up to.
func TestFiguresLikeTheModel(t *testing.T) {
	for seed := range uint64(3) {
		calls := invent(rand.New(rand.NewPCG(seed, 9)), 600)
		dir := t.TempDir()
		var lines strings.Builder
		calledBy, calledIn := map[string]int64{}, map[string]int64{}
		from, to := schemas.Day(20603), schemas.Day(20617)
		for i, v := range calls {
			lines.WriteString(v.line(i))
			if v.day < from || v.day >= to {
				continue
			}
			base := strings.Join([]string{v.day.String(), v.provider, v.model, v.project}, "|")
			add := func(m map[string]int64, item string, name string, n int64) {
				if n != 0 {
					m[base+"|"+item+" "+name] += n
				}
			}
			for item, m := range map[string]map[string]int64{"": calledIn, v.user + "\x00": calledBy} {
				item = strings.TrimSuffix(item, "\x00")
				add(m, item, "calls", 1)
				add(m, item, "input_tokens", v.in)
				add(m, item, "output_tokens", v.out)
				if v.hasCost {
					add(m, item, "reported_cost_usd", v.nanos)
					add(m, item, "reported_cost_usd_rows", 1)
				}
			}
			add(calledIn, "", "fresh", v.in-v.read)
			add(calledIn, "", "cache_read", v.read)
			add(calledIn, "", "reasoning", v.reasoning)
			add(calledIn, "", "text", v.out-v.reasoning)
			if !v.hasCost {
				add(calledIn, "", "no_cost_rows", 1)
			}
			if v.read > 0 {
				add(calledIn, "", "cached_rows", 1)
			}
		}
		write(t, filepath.Join(dir, "in", "calls.jsonl"), lines.String())
		cfg := usagelake.Config{Inputs: []string{filepath.Join(dir, "in")}, Lake: filepath.Join(dir, "lake"), Buckets: 2}
		if r := load(t, cfg); r.Books.Rows != int64(len(calls)) {
			t.Fatalf("%d rows", r.Books.Rows)
		}
		cfg.From, cfg.To = from.String(), to.String()
		var before []byte
		for _, jobs := range []int{1, 4} {
			cfg.Jobs = jobs
			f, err := usagelake.ReadFigures(context.Background(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "calls", figureCells(t, f, "calls"), calledIn)
			same(t, "users", figureCells(t, f, "users"), calledBy)
			var html bytes.Buffer
			if err := page.Write(&html, f); err != nil {
				t.Fatal(err)
			}
			if before != nil && !bytes.Equal(before, html.Bytes()) {
				t.Errorf("another page with %d jobs", jobs)
			}
			before = html.Bytes()
		}
	}
}

func same(t *testing.T, what string, got, want map[string]int64) {
	t.Helper()
	keys := maps.Clone(want)
	maps.Copy(keys, got)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if got[k] != want[k] {
			t.Fatalf("%s: %q is %d, want %d", what, k, got[k], want[k])
		}
	}
}

// What caches saved is what the same calls would cost without.
func TestFiguresSavings(t *testing.T) {
	dir := t.TempDir()
	book := write(t, filepath.Join(dir, "book.yaml"), "book: b\nentries:\n  - {model: known, prices: {input: 10, cache_read: 1, cache_write: 12.5, output: 20}}\n")
	write(t, filepath.Join(dir, "in", "a.jsonl"), strings.Join([]string{
		// saves 600 * 9, writes cost 100 * 2.5 more, in millionths of a dollar
		`{"event_time":"2026-08-01T00:00:00Z","request_id":"1","model":"known","usage":{"input_tokens":300,"cache_read_input_tokens":600,"cache_creation_input_tokens":100,"output_tokens":10}}`,
		`{"event_time":"2026-08-01T00:00:00Z","request_id":"2","model":"known","usage":{"input_tokens":300,"cache_read_input_tokens":0,"cache_creation_input_tokens":0,"output_tokens":10}}`,
		`{"event_time":"2026-08-01T00:00:00Z","request_id":"3","model":"unknown","usage":{"input_tokens":300,"cache_read_input_tokens":600,"cache_creation_input_tokens":0,"output_tokens":10}}`,
	}, "\n")+"\n")
	cfg := usagelake.Config{Inputs: []string{filepath.Join(dir, "in")}, Lake: filepath.Join(dir, "lake")}
	load(t, cfg)
	f, err := usagelake.ReadFigures(context.Background(), cfg)
	if err != nil || f.Priced || f.Tables["calls"].Sums["saved_usd"].Total != "0" {
		t.Errorf("without books it saved %v (%v)", f.Tables["calls"].Sums["saved_usd"], err)
	}
	cfg.Prices = []string{book}
	if f, err = usagelake.ReadFigures(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"saved_usd": "0.0054", "write_extra_usd": "0.00025", "cached_rows": "2", "saved_rows": "1", "cost_usd": "0"} {
		if got := f.Tables["calls"].Sums[name].Total; got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// A page of 400 days, 60 models and 30 projects, all of them in use every day,
// stays below 2 MB, and its sums stay exact.
func TestPageSize(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const days, models, projects = 400, 60, 30
	r := rand.New(rand.NewPCG(1, 1))
	last := schemas.Day(20000 + days - 1)
	all := cube.New(last, usagelake.FigureSpecs())
	var calls int64
	for d := range schemas.Day(days) {
		c := cube.OfDay(20000+d, usagelake.FigureSpecs())
		for m := range models {
			for p := range projects {
				k := cube.Key{Day: 20000 + d, Is: [cube.NumDims]uint32{
					c.Shared[cube.Provider].ID(fmt.Appendf(nil, "provider-%d", m%7)),
					c.Shared[cube.Model].ID(fmt.Appendf(nil, "a-model-with-a-long-name-%d", m)), c.Shared[cube.Project].ID(fmt.Appendf(nil, "project-%d", p)), cube.None,
				}}
				for n, table := range c.Tables {
					k.Is[cube.Item] = cube.None
					if n > 0 {
						if calls%8 > 0 {
							continue
						}
						k.Is[cube.Item] = table.Items.ID(fmt.Appendf(nil, "a-name-in-%s-%d", table.Name, r.IntN(1000)))
					}
					cell := table.Cell(k)
					cell[0] = cell[0].Add(schemas.AmountOf(1))
					for i, m := range table.Measures[1:] {
						switch {
						case i%3 == 2:
						case m.Decimals == 6:
							cell[i+1] = cell[i+1].Add(schemas.AmountOf(r.Int64N(1e6) * 1e6))
						default:
							cell[i+1] = cell[i+1].Add(schemas.AmountOf(r.Int64N(1e9)))
						}
					}
				}
				calls++
			}
		}
		c.Tidy()
		all.Merge(c)
	}
	f := &usagelake.Figures{Sheets: all.Fit(usagelake.FigureBudget, usagelake.FigureSize), Coverage: &usagelake.Coverage{}}
	var html bytes.Buffer
	if err := page.Write(&html, f); err != nil {
		t.Fatal(err)
	}
	if html.Len() >= 2_000_000 {
		t.Errorf("%d bytes", html.Len())
	}
	for name, s := range f.Tables {
		t.Logf("%s: %d cells by %s before day %d of %d, %v dropped, %v folded", name, s.Cells, s.Span, s.DailyFrom, last, s.Dropped, s.Folded)
		want := calls
		if name != "calls" {
			want /= 8
		}
		if s.Sums["calls"].Total != fmt.Sprint(want) {
			t.Errorf("%s: %s calls, want %d", name, s.Sums["calls"].Total, want)
		}
	}
	t.Logf("%d bytes", html.Len())
}

// Names from logs cannot leave the data that they stand in, and nothing but the
// page's own script may run or be loaded.
func TestPageEscapes(t *testing.T) {
	evil := []string{`</script><script>alert(1)</script>`, `<!--<script>`, "\u2028\u2029", `{{script}}`, `"onload=x`, "]]>"}
	c := cube.New(20000, usagelake.FigureSpecs())
	for _, name := range evil {
		id := c.Shared[cube.Model].ID([]byte(name))
		c.Tables[0].Cell(cube.Key{Day: 20000, Is: [cube.NumDims]uint32{cube.None, id, cube.None, cube.None}})[0] = schemas.AmountOf(1)
	}
	f := &usagelake.Figures{Lake: `<img src=x onerror=alert(1)>`, Sheets: c.Fit(usagelake.FigureBudget, usagelake.FigureSize), Coverage: &usagelake.Coverage{}}
	var b bytes.Buffer
	if err := page.Write(&b, f); err != nil {
		t.Fatal(err)
	}
	html := b.String()
	if n := strings.Count(html, "<script"); n != 2 {
		t.Errorf("%d scripts begin", n)
	}
	if strings.Contains(html, "<img") || strings.Contains(html, "alert(1)<") {
		t.Error("a name is part of the page")
	}
	_, rest, _ := strings.Cut(html, `id="data">`)
	data, _, _ := strings.Cut(rest, "</script>")
	var back struct{ Models []string }
	if err := json.Unmarshal([]byte(data), &back); err != nil {
		t.Fatal(err)
	}
	slices.Sort(back.Models)
	slices.Sort(evil)
	if !slices.Equal(back.Models, evil) {
		t.Errorf("models are %q, want %q", back.Models, evil)
	}
	for _, want := range []string{"default-src 'none'", "script-src 'sha256-", "style-src 'sha256-"} {
		if !strings.Contains(html, want) {
			t.Errorf("the policy has no %s", want)
		}
	}
	for _, no := range []string{"unsafe-inline", "unsafe-eval", " src=", "@import", "url("} {
		if before, _, ok := strings.Cut(html, no); ok && !strings.Contains(before[max(0, len(before)-40):], "img") {
			t.Errorf("the page has %s", no)
		}
	}
}

func TestSourceOf(t *testing.T) {
	for file, want := range map[string]string{
		"2026-08-01.jsonl":                             "*.jsonl",
		"openai/chat-2026-08-01.jsonl":                 "openai/chat-*.jsonl",
		"openai/2026/08/01/chat.jsonl":                 "openai/*/*/*/chat.jsonl",
		"export20260801T020000Z.jsonl":                 "export*.jsonl",
		"20260801T020000Z.jsonl":                       "*.jsonl",
		"p/9f1c2d3e-1a2b-4c3d-8e9f-0a1b2c3d4e5f.jsonl": "p/*.jsonl",
		"app.log.3":          "app.log.*",
		"gpt-4o/usage.jsonl": "gpt-4o/usage.jsonl",
		"model=gpt-4o/day=2026-08-01/part-0001.jsonl": "model=gpt-4o/day=*/part-*.jsonl",
		"facade.jsonl": "facade.jsonl",
	} {
		if got := usagelake.SourceOf(file); got != want {
			t.Errorf("%s is of %s, want %s", file, got, want)
		}
	}
}

// Days that a source lacks, or has little on, are told.
func TestCoverage(t *testing.T) {
	dir := t.TempDir()
	day := func(n int) schemas.Day { return 20603 + schemas.Day(n) } // a Monday is 20605
	n := 0
	lines := func(source string, d, count int) {
		var b strings.Builder
		for range count {
			v := invented{day: day(d), in: 1, out: 1}
			b.WriteString(v.line(n))
			n++
		}
		write(t, filepath.Join(dir, "in", source, day(d).String()+".jsonl"), b.String())
	}
	for d := range 42 {
		switch d {
		case 20: // missing
		case 30:
			lines("nightly", d, 12) // thin
		default:
			lines("nightly", d, 60)
		}
		if d < 5 {
			lines("old", d, 3)
		}
		if d%7 == 3 { // once a week, few
			lines("weekly", d, cmp.Or(d/30, 5))
		}
	}
	cfg := usagelake.Config{Inputs: []string{filepath.Join(dir, "in")}, Lake: filepath.Join(dir, "lake")}
	load(t, cfg)
	read := func(from, to, match string) string {
		t.Helper()
		cfg.From, cfg.To = from, to
		c, err := usagelake.ReadCoverage(context.Background(), cfg, match)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, s := range c.Sources {
			fmt.Fprintln(&b, s.Source, s.Days)
		}
		return b.String()
	}
	if got, want := read("", "", ""), "nightly/*.jsonl "+strings.Repeat("h", 20)+"m"+strings.Repeat("h", 9)+"t"+strings.Repeat("h", 11)+"\n"+
		"old/*.jsonl hhhhh"+strings.Repeat("-", 37)+"\n"+
		"weekly/*.jsonl ---"+strings.Repeat("hmmmmmm", 5)+"h---\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got, want := read(day(38).String(), day(44).String(), ""), "nightly/*.jsonl hhhhmm\nweekly/*.jsonl hmmmmm\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if got, want := read(day(29).String(), day(32).String(), "night*/*"), "nightly/*.jsonl hth\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
