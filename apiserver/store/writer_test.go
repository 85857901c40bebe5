package store_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"

	"github.com/ingot-lb/ingot/test/guard"
)

// client talks to API servers as curl does: nothing is tried again, and what has no answer is told.
type client struct{ http *http.Client }

func newClient() *client {
	return &client{&http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, // the processes make their own certificates, on loopback
		MaxIdleConnsPerHost: 64,
	}}}
}

var kinds = map[string]struct{ version, kind string }{
	guard.Pools:          {"metallb.io/v1beta1", "IPAddressPool"},
	guard.Advertisements: {"metallb.io/v1beta1", "BGPAdvertisement"},
	guard.Peers:          {"metallb.io/v1beta2", "BGPPeer"},
	guard.Profiles:       {"metallb.io/v1beta1", "BFDProfile"},
}

// do asks the server at address and puts the answer into o.
func (c *client) do(ctx context.Context, address string, o *guard.Operation) error {
	kind := kinds[o.Key.Resource]
	url := "https://" + address + "/apis/" + kind.version + "/namespaces/" + guard.Namespace + "/" + o.Key.Resource
	var body guard.Object
	body.APIVersion, body.Kind, body.Spec = kind.version, kind.kind, o.Spec
	body.Metadata.Name, body.Metadata.Namespace = o.Key.Name, guard.Namespace
	body.Metadata.Annotations = map[string]string{guard.OpAnnotation: strconv.Itoa(o.ID)}
	method, media := "", "application/json"
	named := url + "/" + o.Key.Name
	switch o.Verb {
	case guard.Create:
		method = http.MethodPost
	case guard.Update:
		method, url = http.MethodPut, named
		body.Metadata.ResourceVersion = strconv.FormatInt(o.Base, 10)
	case guard.Patch:
		method, url, media = http.MethodPatch, named, "application/merge-patch+json"
	case guard.Apply:
		method, url, media = http.MethodPatch, named+"?fieldManager=writer&force=true", "application/apply-patch+yaml"
	case guard.Delete:
		method, url = http.MethodDelete, named
	case guard.Get:
		method, url = http.MethodGet, named
	}
	var content io.Reader
	if method != http.MethodDelete && method != http.MethodGet {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", media)
	return c.answer(req, o)
}

func (c *client) answer(req *http.Request, o *guard.Operation) error {
	lost := func(why error) {
		o.Reason, o.Message = guard.Unknown, why.Error()
	}
	resp, err := c.http.Do(req)
	if err != nil {
		lost(err)
		return nil
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		lost(err)
		return nil
	case resp.StatusCode >= http.StatusInternalServerError:
		lost(fmt.Errorf("%s: %s", resp.Status, said))
		return nil
	case resp.StatusCode >= http.StatusBadRequest:
		var status struct{ Reason, Message string }
		if err := json.Unmarshal(said, &status); err != nil {
			status.Message = string(said)
		}
		if status.Reason == "" && resp.StatusCode == http.StatusTooManyRequests {
			status.Reason = guard.TooManyRequests // the limit of requests in flight says it in plain text
		}
		o.Reason, o.Message = status.Reason, status.Message
		return nil
	}
	var object guard.Object
	if err := json.Unmarshal(said, &object); err != nil {
		return fmt.Errorf("%v: %w", o, err)
	}
	o.Version, err = strconv.ParseInt(object.Metadata.ResourceVersion, 10, 64)
	if err != nil {
		return fmt.Errorf("%v: resource version of %s: %w", o, said, err)
	}
	o.Result = object.Spec
	return nil
}

// choices are the operations of one writer, which depend on nothing but its seed.
type choices struct{ *rand.Rand }

// next chooses an operation. An Update is to be preceded by a Get.
func (r choices) next() guard.Operation {
	var o guard.Operation
	switch n := r.IntN(20); {
	case n < 7:
		o.Key = guard.Key{Resource: guard.Pools, Name: r.name("pool", 6)}
	case n < 12:
		o.Key = guard.Key{Resource: guard.Advertisements, Name: r.name("ad", 4)}
	case n < 17:
		o.Key = guard.Key{Resource: guard.Peers, Name: r.name("peer", 4)}
	default:
		o.Key = guard.Key{Resource: guard.Profiles, Name: r.name("profile", 2)}
	}
	o.Spec = r.spec(o.Key.Resource)
	switch n := r.IntN(20); {
	case n < 5:
		o.Verb = guard.Create
	case n < 9:
		o.Verb = guard.Update
	case n < 12:
		o.Verb = guard.Patch
		o.Spec = r.part(o.Key.Resource, o.Spec)
	case n < 15:
		o.Verb = guard.Apply
	default:
		o.Verb = guard.Delete
	}
	return o
}

func (r choices) name(of string, n int) string { return of + "-" + strconv.Itoa(r.IntN(n)) }

func (r choices) spec(resource string) guard.Spec {
	switch resource {
	case guard.Pools:
		bits := 25 + r.IntN(4)
		return guard.Spec{Addresses: []string{fmt.Sprintf("10.0.0.%d/%d", r.IntN(1<<(bits-24))<<(32-bits), bits)}}
	case guard.Advertisements:
		spec := guard.Spec{AggregationLength: 26 + 2*r.IntN(4), LocalPref: 100 + 100*r.IntN(2), IPAddressPools: []string{r.name("pool", 6)}}
		if other := r.name("pool", 6); other != spec.IPAddressPools[0] {
			spec.IPAddressPools = append(spec.IPAddressPools, other)
		}
		return spec
	case guard.Peers:
		return guard.Spec{PeerAddress: fmt.Sprintf("192.0.2.%d", 1+r.IntN(5)), PeerASN: 64500, MyASN: 64512 + r.IntN(4)/3,
			RouterID: fmt.Sprintf("192.0.2.%d", 101+r.IntN(4)/3), BFDProfile: r.name("profile", 3)}
	default:
		return guard.Spec{DetectMultiplier: 3 + r.IntN(4)}
	}
}

// part leaves one field of a spec, of those that another object may be in the way of.
func (r choices) part(resource string, s guard.Spec) guard.Spec {
	alternatives := map[string][]guard.Spec{
		guard.Pools:          {{Addresses: s.Addresses}},
		guard.Advertisements: {{AggregationLength: s.AggregationLength}, {LocalPref: s.LocalPref}, {IPAddressPools: s.IPAddressPools}},
		guard.Peers:          {{PeerAddress: s.PeerAddress}, {MyASN: s.MyASN}, {RouterID: s.RouterID}, {BFDProfile: s.BFDProfile}},
		guard.Profiles:       {{DetectMultiplier: s.DetectMultiplier}},
	}[resource]
	return alternatives[r.IntN(len(alternatives))]
}
