package sink

import "testing"

// TestCallLog takes more refs into one share than its lists have at first.
func TestCallLog(t *testing.T) {
	const n = 100_000
	var l callLog
	for i := range n {
		l.add(ref{hash: 7<<56 | uint64(i), index: int32(i)})
	}
	list, err := l.share(7, nil)
	if err != nil || len(list) != n || l.n != n {
		t.Fatalf("%d of %d refs: %v", len(list), n, err)
	}
	for i, r := range list {
		if int(r.index) != i {
			t.Fatalf("ref %d is that of %d", i, r.index)
		}
	}
}
