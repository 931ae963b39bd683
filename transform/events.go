package transform

import (
	"slices"

	"usagelake/schemas"
)

// eventEntries are what coding agents tell of their requests over OpenTelemetry, in
// attributes of their own.
var eventEntries = slices.Concat(
	claudeRequests("Claude Code's span of a request, whose log record has the same id", listed, []string{
		listed("request_id", "stringValue"), "startTimeUnixNano",
	}, "startTimeUnixNano"),
	claudeRequests("Claude Code's span of a request, with a map of attributes", mapped, []string{
		mapped("request_id"), "start_time | startTime[0] | hrTime[0] | timestamp", mapped("span.type"),
	}, "start_time | startTime[0] | hrTime[0] | timestamp"),
	claudeRequests("Claude Code's telemetry of a request: counts apart from each other", listed, []string{
		listed("session.id", "stringValue"), "!startTimeUnixNano",
	}, "timeUnixNano | observedTimeUnixNano"),
	agentEvents(listed),
	agentEvents(mapped),
)

// claudeRequests is a request of Claude Code.
func claudeRequests(doc string, at attribute, when []string, time string) []Entry {
	return []Entry{{
		Name: "otel.event", Doc: doc,
		At: []string{""}, Own: true, Usage: "none",
		When: append([]string{at.count("input_tokens"), at.count("cache_read_tokens")}, when...),
		Columns: []Rule{
			{schemas.EventTime, time},
			{schemas.RequestID, at.text("request_id")},
			{schemas.Model, at.text("model")},
			{schemas.UserID, at.text("user.email", "user.account_uuid", "user.id")},
			{schemas.SessionID, at.text("session.id")},
			{schemas.InputTokens, at.sum("input_tokens", "cache_read_tokens", "cache_creation_tokens")},
			{schemas.OutputTokens, at.count("output_tokens")},
			{schemas.CacheReadTokens, at.count("cache_read_tokens")},
			{schemas.CacheWriteTokens, at.count("cache_creation_tokens")},
			{schemas.ReportedCostUSD, at.first([]string{"cost_usd"}, "doubleValue", "intValue", "stringValue")},
			{schemas.DurationMs, at.count("duration_ms")},
		},
		Basis: exclusive, Operation: "chat",
	}}
}

// agentEvents are log records of Codex, Gemini CLI and Qwen Code. A request's has no id:
// its time and its counts tell it.
func agentEvents(at attribute) []Entry {
	const time = " | timeUnixNano | observedTimeUnixNano | hrTime[0] | timestamp"
	return []Entry{
		{
			Name: "codex.event", Doc: "Codex's telemetry of a response: counts as in the Responses API",
			At: []string{""}, Own: true, Usage: "none",
			When: []string{at.count("input_token_count"), at.count("output_token_count"), at.text("conversation.id"), at.text("event.kind")},
			Columns: []Rule{
				{schemas.EventTime, at.text("event.timestamp") + time},
				{schemas.Provider, "'openai'"},
				{schemas.Model, at.text("model", "slug")},
				{schemas.UserID, at.text("user.email", "user.account_id")},
				{schemas.SessionID, at.text("conversation.id")},
				{schemas.InputTokens, at.count("input_token_count")},
				{schemas.OutputTokens, at.count("output_token_count")},
				{schemas.TotalTokens, at.count("tool_token_count")}, // so the name, the total by its source
				{schemas.CacheReadTokens, at.count("cached_token_count")},
				{schemas.CacheWriteTokens, at.count("cache_write_token_count")},
				{schemas.ReasoningTokens, at.count("reasoning_token_count")},
			},
			Basis: inclusive, Operation: "responses",
			IDOf: []string{at.text("conversation.id"), at.text("event.timestamp"), at.count("input_token_count"), at.count("output_token_count")},
		},
		{
			Name: "google.event", Doc: "telemetry of a response of Gemini CLI, with thoughts apart, or Qwen Code, with thoughts in the output",
			At: []string{""}, Own: true, Usage: "none",
			When: []string{at.count("input_token_count"), at.count("output_token_count"), at.count("thoughts_token_count"), at.text("prompt_id")},
			Columns: []Rule{
				{schemas.EventTime, at.text("event.timestamp") + time},
				{schemas.RequestID, at.text("response_id")},
				{schemas.Model, at.text("model")},
				{schemas.UserID, at.text("user.email", "user.id")},
				{schemas.SessionID, at.text("session.id")},
				{schemas.InputTokens, at.sum("input_token_count", "tool_token_count")},
				{schemas.OutputTokens, at.count("output_token_count")},
				{schemas.TotalTokens, at.count("total_token_count")},
				{schemas.CacheReadTokens, at.count("cached_content_token_count")},
				{schemas.InputToolTokens, at.count("tool_token_count")},
				{schemas.ReasoningTokens, at.count("thoughts_token_count")},
				{schemas.DurationMs, at.count("duration_ms")},
			},
			Basis: ambiguous, Operation: "chat",
			IDOf: []string{at.text("session.id"), at.text("prompt_id"), at.text("event.timestamp"), at.count("input_token_count"), at.count("output_token_count")},
		},
		{
			Name: "google.event", Doc: "what Gemini CLI says of a response in the words of a convention, too",
			At: []string{""}, When: []string{at.count("gen_ai.usage.input_tokens"), at.text("installation.id"), at.text("event.timestamp")},
			Ignore: true, Basis: ambiguous,
		},
	}
}

// sizes are telemetry that tells the tokens of a context, of a tool's result or of an
// agent, beside the requests that send them.
func sizes(at attribute) []Entry {
	size := func(doc string, when ...string) Entry {
		return Entry{Name: "otel.size", Doc: doc, At: []string{""}, When: when, Ignore: true, Basis: ambiguous}
	}
	return []Entry{
		size("Claude Code: a context before and after it was made short", at.count("pre_tokens"), at.count("post_tokens")),
		size("Claude Code: what a subagent used, whose requests are told of", at.count("total_tokens"), at.count("total_tool_uses"), at.text("agent_type")),
		size("Gemini CLI or Qwen Code: a context before and after it was made short", at.count("tokens_before"), at.count("tokens_after")),
		size("Claude Code: span of a tool", at.text("tool_name"), at.count("result_tokens")),
	}
}
