package transform

import (
	"encoding/binary"
	"encoding/hex"
	"maps"
	"strconv"
	"time"

	"usagelake/schemas"
)

// What began, by its name in a Memory, where it has the microseconds since 1970. Of a
// source's sessions the latest is its own: those that it is copied from are older.
const (
	sessionBegan = "session began"
	turnBegan    = "turn began"
)

// ownSession is behind the name of a family in a Memory, for what the source's own session
// said.
const ownSession = " own"

// begin keeps when what is behind the record at hand began. The turns of an older session
// are none of a later one; the turns of the own session recall what that said, and not
// what was said by those that it is copied from.
func (n *Normalizer) begin(p *plan, rec *schemas.Record, said Memory) {
	cols, own := said.of(p.entry.Name), family(p.entry.Name)+ownSession
	us, ok := n.began(p, rec)
	session, some := instant(cols, sessionBegan)
	if p.entry.Began == sessionBegan {
		if !ok || some && us <= session {
			return
		}
		said[own] = map[string]string{}
		for _, c := range p.entry.Remember {
			if text, known := cols[c.String()]; known {
				said[own][c.String()] = text
			}
		}
	} else if ok && some && !older(us, session) {
		maps.Copy(cols, said[own])
	}
	delete(cols, turnBegan)
	if ok {
		cols[p.entry.Began] = strconv.FormatInt(us, 10)
	}
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

// dateBack gives a call the time at which its turn began, with a flag, where that was before
// its source's session: it was copied there from another, and its own time is that of the
// copy. The call it is a copy of has a time in that turn, so that the two are found to
// be one wherever the turn is not days long. A time before the session is the call's own.
func (n *Normalizer) dateBack(recalled map[string]string) {
	session, some := instant(recalled, sessionBegan)
	turn, known := instant(recalled, turnBegan)
	if some && known && older(turn, session) && !older(n.row.Int(schemas.EventTime), session) {
		n.row.SetInt(schemas.EventTime, turn)
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
