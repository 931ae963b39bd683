package usagelake_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usagelake"
)

// Lines that leave out what lines before them said come to the same rows,
// however the file was cut into loads, and into blocks.
func TestLinesThatGoOn(t *testing.T) {
	var lines []string
	for i := range 3 {
		lines = append(lines,
			fmt.Sprintf(`{"type":"message_start","message":{"id":"msg_%d","type":"message","role":"assistant","model":"claude-%d","content":[],"usage":{"input_tokens":%d,"cache_read_input_tokens":5,"output_tokens":1}}}`, i, i, 10+i),
			`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}`,
			fmt.Sprintf(`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":%d}}`, 100+i),
			fmt.Sprintf(`{"timestamp":"2026-08-03T10:0%d:00Z","type":"turn_context","payload":{"turn_id":"t","cwd":"/x","model":"gpt-%d"}}`, i, i),
			fmt.Sprintf(`{"timestamp":"2026-08-03T10:0%d:05Z","type":"event_msg","payload":{"type":"token_count","info":{"last_token_usage":{"input_tokens":%d,"cached_input_tokens":3,"output_tokens":2,"reasoning_output_tokens":1,"total_tokens":%d},"total_token_usage":{"input_tokens":%[3]d}}}}`, i, 20+i, 22+i),
			fmt.Sprintf(`{"timestamp":"2026-08-03T10:0%d:06Z","type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":%d,"output_tokens":%d}}}}`, i, 29+2*i, 1+i),
		)
	}
	const want = "claude-0 15/100 msg_0, claude-1 16/101 msg_1, claude-2 17/102 msg_2, gpt-0 20/2, gpt-0 7/1, gpt-1 21/2, gpt-1 8/1, gpt-2 22/2, gpt-2 9/1"
	dir := t.TempDir()
	for cut := range len(lines) + 1 {
		lake, file := filepath.Join(dir, fmt.Sprint("lake", cut)), filepath.Join(dir, fmt.Sprintf("%d.jsonl", cut))
		for _, n := range []int{cut, len(lines)} {
			text := strings.Join(lines[:n], "\n")
			if n > 0 {
				text += "\n"
			}
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			load(t, usagelake.Config{Inputs: []string{file}, Lake: lake, EventTime: "2026-08-03"})
		}
		var got []string
		for _, r := range rows(t, lake) {
			text := fmt.Sprintf("%s %s/%s", r["model"], r["input_tokens"], r["output_tokens"])
			if strings.HasPrefix(r["request_id"], "msg") {
				text += " " + r["request_id"]
			}
			got = append(got, text)
		}
		if d := cmp.Diff(want, strings.Join(got, ", ")); d != "" {
			t.Errorf("cut behind line %d: -want +got\n%s", cut, d)
		}
	}
}

// What a session has summed up by a record that was set aside is what the next one
// adds. The record stays aside: nobody knows any more what was before it.
func TestRunningSums(t *testing.T) {
	var b strings.Builder
	for i, in := range []int{100, 250, 400} {
		text := fmt.Sprintf(`{"timestamp":"2026-08-03T10:0%d:00Z","payload":{"info":{"total_token_usage":{"input_tokens":%d}}}}`, i, in)
		if i == 1 {
			text = strings.Replace(text, "{", `{"text":"`+strings.Repeat("x", 5000)+`",`, 1)
		}
		b.WriteString(text + "\n")
	}
	dir := t.TempDir()
	lake, file := filepath.Join(dir, "lake"), filepath.Join(dir, "rollout.jsonl")
	if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	holds := func() {
		t.Helper()
		var got []string
		for _, r := range rows(t, lake) {
			got = append(got, r["input_tokens"])
		}
		if d := cmp.Diff([]string{"100", "300"}, got); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
	}
	if r := load(t, usagelake.Config{Inputs: []string{file}, Lake: lake, MaxLine: 160}); r.Books.Quarantined != 1 {
		t.Errorf("%d are set aside", r.Books.Quarantined)
	}
	holds()
	if _, err := usagelake.Replay(t.Context(), usagelake.Config{Lake: lake}); err != nil {
		t.Fatal(err)
	}
	holds()
}

// Blocks of a file are worked on side by side; what was said is passed on in
// their order.
func TestLinesThatGoOnOverBlocks(t *testing.T) {
	var b strings.Builder
	const turns = 4000
	for i := range turns {
		fmt.Fprintf(&b, `{"timestamp":"2026-08-03T10:00:00Z","type":"turn_context","payload":{"turn_id":"t","cwd":"/x","model":"gpt-%d"}}`+"\n", i+1)
		fmt.Fprintf(&b, `{"type":"response_item","payload":{"type":"message","content":%q}}`+"\n", strings.Repeat("x", i%1500))
		fmt.Fprintf(&b, `{"timestamp":"2026-08-03T10:00:05Z","type":"event_msg","payload":{"type":"token_count","info":{"last_token_usage":{"input_tokens":%d,"output_tokens":2}}}}`+"\n", i+1)
	}
	dir := t.TempDir()
	for _, suffix := range []string{"", ".gz"} { // of which one is read ahead
		file := write(t, filepath.Join(dir, "rollout.jsonl"+suffix), packed(t, suffix, b.String()))
		lake := filepath.Join(dir, "lake"+suffix)
		load(t, usagelake.Config{Inputs: []string{file}, Lake: lake, Jobs: 3})
		all := rows(t, lake)
		if len(all) != turns {
			t.Fatalf("%s: %d rows", suffix, len(all))
		}
		for _, r := range all {
			if r["model"] != "gpt-"+r["input_tokens"] {
				t.Fatalf("%s: model %s with %s input tokens", suffix, r["model"], r["input_tokens"])
			}
		}
	}
}

// A run's sums come to what its lines left out, however the file was cut into loads, and
// whichever other run has lines between.
func TestRestOfRuns(t *testing.T) {
	line := func(session, id, model string, out int) string {
		return fmt.Sprintf(`{"type":"assistant","session_id":%q,"uuid":"u","message":{"id":%q,"type":"message","role":"assistant","model":%q,"content":[],"usage":{"input_tokens":10,"cache_read_input_tokens":5,"output_tokens":%d}}}`, session, id, model, out)
	}
	result := func(session, id, models string) string {
		return fmt.Sprintf(`{"type":"result","session_id":%q,"uuid":%q,"num_turns":1,"total_cost_usd":1,"usage":{"input_tokens":1,"output_tokens":1},"modelUsage":{%s}}`, session, id, models)
	}
	sum := func(model string, in, out int, cost string) string {
		return fmt.Sprintf(`%q:{"inputTokens":%d,"cacheReadInputTokens":%d,"outputTokens":%d,"costUSD":%s}`, model, in*10, in*5, out, cost)
	}
	lines := []string{
		line("a", "a1", "claude-x", 3), line("b", "b1", "claude-x-20260101", 7), line("a", "a1", "claude-x", 2), line("a", "a2", "claude-x", 1),
		strings.NewReplacer(":10,", ":0,", ":5,", ":0,").Replace(line("a", "a0", "claude-q", 0)), // one that nobody answered
		result("a", "ra1", sum("claude-x", 2, 300, "0.1")+","+sum("claude-y", 1, 9, "0.01")),
		line("a", "a3", "claude-x", 1),
		// parts of one call that two names are for
		result("b", "rb1", sum("claude-x[1m]", 0, 5, "0.2")+","+sum("eu.claude-x@20260101", 0, 4, "0.3")+","+sum("claude-x@20260101", 1, 6, "0.4")),
		result("a", "ra2", sum("claude-x", 4, 350, "0.15")+","+sum("claude-y", 1, 9, "0.01")),
		line("a", "a4", "claude-x", 1),
		result("a", "ra3", sum("claude-x", 1, 20, "0.03")),
		line("c", "c1", "claude-x", 1), line("c", "c2", "claude-z", 1),
		result("c", "rc1", sum("claude-x", 2, 90, "0.5")),
	}
	for i := range 100 { // more than are kept one by one
		for range 2 {
			lines = append(lines, line("d", fmt.Sprintf("d%02d", i), "claude-x", 1))
		}
	}
	lines = append(lines, result("d", "rd1", sum("claude-x", 101, 500, "2")))
	const want = "a0 0/0 , a1 15/3 , a2 15/1 , a3 15/1 , a4 15/1 , b1 15/7 , c1 15/1 , c2 15/1 , " +
		"ra1#model 0/296 0.1, ra1#model2 15/9 0.01, ra2#model 15/49 0.05, ra3#model 0/19 0.03, " +
		"rb1#model 0/5 0.2, rb1#model2 0/0 0.3, rb1#model3 0/3 0.4, rd1#model 15/400 2, "
	dir := t.TempDir()
	for cut := range len(lines) + 1 {
		if cut > 20 && cut%37 != 0 {
			continue
		}
		lake, file := filepath.Join(dir, fmt.Sprint("lake", cut)), filepath.Join(dir, fmt.Sprintf("%d.jsonl", cut))
		for _, n := range []int{cut, len(lines)} {
			text := strings.Join(lines[:n], "\n")
			if n > 0 {
				text += "\n"
			}
			load(t, usagelake.Config{Inputs: []string{write(t, file, text)}, Lake: lake, EventTime: "2026-08-03"})
		}
		got, plain := "", 0
		all := rows(t, lake)
		slices.SortFunc(all, func(a, b map[string]string) int { return strings.Compare(a["request_id"], b["request_id"]) })
		for _, r := range all {
			if r["session_id"] == "d" && r["dialect"] == "anthropic.messages" {
				plain++
				continue
			}
			got += fmt.Sprintf("%s %s/%s %s, ", r["request_id"], r["input_tokens"], r["output_tokens"], r["reported_cost_usd"])
		}
		if d := cmp.Diff(want, got); d != "" || plain != 100 {
			t.Errorf("cut behind line %d: %d, -want +got\n%s", cut, plain, d)
		}
		if p := problems(t, lake); len(p) > 0 {
			t.Error(p)
		}
	}
}

// What an earlier run has sealed is not compared: sums that could count twice are set aside.
func TestRestOfSealed(t *testing.T) {
	const lines = `{"type":"assistant","session_id":"s","uuid":"u1","message":{"id":"m","type":"message","role":"assistant","model":"claude-x","content":[],"usage":{"input_tokens":3,"cache_read_input_tokens":0,"output_tokens":6}}}
{"type":"assistant","session_id":"s","uuid":"u2","message":{"id":"n","type":"message","role":"assistant","model":"claude-x","content":[],"usage":{"input_tokens":4,"cache_read_input_tokens":0,"output_tokens":7}}}
{"type":"result","session_id":"s","uuid":"u3","num_turns":1,"total_cost_usd":0.02,"usage":{"input_tokens":7,"output_tokens":164},"modelUsage":{"claude-x":{"inputTokens":7,"outputTokens":164,"costUSD":0.02}}}
`
	dir := t.TempDir()
	key := writeKey(t, filepath.Join(dir, "key"), "k")
	for cut, want := range []int{164, 13, 13, 164} {
		lake, file := filepath.Join(dir, fmt.Sprint("lake", cut)), filepath.Join(dir, fmt.Sprintf("%d.jsonl", cut))
		for _, n := range []int{cut, 3} {
			text := strings.Join(strings.SplitAfter(lines, "\n")[:n], "")
			load(t, usagelake.Config{Inputs: []string{write(t, file, text)}, Lake: lake, EventTime: "2026-08-03", HashIDs: key})
		}
		out := 0
		for _, r := range rows(t, lake) {
			n, _ := strconv.Atoi(r["output_tokens"])
			out += n
		}
		if out != want {
			t.Errorf("cut behind line %d: %d tokens out, not %d", cut, out, want)
		}
		err := filepath.WalkDir(lake, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if strings.Contains(string(text), `"request_id":"n"`) || strings.Contains(string(text), `"session_id":"s"`) {
				t.Errorf("%s has ids in clear", path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// Lines of runs are in blocks that are worked on side by side.
func TestRestOverBlocks(t *testing.T) {
	var b strings.Builder
	const runs = 1500
	for i := range runs {
		for range 2 {
			fmt.Fprintf(&b, `{"type":"assistant","session_id":"s%d","uuid":"u","message":{"id":"m%[1]d","type":"message","role":"assistant","model":"claude-x","content":[{"text":%[2]q}],"usage":{"input_tokens":3,"cache_read_input_tokens":0,"output_tokens":6}}}`+"\n", i, strings.Repeat("x", i%2500))
		}
		fmt.Fprintf(&b, `{"type":"result","session_id":"s%d","uuid":"r%[1]d","num_turns":1,"total_cost_usd":0.02,"usage":{"input_tokens":3,"output_tokens":164},"modelUsage":{"claude-x":{"inputTokens":3,"outputTokens":%[2]d,"costUSD":0.02}}}`+"\n", i, 7+i)
	}
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "runs.jsonl"), b.String())
	for _, jobs := range []int{1, 3} {
		lake := filepath.Join(dir, fmt.Sprint("lake", jobs))
		load(t, usagelake.Config{Inputs: []string{file}, Lake: lake, Jobs: jobs, EventTime: "2026-08-03"})
		all, rests := rows(t, lake), 0
		for _, r := range all {
			if r["dialect"] != "anthropic.sum" {
				continue
			}
			rests++
			i, _ := strconv.Atoi(strings.TrimPrefix(r["session_id"], "s"))
			if r["output_tokens"] != strconv.Itoa(1+i) || r["input_tokens"] != "0" {
				t.Fatal(r)
			}
		}
		if len(all) != 2*runs || rests != runs {
			t.Errorf("%d jobs: %d rows, %d of sums", jobs, len(all), rests)
		}
		records, err := filepath.Glob(filepath.Join(lake, "state", "ledger", "*.json"))
		if err != nil || len(records) != 1 {
			t.Fatal(records, err)
		}
		text, err := os.ReadFile(records[0])
		if n := strings.Count(string(text), `"anthropic account `); err != nil || n == 0 || n > 64 {
			t.Errorf("%d accounts are kept, %v", n, err)
		}
	}
}

// A mapping brings in records as programs of one's own write them.
func TestMap(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	logs := write("app.jsonl", `{"at":{"ms":1754212800000},"who":{"id":"ann"},"llm":{"reply":{"id":"a1","model":"gpt-5","usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}}}
{"at":{"ms":1754212801000},"who":{"id":"bob"},"llm":{"reply":{"id":"msg_1","model":"claude","role":"assistant","usage":{"input_tokens":5,"cache_read_input_tokens":4,"output_tokens":2}}}}
`)
	lake := filepath.Join(dir, "lake")
	if r := load(t, usagelake.Config{Inputs: []string{logs}, Lake: lake}); r.Books.Rows != 0 || r.Books.Quarantined != 2 {
		t.Fatalf("without a mapping: %+v", r.Books)
	}
	mapping := write("names.map", "body = llm.reply\nevent_time = at.ms\nuser_id = who.id\n")
	lake = filepath.Join(dir, "mapped")
	load(t, usagelake.Config{Inputs: []string{logs}, Lake: lake, Map: mapping})
	var got []string
	for _, r := range rows(t, lake) {
		got = append(got, fmt.Sprint(r["event_time"], " ", r["event_time_source"], " ", r["user_id"], " ", r["request_id"], " ", r["input_tokens"], "/", r["output_tokens"]))
	}
	want := "2025-08-03T09:20:00Z envelope ann a1 7/3\n2025-08-03T09:20:01Z envelope bob msg_1 9/2"
	if d := cmp.Diff(want, strings.Join(got, "\n")); d != "" {
		t.Error(d)
	}
	_, err := usagelake.Load(t.Context(), usagelake.Config{Inputs: []string{logs}, Lake: lake, Map: write("bad.map", "\nuser = x")})
	if err == nil || !strings.Contains(err.Error(), `bad.map: line 2: "user" cannot be mapped`) {
		t.Error(err)
	}
}

// A part of a record that has usage nobody claims is not lost: the record is set
// aside, with the calls that it has beside it.
func TestUnknownPart(t *testing.T) {
	dir := t.TempDir()
	body := func(usage string) string {
		return `{"time":"2026-03-02T14:15:01Z","category":"GatewayLogs","properties":{"responseBody":` + fmt.Sprintf("%q", usage) + "}}\n"
	}
	file := filepath.Join(dir, "gateway.jsonl")
	text := body(`{"id":"a","object":"chat.completion","model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`) +
		body(`{"meter":{"tokens_used":17}}`) + body(`{"error":{"code":"429"}}`)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	r := load(t, usagelake.Config{Inputs: []string{file}, Lake: filepath.Join(dir, "lake")})
	if b := r.Books; b.Rows != 1 || b.NoUsage != 1 || b.Quarantined != 1 || r.Reasons["unknown_usage"] != 1 {
		t.Errorf("%+v %v", b, r.Reasons)
	}
}

// The reported total is a witness: it tells of a vendor whose parts mean another
// thing than its dialect says, and decides where the dialect cannot know.
func TestBasis(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "calls.jsonl")
	chat := func(id string, total int) string {
		return fmt.Sprintf(`{"id":%q,"object":"chat.completion","created":1740830400,"model":"m","provider_name":"acme","usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":40}}}`+"\n", id, total)
	}
	own := func(id string, in, cached, total int) string {
		all := ""
		if total > 0 {
			all = fmt.Sprintf(`,"total_tokens":%d`, total)
		}
		return fmt.Sprintf(`{"id":%q,"time":1740830400,"usage":{"input_tokens":%d,"output_tokens":10,"cached_tokens":%d%s}}`+"\n", id, in, cached, all)
	}
	text := chat("fits", 110) + chat("contradicts", 150) + chat("neither", 111) +
		`{"id":"pi","timestamp":1740830400,"message":{"usage":{"input":60,"output":10,"cacheRead":40,"cacheWrite":0,"totalTokens":70}}}` + "\n" +
		own("fits both", 100, 40, 110) + own("apart", 100, 40, 150) + own("no total", 100, 40, 0) + own("too many", 10, 40, 0) + own("too many, total", 10, 40, 20)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	lake := filepath.Join(dir, "lake")
	r := load(t, usagelake.Config{Inputs: []string{file}, Lake: lake})
	got := map[string]string{}
	for _, row := range rows(t, lake) {
		got[row["request_id"]] = fmt.Sprint(row["input_tokens"], " ", row["token_basis"], " ", row["quality_flags"])
	}
	want := map[string]string{
		"fits":        "100 inclusive ",
		"contradicts": "100 inclusive basis_contradicts,total_mismatch",
		"neither":     "100 inclusive total_mismatch",
		"pi":          "100 exclusive basis_contradicts,total_mismatch",

		"fits both":       "100 inclusive ",
		"apart":           "140 exclusive ",
		"no total":        "100 ambiguous total_derived",
		"too many":        "50 exclusive total_derived",
		"too many, total": "50 exclusive total_mismatch",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(usagelake.Counts{"acme": 1, "pi.message": 1}, r.Contradicts); d != "" {
		t.Error(d)
	}
}
