// Package interop has the tests of speaker/bfd, over the sockets of speaker/bfd/wire, with FRR's bfdd as the neighbour.
package interop
