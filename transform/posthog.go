package transform

import "usagelake/schemas"

// posthogEntries are PostHog's events of LLM calls. Whether the cache is in the input
// depends on the provider and the SDK; PostHog says it of the events that it has priced.
var posthogEntries = []Entry{{
	Name: "posthog.trace", Doc: "PostHog event of a trace, which sums up its generations",
	At: []string{""}, When: []string{"event", ai("total_input_tokens") + " | " + ai("total_output_tokens"), "!" + ai("input_tokens")},
	Folded: []string{"properties"}, Ignore: true, Basis: ambiguous,
}, {
	Name: "posthog.event", Doc: "PostHog event of a generation or an embedding; those of traces and spans sum up",
	At: []string{""}, Own: true, Usage: "none", Folded: []string{"properties"},
	When:   []string{"event", ai("input_tokens") + " | " + ai("output_tokens")},
	Unless: []string{"event=$ai_trace|$ai_span"},
	Columns: []Rule{
		{schemas.EventTime, "timestamp:utc"},
		{schemas.RequestID, "uuid | id | " + ai("span_id")},
		{schemas.TransportID, ai("trace_id")},
		{schemas.Operation, "event"},
		{schemas.Provider, ai("provider")},
		{schemas.Model, ai("model")},
		{schemas.ErrorCode, ai("http_status") + ":except=200,0"},
		{schemas.UserID, "distinct_id"},
		{schemas.SessionID, ai("session_id")},
		{schemas.InputTokens, ai("input_tokens")},
		{schemas.OutputTokens, ai("output_tokens")},
		{schemas.TotalTokens, ai("total_tokens")},
		{schemas.CacheReadTokens, ai("cache_read_input_tokens")},
		{schemas.CacheWriteTokens, ai("cache_creation_input_tokens")},
		{schemas.CacheWrite1hTokens, ai("cache_creation_1h_input_tokens")},
		{schemas.CacheReadAudioTokens, ai("cache_read_audio_tokens")},
		{schemas.InputTextTokens, ai("text_input_tokens")},
		{schemas.InputImageTokens, ai("image_input_tokens")},
		{schemas.InputAudioTokens, ai("audio_input_tokens")},
		{schemas.InputVideoTokens, ai("video_input_tokens")},
		{schemas.OutputTextTokens, ai("text_output_tokens")},
		{schemas.OutputImageTokens, ai("image_output_tokens")},
		{schemas.OutputAudioTokens, ai("audio_output_tokens")},
		{schemas.ReasoningTokens, ai("reasoning_tokens")},
		{schemas.WebSearchRequests, ai("web_search_count")},
		{schemas.ReportedCostUSD, ai("total_cost_usd")},
		{schemas.DurationMs, ai("latency") + ":e3"},
		{schemas.TimeToFirstTokenMs, ai("time_to_first_token") + ":e3"},
	},
	Basis: ambiguous, Apart: ai("cache_reporting_exclusive"), Operation: "chat",
}}

// ai is a property that PostHog has named.
func ai(name string) string { return `properties."$ai_` + name + `"` }
