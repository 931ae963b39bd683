package disk

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// fsync makes a file or a directory durable. A goroutine that waits in a system
// call keeps its processor, and with it others from working, until the runtime
// takes it away, which takes longer than the disk does. So the kernel is asked to
// tell when it is done (io_uring(7)); where it takes no such requests, as in many
// containers, the call waits.
func fsync(f *os.File) error {
	if r := kernel(); r != nil {
		if err := r.fsync(f); !errors.Is(err, errNotDone) {
			return err
		}
	}
	return f.Sync()
}

// errNotDone means that nothing became of a request.
var errNotDone = errors.New("the kernel did not take the request")

// ring is a queue of requests to the kernel and one of its answers, in memory that both
// see. It is never closed.
type ring struct {
	fd      int
	ready   syscall.RawConn // to be read when there are answers
	listens chan struct{}   // held by the one of those who wait that hands on answers
	slots   chan struct{}   // one for each request under way

	mu       sync.Mutex
	requests []request
	order    []uint32 // of requests, by place in the queue
	end      *uint32  // of that queue; the kernel takes what is before it
	waiting  map[uint64]chan<- syscall.Errno
	next     uint64 // key of waiting

	answers []answer
	taken   *uint32 // answers before it were taken from their queue
	given   *uint32 // the kernel's: where that queue ends
}

// request is struct io_uring_sqe, of linux/io_uring.h, for IORING_OP_FSYNC.
type request struct {
	op       uint8
	flags    uint8
	priority uint16
	fd       int32
	_        [24]byte
	key      uint64
	_        [24]byte
}

// answer is struct io_uring_cqe.
type answer struct {
	key   uint64
	res   int32 // an error number, negative, or what the call returns
	flags uint32
}

// ringParams is struct io_uring_params. Fields of queues are offsets in their memory.
type ringParams struct {
	requests, answers, flags, cpu, idle, features, workers uint32
	_                                                      [3]uint32

	requestQueue struct {
		start, end, mask, size, flags, dropped, order, _ uint32
		_                                                uint64
	}
	answerQueue struct {
		start, end, mask, size, overflow, answers, flags, _ uint32
		_                                                   uint64
	}
}

const (
	sysRingSetup = 425
	sysRingEnter = 426
	opFsync      = 3          // IORING_OP_FSYNC
	singleMap    = 1 << 0     // IORING_FEAT_SINGLE_MMAP: both queues are in one mapping
	atQueues     = 0          // IORING_OFF_SQ_RING
	atRequests   = 0x10000000 // IORING_OFF_SQES
	ringDepth    = 64         // requests under way; there is room for twice as many answers
)

// kernel is the ring of this process, nil where there can be none.
var kernel = sync.OnceValue(func() *ring {
	var p ringParams
	fd, _, errno := syscall.Syscall(sysRingSetup, ringDepth, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil
	}
	r := &ring{fd: int(fd), listens: make(chan struct{}, 1), slots: make(chan struct{}, ringDepth), waiting: map[uint64]chan<- syscall.Errno{}}
	err := syscall.SetNonblock(r.fd, true)
	f := os.NewFile(fd, "io_uring")
	if err == nil {
		err = f.SetDeadline(time.Time{}) // fails if it cannot be waited for
	}
	if err == nil {
		r.ready, err = f.SyscallConn()
	}
	if err == nil {
		err = r.open(&p)
	}
	if err != nil {
		_ = f.Close()
		return nil
	}
	return r
})

// open finds the queues.
func (r *ring) open(p *ringParams) error {
	if p.features&singleMap == 0 {
		return errNotDone
	}
	const shared, both = syscall.MAP_SHARED | syscall.MAP_POPULATE, syscall.PROT_READ | syscall.PROT_WRITE
	orderEnd := p.requestQueue.order + p.requests*4
	answersEnd := p.answerQueue.answers + p.answers*uint32(unsafe.Sizeof(answer{}))
	queues, err := syscall.Mmap(r.fd, atQueues, int(max(orderEnd, answersEnd)), both, shared)
	if err != nil {
		return err
	}
	requests, err := syscall.Mmap(r.fd, atRequests, int(p.requests)*int(unsafe.Sizeof(request{})), both, shared)
	if err != nil {
		return errors.Join(err, syscall.Munmap(queues))
	}
	word := func(at uint32) *uint32 { return (*uint32)(unsafe.Pointer(&queues[at])) }
	r.requests = unsafe.Slice((*request)(unsafe.Pointer(&requests[0])), p.requests)
	r.order = unsafe.Slice(word(p.requestQueue.order), p.requests)
	r.end = word(p.requestQueue.end)
	r.answers = unsafe.Slice((*answer)(unsafe.Pointer(&queues[p.answerQueue.answers])), p.answers)
	r.taken, r.given = word(p.answerQueue.start), word(p.answerQueue.end)
	return nil
}

// fsync is os.File.Sync, or errNotDone.
func (r *ring) fsync(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return errNotDone
	}
	r.slots <- struct{}{}
	defer func() { <-r.slots }()
	done := make(chan syscall.Errno, 1)
	asked := false
	if err := conn.Control(func(fd uintptr) { asked = r.ask(fd, done) }); err != nil || !asked {
		return errNotDone
	}
	errno, err := r.await(done)
	if err != nil {
		return err
	}
	switch errno {
	case 0:
		return nil
	case syscall.EAGAIN, syscall.ECANCELED, syscall.EINTR, syscall.EINVAL, syscall.EOPNOTSUPP:
		return errNotDone
	default:
		return &os.PathError{Op: "sync", Path: f.Name(), Err: errno}
	}
}

// ask asks for a file to be made durable. done is told what became of it. It reports
// false where the kernel does not take the request.
func (r *ring) ask(fd uintptr, done chan<- syscall.Errno) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	end := atomic.LoadUint32(r.end)
	at := end % uint32(len(r.order)) // which is a power of two
	r.requests[at] = request{op: opFsync, fd: int32(fd), key: r.next}
	r.order[at] = at
	r.waiting[r.next] = done
	atomic.StoreUint32(r.end, end+1)
	for {
		n, _, errno := syscall.Syscall6(sysRingEnter, uintptr(r.fd), 1, 0, 0, 0, 0)
		switch {
		case errno == 0 && n == 1:
			r.next++
			return true
		case errno == syscall.EINTR:
		default: // it was left in the queue, which is looked at in this call alone
			atomic.StoreUint32(r.end, end)
			delete(r.waiting, r.next)
			return false
		}
	}
}

// await waits for an answer, and for those of others meanwhile if nobody else does.
func (r *ring) await(done <-chan syscall.Errno) (syscall.Errno, error) {
	for {
		select {
		case errno := <-done:
			return errno, nil
		case r.listens <- struct{}{}:
			err := r.ready.Read(func(uintptr) bool {
				r.hand()
				return len(done) > 0
			})
			<-r.listens
			if err != nil {
				return 0, err
			}
		}
	}
}

// hand takes the answers that are there from their queue and hands them on.
func (r *ring) hand() {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := atomic.LoadUint32(r.taken)
	for ; at != atomic.LoadUint32(r.given); at++ {
		a := r.answers[at%uint32(len(r.answers))]
		r.waiting[a.key] <- syscall.Errno(-min(a.res, 0))
		delete(r.waiting, a.key)
	}
	atomic.StoreUint32(r.taken, at)
}
