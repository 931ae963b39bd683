package transform

import "usagelake/schemas"

// codexEntries are lines of Codex.
var codexEntries = []Entry{
	{
		Name: "codex.context", Doc: "Codex: the model of the turns that follow",
		At:      []string{""},
		When:    []string{"payload.model", "payload.cwd | payload.turn_id", "type", "!payload.info"},
		Columns: []Rule{{schemas.Model, "payload.model"}},
		Ignore:  true, Own: true, Basis: inclusive, Remember: []schemas.Col{schemas.Model}, Releases: "codex.response",
	},
	{
		Name: "codex.session", Doc: "Codex: the session of the lines that follow",
		At:   []string{""},
		When: []string{"payload.id", "payload.originator", "type"},
		Columns: []Rule{
			{schemas.EventTime, "payload.timestamp"},
			{schemas.SessionID, "payload.id"},
			{schemas.TransportID, "payload.forked_from_id | payload.id"},
		},
		Ignore: true, Own: true, Basis: inclusive, Remember: []schemas.Col{schemas.SessionID}, Origin: schemas.TransportID,
		Began: sessionBegan, Written: "timestamp", Releases: "codex.response",
	},
	{
		Name: "codex.goal", Doc: "Codex: how much of a goal's budget is used",
		At: []string{""}, When: []string{"payload.goal.tokensUsed", "timestamp"}, Ignore: true, Basis: inclusive,
	},
	{
		Name: "codex.turn", Doc: "Codex: when the turn began that follows, or has ended",
		At: []string{""},
		When: []string{
			"payload.turn_id", "payload.started_at | payload.collaboration_mode_kind | payload.time_to_first_token_ms",
			"type", "!payload.info", "!payload.usage",
		},
		Columns: []Rule{{schemas.EventTime, "payload.started_at | payload.turn_id"}},
		Ignore:  true, Own: true, Basis: inclusive, Began: turnBegan, Releases: "codex.response",
	},
	{
		Name: "codex.tokens", Doc: "Codex CLI session: what one request used; forks of a session repeat its lines, with the time of the copy",
		At: []string{""}, Usage: "payload.info.last_token_usage",
		When: []string{"payload.info.last_token_usage.input_tokens", "timestamp"},
		// the context was compacted, and its size is given anew
		Unless: []string{"payload.info.last_token_usage.input_tokens=0"},
		Columns: []Rule{
			{schemas.EventTime, "timestamp"},
			{schemas.InputTokens, "payload.info.last_token_usage.input_tokens"},
			{schemas.OutputTokens, "payload.info.last_token_usage.output_tokens"},
			{schemas.TotalTokens, "payload.info.last_token_usage.total_tokens"},
			{schemas.CacheReadTokens, "payload.info.last_token_usage.cached_input_tokens"},
			{schemas.CacheWriteTokens, "payload.info.last_token_usage.cache_write_input_tokens"},
			{schemas.ReasoningTokens, "payload.info.last_token_usage.reasoning_output_tokens"},
		},
		Basis: inclusive, Operation: "chat", Own: true, EnvelopeTime: true,
		IDOf: []string{"payload.info"}, Recall: []schemas.Col{schemas.Model, schemas.SessionID},
		Running: "payload.info.total_token_usage",
	},
	{
		Name: "codex.totals", Doc: "Codex CLI session that only sums up: what a request used is what the sums have grown by",
		At: []string{""}, Usage: "payload.info.total_token_usage",
		When:   []string{"payload.info.total_token_usage.input_tokens", "!payload.info.last_token_usage.input_tokens", "timestamp"},
		Unless: []string{"payload.info.total_token_usage.input_tokens=0"},
		Columns: []Rule{
			{schemas.EventTime, "timestamp"},
			{schemas.InputTokens, "payload.info.total_token_usage.input_tokens"},
			{schemas.OutputTokens, "payload.info.total_token_usage.output_tokens"},
			{schemas.TotalTokens, "payload.info.total_token_usage.total_tokens"},
			{schemas.CacheReadTokens, "payload.info.total_token_usage.cached_input_tokens"},
			{schemas.CacheWriteTokens, "payload.info.total_token_usage.cache_write_input_tokens"},
			{schemas.ReasoningTokens, "payload.info.total_token_usage.reasoning_output_tokens"},
		},
		Basis: inclusive, Operation: "chat", Own: true, EnvelopeTime: true,
		IDOf: []string{"payload.info"}, Recall: []schemas.Col{schemas.Model, schemas.SessionID},
		Running: "payload.info.total_token_usage", Differs: true,
	},
	{
		// they would do alone, but a fork of a session does not repeat them
		Name: "codex.response", Doc: "Codex: what one response used; the lines of codex.tokens and codex.compaction behind it say it again, or it is a call",
		At: []string{""}, Usage: "payload.usage",
		When: []string{"payload.usage.input_tokens", "payload.response_id", "payload.thread_token_usage | payload.turn_token_usage | payload.thread_id", "timestamp"},
		Columns: append([]Rule{{schemas.EventTime, "timestamp"}, {schemas.RequestID, "payload.response_id"}},
			below("payload.usage", codexCounts)...),
		Ignore: true, Own: true, Basis: inclusive, Waits: true, Releases: "codex.response",
	},
	{
		Name: "codex.response", Doc: "the same, of which no line behind it told",
		At: []string{""}, Named: true, When: []string{"!payload"},
		Basis: inclusive, Operation: "chat", Own: true, Recall: []schemas.Col{schemas.Model, schemas.SessionID},
	},
	{
		Name: "codex.compaction", Doc: "Codex: what the request used that made a history shorter, which no sums have",
		At: []string{""}, Usage: "payload.latest_token_usage_record.usage",
		When:  []string{"payload.latest_token_usage_record.usage.input_tokens", "timestamp"},
		Agree: [2]string{"payload.compaction_response_id", "payload.latest_token_usage_record.response_id"},
		Columns: append([]Rule{{schemas.EventTime, "timestamp"}, {schemas.RequestID, "payload.compaction_response_id"}},
			below("payload.latest_token_usage_record.usage", codexCounts)...),
		Basis: inclusive, Operation: "chat", Own: true, EnvelopeTime: true, Recall: []schemas.Col{schemas.Model, schemas.SessionID},
	},
	{
		Name: "codex.tokens", Doc: "codex exec --json of early versions: what one request used",
		At: []string{""}, Own: true, Usage: "msg.info.last_token_usage",
		When: []string{"msg.info.last_token_usage.input_tokens", "msg.type", "id"},
		// the context was compacted, and its size is given anew
		Unless:  []string{"msg.info.last_token_usage.input_tokens=0"},
		Columns: append([]Rule{{schemas.EventTime, envelopeTime}}, below("msg.info.last_token_usage", codexCounts)...),
		Basis:   inclusive, Operation: "chat", EnvelopeTime: true,
	},
	{
		Name: "codex.tokens", Doc: "codex exec --json of the first versions: what one request used",
		At: []string{""}, Own: true, Usage: "msg",
		When:    []string{"msg.input_tokens", "msg.output_tokens", "msg.total_tokens", "msg.type", "id"},
		Columns: append([]Rule{{schemas.EventTime, envelopeTime}}, below("msg", codexCounts)...),
		Basis:   inclusive, Operation: "chat", EnvelopeTime: true,
	},
	{
		// the usage of a turn is the thread's since it began, also where a run goes on with it,
		// in another file: of a thread's turns one holds
		Name: "codex.exec", Doc: "codex exec --json: sums over a thread, at the end of a turn",
		At:   []string{""},
		When: []string{"usage.cached_input_tokens", "usage.output_tokens", "type", "!usage.total_tokens"},
		Columns: []Rule{
			{schemas.InputTokens, "usage.input_tokens"},
			{schemas.OutputTokens, "usage.output_tokens"},
			{schemas.CacheReadTokens, "usage.cached_input_tokens"},
			{schemas.CacheWriteTokens, "usage.cache_write_input_tokens"},
			{schemas.ReasoningTokens, "usage.reasoning_output_tokens"},
		},
		Basis: inclusive, Operation: "chat", Recall: []schemas.Col{schemas.RequestID, schemas.SessionID}, OfSession: true,
	},
}

// codexRest are lines of agents that say little by which to know them. They are tried
// after all others, and what has counts of tokens is none of them.
var codexRest = []Entry{
	{
		Name: "codex.thread", Doc: "codex exec --json: the thread of the lines that follow",
		At:      []string{""},
		When:    []string{"thread_id", "type", "!id", "!role", "!content", "!message", "!data"},
		Columns: []Rule{{schemas.RequestID, "thread_id"}, {schemas.SessionID, "thread_id"}},
		Ignore:  true, Wraps: true, Own: true, Basis: inclusive, Remember: []schemas.Col{schemas.RequestID, schemas.SessionID},
	},
}

var codexCounts = []Rule{
	{schemas.InputTokens, "usage.input_tokens"},
	{schemas.OutputTokens, "usage.output_tokens"},
	{schemas.TotalTokens, "usage.total_tokens"},
	{schemas.CacheReadTokens, "usage.cached_input_tokens"},
	{schemas.CacheWriteTokens, "usage.cache_write_input_tokens"},
	{schemas.ReasoningTokens, "usage.reasoning_output_tokens"},
}
