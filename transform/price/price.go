// Package price computes what a row cost by price books. A [Book] is a list of
// dated entries, read from YAML; a [List] lays books over each other; a [Pricer]
// quotes rows by a list. The package is pure: readers and writers, no files, no
// clock.
//
// A row's columns overlap (cached tokens are a part of the input, and so are
// image tokens); its meters do not. What a row costs is the sum over meters of
// quantity x price, exact, rounded once, half to even, to 10^-9 dollars.
// docs/prices.md has the schema of books and every rule.
package price

// Meter is what is counted and has a price. No token belongs to two meters.
type Meter uint8

// The meters. Of input and output, what is not known to be anything else is
// text.
const (
	Input      Meter = iota // text that is neither read from nor written to a cache
	InputImage              // image, not cached
	InputAudio
	InputVideo
	CacheRead // text, and video
	CacheReadImage
	CacheReadAudio
	CacheWrite   // of any kind, for five minutes or as the provider does
	CacheWrite1h // for an hour
	Output       // text; reasoning too where it has no price of its own
	OutputImage
	OutputAudio
	Reasoning
	Image       // images returned
	AudioSecond // seconds of audio
	Request     // 1 for each row
	Search      // web searches

	NumMeters
)

// meters describes the meters, in order.
var meters = [NumMeters]struct {
	name  string
	token bool // its price is for a million
}{
	Input: {"input", true}, InputImage: {"input_image", true}, InputAudio: {"input_audio", true}, InputVideo: {"input_video", true},
	CacheRead: {"cache_read", true}, CacheReadImage: {"cache_read_image", true}, CacheReadAudio: {"cache_read_audio", true},
	CacheWrite: {"cache_write", true}, CacheWrite1h: {"cache_write_1h", true},
	Output: {"output", true}, OutputImage: {"output_image", true}, OutputAudio: {"output_audio", true}, Reasoning: {"reasoning", true},
	Image: {"image", false}, AudioSecond: {"audio_second", false}, Request: {"request", false}, Search: {"search", false},
}

func (m Meter) String() string { return meters[m].name }

// Tokens reports whether m counts tokens: its price is for a million of them.
// The price of any other meter is for one.
func (m Meter) Tokens() bool { return meters[m].token }

// required reports whether a quantity of m must have a price. Images and
// seconds are counted beside tokens by models that bill tokens alone, and few
// bill a request.
func (m Meter) required() bool { return m.Tokens() || m == Search }
