{{/* Names are the same for every release: there is one Lockstep in a cluster. */}}

{{/* Labels of everything. Call with (dict "context" $ "component" NAME). */}}
{{- define "lockstep.labels" -}}
{{ include "lockstep.selector" . }}
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: lockstep
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version }}
{{- end }}

{{/* What selects the pods of a component; never changes. */}}
{{- define "lockstep.selector" -}}
app.kubernetes.io/name: lockstep
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Reference of an image. Call with (dict "context" $ "image" "operator"). */}}
{{- define "lockstep.image" -}}
{{- $images := .context.Values.images -}}
{{- get $images .image | default (printf "%s/%s:%s" $images.registry .image $images.tag) -}}
{{- end }}

{{- define "lockstep.pullSecrets" -}}
{{- with .Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The Secret that tells where the lease store is. */}}
{{- define "lockstep.storeSecret" -}}
{{- .Values.store.existingSecret | default "lockstep-store" -}}
{{- end }}

{{- define "lockstep.redisEnabled" -}}
{{- if and .Values.store.redis.enabled (not .Values.store.existingSecret) }}yes{{ end -}}
{{- end }}

{{/* Pod Security Standard "restricted". Call with the user's number. */}}
{{- define "lockstep.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "lockstep.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Egress to name servers and the API server, by port: neither can be selected everywhere. */}}
{{- define "lockstep.egressToCluster" -}}
- ports:
    - { protocol: UDP, port: 53 }
    - { protocol: TCP, port: 53 }
- ports:
    {{- range .Values.networkPolicy.apiServerPorts }}
    - { protocol: TCP, port: {{ . }} }
    {{- end }}
{{- end }}

{{/* Egress to the lease store: the chart's own, or one anywhere. */}}
{{- define "lockstep.egressToStore" -}}
{{- if include "lockstep.redisEnabled" . }}
- to:
    - podSelector:
        matchLabels:
          {{- include "lockstep.selector" (dict "context" . "component" "redis") | nindent 10 }}
  ports:
    - { protocol: TCP, port: 6379 }
{{- else }}
- ports:
    - { protocol: TCP, port: {{ .Values.networkPolicy.storePort }} }
{{- end }}
{{- end }}

{{/* Pods of protected VMs, in whatever namespace: a peer of a NetworkPolicy. */}}
{{- define "lockstep.launcherPeer" -}}
- namespaceSelector: {}
  podSelector:
    matchLabels:
      kubevirt.io: virt-launcher
    matchExpressions:
      - { key: lockstep.dev/vm, operator: Exists }
{{- end }}

{{/* Pod of the install check: of the job after an installation, and of `helm test`. */}}
{{- define "lockstep.installCheckPod" -}}
metadata:
  labels:
    {{- include "lockstep.selector" (dict "context" . "component" "install-check") | nindent 4 }}
spec:
  restartPolicy: Never
  serviceAccountName: lockstep-install-check
  {{- include "lockstep.pullSecrets" . | nindent 2 }}
  securityContext:
    {{- include "lockstep.podSecurity" 65532 | nindent 4 }}
  containers:
    - name: install-check
      image: {{ include "lockstep.image" (dict "context" . "image" "operator") }}
      imagePullPolicy: {{ .Values.images.pullPolicy }}
      command: [node, build/operator/install-check.js]
      args:
        - --namespace={{ .Release.Namespace }}
        - --store=/etc/lockstep/store
        - --timeout-seconds={{ .Values.installCheck.timeoutSeconds }}
      securityContext:
        {{- include "lockstep.containerSecurity" . | nindent 8 }}
      resources:
        requests: { cpu: 50m, memory: 64Mi }
        limits: { memory: 256Mi }
      volumeMounts:
        - { name: store, mountPath: /etc/lockstep/store, readOnly: true }
  volumes:
    - name: store
      secret:
        secretName: {{ include "lockstep.storeSecret" . }}
        defaultMode: 0440
{{- end }}
