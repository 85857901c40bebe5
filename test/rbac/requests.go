package rbac

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Request is what somebody asked a kube-apiserver for, as its audit log has it.
type Request struct {
	User string
	Verb string
	// Group, Resource, with its subresource after a slash, Name and Namespace of what is a resource. Of a list or a watch of one
	// object, by field selector, the log has the object's name.
	Group, Resource, Name, Namespace string
	// Path of the URL, of what is no resource.
	Path string
	// Refused says that the user may not, or is not known.
	Refused bool
}

// String says who asked for what.
func (r Request) String() string {
	what := r.Path
	if what == "" {
		what = strings.TrimSpace(r.Resource + "." + r.Group + " " + r.Namespace + "/" + r.Name)
	}
	return fmt.Sprintf("%s: %s %s", r.User, r.Verb, what)
}

// event is the part of audit.k8s.io/v1 Event that counts.
type event struct {
	Verb       string
	RequestURI string
	User       struct{ Username string }
	ObjectRef  *struct {
		Resource, Namespace, Name, APIGroup, Subresource string
	}
	ResponseStatus *struct{ Code int }
	Annotations    map[string]string
}

// decision is the annotation in which the kube-apiserver says what its authorizers said. Who is allowed may still be refused by
// admission, with the same code: that is no matter of rights.
const decision = "authorization.k8s.io/decision"

// Log gathers the requests of an audit log. Each is kept once, however often it was made.
type Log map[Request]int

// Read takes in the lines of a file. The last one may be half written.
func (l Log) Read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		l[e.request()]++
	}
}

func (e event) request() Request {
	r := Request{User: e.User.Username, Verb: e.Verb}
	if o := e.ObjectRef; o != nil {
		r.Group, r.Resource, r.Name, r.Namespace = o.APIGroup, o.Resource, o.Name, o.Namespace
		if o.Subresource != "" {
			r.Resource += "/" + o.Subresource
		}
		if r.Verb == "create" && o.Subresource == "" {
			r.Name = "" // which no rule can go by: before the body is read nobody knows it
		}
		if r.Resource == "namespaces" && r.Group == "" && r.Namespace == r.Name {
			r.Namespace = "" // the log says that a namespace is in itself
		}
	} else {
		r.Path, _, _ = strings.Cut(e.RequestURI, "?")
	}
	if e.Annotations[decision] != "allow" {
		code := 0
		if e.ResponseStatus != nil {
			code = e.ResponseStatus.Code
		}
		r.Refused = e.Annotations[decision] == "forbid" || code == 401 || code == 403
	}
	return r
}
