package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
)

// logger writes what happens during a run to standard error, in the format of
// --log-format.
func logger(cmd *cobra.Command) *slog.Logger {
	if !logsJSON(cmd) {
		return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	}
	log := slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), nil))
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
	fmt.Fprintf(cmd.ErrOrStderr(), "usagelake: %s\n", text)
}

// withoutTime leaves the time to cron and journald.
func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
