package transform

import (
	"slices"

	"usagelake/schemas"
)

// Bedrock counts cache reads and writes apart from the input; its total has all.
// Some answers spell them with Count, some both ways.
var converseColumns = []Rule{
	{schemas.InputTokens, "usage.inputTokens + usage.cacheReadInputTokens/usage.cacheReadInputTokenCount + " +
		"usage.cacheWriteInputTokens/usage.cacheWriteInputTokenCount"},
	{schemas.OutputTokens, "usage.outputTokens"},
	{schemas.TotalTokens, "usage.totalTokens"},
	{schemas.CacheReadTokens, "usage.cacheReadInputTokens/usage.cacheReadInputTokenCount"},
	{schemas.CacheWriteTokens, "usage.cacheWriteInputTokens/usage.cacheWriteInputTokenCount"},
	{schemas.CacheWrite1hTokens, "usage.cacheDetails[ttl=1h].inputTokens"},
	{schemas.DurationMs, "metrics.latencyMs"},
}

// invocationColumns are what a line of the model invocation log says around the
// bodies.
var invocationColumns = []Rule{
	{schemas.EventTime, "^timestamp"},
	{schemas.RequestID, "^requestId"},
	{schemas.Provider, "'aws_bedrock'"},
	{schemas.Model, "^modelId"},
	{schemas.Operation, "^operation"},
	{schemas.Region, "^inferenceRegion | ^region"},
	{schemas.UserID, "^identity.arn"},
	{schemas.ProjectID, "^accountId"},
	{schemas.Tags, "^requestMetadata"},
	{schemas.ErrorCode, "^errorCode"},
	{schemas.DurationMs, "^output.outputBodyJson.metrics.latencyMs"},
}

var bedrockEntries = []Entry{
	{
		Name: "bedrock.invocation", Doc: "Bedrock model invocation log",
		At:   []string{""},
		When: []string{"schemaType", "input.inputTokenCount | output.outputTokenCount"},
		Columns: append([]Rule{
			{schemas.InputTokens, "input.inputTokenCount + input.cacheReadInputTokenCount + input.cacheWriteInputTokenCount"},
			{schemas.OutputTokens, "output.outputTokenCount"},
			{schemas.CacheReadTokens, "input.cacheReadInputTokenCount"},
			{schemas.CacheWriteTokens, "input.cacheWriteInputTokenCount"},
			{schemas.CacheWrite1hTokens, "output.outputBodyJson.usage.cache_creation.ephemeral_1h_input_tokens | " +
				"output.outputBodyJson.usage.cacheDetails[ttl=1h].inputTokens | " +
				"output.outputBodyJson[].message.usage.cache_creation.ephemeral_1h_input_tokens"}, // only the bodies say it
		}, invocationColumns...),
		Basis: "exclusive", Key: modelKey, Own: true,
	},
	{
		Name: "bedrock.invocation", Doc: "Bedrock model invocation log without counters of its own: those of the body",
		At:   []string{"output.outputBodyJson"},
		When: []string{"^schemaType", "usage.input_tokens", "usage.output_tokens"},
		Columns: slices.Concat(invocationColumns, []Rule{
			{schemas.InputTokens, "usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens/usage.cacheWriteInputTokens"},
			{schemas.OutputTokens, "usage.output_tokens"},
			{schemas.TotalTokens, "usage.total_tokens"},
			{schemas.CacheReadTokens, "usage.cache_read_input_tokens"},
			{schemas.CacheWriteTokens, "usage.cache_creation_input_tokens/usage.cacheWriteInputTokens"},
			{schemas.CacheWrite1hTokens, "usage.cache_creation.ephemeral_1h_input_tokens"},
		}),
		Basis: "exclusive", Key: modelKey, Own: true,
	},
	{
		Name: "bedrock.converse", Doc: "Bedrock Converse and Nova answers",
		At: []string{"", "response.body", "modelOutput", "response", "body", "data"},
		When: []string{
			"usage.inputTokens", "usage.outputTokens", "!usage.cacheCreationInputTokens",
			"stopReason | metrics.latencyMs | usage.cacheReadInputTokens/usage.cacheReadInputTokenCount | " +
				"usage.cacheWriteInputTokens/usage.cacheWriteInputTokenCount | usage.serverToolUsage",
		},
		Columns: converseColumns, Basis: "exclusive", Operation: "chat", Key: bodyKey, Payload: "output",
	},
	{
		Name: "bedrock.converse", Doc: "Bedrock Converse stream event with usage",
		At:      []string{"metadata"},
		When:    []string{"usage.inputTokens", "usage.outputTokens", "metrics | usage.totalTokens"},
		Columns: converseColumns, Basis: "exclusive", Operation: "chat", Key: bodyKey,
	},
	{
		Name: "bedrock.stream", Doc: "end of a streamed Messages answer, which said the same before",
		At: []string{""}, When: []string{`"amazon-bedrock-invocationMetrics"`, "type"}, Ignore: true, Basis: "exclusive", Key: bodyKey,
	},
	{
		Name: "bedrock.stream", Doc: "last chunk of a streamed answer: counts of all of it",
		At: []string{""}, When: []string{`"amazon-bedrock-invocationMetrics".inputTokenCount`},
		Columns: []Rule{
			{schemas.InputTokens, `"amazon-bedrock-invocationMetrics".inputTokenCount + "amazon-bedrock-invocationMetrics".cacheReadInputTokenCount + ` +
				`"amazon-bedrock-invocationMetrics".cacheWriteInputTokenCount`},
			{schemas.OutputTokens, `"amazon-bedrock-invocationMetrics".outputTokenCount`},
			{schemas.CacheReadTokens, `"amazon-bedrock-invocationMetrics".cacheReadInputTokenCount`},
			{schemas.CacheWriteTokens, `"amazon-bedrock-invocationMetrics".cacheWriteInputTokenCount`},
			{schemas.DurationMs, `"amazon-bedrock-invocationMetrics".invocationLatency`},
			{schemas.TimeToFirstTokenMs, `"amazon-bedrock-invocationMetrics".firstByteLatency`},
		},
		Basis: "exclusive", Operation: "chat", Key: bodyKey,
	},
	{
		Name: "bedrock.titan", Doc: "Amazon Titan embeddings",
		NoBare:  true,
		When:    []string{"inputTextTokenCount", "embedding | embeddingsByType"},
		Columns: []Rule{{schemas.InputTokens, "inputTextTokenCount"}},
		Basis:   "inclusive", Operation: "embeddings", Key: bodyKey,
	},
	{
		Name: "bedrock.titan", Doc: "Amazon Titan text",
		NoBare: true,
		When:   []string{"inputTextTokenCount", "results[].tokenCount"},
		Columns: []Rule{
			{schemas.InputTokens, "inputTextTokenCount"},
			{schemas.OutputTokens, "results[].tokenCount"},
		},
		Basis: "inclusive", Operation: "text_completion", Key: bodyKey, Payload: "results",
	},
	{
		Name: "bedrock.llama", Doc: "Meta Llama on Bedrock",
		NoBare: true,
		When:   []string{"prompt_token_count", "generation_token_count", "stop_reason"},
		Columns: []Rule{
			{schemas.InputTokens, "prompt_token_count"},
			{schemas.OutputTokens, "generation_token_count"},
		},
		Basis: "inclusive", Operation: "text_completion", Key: bodyKey, Payload: "generation",
	},
	{
		Name: "bedrock.llama", Doc: "chunk of a streamed answer of Llama: the count so far",
		NoBare: true, When: []string{"generation_token_count", "generation", "!stop_reason"}, Ignore: true, Basis: "inclusive", Key: bodyKey,
	},
}
