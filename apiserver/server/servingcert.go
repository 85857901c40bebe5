package server

import (
	"net"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"

	"github.com/ingot-lb/ingot/certs"
)

// servingCert gives the certificate of certs to the generic server, which asks again when it is told of a change.
type servingCert struct{ serving *certs.Serving }

var _ dynamiccertificates.CertKeyContentProvider = servingCert{}

// Name implements dynamiccertificates.CertKeyContentProvider.
func (servingCert) Name() string { return "ingot" }

// CurrentCertKeyContent implements dynamiccertificates.CertKeyContentProvider.
func (s servingCert) CurrentCertKeyContent() (cert, key []byte) { return s.serving.CertKey() }

// AddListener implements dynamiccertificates.CertKeyContentProvider.
func (s servingCert) AddListener(l dynamiccertificates.Listener) { s.serving.OnChange(l.Enqueue) }

// ownAddresses are those under which this machine or Pod may be called directly.
func ownAddresses() []net.IP {
	ips := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return ips // the names are what matters
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			ips = append(ips, n.IP)
		}
	}
	return ips
}
