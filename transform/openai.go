package transform

import (
	"strings"

	"usagelake/schemas"
)

// openaiEntries are the shapes of OpenAI's APIs, which many others speak.
var openaiEntries = []Entry{
	{
		Name: "openai.list", Doc: "page of what an API has kept: answers, runs, jobs",
		At:   []string{"", "response.body", "response", "body", "result"},
		When: []string{"object", "data[].object", "has_more | first_id | last_id", "!usage"}, NoBare: true,
		Container: true, Wraps: true, Basis: "inclusive", Key: bodyKey,
		Parts: within("data[]"),
	},
	{
		Name: "openai.batch", Doc: "batch job: its usage is that of its output lines",
		When: []string{"input_file_id", "completion_window"}, Ignore: true, Basis: "inclusive", NoBare: true,
	},
	{
		Name: "openai.finetuning", Doc: "fine-tuning job or checkpoint: no call",
		When:   []string{"training_file | fine_tuned_model_checkpoint", "trained_tokens | fine_tuned_model | hyperparameters | metrics"},
		Ignore: true, Basis: "inclusive", NoBare: true,
	},
	{
		Name: "openai.evals", Doc: "eval run: its usage is that of its items",
		When: []string{"per_model_usage", "eval_id"}, Ignore: true, Basis: "inclusive", Key: bodyKey, NoBare: true,
	},
	{
		Name: "openai.evals", Doc: "item of an eval run: the call that was judged",
		At:   []string{"sample"},
		When: []string{"usage.prompt_tokens", "usage.completion_tokens", "^run_id | ^eval_id"},
		Columns: append([]Rule{
			{schemas.EventTime, "^created_at"},
			{schemas.RequestID, "^id"},
		}, chatColumns...),
		Basis: "inclusive", Operation: "chat", Key: bodyKey,
	},
	{
		Name: "openai.images", Doc: "image event or response of Volcengine ARK: output tokens alone",
		NoBare: true,
		When:   []string{"usage.generated_images", "usage.output_tokens", "!usage.input_tokens", "!usage.prompt_tokens"},
		Columns: append([]Rule{
			{schemas.Operation, "type:stem"},
			{schemas.ImageCount, "usage.generated_images"},
		}, imageColumns...),
		Basis: "inclusive", AssumeImageOutput: true, Operation: "image_generation", Key: bodyKey, Payload: "data",
	},
	{
		Name: "openai.images", Doc: "result of the AI SDK's generateImage",
		NoBare: true,
		When:   []string{"images[].base64 | images[].mediaType", "responses | usage", "!usage.prompt_tokens"},
		Columns: append([]Rule{
			{schemas.EventTime, "responses[].timestamp"},
			{schemas.Model, "responses[].modelId"},
			{schemas.ImageCount, "#images"},
		}, imageColumns...),
		Basis: "inclusive", AssumeImageOutput: true, Operation: "image_generation", Key: bodyKey, Payload: "images",
	},
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
		Name: "openai.image_tool", Doc: "images made within a Responses answer",
		At: []string{"bare"}, Named: true, Own: true,
		When:    []string{"usage.input_tokens", "usage.output_tokens"},
		Columns: imageColumns,
		Basis:   "inclusive", AssumeImageOutput: true, PartsAddUp: true, Operation: "image_generation", Key: modelKey,
	},
	{
		Name: "openai.responses", Doc: "Responses API answer with tools that count apart",
		When: []string{
			"usage.input_tokens", "usage.output_tokens", "usage.total_tokens", "tool_usage", "!usage.prompt_tokens",
		},
		Columns: responsesColumns, NoBare: true,
		Basis: "inclusive", Operation: "responses", Key: bodyKey, Payload: "output",
		Parts: imageTool,
	},
	{
		Name: "openai.responses", Doc: "Responses API answer that is not done, or says no usage but that of its tools",
		NoBare: true, When: []string{"tool_usage", "output", "!usage.input_tokens", "!usage.prompt_tokens"},
		Columns: responsesColumns,
		Basis:   "inclusive", Key: bodyKey, Container: true, Parts: imageTool,
	},
	{
		Name: "openai.responses", Doc: "Responses API answer, or the event around it",
		When: []string{
			"usage.input_tokens", "usage.output_tokens", "usage.total_tokens", "object | created_at",
			"!usage.prompt_tokens", "!usage.input_token_details",
		},
		Columns: responsesColumns, NoBare: true,
		Basis: "inclusive", Operation: "responses", Key: bodyKey, Payload: "output",
	},
	{
		Name: "openai.responses", Doc: "usage of the Responses API, wherever it stands",
		When: []string{
			"usage.input_tokens", "usage.output_tokens",
			"usage.input_tokens_details.cached_tokens | usage.output_tokens_details.reasoning_tokens", "!usage.prompt_tokens",
		},
		Columns: responsesColumns,
		Basis:   "inclusive", Operation: "responses", Key: bodyKey, Payload: "output",
	},
	{
		Name: "openai.realtime", Doc: "Realtime API event response.done: one turn, which bills what was said before again",
		NoBare: true,
		When: []string{
			"usage.input_tokens", "usage.output_tokens", "usage.input_token_details", "usage.output_token_details | conversation_id",
		},
		Columns: append([]Rule{
			{schemas.SessionID, "conversation_id"},
			{schemas.ErrorCode, "status_details.error.code/status_details.error.type"},
		}, audioColumns...),
		Basis: "inclusive", Operation: "realtime", Key: bodyKey, Payload: "output",
	},
	{
		Name: "openai.transcription", Doc: "transcription, or the event at its end: tokens of text and audio, or seconds",
		NoBare: true,
		When: []string{
			"usage.input_tokens | usage.seconds", "!usage.prompt_tokens",
			"usage.type | usage.seconds | usage.input_token_details.text_tokens | usage.input_token_details.audio_tokens | transcript",
		},
		Columns: append([]Rule{{schemas.RequestID, "event_id"}}, audioColumns...),
		Basis:   "inclusive", Operation: "transcription", Key: bodyKey,
	},
	{
		Name: "openai.transcription", Doc: "transcription of Mistral: seconds beside the tokens of the prompt",
		NoBare:  true,
		When:    []string{"usage.prompt_audio_seconds", "usage.prompt_tokens", "text", "!choices"},
		Columns: chatColumns,
		Basis:   "inclusive", Operation: "transcription", Key: bodyKey,
	},
	{
		Name: "openai.videos", Doc: "video job: seconds of video, no tokens",
		NoBare:  true,
		When:    []string{"seconds", "model", "object", "status", "size", "!usage"},
		Columns: []Rule{{schemas.EventTime, "created_at"}},
		Basis:   "inclusive", Operation: "video_generation", Key: bodyKey, Keep: []string{"seconds", "size"},
	},
	{
		Name: "openai.runs", Doc: "step of an assistant's run, whose usage the run sums up",
		At: []string{"", "data", "response", "body"}, When: []string{"usage.prompt_tokens", "assistant_id", "run_id"},
		Ignore: true, Basis: "inclusive", Key: bodyKey,
	},
	{
		Name: "openai.runs", Doc: "run of an assistant",
		At:   []string{"", "data", "response", "body"},
		When: []string{"usage.prompt_tokens", "usage.completion_tokens", "assistant_id", "thread_id"},
		Columns: append([]Rule{
			{schemas.EventTime, "created_at"},
			{schemas.SessionID, "thread_id"},
		}, chatColumns...),
		Basis: "inclusive", Operation: "assistant_run", Key: bodyKey,
	},
	{
		Name: "openai.rerank", Doc: "rerank of Together, Voyage, Jina",
		NoBare:  true,
		When:    []string{"usage.total_tokens", "results[].relevance_score | data[].relevance_score"},
		Columns: append([]Rule{{schemas.InputTokens, "usage.prompt_tokens | usage.total_tokens"}}, chatColumns...),
		Basis:   "inclusive", Operation: "rerank", Key: bodyKey,
	},
	{
		Name: "openai.embeddings", Doc: "embeddings of OpenAI and others; some say the total alone, some an output of 0",
		NoBare:  true,
		When:    []string{"usage.prompt_tokens | usage.total_tokens", "data[].embedding", "!usage.input_tokens"},
		Columns: append([]Rule{{schemas.InputTokens, "usage.prompt_tokens | usage.total_tokens"}}, chatColumns...),
		Basis:   "inclusive", Operation: "embeddings", Key: bodyKey,
	},
	{
		Name: "openai.embeddings", Doc: "usage without output",
		When:    []string{"usage.prompt_tokens", "usage.total_tokens", "!usage.completion_tokens", "!usage.input_tokens", "!choices", "!requests", "!api_requests"},
		Columns: chatColumns,
		Basis:   "inclusive", Operation: "embeddings", Key: bodyKey,
	},
	{
		Name: "openai.chat", Doc: "chat completion chunk with usage in its choice, or in what Groq adds, alone",
		At:   []string{"choices[]", "x_groq"},
		When: []string{"usage.prompt_tokens", "usage.completion_tokens", "!^usage.prompt_tokens"},
		Columns: append([]Rule{
			{schemas.EventTime, "^created"},
			{schemas.RequestID, "^id"},
		}, chatColumns...),
		Basis: "inclusive", Operation: "chat", Key: bodyKey,
	},
	{
		// by Perplexity's price list both are billed beside prompt and completion
		Name: "openai.chat", Doc: "Perplexity's deep research: reasoning is not in completion_tokens, and citations have no column",
		NoBare: true,
		When:   []string{"usage.prompt_tokens", "usage.completion_tokens", "usage.citation_tokens", "usage.reasoning_tokens"},
		Columns: append([]Rule{
			{schemas.OutputTokens, "usage.completion_tokens + usage.reasoning_tokens"},
			{schemas.ReasoningTokens, "usage.reasoning_tokens"},
		}, chatColumns...),
		Keep:  []string{"usage.citation_tokens"},
		Basis: "exclusive", Operation: "chat", Key: bodyKey, Payload: "choices",
	},
	{
		Name: "openai.completions", Doc: "text completion",
		NoBare:  true,
		When:    []string{"usage.prompt_tokens", "usage.completion_tokens", "choices[].text", "!usage.billed_units"},
		Columns: chatColumns,
		Basis:   "inclusive", Operation: "text_completion", Key: bodyKey, Payload: "choices",
	},
	{
		Name: "openai.chat",
		Doc:  "chat completion usage: prompt and completion tokens",
		// a report's row is no call; a gateway's has its own meaning
		When:    []string{"usage.prompt_tokens", "usage.completion_tokens | choices", "!usage.billed_units", "!requests", "!api_requests", "!^spend"},
		Columns: chatColumns,
		Basis:   "inclusive", Operation: "chat", Key: bodyKey, Payload: "choices",
	},
	{
		Name: "generic.usage", Doc: "input and output counts of nobody in particular",
		When: []string{
			"usage.input_tokens", "usage.output_tokens", "!usage.prompt_tokens", "!usage.inputTokens",
			"!requests", "!request_count", "!api_requests", "!num_requests",
		},
		Columns: anyColumns,
		Basis:   "ambiguous", Key: modelKey,
	},
}

// imageTool are the images that a Responses answer made on the way. They are of
// another model and another price.
var imageTool = []Part{{
	Path: "tool_usage.image_gen", Entry: "openai.image_tool", ID: "#image_gen",
	Inherit: []schemas.Col{
		schemas.RequestID, schemas.TransportID, schemas.Provider, schemas.SessionID, schemas.UserID, schemas.ProjectID, schemas.TeamID,
		schemas.APIKeyID, schemas.ServiceTier,
	},
}}

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

var responsesColumns = []Rule{
	{schemas.EventTime, "created_at"},
	{schemas.InputTokens, "usage.input_tokens"},
	{schemas.OutputTokens, "usage.output_tokens"},
	{schemas.TotalTokens, "usage.total_tokens"},
	{schemas.CacheReadTokens, "usage.input_tokens_details.cached_tokens"},
	{schemas.CacheWriteTokens, "usage.input_tokens_details.cache_write_tokens"},
	{schemas.ReasoningTokens, "usage.output_tokens_details.reasoning_tokens"},
	{schemas.WebSearchRequests, "tool_usage.web_search.num_requests | usage.server_tool_use_details.web_search_requests"},
	{schemas.ReportedCostUSD, "usage.cost | usage.cost_in_usd_ticks:e-10"},
	{schemas.IsBYOK, "usage.is_byok"},
}

// anyColumns are the names that counts have in objects of nobody in particular. What is
// not read here would make a row too small without a word.
var anyColumns = []Rule{
	{schemas.InputTokens, "usage.input_tokens"},
	{schemas.OutputTokens, "usage.output_tokens"},
	{schemas.TotalTokens, "usage.total_tokens"},
	{schemas.CacheReadTokens, anyOf("cached_tokens", "cached_input_tokens", "cache_read_tokens", "cache_read_input_tokens", "cached_read_tokens",
		"cached_content_tokens", "input_cached_tokens", "input_tokens_cached", "input_tokens_cache_read", "cache_hit_tokens", "cache_read",
		"input_tokens_details.cached_tokens", "input_token_details.cached_tokens", "input_token_details.cache_read")},
	{schemas.CacheWriteTokens, anyOf("cache_write_tokens", "cache_creation_tokens", "cache_write_input_tokens", "cache_creation_input_tokens",
		"cached_write_tokens", "input_tokens_cache_write", "cache_write", "input_tokens_details.cache_write_tokens", "input_token_details.cache_creation")},
	{schemas.ReasoningTokens, anyOf("reasoning_tokens", "reasoning_output_tokens", "output_reasoning_tokens", "output_tokens_reasoning",
		"thinking_tokens", "thought_tokens", "thoughts_tokens",
		"output_tokens_details.reasoning_tokens", "output_token_details.reasoning_tokens", "output_token_details.reasoning")},
	{schemas.InputAudioTokens, anyOf("input_audio_tokens", "input_tokens_details.audio_tokens", "input_token_details.audio_tokens")},
	{schemas.OutputAudioTokens, anyOf("output_audio_tokens", "output_tokens_details.audio_tokens", "output_token_details.audio_tokens")},
	{schemas.InputImageTokens, anyOf("input_image_tokens", "input_tokens_details.image_tokens", "input_token_details.image_tokens")},
	{schemas.OutputImageTokens, anyOf("output_image_tokens", "output_tokens_details.image_tokens", "output_token_details.image_tokens")},
}

// anyOf is the first of some members of usage.
func anyOf(names ...string) string { return "usage." + strings.Join(names, " | usage.") }

// audioColumns are of shapes that say input_token_details, without the s.
var audioColumns = []Rule{
	{schemas.InputTokens, "usage.input_tokens"},
	{schemas.OutputTokens, "usage.output_tokens"},
	{schemas.TotalTokens, "usage.total_tokens"},
	{schemas.CacheReadTokens, "usage.input_token_details.cached_tokens"},
	{schemas.CacheReadAudioTokens, "usage.input_token_details.cached_tokens_details.audio_tokens"},
	{schemas.CacheReadImageTokens, "usage.input_token_details.cached_tokens_details.image_tokens"},
	{schemas.InputTextTokens, "usage.input_token_details.text_tokens"},
	{schemas.InputAudioTokens, "usage.input_token_details.audio_tokens"},
	{schemas.InputImageTokens, "usage.input_token_details.image_tokens"},
	{schemas.OutputTextTokens, "usage.output_token_details.text_tokens"},
	{schemas.OutputAudioTokens, "usage.output_token_details.audio_tokens"},
	{schemas.AudioSeconds, "usage.seconds"},
	{schemas.ReportedCostUSD, "usage.cost"},
}

var chatColumns = []Rule{
	{schemas.EventTime, "created"},
	{schemas.InputTokens, "usage.prompt_tokens"},
	{schemas.OutputTokens, "usage.completion_tokens"},
	{schemas.TotalTokens, "usage.total_tokens"},
	{schemas.CacheReadTokens, "usage.prompt_tokens_details.cached_tokens | usage.num_cached_tokens | usage.prompt_cache_hit_tokens | " +
		"usage.cached_tokens | usage.prompt_token_details.cached_tokens | usage.cache_read_input_tokens | usage.cache_read_tokens"},
	{schemas.CacheWriteTokens, "usage.prompt_tokens_details.cache_write_tokens | usage.prompt_tokens_details.cache_creation_input_tokens | " +
		"usage.cache_write_tokens | usage.cache_creation_input_tokens"},
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
	{schemas.AudioSeconds, "usage.prompt_audio_seconds"},
	{schemas.WebSearchRequests, "usage.server_tool_use_details.web_search_requests/usage.num_search_queries"},
	{schemas.ReportedCostUSD, "usage.cost/usage.cost.total_cost | usage.estimated_cost"},
	{schemas.IsBYOK, "usage.is_byok"},
	{schemas.DurationMs, "usage.total_time:e3 | time_info.total_time:e3"},
}
