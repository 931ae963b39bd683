package cluster

import (
	"net"
	"strings"
	"testing"
	"time"
)

// What keeps a store from being used is said in one line, soon, without a key.
func TestRefused(t *testing.T) {
	t.Parallel()
	bucket := shared.bucket(t)
	logs := t.TempDir() + "/a.jsonl"
	write(t, logs, call("c", day, 1, 1))
	bucket.put(t, "in/a.jsonl", logs)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close() // nobody listens there now
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() }) // connections are made, and never answered
	good := shared.at(t, shared.addr)
	secret := "wrong" + shared.secret
	for name, test := range map[string]struct {
		env    []string
		bucket string
		codes  []int
		says   []string // one of them is in the error
		within time.Duration
	}{
		"wrong secret":      {[]string{"AWS_SECRET_ACCESS_KEY=" + secret}, bucket.name, []int{failed, usage}, []string{"denied", "signature", "credential", "secret"}, 20 * time.Second},
		"unknown key":       {[]string{"AWS_ACCESS_KEY_ID=AKIANOBODY"}, bucket.name, []int{failed, usage}, []string{"denied", "key", "credential"}, 20 * time.Second},
		"no credentials":    {[]string{"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY="}, bucket.name, []int{failed, usage}, []string{"credential"}, 20 * time.Second},
		"no such bucket":    {nil, "not-there", []int{failed, usage}, []string{"not-there"}, 20 * time.Second},
		"nobody listens":    {[]string{"AWS_ENDPOINT_URL_S3=http://" + dead.Addr().String()}, bucket.name, []int{again}, []string{dead.Addr().String(), "reach"}, time.Minute},
		"nobody answers":    {[]string{"AWS_ENDPOINT_URL_S3=http://" + silent.Addr().String()}, bucket.name, []int{again}, []string{silent.Addr().String(), "reach", "timeout", "time"}, 3 * time.Minute},
		"no such host":      {[]string{"AWS_ENDPOINT_URL_S3=http://store.invalid"}, bucket.name, []int{again, failed, usage}, []string{"store.invalid"}, time.Minute},
		"no endpoint's URL": {[]string{"AWS_ENDPOINT_URL_S3=::"}, bucket.name, []int{failed, usage}, []string{"AWS_ENDPOINT_URL"}, 20 * time.Second},
	} {
		for _, side := range []string{"inputs", "lake", "verify"} {
			if name == "nobody answers" && !*long {
				continue // it takes its time
			}
			t.Run(name+", "+side, func(t *testing.T) {
				t.Parallel()
				program := good.with(test.env...)
				program.not = append(program.not, secret)
				args := load(localLake(t).url, "s3://"+test.bucket+"/in/")
				switch side {
				case "lake":
					args = load("s3://"+test.bucket+"/lake", logs)
				case "verify":
					args = []string{"verify", "--lake", "s3://" + test.bucket + "/lake"}
				}
				r := program.must(t, args, test.codes...)
				if r.wall > test.within {
					t.Errorf("it took %v, want less than %v", r.wall, test.within)
				}
				text := strings.TrimSpace(r.err)
				if strings.Contains(text, "\n") || len(text) > 600 || !strings.HasPrefix(text, "usagelake: ") {
					t.Errorf("want one line:\n%s", r.err)
				}
				found := false
				for _, word := range test.says {
					found = found || strings.Contains(strings.ToLower(text), strings.ToLower(word))
				}
				if !found {
					t.Errorf("want one of %q in\n%s", test.says, r.err)
				}
				t.Logf("exit code %d after %v: %s", r.code, r.wall.Round(time.Millisecond), text)
			})
		}
	}
}

// No key is in an object of a lake, nor in what commands print with all there is to say.
func TestKeysStayOut(t *testing.T) {
	t.Parallel()
	bucket := shared.bucket(t)
	a, b := history(t, t.TempDir(), 100)
	bucket.put(t, "in", b)
	p := proxied(t, shared.addr)
	n := 0
	p.faults(func(a asked) fate { // some errors are part of it
		if n++; n%5 == 0 {
			return fate{cut: before}
		}
		return fate{}
	})
	program := shared.at(t, p.addr)
	lake := bucket.lake("lake")
	metrics := t.TempDir() + "/metrics.prom"
	for _, args := range [][]string{
		load(lake.url, a),
		{"load", bucket.url("in/"), "--lake", lake.url, "--json", "--log-format", "json", "--metrics-file", metrics},
		{"status", "--lake", lake.url, "--json"},
		{"verify", "--lake", lake.url, "-v"},
		{"config", "check"},
	} {
		r := program.run(t, args...) // run looks for keys in the output
		t.Logf("usagelake %s: exit code %d", args[0], r.code)
	}
	objects := 0
	for key := range bucket.list(t, "lake/") {
		data := string(bucket.get(t, key))
		objects++
		for _, secret := range program.not {
			if strings.Contains(data, secret) || strings.Contains(key, secret) {
				t.Errorf("%s holds a key", key)
			}
		}
	}
	if objects < 5 {
		t.Errorf("%d objects in the lake, want some", objects)
	}
}
