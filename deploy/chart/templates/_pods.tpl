{{/* What Pods have in common. */}}

{{/* metricsPort of a component: (list $ COMPONENT …). An apiserver on its node's network leaves the port of the values to the speaker. */}}
{{- define "ingot.metricsPort" -}}
{{- $values := (index . 0).Values -}}
{{- $beside := and (eq (index . 1) "apiserver") (eq $values.apiserver.etcd.type "embedded") (eq $values.apiserver.persistence.type "hostPath") -}}
{{- add (int $values.prometheus.metricsPort) ($beside | ternary 4 0) -}}
{{- end -}}

{{/* metadata of a Pod template: (list $ COMPONENT VALUES). What changes with every version of the chart is not in it, lest
everything restarts. */}}
{{- define "ingot.podMetadata" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
labels:
  {{- include "ingot.selector" . | nindent 2 }}
  app.kubernetes.io/component: {{ index . 1 }}
  app.kubernetes.io/name: {{ include "ingot.name" $root }}
  app.kubernetes.io/instance: {{ $root.Release.Name }}
  {{- with $values.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $annotations := dict -}}
{{- if and $root.Values.prometheus.scrapeAnnotations (ne (index . 1) "etcd") -}}
{{- $annotations = dict "prometheus.io/scrape" "true" "prometheus.io/port" (include "ingot.metricsPort" .) -}}
{{- end -}}
{{- with merge (deepCopy ($values.podAnnotations | default dict)) $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* scheduling: a dict of root, values, and built-in tolerations and nodeSelector. */}}
{{- define "ingot.scheduling" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with merge (deepCopy (.values.nodeSelector | default dict)) (.nodeSelector | default dict) }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat (.tolerations | default list) (.values.tolerations | default list) }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* spread keeps replicas apart: (list $ COMPONENT WHENUNSATISFIABLE). */}}
{{- define "ingot.spread" -}}
topologySpreadConstraints:
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: {{ index . 2 }}
  labelSelector:
    matchLabels:
      {{- include "ingot.selector" . | nindent 6 }}
{{- end -}}

{{/* controlPlane are tolerations of nodes that run the control plane. */}}
{{- define "ingot.controlPlane" -}}
- {key: node-role.kubernetes.io/control-plane, operator: Exists, effect: NoSchedule}
- {key: node-role.kubernetes.io/master, operator: Exists, effect: NoSchedule}
{{- end -}}

{{/* probes of a container: (list $ VALUES CERTIFICATE). Liveness asks nobody else. */}}
{{- define "ingot.probes" -}}
{{- $values := index . 1 -}}
{{- $scheme := "" -}}
{{- if or (index . 2) (index . 0).Values.prometheus.metricsTLS }}{{ $scheme = ", scheme: HTTPS" }}{{ end -}}
{{- range $name, $path := dict "startupProbe" "/healthz" "livenessProbe" "/healthz" "readinessProbe" "/readyz" }}
{{- $probe := get $values $name | default dict }}
{{- if $probe.enabled }}
{{ $name }}:
  httpGet: {path: {{ $path }}, port: monitoring{{ $scheme }}}
  {{- range $key, $value := omit $probe "enabled" }}
  {{- if not (kindIs "invalid" $value) }}
  {{ $key }}: {{ int $value }}
  {{- end }}
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* unprivileged is what a container may do. */}}
{{- define "ingot.unprivileged" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* imageAndPolicy: (list $ VALUES). */}}
{{- define "ingot.imageAndPolicy" -}}
image: {{ include "ingot.image" . }}
{{- with (index . 1).image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
{{- end -}}

{{/* commonArgs are arguments that all programs know: (list $ COMPONENT VALUES CERTIFICATE), where the last is the Secret that metrics are served by. */}}
{{- define "ingot.commonArgs" -}}
{{- $root := index . 0 -}}
{{- $port := include "ingot.metricsPort" . }}
{{- if ne $port "7472" }}
- --metrics-address=:{{ $port }}
{{- end }}
{{- with $root.Values.tls.minVersion }}
- --tls-min-version={{ . }}
{{- end }}
{{- with $root.Values.tls.cipherSuites }}
- --tls-cipher-suites={{ . }}
{{- end }}
{{- with $root.Values.tls.curvePreferences }}
- --tls-curve-preferences={{ . }}
{{- end }}
{{- if index . 3 }}
- --metrics-cert-dir=/etc/ingot/metrics
{{- else if $root.Values.prometheus.metricsTLS }}
- --metrics-tls
{{- end }}
{{- range (index . 2).extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{/* classArg is for programs that look at Services. */}}
{{- define "ingot.classArg" -}}
{{- with .Values.loadBalancerClass }}
- --lb-class={{ . }}
{{- end }}
{{- end -}}

{{/* metricsMount and metricsVolume bring the Secret in that metrics are served by. */}}
{{- define "ingot.metricsMount" -}}
{{- if . }}
- {name: metrics-tls, mountPath: /etc/ingot/metrics, readOnly: true}
{{- end }}
{{- end -}}

{{- define "ingot.metricsVolume" -}}
{{- with . }}
- name: metrics-tls
  secret: {secretName: {{ . }}, defaultMode: 0444}
{{- end }}
{{- end -}}

{{/* beforeTheNetwork are tolerations of a Pod that can run on one node only, and needs no Pod network. */}}
{{- define "ingot.beforeTheNetwork" -}}
- {key: node.kubernetes.io/network-unavailable, operator: Exists, effect: NoSchedule}
- {key: node.cloudprovider.kubernetes.io/uninitialized, operator: Exists, effect: NoSchedule}
- {key: node.kubernetes.io/not-ready, operator: Exists}
- {key: node.kubernetes.io/unreachable, operator: Exists}
{{- end -}}

{{- define "ingot.monitoringPort" -}}
- {name: monitoring, containerPort: {{ include "ingot.metricsPort" . }}, protocol: TCP}
{{- end -}}

{{- define "ingot.namespaceEnv" -}}
- name: METALLB_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- end -}}

{{/* serviceAccount: (list $ COMPONENT VALUES). */}}
{{- define "ingot.serviceAccount" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
{{- if $values.serviceAccount.create }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "ingot.serviceAccountName" . }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "ingot.labels" . | nindent 4 }}
  {{- with $values.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- if eq (index . 1) "speaker" }}
automountServiceAccountToken: false
{{- end }}
{{- end }}
{{- end -}}

{{/* podDisruptionBudget: (list $ COMPONENT VALUES). Drains wait while another one is away; one alone holds nobody up. */}}
{{- define "ingot.podDisruptionBudget" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
{{- if $values.podDisruptionBudget.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "ingot.prefix" $root }}{{ index . 1 }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "ingot.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ $values.podDisruptionBudget.maxUnavailable }}
  selector:
    matchLabels:
      {{- include "ingot.selector" . | nindent 6 }}
{{- end }}
{{- end -}}
