package batch_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/refty-yapi/refty-node-versions-service/pkg/internal/batch"
)

// recorder is work that waits for leave each time, and tells what it was given.
type recorder struct {
	leave chan struct{}
	calls [][]int
}

func (r *recorder) work(items []int) {
	<-r.leave
	r.calls = append(r.calls, items)
}

func (r *recorder) want(t *testing.T, want ...[]int) {
	t.Helper()
	if !slices.EqualFunc(r.calls, want, slices.Equal) {
		t.Errorf("calls %v, want %v", r.calls, want)
	}
}

func TestItemsShareACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{leave: make(chan struct{})}
		b := batch.New(3, nil, r.work)
		b.Add(0)
		synctest.Wait() // the first is on its way alone
		for i := range 4 {
			b.Add(i + 1)
		}
		if n := b.Waiting(); n != 4 {
			t.Errorf("%d wait, want 4", n)
		}
		close(r.leave)
		synctest.Wait()
		r.want(t, []int{0}, []int{1, 2, 3}, []int{4})
		b.Add(5) // begins once more
		synctest.Wait()
		r.want(t, []int{0}, []int{1, 2, 3}, []int{4}, []int{5})
	})
}

func TestWithdraw(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{leave: make(chan struct{})}
		b := batch.New(10, nil, r.work)
		b.Add(0)
		synctest.Wait()
		b.Add(1)
		b.Add(2)
		if b.Withdraw(0) || !b.Withdraw(1) || b.Withdraw(1) {
			t.Error("only what waits can be withdrawn, and once")
		}
		close(r.leave)
		synctest.Wait()
		r.want(t, []int{0}, []int{2})
	})
}

func TestWithdrawAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{leave: make(chan struct{})}
		b := batch.New(10, nil, r.work)
		b.Add(0)
		synctest.Wait()
		for i := range 4 {
			b.Add(i + 1)
		}
		even := func(i int) bool { return i%2 == 0 }
		if taken := b.WithdrawAll(even); !slices.Equal(taken, []int{2, 4}) || b.Waiting() != 2 || b.WithdrawAll(even) != nil {
			t.Errorf("taken %v, %d wait", taken, b.Waiting())
		}
		close(r.leave)
		synctest.Wait()
		r.want(t, []int{0}, []int{1, 3})
	})
}

// TestOnlyWhatFitsSharesACall keeps the order of arrival for the first of each call.
func TestOnlyWhatFitsSharesACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{leave: make(chan struct{})}
		b := batch.New(2, func(first, other int) bool { return first/10 == other/10 }, r.work)
		b.Add(0)
		synctest.Wait()
		for _, i := range []int{20, 10, 21, 11, 22, 12} {
			b.Add(i)
		}
		close(r.leave)
		synctest.Wait()
		r.want(t, []int{0}, []int{20, 21}, []int{10, 11}, []int{22}, []int{12})
	})
}

// TestNothingIsLost has many callers add items while the work comes and goes.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	var (
		seen    sync.Map
		running atomic.Bool
		left    sync.WaitGroup
	)
	b := batch.New(7, nil, func(items []int) {
		if running.Swap(true) {
			t.Error("two calls at once")
		}
		for _, i := range items {
			if _, twice := seen.LoadOrStore(i, true); twice {
				t.Errorf("%d came twice", i)
			}
			left.Done()
		}
		running.Store(false)
	})
	for caller := range 8 {
		left.Add(500)
		go func() {
			for i := range 500 {
				b.Add(caller*500 + i)
			}
		}()
	}
	left.Wait()
}
