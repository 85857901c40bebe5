// Package loopback has an address of this machine for each process of tests. A port that is looked for, found free and
// given back may be taken before it is used, by whoever listens or just connects somewhere; a port of this address may not.
package loopback

import (
	"net/netip"
	"os"
)

// Address is that of this process, and of those that it starts and tells. All of 127.0.0.0/8 leads to this machine, and
// connections within it begin at 127.0.0.1, so that every port of another address is free until somebody listens there.
func Address() netip.Addr {
	pid := os.Getpid() // less than 1<<22
	return netip.AddrFrom4([4]byte{127, byte(128 | pid>>16&63), byte(pid >> 8), byte(pid)})
}
