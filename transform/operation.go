package transform

// operations are the names that logs have for an operation, by what the table
// calls it: OpenTelemetry's word, or else that of the API.
var operations = func() map[string]string {
	m := map[string]string{}
	for name, others := range map[string][]string{
		"chat": {
			"completion", "acompletion", "chat_completion", "chat.completion", "chat.completions", "ChatCompletions_Create",
			"Converse", "ConverseStream", "$ai_generation",
			"generateContent", "streamGenerateContent", "generate_content", "agenerate_content", "anthropic_messages",
		},
		"text_completion":  {"atext_completion"},
		"responses":        {"aresponses"},
		"embeddings":       {"embedding", "aembedding", "EMBEDDING", "embedContent", "embed", "$ai_embedding"},
		"image_generation": {"aimage_generation", "image"},
		"image_edit":       {"aimage_edit"},
		"transcription":    {"atranscription", "stt"},
		"speech":           {"aspeech", "tts"},
		"moderation":       {"amoderation"},
		"rerank":           {"arerank"},
		"video_generation": {"avideo_generation", "video"},
	} {
		for _, other := range others {
			m[other] = name
		}
	}
	return m
}()

// operation is what the table calls an operation.
func operation(text string) string {
	if name, ok := operations[text]; ok {
		return name
	}
	return text
}
