package certs

import (
	"errors"
	"fmt"
	"time"
)

// Policy says how long certificates live. Each is replaced when two thirds of its life are over.
type Policy struct {
	// CA is the life of a CA.
	CA time.Duration
	// Leaf is the life of a serving certificate, which ends with its CA at the latest.
	Leaf time.Duration
	// Overlap is how long a new CA is known everywhere before it signs, and for how long the old one is trusted after
	// it has signed last. It must be longer than it takes a bundle to reach everybody, such as a speaker that is cut off.
	Overlap time.Duration
}

// DefaultPolicy is for clusters.
var DefaultPolicy = Policy{CA: 365 * 24 * time.Hour, Leaf: 90 * 24 * time.Hour, Overlap: 7 * 24 * time.Hour}

// Validate reports everything that is wrong. Certificates count in whole seconds, and a new CA must be known, sign and
// the old one be forgotten in the last third of the old one's life.
func (p Policy) Validate() error {
	var errs []error
	if p.Overlap < time.Second {
		errs = append(errs, fmt.Errorf("an overlap of %s is shorter than a second", p.Overlap))
	}
	if p.CA < 6*p.Overlap {
		errs = append(errs, fmt.Errorf("a CA that lives %s leaves no room for two overlaps of %s in the last third of its life: at least %s", p.CA, p.Overlap, 6*p.Overlap))
	}
	if p.Leaf < 3*time.Second {
		errs = append(errs, fmt.Errorf("serving certificates that live %s are shorter than 3s", p.Leaf))
	}
	if p.Leaf > p.CA {
		errs = append(errs, fmt.Errorf("serving certificates that live %s outlive their CA, which lives %s", p.Leaf, p.CA))
	}
	return errors.Join(errs...)
}

// step is one change of what is trusted. Each is one write of the Secret.
type step int

const (
	stay    step = iota
	replace      // make a CA, since there is no valid one; whoever knew the old one refuses us until it knows the new one
	stage        // make the next CA, which is trusted and does not sign yet
	stamp        // note since when everybody who is told of CAs has been told of the next one
	promote      // the next CA signs; the old one is still trusted
	drop         // the old CA is not trusted any longer
)

func (s step) String() string {
	return [...]string{"stay", "replace", "stage", "stamp", "promote", "drop"}[s]
}

// due is what is to be done at now, and if nothing is, when to ask again at the latest. settled says that all that is
// published has the bundle of t, and all that is issued is signed by its current CA. It is the one place where
// rotation is decided.
func (p Policy) due(now time.Time, t *trust, settled bool) (step, time.Time) {
	end := t.current.cert.NotAfter
	switch {
	case now.After(end) && (t.next == nil || now.After(t.next.cert.NotAfter)):
		return replace, now
	case t.next != nil && now.After(end):
		return promote, now // there is nothing left that would be refused by it
	case t.next != nil && t.told.IsZero():
		if settled {
			return stamp, now
		}
		return stay, end
	case t.next != nil:
		if at := t.told.Add(p.Overlap); now.Before(at) {
			return stay, earlier(at, end)
		}
		if settled {
			return promote, now
		}
		return stay, end
	case t.previous != nil:
		if at := t.promoted.Add(p.Overlap); now.Before(at) {
			return stay, at
		}
		if settled {
			return drop, now
		}
		return stay, end
	}
	if at := renewal(t.current.cert); now.Before(at) && !t.asked {
		return stay, at
	}
	return stage, now
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// take returns t after a step.
func (p Policy) take(s step, now time.Time, t *trust) (*trust, error) {
	next := *t
	switch s {
	case replace, stage:
		fresh, err := newAuthority(now, p.CA)
		if err != nil {
			return nil, err
		}
		if s == replace {
			return &trust{current: fresh}, nil
		}
		next.next, next.told, next.asked = fresh, time.Time{}, false
	case stamp:
		next.told = now
	case promote:
		next = trust{current: t.next, previous: t.current.certPEM, promoted: now}
	case drop:
		next.previous, next.promoted = nil, time.Time{}
	}
	return &next, nil
}
