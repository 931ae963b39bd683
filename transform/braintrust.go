package transform

import "usagelake/schemas"

// braintrustTree: for some months Braintrust's wrapper of the AI SDK wrote what a call used
// on the span around it, too.
var braintrustTree = [2]string{"span_id", "span_parents[]"}

// braintrustEntries are Braintrust's spans. Its SDKs count cached tokens into the prompt,
// of Anthropic too; other programs that write metrics need not.
var braintrustEntries = []Entry{
	{
		Name: "braintrust.page", Doc: "page of Braintrust's API with its spans",
		At: []string{""}, Own: true, Container: true, When: []string{"events[].root_span_id | data[].root_span_id"}, Basis: ambiguous,
		Parts: []Part{
			{Path: "events[]", Entry: "braintrust.span", Zero: true, Tree: braintrustTree},
			{Path: "data[]", Entry: "braintrust.span", Zero: true, Tree: braintrustTree},
		},
	},
	{
		Name: "braintrust.span", Doc: "Braintrust span; one of a task or of an eval sums up",
		At: []string{""}, Own: true, Usage: "metrics",
		When:   []string{"span_id", "root_span_id", "metrics.prompt_tokens | metrics.completion_tokens"},
		Unless: []string{"span_attributes.type=task|eval"},
		Columns: []Rule{
			{schemas.EventTime, "metrics.start | created"},
			{schemas.RequestID, "id"},
			{schemas.TransportID, "root_span_id"},
			{schemas.Provider, "metadata.provider"},
			{schemas.Model, "metadata.model"},
			{schemas.ErrorCode, "error.name | error"},
			{schemas.ProjectID, "project_id"},
			{schemas.Tags, "tags"},
			{schemas.InputTokens, "metrics.prompt_tokens"},
			{schemas.OutputTokens, "metrics.completion_tokens"},
			{schemas.TotalTokens, "metrics.tokens | metrics.total_tokens"},
			{schemas.CacheReadTokens, "metrics.prompt_cached_tokens"},
			{schemas.CacheWriteTokens, "metrics.prompt_cache_creation_tokens | metrics.prompt_cache_creation_5m_tokens + metrics.prompt_cache_creation_1h_tokens"},
			{schemas.CacheWrite1hTokens, "metrics.prompt_cache_creation_1h_tokens"},
			{schemas.InputAudioTokens, "metrics.prompt_audio_tokens"},
			{schemas.OutputAudioTokens, "metrics.completion_audio_tokens"},
			{schemas.ReasoningTokens, "metrics.completion_reasoning_tokens"},
			{schemas.AcceptedPredictionTokens, "metrics.completion_accepted_prediction_tokens"},
			{schemas.RejectedPredictionTokens, "metrics.completion_rejected_prediction_tokens"},
			{schemas.WebSearchRequests, "metrics.server_tool_use_web_search_requests"},
			{schemas.ReportedCostUSD, "metrics.estimated_cost | estimated_cost"},
			{schemas.TimeToFirstTokenMs, "metrics.time_to_first_token:e3"},
		},
		Keep:  []string{"metrics.prompt_cache_creation_5m_tokens"},
		Basis: ambiguous, Operation: "chat",
	},
}
