package usagelake

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"

	"usagelake/sink/ledger"
	"usagelake/transform/seal"
)

// readKey reads the key of --hash-ids.
func (s *settings) readKey() error {
	switch {
	case s.HashIDs == "" && s.HashIDsRotate:
		return fmt.Errorf("%w: --hash-ids-rotate goes with --hash-ids KEYFILE, the new key", ErrUsage)
	case s.HashIDs == "":
		return nil
	case s.QuarantineRaw:
		return fmt.Errorf("%w: --quarantine-raw keeps records with their ids: not with --hash-ids", ErrUsage)
	}
	key, warn, err := keyFile(s.HashIDs)
	if err != nil {
		return fmt.Errorf("%w: --hash-ids: %w", ErrUsage, err)
	}
	s.ids, s.keyWarning = key, warn
	return nil
}

const (
	// leastKey is the fewest bytes of a key.
	leastKey = 32
	// mostKey is the most bytes that are read as one.
	mostKey = 64 << 10
)

// key is what openssl rand prints: hex, or base64 of 32 bytes.
var key = regexp.MustCompile(`^(?:[0-9A-Fa-f]{32,}|[A-Za-z0-9+/_-]{43,}={0,2})$`)

// IsKey reports whether somebody took --hash-ids for the key itself, so that the value
// is not to be shown: it looks like one, and is no file's path.
func IsKey(value string) bool {
	if !key.MatchString(value) {
		return false
	}
	_, err := os.Stat(value)
	return err != nil
}

// keyFile reads a key, of which a line end at the end of its file is no part. warn
// is what the user should know of the file.
func keyFile(path string) (k *seal.Key, warn string, err error) {
	f, err := os.Open(path)
	if err != nil {
		if IsKey(path) {
			err = fmt.Errorf("%w; want the path of a file that holds the key, not the key (it is not shown)", because(err))
		}
		return nil, "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, "", err
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return nil, "", fmt.Errorf("%s is a directory, not a file with a key", path)
	case mode.IsRegular() && mode.Perm()&0o027 != 0:
		return nil, "", fmt.Errorf("%s has mode %04o: others than its owner could read or change it; chmod 600 %[1]s", path, mode.Perm())
	case mode.IsRegular() && mode.Perm()&0o040 != 0:
		warn = fmt.Sprintf("%s can be read by its group (mode %04o)", path, mode.Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, mostKey+1))
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, because(err))
	}
	if len(data) > mostKey {
		return nil, "", fmt.Errorf("%s is longer than %d KiB, and no key", path, mostKey>>10)
	}
	data, _ = bytes.CutSuffix(data, []byte("\n"))
	data, _ = bytes.CutSuffix(data, []byte("\r"))
	if len(data) < leastKey {
		return nil, "", fmt.Errorf("%s holds fewer than %d bytes; openssl rand -hex 32 makes a key", path, leastKey)
	}
	return seal.New(data), warn, nil
}

// fits fails if the key is not the lake's.
func (s *settings) fits(lake *ledger.Lake) error {
	if s.ids == nil {
		return nil
	}
	if s.keyWarning != "" {
		s.Log.Warn("--hash-ids: " + s.keyWarning)
	}
	switch is, was := s.ids.Fingerprint(), lake.State.IDKey; {
	case was == "" && lake.State.Seq > 0:
		return fmt.Errorf("%w: lake %s holds ids in clear; --hash-ids is for a lake from its first load on: load the logs into a new one", ErrUsage, s.Lake)
	case was != "" && was != is && !s.HashIDsRotate:
		return fmt.Errorf("%w: the ids of lake %s are hashed with another key (fingerprint %s; that of --hash-ids has %s). Give that key; "+
			"or go on with this one by --hash-ids-rotate, and ids of before and after do not join", ErrUsage, s.Lake, was, is)
	}
	return nil
}

// keyed fails if records are to be read for a lake whose ids are hashed, and there
// is no key.
func (s *settings) keyed(lake *ledger.Lake) error {
	if s.ids == nil && lake.State.IDKey != "" {
		return fmt.Errorf("%w: the ids of lake %s are hashed: give --hash-ids KEYFILE with its key (fingerprint %s)", ErrUsage, s.Lake, lake.State.IDKey)
	}
	return nil
}

// sealedPath tells of a path that cannot be read without the key it was kept
// with.
const sealedPath = "the file it was found in is known under another key; load that file again, then this"
