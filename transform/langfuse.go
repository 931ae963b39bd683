package transform

import (
	"slices"
	"strings"

	"usagelake/schemas"
)

// langfuseEntries are Langfuse's exports. Observations that are no generation
// can sum up those below them.
var langfuseEntries = []Entry{
	{
		Name: "langfuse.trace", Doc: "Langfuse trace export with its observations",
		At: []string{""}, Own: true, Container: true,
		When: []string{"trace.id", "observations"},
		Columns: []Rule{
			{schemas.EventTime, "trace.timestamp"},
			{schemas.ProjectID, "trace.project_id"},
			{schemas.UserID, "trace.user_id"},
			{schemas.SessionID, "trace.session_id"},
			{schemas.Tags, "trace.tags"},
		},
		Basis: ambiguous, Parts: langfuseParts,
	},
	{
		Name: "langfuse.trace", Doc: "Langfuse trace of the API with its observations",
		At: []string{""}, Own: true, Container: true,
		When: []string{"observations", "id", "timestamp", "tags | html_path | environment | total_cost"},
		Columns: []Rule{
			{schemas.EventTime, "timestamp"},
			{schemas.ProjectID, "project_id"},
			{schemas.UserID, "user_id"},
			{schemas.SessionID, "session_id"},
			{schemas.Tags, "tags"},
		},
		Basis: ambiguous, Parts: langfuseParts,
	},
	langfuseObservation("usageDetails"),
	langfuseObservation("usage_details"),
	{
		Name: "langfuse.observation", Doc: "Langfuse observation, with usage as it was before usageDetails",
		At: []string{""}, Own: true,
		When: []string{
			"trace_id", "start_time", "type", "usage.input | usage.output | usage.total", "!usage_details",
		},
		Unless: []string{noGeneration, "usage.unit=CHARACTERS|MILLISECONDS|SECONDS|IMAGES|REQUESTS"},
		Columns: append([]Rule{
			{schemas.InputTokens, "usage.input"},
			{schemas.OutputTokens, "usage.output"},
			{schemas.TotalTokens, "usage.total"},
			{schemas.ReportedCostUSD, "calculated_total_cost | total_cost | usage.total_cost"},
		}, langfuseColumns...),
		Basis: inclusive, Operation: "chat",
	},
	langfuseAnalytics("properties."),
	langfuseAnalytics(""),
	{
		Name: "langfuse.batch", Doc: "Langfuse: what an SDK sends at once",
		At: []string{""}, Own: true, Container: true, When: []string{"batch[].body.id", "batch[].type"},
		Basis: ambiguous, Parts: []Part{{Path: "batch[]", Entry: "langfuse.ingestion"}},
	},
	langfuseIngestion("usageDetails", "body.usageDetails"),
	langfuseIngestion("usage",
		"body.usage.input | body.usage.output | body.usage.total | body.usage.prompt_tokens | body.usage.completion_tokens | body.usage.total_tokens"),
	{
		Name: "langfuse.ingestion", Doc: "event of Langfuse's ingestion without usage: of a call that begins, or of no call",
		At:      []string{""},
		When:    []string{"id", "type", "timestamp", "body.id", langfuseOwn + " | body.timestamp", "!body.usage", "!body.usage_metadata"},
		Columns: []Rule{{schemas.RequestID, "body.id"}, {schemas.Model, "body.model"}},
		Ignore:  true, Own: true, Basis: ambiguous, Of: schemas.RequestID, Remember: langfuseNamed,
	},
	{
		Name: "langfuse.event", Doc: "Langfuse observation of before usageDetails, without usage",
		At:     []string{""},
		When:   []string{"trace_id", "start_time", "type", "usage.unit | unit"},
		Ignore: true, Basis: inclusive,
	},
}

const (
	notGenerations = "SPAN|EVENT|AGENT|TOOL|CHAIN|RETRIEVER|GUARDRAIL|EVALUATOR"
	noGeneration   = "type=" + notGenerations
)

var langfuseParts = []Part{{
	Path: "observations[]", Entry: "langfuse.observation", Zero: true, Tree: [2]string{"id", "parent_observation_id"},
	Inherit: []schemas.Col{schemas.ProjectID, schemas.UserID, schemas.SessionID, schemas.Tags},
}}

var langfuseColumns = []Rule{
	{schemas.EventTime, "start_time:utc"},
	{schemas.RequestID, "id"},
	{schemas.TransportID, "trace_id"},
	{schemas.Operation, "type:except=GENERATION"},
	{schemas.Model, "provided_model_name | model"},
	{schemas.ErrorCode, "level:except=DEFAULT,DEBUG,WARNING"},
	{schemas.ProjectID, "project_id"},
	{schemas.UserID, "user_id"},
	{schemas.SessionID, "session_id"},
	{schemas.Tags, "tags"},
	{schemas.DurationMs, "latency:e3"},
	{schemas.TimeToFirstTokenMs, "time_to_first_token:e3"},
}

// langfuseObservation is an observation with a map of counts under usage, whose
// keys are as programs sent them. Langfuse's own are disjoint, others need not
// be: the total tells.
func langfuseObservation(usage string) Entry {
	return Entry{
		Name: "langfuse.observation", Doc: "Langfuse observation of the API or of a blob storage export",
		At: []string{""}, Own: true, Usage: usage,
		When:   []string{"trace_id", "start_time", "type", usage},
		Unless: []string{noGeneration},
		Columns: slices.Concat(langfuseCounts(usage), []Rule{
			{schemas.ReportedCostUSD, "cost_details.total | calculated_total_cost | total_cost"},
		}, langfuseColumns),
		Basis: ambiguous, Operation: "chat",
	}
}

// langfuseOwn is what only Langfuse has below a body.
const langfuseOwn = "body.trace_id | body.start_time | body.end_time | body.completion_start_time | body.parent_observation_id"

// langfuseIngestion is an event that makes an observation or changes it, as Langfuse's servers
// keep them, too. Those of one are copies of one call; its model need not be in each, and is
// that of the one before.
func langfuseIngestion(usage, when string) Entry {
	var others []string
	for kind := range strings.SplitSeq(strings.ToLower(notGenerations), "|") {
		others = append(others, kind+"-create", kind+"-update")
	}
	return Entry{
		Name: "langfuse.ingestion", Doc: "event of Langfuse's ingestion that says the usage of an observation",
		At: []string{""}, Own: true, Usage: "body." + usage,
		When: []string{"id", "type", "timestamp", "body.id", when, langfuseOwn},
		Unless: []string{
			"type=" + strings.Join(others, "|"), "body." + noGeneration, "body.usage.unit=CHARACTERS|MILLISECONDS|SECONDS|IMAGES|REQUESTS",
		},
		Columns: slices.Concat(langfuseCounts("body."+usage), []Rule{
			{schemas.EventTime, "body.start_time:utc | timestamp:utc"},
			{schemas.RequestID, "body.id"},
			{schemas.TransportID, "body.trace_id"},
			{schemas.Operation, "body.type:except=GENERATION"},
			{schemas.Model, "body.model"},
			{schemas.ErrorCode, "body.level:except=DEFAULT,DEBUG,WARNING"},
			{schemas.ReportedCostUSD, "body.cost_details.total | body.usage.total_cost"},
		}),
		Basis: ambiguous, Operation: "chat", Of: schemas.RequestID, Remember: langfuseNamed, Recall: langfuseNamed,
	}
}

var langfuseNamed = []schemas.Col{schemas.Model}

// langfuseSpan is an observation as the SDK sends it. Its id is that of Langfuse's exports.
func langfuseSpan(doc string, at attribute) Entry {
	usage, cost := at.text("langfuse.observation.usage_details"), at.text("langfuse.observation.cost_details")
	return Entry{
		Name: "langfuse.observation", Doc: doc,
		At: []string{""}, Own: true, Usage: usage, Folded: []string{usage, cost},
		When:   []string{usage},
		Unless: []string{at.text("langfuse.observation.type") + "=" + strings.ToLower(notGenerations)},
		Columns: slices.Concat(langfuseCounts(usage), []Rule{
			{schemas.EventTime, spanTime},
			{schemas.RequestID, spanID},
			{schemas.TransportID, spanTrace},
			{schemas.Operation, at.text("langfuse.observation.type") + ":except=generation"},
			{schemas.Model, at.text("langfuse.observation.model.name")},
			{schemas.ErrorCode, at.text("langfuse.observation.level") + ":except=DEFAULT,DEBUG,WARNING | " + spanError},
			{schemas.UserID, at.text("user.id", "langfuse.user.id")},
			{schemas.SessionID, at.text("session.id", "langfuse.session.id")},
			{schemas.ReportedCostUSD, cost + ".total"},
		}),
		Basis: ambiguous, Operation: "chat",
	}
}

// langfuseCounts are the counts of a map at a path.
func langfuseCounts(usage string) []Rule {
	of := func(keys ...string) string {
		var text string
		for _, k := range keys {
			if text != "" {
				text += " | "
			}
			text += usage + "." + k
		}
		return text
	}
	return []Rule{
		{schemas.InputTokens, of("input + " + usage + ".input_audio_tokens + " + usage + ".input_audio")},
		{schemas.InputTokens, of("input_tokens", "prompt_tokens", "promptTokens", "inputTokens")},
		{schemas.OutputTokens, of("output + " + usage + ".output_audio_tokens + " + usage + ".output_audio")},
		{schemas.OutputTokens, of("output_tokens", "completion_tokens", "completionTokens", "outputTokens")},
		{schemas.TotalTokens, of("total", "total_tokens", "totalTokens")},
		{schemas.CacheReadTokens, of("input_cached_tokens", "input_cache_read", "cache_read_input_tokens", "input_cached", "cachedInputTokens", "input_token_details.cache_read",
			"prompt_tokens_details.cached_tokens", "input_tokens_details.cached_tokens")},
		{schemas.CacheWriteTokens, of("input_cache_creation", "cache_creation_input_tokens", "input_cache_write", "input_cache_creation_tokens", "input_token_details.cache_creation")},
		{schemas.InputAudioTokens, of("input_audio_tokens", "input_audio", "prompt_tokens_details.audio_tokens")},
		{schemas.OutputAudioTokens, of("output_audio_tokens", "output_audio", "completion_tokens_details.audio_tokens")},
		{schemas.ReasoningTokens, of("output_reasoning_tokens", "output_reasoning", "reasoning_tokens", "reasoningTokens", "output_token_details.reasoning",
			"completion_tokens_details.reasoning_tokens", "output_tokens_details.reasoning_tokens")},
		{schemas.AcceptedPredictionTokens, of("completion_tokens_details.accepted_prediction_tokens")},
		{schemas.RejectedPredictionTokens, of("completion_tokens_details.rejected_prediction_tokens")},
	}
}

// langfuseAnalytics is what Langfuse sends to PostHog and Mixpanel. For a long
// time it had all tokens in place of the input's, and dollars in place of all
// tokens; a row does not say from when it is.
func langfuseAnalytics(at string) Entry {
	const doc = "Langfuse's analytics export: its input and total cannot be told apart from what older ones had there"
	return Entry{
		Name: "langfuse.analytics", Doc: doc,
		At: []string{""}, Own: true,
		When: []string{at + "langfuse_id", at + "langfuse_output_units", at + "langfuse_total_units"},
		Columns: []Rule{
			{schemas.EventTime, at + "timestamp:utc | timestamp:utc | " + at + "time"},
			{schemas.RequestID, at + "langfuse_id"},
			{schemas.TransportID, at + "langfuse_trace_id"},
			{schemas.Model, at + "langfuse_model"},
			{schemas.ErrorCode, at + "langfuse_level:except=DEFAULT,DEBUG,WARNING"},
			{schemas.ProjectID, at + "langfuse_project_id"},
			{schemas.UserID, at + "langfuse_user_id:except=langfuse_unknown_user"},
			{schemas.SessionID, at + "langfuse_session_id"},
			{schemas.Tags, at + "langfuse_tags"},
			{schemas.OutputTokens, at + "langfuse_output_units"},
			{schemas.ReportedCostUSD, at + "langfuse_cost_usd"},
			{schemas.DurationMs, at + "langfuse_latency:e3"},
		},
		Keep:  []string{at + "langfuse_input_units", at + "langfuse_total_units"},
		Basis: ambiguous, Unsure: true, Operation: "chat",
	}
}
