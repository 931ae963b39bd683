package main

import (
	"fmt"
	"strings"
	"testing"
)

// What schedulers tell a process of an array is its share.
func TestShardOf(t *testing.T) {
	for _, tt := range []struct {
		env    string
		shards int
		want   string // or the beginning of an error
	}{
		{"", 0, "0/1"},
		{"", 1, "0/1"},
		{"", 4, "--shards 4, and no variable"},
		{"JOB_COMPLETION_INDEX=3", 8, "3/8"},
		{"JOB_COMPLETION_INDEX=3", 0, "JOB_COMPLETION_INDEX is 3, of how many"},
		{"JOB_COMPLETION_INDEX=8", 8, "JOB_COMPLETION_INDEX says share 8 of 8"},
		{"AWS_BATCH_JOB_ARRAY_INDEX=2 AWS_BATCH_JOB_ARRAY_SIZE=5", 0, "2/5"},
		{"AWS_BATCH_JOB_ARRAY_INDEX=2", 5, "2/5"},
		{"SLURM_ARRAY_TASK_ID=7 SLURM_ARRAY_TASK_COUNT=4 SLURM_ARRAY_TASK_MIN=5", 0, "2/4"},
		{"SLURM_ARRAY_TASK_ID=6 SLURM_ARRAY_TASK_COUNT=4 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_STEP=2", 0, "3/4"},
		{"SLURM_ARRAY_TASK_ID=4 SLURM_ARRAY_TASK_COUNT=4 SLURM_ARRAY_TASK_MIN=5", 0, "SLURM_ARRAY_TASK_ID says share -1"},
		{"CLOUD_RUN_TASK_INDEX=0 CLOUD_RUN_TASK_COUNT=1", 0, "0/1"},
		{"BATCH_TASK_INDEX=9 BATCH_TASK_COUNT=10", 0, "9/10"},
		{"BATCH_TASK_INDEX=x BATCH_TASK_COUNT=10", 0, `BATCH_TASK_INDEX is "x"`},
	} {
		env := map[string]string{}
		for pair := range strings.FieldsSeq(tt.env) {
			name, value, _ := strings.Cut(pair, "=")
			env[name] = value
		}
		s, err := shardOf(func(name string) string { return env[name] }, tt.shards)
		got := s.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, tt.want) || err == nil && got != tt.want {
			t.Errorf("%s, %d shares: %s, want %s", tt.env, tt.shards, got, tt.want)
		}
	}
	for _, text := range []string{"", "1", "1/1", "-1/2", "2/2", "0/0", "a/b", "0/2/3"} {
		if err := new(shard).Set(text); err == nil {
			t.Errorf("share %q was taken", text)
		}
	}
	var s shard
	if err := s.Set("1/2"); err != nil || fmt.Sprint(s) != "{1 2}" {
		t.Errorf("1/2: %v, %v", s, err)
	}
}
