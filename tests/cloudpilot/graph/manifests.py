"""Manifests of small worlds for tests of the graph, each with something missing."""

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: robot
      containers:
        - name: web
          image: registry.example.com/web:1
          envFrom:
            - configMapRef: {name: settings}
            - configMapRef: {name: tuning, optional: true}
          env: [{name: P, valueFrom: {secretKeyRef: {name: password, key: p}}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: default}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot, namespace: default}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: typo, namespace: default}
spec: {selector: {app: wep}, ports: [{port: 80}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web, namespace: default}
spec: {minAvailable: 1, selector: {matchExpressions: [{key: app, operator: In, values: [web]}]}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny-all, namespace: default}
spec: {podSelector: {}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, namespace: default}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, maxReplicas: 3}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: default}
spec:
  ingressClassName: nginx
  tls: [{hosts: [web.example.com], secretName: certificate}]
  rules:
    - host: web.example.com
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
          - {path: /old, pathType: Prefix, backend: {service: {name: old, port: {number: 80}}}}
"""

MESH = """
apiVersion: v1
kind: Pod
metadata: {name: gate, namespace: kube-system, labels: {istio: gate}}
spec: {containers: [{name: proxy, image: registry.example.com/proxy:1}]}
---
apiVersion: v1
kind: Secret
metadata: {name: certificate, namespace: kube-system}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: default}
spec: {selector: {app: cart}, ports: [{port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gate, namespace: default}
spec:
  selector: {istio: gate}
  servers:
    - {port: {number: 443, name: a, protocol: HTTPS}, hosts: [a.example.com],
       tls: {mode: SIMPLE, credentialName: certificate}}
    - {port: {number: 444, name: b, protocol: HTTPS}, hosts: [b.example.com],
       tls: {mode: SIMPLE, credentialName: lost}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: default}
spec:
  hosts: [a.example.com]
  gateways: [gate, kube-system/none]
  http:
    - route:
        - destination: {host: cart, subset: v2, port: {number: 80}}
        - destination: {host: cart.default.svc.cluster.local}
        - destination: {host: cart.default}
        - destination: {host: api.partner.example.com}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart, namespace: default}
spec: {host: cart, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: partners, namespace: default}
spec: {hosts: ["*.partner.example.com"], ports: [{number: 443, name: tls, protocol: TLS}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: kube-system}
spec: {selector: {matchLabels: {istio: gate}}, mtls: {mode: STRICT}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: default}
spec:
  parentRefs: [{name: none}]
  rules: [{backendRefs: [{name: cart, port: 80}]}]
"""

REST = """
apiVersion: v1
kind: PersistentVolume
metadata: {name: disk}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: ssd
  claimRef: {namespace: default, name: data}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: default}
spec:
  volumeName: disk
  storageClassName: ssd
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
---
apiVersion: v1
kind: Pod
metadata:
  name: db
  namespace: default
  ownerReferences: [{apiVersion: example.com/v1, kind: Database, name: db, uid: u-1}]
spec:
  containers: [{name: db, image: registry.example.com/db:1}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reads, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: none}
subjects: [{kind: ServiceAccount, name: default, namespace: default}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: check}
webhooks:
  - name: check.example.com
    clientConfig: {service: {namespace: default, name: gone}}
    sideEffects: None
    admissionReviewVersions: [v1]
"""
