package usagelake_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"usagelake"
	"usagelake/schemas"
)

// A rollout is a session file of Codex.
type rollout struct {
	lines []rolloutLine
	total int
}

type rolloutLine struct {
	at   time.Time
	rest string
}

func (r *rollout) add(at time.Time, kind, payload string, values ...any) {
	r.lines = append(r.lines, rolloutLine{at, fmt.Sprintf(`"type":%q,"payload":{`+payload+"}}\n", append([]any{kind}, values...)...)})
}

// august is ten o'clock on a day of August 2026.
func august(day int) time.Time { return time.Date(2026, 8, day, 10, 0, 0, 250e6, time.UTC) }

// v7 is a UUID made at a time.
func v7(at time.Time) string {
	ms := fmt.Sprintf("%012x", at.UnixMilli())
	return ms[:8] + "-" + ms[8:] + "-7ca3-9e29-000000000000"
}

func newRollout(at time.Time) *rollout {
	r := &rollout{}
	r.add(at, "session_meta", `"id":%q,"timestamp":%q,"originator":"codex_cli_rs","cwd":"/x"`, v7(at), at.Format(time.RFC3339Nano))
	return r
}

// turn is a turn with calls, a minute each. Its lines tell when it began by its id.
func (r *rollout) turn(at time.Time, in ...int) *rollout {
	r.add(at, "event_msg", `"type":"task_started","turn_id":%q,"collaboration_mode_kind":"default"`, v7(at))
	return r.calls(at, in...)
}

func (r *rollout) calls(at time.Time, in ...int) *rollout {
	for _, n := range in {
		at, r.total = at.Add(time.Minute), r.total+n+5
		r.add(at, "event_msg", `"type":"token_count","info":{"total_token_usage":{"input_tokens":%d,"output_tokens":5,"total_tokens":%d},`+
			`"last_token_usage":{"input_tokens":%d,"output_tokens":5,"total_tokens":%d}}`, r.total-5, r.total, n, n+5)
	}
	return r
}

// fork is a session that goes on from all that another has, which is written anew but for
// records of responses.
func (r *rollout) fork(at time.Time) *rollout {
	f := newRollout(at)
	f.total = r.total
	for _, l := range r.lines {
		if strings.Contains(l.rest, `"token_usage_record"`) {
			continue
		}
		f.lines = append(f.lines, rolloutLine{at.Add(40 * time.Millisecond), l.rest})
	}
	return f
}

func (r *rollout) String() string {
	var b strings.Builder
	for _, l := range r.lines {
		fmt.Fprintf(&b, `{"timestamp":%q,%s`, l.at.Format("2006-01-02T15:04:05.000Z"), l.rest)
	}
	return b.String()
}

// when lists the calls of a lake, by what went in: their times, and * where that is
// of the turn.
func when(t *testing.T, lake string) string {
	t.Helper()
	var list []string
	for _, r := range rows(t, lake) {
		at, mark := strings.TrimPrefix(r["event_time"], "2026-08-"), ""
		if strings.Contains(r["quality_flags"], "time_of_turn") {
			mark = "*"
		}
		list = append(list, r["input_tokens"]+" "+at[:8]+mark)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// A fork, of days later, repeats the lines of its parent with the time of the copy: whatever is
// loaded first, they are calls of their parent.
func TestForksOfDaysLater(t *testing.T) {
	t.Parallel()
	parent := newRollout(august(3)).turn(august(3), 100).turn(august(7), 200, 210)
	fork := parent.fork(august(12)).turn(august(12), 300)
	grown := parent.fork(august(12)).turn(august(12), 300).turn(august(13), 310)
	second := grown.fork(august(20)).turn(august(20), 400)
	files := map[string]string{
		"parent": parent.String(), "fork": fork.String(), "grown fork": grown.String(), "second fork": second.String(),
	}
	const all = "100 03T10:01, 200 07T10:01, 210 07T10:02, 300 12T10:01, 310 13T10:01, 400 20T10:01"
	for name, c := range map[string]struct {
		loads []string // of files with & between them
		want  string
	}{
		"in order":           {[]string{"parent", "grown fork", "second fork"}, all},
		"backwards":          {[]string{"second fork", "grown fork", "parent"}, all},
		"parent in between":  {[]string{"second fork", "parent", "grown fork"}, all},
		"at once":            {[]string{"parent & grown fork & second fork"}, all},
		"twice":              {[]string{"fork", "parent & fork", "grown fork & second fork", "second fork"}, all},
		"a fork that grows":  {[]string{"fork", "grown fork", "parent & second fork"}, all},
		"without the parent": {[]string{"fork"}, "100 03T10:00*, 200 07T10:00*, 210 07T10:00*, 300 12T10:01"},
		"forks alone": {
			[]string{"second fork", "grown fork"},
			"100 03T10:00*, 200 07T10:00*, 210 07T10:00*, 300 12T10:01, 310 13T10:01, 400 20T10:01",
		},
	} {
		for how, hashed := range map[string]bool{"": false, ", ids hashed": true} {
			t.Run(name+how, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				cfg := usagelake.Config{Lake: filepath.Join(dir, "lake")}
				if hashed {
					cfg.HashIDs = writeKey(t, filepath.Join(dir, "ids.key"), "k")
				}
				for _, names := range c.loads {
					cfg.Inputs = nil
					for name := range strings.SplitSeq(names, " & ") {
						file := strings.TrimPrefix(name, "grown ") + ".jsonl"
						cfg.Inputs = append(cfg.Inputs, write(t, filepath.Join(dir, file), files[name]))
					}
					load(t, cfg)
				}
				if got := when(t, cfg.Lake); got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
			})
		}
	}
	t.Run("in steps", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		cfg := usagelake.Config{Lake: filepath.Join(dir, "lake"), Split: 600}
		for i, name := range slices.Sorted(maps.Keys(files)) {
			cfg.Inputs = []string{write(t, filepath.Join(dir, fmt.Sprint(i, ".jsonl")), files[name])}
			if _, err := inSteps(cfg, fmt.Sprint("run", i), inOrder); err != nil {
				t.Fatal(err)
			}
		}
		if got := when(t, cfg.Lake); got != all {
			t.Errorf("got  %s\nwant %s", got, all)
		}
	})
}

// What a fork repeats is known for its parent's however long the turn was, or after how many
// days it came, also where no lines tell of turns: versions before February 2026 have none.
func TestForksOfLongSessions(t *testing.T) {
	t.Parallel()
	long := newRollout(august(3)).turn(august(3), 100).calls(august(6), 200).calls(august(9), 300)
	old := newRollout(august(3)).calls(august(3), 100).calls(august(6), 200).calls(august(9), 300)
	bare := old.fork(august(12))
	bare.lines = slices.Concat(bare.lines[:1], bare.lines[2:]) // without the parent's header
	bare.lines[0].rest = strings.Replace(bare.lines[0].rest, `"cwd"`, fmt.Sprintf(`"forked_from_id":%q,"cwd"`, v7(august(3))), 1)
	for name, c := range map[string]struct{ parent, fork, second *rollout }{
		"a long turn":              {long, long.fork(august(12)).turn(august(12), 400), long.fork(august(12)).turn(august(12), 400).fork(august(15)).turn(august(15), 500)},
		"no turns":                 {old, old.fork(august(12)).calls(august(12), 400), old.fork(august(12)).calls(august(12), 400).fork(august(15)).calls(august(15), 500)},
		"no turns, then some":      {old, old.fork(august(12)).turn(august(12), 400), old.fork(august(12)).turn(august(12), 400).fork(august(15)).turn(august(15), 500)},
		"no header of the parent":  {old, bare.calls(august(12), 400), bare.fork(august(15)).calls(august(15), 500)},
		"second fork of the first": {old, old.fork(august(12)).calls(august(12), 400), old.fork(august(15)).calls(august(15), 500)},
	} {
		want := "100 03T10:01, 200 06T10:01, 300 09T10:01, 400 12T10:01, 500 15T10:01"
		files := []string{c.parent.String(), c.fork.String(), c.second.String()}
		for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {2, 0, 1}} {
			for how, at := range map[string]string{"one by one": "", "at once": "&", "in one file": "+"} {
				t.Run(fmt.Sprint(name, order, how), func(t *testing.T) {
					t.Parallel()
					dir := t.TempDir()
					cfg := usagelake.Config{Lake: filepath.Join(dir, "lake")}
					var all string
					for _, i := range order {
						all += files[i]
						path := write(t, filepath.Join(dir, fmt.Sprint(i, ".jsonl")), files[i])
						switch at {
						case "":
							cfg.Inputs = []string{path}
							load(t, cfg)
						case "&":
							cfg.Inputs = append(cfg.Inputs, path)
						}
					}
					if at == "+" {
						cfg.Inputs = []string{write(t, filepath.Join(dir, "all.jsonl"), all)}
					}
					load(t, cfg)
					if got := when(t, cfg.Lake); got != want {
						t.Errorf("got  %s\nwant %s", got, want)
					}
				})
			}
		}
	}
}

// Sessions one behind the other in a file are what they are alone, whatever the order: the
// same loads of both are the same calls.
func TestSessionsInOneFile(t *testing.T) {
	t.Parallel()
	context := func(r *rollout, at time.Time, model string) *rollout {
		r.add(at, "turn_context", `"cwd":"/x","model":%q`, model)
		return r
	}
	sessions := []*rollout{
		context(newRollout(august(3)), august(3), "m-1").turn(august(3), 100),
		newRollout(august(5)).calls(august(5), 100), // whose sums are those of the one before it
		context(newRollout(august(7)), august(7), "m-2").calls(august(7), 70, 80),
	}
	list := func(lake string) (out []string) {
		for _, r := range rows(t, lake) {
			out = append(out, fmt.Sprint(r["session_id"][:13], r["model"], r["input_tokens"], r["request_id"], r["event_time"]))
		}
		slices.Sort(out)
		return out
	}
	dir := t.TempDir()
	alone := usagelake.Config{Lake: filepath.Join(dir, "alone")}
	for i, s := range sessions {
		alone.Inputs = append(alone.Inputs, write(t, filepath.Join(dir, fmt.Sprint(i, ".jsonl")), s.String()))
	}
	load(t, alone)
	want := list(alone.Lake)
	if len(want) != 4 {
		t.Fatalf("%d calls: %v", len(want), want)
	}
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		var all string
		for _, i := range order {
			all += sessions[i].String()
		}
		lake := filepath.Join(dir, fmt.Sprint(order))
		load(t, usagelake.Config{Lake: lake, Inputs: []string{write(t, lake+".jsonl", all)}})
		if got := list(lake); !slices.Equal(got, want) {
			t.Errorf("%v: got\n%s\nwant\n%s", order, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// Calls of a fork are of its session, and those that it repeats are of its parent's.
func TestSessionsOfForks(t *testing.T) {
	t.Parallel()
	for name, fork := range map[string]*rollout{
		"with turns":    newRollout(august(3)).turn(august(3), 100).fork(august(9)).turn(august(9), 200),
		"without turns": newRollout(august(3)).calls(august(3), 100).fork(august(9)).calls(august(9), 200),
	} {
		t.Run(name, func(t *testing.T) { testSessionsOfFork(t, fork) })
	}
}

func testSessionsOfFork(t *testing.T, fork *rollout) {
	dir := t.TempDir()
	cfg := usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, "a.jsonl"), fork.String())}, Lake: filepath.Join(dir, "lake")}
	load(t, cfg)
	write(t, cfg.Inputs[0], fork.turn(august(10), 300).String())
	load(t, cfg)
	of := map[string]string{}
	for _, r := range rows(t, cfg.Lake) {
		of[r["input_tokens"]] = r["session_id"]
	}
	want := map[string]string{"100": v7(august(3)), "200": v7(august(9)), "300": v7(august(9))}
	if !maps.Equal(of, want) {
		t.Errorf("%v, want %v", of, want)
	}
}

// Which calls have the time of their turn, and which their own.
func TestTimeOfTurn(t *testing.T) {
	t.Parallel()
	// a turn of an id that holds no time, in seconds or without any
	other := func(r *rollout, at time.Time, began string, in int) *rollout {
		r.add(at, "event_msg", `"type":"task_started","turn_id":"3e11d9fe-cef9-4ea1-9e76-b65731725eb6","started_at":%s,"collaboration_mode_kind":"default"`, began)
		return r.calls(at, in)
	}
	seconds := func(at time.Time) string { return fmt.Sprint(at.Unix()) }
	first := newRollout(august(3)).turn(august(3), 100)
	for name, c := range map[string]struct {
		file *rollout
		want string
	}{
		"a session":                      {newRollout(august(3)).turn(august(3), 100).turn(august(9), 200), "100 03T10:01, 200 09T10:01"},
		"a turn in the session's second": {other(newRollout(august(3)), august(3), seconds(august(3)), 100), "100 03T10:01"},
		"turns that are told in seconds": {other(newRollout(august(3)), august(3), seconds(august(3)), 100).fork(august(9)), "100 03T10:00*"},
		"turns without a time":           {other(first, august(5), "null", 200).fork(august(9)), "100 03T10:00*, 200 03T10:00*"},
		"turns without lines":            {newRollout(august(3)).calls(august(3), 100).fork(august(9)).calls(august(9), 200), "100 03T10:00*, 200 09T10:01"},
		"sessions one behind the other": {
			&rollout{lines: slices.Concat(newRollout(august(3)).turn(august(3), 100).lines, newRollout(august(9)).calls(august(9), 200).lines)},
			"100 03T10:01, 200 09T10:01",
		},
		"copies with their own times": {
			&rollout{lines: slices.Concat(newRollout(august(9)).lines, newRollout(august(3)).turn(august(3), 100).lines)},
			"100 03T10:01",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			lake := filepath.Join(dir, "lake")
			load(t, usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, "a.jsonl"), c.file.String())}, Lake: lake})
			if got := when(t, lake); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// record is what Codex writes of a response, as versions since September 2026 do before the
// token_count that says it again.
func (r *rollout) record(at time.Time, id string, in int) *rollout {
	r.add(at, "token_usage_record", `"thread_id":"t","response_id":%q,"usage":{"input_tokens":%d,"output_tokens":5,"total_tokens":%d},`+
		`"thread_token_usage":{"input_tokens":%d,"output_tokens":5,"total_tokens":%d}`, id, in, in+5, in, in+5)
	return r
}

// A response that only its record tells of is a call, and one that a line behind it says, too,
// is one; wherever a load ends.
func TestResponsesOfCodex(t *testing.T) {
	t.Parallel()
	at := august(3)
	in := func(minutes int) time.Time { return at.Add(time.Duration(minutes) * time.Minute) }
	end := func(r *rollout, at time.Time) *rollout {
		r.add(at, "event_msg", `"type":"task_complete","turn_id":%q,"time_to_first_token_ms":5`, v7(in(0)))
		return r
	}
	compacted := func(r *rollout, at time.Time, id string) *rollout {
		r.add(at, "compacted", `"message":""%s`, id)
		return r
	}
	told := newRollout(at).turn(at).record(in(1), "r1", 100).calls(in(0), 100).record(in(2), "r2", 200).calls(in(1), 200)
	latest := `,"compaction_response_id":"c1","latest_token_usage_record":{"response_id":"c1","usage":{"input_tokens":900,"output_tokens":5,"total_tokens":905}}`
	for name, c := range map[string]struct {
		file  *rollout
		want  string
		waits int64
	}{
		"counts say it again":      {end(told, in(3)), "100 03T10:01, 200 03T10:02", 0},
		"no counts":                {end(newRollout(at).turn(at).record(in(1), "r1", 100).record(in(2), "r2", 100).record(in(3), "r3", 300), in(4)), "100 03T10:01, 100 03T10:02, 300 03T10:03", 0},
		"a compaction":             {end(compacted(newRollout(at).turn(at).record(in(1), "r1", 100).calls(in(0), 100).record(in(2), "c1", 900), in(2), latest).record(in(3), "r2", 50).calls(in(2), 50), in(4)), "100 03T10:01, 50 03T10:03, 900 03T10:02", 0},
		"a compaction by a record": {end(compacted(newRollout(at).turn(at).record(in(1), "r1", 100).calls(in(0), 100).record(in(2), "c1", 900), in(2), "").record(in(3), "r2", 50).calls(in(2), 50), in(4)), "100 03T10:01, 50 03T10:03, 900 03T10:02", 0},
		"one that waits":           {newRollout(at).turn(at).record(in(1), "r1", 100).record(in(2), "r2", 200), "100 03T10:01", 1},
		"a fork's first":           {newRollout(at).calls(at, 100).fork(in(2*24*60)).record(in(2*24*60+1), "r1", 300).record(in(2*24*60+2), "r2", 400).calls(in(2*24*60+1), 400), "100 03T10:00*, 300 05T10:01, 400 05T10:02", 0},
		"in another's file": {
			&rollout{lines: slices.Concat(newRollout(at).record(in(1), "r1", 100).lines, newRollout(in(9)).record(in(10), "r2", 100).calls(in(9), 100).lines)},
			"100 03T10:01, 100 03T10:10", 0,
		},
	} {
		for how, hashed := range map[string]bool{"": false, ", ids hashed": true} {
			t.Run(name+how, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				text := c.file.String()
				config := func(name string) usagelake.Config {
					cfg := usagelake.Config{Lake: filepath.Join(dir, name), Inputs: []string{filepath.Join(dir, name+".jsonl")}}
					if hashed {
						cfg.HashIDs = writeKey(t, filepath.Join(dir, name+".key"), "k")
					}
					return cfg
				}
				check := func(cfg usagelake.Config, report *usagelake.Report, want string) {
					t.Helper()
					if got := when(t, cfg.Lake); got != want {
						t.Errorf("got  %s\nwant %s", got, want)
					}
					var waits int64
					for _, u := range report.Unknown {
						if u.Dialect == "codex.response" {
							waits += u.Count
						}
					}
					if waits != c.waits {
						t.Errorf("told of %d that wait, want %d", waits, c.waits)
					}
				}
				cfg := config("whole")
				write(t, cfg.Inputs[0], text)
				check(cfg, load(t, cfg), c.want)
				cfg = config("grown")
				var report *usagelake.Report
				for i := range text {
					if text[i] == '\n' {
						write(t, cfg.Inputs[0], text[:i+1])
						report = load(t, cfg)
					}
				}
				check(cfg, report, c.want)
			})
		}
	}
}

// A record of a response that cannot be read may be all that tells of it: it is set aside.
func TestResponsesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	at := august(3)
	whole := newRollout(at).turn(at).record(at.Add(time.Minute), "r1", 987).calls(at.Add(time.Hour), 200).String()
	for reason, text := range map[schemas.Reason]string{
		schemas.NegativeCount:  strings.Replace(whole, `"input_tokens":987`, `"input_tokens":-987`, 1),
		schemas.TimeOutOfRange: strings.Replace(whole, "2026-08-03T10:01", "1999-08-03T10:01", 1),
	} {
		t.Run(string(reason), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cfg := usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, "a.jsonl"), text)}, Lake: filepath.Join(dir, "lake")}
			report := load(t, cfg)
			if got := when(t, cfg.Lake); got != "200 03T11:01" || report.Books.Quarantined != 1 || report.Reasons[string(reason)] != 1 {
				t.Errorf("%s; quarantined %v", got, report.Reasons)
			}
		})
	}
}

// A call that waits is told of beside as many unknown members as there may be.
func TestLastCallAmongUnknownMembers(t *testing.T) {
	t.Parallel()
	at := august(3)
	var news strings.Builder
	for i := range 1200 {
		fmt.Fprintf(&news, `{"id":"c%d","object":"chat.completion","created":1785751200,"model":"m","choices":[],`+
			`"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"news_%d":1}}`+"\n", i, i)
	}
	dir := t.TempDir()
	report := load(t, usagelake.Config{Lake: filepath.Join(dir, "lake"), Inputs: []string{
		write(t, filepath.Join(dir, "a.jsonl"), news.String()),
		write(t, filepath.Join(dir, "b.jsonl"), newRollout(at).turn(at).record(at.Add(time.Minute), "r1", 100).String()),
	}})
	if !slices.ContainsFunc(report.Unknown, func(u usagelake.Unknown) bool { return u.Dialect == "codex.response" && u.Key == "last_call" }) {
		t.Errorf("told of %d, not of the call that waits", len(report.Unknown))
	}
}

// However sessions and their forks come, whole or line by line, in files of their own or one
// behind the other, in any order and in as many loads: each call is one, and of the day on
// which it was made.
func TestSessionsOfCodexInAnyOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 7))
			files, want := someSessions(r)
			dir := t.TempDir()
			check := func(how, lake string) {
				t.Helper()
				if got := when(t, lake); got != strings.Join(want, ", ") {
					t.Errorf("%s:\ngot  %s\nwant %s", how, got, strings.Join(want, ", "))
				}
			}
			for try := range 3 {
				r.Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
				cfg := usagelake.Config{Lake: filepath.Join(dir, fmt.Sprint("grown", try))}
				if try == 2 {
					cfg.HashIDs = writeKey(t, filepath.Join(dir, "ids.key"), "k")
				}
				left := slices.Clone(files) // of each what is not loaded yet
				for slices.ContainsFunc(left, func(s string) bool { return s != "" }) {
					cfg.Inputs = nil
					for i := range left {
						if left[i] == "" || r.IntN(2) == 0 {
							continue
						}
						lines := strings.SplitAfter(left[i], "\n")
						n := len(lines)
						if r.IntN(3) > 0 {
							n = 1 + r.IntN(n)
						}
						left[i] = strings.Join(lines[n:], "")
						path := filepath.Join(dir, fmt.Sprint(try), fmt.Sprint(i, ".jsonl"))
						cfg.Inputs = append(cfg.Inputs, write(t, path, strings.TrimSuffix(files[i], left[i])))
					}
					if cfg.Inputs != nil {
						load(t, cfg)
					}
				}
				check("growing", cfg.Lake)

				one := usagelake.Config{Lake: filepath.Join(dir, fmt.Sprint("one", try))}
				one.Inputs = []string{write(t, filepath.Join(dir, fmt.Sprint(try, "-all.jsonl")), strings.Join(files, ""))}
				load(t, one)
				check("one file", one.Lake)
				one.Inputs = []string{filepath.Join(dir, fmt.Sprint(try))} // the same again, in files of their own
				load(t, one)
				check("one file, then many", one.Lake)
			}
		})
	}
}

// someSessions are files of sessions, with their forks and forks of these, and what when
// lists of their calls.
func someSessions(r *rand.Rand) (files, want []string) {
	day := func(n float64) time.Time {
		return time.Date(2026, 8, 1, 10, 0, 0, 250e6, time.UTC).Add(time.Duration(n*24*60) * time.Minute)
	}
	var sessions []*rollout
	made := map[*rollout]float64{} // on which day
	newer := map[*rollout]bool{}   // by a version whose lines tell of turns
	for len(sessions) < 6 {
		at, s := 1+r.Float64()*3, (*rollout)(nil)
		if len(sessions) > 0 && r.IntN(3) > 0 {
			parent := sessions[r.IntN(len(sessions))]
			at = made[parent] + 0.1 + r.Float64()*2
			s = parent.fork(day(at))
			newer[s] = newer[parent] || r.IntN(2) == 0
		} else {
			s = newRollout(day(at))
			newer[s] = r.IntN(2) == 0
		}
		turns, records := newer[s], r.IntN(2) == 0
		for range 1 + r.IntN(3) {
			if turns {
				s.turn(day(at))
			}
			for range 1 + r.IntN(3) {
				at += 0.5 * r.Float64() // turns are as long as days
				in := 1000 + r.IntN(9e5)
				if said := r.IntN(3); records && said > 0 {
					s.record(day(at), fmt.Sprint("resp_", in), in)
					if said == 2 { // it stands in the record alone
						s.add(day(at).Add(time.Second), "turn_context", `"cwd":"/x","model":"m"`)
						want = append(want, fmt.Sprint(in, " ", day(at).Format("02T15:04")))
						continue
					}
				}
				s.calls(day(at).Add(-time.Minute), in)
				want = append(want, fmt.Sprint(in, " ", day(at).Format("02T15:04")))
			}
			at += 0.01
		}
		made[s] = at
		sessions = append(sessions, s)
	}
	for _, s := range sessions {
		files = append(files, s.String())
	}
	slices.Sort(want)
	return files, want
}
