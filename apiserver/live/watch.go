package live

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

// bookmarkEvery is how often a watcher hears how far it is, if it wants to.
const bookmarkEvery = time.Minute

// errClosed says that the process ends.
var errClosed = errors.New("closed")

func expired(version uint64) error {
	return apierrors.NewResourceExpired(fmt.Sprintf(
		"resource version %d was not issued by this replica of the apiserver since it started, or is too old: list again", version))
}

// selection is what a reader wants to see; nil is everything.
type selection func(Object) bool

// watcher sends changes as they happen. All that it remembers is the version up to which it has sent: what it has not
// sent yet is in the history of the set, which all watchers share. One that is so slow that the history has passed it is
// ended, for it would miss something.
type watcher struct {
	set       *Set
	wanted    selection
	bookmarks bool
	result    chan watch.Event
	done      chan struct{}
	once      sync.Once
}

// newWatcher sends what happened after version. If initial is not nil, it is sent first, as additions, and with
// bookmarks followed by one that says so.
func newWatcher(ctx context.Context, s *Set, version uint64, initial []Object, wanted selection, bookmarks, endInitial bool) *watcher {
	w := &watcher{set: s, wanted: wanted, bookmarks: bookmarks, result: make(chan watch.Event, 16), done: make(chan struct{})}
	go w.run(ctx, version, initial, endInitial)
	return w
}

// ResultChan implements watch.Interface.
func (w *watcher) ResultChan() <-chan watch.Event { return w.result }

// Stop implements watch.Interface.
func (w *watcher) Stop() { w.once.Do(func() { close(w.done) }) }

func (w *watcher) run(ctx context.Context, at uint64, initial []Object, endInitial bool) {
	defer close(w.result)
	for _, o := range initial {
		if w.wanted(o) && !w.send(ctx, at, watch.Added, o) {
			return
		}
	}
	if endInitial && !w.bookmark(ctx, at, true) {
		return
	}
	tick := time.NewTicker(bookmarkEvery - rand.N(bookmarkEvery/10))
	defer tick.Stop()
	for {
		changes, more, err := w.set.since(at)
		if err != nil {
			w.fail(err)
			return
		}
		for i := range changes {
			if event, o := changes[i].seen(w.wanted); event != "" && !w.send(ctx, at, event, o) {
				return
			}
			at = changes[i].version
		}
		if len(changes) > 0 {
			continue // the set may be further on
		}
		select {
		case <-more:
		case <-tick.C:
			if w.bookmarks && !w.bookmark(ctx, at, false) {
				return
			}
		case <-ctx.Done():
			return
		case <-w.done:
			return
		}
	}
}

// seen is what the change looks like to one who sees a part: what enters the part is added, what leaves it deleted.
func (c *change) seen(wanted selection) (watch.EventType, Object) {
	if c.event != watch.Modified {
		if wanted(c.object) {
			return c.event, c.object
		}
		return "", nil
	}
	switch was, is := wanted(c.before), wanted(c.object); {
	case was && is:
		return watch.Modified, c.object
	case is:
		return watch.Added, c.object
	case was:
		left := c.before.DeepCopyObject().(Object)
		left.SetResourceVersion(c.object.GetResourceVersion())
		return watch.Deleted, left
	}
	return "", nil
}

// send waits until the reader takes the event, and says whether it did. It does not wait for a reader that the history
// has passed: at is the version of what was sent before.
func (w *watcher) send(ctx context.Context, at uint64, event watch.EventType, o Object) bool {
	out := watch.Event{Type: event, Object: o.DeepCopyObject()}
	select {
	case w.result <- out:
		return true
	default:
	}
	for {
		_, more, err := w.set.since(at)
		if err != nil {
			return false
		}
		select {
		case w.result <- out:
			return true
		case <-more:
		case <-ctx.Done():
			return false
		case <-w.done:
			return false
		}
	}
}

// bookmark says that everything up to version was sent.
func (w *watcher) bookmark(ctx context.Context, version uint64, endInitial bool) bool {
	o, ok := w.set.kind.New().(Object)
	if !ok {
		return false
	}
	o.SetResourceVersion(strconv.FormatUint(version, 10))
	if endInitial {
		if err := storage.AnnotateInitialEventsEndBookmark(o); err != nil {
			return false
		}
	}
	return w.send(ctx, version, watch.Bookmark, o)
}

// fail tells why the watch ends, if the reader listens.
func (w *watcher) fail(err error) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return
	}
	answer := status.Status()
	select {
	case w.result <- watch.Event{Type: watch.Error, Object: &answer}:
	default:
	}
}
