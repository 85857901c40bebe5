# One set of versions and one CGO_ENABLED for everything, so that one build cache serves all (docs/development.md).
export CGO_ENABLED := 0
SHELL := /bin/bash

PROGRAMS := apiserver controller speaker
TOOLS := test/tools
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
KUBE_VERSION := v1.36.3
KUBE_LDFLAGS := -s -w $(foreach p,k8s.io/component-base/version k8s.io/client-go/pkg/version,-X $(p).gitVersion=$(KUBE_VERSION) -X $(p).gitMajor=1 -X $(p).gitMinor=36)
KUBE_PROGRAMS := kube-apiserver kube-controller-manager kube-proxy

.PHONY: build programs kubernetes tools lint generate check-generated test run

## build: everything, into bin/
build: kubernetes programs

programs:
	go build -o bin/ -ldflags "$(LDFLAGS)" $(addprefix ./,$(PROGRAMS)) ./test/lab

## kubernetes: the real Kubernetes programs that the lab runs
kubernetes:
	go build -o bin/ -ldflags "$(KUBE_LDFLAGS)" ./test/kubernetes/kube ./test/kubernetes/kubectl
	for p in $(KUBE_PROGRAMS); do ln -sf kube bin/$$p; done

## tools: generators and linters, at pinned versions
tools:
	GOWORK=off go -C $(TOOLS) build -o ../../bin/tools/ tool
	ln -sf tools/grpcurl bin/grpcurl
