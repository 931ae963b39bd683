package cluster

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Loads of different logs at once: one publishes, the others are told to try
// again, and in the end the table is the one of loads after each other.
func TestRivals(t *testing.T) {
	t.Parallel()
	for _, rivals := range []int{2, 4} {
		t.Run(fmt.Sprint(rivals, " loads"), func(t *testing.T) {
			t.Parallel()
			bucket := shared.bucket(t)
			direct := shared.at(t, shared.addr)
			a, b := history(t, t.TempDir(), 400)
			parts := []string{filepath.Join(b, "app"), filepath.Join(b, "packed", "gz"), filepath.Join(b, "grows.jsonl"), filepath.Join(b, "packed", "zst")}[:rivals]
			serial := localLake(t)
			direct.must(t, load(serial.url, a))
			for _, part := range parts {
				direct.must(t, load(serial.url, part), ok, look)
			}
			want := serial.table(t)
			rounds := 1
			if *long {
				rounds = 10
			}
			for round := range rounds {
				lake := bucket.lake(fmt.Sprint("lake", round))
				direct.must(t, load(lake.url, a))
				ended, codes := make([]result, rivals), make([]int, rivals)
				var loads []func()
				for i, part := range parts {
					loads = append(loads, func() { ended[i] = direct.run(t, load(lake.url, part)...) })
				}
				together(loads...)
				through := 0
				for i := range ended {
					codes[i] = ended[i].code
					switch codes[i] {
					case ok, look:
						through++
					case again:
						r := direct.run(t, load(lake.url, parts[i])...) // alone now
						r.want(t, []string{"load", parts[i]}, ok, look)
					default:
						t.Errorf("load %d of %d: want exit code 0, 3 or 75: %v", i, rivals, ended[i])
					}
				}
				t.Logf("exit codes %v", codes)
				if through == 0 {
					t.Error("no load got through")
				}
				lake.same(t, want)
				direct.verified(t, lake.url)
				direct.must(t, load(lake.url, a))
				lake.tidy(t)
			}
		})
	}
}

// A load that stands still at any of its requests, before or after the server did
// it, while another runs from its begin to its end, does no harm when it goes on.
func TestStalled(t *testing.T) {
	t.Parallel()
	s := story(t, 300)
	other := filepath.Join(t.TempDir(), "other")
	generate(t, other, "-lines", "500", "-days", "4", "-seed", "9")
	s.bucket.clone(t, "whole/", "both/")
	direct := shared.at(t, shared.addr)
	direct.must(t, load(s.bucket.url("both"), other))
	want := s.bucket.lake("both").table(t)

	for _, at := range s.moments(2, "GET", "HEAD", "PUT", "DELETE") {
		t.Run(at.name, func(t *testing.T) {
			prefix := strings.ReplaceAll(at.name, " ", "-")
			s.bucket.clone(t, "base/", prefix+"/")
			lake := s.bucket.lake(prefix)
			p := proxied(t, shared.addr)
			reached, goOn := make(chan struct{}), make(chan struct{})
			wait := func() { close(reached); <-goOn }
			p.faults(func(a asked) fate {
				switch {
				case a.number != at.number:
					return fate{}
				case at.cut == before:
					return fate{hold: wait}
				default:
					return fate{after: wait}
				}
			})
			slow := shared.at(t, p.addr).start(t, load(lake.url, s.b)...)
			select {
			case <-reached:
			case <-slow.done:
			}
			slow.signal(syscall.SIGSTOP)
			quick := direct.run(t, load(lake.url, other)...)
			quick.want(t, []string{"load", "other"}, ok, again)
			close(goOn)
			time.Sleep(10 * time.Millisecond)
			slow.signal(syscall.SIGCONT)
			ended := slow.wait()
			ended.want(t, []string{"load", "slow"}, ok, look, again)
			if ended.code == again && quick.code == again {
				t.Error("both were told to try again")
			}
			if ended.code == again {
				direct.must(t, load(lake.url, s.b), ok, look)
			}
			if quick.code == again {
				direct.must(t, load(lake.url, other))
			}
			lake.same(t, want)
			direct.verified(t, lake.url)
			direct.must(t, load(lake.url, other))
			lake.tidy(t)
			s.bucket.remove(t, prefix+"/")
		})
	}
}
