package usagelake_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usagelake"
)

func problems(t *testing.T, lake string) []string {
	t.Helper()
	v, err := usagelake.Verify(context.Background(), lake, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v.Problems
}

// A lake is well after every kind of load: new days, merges, copies on other
// days, filters.
func TestVerifyAfterLoads(t *testing.T) {
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	in := corpus(t, filepath.Join(dir, "in"), "")
	for _, cfg := range []usagelake.Config{
		{Inputs: []string{filepath.Join(in, "sub1")}, From: "2026-08-22"},
		{Inputs: []string{filepath.Join(in, "sub0")}},
		{Inputs: []string{in}},
		{Inputs: []string{"testdata/logs"}},
	} {
		cfg.Lake = lake
		load(t, cfg)
		if p := problems(t, lake); len(p) > 0 {
			t.Fatalf("after %v: %s", cfg.Inputs, strings.Join(p, "\n"))
		}
	}
}

// One changed byte anywhere in a published file is found.
func TestVerifyFindsEveryFlip(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	load(t, usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, "a.jsonl"), call("a", day.Unix(), 1, 2)+call("b", day.Unix()+1, 3, 4)+bucket(day.Unix(), result("g", 1, 2))+"{\n")}, Lake: lake})
	files := []string{
		filepath.Join(lake, tableFiles(t, lake)[0]),
		filepath.Join(lake, tableFiles(t, lake)[1]),
		filepath.Join(lake, "quarantine", "000000001.jsonl"),
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	flips := 500
	switch {
	case *long:
		flips = 5000
	case testing.Short():
		flips = 100
	}
	for range flips {
		file := files[rnd.IntN(len(files))]
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		at, bit := rnd.IntN(len(data)), byte(1)<<rnd.IntN(8)
		data[at] ^= bit
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if len(problems(t, lake)) == 0 {
			t.Errorf("%s: a flip at byte %d goes unnoticed", filepath.Base(file), at)
		}
		data[at] ^= bit
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if p := problems(t, lake); len(p) > 0 {
		t.Errorf("all flips taken back, and still: %s", fmt.Sprint(p))
	}
}

// Sums of a session beside its calls, from another source, are found by verify, and are
// gone when their source is forgotten.
func TestSumsBesideCalls(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	call := func(session string) string {
		return fmt.Sprintf(`{"type":"assistant","message":{"id":"m-%[1]s","role":"assistant","model":"claude-x","usage":{"input_tokens":10,"cache_read_input_tokens":0,"output_tokens":2}},"requestId":"r-%[1]s","sessionId":"%[1]s","uuid":"a-%[1]s","cwd":"/","timestamp":"2026-03-05T01:00:00Z"}`+"\n", session)
	}
	sums := func(session string) string {
		return fmt.Sprintf(`{"type":"result","num_turns":1,"session_id":"%[1]s","total_cost_usd":0.01,"usage":{"input_tokens":10,"output_tokens":2},"uuid":"u-%[1]s","timestamp":"2026-03-06T01:00:01Z"}`+"\n", session)
	}
	calls := write(t, filepath.Join(dir, "calls.jsonl"), call("s")+call("t"))
	for _, key := range []string{"", writeKey(t, filepath.Join(dir, "key"), "k")} {
		lake := filepath.Join(dir, "lake-"+filepath.Base(key))
		load(t, usagelake.Config{Inputs: []string{calls, write(t, filepath.Join(dir, "alone.json"), sums("u"))}, Lake: lake, HashIDs: key})
		if p := problems(t, lake); len(p) > 0 {
			t.Error(p)
		}
		load(t, usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, "both.json"), sums("s")+sums("v")+sums("t"))}, Lake: lake, HashIDs: key})
		forgetTwice(t, lake, key, "20 tokens in and 4 out count twice")
	}
}

// forgetTwice forgets the source that verify names as its only problem. Then there is
// none.
func forgetTwice(t *testing.T, lake, key, problem string) {
	t.Helper()
	found := problems(t, lake)
	if len(found) != 1 || !strings.Contains(found[0], problem) {
		t.Fatal(found)
	}
	source := strings.Fields(found[0][strings.Index(found[0], "forget "):])[1]
	if _, err := usagelake.Forget(t.Context(), usagelake.Config{Lake: lake, HashIDs: key}, source); err != nil {
		t.Fatal(err)
	}
	if p := problems(t, lake); len(p) > 0 {
		t.Error(p)
	}
}

// The rest of sums counts nothing twice beside the calls of its own source, but does where
// the session's log has more of them.
func TestRestBesideCalls(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	usage := func(out int) string {
		return fmt.Sprintf(`"message":{"id":"m","type":"message","role":"assistant","model":"claude-x","content":[],"usage":{"input_tokens":10,"cache_read_input_tokens":0,"output_tokens":%d}},"timestamp":"2026-03-05T01:00:00Z"`, out)
	}
	run := write(t, filepath.Join(dir, "run.jsonl"), `{"type":"assistant","session_id":"s","uuid":"u1",`+usage(2)+"}\n"+
		`{"type":"result","num_turns":1,"session_id":"s","total_cost_usd":0.01,"usage":{"input_tokens":10,"output_tokens":40},`+
		`"modelUsage":{"claude-x":{"inputTokens":10,"outputTokens":40,"costUSD":0.01}},"uuid":"u2","timestamp":"2026-03-05T01:00:01Z"}`+"\n")
	log := write(t, filepath.Join(dir, "s.jsonl"), `{"type":"assistant","sessionId":"s","uuid":"a1","requestId":"r","cwd":"/",`+usage(40)+"}\n")
	for _, key := range []string{"", writeKey(t, filepath.Join(dir, "key"), "k")} {
		for _, order := range [][]string{{run, log}, {log, run}} {
			lake := filepath.Join(t.TempDir(), "lake")
			load(t, usagelake.Config{Inputs: order[:1], Lake: lake, HashIDs: key})
			if p := problems(t, lake); len(p) > 0 {
				t.Error(p)
			}
			load(t, usagelake.Config{Inputs: order[1:], Lake: lake, HashIDs: key})
			forgetTwice(t, lake, key, "0 tokens in and 38 out count twice")
			if all := rows(t, lake); len(all) != 1 || all[0]["output_tokens"] != "40" {
				t.Error(all)
			}
		}
	}
}
