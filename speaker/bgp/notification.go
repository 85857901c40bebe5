package bgp

import (
	"fmt"
	"time"
)

// fault is what went wrong with a session.
type fault struct {
	words string
	// code and subcode are those of the NOTIFICATION that said so (RFC 4271 section 4.5); 0 when none did.
	code, subcode uint8
	// received says that the neighbour sent it.
	received bool
	// vague says that it is but a symptom, for which there may be better words.
	vague bool
}

// lastFault is the newest one of a session.
type lastFault struct {
	fault
	at time.Time // zero when there was none
}

// The NOTIFICATION with which a session is closed that is taken out of the configuration, or shut for a while.
const (
	codeCease        = 6
	ceaseMaxPrefixes = 1
	ceaseDeconfig    = 3
	ceaseReset       = 4
	ceasePathDown    = 10 // RFC 9384
)

// deconfigured is why a session is ended with the NOTIFICATION Cease, Peer De-configured.
func deconfigured(why string) fault {
	return fault{words: why, code: codeCease, subcode: ceaseDeconfig}
}

// pathDown is why a session is ended with the NOTIFICATION Cease, BFD Down.
func pathDown(why string) fault {
	return fault{words: fmt.Sprintf("%s: %q", notificationWords(codeCease, ceasePathDown), why), code: codeCease, subcode: ceasePathDown}
}

// errorNames are the error codes of RFC 4271 section 4.5 and RFC 7313.
var errorNames = map[uint8]string{
	1: "message header error",
	2: "OPEN message error",
	3: "UPDATE message error",
	4: "hold timer expired",
	5: "finite state machine error",
	6: "cease",
	7: "ROUTE-REFRESH message error",
}

// suberrorNames are the subcodes of RFC 4271 section 4.5, RFC 5492 (unsupported capability), RFC 6608, RFC 4486
// and RFC 8538 (cease), RFC 9234 (role mismatch) and RFC 9384 (BFD down).
var suberrorNames = map[[2]uint8]string{
	{1, 1}:  "connection not synchronized",
	{1, 2}:  "bad message length",
	{1, 3}:  "bad message type",
	{2, 1}:  "unsupported version number",
	{2, 2}:  "bad peer AS",
	{2, 3}:  "bad BGP identifier",
	{2, 4}:  "unsupported optional parameter",
	{2, 6}:  "unacceptable hold time",
	{2, 7}:  "unsupported capability",
	{2, 11}: "role mismatch",
	{3, 1}:  "malformed attribute list",
	{3, 2}:  "unrecognized well-known attribute",
	{3, 3}:  "missing well-known attribute",
	{3, 4}:  "attribute flags error",
	{3, 5}:  "attribute length error",
	{3, 6}:  "invalid ORIGIN attribute",
	{3, 8}:  "invalid NEXT_HOP attribute",
	{3, 9}:  "optional attribute error",
	{3, 10}: "invalid network field",
	{3, 11}: "malformed AS_PATH",
	{5, 1}:  "unexpected message in OpenSent",
	{5, 2}:  "unexpected message in OpenConfirm",
	{5, 3}:  "unexpected message in Established",
	{6, 1}:  "maximum number of prefixes reached",
	{6, 2}:  "administrative shutdown",
	{6, 3}:  "peer de-configured",
	{6, 4}:  "administrative reset",
	{6, 5}:  "connection rejected",
	{6, 6}:  "other configuration change",
	{6, 7}:  "connection collision resolution",
	{6, 8}:  "out of resources",
	{6, 9}:  "hard reset",
	{6, 10}: "BFD down",
}

// notificationWords says what a NOTIFICATION means, for example "cease: administrative shutdown (code 6,
// subcode 2)".
func notificationWords(code, subcode uint8) string {
	words, ok := errorNames[code]
	if !ok {
		words = "unknown error"
	}
	if sub, ok := suberrorNames[[2]uint8{code, subcode}]; ok {
		words += ": " + sub
	}
	return fmt.Sprintf("%s (code %d, subcode %d)", words, code, subcode)
}
