package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// The messages of all errors begin with MetalLB's words for the same cause, which scripts look for, and go on with
// what a user needs to know. Numbers in them change from try to try; Cause has what does not.

// ErrExhausted says that no pool in question has what is wanted.
var ErrExhausted = errors.New("no available IPs")

// ErrNotAllowed marks errors that say that the pools do not allow an assignment, as opposed to other holders.
var ErrNotAllowed = errors.New("not allowed by the pools")

// Cause is what of an error of this package stays the same while the cause does: two errors for one Service tell the
// same if their causes are equal. For other errors it is the message.
func Cause(err error) string {
	var c interface{ cause() string }
	if errors.As(err, &c) {
		return c.cause()
	}
	return err.Error()
}

// RetryAt is when what was refused may be granted if nothing but time passes.
func RetryAt(err error) (at time.Time, ok bool) {
	var r interface{ retryAt() time.Time }
	if errors.As(err, &r) {
		at = r.retryAt()
	}
	return at, !at.IsZero()
}

// UnknownPoolError says that a pool that was asked for does not exist.
type UnknownPoolError struct{ Pool string }

// Error implements error.
func (e *UnknownPoolError) Error() string { return fmt.Sprintf("unknown pool %q", e.Pool) }

// OutsideError says that the addresses are not all of one pool. It is ErrNotAllowed.
type OutsideError struct{ Addrs []netip.Addr }

// Error implements error.
func (e *OutsideError) Error() string { return Quoted(e.Addrs) + " is not allowed in config" }

// Is implements errors.Is.
func (e *OutsideError) Is(target error) bool { return target == ErrNotAllowed }

// IncompatibleError says that a pool does not admit the Service. It is ErrNotAllowed.
type IncompatibleError struct {
	Pool string
	// Why the Service is not admitted.
	Why string
}

// Error implements error.
func (e *IncompatibleError) Error() string {
	return fmt.Sprintf("pool %s not compatible for ip assignment: %s", e.Pool, e.Why)
}

// Is implements errors.Is.
func (e *IncompatibleError) Is(target error) bool { return target == ErrNotAllowed }

func (e *IncompatibleError) cause() string {
	return "pool " + e.Pool + " not compatible for ip assignment"
}

// ExhaustedError is ErrExhausted with the reason.
type ExhaustedError struct {
	// Pool that was asked for; empty where any would have done.
	Pool string
	// Lacks says why of the pools that were tried, the first few of them, and Others how many more there were.
	Lacks  []Lack
	Others int
	// Until is when the first address comes to the end of its rest, where that would do.
	Until time.Time
}

// Lack is why a pool has no address to give.
type Lack struct {
	Pool   string
	Family Family
	// Total addresses of the family there are in the pool, InUse of them.
	Total, InUse int64
	// Resting addresses, the first of them Until; the others that are not in use are reserved for somebody else.
	Resting int64
	Until   time.Time
	// Biggest holders of the pool's addresses.
	Biggest []Share
	// Quota is set where the pool has addresses and the namespace may not have more of them.
	Quota *QuotaError
}

// Error implements error.
func (e *ExhaustedError) Error() string {
	var b strings.Builder
	b.WriteString(ErrExhausted.Error())
	if e.Pool != "" {
		b.WriteString(" in pool " + e.Pool)
		for _, l := range e.Lacks {
			b.WriteString(": " + l.sentence("it has"))
		}
		return b.String()
	}
	for i, l := range e.Lacks {
		b.WriteString([]string{": ", "; "}[min(i, 1)])
		if l.Quota == nil {
			b.WriteString("pool " + l.Pool + ": ")
		}
		b.WriteString(l.sentence("it has"))
	}
	if e.Others > 0 {
		fmt.Fprintf(&b, "; and %d more pools", e.Others)
	}
	if len(e.Lacks) == 0 {
		b.WriteString(": no pool assigns addresses to this Service automatically")
	}
	return b.String()
}

func (l *Lack) sentence(has string) string {
	if l.Quota != nil {
		return l.Quota.Error()
	}
	if l.Total == 0 {
		return fmt.Sprintf("%s no %s addresses", has, l.Family)
	}
	var parts []string
	if l.InUse > 0 {
		part := fmt.Sprintf("%d in use", l.InUse)
		for i, s := range l.Biggest {
			part += []string{", most by namespaces ", ", "}[min(i, 1)] + fmt.Sprintf("%s (%d)", s.Namespace, s.Addresses)
		}
		parts = append(parts, part)
	}
	if n := l.Total - l.InUse - l.Resting; n > 0 {
		parts = append(parts, fmt.Sprintf("%d reserved for others", n))
	}
	if l.Resting > 0 {
		parts = append(parts, fmt.Sprintf("%d at rest since they were released, the first until %s", l.Resting, stamp(l.Until)))
	}
	return fmt.Sprintf("of its %d %s addresses %s", l.Total, l.Family, strings.Join(parts, "; "))
}

func (e *ExhaustedError) cause() string {
	parts := []string{ErrExhausted.Error(), e.Pool}
	for _, l := range e.Lacks {
		parts = append(parts, l.Pool, l.Family.String(), fmt.Sprint(l.Total == 0, l.Resting > 0, l.Quota != nil))
	}
	return strings.Join(parts, " ")
}

func (e *ExhaustedError) retryAt() time.Time { return e.Until }

// Is implements errors.Is.
func (e *ExhaustedError) Is(target error) bool { return target == ErrExhausted }

// ReservedError says that an address is held for somebody else.
type ReservedError struct {
	Addr        netip.Addr
	Reservation string
	// For says whom: a Service, a namespace or nobody.
	For    string
	Reason string // as its author gave it
}

func newReservedError(addr netip.Addr, r *Reservation) *ReservedError {
	return &ReservedError{Addr: addr, Reservation: r.Name, For: r.For(), Reason: r.Reason}
}

// Error implements error.
func (e *ReservedError) Error() string {
	text := fmt.Sprintf("%q is reserved for %s by IPReservation %q", e.Addr, e.For, e.Reservation)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// RestingError says that an address was released a short time ago by another Service.
type RestingError struct {
	Addr  netip.Addr
	Pool  string
	Last  string // the Service that had it
	Until time.Time
}

// Error implements error.
func (e *RestingError) Error() string {
	return fmt.Sprintf("%q of pool %s rests until %s, since Service %s released it", e.Addr, e.Pool, stamp(e.Until), e.Last)
}

func (e *RestingError) retryAt() time.Time { return e.Until }

// QuotaError says that a namespace has as many addresses of a pool as it may have.
type QuotaError struct {
	Pool, Namespace string
	Limit, Used     int64
	// Holders are Services of the namespace that hold addresses of the pool, the first few, and More how many others do.
	Holders []string
	More    int
}

// Error implements error.
func (e *QuotaError) Error() string {
	text := fmt.Sprintf("quota of pool %s: namespace %s holds %d of at most %d addresses", e.Pool, e.Namespace, e.Used, e.Limit)
	if len(e.Holders) > 0 {
		text += ", those of " + strings.Join(e.Holders, ", ")
	}
	if e.More > 0 {
		text += fmt.Sprintf(" and %d more", e.More)
	}
	return text
}

func (e *QuotaError) cause() string { return fmt.Sprintf("quota of pool %s: %d", e.Pool, e.Limit) }

// InUseError says that an address is in use by others who do not share it with this Service.
type InUseError struct {
	Addr    netip.Addr
	Key     string   // of the Service that asks
	Holders []string // in order, the first few
	More    int      // how many others there are
	// Why they do not.
	Why string
}

// Error implements error.
func (e *InUseError) Error() string {
	holders := strings.Join(e.Holders, ",")
	if e.More > 0 {
		holders += fmt.Sprintf(" and %d more", e.More)
	}
	return fmt.Sprintf("can't change sharing key for %q, address also in use by %s: %q %s", e.Key, holders, e.Addr, e.Why)
}

// cause leaves out the holders where they are many: who waits for the address of hundreds is not told of each that
// comes and goes.
func (e *InUseError) cause() string {
	if e.More > 0 {
		return "in use by many: " + e.Addr.String() + " " + e.Why
	}
	return e.Error()
}

// PortError says that a port of a shared address is taken.
type PortError struct {
	Addr   netip.Addr
	Port   Port
	Holder string // who has it
}

// Error implements error.
func (e *PortError) Error() string {
	return fmt.Sprintf("port %s/%d is already in use on %q by Service %s", e.Port.Protocol, e.Port.Number, e.Addr, e.Holder)
}

// stamp writes a time as logs and objects have it.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Quoted writes addresses as MetalLB's messages do: ["192.0.2.1" "2001:db8::1"].
func Quoted(addrs []netip.Addr) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, addr := range addrs {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%q", addr.String())
	}
	b.WriteByte(']')
	return b.String()
}
