package transform

import "usagelake/schemas"

// langsmithEntries are LangSmith's runs. A run has the sums of those below it, so
// only a run of a model is a call.
var langsmithEntries = []Entry{
	{
		Name: "langsmith.tree", Doc: "LangSmith run with the runs below it, which it sums up",
		At: []string{""}, Own: true, Container: true, Wraps: true, When: []string{"run_type", "child_runs[].run_type"},
		Columns: []Rule{{schemas.ProjectID, "session_name | session_id"}},
		Basis:   inclusive,
		Parts:   []Part{{Path: "child_runs[]", Inherit: []schemas.Col{schemas.ProjectID}, Zero: true}},
	},
	{
		Name: "langsmith.run", Doc: "LangSmith run: counts as in LangChain's usage_metadata",
		At: []string{""}, Own: true, Usage: "none",
		When:   []string{"run_type", "start_time", "prompt_tokens | completion_tokens | total_tokens"},
		Unless: []string{"run_type=chain|tool|retriever|prompt|parser|agent"},
		Columns: []Rule{
			{schemas.EventTime, "start_time:utc"},
			{schemas.RequestID, "id | run_id"},
			{schemas.TransportID, "trace_id"},
			{schemas.Operation, "run_type:except=llm"},
			{schemas.Provider, "extra.metadata.ls_provider"},
			{schemas.Model, "extra.metadata.ls_model_name | extra.invocation_params.model | extra.invocation_params.model_name"},
			{schemas.ErrorCode, "status:except=success,pending"},
			{schemas.ProjectID, "session_name | session_id"},
			{schemas.UserID, "extra.metadata.user_id"},
			{schemas.SessionID, "thread_id | extra.metadata.session_id | extra.metadata.thread_id | extra.metadata.conversation_id"},
			{schemas.Tags, "tags"},
			{schemas.InputTokens, "prompt_tokens"},
			{schemas.OutputTokens, "completion_tokens"},
			{schemas.TotalTokens, "total_tokens"},
			{schemas.CacheReadTokens, "prompt_token_details.cache_read"},
			{schemas.CacheWriteTokens, langchainWrites("prompt_token_details.")},
			{schemas.CacheWrite1hTokens, "prompt_token_details.ephemeral_1h_input_tokens"},
			{schemas.InputAudioTokens, "prompt_token_details.audio"},
			{schemas.OutputAudioTokens, "completion_token_details.audio"},
			{schemas.ReasoningTokens, "completion_token_details.reasoning"},
			{schemas.ReportedCostUSD, "total_cost"},
			{schemas.DurationMs, "latency_seconds:e3"},
		},
		Basis: inclusive, Operation: "chat",
	},
}
