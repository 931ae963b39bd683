package transform

import (
	"slices"

	"usagelake/schemas"
)

// trialEntries are logs of agents and models that were put to the test.
var trialEntries = slices.Concat(promptfooEntries, []Entry{
	{
		Name: "openhands.run", Doc: "OpenHands run: its calls one by one; accumulated counts say them again",
		At: []string{""}, Own: true, Container: true, When: []string{"metrics.token_usages", "instance_id | history | metrics.costs"},
		Columns: []Rule{
			{schemas.EventTime, "timestamp | metrics.costs[].timestamp"},
			{schemas.SessionID, "instance_id"},
		},
		Basis: inclusive,
		Parts: []Part{{Path: "metrics.token_usages[]", Entry: "openhands.call", Inherit: []schemas.Col{schemas.SessionID}}},
	},
	{
		Name: "openhands.state", Doc: "state of an OpenHands conversation: its calls by what they were for",
		At: []string{""}, Own: true, Container: true, Wraps: true, When: []string{"stats.usage_to_metrics"},
		Columns: []Rule{{schemas.SessionID, "id"}},
		Basis:   inclusive,
		Parts:   []Part{{Path: "stats.usage_to_metrics.*", Entry: "openhands.metrics", Inherit: []schemas.Col{schemas.SessionID}}},
	},
	{
		Name: "openhands.metrics", Doc: "OpenHands: calls one by one, of the time of the first",
		At: []string{"bare"}, Named: true, Own: true, Container: true, When: []string{"usage.token_usages"},
		Columns: []Rule{{schemas.EventTime, "usage.costs[0].timestamp"}},
		Basis:   inclusive,
		Parts:   []Part{{Path: "token_usages[]", Entry: "openhands.call", Inherit: []schemas.Col{schemas.SessionID}}},
	},
	{
		Name: "openhands.run", Doc: "OpenHands run with accumulated counts only",
		At: []string{""}, When: []string{"metrics.accumulated_token_usage | llm_metrics.accumulated_token_usage", "!tool_call_metadata.model_response"},
		Ignore: true, Basis: inclusive,
	},
	{
		Name: "openhands.call", Doc: "a call of an OpenHands run",
		At: []string{"bare"}, Named: true, Own: true,
		When:    []string{"usage.prompt_tokens", "usage.completion_tokens"},
		Columns: openhandsColumns,
		Basis:   inclusive, Operation: "chat",
	},
	{
		Name: "openhands.call", Doc: "what OpenHands says of a call, on a line of somebody's",
		At:      []string{"", "bare"},
		When:    []string{"usage.prompt_tokens", "usage.completion_tokens", "usage.cache_read_tokens", "usage.response_id"},
		Columns: openhandsColumns,
		Basis:   inclusive, Operation: "chat", EnvelopeTime: true,
	},
	{
		Name: "openhands.event", Doc: "OpenHands event: the answer that it came from, which other events repeat",
		At: []string{""}, Own: true, Container: true, When: []string{"tool_call_metadata.model_response.usage"},
		Columns: []Rule{{schemas.EventTime, "timestamp"}},
		Basis:   inclusive, Parts: []Part{{Path: "tool_call_metadata.model_response"}},
	},
	{
		Name: "inspect.log", Doc: "Inspect AI log: its calls are the samples' model events",
		At: []string{""}, Own: true, Container: true, When: []string{"samples[].events[].output.usage", "eval | stats"},
		Columns: []Rule{{schemas.EventTime, "eval.created"}, {schemas.SessionID, "eval.run_id"}},
		Basis:   ambiguous,
		Parts:   []Part{{Path: "samples[].events[]", Entry: "inspect.event", Zero: true, Inherit: []schemas.Col{schemas.SessionID}}},
	},
	{
		Name: "inspect.log", Doc: "Inspect AI log of before 0.3.42: the samples' events are in their transcripts",
		At: []string{""}, Own: true, Container: true, When: []string{"samples[].transcript.events[].output.usage", "eval | stats"},
		Columns: []Rule{{schemas.EventTime, "eval.created"}, {schemas.SessionID, "eval.run_id"}},
		Basis:   ambiguous,
		Parts:   []Part{{Path: "samples[].transcript.events[]", Entry: "inspect.event", Zero: true, Inherit: []schemas.Col{schemas.SessionID}}},
	},
	{
		Name: "inspect.log", Doc: "Inspect AI sample with its events",
		At: []string{""}, Own: true, Container: true, When: []string{"events[].output.usage", "epoch | model_usage"},
		Basis: ambiguous,
		Parts: []Part{{Path: "events[]", Entry: "inspect.event", Zero: true}},
	},
	{
		Name: "inspect.summary", Doc: "Inspect AI: summary of a sample, whose events stand in its log",
		At: []string{""}, When: []string{"model_usage", "epoch", "target", "!messages", "!output", "!events"}, Ignore: true, Basis: ambiguous,
	},
	{
		Name: "inspect.event", Doc: "Inspect AI model event: vendors differ in whether the cache is in the input",
		At: []string{""}, Own: true, Usage: "output.usage",
		When: []string{"event", "output.usage.input_tokens", "output.usage.output_tokens"},
		Columns: []Rule{
			{schemas.EventTime, "timestamp"},
			{schemas.RequestID, "uuid"},
			{schemas.Model, "output.model | model"},
			{schemas.RequestModel, "model"},
			{schemas.CacheHit, "cache:except=write"},
			{schemas.ErrorCode, "error:except="},
			{schemas.InputTokens, "output.usage.input_tokens"},
			{schemas.OutputTokens, "output.usage.output_tokens"},
			{schemas.TotalTokens, "output.usage.total_tokens"},
			{schemas.CacheReadTokens, "output.usage.input_tokens_cache_read"},
			{schemas.CacheWriteTokens, "output.usage.input_tokens_cache_write"},
			{schemas.ReasoningTokens, "output.usage.reasoning_tokens"},
			{schemas.ReportedCostUSD, "output.usage.total_cost"},
			{schemas.DurationMs, "output.time:e3"},
		},
		Basis: ambiguous, Operation: "chat",
	},
	{
		Name: "inspect.event", Doc: "Inspect AI: how a sample's state changed, which says the usage of its model event",
		At: []string{""}, When: []string{"event", "changes[].op"}, Ignore: true, Basis: ambiguous,
	},
	{
		Name: "atif.trajectory", Doc: "Harbor's trajectory of an agent: its steps; final_metrics sums them up",
		At: []string{""}, Own: true, Container: true, When: []string{"steps[].metrics", "agent | schema_version"},
		Columns: []Rule{
			{schemas.RequestID, "session_id"},
			{schemas.SessionID, "session_id"},
			{schemas.Model, "agent.model_name"},
		},
		Basis: inclusive,
		Parts: []Part{{
			Path: "steps[]", Entry: "atif.step", ID: "#step",
			Inherit: []schemas.Col{schemas.RequestID, schemas.SessionID, schemas.Model},
		}},
	},
	{
		Name: "atif.step", Doc: "step of an agent's trajectory",
		At: []string{""}, Named: true, Own: true, Usage: "metrics",
		When: []string{"metrics.prompt_tokens | metrics.completion_tokens"},
		Columns: []Rule{
			{schemas.EventTime, "timestamp"},
			{schemas.Model, "model_name"},
			{schemas.InputTokens, "metrics.prompt_tokens"},
			{schemas.OutputTokens, "metrics.completion_tokens"},
			{schemas.CacheReadTokens, "metrics.cached_tokens"},
			{schemas.ReportedCostUSD, "metrics.cost_usd"},
		},
		Basis: inclusive, Operation: "chat",
	},
})

// promptfooEntries are what promptfoo writes of an evaluation. It has an answer's counts,
// and a grader's over all assertions, which say them again one by one.
var promptfooEntries = []Entry{
	{
		Name: "promptfoo.eval", Doc: "promptfoo's output: its results, which stats and prompts sum up",
		At: []string{""}, Own: true, Container: true, When: []string{"results.results[].vars", "results.stats"},
		Columns: []Rule{
			{schemas.EventTime, "results.timestamp"},
			{schemas.SessionID, "eval_id"},
		},
		Basis: inclusive,
		Parts: []Part{{Path: "results.results[]", Entry: "promptfoo.result", Inherit: []schemas.Col{schemas.SessionID}}},
	},
	{
		Name: "promptfoo.result", Doc: "promptfoo's result of a test: the answer, and what its grader used; its tokenUsage sums them up",
		At: []string{""}, Own: true, Container: true, When: []string{"prompt.raw", "vars", "success"},
		Columns: []Rule{
			{schemas.RequestID, "id"},
			{schemas.Model, "provider.id"},
			{schemas.DurationMs, "latency_ms"},
		},
		Basis: inclusive,
		Parts: []Part{
			{
				Path: "response", Entry: "promptfoo.call",
				Inherit: []schemas.Col{schemas.SessionID, schemas.RequestID, schemas.Model, schemas.DurationMs},
			},
			// of another model, which the result does not name
			{Path: "gradingResult", Entry: "promptfoo.call", ID: "#grader", Inherit: []schemas.Col{schemas.SessionID, schemas.RequestID}},
		},
	},
	{
		// the cost is that of the call which the cache has it from
		Name: "promptfoo.call", Doc: "promptfoo: an answer from its own cache, of which it says the total",
		At: []string{""}, Named: true, Own: true, Usage: "token_usage", When: []string{"token_usage.cached", "!token_usage.prompt"},
		Columns: []Rule{
			{schemas.CacheHit, "cached | token_usage.cached:except=0"},
			{schemas.TotalTokens, "token_usage.total"},
		},
		Keep:  []string{"token_usage.cached", "cost"},
		Basis: inclusive, Operation: "chat",
	},
	promptfooCall("promptfoo: an answer", "token_usage"),
	promptfooCall("promptfoo: what graded an answer", "tokens_used"),
}

func promptfooCall(doc, usage string) Entry {
	return Entry{
		Name: "promptfoo.call", Doc: doc,
		At: []string{""}, Named: true, Own: true, Usage: usage, When: []string{usage},
		Columns: append([]Rule{
			{schemas.CacheHit, "cached"},
			{schemas.ErrorCode, "error"},
			{schemas.ReportedCostUSD, "cost"},
		}, below(usage, []Rule{
			{schemas.InputTokens, "usage.prompt"},
			{schemas.OutputTokens, "usage.completion"},
			{schemas.TotalTokens, "usage.total"},
			{schemas.CacheReadTokens, "usage.completion_details.cache_read_input_tokens"},
			{schemas.CacheWriteTokens, "usage.completion_details.cache_creation_input_tokens"},
			{schemas.ReasoningTokens, "usage.completion_details.reasoning"},
			{schemas.AcceptedPredictionTokens, "usage.completion_details.accepted_prediction"},
			{schemas.RejectedPredictionTokens, "usage.completion_details.rejected_prediction"},
			{schemas.WebSearchRequests, "usage.web_search_requests"},
		})...),
		Keep:  []string{usage + ".cached"},
		Basis: inclusive, Operation: "chat",
	}
}

var openhandsColumns = []Rule{
	{schemas.RequestID, "usage.response_id"},
	{schemas.Model, "usage.model"},
	{schemas.InputTokens, "usage.prompt_tokens"},
	{schemas.OutputTokens, "usage.completion_tokens"},
	{schemas.CacheReadTokens, "usage.cache_read_tokens"},
	{schemas.CacheWriteTokens, "usage.cache_write_tokens"},
	{schemas.ReasoningTokens, "usage.reasoning_tokens"},
}
