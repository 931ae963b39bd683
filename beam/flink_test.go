package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// envFlink names the directory of the jars of Beam's job server for Flink.
const envFlink = "USAGELAKE_FLINK_LIB"

// flink starts a job server with a Flink of its own, and returns where it
// listens. conf is Flink's configuration.
func flink(t *testing.T, conf string) string {
	t.Helper()
	lib := os.Getenv(envFlink)
	if lib == "" {
		t.Skip("beam/run --flink runs this")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "flink-conf.yaml"), []byte(conf), 0o666); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	cmd := exec.Command("java", "-Xmx1g", "-cp", filepath.Join(lib, "*"), "org.apache.beam.runners.flink.FlinkJobServerDriver",
		"--job-host=127.0.0.1", fmt.Sprint("--job-port=", port), "--artifact-port=0", "--expansion-port=-1",
		"--flink-master=[local]", "--flink-conf-dir="+dir, "--artifacts-dir="+filepath.Join(dir, "artifacts"))
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() || os.Getenv("FLOG") != "" {
			text, _ := os.ReadFile(log.Name())
			t.Logf("the job server said:\n%s", text)
		}
	})
	listens(t, port)
	return fmt.Sprint("127.0.0.1:", port)
}

// fixedDelay has Flink start a job anew that has failed.
const fixedDelay = "restart-strategy.type: fixed-delay\nrestart-strategy.fixed-delay.attempts: 2\nrestart-strategy.fixed-delay.delay: 1 s\n"

func TestFlink(t *testing.T) {
	at := flink(t, "")
	on := func(workers func(*testing.T, []string) []string) func(*testing.T, []string) []string {
		return func(t *testing.T, env []string) []string {
			return append([]string{"--runner=flink", "--endpoint=" + at, "--parallelism=2"}, workers(t, env)...)
		}
	}
	t.Run("loopback", func(t *testing.T) {
		scenarios(t, place{alone: true, args: on(func(*testing.T, []string) []string { return []string{"--environment_type=LOOPBACK"} })})
	})
	t.Run("process", func(t *testing.T) { scenarios(t, place{args: on(process)}) })
	t.Run("pool", func(t *testing.T) { scenarios(t, place{args: on(pool)}) })
}

// TestFlinkRestarts is what TestFlink is, on a Flink that does not give up.
func TestFlinkRestarts(t *testing.T) {
	at := flink(t, fixedDelay)
	scenarios(t, place{lasting: true, args: func(t *testing.T, env []string) []string {
		return append([]string{"--runner=flink", "--endpoint=" + at, "--parallelism=2"}, process(t, env)...)
	}})
}
