package main

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"usagelake"
	"usagelake/schemas/secret"
)

// shown is a name from a log, or a path, as people may get it: on one line, and
// without anything that a terminal obeys.
func shown(text string) string {
	var b strings.Builder
	for rest := text; rest != ""; {
		r, n := utf8.DecodeRuneInString(rest)
		char := rest[:n]
		joiner := r == '\u200c' || r == '\u200d' // of emoji, and within words of some scripts
		if r == utf8.RuneError && n == 1 || !unicode.IsGraphic(r) && !joiner {
			char = strings.Trim(strconv.QuoteToGraphic(char), `"`)
		}
		b.WriteString(char)
		rest = rest[n:]
	}
	return b.String()
}

// public is the value of a flag as a config dump may have it.
func public(key, value string) string {
	if key == "hash-ids" && usagelake.IsKey(value) {
		return secret.Masked
	}
	return shown(secret.URLs(value))
}
