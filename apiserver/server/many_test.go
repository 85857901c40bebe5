package server

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"
)

// TestLargestPool: a pool of as many ranges as fit is judged, stored, listed, shown and changed like any other, and costs
// in proportion to its size.
func TestLargestPool(t *testing.T) {
	config := serveAlone(t)
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	took := map[string]time.Duration{}
	timed := func(what, method, path, contentType, body string, want int) string {
		began := cpuTime(t)
		code, text := send(t, client, config, method, path, contentType, body)
		if took[what] = cpuTime(t) - began; code != want {
			t.Fatalf("%s: %d %s", what, code, clip(text))
		}
		return text
	}
	const ranges = 80_000
	body := poolText("large", "", single(0, ranges))
	timed("create", http.MethodPost, pathOfPools, asJSON, body, http.StatusCreated)
	timed("create one beside it", http.MethodPost, pathOfPools, asJSON, poolText("small", "", []string{"192.168.0.0/24"}), http.StatusCreated)
	timed("apply", http.MethodPatch, pathOfPools+"/large?fieldManager=x&force=true", asApply, body, http.StatusOK)
	timed("label", http.MethodPatch, pathOfPools+"/large", asMerge, `{"metadata":{"labels":{"a":"b"}}}`, http.StatusOK)
	timed("add a range", http.MethodPatch, pathOfPools+"/large", asJSONPatch, `[{"op":"add","path":"/spec/addresses/-","value":"192.168.9.0/24"}]`, http.StatusOK)
	text := timed("an overlap", http.MethodPost, pathOfPools, asJSON, poolText("other", "", []string{"10.0.0.0/16"}), http.StatusUnprocessableEntity)
	if !strings.Contains(text, `IPAddressPool \"large\"`) {
		t.Errorf("the overlap is refused with %s", clip(text))
	}
	text = timed("list", http.MethodGet, pathOfPools, asJSON, "", http.StatusOK)
	if got := strings.Count(text, "/32"); got != ranges {
		t.Errorf("%d ranges are listed, want %d", got, ranges)
	}
	timed("delete", http.MethodDelete, pathOfPools+"/large", asJSON, "", http.StatusOK)
	timed("the freed addresses", http.MethodPost, pathOfPools, asJSON, poolText("other", "", []string{"10.0.0.0/16"}), http.StatusCreated)
	t.Logf("%d bytes, %d ranges: %v", len(body), ranges, took)
	for what, d := range took {
		if d > 30*time.Second {
			t.Errorf("%s took %s", what, d)
		}
	}
}

// cpuTime is what this process, server and client, has worked. Other than time it does not pass while others work.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// rude is a client that is in everybody's way, if it can be.
type rude struct {
	name string
	// begin returns what ends it.
	begin func(t *testing.T, config *rest.Config, address string) (end func())
}

// TestOthersAreUnaffected: while each of the rude clients does what it does, somebody writes, and does not have to wait
// many times as long as without; afterwards no memory is kept.
func TestOthersAreUnaffected(t *testing.T) {
	config := serveAlone(t)
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(config.Host, "https://")
	for i := range 300 { // something to list
		if code, text := send(t, client, config, http.MethodPost, pathOfPools, asJSON, poolText(fmt.Sprint("p-", i), "", single(1000*i, 300))); code != http.StatusCreated {
			t.Fatalf("%d %s", code, clip(text))
		}
	}
	write := func(n int) time.Duration {
		var took []time.Duration
		for i := range n {
			began := time.Now()
			if code, text := send(t, client, config, http.MethodPatch, pathOfPools+"/p-0", asMerge, fmt.Sprintf(`{"metadata":{"labels":{"n":"%d"}}}`, i)); code != http.StatusOK {
				t.Fatalf("a good client's write: %d %s", code, clip(text))
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		return took[n/2]
	}
	write(20)
	alone := write(50)
	before := heap()
	for _, r := range rudeClients {
		t.Run(r.name, func(t *testing.T) {
			end := r.begin(t, config, address)
			beside := write(50)
			during := heap()
			end()
			t.Logf("a write takes %s alone, %s beside (%.1f times); heap %d MiB before, %d during", alone, beside, float64(beside)/float64(alone), before>>20, during>>20)
			if beside > 50*alone+time.Second { // which one that waits for them would be far beyond
				t.Errorf("a write takes %s alone and %s beside", alone, beside)
			}
			if during > before+400<<20 {
				t.Errorf("heap %d MiB before, %d during", before>>20, during>>20)
			}
		})
	}
}

// dials opens connections and prepares each; ending closes them.
func dials(n int, prepare func(net.Conn) error) func(*testing.T, *rest.Config, string) func() {
	return func(t *testing.T, _ *rest.Config, address string) func() {
		var conns []net.Conn
		var all sync.WaitGroup
		todo := make(chan net.Conn)
		for range 16 { // at a time: the server bounds how long a handshake may take
			all.Go(func() {
				for conn := range todo {
					if err := prepare(conn); err != nil {
						t.Errorf("prepare: %v", err)
					}
				}
			})
		}
		for range n {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				break
			}
			conns = append(conns, conn)
			todo <- conn
		}
		close(todo)
		all.Wait()
		return func() {
			for _, conn := range conns {
				conn.Close()
			}
		}
	}
}

// overTLS is a connection that speaks a protocol of ALPN.
func overTLS(conn net.Conn, protocol string) (*tls.Conn, error) {
	secured := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}})
	return secured, secured.Handshake()
}

// says writes text over TLS, and nothing after it.
func says(text string) func(net.Conn) error {
	return func(conn net.Conn) error {
		secured, err := overTLS(conn, "http/1.1")
		if err != nil {
			return err
		}
		_, err = io.WriteString(secured, text)
		return err
	}
}

var rudeClients = []rude{
	{"nothing at all", dials(1000, func(net.Conn) error { return nil })},
	{"half of a TLS handshake", dials(1000, func(conn net.Conn) error {
		_, err := conn.Write([]byte{0x16, 0x03, 0x01, 0x02, 0x00, 0x01})
		return err
	})},
	{"idle TLS", dials(2000, says(""))},
	{"half of a header", dials(500, says("POST "+pathOfPools+" HTTP/1.1\r\nHost: x\r\nX-"))},
	{"no body", dials(500, says("POST "+pathOfPools+" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{"))},
	{"rapid reset", dials(20, rapidReset)},
	{"large lists that are not read", authorized(20, pathOfPools)},
	{"watches that are not read", authorized(200, pathOfPools+"?watch=true&resourceVersion=0")},
	{"10 MB from each of many", func(t *testing.T, config *rest.Config, _ string) func() {
		client, err := rest.HTTPClientFor(config)
		if err != nil {
			t.Fatal(err)
		}
		large := poolText("victim", "", []string{strings.Repeat("1", tenMegabytes)})
		var all sync.WaitGroup
		stop := make(chan struct{})
		for range 3 {
			all.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if code, text := send(t, client, config, http.MethodPost, pathOfPools, asJSON, large); code != http.StatusRequestEntityTooLarge {
						t.Errorf("%d %s", code, clip(text))
					}
				}
			})
		}
		return func() { close(stop); all.Wait() }
	}},
}

// rapidReset opens streams and takes them back at once (CVE-2023-44487), until the server has had enough.
func rapidReset(conn net.Conn) error {
	secured, err := overTLS(conn, "h2")
	if err != nil {
		return err
	}
	var headers bytes.Buffer
	encoder := hpack.NewEncoder(&headers)
	for _, f := range []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "x"}, {Name: ":path", Value: pathOfPools}} {
		if err := encoder.WriteField(f); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(secured, http2.ClientPreface); err != nil {
		return err
	}
	framer := http2.NewFramer(secured, secured)
	if err := framer.WriteSettings(); err != nil {
		return err
	}
	for id := uint32(1); id < 40_000; id += 2 {
		err := errors.Join(
			framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: headers.Bytes(), EndStream: true, EndHeaders: true}),
			framer.WriteRSTStream(id, http2.ErrCodeCancel))
		if err != nil {
			return nil // the server has closed the connection, as it should
		}
	}
	return nil
}

// authorized asks for something that is long, with credentials, and does not read the answer.
func authorized(n int, path string) func(*testing.T, *rest.Config, string) func() {
	return func(t *testing.T, config *rest.Config, address string) func() {
		return dials(n, says("GET "+path+" HTTP/1.1\r\nHost: "+address+"\r\nAuthorization: Bearer "+config.BearerToken+"\r\n\r\n"))(t, config, address)
	}
}

// TestWhoIsNobodyIsToldSo, for everything there is.
func TestWhoIsNobodyIsToldSo(t *testing.T) {
	config := rest.AnonymousClientConfig(serveAlone(t))
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	body := poolText("a", "", []string{"10.0.0.0/24"})
	for _, r := range []struct{ method, path string }{
		{http.MethodGet, pathOfPools}, {http.MethodPost, pathOfPools}, {http.MethodDelete, pathOfPools}, {http.MethodPut, pathOfPools + "/a"},
		{http.MethodPatch, pathOfPools + "/a"}, {http.MethodGet, pathOfPools + "?watch=true"}, {http.MethodGet, "/openapi/v2"}, {http.MethodGet, "/metrics"},
		{http.MethodGet, "/apis/metallb.io/v1beta1"}, {http.MethodGet, "/debug/pprof/heap"}, {http.MethodGet, "/nothing"},
	} {
		code, text := send(t, client, config, r.method, r.path, asJSON, body)
		var status struct{ Message, Reason string }
		if err := json.Unmarshal([]byte(text), &status); code != http.StatusUnauthorized || err != nil || status.Message == "" {
			t.Errorf("%s %s: %d %s, want 401 with a Status", r.method, r.path, code, clip(text))
		}
	}
}
