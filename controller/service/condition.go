package service

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ingot-lb/ingot/controller/ipam"
)

// Allocated is the type of the condition that a Service of ours carries: whether it has addresses, and what is wrong.
// Services have no generation, and so the condition names none.
const Allocated = "ingot.io/Allocated"

// Reasons of the condition. The first four are of Services that have addresses.
const (
	reasonAllocated      = "Allocated"
	reasonOneFamily      = "OneFamily"      // of two that would be welcome
	reasonKept           = "Kept"           // although no pool allows the addresses any longer
	reasonInvalidRequest = "InvalidRequest" // also of Services without addresses

	reasonNoPool        = "NoPool"
	reasonPoolFull      = "PoolFull"
	reasonUnknownPool   = "UnknownPool"
	reasonNotInPool     = "NotInPool"
	reasonNotAdmitted   = "NotAdmitted" // by the pool, for its namespace or labels
	reasonSharingClash  = "SharingClash"
	reasonQuota         = "QuotaExceeded"
	reasonReserved      = "Reserved"
	reasonResting       = "Resting"
	reasonNoFamily      = "FamilyUnavailable" // in any pool in question
	reasonContradiction = "Contradiction"
	// reasonFamilyMismatch: the addresses asked for are not of the families that the Service has.
	reasonFamilyMismatch = "FamilyMismatch"
	reasonNoClusterIPs   = "NoClusterIPs"
	reasonTerminating    = "Terminating"
	// reasonLedgerUnavailable: there is an address, and the ledger, in which it must be entered first, is away.
	reasonLedgerUnavailable = "LedgerUnavailable"
)

// mostMessage bounds the message of a condition, in bytes: an address may be shared by very many.
const mostMessage = 2048

// requestError is an error about what a Service asks for, with the condition's reason.
type requestError struct {
	reason string
	error
}

func because(reason, format string, args ...any) error {
	return &requestError{reason, fmt.Errorf(format, args...)}
}

// state is what the condition says.
type state struct {
	allocated bool
	reason    string
	message   string
	// cause stays the same while nothing but numbers in the message change. They alone do not cause a write.
	cause string
}

// tell puts the outcome into words. Those of last time stay unless the cause changed.
func (x *decision) tell(svc *corev1.Service, held ipam.Assignment) *state {
	st := x.describe(svc, held)
	if st == nil {
		x.rec.state = nil
		return nil
	}
	st.message = clipped(st.message)
	last := x.rec.state
	if last == nil && st.cause != st.message { // the first time: what was written before a restart counts
		if c := meta.FindStatusCondition(svc.Status.Conditions, Allocated); c != nil && st.isToldExceptFor(c) {
			st.message = c.Message
		}
	}
	if last != nil && last.allocated == st.allocated && last.reason == st.reason && last.cause == st.cause {
		st = last
	}
	x.rec.state = st
	return st
}

func (x *decision) describe(svc *corev1.Service, held ipam.Assignment) *state {
	if len(held.Addrs) > 0 {
		return x.describeHeld(held)
	}
	for _, f := range x.failures {
		switch f.reason {
		case allocationFailed:
			if !x.ips.HasPools() && x.req.addrsErr == nil {
				return refused(reasonNoPool, errors.New("there are no address pools"))
			}
			return x.mentioningMissingPool(refused(reasonOf(f.err), f.err))
		case notEnoughClusterIPs:
			return refused(reasonOf(f.err), f.err)
		case noClusterIPsFamily:
			return refused(reasonInvalidRequest, f.err)
		}
	}
	if svc.DeletionTimestamp != nil {
		return refused(reasonTerminating, errors.New("a Service that is being deleted gets no address any more"))
	}
	return refused(reasonNoClusterIPs, errors.New("the Service has no cluster IP"))
}

// mentioningMissingPool adds the pool that was asked for and does not exist to what the other pools lack.
func (x *decision) mentioningMissingPool(st *state) *state {
	for _, f := range x.failures {
		var missing *missingPoolError
		if errors.As(f.err, &missing) {
			more := fmt.Sprintf("; pool %q, which was asked for, does not exist", missing.pool)
			st.message, st.cause = st.message+more, st.cause+more
		}
	}
	return st
}

func (x *decision) describeHeld(held ipam.Assignment) *state {
	st := &state{allocated: true, reason: reasonAllocated}
	st.message = strings.Join(texts(held.Addrs), " and ")
	switch {
	case held.Pool == "":
	case held.Kept && x.ips.HasPools():
		st.reason = reasonKept
		st.message += fmt.Sprintf(", last of pool %s: no pool allows it any longer, and none was seen to give it up", held.Pool)
	default:
		st.message += " of pool " + held.Pool
	}
	if x.rec.unknownPool != "" {
		st.message += fmt.Sprintf("; pool %q, which was asked for, did not exist", x.rec.unknownPool)
	}
	st.cause = st.message
	if x.missing != nil {
		st.reason = reasonOneFamily
		st.cause += "; " + causeOf(x.missing)
		st.message += fmt.Sprintf("; no second one: %v", x.missing)
	}
	for _, f := range x.failures {
		if f.reason == loadBalancerFailed || f.reason == noClusterIPsFamily {
			st.reason = reasonInvalidRequest
			st.message += fmt.Sprintf("; what the Service asks for now cannot be: %v", f.err)
			st.cause = st.message
		}
	}
	return st
}

func refused(reason string, err error) *state {
	return &state{reason: reason, message: err.Error(), cause: causeOf(err)}
}

// causeOf is ipam's, and what of the pools in it changes seldom enough to be written to all who wait: sizes and who holds
// most, not who of them holds more, which may change with every address.
func causeOf(err error) string {
	cause := ipam.Cause(err)
	var exhausted *ipam.ExhaustedError
	if errors.As(err, &exhausted) {
		for _, l := range exhausted.Lacks {
			var biggest []string
			for _, s := range l.Biggest {
				biggest = append(biggest, s.Namespace)
			}
			slices.Sort(biggest)
			cause += fmt.Sprintf(" %d %s", l.Total, strings.Join(biggest, " "))
		}
	}
	return cause
}

// reasonOf is the condition's reason for an error of the allocator, or about the request.
func reasonOf(err error) string {
	var (
		request      *requestError
		unknown      *ipam.UnknownPoolError
		outside      *ipam.OutsideError
		incompatible *ipam.IncompatibleError
		inUse        *ipam.InUseError
		port         *ipam.PortError
		quota        *ipam.QuotaError
		reserved     *ipam.ReservedError
		resting      *ipam.RestingError
		exhausted    *ipam.ExhaustedError
	)
	switch {
	case errors.As(err, &request):
		return request.reason
	case errors.As(err, &unknown):
		return reasonUnknownPool
	case errors.As(err, &outside):
		return reasonNotInPool
	case errors.As(err, &incompatible):
		return reasonNotAdmitted
	case errors.As(err, &inUse), errors.As(err, &port):
		return reasonSharingClash
	case errors.As(err, &quota):
		return reasonQuota
	case errors.As(err, &reserved):
		return reasonReserved
	case errors.As(err, &resting):
		return reasonResting
	case errors.As(err, &exhausted):
		return reasonOfLacks(exhausted.Lacks)
	}
	return reasonInvalidRequest
}

// reasonOfLacks is what of several pools' reasons is the easiest to help.
func reasonOfLacks(lacks []ipam.Lack) string {
	if len(lacks) == 0 {
		return reasonNoPool
	}
	found := map[string]bool{}
	for _, l := range lacks {
		switch {
		case l.Quota != nil:
			found[reasonQuota] = true
		case l.Total == 0:
			found[reasonNoFamily] = true
		case l.InUse > 0:
			found[reasonPoolFull] = true
		case l.Resting > 0:
			found[reasonResting] = true
		default:
			found[reasonReserved] = true
		}
	}
	for _, reason := range []string{reasonQuota, reasonPoolFull, reasonResting, reasonReserved} {
		if found[reason] {
			return reason
		}
	}
	return reasonNoFamily
}

func (s *state) status() metav1.ConditionStatus {
	if s.allocated {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}

// isToldBy reports whether the Service's condition says s. A nil s is told by having none.
func (s *state) isToldBy(svc *corev1.Service) bool {
	c := meta.FindStatusCondition(svc.Status.Conditions, Allocated)
	if s == nil || c == nil {
		return s == nil && c == nil
	}
	return c.Status == s.status() && c.Reason == s.reason && c.Message == s.message
}

// isToldExceptFor reports whether c says s but for numbers.
func (s *state) isToldExceptFor(c *metav1.Condition) bool {
	return c.Status == s.status() && c.Reason == s.reason && wordsOf(c.Message) == wordsOf(s.message)
}

func wordsOf(message string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, message)
}

// tellIn writes the condition; a nil s takes it away.
func (s *state) tellIn(svc *corev1.Service) {
	if s == nil {
		meta.RemoveStatusCondition(&svc.Status.Conditions, Allocated)
		return
	}
	meta.SetStatusCondition(&svc.Status.Conditions, metav1.Condition{
		Type: Allocated, Status: s.status(), Reason: s.reason, Message: s.message,
	})
}

// clipped is text with no more bytes than a message may have.
func clipped(text string) string {
	if len(text) <= mostMessage {
		return text
	}
	cut := mostMessage - len("…")
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}
