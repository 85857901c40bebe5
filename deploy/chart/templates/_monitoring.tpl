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

{{/* scrapeTLS is how metrics over TLS are scraped: with what the values say of TLS, or else without checking the certificate, since Pods
are called by addresses, which certificates do not have; and with the token of the one account that may read them. */}}
{{- define "ingot.scrapeTLS" -}}
scheme: https
tlsConfig:
  {{- toYaml (. | default (dict "insecureSkipVerify" true)) | nindent 2 }}
authorization:
  type: Bearer
  credentials: {name: metrics-reader-token, key: token}
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
