package logs

import (
	"strconv"
	"time"
)

// mixed is a log of twelve dialects, in no order: what a gateway's bucket holds
// that everything is thrown into.
func mixed(dst []byte, r *random, c *call, _ bool) []byte {
	shape := shapes[r.below(int64(len(shapes)))]
	t := text{b: dst, r: r, c: c}
	for i := 0; i < len(shape); i++ {
		if shape[i] != '$' {
			t.b = append(t.b, shape[i])
			continue
		}
		i++
		t.value(shape[i])
	}
	return t.b
}

// Shapes of lines. A dollar sign and a letter stand for a value: i input, p
// input without what was cached, k cached, o output, v output without
// reasoning, n reasoning, t total, m model, d an id, c seconds, e milliseconds,
// z a time as text.
var shapes = []string{
	`{"id":"chatcmpl-$d","object":"chat.completion","created":$c,"model":"$m","choices":[],"usage":{"prompt_tokens":$i,"completion_tokens":$o,"total_tokens":$t,"prompt_tokens_details":{"cached_tokens":$k},"completion_tokens_details":{"reasoning_tokens":$n}}}`,
	`{"type":"response.completed","sequence_number":9,"response":{"id":"resp_$d","object":"response","created_at":$c,"status":"completed","model":"$m","output":[],"usage":{"input_tokens":$i,"input_tokens_details":{"cached_tokens":$k},"output_tokens":$o,"output_tokens_details":{"reasoning_tokens":$n},"total_tokens":$t}}}`,
	`{"timestamp":"$z","body":{"id":"msg_$d","type":"message","role":"assistant","model":"$m","content":[],"stop_reason":"end_turn","usage":{"input_tokens":$p,"cache_creation_input_tokens":0,"cache_read_input_tokens":$k,"output_tokens":$o,"service_tier":"standard"}}}`,
	`{"parentUuid":"u0","isSidechain":false,"sessionId":"s1","version":"2.0.1","type":"assistant","timestamp":"$z","requestId":"req_$d","message":{"id":"msg_$d","type":"message","role":"assistant","model":"$m","content":[{"type":"text","text":"done"}],"stop_reason":null,"usage":{"input_tokens":$p,"cache_read_input_tokens":$k,"output_tokens":$o}}}`,
	`{"candidates":[],"modelVersion":"$m","createTime":"$z","responseId":"$d","usageMetadata":{"promptTokenCount":$i,"candidatesTokenCount":$v,"totalTokenCount":$t,"cachedContentTokenCount":$k,"promptTokensDetails":[{"modality":"TEXT","tokenCount":$i}],"thoughtsTokenCount":$n}}`,
	`{"schemaType":"ModelInvocationLog","schemaVersion":"1.0","timestamp":"$z","accountId":"1","region":"us-east-1","requestId":"$d","operation":"Converse","modelId":"$m","input":{"inputTokenCount":$p,"cacheReadInputTokenCount":$k},"output":{"outputTokenCount":$o}}`,
	`{"request_id":"$d","call_type":"acompletion","api_key":"h","spend":0,"total_tokens":$t,"prompt_tokens":$i,"completion_tokens":$o,"startTime":"$z","model":"$m","custom_llm_provider":"openai","user":"ann","cache_hit":"False","metadata":{"user_api_key_alias":"ci"}}`,
	`{"type":"message","timestamp":"$z","message":{"id":"$d","role":"assistant","provider":"anthropic","model":"$m","usage":{"input":$p,"output":$o,"cacheRead":$k,"cacheWrite":0,"totalTokens":$t},"timestamp":$e}}`,
	`{"model":"$m","created_at":"$z","message":{"role":"assistant","content":""},"done":true,"total_duration":3722518334,"prompt_eval_count":$i,"eval_count":$o,"eval_duration":2006086000}`,
	`{"id":"batch_req_$d","custom_id":"row","response":{"status_code":200,"request_id":"r","body":{"id":"chatcmpl-$d","object":"chat.completion","created":$c,"model":"$m","choices":[],"usage":{"prompt_tokens":$i,"completion_tokens":$o,"total_tokens":$t}}},"error":null}`,
	`{"id":"$d","object":"chat.completion","created":$c,"model":"$m","choices":[],"usage":{"prompt_tokens":$i,"completion_tokens":$v,"total_tokens":$t,"prompt_tokens_details":{"cached_tokens":$k},"completion_tokens_details":{"reasoning_tokens":$n},"num_sources_used":0,"cost_in_usd_ticks":0}}`,
	`{"timestamp":"$z","request_id":"$d","model":"$m","body":{"output":{"message":{"role":"assistant","content":[]}},"stopReason":"end_turn","metrics":{"latencyMs":589},"usage":{"inputTokens":$p,"outputTokens":$o,"totalTokens":$t,"cacheReadInputTokens":$k,"cacheWriteInputTokens":0}}}`,
}

// text is a line that is written.
type text struct {
	b []byte
	r *random
	c *call
}

func (t *text) value(letter byte) {
	c := t.c
	switch letter {
	case 'i':
		t.number(c.input)
	case 'p':
		t.number(c.input - c.cached)
	case 'k':
		t.number(c.cached)
	case 'o':
		t.number(c.output)
	case 'v':
		t.number(c.output - c.reasoning)
	case 'n':
		t.number(c.reasoning)
	case 't':
		t.number(c.input + c.output)
	case 'm':
		t.b = append(t.b, c.model.name...)
	case 'd':
		t.b = letters(t.b, t.r, 20)
	case 'c':
		t.number(c.created)
	case 'e':
		t.number(c.created * 1000)
	case 'z':
		t.b = time.Unix(c.created, 0).UTC().AppendFormat(t.b, time.RFC3339)
	}
}

func (t *text) number(n int64) { t.b = strconv.AppendInt(t.b, n, 10) }
