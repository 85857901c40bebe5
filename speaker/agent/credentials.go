package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/ingot-lb/ingot/certs/inspect"
)

// transportCredentials verify the centre by the CA file as it is now.
func (a *Agent) transportCredentials() (credentials.TransportCredentials, error) {
	pem, err := os.ReadFile(a.opts.CAFile)
	if err != nil {
		return nil, fmt.Errorf("the centre's CA: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the centre's CA: no certificate in %s", a.opts.CAFile)
	}
	return explaining{credentials.NewTLS(&tls.Config{
		RootCAs:    pool,
		ServerName: a.opts.ServerName,
		MinVersion: tls.VersionTLS12,
	}), pem}, nil
}

// lastOf is when the last of the CAs in a file expires. From then on no centre is trusted; while there are several, as during a
// rotation, the end of one of them is no event.
func lastOf(file string) (last time.Time, ok bool) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return last, false // the stream's error says so
	}
	for _, c := range inspect.Certificates(pem) {
		if c.NotAfter.After(last) {
			last, ok = c.NotAfter, true
		}
	}
	return last, ok
}

// explaining says of a certificate that is refused what it is, and by what it should have been known.
type explaining struct {
	credentials.TransportCredentials
	roots []byte
}

// ClientHandshake implements credentials.TransportCredentials.
func (c explaining) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, raw)
	return conn, info, inspect.Explain(err, c.roots)
}

// Clone implements credentials.TransportCredentials.
func (c explaining) Clone() credentials.TransportCredentials {
	return explaining{c.TransportCredentials.Clone(), c.roots}
}

// tokenFile is the path of a bearer token that somebody else renews.
type tokenFile string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (f tokenFile) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	data, err := os.ReadFile(string(f))
	token := strings.TrimSpace(string(data))
	if err == nil && token == "" {
		err = errors.New("the file is empty")
	}
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "the token of this speaker: %v", err)
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (tokenFile) RequireTransportSecurity() bool { return true }
