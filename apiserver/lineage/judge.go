// Package lineage keeps the store that the apiserver was given from being taken for the one that the cluster has had: an
// empty directory, a wrong volume, or an old copy. What the store is known by is remembered in the host cluster.
package lineage

import (
	"fmt"
	"strings"
)

// Identity is what a store is known by. An empty Lineage: there is no store.
type Identity struct {
	Lineage   string
	EpochBase int64
}

// Remembered is what the host cluster knows of the store.
type Remembered struct {
	Identity
	// Where the store was, in words.
	Where string
	// GiveUp is the lineage that the administrator gives up, and Restore the Secret that is to be restored from.
	GiveUp, Restore string
}

// Action is what is to be done.
type Action int

// Actions.
const (
	Refuse  Action = iota
	Accept         // the store is the right one, or becomes it
	Begin          // there is no store, and there may be a new one
	Restore        // there is no store, and it is to be filled from an export
)

// Judge says what is to be done about a store, and where it is refused why.
func Judge(found Identity, r Remembered) (Action, string) {
	given := r.Lineage != "" && r.GiveUp == r.Lineage
	switch {
	case found.Lineage == "" && (r.Lineage == "" || given):
		return Begin, ""
	case found.Lineage == "" && r.Restore != "":
		return Restore, ""
	case found.Lineage == "":
		return Refuse, "there is no store, but this cluster has had one"
	case r.Lineage == "" || found == r.Identity || given && found.Lineage != r.Lineage:
		return Accept, ""
	case found.Lineage != r.Lineage:
		return Refuse, fmt.Sprintf("this store is of lineage %s, which is not this cluster's", found.Lineage)
	case found.EpochBase < r.EpochBase && !given:
		return Refuse, "this is the store from before an export of it was restored elsewhere"
	}
	return Accept, ""
}

// refusal is what operators read.
func refusal(why, where string, found Identity, r Remembered, namespace string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s). The cluster's is of lineage %s", why, where, r.Lineage)
	if r.Where != "" {
		fmt.Fprintf(&b, ", last seen as %s", r.Where)
	}
	b.WriteString(". Nothing is served, and speakers go on announcing what they know. Give this apiserver the right directory or etcd and start it again")
	annotate := fmt.Sprintf("kubectl annotate --overwrite configmap -n %s %s ", namespace, ConfigMapName)
	if found.Lineage == "" {
		fmt.Fprintf(&b, "; or restore the last export: %s%s=ingot-export; or begin anew, with no configuration: ", annotate, RestoreAnnotation)
	} else {
		b.WriteString("; or take this store instead, with what is in it: ")
	}
	fmt.Fprintf(&b, "%s%s=%s", annotate, GiveUpAnnotation, r.Lineage)
	return b.String()
}
