// Package seal writes ids so that who has not the key can tell equal ones but
// cannot read them. docs/privacy.md says which, and what that is worth.
package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"usagelake/transform"
)

// prefix marks a sealed text, pathPrefix a sealed path.
const prefix, pathPrefix = "h:", "e:"

// A Key seals. A nil Key leaves everything as it is. It is safe for concurrent
// use; rows are sealed by a Writer. Nothing it returns tells of the key.
type Key struct {
	key []byte
	// recalled goes before texts that were sealed by an earlier run: no record can
	// hold it.
	recalled string
}

// New makes a Key.
func New(key []byte) *Key {
	var mark [16]byte
	rand.Read(mark[:])
	return &Key{key: bytes.Clone(key), recalled: "\x00" + string(mark[:])}
}

// sum is HMAC-SHA256 of a text in a domain.
func (k *Key) sum(domain, text string) []byte {
	h := hmac.New(sha256.New, k.key)
	h.Write([]byte(domain + "\x00" + text))
	return h.Sum(nil)
}

func token(sum []byte) string { return prefix + hex.EncodeToString(sum[:16]) }

// Fingerprint tells one key from another. It is "" for no key.
func (k *Key) Fingerprint() string {
	if k == nil {
		return ""
	}
	return hex.EncodeToString(k.sum("usagelake fingerprint", "1")[:8])
}

// File is what source_file holds for a name.
func (k *Key) File(name string) string {
	if k == nil {
		return name
	}
	return token(k.sum("source_file", name))
}

// Path is a path as it is kept, which Open makes a path again. Equal ones are kept
// alike.
func (k *Key) Path(path string) string {
	if k == nil {
		return path
	}
	iv := k.sum("usagelake path iv", path)[:aes.BlockSize]
	return pathPrefix + base64.RawURLEncoding.EncodeToString(append(iv, k.stream(iv, []byte(path))...))
}

// Open is the path that was kept; false where another key has sealed it, or none
// has.
func (k *Key) Open(kept string) (path string, ok bool) {
	text, sealed := strings.CutPrefix(kept, pathPrefix)
	if k == nil {
		return kept, !sealed
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if !sealed || err != nil || len(raw) < aes.BlockSize {
		return kept, false
	}
	iv, rest := raw[:aes.BlockSize], raw[aes.BlockSize:]
	path = string(k.stream(iv, rest))
	if !hmac.Equal(iv, k.sum("usagelake path iv", path)[:aes.BlockSize]) {
		return kept, false
	}
	return path, true
}

// stream encrypts and decrypts. The initialization vector is a MAC of the clear text, so
// that no two texts share one.
func (k *Key) stream(iv, text []byte) []byte {
	block, _ := aes.NewCipher(k.sum("usagelake path key", "1")) // 32 bytes are a key
	out := make([]byte, len(text))
	cipher.NewCTR(block, iv).XORKeyStream(out, text)
	return out
}

// Said is what records said, as it is kept.
func (k *Key) Said(said transform.Memory) transform.Memory {
	if k == nil {
		return said
	}
	w := k.Writer()
	return each(said, func(name, text string) string {
		if c, ok := columns[name]; ok {
			return w.text(c, text)
		}
		return text
	})
}

// Recalled is what was kept by Said, for records to recall: a Writer knows what
// is sealed already.
func (k *Key) Recalled(kept transform.Memory) transform.Memory {
	if k == nil {
		return kept
	}
	return each(kept, func(name, text string) string {
		if _, ok := columns[name]; ok {
			return k.recalled + text
		}
		return text
	})
}

func each(m transform.Memory, fn func(column, text string) string) transform.Memory {
	if m == nil {
		return nil
	}
	out := m.Clone()
	for _, texts := range out {
		for name, text := range texts {
			texts[name] = fn(name, text)
		}
	}
	return out
}
