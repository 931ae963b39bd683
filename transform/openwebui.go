package transform

import "usagelake/schemas"

// openwebuiEntries are exports of Open WebUI. A chat has its messages twice: all of them
// below history, those of the branch that is shown as a list.
var openwebuiEntries = []Entry{
	{
		Name: "openwebui.chat", Doc: "chat of Open WebUI with all its messages; those of the branch that is shown stand there again",
		At: []string{""}, Own: true, Container: true, When: []string{"chat.history.messages", "user_id | chat.models"},
		Columns: []Rule{
			{schemas.EventTime, "created_at"},
			{schemas.UserID, "user_id"},
			{schemas.SessionID, "id"},
		},
		Basis: ambiguous,
		Parts: []Part{{
			Path: "chat.history.messages.*", Entry: "openwebui.message", Inherit: []schemas.Col{schemas.UserID, schemas.SessionID},
		}},
	},
	openwebuiMessage("message of Open WebUI: usage as the provider said it, or Ollama's under both names", "usage", "usage"),
	openwebuiMessage("message of Open WebUI as it was before it had usage", "info", "info", "!usage"),
	{
		Name: "openwebui.message", Doc: "message of Open WebUI that used nothing",
		At: []string{""}, Named: true, When: []string{"role", "!usage", "!info"}, Ignore: true, Basis: ambiguous,
	},
}

func openwebuiMessage(doc, usage string, when ...string) Entry {
	return Entry{
		Name: "openwebui.message", Doc: doc,
		At: []string{""}, Named: true, Own: true, Usage: usage, When: append(when, "role"),
		Columns: append([]Rule{
			{schemas.EventTime, "timestamp"},
			{schemas.RequestID, "id"},
			{schemas.Model, "model"},
			{schemas.ErrorCode, "error"},
		}, below(usage, append([]Rule{
			{schemas.InputTokens, "usage.prompt_tokens | usage.input_tokens | usage.prompt_eval_count"},
			{schemas.OutputTokens, "usage.completion_tokens | usage.output_tokens | usage.eval_count"},
			{schemas.CacheReadTokens, "usage.input_tokens_details.cached_tokens"},
			{schemas.ReasoningTokens, "usage.output_tokens_details.reasoning_tokens"},
			{schemas.DurationMs, "usage.total_duration:e-6"},
		}, chatColumns...))...),
		Keep:  []string{usage + ".prompt_eval_count", usage + ".eval_count", usage + ".openai"},
		Basis: ambiguous, Operation: "chat",
	}
}
