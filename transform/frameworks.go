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
