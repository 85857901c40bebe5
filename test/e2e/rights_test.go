package e2e

import (
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/ingot-lb/ingot/test/lab/labtest"
	"github.com/ingot-lb/ingot/test/rbac"
)

// The proof of least privilege is over the whole of a run, in all of its labs: our programs run under the ServiceAccounts of
// deploy/base, and the kube-apiserver's audit log shows no right that was never used, and no request that was refused. Tests
// below see to rights that are rarely needed. test/rbac judges.

// audited gathers what the labs' audit logs have. A lab is read before its directory goes.
var audited = rbac.Log{}

// readAudit adds the log of a lab.
func readAudit(l *labtest.Lab) error {
	files, err := l.AuditLogs()
	if err != nil {
		return err
	}
	for _, file := range files {
		content, err := os.Open(file)
		if err != nil {
			return err
		}
		err = errors.Join(audited.Read(content), content.Close())
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// elsewhere are rights that this run need not use, because another test does, by what they are called.
var elsewhere = map[*regexp.Regexp]string{
	regexp.MustCompile(`^apiserver: (get|update) (secrets ingot-export\S*|configmaps ingot-lineage) in `): "apiserver/lineage: how much is exported, and so by which names, follows from the configuration",
}

// rights are what is installed for our ServiceAccounts, with the roles of Kubernetes' own that they are bound to; and what
// everybody may do.
func rights() (ours, everybody []rbac.Right, err error) {
	var p rbac.Policy
	files, err := filepath.Glob("../../deploy/base/*.yaml")
	if err != nil {
		return nil, nil, err
	}
	for _, file := range files {
		content, err := os.Open(file)
		if err != nil {
			return nil, nil, err
		}
		if err := errors.Join(p.Read(content), content.Close()); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	for _, args := range [][]string{
		{"get", "clusterrole", "system:auth-delegator", "system:discovery", "system:basic-user", "system:public-info-viewer"},
		{"get", "clusterrolebinding", "system:discovery", "system:basic-user", "system:public-info-viewer"},
		{"get", "role", "-n", "kube-system", "extension-apiserver-authentication-reader"},
	} {
		out, err := tryKubectl("", append(args, "-o", "yaml")...)
		if err != nil {
			return nil, nil, err
		}
		if err := p.Read(strings.NewReader(out)); err != nil {
			return nil, nil, err
		}
	}
	ours, err = p.Rights("metallb-system")
	return ours, p.Everybody(), err
}

// judgeRights is the proof. A run of some tests alone uses some rights alone; that nothing is refused holds for it, too.
func judgeRights() error {
	all, everybody, err := rights()
	if err != nil {
		return err
	}
	if len(all) < 50 {
		return fmt.Errorf("only %d rights were found in deploy/base", len(all))
	}
	var errs []error
	v := rbac.Judge(all, everybody, "metallb-system", audited)
	for _, r := range v.Refused {
		errs = append(errs, fmt.Errorf("refused %d times: %s", audited[r], r))
	}
	for _, r := range v.Needless {
		errs = append(errs, fmt.Errorf("granted twice: %s", r))
	}
	for _, r := range v.Sweeping {
		errs = append(errs, fmt.Errorf("granted by a star: %s", r))
	}
	if f := flag.Lookup("test.run"); f.Value.String() == "" {
		for _, r := range v.Unused {
			if usedElsewhere(r) {
				continue
			}
			errs = append(errs, fmt.Errorf("granted and never used: %s", r))
		}
	}
	for r := range audited {
		if r.User == "system:serviceaccount:metallb-system:speaker" {
			errs = append(errs, fmt.Errorf("a speaker talks to the kube-apiserver: %s", r))
		}
	}
	fmt.Fprintf(os.Stderr, "rights: %d of %d used, by %d different requests; %d were refused before the roles were read\n", v.Used, len(all), len(audited), len(v.Early))
	return errors.Join(errs...)
}

func usedElsewhere(r rbac.Right) bool {
	for pattern := range elsewhere {
		if pattern.MatchString(r.String()) {
			return true
		}
	}
	return false
}

// TestWhatOthersChangeIsPutRight: each of our objects in the cluster that a program keeps as it should be.
func TestWhatOthersChangeIsPutRight(t *testing.T) {
	for _, object := range []struct{ args, path, patch string }{
		{"apiservice v1alpha1.metallb.io", "{.spec.groupPriorityMinimum}", `{"spec":{"groupPriorityMinimum":17}}`},
		{"apiservice v1beta1.metallb.io", "{.spec.versionPriority}", `{"spec":{"versionPriority":99}}`},
		{"apiservice v1beta2.metallb.io", "{.spec.service.name}", `{"spec":{"service":{"name":"another"}}}`},
		{"configmap ingot-ca " + inSystem, "{.data.ca\\.crt}", `{"data":{"ca.crt":"nonsense"}}`},
		{"configmap ingot-dispatch " + inSystem, "{.data.addresses}", `{"data":{"addresses":"192.0.2.1:7473\n"}}`},
		{"secret webhooks-tls " + inSystem, "{.data.tls\\.crt}", `{"data":{"tls.crt":"bm9uc2Vuc2U="}}`},
		{"validatingwebhookconfiguration ingot-webhooks", `{.webhooks[0].matchConditions[?(@.name=="of-our-class")].expression}`,
			`{"webhooks":[{"name":"services.webhooks.ingot.io","matchConditions":[{"name":"of-our-class","expression":"true"}]}]}`},
		{"validatingwebhookconfiguration ingot-webhooks", `{.webhooks[1].clientConfig.caBundle}`,
			`{"webhooks":[{"name":"secrets.webhooks.ingot.io","clientConfig":{"caBundle":""}}]}`},
	} {
		args := strings.Fields(object.args)
		get := append([]string{"get", "-o", "jsonpath=" + object.path}, args...)
		var before string
		eventually(t, object.args, func() (err error) {
			before, err = tryKubectl("", get...)
			return err
		})
		kind := "--type=merge"
		if strings.HasPrefix(object.args, "validating") {
			kind = "--type=strategic"
		}
		kubectl(t, append([]string{"patch", kind, "-p", object.patch}, args...)...)
		eventually(t, object.args+" is as it was", func() error {
			now, err := tryKubectl("", get...)
			if err == nil && (now == "" || !strings.HasPrefix(object.path, "{.data.tls") && now != before || strings.Contains(now, "bm9uc2Vuc2U")) {
				err = fmt.Errorf("%s is %.80q, was %.80q", object.path, now, before)
			}
			return err
		})
	}
	for _, resource := range []string{"addresspools.v1alpha1", "ipaddresspools.v1beta1", "bgppeers.v1beta2"} {
		eventually(t, "the aggregated API", func() error {
			_, err := tryKubectl("", "get", inSystem, resource+".metallb.io")
			return err
		})
	}
	eventually(t, "discovery, which follows the APIServices", func() error {
		_, err := tryKubectl("", "api-resources", "--api-group=metallb.io")
		return err
	})
}

// TestNamespacesThatAreNotThere, and pools that are not: the host cluster and the apiserver are asked before it is believed.
func TestNamespacesThatAreNotThere(t *testing.T) {
	pool := strings.Replace(object("v1beta1", "IPAddressPool", "nowhere", `{addresses: [198.51.78.0/32]}`), "namespace: metallb-system", "namespace: nowhere", 1)
	if out, err := tryKubectl(pool, "create", "-f", "-"); err == nil || !strings.Contains(out, `namespaces "nowhere" not found`) {
		t.Errorf("a pool in no namespace: %v: %s", err, out)
	}
	apply(t, object("v1beta1", "IPAddressPool", "somewhere", `{addresses: [198.51.78.1/32]}`))
	apply(t, strings.Replace(service("lost", "somewhere", ""), "address-pool: somewhere", "address-pool: nowhere", 1))
	if got := addresses(t, "lost", 1); got[0] != "198.51.78.1" {
		t.Errorf("address %v", got)
	}
}

// TestPriorityAndFairnessIsTheClustersOwn: of FlowSchemas that are new, whoever hears of them first writes whether their level is
// there, which is the kube-apiserver or we.
func TestPriorityAndFairnessIsTheClustersOwn(t *testing.T) {
	const schema = `
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: e2e-%d}
spec: {matchingPrecedence: 9000, priorityLevelConfiguration: {name: %s}, rules: []}
`
	n := 0
	eventually(t, "the apiserver writes the status of a FlowSchema", func() error {
		n++
		for _, level := range []string{"workload-low", "missing"} {
			if _, err := tryKubectl(fmt.Sprintf(schema, n, level), "apply", "-f", "-"); err != nil {
				return err
			}
		}
		_, err := tryKubectl(fmt.Sprintf(schema, n, "missing"), "delete", "-f", "-")
		if err != nil {
			return err
		}
		if err := readAudit(cluster); err != nil {
			return err
		}
		for r := range audited {
			if r.Resource == "flowschemas/status" {
				return nil
			}
		}
		return errors.New("not yet")
	})
}

// TestAnOlderKubernetes: where watches cannot begin with a list, as before 1.32 and in 1.33, lists are asked for. The CA is
// changed there, too, and a Service that went while nobody could hear of it is asked about by name.
func TestAnOlderKubernetes(t *testing.T) {
	dir, err := os.MkdirTemp("", "ingot-older-")
	if err != nil {
		t.Fatal(err)
	}
	older, err := labtest.Start(t.Context(), filepath.Join(bin, "lab"), dir, labtest.Options{Nodes: 1, Router: "none", Without: []string{"speaker"}, Args: []string{
		"kube-apiserver=--feature-gates=WatchList=false", "controller=--leader-elect=false",
		"apiserver=--ca-lifetime=24s", "apiserver=--certificate-lifetime=12s", "apiserver=--ca-overlap=1s",
	}})
	if err != nil {
		t.Fatal(errors.Join(err, os.RemoveAll(dir)))
	}
	t.Cleanup(func() {
		if err := errors.Join(older.Down(context.Background()), readAudit(older), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	there := func(stdin string, args ...string) (string, error) {
		return output(stdin, filepath.Join(bin, "kubectl"), append([]string{"--kubeconfig", older.KubeConfig()}, args...)...)
	}
	do := func(args ...string) {
		t.Helper()
		if _, err := older.Run(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	served := func(name, address string) {
		t.Helper()
		eventually(t, name+" has "+address, func() error {
			out, err := there("", "get", "service", name, "-o", "jsonpath={.status.loadBalancer.ingress[*].ip}")
			if err == nil && out != address {
				err = fmt.Errorf("it has %q", out)
			}
			return err
		})
	}
	pool := object("v1beta1", "IPAddressPool", "older", `{addresses: [198.51.79.1/32]}`)
	eventually(t, "a pool and a Service", func() error { // whoever asks while the CA changes, which is told a second before, may be refused
		_, err := there(pool+"\n---\n"+service("first", "older", ""), "apply", "-f", "-")
		return err
	})
	served("first", "198.51.79.1")

	do("kill", "kube-apiserver")
	key := base64.StdEncoding.EncodeToString([]byte("/registry/services/specs/default/first"))
	do("exec", "control", "--", "curl", "-sSf", "-d", `{"key":"`+key+`"}`, "http://127.0.0.1:2379/v3/kv/deleterange")
	do("start", "kube-apiserver")
	eventually(t, "another Service", func() error {
		_, err := there(service("second", "older", ""), "apply", "-f", "-")
		return err
	})
	served("second", "198.51.79.1")
	eventually(t, "another CA", func() error {
		out, err := there("", "get", "configmap", inSystem, "ingot-ca", "-o", `jsonpath={.data.ca\.crt}`)
		if err == nil && strings.Count(out, "BEGIN CERTIFICATE") < 2 {
			err = errors.New("there is one")
		}
		return err
	})
}
