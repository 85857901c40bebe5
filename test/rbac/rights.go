// Package rbac judges from outside whether ServiceAccounts may do what they do and nothing else: of Roles and bindings as they
// are installed, and of the kube-apiserver's audit log of a run, it says which right was never used and which request was refused.
package rbac

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Right is one thing that one ServiceAccount may do: the smallest part of a rule.
type Right struct {
	Account Account
	// Role that the right is of, as KIND NAME.
	Role string
	// Namespace that it is limited to; empty: every one, and what is in none.
	Namespace string
	Verb      string
	// Group, Resource, with its subresource after a slash, and Name, which is empty for every one.
	Group, Resource, Name string
	// URL is set for what is no resource.
	URL string
}

// Account is a ServiceAccount.
type Account struct{ Namespace, Name string }

// String is NAMESPACE/NAME.
func (a Account) String() string { return a.Namespace + "/" + a.Name }

// String says it in the words of kubectl auth can-i.
func (r Right) String() string {
	what := r.URL
	if what == "" {
		what = r.Resource
		if r.Group != "" {
			resource, sub, _ := strings.Cut(r.Resource, "/")
			what = resource + "." + r.Group
			if sub != "" {
				what += "/" + sub
			}
		}
		if r.Name != "" {
			what += " " + r.Name
		}
	}
	if r.Namespace != "" {
		what += " in " + r.Namespace
	}
	return fmt.Sprintf("%s: %s %s (%s)", r.Account.Name, r.Verb, what, r.Role)
}

// covers says whether whoever has r needs no other for what o allows.
func (r Right) covers(o Right) bool {
	within := func(all, one string) bool { return all == "" || all == one }
	return r != o && r.Account == o.Account && r.URL == "" && o.URL == "" &&
		is(r.Verb, o.Verb) && is(r.Group, o.Group) && is(r.Resource, o.Resource) &&
		within(r.Namespace, o.Namespace) && within(r.Name, o.Name)
}

// is says whether a word of a rule, which may be a star, allows one of a request.
func is(allowed, asked string) bool { return allowed == "*" || allowed == asked }

// Policy is what is installed.
type Policy struct {
	rules    map[string][]rbacv1.PolicyRule // by KIND NAMESPACE/NAME
	bindings []binding
}

type binding struct {
	name, namespace string
	role            rbacv1.RoleRef
	subjects        []rbacv1.Subject
}

// Read takes Roles, ClusterRoles and their bindings out of YAML documents, or a list of them; it may be called for several
// streams. Everything else is passed over.
func (p *Policy) Read(in io.Reader) error {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(in))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := p.document(document); err != nil {
			return err
		}
	}
}

func (p *Policy) document(document []byte) error {
	var o struct {
		rbacv1.Role `json:",inline"` // a ClusterRole has the same
		RoleRef     rbacv1.RoleRef   `json:"roleRef"`
		Subjects    []rbacv1.Subject `json:"subjects"`
		Items       []any            `json:"items"`
	}
	if err := yaml.Unmarshal(document, &o); err != nil {
		return fmt.Errorf("%.60q…: %w", bytes.TrimSpace(document), err)
	}
	switch o.Kind {
	case "List", "RoleList", "ClusterRoleList":
		for _, item := range o.Items {
			one, err := yaml.Marshal(item)
			if err == nil {
				err = p.document(one)
			}
			if err != nil {
				return err
			}
		}
	case "Role", "ClusterRole":
		if p.rules == nil {
			p.rules = map[string][]rbacv1.PolicyRule{}
		}
		p.rules[roleKey(o.Kind, o.Namespace, o.Name)] = o.Rules
	case "RoleBinding", "ClusterRoleBinding":
		p.bindings = append(p.bindings, binding{o.Kind + " " + o.Name, o.Namespace, o.RoleRef, o.Subjects})
	}
	return nil
}

func roleKey(kind, namespace, name string) string {
	if kind == "ClusterRole" {
		namespace = ""
	}
	return kind + " " + namespace + "/" + name
}

// Rights are those of all ServiceAccounts of a namespace. A binding to a role that was not read is an error, and so is one that
// gives rights to a group that has all of them.
func (p *Policy) Rights(namespace string) ([]Right, error) {
	var rights []Right
	for _, b := range p.bindings {
		for _, s := range b.subjects {
			if s.Kind == rbacv1.GroupKind && strings.HasPrefix(s.Name, "system:serviceaccounts") {
				return nil, fmt.Errorf("%s is for the group %s", b.name, s.Name)
			}
			if s.Kind != rbacv1.ServiceAccountKind || s.Namespace != namespace {
				continue
			}
			rules, ok := p.rules[roleKey(b.role.Kind, b.namespace, b.role.Name)]
			if !ok {
				return nil, fmt.Errorf("%s is to %s %s, which is not there", b.name, b.role.Kind, b.role.Name)
			}
			base := Right{Account: Account{s.Namespace, s.Name}, Role: b.role.Kind + " " + b.role.Name, Namespace: b.namespace}
			for _, rule := range rules {
				rights = append(rights, split(base, rule)...)
			}
		}
	}
	slices.SortFunc(rights, func(a, b Right) int { return cmp.Compare(a.String(), b.String()) })
	return rights, nil
}

// Everybody has these rights: what is bound to all who are known. Their Account is empty.
func (p *Policy) Everybody() (rights []Right) {
	for _, b := range p.bindings {
		for _, s := range b.subjects {
			if s.Kind == rbacv1.GroupKind && s.Name == "system:authenticated" {
				for _, rule := range p.rules[roleKey(b.role.Kind, b.namespace, b.role.Name)] {
					rights = append(rights, split(Right{Role: b.role.Kind + " " + b.role.Name, Namespace: b.namespace}, rule)...)
				}
			}
		}
	}
	return rights
}

// split are the rights that a rule consists of.
func split(base Right, rule rbacv1.PolicyRule) (rights []Right) {
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	for _, base.Verb = range rule.Verbs {
		for _, url := range rule.NonResourceURLs {
			one := base
			one.URL, one.Namespace = url, ""
			rights = append(rights, one)
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, name := range names {
					one := base
					one.Group, one.Resource, one.Name = group, resource, name
					rights = append(rights, one)
				}
			}
		}
	}
	return rights
}
