package transform

import (
	"slices"

	"usagelake/schemas"
)

// frameworkEntries are what frameworks for agents write of their calls.
var frameworkEntries = []Entry{
	{
		Name: "smolagents.run", Doc: "smolagents: result of a run with its steps, which it sums up",
		At: []string{"", "result", "data"}, Container: true, When: []string{"steps[].token_usage", "timing", "state"},
		Basis: inclusive, Parts: []Part{{Path: "steps[]", Entry: "smolagents.step", Inherit: langchainInherit}},
	},
	{
		Name: "smolagents.step", Doc: "smolagents: step of a run, which is one call",
		At: []string{"", "data"}, Usage: "token_usage",
		When: []string{"token_usage.input_tokens", "token_usage.output_tokens", "timing", "step_number | plan"},
		Columns: []Rule{
			{schemas.EventTime, "timing.end_time | timing.start_time"},
			{schemas.RequestID, "model_output_message.raw.id"},
			{schemas.Model, "model_output_message.raw.model"},
			{schemas.DurationMs, "timing.duration:e3"},
			{schemas.InputTokens, "token_usage.input_tokens"},
			{schemas.OutputTokens, "token_usage.output_tokens"},
			{schemas.TotalTokens, "token_usage.total_tokens"},
		},
		Basis: inclusive, Operation: "chat", Key: modelKey,
	},
	{
		Name: "haystack.message", Doc: "Haystack: message of a model, with counts under OpenAI's names whoever it is of",
		At: []string{"", "data"}, Usage: "meta.usage",
		When: []string{"meta.usage.prompt_tokens", "meta.usage.completion_tokens", "role | _role", "content | _content"},
		Columns: append([]Rule{
			{schemas.RequestID, "meta.id"},
			{schemas.Model, "meta.model"},
		}, below("meta.usage", chatColumns)...),
		Basis: ambiguous, Operation: "chat",
	},
	{
		Name: "haystack.replies", Doc: "Haystack: what a generator returns",
		At: []string{"", "data", "result", "response"}, Container: true, When: []string{"replies[].meta.usage"},
		Basis: ambiguous, Parts: []Part{{Path: "replies[]", Entry: "haystack.message", Inherit: langchainInherit}},
	},
	{
		Name: "strands.run", Doc: "Strands: metrics of an agent with the cycles of its invocations, each of which is a call",
		At: []string{"", "metrics", "data", "result"}, Container: true,
		When:  []string{"accumulated_usage", "agent_invocations[].cycles[].usage"},
		Basis: ambiguous, Parts: []Part{{Path: "agent_invocations[].cycles[]", Entry: "strands.cycle", Inherit: langchainInherit}},
	},
	{
		Name: "strands.cycle", Doc: "Strands: what a cycle used; its provider decides whether the cache is in the input",
		At: []string{""}, Named: true, Own: true, When: []string{"usage.inputTokens", "usage.outputTokens"},
		Columns: []Rule{
			{schemas.RequestID, "event_loop_cycle_id"},
			{schemas.InputTokens, "usage.inputTokens"},
			{schemas.OutputTokens, "usage.outputTokens"},
			{schemas.TotalTokens, "usage.totalTokens"},
			{schemas.CacheReadTokens, "usage.cacheReadInputTokens"},
			{schemas.CacheWriteTokens, "usage.cacheWriteInputTokens"},
		},
		Basis: ambiguous, Operation: "chat",
	},
	{
		Name: "dotnet.chat", Doc: "Semantic Kernel's message of .NET with OpenAI's usage in its metadata",
		At: []string{"", "data"}, Usage: "Metadata.Usage",
		When: []string{"Metadata.Usage.InputTokenCount", "Metadata.Usage.OutputTokenCount"},
		Columns: []Rule{
			{schemas.EventTime, "Metadata.CreatedAt"},
			{schemas.RequestID, "Metadata.Id | Metadata.CompletionId"},
			{schemas.Model, "ModelId"},
			{schemas.InputTokens, "Metadata.Usage.InputTokenCount"},
			{schemas.OutputTokens, "Metadata.Usage.OutputTokenCount"},
			{schemas.TotalTokens, "Metadata.Usage.TotalTokenCount"},
			{schemas.CacheReadTokens, "Metadata.Usage.InputTokenDetails.CachedTokenCount"},
			{schemas.InputAudioTokens, "Metadata.Usage.InputTokenDetails.AudioTokenCount"},
			{schemas.OutputAudioTokens, "Metadata.Usage.OutputTokenDetails.AudioTokenCount"},
			{schemas.ReasoningTokens, "Metadata.Usage.OutputTokenDetails.ReasoningTokenCount"},
			{schemas.AcceptedPredictionTokens, "Metadata.Usage.OutputTokenDetails.AcceptedPredictionTokenCount"},
			{schemas.RejectedPredictionTokens, "Metadata.Usage.OutputTokenDetails.RejectedPredictionTokenCount"},
		},
		Basis: inclusive, Operation: "chat",
	},
	{
		// results of runs repeat messages; those of versions that give them no id are not told apart
		Name: "autogen.message", Doc: "AutoGen: message with the usage of the call that made it",
		At: []string{""}, Usage: "models_usage",
		When: []string{"models_usage.prompt_tokens", "models_usage.completion_tokens", "id", "source", "type"},
		Columns: []Rule{
			{schemas.InputTokens, "models_usage.prompt_tokens"},
			{schemas.OutputTokens, "models_usage.completion_tokens"},
		},
		Basis: ambiguous, Operation: "chat",
	},
	{
		Name: "autogen.run", Doc: "AutoGen: result of a run with its messages",
		At: []string{"", "result"}, Container: true, When: []string{"messages[].models_usage", "stop_reason"}, Basis: ambiguous,
		Parts: []Part{{Path: "messages[]", Entry: "autogen.message", Inherit: langchainInherit}},
	},
	lobechatMessage("message of LobeChat: cache and reasoning in the totals", "usage", "usage"),
	lobechatMessage("the same as it is kept", "metadata.usage", "metadata.usage"),
	lobechatMessage("the same of versions that keep its counts beside the rest", "metadata", "none"),
	datadogSpans("what a tracer sends of Datadog's LLM Observability", "spans[]", ""),
	datadogSpans("request of Datadog's API for LLM Observability", "data.attributes.spans[]", "data.attributes."),
	{
		Name: "datadog.spans", Doc: "page of spans of Datadog's LLM Observability",
		At: []string{""}, Own: true, Container: true, When: []string{"data[].attributes.span_kind"}, Basis: inclusive,
		Parts: []Part{{Path: "data[].attributes", Entry: "datadog.span", Zero: true}},
	},
	datadogSpan(""),
	datadogSpan("attributes."),
	{
		Name: "openai.span", Doc: "OpenAI Agents SDK: exported span of a task or a turn, which sums up those below it",
		At: []string{""}, When: []string{"span_data.usage", "trace_id", "span_data.turn | span_data.name"}, Ignore: true, Basis: inclusive,
	},
	{
		Name: "openai.span", Doc: "OpenAI Agents SDK: exported span of a call",
		At: []string{""}, Own: true, Usage: "span_data.usage",
		When: []string{"span_data.usage.input_tokens", "span_data.usage.output_tokens", "trace_id", "span_data.model | span_data.response_id"},
		Columns: append([]Rule{
			{schemas.EventTime, "started_at"},
			{schemas.RequestID, "span_data.response_id | id"},
			{schemas.Model, "span_data.model"},
			{schemas.SessionID, "group_id"},
		}, slices.DeleteFunc(below("span_data.usage", responsesColumns), func(r Rule) bool { return r.Col == schemas.EventTime })...),
		Basis: inclusive, Operation: "responses", Key: modelKey,
	},
}

// lobechatMessage is one call: what tools gave is answered in another message. The text in its
// input is all of that.
func lobechatMessage(doc, usage, object string) Entry {
	return Entry{
		Name: "lobechat.message", Doc: doc,
		At: []string{"", "data"}, Usage: object,
		When: []string{usage + ".total_input_tokens", usage + ".total_output_tokens", "role", "model | provider | ^model"},
		Columns: []Rule{
			{schemas.EventTime, "created_at"},
			{schemas.InputTokens, usage + ".total_input_tokens"},
			{schemas.OutputTokens, usage + ".total_output_tokens"},
			{schemas.TotalTokens, usage + ".total_tokens"},
			{schemas.CacheReadTokens, usage + ".input_cached_tokens"},
			{schemas.CacheWriteTokens, usage + ".input_write_cache_tokens"},
			{schemas.InputImageTokens, usage + ".input_image_tokens"},
			{schemas.InputAudioTokens, usage + ".input_audio_tokens"},
			{schemas.OutputImageTokens, usage + ".output_image_tokens"},
			{schemas.OutputAudioTokens, usage + ".output_audio_tokens"},
			{schemas.ReasoningTokens, usage + ".output_reasoning_tokens"},
			{schemas.AcceptedPredictionTokens, usage + ".accepted_prediction_tokens"},
			{schemas.RejectedPredictionTokens, usage + ".rejected_prediction_tokens"},
			{schemas.ReportedCostUSD, usage + ".cost"},
		},
		Basis: inclusive, Operation: "chat",
		Keep: []string{
			usage + ".input_cache_miss_tokens", usage + ".input_citation_tokens", usage + ".input_text_tokens", usage + ".output_text_tokens",
		},
	}
}

// datadogSpans are spans at a path, with what they have in common below another.
func datadogSpans(doc, spans, common string) Entry {
	return Entry{
		Name: "datadog.spans", Doc: doc,
		At: []string{""}, Own: true, Container: true, When: []string{spans + ".start_ns", spans + ".meta"}, Basis: inclusive,
		Columns: []Rule{
			{schemas.ProjectID, common + "ml_app"},
			{schemas.SessionID, common + "session_id"},
		},
		Parts: []Part{{Path: spans, Entry: "datadog.span", Inherit: []schemas.Col{schemas.ProjectID, schemas.SessionID}, Zero: true}},
	}
}

// datadogSpan is a span of a call, with its members below a path. Those of other kinds sum up
// the calls below them. The tracer adds the cache to the input of those that count it apart.
func datadogSpan(at string) Entry {
	const others = "=agent|workflow|task|tool|retrieval|step|experiment"
	return Entry{
		Name: "datadog.span", Doc: "span of a call of Datadog's LLM Observability: cache in the input",
		At: []string{""}, Own: true, Usage: at + "metrics",
		When: []string{
			at + "metrics.input_tokens | " + at + "metrics.output_tokens", at + "start_ns", at + "span_id",
			at + `span_kind | ` + at + `meta.span.kind | ` + at + `meta."span.kind" | ` + at + `meta.kind`,
		},
		Unless: []string{at + "span_kind" + others, at + "meta.span.kind" + others, at + `meta."span.kind"` + others, at + "meta.kind" + others},
		Columns: []Rule{
			{schemas.EventTime, at + "start_ns"},
			{schemas.RequestID, at + "span_id"},
			{schemas.TransportID, at + "trace_id"},
			{schemas.Operation, at + "span_kind:except=llm | " + at + "meta.span.kind:except=llm | " + at + `meta."span.kind":except=llm | ` + at + "meta.kind:except=llm"},
			{schemas.Provider, at + "model_provider:except=unknown,custom | " + at + "meta.model_provider:except=unknown,custom | " + at + "meta.metadata.model_provider"},
			{schemas.Model, at + "model_name:except=unknown,custom | " + at + "meta.model_name:except=unknown,custom | " + at + "meta.metadata.model_name"},
			{schemas.ErrorCode, at + "meta.error.type | " + at + `meta."error.type" | ` + at + "status:except=ok"},
			{schemas.ProjectID, at + "ml_app"},
			{schemas.SessionID, at + "session_id"},
			{schemas.Tags, at + "tags"},
			{schemas.InputTokens, at + "metrics.input_tokens"},
			{schemas.OutputTokens, at + "metrics.output_tokens"},
			{schemas.TotalTokens, at + "metrics.total_tokens"},
			{schemas.CacheReadTokens, at + "metrics.cache_read_input_tokens"},
			{schemas.CacheWriteTokens, at + "metrics.cache_write_input_tokens"},
			{schemas.CacheWrite1hTokens, at + "metrics.ephemeral_1h_input_tokens"},
			{schemas.ReasoningTokens, at + "metrics.reasoning_output_tokens"},
			{schemas.ReportedCostUSD, at + "metrics.total_cost"},
			{schemas.DurationMs, at + "duration:e-6"},
			{schemas.TimeToFirstTokenMs, at + "metrics.time_to_first_token:e3"},
		},
		Basis: inclusive, Operation: "chat",
	}
}
