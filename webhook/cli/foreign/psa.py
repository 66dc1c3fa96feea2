"""Pod Security Admission as packs: the labels of namespaces, and the admission configuration of the API server.

https://kubernetes.io/docs/concepts/security/pod-security-admission/ has the meaning. A namespace's own labels come
before the defaults of the configuration; `enforce` looks at Pods alone, `audit` and `warn` at workloads too; a
namespace that says what it enforces, and not of what it warns, warns of the same where that is stricter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from webhook.cli.foreign import scope
from webhook.cli.foreign.outcome import Outcome, Refusal, Spec, kebab, pack
from webhook.cli.foreign.words import literal
from webhook.cli.objects import Manifest
from webhook.model.pods import group_of, listing, mapping

MODES = {"enforce": "deny", "audit": "audit", "warn": "warn"}
LEVELS = ("privileged", "baseline", "restricted")
VERSIONS = ("latest", "v1.37")
"""The versions of the standards that our packs keep."""
PREFIX = "pod-security.kubernetes.io/"
PLUGIN = "PodSecurity"
WORKLOADS = (
    *("Pod", "PodTemplate", "ReplicationController", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "Job"),
    "CronJob",
)
"""What `audit` and `warn` look at: defaultPodSpecExtractor of kubernetes/pod-security-admission."""
_CLASS = (
    "[object.?spec, object.?template.?spec, object.?spec.?template.?spec, "
    "object.?spec.?jobTemplate.?spec.?template.?spec].exists(s, s.?runtimeClassName.orValue('') in {})"
)

Level = tuple[str, str]
Policy = dict[str, Level]
"""Level and version by mode."""


@dataclass(slots=True)
class _Configuration:
    defaults: Policy = field(default_factory=lambda: dict.fromkeys(MODES, ("privileged", "latest")))
    usernames: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    found: Manifest | None = None


def read(manifests: Iterable[Manifest], standards: Mapping[str, Sequence[Spec]], name: str) -> Outcome:
    """Return a pack for each mode and level, for the namespaces that have it; with a configuration, for all others."""
    outcome, configuration = Outcome(), _Configuration()
    namespaces: dict[str, Manifest] = {}
    for manifest in manifests:
        kind = (group_of(manifest.value["apiVersion"]), manifest.value["kind"])
        if kind == ("", "Namespace"):
            namespaces[str(mapping(manifest.value.get("metadata")).get("name"))] = manifest
            outcome.read += 1
        elif kind[1] in ("AdmissionConfiguration", "PodSecurityConfiguration"):
            outcome.read += 1
            try:
                _configure(configuration, manifest)
            except Refusal as refusal:
                outcome.refuse(manifest, refusal.pointer, kind[1], str(refusal))
    _write(outcome, configuration, namespaces, standards, name)
    return outcome


def _write(
    outcome: Outcome,
    configuration: _Configuration,
    namespaces: Mapping[str, Manifest],
    standards: Mapping[str, Sequence[Spec]],
    name: str,
) -> None:
    wanted: dict[Level, list[str]] = {}
    for namespace, manifest in sorted(namespaces.items()):
        if namespace in configuration.namespaces:
            continue
        policy = _policy(outcome, configuration.defaults, manifest)
        for mode, (level, version) in policy.items():
            if _known(outcome, manifest, mode, level, version):
                wanted.setdefault((mode, level), []).append(namespace)
    for (mode, level), places in sorted(wanted.items()):
        match = {"namespaces": places}
        outcome.packs.append(_pack(f"{name}-{mode}-{level}", mode, level, match, configuration, standards))
    if configuration.found is None:
        return
    elsewhere = sorted({*namespaces, *configuration.namespaces})
    for mode, (level, version) in sorted(configuration.defaults.items()):
        if _known(outcome, configuration.found, mode, level, version):
            match = {"excludeNamespaces": elsewhere} if elsewhere else {}
            outcome.packs.append(_pack(f"{name}-{mode}-default", mode, level, match, configuration, standards))


def _known(outcome: Outcome, manifest: Manifest, mode: str, level: str, version: str) -> bool:
    """Say whether a level is to be kept, and can be; notes where it cannot."""
    if level == "privileged":
        return False
    if version in VERSIONS:
        return True
    title = str(mapping(manifest.value.get("metadata")).get("name") or manifest.value["kind"])
    reason = f"{mode} {level} as of {version} is not here; our packs have it as of {' and '.join(VERSIONS)}"
    outcome.refuse(manifest, f"/metadata/labels/{PREFIX.replace('/', '~1')}{mode}-version", title, reason)
    return False


def _policy(outcome: Outcome, defaults: Policy, manifest: Manifest) -> Policy:
    """Return what holds in a namespace: its labels, before the defaults (PolicyToEvaluate of api/helpers.go)."""
    metadata = mapping(manifest.value.get("metadata"))
    labels = mapping(metadata.get("labels"))
    policy: Policy = {}
    for mode, (level, version) in defaults.items():
        key = f"{PREFIX}{mode}"
        level, version = str(labels.get(key, level)), str(labels.get(f"{key}-version", version))
        if level not in LEVELS:
            pointer = f"/metadata/labels/{key.replace('/', '~1')}"
            reason = f"{mode}: {level} is no level; they are {', '.join(LEVELS)}"
            outcome.refuse(manifest, pointer, str(metadata.get("name")), reason)
            level = "privileged"
        policy[mode] = (level, version)
    enforced, warned = policy["enforce"], policy["warn"]
    silent = f"{PREFIX}warn" not in labels and labels.get(f"{PREFIX}enforce") in LEVELS
    if silent and LEVELS.index(enforced[0]) > LEVELS.index(warned[0]):
        policy["warn"] = (enforced[0], labels.get(f"{PREFIX}warn-version", enforced[1]))
    return policy


def _configure(configuration: _Configuration, manifest: Manifest) -> None:
    """Take defaults and exemptions from a configuration file. Raises Refusal where they cannot be said."""
    value, base = _plugin(manifest)
    defaults, exemptions = mapping(value.get("defaults")), mapping(value.get("exemptions"))
    for mode in MODES:
        level, version = defaults.get(mode) or "privileged", defaults.get(f"{mode}-version") or "latest"
        if level not in LEVELS:
            raise Refusal(f"{mode}: {level} is no level; they are {', '.join(LEVELS)}", f"{base}/defaults/{mode}")
        configuration.defaults[mode] = (level, version)
    names = {}
    for key in ("namespaces", "runtimeClasses", "usernames"):
        names[key] = tuple(scope.texts(exemptions.get(key) or [], f"{base}/exemptions/{key}"))
        if any("*" in name or "?" in name for name in names[key]):
            raise Refusal(
                "* and ? stand for themselves there, and for other characters here", f"{base}/exemptions/{key}"
            )
    configuration.namespaces, configuration.classes = names["namespaces"], names["runtimeClasses"]
    configuration.usernames = names["usernames"]
    configuration.found = manifest


def _plugin(manifest: Manifest) -> tuple[Mapping[str, Any], str]:
    """Return the configuration of Pod Security, and where it stands in the file."""
    if manifest.value["kind"] == "PodSecurityConfiguration":
        return manifest.value, ""
    for number, entry in enumerate(listing(manifest.value.get("plugins"))):
        plugin = mapping(entry)
        if plugin.get("name") == PLUGIN:
            base = f"/plugins/{number}"
            if plugin.get("configuration"):
                return mapping(plugin["configuration"]), f"{base}/configuration"
            raise Refusal(f"the configuration is in another file, {plugin.get('path')}; name that file", base)
    raise Refusal(f"has no configuration of the plugin {PLUGIN}")


def _pack(
    name: str,
    mode: str,
    level: str,
    match: Mapping[str, Any],
    configuration: _Configuration,
    standards: Mapping[str, Sequence[Spec]],
) -> Spec:
    where: Spec = {"kinds": ["Pod"] if mode == "enforce" else list(WORKLOADS), **match}
    if configuration.usernames:
        where["excludeUsers"] = list(configuration.usernames)
    if configuration.classes:
        expression = "!" + _CLASS.format(literal(list(configuration.classes)))
        where["matchConditions"] = [{"name": "runtime-class-not-exempt", "expression": expression}]
    rules = [{"name": rule["name"], "action": MODES[mode], "existing": "deny"} for rule in standards[level]]
    return pack(
        kebab(name),
        rules,
        extends=f"pod-security-{level}",
        description=f"Imported from Pod Security Admission: {mode} {level}.",
        mode="enforce",
        match=where,
    )
