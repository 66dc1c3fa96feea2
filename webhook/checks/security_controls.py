"""The controls of the Pod Security Standards: each looks for the places of a pod where it is not kept.

What each wants is that of the functions of the same name in kubernetes/pod-security-admission, policy/check_*.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from webhook.checks.check import one_of
from webhook.model import pointer as pointers
from webhook.model.handler import handler as asked
from webhook.model.handler import ports
from webhook.model.mount import leads, uses
from webhook.model.pods import Container, Pod, Volume, listing, mapping
from webhook.model.record import record

BASELINE, RESTRICTED = "baseline", "restricted"
PROFILES: tuple[str, ...] = ("RuntimeDefault", "Localhost")
# what the container runtimes give: AllowedCapabilities of policy/check_capabilities_baseline.go
CAPABILITIES: tuple[str, ...] = (
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP"),
    *("SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
)
# all of capabilities(7), of which one that is added as ALL is
LINUX: tuple[str, ...] = (
    *CAPABILITIES,
    *("AUDIT_CONTROL", "AUDIT_READ", "BLOCK_SUSPEND", "BPF", "CHECKPOINT_RESTORE", "DAC_READ_SEARCH", "IPC_LOCK"),
    *("IPC_OWNER", "LEASE", "LINUX_IMMUTABLE", "MAC_ADMIN", "MAC_OVERRIDE", "NET_ADMIN", "NET_BROADCAST", "NET_RAW"),
    *("PERFMON", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_NICE", "SYS_PACCT", "SYS_PTRACE", "SYS_RAWIO"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "SYSLOG", "WAKE_ALARM"),
)
SELINUX: tuple[str, ...] = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
SYSCTLS: tuple[str, ...] = (
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_notsent_lowat",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_slow_start_after_idle",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
)
VOLUMES: tuple[str, ...] = (
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected"),
    "secret",
)
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
"""Until Kubernetes 1.30 the profile was set by annotation; Kubernetes' admission still looks there."""
_PROBES: tuple[str, ...] = ("livenessProbe", "readinessProbe", "startupProbe")
_HOOKS: tuple[str, ...] = ("postStart", "preStop")


@record(frozen=True, slots=True)
class Place:
    """One value that a pod or a container has: the value, its pointer, and the container's or volume's name.

    `same` and `reach` are those of a violation: what makes it one that was there before, where that is more than the
    value.
    """

    value: Any
    pointer: str
    name: str | None
    same: tuple[str, ...] = ()
    reach: tuple[str, ...] = ()


@record(frozen=True, slots=True)
class Control:
    """One control: what it is called, from which level on it holds in this form, and what a finding says.

    `look` gives the places of a pod where it is not kept, each with what was found there for its value.
    """

    name: str
    level: str
    reason: str
    wanted: str
    look: Callable[[Pod], Sequence[Place]]


def broken(pod: Pod, bits: int) -> int:
    """Return those of the controls that a pod does not keep; a control is the bit of its number in `CONTROLS`."""
    found = 0
    for bit, control in NUMBERED:
        if bits & bit and control.look(pod):
            found |= bit
    return found


def _app_armor(pod: Pod) -> Sequence[Place]:
    found = _profiles(pod, "appArmorProfile")
    for key, value in pod.annotations.items():
        if key.startswith(APPARMOR) and value not in ("", "runtime/default") and not _begins(value, "localhost/"):
            at = pointers.join(f"{pod.pointer}/metadata/annotations", key)
            # as the field says it: the API server writes that into a pod, from the annotation of its template
            # (applyAppArmorVersionSkew, pkg/registry/core/pod), and the two are one finding
            said = "Unconfined" if value == "unconfined" else _said(value)
            found = [*found, Place(said, at, key.removeprefix(APPARMOR))]
    return found


def _capabilities(pod: Pod) -> Sequence[Place]:
    found = []
    for place in _own(pod, "capabilities"):
        capabilities = mapping(place.value)
        for number, one in enumerate(listing(capabilities.get("add"))):
            if one not in CAPABILITIES:
                said, same = _said(one), _left(f"adds {_said(one)}", one, capabilities)
                found.append(Place(said, f"{place.pointer}/add/{number}", place.name, same))
    return found


def _capabilities_restricted(pod: Pod) -> Sequence[Place]:
    if pod.windows:
        return ()
    found = []
    for container in pod.containers:
        capabilities = mapping(_context(container.spec).get("capabilities"))
        if "ALL" not in listing(capabilities.get("drop")):
            at = _there(container.spec, container.pointer, "capabilities")
            said = "does not drop ALL"
            found.append(Place(said, at, container.name, _left(said, "ALL", capabilities)))
        for number, one in enumerate(listing(capabilities.get("add"))):
            if one != "NET_BIND_SERVICE":
                at = f"{container.pointer}/securityContext/capabilities/add/{number}"
                said = f"adds {_said(one)}"
                found.append(Place(said, at, container.name, _left(said, one, capabilities)))
    return found


def _left(said: str, one: Any, capabilities: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what is said of a capability (ALL: all of Linux), and what of it is not dropped.

    Dropping one wins over adding it; both are read in capital letters (containerd, WithCapabilities).
    """
    name, drop = _said(one).upper(), listing(capabilities.get("drop"))
    some: tuple[str, ...] = LINUX if name == "ALL" else (name,)
    if not drop:
        return (said, *some)
    dropped = {_said(each).upper() for each in drop}
    return (said, *[each for each in some if each not in dropped and not (name == "ALL" and "ALL" in dropped)])


def _host_namespaces(pod: Pod) -> Sequence[Place]:
    return [
        Place(f"{key}: {_said(pod.spec[key])}", f"{pod.pointer}/spec/{key}", None)
        for key in ("hostIPC", "hostNetwork", "hostPID")
        if pod.spec.get(key)
    ]


def _host_path_volumes(pod: Pod) -> Sequence[Place]:
    volumes = [volume for volume in pod.volumes if "hostPath" in volume.spec]
    use, found = uses(pod, volumes), []
    for volume in volumes:
        said = f"hostPath {_said(mapping(volume.spec['hostPath']).get('path'))}"
        found.append(Place(said, f"{volume.pointer}/hostPath", volume.name, reach=use[volume.name]))
    return found


def _host_ports(pod: Pod) -> Sequence[Place]:
    # in the node's network every port is one of the node; the API server writes so into pods, not into templates
    # (SetDefaults_Pod, pkg/apis/core/v1), and a workload is to be told before its pods are refused
    node = bool(pod.spec.get("hostNetwork"))
    found = []
    for container in pod.containers:
        for number, one in enumerate(listing(container.spec.get("ports"))):
            port = mapping(one)
            field = "hostPort" if port.get("hostPort") or not node else "containerPort"
            if port.get(field):
                found.append(Place(_port(port, field), f"{container.pointer}/ports/{number}/{field}", container.name))
    return found


def _port(port: Mapping[str, Any], field: str) -> str:
    """Return a port of the node, with its address and protocol, where they are not any and TCP: those are others."""
    address, protocol = port.get("hostIP"), port.get("protocol")
    before = "" if address in (None, "", "0.0.0.0", "::") else f"{_said(address)}:"  # noqa: S104 - nothing is bound
    after = "" if protocol in (None, "", "TCP") else f"/{_said(protocol)}"
    return f"{before}{_said(port[field])}{after}"


def _host_probes(pod: Pod) -> Sequence[Place]:
    found: list[Place] = []
    for container in pod.containers:
        for key in _PROBES:
            found += _hosts(container, container.spec.get(key), key)
        lifecycle = container.spec.get("lifecycle")
        for key in _HOOKS if lifecycle else ():
            found += _hosts(container, mapping(lifecycle).get(key), f"lifecycle/{key}")
    return found


def _hosts(container: Container, handler: Any, key: str) -> Sequence[Place]:
    """Return the other hosts that a probe or a hook of a container asks."""
    if not isinstance(handler, dict):
        return ()
    found = []
    for kind in ("httpGet", "tcpSocket"):
        host = mapping(handler.get(kind)).get("host")
        if host:
            # another port or path there is another thing that is asked
            same = (f"{key} {asked({kind: handler[kind]}, ports(container))}",)
            found.append(Place(_said(host), f"{container.pointer}/{key}/{kind}/host", container.name, same))
    return found


def _privilege_escalation(pod: Pod) -> Sequence[Place]:
    if pod.windows:
        return ()
    return _lacking(pod, "allowPrivilegeEscalation", False)


def _privileged(pod: Pod) -> Sequence[Place]:
    return [
        Place(f"privileged: {_said(place.value)}", place.pointer, place.name)
        for place in _own(pod, "privileged")
        if place.value
    ]


def _proc_mount(pod: Pod) -> Sequence[Place]:
    return () if _apart(pod) else _proc_mount_restricted(pod)


def _proc_mount_restricted(pod: Pod) -> Sequence[Place]:
    return [
        Place(_said(place.value), place.pointer, place.name, reach=() if _apart(pod) else ("users of the node",))
        for place in _own(pod, "procMount")
        if place.value != "Default"
    ]


def _run_as_non_root(pod: Pod) -> Sequence[Place]:
    if _apart(pod):
        return ()
    default = _context(pod.spec).get("runAsNonRoot")
    if default is True:  # what a container says itself is all that counts then
        own = [place for place in _own(pod, "runAsNonRoot") if place.value is not True]
        return _rooted(pod, [Place(f"runAsNonRoot: {_said(one.value)}", one.pointer, one.name) for one in own])
    found = _rooted(pod, _lacking(pod, "runAsNonRoot", True))
    if default is None:
        return found
    return [Place(f"runAsNonRoot: {_said(default)}", f"{pod.pointer}/spec/securityContext/runAsNonRoot", None), *found]


def _rooted(pod: Pod, found: Sequence[Place]) -> Sequence[Place]:
    """Return places, of which those reach root whose container has no other user by its number."""
    default = _context(pod.spec).get("runAsUser")
    own = [(one.name, _context(one.spec).get("runAsUser")) for one in pod.containers] if found else []
    others = {name for name, user in own if (default if user is None else user)}
    return [Place(one.value, one.pointer, one.name, reach=() if one.name in others else ("root",)) for one in found]


def _run_as_user(pod: Pod) -> Sequence[Place]:
    if _apart(pod):
        return ()
    return [
        Place(f"runAsUser: {_said(place.value)}", place.pointer, place.name, reach=_heirs(pod, place, "runAsUser"))
        for place in _set(pod, "runAsUser")
        if place.value == 0
    ]


def _seccomp(pod: Pod) -> Sequence[Place]:
    return _profiles(pod, "seccompProfile")


def _seccomp_restricted(pod: Pod) -> Sequence[Place]:
    if pod.windows:
        return ()
    found = _profiles(pod, "seccompProfile")
    if mapping(_context(pod.spec).get("seccompProfile")).get("type") in PROFILES:
        return found
    unset = [c for c in pod.containers if _context(c.spec).get("seccompProfile") is None]
    return [*found, *(Place("not set", _there(c.spec, c.pointer, "seccompProfile"), c.name) for c in unset)]


def _selinux(pod: Pod) -> Sequence[Place]:
    found = []
    for place in _set(pod, "seLinuxOptions"):
        options = mapping(place.value)
        for key in ("type", "user", "role"):
            value = options.get(key)
            if value and (key != "type" or value not in SELINUX):
                said, reach = f"{key} {_said(value)}", _heirs(pod, place, "seLinuxOptions")
                found.append(Place(said, f"{place.pointer}/{key}", place.name, reach=reach))
    return found


def _sysctls(pod: Pod) -> Sequence[Place]:
    found = []
    for number, one in enumerate(map(mapping, listing(_context(pod.spec).get("sysctls")))):
        if one.get("name") not in SYSCTLS:
            name, at = _said(one.get("name")), f"{pod.pointer}/spec/securityContext/sysctls/{number}/name"
            found.append(Place(name, at, None, (f"{name}={_said(one.get('value'))}",)))
    return found


def _volume_types(pod: Pod) -> Sequence[Place]:
    # a volume with nothing but a name is an emptyDir: the API server makes it one
    out = [
        volume
        for volume in pod.volumes
        if not any([key in volume.spec for key in VOLUMES]) and any([key != "name" for key in volume.spec])
    ]
    use, found = uses(pod, [volume for volume in out if "hostPath" in volume.spec]), []
    for volume in out:
        reach = use.get(volume.name, ())
        found.append(Place(_sources(volume), volume.pointer, volume.name, (leads(volume),), reach))
    return found


def _sources(volume: Volume) -> str:
    """Return the types of a volume, each with the texts that say where it leads: another path is another finding."""
    said = []
    for kind in sorted(key for key in volume.spec if key != "name"):
        source = sorted(mapping(volume.spec[kind]).items())
        where = [text for key, text in source if isinstance(text, str) and text and key not in ("fsType", "type")]
        said.append(" ".join([kind, *where]))
    return ", ".join(said)


def _windows_host_process(pod: Pod) -> Sequence[Place]:
    return [
        Place(
            f"hostProcess: {_said(mapping(place.value)['hostProcess'])}",
            f"{place.pointer}/hostProcess",
            place.name,
            reach=_heirs(pod, place, "windowsOptions", "hostProcess"),
        )
        for place in _set(pod, "windowsOptions")
        if mapping(place.value).get("hostProcess")
    ]


def _profiles(pod: Pod, field: str) -> Sequence[Place]:
    """Return the profiles that are set, and are neither the runtime's nor one of the node's own."""
    return [
        Place(
            _typed(place.value),
            f"{place.pointer}/type" if "type" in mapping(place.value) else place.pointer,
            place.name,
            reach=_heirs(pod, place, field),
        )
        for place in _set(pod, field)
        if mapping(place.value).get("type") not in PROFILES
    ]


def _lacking(pod: Pod, field: str, wanted: bool) -> Sequence[Place]:
    """Return the containers whose `securityContext` has another value of a field than the one that is wanted."""
    found = []
    for container in pod.containers:
        value = _context(container.spec).get(field)
        if value is not wanted:
            at = _there(container.spec, container.pointer, field)
            found.append(Place("not set" if value is None else f"{field}: {_said(value)}", at, container.name))
    return found


def _set(pod: Pod, field: str) -> list[Place]:
    """Return what a field of `securityContext` is set to, in the pod for all, and in its containers."""
    value = _context(pod.spec).get(field)
    found = [] if value is None else [Place(value, f"{pod.pointer}/spec/securityContext/{field}", None)]
    return found + _own(pod, field) if found else _own(pod, field)


def _heirs(pod: Pod, place: Place, field: str, part: str = "") -> tuple[str, ...]:
    """Return the containers for which counts what the pod says: those that don't say it themselves.

    `part` is the one of the field's own fields that counts by itself: DetermineEffectiveSecurityContext,
    pkg/securitycontext, takes those of Windows one by one, and all others as a whole.
    """
    if place.name is not None:
        return ()
    own = [(container.name, _context(container.spec).get(field)) for container in pod.containers]
    return tuple([name for name, value in own if (mapping(value).get(part) if part else value) is None])


def _own(pod: Pod, field: str) -> list[Place]:
    """Return what a field of the containers' own `securityContext` is set to."""
    found = []
    for container in pod.containers:
        value = _context(container.spec).get(field)
        if value is not None:
            found.append(Place(value, f"{container.pointer}/securityContext/{field}", container.name))
    return found


def _context(spec: Mapping[str, Any]) -> dict[str, Any]:
    return mapping(spec.get("securityContext"))


def _apart(pod: Pod) -> bool:
    """Say whether the pod has a user namespace of its own, in which root is nobody on the node (KEP-127)."""
    return pod.spec.get("hostUsers") is False


def _there(spec: Mapping[str, Any], at: str, field: str) -> str:
    """Return the pointer to a field of `securityContext`, or to the last thing above it that is there.

    `spec` is that of a pod or container, `at` its pointer.
    """
    context = spec.get("securityContext")
    if not isinstance(context, dict):
        return at
    return f"{at}/securityContext/{field}" if field in context else f"{at}/securityContext"


def _begins(value: Any, prefix: str) -> bool:
    return isinstance(value, str) and value.startswith(prefix)


def _typed(profile: Any) -> str:
    kind = mapping(profile).get("type")
    return _said(kind) if kind else "no type"


def _said(value: Any) -> str:
    """Return a value as YAML says it, where it is one of a field of this kind."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value == "":
        return '""'
    return str(value) if isinstance(value, str | int) else "not set" if value is None else "what Kubernetes refuses"


_PROFILE = "RuntimeDefault or Localhost"
CONTROLS: tuple[Control, ...] = (
    Control("app-armor-profile", BASELINE, "AppArmor profile that confines nothing", _PROFILE, _app_armor),
    Control(
        "capabilities",
        BASELINE,
        "capability beyond those of a runtime",
        one_of(CAPABILITIES, 3),
        _capabilities,
    ),
    Control(
        "capabilities",
        RESTRICTED,
        "capabilities that no service needs",
        "drop: [ALL], and none added but NET_BIND_SERVICE",
        _capabilities_restricted,
    ),
    Control("host-namespaces", BASELINE, "namespace of the node", "not set", _host_namespaces),
    Control("host-path-volumes", BASELINE, "path on the node", "a volume that is not on the node", _host_path_volumes),
    Control("host-ports", BASELINE, "port of the node", "no hostPort, and no port with hostNetwork", _host_ports),
    Control("host-probes-and-lifecycle", BASELINE, "another host is asked", "no host", _host_probes),
    Control(
        "privilege-escalation",
        RESTRICTED,
        "privilege escalation is not forbidden",
        "allowPrivilegeEscalation: false",
        _privilege_escalation,
    ),
    Control("privileged", BASELINE, "container that is privileged", "not set", _privileged),
    Control("proc-mount", BASELINE, "unmasked /proc", "Default, or hostUsers: false in the pod", _proc_mount),
    Control("proc-mount", RESTRICTED, "unmasked /proc", "Default", _proc_mount_restricted),
    Control(
        "run-as-non-root",
        RESTRICTED,
        "root is not refused",
        "runAsNonRoot: true, or hostUsers: false in the pod",
        _run_as_non_root,
    ),
    Control("run-as-user", RESTRICTED, "runs as root", "another user than 0, or hostUsers: false", _run_as_user),
    Control("seccomp-profile", BASELINE, "seccomp profile that confines nothing", _PROFILE, _seccomp),
    Control("seccomp-profile", RESTRICTED, "no seccomp profile", _PROFILE, _seccomp_restricted),
    Control(
        "se-linux-options",
        BASELINE,
        "SELinux options of the node",
        f"neither user nor role, and a type such as {SELINUX[1]}",
        _selinux,
    ),
    Control("sysctls", BASELINE, "sysctl of the whole node", one_of(SYSCTLS, 2), _sysctls),
    Control("volume-types", RESTRICTED, "volume of a type that reaches out", one_of(VOLUMES), _volume_types),
    Control("windows-host-process", BASELINE, "process of a Windows node", "not set", _windows_host_process),
)
NUMBERED = tuple([(1 << number, control) for number, control in enumerate(CONTROLS)])
"""The controls, each by its bit."""
