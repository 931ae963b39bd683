package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/apache/beam/sdks/v2/go/container/tools"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/harness"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/universal/extworker"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/util/grpcx"
)

// servePool is a worker for --environment_type=EXTERNAL: it does what runners
// that know this port of this machine ask for, until ctx ends. It listens on
// localhost only, so each machine that runs functions has one of its own.
func servePool(ctx context.Context, port int) error {
	pool, err := extworker.StartLoopback(ctx, port)
	if err != nil {
		return fmt.Errorf("pool of workers: %w", err)
	}
	<-ctx.Done()
	return pool.Stop(context.WithoutCancel(ctx))
}

// serveProcess is a worker for --environment_type=PROCESS: a runner starts it
// and says where it listens. It ends when the runner hangs up.
func serveProcess(ctx context.Context, id, provision string) error {
	id = strings.Trim(id, "'") // prism quotes it
	ctx = grpcx.WriteWorkerID(ctx, id)
	info, err := tools.ProvisionInfo(ctx, provision)
	if err != nil {
		return fmt.Errorf("worker %s: ask the runner: %w", id, err)
	}
	err = harness.MainWithOptions(ctx, info.GetLoggingEndpoint().GetUrl(), info.GetControlEndpoint().GetUrl(), harness.Options{
		RunnerCapabilities: info.GetRunnerCapabilities(),
		StatusEndpoint:     info.GetStatusEndpoint().GetUrl(),
	})
	if err != nil {
		return fmt.Errorf("worker %s: %w", id, err)
	}
	return nil
}
