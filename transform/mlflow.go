package transform

import (
	"strings"

	"usagelake/schemas"
)

// mlflowEntries are MLflow's traces. Attributes of its spans are JSON as text, texts too. What a
// trace says of its usage sums up its spans.
var mlflowEntries = []Entry{
	mlflowTrace("MLflow's trace with its spans", "data.spans[]", "info."),
	mlflowTrace("row of MLflow's data frame of traces", "spans[]", ""),
	mlflowTrace("answer of an agent that Databricks serves, with its trace", "databricks_output.trace.data.spans[]", "databricks_output.trace.info."),
	mlflowSpan("MLflow's span", mapped),
}

// mlflowTrace is a trace with spans at a path, which says of itself below another.
func mlflowTrace(doc, spans, info string) Entry {
	said := info + `trace_metadata.`
	return Entry{
		Name: "mlflow.trace", Doc: doc,
		At: []string{""}, Own: true, Container: true, Wraps: true, Basis: ambiguous,
		When: []string{spans + `.attributes."mlflow.spanType" | ` + spans + `.attributes."mlflow.traceRequestId"`, "!usage"},
		Columns: []Rule{
			{schemas.EventTime, info + "request_time | " + info + "timestamp_ms"},
			{schemas.ProjectID, info + "trace_location.mlflow_experiment.experiment_id | " + info + "experiment_id"},
			{schemas.UserID, said + `"mlflow.trace.user"`},
			{schemas.SessionID, said + `"mlflow.trace.session"`},
		},
		Parts: []Part{{
			Path: spans, Tree: [2]string{"span_id/context.span_id", "parent_span_id/parent_id"},
			Inherit: []schemas.Col{schemas.ProjectID, schemas.UserID, schemas.SessionID},
		}},
	}
}

// mlflowSpan is a span of a call. Integrations differ in whether the cache is in the input.
func mlflowSpan(doc string, at attribute) Entry {
	usage, cost := at.text("mlflow.chat.tokenUsage"), at.text("mlflow.llm.cost")
	return Entry{
		Name: "mlflow.span", Doc: doc,
		At: []string{""}, Own: true, Usage: usage, Folded: []string{usage, cost},
		When: []string{usage},
		Columns: []Rule{
			{schemas.EventTime, spanTime},
			{schemas.RequestID, at.inJSON("gen_ai.response.id") + " | " + spanID},
			{schemas.TransportID, spanTrace},
			{schemas.Provider, at.inJSON("mlflow.llm.provider", "gen_ai.provider.name", "gen_ai.system")},
			{schemas.Model, at.inJSON("gen_ai.response.model", "mlflow.llm.model", "gen_ai.request.model", "model")},
			{schemas.ErrorCode, spanError},
			{schemas.InputTokens, usage + ".input_tokens"},
			{schemas.OutputTokens, usage + ".output_tokens"},
			{schemas.TotalTokens, usage + ".total_tokens"},
			{schemas.CacheReadTokens, usage + ".cache_read_input_tokens"},
			{schemas.CacheWriteTokens, usage + ".cache_creation_input_tokens"},
			{schemas.ReportedCostUSD, cost + ".total_cost"},
		},
		Basis: ambiguous, Operation: "chat",
	}
}

// inJSON is the first of some attributes that hold a text as JSON.
func (at attribute) inJSON(names ...string) string {
	return strings.ReplaceAll(at.text(names...), " | ", ":json | ") + ":json"
}
