package e2e

import "fmt"

// bgp is a pool, peers and an advertisement as seed 002 writes them, for addresses n apart from other tests'.
func bgp(n int) string {
	return fmt.Sprintf(`
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {namespace: metallb-system, name: pool%[1]d}
spec:
  addresses:
  - 198.51.%[1]d.100-198.51.%[1]d.200
  - 2001:db8:%[1]d::200-2001:db8:%[1]d::400
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {namespace: metallb-system, name: peer%[1]d}
spec:
  peerAddress: %[2]s
  peerASN: 64501
  myASN: 64500
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {namespace: metallb-system, name: peer%[1]d-v6}
spec:
  peerAddress: "%[3]s"
  peerASN: 64501
  myASN: 64500
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {namespace: metallb-system, name: advertisement%[1]d}
spec:
  ipAddressPools: [pool%[1]d]
  peers: [peer%[1]d, peer%[1]d-v6]
  communities: ["65535:65282"]
  aggregationLength: 32
  aggregationLengthV6: 128
  localPref: 100
`, n, routerV4, routerV6)
}

// layer2 is a pool on the LAN with its advertisement, for addresses from 192.168.222.n up.
func layer2(n int) string {
	return fmt.Sprintf(`
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {namespace: metallb-system, name: lan%[1]d}
spec:
  addresses: ["192.168.222.%[1]d-192.168.222.%[2]d"]
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {namespace: metallb-system, name: lan%[1]d}
spec:
  ipAddressPools: [lan%[1]d]
`, n, n+9)
}

// service is a Service in front of the lab's pods that draws from a pool. extra is more of its spec, as YAML lines
// indented by two.
func service(name, pool, extra string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata:
  name: %s
  annotations: {metallb.io/address-pool: %s}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{port: 80}]
%s
---`, name, pool, extra)
}

const dualStack = "  ipFamilyPolicy: RequireDualStack"
const local = "  externalTrafficPolicy: Local"
