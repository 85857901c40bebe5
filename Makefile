# One set of versions and one CGO_ENABLED for everything, so that one build cache serves all (docs/development.md).
export CGO_ENABLED := 0
SHELL := /bin/bash

PROGRAMS := apiserver controller speaker webhooks
TOOLS := test/tools
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
KUBE_VERSION := v1.36.3
KUBE_LDFLAGS := -s -w $(foreach p,k8s.io/component-base/version k8s.io/client-go/pkg/version,-X $(p).gitVersion=$(KUBE_VERSION) -X $(p).gitMajor=1 -X $(p).gitMinor=36)
KUBE_PROGRAMS := kube-apiserver kube-controller-manager kube-scheduler kube-proxy

.PHONY: build programs images chart bundle bundle-image bundlecheck kubernetes tools grpcurl helm crds lint generate check-generated test fuzz bench-l2 packages run nowork

## build: everything, into bin/
build: kubernetes programs

programs:
	go build -o bin/ -ldflags "$(LDFLAGS)" $(addprefix ./,$(PROGRAMS)) ./deploy/must-gather ./test/lab ./test/lab/etcd

## images: an OCI archive of every image, for each architecture of ARCHES, into bin/images/, the same bytes wherever they are made
ARCHES ?= amd64 arm64
# When the commit was made, for whoever builds it: https://reproducible-builds.org/specs/source-date-epoch/
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)
# Paths are left out, and what go finds of git, which is something else in a clone, a worktree and an unpacked archive; the commit is
# in the labels.
images:
	for arch in $(ARCHES); do \
		GOOS=linux GOARCH=$$arch go build -trimpath -buildvcs=false -o bin/release/$$arch/ -ldflags "$(LDFLAGS)" \
			$(addprefix ./,$(PROGRAMS)) ./deploy/must-gather || exit 1; \
	done
	go run ./deploy/image/build -programs bin/release -out bin/images -arch "$(ARCHES)" \
		-version "$(VERSION)" -revision "$$(git rev-parse HEAD)" -created "$(SOURCE_DATE_EPOCH)"

## chart: deploy/chart as a file, whose images have the tag VERSION. The same commit and version make the same bytes.
SEMANTIC = $(shell echo "$(VERSION)" | grep -Eo '^v?[0-9]+\.[0-9]+\.[0-9]+([-+].*)?$$')
chart: helm
	rm -rf bin/chart && mkdir -p bin/chart && cp -r deploy/chart bin/chart/ingot
	find bin/chart -exec touch -d @$(SOURCE_DATE_EPOCH) {} +
	bin/tools/helm package bin/chart/ingot --destination bin --app-version "$(VERSION)" $(if $(SEMANTIC),--version "$(SEMANTIC:v%=%)")
	rm -r bin/chart

## bundle: what the Operator Lifecycle Manager installs, checked in, from deploy/operator
bundle:
	bin/kubectl kustomize deploy/operator | go run ./deploy/bundle/generate

## bundle-image: the same for images in REGISTRY with the tag VERSION, which has to be a semantic version, and as an OCI archive
REGISTRY ?=
bundle-image:
	@test -n "$(REGISTRY)" || { echo "REGISTRY= says where the images are"; exit 1; }
	bin/kubectl kustomize deploy/operator | go run ./deploy/bundle/generate -out bin/bundle -archive bin/images/metallb-operator-bundle.tar \
		-registry "$(patsubst %/,%,$(REGISTRY))/" -tag "$(VERSION)" -revision "$$(git rev-parse HEAD)" -created "$(SOURCE_DATE_EPOCH)"

## bundlecheck: operator-framework's validators of bundles
bundlecheck:
	GOWORK=off go -C $(TOOLS) build -o ../../bin/tools/ ./bundlecheck

## kubernetes: the real Kubernetes programs that the lab runs
kubernetes:
	go build -o bin/ -ldflags "$(KUBE_LDFLAGS)" ./test/kubernetes/kube ./test/kubernetes/kubectl
	for p in $(KUBE_PROGRAMS); do ln -sf kube bin/$$p; done

## tools: generators and linters, at pinned versions
tools:
	GOWORK=off go -C $(TOOLS) build -o ../../bin/tools/ tool

## grpcurl: to ask a speaker with
grpcurl:
	GOWORK=off go -C $(TOOLS) build -o ../../bin/ github.com/fullstorydev/grpcurl/cmd/grpcurl

## helm: to render, install and package deploy/chart with
helm:
	GOWORK=off go -C $(TOOLS) build -o ../../bin/tools/ helm.sh/helm/v4/cmd/helm

## generate: what is generated and checked in: API machinery, OpenAPI definitions, the wire
API := ./apiserver/apis/metallb
SERVED := $(API)/v1alpha1 $(API)/v1beta1 $(API)/v1beta2
GENERATED := '*zz_generated*.go' '*.pb.go'
generate: tools
	bin/tools/deepcopy-gen --go-header-file /dev/null --output-file zz_generated.deepcopy.go $(API) $(SERVED)
	bin/tools/defaulter-gen --go-header-file /dev/null --output-file zz_generated.defaults.go $(SERVED)
	bin/tools/conversion-gen --go-header-file /dev/null --output-file zz_generated.conversion.go $(SERVED)
	bin/tools/openapi-gen --go-header-file /dev/null --output-file zz_generated.openapi.go \
		--output-dir apiserver/apis/openapi --output-pkg github.com/ingot-lb/ingot/apiserver/apis/openapi \
		--output-model-name-file zz_generated.model_name.go --report-filename /dev/null \
		$(foreach p,apimachinery/pkg/apis/meta/v1 apimachinery/pkg/api/resource apimachinery/pkg/runtime apimachinery/pkg/util/intstr apimachinery/pkg/version api/core/v1,--readonly-pkg k8s.io/$(p) k8s.io/$(p)) $(SERVED)
	PATH="$(CURDIR)/bin/tools:$$PATH" buf generate

## check-generated: fails, with the difference, where what is checked in is not what generate makes
check-generated: generate
	git diff --exit-code -- $(GENERATED)
	@new=$$(git ls-files --others --exclude-standard -- $(GENERATED)); if [ -n "$$new" ]; then echo "not checked in:"; echo "$$new"; exit 1; fi

## lint: formatting, vet, staticcheck and buf, on our own code
lint: tools
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt wants:"; echo "$$out"; exit 1; fi
	go vet ./...
	go vet ./test/kubernetes/...
	bin/tools/staticcheck ./...
	bin/tools/buf lint

## crds: the definitions of other projects' kinds that deploy/ has objects of, as their Go modules publish them
CRDS := github.com/prometheus-operator/prometheus-operator@v0.85.0/example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml \
	github.com/prometheus-operator/prometheus-operator@v0.85.0/example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml \
	github.com/prometheus-operator/prometheus-operator@v0.85.0/example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml \
	github.com/cert-manager/cert-manager@v1.21.2/deploy/crds/cert-manager.io_certificates.yaml \
	github.com/cert-manager/cert-manager@v1.21.2/deploy/crds/cert-manager.io_issuers.yaml \
	github.com/operator-framework/api@v0.37.0/crds/operators.coreos.com_clusterserviceversions.yaml \
	github.com/operator-framework/api@v0.37.0/crds/operators.coreos.com_operatorgroups.yaml \
	github.com/operator-framework/api@v0.37.0/crds/operators.coreos.com_subscriptions.yaml \
	github.com/operator-framework/api@v0.37.0/crds/operators.coreos.com_catalogsources.yaml
crds:
	mkdir -p bin/crds
	cd $(TOOLS) && for file in $(CRDS); do \
		version=$${file#*@}; version=$${version%%/*}; \
		GOWORK=off go mod download $${file%%@*}@$$version && \
		install -m 0644 "$$(go env GOMODCACHE)/$$file" ../../bin/crds/ || exit 1; \
	done

## test: unit, integration and end-to-end tests; the latter need root
test: packages build grpcurl helm crds bundlecheck
	go test -timeout 40m ./test/e2e ./...

## fuzz: every fuzz test, each for FUZZTIME; make test runs their seeds alone
FUZZTIME ?= 1m
fuzz:
	@git grep -Eo '^func Fuzz[A-Za-z0-9]+' -- '*_test.go' | sed -E 's|^(.*)/[^/]*:func |\1 |' | while read -r dir name; do \
		echo "== $$dir $$name"; go test "./$$dir" -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) </dev/null || exit 1; \
	done

## bench-l2: the fault matrix of layer 2, RUNS times; records go to OUT, and an interrupted series goes on
RUNS ?= 2
OUT ?= .cache/bench-l2.jsonl
bench-l2: packages build
	go build -o bin/ ./test/matrix/l2bench
	bin/l2bench -runs $(RUNS) -out $(OUT)

## packages: the Debian packages that the lab needs
packages:
	test/packages

## run: the whole system in a local lab, from nothing to a curl through an announced address
run:
	test/run

## nowork: the product builds without the workspace
nowork:
	GOWORK=off go build ./...
