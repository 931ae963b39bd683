// Package schemas is the contract between the stages: the canonical columns
// with their types, order and Parquet field ids, the rows and batches that
// carry them, what the walk leaves of a record, and how a partition is named.
// It does no I/O and imports nothing of usagelake.
package schemas

import "github.com/apache/arrow/go/v17/arrow"

// Version is the version of the tables' schemas. It changes only when a column
// is appended.
const Version = 1

// Table is one of the tables of a lake.
type Table uint8

const (
	// Usage has a row for each call.
	Usage Table = iota
	// Reports has a row for each bucket of a provider's own sums over calls.
	Reports

	NumTables
)

// String is the table's directory below the lake.
func (t Table) String() string { return [...]string{"usage", "reports"}[t] }

// Kind is the physical and logical type of a column.
type Kind uint8

const (
	Time   Kind = iota // int64, microseconds since 1970 UTC
	String             // UTF-8
	Double             // finite, never -0
	Int                // int64
	Bool
	Money // DECIMAL(18,9): int64 nano-dollars
)

// Col numbers a column. Its Parquet field id is Col+1.
type Col uint8

// The columns in table order. The order and the ids are a contract: append
// only.
const (
	EventTime Col = iota
	EventTimeSource

	RequestID
	TransportID
	Operation
	Provider
	Model
	RequestModel
	Region
	ServiceTier
	IsBatch
	IsBYOK
	CacheHit
	Status
	ErrorCode

	ProjectID
	TeamID
	UserID
	SessionID
	APIKeyID
	Tags

	InputTokens
	OutputTokens
	TotalTokens

	UncachedInputTokens
	CacheReadTokens
	CacheWriteTokens
	CacheWrite1hTokens
	InputTextTokens
	InputImageTokens
	InputAudioTokens
	InputVideoTokens
	InputToolTokens
	CacheReadImageTokens
	CacheReadAudioTokens

	OutputTextTokens
	OutputImageTokens
	OutputAudioTokens
	ReasoningTokens
	AcceptedPredictionTokens
	RejectedPredictionTokens

	ImageCount
	ImageSize
	ImageQuality
	AudioSeconds
	WebSearchRequests

	ReportedCostUSD
	CostUSD
	PriceID

	DurationMs
	TimeToFirstTokenMs

	Dialect
	TokenBasis
	QualityFlags
	ExtraJSON
	SourceFile
	SourceID
	SourceLine
	SourceRow

	BucketEnd
	Requests
	LineItem
	Quantity
	QuantityUnit

	NumColumns
)

// A row marks its columns in one 64-bit word, which is full: one more column
// needs a wider mark.
const _ = uint(64 - NumColumns)

// tables is a set of tables, a bit for each.
type tables uint8

const (
	calls  tables = 1 << Usage
	sums   tables = 1 << Reports
	common        = calls | sums
)

// Column describes one column.
type Column struct {
	Name string
	Kind Kind
	// In says which tables have the column.
	In tables
	// Plain strings are mostly distinct or long: their pages are shorter, and
	// the ids have no dictionary.
	Plain bool
	// Doc is one line for people: meaning, unit, what it is part of.
	Doc string
}

// Columns lists the columns in table order. All are nullable but those that are
// Required: NULL means not reported, 0 means zero.
var Columns = [NumColumns]Column{
	EventTime:       {"event_time", Time, common, false, "when the call was made, UTC; never NULL"},
	EventTimeSource: {"event_time_source", String, common, false, "where event_time comes from: body, envelope, file_name, file_time, flag"},

	RequestID:    {"request_id", String, common, true, "id of the call, given by the provider"},
	TransportID:  {"transport_id", String, calls, true, "HTTP or gateway request id, where it differs from request_id"},
	Operation:    {"operation", String, common, false, "chat, image_generation, image_edit, …"},
	Provider:     {"provider", String, common, false, "who served and bills the call"},
	Model:        {"model", String, common, false, "model that answered, as written"},
	RequestModel: {"request_model", String, common, false, "model that was asked for"},
	Region:       {"region", String, common, false, "region of the provider"},
	ServiceTier:  {"service_tier", String, common, false, "default, flex, priority, batch, …"},
	IsBatch:      {"is_batch", Bool, common, false, "call of a batch job"},
	IsBYOK:       {"is_byok", Bool, common, false, "own provider key used behind a gateway"},
	CacheHit:     {"cache_hit", Bool, calls, false, "answered from a gateway's response cache"},
	Status:       {"status", String, calls, false, "ok, error, partial"},
	ErrorCode:    {"error_code", String, calls, false, "error as the provider names it"},

	ProjectID: {"project_id", String, common, false, "project or workspace"},
	TeamID:    {"team_id", String, common, false, "team or organisation"},
	UserID:    {"user_id", String, common, false, "user or end user"},
	SessionID: {"session_id", String, calls, false, "session or conversation"},
	APIKeyID:  {"api_key_id", String, common, false, "name or hash of the API key, never the key"},
	Tags:      {"tags", String, common, false, "sorted k=v pairs, comma-joined"},

	InputTokens:  {"input_tokens", Double, common, false, "all input tokens, cache reads and writes included"},
	OutputTokens: {"output_tokens", Double, common, false, "all output tokens, reasoning included"},
	TotalTokens:  {"total_tokens", Double, common, false, "total as reported; else input + output with flag total_derived"},

	UncachedInputTokens:  {"uncached_input_tokens", Double, common, false, "input_tokens - cache_read_tokens - cache_write_tokens"},
	CacheReadTokens:      {"cache_read_tokens", Double, common, false, "part of input_tokens read from the prompt cache"},
	CacheWriteTokens:     {"cache_write_tokens", Double, common, false, "part of input_tokens written to the prompt cache"},
	CacheWrite1hTokens:   {"cache_write_1h_tokens", Double, common, false, "part of cache_write_tokens kept for one hour"},
	InputTextTokens:      {"input_text_tokens", Double, common, false, "text part of input_tokens"},
	InputImageTokens:     {"input_image_tokens", Double, common, false, "image part of input_tokens"},
	InputAudioTokens:     {"input_audio_tokens", Double, common, false, "audio part of input_tokens"},
	InputVideoTokens:     {"input_video_tokens", Double, calls, false, "video part of input_tokens"},
	InputToolTokens:      {"input_tool_tokens", Double, calls, false, "tool-use part of input_tokens"},
	CacheReadImageTokens: {"cache_read_image_tokens", Double, common, false, "image part of cache_read_tokens"},
	CacheReadAudioTokens: {"cache_read_audio_tokens", Double, common, false, "audio part of cache_read_tokens"},

	OutputTextTokens:         {"output_text_tokens", Double, common, false, "text part of output_tokens"},
	OutputImageTokens:        {"output_image_tokens", Double, common, false, "image part of output_tokens"},
	OutputAudioTokens:        {"output_audio_tokens", Double, common, false, "audio part of output_tokens"},
	ReasoningTokens:          {"reasoning_tokens", Double, common, false, "reasoning part of output_tokens"},
	AcceptedPredictionTokens: {"accepted_prediction_tokens", Double, calls, false, "accepted predicted part of output_tokens"},
	RejectedPredictionTokens: {"rejected_prediction_tokens", Double, calls, false, "rejected predicted part of output_tokens"},

	ImageCount:        {"image_count", Int, common, false, "images returned"},
	ImageSize:         {"image_size", String, common, false, "size of the images, as written"},
	ImageQuality:      {"image_quality", String, calls, false, "quality of the images, as written"},
	AudioSeconds:      {"audio_seconds", Double, common, false, "seconds of audio"},
	WebSearchRequests: {"web_search_requests", Int, common, false, "web searches made for the call"},

	ReportedCostUSD: {"reported_cost_usd", Money, common, false, "cost as logged, US dollars"},
	CostUSD:         {"cost_usd", Money, calls, false, "cost by price book, US dollars"},
	PriceID:         {"price_id", String, calls, false, "price book entry behind cost_usd"},

	DurationMs:         {"duration_ms", Double, calls, false, "duration of the call, milliseconds"},
	TimeToFirstTokenMs: {"time_to_first_token_ms", Double, calls, false, "time to the first token, milliseconds"},

	Dialect:      {"dialect", String, common, false, "entry that read the record; names the arithmetic"},
	TokenBasis:   {"token_basis", String, common, false, "inclusive, exclusive or ambiguous reading of the reported parts"},
	QualityFlags: {"quality_flags", String, common, false, "what is unusual about the row; sorted, comma-joined"},
	ExtraJSON:    {"extra_json", String, common, true, "unknown keys under usage, one flat JSON object"},
	SourceFile:   {"source_file", String, common, false, "path below the INPUT argument, without compression suffix"},
	SourceID:     {"source_id", String, common, false, "identity of the source's bytes, 32 hex digits"},
	SourceLine:   {"source_line", Int, common, false, "line of the record in its source, from 1"},
	SourceRow:    {"source_row", Int, common, false, "0 for a line's only row; further documents of a line start at multiples of 1024"},

	BucketEnd:    {"bucket_end", Time, sums, false, "end of the bucket that begins at event_time, exclusive, UTC; never NULL"},
	Requests:     {"requests", Int, sums, false, "calls in the bucket"},
	LineItem:     {"line_item", String, sums, false, "what the row is for within its report, as the provider names it"},
	Quantity:     {"quantity", Double, sums, false, "amount of what no other column holds"},
	QuantityUnit: {"quantity_unit", String, sums, false, "unit of quantity: characters, sessions, bytes, requests, a currency, …"},
}

func (c Col) String() string { return Columns[c].Name }

// FieldID is the Parquet field id of c.
func (c Col) FieldID() int { return int(c) + 1 }

// Required reports whether c is never NULL.
func (c Col) Required() bool { return c == EventTime || c == BucketEnd }

// Additive reports whether the values of c may be summed: token quantities,
// other meters and money.
func (c Col) Additive() bool {
	switch {
	case c >= InputTokens && c <= RejectedPredictionTokens:
		return true
	case c == ImageCount, c == AudioSeconds, c == WebSearchRequests, c == Requests:
		return true
	case c == ReportedCostUSD, c == CostUSD:
		return true
	}
	return false
}

// Tokens reports whether c holds a token quantity.
func (c Col) Tokens() bool { return c >= InputTokens && c <= RejectedPredictionTokens }

// Lookup finds a column by name.
func Lookup(name string) (Col, bool) {
	for c := range NumColumns {
		if Columns[c].Name == name {
			return c, true
		}
	}
	return 0, false
}

var (
	dictType = &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	timeType = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
)

// ArrowType is the in-memory type of c. Money is its int64 of nano-dollars:
// arrow v17's decimal support is not needed and not trusted.
func (c Col) ArrowType() arrow.DataType {
	switch col := Columns[c]; col.Kind {
	case Time:
		return timeType
	case Double:
		return arrow.PrimitiveTypes.Float64
	case Int, Money:
		return arrow.PrimitiveTypes.Int64
	case Bool:
		return arrow.FixedWidthTypes.Boolean
	default:
		if col.Plain {
			return arrow.BinaryTypes.String
		}
		return dictType
	}
}

// columns are those of each table, in order.
var columns = func() (list [NumTables][]Col) {
	for t := range NumTables {
		for c := range NumColumns {
			if t.Has(c) {
				list[t] = append(list[t], c)
			}
		}
	}
	return list
}()

// Has reports whether c is a column of the table.
func (t Table) Has(c Col) bool { return Columns[c].In&(1<<t) != 0 }

// Columns are the columns of the table, in order. The caller must not change
// them.
func (t Table) Columns() []Col { return columns[t] }

// additive is the columns that may be summed, in order.
var additive = func() (list []Col) {
	for c := range NumColumns {
		if c.Additive() {
			list = append(list, c)
		}
	}
	return list
}()

// Meters are the columns that are Additive, in order. The caller must not change
// them.
func Meters() []Col { return additive }
