package price

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"usagelake/schemas"
)

// written is a book as text, without its head.
func written(t *testing.T, b *Book) string {
	t.Helper()
	var out bytes.Buffer
	if err := b.Write(&out); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(bytes.NewReader(out.Bytes()), "written"); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	_, entries, _ := strings.Cut(out.String(), "entries:\n")
	return entries
}

func imported(t *testing.T, in *Imported, err error) (string, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	b := &Book{Name: "b"}
	if _, err := b.Update(in, Import{AsOf: "2026-08-21"}, at.Truncate(24*time.Hour).UnixMicro()); err != nil {
		t.Fatal(err)
	}
	return written(t, b), strings.Join(in.Left, "\n")
}

func TestImportLiteLLM(t *testing.T) {
	in, err := ImportLiteLLM(strings.NewReader(`{
"sample_spec": {"input_cost_per_token": 1, "litellm_provider": "one of these"},
"small": {"litellm_provider": "openai", "mode": "chat", "source": "https://example.com/small", "supports_vision": true,
  "input_cost_per_token": 5.46875e-07, "output_cost_per_token": 0.000002, "cache_read_input_token_cost": 1e-7,
  "input_cost_per_token_batches": 2e-7, "output_cost_per_token_batches": 1e-6,
  "input_cost_per_token_flex": 3e-7, "input_cost_per_token_above_272k_tokens": 1e-6,
  "input_cost_per_token_above_272k_tokens_priority": 4e-6, "cache_read_input_token_cost_flex_above_272k_tokens": 5e-8,
  "regional_processing_uplift_multiplier_eu": 1.1, "max_tokens": 1000,
  "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_high": 0.01},
  "provider_specific_entry": {"fast": 6}, "citation_cost_per_token": 1e-6, "ocr_cost_per_page": 0},
"claude": {"litellm_provider": "anthropic", "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "cache_read_input_token_cost": 3e-07,
  "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06,
  "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05,
  "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_high": 0.02}},
"gemini/flash": {"litellm_provider": "gemini", "input_cost_per_token": 3e-7, "input_cost_per_audio_token": 1e-6, "supports_video_input": true,
  "output_cost_per_token": 2.5e-6, "output_cost_per_reasoning_token": 2.5e-6, "output_cost_per_image": 0.039, "output_cost_per_image_token": 3e-5},
"vertex_ai/flash": {"litellm_provider": "vertex_ai-language-models", "input_cost_per_token": 3e-7},
"flash": {"litellm_provider": "vertex_ai-language-models", "input_cost_per_token": 4e-7},
"dashscope/qwen": {"litellm_provider": "dashscope", "tiered_pricing": [
  {"range": [0, 32000.0], "input_cost_per_token": 1e-6, "output_cost_per_token": 5e-6},
  {"range": [32000.0, 256000], "input_cost_per_token": 2e-6, "output_cost_per_token": 6e-6, "unknown_cost": 1}]},
"1024-x-1024/painter": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_pixel": 1.9e-08, "output_cost_per_pixel": 0.0},
"xhigh/1024-x-1536/painter": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_image": 0.09},
"hd/1024-x-1536/painter": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_image": 0.08},
"low/1024-x-1024/gpt-paint": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_image": 0.011},
"gpt-paint": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_token": 5e-6, "input_cost_per_image_token": 1e-5, "output_cost_per_image_token": 4e-5},
"bedrock/us-east-1/x": {"litellm_provider": "bedrock", "input_cost_per_token": 1e-6},
"bedrock/eu-west-1/x": {"litellm_provider": "bedrock", "input_cost_per_token": 2e-6, "input_cost_per_token_batches": 1e-6},
"bedrock/eu-west-1/y": {"litellm_provider": "bedrock", "input_cost_per_token": 3e-6},
"bedrock/us-east-1/1-month-commitment/x": {"litellm_provider": "bedrock", "input_cost_per_second": 3e-6},
"x": {"litellm_provider": "bedrock", "input_cost_per_token": 5e-7},
"whisper": {"litellm_provider": "openai", "mode": "audio_transcription", "input_cost_per_second": 0.0001, "output_cost_per_second": 0.0},
"reel": {"litellm_provider": "openai", "mode": "video_generation", "output_cost_per_second": 0.1},
"Small": {"litellm_provider": "openai", "input_cost_per_token": 9e-7},
"openai/*": {"litellm_provider": "openai", "input_cost_per_token": 0}
}`))
	got, left := imported(t, in, err)
	want := `  - provider: anthropic
    model: claude
    from: 2026-08-21
    checked: 2026-08-21
    prices:
      input: 3
      cache_read: 0.3
      cache_write: 3.75
      cache_write_1h: 6
      output: 15
    variants:
      - above: 200000
        prices:
          cache_write_1h: 12
  - provider: [aws_bedrock, bedrock, aws.bedrock]
    model: x
    from: 2026-08-21
    checked: 2026-08-21
    prices:
      input: 0.5
    variants:
      - region: eu-west-1
        prices:
          input: 2
      - tier: batch
        region: eu-west-1
        prices:
          input: 1
      - region: us-east-1
        prices:
          input: 1
  - provider: [aws_bedrock, bedrock, aws.bedrock]
    model: y
    from: 2026-08-21
    checked: 2026-08-21
    variants:
      - region: eu-west-1
        prices:
          input: 3
  - provider: dashscope
    model: [dashscope/qwen, qwen]
    from: 2026-08-21
    checked: 2026-08-21
    prices:
      input: 1
      output: 5
    variants:
      - above: 32000
        prices:
          input: 2
          output: 6
  - provider: [google, gemini, gcp.gemini]
    model: [gemini/flash, flash]
    from: 2026-08-21
    checked: 2026-08-21
    prices:
      input: 0.3
      input_audio: 1
      input_video: 0.3
      output: 2.5
      output_image: 30
      reasoning: 2.5
  - provider: openai
    model: Small
    from: 2026-08-21
    checked: 2026-08-21
    prices:
      input: 0.9
  - provider: openai
    model: gpt-paint
    from: 2026-08-21
    checked: 2026-08-21
    prices:
      input: 5
      input_image: 10
      output_image: 40
  - provider: openai
    model: painter
    from: 2026-08-21
    checked: 2026-08-21
    images:
      - {size: 1024x1024, price: 0.019922944}
      - {size: 1024x1536, quality: hd, price: 0.08}
      - {size: 1024x1536, quality: xhigh, price: 0.09}
  - provider: openai
    model: whisper
    from: 2026-08-21
    checked: 2026-08-21
    prices:
      audio_second: 0.0001
  - provider: [vertex_ai, gcp.vertex_ai]
    model: flash
    from: 2026-08-21
    checked: 2026-08-21
    prices:
      input: 0.4
  - provider: [vertex_ai, gcp.vertex_ai]
    model: vertex_ai/flash
    from: 2026-08-21
    checked: 2026-08-21
    prices:
      input: 0.3
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	wantLeft := `small: another has this name but for its case
bedrock/us-east-1/1-month-commitment/x: no price of a model's calls
claude: searches that cost by their size
dashscope/qwen: tiered_pricing: unknown_cost
low/1024-x-1024/gpt-paint: images of a model that has prices of its own
openai/*: no price of a model's calls
reel: output_cost_per_second`
	if d := cmp.Diff(wantLeft, left); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// All suffixes and their combinations come to variants.
func TestImportLiteLLMVariants(t *testing.T) {
	in, err := ImportLiteLLM(strings.NewReader(`{
"small": {"litellm_provider": "openai", "mode": "chat", "source": "https://example.com/small", "supports_vision": true,
  "input_cost_per_token": 5.46875e-07, "output_cost_per_token": 0.000002, "cache_read_input_token_cost": 1e-7,
  "input_cost_per_token_batches": 2e-7, "output_cost_per_token_batches": 1e-6,
  "input_cost_per_token_flex": 3e-7, "input_cost_per_token_above_272k_tokens": 1e-6,
  "input_cost_per_token_above_272k_tokens_priority": 4e-6, "cache_read_input_token_cost_flex_above_272k_tokens": 5e-8,
  "regional_processing_uplift_multiplier_eu": 1.1, "max_tokens": 1000,
  "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_high": 0.01},
  "provider_specific_entry": {"fast": 6}, "provider_specific_cost": {"fast": 6}, "citation_cost_per_token": 1e-6, "ocr_cost_per_page": 0}}`))
	got, left := imported(t, in, err)
	want := `  - provider: openai
    model: small
    from: 2026-08-21
    source: https://example.com/small
    checked: 2026-08-21
    prices:
      input: 0.546875
      input_image: 0.546875
      cache_read: 0.1
      cache_read_image: 0.1
      output: 2
      search: 0.01
    variants:
      - region: eu
        prices:
          input: 0.6015625
          input_image: 0.6015625
          cache_read: 0.11
          cache_read_image: 0.11
          output: 2.2
      - above: 272000
        prices:
          input: 1
          input_image: 1
      - region: eu
        above: 272000
        prices:
          input: 1.1
          input_image: 1.1
      - tier: batch
        prices:
          input: 0.2
          input_image: 0.2
          output: 1
      - tier: batch
        region: eu
        prices:
          input: 0.22
          input_image: 0.22
          output: 1.1
      - tier: batch
        above: 272000
        prices:
          input: none
          input_image: none
      - tier: batch
        region: eu
        above: 272000
        prices:
          input: none
          input_image: none
      - tier: flex
        prices:
          input: 0.3
          input_image: 0.3
      - tier: flex
        region: eu
        prices:
          input: 0.33
          input_image: 0.33
      - tier: flex
        above: 272000
        prices:
          input: none
          input_image: none
          cache_read: 0.05
          cache_read_image: 0.05
      - tier: flex
        region: eu
        above: 272000
        prices:
          input: none
          input_image: none
          cache_read: 0.055
          cache_read_image: 0.055
      - tier: priority
        above: 272000
        prices:
          input: 4
          input_image: 4
      - tier: priority
        region: eu
        above: 272000
        prices:
          input: 4.4
          input_image: 4.4
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	wantLeft := `small: citation_cost_per_token
small: provider_specific_cost
small: provider_specific_entry: fast
small: tokens in batch above 272000, which the file prices below it only
small: tokens in flex above 272000, which the file prices below it only`
	if d := cmp.Diff(wantLeft, left); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// What multiplies prices, where a context begins, kinds that cost what text does, and
// what is named since it cannot be said.
func TestImportLiteLLMMultiplied(t *testing.T) {
	in, err := ImportLiteLLM(strings.NewReader(`{
"bard": {"litellm_provider": "anthropic", "input_cost_per_token": 2e-6, "output_cost_per_token": 1e-5, "input_cost_per_token_batches": 1e-6,
  "search_context_cost_per_query": {"search_context_size_low": 0.01}, "provider_specific_entry": {"fast": 2.5, "us": 1.1, "spoken": "so"}},
"xai/gork": {"litellm_provider": "xai", "input_cost_per_token": 1e-6, "input_cost_per_image_token": 1e-6, "input_cost_per_token_above_200k_tokens": 2e-6,
  "cache_read_input_token_cost": 1e-7, "off_peak_pricing": {"input_cost_per_token": 5e-7}},
"eyes": {"litellm_provider": "openai", "supports_vision": true, "input_cost_per_token": 1e-6, "input_cost_per_image_token": 3e-6,
  "input_cost_per_token_batches": 5e-7, "cache_read_input_token_cost": 1e-7, "search_free_requests": {"count": 5}},
"gemini/film": {"litellm_provider": "gemini", "supported_modalities": ["text", "image", "video"], "input_cost_per_token": 1e-6, "input_cost_per_image": 0.001},
"ft:small": {"litellm_provider": "openai", "input_cost_per_token": 1e-6, "input_cost_per_pixel": 1e-9}}`))
	got, left := imported(t, in, err)
	want := `  - provider: anthropic
    model: bard
    from: 2026-08-21
    checked: 2026-08-21
    prices:
      input: 2
      output: 10
      search: 0.01
    variants:
      - region: us
        prices:
          input: 2.2
          output: 11
      - tier: batch
        prices:
          input: 1
      - tier: batch
        region: us
        prices:
          input: 1.1
      - tier: fast
        prices:
          input: 5
          output: 25
      - tier: fast
        region: us
        prices:
          input: 5.5
          output: 27.5
  - provider: [google, gemini, gcp.gemini]
    model: [gemini/film, film]
    from: 2026-08-21
    checked: 2026-08-21
    prices:
      input: 1
      input_video: 1
  - provider: openai
    model: eyes
    from: 2026-08-21
    checked: 2026-08-21
    prices:
      input: 1
      input_image: 3
      cache_read: 0.1
    variants:
      - tier: batch
        prices:
          input: 0.5
  - provider: openai
    model: ['ft:small', 'ft:small:*']
    from: 2026-08-21
    checked: 2026-08-21
    prices:
      input: 1
  - provider: [xai, x_ai]
    model: [xai/gork, gork]
    from: 2026-08-21
    checked: 2026-08-21
    prices:
      input: 1
      input_image: 1
      cache_read: 0.1
      cache_read_image: 0.1
    variants:
      - above: 199999
        prices:
          input: 2
          input_image: 2
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	wantLeft := `eyes: search_free_requests
ft:small: input_cost_per_pixel
gemini/film: input_cost_per_image
xai/gork: off_peak_pricing`
	if d := cmp.Diff(wantLeft, left); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

const langfuseFile = `[
{"modelName": "sonnet", "matchPattern": "(?i)^(anthropic/)?(sonnet-4(-5)?|(eu\\.|us\\.)?anthropic\\.sonnet-[0-9]+-v1(:0)?)$", "startDate": "2025-09-29T10:00:00.000Z",
 "pricingTiers": [
  {"name": "Standard", "isDefault": true, "priority": 0, "conditions": [], "prices": {"input": 0.000003, "input_tokens": 0.000003, "output": 0.000015, "cache_read_input_tokens": 3e-7, "input_cache_read": 3e-7,
    "input_cache_creation_5m": 0.00000375, "input_cache_creation_1h": 0.000006, "surprise": 1}},
  {"name": "Large", "isDefault": false, "priority": 1, "conditions": [{"usageDetailPattern": "input", "operator": "gt", "value": 200000}], "prices": {"input": 0.000006, "output": 0.0000225}},
  {"name": "Odd", "isDefault": false, "priority": 2, "conditions": [{"source": "metadata", "key": "x", "operator": "in", "values": ["y"]}], "prices": {"input": 0.000006}},
  {"name": "Priority", "isDefault": false, "priority": 3, "conditions": [{"source": "model_parameters", "key": "service_tier", "operator": "in", "values": ["priority", "fast"]}], "prices": {"input": 0.000009}}]},
{"modelName": "old", "matchPattern": "old", "prices": {"input": 1e-6, "input_tokens": 2e-6}},
{"modelName": "older", "matchPattern": "(?i)old", "prices": {"input": 1e-6}},
{"modelName": "vectors", "matchPattern": "(?i)^vectors-(3.5|4)$", "prices": {"total": 1e-7}},
{"modelName": "twin", "matchPattern": "^twin$", "prices": {"promptTokenCount": 1e-6, "input_modality_1": 1e-6, "candidatesTokenCount": 2e-6, "cachedContentTokenCount": 1e-7, "total": 9}}
]`

func TestImportLangfuse(t *testing.T) {
	in, err := ImportLangfuse(strings.NewReader(langfuseFile))
	got, left := imported(t, in, err)
	want := `  - model: '*old*'
    from: 2026-08-21
    checked: 2026-08-21
    prices:
      input: 1
  - model: [anthropic.sonnet-*-v1, 'anthropic.sonnet-*-v1:0', anthropic/anthropic.sonnet-*-v1, 'anthropic/anthropic.sonnet-*-v1:0', anthropic/eu.anthropic.sonnet-*-v1, 'anthropic/eu.anthropic.sonnet-*-v1:0', anthropic/sonnet-4, anthropic/sonnet-4-5, anthropic/us.anthropic.sonnet-*-v1, 'anthropic/us.anthropic.sonnet-*-v1:0', eu.anthropic.sonnet-*-v1, 'eu.anthropic.sonnet-*-v1:0', sonnet-4, sonnet-4-5, us.anthropic.sonnet-*-v1, 'us.anthropic.sonnet-*-v1:0']
    from: 2025-09-29
    checked: 2026-08-21
    prices:
      input: 3
      cache_read: 0.3
      cache_write: 3.75
      cache_write_1h: 6
      output: 15
    variants:
      - above: 200000
        prices:
          input: 6
          output: 22.5
      - tier: priority
        prices:
          input: 9
      - tier: fast
        prices:
          input: 9
  - model: twin
    from: 2026-08-21
    checked: 2026-08-21
    prices:
      input: 1
      cache_read: 0.1
      output: 2
  - model: [vectors-3.5, vectors-4]
    from: 2026-08-21
    checked: 2026-08-21
    prices:
      input: 0.1
      output: 0.1
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	wantLeft := `old: input_tokens: input is priced twice, at 1 and 2
older: *old* is old's too
sonnet: usage type surprise
sonnet: tier "Odd" has conditions that a book cannot have
twin: usage type total`
	if d := cmp.Diff(wantLeft, left); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// A later import ends what changed, and leaves history as it was.
func TestUpdate(t *testing.T) {
	read := func(file string) *Imported {
		t.Helper()
		in, err := ImportLiteLLM(strings.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		return in
	}
	date := func(s string) int64 {
		d, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return d.UnixMicro()
	}
	b := &Book{Name: "b"}
	update := func(asOf, file string, want Changes) {
		t.Helper()
		got, err := b.Update(read(file), Import{"litellm", asOf, "00"}, date(asOf))
		if err != nil || got != want {
			t.Fatalf("%s: %+v, %v, want %+v", asOf, got, err, want)
		}
		var out bytes.Buffer
		if err := b.Write(&out); err != nil {
			t.Fatal(err)
		}
		if b, err = Read(&out, "b"); err != nil {
			t.Fatal(err)
		}
	}
	update("2026-01-01", `{"m": {"litellm_provider": "openai", "input_cost_per_token": 1e-6}, "n": {"litellm_provider": "openai", "input_cost_per_token": 5e-6}}`, Changes{Added: 2})
	list, err := Overlay(b)
	if err != nil {
		t.Fatal(err)
	}
	before := list.Pricer().Price(row(schemas.InputTokens, 1e6, schemas.EventTime, time.Date(2026, 5, 31, 0, 0, 0, 0, time.UTC)))
	update("2026-06-01", `{"m": {"litellm_provider": "openai", "input_cost_per_token": 2e-6}, "n": {"litellm_provider": "openai", "input_cost_per_token": 5.0e-6}}`, Changes{Changed: 1, Same: 1})
	update("2026-06-01", `{"m": {"litellm_provider": "openai", "input_cost_per_token": 3e-6}, "n": {"litellm_provider": "openai", "input_cost_per_token": 5e-6}}`, Changes{Changed: 1, Same: 1})
	update("2026-07-01", `{"m": {"litellm_provider": "openai", "input_cost_per_token": 3e-6}}`, Changes{Same: 1, Gone: 1})
	if list, err = Overlay(b); err != nil {
		t.Fatal(err)
	}
	p := list.Pricer()
	for _, c := range []struct {
		model, day, want string
	}{
		{"m", "2025-12-31", "no entry at the time"}, {"m", "2026-01-01", "1"}, {"m", "2026-05-31", "1"}, {"m", "2026-06-01", "3"}, {"m", "2026-09-01", "3"}, {"n", "2026-09-01", "5"},
	} {
		r := row(schemas.InputTokens, 1e6, schemas.Model, c.model)
		r.SetInt(schemas.EventTime, date(c.day))
		if got := cost(p.Price(r)); got != c.want {
			t.Errorf("%s on %s: %s, want %s", c.model, c.day, got, c.want)
		}
	}
	after := p.Price(row(schemas.InputTokens, 1e6, schemas.EventTime, time.Date(2026, 5, 31, 0, 0, 0, 0, time.UTC)))
	if before.ID == "" || before != after {
		t.Errorf("history was %+v, is %+v", before, after)
	}
	for _, asOf := range []string{"2026-06-15", "2026-03-01"} {
		if _, err := b.Update(read(`{"m": {"litellm_provider": "openai", "input_cost_per_token": 3e-6}}`), Import{AsOf: asOf}, date(asOf)); err == nil {
			t.Errorf("an import of %s is accepted", asOf)
		}
	}
	b.Imports = nil // as if written by hand
	if _, err := b.Update(read(`{"m": {"litellm_provider": "openai", "input_cost_per_token": 9e-6}}`), Import{AsOf: "2026-03-01"}, date("2026-03-01")); err == nil {
		t.Error("a price before one that is there is accepted")
	}
}

// A name that a later list takes from a model keeps its last price, too.
func TestUpdateNames(t *testing.T) {
	b := &Book{Name: "b"}
	for _, c := range []struct {
		asOf, file string
		want       Changes
	}{
		{"2026-01-01", `[{"modelName": "m", "matchPattern": "^(one|two)$", "prices": {"input": 1e-6}}]`, Changes{Added: 1}},
		{"2026-02-01", `[{"modelName": "m", "matchPattern": "^one$", "prices": {"input": 2e-6}}]`, Changes{Changed: 1, Gone: 1}},
		{"2026-02-01", `[{"modelName": "m", "matchPattern": "^one$", "prices": {"input": 2e-6}}]`, Changes{Same: 1, Gone: 1}},
		{"2026-03-01", `[{"modelName": "m", "matchPattern": "^(one|two)$", "prices": {"input": 3e-6}}]`, Changes{Changed: 1}},
	} {
		in, err := ImportLangfuse(strings.NewReader(c.file))
		if err != nil {
			t.Fatal(err)
		}
		day, err := time.Parse(time.DateOnly, c.asOf)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := b.Update(in, Import{"langfuse", c.asOf, "00"}, day.UnixMicro()); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", c.asOf, got, err, c.want)
		}
	}
	list, err := Overlay(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ model, day, want string }{
		{"two", "2026-01-31", "1"}, {"one", "2026-02-01", "2"}, {"two", "2026-02-28", "1"}, {"one", "2026-03-01", "3"}, {"two", "2026-03-01", "3"},
	} {
		day, err := time.Parse(time.DateOnly, c.day)
		if err != nil {
			t.Fatal(err)
		}
		if got := cost(list.Pricer().Price(row(schemas.InputTokens, 1e6, schemas.Model, c.model, schemas.EventTime, day))); got != c.want {
			t.Errorf("%s on %s: %s, want %s", c.model, c.day, got, c.want)
		}
	}
}

func TestLint(t *testing.T) {
	for _, c := range []struct{ entries, want string }{
		{"[{model: m, prices: {input: 1, cache_read: 0.1}, variants: [{tier: batch, prices: {input: 0.5}}]}]", ""},
		{"[{model: m, to: 2026-01-01, prices: {input: 1}}, {model: [m, n], from: 2026-02-01, prices: {input: 1}}]", "line 5: m has no price from 2026-01-01 to 2026-02-01"},
		{"[{model: m, to: 2026-02-01, prices: {input: 1}}, {model: m, from: 2026-02-01, prices: {input: 1}}]", ""},
		{"[{model: m, to: 2026-03-01, prices: {input: 1}}, {model: m, from: 2026-02-01, prices: {input: 1}}]", "line 5: m overlaps the entry of line 5 in time; end that with to, or begin later"},
		{"[{model: m, prices: {input: 0.00025}}]", "line 5: m: input is 0.00025 dollars for a million tokens; is it the price of a thousand, or of one? per: says so"},
		{"[{model: m, per: 1K, prices: {output: 15}}]", "line 5: m: output is 15000 dollars for a million tokens; is per: right?"},
		{"[{model: m, prices: {input: 1, cache_read: 1.5}}]", "line 5: m: cache_read is dearer than input"},
		{"[{model: m, prices: {input: 1, cache_read: 0.5}, variants: [{above: 9, prices: {cache_read: 2}}]}]", "line 5: m: cache_read is dearer than input"},
		{"[{model: m, prices: {input: 1}, variants: [{tier: batch, prices: {input: 2}}]}]", "line 5: m: input is dearer in batch than usual"},
		{"[{model: m, per: 1T, prices: {input: 1}}]", `line 5: per: "1T" is no unit; want 1M, 1K or 1 (tokens)`},
		{"[{model: m, prices: {search: 0.00001}}]", ""},
		{"[{model: m, prices: {input: 1}, variants: [{hours: '16:30-00:30', prices: {input: 0.5}}]}]", ""},
		{"[{model: m, variants: [{hours: '16:30-00:30', prices: {input: 0.5}}, {hours: '00:30-16:30', prices: {input: 1}}]}]", ""},
		{"[{model: m, prices: {output: 2}, variants: [{hours: '16:30-00:30', prices: {input: 0.5}}, {hours: '01:00-16:30', prices: {input: 1}}]}]", "line 5: m: input has no price at 00:30\nline 5: m: input has no price at 00:30"},
		{"[{model: m, prices: {input: 1}, variants: [{tier: batch, hours: '16:30-00:30', prices: {input: 0.5}}]}]", "line 5: m: input has no price at 00:30"},
		{"[{model: m, prices: {input: 1}, variants: [{tier: batch, prices: {input: 0.7}}, {tier: batch, above: 9, region: eu, hours: '16:30-00:30', prices: {input: 0.5}}]}]", ""},
	} {
		problems, err := Lint(strings.NewReader("book: b\nsource: s\nchecked: 2026-01-01\nentries:\n  "+c.entries), "b")
		var got []string
		for _, p := range problems {
			got = append(got, p.String())
		}
		if text := strings.Join(got, "\n"); err != nil || text != c.want {
			t.Errorf("%s: %v\n%s, want\n%s", c.entries, err, text, c.want)
		}
	}
	problems, _ := Lint(strings.NewReader("book: b\nentries: [{model: m, prices: {input: 1}}]"), "b")
	if len(problems) != 2 {
		t.Errorf("without source and date: %v", problems)
	}
}
