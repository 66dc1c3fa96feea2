"""Manifests as a company keeps them in a repository: the same bytes at every run.

    python bench/manifests.py DIRECTORY [COUNT]

A service is a directory of four objects: its workload, its Service, its ConfigMap, and what stands beside it (a
budget, an autoscaler, a claim). Its Namespace comes last, and belongs to the workloads before it. Every third service
breaks something.
"""

from __future__ import annotations

import sys
from pathlib import Path

WORKLOAD = """\
# the service {name}, as its team deploys it
apiVersion: apps/v1
kind: {kind}
metadata:
  name: {name}
  namespace: {space}
  labels:
    app.kubernetes.io/name: {name}
    app.kubernetes.io/part-of: {space}
  annotations:
    plimsoll.dev/owner: "#{space}"
spec:
  replicas: {replicas}
{more}  selector:
    matchLabels:
      app.kubernetes.io/name: {name}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: {name}
        app.kubernetes.io/part-of: {space}
        app.kubernetes.io/version: "{version}"
    spec:
      serviceAccountName: {name}
      terminationGracePeriodSeconds: 45
      initContainers:
        - name: migrate
          image: {registry}/{space}/{name}-migrate:{version}
          args: ["up", "--wait"]
          resources:
            requests: {{cpu: 250m, memory: 128Mi}}
            limits: {{cpu: 250m, memory: 128Mi}}
      containers:
        - name: {name}
          image: {registry}/{space}/{name}:{version}
          ports:
            - name: http
              containerPort: 8080
            - name: metrics
              containerPort: 9090
          env:
            - name: LOG_PATH
              value: /var/log/app
            - name: DATABASE_HOST
              value: {database}
            - name: DATABASE_PASSWORD
              valueFrom:
                secretKeyRef:
                  name: {name}-database
                  key: password
            - name: JAVA_TOOL_OPTIONS
              value: -XX:MaxRAMPercentage=70 -XX:+ExitOnOutOfMemoryError
            - name: POD_NAME
              valueFrom:
                fieldRef:
                  fieldPath: metadata.name
          envFrom:
            - configMapRef:
                name: {name}
          resources:
            requests:
              cpu: 500m
              memory: {memory}
            limits:
              cpu: 500m
              memory: 1Gi
          readinessProbe:
            httpGet:
              path: /ready
              port: http
            periodSeconds: 5
            failureThreshold: 3
          livenessProbe:
            httpGet:
              path: /live
              port: http
            periodSeconds: 20
          lifecycle:
            preStop:
              exec:
                command: ["sh", "-c", "sleep 10"]
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            runAsNonRoot: true
            capabilities:
              drop: [ALL]
          volumeMounts:
            - name: logs
              mountPath: /var/log/app
            - name: cache
              mountPath: /var/cache
        - name: proxy
          image: registry.example/platform/proxy:3.4.1
          args:
            - --upstream=127.0.0.1:8080
            - --listen=:8443
          ports:
            - name: https
              containerPort: 8443
          resources:
            requests: {{cpu: 100m, memory: 64Mi}}
            limits: {{cpu: 100m, memory: 64Mi}}
      volumes:
        - name: logs
          emptyDir:
            sizeLimit: 1Gi
        - name: cache
          {cache}
"""

SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: {name}
  namespace: {space}
  labels:
    app.kubernetes.io/name: {name}
spec:
  selector:
    app.kubernetes.io/name: {name}
  ports:
    - name: https
      port: 443
      targetPort: https
"""

CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
  namespace: {space}
data:
  LOG_LEVEL: info
  FEATURES: "basket,search,vouchers"
  application.properties: |
    server.port=8080
    management.port=9090
    search.timeout=2s
    search.url=https://search.{space}.svc.cluster.local
    orders.retries=3
"""

BUDGET = """\
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {name}
  namespace: {space}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      app.kubernetes.io/name: {name}
"""

AUTOSCALER = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {name}
  namespace: {space}
spec:
  minReplicas: 3
  maxReplicas: 12
  scaleTargetRef:
    apiVersion: apps/v1
    kind: {kind}
    name: {name}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: 70
"""

NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: {space}
  labels:
    team: {space}
"""

TEAM = 25
"""Services of one namespace."""


def write(directory: Path, count: int) -> None:
    """Write `count` objects, one to a file, into directories below `directory`."""
    for number in range(count // 4 + 1):
        left = count - 4 * number
        for name, text in service(number)[: max(0, left)]:
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def service(number: int) -> list[tuple[str, str]]:
    """Return name and text of the four files of a service."""
    space, kind = f"team-{number // TEAM:03}", "StatefulSet" if number % 7 == 3 else "Deployment"
    broken = number % 3 == 0
    words = {
        "space": space,
        "name": f"service-{number:05}",
        "kind": kind,
        "replicas": 1 + number % 4,
        "more": "  serviceName: all\n" if kind == "StatefulSet" else "  minReadySeconds: 10\n",
        "version": f"{number % 5}.{number % 13}.{number % 17}",
        "registry": "quay.io" if broken else "registry.example",
        "database": "10.0.7.12" if broken else f"database.{space}.svc.cluster.local",
        "memory": "512Mi" if broken else "1Gi",
        "cache": "hostPath: {path: /var/cache}" if broken else "emptyDir: {sizeLimit: 2Gi}",
    }
    beside = BUDGET if number % 2 else AUTOSCALER
    if number % TEAM == TEAM - 1:
        beside = NAMESPACE
    parts = {"beside": beside, "config": CONFIG, "service": SERVICE, "workload": WORKLOAD}
    return [(f"{space}/{words['name']}/{part}.yaml", text.format(**words)) for part, text in parts.items()]


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10_000)
