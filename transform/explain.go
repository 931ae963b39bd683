package transform

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"usagelake/schemas"
)

// Explained is how a document was read: a record, or a part of one.
type Explained struct {
	Outcome  string           `json:"outcome"`            // row, no usage, not claimed, or why it is bad
	Dialect  string           `json:"dialect,omitempty"`  // name of the entry that fits
	Shape    string           `json:"shape,omitempty"`    // what the entry says of itself
	Envelope string           `json:"envelope,omitempty"` // path at which the body stands, empty for the record itself
	Values   []ExplainedValue `json:"values,omitempty"`   // the canonical row
	Unused   []string         `json:"unused,omitempty"`   // of the usage object: known, but without a column
	Unknown  []string         `json:"unknown,omitempty"`  // of the usage object: not known
}

// ExplainedValue is a column of the row and where it is from: paths of the
// record, or where else.
type ExplainedValue struct {
	Column string `json:"column"`
	Value  string `json:"value"`
	From   string `json:"from"`
}

// Explain reads a document and says how: its own record first, then its parts.
func (n *Normalizer) Explain(doc []byte, src *Source, said Memory) []Explained {
	n.prepare()
	var calls []call
	n.gather(&calls, call{doc: doc}, said, 0)
	var out []Explained
	var ignored schemas.Sums
	some := false
	for i := range calls {
		switch n.one(&calls[i], src, n.trial, &ignored, said, false) {
		case IsRow:
			calls[i].isRow()
			some = true
		case NotClaimed:
			calls[i].unclaimed = i > 0
		}
	}
	for i := range calls {
		c, before := &calls[i], said.Clone()
		verdict := n.one(c, src, n.trial, &ignored, said, true)
		switch {
		case verdict == IsRow && !c.counts():
			verdict = NoCall
		case n.hides(c, some):
			verdict, n.Reason = IsBad, schemas.UnknownUsage
		}
		e := Explained{Outcome: verdict.outcome(n.Reason)}
		rec, err := n.walker.Walk(c.doc)
		if err != nil {
			continue
		}
		p, rec := n.planOf(rec, c.entry)
		if p.entry != nil && !c.plain {
			e.Dialect, e.Shape, e.Envelope = p.entry.Name, p.entry.Doc, n.dialects.mounts[p.frame].Path
			for _, k := range p.keep {
				e.Unused = append(e.Unused, k.key)
			}
			for _, x := range rec.Frames[p.frame].Extra {
				if known[x.Key] {
					e.Unused = append(e.Unused, x.Key)
				} else {
					e.Unknown = append(e.Unknown, x.Key)
				}
			}
			slices.Sort(e.Unused)
			slices.Sort(e.Unknown)
		}
		if verdict == IsRow {
			// the walk has let go of the texts that the row refers to
			n.one(c, src, n.trial, &ignored, before, false)
			e.Values = n.values(p, c)
		}
		n.trial.Drop()
		out = append(out, e)
	}
	return out
}

func (v Verdict) outcome(reason schemas.Reason) string {
	switch v {
	case IsRow:
		return "row"
	case NotClaimed:
		return "not claimed"
	case IsBad:
		return string(reason)
	}
	return "no usage"
}

// values is the row at hand.
func (n *Normalizer) values(p *plan, c *call) (out []ExplainedValue) {
	from := map[schemas.Col]string{}
	for _, f := range c.heir.texts {
		from[f.Col] = "the record around it"
	}
	for _, c := range p.entry.Recall {
		from[c] = "a record before"
	}
	for _, c := range p.counts {
		from[c.col] = n.dialects.path(c.from)
	}
	for _, m := range p.moves {
		var paths []string
		for _, at := range m.from {
			paths = append(paths, n.dialects.path(at))
		}
		if len(paths) == 0 {
			paths = []string{"the dialect"}
		}
		from[m.col] = strings.Join(paths, " + ")
		if m.shift != 0 {
			from[m.col] += " * 10^" + strconv.Itoa(m.shift)
		}
	}
	for col, less := range c.heir.less {
		if less != 0 && from[col] != "" {
			from[col] += ", less what records before say"
		}
	}
	switch {
	case n.flags&flagTimeOfTurn != 0:
		from[schemas.EventTime] = "a record before"
	case p.timeFrom != "":
		from[schemas.EventTime] = n.dialects.path(p.time)
	case c.heir.timeFrom != "":
		from[schemas.EventTime] = "the record around it"
	}
	for c := range schemas.NumColumns {
		if !n.trial.Has(c) {
			continue
		}
		v := ExplainedValue{Column: c.String(), From: from[c]}
		if v.From == "" {
			v.From = "derived"
		}
		switch schemas.Columns[c].Kind {
		case schemas.String:
			v.Value = n.trial.Str(c)
		case schemas.Double:
			v.Value = strconv.FormatFloat(n.trial.Double(c), 'f', -1, 64)
		case schemas.Time:
			v.Value = time.UnixMicro(n.trial.Int(c)).UTC().Format(time.RFC3339Nano)
		case schemas.Bool:
			v.Value = fmt.Sprint(n.trial.Int(c) != 0)
		case schemas.Money:
			v.Value = schemas.AmountOf(n.trial.Int(c)).Text(9)
		default:
			v.Value = strconv.FormatInt(n.trial.Int(c), 10)
		}
		v.Value = strings.Clone(v.Value)
		out = append(out, v)
	}
	return out
}

// path is the path of a slot.
func (c *Dialects) path(at slot) string {
	if at.frame == c.reports {
		return c.reportPaths[at.slot]
	}
	for _, w := range c.layout.Wants {
		if w.Frame == at.frame && w.Slot == at.slot {
			return strings.ReplaceAll(strings.Join(w.Path, "."), ".[", "[")
		}
	}
	return ""
}
