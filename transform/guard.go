package transform

import (
	"math/bits"
	"strings"

	"github.com/zeebo/xxh3"

	"usagelake/schemas"
	"usagelake/schemas/secret"
)

const (
	// maxLabel is how many bytes the text of a column has at most, maxTag a key or
	// a value in tags: what is longer is no name. It is written as its hash, which
	// still tells one from another.
	maxLabel = 512
	maxTag   = 128
	// otherError stands for an error that is told in words.
	otherError = "other"
)

// guarded are the columns whose texts are taken from records as they stand,
// tags and extra_json aside, which are looked at where they are made.
var guarded = columnSet(
	schemas.RequestID, schemas.TransportID, schemas.Provider, schemas.Model, schemas.RequestModel, schemas.Region,
	schemas.ProjectID, schemas.TeamID, schemas.UserID, schemas.SessionID, schemas.LineItem, schemas.QuantityUnit,
)

// worded are the columns whose texts are words of an API: there are no others.
var worded = columnSet(schemas.Operation, schemas.ServiceTier, schemas.ImageSize, schemas.ImageQuality)

func columnSet(list ...schemas.Col) (set uint64) {
	for _, c := range list {
		set |= 1 << c
	}
	return set
}

// guard sees to it that columns of the row at hand hold names and no content, and
// no credentials.
func (n *Normalizer) guard() {
	row := n.row
	of := row.Columns()
	for set := of & guarded; set != 0; set &= set - 1 {
		c := schemas.Col(bits.TrailingZeros64(set))
		if s := row.Str(c); len(s) > maxLabel {
			row.SetString(c, hashID(xxh3.HashString128(s)))
		} else if secret.Begins(s) {
			row.SetString(c, secret.Text(s))
		}
	}
	for set := of & worded; set != 0; set &= set - 1 {
		c := schemas.Col(bits.TrailingZeros64(set))
		s := row.Str(c)
		if len(s) > maxExtraText || strings.IndexByte(s, ' ') >= 0 || secret.Begins(s) && secret.Text(s) != s {
			row.Clear(c)
			n.flags |= flagUnreadable
		}
	}
	if of&(1<<schemas.APIKeyID) != 0 {
		s := row.Str(schemas.APIKeyID)
		if secret.Begins(s) {
			s = secret.Key(s)
		}
		if len(s) > maxLabel {
			s = hashID(xxh3.HashString128(s))
		}
		row.SetString(schemas.APIKeyID, s)
	}
	if of&(1<<schemas.ErrorCode) != 0 && !isWord(row.Str(schemas.ErrorCode)) {
		row.SetString(schemas.ErrorCode, otherError)
	}
}

// tag is a key or a value as tags may hold it.
func tag(s string) string {
	if len(s) > maxTag {
		return hashID(xxh3.HashString128(s))
	}
	return secret.Anywhere(s)
}

// Label is a member's name as a log may have it: one that is no word may be content.
func Label(name string) string {
	if isWord(name) {
		return name
	}
	return hashID(xxh3.HashString128(name))
}

// isWord reports whether a text is made as names in APIs are, and is no longer
// than they.
func isWord(s string) bool {
	if len(s) > maxExtraText || secret.Key(s) != s {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || strings.IndexByte("\"'\\<>{}", c) >= 0 {
			return false
		}
	}
	return true
}
