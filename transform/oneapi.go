package transform

import "usagelake/schemas"

// oneapiEntries are rows of the logs of One API and New API. What cost less or more
// than a token of the prompt stands in a text. quota is in a unit that each site sets. Their
// ids are numbers of a database: the time and the model tell those of two sites apart.
var oneapiEntries = []Entry{
	{
		Name: "oneapi.log", Doc: "log of New API in Anthropic's meaning: prompt without the cache",
		At: []string{""}, Own: true, Folded: []string{"other"},
		When:   append([]string{"other.claude | other.usage_semantic"}, oneapiWhen...),
		Unless: []string{noConsumption},
		Columns: append([]Rule{
			{schemas.InputTokens, "prompt_tokens + other.cache_tokens + other.cache_creation_tokens"},
		}, oneapiColumns...),
		Basis: exclusive, Operation: "chat", Key: bodyKey, Keep: []string{"quota"},
	},
	{
		Name: "oneapi.log", Doc: "log of One API or New API: cache in the prompt",
		At: []string{""}, Own: true, Folded: []string{"other"},
		When: oneapiWhen, Unless: []string{noConsumption},
		Columns: append([]Rule{
			{schemas.InputTokens, "prompt_tokens"},
			{schemas.InputAudioTokens, "other.audio_input"},
			{schemas.OutputAudioTokens, "other.audio_output"},
		}, oneapiColumns...),
		Basis: inclusive, Operation: "chat", Key: bodyKey, Keep: []string{"quota"},
	},
}

var oneapiWhen = []string{"quota", "token_name", "model_name", "created_at", "type", "prompt_tokens", "completion_tokens"}

// noConsumption is the types of top-ups, of what an administrator or the system did, of
// errors and of refunds.
const noConsumption = "type=0|1|3|4|5|6|7"

var oneapiColumns = []Rule{
	{schemas.EventTime, "created_at"},
	{schemas.RequestID, "request_id | id"},
	{schemas.Model, "other.upstream_model_name | model_name"},
	{schemas.RequestModel, "model_name"},
	{schemas.UserID, "username | user_id"},
	{schemas.APIKeyID, "token_name"},
	{schemas.OutputTokens, "completion_tokens"},
	{schemas.CacheReadTokens, "other.cache_tokens"},
	{schemas.CacheWriteTokens, "other.cache_creation_tokens"},
	{schemas.CacheWrite1hTokens, "other.cache_creation_tokens_1h"},
	{schemas.DurationMs, "elapsed_time | use_time:e3"},
}
