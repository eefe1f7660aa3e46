"""Defaults and validation of written objects, as far as clients notice them.

Names, labels and the required fields of the kinds that CloudPilot's tests and scenes write. It is
no full copy of the server's validation: what is not checked here is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from simulator.kinds import Kind, Obj
from simulator.schemas import schema_errors
from simulator.status import ApiError, Cause, invalid, invalid_value, required

_SUBDOMAIN = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_VALUE = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    f"for validation is '{_SUBDOMAIN}')"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    f"for validation is '{_LABEL}')"
)
_LABEL_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    f"or '12345', regex used for validation is '{_LABEL_VALUE}')"
)
_KEY = "([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_KEY_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_FINALIZERS = frozenset({"foregroundDeletion", "kubernetes", "orphan"})
_STRATEGIES = ("Recreate", "RollingUpdate")
_SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_LABEL_NAMED = frozenset({"namespaces", "services"})
_PATH_NAMED = frozenset({"roles", "rolebindings", "clusterroles", "clusterrolebindings"})


def set_defaults(kind: Kind, obj: Obj) -> None:
    """Fill in the defaults that clients rely on."""
    spec = obj.get("spec")
    if kind.plural == "namespaces" and kind.group == "":
        obj["spec"] = {"finalizers": ["kubernetes"]} | (spec or {})
        obj.setdefault("status", {"phase": "Active"})
        labels = obj["metadata"].setdefault("labels", {})
        labels.setdefault("kubernetes.io/metadata.name", obj["metadata"]["name"])
    elif kind.resource == "pods" and isinstance(spec, dict):
        _default_pod(obj)
    elif kind.resource == "services" and isinstance(spec, dict):
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        spec.setdefault("internalTrafficPolicy", "Cluster")
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
        for port in spec.get("ports") or ():
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port.get("port"))
        obj.setdefault("status", {"loadBalancer": {}})
    elif kind.resource in ("deployments.apps", "replicasets.apps", "statefulsets.apps"):
        _default_workload(kind, obj)
    elif kind.resource == "secrets":
        obj.setdefault("type", "Opaque")
    elif kind.kind == "CustomResourceDefinition" and isinstance(spec, dict):
        _default_definition(spec)


def _default_pod(obj: Obj) -> None:
    spec = obj["spec"]
    default_pod_spec(spec)
    spec.setdefault("serviceAccountName", "default")
    spec.setdefault("serviceAccount", spec["serviceAccountName"])
    spec.setdefault("priority", 0)
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    obj.setdefault("status", {"phase": "Pending", "qosClass": qos_class(spec)})


def default_pod_spec(spec: Obj) -> None:
    """Fill in the defaults of a pod spec, in a pod or in a template."""
    for name, value in (
        ("restartPolicy", "Always"),
        ("dnsPolicy", "ClusterFirst"),
        ("schedulerName", "default-scheduler"),
        ("terminationGracePeriodSeconds", 30),
        ("securityContext", {}),
    ):
        spec.setdefault(name, value)
    for container in spec.get("containers") or ():
        image = str(container.get("image", ""))
        untagged = ":" not in image.rpartition("/")[2] or image.endswith(":latest")
        container.setdefault("imagePullPolicy", "Always" if untagged else "IfNotPresent")
        container.setdefault("resources", {})
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        for port in container.get("ports") or ():
            port.setdefault("protocol", "TCP")


def _default_definition(spec: Obj) -> None:
    names = spec.setdefault("names", {})
    spec.setdefault("conversion", {"strategy": "None"})
    if names.get("kind"):
        names.setdefault("singular", names["kind"].lower())
        names.setdefault("listKind", f"{names['kind']}List")


def _default_workload(kind: Kind, obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("replicas", 1)
    if kind.kind == "Deployment":
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault("progressDeadlineSeconds", 600)
        rolling = {"maxUnavailable": "25%", "maxSurge": "25%"}
        spec.setdefault("strategy", {"type": "RollingUpdate", "rollingUpdate": rolling})
    if isinstance(spec.get("template"), dict):
        default_pod_spec(spec["template"].setdefault("spec", {}))
    obj.setdefault("status", {} if kind.kind == "Deployment" else {"replicas": 0})


def qos_class(spec: Obj) -> str:
    """Return the quality-of-service class that requests and limits amount to."""
    resources = [container.get("resources") or {} for container in spec.get("containers") or ()]
    if not any(r.get("requests") or r.get("limits") for r in resources):
        return "BestEffort"
    for r in resources:
        limits = r.get("limits") or {}
        requests = r.get("requests") or limits
        if not {"cpu", "memory"} <= limits.keys() or any(
            requests.get(name, limits[name]) != limits[name] for name in ("cpu", "memory")
        ):
            return "Burstable"
    return "Guaranteed"


# -- validation --------------------------------------------------------------------------------


def validate(kind: Kind, obj: Obj) -> None:
    """Check an object that is about to be written.

    Raises:
        ApiError: 422 naming every offending field.
    """
    causes = list(_metadata_causes(kind, obj["metadata"]))
    causes += schema_errors(kind, obj)
    if kind.resource in ("deployments.apps", "statefulsets.apps", "replicasets.apps"):
        causes += _workload_causes(kind, obj)
    elif kind.resource == "pods":
        causes += _pod_causes(obj.get("spec") or {}, "spec")
    elif kind.resource == "services":
        causes += _service_causes(obj.get("spec") or {})
    elif kind.resource in ("configmaps", "secrets"):
        causes += _data_causes(obj)
    elif kind.kind == "CustomResourceDefinition":
        causes += _definition_causes(obj)
    if causes:
        raise invalid(kind.kind, kind.group, obj["metadata"].get("name", ""), causes)


def validate_update(kind: Kind, before: Obj, after: Obj) -> None:
    """Check what an update may not change.

    Raises:
        ApiError: 422 naming the immutable field.
    """
    causes: list[Cause] = []
    if kind.resource in ("deployments.apps", "replicasets.apps", "statefulsets.apps"):
        selector = after["spec"].get("selector")
        if selector != before["spec"].get("selector"):
            causes.append(invalid_value("spec.selector", selector, "field is immutable"))
    sealed = kind.resource in ("configmaps", "secrets") and before.get("immutable")
    if sealed and any(before.get(f) != after.get(f) for f in ("data", "binaryData", "immutable")):
        text = "field is immutable when `immutable` is set"
        causes.append(Cause("FieldValueForbidden", f"Forbidden: {text}", "data"))
    if causes:
        raise invalid(kind.kind, kind.group, after["metadata"]["name"], causes)


def missing_name(kind: Kind) -> ApiError:
    """422: a create with neither a name nor a generateName."""
    cause = required("metadata.name", "name or generateName is required")
    return invalid(kind.kind, kind.group, "", [cause])


def _metadata_causes(kind: Kind, metadata: Obj) -> Iterator[Cause]:
    yield from _name_causes(kind, metadata["name"])
    yield from _label_causes(metadata)
    for position, owner in enumerate(metadata.get("ownerReferences") or ()):
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                where = f"metadata.ownerReferences[{position}].{field}"
                yield required(where, "must not be empty")
    for position, finalizer in enumerate(metadata.get("finalizers") or ()):
        if "/" not in finalizer and finalizer not in _FINALIZERS:
            text = "name is neither a standard finalizer name nor is it fully qualified"
            yield invalid_value(f"metadata.finalizers[{position}]", finalizer, text)


def _name_causes(kind: Kind, name: str) -> Iterator[Cause]:
    if kind.plural in _PATH_NAMED:
        if "/" in name or "%" in name:
            yield invalid_value("metadata.name", name, "may not contain '/' or '%'")
        return
    is_label = kind.plural in _LABEL_NAMED and kind.group == ""
    longest, pattern, rule = (
        (63, _LABEL, _LABEL_RULE) if is_label else (253, _SUBDOMAIN, _SUBDOMAIN_RULE)
    )
    if len(name) > longest:
        yield invalid_value("metadata.name", name, f"must be no more than {longest} bytes")
    if not re.fullmatch(pattern, name):
        yield invalid_value("metadata.name", name, rule)


def _label_causes(metadata: Obj) -> Iterator[Cause]:
    for name in ("labels", "annotations"):
        for key in metadata.get(name) or {}:
            if not re.fullmatch(_KEY, key.lower() if name == "annotations" else key):
                yield invalid_value(f"metadata.{name}", key, _KEY_RULE)
    for value in (metadata.get("labels") or {}).values():
        if len(value) > 63:
            yield invalid_value("metadata.labels", value, "must be no more than 63 bytes")
        if not re.fullmatch(_LABEL_VALUE, value):
            yield invalid_value("metadata.labels", value, _LABEL_VALUE_RULE)


def _workload_causes(kind: Kind, obj: Obj) -> Iterator[Cause]:
    spec = obj.get("spec") or {}
    replicas = spec.get("replicas", 1)
    if isinstance(replicas, int) and replicas < 0:
        yield invalid_value("spec.replicas", replicas, "must be greater than or equal to 0")
    selector = spec.get("selector")
    template = spec.get("template") or {}
    if not selector:
        yield required("spec.selector")
    else:
        labels = (template.get("metadata") or {}).get("labels") or {}
        wanted = selector.get("matchLabels") or {}
        if not wanted.items() <= labels.items():
            text = "`selector` does not match template `labels`"
            yield invalid_value("spec.template.metadata.labels", labels, text)
    yield from _pod_causes(template.get("spec") or {}, "spec.template.spec")
    strategy = (spec.get("strategy") or {}).get("type", "RollingUpdate")
    if strategy not in _STRATEGIES:
        shown = f'{{"Type":"{strategy}","RollingUpdate":null}}'
        known = ", ".join(f'"{name}"' for name in _STRATEGIES)
        text = f"Unsupported value: {shown}: supported values: {known}"
        yield Cause("FieldValueNotSupported", text, "spec.strategy")


def _pod_causes(spec: Obj, path: str) -> Iterator[Cause]:
    seen: set[str | None] = set()
    if not spec.get("containers"):
        yield required(f"{path}.containers")
    for position, container in enumerate(spec.get("containers") or ()):
        if not container.get("name"):
            yield required(f"{path}.containers[{position}].name")
        elif not re.fullmatch(_LABEL, container["name"]):
            yield invalid_value(
                f"{path}.containers[{position}].name", container["name"], _LABEL_RULE
            )
        elif container["name"] in seen:
            text = f'Duplicate value: "{container["name"]}"'
            field = f"{path}.containers[{position}].name"
            yield Cause("FieldValueDuplicate", text, field)
        seen.add(container.get("name"))
        if not container.get("image"):
            yield required(f"{path}.containers[{position}].image")


def _service_causes(spec: Obj) -> Iterator[Cause]:
    portless = spec.get("type") == "ExternalName" or spec.get("clusterIP") == "None"
    if not spec.get("ports") and not portless:
        yield required("spec.ports")
    if spec.get("type") not in _SERVICE_TYPES:
        known = ", ".join(f'"{name}"' for name in _SERVICE_TYPES)
        text = f'Unsupported value: "{spec.get("type")}": supported values: {known}'
        yield Cause("FieldValueNotSupported", text, "spec.type")
    for position, port in enumerate(spec.get("ports") or ()):
        if len(spec["ports"]) > 1 and not port.get("name"):
            yield required(f"spec.ports[{position}].name")
        number = port.get("port", 0)
        if not isinstance(number, int) or not 1 <= number <= 65535:
            text = "must be between 1 and 65535, inclusive"
            yield invalid_value(f"spec.ports[{position}].port", number, text)
            if port.get("targetPort") == number:
                yield invalid_value(f"spec.ports[{position}].targetPort", number, text)


def _data_causes(obj: Obj) -> Iterator[Cause]:
    for key in obj.get("data") or {}:
        if not re.fullmatch(r"[-._a-zA-Z0-9]+", key):
            text = (
                "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
                "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
                "'[-._a-zA-Z0-9]+')"
            )
            yield invalid_value(f"data[{key}]", key, text)


def _definition_causes(obj: Obj) -> Iterator[Cause]:
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name", "")
    names, versions = spec.get("names") or {}, spec.get("versions") or []
    if name != f"{names.get('plural', '')}.{spec.get('group', '')}" or not names.get("plural"):
        yield invalid_value("metadata.name", name, 'must be spec.names.plural+"."+spec.group')
    for field in ("plural", "singular", "kind", "listKind"):
        if not names.get(field):
            yield required(f"spec.names.{field}")
    for position, version in enumerate(versions):
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            yield required(f"spec.versions[{position}].schema.openAPIV3Schema")
    if sum(bool(version.get("storage")) for version in versions) != 1:
        text = "must have exactly one version marked as storage version"
        yield invalid_value("spec.versions", versions, text)
