package transform

import (
	"slices"
	"strings"

	"usagelake/schemas"
)

// shipperEntries are what collectors of logs put around lines of any kind. They are
// tried last: what a line says itself comes before what stands in its text.
var shipperEntries = []Entry{
	{
		Name: "log.line", Doc: "line of a log shipper around a record (CloudWatch, Vector, Logstash, Beats)",
		At: []string{""}, Own: true, Container: true, Wraps: true, Folded: []string{"message"},
		When:    []string{"message", `ingestionTime | eventId | logStreamName | source_type | kubernetes | "@timestamp" | "@version"`},
		Columns: lineColumns, Basis: inclusive,
		Parts: within("message", "message[]"),
	},
	{
		Name: "log.line", Doc: "line of a container's log around a record (Docker, Fluent Bit)",
		At: []string{""}, Own: true, Container: true, Wraps: true, Folded: []string{"log"},
		When:    []string{"log", "stream | kubernetes | container_id"},
		Columns: lineColumns, Basis: inclusive,
		Parts: within("log", "log[]"),
	},
	{
		Name: "log.line", Doc: "entry of Google Cloud Logging around a record",
		At: []string{""}, Own: true, Container: true, Wraps: true, Folded: []string{"textPayload"},
		When:    []string{"jsonPayload | textPayload", "insertId | logName"},
		Columns: lineColumns, Basis: inclusive,
		Parts: within("jsonPayload", "textPayload", "textPayload[]"),
	},
	{
		Name: "log.line", Doc: "hit of an Elasticsearch export around a record",
		At: []string{""}, Own: true, Container: true, Wraps: true,
		When:    []string{"_source", "_index | _id"},
		Columns: lineColumns, Basis: inclusive,
		Parts: within("_source"),
	},
	{
		Name: "log.line", Doc: "event of Splunk's collector around a record",
		At: []string{""}, Own: true, Container: true, Wraps: true, Folded: []string{"event"},
		When:    []string{"event", "sourcetype | source | index"},
		Columns: lineColumns, Basis: inclusive,
		Parts: within("event", "event[]"),
	},
	{
		Name: "log.line", Doc: "event of a Datadog archive, whose attributes are a record",
		At: []string{""}, Own: true, Container: true, Wraps: true,
		When:    []string{"attributes", "_id", "date", "service | host"},
		Columns: lineColumns, Basis: inclusive,
		Parts: within("attributes"),
	},
	{
		Name: "log.lines", Doc: "events of CloudWatch Logs as a subscription delivers them or the CLI lists them",
		At: []string{""}, Own: true, Container: true, Wraps: true,
		When:    []string{"events[].message | logEvents[].message", "logGroup | searchedLogStreams | nextForwardToken | nextToken"},
		Columns: lineColumns, Basis: inclusive,
		Parts: []Part{{Path: "events[]", Entry: "log.event"}, {Path: "logEvents[]", Entry: "log.event"}},
	},
	{
		Name: "log.event", Doc: "one of several events of CloudWatch Logs",
		At: []string{""}, Named: true, Own: true, Container: true, Wraps: true, Folded: []string{"message"},
		When:    []string{"message", "timestamp"},
		Columns: lineColumns, Basis: inclusive,
		Parts: within("message", "message[]"),
	},
	{
		Name: "log.lines", Doc: "messages of SQS or SNS as Lambda gets them",
		At: []string{""}, Own: true, Container: true, Wraps: true,
		When:  []string{"Records[].body | Records[].Sns.Message"},
		Basis: inclusive,
		Parts: []Part{{Path: "Records[]", Entry: "log.text"}},
	},
	{
		Name: "http.archive", Doc: "HTTP archive (HAR) whose answers are records",
		At: []string{""}, Own: true, Container: true, Wraps: true,
		When:  []string{"log.entries[].response"},
		Basis: inclusive,
		Parts: []Part{{Path: "log.entries[]", Entry: "log.text"}},
	},
	{
		Name: "log.text", Doc: "line with a record as text: an answer in a log of HTTP, a column of a database",
		At: []string{""}, Own: true, Container: true, Wraps: true, Texts: true, Folded: slices.Concat(answers, texts, details),
		When:    []string{strings.Join(answers, " | ")},
		Columns: lineColumns, Basis: inclusive,
		Parts: partsOf(answers),
	},
	{
		Name: "log.text", Doc: "line with a record as text: an answer in a log of HTTP, a column of a database",
		At: []string{""}, Own: true, Container: true, Wraps: true, Texts: true, Folded: slices.Concat(texts, details),
		When:    []string{strings.Join(slices.Concat(texts, details), " | ")},
		Columns: lineColumns, Basis: inclusive,
		Parts: partsOf(texts),
	},
}

var (
	// answers are where logs of HTTP, and others, have it below another member.
	answers = []string{"response.body", "response.content.text", "result.body", "result._raw", "Sns.Message"}
	// texts are where lines have a record as text.
	texts = []string{
		"response", "response_body", "raw_response", "result", "body", "message", "data", "payload", "event", "record",
		"msg", "line", "value", "_raw", "@message", "Message", "MESSAGE", "History",
	}
	// details are parts of a record that are text where it comes from a database.
	details = []string{"usage", "metadata", "attributes", "properties"}
)

// partsOf are the records in texts, one or several in each.
func partsOf(places []string) (parts []Part) {
	for _, place := range places {
		for _, keys := range spellings(place) {
			path := strings.Join(keys, ".")
			parts = append(parts, within(path, path+"[]")...)
		}
	}
	return parts
}

// lineSays is what a line says for a record in it that does not say.
var lineSays = []schemas.Col{
	schemas.TransportID, schemas.Provider, schemas.Model, schemas.ProjectID, schemas.TeamID, schemas.UserID, schemas.SessionID, schemas.APIKeyID,
}

// lineColumns are what a line says of the record in it.
var lineColumns = append([]Rule{{
	schemas.EventTime,
	`timestamp | time | date | ts | "@timestamp" | startedDateTime | Timestamp | ` +
		`_time | result._time | Sns.Timestamp | attributes.SentTimestamp | __REALTIME_TIMESTAMP`,
}}, slices.DeleteFunc(slices.Clone(common), func(r Rule) bool { return !slices.Contains(lineSays, r.Col) })...)

// within are the records in places of a line.
func within(places ...string) (parts []Part) {
	for _, p := range places {
		parts = append(parts, Part{Path: p, Inherit: lineSays})
	}
	return parts
}
