package metallb

import "strconv"

// MaxASPathPrepend is how often an advertisement may repeat the AS number: routers commonly take no more, and a path
// that is longer still may be dropped for its length.
const MaxASPathPrepend = 10

// Preference is what an advertisement says of its routes that a route can have only once, where communities add up.
// It is comparable.
type Preference struct {
	// LocalPref is 0 when unset.
	LocalPref int64
	// MED is -1 when unset.
	MED           int64
	ASPathPrepend int32
}

// Preference reads it.
func (s *BGPAdvertisementSpec) Preference() Preference {
	p := Preference{LocalPref: s.LocalPref, MED: -1, ASPathPrepend: s.ASPathPrepend}
	if s.MED != nil {
		p.MED = *s.MED
	}
	return p
}

// Difference names the first field in which two preferences differ, and what each has there; it is empty where they
// are equal.
func (p Preference) Difference(o Preference) (field, mine, theirs string) {
	switch {
	case p.LocalPref != o.LocalPref:
		return "localPref", strconv.FormatInt(p.LocalPref, 10), strconv.FormatInt(o.LocalPref, 10)
	case p.MED != o.MED:
		return "med", medText(p.MED), medText(o.MED)
	case p.ASPathPrepend != o.ASPathPrepend:
		return "asPathPrepend", strconv.Itoa(int(p.ASPathPrepend)), strconv.Itoa(int(o.ASPathPrepend))
	}
	return "", "", ""
}

func medText(med int64) string {
	if med < 0 {
		return "none"
	}
	return strconv.FormatInt(med, 10)
}
