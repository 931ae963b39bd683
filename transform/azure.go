package transform

import "usagelake/schemas"

// azureEntries are logs of Azure API Management. The answer stands in them as
// text, as the backend gave it and as the client got it.
var azureEntries = []Entry{
	apimBody("responseBody", ".usage"),
	apimBody("backendResponseBody", ".usage"),
	// as long as the bodies are texts, and where they are answers of other kinds
	apimBody("responseBody", ""),
	apimBody("backendResponseBody", ""),
	{
		Name: "azure.llm_log", Doc: "API Management's log of LLM calls, ApiManagementGatewayLlmLog",
		At: []string{""}, Own: true,
		When: []string{"PromptTokens | CompletionTokens", "CorrelationId"},
		Columns: []Rule{
			{schemas.EventTime, "TimeGenerated"},
			{schemas.RequestID, "CorrelationId"},
			{schemas.Provider, "'azure'"},
			{schemas.Model, "ModelName"},
			{schemas.RequestModel, "DeploymentName"},
			{schemas.Region, "Region"},
			{schemas.InputTokens, "PromptTokens"},
			{schemas.OutputTokens, "CompletionTokens"},
			{schemas.TotalTokens, "TotalTokens"},
		},
		Basis: inclusive, Operation: "chat",
	},
}

// apimBody is a gateway log whose answer, or the events of it, stand at a member
// of properties and have something below them.
func apimBody(member, below string) Entry {
	at := "properties." + member
	inherit := []schemas.Col{
		schemas.TransportID, schemas.Provider, schemas.Region, schemas.UserID, schemas.APIKeyID, schemas.DurationMs,
	}
	return Entry{
		Name: "azure.apim", Doc: "API Management gateway log around an answer",
		At: []string{""}, Own: true, Container: true,
		When:   []string{at + below + " | " + at + "[]" + below + " | " + at + "[].response" + below, "time"},
		Folded: []string{"properties.responseBody", "properties.backendResponseBody"},
		Columns: []Rule{
			{schemas.EventTime, "time"},
			{schemas.TransportID, "correlation_id"},
			{schemas.Provider, "'azure'"},
			{schemas.Region, "location"},
			{schemas.UserID, "properties.user_id"},
			{schemas.APIKeyID, "properties.apim_subscription_id"},
			{schemas.DurationMs, "duration_ms"},
		},
		Basis: inclusive,
		Parts: []Part{{Path: at, Inherit: inherit}, {Path: at + "[]", Inherit: inherit}},
	}
}
