package store

import "context"

// overtaken says whether the object has changed since the caller saw it, as far as this process knows without asking: by
// a write that had its turn while this one waited. Many writers of one object would otherwise each have all others check
// for nothing, one after the other. A caller that did not see an object, and wants to make it, is not looked at.
func (g *guarded) overtaken(ctx context.Context, key string, expected int64) (out outcome, is bool, err error) {
	v := g.store.cachedView()
	if i, found := v.find(key); expected == 0 || !found || v.entries[i].modRevision <= expected {
		return outcome{}, false, nil
	}
	// etcd decides: it may have been restored from a backup, and then revisions come twice.
	resp, err := g.store.client.Get(ctx, key)
	if err != nil {
		return outcome{}, false, err
	}
	out = outcome{revision: resp.Header.Revision, current: first(resp.Kvs)}
	return out, !out.stands(expected), nil
}
