package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A proxy stands before a server, counts what is asked of it, and breaks what
// it is told to. Requests keep their Host: it is signed.
type proxy struct {
	addr string

	mu     sync.Mutex
	seen   []asked
	number int
	writes int
	decide func(asked) fate // nil: all goes well. Called in the order of requests, one at a time.

	down    chan struct{} // closed when the store went away for good
	downed  sync.Once
	in, out atomic.Int64 // bytes of bodies: to the server, from it
}

// asked is a request.
type asked struct {
	method, path, query string
	conditional         bool // PUT If-None-Match
	number              int  // from 1
	write               int  // its number among those that change something, from 1; 0 if it does not
}

func (a asked) String() string { return strings.TrimSuffix(a.method+" "+a.path+"?"+a.query, "?") }

// fate is what becomes of a request; the zero value is that it is served.
type fate struct {
	hold     func() // called first; the request waits for it
	cut      when   // the connection ends without an answer
	answer   int    // status that the proxy answers itself, with
	code     string // this code
	sent     int64  // the connection ends after so many bytes of the request, -1 for none
	received int64  // likewise of the response
	down     bool   // nothing gets through any more, with this request
	after    func() // called when the server has done it, before the client knows
}

type when int

const (
	never  when = iota
	before      // the request reaches the server
	after       // the server did it
)

// errCut ends a connection.
var errCut = errors.New("cut by the proxy")

type fateKey struct{}

// proxied starts a proxy before the server, for the time of the test.
func proxied(t *testing.T, backend string) *proxy {
	t.Helper()
	p := &proxy{down: make(chan struct{})}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: backend})
			r.Out.Host = r.In.Host
		},
		Transport:    &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		ErrorLog:     slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ModifyResponse: func(r *http.Response) error {
			f := r.Request.Context().Value(fateKey{}).(fate)
			if f.after != nil {
				f.after()
			}
			if f.cut == after || p.isDown() {
				return errCut
			}
			r.Body = &measured{ReadCloser: r.Body, limit: f.received, total: &p.out}
			return nil
		},
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := p.fate(r)
		if f.hold != nil {
			f.hold()
		}
		if f.cut == before || p.isDown() && f.cut != after {
			panic(http.ErrAbortHandler)
		}
		if f.answer != 0 {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(f.answer)
			fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>by the proxy</Message></Error>`, f.code)
			return
		}
		if r.ContentLength != 0 {
			r.Body = &measured{ReadCloser: r.Body, limit: f.sent, total: &p.in}
		}
		forward.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), fateKey{}, f)))
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = listener.Addr().String()
	s := &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError), ReadHeaderTimeout: time.Minute}
	go s.Serve(listener)
	t.Cleanup(func() { s.Close() })
	return p
}

// fate notes a request and asks what becomes of it.
func (p *proxy) fate(r *http.Request) (f fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := asked{method: r.Method, path: r.URL.Path, query: r.URL.RawQuery, conditional: r.Header.Get("If-None-Match") != ""}
	p.number++
	a.number = p.number
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		p.writes++
		a.write = p.writes
	}
	p.seen = append(p.seen, a)
	if p.decide != nil && !p.isDown() {
		f = p.decide(a)
	}
	if f.down {
		p.downed.Do(func() {
			if f.cut == after { // it is down when this one is done
				f.after = func() { close(p.down) }
			} else {
				close(p.down)
			}
		})
	}
	return f
}

func (p *proxy) isDown() bool {
	select {
	case <-p.down:
		return true
	default:
		return false
	}
}

// faults says what becomes of requests from now on.
func (p *proxy) faults(decide func(asked) fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decide = decide
}

// requests is what was asked since the last call of it.
func (p *proxy) requests() []asked {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen
	p.seen = nil
	return seen
}

// measured counts what is read, and fails at its limit.
type measured struct {
	io.ReadCloser
	limit int64 // 0: none; -1: before the first byte
	n     int64
	total *atomic.Int64
}

func (m *measured) Read(p []byte) (int, error) {
	if m.limit != 0 {
		left := max(m.limit, 0) - m.n
		if left <= 0 {
			return 0, errCut
		}
		p = p[:min(int64(len(p)), left)]
	}
	n, err := m.ReadCloser.Read(p)
	m.n += int64(n)
	m.total.Add(int64(n))
	return n, err
}

// The proxy does what the tests rely on.
func TestProxy(t *testing.T) {
	var served atomic.Int32
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		served.Add(1)
		fmt.Fprintf(w, "%s %s %s", r.Host, r.URL.RawQuery, body)
	}))
	defer backend.Close()
	p := proxied(t, strings.TrimPrefix(backend.URL, "http://"))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(method, body string) (string, error) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+p.addr+"/a/b?x=1%2F2", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(r)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		return fmt.Sprint(res.StatusCode, " ", string(got)), err
	}
	whole := "200 " + p.addr + " x=1%2F2 hello"
	for name, test := range map[string]struct {
		fate   fate
		want   string // "" is an error
		served int32
	}{
		"well":             {fate{}, whole, 1},
		"cut before":       {fate{cut: before}, "", 0},
		"cut after":        {fate{cut: after}, "", 1},
		"answered":         {fate{answer: 503, code: "SlowDown"}, "503 ", 0},
		"cut in request":   {fate{sent: 2}, "", 0},
		"none of request":  {fate{sent: -1}, "", 0},
		"cut in response":  {fate{received: 3}, "", 1},
		"none of response": {fate{received: -1}, "", 1},
	} {
		p.faults(func(a asked) fate {
			if a.write == 0 || a.path != "/a/b" {
				t.Errorf("%s: asked %v, write %d", name, a, a.write)
			}
			return test.fate
		})
		served.Store(0)
		got, err := ask(http.MethodPut, "hello")
		if (err != nil) != (test.want == "") || !strings.HasPrefix(got, test.want) && err == nil || served.Load() != test.served {
			t.Errorf("%s: %q, %v, served %d; want %q, served %d", name, got, err, served.Load(), test.want, test.served)
		}
	}
	p.faults(nil)
	p.requests()
	if _, err := ask(http.MethodGet, ""); err != nil {
		t.Error(err)
	}
	if got := p.requests(); len(got) != 1 || got[0].write != 0 {
		t.Errorf("%v, want one request that is no write", got)
	}
	p.faults(func(a asked) fate { return fate{cut: after, down: true} })
	served.Store(0)
	for range 2 {
		if got, err := ask(http.MethodPut, "hello"); err == nil {
			t.Errorf("%q from a store that is down", got)
		}
	}
	if served.Load() != 1 {
		t.Errorf("%d requests reached the server, want the last one before it went down", served.Load())
	}
}
