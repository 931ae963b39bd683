package main

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"usagelake/bench/logs"
)

// peerNames are what usagelake is measured against.
var peerNames = []string{"duckdb", "clickhouse"}

// bare is the program that reads, checks and writes as much, and makes no row.
const bare = "bare"

// threads is what every engine may use.
const threads = 2

// chdb is ClickHouse as a Python package.
const chdb = "chdb==4.4.0"

//go:embed statements/*.sql
var statements embed.FS

// clickhouse runs the statement on standard input.
const clickhouse = `
import sys, chdb
print(chdb.query(sys.stdin.read(), "TabSeparated"), end="")
`

// engines are the programs that can be run, built or installed below work.
type engines struct {
	root, work string
	version    map[string]string // of each engine that is there
	missing    map[string]error  // why a peer is not, and how to get it
	generator  string            // hash of the generator's program
}

// errMissing is the outcome of every trial of a peer that is not there.
var errMissing = errors.New("missing")

// prepare builds usagelake, the generator and the peers.
func prepare(root, work string, peers []string) (*engines, error) {
	e := &engines{root: root, work: work, version: make(map[string]string), missing: make(map[string]error)}
	if err := e.build(root, "usagelake", "./cmd/usagelake"); err != nil {
		return nil, err
	}
	// Nothing of the commit is in the program, so that data outlives commits.
	for _, name := range []string{"gen", "steps", bare} {
		if err := e.build(".", name, "./"+name); err != nil {
			return nil, err
		}
	}
	program, err := os.ReadFile(e.bin("gen"))
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(program)
	e.generator = hex.EncodeToString(hash[:])
	for _, peer := range peerNames {
		e.missing[peer] = errors.New("not asked for")
	}
	for _, peer := range peers {
		slog.Info("prepare", "peer", peer)
		if err := e.prepare(peer); err != nil {
			slog.Warn("peer is missing", "peer", peer, "error", err)
			e.missing[peer] = err
			continue
		}
		delete(e.missing, peer)
	}
	return e, nil
}

func (e *engines) bin(name string) string { return filepath.Join(e.work, "bin", name) }

func (e *engines) build(dir, name, path string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", e.bin(name), path)
	cmd.Dir = dir
	_, _, err := measure(cmd)
	return err
}

func (e *engines) prepare(peer string) error {
	question := "SELECT version()"
	switch peer {
	case "duckdb":
		if err := e.build(filepath.Join("peers", "duckdb"), "duckdb", "."); err != nil {
			return fmt.Errorf("needs a C++ compiler and the Go module proxy: %w", err)
		}
	case "clickhouse":
		if _, err := e.query(peer, question); err == nil {
			break
		}
		// All in one go, since half a venv is none.
		venv := filepath.Join(e.work, "venv")
		if err := os.RemoveAll(venv); err != nil {
			return err
		}
		if _, _, err := measure(exec.Command("python3", "-m", "venv", venv)); err != nil {
			return fmt.Errorf("needs python3 with venv (Debian: apt-get install python3-venv): %w", err)
		}
		pip := exec.Command(filepath.Join(venv, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", chdb)
		if _, _, err := measure(pip); err != nil {
			return fmt.Errorf("needs %s from PyPI: %w", chdb, err)
		}
	}
	version, err := e.query(peer, question)
	if err != nil {
		return err
	}
	e.version[peer] = strings.TrimSpace(version)
	return nil
}

// sql is the command that runs a statement in a peer.
func (e *engines) sql(peer, statement string) *exec.Cmd {
	var cmd *exec.Cmd
	switch peer {
	case "duckdb":
		cmd = exec.Command(e.bin("duckdb"), "-threads", strconv.Itoa(threads))
	case "clickhouse":
		cmd = exec.Command(filepath.Join(e.work, "venv", "bin", "python"), "-c", clickhouse)
	}
	cmd.Stdin = strings.NewReader(statement)
	return cmd
}

// query returns a statement's rows.
func (e *engines) query(peer, statement string) (string, error) {
	_, out, err := measure(e.sql(peer, statement))
	return out, err
}

// command is the process that a trial measures. like is the table that was written
// before.
func (e *engines) command(t *trial, in, like, out string) (*exec.Cmd, error) {
	if t.engine == bare {
		cmd := exec.Command(e.bin(bare), in, like, out)
		cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(threads))
		return cmd, nil
	}
	if t.workers > 0 {
		return exec.Command(e.bin("steps"), e.bin("usagelake"), strconv.Itoa(t.workers), in, out), nil
	}
	if t.engine == "usagelake" {
		args := []string{"load", in, "--lake", out, "--jobs", strconv.Itoa(threads)}
		if t.data.Lines == 0 {
			args = []string{"--version"}
		}
		cmd := exec.Command(e.bin("usagelake"), args...)
		cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(threads))
		return cmd, nil
	}
	text, err := statements.ReadFile("statements/" + t.engine + "-" + t.data.Workload + ".sql")
	if err != nil {
		return nil, err
	}
	if t.engine == "clickhouse" { // names its files, and wants their directory
		if err := os.MkdirAll(out, 0o755); err != nil {
			return nil, err
		}
		out = filepath.Join(out, "{_partition_id}.parquet")
	}
	statement := strings.NewReplacer("{IN}", quote(filepath.Join(in, "*")), "{OUT}", quote(out), "{THREADS}", strconv.Itoa(threads))
	return e.sql(t.engine, statement.Replace(string(text))), nil
}

// quote returns a text as SQL.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// data returns the directory of a spec's logs and what they add up to. They
// are written once; a stamp beside them says which generator wrote what.
func (e *engines) data(s logs.Spec) (string, logs.Written, error) {
	type stamp struct {
		Generator string
		Written   logs.Written
	}
	name := fmt.Sprintf("%s-%d-lines-%d-files-%d-days-%s-seed-%d", s.Workload, s.Lines, s.Files, s.Days, s.Compress, s.Seed)
	dir := filepath.Join(e.work, "data", name)
	in, mark := filepath.Join(dir, "logs"), filepath.Join(dir, "stamp.json")
	text, err := os.ReadFile(mark)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", logs.Written{}, err
	}
	var old stamp
	if err == nil && json.Unmarshal(text, &old) == nil && old.Generator == e.generator && old.Written.Spec == s {
		return in, old.Written, nil
	}

	slog.Info("generate", "logs", name)
	if err := os.RemoveAll(dir); err != nil {
		return "", logs.Written{}, err
	}
	_, out, err := measure(exec.Command(e.bin("gen"),
		"-workload", s.Workload, "-lines", strconv.Itoa(s.Lines), "-files", strconv.Itoa(s.Files), "-days", strconv.Itoa(s.Days),
		"-start", s.Start.Format("2006-01-02"), "-compress", s.Compress, "-seed", strconv.FormatUint(s.Seed, 10), "-out", in))
	if err != nil {
		return "", logs.Written{}, err
	}
	made := stamp{Generator: e.generator}
	if err := json.Unmarshal([]byte(out), &made.Written); err != nil {
		return "", logs.Written{}, err
	}
	if made.Written.Spec != s {
		return "", logs.Written{}, fmt.Errorf("the generator wrote %+v instead of %+v", made.Written.Spec, s)
	}
	if text, err = json.MarshalIndent(made, "", "  "); err != nil {
		return "", logs.Written{}, err
	}
	return in, made.Written, os.WriteFile(mark, text, 0o644)
}

// sums reads back the rows that an engine wrote and what they add up to.
func (e *engines) sums(t *trial, out string) (rows int64, sums logs.Sums, err error) {
	cost := "0"
	switch {
	case t.engine == "usagelake":
		cost = "reported_cost_usd"
	case t.data.Workload == "slim":
		cost = "cost"
	}
	whole := func(column string) string { return fmt.Sprintf("CAST(coalesce(sum(%s), 0) AS HUGEINT)", column) }
	text, err := e.query("duckdb", fmt.Sprintf(
		"SELECT count(*), %s, %s, %s, CAST(coalesce(sum(CAST(%s AS DECIMAL(38, 9))), 0) * 1000000000 AS HUGEINT) FROM read_parquet(%s, hive_partitioning = false)",
		whole("input_tokens"), whole("output_tokens"), whole("total_tokens"), cost, quote(out+"/**/*.parquet")))
	if err != nil {
		return 0, logs.Sums{}, err
	}
	_, err = fmt.Sscan(text, &rows, &sums.Input, &sums.Output, &sums.Total, &sums.Cost)
	return rows, sums, err
}
