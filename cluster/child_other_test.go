//go:build !linux

package cluster

import "os/exec"

// bind does nothing here: a child outlives a test that is killed.
func bind(cmd *exec.Cmd) {}

func lockThread() {}
