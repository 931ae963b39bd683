package transform

import "usagelake/schemas"

// geminiCLIEntries are Gemini CLI's sessions, and what it prints.
var geminiCLIEntries = []Entry{
	{
		Name: "google.session", Doc: "Gemini CLI session with its messages",
		At: []string{""}, Own: true, Container: true, When: []string{"messages[].tokens.total", "sessionId"},
		Columns: []Rule{{schemas.SessionID, "sessionId"}, {schemas.EventTime, "start_time"}},
		Basis:   exclusive,
		Parts:   []Part{{Path: "messages[]", Entry: "google.message", Inherit: []schemas.Col{schemas.SessionID}}},
	},
	{
		Name: "google.message", Doc: "message of a Gemini CLI session: thoughts and tool prompts apart, cached in the input",
		At: []string{""}, Own: true, Usage: "tokens",
		When: []string{"tokens.input", "tokens.output", "tokens.thoughts | tokens.cached", "timestamp"},
		Columns: []Rule{
			{schemas.EventTime, "timestamp"},
			{schemas.RequestID, "id"},
			{schemas.Model, "model"},
			{schemas.SessionID, "sessionId"},
			{schemas.InputTokens, "tokens.input + tokens.tool"},
			{schemas.OutputTokens, "tokens.output + tokens.thoughts"},
			{schemas.TotalTokens, "tokens.total"},
			{schemas.CacheReadTokens, "tokens.cached"},
			{schemas.InputToolTokens, "tokens.tool"},
			{schemas.ReasoningTokens, "tokens.thoughts"},
		},
		Basis: exclusive, Operation: "chat", Key: modelKey,
	},
	{
		Name: "google.run", Doc: "Gemini CLI that prints JSON: sums by model over a run, with what the session had before",
		At: []string{""}, Own: true, Container: true, When: []string{"stats.models", "stats.tools"},
		Columns: []Rule{{schemas.EventTime, envelopeTime}, {schemas.SessionID, "session_id"}, {schemas.RequestID, "session_id"}},
		Basis:   exclusive,
		Parts: []Part{{
			// without an ID: models of another run of the session can have another order
			Path: "stats.models.*", Entry: "google.sum", Key: schemas.Model,
			Inherit: []schemas.Col{schemas.SessionID, schemas.RequestID},
		}},
	},
	{
		Name: "google.sum", Doc: "Gemini CLI: sums of a model: thoughts and tool prompts apart, cached in the input",
		At: []string{""}, Named: true, Own: true, Usage: "tokens",
		When: []string{"tokens.prompt", "tokens.candidates"},
		Columns: []Rule{
			{schemas.InputTokens, "tokens.prompt + tokens.tool"},
			{schemas.OutputTokens, "tokens.candidates + tokens.thoughts"},
			{schemas.TotalTokens, "tokens.total"},
			{schemas.CacheReadTokens, "tokens.cached"},
			{schemas.InputToolTokens, "tokens.tool"},
			{schemas.ReasoningTokens, "tokens.thoughts"},
			{schemas.DurationMs, "api.total_latency_ms"},
		},
		Basis: exclusive, Operation: "chat", Key: modelKey, OfSession: true,
		Keep: []string{"tokens.input"}, // less what is cached
	},
}
