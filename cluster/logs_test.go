package cluster

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// day is the first day of the logs.
var day = time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)

// A call has a time of its own, and copies of it are on the same day.
func call(id string, at time.Time, in, out int) string {
	return fmt.Sprintf(`{"id":%q,"object":"chat.completion","created":%d,"model":"m","choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`+"\n", id, at.Unix(), in, out, in+out)
}

// A message has the time of the line it is on, so copies can be on other days.
func message(id string, at time.Time, in, out int) string {
	return fmt.Sprintf(`{"timestamp":%q,"body":{"id":%q,"type":"message","role":"assistant","model":"c","content":[],"stop_reason":"end_turn","usage":{"input_tokens":%d,"output_tokens":%d}}}`+"\n", at.Format(time.RFC3339), id, in, out)
}

// history writes logs of some days that are loaded in two steps: a/ first, then
// b/, which has calls of its own, copies of old ones (poorer and richer, same
// day and days beside it), a log of a/ that has grown, reports, a compressed
// file, records that cannot be read, and a plain file that is larger than the
// others.
func history(t *testing.T, dir string, calls int) (a, b string) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(*seed, 8))
	const days = 4
	moment := func() time.Time { return day.Add(time.Duration(rnd.Int64N(days*86_400)) * time.Second) }
	type made struct {
		id string
		at time.Time
	}
	var old []made
	first := func(name string, n int) string {
		var text strings.Builder
		for i := range n {
			m := made{fmt.Sprint(name, i), moment()}
			old = append(old, m)
			if i%2 == 0 {
				text.WriteString(call(m.id, m.at, 100+i, 50))
			} else {
				text.WriteString(message(m.id, m.at, 100+i, 50))
			}
		}
		return text.String()
	}
	more := func(name string, n int) string {
		var text strings.Builder
		for i := range n {
			m := made{fmt.Sprint(name, i), moment()}
			out := 60
			if i%3 == 0 { // a copy, by turns richer and poorer
				m = old[rnd.IntN(len(old))]
				out = 40 + i%2*20
				if i%4 == 0 {
					m.at = m.at.Add(time.Duration(rnd.IntN(3)-1) * 24 * time.Hour)
				}
			}
			switch {
			case i%997 == 500:
				text.WriteString("{\"broken\":\n")
			case i%2 == 0:
				text.WriteString(call(m.id, m.at, 100+i, out))
			default:
				text.WriteString(message(m.id, m.at, 100+i, out))
			}
		}
		return text.String()
	}
	a, b = filepath.Join(dir, "a"), filepath.Join(dir, "b")
	grows := first("grows", calls/10)
	write(t, filepath.Join(a, "grows.jsonl"), grows[:len(grows)-30]) // ends in the midst of a record
	write(t, filepath.Join(a, "app", "first.jsonl"), first("first", calls))
	write(t, filepath.Join(b, "grows.jsonl"), grows+more("grown", calls/10))
	write(t, filepath.Join(b, "app", "large.jsonl"), more("large", 3*calls))
	for i := range 4 {
		write(t, filepath.Join(b, "app", fmt.Sprintf("part-%d.jsonl", i)), more(fmt.Sprint("part", i, "-"), calls/4))
	}
	write(t, filepath.Join(b, "reports", "day.jsonl"), fmt.Sprintf(
		`{"object":"bucket","start_time":%d,"end_time":%d,"results":[{"object":"organization.usage.completions.result","project_id":"p","input_tokens":5,"num_model_requests":1}]}`+"\n",
		day.Unix(), day.Unix()+86_400))
	generate(t, filepath.Join(b, "packed", "gz"), "-lines", fmt.Sprint(calls), "-files", "2", "-days", "3", "-compress", "gz", "-copies", "0.1", "-seed", "3")
	generate(t, filepath.Join(b, "packed", "zst"), "-workload", "chat", "-lines", fmt.Sprint(calls/4), "-files", "1", "-days", "3", "-compress", "zst", "-copies", "0.1", "-seed", "4")
	return a, b
}
