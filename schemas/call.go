package schemas

import (
	"encoding/binary"
	"strings"

	"github.com/zeebo/xxh3"
)

// KeyRule says what, beside the provider family and the request id, tells two
// real calls of a dialect apart. It is part of the dialect's entry.
type KeyRule struct {
	Transport bool // transport_id belongs to the key
	Time      bool // event_time belongs to the key where it is the body's own
	Model     bool // model belongs to the key unless it was filled in from outside
}

// Scope says where copies of a call can lie.
type Scope uint8

const (
	NoCopies Scope = iota // no id: never a duplicate
	SameDay               // the time is part of the key
	NearDays              // the time is the call's own: its day and the two beside it
	AnyDay                // the time is not the call's own
)

// CallKey identifies a call. It is a function of columns of the row, so it can
// be computed again from the table.
type CallKey [16]byte

// Flags that other stages look at; the others belong to transform.
const (
	FlagIDFromContent = "id_from_content"
	FlagIDReused      = "id_reused"
	FlagModelFilled   = "model_filled"
	FlagTimeOfTurn    = "time_of_turn"
	FlagUnpriced      = "unpriced"
)

// Values of event_time_source.
const (
	FromBody     = "body"
	FromEnvelope = "envelope"
	FromFileName = "file_name"
	FromFileTime = "file_time"
	FromFlag     = "flag"
)

// Identity is what of a row decides its call key.
type Identity struct {
	Dialect     string
	RequestID   string
	TransportID string
	Model       string
	TimeSource  string
	Flags       string
	EventTime   int64
}

// HasFlag reports whether a quality_flags value has the flag.
func HasFlag(flags, name string) bool {
	for f := range strings.SplitSeq(flags, ",") {
		if f == name {
			return true
		}
	}
	return false
}

// Scope is where copies can lie under a rule.
func (id *Identity) Scope(rule KeyRule) Scope {
	body := id.TimeSource == FromBody
	switch own := body || id.TimeSource == FromEnvelope; {
	case id.RequestID == "":
		return NoCopies
	case !own, HasFlag(id.Flags, FlagTimeOfTurn):
		return AnyDay
	case rule.Time && body, HasFlag(id.Flags, FlagIDFromContent):
		return SameDay
	}
	return NearDays
}

// Key is the call key under a rule, and where copies can lie.
func (id *Identity) Key(rule KeyRule) (CallKey, Scope) {
	scope := id.Scope(rule)
	if scope == NoCopies {
		return CallKey{}, scope
	}
	var buf [256]byte
	family, _, _ := strings.Cut(id.Dialect, ".")
	b := appendPart(appendPart(buf[:0], family), id.RequestID)
	if rule.Transport {
		b = appendPart(b, id.TransportID)
	}
	if rule.Model && !HasFlag(id.Flags, FlagModelFilled) {
		b = appendPart(b, id.Model)
	}
	if scope == SameDay {
		b = binary.LittleEndian.AppendUint64(b, uint64(id.EventTime))
	}
	return CallKey(xxh3.Hash128(b).Bytes()), scope
}

// FamilyHash is the same for rows whose ids are of one kind: those of one family
// of dialects.
func (id *Identity) FamilyHash() uint64 {
	family, _, _ := strings.Cut(id.Dialect, ".")
	return xxh3.HashString(family)
}

func appendPart(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Bucket is the bucket of a call among n.
func (k CallKey) Bucket(n int) uint16 {
	return uint16(binary.LittleEndian.Uint64(k[:8]) % uint64(n))
}

// PlaceBucket is the bucket of a row without an id: a function of its place.
func PlaceBucket(file string, line, row int64, n int) uint16 {
	if n == 1 {
		return 0
	}
	b := appendPart(nil, file)
	b = binary.AppendVarint(binary.AppendVarint(b, line), row)
	return uint16(xxh3.Hash(b) % uint64(n))
}

// Vendor is who a call is taken to be billed by: its provider or, where it names
// none, the vendor whose dialect it speaks.
func Vendor(provider, dialect string) string {
	if provider != "" {
		return provider
	}
	if vendor, _, _ := strings.Cut(dialect, "."); vendor != "codex" {
		return vendor
	}
	return "openai"
}
