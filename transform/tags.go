package transform

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"usagelake/schemas"
)

var tagEscape = strings.NewReplacer("%", "%25", ",", "%2C", "=", "%3D")

// tagList writes an object of scalars, or an array of strings, as sorted k=v
// pairs (or words), comma-joined; commas and equal signs inside are escaped as
// in a URL.
func (n *Normalizer) tagList(rec *schemas.Record, v schemas.Value) string {
	raw := rec.Bytes(v)
	if v.Kind == schemas.Text && len(raw) == 0 {
		return ""
	}
	if v.Kind != schemas.Object && v.Kind != schemas.Array {
		n.flags |= flagUnreadable
		return ""
	}
	if len(n.tagsRaw) > 0 && bytes.Equal(raw, n.tagsRaw) {
		return n.tags
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var tree any
	if d.Decode(&tree) != nil {
		n.flags |= flagUnreadable
		return ""
	}
	var list []string
	switch t := tree.(type) {
	case map[string]any:
		for k, v := range t {
			if s, ok := scalarText(v); ok {
				list = append(list, tagEscape.Replace(tag(k))+"="+tagEscape.Replace(tag(s)))
			} else if v != nil {
				n.flags |= flagUnreadable
			}
		}
	case []any:
		for _, v := range t {
			if s, ok := scalarText(v); ok {
				list = append(list, strings.ReplaceAll(strings.ReplaceAll(tag(s), "%", "%25"), ",", "%2C"))
			} else {
				n.flags |= flagUnreadable
			}
		}
	}
	slices.Sort(list)
	n.tags, n.tagsRaw = strings.Join(list, ","), n.tagsRaw[:0]
	if n.flags&flagUnreadable == 0 {
		n.tagsRaw = append(n.tagsRaw, raw...)
	}
	return n.tags
}

func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	}
	return "", false
}
