package store

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-lb/ingot/apiserver/apis/metallb/install"
	"github.com/ingot-lb/ingot/test/await"
)

// open opens a store on dir and closes it at the end of the test.
func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), testOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func testOptions(dir string) Options {
	return Options{
		DataDir:        dir,
		Scheme:         install.Scheme,
		Codec:          install.StorageCodec(),
		StorageVersion: install.StorageVersion(install.Scheme),
		UnsafeNoFsync:  true,
	}
}

func TestLineageIsWrittenOnceAndSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), testOptions(dir))
	if err != nil {
		t.Fatal(err)
	}
	lineage := s.Lineage()
	_, revision, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	again := open(t, dir)
	if got := again.Lineage(); got != lineage || got == "" {
		t.Errorf("lineage after restart = %q, want %q", got, lineage)
	}
	if _, got, err := again.Snapshot(t.Context()); err != nil || got != revision {
		t.Errorf("configuration revision after restart = %d, %v, want %d", got, err, revision)
	}
	if other := open(t, t.TempDir()); other.Lineage() == lineage {
		t.Error("an empty data directory got the lineage of another")
	}
}

func TestLockedDataDirectoryIsRefusedAtOnce(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)

	_, err := Open(t.Context(), testOptions(dir))
	if err == nil || !strings.Contains(err.Error(), "another process uses it") {
		t.Fatalf("second Open on the same directory: %v", err)
	}
}

func TestDamagedDataDirectoryIsAClearError(t *testing.T) {
	for _, damaged := range []string{"etcd/member/snap/db", "etcd/member/wal/0000000000000000-0000000000000000.wal"} {
		t.Run(filepath.Base(damaged), func(t *testing.T) {
			dir := t.TempDir()
			s, err := Open(t.Context(), testOptions(dir))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			overwrite(t, filepath.Join(dir, damaged))
			// etcd leaves a goroutine behind that lays out log files ahead of their use, until it finds no directory.
			t.Cleanup(func() {
				await.Success(t, "the data directory is gone", func() error { return os.RemoveAll(dir) })
			})

			_, err = Open(t.Context(), testOptions(dir))
			if err == nil || !strings.Contains(err.Error(), "restore it from a backup") {
				t.Fatalf("Open of a damaged directory: %v", err)
			}
		})
	}
}

func TestUnreachableEtcdIsWaitedForUntilTheContextEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	o := testOptions("")
	o.Servers = []string{"unix://" + filepath.Join(t.TempDir(), "nobody.sock")}

	_, err := Open(ctx, o)
	if err == nil || !strings.Contains(err.Error(), "open the store") {
		t.Fatalf("Open with nobody there: %v", err)
	}
}

func TestEmptiedStoreIsNoticed(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.Health(t.Context()); err != nil {
		t.Fatalf("fresh store: %v", err)
	}

	if _, err := s.client.Delete(t.Context(), lineageKey); err != nil {
		t.Fatal(err)
	}

	if err := s.Health(t.Context()); err == nil || !strings.Contains(err.Error(), ErrReplaced.Error()) {
		t.Errorf("Health of an emptied store = %v, want %v", err, ErrReplaced)
	}
}

// TestDigestKeyIsTheStoresOwn: the same for replicas and after restarts, and another one's in another store.
func TestDigestKeyIsTheStoresOwn(t *testing.T) {
	key := func(s *Store) string {
		t.Helper()
		k, err := s.DigestKey(t.Context())
		if err != nil || len(k) != 32 {
			t.Fatalf("%d bytes, %v", len(k), err)
		}
		return string(k)
	}
	s := open(t, t.TempDir())
	first := key(s)
	if again := key(s); again != first {
		t.Error("the store has two keys")
	}
	if other := key(open(t, t.TempDir())); other == first {
		t.Error("two stores have one key")
	}
}
