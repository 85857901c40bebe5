{{/* What things are called, and how they are labelled. */}}

{{- define "ingot.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* prefix goes before the names of what the chart makes. Names that programs look for by themselves have none. */}}
{{- define "ingot.prefix" -}}
{{- with .Values.fullnameOverride }}{{ . }}-{{ end -}}
{{- end -}}

{{/* clusterPrefix goes before names that have no namespace. The apiserver looks for one of them, so no other prefix does. */}}
{{- define "ingot.clusterPrefix" -}}
{{ .Release.Namespace }}:
{{- end -}}

{{/* labels of an object: (list $ COMPONENT), where the component may be "". */}}
{{- define "ingot.labels" -}}
{{- $root := index . 0 -}}
app: metallb
{{- with index . 1 }}
component: {{ . }}
app.kubernetes.io/component: {{ . }}
{{- end }}
app.kubernetes.io/name: {{ include "ingot.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* selector of Pods: (list $ COMPONENT). It can never change, so nothing of the release is in it. */}}
{{- define "ingot.selector" -}}
app: metallb
component: {{ index . 1 }}
{{- end -}}

{{/* serviceAccountName: (list $ COMPONENT VALUES). */}}
{{- define "ingot.serviceAccountName" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $account := (index . 2).serviceAccount -}}
{{- if eq $component "speaker" -}}
speaker
{{- else if $account.create -}}
{{- default (printf "%s%s" (include "ingot.prefix" $root) $component) $account.name -}}
{{- else -}}
{{- default "default" $account.name -}}
{{- end -}}
{{- end -}}

{{/* image: (list $ VALUES). */}}
{{- define "ingot.image" -}}
{{- $root := index . 0 -}}
{{- $image := (index . 1).image -}}
{{- with $root.Values.imageRegistry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest -}}@{{ $image.digest }}{{- else -}}:{{ default $root.Chart.AppVersion $image.tag }}{{- end -}}
{{- end -}}

{{/* embedded is "true" where the apiserver has its etcd inside. */}}
{{- define "ingot.embedded" -}}
{{- if eq .Values.apiserver.etcd.type "embedded" }}true{{ end -}}
{{- end -}}

{{/* etcdMembers are the names of the members of our etcd, separated by commas. */}}
{{- define "ingot.etcdMembers" -}}
{{- $prefix := include "ingot.prefix" . -}}
{{- $names := list -}}
{{- range until (int .Values.apiserver.etcd.statefulset.replicas) -}}
{{- $names = append $names (printf "%setcd-%d" $prefix .) -}}
{{- end -}}
{{- join "," $names -}}
{{- end -}}

{{/* etcdDomain follows the name of a member. */}}
{{- define "ingot.etcdDomain" -}}
{{ include "ingot.prefix" . }}etcd.{{ .Release.Namespace }}.svc
{{- end -}}

{{/* etcdServers are the URLs of whatever etcd is not embedded, separated by commas. */}}
{{- define "ingot.etcdServers" -}}
{{- if eq .Values.apiserver.etcd.type "external" -}}
{{- join "," .Values.apiserver.etcd.servers -}}
{{- else -}}
{{- $urls := list -}}
{{- $domain := include "ingot.etcdDomain" . -}}
{{- range splitList "," (include "ingot.etcdMembers" .) -}}
{{- $urls = append $urls (printf "https://%s.%s:2379" . $domain) -}}
{{- end -}}
{{- join "," $urls -}}
{{- end -}}
{{- end -}}
