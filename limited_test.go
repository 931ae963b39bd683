package usagelake_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"usagelake"
)

// What is held in memory has an end, whatever file is named.
func TestEndlessFiles(t *testing.T) {
	dir := t.TempDir()
	lake := filepath.Join(dir, "lake")
	calls := write(t, filepath.Join(dir, "in.jsonl"), aCall("a", "m", 2, 0, 100, 40, 7, 0.5)+"\n")
	load(t, usagelake.Config{Inputs: []string{calls}, Lake: lake})
	// endless is a pipe from which text comes without an end.
	endless := func(t *testing.T, text string) string {
		path := filepath.Join(t.TempDir(), "endless")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Skip(err)
		}
		go func() {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				return
			}
			defer f.Close()
			block := strings.Repeat(text, 4096/len(text))
			for err == nil {
				_, err = io.WriteString(f, block)
			}
		}()
		return path
	}
	for name, c := range map[string]struct {
		text string
		read func(path string) error
		want string
	}{
		"map": {"#\n", func(path string) error {
			return usagelake.Check(usagelake.Config{Lake: lake, Map: path})
		}, "is longer than 1 MiB, and no map"},
		"book": {"#\n", func(path string) error {
			return usagelake.Check(usagelake.Config{Lake: lake, Prices: []string{path}})
		}, "is longer than 64 MiB, and no price book"},
		"list": {" ", func(path string) error {
			_, err := usagelake.ImportPrices(usagelake.PriceImport{From: "litellm", AsOf: "2026-01-01", File: path, Out: filepath.Join(dir, "book.yaml")})
			return err
		}, "is longer than 64 MiB, and no list of prices"},
		"bill": {"a,", func(path string) error {
			_, err := usagelake.Reconcile(context.Background(), usagelake.Config{Lake: lake}, usagelake.Theirs{CSV: path, Columns: []string{"day=a"}, Provider: "openai"})
			return err
		}, "a line is longer than 1 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			path := endless(t, c.text)
			done := make(chan error, 1)
			go func() { done <- c.read(path) }()
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v, want %q", err, c.want)
				}
				if name != "bill" && !errors.Is(err, usagelake.ErrUsage) {
					t.Errorf("%v is no wrong usage", err)
				}
			case <-time.After(time.Minute):
				t.Fatal("it is still reading")
			}
		})
	}
}
