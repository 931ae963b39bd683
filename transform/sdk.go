package transform

import (
	"slices"
	"strings"

	"usagelake/schemas"
)

// sdkEntries are objects of the AI SDK and of LangChain in programs' own logs.
var sdkEntries = slices.Concat([]Entry{
	{
		Name: "aisdk.result", Doc: "AI SDK result of several steps, each of which is a call",
		At: []string{"", "result", "data"}, Container: true,
		When: []string{"steps[].usage", "usage | total_usage"}, Basis: ambiguous,
		Parts: []Part{{Path: "steps[]", Zero: true, Inherit: []schemas.Col{
			schemas.Model, schemas.Provider, schemas.UserID, schemas.SessionID, schemas.ProjectID, schemas.TeamID, schemas.APIKeyID,
		}}},
	},
}, aisdkSteps(), aisdkUsage("totalUsage")[:3], []Entry{aisdkAlike("totalUsage")}, aisdkUsage("usage"), []Entry{
	{
		Name: "langchain.message", Doc: "LangChain message: usage_metadata, and what the provider said again",
		At: []string{"", "message", "response", "result", "data"}, Usage: "usage_metadata",
		When: []string{"usage_metadata.input_tokens", "usage_metadata.output_tokens"},
		Columns: append([]Rule{
			{schemas.InputTokens, "usage_metadata.input_tokens"},
			{schemas.OutputTokens, "usage_metadata.output_tokens"},
			{schemas.TotalTokens, "usage_metadata.total_tokens"},
			{schemas.CacheReadTokens, "usage_metadata.input_token_details.cache_read"},
			{schemas.CacheWriteTokens, langchainWrites("usage_metadata.input_token_details.")},
			{schemas.CacheWrite1hTokens, "usage_metadata.input_token_details.ephemeral_1h_input_tokens"},
			{schemas.InputAudioTokens, "usage_metadata.input_token_details.audio"},
			{schemas.OutputAudioTokens, "usage_metadata.output_token_details.audio"},
			{schemas.ReasoningTokens, "usage_metadata.output_token_details.reasoning"},
		}, langchainEnvelope...),
		Basis: inclusive, Operation: "chat",
	},
	{
		Name: "langchain.message", Doc: "LangChain message with the provider's counts only",
		At: []string{"", "message", "response", "result", "data"}, Usage: "response_metadata.token_usage",
		When:    []string{"response_metadata.token_usage.prompt_tokens", "response_metadata.token_usage.completion_tokens"},
		Columns: append(langchainEnvelope, below("response_metadata.token_usage", chatColumns)...),
		Basis:   inclusive, Operation: "chat",
	},
	{
		Name: "langchain.message", Doc: "LangChain message of JavaScript with the provider's counts only",
		At: []string{"", "message", "response", "result", "data"}, Usage: "response_metadata.tokenUsage",
		When: []string{"response_metadata.tokenUsage.promptTokens", "response_metadata.tokenUsage.completionTokens"},
		Columns: append([]Rule{
			{schemas.InputTokens, "response_metadata.tokenUsage.promptTokens"},
			{schemas.OutputTokens, "response_metadata.tokenUsage.completionTokens"},
			{schemas.TotalTokens, "response_metadata.tokenUsage.totalTokens"},
		}, langchainEnvelope...),
		Basis: inclusive, Operation: "chat",
	},
	{
		Name: "langchain.message", Doc: "LangChain object as its serializer writes it",
		At: []string{"", "message", "response", "result", "data"}, Container: true,
		When: []string{"kwargs.usage_metadata | kwargs.response_metadata", "lc"}, Basis: inclusive,
		Parts: []Part{{Path: "kwargs", Inherit: langchainInherit}},
	},
	{
		Name: "langchain.result", Doc: "LangChain result of an LLM: counts over its generations",
		At: []string{"", "response", "result", "data"}, Usage: "llm_output.token_usage",
		When: []string{"llm_output.token_usage.prompt_tokens", "llm_output.token_usage.completion_tokens"},
		Columns: append([]Rule{
			{schemas.RequestID, "llm_output.id"},
			{schemas.Model, "llm_output.model_name | llm_output.model"},
		}, below("llm_output.token_usage", chatColumns)...),
		Basis: inclusive, Operation: "chat",
	},
	{
		Name: "langchain.result", Doc: "LangChain result of an LLM whose messages have the counts",
		At: []string{"", "response", "result", "data"}, Container: true,
		When: []string{"generations[][].message"}, Basis: inclusive,
		Parts: []Part{{Path: "generations[][].message", Inherit: langchainInherit}},
	},
	{
		Name: "langchain.usage", Doc: "LangChain's token usage in a line of its own",
		At: []string{"", "response", "result", "data"}, Usage: "token_usage",
		When: []string{"token_usage.prompt_tokens", "token_usage.completion_tokens"},
		Columns: append([]Rule{
			{schemas.Model, "model_name"},
		}, below("token_usage", chatColumns)...),
		Basis: inclusive, Operation: "chat",
	},
})

// llamaEntries are answers of LlamaIndex, which has what the provider said as it was. Counts in
// additional_kwargs are of that.
var llamaEntries = []Entry{
	{
		Name: "llamaindex.response", Doc: "LlamaIndex response with the provider's own",
		At: []string{"", "response", "data"}, Container: true,
		When:  []string{"raw.usage | raw.usage_metadata", "additional_kwargs | delta | logprobs | current_agent_name"},
		Basis: inclusive, Parts: []Part{{Path: "raw", Inherit: langchainInherit}},
	},
}

// springEntries are answers of Spring AI: counts as it has them for all providers, with the
// provider's own below nativeUsage. Its total leaves Anthropic's cache out.
var springEntries = []Entry{
	springAnswer("Spring AI's answer of Anthropic: input without the cache",
		"metadata.usage.nativeUsage.cache_read_input_tokens | metadata.usage.nativeUsage.cache_creation_input_tokens", exclusive, []Rule{
			{
				schemas.InputTokens, "metadata.usage.promptTokens + metadata.usage.nativeUsage.cache_read_input_tokens + " +
					"metadata.usage.nativeUsage.cache_creation_input_tokens",
			},
			{schemas.CacheReadTokens, "metadata.usage.nativeUsage.cache_read_input_tokens"},
			{schemas.CacheWriteTokens, "metadata.usage.nativeUsage.cache_creation_input_tokens"},
		}),
	springAnswer("Spring AI's answer", "metadata.usage.completionTokens | metadata.usage.generationTokens", ambiguous, []Rule{
		{schemas.InputTokens, "metadata.usage.promptTokens"},
		{schemas.TotalTokens, "metadata.usage.totalTokens"},
		{schemas.CacheReadTokens, "metadata.usage.cacheReadInputTokens | metadata.usage.nativeUsage.prompt_tokens_details.cached_tokens"},
		{schemas.CacheWriteTokens, "metadata.usage.cacheWriteInputTokens"},
		{schemas.InputAudioTokens, "metadata.usage.nativeUsage.prompt_tokens_details.audio_tokens"},
		{schemas.OutputAudioTokens, "metadata.usage.nativeUsage.completion_tokens_details.audio_tokens"},
		{
			schemas.ReasoningTokens, "metadata.usage.nativeUsage.completion_tokens_details.reasoning_tokens | " +
				"metadata.usage.nativeUsage.completion_token_details.reasoning_tokens",
		},
	}),
}

func springAnswer(doc, when, basis string, counts []Rule) Entry {
	return Entry{
		Name: "spring.answer", Doc: doc,
		At: []string{"", "response", "result", "data", "body"}, Usage: "metadata.usage",
		When: []string{"metadata.usage.promptTokens", "metadata.usage.totalTokens", when},
		Columns: slices.Concat(counts, []Rule{
			{schemas.RequestID, "metadata.id"},
			{schemas.Model, "metadata.model"},
			{schemas.OutputTokens, "metadata.usage.completionTokens | metadata.usage.generationTokens"},
		}),
		Basis: basis, Operation: "chat",
	}
}

// countEntries are objects of SDKs whose counts are called so: inputTokenCount.
var countEntries = []Entry{
	{
		Name: "dotnet.chat", Doc: "Microsoft.Extensions.AI response: cache and reasoning in the totals",
		At:   []string{"", "response", "result", "body"},
		When: []string{"usage.inputTokenCount | usage.outputTokenCount", "responseId | modelId | usage.cachedInputTokenCount | usage.reasoningTokenCount"},
		Columns: append([]Rule{
			{schemas.RequestID, "responseId"},
			{schemas.Model, "modelId"},
		}, countColumns...),
		Basis: inclusive, Operation: "chat", NoBare: true,
	},
	{
		Name: "langchain4j.usage", Doc: "LangChain4j: token usage of a response, or in its metadata",
		At: []string{"metadata", "", "response", "result"}, Usage: "tokenUsage",
		When: []string{"tokenUsage.inputTokenCount | tokenUsage.outputTokenCount"},
		Columns: append([]Rule{
			{schemas.Model, "modelName"},
		}, below("tokenUsage", countColumns)...),
		Basis: ambiguous, Operation: "chat", NoBare: true,
	},
	{
		Name: "databricks.usage", Doc: "Databricks' table of what serving endpoints were asked",
		At: []string{""}, Own: true, Usage: "none",
		When: []string{"input_token_count | output_token_count", "databricks_request_id", "request_time"},
		Columns: []Rule{
			{schemas.EventTime, "request_time"},
			{schemas.RequestID, "databricks_request_id"},
			{schemas.TransportID, "client_request_id"},
			{schemas.Model, "served_entity_id"},
			{schemas.ProjectID, "workspace_id"},
			{schemas.UserID, "requester"},
			{schemas.ErrorCode, "status_code:except=200"},
			{schemas.InputTokens, "input_token_count"},
			{schemas.OutputTokens, "output_token_count"},
		},
		Basis: inclusive,
	},
}

var countColumns = []Rule{
	{schemas.EventTime, "created_at"},
	{schemas.InputTokens, "usage.inputTokenCount"},
	{schemas.OutputTokens, "usage.outputTokenCount"},
	{schemas.TotalTokens, "usage.totalTokenCount"},
	{schemas.CacheReadTokens, "usage.cachedInputTokenCount | usage.inputTokensDetails.cachedTokens | usage.cacheReadInputTokens"},
	{schemas.CacheWriteTokens, "usage.cacheCreationInputTokens"},
	{schemas.ReasoningTokens, "usage.reasoningTokenCount | usage.outputTokensDetails.reasoningTokens"},
}

// sdkRest are tried after all others: usage objects of the AI SDK that say nothing but
// the totals, and messages that a record can have beside a call of its own.
var sdkRest = []Entry{
	aisdkAlike("usage"),
	{
		Name: "aisdk.embedding", Doc: "AI SDK embeddings",
		NoBare: true, When: []string{"usage.tokens", "embedding | embeddings"},
		Columns: append([]Rule{{schemas.InputTokens, "usage.tokens"}}, aisdkEnvelope...),
		Basis:   inclusive, Operation: "embeddings",
	},
	{
		// each state repeats the messages of those before it: their ids tell
		Name: "langchain.messages", Doc: "LangChain messages in a list: a history, or a state, checkpoint or task of LangGraph",
		At: []string{"", "response", "result", "data"}, Container: true, Wraps: true, History: true,
		When:    []string{messagesIn(messagePlaces), "!run_type"}, // LangSmith's runs say again what those below them say
		Columns: []Rule{{schemas.SessionID, "checkpoint.thread_id | config.configurable.thread_id | metadata.thread_id"}},
		Basis:   inclusive, Parts: messageParts(messagePlaces),
	},
	{
		Name: "langchain.event", Doc: "event of LangChain's astream_events: what came out at an end",
		At: []string{""}, Container: true,
		When:    []string{"event", "run_id", "parent_ids | tags", "data.input | data.output | data.chunk"},
		Columns: []Rule{{schemas.SessionID, "metadata.thread_id"}},
		Basis:   inclusive, Parts: []Part{{Path: "data.output", Inherit: langchainInherit}},
	},
}

// messagePlaces are where histories and states have their messages.
var messagePlaces = []string{
	"messages[]", "values.messages[]", "channel_values.messages[]", "checkpoint.channel_values.messages[]", "result[][][]",
	"payload.values.messages[]", "payload.input.messages[]", "payload.result[][][]",
}

// messagesIn is a condition: in one of the places stands a message of LangChain, plain,
// as messages_to_dict makes it, or serialized.
func messagesIn(places []string) string {
	var all []string
	for _, p := range places {
		for _, within := range []string{"", ".data", ".kwargs"} {
			all = append(all, p+within+".response_metadata")
		}
	}
	return strings.Join(all, " | ")
}

func messageParts(places []string) (parts []Part) {
	for _, p := range places {
		parts = append(parts, Part{Path: p, Inherit: langchainInherit})
	}
	return parts
}

var aisdkEnvelope = []Rule{
	{schemas.EventTime, "response.timestamp"},
	{schemas.RequestID, "response.id"},
	{schemas.Model, "response.model_id | model.model_id | model_id"},
	{schemas.Provider, "model.provider"},
}

// aisdkUsage is what the AI SDK's results have below usage. What of it is in the
// totals depends on the provider up to version 5.
func aisdkUsage(usage string) []Entry {
	at := usage + "."
	return []Entry{
		aisdkEntry(usage, "AI SDK from 6, a provider's usage: totals, parts, and the raw usage",
			[]string{at + "inputTokens.total | " + at + "outputTokens.total", at + "inputTokens | " + at + "raw"}, []Rule{
				{schemas.InputTokens, at + "inputTokens.total"},
				{schemas.OutputTokens, at + "outputTokens.total"},
				{schemas.CacheReadTokens, at + "inputTokens.cacheRead"},
				{schemas.CacheWriteTokens, at + "inputTokens.cacheWrite"},
				{schemas.ReasoningTokens, at + "outputTokens.reasoning"},
			}, inclusive),
		aisdkEntry(usage, "AI SDK from 6: totals, parts, and the raw usage",
			[]string{at + "inputTokens", at + "outputTokens", at + "inputTokenDetails | " + at + "outputTokenDetails", "!stopReason"}, []Rule{
				{schemas.InputTokens, at + "inputTokens"},
				{schemas.OutputTokens, at + "outputTokens"},
				{schemas.TotalTokens, at + "totalTokens"},
				{schemas.CacheReadTokens, at + "inputTokenDetails.cacheReadTokens"},
				{schemas.CacheWriteTokens, at + "inputTokenDetails.cacheWriteTokens"},
				{schemas.ReasoningTokens, at + "outputTokenDetails.reasoningTokens"},
			}, inclusive),
		aisdkEntry(usage, "AI SDK 5 with Anthropic: input without the cache",
			[]string{at + "inputTokens", at + "outputTokens", "providerMetadata.anthropic"}, []Rule{
				{schemas.InputTokens, at + "inputTokens + " + at + "cachedInputTokens + providerMetadata.anthropic.cacheCreationInputTokens"},
				{schemas.OutputTokens, at + "outputTokens"},
				{schemas.CacheReadTokens, at + "cachedInputTokens"},
				{schemas.CacheWriteTokens, "providerMetadata.anthropic.cacheCreationInputTokens"},
				{schemas.ReasoningTokens, at + "reasoningTokens"},
			}, exclusive),
		aisdkEntry(usage, "AI SDK 5: the provider decides whether the cache is in the input",
			[]string{at + "inputTokens", at + "outputTokens", at + "cachedInputTokens | " + at + "reasoningTokens"}, []Rule{
				{schemas.InputTokens, at + "inputTokens"},
				{schemas.OutputTokens, at + "outputTokens"},
				{schemas.TotalTokens, at + "totalTokens"},
				{schemas.CacheReadTokens, at + "cachedInputTokens"},
				{schemas.ReasoningTokens, at + "reasoningTokens"},
			}, ambiguous),
	}
}

// aisdkSteps are the parts with usage of a stream of several steps: one at the end of each,
// and one at the end of all, which sums them up.
func aisdkSteps() (parts []Entry) {
	for _, e := range append(aisdkUsage("usage")[1:3], aisdkAlike("usage")) {
		e.Doc, e.Remember = "end of a step of a stream: "+e.Doc, []schemas.Col{schemas.Operation}
		e.When = append(e.When, "type", "finishReason", "response")
		parts = append(parts, e)
	}
	for _, e := range []Entry{aisdkUsage("totalUsage")[1], aisdkAlike("totalUsage")} {
		e.Doc, e.Sums = "end of a stream, a call where no step is before: "+e.Doc, schemas.Operation
		e.When = append(e.When, "type", "finishReason", "!usage", "!response", "!steps")
		parts = append(parts, e)
	}
	for i := range parts {
		parts[i].At = []string{"", "data"}
	}
	return parts
}

// aisdkAlike is a usage object that does not tell what wrote it. Sums are alike: ccusage's of
// a day say which models they are of, others how many requests.
func aisdkAlike(usage string) Entry {
	return aisdkEntry(usage, "AI SDK 5 and later, or alike", []string{usage + ".inputTokens", usage + ".outputTokens", "!modelsUsed", "!requests", "!requestCount"},
		below(usage, anyColumns), ambiguous)
}

func aisdkEntry(usage, doc string, when []string, columns []Rule, basis string) Entry {
	at := []string{"response.body", "modelOutput", "response", "body", "result", "metadata", ""}
	if usage == "usage" {
		at = append(at, "bare")
	}
	return Entry{
		Name: "aisdk.usage", Doc: doc, Usage: usage,
		At: at, When: when, Columns: append(columns, aisdkEnvelope...), Basis: basis, Operation: "chat",
	}
}

var langchainEnvelope = []Rule{
	{schemas.EventTime, "response_metadata.created | response_metadata.created_at"},
	{schemas.RequestID, "response_metadata.id | id"},
	{schemas.Provider, "response_metadata.model_provider"},
	{schemas.Model, "response_metadata.model_name | response_metadata.model"},
	{schemas.ServiceTier, "response_metadata.service_tier"},
}

// langchainWrites are the cache writes among the details of the input: where they are
// told apart by how long they live, cache_creation is 0.
func langchainWrites(at string) string {
	return at + "cache_creation + " + at + "ephemeral_5m_input_tokens + " + at + "ephemeral_1h_input_tokens"
}

var langchainInherit = []schemas.Col{
	schemas.TransportID, schemas.Provider, schemas.Model, schemas.UserID, schemas.SessionID, schemas.ProjectID, schemas.TeamID, schemas.APIKeyID,
}

// below are rules about usage for a usage object of another name.
func below(usage string, rules []Rule) []Rule {
	out := slices.Clone(rules)
	for i := range out {
		out[i].From = strings.ReplaceAll(out[i].From, "usage.", usage+".")
	}
	return out
}
