package encode

import (
	"sync"

	"github.com/parquet-go/parquet-go/bloom"
)

const blockHashes = 4 << 10

type hashBlock [blockHashes]uint64

var hashBlocks = sync.Pool{New: func() any { return new(hashBlock) }}

// hashes holds those of a row group's texts until it ends, in blocks that all
// files share.
type hashes struct {
	blocks []*hashBlock
	n      int
}

func (l *hashes) add(h uint64) {
	at := l.n % blockHashes
	if at == 0 {
		l.blocks = append(l.blocks, hashBlocks.Get().(*hashBlock))
	}
	l.blocks[len(l.blocks)-1][at] = h
	l.n++
}

// drain puts all into a filter and gives the memory back.
func (l *hashes) drain(to bloom.SplitBlockFilter) {
	for i, b := range l.blocks {
		to.InsertBulk(b[:min(blockHashes, l.n-i*blockHashes)])
	}
	l.forget()
}

// forget gives the memory back.
func (l *hashes) forget() {
	for i, b := range l.blocks {
		hashBlocks.Put(b)
		l.blocks[i] = nil
	}
	l.blocks, l.n = l.blocks[:0], 0
}
