package main

import (
	"flag"
	"log/slog"

	"github.com/ingot-lb/ingot/certs/handshake"
	"github.com/ingot-lb/ingot/certs/monitoring"
)

// monitored are the flags of how metrics are served, beside where.
type monitored struct {
	limits handshake.Limits
	tls    monitoring.Options
}

func (m *monitored) addTo(fs *flag.FlagSet) {
	fs.BoolVar(&m.tls.TLS, monitoring.TLSFlag, false, monitoring.TLSUsage)
	fs.StringVar(&m.tls.CertDir, monitoring.CertDirFlag, "", monitoring.CertDirUsage)
	m.limits.AddFlags(func(v handshake.Value, name, usage string) { fs.Var(v, name, usage) })
}

// options are what the flags come to.
func (m *monitored) options(log *slog.Logger) monitoring.Options {
	o := m.tls
	o.Limits, o.Log = &m.limits, log
	return o
}
