package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Gigabytes of logs in the store come to one table, by one process, by four
// shards of which two are killed, and by whatever -other names.
func TestFinale(t *testing.T) {
	if !*long {
		t.Skip("5 GB in the store: with -long")
	}
	bucket := shared.bucket(t)
	inputs := bucket.url("in/")
	bytes := bucket.fill(t, *size)
	fmt.Printf("inputs         %d bytes of lines, %d objects, %d bytes stored\n", bytes, len(bucket.list(t, "in/")), sum(bucket.list(t, "in/")))

	var want table
	first := ""
	// measure runs f, which fills the lake by a store of its own, and says what it took.
	measure := func(name string, f func(t *testing.T, p program, lake lake)) {
		t.Run(name, func(t *testing.T) {
			front := proxied(t, shared.addr)
			lake := bucket.lake(strings.ReplaceAll(name, " ", "-"))
			began := time.Now()
			f(t, shared.at(t, front.addr), lake)
			wall := time.Since(began)
			methods := map[string]int{}
			for _, a := range front.requests() {
				methods[a.method]++
			}
			fmt.Printf("%-14s %v; %v requests; %d bytes to the store, %d from it; table of %d bytes\n", name,
				wall.Round(100*time.Millisecond), methods, front.in.Load(), front.out.Load(), sum(bucket.list(t, lake.prefix+"/usage/")))
			got := lake.table(t)
			if want == nil {
				want, first = got, name
			}
			if d := diff(want, got); d != "" || len(got) == 0 {
				t.Errorf("another table than by %s:\n%s", first, d)
			}
			began = time.Now()
			shared.at(t, shared.addr).verified(t, lake.url)
			fmt.Printf("%-14s verify clean after %v\n", name, time.Since(began).Round(100*time.Millisecond))
		})
	}
	measure("load", func(t *testing.T, p program, lake lake) {
		fmt.Print(p.must(t, load(lake.url, inputs), ok, look).out)
	})
	measure("shards", func(t *testing.T, p program, lake lake) {
		w := &work{program: p, lake: lake, id: "finale", maps: 4, reduces: 4, kills: 2, within: 10 * time.Second}
		w.run(t, inputs)
		fmt.Printf("shards         %d of 8 processes were killed while they ran, and started again\n", w.hit)
		if w.hit == 0 {
			t.Error("no process was killed while it ran")
		}
	})
	for i, command := range strings.FieldsFunc(*other, func(r rune) bool { return r == ';' }) {
		measure(fmt.Sprint("other ", i+1), func(t *testing.T, p program, lake lake) {
			words := strings.Fields(strings.NewReplacer("{inputs}", inputs, "{lake}", lake.url, "{run}", "finale").Replace(command))
			cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
			cmd.Env = p.env
			bind(cmd)
			out, err := cmd.CombinedOutput()
			fmt.Printf("%s\n%s", command, out)
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// fill puts so many GB of logs below in/: one large plain file, some of middle
// size, plain and packed, with copies, of five days. It returns their bytes as lines.
func (b bucket) fill(t *testing.T, gb float64) int64 {
	t.Helper()
	total := int64(0)
	for _, part := range []struct {
		name  string
		share float64
		line  int // bytes, about
		args  []string
	}{
		{"large", 0.4, 2580, []string{"-workload", "chat", "-files", "1", "-copies", "0.05", "-seed", "11"}},
		{"slim", 0.3, 512, []string{"-workload", "slim", "-files", "6", "-copies", "0.1", "-seed", "12"}},
		{"gz", 0.2, 2580, []string{"-workload", "chat", "-files", "5", "-compress", "gz", "-seed", "13"}},
		{"zst", 0.1, 512, []string{"-workload", "slim", "-files", "3", "-compress", "zst", "-interleave", "-seed", "12"}}, // calls of slim/ again
	} {
		dir := filepath.Join(t.TempDir(), part.name)
		lines := int(gb * 1e9 * part.share / float64(part.line))
		total += generate(t, dir, append(part.args, "-days", "5", "-lines", fmt.Sprint(lines))...)
		b.put(t, "in/"+part.name, dir)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	return total
}

func sum(sizes map[string]int64) (n int64) {
	for _, size := range sizes {
		n += size
	}
	return n
}
