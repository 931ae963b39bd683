package transform

import (
	"slices"

	"usagelake/schemas"
)

// reportEntries are the sums over calls that providers report. They are no calls:
// their rows go to a table of their own. A line may be a page, a bucket of it, or
// a row with the times of its bucket.
var reportEntries = asReports(slices.Concat(openaiReports, anthropicReports, gatewayReports))

// asReports adds what all entries of reports have in common.
func asReports(list []Entry) []Entry {
	for i := range list {
		e := &list[i]
		e.At, e.Own, e.Usage = []string{""}, true, "none"
		e.Report = !e.Ignore
		e.Key = schemas.KeyRule{Time: true} // all else is in the id
	}
	return list
}

// rowsOf are the rows within a page or a bucket. One of zeros says something, too.
func rowsOf(dialect string, paths ...string) (list []Part) {
	for _, path := range paths {
		list = append(list, Part{Path: path, Entry: dialect, Zero: true, Inherit: []schemas.Col{schemas.BucketEnd}})
	}
	return list
}

var openaiReports = ofOrganisation(slices.Concat(
	[]Entry{
		{
			Name: "openai.report", Doc: "page of an organisation's usage or costs", Basis: inclusive,
			When:      []string{"data[].results | data[].result", "has_more | next_page | data[].start_time", "!data[].starting_at"},
			Container: true, Parts: rowsOf("openai.report", "data[]"),
		},
		{
			Name: "openai.report", Doc: "bucket of an organisation's usage or costs", Basis: inclusive,
			When:    []string{"results[].object | result[].object", "start_time | end_time"},
			Columns: openaiBucket, Container: true, Parts: rowsOf("openai.report", "results[]", "result[]"),
		},
		{
			Name: "openai.report", Doc: "row of an organisation's costs", Basis: inclusive,
			When: []string{"amount.value | amount_value", "object | line_item | amount_currency", "!id", "!usage"},
			Columns: slices.Concat(openaiBucket, openaiGroups, []Rule{
				{schemas.ReportedCostUSD, "amount.value/amount_value"},
				{schemas.LineItem, "line_item"},
				{schemas.Quantity, "quantity"},
				{schemas.QuantityUnit, "quantity_unit"},
			}),
			Currency: "amount.currency/amount_currency", Operation: "costs",
		},
	},
	openaiAmount("characters", "characters", "object | num_model_requests"),
	openaiAmount("num_sessions", "sessions", "object"),
	openaiAmount("usage_bytes", "bytes", "object"),
	openaiAmount("num_requests", "requests", "object | num_model_requests"),
	[]Entry{
		{
			Name: "openai.report", Doc: "row of an organisation's usage", Basis: inclusive,
			When:    []string{"num_model_requests", "output_tokens"},
			Columns: slices.Concat(openaiBucket, openaiGroups, openaiMeters), Operation: "completions",
		},
		{
			Name: "openai.report", Doc: "row of an organisation's usage", Basis: inclusive,
			When:    []string{"num_model_requests"},
			Columns: slices.Concat(openaiBucket, openaiGroups, openaiMeters),
		},
		{
			Name: "openai.report", Doc: "row of a report of another kind", Basis: inclusive, Named: true,
			When:    []string{"object", "!start_time"}, // which an empty bucket has
			Columns: slices.Concat(openaiBucket, openaiGroups, openaiMeters),
		},
	},
	elasticAmount("openai.audio_speeches.characters", "characters"),
	elasticAmount("openai.code_interpreter_sessions.sessions", "sessions"),
	elasticAmount("openai.vector_stores.usage_bytes", "bytes"),
	[]Entry{{
		Name: "openai.report", Doc: "the same as Elastic has it", Basis: inclusive,
		When:    []string{"openai.base.num_model_requests"},
		Columns: elasticColumns,
	}},
))

// ofOrganisation adds what rows of all of OpenAI's reports can have beside their
// groups. Names can change, and go with an id.
func ofOrganisation(list []Entry) []Entry {
	for i := range list {
		list[i].Keep = []string{"api_source", "organization_id"}
		list[i].Amends = []string{"project_name", "organization_name"}
	}
	return list
}

// openaiAmount is a row of what is counted in a unit of its own.
func openaiAmount(key, unit, when string) []Entry {
	return []Entry{{
		Name: "openai.report", Doc: "row of an organisation's usage", Basis: inclusive,
		When: []string{key, when, "!id", "!usage"},
		Columns: slices.Concat(openaiBucket, openaiGroups, []Rule{
			{schemas.Requests, "num_model_requests"},
			{schemas.Quantity, key},
			{schemas.QuantityUnit, "'" + unit + "'"},
		}),
	}}
}

func elasticAmount(path, unit string) []Entry {
	return []Entry{{
		Name: "openai.report", Doc: "the same as Elastic has it", Basis: inclusive,
		When:    []string{path, "openai.base.start_time"},
		Columns: slices.Concat(elasticColumns, []Rule{{schemas.Quantity, path}, {schemas.QuantityUnit, "'" + unit + "'"}}),
	}}
}

var openaiBucket = []Rule{
	{schemas.EventTime, "start_time"},
	{schemas.BucketEnd, "end_time"},
}

var openaiGroups = []Rule{
	{schemas.Operation, "object:kind"},
	{schemas.Provider, "'openai'"},
	{schemas.Model, "model"},
	{schemas.ServiceTier, "service_tier"},
	{schemas.IsBatch, "batch"},
	{schemas.ProjectID, "project_id"},
	{schemas.UserID, "user_id"},
	{schemas.APIKeyID, "api_key_id"},
	{schemas.ImageSize, "size"},
	{schemas.LineItem, "source | context_level | vector_store_id"},
}

// The input is all of it; its parts by modality leave the cached tokens out.
var openaiMeters = []Rule{
	{schemas.Requests, "num_model_requests"},
	{schemas.InputTokens, "input_tokens"},
	{schemas.OutputTokens, "output_tokens"},
	{schemas.UncachedInputTokens, "input_uncached_tokens"},
	{schemas.CacheReadTokens, "input_cached_tokens"},
	{schemas.CacheWriteTokens, "input_cache_write_tokens"},
	{schemas.InputTextTokens, "input_text_tokens & input_cached_text_tokens"},
	{schemas.InputImageTokens, "input_image_tokens & input_cached_image_tokens"},
	{schemas.InputAudioTokens, "input_audio_tokens & input_cached_audio_tokens"},
	{schemas.CacheReadImageTokens, "input_cached_image_tokens"},
	{schemas.CacheReadAudioTokens, "input_cached_audio_tokens"},
	{schemas.OutputTextTokens, "output_text_tokens"},
	{schemas.OutputImageTokens, "output_image_tokens"},
	{schemas.OutputAudioTokens, "output_audio_tokens"},
	{schemas.ImageCount, "images"},
	{schemas.AudioSeconds, "seconds"},
}

// Elastic's integration puts what all reports have beside the report's own.
var elasticColumns = []Rule{
	{schemas.EventTime, "openai.base.start_time"},
	{schemas.BucketEnd, "openai.base.end_time"},
	{schemas.Operation, "openai.base.usage_object_type:kind"},
	{schemas.Provider, "'openai'"},
	{schemas.Model, "openai.base.model"},
	{schemas.IsBatch, "openai.completions.batch"},
	{schemas.ProjectID, "openai.base.project_id"},
	{schemas.UserID, "openai.base.user_id"},
	{schemas.APIKeyID, "openai.base.api_key_id"},
	{schemas.ImageSize, "openai.images.size"},
	{schemas.LineItem, "openai.images.source"},
	{schemas.Requests, "openai.base.num_model_requests"},
	{schemas.InputTokens, "openai.completions.input_tokens/openai.embeddings.input_tokens/openai.moderations.input_tokens"},
	{schemas.OutputTokens, "openai.completions.output_tokens"},
	{schemas.CacheReadTokens, "openai.completions.input_cached_tokens"},
	{schemas.OutputAudioTokens, "openai.completions.output_audio_tokens"},
	{schemas.ImageCount, "openai.images.images"},
	{schemas.AudioSeconds, "openai.audio_transcriptions.seconds"},
}

var anthropicReports = []Entry{
	{
		Name: "anthropic.report", Doc: "page of an organisation's usage or costs", Basis: exclusive,
		When:      []string{"data[].starting_at"},
		Container: true, Parts: rowsOf("anthropic.report", "data[]"),
	},
	{
		Name: "anthropic.report", Doc: "bucket of an organisation's usage or costs", Basis: exclusive,
		When:    []string{"starting_at", "results"},
		Columns: anthropicBucket, Container: true, Parts: rowsOf("anthropic.report", "results[]"),
	},
	{
		Name: "anthropic.report", Doc: "row of an organisation's usage", Basis: exclusive,
		When: []string{"uncached_input_tokens", "output_tokens"},
		Columns: slices.Concat(anthropicBucket, anthropicGroups, []Rule{
			{schemas.LineItem, "context_window"},
			{
				schemas.InputTokens, "uncached_input_tokens + cache_creation.ephemeral_5m_input_tokens + " +
					"cache_creation.ephemeral_1h_input_tokens + cache_read_input_tokens",
			},
			{schemas.OutputTokens, "output_tokens"},
			{schemas.UncachedInputTokens, "uncached_input_tokens"},
			{schemas.CacheReadTokens, "cache_read_input_tokens"},
			{schemas.CacheWriteTokens, "cache_creation.ephemeral_5m_input_tokens + cache_creation.ephemeral_1h_input_tokens"},
			{schemas.CacheWrite1hTokens, "cache_creation.ephemeral_1h_input_tokens"},
			{schemas.WebSearchRequests, "server_tool_use.web_search_requests"},
		}),
		Operation: "messages", Keep: []string{"speed", "service_account_id"},
	},
	anthropicCosts(Entry{Named: true, When: []string{"amount", "currency"}}),
	anthropicCosts(Entry{When: []string{"amount", "currency", "starting_at | cost_type | token_type"}}),
}

// anthropicCosts is a row of costs, whose amount is in cents.
func anthropicCosts(e Entry) Entry {
	e.Name, e.Doc, e.Basis = "anthropic.report", "row of an organisation's costs", exclusive
	e.Columns = slices.Concat(anthropicBucket, anthropicGroups, []Rule{
		{schemas.LineItem, "description | token_type | cost_type"},
		{schemas.ReportedCostUSD, "amount:e-2"},
	})
	e.Currency, e.Operation, e.Keep = "currency", "costs", []string{"context_window"}
	return e
}

var anthropicBucket = []Rule{
	{schemas.EventTime, "starting_at/bucket_start_time"},
	{schemas.BucketEnd, "ending_at/bucket_end_time"},
}

var anthropicGroups = []Rule{
	{schemas.Provider, "'anthropic'"},
	{schemas.Model, "model"},
	{schemas.Region, "inference_geo"},
	{schemas.ServiceTier, "service_tier"},
	{schemas.ProjectID, "workspace_id"},
	{schemas.UserID, "account_id"},
	{schemas.APIKeyID, "api_key_id"},
}

var gatewayReports = []Entry{
	{
		Name: "openrouter.activity", Doc: "page of OpenRouter's activity", Basis: inclusive,
		When:      []string{"data[].date", "data[].requests", "data[].model_permaslug | data[].endpoint_id | data[].byok_usage_inference"},
		Container: true, Parts: rowsOf("openrouter.activity", "data[]"),
	},
	{
		Name: "openrouter.activity", Doc: "OpenRouter activity: sums over the calls of a day", Basis: inclusive,
		When: []string{"date", "requests", "model_permaslug | endpoint_id | byok_usage_inference"},
		Columns: slices.Concat(ofDay, []Rule{
			{schemas.Provider, "'openrouter'"},
			{schemas.Model, "model"},
			{schemas.ProjectID, "workspace_id"},
			{schemas.Requests, "requests"},
			{schemas.InputTokens, "prompt_tokens"},
			{schemas.OutputTokens, "completion_tokens"},
			{schemas.ReasoningTokens, "reasoning_tokens"},
			{schemas.ReportedCostUSD, "usage"},
		}),
		// what upstream providers bill for own keys is another amount
		Operation: "activity", Amends: []string{"byok_usage_inference"},
		Keep: []string{"model_permaslug", "endpoint_id", "provider_name"},
	},
	{
		// their members are what was asked for
		Name: "openrouter.activity", Doc: "row of OpenRouter's analytics: it may be anything", Basis: inclusive,
		When:   []string{"byok_usage_inference | model_permaslug | data[].byok_usage_inference | date__day | date__hour | date__week | date__month"},
		Ignore: true,
	},
	{
		Name: "litellm.daily", Doc: "LiteLLM daily spend: sums over the calls of a day", Basis: inclusive,
		When: []string{"date", "spend", "api_requests | successful_requests | failed_requests"},
		Columns: slices.Concat(ofDay, []Rule{
			{schemas.Provider, "custom_llm_provider"},
			{schemas.Model, "model"},
			{schemas.RequestModel, "model_group"},
			{schemas.TeamID, "team_id | organization_id"},
			{schemas.UserID, "user_id | end_user_id"},
			{schemas.APIKeyID, "api_key"},
			{schemas.LineItem, "tag"},
			{schemas.Requests, "api_requests"},
			{schemas.InputTokens, "prompt_tokens"},
			{schemas.OutputTokens, "completion_tokens"},
			{schemas.CacheReadTokens, "cache_read_input_tokens"},
			{schemas.CacheWriteTokens, "cache_creation_input_tokens"},
			{schemas.ReportedCostUSD, "spend"},
		}),
		Operation: "spend", Amends: []string{"successful_requests", "failed_requests"},
		Keep: []string{"id", "endpoint", "mcp_namespaced_tool_name", "agent_id"},
	},
	{
		Name: "vercel.report", Doc: "page of Vercel AI Gateway's spend report", Basis: inclusive,
		When:      []string{"results[].request_count", "results[].total_cost"},
		Container: true, Parts: rowsOf("vercel.report", "results[]"),
	},
	{
		Name: "vercel.report", Doc: "Vercel AI Gateway spend report: sums over calls", Basis: inclusive,
		When: []string{"request_count", "total_cost", "input_tokens | output_tokens", "!id"},
		Columns: []Rule{
			{schemas.EventTime, "hour:utc | day:utc"},
			{schemas.BucketEnd, "hour:hour | day:day"},
			{schemas.Provider, "'vercel'"},
			{schemas.Model, "model"},
			{schemas.UserID, "user"},
			{schemas.LineItem, "tag"},
			{schemas.Requests, "request_count"},
			{schemas.InputTokens, "input_tokens"},
			{schemas.OutputTokens, "output_tokens"},
			{schemas.CacheReadTokens, "cached_input_tokens"},
			{schemas.CacheWriteTokens, "cache_creation_input_tokens"},
			{schemas.ReasoningTokens, "reasoning_tokens"},
			{schemas.ReportedCostUSD, "total_cost"},
		},
		Operation: "spend", Amends: []string{"market_cost"}, Keep: []string{"provider", "credential_type"},
	},
}

// ofDay is a bucket that is told by its day, in UTC.
var ofDay = []Rule{
	{schemas.EventTime, "date:utc"},
	{schemas.BucketEnd, "date:day"},
}
