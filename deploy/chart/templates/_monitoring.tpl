{{/* scrape is what PodMonitor and ServiceMonitor have in common, from their values. */}}
{{- define "ingot.scrape" -}}
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* excluding adds the matcher of pools that raise no alert to each metric of an expression: (list EXPRESSION REGEXP). */}}
{{- define "ingot.excluding" -}}
{{- $expr := index . 0 -}}
{{- with index . 1 -}}
{{- $matcher := printf "${1}{pool!~%s}" (quote . | replace "$" "$$") -}}
{{- $expr = regexReplaceAll "(metallb_allocator_addresses(?:_in_use)?_total)" $expr $matcher -}}
{{- end -}}
{{- $expr -}}
{{- end -}}
