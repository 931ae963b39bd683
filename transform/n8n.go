package transform

import "usagelake/schemas"

// n8nEntries are executions of workflows of n8n. The node of a language model has a run for each
// call, with counts, or with an estimate from characters where its provider said none. A run of
// another node that speaks of tokens is nobody's: it can pass on what others said.
var n8nEntries = []Entry{
	n8nExecution("n8n's execution of a workflow", "data.resultData.runData"),
	n8nExecution("data of n8n's execution of a workflow", "resultData.runData"),
	{
		Name: "n8n.run", Doc: "run of a node of a language model",
		At: []string{""}, Named: true, Own: true, Container: true, When: []string{"data.ai_languageModel"},
		Columns: []Rule{
			{schemas.EventTime, "startTime"},
			{schemas.Model, "inputOverride.ai_languageModel[][].json.options.model"},
			{schemas.RequestModel, "inputOverride.ai_languageModel[][].json.options.model"},
			{schemas.DurationMs, "executionTime"},
		},
		Basis: ambiguous,
		Parts: []Part{{
			Path: "data.ai_languageModel[][].json", Entry: "n8n.call", ID: "#call", Zero: true,
			Inherit: []schemas.Col{schemas.RequestID, schemas.ProjectID, schemas.Model, schemas.RequestModel, schemas.DurationMs},
		}},
	},
	{
		Name: "n8n.run", Doc: "run of an agent, which sums up the calls of its models",
		At: []string{""}, Named: true, When: []string{"metadata.tokenUsage"}, Ignore: true, Basis: ambiguous,
	},
	{
		Name: "n8n.call", Doc: "call of a language model",
		At: []string{""}, Named: true, Own: true, Usage: "tokenUsage", When: []string{"response.generations", "tokenUsage.completionTokens"},
		Columns: []Rule{
			{schemas.Model, n8nModel},
			{schemas.InputTokens, "tokenUsage.promptTokens"},
			{schemas.OutputTokens, "tokenUsage.completionTokens"},
			{schemas.TotalTokens, "tokenUsage.totalTokens"},
		},
		Basis: ambiguous, Operation: "chat",
	},
	{
		Name: "n8n.call", Doc: "call of a language model whose tokens are estimated: it has no counts",
		At: []string{""}, Named: true, Own: true, Usage: "none", When: []string{"response.generations", "tokenUsageEstimate"},
		Columns: []Rule{{schemas.Model, n8nModel}},
		Keep:    []string{"tokenUsageEstimate.promptTokens", "tokenUsageEstimate.completionTokens"},
		Basis:   ambiguous, Unsure: true, Operation: "chat",
	},
}

const n8nModel = "response.generations[][].generationInfo.model_name | options.model"

func n8nExecution(doc, runs string) Entry {
	return Entry{
		Name: "n8n.execution", Doc: doc,
		At: []string{""}, Own: true, Container: true, Wraps: true, When: []string{runs},
		Columns: []Rule{
			{schemas.EventTime, "startedAt"},
			{schemas.RequestID, "id"},
			{schemas.ProjectID, "workflowId"},
		},
		Basis: ambiguous,
		Parts: []Part{{
			Path: runs + ".*[]", Entry: "n8n.run", ID: "#run",
			Inherit: []schemas.Col{schemas.RequestID, schemas.ProjectID},
		}},
	}
}
