package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"usagelake"
)

// progress is the line on a terminal that says how far a load is. A nil
// progress does nothing.
type progress struct {
	mu   sync.Mutex
	bar  *progressbar.ProgressBar
	step string
}

func newProgress(w io.Writer) *progress {
	return &progress{bar: progressbar.NewOptions64(-1,
		progressbar.OptionSetWriter(w),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetWidth(24),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionClearOnFinish(),
	)}
}

// update takes a report of the load. It may be called from any goroutine.
func (p *progress) update(now usagelake.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch now.Step {
	case "map":
		if p.step != now.Step {
			p.bar.ChangeMax64(max(now.TotalBytes, 1))
		}
		p.bar.Describe(fmt.Sprintf("reading, %s records", number(now.Records)))
		_ = p.bar.Set64(min(now.Bytes, now.TotalBytes))
	case "reduce":
		p.bar.Describe("writing partitions")
		_ = p.bar.RenderBlank()
	}
	p.step = now.Step
}

func (p *progress) finish() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.bar.Finish()
}
