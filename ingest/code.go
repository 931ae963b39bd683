package ingest

import (
	"os"
	"reflect"
	"runtime"
	"strings"

	"github.com/bytedance/sonic/decoder"
	"github.com/klauspost/cpuid/v2"
)

// JSONCode says which code steps over what nobody wants of a document: sonic's
// machine code or, for processors and versions of Go that sonic has none for,
// Go's encoding/json.
func JSONCode() string {
	if !strings.Contains(runtime.FuncForPC(reflect.ValueOf(decoder.Skip).Pointer()).Name(), "/sonic/internal/") {
		return "not native: it has no code for " + runtime.GOARCH + " and " + runtime.Version() + ", so encoding/json does its work"
	}
	// What follows is how sonic itself decides.
	switch mode := os.Getenv("SONIC_MODE"); {
	case runtime.GOARCH != "amd64":
		return "native (" + runtime.GOARCH + ")"
	case strings.HasPrefix(mode, "noavx"):
		return "native (SSE, since SONIC_MODE=" + mode + ")"
	case cpuid.CPU.Has(cpuid.AVX2):
		return "native (AVX2)"
	}
	return "native (SSE; the processor has no AVX2)"
}
