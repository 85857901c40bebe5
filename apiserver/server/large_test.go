package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// pathOfPools is where pools are.
const pathOfPools = "/apis/metallb.io/v1beta1/namespaces/" + namespace + "/ipaddresspools"

// poolText is a pool in JSON, with more in its metadata.
func poolText(name, metadata string, addresses []string) string {
	list, err := json.Marshal(addresses)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","metadata":{"name":%q%s},"spec":{"addresses":%s}}`, name, metadata, list)
}

// single is that many ranges of one address each, which do not touch.
func single(from, n int) []string {
	list := make([]string, n)
	for i := range list {
		at := 2 * (from + i)
		list[i] = fmt.Sprintf("10.%d.%d.%d/32", at>>16, at>>8&255, at&255)
	}
	return list
}

// send makes a request and returns the answer's status and text.
func send(t testing.TB, client *http.Client, config *rest.Config, method, path, contentType, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, config.Host+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s %s with %d bytes: %v", method, path, len(body), err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

const (
	asJSON       = "application/json"
	asYAML       = "application/yaml"
	asMerge      = "application/merge-patch+json"
	asStrategic  = "application/strategic-merge-patch+json"
	asJSONPatch  = "application/json-patch+json"
	asApply      = "application/apply-patch+yaml"
	tenMegabytes = 10 << 20
)

// bomb is what a client should never send, and what it hears.
type bomb struct {
	name, method, path, contentType, body string
	codes                                 []int
	says                                  string
}

func bombs() []bomb {
	post, put, patch := http.MethodPost, http.MethodPut, http.MethodPatch
	const victim = pathOfPools + "/victim"
	const apply = victim + "?fieldManager=bomb&force=true"
	large := poolText("victim", "", []string{strings.Repeat("1", tenMegabytes)})
	tooLarge := []int{http.StatusRequestEntityTooLarge}
	refused := []int{http.StatusBadRequest, http.StatusUnprocessableEntity}
	long := strings.Repeat("x", 2900<<10)
	var labels []string
	for i := range 100_000 {
		labels = append(labels, fmt.Sprintf(`"label-%d":"value"`, i))
	}
	aliases := "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: victim}\nspec:\n  a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := range 12 {
		aliases += fmt.Sprintf("  a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i+1, i+1, i, i, i, i, i, i, i, i, i, i)
	}
	copies := `[{"op":"add","path":"/metadata/annotations","value":{"a0":"` + strings.Repeat("x", 1000) + `"}}`
	for i := range 40 {
		copies += fmt.Sprintf(`,{"op":"add","path":"/spec/x%d","value":{}},{"op":"copy","from":"/spec","path":"/spec/x%d/y"}`, i, i)
	}
	var block, owners, finalizers strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&block, "    label-%d: value\n", i)
		fmt.Fprintf(&finalizers, `,"example.com/f%d"`, i)
		if i < 20_000 {
			fmt.Fprintf(&owners, `,{"apiVersion":"v1","kind":"Pod","name":"p%d","uid":"%d"}`, i, i)
		}
	}
	inBlock := "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata:\n  name: victim\n  labels:\n" + block.String() + "spec: {addresses: [10.200.0.0/24]}\n"
	labelled := `{"metadata":{"labels":{` + strings.Join(labels, ",") + `}}}`
	nested := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	return []bomb{
		{"create 10 MB", post, pathOfPools, asJSON, large, tooLarge, "limit is 3145728"},
		{"update 10 MB", put, victim, asJSON, large, tooLarge, "limit is 3145728"},
		{"merge patch 10 MB", patch, victim, asMerge, large, tooLarge, "limit is 3145728"},
		{"strategic patch 10 MB", patch, victim, asStrategic, large, tooLarge, "limit is 3145728"},
		{"JSON patch 10 MB", patch, victim, asJSONPatch, `[{"op":"add","path":"/spec/addresses/0","value":"` + strings.Repeat("1", tenMegabytes) + `"}]`, tooLarge, "limit is 3145728"},
		{"apply 10 MB", patch, apply, asApply, large, tooLarge, "limit is 3145728"},
		{"create YAML 10 MB", post, pathOfPools, asYAML, large, tooLarge, "limit is 3145728"},
		{"status 10 MB", patch, victim + "/status", asMerge, large, tooLarge, "limit is 3145728"},

		{"deeply nested", post, pathOfPools, asJSON, nested(400_000), refused, ""},
		{"deeply nested patch", patch, victim, asMerge, nested(400_000), refused, ""},
		{"nested as deep as JSON may be", patch, victim, asMerge, `{"spec":` + nested(9000) + `}`, refused, "nested more than 100 levels"},
		{"create nested as deep as JSON may be", post, pathOfPools, asJSON, nested(9000), refused, "nested more than 100 levels"},
		{"nested in YAML", post, pathOfPools, asYAML, "a: " + nested(9000), refused, ""},
		{"nested in a JSON patch", patch, victim, asJSONPatch, `[{"op":"add","path":"/spec/x","value":` + nested(9000) + `}]`, refused, "nested more than 100 levels"},
		{"nested in apply", patch, apply, asApply, `{"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","metadata":{"name":"victim"},"spec":` + nested(9000) + `}`, refused, ""},
		{"YAML aliases", post, pathOfPools, asYAML, aliases, refused, ""},
		{"YAML aliases in apply", patch, apply, asApply, aliases, refused, ""},
		{"JSON patch of copies", patch, victim, asJSONPatch, copies + "]", append(tooLarge, refused...), ""},
		{"JSON patch of 20,000 operations", patch, victim, asJSONPatch, "[" + strings.Repeat(`{"op":"test","path":"/kind","value":"IPAddressPool"},`, 20_000) + `{"op":"test","path":"/kind","value":"IPAddressPool"}]`, tooLarge, "maximum operations"},
		{"a huge address", post, pathOfPools, asJSON, poolText("bomb", "", []string{long}), refused, "spec.addresses[0]"},
		{"a huge name", post, pathOfPools, asJSON, poolText(long, "", []string{"10.0.0.0/24"}), refused, "longer than 4096 bytes"},
		{"a huge annotation", post, pathOfPools, asJSON, poolText("bomb", `,"annotations":{"a":"`+long+`"}`, []string{"10.0.0.0/24"}), refused, "metadata.annotations"},
		{"a huge label", post, pathOfPools, asJSON, poolText("bomb", `,"labels":{"a":"`+long+`"}`, []string{"10.0.0.0/24"}), refused, "metadata.labels"},
		{"a huge key", post, pathOfPools, asJSON, poolText("bomb", `,"labels":{"`+long+`":"a"}`, []string{"10.0.0.0/24"}), refused, "longer than 4096 bytes"},
		{"a huge namespace", post, pathOfPools, asJSON, poolText("bomb", `,"namespace":"`+long+`"`, []string{"10.0.0.0/24"}), refused, "longer than 4096 bytes"},
		{"a huge kind", post, pathOfPools, asJSON, `{"apiVersion":"metallb.io/v1beta1","kind":"` + long + `"}`, refused, "longer than 4096 bytes"},
		{"a huge unknown field", post, pathOfPools + "?fieldValidation=Strict", asJSON, `{"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","` + long + `":1}`, refused, "longer than 4096 bytes"},
		{"100,000 labels", post, pathOfPools, asJSON, poolText("bomb", `,"labels":{`+strings.Join(labels, ",")+`}`, []string{"10.0.0.0/24"}), refused, "more than 10000 fields"},
		{"merge patch of 100,000 labels", patch, victim, asMerge, labelled, refused, "more than 10000 fields"},
		{"strategic patch of 100,000 labels", patch, victim, asStrategic, labelled, refused, "more than 10000 fields"},
		{"2,000 labels", patch, victim, asMerge, `{"metadata":{"labels":{` + strings.Join(labels[:2000], ",") + `}}}`, refused, "metadata.labels: Too many"},
		{"apply of 100,000 labels", patch, apply, asApply, inBlock, refused, "more than 10000 fields"},
		{"apply of 100,000 labels in JSON", patch, apply, asApply, `{"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","metadata":{"name":"victim","labels":{` + strings.Join(labels, ",") + `}}}`, refused, "more than 10000 fields"},
		{"20,000 owners", patch, victim, asMerge, `{"metadata":{"ownerReferences":[` + owners.String()[1:] + `]}}`, refused, "metadata.ownerReferences: Too many"},
		{"100,000 finalizers", patch, victim, asMerge, `{"metadata":{"finalizers":[` + finalizers.String()[1:] + `]}}`, refused, "metadata.finalizers: Too many"},
		{"JSON patch of a huge path", patch, victim, asJSONPatch, `[{"op":"add","path":"/metadata/labels/` + long + `","value":"a"}]`, refused, ""},
		{"JSON patch of a huge value", patch, victim, asJSONPatch, `[{"op":"add","path":"/spec/addresses/0","value":"` + long + `"}]`, refused, ""},
		{"apply of a huge value", patch, apply, asApply, poolText("victim", "", []string{long}), refused, ""},
		{"100,000 ranges that are none", post, pathOfPools, asJSON, poolText("bomb", "", slices.Repeat([]string{"no range at all"}, 100_000)), refused, "spec.addresses[0]"},
		{"100,000 ranges that overlap", post, pathOfPools, asJSON, poolText("bomb", "", slices.Repeat([]string{"10.1.0.0/16"}, 100_000)), refused, "overlaps"},
		{"more ranges than are stored", post, pathOfPools, asJSON, poolText("bomb", "", single(1<<20, 150_000)), tooLarge, "more than etcd stores"},
		{"100,000 selectors", post, pathOfPools, asJSON, strings.Replace(poolText("bomb", "", []string{"10.1.0.0/16"}), `"spec":{`,
			`"spec":{"serviceAllocation":{"serviceSelectors":[`+strings.TrimSuffix(strings.Repeat(`{},`, 100_000), ",")+`]},`, 1), refused, "serviceSelectors"},
		{"not UTF-8", post, pathOfPools, asJSON, poolText("bomb", "", nil) + "\xff\xfe", refused, ""},
		{"nothing", post, pathOfPools, asJSON, "", refused, ""},
	}
}

// maxAnswer is how long a refusal may be, in bytes: what somebody can read, and no copy of what was sent.
const maxAnswer = 16 << 10

// TestBombs: whatever is sent, the answer is a client's error with the reason, of bounded size; nothing is stored; the
// server goes on and keeps no memory of it.
func TestBombs(t *testing.T) {
	config := serveAlone(t)
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	if code, text := send(t, client, config, http.MethodPost, pathOfPools, asJSON, poolText("victim", "", []string{"10.200.0.0/24"})); code != http.StatusCreated {
		t.Fatalf("%d %s", code, text)
	}
	_, stored := send(t, client, config, http.MethodGet, pathOfPools+"/victim", asJSON, "")
	before := heap()
	for _, b := range bombs() {
		t.Run(b.name, func(t *testing.T) {
			began := time.Now()
			code, text := send(t, client, config, b.method, b.path, b.contentType, b.body)
			t.Logf("%d bytes: %d after %s: %.300s", len(b.body), code, time.Since(began).Round(time.Millisecond), text)
			if !slices.Contains(b.codes, code) || !strings.Contains(text, b.says) {
				t.Errorf("got %d with %q, want one of %v with %q", code, clip(text), b.codes, b.says)
			}
			if code != http.StatusOK {
				checkRefusal(t, text)
			}
		})
	}
	if _, now := send(t, client, config, http.MethodGet, pathOfPools+"/victim", asJSON, ""); !sameSpec(t, stored, now) {
		t.Errorf("the victim is now %s", clip(now))
	}
	_, list := send(t, client, config, http.MethodGet, pathOfPools, asJSON, "")
	if strings.Count(list, `"uid"`) != 1 {
		t.Errorf("something was stored: %s", clip(list))
	}
	eventually(t, "the memory to be given back", func() error { // what ends connections and requests may come a moment later
		if after := heap(); after > before+100<<20 {
			return fmt.Errorf("%d MiB are in use, %d before", after>>20, before>>20)
		}
		return nil
	})
}

// checkRefusal wants a Status with a reason and a message.
func checkRefusal(t *testing.T, text string) {
	t.Helper()
	status := &metav1.Status{}
	if err := json.Unmarshal([]byte(text), status); err != nil {
		t.Errorf("the answer is no Status: %v: %s", err, clip(text))
	}
	if status.Message == "" || len(text) > maxAnswer {
		t.Errorf("the answer has %d bytes: %s", len(text), clip(text))
	}
}

func sameSpec(t *testing.T, a, b string) bool {
	t.Helper()
	var specs [2]struct{ Spec json.RawMessage }
	if err := errors.Join(json.Unmarshal([]byte(a), &specs[0]), json.Unmarshal([]byte(b), &specs[1])); err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(specs[0].Spec, specs[1].Spec)
}

func clip(text string) string { return text[:min(len(text), 500)] }

// heap is what is in use after everything that is not was given back.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
