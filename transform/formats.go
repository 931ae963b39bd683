package transform

// Format is a shape that is read.
type Format struct {
	Dialect string `json:"dialect"`         // as the column has it
	Basis   string `json:"basis,omitempty"` // inclusive, exclusive, ambiguous; empty: no calls of its own
	Doc     string `json:"doc"`
}

// Formats lists the shapes in the order they are tried.
func Formats() []Format {
	var list []Format
	for i := range Entries {
		e := &Entries[i]
		f := Format{Dialect: e.Name, Basis: e.Basis, Doc: e.Doc}
		if e.Ignore || e.Container {
			f.Basis = ""
		}
		list = append(list, f)
	}
	return list
}
