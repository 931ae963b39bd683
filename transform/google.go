package transform

import (
	"fmt"
	"slices"
	"strings"

	"usagelake/schemas"
)

// Gemini counts thoughts and tool prompts apart from the candidates and the
// prompt; cached tokens are in the prompt. What is 0 is left out.
var geminiColumns = []Rule{
	{schemas.EventTime, "create_time | ^processed_time"},
	{schemas.RequestID, "response_id"},
	{schemas.Model, "model_version"},
	{schemas.InputTokens, "usage_metadata.prompt_token_count + usage_metadata.tool_use_prompt_token_count"},
	{schemas.OutputTokens, "usage_metadata.candidates_token_count + usage_metadata.response_token_count + usage_metadata.thoughts_token_count | '0'"},
	{schemas.TotalTokens, "usage_metadata.total_token_count"},
	{schemas.CacheReadTokens, "usage_metadata.cached_content_token_count"},
	{schemas.InputToolTokens, "usage_metadata.tool_use_prompt_token_count"},
	{schemas.ReasoningTokens, "usage_metadata.thoughts_token_count"},
	{schemas.InputTextTokens, ofModality("TEXT", "prompt_tokens_details", "prompt_token_details")},
	{schemas.InputImageTokens, ofModality("IMAGE", "prompt_tokens_details", "prompt_token_details")},
	{schemas.InputAudioTokens, ofModality("AUDIO", "prompt_tokens_details", "prompt_token_details")},
	{schemas.InputVideoTokens, ofModality("VIDEO", "prompt_tokens_details", "prompt_token_details")},
	{schemas.CacheReadImageTokens, ofModality("IMAGE", "cache_tokens_details")},
	{schemas.CacheReadAudioTokens, ofModality("AUDIO", "cache_tokens_details")},
	{schemas.OutputTextTokens, ofModality("TEXT", "candidates_tokens_details", "response_tokens_details")},
	{schemas.OutputImageTokens, ofModality("IMAGE", "candidates_tokens_details", "response_tokens_details")},
	{schemas.OutputAudioTokens, ofModality("AUDIO", "candidates_tokens_details", "response_tokens_details")},
	{schemas.ServiceTier, "usage_metadata.service_tier | usage_metadata.traffic_type:except=0,1"}, // 1 is ON_DEMAND,
}

// modalities are the numbers of Gemini's modalities in its protocol, which some clients write
// in place of the names.
var modalities = map[string]int{"TEXT": 1, "IMAGE": 2, "VIDEO": 3, "AUDIO": 4}

// ofModality is what lists of counts by modality have of one.
func ofModality(name string, lists ...string) string {
	var from []string
	for _, list := range lists {
		for _, is := range []any{name, modalities[name]} {
			from = append(from, fmt.Sprintf("usage_metadata.%s[modality=%v].token_count", list, is))
		}
	}
	return strings.Join(from, " | ")
}

// embedded is what a call of many texts says of each.
var embedded = []schemas.Col{schemas.Model, schemas.Operation, schemas.Provider, schemas.UserID, schemas.ProjectID, schemas.TeamID}

// modelKey is for ids that all parts of one streamed answer share.
var modelKey = schemas.KeyRule{Model: true}

var googleEntries = []Entry{
	{
		Name: "google.cache", Doc: "Gemini cachedContents resource: storage, no call",
		Usage: "usage_metadata", NoBare: true,
		When: []string{
			"usage_metadata.total_token_count", "expire_time | ttl", "display_name | name", "!usage_metadata.prompt_token_count", "!candidates",
		},
		Ignore: true, Basis: "inclusive",
	},
	{
		Name: "google.logged", Doc: "Vertex AI request-response log",
		At: []string{""}, When: []string{"full_response", "logging_time | api_method | deployed_model_id"}, Folded: []string{"full_response"},
		Columns: []Rule{
			{schemas.EventTime, "logging_time"},
			{schemas.RequestID, "request_id"},
			{schemas.Model, "model"},
			{schemas.Operation, "api_method"},
		},
		Own: true, Basis: "exclusive", Container: true,
		Parts: []Part{{Path: "full_response", Inherit: []schemas.Col{schemas.RequestID, schemas.Model, schemas.Operation}}},
	},
	{
		Name: "google.logged", Doc: "the same as Elastic has it",
		At: []string{""}, When: []string{"gcp.vertexai.prompt_response_logs.full_response | gcp.vertexai_logs.full_response"},
		Own: true, Basis: "exclusive", Container: true,
		Parts: []Part{{Path: "gcp.vertexai.prompt_response_logs", Entry: "google.logged"}, {Path: "gcp.vertexai_logs", Entry: "google.logged"}},
	},
	{
		Name: "google.embeddings", Doc: "embeddings of Gemini",
		Usage: "usage_metadata", NoBare: true,
		When:    []string{"usage_metadata.prompt_token_count", "embeddings | embedding"},
		Columns: slices.DeleteFunc(slices.Clone(geminiColumns), func(r Rule) bool { return r.Col == schemas.OutputTokens }),
		Basis:   "exclusive", Operation: "embeddings", Key: modelKey,
	},
	{
		Name: "google.embeddings", Doc: "embeddings of Vertex AI: each text has its own count",
		NoBare: true, When: []string{"predictions[].embeddings.statistics"}, Basis: "inclusive", Key: modelKey, Container: true,
		Columns: []Rule{{schemas.Operation, "'embeddings'"}},
		Parts:   []Part{{Path: "predictions[]", Entry: "google.text", Inherit: embedded}},
	},
	{
		Name: "google.embeddings", Doc: "embeddings of Vertex AI as its SDK has them",
		NoBare: true, When: []string{"embeddings[].statistics"}, Basis: "inclusive", Key: modelKey, Container: true,
		Columns: []Rule{{schemas.Operation, "'embeddings'"}},
		Parts:   []Part{{Path: "embeddings[]", Entry: "google.text", Inherit: embedded}},
	},
	{
		Name: "google.text", Doc: "one text of an embeddings call",
		At: []string{""}, Named: true, Own: true, When: []string{"statistics | embeddings.statistics"},
		Columns: []Rule{{schemas.InputTokens, "statistics.token_count/embeddings.statistics.token_count"}},
		Basis:   "inclusive", Operation: "embeddings",
	},
	{
		Name: "google.gemini", Doc: "line of a batch job's output",
		At:      []string{"response"},
		Usage:   "usage_metadata",
		When:    []string{"usage_metadata.prompt_token_count | usage_metadata.total_token_count", "^processed_time | ^key"},
		Columns: append([]Rule{{schemas.IsBatch, "'1'"}}, geminiColumns...),
		Basis:   "exclusive", Operation: "chat", Key: modelKey, Payload: "candidates",
	},
	{
		Name: "google.gemini", Doc: "chunk, without an id, of a streamed answer that goes on: its last one counts all of it",
		At:    []string{""},
		Usage: "usage_metadata", NoBare: true,
		When: []string{
			"usage_metadata.prompt_token_count | usage_metadata.candidates_token_count | usage_metadata.total_token_count",
			"candidates[].content", "!candidates[].finish_reason", "!response_id",
		},
		Ignore: true, Basis: "exclusive", Key: modelKey, Payload: "candidates",
	},
	{
		// each has an id of its own
		Name: "google.gemini", Doc: "event of the Agent Development Kit; one that is partial is said again by a later one, with all of it",
		At:    []string{"", "data"},
		Usage: "usage_metadata", NoBare: true,
		When:    []string{"usage_metadata", "invocation_id", "author", "partial"},
		Unless:  []string{"partial=true"},
		Columns: geminiColumns, Basis: "exclusive", Operation: "chat", Key: modelKey,
	},
	{
		Name: "google.gemini", Doc: "Gemini API and Vertex AI generateContent, streamed chunks, Live API",
		Usage: "usage_metadata", NoBare: true,
		When: []string{
			"usage_metadata.prompt_token_count | usage_metadata.candidates_token_count | usage_metadata.response_token_count | usage_metadata.total_token_count",
		},
		Columns: geminiColumns, Basis: "exclusive", Operation: "chat", Key: modelKey, Payload: "candidates",
	},
	{
		Name: "google.interactions", Doc: "Gemini Interactions API, or the event around it",
		At: []string{"", "response.body", "response", "body", "interaction"},
		// input and output alone are what sums of anything are called
		When: []string{
			"usage.total_input_tokens", "usage.total_output_tokens", "usage.total_tokens",
			"status | object | usage.total_thought_tokens | usage.total_cached_tokens | usage.input_tokens_by_modality",
		},
		Columns: []Rule{
			{schemas.EventTime, "created | create_time"},
			{schemas.InputTokens, "usage.total_input_tokens + usage.total_tool_use_tokens"},
			{schemas.OutputTokens, "usage.total_output_tokens + usage.total_thought_tokens"},
			{schemas.TotalTokens, "usage.total_tokens"},
			{schemas.CacheReadTokens, "usage.total_cached_tokens"},
			{schemas.InputToolTokens, "usage.total_tool_use_tokens"},
			{schemas.ReasoningTokens, "usage.total_thought_tokens"},
			{schemas.InputTextTokens, "usage.input_tokens_by_modality[modality=text].tokens"},
			{schemas.InputImageTokens, "usage.input_tokens_by_modality[modality=image].tokens"},
			{schemas.InputAudioTokens, "usage.input_tokens_by_modality[modality=audio].tokens"},
			{schemas.InputVideoTokens, "usage.input_tokens_by_modality[modality=video].tokens"},
			{schemas.CacheReadImageTokens, "usage.cached_tokens_by_modality[modality=image].tokens"},
			{schemas.CacheReadAudioTokens, "usage.cached_tokens_by_modality[modality=audio].tokens"},
			{schemas.OutputTextTokens, "usage.output_tokens_by_modality[modality=text].tokens"},
			{schemas.OutputImageTokens, "usage.output_tokens_by_modality[modality=image].tokens"},
			{schemas.OutputAudioTokens, "usage.output_tokens_by_modality[modality=audio].tokens"},
		},
		Basis: "exclusive", Operation: "chat", Key: modelKey, Payload: "outputs",
	},
}
