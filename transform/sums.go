package transform

import "usagelake/schemas"

// sumEntries are usage objects that say of how many calls they are: SDKs sum up a run.
// A sum of one call is that call, others are set aside.
var sumEntries = []Entry{
	{
		Name: "openai.agents", Doc: "OpenAI Agents SDK: a run's usage, which sums up its requests",
		At: []string{"", "response", "result", "data"}, Container: true, When: []string{"usage.request_usage_entries[].input_tokens"},
		Basis: inclusive,
		Parts: []Part{{Path: "usage.request_usage_entries[]", Entry: "openai.request", ID: "#request", Inherit: runInherit}},
	},
	{
		Name: "openai.agents", Doc: "the same in a line of its own",
		At: []string{""}, Container: true, When: []string{"request_usage_entries[].input_tokens"},
		Basis: inclusive,
		Parts: []Part{{Path: "request_usage_entries[]", Entry: "openai.request", ID: "#request", Inherit: runInherit}},
	},
	{
		Name: "openai.request", Doc: "request of a run of the OpenAI Agents SDK",
		At: []string{"bare"}, Named: true, Own: true,
		When:    []string{"usage.input_tokens", "usage.output_tokens"},
		Columns: append([]Rule{{schemas.Model, "model_name"}}, responsesColumns...),
		Basis:   inclusive, Operation: "responses",
	},
	{
		Name: "openai.agents", Doc: "usage of a run without its requests",
		At:      sumsAt,
		When:    []string{"usage.requests", "usage.input_tokens", "usage.output_tokens", "!usage.cache_read_input_tokens"},
		Columns: append([]Rule{{schemas.CacheReadTokens, "usage.input_tokens_details.cached_tokens | usage.cache_read_tokens"}}, responsesColumns...),
		Basis:   inclusive, Operation: "responses", Calls: "usage.requests",
	},
	{
		Name: "langchain.usage", Doc: "CrewAI's usage of a crew",
		At: []string{"", "response", "result", "data"}, Usage: "token_usage",
		When: []string{"token_usage.prompt_tokens", "token_usage.completion_tokens", "token_usage.successful_requests"},
		Columns: append([]Rule{
			{schemas.CacheReadTokens, "token_usage.cached_prompt_tokens"},
		}, below("token_usage", chatColumns)...),
		Basis: inclusive, Operation: "chat", Calls: "token_usage.successful_requests",
	},
	{
		Name: "generic.usage", Doc: "counts that say of how many calls they are",
		At:   sumsAt,
		When: []string{callCounts, "usage.prompt_tokens | usage.input_tokens", "usage.completion_tokens | usage.output_tokens"},
		Columns: []Rule{
			{schemas.InputTokens, "usage.prompt_tokens | usage.input_tokens"},
			{schemas.OutputTokens, "usage.completion_tokens | usage.output_tokens"},
			{schemas.TotalTokens, "usage.total_tokens"},
			{
				schemas.CacheReadTokens, "usage.prompt_tokens_details.cached_tokens | usage.input_tokens_details.cached_tokens | " +
					"usage.cached_prompt_tokens | usage.prompt_tokens_cached | usage.cached_tokens",
			},
			{schemas.ReasoningTokens, "usage.completion_tokens_details.reasoning_tokens | usage.reasoning_tokens"},
			{schemas.ReportedCostUSD, "usage.total_cost"},
		},
		Basis: ambiguous, Key: modelKey, Calls: callCounts,
	},
}

const callCounts = "usage.successful_requests | usage.n_requests | usage.num_requests | usage.step_count | usage.llm_calls | " +
	"usage.num_calls | usage.calls | usage.call_count | usage.total_calls | usage.api_calls | usage.total_requests"

var (
	sumsAt     = []string{"", "response", "result", "data", "bare"}
	runInherit = []schemas.Col{
		schemas.RequestID, schemas.TransportID, schemas.Provider, schemas.Model, schemas.UserID, schemas.SessionID, schemas.ProjectID,
		schemas.TeamID, schemas.APIKeyID,
	}
)
