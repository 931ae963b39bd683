// Package page writes a lake's figures as one HTML page that needs nothing else:
// no server, no network, no other file.
package page

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"strings"

	"usagelake"
)

//go:embed page.html page.css *.js
var assets embed.FS

// library is what draws; chart.txt says where it comes from. scripts are one
// function together, in this order.
const library = "chart.umd.min.js"

var scripts = []string{"cube.js", "text.js", "charts.js", "page.js"}

// Write writes the page. Equal figures give equal bytes.
func Write(w io.Writer, f *usagelake.Figures) error {
	data, err := json.Marshal(f) // which writes <, > and & as \u003c and so on
	if err != nil {
		return err
	}
	text := func(name string) string {
		b, e := assets.ReadFile(name)
		if e != nil && err == nil {
			err = e
		}
		return string(b)
	}
	var script strings.Builder
	script.WriteString(text(library) + "\n(() => {\n")
	for _, name := range scripts {
		script.WriteString(text(name))
	}
	script.WriteString("})();\n")
	style := text("page.css")
	// Nothing may be loaded or sent, and only this script and style count.
	policy := fmt.Sprintf("default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; img-src data:; base-uri 'none'; form-action 'none'", hash(script.String()), hash(style))
	page := strings.NewReplacer(
		"{{policy}}", policy,
		"{{lake}}", html.EscapeString(f.Lake),
		"{{style}}", style,
		"{{data}}", string(data),
		"{{script}}", script.String(),
	).Replace(text("page.html"))
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, page)
	return err
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}
