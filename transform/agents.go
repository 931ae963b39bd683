package transform

import (
	"slices"

	"usagelake/schemas"
)

// agentEntries are session logs of coding agents.
var agentEntries = []Entry{
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
		Name: "anthropic.run", Doc: "Claude Code: sums over a run by model, calls where no line of the run is before",
		At: []string{""}, Own: true, Container: true, When: []string{"total_cost_usd", "num_turns", "modelUsage"},
		Columns: anthropicRun, Basis: exclusive, Sums: schemas.SessionID,
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
		Name: "anthropic.sum", Doc: "Claude Code: what a run used of one model",
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
		Basis:   exclusive,
		Parts:   []Part{{Path: "event", Inherit: []schemas.Col{schemas.SessionID}}},
	},
	{
		Name: "anthropic.progress", Doc: "Claude Code: a sub-agent's message, which its own file has too",
		At: []string{""}, Container: true, When: []string{"data.message.message.usage"}, Basis: exclusive,
		Parts: []Part{{Path: "data.message", Inherit: []schemas.Col{schemas.SessionID}}},
	},
	{
		Name: "codex.context", Doc: "Codex: the model of the turns that follow",
		At:      []string{""},
		When:    []string{"payload.model", "payload.cwd | payload.turn_id", "type", "!payload.info"},
		Columns: []Rule{{schemas.Model, "payload.model"}},
		Ignore:  true, Own: true, Basis: inclusive, Remember: []schemas.Col{schemas.Model},
	},
	{
		Name: "codex.session", Doc: "Codex: the session of the lines that follow",
		At:      []string{""},
		When:    []string{"payload.id", "payload.originator", "type"},
		Columns: []Rule{{schemas.SessionID, "payload.id"}},
		Ignore:  true, Own: true, Basis: inclusive, Remember: []schemas.Col{schemas.SessionID},
	},
	{
		Name: "codex.goal", Doc: "Codex: how much of a goal's budget is used",
		At: []string{""}, When: []string{"payload.goal.tokensUsed", "timestamp"}, Ignore: true, Basis: inclusive,
	},
	{
		Name: "codex.turn", Doc: "Codex: times of a turn, which speak of tokens",
		At: []string{""}, When: []string{"payload.time_to_first_token_ms", "payload.turn_id", "!payload.info"}, Ignore: true, Basis: inclusive,
	},
	{
		Name: "codex.tokens", Doc: "Codex CLI session: what one request used; forks of a session repeat its lines",
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
			{schemas.ReasoningTokens, "usage.reasoning_output_tokens"},
		},
		Basis: inclusive, Operation: "chat", Recall: []schemas.Col{schemas.RequestID, schemas.SessionID}, OfSession: true,
	},
	{
		Name: "pi.message", Doc: "pi session: counts apart from each other, with costs",
		At:   []string{"message", ""},
		When: []string{"usage.input", "usage.output", "usage.cacheRead | usage.cacheWrite"},
		Columns: []Rule{
			{schemas.EventTime, "timestamp"},
			{schemas.RequestID, "response_id | ^id"},
			{schemas.Provider, "provider"},
			{schemas.ErrorCode, "stopReason:except=stop,length,toolUse"},
			{schemas.InputTokens, "usage.input + usage.cacheRead + usage.cacheWrite"},
			{schemas.OutputTokens, "usage.output"},
			{schemas.TotalTokens, "usage.totalTokens"},
			{schemas.CacheReadTokens, "usage.cacheRead"},
			{schemas.CacheWriteTokens, "usage.cacheWrite"},
			{schemas.ReportedCostUSD, "usage.cost.total"},
		},
		Basis: exclusive, Operation: "chat", Key: bodyKey,
	},
	{
		Name: "pi.compaction", Doc: "pi session: how large the context was before it was compacted",
		At: []string{""}, When: []string{"tokensBefore", "summary", "!usage"}, Ignore: true, Basis: exclusive,
	},
	{
		Name: "opencode.part", Doc: "OpenCode: a step of a message, which says it too",
		At: []string{""}, When: []string{"tokens.input", "messageID", "sessionID", "type"}, Ignore: true, Basis: exclusive,
	},
	{
		Name: "opencode.part", Doc: "OpenCode: row of a part of a message, whose own row says it too",
		At: []string{""}, When: []string{"data.tokens.input", "data.type", "message_id", "session_id"}, Ignore: true, Basis: exclusive,
	},
	{
		Name: "opencode.session", Doc: "OpenCode export of a session with its messages",
		At: []string{""}, Own: true, Container: true, When: []string{"messages[].info.tokens", "info"}, Basis: exclusive,
		Parts: []Part{{Path: "messages[].info", Entry: "opencode.message"}},
	},
	{
		Name: "opencode.step", Doc: "opencode run: the event at the end of a step",
		At: []string{""}, Own: true, Usage: "part.tokens", When: []string{"part.tokens.input", "part.tokens.output", "timestamp"},
		Columns: append([]Rule{
			{schemas.EventTime, "timestamp"},
			{schemas.RequestID, "part.id"},
			{schemas.SessionID, "sessionID"},
			{schemas.ReportedCostUSD, "part.cost"},
		}, below("part.tokens", opencodeCounts)...),
		Basis: exclusive, Operation: "chat",
	},
	{
		Name: "opencode.message", Doc: "OpenCode message: counts apart from each other",
		At: []string{"", "data"}, Usage: "tokens",
		When: []string{"tokens.input", "tokens.output", "tokens.cache | tokens.reasoning"},
		Columns: append([]Rule{
			{schemas.EventTime, "time.created"},
			{schemas.Provider, "providerID"},
			{schemas.Model, "modelID"},
			{schemas.SessionID, "sessionID"},
			{schemas.ErrorCode, "error.name"},
			{schemas.ReportedCostUSD, "cost"},
		}, below("tokens", opencodeCounts)...),
		Basis: exclusive, Operation: "chat",
	},
	{
		Name: "qwen.telemetry", Doc: "Qwen Code telemetry of a call, which has a line of its own",
		At: []string{""}, When: []string{"systemPayload.uiEvent.input_token_count", "sessionId"},
		Ignore: true, Basis: exclusive,
	},
	{
		// an answer of several parts is a line for each; what it used is in the last
		Name: "anthropic.messages", Doc: "Qwen Code: part of an answer before its last, without counts",
		At: []string{"message"},
		When: []string{
			"usage.input_tokens", "usage.output_tokens", "!usage.total_tokens", "!usage.cache_read_input_tokens",
			"!usage.cache_creation_input_tokens", "!usage.service_tier", "id", "role", "^session_id", "^uuid", "!^cwd",
		},
		Columns: anthropicColumns, Basis: exclusive, Operation: "chat", Key: modelKey, Payload: "content",
		Unless: []string{"usage.input_tokens=0", "model=<synthetic>"}, Remember: []schemas.Col{schemas.SessionID},
	},
	{
		Name: "qwen.message", Doc: "line of a run of Qwen Code: the cache is in the input",
		At:      []string{"message"},
		When:    []string{"usage.input_tokens", "usage.output_tokens", "usage.total_tokens", "id", "role", "^session_id", "^uuid"},
		Columns: qwenCounts, Basis: inclusive, Operation: "chat", Key: modelKey, Remember: []schemas.Col{schemas.SessionID},
	},
	{
		// what sub-agents used is in the sums, but in no line
		Name: "qwen.sum", Doc: "Qwen Code: sums over a session, a call where no line of the run is before",
		At: []string{""}, Own: true, EnvelopeTime: true,
		When:    []string{"usage.input_tokens", "usage.total_tokens", "num_turns", "session_id", "!total_cost_usd", "!message"},
		Columns: slices.Concat([]Rule{{schemas.EventTime, envelopeTime}, {schemas.SessionID, "session_id"}, {schemas.RequestID, "session_id"}}, qwenCounts),
		Basis:   inclusive, Operation: "chat", Sums: schemas.SessionID, OfSession: true,
	},
	{
		Name: "google.gemini", Doc: "line of a Qwen Code session: Gemini's counts",
		At: []string{""}, Usage: "usage_metadata",
		When: []string{"usage_metadata.prompt_token_count | usage_metadata.total_token_count", "uuid", "sessionId"},
		Columns: append([]Rule{
			{schemas.EventTime, "timestamp"},
			{schemas.RequestID, "uuid"},
			{schemas.Model, "model"},
		}, geminiColumns...),
		Basis: exclusive, Operation: "chat", Key: modelKey, EnvelopeTime: true,
	},
	{
		Name: "aider.message", Doc: "Aider analytics: one message; total_cost grows over the session",
		At: []string{""}, Usage: "none",
		When: []string{"event", "properties.prompt_tokens", "properties.completion_tokens"},
		Columns: []Rule{
			{schemas.EventTime, "time"},
			{schemas.Model, "properties.main_model"},
			{schemas.UserID, "user_id"},
			{schemas.InputTokens, "properties.prompt_tokens"},
			{schemas.OutputTokens, "properties.completion_tokens"},
			{schemas.TotalTokens, "properties.total_tokens"},
			{schemas.ReportedCostUSD, "properties.cost"},
		},
		Basis: inclusive, Operation: "chat", Own: true,
	},
	{
		// The sums are of calls that are in the list no more, or never were. Whether the cache
		// is in tokensIn differs by program, version and provider.
		Name: "cline.request", Doc: "message of a Cline, Roo or Kilo task: a request, or sums of deleted ones or of sub-agents",
		At: []string{""}, Own: true, Usage: "none", // what else the text has is content
		When: []string{"text.tokensIn | text.tokensOut", "say", "ts"},
		Columns: []Rule{
			{schemas.EventTime, "ts"},
			{schemas.Provider, "modelInfo.providerId"},
			{schemas.Model, "modelInfo.modelId"},
			{schemas.ErrorCode, "text.cancelReason:except=user_cancelled"},
			{schemas.InputTokens, "text.tokensIn"},
			{schemas.OutputTokens, "text.tokensOut"},
			{schemas.CacheReadTokens, "text.cacheReads"},
			{schemas.CacheWriteTokens, "text.cacheWrites"},
			{schemas.ReportedCostUSD, "text.cost"},
		},
		Basis: ambiguous, Operation: "chat",
		// the text is written anew while the answer comes, its request is not
		IDOf: []string{"ts", "text.request"}, Keep: []string{"text.apiProtocol"},
	},
	{
		Name: "cline.message", Doc: "message of a Cline, Roo or Kilo task, which can have a request's counts in its text",
		At: []string{""}, Own: true, Container: true, Folded: []string{"text"}, Texts: true,
		When: []string{"text", "say", "ts", "type"}, Basis: ambiguous,
	},
	{
		Name: "cursor.run", Doc: "Cursor CLI: sums over a run, its only counts; they do not say whether the cache is in the input",
		At: []string{""}, When: []string{"usage.inputTokens", "usage.outputTokens", "usage.cacheReadTokens | usage.cacheWriteTokens", "session_id", "request_id", "type"},
		Columns: []Rule{
			{schemas.InputTokens, "usage.inputTokens"},
			{schemas.OutputTokens, "usage.outputTokens"},
			{schemas.CacheReadTokens, "usage.cacheReadTokens"},
			{schemas.CacheWriteTokens, "usage.cacheWriteTokens"},
			{schemas.RequestID, "request_id"},
			{schemas.DurationMs, "duration_api_ms"},
		},
		Basis: ambiguous, Operation: "chat",
	},
	{
		Name: "aider.exercise", Doc: "Aider's benchmark: sums over an exercise, its only counts",
		At:   []string{"bare"},
		When: []string{"usage.prompt_tokens", "usage.completion_tokens", "testcase", "tests_outcomes"},
		Columns: []Rule{
			{schemas.InputTokens, "usage.prompt_tokens"},
			{schemas.OutputTokens, "usage.completion_tokens"},
		},
		Basis: inclusive, Operation: "chat",
	},
	{
		Name: "crush.session", Doc: "crush: size of the context of a session, and its costs with those of sessions below",
		At: []string{""}, When: []string{"title", "message_count", "prompt_tokens", "completion_tokens", "cost", "!model"},
		Ignore: true, Wraps: true, Basis: ambiguous,
	},
	{
		Name: "goose.session", Doc: "goose: sums over a session, its only counts but those of the last call",
		At: []string{""}, Own: true, Usage: "none", Folded: []string{"model_config_json"},
		When: []string{"accumulated_input_tokens | accumulated_total_tokens", "working_dir", "id"},
		Columns: []Rule{
			{schemas.EventTime, "created_at:utc"}, // it stays as the session grows
			{schemas.RequestID, "id"},
			{schemas.SessionID, "id"},
			{schemas.Provider, "provider_name"},
			{schemas.Model, "model_config.model_name | model_config_json.model_name"},
			{schemas.InputTokens, "accumulated_input_tokens"},
			{schemas.OutputTokens, "accumulated_output_tokens"},
			{schemas.TotalTokens, "accumulated_total_tokens"},
			{schemas.CacheReadTokens, "accumulated_cache_read_tokens"},
			{schemas.CacheWriteTokens, "accumulated_cache_write_tokens"},
			{schemas.ReportedCostUSD, "accumulated_cost"},
		},
		Basis: ambiguous, Operation: "chat",
	},
	{
		Name: "goose.session", Doc: "goose: sums over a session without an id, which is written anew as it grows",
		At: []string{""}, When: []string{"accumulated_input_tokens | accumulated_total_tokens", "working_dir", "!id"},
		Ignore: true, Wraps: true, Basis: ambiguous,
	},
	{
		Name: "amp.thread", Doc: "thread of Amp with its messages; usageLedger says their usage again",
		At: []string{""}, Own: true, Container: true,
		When:    []string{"messages[].usage.inputTokens", "messages[].usage.cacheReadInputTokens | messages[].usage.cacheCreationInputTokens", "id"},
		Columns: []Rule{{schemas.EventTime, "created"}, {schemas.RequestID, "id"}, {schemas.SessionID, "id"}},
		Basis:   exclusive,
		Parts: []Part{{
			Path: "messages[]", Entry: "amp.message", ID: "#message",
			Inherit: []schemas.Col{schemas.RequestID, schemas.SessionID},
		}},
	},
	{
		Name: "amp.message", Doc: "message of a thread of Amp: counts apart from each other",
		At: []string{""}, Named: true, Own: true,
		When: []string{"usage.inputTokens", "usage.outputTokens"},
		Columns: []Rule{
			{schemas.EventTime, "usage.timestamp"},
			{schemas.Model, "usage.model"},
			{schemas.InputTokens, "usage.totalInputTokens | usage.inputTokens + usage.cacheReadInputTokens + usage.cacheCreationInputTokens"},
			{schemas.OutputTokens, "usage.outputTokens"},
			{schemas.CacheReadTokens, "usage.cacheReadInputTokens"},
			{schemas.CacheWriteTokens, "usage.cacheCreationInputTokens"},
		},
		Basis: exclusive, Operation: "chat", Key: modelKey,
	},
	{
		Name: "amp.message", Doc: "message of a thread of Amp that used nothing",
		At: []string{""}, Named: true, When: []string{"role", "!usage.inputTokens"}, Ignore: true, Basis: exclusive,
	},
	{
		Name: "kimi.status", Doc: "Kimi CLI: what a step used, counts apart from each other",
		At: []string{""}, Own: true, Usage: "message.payload.token_usage",
		When: []string{"message.payload.token_usage.input_other", "message.payload.token_usage.output"},
		Columns: append([]Rule{
			{schemas.EventTime, "timestamp"},
			{schemas.RequestID, "message.payload.message_id"},
		}, below("message.payload.token_usage", []Rule{
			{schemas.InputTokens, "usage.input_other + usage.input_cache_read + usage.input_cache_creation"},
			{schemas.OutputTokens, "usage.output"},
			{schemas.CacheReadTokens, "usage.input_cache_read"},
			{schemas.CacheWriteTokens, "usage.input_cache_creation"},
		})...),
		Basis: exclusive, Operation: "chat",
	},
	{
		Name: "swe.trajectory", Doc: "mini-swe-agent's trajectory: answers in its messages",
		At: []string{""}, Own: true, Container: true, When: []string{"messages[].extra.response.usage", "info"},
		Columns: []Rule{{schemas.SessionID, "instance_id"}},
		Basis:   inclusive,
		Parts:   []Part{{Path: "messages[].extra.response", Inherit: []schemas.Col{schemas.SessionID}}},
	},
	{
		// cost is a number of premium requests
		Name: "copilot.usage", Doc: "Copilot: what one request used; it does not say whether the cache is in the input",
		At: []string{""}, Own: true, Usage: "none",
		When: []string{"data.inputTokens", "data.outputTokens", "data.model", "ephemeral", "id", "timestamp"},
		Columns: []Rule{
			{schemas.EventTime, "timestamp"},
			{schemas.RequestID, "data.apiCallId | id"},
			{schemas.TransportID, "data.providerCallId"},
			{schemas.Model, "data.model"},
			{schemas.InputTokens, "data.inputTokens"},
			{schemas.OutputTokens, "data.outputTokens"},
			{schemas.CacheReadTokens, "data.cacheReadTokens"},
			{schemas.CacheWriteTokens, "data.cacheWriteTokens"},
			{schemas.ReasoningTokens, "data.reasoningTokens"},
			{schemas.DurationMs, "data.duration"},
			{schemas.TimeToFirstTokenMs, "data.ttftMs | data.time_to_first_token_ms"},
		},
		Basis: ambiguous, Operation: "chat", EnvelopeTime: true, Key: modelKey,
		Recall: []schemas.Col{schemas.SessionID}, Remember: []schemas.Col{schemas.Operation},
	},
	{
		Name: "copilot.session", Doc: "Copilot: the session of the lines that follow",
		At: []string{""}, When: []string{"data.sessionId", "data.producer | data.copilotVersion", "type"},
		Columns: []Rule{{schemas.SessionID, "data.sessionId"}},
		Ignore:  true, Own: true, Basis: ambiguous, Remember: []schemas.Col{schemas.SessionID},
	},
	{
		// what a session has on the disk; each process that goes on with it adds its own
		Name: "copilot.run", Doc: "Copilot: sums over a run by model, calls where no request of it is before",
		At: []string{""}, Own: true, Container: true, When: []string{"data.modelMetrics"},
		Columns: []Rule{{schemas.EventTime, "timestamp"}, {schemas.RequestID, "id"}},
		Basis:   ambiguous, Sums: schemas.Operation, Recall: []schemas.Col{schemas.SessionID},
		Parts: []Part{{
			Path: "data.modelMetrics.*", Entry: "copilot.sum", ID: "#model", Key: schemas.Model,
			Inherit: []schemas.Col{schemas.SessionID, schemas.RequestID},
		}},
	},
	{
		Name: "copilot.sum", Doc: "Copilot: what a run used of one model; it does not say whether the cache is in the input",
		At: []string{""}, Named: true, Own: true, Usage: "none",
		When: []string{"usage.inputTokens", "usage.outputTokens"},
		Columns: []Rule{
			{schemas.InputTokens, "usage.inputTokens"},
			{schemas.OutputTokens, "usage.outputTokens"},
			{schemas.CacheReadTokens, "usage.cacheReadTokens"},
			{schemas.CacheWriteTokens, "usage.cacheWriteTokens"},
			{schemas.ReasoningTokens, "usage.reasoningTokens"},
		},
		Basis: ambiguous, Operation: "chat", Key: modelKey, OfSession: true,
	},
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
		Name: "openhands.run", Doc: "OpenHands run with accumulated counts only",
		At: []string{""}, When: []string{"metrics.accumulated_token_usage | llm_metrics.accumulated_token_usage", "!tool_call_metadata.model_response"},
		Ignore: true, Basis: inclusive,
	},
	{
		Name: "openhands.call", Doc: "a call of an OpenHands run",
		At: []string{"bare"}, Named: true, Own: true,
		When: []string{"usage.prompt_tokens", "usage.completion_tokens"},
		Columns: []Rule{
			{schemas.RequestID, "usage.response_id"},
			{schemas.Model, "usage.model"},
			{schemas.InputTokens, "usage.prompt_tokens"},
			{schemas.OutputTokens, "usage.completion_tokens"},
			{schemas.CacheReadTokens, "usage.cache_read_tokens"},
			{schemas.CacheWriteTokens, "usage.cache_write_tokens"},
			{schemas.ReasoningTokens, "usage.reasoning_tokens"},
		},
		Basis: inclusive, Operation: "chat",
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
		Name: "inspect.log", Doc: "Inspect AI sample with its events",
		At: []string{""}, Own: true, Container: true, When: []string{"events[].output.usage", "epoch | model_usage"},
		Basis: ambiguous,
		Parts: []Part{{Path: "events[]", Entry: "inspect.event", Zero: true}},
	},
	{
		Name: "inspect.sums", Doc: "Inspect AI log or sample without events: sums by model",
		At: []string{""}, When: []string{"stats.model_usage | model_usage", "eval | epoch"}, Ignore: true, Basis: ambiguous,
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
			{schemas.DurationMs, "output.time:e3"},
		},
		Basis: ambiguous, Operation: "chat",
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

// agentRest are lines of agents that say little by which to know them. They are tried
// after all others, and what has counts of tokens is none of them.
var agentRest = []Entry{
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
	{schemas.ReasoningTokens, "usage.reasoning_output_tokens"},
}

var qwenCounts = []Rule{
	{schemas.InputTokens, "usage.input_tokens"},
	{schemas.OutputTokens, "usage.output_tokens"},
	{schemas.TotalTokens, "usage.total_tokens"},
	{schemas.CacheReadTokens, "usage.cache_read_input_tokens"},
}

var opencodeCounts = []Rule{
	{schemas.InputTokens, "usage.input + usage.cache.read + usage.cache.write"},
	{schemas.OutputTokens, "usage.output + usage.reasoning"},
	{schemas.TotalTokens, "usage.total"},
	{schemas.CacheReadTokens, "usage.cache.read"},
	{schemas.CacheWriteTokens, "usage.cache.write"},
	{schemas.ReasoningTokens, "usage.reasoning"},
}

// anthropicRun is of the line at the end of a run of Claude Code.
var anthropicRun = []Rule{
	{schemas.EventTime, envelopeTime},
	{schemas.SessionID, "session_id"},
	{schemas.RequestID, "uuid | session_id"},
	{schemas.DurationMs, "duration_api_ms"},
}
