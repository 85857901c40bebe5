package dispatch

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	ingotv1 "github.com/ingot-lb/ingot/proto/ingot/v1"
)

// caller opens connections of its own to the centre.
func (c *centre) caller(t *testing.T) ingotv1.DispatchClient {
	t.Helper()
	conn, err := grpc.NewClient(c.address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return ingotv1.NewDispatchClient(conn)
}

// refusalOf calls with a token, or none, says first, and returns how it ends.
func refusalOf(ctx context.Context, client ingotv1.DispatchClient, token string, first *ingotv1.ConnectRequest) error {
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	stream, err := client.Connect(ctx, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	_ = stream.Send(first) // why it cannot be sent is what Recv says
	for {
		if _, err := stream.Recv(); err != nil {
			return err
		}
	}
}

// TestCallersThatAreUpToNoGood: each is told what is wrong, and a speaker is served all the while.
func TestCallersThatAreUpToNoGood(t *testing.T) {
	c := newCentre(t, newMemory(configuration()), nodeNamed("node-1"))
	helloOf := func(node string) *ingotv1.ConnectRequest {
		return &ingotv1.ConnectRequest{Message: &ingotv1.ConnectRequest_Hello{Hello: hello(node)}}
	}
	huge := helloOf(strings.Repeat("n", maxMessage+1))

	// Connections that never say anything, in TLS or not at all.
	for range 200 {
		conn, err := net.Dial("tcp", c.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
	}
	// A thousand streams over twenty connections, each with another token; and as many without.
	var all sync.WaitGroup
	refusals := make(chan error, 2000)
	for i := range 20 {
		client := c.caller(t)
		for j := range 50 {
			for _, token := range []string{"", fmt.Sprintf("forged %d %d", i, j)} {
				all.Go(func() { refusals <- refusalOf(t.Context(), client, token, helloOf("node-1")) })
			}
		}
	}
	// A speaker comes meanwhile.
	good := c.connect(hello("node-1"))
	good.welcome()

	all.Wait()
	close(refusals)
	for err := range refusals {
		if status.Code(err) != codes.Unauthenticated || !strings.Contains(err.Error(), "token") {
			t.Fatalf("refused with %v, want Unauthenticated", err)
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := refusalOf(ctx, c.caller(t), "token of node-1", huge); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message of %d bytes: %v, want ResourceExhausted", maxMessage+1, err)
	}
	if err := refusalOf(ctx, c.caller(t), strings.Repeat("t", 2*maxHeaders), helloOf("node-1")); err == nil || ctx.Err() != nil {
		t.Errorf("a token of %d bytes: %v, want a refusal", 2*maxHeaders, err)
	}
}

// TestCallersThatDoNotCallAreClosed: one that does not finish TLS is not waited for.
func TestCallersThatDoNotCallAreClosed(t *testing.T) {
	c := newCentre(t, newMemory(configuration()), nodeNamed("node-1"))
	conn, err := net.Dial("tcp", c.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(handshakeTimeout + patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("after %s: %v, want the connection closed", handshakeTimeout, err)
	}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}
