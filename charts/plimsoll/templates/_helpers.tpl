{{/* What every object is called, or its name begins with. At most 52 characters, so that endings fit. */}}
{{- define "plimsoll.name" -}}
{{- default .Release.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{/* By these the Service, the budget and the spread find pods; they never change. */}}
{{- define "plimsoll.selector" -}}
app.kubernetes.io/name: plimsoll
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end }}

{{/* The emergency exit goes by app.kubernetes.io/name, so every object has it. */}}
{{- define "plimsoll.labels" -}}
app.kubernetes.io/name: plimsoll
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with omit .Values.labels "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Metadata of an object in our namespace. */}}
{{- define "plimsoll.metadata" -}}
name: {{ include "plimsoll.name" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "plimsoll.labels" . | nindent 2 }}
{{- end }}

{{- define "plimsoll.image" -}}
{{- $image := printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- if .Values.image.digest }}{{ $image = printf "%s@%s" $image .Values.image.digest }}{{ end -}}
{{- $image -}}
{{- end }}

{{- define "plimsoll.secret" -}}
{{- default (printf "%s-tls" (include "plimsoll.name" .)) .Values.certificate.existingSecret -}}
{{- end }}

{{/* Not empty where Plimsoll issues its certificate itself. */}}
{{- define "plimsoll.issues" -}}
{{- if not (or .Values.certManager.enabled .Values.certificate.existingSecret) }}yes{{ end -}}
{{- end }}

{{- define "plimsoll.failurePolicy" -}}
{{- default (ternary "Ignore" "Fail" .Values.dryRun) .Values.webhooks.failurePolicy -}}
{{- end }}

{{/* Writing Events or recordings is a side effect, and dry runs have none. */}}
{{- define "plimsoll.sideEffects" -}}
{{- ternary "NoneOnDryRun" "None" (or .Values.events.enabled .Values.record.enabled) -}}
{{- end }}

{{/* Logs, and all that is written to the node's disk: a pod over its limit is evicted. */}}
{{- define "plimsoll.storage" -}}
{{- $megabytes := 256 -}}
{{- if .Values.images.registries }}{{ $megabytes = add $megabytes .Values.images.cacheMegabytes }}{{ end -}}
{{- if .Values.record.enabled }}{{ $megabytes = add $megabytes .Values.record.megabytes 16 }}{{ end -}}
{{- $megabytes }}Mi
{{- end }}

{{/* Packs by values, each a file. */}}
{{- define "plimsoll.packs" -}}
{{- range $name, $spec := .Values.packs.inline }}
{{ $name }}.yaml: |
  apiVersion: plimsoll.dev/v1
  kind: RulePack
  metadata:
    name: {{ $name }}
  spec:
    {{- toYaml $spec | nindent 4 }}
{{- end }}
{{- end }}

{{/* The registries file. */}}
{{- define "plimsoll.registries" -}}
apiVersion: plimsoll.dev/v1
kind: Registries
registries:
  {{- toYaml .Values.images.registries | nindent 2 }}
{{- with .Values.images.platforms }}
platforms:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What can't be said by the schema: values that don't go together. */}}
{{- define "plimsoll.check" -}}
{{- if and .Values.certManager.enabled .Values.certificate.existingSecret }}
{{- fail "certManager.enabled and certificate.existingSecret: give one of them, since one certificate is served" }}
{{- end }}
{{- if and .Values.certificate.caBundle (not .Values.certificate.existingSecret) }}
{{- fail "certificate.caBundle goes with certificate.existingSecret: else it is filled in by who issues the certificate" }}
{{- end }}
{{- if not (or .Values.packs.shipped .Values.packs.inline .Values.packs.configMaps .Values.packs.watch) }}
{{- fail "packs: nothing judges; name packs by packs.shipped, packs.inline or packs.configMaps, or set packs.watch" }}
{{- end }}
{{- with .Values.networkPolicy }}
{{- if and .enabled .egress.apiServers $.Values.images.registries (not .egress.registries) }}
{{- fail "networkPolicy.egress.registries: connections go out to named addresses alone, and images.registries has none among them" }}
{{- end }}
{{- end }}
{{- if and (eq (int .Values.replicas) 1) .Values.podDisruptionBudget.minAvailable }}
{{- fail "podDisruptionBudget.minAvailable: one replica has no budget, or its node could never be drained" }}
{{- end }}
{{- end }}
