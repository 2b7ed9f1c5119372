{{/* callgate's configuration: yours, and the keys that follow from other values. */}}
{{- define "callgate.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $_ := set $config "state" "/var/lib/callgate/state" }}
{{- $_ := set $config "listen" (printf "%s:9191" .Values.bindAddress) }}
{{- $_ := set $config "grants_file" "/etc/callgate/grants" }}
{{- $admin := dict "listen" (printf "%s:9193" .Values.bindAddress) }}
{{- $_ := set $config "admin" (merge $admin (default dict $config.admin)) }}
{{- if include "callgate.policiesConfigMap" . }}
{{- $_ := set $config "policies_folder" "/etc/callgate/policies" }}
{{- end }}
{{- if include "callgate.catalogueConfigMap" . }}
{{- $_ := set $config "catalogue" "/etc/callgate/catalogue/catalogue.json" }}
{{- end }}
{{- if eq .Values.shape "sidecar" }}
{{- $_ := set $config "socket" "/run/callgate/callgate.sock" }}
{{- end }}
{{- if not (hasKey $config "peps") }}
{{- if and (eq .Values.shape "sidecar") .Values.envoy.enabled }}
{{- $_ := set $config "peps" (list (dict "name" "envoy" "uids" (list 10002))) }}
{{- else }}
{{- /* Without the key everybody who reaches the port might ask; with an empty list nobody may. */}}
{{- $_ := set $config "peps" list }}
{{- end }}
{{- end }}
{{- with .Values.tls }}
{{- if .secret }}
{{- $tls := dict "certificate" "/etc/callgate/tls/tls.crt" "key" "/etc/callgate/tls/tls.key" }}
{{- if .clientCa }}
{{- $_ := set $tls "client_ca" "/etc/callgate/tls/ca.crt" }}
{{- end }}
{{- $_ := set $config "tls" $tls }}
{{- end }}
{{- end }}
{{- with .Values.redis }}
{{- if .url }}
{{- $shared := dict "url" .url }}
{{- if .secret }}
{{- $_ := set $shared "password_file" (printf "/etc/callgate/redis/%s" .passwordKey) }}
{{- if .caKey }}
{{- $_ := set $shared "ca_file" (printf "/etc/callgate/redis/%s" .caKey) }}
{{- end }}
{{- end }}
{{- $counters := default dict $config.counters }}
{{- $_ := set $config "counters" (mergeOverwrite $counters (dict "shared" (merge $shared (default dict $counters.shared)))) }}
{{- end }}
{{- end }}
{{- if .Values.postgresql.secret }}
{{- $_ := set $config "store" (dict "url_file" (printf "/etc/callgate/store/%s" .Values.postgresql.urlKey)) }}
{{- end }}
{{- toYaml $config }}
{{- end }}
