package logs

import (
	"encoding/base64"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

const (
	day    = 86400 // seconds
	jitter = 10    // seconds by which a line may be later than its place says
	reach  = 4096  // lines that a copy's call is at most behind, copies between not counted
	late   = 7200  // seconds by which a copy's envelope is at most later
)

// random is a small fast generator: its state is set anew for every line.
type random struct{ rand.PCG }

// below returns a number from 0 to n-1.
func (r *random) below(n int64) int64 {
	high, _ := bits.Mul64(r.Uint64(), uint64(n))
	return int64(high)
}

// line sets the generator to a line's beginning and tells whether the line is
// a copy.
func (s *Spec) line(r *random, i int) bool {
	r.Seed(s.Seed, uint64(i))
	u := float64(r.Uint64()>>11) / (1 << 53)
	return i > 0 && u < s.Copies
}

// call is what a line tells.
type call struct {
	created   int64 // seconds since 1970
	model     *model
	input     int64
	output    int64
	cached    int64 // part of input
	reasoning int64 // part of output
	image     int64 // part of input, tokens of images
	cost      int64 // 10^-9 dollars
}

type model struct {
	name, provider string
	chat           string // name at OpenAI
	in, out        int64  // price of a token, 10^-9 dollars
	reasons        bool
}

var models = []model{
	{"openai/gpt-4o-mini", "OpenAI", "gpt-4o-mini-2024-07-18", 150, 600, false},
	{"openai/gpt-5", "OpenAI", "gpt-5-2025-08-07", 1250, 10000, true},
	{"google/gemini-2.5-flash", "Google", "gpt-4.1-2025-04-14", 300, 2500, true},
	{"anthropic/claude-sonnet-4", "Anthropic", "gpt-4o-2024-08-06", 3000, 15000, false},
	{"mistralai/mistral-large-2411", "Mistral", "gpt-4.1-mini-2025-04-14", 2000, 6000, false},
	{"deepseek/deepseek-r1", "DeepInfra", "o4-mini-2025-04-16", 500, 2150, true},
}

// time is when a line's call was made. Times are nearly sorted.
func (s *Spec) time(i int) int64 {
	var r random
	r.Seed(^s.Seed, uint64(i))
	late := r.below(jitter)
	if s.Interleave {
		// The n-th of its day's lines.
		n, of := int64(i/s.Days), int64((s.Lines+s.Days-1)/s.Days)
		return s.Start.Unix() + int64(i%s.Days)*day + min(n*day/of+late, day-1)
	}
	span := int64(s.Days) * day
	return s.Start.Unix() + min(int64(float64(i)/float64(s.Lines)*float64(span))+late, span-1)
}

// fill makes a piece's lines.
func (s *Spec) fill(p piece) piece {
	body := bodies[s.Workload]
	var r random
	for i := p.from; i < p.to; i++ {
		of, share, delay := i, int64(-1), int64(0)
		if s.line(&r, i) {
			of -= 1 + int(r.below(int64(min(i, reach))))
			share, delay = r.below(1000), r.below(late)
			if s.Workload == "image" {
				delay = 0 // calls without an id are told apart by their time too
			}
			for s.line(&r, of) { // line 0 is none
				of--
			}
		}
		c := s.call(&r, of)
		if share >= 0 {
			c.output = c.output * share / 1000
			c.reasoning = min(c.reasoning, c.output)
		} else {
			p.calls++
		}
		if s.Workload == "slim" {
			c.cost = c.input*c.model.in + c.output*c.model.out
		}
		sums := Sums{Input: c.input, Output: c.output, Total: c.input + c.output, Cost: c.cost}
		p.logged.Add(sums)
		if share < 0 {
			p.table.Add(sums)
		}
		if s.Envelope {
			// A copy comes later, but not behind the last day.
			at := min(c.created+delay, s.Start.Unix()+int64(s.Days)*day-1)
			p.data = append(p.data, `{"timestamp":"`...)
			p.data = time.Unix(at, 0).UTC().AppendFormat(p.data, time.RFC3339)
			p.data = append(p.data, `","level":"info","response":`...)
			p.data = body(p.data, &r, &c, false)
			p.data = append(p.data, '}', '\n')
		} else {
			p.data = append(body(p.data, &r, &c, true), '\n')
		}
	}
	return p
}

// call draws the call of a line that is no copy. What a body draws after it
// must not depend on the tokens: copies have the same id and payload.
func (s *Spec) call(r *random, i int) call {
	c := call{created: s.time(i), model: &models[r.below(int64(len(models)))]}
	c.input = 20 + r.below(32<<r.below(10))
	c.output = 1 + r.below(16<<r.below(8))
	if r.below(3) == 0 {
		c.cached = c.input / 128 * 128
	}
	if c.model.reasons {
		c.reasoning = r.below(c.output + 1)
	}
	if s.Workload == "image" {
		c.image = c.input - 20
		c.output = 1056 + 1056*r.below(4)
	}
	return c
}

// bodies append the API body of a call, by workload; dated bodies tell when
// the call was made.
var bodies = map[string]func(dst []byte, r *random, c *call, dated bool) []byte{
	"slim":  slim,
	"chat":  chat,
	"image": image,
	"mixed": mixed,
}

// slim is what a gateway in the manner of OpenRouter logs: usage with every
// detail, no content.
func slim(dst []byte, r *random, c *call, dated bool) []byte {
	dst = append(dst, `{"id":"gen-`...)
	dst = letters(dst, r, 20)
	dst = append(dst, `","provider":"`...)
	dst = append(dst, c.model.provider...)
	dst = append(dst, `","model":"`...)
	dst = append(dst, c.model.name...)
	dst = append(dst, `","object":"chat.completion"`...)
	dst = created(dst, c, dated)
	dst = append(dst, `,"user":"user-`...)
	dst = strconv.AppendInt(dst, 1000+r.below(2000), 10)
	dst = append(dst, `","choices":[],"usage":{"prompt_tokens":`...)
	dst = strconv.AppendInt(dst, c.input, 10)
	dst = append(dst, `,"completion_tokens":`...)
	dst = strconv.AppendInt(dst, c.output, 10)
	dst = append(dst, `,"total_tokens":`...)
	dst = strconv.AppendInt(dst, c.input+c.output, 10)
	dst = append(dst, `,"cost":`...)
	dst = money(dst, c.cost)
	dst = append(dst, `,"is_byok":false,"prompt_tokens_details":{"cached_tokens":`...)
	dst = strconv.AppendInt(dst, c.cached, 10)
	dst = append(dst, `,"audio_tokens":0},"cost_details":{"upstream_inference_cost":null},"completion_tokens_details":{"reasoning_tokens":`...)
	dst = strconv.AppendInt(dst, c.reasoning, 10)
	return append(dst, `,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}`...)
}

// chat is an OpenAI chat completion with its content.
func chat(dst []byte, r *random, c *call, dated bool) []byte {
	// The larger of two: most are long.
	size := 300 + max(r.below(3450), r.below(3450))
	end := len(dst) + int(size)
	dst = append(dst, `{"id":"chatcmpl-`...)
	dst = letters(dst, r, 29)
	dst = append(dst, `","object":"chat.completion"`...)
	dst = created(dst, c, dated)
	dst = append(dst, `,"model":"`...)
	dst = append(dst, c.model.chat...)
	dst = append(dst, `","choices":[{"index":0,"message":{"role":"assistant","content":"`...)
	full := size > 700 // the shortest come without details
	rest := 230
	if full {
		rest = 430
	}
	for len(dst) < end-rest {
		dst = append(dst, phrases[r.below(int64(len(phrases)))]...)
	}
	dst = append(dst, `","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":`...)
	dst = strconv.AppendInt(dst, c.input, 10)
	dst = append(dst, `,"completion_tokens":`...)
	dst = strconv.AppendInt(dst, c.output, 10)
	dst = append(dst, `,"total_tokens":`...)
	dst = strconv.AppendInt(dst, c.input+c.output, 10)
	if full {
		dst = append(dst, `,"prompt_tokens_details":{"cached_tokens":`...)
		dst = strconv.AppendInt(dst, c.cached, 10)
		dst = append(dst, `,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":`...)
		dst = strconv.AppendInt(dst, c.reasoning, 10)
		dst = append(dst, `,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}`...)
	}
	return append(dst, `},"service_tier":"default","system_fingerprint":"fp_a1b2c3d4e5"}`...)
}

// phrases are JSON text: escapes, scripts of one to four bytes a letter, and
// what looks like usage and is none.
var phrases = []string{
	"The ledger balances when every record is counted once. ",
	"In the morning the export was late, so we read it again; nothing had changed. ",
	`She said \"not reported is not zero\" and closed the file.\n`,
	`\n\n1. Open the table\n2. Sum the tokens\n3. Compare\n\n`,
	"Größe, Maß und Übergang: die Summe stimmt überall. ",
	"合計は一致しています。記録は一度だけ数えます。",
	"Счета сходятся, строки посчитаны один раз. ",
	"🙂 ok 🚀 done ",
	`C:\\logs\\2026\\08 and https:\/\/example.com\/a?b=c `,
	`\u00fcber \u4e00\u4e8c and \ud83d\ude00, `,
	"```go\\nfunc sum(n []int) (t int) {\\n\\tfor _, v := range n {\\n\\t\\tt += v\\n\\t}\\n\\treturn t\\n}\\n```\\n",
	`{\"usage\":{\"prompt_tokens\":999999,\"completion_tokens\":1}} is a quotation. `,
	"A plain sentence without anything to note, as most of them are, and another one behind it. ",
	"one, two, three; ",
}

// image is an OpenAI images response; the usage stands behind the payload.
func image(dst []byte, r *random, c *call, dated bool) []byte {
	dst = append(dst, `{"background":"opaque"`...)
	dst = created(dst, c, dated)
	dst = append(dst, `,"data":[{"b64_json":"`...)
	// 0.2 to 1.4 MB of text, mostly about 0.8.
	size := 185_000 + (r.below(865_000)+r.below(865_000))/2
	from := len(dst)
	dst = slices.Grow(dst, base64.StdEncoding.EncodedLen(int(size))+1024)
	dst = dst[:from+base64.StdEncoding.EncodedLen(int(size))]
	text := dst[from:]
	var random [3072]byte
	for len(text) > 0 {
		n := min(int(size), len(random))
		for k := 0; k < n; k += 8 {
			binary.LittleEndian.PutUint64(random[k:], r.Uint64())
		}
		base64.StdEncoding.Encode(text, random[:n])
		text = text[base64.StdEncoding.EncodedLen(n):]
		size -= int64(n)
	}
	dst = append(dst, `"}],"output_format":"png","quality":"high","size":"1024x1024","usage":{"input_tokens":`...)
	dst = strconv.AppendInt(dst, c.input, 10)
	dst = append(dst, `,"input_tokens_details":{"image_tokens":`...)
	dst = strconv.AppendInt(dst, c.image, 10)
	dst = append(dst, `,"text_tokens":`...)
	dst = strconv.AppendInt(dst, c.input-c.image, 10)
	dst = append(dst, `},"output_tokens":`...)
	dst = strconv.AppendInt(dst, c.output, 10)
	dst = append(dst, `,"total_tokens":`...)
	dst = strconv.AppendInt(dst, c.input+c.output, 10)
	return append(dst, `}}`...)
}

// created appends the member that tells when the call was made.
func created(dst []byte, c *call, dated bool) []byte {
	if !dated {
		return dst
	}
	dst = append(dst, `,"created":`...)
	return strconv.AppendInt(dst, c.created, 10)
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// letters appends n letters and digits.
func letters(dst []byte, r *random, n int) []byte {
	for n > 0 {
		u := r.Uint64()
		for k := min(n, 10); k > 0; k-- {
			dst = append(dst, alphabet[u&63])
			u >>= 6
			n--
		}
	}
	return dst
}

// money appends 10^-9 dollars as a JSON number of dollars.
func money(dst []byte, nano int64) []byte {
	dst = strconv.AppendInt(dst, nano/1e9, 10)
	rest := nano % 1e9
	if rest == 0 {
		return dst
	}
	dst = append(dst, '.')
	for unit := int64(1e8); rest > 0; unit /= 10 {
		dst = append(dst, byte('0'+rest/unit))
		rest %= unit
	}
	return dst
}
