package cluster

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ingot-lb/ingot/deploy"
)

func TestOptionsSayWhatIsAccepted(t *testing.T) {
	good := Options{Dir: "/home/u/lab", Nodes: 3, APIServers: 1, Router: "frr", Without: []string{"speaker"}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Options){
		"frr or none": func(o *Options) { o.Router = "bird" },
		"any of apiserver, controller, speaker, webhooks": func(o *Options) { o.Without = []string{"etcd"} },
		"a /run of its own":     func(o *Options) { o.Dir = "/run/lab" },
		"a /var/tmp of its own": func(o *Options) { o.Dir = "/var/tmp" },
	} {
		o := good
		change(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate(%+v) = %v, want an error with %q", o, err, want)
		}
	}
}

// Until the kube-apiserver has asked a server what it serves, kubectl knows of no such resources.
func TestWhatClientsAreTold(t *testing.T) {
	const answer = `{"items": [
		{"metadata": {"name": "apps"}, "versions": [{"version": "v1", "freshness": "Current", "resources": [{"resource": "deployments"}]}]},
		{"metadata": {"name": "metallb.io"}, "versions": [{"version": "v1beta2", "freshness": "Stale", "resources": [{"resource": "bgppeers"}]},
			{"version": "v1beta1", "freshness": "Current", "resources": [{"resource": "ipaddresspools"}]}, {"version": "v1alpha1", "freshness": "Current"}]}]}`
	for version, want := range map[string]string{"v1beta1": "", "v1beta2": "1 resources, Stale", "v1alpha1": "0 resources", "v1": "metallb.io/v1 is not among"} {
		err := tells([]byte(answer), "metallb.io", version)
		if err == nil && want != "" || err != nil && (want == "" || !strings.Contains(err.Error(), want)) {
			t.Errorf("of %s: %v, want %q", version, err, want)
		}
	}
	if err := tells([]byte("<html>"), "metallb.io", "v1beta1"); err == nil {
		t.Error("what is no JSON says something")
	}
}

func TestMissingProgramIsNamed(t *testing.T) {
	o := Options{Bin: t.TempDir(), Without: []string{"apiserver", "controller", "speaker", "webhooks"}}
	err := o.checkPrograms()
	if err == nil || !strings.Contains(err.Error(), filepath.Join(o.Bin, "etcd")+": run make build") {
		t.Errorf("checkPrograms() = %v", err)
	}
}

func TestClaimKeepsOthersOut(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab[1]")
	lock, err := Claim(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Claim(dir); err == nil || !strings.Contains(err.Error(), "a lab runs in "+dir+" already") {
		t.Errorf("second Claim = %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}

	// What a dead lab left goes, what is not a lab's stays.
	for _, name := range []string{"kubeconfig", "apiserver-1", "mine"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lock, err = Claim(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if diff := cmp.Diff([]string{"lab.lock", "mine"}, names); diff != "" {
		t.Errorf("left in the directory (-want +got):\n%s", diff)
	}
}

func TestClaimRefusesADirectoryThatIsNotALabs(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "etcd")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Claim(dir); err == nil || !strings.Contains(err.Error(), "is not a lab's") {
		t.Errorf("Claim = %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestPIDsInNamespaces(t *testing.T) {
	type answer struct {
		pid int
		ok  bool
	}
	for status, want := range map[string][2]answer{
		"Name:\tx\nPid:\t812\nNSpid:\t812\t7\t1\n": {{1, true}, {7, true}},
		"Name:\tx\nNSpid:\t812\nNSsid:\t9\t10\n":   {{812, true}, {}},
		"Name:\tx\nNSpid:\n":                       {},
		"Name:\tx\nNSpid:\t7\tx\n":                 {},
		"Name:\tx\n":                               {},
	} {
		var got [2]answer
		for above := range got {
			got[above].pid, got[above].ok = within(status, above)
		}
		if got != want {
			t.Errorf("%q: %v, want %v", status, got, want)
		}
	}
}

func TestKubeProxyIsSyncedOnlyWithBothFamilies(t *testing.T) {
	const name = "kubeproxy_sync_proxy_rules_last_timestamp_seconds"
	v4, v6 := name+`{ip_family="IPv4"} 1.7e+09`+"\n", name+`{ip_family="IPv6"} 1.7e+09`+"\n"
	if err := wroteRules("# HELP x\n" + v4 + v6); err != nil {
		t.Error(err)
	}
	for _, metrics := range []string{"", v4, v6, v4 + name + `{ip_family="IPv6"} 0` + "\n"} {
		if err := wroteRules(metrics); err == nil {
			t.Errorf("synced by %q", metrics)
		}
	}
}

// The lab runs with what users install, save the workloads, and our programs' accounts are among it.
func TestManifestsOfTheLab(t *testing.T) {
	objects, err := manifests(deploy.Base())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range objects {
		names = append(names, o.GetKind()+"/"+o.GetName())
	}
	if len(names) == 0 || names[0] != "Namespace/"+namespace {
		t.Fatalf("the namespace does not come first: %v", names)
	}
	for _, want := range []string{"ServiceAccount/apiserver", "ServiceAccount/controller", "ServiceAccount/speaker", "Service/apiserver",
		"ServiceAccount/webhooks", "Service/webhooks", "ValidatingWebhookConfiguration/ingot-webhooks"} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s among %v", want, names)
		}
	}
	for _, name := range names {
		if kind, _, _ := strings.Cut(name, "/"); kind == "Deployment" || kind == "DaemonSet" {
			t.Errorf("%s would have Pods that nobody runs", name)
		}
	}
}
