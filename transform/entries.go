package transform

import "usagelake/schemas"

// A Mount is a place of a document where an API body may stand.
type Mount struct {
	Path    string // "" is the document's root
	IsBatch bool   // bodies here are output lines of a batch job
	Bare    bool   // the members of usage stand here without "usage."
}

// Mounts in the order they are tried: the body nearest to the wire first.
var Mounts = []Mount{
	{Path: "response.body", IsBatch: true},
	{Path: "response"},
	{Path: "body"},
	{Path: "result"},
	{Path: ""},
	{Path: "", Bare: true},
}

// Entry is one dialect: how a record is recognised, by keys and never by
// values, and what its values mean. Every path is tried in snake_case and in
// camelCase.
type Entry struct {
	Name string // family.shape; names the arithmetic, not the vendor
	Doc  string // one line for people
	// When lists conditions that must all hold. "a | b": one of them is there;
	// "!a": it is not there.
	When []string
	// Columns says where columns come from. Those of common follow.
	Columns []Rule
	// Basis is the reading of the reported parts: inclusive or exclusive.
	Basis string
	// AssumeImageOutput: output tokens not broken down are image tokens.
	AssumeImageOutput bool
	// Parts must add up to the whole, not only stay below it.
	PartsAddUp bool
	// Operation is assumed, with a flag, where the record does not say.
	Operation string
	// Key tells two real calls with one id apart.
	Key schemas.KeyRule
	// Payload is content whose hash can serve as id.
	Payload string
	// Keep lists paths without a column that go to extra_json.
	Keep []string
	// NoBare: the shape is never bare on a line.
	NoBare bool
}

// Rule says where a column comes from.
type Rule struct {
	Col  schemas.Col
	From string
}

var bodyKey = schemas.KeyRule{Time: true, Model: true}

// Entries are the dialects in the order they are tried. The first match wins.
// An entry's name, meaning and key are a contract: rows in tables carry them.
var Entries = []Entry{
	{
		Name: "openai.images",
		Doc:  "Images API stream event image_generation.completed or image_edit.completed",
		When: []string{"b64_json", "created_at", "type", "!partial_image_index", "!usage.prompt_tokens"},
		Columns: append([]Rule{
			{schemas.Operation, "type:stem"},
			{schemas.ImageCount, "'1'"},
		}, imageColumns...),
		Basis: "inclusive", AssumeImageOutput: true, PartsAddUp: true,
		Key: bodyKey, Payload: "b64_json", NoBare: true,
	},
	{
		Name:    "openai.images",
		Doc:     "Images API response, with or without usage",
		When:    []string{"created", "data[].b64_json | data[].url", "!usage.prompt_tokens"},
		Columns: imageColumns,
		Basis:   "inclusive", AssumeImageOutput: true, PartsAddUp: true,
		Operation: "image_generation", Key: bodyKey, Payload: "data", NoBare: true,
	},
	{
		Name: "openai.images",
		Doc:  "Images API usage: text and image input tokens apart",
		When: []string{
			"usage.total_tokens", "usage.input_tokens", "usage.output_tokens",
			"usage.input_tokens_details.text_tokens | usage.input_tokens_details.image_tokens",
			"!usage.prompt_tokens",
		},
		Columns: imageColumns,
		Basis:   "inclusive", AssumeImageOutput: true, PartsAddUp: true,
		Operation: "image_generation", Key: bodyKey, Payload: "data",
	},
	{
		Name: "openrouter.chat",
		Doc:  "OpenRouter chat completion: chat usage with cost; provider is the upstream host",
		When: []string{
			"usage.prompt_tokens", "usage.completion_tokens", "provider", "choices", "object", "!usage.billed_units",
		},
		Columns: append([]Rule{{schemas.Provider, "'openrouter'"}}, chatColumns...),
		Basis:   "inclusive", Operation: "chat", Key: bodyKey, Payload: "choices",
		Keep: []string{"provider"}, NoBare: true,
	},
	{
		Name: "openai.chat",
		Doc:  "chat completion usage: prompt and completion tokens",
		When: []string{
			"usage.prompt_tokens", "usage.completion_tokens",
			// a report's row is no call; a gateway's has its own meaning
			"!usage.billed_units", "!requests", "!api_requests", "!num_model_requests", "!^spend",
		},
		Columns: chatColumns,
		Basis:   "inclusive", Operation: "chat", Key: bodyKey, Payload: "choices",
	},
}

var imageColumns = []Rule{
	{schemas.EventTime, "created | created_at"},
	{schemas.InputTokens, "usage.input_tokens"},
	{schemas.OutputTokens, "usage.output_tokens"},
	{schemas.TotalTokens, "usage.total_tokens"},
	{schemas.CacheReadTokens, "usage.input_tokens_details.cached_tokens"},
	{schemas.CacheReadImageTokens, "usage.input_tokens_details.cached_tokens_details.image_tokens"},
	{schemas.InputTextTokens, "usage.input_tokens_details.text_tokens"},
	{schemas.InputImageTokens, "usage.input_tokens_details.image_tokens"},
	{schemas.OutputTextTokens, "usage.output_tokens_details.text_tokens"},
	{schemas.OutputImageTokens, "usage.output_tokens_details.image_tokens"},
	{schemas.ImageCount, "#data"},
	{schemas.ImageSize, "size"},
	{schemas.ImageQuality, "quality"},
	{schemas.ReportedCostUSD, "usage.cost"},
}

var chatColumns = []Rule{
	{schemas.EventTime, "created"},
	{schemas.InputTokens, "usage.prompt_tokens"},
	{schemas.OutputTokens, "usage.completion_tokens"},
	{schemas.TotalTokens, "usage.total_tokens"},
	{schemas.CacheReadTokens, "usage.prompt_tokens_details.cached_tokens | usage.num_cached_tokens | usage.prompt_cache_hit_tokens"},
	{schemas.CacheWriteTokens, "usage.prompt_tokens_details.cache_write_tokens | usage.cache_write_tokens"},
	{schemas.InputTextTokens, "usage.prompt_tokens_details.text_tokens"},
	{schemas.InputImageTokens, "usage.prompt_tokens_details.image_tokens"},
	{schemas.InputAudioTokens, "usage.prompt_tokens_details.audio_tokens"},
	{schemas.InputVideoTokens, "usage.prompt_tokens_details.video_tokens | usage.video_tokens"},
	{schemas.OutputTextTokens, "usage.completion_tokens_details.text_tokens"},
	{schemas.OutputImageTokens, "usage.completion_tokens_details.image_tokens"},
	{schemas.OutputAudioTokens, "usage.completion_tokens_details.audio_tokens"},
	{schemas.ReasoningTokens, "usage.completion_tokens_details.reasoning_tokens"},
	{schemas.AcceptedPredictionTokens, "usage.completion_tokens_details.accepted_prediction_tokens"},
	{schemas.RejectedPredictionTokens, "usage.completion_tokens_details.rejected_prediction_tokens"},
	{schemas.WebSearchRequests, "usage.server_tool_use_details.web_search_requests"},
	{schemas.ReportedCostUSD, "usage.cost"},
	{schemas.IsBYOK, "usage.is_byok"},
}

// common are the usual names of a body and of an envelope around it. They
// follow each entry's own rules.
var common = []Rule{
	{schemas.RequestID, "id | ^request_id | ^id | ^generation_id | ^call_id | ^req_id | ^log_id"},
	{schemas.TransportID, "^response.request_id | ^request_id | ^x_request_id | ^\"x-request-id\""},
	{schemas.Operation, "^operation | ^operation_name | ^call_type"},
	{schemas.Provider, "^provider | ^provider_name | ^vendor"},
	{schemas.Model, "model | ^model | ^model_name | ^response_model | ^model_id | ^deployment"},
	{schemas.RequestModel, "^request_model | ^requested_model | ^request.model"},
	{schemas.Region, "^region | ^data_region | ^location"},
	{schemas.ServiceTier, "service_tier | usage.service_tier | ^service_tier"},
	{schemas.CacheHit, "^cache_hit"},
	{schemas.ErrorCode, "error.code | error.type | ^error.code | ^error.type | ^error_code"},
	{schemas.ProjectID, "^project_id | ^project | ^workspace_id | ^project_name"},
	{schemas.TeamID, "^team_id | ^team | ^organization_id | ^org_id"},
	{schemas.UserID, "^user_id | ^user | user | ^end_user | ^end_user_id | ^username | ^user.id"},
	{schemas.SessionID, "^session_id | ^session | ^conversation_id | ^thread_id"},
	{schemas.APIKeyID, "^api_key_id | ^api_key_name | ^api_key_alias | ^api_key_hash | ^key_id"},
	{schemas.Tags, "^tags | ^request_tags"},
	{schemas.ReportedCostUSD, "^cost_usd | ^costUSD | ^cost | ^response_cost"},
	{schemas.DurationMs, "^duration_ms | ^latency_ms | ^response_time_ms | ^elapsed_ms"},
	{schemas.TimeToFirstTokenMs, "^time_to_first_token_ms | ^ttft_ms"},
}

// envelopeTime are the usual names of a log line's own time.
const envelopeTime = "^timestamp | ^time | ^ts | ^event_time | ^\"@timestamp\" | ^datetime | ^date_time | " +
	"^created_at | ^created | ^start_time | ^request_time | ^logged_at | ^date"
