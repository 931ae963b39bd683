package cluster

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// A server is versitygw over a folder, with keys of its own, on 127.0.0.1.
type server struct {
	addr, access, secret string
	client               *minio.Client
	cmd                  *exec.Cmd
	log                  bytes.Buffer
	buckets              atomic.Int32
}

// shared is the server of all tests. Each has buckets of its own.
var shared *server

// serve starts a server and waits until it answers.
func serve(dir string) (*server, error) {
	s := &server{access: "AKIA" + rand.Text()[:16], secret: "se/" + rand.Text() + "+" + rand.Text()[:10]}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.addr = listener.Addr().String()
	if err := errors.Join(listener.Close(), os.MkdirAll(dir, 0o755)); err != nil {
		return nil, err
	}
	s.cmd = exec.Command(programs.versitygw, "--port", s.addr, "--quiet", "posix", dir)
	s.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.access, "ROOT_SECRET_KEY="+s.secret)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	bind(s.cmd)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.client, err = minio.New(s.addr, &minio.Options{
		Creds: credentials.NewStaticV4(s.access, s.secret, ""), Region: "us-east-1", BucketLookup: minio.BucketLookupPath,
	})
	for range 100 {
		if err == nil {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			_, err = s.client.ListBuckets(ctx)
			cancel()
			if err == nil {
				return s, nil
			}
		}
		time.Sleep(50 * time.Millisecond)
		_, err = s.client.ListBuckets(context.Background())
	}
	s.stop()
	return nil, fmt.Errorf("versitygw does not answer: %w\n%s", err, s.log.Bytes())
}

// stop ends the server.
func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// A bucket is one of the server's; a test has as many as it likes.
type bucket struct {
	*server
	name string
}

// bucket makes one that is emptied when the test ends.
func (s *server) bucket(t *testing.T) bucket {
	t.Helper()
	b := bucket{s, fmt.Sprintf("bucket%d", s.buckets.Add(1))}
	if err := s.client.MakeBucket(t.Context(), b.name, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // room: some tests leave gigabytes
		if !t.Failed() {
			b.remove(t, "")
		}
	})
	return b
}

// url is the address of what lies below path.
func (b bucket) url(path string) string { return "s3://" + b.name + "/" + path }

// list is the keys below prefix, with sizes.
func (b bucket) list(t *testing.T, prefix string) map[string]int64 {
	t.Helper()
	keys := map[string]int64{}
	for o := range b.client.ListObjects(context.WithoutCancel(t.Context()), b.name, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if !strings.HasSuffix(o.Key, "/") {
			keys[o.Key] = o.Size
		}
	}
	return keys
}

func (b bucket) remove(t *testing.T, prefix string) {
	t.Helper()
	for key := range b.list(t, prefix) {
		if err := b.client.RemoveObject(context.WithoutCancel(t.Context()), b.name, key, minio.RemoveObjectOptions{}); err != nil {
			t.Error(err)
		}
	}
}

// get reads an object.
func (b bucket) get(t *testing.T, key string) []byte {
	t.Helper()
	o, err := b.client.GetObject(t.Context(), b.name, key, minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	data, err := io.ReadAll(o)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// put copies a file, or what is below a folder, to below prefix.
func (b bucket) put(t *testing.T, prefix, path string) {
	t.Helper()
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		key, err := filepath.Rel(path, name)
		if err != nil {
			return err
		}
		key = strings.TrimSuffix(filepath.ToSlash(filepath.Join(prefix, key)), "/.")
		_, err = b.client.FPutObject(t.Context(), b.name, key, name, minio.PutObjectOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// clone copies what is below one prefix to below another.
func (b bucket) clone(t *testing.T, from, to string) {
	t.Helper()
	for key := range b.list(t, from) {
		_, err := b.client.CopyObject(t.Context(),
			minio.CopyDestOptions{Bucket: b.name, Object: to + strings.TrimPrefix(key, from)},
			minio.CopySrcOptions{Bucket: b.name, Object: key})
		if err != nil {
			t.Fatal(err)
		}
	}
}
