package price

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"usagelake/schemas"
)

// at is a time of tests.
var at = time.Date(2026, 8, 21, 12, 0, 0, 0, time.UTC)

func mustRead(t testing.TB, text string) *Book {
	t.Helper()
	b, err := Read(strings.NewReader(text), "book.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func pricer(t testing.TB, books ...string) *Pricer {
	t.Helper()
	var list []*Book
	for _, text := range books {
		list = append(list, mustRead(t, text))
	}
	l, err := Overlay(list...)
	if err != nil {
		t.Fatal(err)
	}
	return l.Pricer()
}

// row makes a row of columns and values: numbers, texts and times.
func row(pairs ...any) *schemas.Row {
	r := &schemas.Row{}
	r.SetInt(schemas.EventTime, at.UnixMicro())
	r.SetString(schemas.Provider, "openai")
	r.SetString(schemas.Model, "m")
	for i := 0; i < len(pairs); i += 2 {
		c := pairs[i].(schemas.Col)
		switch v := pairs[i+1].(type) {
		case string:
			r.SetString(c, v)
		case time.Time:
			r.SetInt(c, v.UnixMicro())
		case float64:
			r.SetDouble(c, v)
		case int:
			if schemas.Columns[c].Kind == schemas.Double {
				r.SetDouble(c, float64(v))
			} else {
				r.SetInt(c, int64(v))
			}
		}
	}
	return r
}

// cost is a quote as a test compares it.
func cost(q Quote) string {
	text := schemas.AmountOf(q.Nanos).Text(9)
	if !q.Priced() {
		text = strings.Join(q.Missing.Texts(), "; ")
	}
	if q.Assumed {
		text += " assumed"
	}
	return text
}

func TestMeters(t *testing.T) {
	const in, out, read, write, write1h = schemas.InputTokens, schemas.OutputTokens, schemas.CacheReadTokens, schemas.CacheWriteTokens, schemas.CacheWrite1hTokens
	const image, audio, video, readImage, readAudio = schemas.InputImageTokens, schemas.InputAudioTokens, schemas.InputVideoTokens, schemas.CacheReadImageTokens, schemas.CacheReadAudioTokens
	for _, c := range []struct {
		name string
		row  *schemas.Row
		want string
	}{
		{"input and output", row(in, 5, out, 3), "input=5 output=3"},
		{"reads and writes are no input", row(in, 9, read, 4, write, 3, write1h, 1), "input=2 cache_read=4 cache_write=2 cache_write_1h=1"},
		{"more for an hour than at all", row(in, 9, write, 3, write1h, 5), "input=6 cache_write_1h=3"},
		{"for an hour alone", row(in, 9, write1h, 5), "input=4 cache_write_1h=5"},
		{"parts", row(in, 9, image, 4, audio, 2, video, 1), "input=2 input_image=4 input_audio=2 input_video=1"},
		{"tools are text", row(in, 9, schemas.InputToolTokens, 4), "input=9"},
		{"cached images that are told", row(in, 9, image, 4, read, 5, readImage, 3), "input=3 input_image=1 cache_read=2 cache_read_image=3"},
		{"cached audio that is told", row(in, 9, audio, 4, read, 5, readAudio, 3), "input=3 input_audio=1 cache_read=2 cache_read_audio=3"},
		{"cached is text first", row(in, 9, image, 4, read, 5), "input_image=4 cache_read=5"},
		{"cached as far as there is text", row(in, 9, image, 6, read, 5), "input_image=4 cache_read=3 cache_read_image=2"},
		{"cached video is read as text", row(in, 9, video, 6, read, 5), "input_video=4 cache_read=5"},
		{"no cached image is told", row(in, 9, image, 6, read, 5, readImage, 2), "input_image=4 cache_read=3 cache_read_image=2"},
		{"writes are text first", row(in, 9, image, 4, read, 3, write, 4), "input_image=2 cache_read=3 cache_write=4"},
		{"read and written", row(in, 2168, read, 2161, write, 2161), "input=7 cache_read=2161 cache_write=2161"},
		{"cache over the input", row(in, 5, read, 9), "cache_read=9"},
		{"parts over the input", row(in, 5, image, 4, audio, 3), "input_image=4 input_audio=1"},
		{"parts of an unknown whole", row(image, 4, schemas.InputTextTokens, 3), "input=3 input_image=4"},
		{"cache of an unknown whole", row(read, 4), "cache_read=4"},
		{"parts of the output", row(out, 9, schemas.OutputImageTokens, 4, schemas.OutputAudioTokens, 2, schemas.ReasoningTokens, 1), "output=2 output_image=4 output_audio=2 reasoning=1"},
		{"reasoning over the output", row(out, 10, schemas.ReasoningTokens, 11), "reasoning=10"},
		{"parts over the output", row(out, 5, schemas.OutputImageTokens, 4, schemas.OutputAudioTokens, 2), "output_image=4 output_audio=1"},
		{"parts of an unknown output", row(schemas.OutputImageTokens, 4, schemas.OutputTextTokens, 1), "output=1 output_image=4"},
		{"what is no token", row(schemas.ImageCount, 2, schemas.AudioSeconds, 1.5, schemas.WebSearchRequests, 3), "image=2 audio_second=1.5 search=3"},
		{"fractions", row(in, 9559.6, read, 6205.53), "input=3354.07 cache_read=6205.53"},
		{"large", row(in, 1e12), "input=1000000000000"},
	} {
		var u usage
		u.measure(c.row, quantitiesOf(c.row), likely)
		var got []string
		for m := range NumMeters {
			if u.q[m] != 0 {
				got = append(got, m.String()+"="+schemas.AmountOf(u.q[m]).Text(6))
			}
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: %s, want %s", c.name, text, c.want)
		}
	}
}

func TestPrice(t *testing.T) {
	const in, out, read, write = schemas.InputTokens, schemas.OutputTokens, schemas.CacheReadTokens, schemas.CacheWriteTokens
	const base = `
book: base
entries:
  - {provider: openai, model: "m*", from: 2026-01-01, prices: {input: 9}}
  - provider: openai
    model: m
    from: 2026-01-01
    to: 2026-09-01
    prices: {input: 1, output: 10, cache_read: 0.1, reasoning: 20, search: 0.01, request: 0.5}
    variants:
      - {tier: batch, prices: {input: 0.5, output: 5}}
      - {tier: Flex, prices: {input: 0.25}}
      - {above: 2_000_000, prices: {input: 2}}
      - {tier: batch, above: 2000000, prices: {input: 0.75, output: none}}
      - {tier: priority, prices: {input: 4}}
      - {region: EU, prices: {input: 1.1, output: 11}}
  - {provider: openai, model: m, from: 2026-09-01, prices: {input: 3, output: 0}}
  - {provider: openai, model: painter, prices: {input: 0}, images: [{price: 0.01}, {quality: high, price: 0.02}, {size: 1024x1536, quality: high, price: 0.04}, {size: 1024x1536, price: 0.03}]}
  - {provider: openai, model: ears, prices: {audio_second: 0.0001}}
  - {provider: [anthropic, aws_bedrock], model: ["claude-*", "*claude-2"], prices: {input: 3}}
  - {model: anyone, prices: {input: 7}}
  - {model: blank, prices: {input: none, output: 1}}
`
	m := 1e6
	for _, c := range []struct {
		name string
		row  *schemas.Row
		want string
	}{
		{"sum", row(in, m, out, m), "11.5"},
		{"reasoning", row(in, m, out, m, schemas.ReasoningTokens, 0.5*m), "16.5"},
		{"search", row(in, m, schemas.WebSearchRequests, 2), "1.52"},
		{"cache", row(in, m, read, 0.5*m), "1.05"},
		{"no price for writes", row(in, m, write, 1), "no price for cache_write"},
		{"no price, and no quantity", row(in, m, write, 0), "1.5"},
		{"half to even, up", row(in, 0.0005, schemas.EventTime, at.AddDate(0, 1, 0)), "0.000000002"},
		{"half to even, down", row(in, 0.0005, schemas.Model, "m-2"), "0.000000004"},
		{"nearest", row(in, 0.0036, schemas.RequestModel, "x"), "0.500000004"},
		{"batch", row(in, m, out, m, schemas.IsBatch, 1), "6"},
		{"batch by name", row(in, m, out, m, schemas.ServiceTier, "batch"), "6"},
		{"batch over tier", row(in, m, schemas.IsBatch, 1, schemas.ServiceTier, "default"), "1"},
		{"batch, search as usual", row(in, 0, schemas.IsBatch, 1, schemas.WebSearchRequests, 1), "0.51"},
		{"flex without output", row(in, m, out, m, schemas.ServiceTier, "FLEX"), "no price for output"},
		{"unknown tier", row(in, m, schemas.ServiceTier, "provisioned"), "no prices for the service tier"},
		{"usual tiers", row(in, m, schemas.ServiceTier, "ON_DEMAND"), "1.5"},
		{"Google's name of a tier", row(in, m, schemas.ServiceTier, "ON_DEMAND_PRIORITY"), "4.5"},
		{"at the threshold", row(in, 2*m, out, m), "12.5"},
		{"above", row(in, 2*m+1, out, m), "14.500002"},
		{"above counts the cache too", row(in, 2*m+1, read, 2*m), "0.700002"},
		{"above in batch", row(in, 3*m, schemas.IsBatch, 1), "2.75"},
		{"not known above in batch", row(in, 3*m, out, 1, schemas.IsBatch, 1), "no price for output"},
		{"none, over a price", row(in, m, schemas.Model, "blank"), "no price for input"},
		{"region", row(in, 100_000, out, m, schemas.Region, "eu"), "11.61"},
		{"region and above", row(in, 3*m, out, m, schemas.Region, "eu"), "17.5"},
		{"other region", row(in, 100_000, out, m, schemas.Region, "us"), "10.6"},
		{"before", row(in, m, schemas.EventTime, time.Date(2025, 12, 31, 23, 59, 59, 0, time.UTC)), "no entry at the time"},
		{"the first moment", row(in, m, schemas.EventTime, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), "1.5"},
		{"the last moment", row(in, 1000, schemas.EventTime, time.Date(2026, 8, 31, 23, 59, 59, 999999000, time.UTC)), "0.501"},
		{"then", row(in, m, out, m, schemas.EventTime, time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)), "3"},
		{"a true 0", row(out, m, schemas.EventTime, time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)), "0"},
		{"a pattern", row(in, m, schemas.Model, "m-2"), "9"},
		{"case", row(in, m, schemas.Model, "M"), "1.5"},
		{"unknown model", row(in, m, schemas.Model, "gpt"), "no entry"},
		{"unknown provider", row(in, m, schemas.Provider, "azure"), "no entry"},
		{"no model", row(in, m, schemas.Model, ""), "no model named; load with --set model=NAME"},
		{"by request_model", row(in, m, schemas.Model, "", schemas.RequestModel, "anyone"), "7"},
		{"answered before asked", row(in, m, schemas.Model, "gpt", schemas.RequestModel, "m"), "no entry"},
		{"any provider", row(in, m, schemas.Provider, "x", schemas.Model, "anyone"), "7"},
		{"provider by dialect", row(in, m, schemas.Provider, "", schemas.Dialect, "anthropic.messages", schemas.Model, "claude-1"), "3"},
		{"codex is openai", row(in, m, schemas.Provider, "", schemas.Dialect, "codex.tokens"), "1.5"},
		{"lists", row(in, m, schemas.Provider, "aws_bedrock", schemas.Model, "eu.claude-2"), "3"},
		{"nothing told", row(schemas.Model, "anyone"), "nothing counted"},
		{"nothing used", row(schemas.Model, "anyone", in, 0, out, 0), "0"},
		{"images", row(schemas.Model, "painter", schemas.ImageCount, 3), "0.03"},
		{"image by quality", row(schemas.Model, "painter", schemas.ImageCount, 1, schemas.ImageQuality, "HIGH", schemas.ImageSize, "1x1"), "0.02"},
		{"image by size", row(schemas.Model, "painter", schemas.ImageCount, 1, schemas.ImageQuality, "low", schemas.ImageSize, "1024x1536"), "0.03"},
		{"image by both", row(schemas.Model, "painter", schemas.ImageCount, 1, schemas.ImageQuality, "high", schemas.ImageSize, "1024x1536"), "0.04"},
		{"images by tokens", row(in, 0, out, m, schemas.ImageCount, 1), "10.5"},
		{"images without a price", row(schemas.Model, "anyone", in, 0, schemas.ImageCount, 1), "no price for image"},
		{"seconds", row(schemas.Model, "ears", schemas.AudioSeconds, 30), "0.003"},
		{"seconds without a price", row(schemas.Model, "anyone", schemas.AudioSeconds, 30), "no price for audio_second"},
		{"gateway's cache", row(in, m, schemas.Model, "gpt", schemas.CacheHit, 1), "0"},
		{"own key", row(in, m, schemas.IsBYOK, 1), "1.5"},
	} {
		if got := cost(pricer(t, base).Price(c.row)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if got := cost(pricer(t, "book: b\nentries: [{model: m, prices: {input: 1000}}]").Price(row(in, 1e12))); got != "a billion dollars or more" {
		t.Errorf("a billion: %s", got)
	}
}

// Where parts overlap in a way that is not told the row says so, but only if it
// matters.
func TestAssumed(t *testing.T) {
	const in, read, image, readImage, write = schemas.InputTokens, schemas.CacheReadTokens, schemas.InputImageTokens, schemas.CacheReadImageTokens, schemas.CacheWriteTokens
	book := func(prices string) string {
		return "book: b\nentries: [{model: m, prices: {" + prices + "}}]"
	}
	gptImage := book("input: 5, cache_read: 1.25, input_image: 10, cache_read_image: 2.5, output: 0")
	for _, c := range []struct {
		name, book string
		row        *schemas.Row
		want       string
	}{
		{"not told", gptImage, row(in, 1000, image, 400, read, 500), "0.005125 assumed"},
		{"told", gptImage, row(in, 1000, image, 400, read, 500, readImage, 100), "0.00475"},
		{"no cached ones", gptImage, row(in, 1000, image, 400), "0.007"},
		{"no images", gptImage, row(in, 1000, image, 0, read, 500), "0.003125"},
		{"all cached", gptImage, row(in, 1000, image, 400, read, 1000), "0.00175"},
		{"the same price", book("input: 5, cache_read: 1, input_image: 5, cache_read_image: 1"), row(in, 1000, image, 400, read, 500), "0.003"},
		{"the other way has no price", book("input: 5, cache_read: 1, input_image: 5"), row(in, 1000, image, 400, read, 500), "0.003 assumed"},
		{"the other way has no price, this one is 0", book("input: 0, cache_read: 0, input_image: 0"), row(in, 1000, image, 400, read, 500), "0 assumed"},
		{"read and written", book("input: 5, cache_read: 1, cache_write: 1"), row(in, 1000, read, 900, write, 900), "0.0023 assumed"},
		{"read and written, free input", book("input: 0, cache_read: 1, cache_write: 1"), row(in, 1000, read, 900, write, 900), "0.0018"},
	} {
		if got := cost(pricer(t, c.book).Price(c.row)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestOverlay(t *testing.T) {
	const in, out = schemas.InputTokens, schemas.OutputTokens
	base := `
book: base
entries:
  - {provider: openai, model: m, prices: {input: 1, output: 10}, variants: [{tier: batch, prices: {input: 0.5, output: 5}}, {above: 200000, prices: {input: 2}}]}
`
	deal := `
book: deal
entries:
  - {provider: "*", model: "*", from: 2026-08-01, to: 2026-09-01, prices: {input: 0.7}}
`
	p := pricer(t, base, deal)
	hashes := regexp.MustCompile(`#[0-9a-f]{6}`)
	for _, c := range []struct {
		name     string
		row      *schemas.Row
		want, id string
	}{
		{"meter by meter", row(in, 1e5, out, 1e6), "10.07", "deal:*/*@2026-08-01#+base:openai/m#"},
		{"above is the deal's too", row(in, 1e6), "0.7", "deal:*/*@2026-08-01#"},
		{"output alone", row(out, 1e6), "10", "base:openai/m#"},
		{"not in batch", row(in, 1e5, schemas.IsBatch, 1), "0.05", "base:openai/m#"},
		{"not before", row(in, 1e5, schemas.EventTime, time.Date(2026, 7, 31, 23, 0, 0, 0, time.UTC)), "0.1", "base:openai/m#"},
		{"not after", row(in, 1e5, schemas.EventTime, time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)), "0.1", "base:openai/m#"},
		{"a model of the deal's alone", row(in, 1e6, schemas.Model, "other"), "0.7", "deal:*/*@2026-08-01#"},
		{"nothing used", row(in, 0), "0", "deal:*/*@2026-08-01#"},
	} {
		q := p.Price(c.row)
		if got := cost(q); got != c.want || hashes.ReplaceAllString(q.ID, "#") != c.id {
			t.Errorf("%s: %s %s, want %s %s", c.name, got, q.ID, c.want, c.id)
		}
	}
	if got := cost(pricer(t, deal, base).Price(row(in, 1e5))); got != "0.1" {
		t.Errorf("base over deal: %s", got)
	}
	if _, err := Overlay(mustRead(t, base), mustRead(t, base)); err == nil {
		t.Error("two books of one name are accepted")
	}
}

// The most specific pattern wins, whatever the order of entries.
func TestSpecific(t *testing.T) {
	entries := []string{
		`{provider: openai, model: gpt-5-mini, prices: {input: 1}}`,
		`{provider: openai, model: "gpt-5-*", prices: {input: 2}}`,
		`{provider: openai, model: "gpt-*", prices: {input: 3}}`,
		`{provider: openai, model: "*-mini", prices: {input: 4}}`,
		`{provider: "open*", model: gpt-5-mini, prices: {input: 5}}`,
		`{model: gpt-5-mini, prices: {input: 6}}`,
		`{provider: openai, model: "*", prices: {input: 7}}`,
	}
	for range 50 {
		rand.Shuffle(len(entries), func(i, k int) { entries[i], entries[k] = entries[k], entries[i] })
		p := pricer(t, "book: b\nentries:\n  - "+strings.Join(entries, "\n  - "))
		for _, c := range []struct{ provider, model, want string }{
			{"openai", "gpt-5-mini", "1"},
			{"openai", "gpt-5-nano", "2"},
			{"openai", "gpt-4", "3"},
			{"openai", "o-mini", "4"},
			{"openai", "gpt-4-mini", "4"}, // as many letters: by their text
			{"openrouter", "gpt-5-mini", "5"},
			{"azure", "gpt-5-mini", "6"},
			{"openai", "x", "7"},
			{"azure", "x", "no entry"},
		} {
			if got := cost(p.Price(row(schemas.InputTokens, 1e6, schemas.Provider, c.provider, schemas.Model, c.model))); got != c.want {
				t.Errorf("%s/%s: %s, want %s", c.provider, c.model, got, c.want)
			}
		}
	}
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true},
		{"a*", "a", true},
		{"a*b*c", "abc", true},
		{"a*b*c", "axbybzc", true},
		{"a*b*c", "axc", false},
		{"ab*ba", "aba", false},
		{"a*", "ba", false},
		{"*a", "ab", false},
		{"a**b", "ab", true},
		{"a.c", "abc", false},
	} {
		if got := rank(c.pattern, c.name) > 0; got != c.want {
			t.Errorf("%s fits %s: %v", c.pattern, c.name, got)
		}
	}
}

func TestReadFaults(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "the file is empty"},
		{"book: b", "line 1: book: no entries"},
		{"entries: []", "line 1: book: want a short name"},
		{"book: b c\nentries: []", "line 1: book: want a short name"},
		{"book: b\ncurrency: EUR\nentries: []", `line 2: currency: "EUR"`},
		{"book: b\nper: 1B\nentries: []", `line 2: per: "1B" is no unit`},
		{"book: b\nentries:\n  - model: m\n    prices: {inputs: 1}", `line 4: prices: "inputs" is not known`},
		{"book: b\nentries:\n  - model: m\n    prices: {input: -1}", `line 4: "-1" is no price`},
		{"book: b\nentries:\n  - model: m\n    prices: {input: $1}", `line 4: "$1" is no price`},
		{"book: b\nentries:\n  - model: m\n    prices: {input: .inf}", `line 4: ".inf" is no price`},
		{"book: b\nentries:\n  - model: m\n    prices: {input: 1, input: 2}", `line 4: prices: input is there twice`},
		{"book: b\nentries:\n  - prices: {input: 1}", `line 3: an entry without model`},
		{"book: b\nentries:\n  - model: m\n", `line 3: m: no prices`},
		{"book: b\nentries:\n  - {model: m, from: yesterday, prices: {input: 1}}", `line 3: "yesterday" is no date`},
		{"book: b\nentries:\n  - {model: m, from: 2026-01-01, to: 2026-01-01, prices: {input: 1}}", `line 3: m: to must be after from`},
		{"book: b\nentries:\n  - {model: m, prices: {input: 1}, variants: [{prices: {input: 1}}]}", `line 3: m: a variant without tier`},
		{"book: b\nentries:\n  - {model: m, prices: {input: 1}, variants: [{tier: standard, prices: {input: 1}}]}", `line 3: m: a variant without tier`},
		{"book: b\nentries:\n  - {model: m, prices: {input: 1}, variants: [{tier: x, prices: {input: 1}}, {tier: X, prices: {input: 1}}]}", `line 3: m: two variants`},
		{"book: b\nentries:\n  - {model: m, prices: {input: 1}, variants: [{hours: '1:00-2:00', prices: {input: 1}}]}", `line 3: hours: "1:00-2:00"`},
		{"book: b\nentries:\n  - {model: m, prices: {input: 1}, variants: [{hours: '00:00-24:00', prices: {input: 1}}]}", `line 3: hours: "00:00-24:00"`},
		{"book: b\nentries:\n  - {model: m, prices: {input: 1}, variants: [{hours: '03:00-03:00', prices: {input: 1}}]}", `line 3: hours: "03:00-03:00"`},
		{"book: b\nentries:\n  - model: m\n    prices: {input: 1}\n    variants:\n      - {hours: '22:00-02:00', prices: {input: 1}}\n      - {hours: '01:59-03:00', prices: {input: 1}}", `line 7: m: hours 01:59-03:00 overlap those of line 6`},
		{"book: b\nentries:\n  - {model: m, prices: {input: 1}, variants: [{above: -1, prices: {input: 1}}]}", `line 3: above: "-1"`},
		{"book: b\nentries:\n  - {model: m, prices: {input: 1}}\n  - {model: [n, M], prices: {input: 1}}", `line 4: M overlaps the entry of line 3`},
		{"book: b\nentries:\n  - {model: m, prices: {input: 1}, images: [{size: 1x1}]}", `line 3: image: no price`},
		{"book: b\nentries: *x", "unknown anchor"},
		{"book: b\nentries: []\n---\nbook: c", "more than one document"},
		{"- x", "line 1: book: want key: value"},
		{"book: b\nentries:\n  - 5", "line 3: entry: want key"},
	} {
		b, err := Read(strings.NewReader(c.text), "file.yaml")
		if err == nil || b != nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "file.yaml: ") {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
}

func TestUnits(t *testing.T) {
	for _, entry := range []string{
		"{model: m, prices: {input: 2.5, search: 0.01}}",
		"{model: m, per: 1K, prices: {input: 0.0025, search: 0.01}}",
		"{model: m, per: 1, prices: {input: 2.5e-06, search: 1e-2}}",
	} {
		q := pricer(t, "book: b\nentries:\n  - "+entry).Price(row(schemas.InputTokens, 1e6, schemas.WebSearchRequests, 1))
		if got := cost(q); got != "2.51" {
			t.Errorf("%s: %s", entry, got)
		}
	}
}

// A book that is written reads as it was.
func TestWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := drawBook(t, "book")
		b.Note, b.Source, b.Checked = "yes: no", "https://example.com/?a=b#c", "2026-08-21"
		b.Imports = []Import{{"litellm", "2026-08-21", "123456"}}
		var out bytes.Buffer
		if err := b.Write(&out); err != nil {
			t.Fatal(err)
		}
		back, err := Read(bytes.NewReader(out.Bytes()), "x")
		if err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		var again bytes.Buffer
		if err := back.Write(&again); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(out.String(), again.String()); d != "" {
			t.Fatal(d)
		}
		for i := range b.Entries {
			if b.Entries[i].text() != back.Entries[i].text() || b.Entries[i].From != back.Entries[i].From || b.Entries[i].To != back.Entries[i].To {
				t.Fatalf("entry %d is another\n%s", i, out.String())
			}
		}
	})
}

// drawPrice draws a price: mostly like those that are published.
func drawPrice(t *rapid.T, name string) decimal.Decimal {
	digits := rapid.Int64Range(0, 999_999).Draw(t, name)
	if rapid.IntRange(0, 20).Draw(t, "long") == 0 {
		digits = rapid.Int64Range(0, 1e15).Draw(t, name)
	}
	return decimal.New(digits, -rapid.Int32Range(0, 16).Draw(t, "scale")).Truncate(30)
}

func drawPrices(t *rapid.T) (p Prices) {
	for m := range NumMeters {
		if rapid.IntRange(0, 9).Draw(t, "skip") > 0 {
			if usd := drawPrice(t, m.String()); usd.LessThan(decimal.New(1, 9)) {
				p.set(m, usd)
			}
		}
	}
	if rapid.Bool().Draw(t, "images") {
		p.Images = append(p.Images, ImagePrice{Size: "1024x1024", USD: drawPrice(t, "image").Mod(decimal.New(1, 6))})
	}
	return p
}

func drawBook(t *rapid.T, name string) *Book {
	b := &Book{Name: name}
	for _, model := range []string{"m", "m*", "123"} {
		e := Entry{Provider: []string{"openai"}, Model: []string{model}, From: Ever, To: at.UnixMicro(), Prices: drawPrices(t)}
		for _, v := range []Variant{{Tier: "batch"}, {Above: 1000}, {Region: "eu"}, {Tier: "batch", Above: 100_000}, {Hours: Hours{990, 30}}, {Region: "eu", Hours: Hours{30, 990}}} {
			if rapid.Bool().Draw(t, "variant") {
				if v.Prices = drawPrices(t); !v.Prices.empty() {
					e.Variants = append(e.Variants, v)
				}
			}
		}
		if e.Prices.empty() {
			e.Prices.set(Input, decimal.New(1, 0))
		}
		b.Entries = append(b.Entries, e)
		e.From, e.To = e.To, Forever
		e.Provider = nil
		b.Entries = append(b.Entries, e)
	}
	if problems := b.finish(); len(problems) > 0 {
		t.Fatal(problems)
	}
	return b
}

func drawRow(t *rapid.T) *schemas.Row {
	r := &schemas.Row{}
	r.SetInt(schemas.EventTime, at.UnixMicro()+rapid.Int64Range(-1, 1).Draw(t, "time"))
	r.SetString(schemas.Provider, "openai")
	r.SetString(schemas.Model, rapid.SampledFrom([]string{"m", "mm", "123"}).Draw(t, "model"))
	for c := range schemas.NumColumns {
		if rapid.IntRange(0, 2).Draw(t, "has") == 0 || !c.Additive() {
			continue
		}
		switch schemas.Columns[c].Kind {
		case schemas.Int:
			r.SetInt(c, rapid.Int64Range(0, 1000).Draw(t, c.String()))
		case schemas.Double:
			v := float64(rapid.Int64Range(0, 500_000).Draw(t, c.String()))
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				v += 0.37
			case 1:
				v = 0
			case 2:
				v *= 1e6
			}
			r.SetDouble(c, v)
		}
	}
	if rapid.Bool().Draw(t, "batch") {
		r.SetInt(schemas.IsBatch, 1)
	}
	r.SetString(schemas.ImageSize, "1024x1024")
	if rapid.Bool().Draw(t, "region") {
		r.SetString(schemas.Region, "eu")
	}
	return r
}

// The cost is the sum of the lines, exact, rounded once; the quantities are
// disjoint, and what the library says is what the words say.
func TestSumOfMeters(t *testing.T) {
	priced, assumed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var books []*Book
		for i := range rapid.IntRange(1, 3).Draw(t, "books") {
			books = append(books, drawBook(t, fmt.Sprint("book", i)))
		}
		list, err := Overlay(books...)
		if err != nil {
			t.Fatal(err)
		}
		p := list.Pricer()
		for range 10 {
			r := drawRow(t)
			q, lines := p.Explain(r)
			if again := p.Price(r); again != q {
				t.Fatalf("%+v, then %+v", q, again)
			}
			if fresh := list.Pricer().Price(r); fresh != q {
				t.Fatalf("%+v, a new pricer says %+v", q, fresh)
			}
			var in, out decimal.Decimal
			sum := decimal.Decimal{}
			for _, l := range lines {
				m := Meter(0)
				for m.String() != l.Meter {
					m++
				}
				n := decimal.RequireFromString(l.Quantity)
				switch {
				case m <= CacheWrite1h:
					in = in.Add(n)
				case m <= Reasoning:
					out = out.Add(n)
				}
				if l.USD == "" {
					continue
				}
				amount := n.Mul(decimal.RequireFromString(l.USD))
				if m.Tokens() {
					amount = amount.Shift(-6)
				}
				if amount.String() != l.Amount {
					t.Fatalf("%+v: the amount is %s", l, amount)
				}
				sum = sum.Add(amount)
			}
			if q.Missing >= TooMuch {
				continue
			}
			input, read, write := decimal.New(schemas.Micros(r.Double(schemas.InputTokens)), -6), r.Double(schemas.CacheReadTokens), r.Double(schemas.CacheWriteTokens)
			if !r.Has(schemas.CacheWriteTokens) {
				write = r.Double(schemas.CacheWrite1hTokens)
			}
			if r.Has(schemas.InputTokens) && decimal.NewFromFloat(read+write).LessThanOrEqual(input) && !in.Equal(input) {
				t.Fatalf("input is %s, its meters add up to %s", input, in)
			}
			if r.Has(schemas.OutputTokens) && !out.Equal(decimal.New(schemas.Micros(r.Double(schemas.OutputTokens)), -6)) {
				t.Fatalf("output meters add up to %s", out)
			}
			if !q.Priced() {
				continue
			}
			priced++
			if q.Assumed {
				assumed++
			}
			if want := sum.RoundBank(9); !want.Equal(decimal.New(q.Nanos, -9)) {
				t.Fatalf("cost %d, the lines add up to %s", q.Nanos, sum)
			}
		}
	})
	if priced == 0 || assumed == 0 {
		t.Errorf("%d rows priced, %d assumed: the test tells nothing", priced, assumed)
	}
}

// TestText holds what is said of a call that deals with text alone against what is
// said of any row. Prices are small and whole, and long, and some are missing.
func TestText(t *testing.T) {
	said, whole, left := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		prices := Prices{}
		digits := rapid.SampledFrom([]int32{0, 3, 4, 18}).Draw(t, "digits")
		for _, m := range textMeters {
			if rapid.IntRange(0, 5).Draw(t, "there") > 0 {
				most := rapid.SampledFrom([]int64{9, 9999, 1 << 40}).Draw(t, "most")
				prices.set(m, decimal.New(rapid.Int64Range(0, most).Draw(t, "price"), -digits))
			}
		}
		if prices.empty() {
			prices.set(Input, decimal.New(1, 0))
		}
		b := &Book{Name: "b", Entries: []Entry{{Model: []string{"m"}, From: Ever, To: Forever, Prices: prices}}}
		if problems := b.finish(); len(problems) > 0 {
			t.Fatal(problems)
		}
		list, err := Overlay(b)
		if err != nil {
			t.Fatal(err)
		}
		p := list.Pricer()
		m := p.Model("openai", "m")
		count := func(name string) uint64 {
			return rapid.Uint64Range(0, rapid.SampledFrom([]uint64{0, 1000, 1 << 40}).Draw(t, "most "+name)).Draw(t, name)
		}
		for range 100 {
			n := Tokens{count("input"), count("read"), count("write"), count("output"), count("reasoning")}
			q, ok := m.Text("", at.UnixMicro(), &n)
			if !ok {
				left++
				continue
			}
			if said++; m.spans[0].tiers[0].whole {
				whole++
			}
			want := p.Price(row(schemas.InputTokens, float64(n.Input), schemas.CacheReadTokens, float64(n.CacheRead),
				schemas.CacheWriteTokens, float64(n.CacheWrite), schemas.OutputTokens, float64(n.Output), schemas.ReasoningTokens, float64(n.Reasoning)))
			if q != want {
				t.Fatalf("%+v: %+v, Price says %+v", n, q, want)
			}
		}
	})
	if said == whole || whole == 0 || left == 0 {
		t.Errorf("%d rows are priced, %d of them with whole prices, %d are left to Price: the test tells too little", said, whole, left)
	}
}

// TestWide holds the sum of words against the library where numbers are long.
func TestWide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tr tier
		var charges []charge
		for m := range NumMeters {
			n := rapid.Int64Range(0, 1e18).Draw(t, "n")
			if rapid.Bool().Draw(t, "small") {
				n %= 1e7
			}
			charges = append(charges, charge{m, n, nil})
			tr.lines[m] = []line{{usd: decimal.New(rapid.Int64Range(0, 1e18).Draw(t, "digits"), -rapid.Int32Range(12, 24).Draw(t, "scale"))}}
		}
		tr.fix()
		for m := range charges {
			charges[m].line = &tr.lines[m][0]
		}
		got, want := tr.sum(charges), exactSum(charges)
		if got != want && (got >= 0 && got < 1e18 || want >= 0) {
			t.Fatalf("%d, the library says %d", got, want)
		}
	})
}

func BenchmarkPrice(b *testing.B) {
	p := pricer(b, `
book: base
entries:
  - {provider: openai, model: gpt-5-mini, prices: {input: 0.25, output: 2, cache_read: 0.025}, variants: [{tier: batch, prices: {input: 0.125, output: 1}}]}
  - {provider: openrouter, model: [openai/gpt-4o-mini, "openai/gpt-4.1*", openai/o3], prices: {input: 0.15, output: 0.6, cache_read: 0.075}}
`)
	slim := func(model string) *schemas.Row {
		return row(schemas.Provider, "openrouter", schemas.Model, model, schemas.InputTokens, 116, schemas.OutputTokens, 285,
			schemas.CacheReadTokens, 0, schemas.InputAudioTokens, 0, schemas.ReasoningTokens, 0, schemas.OutputAudioTokens, 0)
	}
	for name, rows := range map[string][]*schemas.Row{
		"slim":   {slim("openai/gpt-4o-mini")},
		"models": {slim("openai/gpt-4o-mini"), slim("openai/gpt-4.1"), slim("openai/gpt-4.1-mini"), slim("openai/o3")},
		"cached": {row(schemas.Model, "gpt-5-mini", schemas.ServiceTier, "default", schemas.InputTokens, 1160, schemas.OutputTokens, 285,
			schemas.CacheReadTokens, 1024, schemas.ReasoningTokens, 192)},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if q := p.Price(rows[i%len(rows)]); !q.Priced() {
					b.Fatal(q)
				}
				i++
			}
		})
	}
}

// No text makes Read panic, and what it accepts it reads again as it is written.
func FuzzRead(f *testing.F) {
	f.Add(imageSeed)
	f.Add("book: b\nentries: [{model: [a, 'b*'], from: 2026-01-01, to: 2026-02-01T00:00:00Z, per: 1K, prices: {input: 1e-2}, images: [{size: 1x1, price: 0}]}]")
	f.Add("book: b\nentries:\n- &x {model: m}\n- *x\n- <<: *x")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := Read(strings.NewReader(text), "b")
		if err != nil {
			return
		}
		var first, second bytes.Buffer
		if err := b.Write(&first); err != nil {
			t.Fatal(err)
		}
		again, err := Read(bytes.NewReader(first.Bytes()), "b")
		if err != nil {
			t.Fatalf("%v\n%s", err, first.String())
		}
		if err := again.Write(&second); err != nil || first.String() != second.String() {
			t.Fatalf("%v\n%s\n%s", err, first.String(), second.String())
		}
	})
}

const imageSeed = `
book: images
per: 1M
source: https://example.com
entries:
  - provider: openai
    model: painter
    prices: {input: 5, output_image: 40}
    variants: [{tier: batch, above: 10, region: eu, prices: {input: 1}}]
`

func quantitiesOf(r Row) *quantities {
	q := &quantities{}
	q.set = r.Quantities(measured, &q.v)
	return q
}

// Prices that hold for hours of the day hold from their first minute up to their
// last, over midnight too.
func TestHours(t *testing.T) {
	p := pricer(t, `book: b
entries:
  - model: m
    to: 2026-09-05
    prices: {input: 2, output: 8}
    variants:
      - {hours: "16:30-00:30", prices: {input: 1}}
      - {hours: "06:00-07:00", prices: {input: none}}
      - {region: eu, prices: {input: 3}}
      - {region: eu, hours: "16:30-00:30", prices: {input: 1.5}}
      - {tier: batch, hours: "00:30-16:30", prices: {input: 0.7}}
      - {tier: batch, hours: "16:30-00:30", prices: {input: 0.5}}
  - {model: m, from: 2026-09-05, prices: {input: 4}}
`)
	clock := func(day int, text string) time.Time {
		at, err := time.Parse("15:04:05.000000", text)
		if err != nil {
			t.Fatal(err)
		}
		return time.Date(2026, 9, day, at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), time.UTC)
	}
	for _, c := range []struct {
		at           string
		usual, batch string
		eu           string
	}{
		{"00:00:00.000000", "1", "0.5", "1.5"},
		{"00:29:59.999999", "1", "0.5", "1.5"},
		{"00:30:00.000000", "2", "0.7", "3"},
		{"05:59:59.999999", "2", "0.7", "3"},
		{"06:00:00.000000", "no price for input", "0.7", "3"},
		{"07:00:00.000000", "2", "0.7", "3"},
		{"16:29:59.999999", "2", "0.7", "3"},
		{"16:30:00.000000", "1", "0.5", "1.5"},
		{"23:59:59.999999", "1", "0.5", "1.5"},
	} {
		for want, more := range map[string][]any{c.usual: nil, c.batch: {schemas.IsBatch, 1}, c.eu: {schemas.Region, "EU"}} {
			if got := cost(p.Price(row(append(more, schemas.InputTokens, 1e6, schemas.EventTime, clock(4, c.at))...))); got != want {
				t.Errorf("%s %v: %s, want %s", c.at, more, got, want)
			}
		}
		if got := cost(p.Price(row(schemas.InputTokens, 1e6, schemas.EventTime, clock(5, c.at)))); got != "4" {
			t.Errorf("%s, from the 5th on: %s", c.at, got)
		}
	}
	if _, ok := p.Model("openai", "m").Text("", clock(4, "17:00:00.000000").UnixMicro(), &Tokens{Input: 1e6}); ok {
		t.Error("prices by hours are no plain ones")
	}
	_, lines := p.Explain(row(schemas.InputTokens, 1e6, schemas.EventTime, clock(4, "17:00:00.000000"), schemas.Region, "eu"))
	if len(lines) != 1 || lines[0].When != "region eu, hours 16:30-00:30" || lines[0].USD != "1.5" {
		t.Errorf("%+v", lines)
	}
}
