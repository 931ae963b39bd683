// Package bucket reads and writes objects in S3 and what is like it: inputs by
// their URLs, and a file system that a lake can be on. Where the server is and
// who asks is said by the environment, as for other programs.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"usagelake/sink/disk"
)

const scheme = "s3://"

const (
	// tries is how often a request is made that nobody answers, or a body read
	// that breaks off without a byte.
	tries = 5
	// stall is how long a connection may be silent: so many times that, and whoever
	// waits is told that nobody answers.
	stall = 30 * time.Second
)

// Store is a server of objects. Its methods may be called by any number of
// goroutines.
type Store struct {
	client   *minio.Client
	endpoint string // as people know it
}

// Open reads the environment: AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL (without
// one it is Amazon's), AWS_REGION, and credentials as AWS_ACCESS_KEY_ID and
// AWS_SECRET_ACCESS_KEY, of AWS_PROFILE in the shared files, or of the role that
// a machine, container or web identity has. It does not ask the server anything.
func Open() (*Store, error) {
	opt := minio.Options{
		Secure: true, MaxRetries: tries, BucketLookup: minio.BucketLookupAuto,
		Region: first("AWS_REGION", "AWS_DEFAULT_REGION"),
	}
	endpoint := first("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
	host := "s3.amazonaws.com"
	if endpoint != "" {
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return nil, errors.New("AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL is not of the form https://host:port; credentials do not belong into it")
		}
		host, opt.Secure, opt.BucketLookup = u.Host, u.Scheme == "https", minio.BucketLookupPath
		if opt.Region == "" {
			opt.Region = "us-east-1" // what most servers that are not Amazon's take
		}
	}
	transport, err := minio.DefaultTransport(opt.Secure)
	if err != nil {
		return nil, err
	}
	transport.MaxIdleConnsPerHost = 64
	transport.ResponseHeaderTimeout = stall
	dial := (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &conn{c}, nil
	}
	opt.Transport = transport
	opt.Creds = credentials.NewChainCredentials(providers(endpoint != ""))
	if v, err := opt.Creds.GetWithContext(&credentials.CredContext{Client: &http.Client{Timeout: 10 * time.Second}}); err != nil || v.AccessKeyID == "" || v.SecretAccessKey == "" {
		return nil, errors.New("no credentials for s3:// paths: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run where a role is given")
	}
	client, err := minio.New(host, &opt)
	if err != nil {
		return nil, fmt.Errorf("s3 endpoint %s: %w", host, err)
	}
	return &Store{client, host}, nil
}

// providers are where credentials are looked for. A machine's own role is not
// asked for where the server is not Amazon's.
func providers(own bool) []credentials.Provider {
	list := []credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}}
	role := first("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI") != ""
	if role || !own && !strings.EqualFold(os.Getenv("AWS_EC2_METADATA_DISABLED"), "true") {
		list = append(list, &credentials.IAM{Client: &http.Client{Timeout: 5 * time.Second}})
	}
	return list
}

func first(names ...string) string {
	for _, name := range names {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return ""
}

// String names the server.
func (s *Store) String() string { return "s3 server " + s.endpoint }

// conn is a connection that breaks when it is silent for too long.
type conn struct{ net.Conn }

func (c *conn) Read(b []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(stall)); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *conn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(stall)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// name is where an object is.
type name struct{ bucket, key string }

// nameOf takes a URL apart, also one that has lost slashes in the hands of
// filepath, or its scheme.
func nameOf(p string) name {
	p = strings.TrimPrefix(p, "s3:")
	bucket, key, _ := strings.Cut(strings.TrimLeft(p, "/"), "/")
	return name{bucket, key}
}

// clean is n with a key as path.Clean has it.
func (n name) clean() name {
	if n.key != "" {
		n.key = strings.TrimPrefix(path.Clean("/"+n.key), "/")
	}
	return n
}

func (n name) String() string { return scheme + n.bucket + "/" + n.key }

// errReplaced tells of an object that is another than the one that was found.
var errReplaced = errors.New("was replaced while it was read, or since it was found; the next run reads it as it is then")

// wrong is an error of the server, or of the way to it, as people need it. It
// holds nothing of what was sent or answered but the code of the error.
func (s *Store) wrong(op string, n name, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok { // of a local file, or said already
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) && !isNet(err) {
		return err
	}
	e := minio.ToErrorResponse(err)
	why := err
	switch {
	case errors.Is(err, errReplaced), errors.Is(err, disk.ErrUnavailable):
	case isNet(err), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		why = fmt.Errorf("%w: %s does not answer: %w", disk.ErrUnavailable, s, bare(err))
	case e.StatusCode == http.StatusPreconditionFailed && op == "read":
		why = errReplaced
	case e.StatusCode == 0, e.Code == "InvalidBucketName": // minio's own checks
		why = fmt.Errorf("%s does not know such names: %s", s, e.Message)
	case e.Code == "InvalidAccessKeyId", e.Code == "XAdminUserNotFound", // as versitygw has it
		e.Code == "SignatureDoesNotMatch", e.Code == "InvalidToken", e.Code == "ExpiredToken", e.Code == "AuthorizationHeaderMalformed":
		why = fmt.Errorf("%s does not take the credentials (%s): check them, and AWS_REGION", s, e.Code)
	case e.Code == "NoSuchBucket":
		why = fmt.Errorf("there is no such bucket on %s: make it first, or correct the name, AWS_REGION or AWS_ENDPOINT_URL", s)
	case e.Code == minio.NoSuchKey, e.Code == "NotFound", e.Code == "" && e.StatusCode == http.StatusNotFound:
		why = fs.ErrNotExist
	case e.StatusCode == http.StatusForbidden:
		why = errors.New("access denied: the credentials must be allowed to list the bucket and to get objects in it; in that of a lake, to put and delete them too")
	case e.StatusCode >= 500, e.StatusCode == http.StatusTooManyRequests, e.StatusCode == http.StatusRequestTimeout:
		why = fmt.Errorf("%w: %s answers %d %s", disk.ErrUnavailable, s, e.StatusCode, e.Code)
	case e.Code != "":
		why = fmt.Errorf("%s answers %d %s", s, e.StatusCode, e.Code)
	}
	return &fs.PathError{Op: op, Path: n.String(), Err: why}
}

// stat asks what is known of an object. To that request an error has no words,
// so that one is asked for again, by another.
func (s *Store) stat(ctx context.Context, op string, n name) (minio.ObjectInfo, error) {
	o, err := s.client.StatObject(ctx, n.bucket, n.key, minio.StatObjectOptions{})
	if code := minio.ToErrorResponse(err).StatusCode; err != nil && code >= 400 && code < 500 {
		var opt minio.GetObjectOptions
		_ = opt.SetRange(0, 0) // it is in order
		body, _, _, e := minio.Core{Client: s.client}.GetObject(ctx, n.bucket, n.key, opt)
		if e == nil {
			_ = body.Close()
			o, err = s.client.StatObject(ctx, n.bucket, n.key, minio.StatObjectOptions{})
		} else if minio.ToErrorResponse(e).StatusCode != http.StatusRequestedRangeNotSatisfiable {
			err = e
		}
	}
	return o, s.wrong(op, n, err)
}

func isNet(err error) bool {
	_, is := errors.AsType[net.Error](err)
	_, of := errors.AsType[*url.Error](err)
	return is || of
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// bare is err without the request around it.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// passing reports whether the same request may go through later.
func passing(err error) bool { return errors.Is(err, disk.ErrUnavailable) }

// pause waits a while that doubles with each try, by chance more or less.
func pause(ctx context.Context, try int) error {
	d := min(100*time.Millisecond<<try, 5*time.Second)
	select {
	case <-time.After(d/2 + rand.N(d)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fetch reads bytes of a version of an object from one on, and fills buf. Where
// the answer breaks off it goes on from there.
func (s *Store) fetch(ctx context.Context, n name, version string, from int64, buf []byte) error {
	got := 0
	for try := 0; ; try++ {
		k, err := s.fetchOnce(ctx, n, version, from+int64(got), buf[got:])
		if got += k; got == len(buf) {
			return nil
		}
		err = s.wrong("read", n, err)
		if k > 0 {
			try = 0
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !passing(err) || isTimeout(err) || try+1 >= tries { // that long waits the client
			return err
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
}

func (s *Store) fetchOnce(ctx context.Context, n name, version string, from int64, buf []byte) (int, error) {
	var opt minio.GetObjectOptions
	if err := opt.SetRange(from, from+int64(len(buf))-1); err != nil {
		return 0, err
	}
	if version != "" {
		if err := opt.SetMatchETag(version); err != nil {
			return 0, err
		}
	}
	body, info, _, err := minio.Core{Client: s.client}.GetObject(ctx, n.bucket, n.key, opt)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	if version != "" && info.ETag != version { // a server that does not know If-Match
		return 0, errReplaced
	}
	k, err := io.ReadFull(body, buf)
	if err != nil && err != io.ErrUnexpectedEOF && ctx.Err() == nil {
		err = fmt.Errorf("%w: %s broke off: %w", disk.ErrUnavailable, s, bare(err))
	}
	return k, err
}
