package transform

import (
	"encoding/binary"
	"encoding/hex"
	"maps"
	"strconv"
	"strings"
	"time"

	"usagelake/schemas"
)

// What began, by its name in a Memory, where it has the microseconds since 1970. Of a
// source's sessions the latest is its own: those that it is copied from are older.
const (
	sessionBegan = "session began"
	turnBegan    = "turn began"
)

// copiedFrom is when the session began that the lines at hand are copied from, copiedAt the
// time of the latest of them. They are written one right behind the other: where
// their turns are not told, the first call that is apart is the session's own.
const (
	copiedFrom = "copied from"
	copiedAt   = "copied at"
	farApart   = 250_000 // microseconds
)

// ownSession is behind the name of a family in a Memory, for what the source's own session
// said.
const ownSession = " own"

// begin keeps when what is behind the record at hand began. The turns of an older session
// are none of a later one; the turns of the own session recall what that said, and not
// what was said by those that it is copied from.
func (n *Normalizer) begin(p *plan, rec *schemas.Record, said Memory) {
	if p.entry.Began == sessionBegan {
		n.beginSession(p, rec, said)
		return
	}
	cols := said.of(p.entry.Name)
	us, ok := n.began(p, rec)
	if session, some := instant(cols, sessionBegan); ok && some && !older(us, session) {
		maps.Copy(cols, said[family(p.entry.Name)+ownSession])
	}
	delete(cols, turnBegan)
	if ok {
		cols[turnBegan] = strconv.FormatInt(us, 10)
	}
}

// beginSession is begin for a session. An older one is what the lines behind it are copied
// from, unless its own line is older, too: then it is another that follows in the same file.
// Of the one before nothing is left.
func (n *Normalizer) beginSession(p *plan, rec *schemas.Record, said Memory) {
	cols, own := said.of(p.entry.Name), family(p.entry.Name)+ownSession
	us, ok := n.began(p, rec)
	if !ok {
		return
	}
	from := us // when the first of its lines can be from
	began, dated, forked := n.forkOf(p, rec, cols[schemas.SessionID.String()])
	if dated {
		from = min(began, us)
	}
	at, known := n.envelope(p, rec)
	if session, some := instant(cols, sessionBegan); some && us <= session && !(known && older(at, session)) {
		if us < session && known {
			cols[copiedFrom], cols[copiedAt] = strconv.FormatInt(from, 10), strconv.FormatInt(at, 10)
		}
		return
	}
	its := map[string]string{origin: cols[origin]}
	for _, c := range p.entry.Remember {
		if text, known := cols[c.String()]; known {
			its[c.String()] = text
		}
	}
	if !goesOn(its, said[own], forked) {
		clear(cols)
		maps.Copy(cols, its)
	}
	said[own] = its
	delete(cols, turnBegan)
	cols[sessionBegan] = strconv.FormatInt(us, 10)
	if known && from < us {
		cols[copiedFrom], cols[copiedAt] = strconv.FormatInt(from, 10), strconv.FormatInt(at, 10)
	}
}

// goesOn reports whether a session is the one that the source has already. What an earlier
// run sealed cannot be compared: then it is, if both began from the same and it is no fork.
func goesOn(session, own map[string]string, forked bool) bool {
	id := schemas.SessionID.String()
	if strings.HasPrefix(own[id], "\x00") {
		return session[origin] == own[origin] && !forked
	}
	return own != nil && session[id] == own[id]
}

// envelope is the time of the line that a session is told of in.
func (n *Normalizer) envelope(p *plan, rec *schemas.Record) (int64, bool) {
	if p.written == noSlot {
		return 0, false
	}
	text, ok := numberText(rec, p.written)
	if !ok {
		return 0, false
	}
	us, reason := parseTime(text, n.zone(p))
	return us, reason == ""
}

// forkOf is when the session began that one is a fork of, if it is and the id of that says so.
func (n *Normalizer) forkOf(p *plan, rec *schemas.Record, session string) (us int64, dated, forked bool) {
	of := n.textOf(p, rec, p.entry.Origin)
	if of == "" || of == session {
		return 0, false, false
	}
	us, dated = uuidTime([]byte(of))
	return us, dated, true
}

// copying looks whether a call at a time is still a copy, where only that can tell. What is
// behind the copies is of the source's own session.
func (n *Normalizer) copying(p *plan, rec *schemas.Record, h *heir, said Memory) {
	cols := said[family(p.entry.Name)]
	last, some := instant(cols, copiedAt)
	if _, turns := instant(cols, turnBegan); !some || turns {
		return
	}
	us, reason := h.time, schemas.Reason("")
	if p.timeFrom != "" {
		us, reason = n.timeOf(p, rec)
	}
	if reason == "" && us-last <= farApart {
		cols[copiedAt] = strconv.FormatInt(max(us, last), 10)
		return
	}
	delete(cols, copiedFrom)
	delete(cols, copiedAt)
	maps.Copy(cols, said[family(p.entry.Name)+ownSession])
}

// began is the event time of a record, which can be that in a UUID.
func (n *Normalizer) began(p *plan, rec *schemas.Record) (int64, bool) {
	if p.timeFrom == "" {
		return 0, false
	}
	if us, reason := n.timeOf(p, rec); reason == "" {
		return us, true
	}
	text, _ := numberText(rec, p.time)
	return uuidTime(text)
}

// dateBack gives a call the time at which its turn began, or else its session, with a flag,
// where that was before its source's session: it was copied there from another, and its own
// time is that of the copy. The call it is a copy of is later, and is looked for on every day.
// A time before the session is the call's own.
func (n *Normalizer) dateBack(recalled map[string]string) {
	session, some := instant(recalled, sessionBegan)
	from, known := instant(recalled, turnBegan)
	if !known {
		from, known = instant(recalled, copiedFrom)
	}
	if some && known && older(from, session) && !older(n.row.Int(schemas.EventTime), session) {
		n.row.SetInt(schemas.EventTime, from)
		n.flags |= flagTimeOfTurn
	}
}

// older reports whether a time is before a session began. Turns can be told in seconds.
func older(us, session int64) bool { return us < session-session%time.Second.Microseconds() }

func instant(said map[string]string, what string) (us int64, ok bool) {
	us, err := strconv.ParseInt(said[what], 10, 64)
	return us, err == nil
}

// uuidTime is the time in a UUID of version 7, which begins with milliseconds.
func uuidTime(text []byte) (us int64, ok bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[14] != '7' {
		return 0, false
	}
	var ms [8]byte
	_, high := hex.Decode(ms[2:6], text[:8])
	_, low := hex.Decode(ms[6:], text[9:13])
	us = int64(binary.BigEndian.Uint64(ms[:])) * 1000
	return us, high == nil && low == nil && us >= schemas.MinTime && us < schemas.MaxTime
}
