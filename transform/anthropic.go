package transform

import (
	"slices"

	"usagelake/schemas"
)

// Anthropic counts cache reads and writes apart from the input, and reports no
// total. thinking_tokens are in the output. Fast mode is told by speed, beside a
// service_tier that is the usual one, and has a price of its own.
var anthropicColumns = []Rule{
	{schemas.InputTokens, "usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens"},
	{schemas.OutputTokens, "usage.output_tokens"},
	{schemas.CacheReadTokens, "usage.cache_read_input_tokens"},
	{schemas.CacheWriteTokens, "usage.cache_creation_input_tokens"},
	{schemas.CacheWrite1hTokens, "usage.cache_creation.ephemeral_1h_input_tokens"},
	{schemas.ReasoningTokens, "usage.output_tokens_details.thinking_tokens"},
	{schemas.WebSearchRequests, "usage.server_tool_use.web_search_requests"},
	{schemas.ServiceTier, "usage.speed:except=standard | usage.service_tier"},
	{schemas.Region, "usage.inference_geo"},
	{schemas.ReportedCostUSD, "usage.cost"},
}

// iterations are calls that the usage around them leaves out: compaction of the
// context, advisors, which are other models, and attempts of models that declined
// before the one answered that the usage is of. A stream begins with the first of
// these, whose id and model are the same. What the usage does sum up is listed, too.
var iterations = []Part{
	{Path: "usage.iterations[]", Entry: "anthropic.iteration", ID: "#iteration", Inherit: iterationInherit},
	{Path: "usage.iterations[type=message]", Entry: "anthropic.attempt", ID: "#attempt", Inherit: iterationInherit, Unlike: fallbackModel},
}

var iterationInherit = []schemas.Col{
	schemas.RequestID, schemas.TransportID, schemas.Model, schemas.Provider, schemas.SessionID, schemas.UserID, schemas.ProjectID,
	schemas.TeamID, schemas.APIKeyID, schemas.ServiceTier, schemas.Region,
}

// fallbackModel is the model that answered where another had declined.
const fallbackModel = "usage.iterations[type=fallback_message].model"

var anthropicStart = []schemas.Col{
	schemas.RequestID, schemas.Model, schemas.ServiceTier, schemas.Region,
	schemas.InputTokens, schemas.CacheReadTokens, schemas.CacheWriteTokens, schemas.CacheWrite1hTokens,
}

// anthropicAt are the places of a Messages answer.
var anthropicAt = []string{"", "response.body", "modelOutput", "response", "body", "result", "result.message", "message"}

var anthropicEntries = []Entry{
	{
		Name: "anthropic.iteration", Doc: "compaction or advisor call within a Messages answer",
		At: []string{"bare"}, Named: true, Own: true,
		When:   []string{"usage.input_tokens", "usage.output_tokens"},
		Unless: []string{"type=message|fallback_message"},
		Columns: append([]Rule{
			{schemas.Model, "model"},
			{schemas.Operation, "type"},
		}, anthropicColumns...),
		Basis: "exclusive", Key: modelKey,
	},
	{
		// one without output is not billed
		Name: "anthropic.attempt", Doc: "what a model put out before it declined, and another answered",
		At: []string{"bare"}, Named: true, Own: true,
		When:    []string{"usage.input_tokens", "usage.output_tokens"},
		Unless:  []string{"output_tokens=0"},
		Columns: append([]Rule{{schemas.Model, "model"}}, anthropicColumns...),
		Basis:   "exclusive", Operation: "chat", Key: modelKey,
	},
	{
		Name: "anthropic.stream", Doc: "Messages stream event message_start",
		At:      []string{"message"},
		When:    []string{"usage.input_tokens", "usage.output_tokens", "role", "^type", "!usage.prompt_tokens", "!^uuid", "!^session_id"},
		Columns: append([]Rule{{schemas.RequestID, "id"}}, anthropicColumns...),
		Basis:   "exclusive", Operation: "chat", Key: modelKey,
		Remember: anthropicStart, Parts: iterations,
	},
	{
		Name: "anthropic.stream", Doc: "Messages stream event that tells which model goes on where one declined",
		At: []string{""}, Own: true, When: []string{"content_block.from.model", "content_block.to.model"},
		Columns: []Rule{{schemas.Model, "content_block.to.model"}},
		Basis:   "exclusive", Ignore: true, Remember: []schemas.Col{schemas.Model},
	},
	{
		Name: "anthropic.stream", Doc: "Messages stream event message_delta: the counts so far, for the message begun before",
		At:   []string{""},
		When: []string{"usage.output_tokens", "delta", "type", "!usage.prompt_tokens", "!usage.total_tokens"},
		// the id of an envelope is that of the event or of the request, not the message's
		Columns: slices.Concat([]Rule{
			{schemas.EventTime, envelopeTime},
			{schemas.RequestID, "^message_id"},
			{schemas.Model, fallbackModel + " | ^model"},
		}, anthropicColumns, slices.DeleteFunc(slices.Clone(common), func(r Rule) bool { return r.Col == schemas.RequestID })),
		Basis: "exclusive", Operation: "chat", Key: modelKey, Own: true, EnvelopeTime: true,
		Recall: anthropicStart, Parts: iterations,
	},
	{
		Name: "anthropic.messages", Doc: "line of a run of Claude Code",
		At: []string{"message"},
		When: []string{
			"usage.input_tokens", "usage.output_tokens", "!usage.prompt_tokens", "!usage.total_tokens", "id", "role",
			"^session_id", "^uuid", "!^cwd", "!^parent_uuid",
		},
		Columns: anthropicColumns, Basis: "exclusive", Operation: "chat", Key: modelKey, Payload: "content",
		Parts: iterations, Unless: []string{"model=<synthetic>"}, Remember: []schemas.Col{schemas.SessionID},
	},
	{
		Name: "anthropic.messages", Doc: "Messages API answer with iterations of its own",
		At:      anthropicAt,
		When:    []string{"usage.input_tokens", "usage.output_tokens", "usage.iterations", "!usage.prompt_tokens", "!usage.total_tokens"},
		Columns: anthropicColumns, Basis: "exclusive", Operation: "chat", Key: modelKey, Payload: "content",
		Parts: iterations, Unless: []string{"model=<synthetic>"},
	},
	{
		Name: "anthropic.session", Doc: "session of Managed Agents: sums over its requests; cache writes are told by their lifetimes only",
		At: anthropicAt,
		When: []string{
			"usage.input_tokens", "usage.output_tokens", "usage.cache_creation.ephemeral_5m_input_tokens", "usage.cache_read_input_tokens",
			"!usage.cache_creation_input_tokens", "!usage.prompt_tokens", "!usage.total_tokens", "!content", "!stop_reason",
		},
		Columns: append([]Rule{
			{schemas.Model, "agent.model.id | agent.model"},
			{schemas.SessionID, "id"},
			{schemas.InputTokens, "usage.input_tokens + usage.cache_creation.ephemeral_5m_input_tokens + " +
				"usage.cache_creation.ephemeral_1h_input_tokens + usage.cache_read_input_tokens"},
			{schemas.CacheWriteTokens, "usage.cache_creation.ephemeral_5m_input_tokens + usage.cache_creation.ephemeral_1h_input_tokens"},
		}, anthropicColumns...),
		Basis: "exclusive", Operation: "agent_session", Key: modelKey,
	},
	{
		Name: "anthropic.messages", Doc: "Messages API answer, batch result, or line of a Claude Code session",
		At: anthropicAt,
		When: []string{
			"usage.input_tokens", "usage.output_tokens", "!usage.prompt_tokens", "!usage.total_tokens",
			"usage.cache_creation_input_tokens | usage.cache_read_input_tokens | usage.cache_creation | stop_reason | stop_sequence | role",
		},
		Columns: anthropicColumns, Basis: "exclusive", Operation: "chat", Key: modelKey, Payload: "content",
		Unless: []string{"model=<synthetic>"},
	},
	{
		Name: "anthropic.messages", Doc: "counts of Messages as members of a line, as early Claude Code wrote them",
		At:      []string{"bare"},
		When:    []string{"usage.input_tokens", "usage.output_tokens", "usage.cache_creation_input_tokens | usage.cache_read_input_tokens", "!usage.total_tokens"},
		Columns: anthropicColumns, Basis: "exclusive", Operation: "chat", Key: modelKey,
		Unless: []string{"model=<synthetic>"},
	},
}
