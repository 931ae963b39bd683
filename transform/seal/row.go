package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"hash"
	"regexp"
	"slices"
	"strings"

	"usagelake/schemas"
	"usagelake/transform"
)

// domains are the columns that are sealed as a whole, and what is put before
// their texts: equal texts of one domain are sealed alike. The ids of a call are
// of one domain, since what one log has for the request another has for the
// transport.
var domains = map[schemas.Col]string{
	schemas.RequestID: "request_id", schemas.TransportID: "request_id",
	schemas.UserID: "user_id", schemas.SessionID: "session_id", schemas.APIKeyID: "api_key_id",
}

// columns are those of domains by name.
var columns = func() map[string]schemas.Col {
	m := map[string]schemas.Col{}
	for c := range domains {
		m[c.String()] = c
	}
	return m
}()

// tagged are the dialects whose line_item is a tag that a user gave.
var tagged = map[string]bool{"litellm.daily": true, "vercel.report": true}

// plain are the members of extra_json whose texts are the words of an API.
var plain = map[string]bool{
	"provider": true, "provider_name": true, "speed": true, "type": true, "unit": true, "context_window": true,
	"cost_currency": true, "currency": true, "seconds": true, "size": true, "search_context_size": true,
	"endpoint": true, "model_permaslug": true, "credential_type": true, "object": true, "api_version.version": true,
}

// part is what a call within another has behind the id of that: see
// transform.Part.
var part = regexp.MustCompile(`(?:#(?:` + strings.Join(transform.PartIDs(), "|") + `)[0-9]{0,6})+$`)

// most is how many texts of a column are remembered.
const most = 1 << 15

// A Writer seals rows. It belongs to one goroutine.
type Writer struct {
	key   *Key
	hmac  hash.Hash
	buf   []byte
	known [schemas.NumColumns]map[string]string
}

// Writer makes a Writer, nil for no key.
func (k *Key) Writer() *Writer {
	if k == nil {
		return nil
	}
	return &Writer{key: k, hmac: hmac.New(sha256.New, k.key)}
}

// sealedWhole are the columns of domains, in order.
var sealedWhole = func() (list []schemas.Col) {
	for c := range domains {
		list = append(list, c)
	}
	slices.Sort(list)
	return list
}()

// Row seals the ids of the open row, whose key must not have been asked for
// before.
func (w *Writer) Row(row *schemas.Builder) {
	for _, c := range sealedWhole {
		if row.Has(c) {
			row.SetString(c, w.text(c, row.Str(c)))
		}
	}
	if row.Has(schemas.Tags) {
		row.SetString(schemas.Tags, w.cached(schemas.Tags, row.Str(schemas.Tags), w.tags))
	}
	if row.Has(schemas.ExtraJSON) {
		row.SetString(schemas.ExtraJSON, w.cached(schemas.ExtraJSON, row.Str(schemas.ExtraJSON), w.extra))
	}
	if row.Has(schemas.LineItem) && tagged[row.Str(schemas.Dialect)] {
		row.SetString(schemas.LineItem, w.cached(schemas.LineItem, row.Str(schemas.LineItem), func(s string) string { return w.sum("tags", s) }))
	}
}

// text seals a text of a column of domains.
func (w *Writer) text(c schemas.Col, text string) string {
	if c == schemas.RequestID || c == schemas.TransportID { // mostly distinct
		return w.id(domains[c], text)
	}
	return w.cached(c, text, func(s string) string { return w.id(domains[c], s) })
}

// id seals an id but for what names a part of the call.
func (w *Writer) id(domain, text string) string {
	if text == "" {
		return ""
	}
	behind := ""
	if domain == "request_id" && strings.IndexByte(text, '#') > 0 {
		if at := part.FindStringIndex(text); at != nil {
			text, behind = text[:at[0]], text[at[0]:]
		}
	}
	if sealed, ok := strings.CutPrefix(text, w.key.recalled); ok {
		return sealed + behind
	}
	return w.sum(domain, text) + behind
}

func (w *Writer) sum(domain, text string) string {
	w.hmac.Reset()
	w.buf = append(append(append(w.buf[:0], domain...), 0), text...)
	w.hmac.Write(w.buf)
	w.buf = w.hmac.Sum(w.buf[:0])
	return token(w.buf)
}

func (w *Writer) cached(c schemas.Col, text string, seal func(string) string) string {
	m := w.known[c]
	if s, ok := m[text]; ok {
		return s
	}
	if m == nil || len(m) >= most {
		m = map[string]string{}
		w.known[c] = m
	}
	text = strings.Clone(text) // not the block's
	s := seal(text)
	m[text] = s
	return s
}

// tags seals the values of pairs, and words.
func (w *Writer) tags(list string) string {
	items := strings.Split(list, ",")
	for i, item := range items {
		switch key, value, ok := strings.Cut(item, "="); {
		case item == "", ok && value == "":
		case ok:
			items[i] = key + "=" + w.sum("tags."+key, value)
		default:
			items[i] = w.sum("tags", item)
		}
	}
	slices.Sort(items)
	return strings.Join(items, ",")
}

// extra seals the texts of extra_json that are not plain.
func (w *Writer) extra(object string) string {
	d := json.NewDecoder(strings.NewReader(object))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	write := func(v any) {
		_ = enc.Encode(v) // texts, numbers and booleans can be encoded
		out.Truncate(out.Len() - 1)
	}
	out.WriteByte('{')
	for d.More() {
		key, err := d.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			return ""
		}
		value, err := d.Token()
		if err != nil {
			return ""
		}
		if s, ok := value.(string); ok && !plain[name] && s != "" {
			value = w.sum("extra_json."+name, s)
		}
		if out.Len() > 1 {
			out.WriteByte(',')
		}
		write(name)
		out.WriteByte(':')
		write(value)
	}
	out.WriteByte('}')
	return out.String()
}
