package transform

import "usagelake/schemas"

// pydanticEntries are messages of Pydantic AI. Histories have those before again:
// one without the provider's id is told by its time and counts.
var pydanticEntries = []Entry{
	{
		Name: "pydantic.messages", Doc: "Pydantic AI's messages of a run in one record",
		At: []string{""}, Container: true,
		When:  []string{"messages[].kind", "messages[].usage"},
		Basis: inclusive,
		Parts: []Part{{Path: "messages[]", Inherit: []schemas.Col{
			schemas.UserID, schemas.SessionID, schemas.ProjectID, schemas.TeamID, schemas.APIKeyID,
		}}},
	},
	{
		Name: "pydantic.response", Doc: "Pydantic AI response: cache in the input",
		At:   []string{"", "message", "response", "result", "data"},
		When: []string{"kind", "model_name", "usage.input_tokens", "usage.output_tokens", "!object"},
		Columns: append([]Rule{
			{schemas.InputTokens, "usage.input_tokens"},
			{schemas.OutputTokens, "usage.output_tokens"},
			{schemas.CacheReadTokens, "usage.cache_read_tokens"},
			{schemas.CacheWriteTokens, "usage.cache_write_tokens"},
			{schemas.CacheReadAudioTokens, "usage.cache_audio_read_tokens"},
			{schemas.InputAudioTokens, "usage.input_audio_tokens"},
			{schemas.OutputAudioTokens, "usage.output_audio_tokens"},
			{schemas.ReasoningTokens, "usage.details.reasoning_tokens | usage.details.thoughts_tokens"},
		}, pydanticEnvelope...),
		Basis: inclusive, Operation: "chat",
		IDOf: []string{"timestamp", "model_name", "usage.input_tokens", "usage.output_tokens"},
	},
	{
		Name: "pydantic.response", Doc: "Pydantic AI response of versions before 1: a provider's own parts",
		At:   []string{"", "message", "response", "result", "data"},
		When: []string{"kind", "model_name", "usage.request_tokens", "usage.response_tokens"},
		Columns: append([]Rule{
			{schemas.InputTokens, "usage.request_tokens"},
			{schemas.OutputTokens, "usage.response_tokens"},
			{schemas.TotalTokens, "usage.total_tokens"},
			{
				schemas.CacheReadTokens, "usage.details.cached_tokens | usage.details.cache_read_input_tokens | " +
					"usage.details.cached_content_tokens",
			},
			{schemas.CacheWriteTokens, "usage.details.cache_creation_input_tokens"},
			{schemas.ReasoningTokens, "usage.details.reasoning_tokens | usage.details.thoughts_tokens"},
		}, pydanticEnvelope...),
		Basis: ambiguous, Operation: "chat",
		IDOf: []string{"timestamp", "model_name", "usage.request_tokens", "usage.response_tokens"},
	},
}

var pydanticEnvelope = []Rule{
	{schemas.EventTime, "timestamp"},
	{schemas.RequestID, "provider_response_id | vendor_id"},
	{schemas.Provider, "provider_name"},
	{schemas.Model, "model_name"},
	{schemas.SessionID, "conversation_id"},
}
