package rotation

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/ingot-lb/ingot/certs/inspect"
)

// dialEnv makes this program the one that connects, from within the lab: its value is the directory of the lab.
const dialEnv = "INGOT_ROTATION_DIAL"

// servers are all that serve by issued certificates, with the names by which they are called.
var servers = []struct{ address, name string }{
	{"172.30.0.2:10443", "apiserver.metallb-system.svc"}, {"172.30.0.3:10443", "apiserver.metallb-system.svc"},
	{"172.30.0.2:7473", "apiserver.metallb-system.svc"}, {"172.30.0.3:7473", "apiserver.metallb-system.svc"},
	{"172.30.0.2:9443", "webhooks.metallb-system.svc"},
}

// dialled is what came of it.
type dialled struct {
	Connections int
	Failures    []string
	// Late are those who took longer than an overlap to look at what they were shown.
	Late int
	// Served are the distinct certificates that were shown.
	Served int
}

func stopFile(lab string) string { return filepath.Join(lab, "stop-dialling") }

// dial connects to every server again and again, as who trusts the bundle that is mounted, until the file that says stop is
// there, and writes what came of it.
func dial(lab string) error {
	var all dialled
	served := map[string]bool{}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := os.Stat(stopFile(lab)); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		for _, s := range servers {
			began := time.Now()
			bundle, err := os.ReadFile(filepath.Join(lab, "ca", "ca.crt"))
			if err != nil {
				return err
			}
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(bundle)
			all.Connections++
			shown, err := handshake(s.address, s.name, roots)
			var refused *tls.CertificateVerificationError
			switch {
			case err == nil:
				served[shown] = true
			case errors.As(err, &refused) && time.Since(began) > overlap:
				all.Late++ // this program stood still meanwhile, and nobody is to know what it trusts for longer
			default:
				all.Failures = append(all.Failures, fmt.Sprintf("%s %s: %v", time.Now().Format(time.TimeOnly), s.address, inspect.Explain(err, bundle)))
			}
		}
	}
	all.Served = len(served)
	return json.NewEncoder(os.Stdout).Encode(all)
}

// handshake returns the certificate that is shown.
func handshake(address, name string, roots *x509.CertPool) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	dialer := tls.Dialer{NetDialer: &net.Dialer{}, Config: &tls.Config{RootCAs: roots, ServerName: name, NextProtos: []string{"h2"}}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return string(conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw), nil
}
