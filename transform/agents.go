package transform

import (
	"slices"

	"usagelake/schemas"
)

// agentEntries are logs of agents that write code and of those who test them.
var agentEntries = slices.Concat(claudeEntries, codexEntries, coderEntries, trialEntries, geminiCLIEntries)

// coderEntries are sessions of coding agents.
var coderEntries = []Entry{
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
			{schemas.CacheWrite1hTokens, "usage.cacheWrite1h"},
			{schemas.ReasoningTokens, "usage.reasoning"},
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
		ZeroIsNone: true, Unless: []string{"model=<synthetic>"}, Remember: []schemas.Col{schemas.SessionID},
	},
	{
		Name: "qwen.message", Doc: "line of a run of Qwen Code: the cache is in the input",
		At:      []string{"message"},
		When:    []string{"usage.input_tokens", "usage.output_tokens", "usage.total_tokens", "id", "role", "^session_id", "^uuid"},
		Columns: qwenCounts, Basis: inclusive, Operation: "chat", Key: modelKey, Of: schemas.SessionID, Remember: []schemas.Col{schemas.SessionID},
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
		Name: "cursor.events", Doc: "Cursor's Admin API: page of what members of a team used",
		At: []string{""}, Own: true, Container: true, When: []string{"usageEvents[].tokenUsage"}, Basis: exclusive,
		Parts: []Part{{Path: "usageEvents[]", Entry: "cursor.event"}},
	},
	{
		Name: "cursor.event", Doc: "Cursor's Admin API: a request, with the model's price in cents",
		At: []string{""}, Own: true, Usage: "tokenUsage",
		When: []string{"tokenUsage.inputTokens | tokenUsage.outputTokens", "tokenUsage.totalCents", "timestamp", "userEmail | kind"},
		Columns: []Rule{
			{schemas.EventTime, "timestamp"},
			{schemas.Model, "model"},
			{schemas.UserID, "userEmail"},
			{schemas.InputTokens, "tokenUsage.inputTokens + tokenUsage.cacheReadTokens + tokenUsage.cacheWriteTokens"},
			{schemas.OutputTokens, "tokenUsage.outputTokens"},
			{schemas.CacheReadTokens, "tokenUsage.cacheReadTokens"},
			{schemas.CacheWriteTokens, "tokenUsage.cacheWriteTokens"},
			{schemas.ReportedCostUSD, "tokenUsage.totalCents:e-2"},
		},
		IDOf:  []string{"timestamp", "userEmail", "model"},
		Basis: exclusive, Operation: "chat", Keep: []string{"kind", "chargedCents", "cursorTokenFee"},
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
		Name: "droid.init", Doc: "Factory's Droid: the model of a run",
		At: []string{""}, Own: true, When: []string{"subtype", "cwd", "session_id", "tools", "model", "!mcp_servers", "!permission_mode"},
		Columns: []Rule{{schemas.Model, "model"}, {schemas.SessionID, "session_id"}},
		Ignore:  true, Basis: exclusive, Remember: []schemas.Col{schemas.Model, schemas.SessionID},
	},
	{
		Name: "droid.run", Doc: "Factory's Droid: sums over a run, its only counts",
		At: []string{""}, When: []string{"usage.input_tokens", "usage.output_tokens", "final_text", "num_turns", "session_id"},
		Columns: append([]Rule{{schemas.ReasoningTokens, "usage.thinking_tokens"}}, anthropicColumns...),
		Basis:   exclusive, Operation: "chat", Recall: []schemas.Col{schemas.Model},
		IDOf: []string{"session_id", "timestamp", "duration_ms"}, // a session can have several runs
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
		// forks of a session repeat its lines, with their times
		Name: "kimi.usage", Doc: "Kimi Code: what a request used, counts apart from each other",
		At: []string{""}, Own: true,
		When: []string{"usage.inputOther", "usage.output", "model", "type", "time"},
		Columns: []Rule{
			{schemas.EventTime, "time"},
			{schemas.Model, "model"},
			{schemas.InputTokens, "usage.inputOther + usage.inputCacheRead + usage.inputCacheCreation"},
			{schemas.OutputTokens, "usage.output"},
			{schemas.CacheReadTokens, "usage.inputCacheRead"},
			{schemas.CacheWriteTokens, "usage.inputCacheCreation"},
		},
		Basis: exclusive, Operation: "chat",
		IDOf: []string{"time", "model", "usage.inputOther", "usage.inputCacheRead", "usage.output"},
	},
	{
		Name: "kimi.step", Doc: "Kimi Code: end of a step, whose usage has a line of its own",
		At: []string{""}, When: []string{"event.usage.inputOther", "event.step", "type"}, Ignore: true, Basis: exclusive,
	},
	{
		Name: "swe.trajectory", Doc: "mini-swe-agent's trajectory: answers in its messages",
		At: []string{""}, Own: true, Container: true, When: []string{"messages[].extra.response.usage", "info"},
		Columns: []Rule{{schemas.SessionID, "instance_id"}},
		Basis:   inclusive,
		Parts:   []Part{{Path: "messages[].extra.response", Inherit: []schemas.Col{schemas.SessionID}}},
	},
	{
		// what came of an answer has a line each, which can say its usage again; message.usage does in any case
		Name: "codebuddy.message", Doc: "CodeBuddy or WorkBuddy: an answer, with the usage of its provider",
		At: []string{""}, Own: true, Usage: "providerData.rawUsage",
		When: []string{"providerData.rawUsage.prompt_tokens", "providerData.rawUsage.completion_tokens", "providerData.messageId"},
		Columns: append([]Rule{
			{schemas.EventTime, "timestamp"},
			{schemas.RequestID, "providerData.messageId"},
			{schemas.Model, "providerData.model"},
			{schemas.RequestModel, "providerData.requestModelId"},
			{schemas.SessionID, "sessionId"},
		}, below("providerData.rawUsage", codebuddyCounts)...),
		Basis: inclusive, Operation: "chat",
	},
	sweOld("SWE-agent before version 1: sums over a run, its only counts", sweRun[0], sweRun...),
	sweOld("the same of versions that do not time a run's steps: nothing tells one from another, or that a file goes on", "!"+sweRun[0]),
	{
		// the cost is made of what the provider said, the tokens are of LiteLLM's tokenizer
		Name: "swe.run", Doc: "SWE-agent: what a run cost; its tokens are estimated: it has no counts",
		At: []string{""}, Own: true, Usage: "none", Folded: []string{"replay_config"},
		When: []string{sweTokens + "sent", sweTokens + "received", "!info.model_stats.total_cost", "trajectory"},
		Columns: []Rule{
			{schemas.Model, "replay_config.agent.model.name"},
			{schemas.ReportedCostUSD, "info.model_stats.instance_cost"},
		},
		Keep:  []string{"info.model_stats.api_calls", sweTokens + "sent", sweTokens + "received"},
		Basis: ambiguous, Unsure: true, Operation: "chat", IDOf: sweRun,
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
}

// codebuddyCounts are those of many vendors; of two names for one count the other can be 0.
var codebuddyCounts = []Rule{
	{schemas.InputTokens, "usage.prompt_tokens"},
	{schemas.OutputTokens, "usage.completion_tokens"},
	{schemas.TotalTokens, "usage.total_tokens"},
	{schemas.CacheReadTokens, "usage.prompt_tokens_details.cached_tokens | usage.prompt_cache_hit_tokens | usage.cache_read_input_tokens"},
	{schemas.CacheWriteTokens, "usage.prompt_cache_write_tokens | usage.cache_creation_input_tokens"},
	{schemas.ReasoningTokens, "usage.completion_tokens_details.reasoning_tokens | usage.completion_thinking_tokens"},
}

const sweTokens = "info.model_stats.tokens_"

// sweRun is what tells a run of SWE-agent, whose file is written anew at each step.
var sweRun = []string{"trajectory[0].execution_time", "trajectory[0].response"}

func sweOld(doc, timed string, id ...string) Entry {
	return Entry{
		Name: "swe.run", Doc: doc,
		At: []string{""}, Own: true, Usage: "none",
		When: []string{sweTokens + "sent", sweTokens + "received", "info.model_stats.total_cost", "trajectory", timed},
		Columns: []Rule{
			{schemas.InputTokens, sweTokens + "sent"},
			{schemas.OutputTokens, sweTokens + "received"},
			{schemas.ReportedCostUSD, "info.model_stats.instance_cost"}, // total_cost is that of runs before it, too
		},
		Keep:  []string{"info.model_stats.api_calls"},
		Basis: inclusive, Operation: "chat", IDOf: id,
	}
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
