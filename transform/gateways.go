package transform

import (
	"slices"

	"usagelake/schemas"
)

// newrelicEvent is what New Relic's events of models have in common.
var newrelicEvent = []Rule{
	{schemas.EventTime, "timestamp"},
	{schemas.RequestID, "id"},
	{schemas.TransportID, "request_id"},
	{schemas.Provider, "vendor"},
	{schemas.Model, `"response.model"`},
	{schemas.RequestModel, `"request.model"`},
	{schemas.TotalTokens, `"response.usage.total_tokens"`},
	{schemas.DurationMs, "duration"},
}

// gatewayEntries are rows of gateways and of observability tools: columns around
// a call whose answer may stand in the same record again.
var gatewayEntries = slices.Concat(litellmEntries, langfuseEntries, azureEntries, []Entry{
	{
		Name: "kong.request", Doc: "Kong: log of a request with what its AI plugins used",
		At: []string{""}, Own: true, Container: true, When: []string{"ai", "request", "started_at | latencies"},
		Columns: []Rule{
			{schemas.EventTime, "started_at"},
			{schemas.RequestID, "request.id"},
			{schemas.UserID, "consumer.username | consumer.custom_id | consumer.id"},
			{schemas.ProjectID, "service.name"},
			{schemas.APIKeyID, "authenticated_entity.id"},
		},
		Basis: inclusive,
		Parts: []Part{{
			Path: "ai.*", Entry: "kong.plugin", ID: "#ai",
			Inherit: []schemas.Col{schemas.RequestID, schemas.UserID, schemas.ProjectID, schemas.APIKeyID},
		}},
	},
	{
		Name: "kong.plugin", Doc: "Kong: what an AI plugin used for a request",
		At: []string{""}, Named: true, Own: true,
		When: []string{"usage.prompt_tokens | usage.prompt_token", "meta.request_model | meta.response_model"},
		Columns: []Rule{
			{schemas.Model, "meta.response_model"},
			{schemas.RequestModel, "meta.request_model"},
			{schemas.Provider, "meta.provider_name"},
			{schemas.InputTokens, "usage.prompt_tokens/usage.prompt_token"},
			{schemas.OutputTokens, "usage.completion_tokens/usage.completion_token"},
			{schemas.TotalTokens, "usage.total_tokens"},
			{schemas.CacheReadTokens, "usage.prompt_tokens_details.cached_tokens"},
			{schemas.ReasoningTokens, "usage.completion_tokens_details.reasoning_tokens"},
			{schemas.ReportedCostUSD, "usage.cost"},
			{schemas.DurationMs, "meta.llm_latency"},
			{schemas.TimeToFirstTokenMs, "usage.time_to_first_token"},
		},
		Basis: inclusive, Operation: "chat", Key: modelKey,
	},
	{
		Name: "higress.log", Doc: "Higress: access log with what its statistics of AI say",
		At: []string{""}, Own: true, Container: true, Wraps: true, Folded: []string{"ai_log"},
		When: []string{"ai_log"},
		Columns: []Rule{
			{schemas.EventTime, envelopeTime},
			{schemas.RequestID, "request_id"},
		},
		Basis: ambiguous,
		Parts: []Part{{Path: "ai_log", Entry: "higress.call", Inherit: []schemas.Col{schemas.RequestID}}},
	},
	{
		Name: "higress.call", Doc: "Higress: what a call used",
		At: []string{""}, Named: true, Own: true, Usage: "none",
		When: []string{"input_token | output_token"},
		Columns: []Rule{
			{schemas.Model, "model"},
			{schemas.UserID, "consumer"},
			{schemas.SessionID, "session_id"},
			{schemas.InputTokens, "input_token"},
			{schemas.OutputTokens, "output_token"},
			{schemas.TotalTokens, "total_token"},
			{schemas.CacheReadTokens, "cached_tokens"},
			{schemas.ReasoningTokens, "reasoning_tokens"},
			{schemas.DurationMs, "llm_service_duration"},
			{schemas.TimeToFirstTokenMs, "llm_first_token_duration"},
		},
		Basis: ambiguous, Operation: "chat", Key: modelKey,
	},
	{
		Name: "apisix.log", Doc: "APISIX: log of a request to an AI proxy",
		At: []string{""}, Own: true, Usage: "none",
		When: []string{"llm_summary.prompt_tokens", "llm_summary.completion_tokens"},
		Columns: []Rule{
			{schemas.EventTime, "start_time"},
			{schemas.Model, "llm_summary.model"},
			{schemas.RequestModel, "llm_summary.request_model"},
			{schemas.UserID, "consumer.username"},
			{schemas.InputTokens, "llm_summary.prompt_tokens"},
			{schemas.OutputTokens, "llm_summary.completion_tokens"},
			{schemas.DurationMs, "llm_summary.duration"},
		},
		Basis: ambiguous, Operation: "chat",
	},
	{
		Name: "apisix.log", Doc: "APISIX: access log with the variables of its AI proxy",
		At: []string{""}, Own: true, Usage: "none",
		When: []string{"llm_prompt_tokens", "llm_completion_tokens"},
		Columns: []Rule{
			{schemas.EventTime, "time_iso8601 | msec | " + envelopeTime},
			{schemas.RequestID, "request_id"},
			{schemas.Model, "llm_model"},
			{schemas.RequestModel, "request_llm_model"},
			{schemas.InputTokens, "llm_prompt_tokens"},
			{schemas.OutputTokens, "llm_completion_tokens"},
			{schemas.TimeToFirstTokenMs, "llm_time_to_first_token"},
		},
		Basis: ambiguous, Operation: "chat",
	},
	{
		Name: "sagemaker.capture", Doc: "SageMaker: what an endpoint was asked and answered",
		At: []string{""}, Own: true, Container: true, Wraps: true, Folded: []string{"captureData.endpointOutput.data"},
		When: []string{"captureData.endpointOutput.data", "eventMetadata"},
		Columns: []Rule{
			{schemas.EventTime, "eventMetadata.inferenceTime"},
			{schemas.TransportID, "eventMetadata.eventId"},
		},
		Basis: inclusive,
		Parts: within("captureData.endpointOutput.data", "captureData.endpointOutput.data[]"),
	},
	{
		Name: "tensorzero.inference", Doc: "TensorZero: row of a model inference, whose raw response says it again",
		At: []string{""}, Own: true, Usage: "none",
		When: []string{"input_tokens | output_tokens", "inference_id", "model_provider_name"},
		Columns: []Rule{
			{schemas.EventTime, "timestamp:utc"},
			{schemas.RequestID, "id"},
			{schemas.TransportID, "inference_id"},
			{schemas.Provider, "model_provider_name"},
			{schemas.Model, "model_name"},
			{schemas.CacheHit, "cached"},
			{schemas.InputTokens, "input_tokens"},
			{schemas.OutputTokens, "output_tokens"},
			{schemas.CacheReadTokens, "provider_cache_read_input_tokens"},
			{schemas.CacheWriteTokens, "provider_cache_write_input_tokens"},
			{schemas.ReportedCostUSD, "cost"},
			{schemas.DurationMs, "response_time_ms"},
			{schemas.TimeToFirstTokenMs, "ttft_ms"},
		},
		Basis: inclusive, Operation: "chat",
	},
	{
		Name: "sap.orchestration", Doc: "SAP AI Core's orchestration: its answer, which its modules say, too",
		At: []string{"", "response", "body"}, Container: true,
		When:    []string{"final_result.usage | orchestration_result.usage", "request_id", "intermediate_results | module_results"},
		Columns: []Rule{{schemas.TransportID, "request_id"}},
		Basis:   inclusive, Parts: within("final_result", "orchestration_result"),
	},
	{
		Name: "newrelic.event", Doc: "New Relic: summary of a chat completion",
		At: []string{""}, Own: true, Usage: "none",
		When: []string{`"response.usage.prompt_tokens"`, `"response.usage.completion_tokens"`},
		Columns: append([]Rule{
			{schemas.InputTokens, `"response.usage.prompt_tokens"`},
			{schemas.OutputTokens, `"response.usage.completion_tokens"`},
		}, newrelicEvent...),
		Basis: ambiguous, Operation: "chat",
	},
	{
		Name: "newrelic.event", Doc: "New Relic: embedding",
		At: []string{""}, Own: true, Usage: "none",
		When: []string{`"response.usage.total_tokens"`, `!"response.usage.prompt_tokens"`, `!"response.number_of_messages"`},
		Columns: append([]Rule{
			{schemas.InputTokens, `"response.usage.total_tokens"`},
		}, newrelicEvent...),
		Basis: inclusive, Operation: "embeddings",
	},
	{
		Name: "helicone.request", Doc: "Helicone request: cached input and reasoning counted apart",
		At: []string{""}, Own: true,
		When: []string{
			"request_id", "request_created_at", "prompt_tokens | completion_tokens | response_status",
		},
		Columns: []Rule{
			{schemas.EventTime, "request_created_at:utc"},
			{schemas.RequestID, "request_id"},
			{schemas.Provider, "provider"},
			{schemas.Model, "response_model | model | model_override | request_model"},
			{schemas.RequestModel, "request_model"},
			{schemas.UserID, "helicone_user | request_user_id | user_id"},
			{schemas.SessionID, "properties.\"Helicone-Session-Id\" | request_properties.\"Helicone-Session-Id\""},
			{schemas.Tags, "properties | request_properties"},
			{schemas.CacheHit, "cache_reference_id:except=00000000-0000-0000-0000-000000000000"},
			{schemas.ErrorCode, "response_status:except=200,201,202,204,0"},
			{schemas.InputTokens, "prompt_tokens + prompt_cache_read_tokens + prompt_cache_write_tokens"},
			{schemas.OutputTokens, "completion_tokens + reasoning_tokens"},
			{schemas.CacheReadTokens, "prompt_cache_read_tokens"},
			{schemas.CacheWriteTokens, "prompt_cache_write_tokens"},
			{schemas.InputAudioTokens, "prompt_audio_tokens"},
			{schemas.OutputAudioTokens, "completion_audio_tokens"},
			{schemas.ReasoningTokens, "reasoning_tokens"},
			{schemas.ReportedCostUSD, "costUSD | cost_usd | cost"},
			{schemas.DurationMs, "delay_ms"},
			{schemas.TimeToFirstTokenMs, "time_to_first_token"},
		},
		// the total leaves out the cache, which the table's does not
		Basis: exclusive, Operation: "chat", Keep: []string{"total_tokens"},
	},
	{
		Name: "portkey.log", Doc: "Portkey logs export: units are tokens, costs are cents",
		At: []string{""}, Own: true,
		When: []string{"req_units | res_units", "ai_org | ai_model"},
		Columns: []Rule{
			{schemas.EventTime, "created_at"},
			{schemas.RequestID, "id"},
			{schemas.TransportID, "trace_id"},
			{schemas.Provider, "ai_org"},
			{schemas.Model, "ai_model"},
			{schemas.RequestModel, "request.body.model"},
			{schemas.UserID, "metadata._user"},
			{schemas.Tags, "metadata"},
			{schemas.ErrorCode, "response_status_code:except=200,201,202,204"},
			{schemas.APIKeyID, "virtual_key"},
			{schemas.InputTokens, "req_units"},
			{schemas.OutputTokens, "res_units"},
			{schemas.TotalTokens, "total_units"},
			{schemas.CacheReadTokens, "response.body.usage.prompt_tokens_details.cached_tokens"},
			{schemas.ReasoningTokens, "response.body.usage.completion_tokens_details.reasoning_tokens"},
			{schemas.ReportedCostUSD, "cost:e-2"},
			{schemas.DurationMs, "response_time"},
		},
		Basis: inclusive, Operation: "chat", Keep: []string{"cost_currency"},
	},
	{
		Name: "cloudflare.log", Doc: "Cloudflare AI Gateway log",
		At: []string{""}, Own: true, Folded: []string{"metadata"},
		When: []string{"tokens_in | tokens_out", "provider | cached"},
		Columns: []Rule{
			{schemas.EventTime, "created_at"},
			{schemas.RequestID, "id"},
			{schemas.Provider, "provider"},
			{schemas.Model, "model"},
			{schemas.CacheHit, "cached"},
			{schemas.Tags, "metadata"},
			{schemas.ErrorCode, "status_code:except=200,201,202,204"},
			{schemas.InputTokens, "tokens_in"},
			{schemas.OutputTokens, "tokens_out"},
			{schemas.ReportedCostUSD, "cost"},
			{schemas.DurationMs, "duration"},
		},
		Basis: inclusive, Operation: "chat",
	},
	{
		Name: "vercel.generation", Doc: "Vercel AI Gateway generation: usage is dollars",
		At: []string{"data", ""}, Own: true, Usage: "none",
		When: []string{"native_tokens_prompt | native_tokens_completion", "native_tokens_cache_creation | billable_web_search_calls"},
		Columns: append([]Rule{
			{schemas.Provider, "'vercel'"},
			{schemas.InputTokens, "native_tokens_prompt"},
			{schemas.OutputTokens, "native_tokens_completion"},
			{schemas.CacheReadTokens, "native_tokens_cached"},
			{schemas.CacheWriteTokens, "native_tokens_cache_creation"},
			{schemas.ReasoningTokens, "native_tokens_reasoning"},
		}, vercelColumns...),
		Basis: inclusive, Operation: "chat", Keep: []string{"provider_name", "upstream_inference_cost"},
	},
	{
		Name: "vercel.generation", Doc: "Vercel AI Gateway generation, as the SDK has it",
		At: []string{"data", ""}, Own: true, Usage: "none",
		When: []string{"promptTokens", "completionTokens", "providerName", "billableWebSearchCalls | cacheCreationTokens | generationTime"},
		Columns: append([]Rule{
			{schemas.Provider, "'vercel'"},
			{schemas.InputTokens, "promptTokens"},
			{schemas.OutputTokens, "completionTokens"},
			{schemas.CacheReadTokens, "cachedTokens"},
			{schemas.CacheWriteTokens, "cacheCreationTokens"},
			{schemas.ReasoningTokens, "reasoningTokens"},
		}, vercelColumns...),
		Basis: inclusive, Operation: "chat", Keep: []string{"provider_name", "upstream_inference_cost"},
	},
	{
		// reasoning is in completion_tokens as the vendor has it: GPT's is, Gemini's is not, and not in total_tokens either
		Name: "vercel.chat", Doc: "Vercel AI Gateway chat completion: like OpenRouter's, with the cost at the market or an id of the generation",
		When: []string{
			"usage.prompt_tokens", "usage.completion_tokens", "usage.cost", "usage.market_cost | generation_id", "usage.market_cost | choices", "!provider",
		},
		Columns: slices.Concat([]Rule{{schemas.Provider, "'vercel'"}}, chatColumns),
		Basis:   ambiguous, Operation: "chat", Payload: "choices", Keep: []string{"usage.market_cost"},
	},
	{
		Name: "openrouter.generation", Doc: "OpenRouter's record of a generation: usage is dollars, native tokens are what is billed",
		At: []string{"data", ""}, Own: true, Usage: "none",
		When: []string{"id", "created_at", "total_cost | usage", "native_tokens_prompt | native_tokens_completion | tokens_prompt | tokens_completion"},
		Columns: []Rule{
			{schemas.EventTime, "created_at"},
			{schemas.RequestID, "id"},
			{schemas.TransportID, "upstream_id | request_id"},
			{schemas.Operation, "api_type:except=completions"},
			{schemas.Provider, "'openrouter'"},
			{schemas.Model, "model"},
			{schemas.Region, "data_region"},
			{schemas.ServiceTier, "service_tier"},
			{schemas.IsBYOK, "is_byok"},
			{schemas.CacheHit, "response_cache_source_id:except="},
			{schemas.ProjectID, "workspace_id"},
			{schemas.UserID, "external_user"},
			{schemas.SessionID, "session_id"},
			{schemas.InputTokens, "native_tokens_prompt | tokens_prompt"},
			{schemas.OutputTokens, "native_tokens_completion | tokens_completion"},
			{schemas.CacheReadTokens, "native_tokens_cached"},
			{schemas.ReasoningTokens, "native_tokens_reasoning"},
			{schemas.OutputImageTokens, "native_tokens_completion_images"},
			{schemas.ReportedCostUSD, "total_cost | usage"},
			{schemas.DurationMs, "generation_time | latency"},
		},
		Basis: inclusive, Operation: "chat", Keep: []string{"provider_name", "upstream_inference_cost", "cache_discount"},
	},
})

var vercelColumns = []Rule{
	{schemas.EventTime, "created_at"},
	{schemas.RequestID, "id"},
	{schemas.Model, "model"},
	{schemas.IsBYOK, "is_byok"},
	{schemas.WebSearchRequests, "billable_web_search_calls"},
	{schemas.ReportedCostUSD, "total_cost | usage"},
	{schemas.DurationMs, "generation_time"},
	{schemas.TimeToFirstTokenMs, "latency"},
}

var litellmEntries = []Entry{
	{
		Name: "litellm.spend", Doc: "LiteLLM spend log, as a row or as its JSON strings",
		At: []string{""}, Own: true, Folded: []string{"metadata", "request_tags"},
		When: []string{"prompt_tokens", "completion_tokens", "spend", "call_type"},
		Columns: append([]Rule{
			{schemas.EventTime, "start_time:utc"},
			{schemas.ReportedCostUSD, "spend"},
			{schemas.Tags, "request_tags"},
			{schemas.DurationMs, "request_duration_ms"},
		}, litellmColumns...),
		Basis: inclusive, Key: modelKey,
	},
	{
		Name: "litellm.payload", Doc: "LiteLLM standard logging payload",
		At: []string{""}, Own: true,
		When: []string{"prompt_tokens", "completion_tokens", "call_type", "response_cost | hidden_params | model_parameters | model_map_information"},
		Columns: append([]Rule{
			{schemas.EventTime, "start_time:utc"},
			{schemas.ReportedCostUSD, "response_cost"},
			{schemas.Tags, "request_tags"},
			{schemas.DurationMs, "response_time:e3"},
		}, litellmColumns...),
		Basis: inclusive, Key: modelKey,
	},
}

// LiteLLM's counts are OpenAI's, whatever the vendor: cache reads and writes are
// in prompt_tokens, though they are spelled like Anthropic's.
var litellmColumns = []Rule{
	{schemas.RequestID, "request_id | id"},
	{schemas.Operation, "call_type"},
	{schemas.Provider, "custom_llm_provider"},
	{schemas.Model, "model"},
	{schemas.RequestModel, "model_group"},
	{schemas.CacheHit, "cache_hit"},
	{
		schemas.ErrorCode,
		"metadata.error_information.error_code | error_information.error_code | metadata.error_information.error_class | " +
			"error_information.error_class | status:except=success",
	},
	{schemas.ProjectID, "metadata.user_api_key_project_alias | metadata.user_api_key_project_id"},
	{schemas.TeamID, "team_id | metadata.user_api_key_team_alias | metadata.user_api_key_team_id | organization_id"},
	{schemas.UserID, "end_user | user | metadata.user_api_key_user_id"},
	{schemas.SessionID, "session_id | trace_id"},
	{schemas.APIKeyID, "metadata.user_api_key_alias | metadata.user_api_key_hash | api_key"},
	{schemas.InputTokens, "prompt_tokens"},
	{schemas.OutputTokens, "completion_tokens"},
	{schemas.TotalTokens, "total_tokens"},
	{schemas.CacheReadTokens, litellmDetail("prompt_tokens_details.cached_tokens", "cache_read_input_tokens")},
	{schemas.CacheWriteTokens, litellmDetail("prompt_tokens_details.cache_creation_tokens", "cache_creation_input_tokens")},
	{schemas.CacheWrite1hTokens, litellmDetail("prompt_tokens_details.cache_creation_token_details.ephemeral_1h_input_tokens")},
	{schemas.InputTextTokens, litellmDetail("prompt_tokens_details.text_tokens")},
	{schemas.InputImageTokens, litellmDetail("prompt_tokens_details.image_tokens")},
	{schemas.InputAudioTokens, litellmDetail("prompt_tokens_details.audio_tokens")},
	{schemas.OutputImageTokens, litellmDetail("completion_tokens_details.image_tokens")},
	{schemas.OutputAudioTokens, litellmDetail("completion_tokens_details.audio_tokens")},
	{schemas.ReasoningTokens, litellmDetail("completion_tokens_details.reasoning_tokens")},
}

// litellmDetail is the first of some members of the usage object, which stands
// at several places.
func litellmDetail(members ...string) string {
	var text string
	for _, at := range []string{"metadata.usage_object.", "metadata.additional_usage_values.", "hidden_params.usage_object.", "response.usage."} {
		for _, m := range members {
			if text != "" {
				text += " | "
			}
			text += at + m
		}
	}
	return text
}
