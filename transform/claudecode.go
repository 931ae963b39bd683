package transform

import (
	"slices"

	"usagelake/schemas"
)

// claudeEntries are lines of Claude Code's sessions and runs, and of those that write like
// it. What a message used is read as an answer of the Messages API.
var claudeEntries = []Entry{
	{
		Name: "anthropic.tool_result", Doc: "Claude Code: what a sub-agent used, which its own lines say",
		At: []string{""},
		When: []string{
			"toolUseResult.totalTokens | toolUseResult.usage", "!message.usage",
		},
		Ignore: true, Basis: exclusive,
	},
	{
		Name: "anthropic.compact", Doc: "Claude Code: how large the context was before it was compacted",
		At: []string{""}, When: []string{"compact_metadata.pre_tokens", "session_id", "!message"}, Ignore: true, Basis: exclusive,
	},
	{
		Name: "anthropic.task", Doc: "Claude Code: how far a sub-agent is, whose own lines say what it used",
		At: []string{""}, When: []string{"task_id", "usage.total_tokens", "usage.tool_uses", "!message"}, Ignore: true, Basis: exclusive,
	},
	{
		Name: "anthropic.init", Doc: "Claude Code: the session that the lines of a run are of",
		At: []string{""}, When: []string{"session_id", "model", "tools", "mcp_servers | permission_mode | apiKeySource"},
		Columns: []Rule{{schemas.SessionID, "session_id"}},
		Ignore:  true, Own: true, Basis: exclusive, Remember: []schemas.Col{schemas.SessionID},
	},
	{
		Name: "anthropic.run", Doc: "Claude Code: sums over a run by model, less what lines of it before said",
		At: []string{""}, Own: true, Container: true, When: []string{"total_cost_usd", "num_turns", "modelUsage"},
		Columns: anthropicRun, Basis: exclusive, Sums: schemas.SessionID, Rest: true,
		Parts: []Part{{
			Path: "modelUsage.*", Entry: "anthropic.sum", ID: "#model", Key: schemas.Model,
			Inherit: []schemas.Col{schemas.SessionID, schemas.RequestID},
		}},
	},
	{
		Name: "anthropic.sum", Doc: "Claude Code: sums over a run, a call where no line of the run is before",
		At: []string{""}, Own: true, EnvelopeTime: true, When: []string{"total_cost_usd", "num_turns", "usage"},
		Columns: slices.Concat(anthropicRun, []Rule{{schemas.ReportedCostUSD, "total_cost_usd"}}, anthropicColumns),
		Basis:   exclusive, Operation: "chat", Key: modelKey, Sums: schemas.SessionID, OfSession: true,
	},
	{
		Name: "anthropic.sum", Doc: "Claude Code: what a run used of one model beside its lines, which may be its cost alone",
		At: []string{"bare"}, Named: true, Own: true,
		When: []string{"usage.input_tokens", "usage.output_tokens"},
		Columns: slices.Concat(anthropicColumns, []Rule{
			{schemas.WebSearchRequests, "usage.web_search_requests"},
			{schemas.ReportedCostUSD, "usage.costUSD"},
		}),
		Basis: exclusive, Operation: "chat", Key: modelKey, OfSession: true,
	},
	{
		Name: "anthropic.messages", Doc: "line of a run of Amp",
		At: []string{"message"},
		When: []string{
			"usage.input_tokens", "usage.output_tokens", "!usage.total_tokens", "role", "!id",
			"^session_id", "!^uuid", "!^cwd",
		},
		Columns: anthropicColumns, Basis: exclusive, Operation: "chat", Key: modelKey, Payload: "content",
		Remember: []schemas.Col{schemas.SessionID},
	},
	{
		Name: "anthropic.sum", Doc: "Amp: sums over a run, a call where no line of the run is before",
		At: []string{""}, Own: true, EnvelopeTime: true,
		When: []string{
			"usage.input_tokens", "usage.output_tokens", "num_turns", "is_error", "session_id",
			"!usage.total_tokens", "!total_cost_usd", "!message",
		},
		Columns: slices.Concat(anthropicRun, anthropicColumns),
		Basis:   exclusive, Operation: "chat", Key: modelKey, Sums: schemas.SessionID, OfSession: true,
	},
	{
		Name: "anthropic.partial", Doc: "Claude Code: event of a streamed answer, in a line of a run",
		At: []string{""}, Own: true, Container: true, When: []string{"event.message.usage | event.usage", "session_id", "uuid"},
		Columns: []Rule{{schemas.EventTime, envelopeTime}, {schemas.SessionID, "session_id"}},
		Basis:   exclusive, Remember: []schemas.Col{schemas.SessionID},
		Parts: []Part{{Path: "event", Inherit: []schemas.Col{schemas.SessionID}}},
	},
	{
		Name: "anthropic.progress", Doc: "Claude Code: a sub-agent's message, which its own file has too",
		At: []string{""}, Container: true, When: []string{"data.message.message.usage"}, Basis: exclusive,
		Parts: []Part{{Path: "data.message", Inherit: []schemas.Col{schemas.SessionID}}},
	},
}

// anthropicRun is of the line at the end of a run of Claude Code.
var anthropicRun = []Rule{
	{schemas.EventTime, envelopeTime},
	{schemas.SessionID, "session_id"},
	{schemas.RequestID, "uuid | session_id"},
	{schemas.DurationMs, "duration_api_ms"},
}
