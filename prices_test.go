package usagelake_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usagelake"
	"usagelake/schemas"
)

// The prices that the splits of shared samples imply.
const openrouterBook = `
book: implied
note: from cost_details of recorded answers; no list of anyone's
source: the logs themselves
checked: 2026-11-22
entries:
  - {provider: openrouter, model: qwen/qwen3-30b-a3b-instruct-2507, prices: {input: 0.1, output: 0.3}}
  - {provider: openrouter, model: ["anthropic/claude-4.*-sonnet-*", anthropic/claude-sonnet-4.5], prices: {input: 3, output: 15, cache_read: 0.3, cache_write: 3.75}}
  - {provider: openrouter, model: ["openai/gpt-5-mini*", openai/gpt-5.1-codex-mini], prices: {input: 0.25, output: 2}}
  - {provider: openrouter, model: openai/gpt-4o-mini, prices: {input: 0.15, output: 0.6}}
  - {provider: openrouter, model: openai/gpt-4.1-mini, prices: {input: 0.4, output: 1.6, search: 0.01}}
  - {provider: openrouter, model: openai/o3, prices: {input: 2, output: 8}}
  - provider: openrouter
    model: google/gemini-2.5-flash
    prices: {input: 0.3, input_video: 0.3, cache_read: 0.03, cache_write: 0.083333333333, output: 2.5}
    variants: [{tier: provisioned, prices: {input: 0.3, output: 2.5}}]
  - {provider: openrouter, model: google/gemini-3.6-flash, prices: {input: 1.5, output: 7.5}}
  - {provider: openrouter, model: z-ai/glm-4.6, prices: {input: 0.6, output: 2.2}}
  - {provider: openrouter, model: deepseek/deepseek-chat, prices: {input: 0.2574, output: 1.0287, search: 0.007}}
  - {provider: openrouter, model: x-ai/grok-4, prices: {input: 3, output: 15, cache_read: 0.75}}
  - {provider: openrouter, model: "minimax/minimax-m2:free", prices: {input: 0, output: 0}}
`

// Of calls through OpenRouter the cost by the prices that the split implies is
// the cost that was logged, to 10^-9 dollars, but for those that are explained.
func TestPricesOpenRouter(t *testing.T) {
	lake := t.TempDir()
	r := load(t, usagelake.Config{
		Inputs: []string{shared(t, "samples/openrouter")}, Lake: lake, Prices: []string{write(t, filepath.Join(t.TempDir(), "book.yaml"), openrouterBook)},
	})
	differ := map[string]string{}
	same := 0
	for _, row := range rows(t, lake) {
		reported, ok := row["reported_cost_usd"]
		if !ok {
			continue // nothing to hold it against
		}
		if row["cost_usd"] == reported {
			same++
			continue
		}
		differ[fmt.Sprintf("%s:%s", filepath.Base(row["source_file"]), row["source_line"])] = reported + ", by prices " + row["cost_usd"]
	}
	want := map[string]string{
		// tools that the gateway ran; its split leaves them out, and the record
		// does not count what it bills
		"chat-completions.jsonl:5":         "0.0160614, by prices 0.0001764",
		"chat-completions.jsonl:8":         "0.00216775, by prices 0.00016775",
		"chat-completions.stream.jsonl:25": "0.0145476, by prices 0.0001776",
		// own keys: the vendor bills what upstream_inference_cost says
		"chat-completions.jsonl:9":  "0, by prices 0.0003253",
		"chat-completions.jsonl:10": "0, by prices 0.0002265",
	}
	if d := cmp.Diff(want, differ); d != "" {
		t.Errorf("rows that differ, -want +got\n%s", d)
	}
	if same != 47 {
		t.Errorf("%d rows cost what was logged, want 47", same)
	}
	var names []string
	for _, u := range r.Unpriced {
		names = append(names, u.Model)
	}
	if d := cmp.Diff([]string{"anthropic/claude-3.7-sonnet:thinking", "mistralai/mistral-small", "google/gemini-2.5-flash-lite", "google/gemini-2.0-flash-exp:free"}, names); d != "" {
		t.Errorf("unpriced, -want +got\n%s", d)
	}
}

// A session of pi costs what it logged, call by call.
func TestPricesPi(t *testing.T) {
	lake := t.TempDir()
	load(t, usagelake.Config{
		Inputs: []string{shared(t, "samples/pi/session.jsonl")}, Lake: lake,
		Prices: []string{write(t, filepath.Join(t.TempDir(), "book.yaml"), `
book: pi
entries:
  - {provider: anthropic, model: claude-sonnet-4-5, prices: {input: 3, output: 15, cache_read: 0.3, cache_write: 3.75}}
  - {provider: openai, model: gpt-5.1-codex, prices: {input: 1.25, output: 10, cache_read: 0.125}}
`)},
	})
	n := 0
	for _, row := range rows(t, lake) {
		if row["cost_usd"] != row["reported_cost_usd"] || row["price_id"] == "" {
			t.Errorf("line %s: %q, logged %q", row["source_line"], row["cost_usd"], row["reported_cost_usd"])
		}
		n++
	}
	if n != 453 {
		t.Errorf("%d rows, want 453", n)
	}
	if got := sum(t, lake, schemas.CostUSD); got != "30.3301977" {
		t.Errorf("together %s, want 30.3301977", got)
	}
}

const imageBook = `
book: images
entries:
  - {provider: openai, model: gpt-image-1, prices: {input: 5, cache_read: 1.25, input_image: 10, output_image: 40}}
`

// Text, images that come in and images that go out have prices of their own.
func TestPricesOfImages(t *testing.T) {
	dir := t.TempDir()
	in := write(t, filepath.Join(dir, "edits.jsonl"), `{"created":1787220000,"data":[{"url":"x"}],"size":"1024x1024","quality":"high",`+
		`"usage":{"input_tokens":1000,"input_tokens_details":{"image_tokens":800,"text_tokens":200},"output_tokens":4000,"total_tokens":5000}}`+"\n")
	cfg := usagelake.Config{
		Inputs: []string{in}, Lake: filepath.Join(dir, "lake"), Set: []string{"model=gpt-image-1", "provider=openai"},
		Prices: []string{write(t, filepath.Join(dir, "book.yaml"), imageBook)},
	}
	load(t, cfg)
	list, err := usagelake.ExplainPrice(context.Background(), cfg, usagelake.PricePlace{File: "edits.jsonl", Line: 1})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range list[0].Lines {
		got = append(got, fmt.Sprintf("%s %s x %s = %s", l.Meter, l.Quantity, l.USD, l.Amount))
	}
	want := []string{"input 200 x 5 = 0.001", "input_image 800 x 10 = 0.008", "output_image 4000 x 40 = 0.16"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if list[0].Cost != "0.169" || list[0].Stored != "0.169" || list[0].StoredPriceID != list[0].PriceID {
		t.Errorf("%+v", list[0])
	}
}

const slimBook = `
book: slim
entries:
  - {provider: openai, model: m, prices: {input: 1000, output: 2000}}
`

// What is in the table keeps its cost when new rows come to its day with other
// prices; what has no price is listed and has no cost.
func TestPricesMerge(t *testing.T) {
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	line := func(id, model string, in int) string {
		return fmt.Sprintf(`{"id":%q,"object":"chat.completion","created":1787220000,"model":%q,"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":1,"total_tokens":%d}}`+"\n", id, model, in, in+1)
	}
	costs := func() string {
		var list []string
		for _, row := range rows(t, lake) {
			list = append(list, row["request_id"]+"="+row["cost_usd"]+" "+row["quality_flags"])
		}
		slices.Sort(list)
		return strings.Join(list, "; ")
	}
	book := write(t, filepath.Join(dir, "slim.yaml"), slimBook)
	dear := write(t, filepath.Join(dir, "dear.yaml"), strings.ReplaceAll(slimBook, "1000", "5000"))
	first := write(t, filepath.Join(dir, "logs", "a.jsonl"), line("a", "m", 10)+line("b", "other", 10)+line("c", "other", 20))
	cfg := usagelake.Config{Inputs: []string{first}, Lake: lake, Prices: []string{book}}
	plan, err := usagelake.Plan(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := load(t, cfg)
	if got, want := plan.Files[0].Sums.Text(schemas.CostUSD), "0.012"; got != want || r.Files[0].Sums.Text(schemas.CostUSD) != want {
		t.Errorf("planned %s, loaded %s, want %s", got, r.Files[0].Sums.Text(schemas.CostUSD), want)
	}
	unpriced := []usagelake.Unpriced{{Provider: "openai", Model: "other", Rows: 2, Tokens: "32", Why: []string{"no entry"}}}
	if d := cmp.Diff(unpriced, r.Unpriced); d != "" {
		t.Errorf("unpriced, -want +got\n%s", d)
	}
	if got, want := costs(), "a=0.012 ; b= unpriced; c= unpriced"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// copies and new rows of the same day, at another price; and at none
	second := write(t, filepath.Join(dir, "logs", "b.jsonl"), line("a", "m", 10)+line("d", "m", 10))
	load(t, usagelake.Config{Inputs: []string{second}, Lake: lake, Prices: []string{dear}})
	third := write(t, filepath.Join(dir, "logs", "c.jsonl"), line("e", "m", 10))
	load(t, usagelake.Config{Inputs: []string{third}, Lake: lake})
	if got, want := costs(), "a=0.012 ; b= unpriced; c= unpriced; d=0.052 ; e= "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	v, err := usagelake.Verify(context.Background(), lake, nil)
	if err != nil || len(v.Problems) > 0 {
		t.Errorf("%v %v", v.Problems, err)
	}
	if got := v.Sums.Text(schemas.CostUSD); got != "0.064" {
		t.Errorf("together %s, want 0.064", got)
	}
}

// Records that are replayed are priced by the books that the replay is given.
func TestPricesReplay(t *testing.T) {
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	in := write(t, filepath.Join(dir, "a.jsonl"), `{"model":"m","object":"chat.completion","id":"x","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":1,"total_tokens":11}}`+"\n")
	cfg := usagelake.Config{Inputs: []string{in}, Lake: lake, StrictTime: true, Prices: []string{write(t, filepath.Join(dir, "slim.yaml"), slimBook)}}
	if r := load(t, cfg); r.Books.Quarantined != 1 {
		t.Fatalf("%+v", r.Books)
	}
	cfg.Inputs, cfg.StrictTime, cfg.EventTime = nil, false, "2026-08-21"
	if _, err := usagelake.Replay(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	if got := sum(t, lake, schemas.CostUSD); got != "0.012" {
		t.Errorf("%s, want 0.012", got)
	}
}

func TestPricesFaults(t *testing.T) {
	dir := t.TempDir()
	in := write(t, filepath.Join(dir, "a.jsonl"), call("a", 1787220000, 1, 1))
	good := write(t, filepath.Join(dir, "good.yaml"), slimBook)
	for name, c := range map[string]struct {
		books []string
		want  string
	}{
		"missing": {[]string{filepath.Join(dir, "none.yaml")}, "no such file"},
		"broken":  {[]string{write(t, filepath.Join(dir, "bad.yaml"), "book: b\nentries:\n  - {model: m, prices: {inputs: 1}}")}, "line 3: prices: \"inputs\" is not known"},
		"twice":   {[]string{good, good}, `two price books are named "slim"`},
	} {
		_, err := usagelake.Load(context.Background(), usagelake.Config{Inputs: []string{in}, Lake: filepath.Join(dir, "lake"), Prices: c.books})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "--prices") {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "lake")); err == nil {
		t.Error("a lake was made")
	}
}
