package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStatements runs each statement over two calls of two days.
func TestStatements(t *testing.T) {
	for workload, test := range map[string]struct{ lines, columns, want string }{
		"slim": {
			`{"id":"a","provider":"p","model":"m","object":"o","created":1785542399,"user":"u","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"cost":0.25,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":1}}}
{"id":"b","created":1785542400,"usage":{"prompt_tokens":50,"completion_tokens":20,"total_tokens":70,"cost":0.5}}`,
			"id, provider, model, object, user, event_time, input_tokens, output_tokens, total_tokens, cache_read_tokens, reasoning_tokens, cost",
			"event_date=2026-07-31 a|p|m|o|u|2026-07-31 23:59:59|5.0|2.0|7.0|3.0|1.0|0.25\nevent_date=2026-08-01 b|-|-|-|-|2026-08-01 00:00:00|50.0|20.0|70.0|-|-|0.5\n",
		},
		"chat": {
			`{"id":"a","model":"m","object":"o","created":1785542399,"choices":[{}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":3},"completion_tokens_details":{"reasoning_tokens":1}}}
{"id":"b","created":1785542400,"usage":{"prompt_tokens":50,"completion_tokens":20,"total_tokens":70}}`,
			"id, model, object, event_time, input_tokens, output_tokens, total_tokens, cache_read_tokens, reasoning_tokens",
			"event_date=2026-07-31 a|m|o|2026-07-31 23:59:59|5.0|2.0|7.0|3.0|1.0\nevent_date=2026-08-01 b|-|-|2026-08-01 00:00:00|50.0|20.0|70.0|-|-\n",
		},
		"image": {
			`{"created":1785542399,"data":[{"b64_json":"AA"}],"size":"s","quality":"q","usage":{"input_tokens":5,"output_tokens":2,"total_tokens":7,"input_tokens_details":{"text_tokens":1,"image_tokens":4}}}
{"created":1785542400,"usage":{"input_tokens":50,"output_tokens":20,"total_tokens":70}}`,
			"size, quality, event_time, input_tokens, output_tokens, total_tokens, input_text_tokens, input_image_tokens",
			"event_date=2026-07-31 s|q|2026-07-31 23:59:59|5.0|2.0|7.0|1.0|4.0\nevent_date=2026-08-01 -|-|2026-08-01 00:00:00|50.0|20.0|70.0|-|-\n",
		},
	} {
		t.Run(workload, func(t *testing.T) {
			dir := t.TempDir()
			in, out := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out")
			if err := os.WriteFile(in, []byte(test.lines+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			statement, err := os.ReadFile("../../statements/duckdb-" + workload + ".sql")
			if err != nil {
				t.Fatal(err)
			}
			text := strings.NewReplacer("{IN}", "'"+in+"'", "{OUT}", "'"+out+"'").Replace(string(statement))
			var got bytes.Buffer
			if err := run(text, 2, &got); err != nil || got.String() != "2\n" {
				t.Fatalf("%q, %v", got.String(), err)
			}
			got.Reset()
			cells := "coalesce(CAST(" + strings.ReplaceAll(test.columns, ", ", " AS VARCHAR), '-'), coalesce(CAST(") + " AS VARCHAR), '-')"
			err = run("SELECT parse_path(filename)[-2] || ' ' || concat_ws('|', "+cells+") FROM read_parquet('"+out+"/**/*.parquet', filename = true) ORDER BY 1", 2, &got)
			if err != nil || got.String() != test.want {
				t.Errorf("got\n%swant\n%s%v", got.String(), test.want, err)
			}
		})
	}
}
