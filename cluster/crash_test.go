package cluster

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// stories is a lake in the store that holds a/, and what b/ makes of it.
type stories struct {
	bucket        bucket
	a, b          string
	before, after table
	writes        int // requests that change something in a load of b/
	asked         []asked
}

func story(t *testing.T, calls int) stories {
	t.Helper()
	s := stories{bucket: shared.bucket(t)}
	s.a, s.b = history(t, t.TempDir(), calls)
	shared.at(t, shared.addr).must(t, load(s.bucket.url("base"), s.a))
	s.before = s.bucket.lake("base").table(t)
	s.bucket.clone(t, "base/", "whole/")
	p := proxied(t, shared.addr)
	r := shared.at(t, p.addr).must(t, load(s.bucket.url("whole"), s.b), ok, look)
	s.after = s.bucket.lake("whole").table(t)
	s.asked = p.requests()
	for _, a := range s.asked {
		s.writes = max(s.writes, a.write)
	}
	t.Logf("a load of b/: %d requests, %d of which change something", len(s.asked), s.writes)
	if s.writes < 5 || diff(s.before, s.after) == "" {
		t.Fatalf("the load does not publish enough: %v", r)
	}
	return s
}

// A moment is a request of a load of b/, and the time before it reaches the
// server or after the server did it.
type moment struct {
	name          string
	number, write int // as in asked
	cut           when
}

// moments are those of a load of b/: all that have these methods in the long
// form (none: all that change something), and in the short one some, with both
// ends, and behind the first that read a file of the table.
func (s stories) moments(short int, methods ...string) []moment {
	var all, out []moment
	reads := 0
	for _, a := range s.asked {
		if len(methods) == 0 && a.write == 0 || len(methods) > 0 && !slices.Contains(methods, a.method) {
			continue
		}
		for _, cut := range []when{before, after} {
			m := moment{fmt.Sprintf("%s request %d %s", [...]string{before: "before", after: "after"}[cut], a.number, a.method), a.number, a.write, cut}
			all = append(all, m)
			if a.write == 0 && strings.Contains(a.path, "/usage/") && cut == after {
				if reads++; reads <= 3 && !*long {
					out = append(out, m)
				}
			}
		}
	}
	for _, k := range sample(len(all), short) {
		out = append(out, all[k-1])
	}
	return out
}

// sample is some of 1 to n in the short form, with both ends, and all in the long one.
func sample(n, short int) []int {
	var out []int
	step := max(1, n/(short+1)) | 1 // odd, so that befores and afters take turns
	for k := 1; k <= n; k++ {
		if *long || k == 1 || k == n || k%step == int(*seed)%step {
			out = append(out, k)
		}
	}
	return out
}

// The machine dies before, or after, any request that changes something: the
// next command finds the lake as it was before the load, or as it is after it.
func TestCrash(t *testing.T) {
	t.Parallel()
	s := story(t, 300)
	for _, at := range s.moments(4) {
		t.Run(at.name, func(t *testing.T) {
			prefix := strings.ReplaceAll(at.name, " ", "-")
			s.bucket.clone(t, "base/", prefix+"/")
			lake := s.bucket.lake(prefix)
			p := proxied(t, shared.addr)
			p.faults(func(a asked) fate {
				if a.write == at.write {
					return fate{cut: at.cut, down: true}
				}
				return fate{}
			})
			r := shared.at(t, p.addr).start(t, load(lake.url, s.b)...)
			select {
			case <-p.down:
				r.kill()
			case <-r.done:
			}
			if ended := r.wait(); ended.code != killed && ended.code != ok && ended.code != look && ended.code != again {
				t.Errorf("before it was killed: %v", ended)
			}
			s.heals(t, lake)
			s.bucket.remove(t, prefix+"/")
		})
	}
}

// heals checks that a lake is as before or as after, and goes on.
func (s stories) heals(t *testing.T, lake lake) {
	t.Helper()
	program := shared.at(t, shared.addr)
	program.must(t, []string{"status", "--lake", lake.url})
	program.verified(t, lake.url)
	got := lake.table(t)
	if before, after := diff(s.before, got), diff(s.after, got); before != "" && after != "" {
		t.Errorf("%s: neither as before the load nor as after it; after it would be\n%s", lake.url, after)
	}
	program.must(t, load(lake.url, s.b), ok, look)
	lake.same(t, s.after)
	program.must(t, load(lake.url, s.b)) // sweeps what is left of the dead run
	lake.tidy(t)
}

// Connections end in the midst of requests and answers, servers are busy, and
// conditional writes conflict: a load gets through, or fails and goes through
// when the store is well again.
func TestFaults(t *testing.T) {
	t.Parallel()
	s := story(t, 2000)
	s.bucket.put(t, "b", s.b)
	runs := 2
	if *long {
		runs = 60
	}
	for n := range runs {
		t.Run(fmt.Sprint("seed ", n), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(*seed, uint64(n)))
			rate := []float64{0.02, 0.1, 0.3}[n%3]
			prefix := fmt.Sprint("faults-", n)
			s.bucket.clone(t, "base/", prefix+"/")
			lake := s.bucket.lake(prefix)
			p := proxied(t, shared.addr)
			broken := 0
			p.faults(func(a asked) (f fate) {
				if rnd.Float64() > rate {
					return f
				}
				broken++
				switch rnd.IntN(8) {
				case 0:
					f.cut = before
				case 1:
					f.cut = after
				case 2:
					f.sent = rnd.Int64N(20_000) - 1
				case 3:
					f.received = rnd.Int64N(20_000) - 1
				case 4:
					f.answer, f.code = http.StatusServiceUnavailable, "SlowDown"
				case 5:
					f.answer, f.code = http.StatusInternalServerError, "InternalError"
				case 6:
					if !a.conditional || a.method != http.MethodPut {
						f.received = rnd.Int64N(2000)
						break
					}
					f.answer, f.code = http.StatusConflict, "ConditionalRequestConflict"
				default:
					f.hold = func() { time.Sleep(time.Duration(rnd.IntN(300)) * time.Millisecond) }
				}
				return f
			})
			r := shared.at(t, p.addr).run(t, load(lake.url, s.bucket.url("b/"))...)
			t.Logf("%d of %d requests broken; exit code %d after %v %s", broken, len(p.requests()), r.code, r.wall.Round(time.Millisecond), r.err)
			r.want(t, []string{"load"}, ok, look, failed, again)
			if r.code == ok || r.code == look {
				// An input that could not be read is a matter of the next load.
				if d := diff(s.after, lake.table(t)); d != "" && r.code == ok {
					t.Errorf("exit code 0, and another table:\n%s", d)
				}
			}
			program := shared.at(t, shared.addr)
			program.must(t, []string{"status", "--lake", lake.url})
			program.verified(t, lake.url)
			program.must(t, load(lake.url, s.bucket.url("b/")), ok, look)
			lake.same(t, s.after)
			program.verified(t, lake.url)
			s.bucket.remove(t, prefix+"/")
		})
	}
}

// A conflict of conditional writes is tried again, not taken for "exists".
func TestConflict(t *testing.T) {
	t.Parallel()
	s := story(t, 300)
	for name, answer := range map[string]fate{
		"a conflict":           {answer: http.StatusConflict, code: "ConditionalRequestConflict"},
		"done, answer is lost": {cut: after},
		"cut in the request":   {sent: 10},
	} {
		t.Run(name, func(t *testing.T) {
			prefix := "conflict-" + strings.ReplaceAll(name, " ", "-")
			s.bucket.clone(t, "base/", prefix+"/")
			lake := s.bucket.lake(prefix)
			p := proxied(t, shared.addr)
			tried := map[string]int{}
			p.faults(func(a asked) fate {
				if a.method == http.MethodPut && a.conditional {
					if tried[a.path]++; tried[a.path] == 1 {
						return answer
					}
				}
				return fate{}
			})
			shared.at(t, p.addr).must(t, load(lake.url, s.b), ok, look)
			lake.same(t, s.after)
			lake.tidy(t)
			shared.at(t, shared.addr).verified(t, lake.url)
			if len(tried) < 2 { // an intent and a record at least
				t.Errorf("conditional writes of %v, want those of an intent and a record", tried)
			}
		})
	}
}

// A store that goes away while a load runs ends the load in bounded time, with
// a code that says to try again.
func TestOutage(t *testing.T) {
	t.Parallel()
	s := story(t, 300)
	at := []int{1, s.writes / 2}
	if *long {
		at = []int{1, s.writes / 4, s.writes / 2, s.writes * 3 / 4, s.writes}
	}
	for _, k := range slices.Compact(at) {
		t.Run(fmt.Sprint("write ", k), func(t *testing.T) {
			t.Parallel()
			prefix := fmt.Sprint("outage-", k)
			s.bucket.clone(t, "base/", prefix+"/")
			lake := s.bucket.lake(prefix)
			p := proxied(t, shared.addr)
			p.faults(func(a asked) fate { return fate{down: a.write == k, cut: [...]when{never, before}[min(a.write/k, 1)]} })
			r := shared.at(t, p.addr).must(t, load(lake.url, s.b), again, ok)
			t.Logf("exit code %d after %v: %s", r.code, r.wall.Round(time.Second), r.err)
			if lines := strings.Count(strings.TrimSpace(r.err), "\n") + 1; lines > 3 {
				t.Errorf("%d lines on standard error, want a few:\n%s", lines, r.err)
			}
			s.heals(t, lake)
		})
	}
}
