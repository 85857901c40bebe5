package store

import (
	"path"
	"strings"
)

// The keys; docs/architecture.md lists them for operators. None may lie under objectPrefix, or watches of objects
// would see them.
const (
	storagePrefix = "/registry"
	objectPrefix  = storagePrefix + "/" + groupName + "/"

	guardKey     = "/ingot/guard"
	lineageKey   = "/ingot/lineage"
	leaderKey    = "/ingot/leader"
	adoptionKey  = "/ingot/adoption"
	digestKey    = "/ingot/digest-key"
	layer2Prefix = "/ingot/layer2/"

	ownPrefix    = "/ingot/"
	epochBaseKey = ownPrefix + "epoch-base"
	fillingKey   = ownPrefix + "filling"
	fillingLock  = ownPrefix + "filling-lock"

	// allocationPrefix begins the keys of IPAllocations, which stand apart from the configuration. One watch sees them
	// and ledgerKey.
	ledgerStorage    = "/ingot"
	ledgerKey        = ledgerStorage + "/ledger"
	allocationPrefix = ledgerKey + "/"
	allocatorKey     = "/ingot/allocator"
	releasedPrefix   = "/ingot/released/"
)

const groupName = "metallb.io"

// resourceOf returns the plural name in the key of an object, or "" when it is not one.
func resourceOf(key string) string {
	rest, ok := strings.CutPrefix(key, objectPrefix)
	if !ok {
		return ""
	}
	resource, _, _ := strings.Cut(rest, "/")
	return resource
}

// resourcePrefix is where generic storage keeps a resource, below storagePrefix.
func resourcePrefix(resource string) string {
	return path.Join("/", groupName, resource)
}
