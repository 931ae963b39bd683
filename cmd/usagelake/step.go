package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"usagelake"
)

func stepCommand() *cobra.Command {
	cmd := holder(&cobra.Command{
		Use:   "step COMMAND",
		Short: "Load in steps, on several machines",
		Long: `A load in four steps, for the array jobs of a scheduler that you have: plan, then
map by as many processes as you like, then reduce likewise, then commit. They share
the inputs and the lake, on a file system or in a bucket, and nothing else. Every
step may be killed, repeated, or run twice at once; only commit changes the lake,
and the table is that of one load. docs/steps.md tells how; deploy/ has manifests
for Kubernetes, SLURM and AWS Batch.

` + exitCodes,
	})
	cmd.AddCommand(stepPlanCommand(), stepMapCommand(), stepReduceCommand(), stepCommitCommand())
	return cmd
}

func stepPlanCommand() *cobra.Command {
	var cfg usagelake.Config
	var step stepping
	cmd := &cobra.Command{
		Use:   "plan INPUT... --lake DIR --run ID",
		Short: "Plan a load in steps",
		Long: `Find the inputs, recognise what was loaded before, and divide what is to be read
into items. The flags are those of load; the other steps take them from the plan,
with the price books and mappings as they are now. Planned again under the same ID
nothing changes, unless the lake was changed meanwhile: then it is a new plan. An ID
is for one load: with other inputs or flags it is refused.`,
		Example: `  usagelake step plan s3://logs/2026/ --lake s3://warehouse/llm --run 2026-08-21`,
		Args:    inputArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg.Inputs = args
			cfg.Log = logger(cmd)
			limitMemory(cfg.Memory)
			run, err := usagelake.PlanRun(cmd.Context(), cfg, step.run)
			if err != nil {
				return err
			}
			if run.Done() > 0 {
				return step.say(cmd, "run %s is in the lake already: record %d", step.run, run.Done())
			}
			return step.say(cmd, "run %s: %s items to be mapped", step.run, number(int64(run.Maps())))
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	lakeFlag(f, &cfg.Lake)
	step.flags(f)
	recordFlags(f, &cfg)
	idFlags(f, &cfg, true)
	inputFlags(f, &cfg)
	runFlags(f, &cfg)
	f.Var(&size{&cfg.Split, 1}, "split", "`bytes` of inputs that an item reads, such as 64MiB; larger plain files are read in ranges (default 256MiB)")
	return cmd
}

func stepMapCommand() *cobra.Command {
	var step stepping
	return step.command(&cobra.Command{
		Use:   "map --lake DIR --run ID [--shard I/N]",
		Short: "Read a share of the inputs of a planned load",
		Long: `Do the items of the plan that fall to this share: those whose number leaves I when
divided by N. What is done is left. ` + shardHelp,
		Example: `  usagelake step map --lake s3://warehouse/llm --run 2026-08-21 --shard 0/8`,
	}, func(ctx context.Context, cmd *cobra.Command, run *usagelake.Run) error {
		var items []int
		for i := step.shard.index; i < run.Maps(); i += step.shard.count {
			items = append(items, i)
		}
		if _, err := run.Map(ctx, items...); err != nil {
			return err
		}
		return step.say(cmd, "run %s: %s of %s items are mapped", step.run, number(int64(len(items))), number(int64(run.Maps())))
	})
}

func stepReduceCommand() *cobra.Command {
	var step stepping
	return step.command(&cobra.Command{
		Use:   "reduce --lake DIR --run ID [--shard I/N]",
		Short: "Make a share of the files of a planned load",
		Long: `Make the files of the table that fall to this share: the I-th of N parts of them, by
date. What is made is left. All items must be mapped: otherwise the exit code is 75.
` + shardHelp,
		Example: `  usagelake step reduce --lake s3://warehouse/llm --run 2026-08-21 --shard 0/4`,
	}, func(ctx context.Context, cmd *cobra.Command, run *usagelake.Run) error {
		units, err := run.Units(ctx)
		if err != nil {
			return err
		}
		i, n := step.shard.index, step.shard.count
		mine := units[len(units)*i/n : len(units)*(i+1)/n]
		if err := run.Reduce(ctx, mine...); err != nil {
			return err
		}
		return step.say(cmd, "run %s: %s of %s files are made", step.run, number(int64(len(mine))), number(int64(len(units))))
	})
}

func stepCommitCommand() *cobra.Command {
	var cfg usagelake.Config
	var step stepping
	var out output
	cmd := &cobra.Command{
		Use:   "commit --lake DIR --run ID",
		Short: "Publish a planned load",
		Long: `Check the books of what the other steps made, and publish it: all or nothing. While
something is missing, or when the lake was changed since the plan, nothing is
published, and the exit code is 75: repeat the step, or plan again. Committed again
it says so.

` + exitCodes,
		Example: `  usagelake step commit --lake s3://warehouse/llm --run 2026-08-21 -v`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			before := false
			return out.run(cmd, cfg, func(ctx context.Context, cfg usagelake.Config) (*usagelake.Report, error) {
				run, err := usagelake.OpenRun(ctx, cfg, step.run)
				if err != nil {
					return &usagelake.Report{Lake: cfg.Lake}, err
				}
				before = run.Done() > 0
				return run.Commit(ctx)
			}, func(w io.Writer, r *usagelake.Report) {
				if before {
					fmt.Fprintf(w, "run %s is in the lake already: record %d\n", step.run, r.Seq)
					return
				}
				summary(w, r)
			})
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	lakeFlag(f, &cfg.Lake)
	f.StringVar(&step.run, "run", "", "`id` of the run, as planned")
	idFlags(f, &cfg, false)
	workFlags(f, &cfg)
	out.flags(f)
	out.driftFlag(f)
	return cmd
}

const shardHelp = `Without --shard the share is taken from the variables of Kubernetes Indexed Jobs
(with --shards N), AWS Batch arrays, SLURM arrays, Cloud Run jobs, and Google Batch;
where there are none it is all.`

// stepping is what the steps have in common.
type stepping struct {
	run     string
	shard   shard
	shards  int
	verbose bool
	cfg     usagelake.Config
}

func (s *stepping) flags(f *pflag.FlagSet) {
	f.StringVar(&s.run, "run", "", "`id` of the run, of your choice; the other steps have the same")
	f.BoolVarP(&s.verbose, "verbose", "v", false, "print what was done also where there is no terminal")
}

// command makes the command of a step that is done in shares.
func (s *stepping) command(cmd *cobra.Command, do func(context.Context, *cobra.Command, *usagelake.Run) error) *cobra.Command {
	cmd.Args = noArguments
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if s.shard.count == 0 {
			var err error
			if s.shard, err = shardOf(os.Getenv, s.shards); err != nil {
				return &usageError{err}
			}
		}
		s.cfg.Log = logger(cmd)
		limitMemory(s.cfg.Memory)
		run, err := usagelake.OpenRun(cmd.Context(), s.cfg, s.run)
		if err != nil {
			return err
		}
		if run.Done() > 0 {
			return s.say(cmd, "run %s is in the lake already: record %d", s.run, run.Done())
		}
		return do(cmd.Context(), cmd, run)
	}
	f := cmd.Flags()
	f.SortFlags = false
	lakeFlag(f, &s.cfg.Lake)
	s.flags(f)
	f.Var(&s.shard, "shard", "`part` of the work: the I-th of N, from 0, such as 2/8")
	f.Var(atLeast(&s.shards, 1, 0), "shards", "`number` of shares, where the environment tells only which one this is")
	idFlags(f, &s.cfg, false)
	workFlags(f, &s.cfg)
	return cmd
}

// say prints a line, for people.
func (s *stepping) say(cmd *cobra.Command, format string, args ...any) error {
	worked(cmd)
	out := cmd.OutOrStdout()
	if !s.verbose && !isTerminal(out) {
		return nil
	}
	_, err := fmt.Fprintf(out, format+"\n", args...)
	return err
}

// shard is a share of the work: index of count, from 0.
type shard struct{ index, count int }

func (s *shard) Type() string { return "shard" }

func (s *shard) String() string {
	if s.count == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.index, s.count)
}

func (s *shard) Set(text string) error {
	i, n, _ := strings.Cut(text, "/")
	index, e1 := strconv.Atoi(i)
	count, e2 := strconv.Atoi(n)
	if e1 != nil || e2 != nil || count < 1 || index < 0 || index >= count {
		return fmt.Errorf("%q: want I/N with I from 0 to N-1, such as 0/8", text)
	}
	*s = shard{index, count}
	return nil
}

// arrays are the variables by which schedulers tell a process of an array its share.
var arrays = []struct{ index, count, least, step string }{
	{index: "SLURM_ARRAY_TASK_ID", count: "SLURM_ARRAY_TASK_COUNT", least: "SLURM_ARRAY_TASK_MIN", step: "SLURM_ARRAY_TASK_STEP"},
	{index: "AWS_BATCH_JOB_ARRAY_INDEX", count: "AWS_BATCH_JOB_ARRAY_SIZE"},
	{index: "CLOUD_RUN_TASK_INDEX", count: "CLOUD_RUN_TASK_COUNT"},
	{index: "BATCH_TASK_INDEX", count: "BATCH_TASK_COUNT"},
	{index: "JOB_COMPLETION_INDEX"}, // Kubernetes does not tell the count
}

// shardOf is the share that the environment gives a process, of so many where that is
// not 0; all of the work where it says nothing.
func shardOf(env func(string) string, shards int) (shard, error) {
	value := func(name string, otherwise int) (int, error) {
		text := env(name)
		if name == "" || text == "" {
			return otherwise, nil
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return 0, fmt.Errorf("%s is %q: want a number", name, text)
		}
		return n, nil
	}
	for _, a := range arrays {
		if env(a.index) == "" {
			continue
		}
		var n [4]int
		for k, v := range []struct {
			name      string
			otherwise int
		}{{a.index, 0}, {a.count, 0}, {a.least, 0}, {a.step, 1}} {
			var err error
			if n[k], err = value(v.name, v.otherwise); err != nil {
				return shard{}, err
			}
		}
		s := shard{(n[0] - n[2]) / max(n[3], 1), n[1]}
		if shards > 0 {
			s.count = shards
		}
		switch {
		case s.count == 0:
			return shard{}, fmt.Errorf("%s is %d, of how many is not said: give --shards N", a.index, n[0])
		case s.index < 0 || s.index >= s.count:
			return shard{}, fmt.Errorf("%s says share %d of %d: shares count from 0", a.index, s.index, s.count)
		}
		return s, nil
	}
	if shards > 1 {
		return shard{}, fmt.Errorf("--shards %d, and no variable of a scheduler says which one this is: give --shard I/%[1]d", shards)
	}
	return shard{0, 1}, nil
}
