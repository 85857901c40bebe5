package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ingot-lb/ingot/speaker/backoff"
)

// maxAddresses bounds how many replicas a name can make the speaker talk to.
const maxAddresses = 16

// lookup returns the addresses of a host.
type lookup func(ctx context.Context, host string) ([]string, error)

func systemResolver(ctx context.Context, host string) ([]string, error) {
	return net.DefaultResolver.LookupHost(ctx, host)
}

// checkEndpoint says what is wrong with one of the endpoints given.
func checkEndpoint(endpoint string) error {
	host, port, err := net.SplitHostPort(endpoint)
	if err != nil {
		return fmt.Errorf("endpoint %q of the centre: %w", endpoint, err)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
		return fmt.Errorf("endpoint %q of the centre is not HOST:PORT", endpoint)
	}
	return nil
}

// resolveAgain asks for the names to be resolved again soon, since an address did not answer.
func (a *Agent) resolveAgain() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// follow keeps a runner for every address of the centre, beginning with those that were known before a restart.
func (a *Agent) follow(ctx context.Context, addresses map[string][]string) {
	var wg sync.WaitGroup
	defer wg.Wait()
	runners := map[string]*runner{}
	failing := map[string]string{}
	known := map[string][]string{}
	retry := backoff.Backoff{First: a.opts.timing.resolveSoon, Most: a.opts.timing.resolveEvery / 6}
	for _, endpoint := range a.opts.Endpoints {
		if cached := addresses[endpoint]; len(cached) > 0 {
			known[endpoint] = cached
		}
	}
	// A node that has just been switched on knows nothing yet, and a DNS that is not there takes its time to say so.
	a.addFiled(known)
	for {
		wanted := map[string]string{}
		for endpoint, list := range known {
			for _, address := range list {
				wanted[address] = endpoint
			}
		}
		a.keep(ctx, &wg, runners, wanted)

		last := time.Now()
		fresh := a.resolveAll(ctx, known, failing)
		if !maps.EqualFunc(fresh, known, slices.Equal) {
			known = fresh
			a.core.remember(known)
			continue
		}
		// A name without any address is that of a centre which is just being installed.
		pause := a.opts.timing.resolveEvery + rand.N(a.opts.timing.resolveEvery/5)
		if slices.ContainsFunc(a.opts.Endpoints, func(endpoint string) bool { return len(known[endpoint]) == 0 }) {
			pause = retry.Next()
		} else {
			retry.Reset()
		}
		if !a.untilResolve(ctx, last, pause) {
			return
		}
	}
}

// untilResolve waits until names are to be resolved again, at the latest after a pause, and says whether ctx is still alive.
func (a *Agent) untilResolve(ctx context.Context, last time.Time, pause time.Duration) bool {
	regular := time.NewTimer(pause)
	defer regular.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-regular.C:
		return true
	case <-a.kick:
		return backoff.Sleep(ctx, a.opts.timing.resolveSoon-time.Since(last)) == nil
	}
}

// keep starts runners for addresses that have none, and retires those whose address is no longer wanted.
func (a *Agent) keep(ctx context.Context, wg *sync.WaitGroup, runners map[string]*runner, wanted map[string]string) {
	for address, r := range runners {
		_, still := wanted[address]
		r.retired.Store(!still)
		select {
		case <-r.done:
			delete(runners, address)
		default:
		}
	}
	for address, endpoint := range wanted {
		if runners[address] != nil {
			continue
		}
		r := &runner{endpoint: endpoint, address: address, done: make(chan struct{})}
		runners[address] = r
		wg.Go(func() { r.run(ctx, a) })
	}
}

// resolveAll returns the addresses of every endpoint; where that fails, those known before. failing keeps the log to
// what is news.
func (a *Agent) resolveAll(ctx context.Context, known map[string][]string, failing map[string]string) map[string][]string {
	out := map[string][]string{}
	for _, endpoint := range a.opts.Endpoints {
		host, port, err := net.SplitHostPort(endpoint)
		if err != nil {
			continue // New has checked it
		}
		hosts := []string{host}
		if net.ParseIP(host) == nil {
			lookupCtx, cancel := context.WithTimeout(ctx, a.opts.timing.silence/2)
			hosts, err = a.opts.resolve(lookupCtx, host)
			cancel()
		}
		if err == nil && len(hosts) == 0 {
			err = fmt.Errorf("%s has no address", host)
		}
		if err != nil {
			if len(known[endpoint]) > 0 {
				out[endpoint] = known[endpoint]
			}
			if text := err.Error(); failing[endpoint] != text && ctx.Err() == nil {
				failing[endpoint] = text
				a.log.Warn("the centre's name does not resolve; using the addresses known before",
					"event", "centreUnresolved", "endpoint", endpoint, "addresses", known[endpoint], "error", err)
			}
			continue
		}
		delete(failing, endpoint)
		list := make([]string, 0, len(hosts))
		for _, h := range hosts {
			list = append(list, net.JoinHostPort(h, port))
		}
		slices.Sort(list)
		list = slices.Compact(list)
		out[endpoint] = list[:min(len(list), maxAddresses)]
	}
	if len(failing) > 0 {
		a.addFiled(out)
	}
	return out
}

// addFiled adds the addresses in the file, under its name.
func (a *Agent) addFiled(known map[string][]string) {
	if list := a.filed(); len(list) > 0 {
		known[a.opts.AddressFile] = list
	}
}

// maxAddressFile is far above what replicas' addresses need.
const maxAddressFile = 1 << 16

// filed reads the file.
func (a *Agent) filed() []string {
	if a.opts.AddressFile == "" {
		return nil
	}
	f, err := os.Open(a.opts.AddressFile)
	if err == nil {
		defer f.Close() // it was read only
		var content []byte
		if content, err = io.ReadAll(io.LimitReader(f, maxAddressFile)); err == nil {
			return parseAddresses(string(content))
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		a.log.Warn("the addresses of the centre cannot be read", "event", "centreAddresses", "error", err)
	}
	return nil
}

// parseAddresses returns those lines that are addresses with a port.
func parseAddresses(content string) []string {
	var list []string
	for line := range strings.Lines(content) {
		if address, err := netip.ParseAddrPort(strings.TrimSpace(line)); err == nil && address.Port() != 0 {
			list = append(list, address.String())
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	return list[:min(len(list), maxAddresses)]
}
