package transform

import (
	"strings"

	"usagelake/schemas"
)

// shipperEntries are what collectors of logs put around lines of any kind. They are
// tried last: what a line says itself comes before what stands in its text.
var shipperEntries = append([]Entry{
	{
		Name: "log.line", Doc: "line of a log shipper around a record (CloudWatch, Vector, Logstash, Beats)",
		At: []string{""}, Own: true, Container: true, Wraps: true, Folded: []string{"message"},
		When:    []string{"message", `ingestionTime | eventId | logStreamName | source_type | kubernetes | "@timestamp" | "@version"`},
		Columns: lineColumns, Basis: inclusive,
		Parts: []Part{{Path: "message"}, {Path: "message[]"}},
	},
	{
		Name: "log.line", Doc: "line of a container's log around a record (Docker, Fluent Bit)",
		At: []string{""}, Own: true, Container: true, Wraps: true, Folded: []string{"log"},
		When:    []string{"log", "stream | kubernetes | container_id"},
		Columns: lineColumns, Basis: inclusive,
		Parts: []Part{{Path: "log"}, {Path: "log[]"}},
	},
	{
		Name: "log.line", Doc: "entry of Google Cloud Logging around a record",
		At: []string{""}, Own: true, Container: true, Wraps: true, Folded: []string{"textPayload"},
		When:    []string{"jsonPayload | textPayload", "insertId | logName"},
		Columns: lineColumns, Basis: inclusive,
		Parts: []Part{{Path: "jsonPayload"}, {Path: "textPayload"}, {Path: "textPayload[]"}},
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
		Parts: []Part{{Path: "message"}, {Path: "message[]"}},
	},
	{
		Name: "http.archive", Doc: "HTTP archive (HAR) with such answers",
		At: []string{""}, Own: true, Container: true, Wraps: true,
		When:  []string{"log.entries[].response"},
		Basis: inclusive,
		Parts: []Part{{Path: "log.entries[]", Entry: "http.exchange"}},
	},
}, exchangeEntries...)

// exchangeEntries are of what a proxy, or a program of one's own, logged of HTTP: the
// answer is text in one of these places.
var exchangeEntries = func() (list []Entry) {
	for _, place := range []string{"response.content.text", "response.body", "response_body", "raw_response", "body", "result", "response"} {
		e := Entry{
			Name: "http.exchange", Doc: "request and answer as a proxy or a program logged them, the answer as text (response, response.body, body, …)",
			At: []string{""}, Own: true, Container: true, Wraps: true, Folded: []string{place},
			When:    []string{place},
			Columns: lineColumns, Basis: inclusive,
		}
		for _, keys := range spellings(place) {
			path := strings.Join(keys, ".")
			e.Parts = append(e.Parts, Part{Path: path}, Part{Path: path + "[]"})
		}
		list = append(list, e)
	}
	return list
}()

// lineColumns are what a line says of the record in it.
var lineColumns = []Rule{{schemas.EventTime, `timestamp | time | date | "@timestamp" | startedDateTime`}}
