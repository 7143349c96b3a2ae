{{- define "mcp-proxy.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 63 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "mcp-proxy.selector" -}}
app.kubernetes.io/name: mcp-proxy
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "mcp-proxy.labels" -}}
{{ include "mcp-proxy.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* The configuration file: what the chart decides, then what `config` says. */}}
{{- define "mcp-proxy.config" -}}
{{- $secrets := "/run/secrets/mcp-proxy" }}
{{- $own := dict "host" "0.0.0.0" "port" 6001 "admin-tokens-file" (printf "%s/admin-token" $secrets) "storage" .Values.storage.kind "drain-delay" (printf "%vs" .Values.termination.drainDelay) "shutdown-timeout" (printf "%vs" .Values.termination.shutdownTimeout) }}
{{- with .Values.secret.clientTokenKey }}
{{- $_ := set $own "global-auth-tokens-file" (printf "%s/%s" $secrets .) }}
{{- end }}
{{- if eq .Values.storage.kind "redis" }}
{{- $_ := set $own "redis-host" .Values.storage.redis.host }}
{{- $_ := set $own "redis-port" .Values.storage.redis.port }}
{{- with .Values.storage.redis.passwordKey }}
{{- $_ := set $own "redis-password-file" (printf "%s/%s" $secrets .) }}
{{- end }}
{{- if .Values.storage.redis.tls }}
{{- $_ := set $own "redis-tls" true }}
{{- end }}
{{- else if eq .Values.storage.kind "embedded" }}
{{- $_ := set $own "data-dir" "/var/lib/mcp-proxy/data" }}
{{- end }}
{{- toYaml (merge $own (deepCopy .Values.config)) }}
{{- end }}

{{- define "mcp-proxy.check" -}}
{{- if ne .Values.storage.kind "redis" }}
{{- if .Values.autoscaling.enabled }}
{{- fail (printf "storage.kind %s is for one gateway: set autoscaling.enabled to false, and replicas to 1" .Values.storage.kind) }}
{{- else if gt (int .Values.replicas) 1 }}
{{- fail (printf "storage.kind %s is for one gateway: set replicas to 1" .Values.storage.kind) }}
{{- end }}
{{- end }}
{{- end }}
