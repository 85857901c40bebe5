package bfd

// Discard says why a packet was thrown away. It is an error.
type Discard uint8

// Reasons of RFC 5880 section 6.8.6 in its order, then those of RFC 5881 section 5 and RFC 5883 section 5.
const (
	DiscardShort Discard = iota + 1
	DiscardVersion
	DiscardLength
	DiscardDetectMultiplier
	DiscardMultipoint
	DiscardMyDiscriminator
	DiscardYourDiscriminator
	DiscardAuthenticationLength
	DiscardUnknownDiscriminator
	DiscardUnknownNeighbor
	DiscardAuthenticated
	DiscardAdminDown
	DiscardTTL
	DiscardMinimumTTL
)

var discards = [...]string{
	DiscardShort:                "is cut short",
	DiscardVersion:              "is not of version 1",
	DiscardLength:               "has a length field that is too small",
	DiscardDetectMultiplier:     "has a detect multiplier of 0",
	DiscardMultipoint:           "has the multipoint bit set",
	DiscardMyDiscriminator:      "has no discriminator",
	DiscardYourDiscriminator:    "lacks our discriminator although its state is Init or Up",
	DiscardAuthenticationLength: "has an authentication section of a wrong length",
	DiscardUnknownDiscriminator: "names a discriminator that no session has",
	DiscardUnknownNeighbor:      "comes from an address that no session is with",
	DiscardAuthenticated:        "is authenticated, which is not supported",
	DiscardAdminDown:            "arrived while we are administratively down",
	DiscardTTL:                  "did not arrive with a TTL of 255: it was routed",
	DiscardMinimumTTL:           "arrived with less than the minimum TTL",
}

// Error says what is wrong with the packet; it continues "the packet".
func (d Discard) Error() string {
	if int(d) < len(discards) && discards[d] != "" {
		return discards[d]
	}
	return "is not acceptable"
}
