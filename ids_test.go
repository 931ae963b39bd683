package usagelake_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"usagelake"
	"usagelake/schemas"
)

// anywhere are the rows of both tables without their places.
func anywhere(t *testing.T, lake string, change func(map[string]string) map[string]string) []map[string]string {
	t.Helper()
	var out []map[string]string
	for table := range schemas.NumTables {
		for _, row := range rowsOf(t, lake, table) {
			row = change(row)
			for _, c := range []string{"source_file", "source_id", "source_line", "source_row", "extra_json"} {
				delete(row, c)
			}
			out = append(out, row)
		}
	}
	return out
}

var byText = cmpopts.SortSlices(func(a, b map[string]string) bool { return fmt.Sprint(a) < fmt.Sprint(b) })

// Copies of a call are found with hashed ids as without: within a run, in later
// runs, over midnight, in memory or through scratch files.
func TestHashIDsCopies(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	key := writeKey(t, filepath.Join(root, "key"), "k")
	n, copies := 0, int64(0)
	rapid.Check(t, func(rt *rapid.T) {
		n++
		dir := filepath.Join(root, fmt.Sprint(n))
		defer os.RemoveAll(dir)
		line, files := 0, rapid.IntRange(1, 3).Draw(rt, "files")
		for f := range files { // few cases have a copy by chance
			write(t, filepath.Join(dir, fmt.Sprintf("f%d.jsonl", f)), fmt.Sprintf(`{"file":%d}`+"\n", f)+joined(randomLines(rt, &line, 8))+strings.Repeat(call("twice", day.Unix(), 1, 1), 2))
		}
		open, sealed := filepath.Join(dir, "clear"), filepath.Join(dir, "sealed")
		buckets := rapid.IntRange(1, 3).Draw(rt, "buckets")
		for _, in := range append(rapid.SliceOf(rapid.IntRange(0, files-1)).Draw(rt, "order"), -1) {
			glob := filepath.Join(dir, fmt.Sprintf("f%d.jsonl", in))
			if in < 0 {
				glob = filepath.Join(dir, "*.jsonl")
			}
			cfg := usagelake.Config{Inputs: []string{glob}, Lake: open, Buckets: buckets, MaxQuarantine: "100%", Memory: rapid.SampledFrom([]int64{0, 1}).Draw(rt, "memory")}
			a := load(t, cfg)
			cfg.Lake, cfg.HashIDs = sealed, key
			b := load(t, cfg)
			if booksDiff(a.Books, b.Books) != "" {
				rt.Fatalf("books %+v, hashed %+v", a.Books, b.Books)
			}
			copies += a.Books.Duplicates
		}
		one := func(row map[string]string) map[string]string {
			if buckets > 1 { // calls that share an id but no key lie in other files
				row["quality_flags"] = strings.TrimPrefix(strings.TrimPrefix(row["quality_flags"], schemas.FlagIDReused), ",")
			}
			return row
		}
		want := anywhere(t, open, func(row map[string]string) map[string]string { return one(hashedRow(row)) })
		if d := gocmp.Diff(want, anywhere(t, sealed, one), byText, cmpopts.EquateEmpty()); d != "" {
			rt.Fatalf("-clear, hashed by the test +hashed\n%s", d)
		}
	})
	if copies == 0 {
		t.Error("there were no copies")
	}
}

// One call logged by several vendors' and gateways' formats is one row, as
// without hashes.
func TestHashIDsExampleLogs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := usagelake.Config{Inputs: []string{"testdata/logs"}, Lake: filepath.Join(dir, "clear")}
	a := load(t, cfg)
	cfg.Lake, cfg.HashIDs = filepath.Join(dir, "sealed"), writeKey(t, filepath.Join(dir, "key"), "k")
	b := load(t, cfg)
	if booksDiff(a.Books, b.Books) != "" || a.Books.Duplicates == 0 || len(a.Partitions) != len(b.Partitions) {
		t.Errorf("books %+v, hashed %+v", a.Books, b.Books)
	}
	if again := load(t, cfg); again.Seq != 0 || again.Books.Records != 0 {
		t.Errorf("loaded again: %+v", again.Books)
	}
}

// The key of a lake is the key of every change that reads records.
func TestHashIDsKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	key, other := writeKey(t, file("key"), "k"), writeKey(t, file("other"), "o")
	a := write(t, file("a.jsonl"), line("one", day, 1, 1)+line("two", day, 1, 1)+"{broken\n")
	b := write(t, file("b.jsonl"), line("one", day, 1, 9)+line("three", day, 1, 1))
	ctx := context.Background()
	cfg := func(lake, key string) usagelake.Config {
		return usagelake.Config{Inputs: []string{a}, Lake: file(lake), HashIDs: key, MaxQuarantine: "100%"}
	}
	load(t, cfg("hashed", key))
	load(t, cfg("clear", ""))
	before := hashes(t, file("hashed"))
	refused := func(what, want string, err error) {
		t.Helper()
		if !errors.Is(err, usagelake.ErrUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "kkkk") || strings.Contains(err.Error(), "oooo")) {
			t.Errorf("%s: the key shows in %v", what, err)
		}
	}
	for what, do := range map[string]func(usagelake.Config) error{
		"load":   func(c usagelake.Config) error { _, err := usagelake.Load(ctx, c); return err },
		"plan":   func(c usagelake.Config) error { _, err := usagelake.Plan(ctx, c); return err },
		"replay": func(c usagelake.Config) error { c.Inputs = nil; _, err := usagelake.Replay(ctx, c); return err },
	} {
		refused(what, "are hashed: give --hash-ids KEYFILE", do(cfg("hashed", "")))
		refused(what, "hashed with another key", do(cfg("hashed", other)))
		refused(what, "holds ids in clear", do(cfg("clear", key)))
	}
	rotate := cfg("clear", key)
	rotate.HashIDsRotate = true
	_, err := usagelake.Load(ctx, rotate)
	refused("rotate a clear lake", "holds ids in clear", err)
	rotate.HashIDs = ""
	_, err = usagelake.Load(ctx, rotate)
	refused("rotate without a key", "goes with --hash-ids", err)
	raw := cfg("raw", key)
	raw.QuarantineRaw = true
	_, err = usagelake.Load(ctx, raw)
	refused("raw", "--quarantine-raw", err)
	if d := gocmp.Diff(before, hashes(t, file("hashed"))); d != "" {
		t.Errorf("a refused change changed the lake\n%s", d)
	}

	// with another key the calls of before are other calls
	rotate = cfg("hashed", other)
	rotate.Inputs, rotate.HashIDsRotate = []string{a, b}, true
	r := load(t, rotate)
	if r.Books.Rows != 2 || r.Books.Duplicates != 0 || len(rows(t, file("hashed"))) != 4 {
		t.Errorf("after rotation: %+v", r.Books)
	}
	rotate.HashIDsRotate = false
	if r := load(t, rotate); r.Books.Records != 0 {
		t.Errorf("known files were read again: %+v", r.Books)
	}
	_, err = usagelake.Load(ctx, cfg("hashed", key))
	refused("the key of before", "hashed with another key", err)

	// what gave way comes back from a file whose path is sealed; without a key that
	// is refused, and a source that nothing gave way to can be forgotten
	forget := cfg("forget", key)
	load(t, forget)
	forget.Inputs = []string{b}
	load(t, forget)
	forget.Inputs, forget.HashIDs = nil, ""
	_, err = usagelake.Forget(ctx, forget, hashed("k", "source_file", "b.jsonl"))
	refused("forget", "give --hash-ids", err)
	forget.HashIDs = key
	if _, err := usagelake.Forget(ctx, forget, b); err != nil {
		t.Error(err)
	}
	if got := len(rows(t, file("forget"))); got != 2 {
		t.Errorf("%d rows are left", got)
	}
	forget.HashIDs = ""
	if _, err := usagelake.Forget(ctx, forget, hashed("k", "source_file", "a.jsonl")); err != nil {
		t.Error(err)
	}

	// a change that brings nothing makes the key the lake's, too
	empty := usagelake.Config{Inputs: []string{write(t, file("empty.jsonl"), "")}, Lake: file("empty"), HashIDs: key}
	load(t, empty)
	empty.HashIDs = ""
	_, err = usagelake.Load(ctx, empty)
	refused("an empty lake", "give --hash-ids", err)
}

func TestHashIDsKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good := strings.Repeat("s3cr3t", 8)
	a := write(t, filepath.Join(dir, "a.jsonl"), line("one", day, 1, 1))
	var ids []string
	for i, c := range []struct {
		content string
		mode    os.FileMode
		err     string
	}{
		{good, 0o600, ""},
		{good + "\n", 0o400, ""},
		{good + "\r\n", 0o600, ""},
		{good + "\n", 0o640, ""},
		{good + "\n", 0o644, "mode 0644"},
		{good + "\n", 0o660, "mode 0660"},
		{good[:31] + "\n", 0o600, "fewer than 32 bytes"},
		{strings.Repeat(good, 2000), 0o600, "longer than 64 KiB"},
		{"", 0o600, "fewer than 32 bytes"},
	} {
		path := filepath.Join(dir, fmt.Sprint("key", i))
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		lake := filepath.Join(dir, fmt.Sprint("lake", i))
		var log strings.Builder
		r, err := usagelake.Load(context.Background(), usagelake.Config{
			Inputs: []string{a}, Lake: lake, HashIDs: path, Log: slog.New(slog.NewTextHandler(&log, nil)),
		})
		if c.err != "" {
			if !errors.Is(err, usagelake.ErrUsage) || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "s3cr") {
				t.Errorf("%q %o: %v", c.err, c.mode, err)
			}
			if _, err := os.Stat(lake); err == nil {
				t.Error("a lake was made")
			}
			continue
		}
		if err != nil {
			t.Errorf("%o: %v", c.mode, err)
			continue
		}
		if warned := strings.Contains(log.String(), "can be read by its group"); warned != (c.mode == 0o640) || strings.Contains(log.String(), "s3cr") {
			t.Errorf("%o: log %s", c.mode, log.String())
		}
		if strings.Contains(fmt.Sprintf("%+v", *r), "s3cr") {
			t.Error("the key is in the report")
		}
		belowLake(t, lake, func(where string, data []byte) {
			if strings.Contains(string(data), "s3cr") {
				t.Errorf("the key is in %s", where)
			}
		})
		ids = append(ids, rows(t, lake)[0]["request_id"])
	}
	for _, id := range ids {
		if id != ids[0] || !strings.HasPrefix(id, "h:") {
			t.Errorf("one key, ids %q: a line end is no part of it", ids)
		}
	}
	for _, path := range []string{dir, filepath.Join(dir, "nothing")} {
		if _, err := usagelake.Load(context.Background(), usagelake.Config{Inputs: []string{a}, Lake: dir + "/x", HashIDs: path}); !errors.Is(err, usagelake.ErrUsage) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A live key or password in a record is in no column, whichever member holds
// it, and in the quarantine is blotted out.
func TestSecretsStayOut(t *testing.T) {
	t.Parallel()
	live := "sk-proj-" + secretMark + "0123456789abcdefghijABCDEFGHIJ"
	for _, secret := range []string{
		live, "Bearer " + live, "bearer " + secretMark + "abcdefghijklmnopqrstuvw", "Basic " + secretMark + "cGFzc3dvcmQ6cGFzc3dvcmQ=",
		"sk-ant-api03-" + secretMark + "0123456789abcdefghij", "gsk_" + secretMark + "0123456789abcdef", "AIzaSy" + secretMark + "0123456789abcdef",
		"eyJhbGciOiJIUzI1NiJ9." + secretMark + "eyJzdWIiOiJhIn0.c2lnbmF0dXJlc2ln",
	} {
		dir := t.TempDir()
		var lines []string
		q := fmt.Sprintf("%q", secret)
		usage := `"usage":{"prompt_tokens":1,"completion_tokens":1}`
		for i, member := range []string{
			`"api_key_id":` + q, `"api_key_hash":` + q, `"user":` + q, `"session_id":` + q, `"project":` + q, `"team":` + q, `"x_request_id":` + q,
			`"provider":` + q, `"region":` + q, `"error":{"code":` + q + `}`, `"operation":` + q, `"service_tier":` + q, `"request_model":` + q,
			`"tags":{"authorization":` + q + `}`, `"tags":{"header":"x-api-key: ` + secret + `"}`, `"tags":[` + q + `]`, `"headers":{"authorization":` + q + `}`,
			`"tags":{` + q + `:"x"}`, `"usage":{"prompt_tokens":1,"completion_tokens":1,"type":` + q + `,"note":` + q + `,` + q + `:1}`,
		} {
			if !strings.Contains(member, `"usage"`) {
				member += "," + usage
			}
			lines = append(lines, fmt.Sprintf(`{"id":"c%d","created":%d,"model":"m",%s}`, i, day.Unix(), member))
		}
		lines = append(lines,
			`{"id":`+q+`,"created":`+fmt.Sprint(day.Unix())+`,"model":"m",`+usage+`}`,
			`{"id":"bad","created":"never","api_key":`+q+`,"h":"Authorization: `+secret+`",`+usage+`}`,
			`{broken `+secret+` "`+secret+`"`)
		lake := filepath.Join(dir, "lake")
		r := load(t, usagelake.Config{Inputs: []string{write(t, filepath.Join(dir, "a.jsonl"), joined(lines))}, Lake: lake, MaxQuarantine: "100%"})
		if int(r.Books.Rows) != len(lines)-2 || r.Books.Quarantined != 2 {
			t.Errorf("%+v", r.Books)
		}
		belowLake(t, lake, func(where string, data []byte) {
			if strings.Contains(string(data), secretMark) {
				t.Errorf("%q is in %s", secret, where)
			}
		})
		for _, row := range rows(t, lake) {
			if row["request_id"] == "c0" && row["api_key_id"] != "masked" && !strings.HasPrefix(row["api_key_id"], "sha256:") {
				t.Errorf("%q became %q", secret, row["api_key_id"])
			}
		}
	}
}

// A source keeps the name it was first seen by, although the lake does not show
// it: a log that is moved and grows, and records that are replayed, have users and
// dates as they have in a lake in clear.
func TestHashIDsNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := writeKey(t, filepath.Join(dir, "key"), "k")
	undated := func(id string) string {
		return fmt.Sprintf(`{"id":%q,"model":"m","usage":{"prompt_tokens":1,"completion_tokens":1}}`+"\n", id)
	}
	broken := `{"id":"late","model":"m","timestamp":{},"usage":{"prompt_tokens":1,"completion_tokens":1}}` + "\n"
	var lakes [2][]map[string]string
	for i, key := range []string{"", key} {
		in := filepath.Join(dir, fmt.Sprint("in", i))
		cfg := usagelake.Config{Inputs: []string{in}, Lake: filepath.Join(dir, fmt.Sprint("lake", i)), HashIDs: key, PathColumns: "**/{user_id}/{date}.jsonl", MaxQuarantine: "100%"}
		first := write(t, filepath.Join(in, "deep", "alice", "2026-03-01.jsonl"), undated("a")+broken)
		write(t, filepath.Join(in, "deep", "bob", "2026-03-02.jsonl"), undated("b"))
		cfg.StrictTime = true // all of it goes to the quarantine
		load(t, cfg)
		cfg.StrictTime = false
		replay := cfg
		replay.Inputs = nil
		r, err := usagelake.Replay(context.Background(), replay)
		if err != nil || r.Books.Rows < 2 {
			t.Fatalf("%v %+v", err, r.Books)
		}
		if err := os.Remove(first); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(in, "deep", "carol", "2026-03-09.jsonl"), undated("a")+broken+undated("c"))
		if r := load(t, cfg); r.Books.Rows != 1 {
			t.Fatalf("%+v", r.Books)
		}
		lakes[i] = rows(t, cfg.Lake)
	}
	for i, row := range lakes[0] {
		file := row["source_file"]
		lakes[0][i] = hashedRow(row)
		lakes[0][i]["source_file"] = hashed("k", "source_file", file)
	}
	if d := gocmp.Diff(lakes[0], lakes[1], byText); d != "" || len(lakes[0]) < 3 {
		t.Errorf("-clear, hashed by the test +hashed\n%s", d)
	}
	if u := lakes[1][0]["user_id"]; u != hashed("k", "user_id", "alice") && u != hashed("k", "user_id", "bob") {
		t.Error("users are not those of the paths")
	}
}

// Standard input, which is kept while it is read, is not kept in the lake.
func TestHashIDsStandardInput(t *testing.T) {
	dir := t.TempDir()
	temp := filepath.Join(dir, "temp")
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temp)
	in, err := os.Open(write(t, filepath.Join(dir, "in.jsonl"), line(idMark, day, 1, 1)+"{broken "+idMark))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	before := os.Stdin
	os.Stdin = in
	defer func() { os.Stdin = before }()
	find := func(where string, data []byte) {
		if strings.Contains(string(data), idMark) {
			t.Errorf("%s has the id", where)
		}
	}
	lake := filepath.Join(dir, "lake")
	r := load(t, usagelake.Config{
		Inputs: []string{"-"}, Lake: lake, HashIDs: writeKey(t, filepath.Join(dir, "key"), "k"), MaxQuarantine: "100%", FS: &tap{find: find},
	})
	if r.Books.Rows != 1 || r.Books.Quarantined != 1 {
		t.Errorf("%+v", r.Books)
	}
	belowLake(t, lake, find)
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left in $TMPDIR: %v %v", left, err)
	}
}

// A file that a load has read up to any line of a session and its fork, one behind the other,
// comes to the calls of one load, also where ids are hashed.
func TestHashIDsForks(t *testing.T) {
	t.Parallel()
	lines := []string{
		`{"timestamp":"2026-03-05T02:00:00Z","type":"session_meta","payload":{"id":"s-1","timestamp":"2026-03-05T02:00:00Z","cwd":"/w","originator":"o","cli_version":"0.1.0"}}`,
		`{"timestamp":"2026-03-05T02:00:01Z","type":"turn_context","payload":{"turn_id":"t","cwd":"/w","model":"m-1"}}`,
		`{"timestamp":"2026-03-05T02:00:05Z","type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":50,"output_tokens":7,"total_tokens":57},"last_token_usage":{"input_tokens":50,"output_tokens":7,"total_tokens":57}}}}`,
		`{"timestamp":"2026-03-05T02:00:07Z","type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":80,"output_tokens":9,"total_tokens":89},"last_token_usage":{"input_tokens":30,"output_tokens":2,"total_tokens":32}}}}`,
		`{"timestamp":"2026-03-05T02:00:09Z","type":"turn_context","payload":{"turn_id":"t","cwd":"/w","model":"m-2"}}`,
		`{"timestamp":"2026-03-05T03:00:00Z","type":"session_meta","payload":{"id":"s-2","forked_from_id":"s-1","timestamp":"2026-03-05T03:00:00Z","cwd":"/w","originator":"o","cli_version":"0.1.0"}}`,
		`{"timestamp":"2026-03-05T03:00:00.010Z","type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":50,"output_tokens":7,"total_tokens":57},"last_token_usage":{"input_tokens":50,"output_tokens":7,"total_tokens":57}}}}`,
	}
	for n := range len(lines) {
		dir := t.TempDir()
		cfg := usagelake.Config{
			Inputs: []string{filepath.Join(dir, "a.jsonl")}, Lake: filepath.Join(dir, "lake"),
			HashIDs: writeKey(t, filepath.Join(dir, "key"), "k"),
		}
		for _, upTo := range []int{n + 1, len(lines)} {
			write(t, cfg.Inputs[0], joined(lines[:upTo]))
			load(t, cfg)
		}
		if got := len(rows(t, cfg.Lake)); got != 2 {
			t.Errorf("read up to line %d first: %d calls, want 2", n+1, got)
		}
	}
}
