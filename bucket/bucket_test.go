package bucket

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usagelake/sink/disk"
)

// server is as much of S3 as small objects need. Before each request trouble may
// answer in its place, or panic with http.ErrAbortHandler; after it has done what
// it does a panic of lost breaks the connection.
type server struct {
	mu      sync.Mutex
	objects map[string][]byte // by /bucket/key
	asked   []string          // method, path and range of every request
	trouble func(w http.ResponseWriter, r *http.Request) bool
	lost    func(r *http.Request) bool
}

const (
	testKey    = "AKIDEXAMPLE"
	testSecret = "wJalrXUtnFEMI-not-to-be-told"
)

// serve starts a server that the environment names.
func serve(t *testing.T) (*server, *Store) {
	t.Helper()
	s := &server{objects: map[string][]byte{}}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	environment(t, map[string]string{
		"AWS_ACCESS_KEY_ID": testKey, "AWS_SECRET_ACCESS_KEY": testSecret, "AWS_ENDPOINT_URL": h.URL,
	})
	store, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	return s, store
}

// environment is all that Open sees.
func environment(t *testing.T, set map[string]string) {
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN",
		"AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3",
		"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	for name, value := range set {
		t.Setenv(name, value)
	}
}

func etag(data []byte) string { return fmt.Sprintf(`"%x"`, md5.Sum(data)) }

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>of %s</Message></Error>", code, testSecret) // what servers say is not passed on
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if d := r.Header.Get("X-Amz-Decoded-Content-Length"); d != "" { // one chunk with its signature
		_, rest, _ := bytes.Cut(body, []byte("\r\n"))
		var n int
		fmt.Sscan(d, &n)
		body = rest[:n]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")))
	if s.trouble != nil && s.trouble(w, r) {
		return
	}
	defer func() {
		if s.lost != nil && s.lost(r) {
			panic(http.ErrAbortHandler)
		}
	}()
	path := strings.TrimSuffix(r.URL.Path, "/")
	data, there := s.objects[path]
	switch {
	case r.Method == http.MethodGet && r.URL.Query().Has("list-type"):
		s.list(w, path, r.URL.Query().Get("prefix"), r.URL.Query().Get("delimiter"))
	case r.Method == http.MethodPut && r.Header.Get("X-Amz-Copy-Source") != "":
		data, there := s.objects["/"+strings.TrimPrefix(r.Header.Get("X-Amz-Copy-Source"), "/")]
		if !there {
			refuse(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		s.objects[path] = data
		fmt.Fprintf(w, "<CopyObjectResult><ETag>%s</ETag><LastModified>2026-08-01T00:00:00.000Z</LastModified></CopyObjectResult>", etag(data))
	case r.Method == http.MethodPut:
		if there && r.Header.Get("If-None-Match") == "*" {
			refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
			return
		}
		s.objects[path] = body
		w.Header().Set("ETag", etag(body))
	case r.Method == http.MethodDelete:
		delete(s.objects, path)
		w.WriteHeader(http.StatusNoContent)
	case !there:
		refuse(w, http.StatusNotFound, "NoSuchKey")
	case r.Header.Get("If-Match") != "" && r.Header.Get("If-Match") != etag(data):
		refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
	default:
		w.Header().Set("ETag", etag(data))
		http.ServeContent(w, r, "", time.Date(2026, 8, 1, 0, 0, 0, 500, time.UTC), bytes.NewReader(data))
	}
}

func (s *server) list(w http.ResponseWriter, bucket, prefix, delimiter string) {
	type object struct {
		Key          string
		Size         int
		ETag         string
		LastModified string
	}
	type dir struct{ Prefix string }
	out := struct {
		XMLName        xml.Name `xml:"ListBucketResult"`
		Contents       []object
		CommonPrefixes []dir
	}{}
	for _, path := range slices.Sorted(maps.Keys(s.objects)) {
		key, in := strings.CutPrefix(path, bucket+"/")
		if rest, ok := strings.CutPrefix(key, prefix); in && ok {
			if i := strings.Index(rest, "/"); delimiter != "" && i >= 0 {
				d := dir{prefix + rest[:i+1]}
				if !slices.Contains(out.CommonPrefixes, d) {
					out.CommonPrefixes = append(out.CommonPrefixes, d)
				}
				continue
			}
			out.Contents = append(out.Contents, object{key, len(s.objects[path]), etag(s.objects[path]), "2026-08-01T00:00:00.500Z"})
		}
	}
	_ = xml.NewEncoder(w).Encode(out)
}

func (s *server) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.asked
	s.asked = nil
	return out
}

func random(n int) []byte {
	out := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(out)
	return out
}

func read(t *testing.T, fsys disk.FS, path string) string {
	t.Helper()
	data, err := disk.ReadFile(fsys, path)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func TestFiles(t *testing.T) {
	s, store := serve(t)
	f := store.FS()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w, err := f.Create("s3://lakes/a/b/one", 0o600)
	ok(err)
	_, err = w.Write([]byte("1"))
	ok(err)
	if _, err := f.Open("s3://lakes/a/b/one"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "s3://lakes/a/b/one") {
		t.Errorf("before it was synced: %v", err)
	}
	ok(w.Sync())
	s.requests()
	ok(w.Sync())
	ok(w.Close())
	if n := len(s.requests()); n != 0 {
		t.Errorf("it was written %d times more", n)
	}
	ok(disk.WriteFile(f, "s3:/lakes/a/b/empty", nil, 0o600)) // as filepath leaves it
	ok(disk.WriteFile(f, "lakes/a/c", []byte("3"), 0o600))
	for path, want := range map[string]string{"s3://lakes/a/b/one": "1", "lakes/a/b/empty": "", "s3:/lakes/a/../a/c": "3"} {
		if got := read(t, f, path); got != want {
			t.Errorf("%s holds %q", path, got)
		}
	}
	names := func(dir string) (out []string) {
		entries, err := f.ReadDir(dir)
		ok(err)
		for _, e := range entries {
			info, err := e.Info()
			ok(err)
			out = append(out, fmt.Sprintf("%s %.1s %d", e.Name(), info.Mode(), info.Size()))
		}
		return out
	}
	if got := fmt.Sprint(names("s3://lakes/a"), names("s3://lakes/a/b"), names("s3://lakes"), names("s3://lakes/none")); got != "[b d 0 c - 1] [empty - 0 one - 1] [a d 0] []" {
		t.Errorf("listed %s", got)
	}
	ok(f.Rename("s3://lakes/a/c", "s3://lakes/a/b/one"))
	if got := read(t, f, "s3://lakes/a/b/one") + read(t, f, "s3://lakes/a/c"); !strings.HasPrefix(got, "3open s3://lakes/a/c: ") {
		t.Errorf("after a rename: %s", got)
	}
	if err := f.Rename("s3://lakes/a/c", "s3://lakes/a/d"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
	ok(f.Remove("s3://lakes/a/b/one"))
	ok(f.Remove("s3://lakes/a/b/one"))
	if len(s.objects) != 1 {
		t.Errorf("%d objects are left", len(s.objects))
	}
}

// Of several who make one object one does, whatever becomes of the answers.
func TestPutNew(t *testing.T) {
	s, store := serve(t)
	f := store.FS()
	n := 0
	put := func(r *http.Request) bool { return r.Method == http.MethodPut }
	first := func(does func(w http.ResponseWriter)) func(w http.ResponseWriter, r *http.Request) bool {
		n = 0
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !put(r) {
				return false
			}
			if n++; n > 1 {
				return false
			}
			does(w)
			return true
		}
	}
	if err := f.PutNew("s3://lakes/x", []byte("a")); err != nil {
		t.Fatal(err)
	}
	if err := f.PutNew("s3://lakes/x", []byte("b")); !errors.Is(err, fs.ErrExist) || read(t, f, "s3://lakes/x") != "a" {
		t.Errorf("a second one: %v", err)
	}
	if err := f.PutNew("s3://lakes/x", []byte("a")); err != nil {
		t.Errorf("the very same: %v", err)
	}
	s.trouble = first(func(w http.ResponseWriter) { refuse(w, http.StatusConflict, "ConditionalRequestConflict") })
	if err := f.PutNew("s3://lakes/conflict", []byte("c")); err != nil || read(t, f, "s3://lakes/conflict") != "c" {
		t.Errorf("after a conflict: %v", err)
	}
	s.trouble = first(func(http.ResponseWriter) { panic(http.ErrAbortHandler) })
	if err := f.PutNew("s3://lakes/again", []byte("d")); err != nil || read(t, f, "s3://lakes/again") != "d" {
		t.Errorf("after a request that was lost: %v", err)
	}
	s.trouble = nil
	n = 0
	s.lost = func(r *http.Request) bool { n++; return put(r) && n == 1 }
	if err := f.PutNew("s3://lakes/lost", []byte("e")); err != nil || read(t, f, "s3://lakes/lost") != "e" {
		t.Errorf("after an answer that was lost: %v", err)
	}
	s.lost = nil
	s.objects["/lakes/other"] = []byte("theirs")
	s.trouble = first(func(http.ResponseWriter) { panic(http.ErrAbortHandler) })
	if err := f.PutNew("s3://lakes/other", []byte("mine")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("where another was first: %v", err)
	}
}

// What is read is fetched by blocks, once, and of one version.
func TestReadAt(t *testing.T) {
	s, store := serve(t)
	f := store.FS()
	const size = 9*block + 17
	data := random(size)
	s.objects["/lakes/big"] = data
	r, err := f.Open("s3://lakes/big")
	if err != nil {
		t.Fatal(err)
	}
	s.requests()
	at := func(off, n int64) {
		t.Helper()
		buf := make([]byte, n)
		k, err := r.ReadAt(buf, off)
		want := data[off:min(off+n, size)]
		if !bytes.Equal(buf[:k], want) || (err == io.EOF) != (int64(len(want)) < n) || err != nil && err != io.EOF {
			t.Errorf("%d bytes at %d: %d, %v", n, off, k, err)
		}
	}
	at(size-8, 8)
	at(size-2000, 4000)
	if got := s.requests(); len(got) != 2 { // the last block, and that before it
		t.Errorf("the end took %q", got)
	}
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() { at(int64(i)*size/50, size/50+100) })
	}
	all.Wait()
	if got := s.requests(); len(got) > 10 {
		t.Errorf("all of it took %d requests: %q", len(got), got)
	}
	again, err := f.Open("s3://lakes/big")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(again)
	if !bytes.Equal(got, data) || err != nil {
		t.Errorf("read again: %d bytes, %v", len(got), err)
	}
	if got := s.requests(); len(got) != 1 {
		t.Errorf("once more it took %q", got)
	}
	again.Close()
	r.Close()

	s.objects["/lakes/big"] = random(size + 1)[1:]
	if r, err = f.Open("s3://lakes/big"); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.ReadAt(make([]byte, 10), 0); err != nil {
		t.Error(err)
	}
	s.mu.Lock()
	s.objects["/lakes/big"] = data
	s.mu.Unlock()
	if _, err := r.ReadAt(make([]byte, 10), 5*block); !errors.Is(err, errReplaced) || !strings.Contains(err.Error(), "s3://lakes/big") {
		t.Errorf("another version: %v", err)
	}
}

// An input is read from any byte on, whatever breaks off; one that is small or
// of which the beginning is wanted takes one request.
func TestStream(t *testing.T) {
	s, store := serve(t)
	const size = 11<<20 + 5
	data := random(size)
	s.objects["/logs/big"], s.objects["/logs/small"], s.objects["/logs/none"] = data, data[:1000], nil
	ctx := t.Context()
	all := func(url string, offset int64) ([]byte, error) {
		version, n, _, err := store.Stat(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		s.requests()
		r, err := store.Open(ctx, url, version, n, offset)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		return io.ReadAll(r)
	}
	for _, offset := range []int64{0, 1, firstRange, size - 1, size, size + 1} {
		got, err := all("s3://logs/big", offset)
		if err != nil || !bytes.Equal(got, data[min(offset, size):]) {
			t.Errorf("from %d: %d bytes, %v", offset, len(got), err)
		}
	}
	for url, want := range map[string]int{"s3://logs/small": 1, "s3://logs/none": 0} {
		if got, err := all(url, 0); err != nil || len(s.requests()) != want {
			t.Errorf("%s: %d bytes, %v, or not %d requests", url, len(got), err, want)
		}
	}
	version, _, _, _ := store.Stat(ctx, "s3://logs/big")
	r, _ := store.Open(ctx, "s3://logs/big", version, size, 0)
	s.requests()
	if _, err := io.ReadFull(r, make([]byte, 64<<10+1)); err != nil || len(s.requests()) != 1 {
		t.Errorf("the beginning: %v, or several requests", err)
	}
	r.Close()

	// every third answer breaks off
	n := 0
	s.trouble = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet {
			return false
		}
		if n++; n%3 == 0 {
			var from, to int
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to)
			w.Header().Set("ETag", etag(data))
			w.Header().Set("Last-Modified", "Sat, 01 Aug 2026 00:00:00 GMT")
			w.Header().Set("Content-Length", fmt.Sprint(to-from+1))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(data[from : from+(to-from)/2])
			panic(http.ErrAbortHandler)
		}
		return false
	}
	if got, err := all("s3://logs/big", 3); err != nil || !bytes.Equal(got, data[3:]) || n < 6 {
		t.Errorf("with answers that break off: %d bytes, %v", len(got), err)
	}
	s.trouble = nil

	r, _ = store.Open(ctx, "s3://logs/big", `0123`, size, 0)
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, errReplaced) {
		t.Errorf("another version: %v", err)
	}
	r.Close()
	stopped, stop := context.WithCancel(ctx)
	r, _ = store.Open(stopped, "s3://logs/big", version, size, 0)
	defer r.Close()
	s.trouble = func(w http.ResponseWriter, r *http.Request) bool { stop(); refuse(w, 503, "SlowDown"); return true }
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

func TestListInputs(t *testing.T) {
	s, store := serve(t)
	for _, key := range []string{"a/1", "a/b/2", "ab"} {
		s.objects["/logs/"+key] = []byte(key)
	}
	var got []string
	each := func(url, version string, size int64, modified time.Time) error {
		v, n, m, err := store.Stat(t.Context(), url)
		if err != nil || v != version || n != size || !m.Equal(modified) {
			t.Errorf("%s: listed %s %d %s, found %s %d %s %v", url, version, size, modified, v, n, m, err)
		}
		got = append(got, url)
		return nil
	}
	if err := store.List(t.Context(), "s3://logs/a/", each); err != nil || strings.Join(got, " ") != "s3://logs/a/1 s3://logs/a/b/2" {
		t.Errorf("listed %s, %v", got, err)
	}
	enough := errors.New("enough")
	if err := store.List(t.Context(), "s3://logs/", func(string, string, int64, time.Time) error { return enough }); err != enough {
		t.Error(err)
	}
}

// Errors say what to do, and tell no secret, nor what the server said.
func TestErrors(t *testing.T) {
	s, store := serve(t)
	f := store.FS()
	for _, c := range []struct {
		status int
		code   string
		passes bool
		says   string
	}{
		{404, "NoSuchBucket", false, "no such bucket"},
		{403, "AccessDenied", false, "access denied"},
		{403, "SignatureDoesNotMatch", false, "does not take the credentials"},
		{404, "InvalidAccessKeyId", false, "does not take the credentials"},
		{400, "Odd", false, "answers 400 Odd"},
	} {
		s.trouble = func(w http.ResponseWriter, r *http.Request) bool { refuse(w, c.status, c.code); return true }
		_, opened := f.Open("s3://lakes/x")
		_, listed := f.ReadDir("s3://lakes/x")
		for _, err := range []error{opened, listed, f.PutNew("s3://lakes/x", nil), disk.WriteFile(f, "s3://lakes/x", []byte("x"), 0o600), f.Rename("s3://lakes/x", "s3://lakes/y")} {
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "s3://lakes/x") || errors.Is(err, fs.ErrNotExist) || errors.Is(err, disk.ErrUnavailable) != c.passes {
				t.Errorf("%s: %v", c.code, err)
			} else if strings.Contains(err.Error(), testSecret) || strings.Contains(err.Error(), testKey) {
				t.Errorf("%s: a secret is told: %v", c.code, err)
			}
		}
	}
	s.trouble = func(w http.ResponseWriter, r *http.Request) bool { refuse(w, 503, "SlowDown"); return true }
	if _, err := f.Open("s3://lakes/x"); !errors.Is(err, disk.ErrUnavailable) || strings.Contains(err.Error(), testSecret) {
		t.Errorf("slow down: %v", err)
	}
	if text := fmt.Sprintf("%s %v", store, store); strings.Contains(text, testSecret) || strings.Contains(text, testKey) {
		t.Errorf("the store is told as %s", text)
	}
	environment(t, map[string]string{"AWS_ACCESS_KEY_ID": testKey, "AWS_SECRET_ACCESS_KEY": testSecret, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
	if store, err := Open(); err != nil {
		t.Error(err)
	} else if _, err := store.FS().Open("s3://lakes/x"); !errors.Is(err, disk.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1 does not answer") {
		t.Errorf("nobody there: %v", err)
	}
	environment(t, nil)
	if _, err := Open(); err == nil || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("without credentials: %v", err)
	}
	for _, endpoint := range []string{"127.0.0.1:1", "http://me:" + testSecret + "@host", "ftp://host", "http://host/path"} {
		environment(t, map[string]string{"AWS_ACCESS_KEY_ID": testKey, "AWS_SECRET_ACCESS_KEY": testSecret, "AWS_ENDPOINT_URL_S3": endpoint})
		if _, err := Open(); err == nil || strings.Contains(err.Error(), testSecret) {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}
