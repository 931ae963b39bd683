package transform

import (
	"cmp"
	"slices"
	"strings"

	"usagelake/schemas"
)

// A Mount is a place of a document where a record of usage may stand.
type Mount struct {
	Path  string // "" is the document's root
	Body  bool   // any API body may stand here
	Batch string // what stands here is of a batch job if the document has this member; "": it is not
	Bare  bool   // the members of usage stand here without "usage."
	Own   bool   // a user's mapping has it
}

// Mounts in the order they are tried: the body nearest to the wire first.
var Mounts = []Mount{
	{Path: "response.body", Body: true, Batch: "custom_id"},
	{Path: "result.message", Batch: "custom_id"},
	{Path: "modelOutput", Body: true, Batch: "modelOutput"},
	{Path: "batch_result.response.chat_get_completion", Body: true, Batch: "batch_request_id"},
	{Path: "response", Body: true},
	{Path: "body", Body: true},
	{Path: "result", Body: true},
	{Path: "message"},
	{Path: "data"},
	{Path: "delta"},
	{Path: "metadata"},
	{Path: "sample"},
	{Path: "Response"},
	{Path: "interaction"},
	{Path: "output.outputBodyJson"},
	{Path: "choices[]"},
	{Path: "x_groq"},
	{Path: "", Body: true},
	{Path: "", Body: true, Bare: true},
}

// Entry is one dialect: how a record is recognised, by keys and never by
// values, and what its values mean. Every path is tried in snake_case and in
// camelCase.
type Entry struct {
	Name string // family.shape; names the arithmetic, not the vendor
	Doc  string // one line for people
	// At lists the mounts where the shape stands, by their paths or "bare"; nil:
	// all where an API body may stand.
	At []string
	// NoBare: the shape is never bare on a line.
	NoBare bool
	// Usage is the path of the usage object, "usage" if it is empty. Members of
	// it that no column takes go to extra_json.
	Usage string
	// When lists conditions that must all hold. "a | b": one of them is there;
	// "!a": it is not there.
	When []string
	// Unless lists "path=word|word": a record that has one of the words there
	// is no call.
	Unless []string
	// Agree are paths of two values: a record in which they differ, or one is not there, is
	// no call.
	Agree [2]string
	// Calls is where a record says how many calls it sums up, paths with | between them: it
	// is one of these only where it says 1, or says 0 and is none. Of a Container it holds for
	// the parts that are Instead, and 0 or nothing is not 1.
	Calls string
	// Report: what fits is a row of a provider's own sums over calls, for the table
	// of them, or is around such rows. Its id is made of all that tells it from
	// other rows; what no column takes goes to extra_json; Keep lists what of that
	// is no news.
	Report bool
	// Amends lists members that neither tell rows of a report apart nor are in a
	// column of numbers: what a provider writes anew in the same row.
	Amends []string
	// Currency is where the currency of reported_cost_usd stands. An amount that
	// is not in dollars is a quantity.
	Currency string
	// Ignore: what fits is no call, but says again what another record says.
	Ignore bool
	// Columns says where columns come from. Those of common follow, unless the
	// envelope is the dialect's Own.
	Columns []Rule
	Own     bool
	// EnvelopeTime: event_time is that of a log line, and tells no calls apart.
	EnvelopeTime bool
	// Basis is the reading of the reported parts: inclusive or exclusive.
	Basis string
	// Apart is where a record says, by true or false, whether its cache is apart from the
	// input, which goes before Basis.
	Apart string
	// AssumeImageOutput: output tokens not broken down are image tokens.
	AssumeImageOutput bool
	// Unsure: what the record has for input and total cannot be taken for that.
	// The columns stay empty, with a flag.
	Unsure bool
	// PartsAddUp: parts must add up to the whole, not only stay below it.
	PartsAddUp bool
	// Operation is assumed, with a flag, where the record does not say.
	Operation string
	// Key tells two real calls with one id apart.
	Key schemas.KeyRule
	// Payload is content whose hash can serve as id.
	Payload string
	// IDOf lists values that together are the id of a record without one.
	IDOf []string
	// Keep lists paths without a column that go to extra_json.
	Keep []string
	// Folded lists paths from the root of strings that hold JSON, which is read
	// as if it stood there. Texts: where none of them does, the record has no parts.
	Folded []string
	Texts  bool
	// Parts are calls within the record beside its own. Container: it has none
	// of its own.
	Parts     []Part
	Container bool
	// Wraps: a Container of records that can be anything. Where none of them is a
	// call, it is taken as if nobody knew it. So is what is to Ignore, and Wraps.
	Wraps bool
	// Named: only a Part can be of this shape.
	Named bool
	// History: its parts can be from long before it, so that its time, or one around it, does
	// not hold for them: copies of one would be told apart by when it was repeated.
	History bool
	// ZeroIsNone: what has no quantity but 0 is no call, where it Remembers or Recalls.
	ZeroIsNone bool
	// Remember lists columns that records of the same family which come later in
	// the source can Recall where they do not say.
	Remember, Recall []schemas.Col
	// Of is the column of an id: what fits is remembered for records with that id alone, also
	// beside others whose ids differ.
	Of schemas.Col
	// Running is where the source's sums so far stand, in members with the names of
	// the counts that they are sums of. Differs: the columns come from there, and
	// what they are more than in the record of the same family before is the row's.
	Running string
	Differs bool
	// Origin is the column with what the records behind it began from: see origin.
	Origin schemas.Col
	// Began is what began at the event_time of what fits, which is a time or a UUID that
	// holds one: sessionBegan or turnBegan. Written is where the time of the line stands that
	// says when a session began.
	Began, Written string
	// Waits: what fits is a call unless one behind it, of the same family, has its input and
	// output: that is the same. Releases: what fits tells that none came. Before it, the one
	// that waits is a call, by the entry of this name.
	Waits    bool
	Releases string
	// OfSession: a row sums up calls that have its session_id.
	OfSession bool
	// Sums: what fits sums up calls that have its value in this column, or any where it
	// has none. It and its parts are calls only where no record of the same family before
	// it said that value.
	Sums schemas.Col
	// Rest: where one did, the parts, which are by model, are what is left of them when the
	// calls that have that session are taken away, as far as those are known by model.
	Rest bool
	// Tally: of all that have one value in this column, the parts that are Instead and are no
	// calls sum up the calls: see Options.Tally.
	Tally schemas.Col
}

// A Part is calls within a record: documents of their own.
type Part struct {
	Path  string // below the mount; [] are the elements of an array, * the members of an object
	Entry string // the name of what they are, or empty: any entry
	// Inherit: what the record says in these columns, texts, durations and ends
	// of buckets, holds for parts that do not say. Its time does in any case.
	Inherit []schemas.Col
	// ID is put behind the inherited request_id, with the number of the part
	// where it is not the first.
	ID string
	// Key is the column for the key of a member, by *.
	Key schemas.Col
	// Zero: a part without any quantity is a call, too.
	Zero bool
	// Instead: it says again what the parts before it say, and is calls where none of them is.
	Instead bool
	// Unlike is where the record says which model its own counts are of: a part that names that
	// one, or none, is in them and no call. The first that is one has the id of the record.
	Unlike string
	// Tree is the paths of a part's id and of its parent's: of parts that are
	// calls, one with another below it says that again and does not count.
	Tree [2]string
}

func (e *Entry) usage() string { return cmp.Or(e.Usage, "usage") }

func (e *Entry) standsAt(m *Mount) bool {
	switch {
	case e.At == nil:
		return m.Body && !(m.Bare && e.NoBare)
	case m.Own:
		return slices.Contains(e.At, "body")
	case m.Bare:
		return slices.Contains(e.At, "bare")
	}
	return slices.Contains(e.At, m.Path)
}

// Rule says where a column comes from.
type Rule struct {
	Col  schemas.Col
	From string
}

var bodyKey = schemas.KeyRule{Time: true, Model: true}

// Entries are the dialects in the order they are tried. The first match wins.
// An entry's name, meaning and key are a contract: rows in tables carry them.
var Entries = slices.Concat(
	reportEntries,
	agentEntries,
	gatewayEntries,
	langsmithEntries,
	opikEntries,
	posthogEntries,
	weaveEntries,
	braintrustEntries,
	openwebuiEntries,
	oneapiEntries,
	telemetryEntries,
	pydanticEntries,
	livekitEntries,
	sumEntries,
	frameworkEntries,
	sdkEntries,
	llamaEntries,
	springEntries,
	n8nEntries,
	countEntries,
	googleEntries,
	bedrockEntries,
	vendorEntries,
	openrouterEntries,
	anthropicEntries,
	openaiEntries,
	sdkRest,
	shipperEntries,
	codexRest,
)

// common are the usual names of a body and of an envelope around it. They
// follow each entry's own rules.
var common = []Rule{
	{schemas.RequestID, "id | ^request_id | ^id | ^generation_id | ^call_id | ^req_id | ^log_id"},
	{schemas.TransportID, "^response.request_id | ^request_id | ^x_request_id | ^\"x-request-id\""},
	{schemas.Operation, "^operation | ^operation_name | ^call_type"},
	{schemas.Provider, "^provider | ^provider_name | ^vendor | model.provider"},
	{schemas.Model, "model | ^model | ^model_name | ^response_model | ^model_id | ^deployment | model.id"},
	{schemas.RequestModel, "^request_model | ^requested_model | ^request.model"},
	{schemas.Region, "^region | ^data_region | ^location"},
	{schemas.ServiceTier, "service_tier | usage.service_tier | ^service_tier"},
	{schemas.CacheHit, "^cache_hit"},
	{schemas.ErrorCode, "error.code | error.type | ^error.code | ^error.type | ^error_code"},
	{schemas.ProjectID, "^project_id | ^project | ^workspace_id | ^project_name"},
	{schemas.TeamID, "^team_id | ^team | ^organization_id | ^org_id"},
	{schemas.UserID, "^user_id | ^user | user | ^end_user | ^end_user_id | ^username | ^user.id"},
	{schemas.SessionID, "^session_id | ^session | ^conversation_id | ^thread_id"},
	{schemas.APIKeyID, "^api_key_id | ^api_key_name | ^api_key_alias | ^api_key_hash | ^key_id"},
	{schemas.Tags, "^tags | ^request_tags"},
	{schemas.ReportedCostUSD, "^cost_usd | ^costUSD | ^cost | ^response_cost"},
	{schemas.DurationMs, "^duration_ms | ^latency_ms | ^response_time_ms | ^elapsed_ms"},
	{schemas.TimeToFirstTokenMs, "^time_to_first_token_ms | ^ttft_ms"},
}

// envelopeTime are the usual names of a log line's own time.
var envelopeTime = "^timestamp | ^time | ^ts | ^event_time | ^\"@timestamp\" | ^datetime | ^datetime_utc:utc | ^date_time | " +
	"^created_at | ^created | ^start_time | ^request_time | ^logged_at | ^date | " +
	timeObjects("timestamp", "created_at", "created", "time", "date", "start_time")

// timeObjects are members with a time that is an object, as exports of MongoDB, Firestore
// and BigQuery have it.
func timeObjects(members ...string) string {
	var paths []string
	for _, m := range members {
		for _, in := range []string{"$date", "$date.$numberLong", "seconds", "_seconds", "value"} {
			paths = append(paths, "^"+m+"."+in)
		}
	}
	return strings.Join(paths, " | ")
}

// PartIDs are the words that are put behind the id of a call for the calls within
// it.
func PartIDs() []string {
	var list []string
	for i := range Entries {
		for _, p := range Entries[i].Parts {
			if word := strings.TrimPrefix(p.ID, "#"); word != "" && !slices.Contains(list, word) {
				list = append(list, word)
			}
		}
	}
	return list
}
