package live

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb"
)

const ns = "metallb-system"

var kind = Kind{
	Plural: "configurationstates", Singular: "configurationstate",
	New:     func() runtime.Object { return &metallb.ConfigurationState{} },
	NewList: func() runtime.Object { return &metallb.ConfigurationStateList{} },
	Columns: []metav1.TableColumnDefinition{{Name: "Result", Type: "string"}},
	Cells:   func(o runtime.Object) []any { return []any{string(o.(*metallb.ConfigurationState).Status.Result)} },
}

func state(name, result string, kv ...string) *metallb.ConfigurationState {
	o := &metallb.ConfigurationState{ObjectMeta: metav1.ObjectMeta{Name: name}}
	o.Status.Result = metallb.ConfigurationResult(result)
	if len(kv) > 0 {
		o.Labels = map[string]string{kv[0]: kv[1]}
	}
	return o
}

func newTestSet(put ...Object) (*Set, *REST) {
	s := NewSet(kind, ns, NewClock(time.Now))
	s.Update(put)
	return s, NewREST(s)
}

var inNamespace = genericapirequest.WithNamespace(context.Background(), ns)

func list(t *testing.T, r *REST, options metainternalversion.ListOptions) (names []string, version string) {
	t.Helper()
	got, err := r.List(inNamespace, &options)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range got.(*metallb.ConfigurationStateList).Items {
		names = append(names, o.Name+"="+string(o.Status.Result))
	}
	m, err := meta.ListAccessor(got)
	if err != nil {
		t.Fatal(err)
	}
	return names, m.GetResourceVersion()
}

// begin watches for as long as the test runs.
func begin(t *testing.T, r *REST, options metainternalversion.ListOptions) watch.Interface {
	t.Helper()
	w, err := r.Watch(inNamespace, &options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return w
}

// heard waits until nothing happens any more, and returns what the watcher heard meanwhile.
func heard(w watch.Interface) (events []string) {
	for {
		synctest.Wait()
		select {
		case ev, ok := <-w.ResultChan():
			if !ok {
				return append(events, "end")
			}
			switch o := ev.Object.(type) {
			case *metallb.ConfigurationState:
				text := fmt.Sprintf("%s %s=%s", ev.Type, o.Name, o.Status.Result)
				if o.Annotations[metav1.InitialEventsAnnotationKey] == "true" {
					text += " initial events end"
				}
				events = append(events, text)
			case *metav1.Status:
				events = append(events, fmt.Sprintf("%s %d %s", ev.Type, o.Code, o.Reason))
			}
		default:
			return events
		}
	}
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestVersionsGrowWhateverTheClockDoes(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	c := NewClock(func() time.Time { return now })
	before := uint64(0)
	for i := range 3000 {
		switch i {
		case 1000:
			now = now.Add(-time.Hour)
		case 2000:
			now = now.Add(2 * time.Hour)
		}
		v := c.next()
		if v <= before {
			t.Fatalf("%d after %d", v, before)
		}
		before = v
	}
	if late := before>>counterBits - uint64(now.UnixMilli()); late > 1 { // the counter may have run over
		t.Errorf("the last version is of %d ms after its time", late)
	}
	if v := NewClock(func() time.Time { return now.Add(time.Second) }).next(); v <= before {
		t.Errorf("a process that starts later begins at %d, before %d", v, before)
	}
}

// TestOnlyChangesMoveTheVersion: what is reported anew and is the same is no event.
func TestOnlyChangesMoveTheVersion(t *testing.T) {
	s, r := newTestSet(state("a", "Valid"), state("b", "Valid"))
	names, before := list(t, r, metainternalversion.ListOptions{})
	expect(t, "list", names, "a=Valid", "b=Valid")
	s.Update([]Object{state("a", "Valid"), state("b", "Valid")}, "absent")
	if _, after := list(t, r, metainternalversion.ListOptions{}); after != before {
		t.Errorf("version moved from %s to %s", before, after)
	}
	s.Update([]Object{state("a", "Invalid")})
	names, after := list(t, r, metainternalversion.ListOptions{})
	expect(t, "list after a change", names, "a=Invalid", "b=Valid")
	if after <= before {
		t.Errorf("version %s after %s", after, before)
	}

	a, err := r.Get(inNamespace, "a", &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	other, _ := newTestSet(state("a", "Unknown"))
	same, _ := other.Object("a")
	if m := a.(Object); m.GetNamespace() != ns || m.GetResourceVersion() != after || m.GetUID() == "" || m.GetUID() != same.GetUID() {
		t.Errorf("metadata %+v; another process gives the identity %s", a.(Object), same.GetUID())
	}
	if _, err := r.Get(inNamespace, "c", nil); !apierrors.IsNotFound(err) {
		t.Errorf("get of what is not there: %v", err)
	}
	if _, err := r.Get(genericapirequest.WithNamespace(t.Context(), "default"), "a", nil); !apierrors.IsNotFound(err) {
		t.Errorf("get in another namespace: %v", err)
	}
}

// TestVersionsOfOthersExpire: a version of another replica, or of before a restart, never passes for one's own.
func TestVersionsOfOthersExpire(t *testing.T) {
	_, r := newTestSet(state("a", "Valid"))
	_, own := list(t, r, metainternalversion.ListOptions{})
	_, elsewhere := newTestSet(state("a", "Valid"))
	_, foreign := list(t, elsewhere, metainternalversion.ListOptions{})
	later := strconv.FormatUint(NewClock(func() time.Time { return time.Now().Add(time.Hour) }).next(), 10)
	yes := true
	for _, version := range []string{foreign, later, "1"} {
		if _, err := r.Watch(inNamespace, &metainternalversion.ListOptions{ResourceVersion: version}); !apierrors.IsResourceExpired(err) {
			t.Errorf("watch from %s: %v", version, err)
		}
		streamed := &metainternalversion.ListOptions{ResourceVersion: version, SendInitialEvents: &yes, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}
		if _, err := r.Watch(inNamespace, streamed); !apierrors.IsResourceExpired(err) {
			t.Errorf("watch list from %s: %v", version, err)
		}
		if _, err := r.List(inNamespace, &metainternalversion.ListOptions{ResourceVersion: version}); !apierrors.IsResourceExpired(err) {
			t.Errorf("list at %s: %v", version, err)
		}
		if _, err := r.Get(inNamespace, "a", &metav1.GetOptions{ResourceVersion: version}); !apierrors.IsResourceExpired(err) {
			t.Errorf("get at %s: %v", version, err)
		}
	}
	for _, options := range []metainternalversion.ListOptions{
		{}, {ResourceVersion: "0"}, {ResourceVersion: own}, {ResourceVersion: own, ResourceVersionMatch: metav1.ResourceVersionMatchExact},
		{ResourceVersion: own, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}, {Limit: 1},
	} {
		names, _ := list(t, r, options)
		expect(t, fmt.Sprintf("list with %+v", options), names, "a=Valid")
	}
	if _, err := r.List(inNamespace, &metainternalversion.ListOptions{Continue: "x"}); !apierrors.IsResourceExpired(err) {
		t.Errorf("continued list: %v", err)
	}
	if _, err := r.List(inNamespace, &metainternalversion.ListOptions{ResourceVersion: "x"}); !apierrors.IsBadRequest(err) {
		t.Errorf("list at x: %v", err)
	}
}

func TestWatchFromAVersionGetsWhatWasMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newTestSet(state("a", "Valid"))
		_, from := list(t, r, metainternalversion.ListOptions{})
		s.Update([]Object{state("a", "Invalid"), state("b", "Valid")})
		s.Update(nil, "b")

		w := begin(t, r, metainternalversion.ListOptions{ResourceVersion: from})
		expect(t, "missed", heard(w), "MODIFIED a=Invalid", "ADDED b=Valid", "DELETED b=Valid")
		s.Update([]Object{state("a", "Valid")})
		expect(t, "then", heard(w), "MODIFIED a=Valid")
		no := false
		expect(t, "from now on", heard(begin(t, r, metainternalversion.ListOptions{SendInitialEvents: &no})))
		expect(t, "everything", heard(begin(t, r, metainternalversion.ListOptions{ResourceVersion: "0"})), "ADDED a=Valid")
	})
}

func TestWatchList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newTestSet(state("a", "Valid"), state("b", "Valid"))
		yes := true
		w := begin(t, r, metainternalversion.ListOptions{SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan})
		expect(t, "initial events", heard(w), "ADDED a=Valid", "ADDED b=Valid", "BOOKMARK = initial events end")
		s.Update(nil, "a")
		expect(t, "then", heard(w), "DELETED a=Valid")
		<-time.After(bookmarkEvery)
		expect(t, "a minute later", heard(w), "BOOKMARK =")

		empty, of := newTestSet()
		w = begin(t, of, metainternalversion.ListOptions{SendInitialEvents: &yes, AllowWatchBookmarks: true})
		expect(t, "of nothing", heard(w), "BOOKMARK = initial events end")
		of.Destroy()
		expect(t, "at the end of the process", heard(w), "end")
		empty.Update([]Object{state("late", "Valid")})
	})
}

// TestWatchOfAPart: objects enter and leave what a selector shows.
func TestWatchOfAPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newTestSet(state("a", "Valid", "type", "x"), state("b", "Valid", "type", "y"))
		byLabel := begin(t, r, metainternalversion.ListOptions{LabelSelector: labels.SelectorFromSet(labels.Set{"type": "x"})})
		byName := begin(t, r, metainternalversion.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", "b")})
		elsewhere, err := r.Watch(genericapirequest.WithNamespace(t.Context(), "default"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer elsewhere.Stop()
		s.Update([]Object{state("b", "Valid", "type", "x"), state("a", "Valid", "type", "y")})
		s.Update([]Object{state("b", "Invalid", "type", "x")}, "a")
		expect(t, "by label", heard(byLabel), "ADDED a=Valid", "ADDED b=Valid", "DELETED a=Valid", "MODIFIED b=Invalid")
		expect(t, "by name", heard(byName), "ADDED b=Valid", "MODIFIED b=Valid", "MODIFIED b=Invalid")
		expect(t, "in another namespace", heard(elsewhere))
	})
}

// TestSlowWatcherIsEnded: it holds up nobody, and does not go on with a gap.
func TestSlowWatcherIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, r := newTestSet(state("a", "0"))
		_, from := list(t, r, metainternalversion.ListOptions{})
		slow := begin(t, r, metainternalversion.ListOptions{ResourceVersion: from})
		quick := begin(t, r, metainternalversion.ListOptions{ResourceVersion: from})
		const changes = 2 * leastWindow
		seen := 0
		for i := range changes {
			s.Update([]Object{state("a", strconv.Itoa(i+1))})
			if i%100 == 0 {
				seen += len(heard(quick))
			}
		}
		if seen += len(heard(quick)); seen != changes {
			t.Errorf("the quick one heard %d of %d changes", seen, changes)
		}
		events := heard(slow)
		if n := len(events); n > 20 || events[n-1] != "end" {
			t.Errorf("the slow one heard %d events, the last %q", n, events[n-1])
		}
		if _, err := r.Watch(inNamespace, &metainternalversion.ListOptions{ResourceVersion: from}); !apierrors.IsResourceExpired(err) {
			t.Errorf("watch from before what is remembered: %v", err)
		}
	})
}

func TestWatchEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r := newTestSet(state("a", "Valid"))
		ctx, cancel := context.WithTimeout(inNamespace, time.Second)
		defer cancel()
		w, err := r.Watch(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		expect(t, "before", heard(w), "ADDED a=Valid")
		<-time.After(2 * time.Second)
		expect(t, "after the timeout", heard(w), "end")
	})
}

func TestTable(t *testing.T) {
	_, r := newTestSet(state("a", "Valid"))
	all, err := r.List(inNamespace, nil)
	if err != nil {
		t.Fatal(err)
	}
	table, err := r.ConvertToTable(t.Context(), all, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{"a", "Valid"}, table.Rows[0].Cells); diff != "" || len(table.ColumnDefinitions) != 2 || table.ResourceVersion == "" {
		t.Errorf("cells (-want +got):\n%s%+v", diff, table)
	}
}
