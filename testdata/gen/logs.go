package main

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// gen makes the parts of records. Its draws depend on nothing but their order.
type gen struct {
	r    *rand.Rand
	made int
}

// clock gives times that go forward by up to four minutes.
type clock struct {
	g   *gen
	now time.Time
}

func (g *gen) from(text string) *clock {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return &clock{g, t}
}

func (c *clock) next() time.Time {
	c.now = c.now.Add(time.Duration(5+c.g.r.IntN(235)) * time.Second)
	return c.now
}

func (g *gen) between(lo, hi int64) int64 { return lo + g.r.Int64N(hi-lo+1) }

func (g *gen) pick(from ...string) string { return from[g.r.IntN(len(from))] }

// id is a name that nothing else has.
func (g *gen) id(prefix string) string {
	g.made++
	return fmt.Sprintf("%s%06x%04d", prefix, g.r.IntN(1<<24), g.made)
}

// image is base64 text of n characters, a stand-in for a picture.
func (g *gen) image(n int) string {
	b := make([]byte, n/4*3)
	for i := range b {
		b[i] = byte(g.r.Uint32())
	}
	return base64.StdEncoding.EncodeToString(b)
}

func (g *gen) sentence() string {
	words := strings.Fields("the night export is done and every row has found its day while one small lamp stays on above the ledger")
	var s []string
	for range 4 + g.r.IntN(8) {
		s = append(s, g.pick(words...))
	}
	return strings.Join(s, " ") + "."
}

func (g *gen) user() string    { return g.pick("ana", "bo", "carla", "Zoë", "日向", "svc-search") }
func (g *gen) project() string { return g.pick("ads", "search", "support-bot", "catalog") }

func (g *gen) model() string {
	return g.pick("gpt-4o-2024-08-06", "gpt-4.1-mini-2025-04-14", "gpt-5-2025-08-07", "o4-mini-2025-04-16")
}

// details says how much a usage object tells of its parts.
type details int

const (
	noDetails details = iota
	nullDetails
	olderDetails
	newerDetails
)

// chatUsage is the usage of a chat completion.
func (g *gen) chatUsage(t *tally, more details) object {
	in, out := g.between(20, 9000), g.between(1, 1600)
	u := obj(
		"prompt_tokens", t.n("input_tokens", in),
		"completion_tokens", t.n("output_tokens", out),
		"total_tokens", t.n("total_tokens", in+out),
	)
	switch more {
	case nullDetails:
		u = u.with("prompt_tokens_details", nil, "completion_tokens_details", nil)
	case olderDetails, newerDetails:
		audio := g.between(0, out/8)
		prompt := obj(
			"cached_tokens", t.n("cache_read_tokens", in/4/128*128),
			"audio_tokens", t.n("input_audio_tokens", 0),
		)
		if more == newerDetails {
			prompt = prompt.with(
				"cache_write_tokens", t.n("cache_write_tokens", in/8),
				"video_tokens", t.n("input_video_tokens", 0),
			)
		}
		u = u.with("prompt_tokens_details", prompt, "completion_tokens_details", obj(
			"reasoning_tokens", t.n("reasoning_tokens", g.between(0, out/2)),
			"audio_tokens", t.n("output_audio_tokens", audio),
			"accepted_prediction_tokens", t.n("accepted_prediction_tokens", g.between(0, 20)),
			"rejected_prediction_tokens", t.n("rejected_prediction_tokens", 0),
		))
	}
	return u
}

// chat is a chat completion as the API answers it. Members of usage may lie in
// its text too, where they mean nothing.
func (g *gen) chat(id, model string, at time.Time, usage any) object {
	text := g.sentence()
	if g.r.IntN(8) == 0 {
		text = `The log says {"usage":{"prompt_tokens":999999,"completion_tokens":999999}}, or so I read.`
	}
	return obj("id", id, "object", "chat.completion", "created", at.Unix(), "model", model,
		"choices", []any{obj(
			"index", 0,
			"message", obj("role", "assistant", "content", text, "refusal", nil),
			"logprobs", nil, "finish_reason", "stop",
		)},
		"usage", usage, "service_tier", "default", "system_fingerprint", "fp_invented01")
}

// chunk is one event of a streamed chat completion.
func (g *gen) chunk(id, model string, at time.Time, delta, finish any, usage ...any) object {
	choices := []any{}
	if delta != nil {
		choices = append(choices, obj("index", 0, "delta", delta, "finish_reason", finish))
	}
	o := obj("id", id, "object", "chat.completion.chunk", "created", at.Unix(), "model", model, "choices", choices)
	if len(usage) > 0 {
		o = o.with("usage", usage[0])
	}
	return o
}

// imageUsage is the usage of an image call; with newer, the output is broken
// down too.
func (g *gen) imageUsage(t *tally, newer bool) object {
	text, image, out := g.between(8, 300), g.between(0, 3)*194, g.between(2, 40)*100
	u := obj(
		"total_tokens", t.n("total_tokens", text+image+out),
		"input_tokens", t.n("input_tokens", text+image),
		"output_tokens", t.n("output_tokens", out),
		"input_tokens_details", obj(
			"text_tokens", t.n("input_text_tokens", text),
			"image_tokens", t.n("input_image_tokens", image),
		),
	)
	if newer {
		u = u.with("output_tokens_details", obj(
			"image_tokens", t.n("output_image_tokens", out),
			"text_tokens", t.n("output_text_tokens", 0),
		))
	} else {
		t.imageOutput(out)
	}
	return u
}

// pictures is the data of an image response: payloads, with n > 0, or links.
func (g *gen) pictures(t *tally, count, n int) []any {
	t.images(count)
	var data []any
	for range count {
		if n > 0 {
			data = append(data, obj("b64_json", g.image(n)))
		} else {
			data = append(data, obj("url", "https://images.example/"+g.id("img-")+".png", "revised_prompt", g.sentence()))
		}
	}
	return data
}

// corpus is every file of testdata/logs.
func corpus() []*file {
	g := &gen{r: rand.New(rand.NewPCG(2026, 8))}
	chats, chatCopies := g.chats()
	images, imageCopies := g.images()
	requests := g.requestsFlat()
	return []*file{
		chats, images, requests,
		g.audit(append(chatCopies, imageCopies...)),
		{name: "archive/requests-2025-11-04.jsonl.gz", same: requests.name, parts: 1, crlf: true, bom: true, lines: requests.lines, doc: "a copy of " + requests.name + ", byte for byte"},
		g.requests(), g.times(), g.spellings(), g.array(), g.document(), g.badLines(),
		g.batchChats(), g.batchImages(),
		g.firstImages(), g.edits(), g.imageStream(), g.chatStream(), g.chatEvents(),
		g.openRouter(), g.openRouterSDK(), g.openRouterStream(), g.tokenUsage(),
	}
}

// copied is a call that an audit log holds once more.
type copied struct {
	body object
	t    *tally
	id   string
	at   time.Time
}

func (g *gen) chats() (*file, []copied) {
	f := &file{name: "openai/chat-2025-03-14.jsonl", doc: "chat.completion bodies, all ages of usage, on two days"}
	var copies []copied
	c := g.from("2025-03-14T22:55:00Z")
	for i := range 40 {
		t, at, id, model := count(), c.next(), g.id("chatcmpl-"), g.model()
		body := g.chat(id, model, at, g.chatUsage(t, details(i%4)))
		f.call(body.String(), t, id, at)
		if i%7 == 0 {
			copies = append(copies, copied{body, t, id, at})
		}
	}
	return f, copies
}

// images has contents as ids, where they are long enough.
func (g *gen) images() (*file, []copied) {
	f := &file{name: "openai/images.jsonl.zst", parts: 3, doc: "Images API responses of GPT image models, created as integer and float, in 3 zstd frames"}
	var copies []copied
	c := g.from("2025-08-12T12:00:00Z")
	for i := range 14 {
		t, at := count(), c.next()
		usage := g.imageUsage(t, i%2 == 0)
		created := any(at.Unix())
		if i%3 == 0 {
			created = raw(fmt.Sprintf("%d.0", at.Unix()))
		}
		body := obj("created", created, "background", "opaque", "output_format", "png",
			"quality", g.pick("low", "medium", "high"), "size", g.pick("1024x1024", "1024x1536", "auto"),
			"data", g.pictures(t, 1+i%2, 1200+400*(i%4)), "usage", usage)
		id := g.id("content-")
		f.call(body.String(), t, id, at)
		if i == 3 || i == 8 {
			copies = append(copies, copied{body, t, id, at})
		}
	}
	return f, copies
}

func (g *gen) audit(copies []copied) *file {
	f := &file{name: "archive/audit-2025.jsonl.gz", parts: 1, doc: "calls of other files once more, inside of log lines, one of them less complete: duplicates"}
	for i, c := range copies {
		if i == 0 { // written before the answer was complete: gives way to the whole one
			c.t = count()
			c.body = c.body.with("usage", obj("prompt_tokens", c.t.n("input_tokens", 11), "completion_tokens", c.t.n("output_tokens", 0)))
		}
		key := [...]string{"response", "body", "result"}[i%3]
		line := obj("timestamp", c.at.Add(2*time.Second).Format(time.RFC3339), "event", "llm.call", key, c.body)
		f.call(line.String(), c.t, c.id, c.at)
	}
	return f
}

// envelope is the beginning of a log line of one's own.
func (g *gen) envelope(at time.Time, id string) object {
	return obj("timestamp", at.Format(time.RFC3339Nano), "level", "info", "request_id", id,
		"model", g.model(), "user", g.user(), "project", g.project())
}

func (g *gen) requests() *file {
	f := &file{name: "app/requests-2025-11-03.jsonl", doc: "own log lines with usage, whole bodies, requests; retries, one over midnight; lines without usage"}
	c := g.from("2025-11-03T21:50:00Z")
	for i := range 24 {
		t, at, id := count(), c.next(), g.id("req-")
		switch i % 6 {
		case 0:
			f.call(g.envelope(at, id).with("latency_ms", g.between(80, 9000), "usage", g.chatUsage(t, noDetails)).String(), t, id, at)
		case 1:
			line := g.envelope(at, id).with("team", "growth", "session_id", g.id("s-"),
				"tags", obj("env", "prod", "feature", g.pick("summaries", "chat")),
				"request", obj("model", "gpt-5", "max_tokens", 512, "messages", []any{obj("role", "user", "content", g.sentence())}),
				"usage", g.chatUsage(t, olderDetails))
			f.call(line.String(), t, id, at)
		case 2:
			body := g.chat(g.id("chatcmpl-"), g.model(), at, g.chatUsage(t, nullDetails))
			f.call(obj("ts", at.Format(time.RFC3339), "status", 200, "user_id", g.user(), "body", body).String(), t, id, at)
		case 3:
			body := g.chat(g.id("chatcmpl-"), g.model(), at, g.chatUsage(t, newerDetails))
			f.call(obj("time", at.Format(time.RFC3339), "x_request_id", g.id("http-"), "response", body).String(), t, id, at)
		case 4:
			line := obj("timestamp", at.Format(time.RFC3339), "operation", "image_edit", "model", "gpt-image-1",
				"request_id", id, "usage", g.imageUsage(t, false))
			f.call(line.String(), t, id, at)
		case 5:
			f.none(obj("timestamp", at.Format(time.RFC3339), "level", g.pick("info", "warn"), "msg", g.sentence(), "max_tokens", 4096, "entries", g.between(1, 500)).String())
		}
		f.line("")
	}
	g.retry(f, g.from("2025-11-03T23:10:00Z").now, 20*time.Second)
	g.retry(f, g.from("2025-11-03T23:59:40Z").now, 40*time.Second)
	return f
}

// retry adds a call that is logged while it runs and once more when it is done:
// the later, more complete copy counts.
func (g *gen) retry(f *file, at time.Time, after time.Duration) {
	id := g.id("req-")
	line := g.envelope(at, id)
	first, last := count(), count()
	part := obj("prompt_tokens", first.n("input_tokens", 812), "completion_tokens", first.n("output_tokens", 7))
	whole := obj("prompt_tokens", last.n("input_tokens", 812), "completion_tokens", last.n("output_tokens", 240))
	f.call(line.with("usage", part).String(), first, id, at)
	line[0].value = at.Add(after).Format(time.RFC3339Nano)
	f.call(line.with("usage", whole).String(), last, id, at.Add(after))
}

func (g *gen) requestsFlat() *file {
	f := &file{name: "app/requests-2025-11-04.jsonl", crlf: true, bom: true, doc: "own log lines with counts beside the envelope, snake_case and camelCase; CRLF and a byte order mark"}
	c := g.from("2025-11-04T07:00:00Z")
	for i := range 24 {
		t, at, id := count(), c.next(), g.id("req-")
		line := obj("event_time", at.Format(time.RFC3339), "request_id", id, "model_name", g.model(),
			"project_id", g.project(), "user_id", g.user(), "api_key_name", g.pick("prod", "batch"), "region", "eu-west",
			"duration_ms", raw(decimal(g.between(80_000, 9_000_000), 3)), "cost_usd", t.cost(g.between(1, 9_000_000)*100))
		line = append(line, g.chatUsage(t, details(i%4))...)
		if i%2 == 1 {
			line = line.camel()
		}
		f.call(line.String(), t, id, at)
	}
	return f
}

func (g *gen) times() *file {
	f := &file{name: "app/times.jsonl", openEnd: true, doc: "event times in every form; no newline at the end"}
	c := g.from("2026-02-28T23:58:00Z")
	berlin, nepal := time.FixedZone("", 3600), time.FixedZone("", 5*3600+45*60)
	for _, form := range []struct {
		key  string
		text func(time.Time) any
	}{
		{"timestamp", func(t time.Time) any { return t.Unix() }},
		{"timestamp", func(t time.Time) any { return t.UnixMilli() }},
		{"ts", func(t time.Time) any { return t.UnixMicro() }},
		{"ts", func(t time.Time) any { return t.UnixNano() }},
		{"time", func(t time.Time) any { return raw(fmt.Sprintf("%d.25", t.Unix())) }},
		{"time", func(t time.Time) any { return fmt.Sprint(t.UnixMilli()) }},
		{"@timestamp", func(t time.Time) any { return t.Format("2006-01-02T15:04:05.000Z") }},
		{"datetime", func(t time.Time) any { return t.Format(time.DateTime) }},
		{"datetime", func(t time.Time) any { return t.Format("2006-01-02 15:04:05.000000") }},
		{"created_at", func(t time.Time) any { return t.In(berlin).Format(time.RFC3339) }},
		{"logged_at", func(t time.Time) any { return t.In(nepal).Format(time.RFC3339Nano) }},
		{"start_time", func(t time.Time) any { return t.Format("2006-01-02T15:04:05,123Z") }},
		{"createdAt", func(t time.Time) any { return t.Format(time.RFC3339) }},
		{"date", func(t time.Time) any { return t.Format(time.DateOnly) }},
	} {
		t, at, id := count(), c.next(), g.id("t-")
		f.call(obj(form.key, form.text(at), "id", id, "usage", g.chatUsage(t, noDetails)).String(), t, id, at)
	}
	return f
}

func (g *gen) spellings() *file {
	f := &file{name: "app/image-edits-2024-07-19.jsonl", doc: "bare image edit usage, snake_case and camelCase, counts as 12, 12.0, 1e3 and \"1000\"; the date is in the name"}
	at := g.from("2024-07-19T00:00:00Z").now
	for i := range 16 {
		t := count()
		t.spell = spelling(i / 2 % 4)
		usage := g.imageUsage(t, false)
		if i%2 == 1 {
			usage = usage.camel()
		}
		f.call(usage.String(), t, "", at)
	}
	return f
}

func (g *gen) array() *file {
	f := &file{name: "app/events.json", join: [3]string{"[\n", ",\n", "\n]"}, doc: "one JSON array: calls and other events"}
	c := g.from("2026-03-01T10:00:00Z")
	for i := range 12 {
		t, at, id := count(), c.next(), g.id("ev-")
		t.spell = spelling(i % 4)
		if i%4 == 3 {
			f.none(obj("id", id, "created_at", at.Format(time.RFC3339), "type", "cache.cleared").String())
			continue
		}
		line := obj("id", id, "created_at", at.Format(time.RFC3339), "type", "llm.call", "model", g.model(), "usage", g.chatUsage(t, olderDetails))
		f.call(line.String(), t, id, at)
	}
	return f
}

func (g *gen) document() *file {
	f := &file{name: "app/one-call.json", doc: "one pretty-printed chat completion"}
	t, at, id := count(), g.from("2026-03-01T18:30:00Z").now, g.id("chatcmpl-")
	f.call(g.chat(id, "gpt-5-2025-08-07", at, g.chatUsage(t, olderDetails)).indent(), t, id, at)
	return f
}

func (g *gen) badLines() *file {
	f := &file{name: "app/bad-lines.jsonl", doc: "good lines between eight that go to the quarantine, one for each reason"}
	c := g.from("2024-11-05T09:00:00Z")
	good := func() {
		t, at, id := count(), c.next(), g.id("req-")
		f.call(g.envelope(at, id).with("usage", g.chatUsage(t, noDetails)).String(), t, id, at)
	}
	bad := func(reason string, usage object, more ...any) {
		good()
		f.wrong(reason, g.envelope(c.next(), g.id("req-")).with(more...).with("usage", usage).String())
	}
	counts := func(in, out any) object { return obj("prompt_tokens", in, "completion_tokens", out) }
	bad("negative_count", counts(-12, 3))
	bad("not_a_number", counts("many", 3))
	bad("unknown_usage", obj("acme_units", 12, "acme_tokens", 340))
	bad("money_range", counts(12, 3), "cost_usd", raw("10000000000"))
	bad("bad_time", counts(12, 3), "created", "yesterday")
	good()
	f.wrong("time_range", g.chat(g.id("chatcmpl-"), g.model(), time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC), counts(12, 3)).String())
	good()
	f.wrong("not_object", "[1,2,3]")
	f.wrong("not_json", `{"timestamp":"2024-11-05T12:00:00Z","request_id":"req-cut","usage":{"prompt_tokens":412,"completion_to`)
	good()
	return f
}

// batchLine is a line of a batch job's output file.
func (g *gen) batchLine(i, status int, body object) object {
	return obj("id", g.id("batch_req_"), "custom_id", fmt.Sprintf("task-%d", i),
		"response", obj("status_code", status, "request_id", g.id("http-"), "body", body), "error", nil)
}

func (g *gen) batchChats() *file {
	f := &file{name: "batch/chat_output.jsonl", doc: "output lines of a batch job; two calls failed"}
	c := g.from("2025-01-31T23:20:00Z")
	for i := range 26 {
		if i%12 == 11 {
			f.none(g.batchLine(i, 429, obj("error", obj("message", g.sentence(), "type", "rate_limit", "code", nil))).String())
			continue
		}
		t, at, id := count(), c.next(), g.id("chatcmpl-")
		f.call(g.batchLine(i, 200, g.chat(id, "gpt-4o-2024-08-06", at, g.chatUsage(t, olderDetails))).String(), t, id, at)
	}
	return f
}

func (g *gen) batchImages() *file {
	f := &file{name: "batch/images_output.jsonl.gz", parts: 2, doc: "batch output lines with image responses, in 2 gzip members"}
	c := g.from("2025-08-12T15:00:00Z")
	for i := range 6 {
		t, at := count(), c.next()
		body := obj("created", at.Unix(), "data", g.pictures(t, 1, 1600), "quality", "medium", "size", "1024x1024", "usage", g.imageUsage(t, true))
		line := g.batchLine(i, 200, body)
		f.call(line.String(), t, line[0].value.(string), at)
	}
	return f
}

func (g *gen) firstImages() *file {
	f := &file{name: "openai/images-2024-04-23.jsonl", doc: "Images API responses: the reference example (created 1713833628) and dall-e without usage"}
	c := g.from("2024-04-23T00:53:48Z")
	t := count()
	t.imageOutput(50)
	f.call(obj("created", c.now.Unix(), "data", g.pictures(t, 1, 1024), "usage", obj(
		"total_tokens", t.n("total_tokens", 100), "input_tokens", t.n("input_tokens", 50), "output_tokens", t.n("output_tokens", 50),
		"input_tokens_details", obj("text_tokens", t.n("input_text_tokens", 10), "image_tokens", t.n("input_image_tokens", 40)),
	)).String(), t, "", c.now)
	for i := range 7 {
		t, at := count(), c.next()
		line := obj("created", at.Unix(), "data", g.pictures(t, 1+i%3, i%2*1400))
		if i%2 == 1 {
			line = line.with("usage", nil)
		}
		f.call(line.String(), t, "", at)
	}
	return f
}

func (g *gen) edits() *file {
	f := &file{name: "openai/image-edits.jsonl.gz", parts: 3, doc: "image edits as SDKs print them, floats or camelCase, in 3 gzip members that end inside of lines"}
	c := g.from("2026-08-21T08:00:00Z")
	for i := range 10 {
		t, at := count(), c.next()
		t.spell = withPoint
		line := obj("created", raw(fmt.Sprintf("%d.0", at.Unix())), "data", g.pictures(t, 1, 1100),
			"output_format", "webp", "size", "1024x1024", "quality", "high", "usage", g.imageUsage(t, i%3 == 0))
		if i%2 == 1 {
			line = line.camel()
		}
		f.call(line.String(), t, "", at)
	}
	return f
}

func (g *gen) imageStream() *file {
	f := &file{name: "openai/image-stream.sse", prefix: "data: ", doc: "image streams as they come over the wire: partial images, then the completed one"}
	c := g.from("2026-08-21T09:30:00Z")
	f.line(": keep-alive")
	for i := range 4 {
		kind := [...]string{"image_generation", "image_edit"}[i%2]
		event := func(name string, more ...any) string {
			f.line("event: " + kind + "." + name)
			return obj("type", kind+"."+name).with(more...).String()
		}
		for j := range 2 {
			f.none(event("partial_image", "b64_json", g.image(400), "created_at", c.now.Unix(), "partial_image_index", j, "size", "1024x1024"))
			f.line("")
		}
		t, at := count(), c.next()
		t.images(1)
		f.call(event("completed", "b64_json", g.image(1500), "created_at", at.Unix(), "size", "1024x1024", "quality", "high",
			"background", "auto", "output_format", "png", "usage", g.imageUsage(t, false)), t, "", at)
		f.line("")
	}
	f.line("data: [DONE]")
	return f
}

func (g *gen) chatStream() *file {
	f := &file{name: "openai/chat-stream.jsonl.gz", parts: 2, doc: "chunks of chat streams: usage null until the last one, absent, or growing with every chunk; 2 gzip members"}
	c := g.from("2025-03-15T14:00:00Z")
	for i := range 5 {
		id, model, at := g.id("chatcmpl-"), g.model(), c.next()
		growing := i == 3
		var usage []any // of the chunks before the last
		if i != 4 {
			usage = []any{nil}
		}
		for j := range 8 {
			delta := obj("content", g.sentence())
			if growing {
				t := count()
				u := obj("prompt_tokens", t.n("input_tokens", 96), "completion_tokens", t.n("output_tokens", int64(j+1)))
				f.call(g.chunk(id, model, at, delta, nil, u).String(), t, id, at)
				continue
			}
			f.none(g.chunk(id, model, at, delta, nil, usage...).String())
		}
		switch {
		case i == 4: // no usage was asked for
			f.none(g.chunk(id, model, at, obj(), "stop").String())
		case growing:
			f.none(g.chunk(id, model, at, obj(), "stop", nil).String())
		default:
			t := count()
			f.call(g.chunk(id, model, at, nil, nil, g.chatUsage(t, olderDetails)).String(), t, id, at)
		}
	}
	return f
}

func (g *gen) chatEvents() *file {
	f := &file{name: "openai/chat-stream.sse", prefix: "data: ", doc: "chat streams as they come over the wire"}
	c := g.from("2025-03-15T16:00:00Z")
	for range 2 {
		id, at := g.id("chatcmpl-"), c.next()
		for range 6 {
			f.none(g.chunk(id, "gpt-4o-2024-08-06", at, obj("content", g.sentence()), nil, nil).String())
			f.line("")
		}
		t := count()
		f.call(g.chunk(id, "gpt-4o-2024-08-06", at, nil, nil, g.chatUsage(t, olderDetails)).String(), t, id, at)
		f.line("")
		f.line("data: [DONE]")
		f.line("")
	}
	return f
}

// routed is a chat completion as OpenRouter answers it. With a key of one's
// own the cost is 0.
func (g *gen) routed(t *tally, id string, at time.Time) object {
	vendor, model, _ := strings.Cut(g.pick("Anthropic|anthropic/claude-sonnet-4.5", "Mistral|mistralai/mistral-large-2411", "Google|google/gemini-2.5-flash"), "|")
	pico := g.between(1, 40_000_000) * 1250
	own := g.r.IntN(5) == 0
	usage := g.chatUsage(t, newerDetails)
	if own {
		usage = usage.with("cost", t.cost(0))
	} else {
		usage = usage.with("cost", t.cost(pico))
	}
	usage = usage.with("is_byok", own, "cost_details", obj("upstream_inference_cost", nil, "upstream_inference_prompt_cost", raw(decimal(pico, 12))))
	return obj("id", id, "provider", vendor, "model", model, "object", "chat.completion", "created", at.Unix(),
		"choices", []any{obj("index", 0, "finish_reason", "stop", "native_finish_reason", "end_turn",
			"message", obj("role", "assistant", "content", g.sentence()))},
		"usage", usage)
}

func (g *gen) openRouter() *file {
	f := &file{name: "openrouter/chat.jsonl", doc: "chat completions with cost, cache writes and keys of one's own"}
	c := g.from("2026-03-01T11:00:00Z")
	for range 24 {
		t, at, id := count(), c.next(), g.id("gen-")
		f.call(g.routed(t, id, at).String(), t, id, at)
	}
	return f
}

func (g *gen) openRouterSDK() *file {
	f := &file{name: "openrouter/sdk.jsonl", doc: "chat completions as the TypeScript SDK prints them, in camelCase"}
	c := g.from("2026-08-21T18:00:00Z")
	for i := range 16 {
		t, at, id := count(), c.next(), g.id("gen-")
		t.spell = spelling(i % 4)
		f.call(g.routed(t, id, at).camel().String(), t, id, at)
	}
	return f
}

func (g *gen) openRouterStream() *file {
	f := &file{name: "openrouter/stream.sse.zst", parts: 2, prefix: "data: ", doc: "chat streams with comments, usage on the last chunk; 2 zstd frames"}
	c := g.from("2026-08-21T20:00:00Z")
	for range 2 {
		t, at, id := count(), c.next(), g.id("gen-")
		last := g.routed(t, id, at)
		f.line(": PROCESSING")
		f.line("")
		for range 5 {
			f.none(g.chunk(id, last[2].value.(string), at, obj("role", "assistant", "content", g.sentence()), nil).with("provider", last[1].value).String())
			f.line("")
		}
		last[3].value = "chat.completion.chunk"
		f.call(last.String(), t, id, at)
		f.line("")
		f.line("data: [DONE]")
		f.line("")
	}
	return f
}

func (g *gen) tokenUsage() *file {
	f := &file{name: "openrouter/token-usage-2025-06-01.jsonl", doc: "bare chat usage in camelCase: the reference example first, then null details and newer members; the date is in the name"}
	at := g.from("2025-06-01T00:00:00Z").now
	t := count()
	f.call(obj(
		"completionTokens", t.micros("output_tokens", 9399_770_000),
		"promptTokens", t.micros("input_tokens", 9559_600_000),
		"totalTokens", t.micros("total_tokens", 7060_030_000),
		"completionTokensDetails", obj(
			"reasoningTokens", t.micros("reasoning_tokens", 1093_750_000),
			"audioTokens", t.micros("output_audio_tokens", 130_300_000),
			"acceptedPredictionTokens", t.micros("accepted_prediction_tokens", 7308_380_000),
			"rejectedPredictionTokens", t.micros("rejected_prediction_tokens", 2801_330_000),
		),
		"promptTokensDetails", obj(
			"cachedTokens", t.micros("cache_read_tokens", 6205_530_000),
			"audioTokens", t.micros("input_audio_tokens", 1522_950_000),
		),
	).String(), t, "", at)
	for i := range 13 {
		t := count()
		t.spell = spelling(i % 4)
		usage := g.chatUsage(t, details(i%4)).camel()
		if i%4 == 3 {
			usage = usage.with("cost", t.cost(g.between(1, 9_000_000)*1000), "isByok", false)
		}
		f.call(usage.String(), t, "", at)
	}
	return f
}
