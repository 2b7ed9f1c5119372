{{/* Envoy's container: the enforcement point beside the agent. */}}
{{- define "callgate.envoyContainer" -}}
name: envoy
image: {{ .Values.envoy.image }}
imagePullPolicy: IfNotPresent
restartPolicy: Always
command: [envoy]
# Without hot restart there is no shared memory, which the pod's containers would have in common.
args: [--config-path, /etc/envoy/envoy.yaml, --concurrency, "1", --disable-hot-restart, --log-level, warning]
ports:
- {name: envoy-status, containerPort: 8082, protocol: TCP}
startupProbe:
  httpGet: {path: /ready, port: 8082}
  periodSeconds: 1
  timeoutSeconds: 2
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /ready, port: 8082}
  periodSeconds: 5
  timeoutSeconds: 2
livenessProbe:
  httpGet: {path: /ready, port: 8082}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
resources:
  {{- toYaml .Values.envoy.resources | nindent 2 }}
securityContext:
  # callgate knows Envoy by this number (`peps`), so nothing else in the pod may have it.
  runAsUser: 10002
  runAsGroup: 10002
  readOnlyRootFilesystem: true
  allowPrivilegeEscalation: false
  capabilities: {drop: [ALL]}
volumeMounts:
- {name: envoy-config, mountPath: /etc/envoy, readOnly: true}
- {name: envoy-admin, mountPath: /run/envoy}
# Read-only: Envoy connects to the socket, and cannot put another in its place.
- {name: callgate-socket, mountPath: /run/callgate, readOnly: true}
{{- end }}

{{/* Envoy's configuration. */}}
{{- define "callgate.envoyConfig" -}}
# Envoy wants names of its own where it reads secrets from files.
node: {id: {{ include "callgate.fullname" . }}, cluster: {{ include "callgate.fullname" . }}}
admin:
  # In a folder of Envoy's own: on a port, the agent could stop and change Envoy with it.
  address: {pipe: {path: /run/envoy/admin.sock, mode: 0600}}
# Within the memory that the container may have, whatever the agent sends: bodies wait here until they are judged.
overload_manager:
  resource_monitors:
  - name: envoy.resource_monitors.fixed_heap
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig
      max_heap_size_bytes: 201326592
  - name: envoy.resource_monitors.global_downstream_max_connections
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig
      max_active_downstream_connections: 64
  actions:
  - name: envoy.overload_actions.stop_accepting_requests
    triggers: [{name: envoy.resource_monitors.fixed_heap, threshold: {value: 0.9}}]
static_resources:
  listeners:
  # For the agent.
  - name: mcp
    address: {socket_address: {address: 127.0.0.1, port_value: 8080}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: mcp
          # The path that is judged is the forwarded one, except for the name of the server.
          normalize_path: true
          merge_slashes: true
          path_with_escaped_slashes_action: REJECT_REQUEST
          # Names with `_` are taken for those with `-` by some servers.
          common_http_protocol_options: {headers_with_underscores_action: REJECT_REQUEST}
          route_config:
            virtual_hosts:
            - name: mcp
              domains: ["*"]
              routes:
              {{- range $name, $upstream := .Values.envoy.upstreams }}
              - match: {path_separated_prefix: /mcp/{{ $name }}}
                route: {cluster: mcp_{{ $name }}, timeout: 0s, prefix_rewrite: {{ $upstream.path | quote }}}
              {{- end }}
          http_filters:
          - name: envoy.filters.http.ext_authz
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
              transport_api_version: V3
              grpc_service:
                envoy_grpc: {cluster_name: callgate}
                # At least `approvals.deadline` and 200 ms: a call that needs an approval waits that long for the store.
                timeout: 1s
              # If callgate does not answer, no request passes.
              failure_mode_allow: false
              # Headers one by one and the body as bytes: nothing that callgate reads has been joined or replaced.
              encode_raw_headers: true
              with_request_body: {max_request_bytes: 1048576, allow_partial_message: false, pack_as_bytes: true}
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  # For the kubelet and Prometheus: two pages of the admin interface, and no other.
  - name: status
    ignore_global_conn_limit: true
    address: {socket_address: {address: {{ .Values.bindAddress | trimPrefix "[" | trimSuffix "]" | quote }}, port_value: 8082}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: status
          route_config:
            virtual_hosts:
            - name: status
              domains: ["*"]
              routes:
              - match: {path: /ready, headers: [{name: ":method", string_match: {exact: GET}}]}
                route: {cluster: admin}
              - match: {path: /stats/prometheus, headers: [{name: ":method", string_match: {exact: GET}}]}
                route: {cluster: admin}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  {{- range $name, $upstream := .Values.envoy.upstreams }}
  - name: mcp_{{ $name }}
    type: STRICT_DNS
    connect_timeout: 2s
    # Kept for less than servers do, many of which close connections after 5 s: a call that meets the close is lost.
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http_protocol_options: {}}
        common_http_protocol_options: {idle_timeout: 4s}
    load_assignment:
      cluster_name: mcp_{{ $name }}
      endpoints:
      - lb_endpoints: [{endpoint: {address: {socket_address: {address: {{ $upstream.host | quote }}, port_value: {{ $upstream.port }}}}}}]
  {{- end }}
  - name: callgate
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment:
      cluster_name: callgate
      endpoints:
      - lb_endpoints: [{endpoint: {address: {pipe: {path: /run/callgate/callgate.sock}}}}]
  - name: admin
    load_assignment:
      cluster_name: admin
      endpoints:
      - lb_endpoints: [{endpoint: {address: {pipe: {path: /run/envoy/admin.sock}}}}]
{{- end }}
