// Package bfd is an engine for Bidirectional Forwarding Detection: RFC 5880 in asynchronous mode with the echo function,
// over one hop (RFC 5881) and several (RFC 5883).
//
// An Engine holds sessions; Open starts one. What it sends and receives goes through a Transport, which package wire
// implements with sockets.
package bfd
