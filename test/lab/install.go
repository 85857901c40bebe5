package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/ingot-lb/ingot/test/lab/cluster"
	"github.com/ingot-lb/ingot/test/lab/rollout"
)

// installation is what `lab up --from-manifests` installs.
type installation struct {
	from     []string // directories of kustomizations, files, or "-"
	patience time.Duration
}

// render reads the manifests, before anything is built.
func (i installation) render(ctx context.Context, kubectl string, stdin io.Reader) (string, error) {
	var all []string
	for _, from := range i.from {
		text, err := render(ctx, kubectl, from, stdin)
		if err != nil {
			return "", fmt.Errorf("--from-manifests %s: %w", from, err)
		}
		all = append(all, strings.TrimSpace(text))
	}
	return strings.Join(all, "\n---\n"), nil
}

func render(ctx context.Context, kubectl, from string, stdin io.Reader) (string, error) {
	if from == "-" {
		content, err := io.ReadAll(stdin)
		return string(content), err
	}
	info, err := os.Stat(from)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		content, err := os.ReadFile(from)
		return string(content), err
	}
	return output(exec.CommandContext(ctx, kubectl, "kustomize", from))
}

// output runs a command. The error has what it complained of.
func output(cmd *exec.Cmd) (string, error) {
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", filepath.Base(cmd.Path), strings.Join(cmd.Args[1:], " "), err, strings.TrimSpace(complaints.String()))
	}
	return out.String(), nil
}

// install applies the rendered manifests as a user does, and returns when all workloads among them are ready.
func (i installation) install(ctx context.Context, kubectl, dir, rendered string, out io.Writer, began time.Time) error {
	step := func(name string, f func() error) error {
		start := time.Now()
		if err := f(); err != nil {
			return err
		}
		fmt.Fprintf(out, "%6.1fs  %-28s took %.1fs\n", time.Since(began).Seconds(), name, time.Since(start).Seconds())
		return nil
	}
	workloads, err := workloads(rendered)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "manifests.yaml")
	if err := os.WriteFile(file, []byte(rendered), 0o600); err != nil {
		return err
	}
	kubeconfig := cluster.KubeConfig(dir)
	err = step("kubectl apply", func() error {
		_, err := output(exec.CommandContext(ctx, kubectl, "--kubeconfig="+kubeconfig, "apply", "--server-side", "--validate=strict", "-f", file))
		return err
	})
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, i.patience)
	defer cancel()
	return step("workloads ready", func() error { return rollout.Await(ctx, client, workloads) })
}

// workloads are those among rendered manifests.
func workloads(rendered string) ([]rollout.Workload, error) {
	var found []rollout.Workload
	for document := range strings.SplitSeq("\n"+rendered, "\n---") {
		var o struct {
			Kind     string
			Metadata struct{ Namespace, Name string }
		}
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			return nil, fmt.Errorf("manifests: %w", err)
		}
		if !rollout.IsWorkload(o.Kind) {
			continue
		}
		if o.Metadata.Namespace == "" {
			o.Metadata.Namespace = "default"
		}
		found = append(found, rollout.Workload{Kind: o.Kind, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name})
	}
	return found, nil
}

// validate says what cannot be.
func (i installation) validate() error {
	stdin := 0
	for _, from := range i.from {
		if from == "-" {
			stdin++
		}
	}
	if stdin > 1 {
		return errors.New("--from-manifests -: standard input can be read once")
	}
	return nil
}
