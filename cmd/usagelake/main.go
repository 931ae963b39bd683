// Command usagelake turns exported LLM usage logs into a partitioned Parquet
// table whose numbers balance.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	_ "time/tzdata" // --tz works where the system has no zone files

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"usagelake"
)

// Exit codes are a contract; a code that is not listed means failure.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitIncomplete  = 3
	exitCheck       = 4
	exitTryAgain    = 75
	exitInterrupted = 128
)

const exitCodes = `Exit codes:
  0         all well
  1         failed, nothing was published
  2         wrong usage, or an input that matches nothing (see --allow-empty)
  3         published, but a person should look: records in quarantine over the
            limit, inputs that could not be read or are damaged, an input of which
            nothing could be read, or no metrics file could be written
  4         a check failed (verify, prices lint, reconcile, status
            --fail-on-missing, or load --fail-on-drift)
  75        another run has the lake or came first, a step before this one is not
            complete, or the store of objects cannot be reached; try again later
  129, 130, 143
            interrupted (SIGHUP, SIGINT, SIGTERM)
`

// errProblems is the error of a load that was published and has problems,
// which were printed.
var errProblems = errors.New("published, but not all is well")

// errCheck is the error of a check that failed and said why.
var errCheck = errors.New("a check failed")

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is main with its surroundings as arguments. It returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // libraries that log: net/http does
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as of what nohup starts
		signal.Notify(signals, syscall.SIGHUP)
	}
	defer signal.Stop(signals)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals) // a second one ends the process at once
			stop(interrupted{s.(syscall.Signal)})
		case <-ctx.Done():
		}
	}()

	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // so that it ends nothing, and the write fails

	root := rootCommand()
	root.SetArgs(args)
	out := &printer{Writer: stdout}
	root.SetOut(out)
	root.SetErr(stderr)
	timed, inv := measured(ctx)
	cmd, err := root.ExecuteContextC(timed)
	if errors.Is(err, context.Canceled) {
		err = context.Cause(ctx)
	}
	code := exitCode(err)
	if wait := cmd.Flags().Lookup("lock-wait"); errors.Is(err, usagelake.ErrLocked) && wait != nil {
		hint := "--lock-wait 10m waits for it to end"
		if wait.Changed {
			hint = "--lock-wait " + wait.Value.String() + " was too short"
		}
		err = fmt.Errorf("%w; %s", err, hint)
	}
	if !inv.begun && err != nil {
		inv.begun = reportingOnly(cmd, args)
	}
	if err != nil && !errors.Is(err, errProblems) && !errors.Is(err, errCheck) {
		say(cmd, slog.LevelError, err.Error(), "exit_code", code)
	}
	code = out.end(cmd, inv, code)
	if inv.begun {
		if err := writeMetrics(cmd, inv, code); err != nil {
			say(cmd, slog.LevelError, err.Error())
			if code == exitOK {
				code = exitIncomplete
			}
		}
	}
	return code
}

// passing are faults that may be gone when the same is tried again.
var passing = []error{
	usagelake.ErrLocked, usagelake.ErrOvertaken, usagelake.ErrUnavailable, usagelake.ErrIncomplete, usagelake.ErrMoved,
}

type interrupted struct{ signal syscall.Signal }

func (i interrupted) Error() string { return "interrupted; nothing was published" }

func exitCode(err error) int {
	var usage *usageError
	var stopped interrupted
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errProblems):
		return exitIncomplete
	case errors.Is(err, errCheck):
		return exitCheck
	case errors.Is(err, usagelake.ErrUsage), errors.As(err, &usage):
		return exitUsage
	case slices.ContainsFunc(passing, func(e error) bool { return errors.Is(err, e) }):
		return exitTryAgain
	case errors.As(err, &stopped):
		return exitInterrupted + int(stopped.signal)
	}
	return exitFailed
}

// usageError is an error in the command line that cobra found.
type usageError struct{ error }

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "usagelake",
		Short: "Turn exported LLM usage logs into a Parquet table whose numbers balance",
		Long: `usagelake turns exported LLM usage logs (JSONL of vendors, gateways and agents)
into a partitioned Parquet table whose numbers balance.

` + exitCodes,
		Version:       usagelake.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	holder(root)
	cobra.AddTemplateFunc("facts", facts)
	root.SetVersionTemplate("{{facts}}")
	reportingFlags(root.PersistentFlags())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if wrong, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
			return &usageError{fmt.Errorf("--%s: %w", wrong.GetFlag().Name, badValue(wrong.GetFlag(), wrong.GetValue(), wrong.Unwrap()))}
		}
		return &usageError{fmt.Errorf("%w; %s --help lists the flags", err, cmd.CommandPath())}
	})
	root.AddCommand(loadCommand(), planCommand(), replayCommand(), forgetCommand(), verifyCommand(), statusCommand(), inspectCommand(), formatsCommand(), pricesCommand(), repriceCommand(), reconcileCommand(), ddlCommand(), reportCommand(), stepCommand())
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", ".FlagUsagesWrapped 100"))
	configured(root)
	root.AddCommand(configCommand())
	return root
}

// holder makes a command of one that only holds others: the command that was meant
// may be misspelt, with flags that nobody knows then.
func holder(cmd *cobra.Command) *cobra.Command {
	cmd.FParseErrWhitelist.UnknownFlags = true
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var list []string
		for _, c := range cmd.Commands() {
			list = append(list, c.Name())
		}
		hint := ""
		if found, ok := nearest(args[0], list); ok {
			hint = fmt.Sprintf("; did you mean %q?", found)
		}
		return &usageError{fmt.Errorf("unknown command %q%s; %s --help lists the commands", args[0], hint, cmd.CommandPath())}
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return &usageError{fmt.Errorf("no command given; %s --help lists the commands", cmd.CommandPath())}
	}
	return cmd
}
