package price

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Changes is what an update of a book did, counted in entries.
type Changes struct {
	Added   int `json:"added"`   // of models that had no price
	Changed int `json:"changed"` // ended, and begun anew at the new prices
	Same    int `json:"same"`
	Gone    int `json:"gone"` // not in the file any more; they keep their last price
}

// Update brings into the book what an importer read on a day. What costs
// otherwise than it did ends then, and begins anew.
func (b *Book) Update(in *Imported, from Import, asOf int64) (c Changes, err error) {
	last := ""
	for _, i := range b.Imports {
		last = max(last, i.AsOf)
	}
	if last > from.AsOf {
		return c, fmt.Errorf("the book has the prices of %s, and those of %s are older; import in the order of days, or into another book", last, from.AsOf)
	}
	open := map[string][]int{} // entries without an end, by what they are for
	for i := range b.Entries {
		if e := &b.Entries[i]; e.To == Forever {
			for _, k := range e.keys() {
				open[k] = append(open[k], i)
			}
		}
	}
	named := map[string]bool{} // what the file has a price for
	for i := range in.Entries {
		for _, k := range in.Entries[i].keys() {
			named[k] = true
		}
	}
	seen := map[int]bool{}
	drop := map[int]bool{}
	var fresh []Entry
	for _, e := range in.Entries {
		olds := map[int]bool{}
		for _, k := range e.keys() {
			for _, i := range open[k] {
				olds[i] = true
			}
		}
		same := false
		for i := range olds {
			seen[i] = true
			old := &b.Entries[i]
			same = same || slices.Equal(old.Provider, e.Provider) && slices.Equal(old.Model, e.Model) && old.text() == e.text()
		}
		if same {
			c.Same++
			continue
		}
		begin := asOf
		if len(olds) == 0 && e.From != Ever {
			begin = e.From // the file knows since when
		}
		for i := range olds {
			switch old := &b.Entries[i]; {
			case old.From > asOf:
				return c, fmt.Errorf("%s has a price from %s on; import in the order of days", old.Model[0], day(old.From))
			case old.From == asOf:
				drop[i] = true // the same day again
			case old.To == Forever:
				old.To = asOf
				if rest := old.without(named); len(rest.Model) > 0 {
					rest.From, rest.To = asOf, Forever
					fresh = append(fresh, rest)
					c.Gone++
				}
			}
		}
		if e.From = begin; len(olds) == 0 {
			c.Added++
		} else {
			c.Changed++
		}
		e.Checked = from.AsOf
		fresh = append(fresh, e)
	}
	for _, list := range open {
		for _, i := range list {
			if !seen[i] {
				seen[i] = true
				c.Gone++
			}
		}
	}
	for i := range b.Entries {
		if !drop[i] {
			fresh = append(fresh, b.Entries[i])
		}
	}
	b.Entries = fresh
	slices.SortStableFunc(b.Entries, func(a, b Entry) int {
		return cmp.Or(strings.Compare(strings.Join(a.Provider, ","), strings.Join(b.Provider, ",")), strings.Compare(a.Model[0], b.Model[0]), cmp.Compare(a.From, b.From))
	})
	if !slices.Contains(b.Imports, from) {
		b.Imports = append(b.Imports, from)
	}
	if problems := b.finish(); len(problems) > 0 {
		return c, &BookError{b.Name, problems}
	}
	return c, nil
}

// without is the entry for those of its models of which none is named.
func (e *Entry) without(named map[string]bool) Entry {
	rest := *e
	rest.Model = slices.DeleteFunc(slices.Clone(e.Model), func(m string) bool {
		one := Entry{Provider: e.Provider, Model: []string{m}}
		return slices.ContainsFunc(one.keys(), func(k string) bool { return named[k] })
	})
	return rest
}

// keys are what an entry is for.
func (e *Entry) keys() (list []string) {
	for _, p := range patternsOf(e.Provider) {
		for _, m := range e.Model {
			list = append(list, fold(p)+"\x00"+fold(m))
		}
	}
	return list
}
