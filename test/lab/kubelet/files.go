package kubelet

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// hostname is what a Pod calls itself.
func hostname(pod *corev1.Pod) string {
	if pod.Spec.HostNetwork {
		return pod.Spec.NodeName
	}
	name := pod.Name
	if pod.Spec.Hostname != "" {
		name = pod.Spec.Hostname
	}
	return strings.TrimRight(name[:min(len(name), 63)], "-.")
}

// hosts is a Pod's /etc/hosts.
func hosts(pod *corev1.Pod, addresses []netip.Addr, domain string) string {
	var out strings.Builder
	out.WriteString("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" +
		"fe00::\tip6-localnet\nfe00::\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n")
	name := hostname(pod)
	if pod.Spec.Subdomain != "" && !pod.Spec.HostNetwork {
		name = fmt.Sprintf("%s.%s.%s.svc.%s\t%s", name, pod.Spec.Subdomain, pod.Namespace, domain, name)
	}
	for _, address := range addresses {
		fmt.Fprintf(&out, "%s\t%s\n", address, name)
	}
	if len(pod.Spec.HostAliases) > 0 {
		out.WriteString("\n# Entries added by HostAliases.\n")
	}
	for _, alias := range pod.Spec.HostAliases {
		fmt.Fprintf(&out, "%s\t%s\n", alias.IP, strings.Join(alias.Hostnames, "\t"))
	}
	return out.String()
}

// resolver is a resolv.conf(5) in parts.
type resolver struct{ servers, search, options []string }

func parseResolver(text string) (r resolver) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			r.servers = append(r.servers, fields[1])
		case "search":
			r.search = fields[1:]
		case "options":
			r.options = append(r.options, fields[1:]...)
		}
	}
	return r
}

func (r resolver) String() string {
	var out strings.Builder
	if len(r.search) > 0 {
		fmt.Fprintf(&out, "search %s\n", strings.Join(r.search, " "))
	}
	for _, server := range r.servers {
		fmt.Fprintf(&out, "nameserver %s\n", server)
	}
	if len(r.options) > 0 {
		fmt.Fprintf(&out, "options %s\n", strings.Join(r.options, " "))
	}
	return out.String()
}

// resolvConf is a Pod's /etc/resolv.conf, as its dnsPolicy and dnsConfig have it.
func resolvConf(pod *corev1.Pod, dns []netip.Addr, domain, node string) string {
	own := parseResolver(node)
	cluster := resolver{
		search:  append([]string{pod.Namespace + ".svc." + domain, "svc." + domain, domain}, own.search...),
		options: []string{"ndots:5"},
	}
	for _, address := range dns {
		cluster.servers = append(cluster.servers, address.String())
	}
	r := own
	switch pod.Spec.DNSPolicy {
	case corev1.DNSClusterFirstWithHostNet:
		r = cluster
	case corev1.DNSClusterFirst, "":
		if !pod.Spec.HostNetwork {
			r = cluster
		}
	case corev1.DNSNone:
		r = resolver{}
	}
	if config := pod.Spec.DNSConfig; config != nil {
		r.servers = union(r.servers, config.Nameservers)
		r.search = union(r.search, config.Searches)
		for _, option := range config.Options {
			r.options = slices.DeleteFunc(r.options, func(o string) bool {
				name, _, _ := strings.Cut(o, ":")
				return name == option.Name
			})
			text := option.Name
			if option.Value != nil && *option.Value != "" {
				text += ":" + *option.Value
			}
			r.options = append(r.options, text)
		}
	}
	return r.String()
}

func union(a, b []string) []string {
	for _, s := range b {
		if !slices.Contains(a, s) {
			a = append(a, s)
		}
	}
	return a
}
