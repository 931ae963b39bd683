package transform

import (
	"slices"

	"usagelake/schemas"
)

// vendorEntries are APIs of a single vendor, and chat completions whose
// arithmetic is another.
var vendorEntries = []Entry{
	{
		Name: "watsonx.generation", Doc: "watsonx.ai's own text generation",
		NoBare: true, When: []string{"results[].input_token_count | results[].generated_token_count", "model_id"},
		Columns: []Rule{
			{schemas.EventTime, "created_at"},
			{schemas.Model, "model_id"},
			{schemas.InputTokens, "results[].input_token_count"},
			{schemas.OutputTokens, "results[].generated_token_count"},
		},
		Basis: "inclusive", Operation: "text_completion", Key: bodyKey, Payload: "results",
	},
	{
		Name: "oci.chat", Doc: "OCI Generative AI's chat",
		Usage: "chatResponse.usage", NoBare: true, When: []string{"chatResponse.usage.promptTokens", "modelId"},
		Columns: append([]Rule{
			{schemas.EventTime, "chatResponse.timeCreated"},
			{schemas.Model, "modelId"},
		}, below("chatResponse.usage", chatColumns)...),
		Basis: "inclusive", Operation: "chat", Key: bodyKey,
	},
	{
		Name: "yandex.completion", Doc: "YandexGPT's own API",
		At: []string{"result", "response", "body", ""}, When: []string{"usage.inputTextTokens", "usage.completionTokens"},
		Columns: []Rule{
			{schemas.InputTokens, "usage.inputTextTokens"},
			{schemas.OutputTokens, "usage.completionTokens"},
			{schemas.TotalTokens, "usage.totalTokens"},
			{schemas.ReasoningTokens, "usage.completionTokensDetails.reasoningTokens"},
		},
		Basis: "inclusive", Operation: "chat", Key: bodyKey, Payload: "alternatives",
	},
	{
		Name: "hunyuan.chat", Doc: "Tencent Hunyuan's own API",
		At: []string{"", "response", "body", "Response"}, Usage: "Usage", When: []string{"Usage.PromptTokens", "Usage.CompletionTokens"},
		Columns: []Rule{
			{schemas.EventTime, "Created"},
			{schemas.RequestID, "Id"},
			{schemas.TransportID, "RequestId"},
			{schemas.InputTokens, "Usage.PromptTokens"},
			{schemas.OutputTokens, "Usage.CompletionTokens"},
			{schemas.TotalTokens, "Usage.TotalTokens"},
			{schemas.CacheReadTokens, "Usage.PromptTokensDetails.CachedTokens"},
		},
		Basis: "inclusive", Operation: "chat", Key: bodyKey,
	},
	{
		Name: "lmstudio.chat", Doc: "LM Studio's own API",
		Usage: "none", NoBare: true, When: []string{"stats.input_tokens", "stats.total_output_tokens", "model_instance_id"},
		Columns: []Rule{
			{schemas.RequestID, "response_id"},
			{schemas.Model, "model_instance_id"},
			{schemas.InputTokens, "stats.input_tokens"},
			{schemas.OutputTokens, "stats.total_output_tokens"},
			{schemas.ReasoningTokens, "stats.reasoning_output_tokens"},
			{schemas.TimeToFirstTokenMs, "stats.time_to_first_token_seconds:e3"},
		},
		Basis: "inclusive", Operation: "chat", Key: bodyKey,
	},
	{
		Name: "replicate.prediction", Doc: "Replicate's prediction of a language model",
		NoBare: true, Usage: "none", When: []string{"metrics.input_token_count", "metrics.output_token_count", "status"},
		Columns: []Rule{
			{schemas.EventTime, "created_at"},
			{schemas.InputTokens, "metrics.input_token_count"},
			{schemas.OutputTokens, "metrics.output_token_count"},
			{schemas.DurationMs, "metrics.total_time:e3"},
			{schemas.TimeToFirstTokenMs, "metrics.time_to_first_token:e3"},
		},
		Basis: "inclusive", Operation: "chat", Key: bodyKey, Payload: "output",
	},
	{
		// prompt_tokens and total_tokens are what is billed, which the cache is not
		Name: "gigachat.chat", Doc: "GigaChat: the cache is apart from the prompt",
		When: []string{"usage.prompt_tokens", "usage.completion_tokens", "usage.precached_prompt_tokens"},
		Columns: append([]Rule{
			{schemas.InputTokens, "usage.prompt_tokens + usage.precached_prompt_tokens"},
			{schemas.CacheReadTokens, "usage.precached_prompt_tokens"},
		}, slices.DeleteFunc(slices.Clone(chatColumns), func(r Rule) bool { return r.Col == schemas.TotalTokens })...),
		Basis: exclusive, Operation: "chat", Key: bodyKey, Payload: "choices", Keep: []string{"usage.total_tokens"},
	},
	{
		Name: "xai.chat", Doc: "xAI chat completion: reasoning is not in completion_tokens",
		When: []string{
			"usage.prompt_tokens", "usage.completion_tokens", "usage.num_sources_used | usage.cost_in_usd_ticks", "!usage.input_tokens",
		},
		Columns: append([]Rule{
			{schemas.OutputTokens, "usage.completion_tokens + usage.completion_tokens_details.reasoning_tokens"},
			{schemas.ReportedCostUSD, "usage.cost_in_usd_ticks:e-10"},
			{schemas.WebSearchRequests, "usage.server_side_tool_usage_details.web_search_calls"},
		}, chatColumns...),
		// chunks of one answer are created at other seconds; ids are unique
		Basis: "exclusive", Operation: "chat", Key: modelKey, Payload: "choices", NoBare: true,
	},
	{
		Name: "xai.responses", Doc: "xAI Responses API: reasoning is in output_tokens; context_details says something else",
		When: []string{
			"usage.input_tokens", "usage.output_tokens",
			"usage.num_server_side_tools_used | usage.server_side_tool_usage_details | usage.context_details | usage.cost_in_usd_ticks",
			"!usage.prompt_tokens",
		},
		Columns: append([]Rule{
			{schemas.WebSearchRequests, "usage.server_side_tool_usage_details.web_search_calls"},
		}, responsesColumns...),
		Basis: "inclusive", Operation: "responses", Key: bodyKey, Payload: "output", NoBare: true,
	},
	{
		Name: "perplexity.responses", Doc: "Perplexity Agent API: an answer of the Responses API that says what it cost",
		When: []string{
			"usage.input_tokens", "usage.output_tokens", "usage.cost.total_cost | usage.tool_calls_details", "!usage.prompt_tokens",
		},
		Columns: append([]Rule{
			{schemas.CacheReadTokens, "usage.input_tokens_details.cached_tokens | usage.input_tokens_details.cache_read_input_tokens"},
			{schemas.CacheWriteTokens, "usage.input_tokens_details.cache_write_tokens | usage.input_tokens_details.cache_creation_input_tokens"},
			{schemas.WebSearchRequests, "usage.tool_calls_details.search_web.invocation"},
			{schemas.ReportedCostUSD, "usage.cost.total_cost"},
		}, responsesColumns...),
		Basis: "inclusive", Operation: "responses", Key: bodyKey, Payload: "output", NoBare: true,
		Keep: []string{"usage.input_tokens_details.cache_read_input_tokens", "usage.input_tokens_details.cache_creation_input_tokens"}, // said twice
	},
	{
		Name: "xai.images", Doc: "images of xAI: cost, no tokens",
		NoBare:  true,
		When:    []string{"usage.cost_in_usd_ticks", "data[].url | data[].b64_json", "!usage.input_tokens", "!usage.prompt_tokens"},
		Columns: []Rule{{schemas.ImageCount, "#data"}, {schemas.ReportedCostUSD, "usage.cost_in_usd_ticks:e-10"}},
		Basis:   "inclusive", Operation: "image_generation", Key: bodyKey, Payload: "data",
	},
	{
		Name: "xai.videos", Doc: "video job of xAI: cost, no tokens",
		NoBare: true,
		When:   []string{"usage.cost_in_usd_ticks", "video", "!usage.input_tokens", "!usage.prompt_tokens"},
		Columns: []Rule{
			{schemas.RequestID, "request_id | video.file_output.file_id"},
			{schemas.ReportedCostUSD, "usage.cost_in_usd_ticks:e-10"},
		},
		Basis: "inclusive", Operation: "video_generation", Key: bodyKey, Keep: []string{"video.duration"},
	},
	{
		Name: "mistral.conversation", Doc: "Mistral conversation: what its tools put in is counted apart",
		NoBare: true,
		When:   []string{"usage.connector_tokens", "usage.prompt_tokens"},
		Columns: append([]Rule{
			{schemas.EventTime, "created_at | outputs[].created_at"},
			{schemas.RequestID, "id | outputs[].id"},
			{schemas.Model, "model | outputs[].model"},
			{schemas.SessionID, "conversation_id"},
			{schemas.InputTokens, "usage.prompt_tokens + usage.connector_tokens"},
			{schemas.InputToolTokens, "usage.connector_tokens"},
			{schemas.WebSearchRequests, "usage.connectors.web_search"},
		}, chatColumns...),
		Basis: "exclusive", Operation: "chat", Key: bodyKey, Payload: "outputs",
	},
	{
		Name: "mistral.ocr", Doc: "Mistral OCR: pages, no tokens",
		Usage: "usage_info", NoBare: true, When: []string{"usage_info.pages_processed"},
		Basis: "inclusive", Operation: "ocr", Key: bodyKey, Payload: "pages", Keep: []string{"usage_info.pages_processed", "usage_info.doc_size_bytes"},
	},
	{
		Name: "dashscope.generation", Doc: "DashScope's own API",
		NoBare: true,
		When: []string{
			"usage.input_tokens", "usage.output_tokens", "output.choices | output.text | output.finish_reason", "!usage.prompt_tokens",
		},
		Columns: []Rule{
			{schemas.RequestID, "request_id"},
			{schemas.InputTokens, "usage.input_tokens"},
			{schemas.OutputTokens, "usage.output_tokens"},
			{schemas.TotalTokens, "usage.total_tokens"},
			{schemas.CacheReadTokens, "usage.prompt_tokens_details.cached_tokens/usage.input_tokens_details.cached_tokens"},
			{schemas.InputTextTokens, "usage.input_tokens_details.text_tokens"},
			{schemas.InputImageTokens, "usage.image_tokens/usage.input_tokens_details.image_tokens"},
			{schemas.InputVideoTokens, "usage.video_tokens/usage.input_tokens_details.video_tokens"},
			{schemas.InputAudioTokens, "usage.audio_tokens/usage.input_tokens_details.audio_tokens"},
			{schemas.OutputTextTokens, "usage.output_tokens_details.text_tokens"},
			{schemas.ReasoningTokens, "usage.output_tokens_details.reasoning_tokens"},
		},
		Basis: "inclusive", Operation: "chat", Key: modelKey, Payload: "output",
	},
	{
		Name: "dashscope.embeddings", Doc: "embeddings of DashScope's own API",
		NoBare: true, When: []string{"output.embeddings", "usage.total_tokens", "!usage.prompt_tokens"},
		Columns: []Rule{
			{schemas.RequestID, "request_id"},
			{schemas.InputTokens, "usage.input_tokens | usage.total_tokens"},
			{schemas.TotalTokens, "usage.total_tokens"},
		},
		Basis: "inclusive", Operation: "embeddings", Key: modelKey,
	},
	{
		Name: "cohere.chat", Doc: "Cohere v2: tokens processed; what is billed goes to extra_json",
		At:   []string{"", "response.body", "modelOutput", "response", "body", "result", "delta"},
		When: []string{"usage.billed_units | usage.tokens.input_tokens", "!usage.prompt_tokens"},
		Columns: []Rule{
			{schemas.InputTokens, "usage.tokens.input_tokens | usage.billed_units.input_tokens"},
			{schemas.OutputTokens, "usage.tokens.output_tokens | usage.billed_units.output_tokens"},
			{schemas.CacheReadTokens, "usage.cached_tokens"},
		},
		Basis: "inclusive", Operation: "chat", Key: bodyKey, Payload: "message",
	},
	{
		Name: "cohere.embed", Doc: "Cohere embed: text and image tokens apart",
		Usage: "meta", NoBare: true,
		When: []string{"meta.billed_units", "embeddings"},
		Columns: []Rule{
			{schemas.InputTokens, "meta.billed_units.input_tokens + meta.billed_units.image_tokens"},
			{schemas.InputTextTokens, "meta.billed_units.input_tokens"},
			{schemas.InputImageTokens, "meta.billed_units.image_tokens"},
		},
		Basis: "exclusive", Operation: "embeddings", Key: bodyKey,
	},
	{
		Name: "cohere.rerank", Doc: "Cohere rerank: search units, no tokens",
		Usage: "meta", NoBare: true,
		When: []string{"meta.billed_units", "results"},
		Columns: []Rule{
			{schemas.InputTokens, "meta.tokens.input_tokens"},
			{schemas.OutputTokens, "meta.tokens.output_tokens"},
		},
		Basis: "inclusive", Operation: "rerank", Key: bodyKey,
	},
	{
		Name: "cohere.generate", Doc: "Cohere v1 chat and generate",
		Usage: "meta", NoBare: true,
		When: []string{"meta.billed_units | meta.tokens.input_tokens"},
		Columns: []Rule{
			{schemas.RequestID, "generation_id | response_id"},
			{schemas.InputTokens, "meta.tokens.input_tokens | meta.billed_units.input_tokens"},
			{schemas.OutputTokens, "meta.tokens.output_tokens | meta.billed_units.output_tokens"},
			{schemas.CacheReadTokens, "meta.cached_tokens"},
		},
		Basis: "inclusive", Operation: "chat", Key: bodyKey, Payload: "text",
	},
	{
		Name: "ollama.embed", Doc: "Ollama embeddings",
		NoBare: true,
		When:   []string{"prompt_eval_count", "embeddings"},
		Columns: []Rule{
			{schemas.InputTokens, "prompt_eval_count"},
			{schemas.DurationMs, "total_duration:e-6"},
		},
		Basis: "inclusive", Operation: "embeddings", Key: bodyKey,
	},
	{
		Name: "ollama.chat", Doc: "Ollama's own API: the last line of an answer",
		NoBare: true,
		When:   []string{"eval_count | prompt_eval_count", "done"},
		Columns: []Rule{
			{schemas.EventTime, "created_at"},
			{schemas.InputTokens, "prompt_eval_count"},
			{schemas.OutputTokens, "eval_count"},
			{schemas.DurationMs, "total_duration:e-6"},
		},
		Basis: "inclusive", Operation: "chat", Key: bodyKey,
	},
	{
		// tokens_cached is the size of the slot after the answer
		Name: "llamacpp.completion", Doc: "llama.cpp's own API: an answer, or the end of a streamed one",
		NoBare: true,
		When:   []string{"tokens_evaluated", "tokens_predicted", "generation_settings | timings.prompt_n"},
		Columns: []Rule{
			{schemas.InputTokens, "tokens_evaluated"},
			{schemas.OutputTokens, "tokens_predicted"},
		},
		Basis: "inclusive", Operation: "text_completion", Key: bodyKey, Payload: "content",
	},
	{
		Name: "llamacpp.completion", Doc: "llama.cpp: chunk of a streamed answer that goes on: its end counts all of it",
		NoBare: true, When: []string{"tokens_evaluated", "tokens_predicted", "stop", "content"}, Ignore: true, Basis: "inclusive",
	},
}
