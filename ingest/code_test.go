package ingest

import (
	"runtime"
	"slices"
	"strings"
	"testing"
)

// sonic has code for these; where a new version of Go is not among its own, this
// says so.
func TestJSONCode(t *testing.T) {
	want := slices.Contains([]string{"amd64", "arm64"}, runtime.GOARCH)
	if native := strings.HasPrefix(JSONCode(), "native ("); native != want {
		t.Errorf("%s on %s", JSONCode(), runtime.GOARCH)
	}
}
