package cluster

import (
	"os/exec"
	"runtime"
	"syscall"
)

// bind makes a child die with the test, also when that is killed.
func bind(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// lockThread keeps the goroutine on its thread.
func lockThread() { runtime.LockOSThread() }
