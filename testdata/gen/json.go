package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// object is a JSON object that keeps the order of its members.
type object []member

type member struct {
	key   string
	value any
}

// raw is JSON text that is written as it stands.
type raw string

// obj makes an object of keys and values in turn.
func obj(kv ...any) object {
	o := make(object, 0, len(kv)/2)
	for i := 0; i < len(kv); i += 2 {
		o = append(o, member{kv[i].(string), kv[i+1]})
	}
	return o
}

// with is o with further members, or with new values of members it has.
func (o object) with(kv ...any) object {
	o = slices.Clone(o)
	for _, m := range obj(kv...) {
		if i := slices.IndexFunc(o, func(n member) bool { return n.key == m.key }); i >= 0 {
			o[i] = m
		} else {
			o = append(o, m)
		}
	}
	return o
}

// camel is o with camelCase keys, all the way down.
func (o object) camel() object {
	out := make(object, len(o))
	for i, m := range o {
		parts := strings.Split(m.key, "_")
		for j, p := range parts[1:] {
			parts[j+1] = strings.ToUpper(p[:1]) + p[1:]
		}
		out[i] = member{strings.Join(parts, ""), camelValue(m.value)}
	}
	return out
}

func camelValue(v any) any {
	switch v := v.(type) {
	case object:
		return v.camel()
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = camelValue(v[i])
		}
		return out
	}
	return v
}

func (o object) String() string { return string(encode(nil, o)) }

// indent is o on several lines.
func (o object) indent() string {
	var b bytes.Buffer
	if err := json.Indent(&b, encode(nil, o), "", "  "); err != nil {
		panic(err)
	}
	return b.String()
}

func encode(b []byte, v any) []byte {
	switch v := v.(type) {
	case object:
		b = append(b, '{')
		for i, m := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(encode(b, m.key), ':')
			b = encode(b, m.value)
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = encode(b, v[i])
		}
		return append(b, ']')
	case raw:
		return append(b, v...)
	case string, bool, int, int64, nil:
		var out bytes.Buffer
		e := json.NewEncoder(&out)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			panic(err)
		}
		return append(b, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
	}
	panic(fmt.Sprintf("encode %T", v))
}
