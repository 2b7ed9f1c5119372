{{/* Probes of callgate: over gRPC, which the kubelet does not speak with TLS; then by the admin port. */}}
{{- define "callgate.probe" -}}
{{- $probe := deepCopy .probe }}
{{- if .root.Values.tls.secret }}
{{- $_ := set $probe "httpGet" (dict "path" .path "port" 9193) }}
{{- if dig "admin" "tls" "" .root.Values.config }}
{{- $_ := set $probe.httpGet "scheme" "HTTPS" }}
{{- end }}
{{- else if eq .path "/readyz" }}
{{- $_ := set $probe "grpc" (dict "port" 9191 "service" "callgate.decision.v1.DecisionService") }}
{{- else }}
{{- $_ := set $probe "grpc" (dict "port" 9191) }}
{{- end }}
{{- toYaml $probe }}
{{- end }}

{{/* callgate's container. */}}
{{- define "callgate.container" -}}
name: callgate
image: {{ include "callgate.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- if eq .Values.shape "sidecar" }}
# A native sidecar: it starts before the agent, and stops after it.
restartPolicy: Always
{{- end }}
args:
- serve
- --config
- /etc/callgate/config/callgate.yaml
{{- with .Values.extraArgs }}
{{- toYaml . | nindent 0 }}
{{- end }}
env:
# Fixed while callgate runs. All replicas need the same key, since it names tokens and shared counts.
- name: CALLGATE_GRANT_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .Values.grantKeySecret.name }}
      key: {{ .Values.grantKeySecret.key }}
      # With Redis callgate refuses to start without it; otherwise it starts, and denies every call.
      optional: {{ not .Values.redis.url }}
{{- with .Values.extraEnv }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.extraEnvFrom }}
envFrom:
{{- toYaml . | nindent 0 }}
{{- end }}
ports:
- {name: decisions, containerPort: 9191, protocol: TCP}
- {name: metrics, containerPort: 9193, protocol: TCP}
startupProbe:
  {{- include "callgate.probe" (dict "root" . "probe" .Values.startupProbe "path" "/readyz") | nindent 2 }}
readinessProbe:
  {{- include "callgate.probe" (dict "root" . "probe" .Values.readinessProbe "path" "/readyz") | nindent 2 }}
livenessProbe:
  {{- include "callgate.probe" (dict "root" . "probe" .Values.livenessProbe "path" "/healthz") | nindent 2 }}
{{- if and (ne .Values.shape "sidecar") (gt (.Values.preStopSeconds | int) 0) }}
lifecycle:
  # Clients that have not heard yet that this pod ends still reach it in this time.
  preStop:
    sleep: {seconds: {{ .Values.preStopSeconds }}}
{{- end }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
volumeMounts:
# Folders, not single files by `subPath`: only folders follow their ConfigMap or Secret.
- {name: callgate-config, mountPath: /etc/callgate/config, readOnly: true}
{{- if include "callgate.policiesConfigMap" . }}
- {name: callgate-policies, mountPath: /etc/callgate/policies, readOnly: true}
{{- end }}
{{- if include "callgate.catalogueConfigMap" . }}
- {name: callgate-catalogue, mountPath: /etc/callgate/catalogue, readOnly: true}
{{- end }}
- {name: callgate-grants, mountPath: /etc/callgate/grants, readOnly: true}
{{- if .Values.tls.secret }}
- {name: callgate-tls, mountPath: /etc/callgate/tls, readOnly: true}
{{- end }}
{{- if .Values.redis.secret }}
- {name: callgate-redis, mountPath: /etc/callgate/redis, readOnly: true}
{{- end }}
{{- if .Values.postgresql.secret }}
- {name: callgate-store, mountPath: /etc/callgate/store, readOnly: true}
{{- end }}
- {name: callgate-state, mountPath: /var/lib/callgate}
# Policies of PolicyLayer Intercept are converted into temporary files.
- {name: callgate-tmp, mountPath: /tmp}
{{- if eq .Values.shape "sidecar" }}
- {name: callgate-socket, mountPath: /run/callgate}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{/* The volumes of callgate's container. */}}
{{- define "callgate.volumes" -}}
- name: callgate-config
  configMap: {name: {{ include "callgate.fullname" . }}-config}
{{- with include "callgate.policiesConfigMap" . }}
- name: callgate-policies
  configMap: {name: {{ . }}}
{{- end }}
{{- with include "callgate.catalogueConfigMap" . }}
- name: callgate-catalogue
  configMap: {name: {{ . }}}
{{- end }}
# Without this Secret the pod starts, and denies every call.
- name: callgate-grants
  secret: {secretName: {{ .Values.grantsSecret }}, optional: true, defaultMode: 0440}
{{- with .Values.tls.secret }}
- name: callgate-tls
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .Values.redis.secret }}
- name: callgate-redis
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- with .Values.postgresql.secret }}
- name: callgate-store
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
# The counters, freezes, pins, and without PostgreSQL the store: they survive the container, and not the pod.
- name: callgate-state
  emptyDir: {sizeLimit: {{ .Values.state.sizeLimit }}}
- name: callgate-tmp
  emptyDir: {medium: Memory, sizeLimit: 16Mi}
{{- if eq .Values.shape "sidecar" }}
- name: callgate-socket
  emptyDir: {medium: Memory, sizeLimit: 1Mi}
{{- end }}
{{- with .Values.extraVolumes }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}
