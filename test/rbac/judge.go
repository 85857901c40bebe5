package rbac

import (
	"cmp"
	"slices"
	"strings"
)

// Verdict is what a run says about rights.
type Verdict struct {
	// Unused are rights that no request needed.
	Unused []Right
	// Needless are rights that the account has by another rule as well.
	Needless []Right
	// Sweeping are rights with a star.
	Sweeping []Right
	// Refused are requests that were not allowed, and by what is granted should not have been.
	Refused []Request
	// Early are requests that were not allowed although a right was there: a kube-apiserver that has just come up answers so
	// until it has read the roles.
	Early []Request
	// Used counts the rights that were.
	Used int
}

// Judge holds the rights of the ServiceAccounts of a namespace against what they asked for. What everybody may do is granted to
// them, too, and need not be used.
func Judge(rights, everybody []Right, namespace string, log Log) (v Verdict) {
	granted := func(r Request) bool {
		allows := func(right Right) bool { return right.allows(r) }
		return slices.ContainsFunc(everybody, allows) ||
			slices.ContainsFunc(rights, func(right Right) bool { return r.User == user(right.Account) && allows(right) })
	}
	for r := range log {
		if !r.Refused || !strings.HasPrefix(r.User, user(Account{Namespace: namespace})) {
			continue
		}
		if granted(r) {
			v.Early = append(v.Early, r)
		} else {
			v.Refused = append(v.Refused, r)
		}
	}
	slices.SortFunc(v.Early, func(a, b Request) int { return cmp.Compare(a.String(), b.String()) })
	slices.SortFunc(v.Refused, func(a, b Request) int { return cmp.Compare(a.String(), b.String()) })
	for _, right := range rights {
		switch {
		case right.Verb == "*" || right.Group == "*" || strings.Contains(right.Resource, "*") || strings.Contains(right.URL, "*"):
			v.Sweeping = append(v.Sweeping, right)
		case slices.ContainsFunc(rights, func(other Right) bool { return other.covers(right) }):
			v.Needless = append(v.Needless, right)
		case right.usedIn(log):
			v.Used++
		default:
			v.Unused = append(v.Unused, right)
		}
	}
	return v
}

// user is what the kube-apiserver calls a ServiceAccount.
func user(a Account) string { return "system:serviceaccount:" + a.Namespace + ":" + a.Name }

func (r Right) usedIn(log Log) bool {
	who := user(r.Account)
	for asked := range log {
		if asked.User == who && !asked.Refused && r.allows(asked) {
			return true
		}
	}
	return false
}

// allows says whether the right is one that a request needs, as RBAC decides it.
func (r Right) allows(asked Request) bool {
	if r.URL != "" || asked.Path != "" {
		prefix, open := strings.CutSuffix(r.URL, "*")
		return is(r.Verb, asked.Verb) && (r.URL == asked.Path || open && strings.HasPrefix(asked.Path, prefix))
	}
	return is(r.Verb, asked.Verb) && is(r.Group, asked.Group) && is(r.Resource, asked.Resource) &&
		(r.Namespace == "" || r.Namespace == asked.Namespace) && (r.Name == "" || r.Name == asked.Name)
}
