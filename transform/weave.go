package transform

import "usagelake/schemas"

// weaveEntries are calls of Weave. What calls below it used is summed up in the summary of
// a call. Only one that has none below it and returned usage has its own there, and what it
// returned says it in the provider's words.
var weaveEntries = []Entry{{
	Name: "weave.call", Doc: "Weave call: what it returned; its summary says that again, or sums up the calls below it",
	At: []string{""}, Own: true, Container: true, When: []string{"op_name", "trace_id", "started_at", "output"},
	Columns: []Rule{
		{schemas.EventTime, "started_at"},
		{schemas.RequestID, "id"},
		{schemas.TransportID, "trace_id"},
		{schemas.ProjectID, "project_id"},
		{schemas.UserID, "wb_user_id"},
		{schemas.SessionID, "thread_id"},
		{schemas.DurationMs, "summary.weave.latency_ms"},
	},
	Basis: ambiguous,
	Parts: []Part{{Path: "output", Inherit: []schemas.Col{
		schemas.RequestID, schemas.TransportID, schemas.ProjectID, schemas.UserID, schemas.SessionID, schemas.DurationMs,
	}}},
}}
