package main

import (
	"context"

	"usagelake"
)

// How a run is planned and opened. Tests put something around it.
var (
	planRun = func(ctx context.Context, cfg usagelake.Config, id string) (run, error) {
		return usagelake.PlanRun(ctx, cfg, id)
	}
	openRun = func(ctx context.Context, cfg usagelake.Config, id string) (run, error) {
		return usagelake.OpenRun(ctx, cfg, id)
	}
)
