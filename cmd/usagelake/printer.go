package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"syscall"

	"github.com/spf13/cobra"
)

// A printer is standard output, whose failure is for the end of a run: it breaks
// nothing off, and what was published stays so.
type printer struct {
	io.Writer
	err error // the first
}

func (p *printer) Write(b []byte) (int, error) {
	if p.err == nil {
		_, p.err = p.Writer.Write(b)
	}
	return len(b), nil
}

// end is the exit code of a run that would end with code, and says what is wrong
// with standard output. That nobody reads on is no fault.
func (p *printer) end(cmd *cobra.Command, inv *invocation, code int) int {
	if p.err == nil || errors.Is(p.err, syscall.EPIPE) {
		return code
	}
	text := fmt.Sprintf("standard output cannot be written, so what was to be printed is lost: %v", p.err)
	switch {
	case inv.worked:
		text += "; the work itself is done"
	case code == exitOK:
		code = exitFailed
	}
	say(cmd, slog.LevelError, text)
	return code
}
