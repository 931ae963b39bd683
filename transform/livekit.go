package transform

import "usagelake/schemas"

// livekitEntries are metrics of LiveKit's agents.
var livekitEntries = []Entry{
	{
		Name: "livekit.metrics", Doc: "LiveKit's metrics of a realtime model: counts as in the Realtime API",
		At: []string{""}, Own: true, Usage: "none",
		When: []string{"label", "request_id", "timestamp", "input_tokens", "output_tokens", "input_token_details"},
		Columns: append([]Rule{
			{schemas.InputTokens, "input_tokens"},
			{schemas.OutputTokens, "output_tokens"},
			{schemas.CacheReadTokens, "input_token_details.cached_tokens"},
			{schemas.CacheReadAudioTokens, "input_token_details.cached_tokens_details.audio_tokens"},
			{schemas.CacheReadImageTokens, "input_token_details.cached_tokens_details.image_tokens"},
			{schemas.InputTextTokens, "input_token_details.text_tokens"},
			{schemas.InputAudioTokens, "input_token_details.audio_tokens"},
			{schemas.InputImageTokens, "input_token_details.image_tokens"},
			{schemas.OutputTextTokens, "output_token_details.text_tokens"},
			{schemas.OutputAudioTokens, "output_token_details.audio_tokens"},
		}, livekitColumns...),
		Basis: inclusive, Operation: "realtime",
	},
	{
		Name: "livekit.metrics", Doc: "LiveKit's metrics of a model: cache in the input",
		At: []string{""}, Own: true, Usage: "none",
		When: []string{"label", "request_id", "timestamp", "prompt_tokens", "completion_tokens", "tokens_per_second"},
		Columns: append([]Rule{
			{schemas.InputTokens, "prompt_tokens"},
			{schemas.OutputTokens, "completion_tokens"},
			{schemas.CacheReadTokens, "prompt_cached_tokens"},
		}, livekitColumns...),
		Basis: inclusive, Operation: "chat",
	},
}

var livekitColumns = []Rule{
	{schemas.EventTime, "timestamp"},
	{schemas.RequestID, "request_id"},
	{schemas.Model, "metadata.model_name"},
	{schemas.TotalTokens, "total_tokens"},
	{schemas.DurationMs, "duration:e3"},
}
