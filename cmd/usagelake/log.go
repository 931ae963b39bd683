package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"usagelake/schemas/secret"
)

// logger writes what happens during a run to standard error, in the format of
// --log-format.
func logger(cmd *cobra.Command) *slog.Logger {
	if !logsJSON(cmd) {
		return slog.New(plain{cmd.ErrOrStderr()})
	}
	log := slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{ReplaceAttr: withoutSecrets}))
	if of := name(cmd); of != "" {
		log = log.With("command", of)
	}
	if lake := cmd.Flags().Lookup("lake"); lake != nil && lake.Value.String() != "" {
		log = log.With("lake", lake.Value.String())
	}
	return log
}

// logsJSON reports whether every line on standard error has to be an object.
func logsJSON(cmd *cobra.Command) bool {
	return cmd.Root().PersistentFlags().Lookup("log-format").Value.String() == "json"
}

// say tells a person what to look at: a line of text or, with the fields, an
// object.
func say(cmd *cobra.Command, level slog.Level, text string, fields ...any) {
	if logsJSON(cmd) {
		logger(cmd).Log(context.Background(), level, text, fields...)
		return
	}
	sayPlain(cmd.ErrOrStderr(), text)
}

func withoutSecrets(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindString {
		a.Value = slog.StringValue(secret.URLs(a.Value.String()))
	}
	return a
}

// sayPlain writes a text, each line with the program's name. The time is left to
// cron and journald.
func sayPlain(w io.Writer, text string) {
	for line := range strings.SplitSeq(secret.URLs(text), "\n") {
		fmt.Fprintf(w, "usagelake: %s\n", shown(line))
	}
}

// plain is a log whose lines are like those of say.
type plain struct{ w io.Writer }

func (p plain) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (p plain) Handle(_ context.Context, r slog.Record) error {
	var more []string
	r.Attrs(func(a slog.Attr) bool {
		text := a.Value.String()
		if a.Key != "error" {
			text = a.Key + " " + text
		}
		more = append(more, text)
		return true
	})
	text := r.Message
	if len(more) > 0 {
		text += ": " + strings.Join(more, ", ")
	}
	sayPlain(p.w, text)
	return nil
}

func (p plain) WithAttrs([]slog.Attr) slog.Handler { return p }
func (p plain) WithGroup(string) slog.Handler      { return p }
