package transform

import (
	"slices"

	"usagelake/schemas"
)

// weaveEntries are calls of Weave. What calls below it used is summed up in the summary of
// a call. Only one that has none below it and returned usage has its own there, and what it
// returned says it in the provider's words, unless the program hides that. A sum that the
// calls of its trace do not come to is told of: they were not exported.
var weaveEntries = []Entry{
	weaveCall("Weave call: what it returned, or its summary where that is hidden and is of no other call", "output", weaveOutput, weaveSummary),
	weaveCall("Weave call that returned nothing: its summary, where that is of no other call", "!output", weaveSummary),
	{
		Name: "weave.call", Doc: "Weave call: what it returned; its summary says that again, or sums up the calls below it",
		At: []string{""}, Own: true, Container: true, When: []string{"op_name", "trace_id", "started_at", "output | summary.usage"},
		Columns: weaveColumns, Basis: ambiguous, Parts: []Part{weaveOutput, weaveSummary}, Tally: schemas.TransportID,
	},
	{
		Name: "weave.usage", Doc: "usage in a Weave call's summary: cache in the prompt, Gemini's thoughts apart",
		At: []string{"bare"}, Named: true, Own: true,
		When: []string{"usage.requests", "usage.prompt_tokens", "usage.completion_tokens"},
		Columns: slices.Concat([]Rule{
			{schemas.OutputTokens, "usage.completion_tokens + usage.thoughts_tokens"},
			{schemas.CacheReadTokens, "usage.prompt_tokens_details.cached_tokens | usage.cache_read_input_tokens"},
			{schemas.CacheWriteTokens, "usage.cache_creation_input_tokens"},
			{schemas.ReasoningTokens, "usage.completion_tokens_details.reasoning_tokens | usage.thoughts_tokens"},
		}, chatColumns),
		Basis: inclusive, Operation: "chat",
	},
	{
		Name: "weave.usage", Doc: "the same of the Responses API",
		At: []string{"bare"}, Named: true, Own: true,
		When:    []string{"usage.requests", "usage.input_tokens", "usage.output_tokens", "usage.total_tokens"},
		Columns: responsesColumns, Basis: inclusive, Operation: "responses",
	},
	{
		Name: "weave.usage", Doc: "the same of Anthropic: input without the cache",
		At: []string{"bare"}, Named: true, Own: true,
		When:    []string{"usage.requests", "usage.input_tokens", "usage.output_tokens", "!usage.total_tokens"},
		Columns: anthropicColumns, Basis: exclusive, Operation: "chat",
	},
}

// weaveCall is a call that did not fail. One that counts a single success has no other below it.
func weaveCall(doc, output string, parts ...Part) Entry {
	return Entry{
		Name: "weave.call", Doc: doc,
		At: []string{""}, Own: true, Container: true,
		When:    []string{"op_name", "trace_id", "started_at", output, "summary.usage", "summary.status_counts.success", "!exception"},
		Columns: weaveColumns, Basis: ambiguous, Calls: "summary.status_counts.success", Parts: parts, Tally: schemas.TransportID,
	}
}

var (
	weaveOutput  = Part{Path: "output", Inherit: weaveInherit}
	weaveSummary = Part{Path: "summary.usage.*", Entry: "weave.usage", Key: schemas.Model, Inherit: weaveInherit, Instead: true}
	weaveInherit = []schemas.Col{
		schemas.RequestID, schemas.TransportID, schemas.ProjectID, schemas.UserID, schemas.SessionID, schemas.DurationMs,
	}
	weaveColumns = []Rule{
		{schemas.EventTime, "started_at"},
		{schemas.RequestID, "id"},
		{schemas.TransportID, "trace_id"},
		{schemas.ProjectID, "project_id"},
		{schemas.UserID, "wb_user_id"},
		{schemas.SessionID, "thread_id"},
		{schemas.DurationMs, "summary.weave.latency_ms"},
	}
)
