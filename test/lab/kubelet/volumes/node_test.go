package volumes

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestHostPathIsThereAgain has a node lose /run, as with a boot, while a Pod goes on to have it as a volume.
func TestHostPathIsThereAgain(t *testing.T) {
	kind := corev1.HostPathDirectoryOrCreate
	pod := &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{
		{Name: "state", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/run/ingot", Type: &kind}}},
	}}}
	node := t.TempDir()
	v := Volumes{Dir: t.TempDir(), Root: node}
	for range 2 {
		made, _, err := v.Setup(t.Context(), pod)
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(node, "run", "ingot"); made["state"].Path != want {
			t.Errorf("path %q, want %q", made["state"].Path, want)
		}
		if info, err := os.Stat(made["state"].Path); err != nil || !info.IsDir() {
			t.Errorf("the directory: %v", err)
		}
		if err := os.RemoveAll(filepath.Join(node, "run")); err != nil {
			t.Fatal(err)
		}
	}
}
