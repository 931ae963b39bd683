package transform

import "strings"

// known are members of usage objects that have no column and are no news: they
// go to extra_json, and are not told of as unknown. Names are those of
// extra_json, in both spellings.
var known = func() map[string]bool {
	m := map[string]bool{}
	for name := range strings.FieldsSeq(knownNames + contentNames) {
		m[name] = true // whole, where it has a slash, which parts two names of one thing
		for _, keys := range spellings(name) {
			m[strings.Join(keys, ".")] = true
		}
	}
	return m
}()

// content are known members whose texts can be content, however short they are.
var content = func() map[string]bool {
	m := map[string]bool{}
	for name := range strings.FieldsSeq(contentNames) {
		m[name] = true
	}
	return m
}()

const contentNames = "submission edited_files30 edited_files50 edited_files70"

const knownNames = `
	queue_time prompt_time completion_time total_time
	prompt_audio_seconds request_count prompt_cache_miss_tokens
	cost_details.upstream_inference_cost cost_details.upstream_inference_prompt_cost
	cost_details.upstream_inference_completions_cost
	cost_details.upstream_inference_input_cost cost_details.upstream_inference_output_cost
	server_tool_use_details.tool_calls_requested server_tool_use_details.tool_calls_executed
	num_sources_used num_server_side_tools_used cost_in_usd_ticks
	search_context_size citation_tokens num_search_queries
	cost.input_tokens_cost cost.output_tokens_cost cost.request_cost
	cost.citation_tokens_cost cost.reasoning_tokens_cost cost.search_queries_cost
	cost.currency cost.input_cost cost.output_cost cost.cache_read_cost cost.cache_creation_cost
	cost.tool_calls_cost cost.tool_calls_cost_details.search_web cost.tool_calls_cost_details.fetch_url
	tool_calls_details.search_web.cost_usd tool_calls_details.fetch_url.cost_usd tool_calls_details.fetch_url.invocation
	cache_creation.ephemeral_5m_input_tokens server_tool_use.web_fetch_requests speed type
	api_version.version billed_units.input_tokens billed_units.output_tokens billed_units.search_units
	billed_units.classifications billed_units.images
	cost.input cost.output cost.cache_read cost.cache_write
	input_token_details.cached_tokens_details.text_tokens input_tokens_details.cached_tokens_details.text_tokens
	input_tokens.no_cache output_tokens.text input_token_details.no_cache_tokens output_token_details.text_tokens
	input_tokens output_tokens prompt_tokens completion_tokens total_tokens reasoning_tokens cached_input_tokens
	prompt_cache_hit_tokens cache_read_input_token_count cache_write_input_token_count search_units
	input_cost output_cost total_cost unit context_window per_turn_token time_per_token plugin_id request_mode max_tokens
	requests successful_requests n_requests num_requests step_count llm_calls num_calls calls
	original_usage.prompt_tokens original_usage.completion_tokens original_usage.total_tokens
	original_usage.input_tokens original_usage.output_tokens
	original_usage.candidates_token_count original_usage.total_token_count
	nativeUsage.prompt_tokens nativeUsage.completion_tokens nativeUsage.total_tokens
	nativeUsage.input_tokens nativeUsage.output_tokens
	exit_status swe_agent_version swe_agent_hash swe_rex_version swe_rex_hash
	billable_prompt_usage.text_count credit index finish_reason prompt_tokens_details.cache_type
	prompt_tokens_details.cache_creation.ephemeral_5m_input_tokens
	load_duration prompt_eval_duration eval_duration approximate_total prompt_token/s response_token/s start end
`
