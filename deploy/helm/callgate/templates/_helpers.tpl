{{/* The name of the chart, or what replaces it. */}}
{{- define "callgate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of the release's objects. Names of Services have at most 63 characters, with `-metrics` at their end. */}}
{{- define "callgate.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 54 | trimSuffix "-" }}
{{- else if contains (include "callgate.name" .) .Release.Name }}
{{- .Release.Name | trunc 54 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "callgate.name" .) | trunc 54 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* The labels by which the pods are found. They never change. */}}
{{- define "callgate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "callgate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The labels of a pod of callgate, apart from that of `helm test`. */}}
{{- define "callgate.podSelectorLabels" -}}
{{ include "callgate.selectorLabels" . }}
app.kubernetes.io/component: {{ .Values.shape }}
{{- end }}

{{- define "callgate.labels" -}}
{{ include "callgate.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "callgate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "callgate.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "callgate.image" -}}
{{- with .Values.image }}
{{- if .digest }}
{{- printf "%s@%s" .repository .digest }}
{{- else }}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The ConfigMaps of policies and catalogue: the chart's own, or yours; empty if there are none. */}}
{{- define "callgate.policiesConfigMap" -}}
{{- if .Values.policiesConfigMap }}
{{- .Values.policiesConfigMap }}
{{- else if .Values.policies }}
{{- printf "%s-policies" (include "callgate.fullname" .) }}
{{- end }}
{{- end }}

{{- define "callgate.catalogueConfigMap" -}}
{{- if .Values.catalogueConfigMap }}
{{- .Values.catalogueConfigMap }}
{{- else if .Values.catalogue }}
{{- printf "%s-catalogue" (include "callgate.fullname" .) }}
{{- end }}
{{- end }}

{{/* Refuses values that contradict each other, which a schema cannot say. */}}
{{- define "callgate.check" -}}
{{- $isSidecar := eq .Values.shape "sidecar" }}
{{- if and $isSidecar (not .Values.workload.containers) }}
{{- fail "workload.containers is empty: the shape `sidecar` needs the containers of your agent" }}
{{- end }}
{{- if and $isSidecar .Values.envoy.enabled (not .Values.envoy.upstreams) }}
{{- fail "envoy.upstreams is empty: name the MCP servers that Envoy forwards to, or set envoy.enabled to false" }}
{{- end }}
{{- if and $isSidecar .Values.autoscaling.enabled }}
{{- fail "autoscaling is for the shapes `service` and `gateway`: scale your agent by its own load" }}
{{- end }}
{{- if and (not $isSidecar) .Values.workload.containers }}
{{- fail (printf "workload.containers has no effect in the shape `%s`: only `sidecar` runs an agent" .Values.shape) }}
{{- end }}
{{- if and .Values.policies .Values.policiesConfigMap }}
{{- fail "policies and policiesConfigMap exclude each other" }}
{{- end }}
{{- if and .Values.catalogue .Values.catalogueConfigMap }}
{{- fail "catalogue and catalogueConfigMap exclude each other" }}
{{- end }}
{{- if and .Values.tls.clientCa (not .Values.tls.secret) }}
{{- fail "tls.clientCa needs tls.secret, whose `ca.crt` it is" }}
{{- end }}
{{- if and .Values.redis.secret (not .Values.redis.url) }}
{{- fail "redis.secret has no effect without redis.url" }}
{{- end }}
{{- if and .Values.redis.caKey (not .Values.redis.secret) }}
{{- fail "redis.caKey needs redis.secret, of which it is a key" }}
{{- end }}
{{- if and .Values.networkPolicy.enabled (or .Values.redis.url .Values.postgresql.secret) (not .Values.networkPolicy.egress) }}
{{- fail "networkPolicy.egress is empty, so no pod can reach Redis or PostgreSQL: add a rule for it" }}
{{- end }}
{{- $grace := default "10s" .Values.config.grace | toString }}
{{- if regexMatch "^[0-9]+s$" $grace }}
{{- $needed := add (trimSuffix "s" $grace | int) (.Values.preStopSeconds | int) }}
{{- if le (.Values.terminationGracePeriodSeconds | int) ($needed | int) }}
{{- fail (printf "terminationGracePeriodSeconds must be more than %d: preStopSeconds and config.grace together" $needed) }}
{{- end }}
{{- end }}
{{- end }}
