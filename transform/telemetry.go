package transform

import (
	"slices"
	"strings"

	"usagelake/schemas"
)

// telemetryEntries are OpenTelemetry's spans and logs, in all the forms that
// attributes are written in, and the objects of SDKs in programs' own logs.
var telemetryEntries = slices.Concat([]Entry{
	{
		Name: "otel.export", Doc: "OTLP traces, one request of an exporter a line",
		At: []string{""}, Own: true, Container: true, When: []string{"resourceSpans"}, Basis: inclusive,
		Parts: []Part{{Path: "resourceSpans[]", Entry: "otel.resource"}},
	},
	{
		Name: "otel.export", Doc: "OTLP logs, one request of an exporter a line",
		At: []string{""}, Own: true, Container: true, When: []string{"resourceLogs"}, Basis: inclusive,
		Parts: []Part{{Path: "resourceLogs[]", Entry: "otel.resource"}},
	},
	{
		Name: "otel.export", Doc: "trace of Tempo's API",
		At: []string{""}, Own: true, Container: true, Basis: inclusive,
		When:  []string{"batches[].scopeSpans | batches[].instrumentationLibrarySpans"},
		Parts: []Part{{Path: "batches[]", Entry: "otel.resource"}},
	},
	{
		Name: "otel.export", Doc: "trace of Tempo's API, as it has it since version 2",
		At: []string{""}, Own: true, Container: true, When: []string{"trace.resourceSpans"}, Basis: inclusive,
		Parts: []Part{{Path: "trace.resourceSpans[]", Entry: "otel.resource"}},
	},
	{
		Name: "otel.export", Doc: "traces of Jaeger's API",
		At: []string{""}, Own: true, Container: true, When: []string{"data[].spans[].spanID"}, Basis: inclusive,
		Parts: []Part{{Path: "data[].spans[]", Zero: true, Tree: jaegerTree}},
	},
	{
		Name: "otel.export", Doc: "one trace of Jaeger",
		At: []string{""}, Own: true, Container: true, When: []string{"spans[].spanID", "traceID"}, Basis: inclusive,
		Parts: []Part{{Path: "spans[]", Zero: true, Tree: jaegerTree}},
	},
	{
		Name: "otel.metrics", Doc: "OTLP metrics: sums over calls",
		At: []string{""}, When: []string{"resourceMetrics"}, Ignore: true, Basis: inclusive,
	},
	{
		Name: "otel.resource", Doc: "what one program sent",
		At: []string{""}, Own: true, Container: true, Named: true,
		When:    []string{"scopeSpans | scopeLogs | instrumentationLibrarySpans"},
		Columns: []Rule{{schemas.ProjectID, "resource.attributes[key=service.name].value.stringValue"}},
		Basis:   inclusive,
		Parts: []Part{
			{Path: "scopeSpans[].spans[]", Inherit: otelInherit, Zero: true, Tree: otelTree},
			{Path: "instrumentationLibrarySpans[].spans[]", Inherit: otelInherit, Zero: true, Tree: otelTree},
			{Path: "scopeLogs[].logRecords[]", Inherit: otelInherit, Zero: true},
		},
	},
}, eventEntries, mlflowEntries,
	adkSpans("span of the Agent Development Kit over OTLP", listed),
	adkSpans("the same with a map of attributes", mapped),
	otelSpans("span or log record of OTLP", listed, true),
	otelSpans("span of an SDK's exporter, with a map of attributes", mapped, true),
	otelSpans("span of Jaeger", tagged, true),
	otelSpans("row of Phoenix's data frame of spans", dotted, true),
	otelSpans("attributes as members of a line", flat, false),
	otelSpans("attributes as objects within each other", nested, false),
	[]Entry{
		langfuseSpan("span of Langfuse's SDK over OTLP, with counts as JSON text", listed),
		langfuseSpan("the same with a map of attributes", mapped),
		langfuseSpan("the same of Jaeger", tagged),
		mlflowSpan("MLflow's span over OTLP, where it says no more", listed),
	},
	sizes(listed), sizes(mapped),
)

var (
	otelInherit = []schemas.Col{schemas.ProjectID}
	otelTree    = [2]string{"spanId", "parentSpanId"}
	jaegerTree  = [2]string{"spanID", "references[].spanID"}
)

// attribute is the path of a span's attribute in a form of attributes.
type attribute func(name string, kinds ...string) string

// listed is OTLP's list of keys and values; kinds are the types of a value.
func listed(name string, kinds ...string) string {
	var all []string
	for _, k := range kinds {
		all = append(all, "attributes[key="+name+"].value."+k)
	}
	return strings.Join(all, " | ")
}

func mapped(name string, _ ...string) string { return `attributes."` + name + `"` }

// tagged is Jaeger's list of keys and values.
func tagged(name string, _ ...string) string { return "tags[key=" + name + "].value" }

// dotted is a column of a data frame.
func dotted(name string, _ ...string) string { return `"attributes.` + name + `"` }

func flat(name string, _ ...string) string { return `"` + name + `"` }

func nested(name string, _ ...string) string { return name }

// count is the first of some attributes that hold numbers.
func (at attribute) count(names ...string) string {
	return at.first(names, "intValue", "doubleValue", "stringValue")
}

// sum is that of some attributes, which are all of one type.
func (at attribute) sum(names ...string) string {
	var all []string
	for _, kind := range []string{"intValue", "doubleValue", "stringValue"} {
		var sum []string
		for _, n := range names {
			sum = append(sum, at(n, kind))
		}
		all = append(all, strings.Join(sum, " + "))
	}
	return strings.Join(all, " | ")
}

func (at attribute) text(names ...string) string { return at.first(names, "stringValue") }

func (at attribute) first(names []string, kinds ...string) string {
	var all []string
	for _, n := range names {
		all = append(all, at(n, kinds...))
	}
	return strings.Join(all, " | ")
}

// What a span says beside its attributes, as exporters write it.
const (
	spanTime = "startTimeUnixNano | timeUnixNano | observedTimeUnixNano | start_time_unix_nano | start_time | " +
		"startTime[0] | hrTime[0] | timestamp | \"@timestamp\" | time | date"
	spanID    = "span_id | spanID | context.span_id | \"context.span_id\" | spanContext.spanId | _spanContext.spanId | id"
	spanTrace = "trace_id | traceID | context.trace_id | \"context.trace_id\" | spanContext.traceId | _spanContext.traceId"
	spanError = "status.code:except=0,1,OK,UNSET,STATUS_CODE_OK,STATUS_CODE_UNSET | status.status_code:except=OK,UNSET | " +
		"status_code:except=OK,UNSET"
)

var (
	otelInput = []string{
		"gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt", "llm.usage.prompt_tokens",
		"ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens",
	}
	otelOutput = []string{
		"gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion", "llm.usage.completion_tokens",
		"ai.usage.outputTokens", "ai.usage.completionTokens",
	}
)

// otelSpans are the spans of a form of attributes.
func otelSpans(doc string, at attribute, own bool) []Entry {
	counted := at.count("gen_ai.usage.input_tokens") + " | " + at.count("gen_ai.usage.output_tokens")
	return []Entry{
		{
			Name: "otel.agent", Doc: "span of a run of an agent, which sums up its requests",
			At:     []string{""},
			When:   []string{at.count("gen_ai.aggregated_usage.input_tokens") + " | " + at.count("gen_ai.aggregated_usage.output_tokens")},
			Ignore: true, Basis: ambiguous,
		},
		{
			Name: "otel.agent", Doc: "the same of Pydantic AI before it had names of operations",
			At: []string{""},
			When: []string{
				counted, at.text("agent_name"), at.text("model_name"), at.text("logfire.msg"),
				"!" + at.text("gen_ai.request.model"), "!" + at.text("gen_ai.operation.name"),
			},
			Ignore: true, Basis: ambiguous,
		},
		otelSpan(doc, at, own),
	}
}

// adkSpans are the two spans that the Agent Development Kit has of a request: its own, and
// one of its service within that, which ends before and which early versions do not have.
func adkSpans(doc string, at attribute) []Entry {
	within, around := otelSpan("request in a "+doc, at, true), otelSpan("call_llm in a "+doc+", a call where no request of the session is before", at, true)
	within.When = append(within.When, at.text("gcp.vertex.agent.event_id"), "!"+at.text("gcp.vertex.agent.llm_request"))
	within.Of, within.Remember = schemas.SessionID, []schemas.Col{schemas.SessionID}
	around.When = append(around.When, at.text("gcp.vertex.agent.llm_request"))
	around.Columns = append([]Rule{{schemas.SessionID, at.text("gcp.vertex.agent.session_id")}}, around.Columns...)
	around.Sums = schemas.SessionID
	return []Entry{within, around}
}

// otelSpan is a span, or a log record like one. Counts of several conventions
// say the same; cache and reasoning tokens should be in the totals, and are not
// everywhere. Spans of agents, chains and tools sum up those below them.
func otelSpan(doc string, at attribute, own bool) Entry {
	when := "startTimeUnixNano"
	if own {
		when = spanTime
	}
	return Entry{
		Name: "otel.span", Doc: doc, At: []string{""}, Own: own, Usage: "none",
		When: []string{at.count(otelInput...) + " | " + at.count(otelOutput...)},
		Unless: []string{
			"name=ai.generateText|ai.streamText|ai.workflowAgent.stream|ai.generateObject|ai.streamObject|ai.embed|ai.embedMany|ai.toolCall",
			at.text("gen_ai.operation.name") + "=invoke_agent|create_agent|execute_tool|invoke_workflow|" +
				"agent|chain|workflow|task|execute_task|team",
			"span_kind=CHAIN|AGENT|TOOL|RETRIEVER|RERANKER|GUARDRAIL|EVALUATOR",
			at.text("openinference.span.kind") + "=CHAIN|AGENT|TOOL|RETRIEVER|RERANKER|GUARDRAIL|EVALUATOR",
			at.text("traceloop.span.kind") + "=workflow|task|agent|tool",
			at.text("langsmith.span.kind") + "=chain|tool|retriever|prompt|parser",
		},
		Columns: []Rule{
			{schemas.EventTime, when},
			{schemas.RequestID, at.text("gen_ai.response.id", "ai.response.id") + " | " + spanID},
			{schemas.TransportID, spanTrace},
			{schemas.Operation, at.text("gen_ai.operation.name", "llm.request.type")},
			{schemas.Provider, at.text("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider")},
			{schemas.Model, at.text("gen_ai.response.model", "ai.response.model", "llm.response.model", "llm.model_name", "gen_ai.request.model", "ai.model.id",
				"langfuse.observation.model.name")},
			{schemas.RequestModel, at.text("gen_ai.request.model", "llm.request.model", "ai.model.id")},
			{schemas.ServiceTier, at.text("openai.response.service_tier", "gen_ai.openai.response.service_tier")},
			{
				schemas.ErrorCode,
				at.text("error.type") + " | " + spanError,
			},
			{schemas.ProjectID, "resource.attributes.\"service.name\" | \"service.name\" | process.serviceName"},
			{schemas.UserID, at.text("user.id", "enduser.id", "langfuse.user.id", "traceloop.association.properties.user_id")},
			{
				schemas.SessionID,
				at.text("gen_ai.conversation.id", "session.id", "langfuse.session.id", "traceloop.association.properties.session_id"),
			},
			{schemas.InputTokens, at.count(otelInput...)},
			{schemas.OutputTokens, at.count(otelOutput...)},
			{schemas.TotalTokens, at.count("gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total", "ai.usage.totalTokens")},
			{
				schemas.CacheReadTokens, at.count("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
					"gen_ai.usage.cached_input_tokens", "gen_ai.usage.cache_read_tokens", "gen_ai.usage.input_tokens.cached", "gen_ai.usage.details.cache_read_tokens", "gen_ai.usage.details.cache_read_input_tokens",
					"gen_ai.usage.details.cached_tokens", "llm.token_count.prompt_details.cache_read", "ai.usage.cachedInputTokens",
					"ai.usage.inputTokenDetails.cacheReadTokens"),
			},
			{
				schemas.CacheWriteTokens, at.count("gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens",
					"gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_write_input_tokens", "gen_ai.usage.cache_write_tokens", "gen_ai.usage.cache_creation_tokens",
					"gen_ai.usage.input_tokens.cache_write",
					"gen_ai.usage.details.cache_write_tokens", "gen_ai.usage.details.cache_creation_input_tokens",
					"llm.token_count.prompt_details.cache_write", "ai.usage.inputTokenDetails.cacheWriteTokens"),
			},
			{schemas.InputAudioTokens, at.count("gen_ai.usage.details.input_audio_tokens", "llm.token_count.prompt_details.audio")},
			{schemas.OutputAudioTokens, at.count("gen_ai.usage.details.output_audio_tokens", "llm.token_count.completion_details.audio")},
			{
				schemas.ReasoningTokens, at.count("gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "gen_ai.usage.output_tokens.reasoning",
					"gen_ai.usage.details.reasoning_tokens", "llm.usage.reasoning_tokens", "llm.token_count.completion_details.reasoning",
					"ai.usage.reasoningTokens", "ai.usage.outputTokenDetails.reasoningTokens"),
			},
			{
				schemas.ReportedCostUSD, at.first([]string{"gen_ai.usage.cost", "gen_ai.usage.total_cost", "llm.cost.total", "operation.cost"}, "doubleValue", "intValue", "stringValue") +
					" | " + at("gen_ai.usage.cost_in_usd_ticks", "intValue") + ":e-10",
			},
			{schemas.DurationMs, at.count("ai.response.msToFinish") + " | duration_ms"},
			{schemas.TimeToFirstTokenMs, at.count("ai.response.msToFirstChunk")},
		},
		Basis: ambiguous, Operation: "chat",
	}
}
