package server

import (
	"net"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestDefaultsAreValidAndTakeTheNamespaceFromTheEnvironment(t *testing.T) {
	t.Setenv("METALLB_NAMESPACE", "lb")
	o := NewOptions()
	o.ID = "replica"

	if err := o.Validate(); err != nil {
		t.Error(err)
	}
	if o.Namespace != "lb" {
		t.Errorf("namespace = %q, want the environment's", o.Namespace)
	}
}

func TestValidateNamesTheFlag(t *testing.T) {
	tests := []struct {
		flags string
		want  string
	}{
		{"--secure-port=0", "--secure-port 0 is not a port"},
		{"--namespace=", "--namespace is required"},
		{"--namespace=Metal_LB", `--namespace "Metal_LB" is not the name of a namespace`},
		{"--dispatch-address=7473", `--dispatch-address "7473" is not host:port`},
		{"--metrics-address=:http", `--metrics-address ":http" is not host:port`},
		{"--admin-socket=adm.sock", `--admin-socket "adm.sock" is not an absolute path`},
		{"--etcd-cafile=ca.crt", "are for --etcd-servers"},
		{"--etcd-servers=https://e:2379 --etcd-certfile=c", "--etcd-certfile and --etcd-keyfile need each other"},
		{"--tls-cert-file=c", "--tls-cert-file and --tls-private-key-file need each other"},
		{"--api-tls-cert-file=c", "--api-tls-cert-file and --api-tls-private-key-file need each other"},
		{"--tls-ca-file=c", "--tls-ca-file is for --tls-cert-file"},
		{"--ca-lifetime=1m --certificate-lifetime=1m --ca-overlap=20s", "no room for two overlaps of 20s"},
		{"--certificate-lifetime=9000h", "outlive their CA"},
		{"--ca-overlap=0s", "shorter than a second"},
		{"--etcd-servers=e:2379", `"e:2379" is not a URL of etcd`},
		{"--log-level=loud", `--log-level: log level "loud" is not one of`},
	}
	for _, tt := range tests {
		t.Run(tt.flags, func(t *testing.T) {
			o := NewOptions()
			flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
			o.AddFlags(flags)
			if err := flags.Parse(strings.Fields(tt.flags)); err != nil {
				t.Fatal(err)
			}
			if err := o.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Validate = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestMetricsMayBeOff(t *testing.T) {
	o := NewOptions()
	o.ID, o.MetricsAddress, o.BindAddress = "replica", "", net.IPv6zero
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
}
