package transform

import "usagelake/schemas"

// opikEntries are Opik's spans. What the provider said stands beside Opik's counts,
// under keys with dots. Opik's own counts of Anthropic had no cache in older versions.
var opikEntries = []Entry{
	{
		Name: "opik.trace", Doc: "Opik trace, which sums up its spans",
		At: []string{""}, When: []string{"span_count | llm_span_count", "start_time", "usage.total_tokens | usage.prompt_tokens | usage.completion_tokens"},
		Ignore: true, Basis: inclusive,
	},
	{
		Name: "opik.span", Doc: "Opik span of Anthropic or Bedrock: input without the cache",
		At: []string{""}, Own: true,
		When: []string{
			"trace_id", "start_time", `usage."original_usage.input_tokens" | usage."original_usage.inputTokens"`,
			`usage."original_usage.cache_read_input_tokens" | usage."original_usage.cache_creation_input_tokens" | ` +
				`usage."original_usage.cacheReadInputTokens" | usage."original_usage.cacheWriteInputTokens"`,
		},
		Columns: append([]Rule{
			{
				schemas.InputTokens, `usage."original_usage.input_tokens" + usage."original_usage.cache_read_input_tokens" + usage."original_usage.cache_creation_input_tokens" | ` +
					`usage."original_usage.inputTokens" + usage."original_usage.cacheReadInputTokens" + usage."original_usage.cacheWriteInputTokens"`,
			},
			{schemas.OutputTokens, `usage."original_usage.output_tokens" | usage."original_usage.outputTokens"`},
			{schemas.CacheReadTokens, `usage."original_usage.cache_read_input_tokens" | usage."original_usage.cacheReadInputTokens"`},
			{schemas.CacheWriteTokens, `usage."original_usage.cache_creation_input_tokens" | usage."original_usage.cacheWriteInputTokens"`},
			{schemas.CacheWrite1hTokens, `usage."original_usage.cache_creation.ephemeral_1h_input_tokens"`},
		}, opikColumns...),
		Basis: exclusive, Operation: "chat",
	},
	{
		Name: "opik.span", Doc: "Opik span",
		At: []string{""}, Own: true,
		When: []string{
			"trace_id", "start_time", "usage.prompt_tokens | usage.completion_tokens",
			`usage."original_usage.prompt_tokens" | usage."original_usage.input_tokens" | usage."original_usage.prompt_token_count" | ` +
				`usage."original_usage.total_tokens" | total_estimated_cost`,
		},
		Columns: append([]Rule{
			{schemas.InputTokens, "usage.prompt_tokens"},
			{schemas.OutputTokens, "usage.completion_tokens"},
			{schemas.TotalTokens, "usage.total_tokens"},
			{
				schemas.CacheReadTokens, `usage."original_usage.prompt_tokens_details.cached_tokens" | usage."original_usage.input_tokens_details.cached_tokens" | ` +
					`usage."original_usage.cached_content_token_count" | usage."original_usage.cache_read_input_tokens"`,
			},
			{schemas.CacheWriteTokens, `usage."original_usage.cache_creation_input_tokens"`},
			{schemas.InputAudioTokens, `usage."original_usage.prompt_tokens_details.audio_tokens"`},
			{schemas.OutputAudioTokens, `usage."original_usage.completion_tokens_details.audio_tokens"`},
			{
				schemas.ReasoningTokens, `usage."original_usage.completion_tokens_details.reasoning_tokens" | ` +
					`usage."original_usage.output_tokens_details.reasoning_tokens" | usage."original_usage.thoughts_token_count"`,
			},
		}, opikColumns...),
		Basis: ambiguous, Operation: "chat",
	},
}

var opikColumns = []Rule{
	{schemas.EventTime, "start_time:utc"},
	{schemas.RequestID, "id"},
	{schemas.TransportID, "trace_id"},
	{schemas.Provider, "provider"},
	{schemas.Model, "model"},
	{schemas.ErrorCode, "error_info.exception_type"},
	{schemas.ProjectID, "project_name | project_id"},
	{schemas.SessionID, "thread_id"},
	{schemas.Tags, "tags"},
	{schemas.ReportedCostUSD, "total_estimated_cost"},
	{schemas.DurationMs, "duration"},
	{schemas.TimeToFirstTokenMs, "ttft"},
}
