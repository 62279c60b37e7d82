package acceptance_test

import (
	"math"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/refty-yapi/refty-node-versions-service/api"
	"github.com/refty-yapi/refty-node-versions-service/pkg/sandbox"
)

// limitFiles makes every write to a file fail that goes beyond some bytes, as on a
// full disk. It changes the running process from outside, as a disk would.
func (p *process) limitFiles(bytes uint64) {
	p.t.Helper()
	limit := unix.Rlimit{Cur: bytes, Max: math.MaxUint64}
	p.must(unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil))
}

// The disk is full: nothing is answered 202 that is not stored, what does not need
// the store works, and all goes on by itself when there is room again.
func TestDiskIsFull(t *testing.T) {
	t.Parallel()
	var all sideBySide
	for name, bytes := range map[string]uint64{"not a byte more": 0, "some pages more": 256 << 10} {
		all.run(t, name, func(t *testing.T) {
			p := newPushes(40)
			w := prepare(t, onMain, withEnv("WEBHOOK_GHCR_SECRET", hookSecret), withEnv("LOG_LEVEL", "info"), withFiles(p.files()), withEnv("DATA_DIR", t.TempDir()))
			service := w.spawn()
			w.hub.Inject(sandbox.BadGateway())
			p.accepted(service.world, 0)
			p.queuedWith(service.world, 0, api.ProblemCodeUpstreamError)
			w.hub.ClearFaults()
			service.limitFiles(bytes)
			p.fill(service.world)
			p.wantStoreAway(service.world, len(p.all)-1)
			service.wantStoreFailed()
			<-time.After(*outageTime) // the work of the one that waits is due meanwhile
			service.limitFiles(math.MaxUint64)
			service.wantStoreReady()
			began := time.Now()
			for i, d := range p.all {
				if d.update == "" {
					p.acceptedSoon(service.world, i)
				}
			}
			p.committed(service.world, patience)
			t.Logf("all ended %s after there was room", time.Since(began).Round(time.Millisecond))
			service.terminate(15 * time.Second)
		})
	}
	all.Wait()
}

// fill hands in deliveries until one is refused.
func (p pushes) fill(w *world) {
	w.t.Helper()
	for _, d := range p.all[1:] {
		r, err := d.post(w)
		w.must(err)
		if r.status == http.StatusServiceUnavailable {
			return
		}
		d.update = idIn(r)
	}
	w.t.Fatal("nothing was refused")
}
