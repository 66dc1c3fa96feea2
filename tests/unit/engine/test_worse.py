"""`existing: allow`: what an update makes worse, or puts in the place of what was there, is new."""

from __future__ import annotations

from typing import Any

import pytest

from webhook.checks.disruption_budget import BUDGETS
from webhook.engine.facts import Facts
from webhook.model.neighbours import Found
from webhook.model.scaling import AUTOSCALERS

PLAIN = "rules: [{name: r, check: %s, action: deny, params: %s}]"
LONG = "x" * 130


def rule(check: str, params: str = "{}") -> str:
    return PLAIN % (check, params)


def control(name: str, level: str = "baseline") -> str:
    return rule("pod-security", f"{{level: {level}, controls: [{name}]}}")


def web(**more: Any) -> dict[str, Any]:
    return {"name": "web", "image": "registry.example/web:1", **more}


def containers(*found: dict[str, Any], **pod: Any) -> dict[str, Any]:
    return {"containers": [*found], **pod}


def secured(*found: dict[str, Any] | None, **pod: Any) -> dict[str, Any]:
    """Containers a, b ... each with its securityContext, in a pod with its own."""
    each = [
        {"name": name, "image": "i", **({} if context is None else {"securityContext": context})}
        for name, context in zip("abc", found, strict=False)
    ]
    return {"containers": each, "securityContext": pod}


def sysctls(**values: str) -> dict[str, Any]:
    return containers(
        web(), securityContext={"sysctls": [{"name": f"kernel.{name}", "value": v} for name, v in values.items()]}
    )


def probed(**probes: Any) -> dict[str, Any]:
    return containers(web(ports=[{"name": "http", "containerPort": 80}], **probes))


def got(path: str = "/", port: Any = 80, **more: Any) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": port, **more}}


def often(*command: str) -> dict[str, Any]:
    return probed(readinessProbe={"exec": {"command": [*command]}, "periodSeconds": 1})


def slow(path: str) -> dict[str, Any]:
    return probed(livenessProbe={**got(path), "initialDelaySeconds": 90})


def twice(**probe: Any) -> dict[str, Any]:
    return probed(livenessProbe={**probe, "periodSeconds": 1}, readinessProbe=probe)


def disks(source: dict[str, Any], *mounts: dict[str, Any], **more: Any) -> dict[str, Any]:
    mounting = web(volumeMounts=[{"name": "data", "mountPath": "/d", **mount} for mount in mounts])
    return containers(mounting, volumes=[{"name": "data", **source}], **more)


def etc(*mounts: dict[str, Any]) -> dict[str, Any]:
    return disks({"hostPath": {"path": "/etc"}}, *mounts)


def dropping(*drop: str, add: tuple[str, ...] = ()) -> dict[str, Any]:
    return containers(web(securityContext={"capabilities": {"drop": [*drop], "add": [*add]}}))


def started(text: str, **more: Any) -> dict[str, Any]:
    return containers(web(command=["sh", "-c", text], **more))


def resolving(**config: Any) -> dict[str, Any]:
    return containers(web(), dnsConfig={"options": [{"name": "ndots", "value": "1"}], **config})


def java(memory: str = "512Mi", cpu: str = "1", flags: str = "-Xmx1g") -> dict[str, Any]:
    limits = {"limits": {"memory": memory, "cpu": cpu}}
    return containers(web(command=["java", flags, "-jar", "a.jar"], resources=limits))


def logging(source: dict[str, Any], **mount: Any) -> dict[str, Any]:
    mounts = [{"name": "logs", "mountPath": "/var/log/app", **mount}]
    return containers(web(volumeMounts=mounts), volumes=[{"name": "logs", **source}])


def brokers(count: int) -> dict[str, Any]:
    hosts = [f"10.0.{number // 250}.{number % 250 + 1}" for number in range(count)]
    return containers(web(env=[{"name": "BROKERS", "value": ",".join(hosts)}]))


def serving(seconds: int, **more: Any) -> dict[str, Any]:
    hook = {"preStop": {"sleep": {"seconds": seconds}}}
    one = web(ports=[{"containerPort": 80}], lifecycle=hook, readinessProbe=got(), **more)
    return containers(one, terminationGracePeriodSeconds=20)


def tolerating(*tolerations: dict[str, Any], **more: Any) -> dict[str, Any]:
    return containers(web(), tolerations=[*tolerations], **more)


def spread(*apps: str) -> dict[str, Any]:
    terms = [
        {
            "topologyKey": "kubernetes.io/hostname",
            "maxSkew": 1,
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": app}},
        }
        for app in apps
    ]
    return containers(web(), topologySpreadConstraints=terms)


POOLS = "{pools: [{name: gpu, taint: {key: gpu, value: a}, labels: {pool: gpu}, namespaces: [ml]}]}"
EXACT = {"key": "gpu", "operator": "Equal", "value": "a"}
EXISTS = {"key": "gpu", "operator": "Exists"}
OPEN, SHUT = {"seccompProfile": {"type": "Unconfined"}}, {"seccompProfile": {"type": "RuntimeDefault"}}
GCE = {"gcePersistentDisk": {"pdName": "a"}}
SAME_DISK, OTHER_DISK = (
    {"gcePersistentDisk": {"pdName": "a", "readOnly": False}},
    {"gcePersistentDisk": {"pdName": "b"}},
)
UNSIZED, MEMORY = {"emptyDir": {}}, {"emptyDir": {"medium": "Memory"}}
SSHD = "/usr/sbin/sshd"

WORSE: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    # rule, old pod, new pod
    "a sysctl of another value": (control("sysctls"), sysctls(sem="1"), sysctls(sem="2")),
    "another sysctl": (control("sysctls"), sysctls(sem="1"), sysctls(sem="1", msgmax="1")),
    "another path on another host": (
        control("host-probes-and-lifecycle"),
        probed(livenessProbe=got("/a", host="db")),
        probed(livenessProbe=got("/b", host="db")),
    ),
    "another port of another host": (
        control("host-probes-and-lifecycle"),
        probed(livenessProbe=got(host="db")),
        probed(livenessProbe=got(port=81, host="db")),
    ),
    "another probe of another host": (
        control("host-probes-and-lifecycle"),
        probed(livenessProbe=got(host="db")),
        probed(livenessProbe=got(host="db"), readinessProbe=got(host="db")),
    ),
    "a probe of another host by another name of a port": (
        control("host-probes-and-lifecycle"),
        probed(livenessProbe=got(host="db", port="http")),
        containers(web(livenessProbe=got(host="db", port="http"), ports=[{"name": "http", "containerPort": 22}])),
    ),
    "a hook that asks another path of another host": (
        control("host-probes-and-lifecycle"),
        containers(web(lifecycle={"preStop": got("/a", host="db")})),
        containers(web(lifecycle={"preStop": got("/b", host="db")})),
    ),
    "fewer capabilities dropped": (
        control("capabilities", "restricted"),
        dropping("SYS_ADMIN", "KILL"),
        dropping("KILL"),
    ),
    "all capabilities added, where none was dropped": (
        control("capabilities", "restricted"),
        dropping(),
        dropping(add=("ALL",)),
    ),
    "a capability added, where none was dropped": (
        control("capabilities", "restricted"),
        dropping(),
        dropping(add=("SYS_ADMIN",)),
    ),
    "one capability more": (control("capabilities"), dropping(add=("BPF",)), dropping(add=("BPF", "SYS_TIME"))),
    "an unmasked /proc leaves its user namespace": (
        control("proc-mount", "restricted"),
        secured({"procMount": "Unmasked"}) | {"hostUsers": False},
        secured({"procMount": "Unmasked"}),
    ),
    "an added capability that was dropped": (
        control("capabilities"),
        dropping("SYS_ADMIN", add=("SYS_ADMIN",)),
        dropping(add=("SYS_ADMIN",)),
    ),
    "all capabilities but fewer dropped": (
        control("capabilities"),
        dropping("SYS_ADMIN", add=("ALL",)),
        dropping("KILL", add=("ALL",)),
    ),
    "all capabilities are dropped, and no longer": (
        control("capabilities", "restricted"),
        dropping("ALL", add=("BPF",)),
        dropping("KILL", add=("BPF",)),
    ),
    "a container loses its own profile": (control("seccomp-profile"), secured(SHUT, **OPEN), secured(None, **OPEN)),
    "another container without a profile": (
        control("seccomp-profile"),
        secured(None, **OPEN),
        secured(None, None, **OPEN),
    ),
    "a container loses its own user": (
        control("run-as-user", "restricted"),
        secured({"runAsUser": 1000}, runAsUser=0),
        secured({}, runAsUser=0),
    ),
    "a container that may be root loses its user": (
        control("run-as-non-root", "restricted"),
        secured({"runAsUser": 1000}),
        secured({}),
    ),
    "a container that may be root gets root": (
        control("run-as-non-root", "restricted"),
        secured({}, runAsUser=1000),
        secured({"runAsUser": 0}, runAsUser=1000),
    ),
    "a container loses its own SELinux options": (
        control("se-linux-options"),
        secured({"seLinuxOptions": {"type": "container_t"}}, seLinuxOptions={"type": "spc_t"}),
        secured({}, seLinuxOptions={"type": "spc_t"}),
    ),
    "a container loses its own AppArmor profile": (
        control("app-armor-profile"),
        secured({"appArmorProfile": {"type": "RuntimeDefault"}}, appArmorProfile={"type": "Unconfined"}),
        secured({}, appArmorProfile={"type": "Unconfined"}),
    ),
    "a container becomes a process of the node": (
        control("windows-host-process"),
        secured({"windowsOptions": {"hostProcess": False}}, windowsOptions={"hostProcess": True}),
        secured({}, windowsOptions={"hostProcess": True}),
    ),
    "what an init container had is in one that goes on": (
        control("privileged"),
        containers(web(), initContainers=[{"name": "a", "securityContext": {"privileged": True}}]),
        containers(web(), {"name": "a", "securityContext": {"privileged": True}}),
    ),
    "a path of the node becomes writable": (control("host-path-volumes"), etc({"readOnly": True}), etc({})),
    "a path of the node is mounted": (rule("no-host-path"), etc(), etc({"readOnly": True})),
    "another part of a path of the node": (rule("no-host-path"), etc({"subPath": "a"}), etc({"subPath": "b"})),
    "a path of the node in another type": (control("volume-types", "restricted"), etc({"readOnly": True}), etc({})),
    "another part of an allowed path": (
        rule("no-host-path", "{allow: [{prefix: /etc, readOnly: true}]}"),
        etc({"subPath": "a"}),
        etc({"subPath": "b"}),
    ),
    "another disk": (rule("no-local-state"), disks(GCE), disks(OTHER_DISK)),
    "an emptyDir moves into memory": (rule("no-local-state"), disks(UNSIZED), disks(MEMORY)),
    "another command of a probe": (rule("probes"), often("true", LONG, "a"), often("true", LONG, "b")),
    "another slow probe": (rule("probes"), slow("/a"), slow("/b")),
    "another host of both probes": (rule("probes"), twice(**got(host="a")), twice(**got(host="b"))),
    "another service of both probes": (
        rule("probes"),
        twice(grpc={"port": 1, "service": "a"}),
        twice(grpc={"port": 1, "service": "b"}),
    ),
    "another probe of a port that is not there": (
        rule("probes"),
        probed(livenessProbe=got("/a", "x")),
        probed(livenessProbe=got("/a", "x"), readinessProbe=got("/b", "x")),
    ),
    "a second daemon": (rule("not-a-vm"), started(f"{SSHD} & app"), started(f"{SSHD} & dropbear & app")),
    "another end of a long command": (
        rule("not-a-vm"),
        started(f"{SSHD} -D {LONG} -a"),
        started(f"{SSHD} -D {LONG} -b"),
    ),
    "a port to log in by, on the node": (
        rule("not-a-vm"),
        containers(web(ports=[{"containerPort": 22}])),
        containers(web(ports=[{"containerPort": 22, "hostPort": 22}])),
    ),
    "a second toleration": (rule("dedicated-nodes", POOLS), tolerating(EXACT), tolerating(EXACT, EXISTS)),
    "the nodes of others alone": (
        rule("dedicated-nodes", POOLS),
        tolerating(EXACT),
        tolerating(EXACT, nodeSelector={"pool": "gpu"}),
    ),
    "another class of a long name": (
        rule("workload-class", "{classes: [a]}"),
        {"template": {"labels": {"plimsoll.dev/workload-class": f"{LONG[:61]}a"}}},
        {"template": {"labels": {"plimsoll.dev/workload-class": f"{LONG[:61]}b"}}},
    ),
    "another quantity of many digits": (
        rule("requests-equal-limits"),
        containers(web(resources={"requests": {"cpu": "1"}, "limits": {"cpu": f"{0:040}2"}})),
        containers(web(resources={"requests": {"cpu": "1"}, "limits": {"cpu": f"{0:040}9"}})),
    ),
    "an address behind a thousand": (rule("no-ip-address"), brokers(1000), brokers(1001)),
    "a medium of memory for logs": (
        rule("log-path", "{allowMemory: true}"),
        logging({"emptyDir": {}}),
        logging({"emptyDir": {"medium": "Memory"}}),
    ),
    "another node of a long name": (
        rule("dedicated-nodes", POOLS),
        containers(web(), nodeName=f"{LONG}a"),
        containers(web(), nodeName=f"{LONG}b"),
    ),
    "another search domain of a long name": (
        rule("dns-config", "{allowedSearches: [a]}"),
        resolving(searches=[f"{LONG}.a"]),
        resolving(searches=[f"{LONG}.b"]),
    ),
    "less memory for a heap": (rule("jvm-flags"), java("512Mi"), java("256Mi")),
    "fewer cores for threads": (
        rule("jvm-flags"),
        java("2Gi", "4", "-XX:ParallelGCThreads=9"),
        java("2Gi", "2", "-XX:ParallelGCThreads=9"),
    ),
    "logs on another server": (
        rule("log-path", "{volumeTypes: [emptyDir]}"),
        logging({"nfs": {"server": "a", "path": "/"}}),
        logging({"nfs": {"server": "b", "path": "/"}}),
    ),
    "logs in another part of a path of the node": (
        rule("log-path", "{hostLogDirectories: [/var/log]}"),
        logging({"hostPath": {"path": "/var/log"}}, subPath="a"),
        logging({"hostPath": {"path": "/var/log"}}, subPath="b"),
    ),
    "logs on another path of the node": (
        rule("log-path"),
        logging({"hostPath": {"path": "/var/log"}}),
        logging({"hostPath": {"path": "/"}}),
    ),
    "a longer drain in the same grace": (rule("lossless-release", "{maxUnavailable: 100%}"), serving(20), serving(60)),
    "a spread by other pods of a long name": (
        rule("spread-replicas"),
        spread(f"{LONG}a"),
        spread(f"{LONG}b"),
    ),
    "a format of a long name": (
        rule("log-format", "{}"),
        {"template": {"annotations": {"plimsoll.dev/log-format": f"{LONG}a"}}},
        {"template": {"annotations": {"plimsoll.dev/log-format": f"{LONG}b"}}},
    ),
}
FINE: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "sysctls in another order": (control("sysctls"), sysctls(sem="1", shm="2"), sysctls(shm="2", sem="1")),
    "one sysctl less": (control("sysctls"), sysctls(sem="1", shm="2"), sysctls(shm="2")),
    "more time for a probe of another host": (
        control("host-probes-and-lifecycle"),
        probed(livenessProbe=got(host="db")),
        probed(livenessProbe={**got(host="db"), "periodSeconds": 60}),
    ),
    "headers in another order": (
        control("host-probes-and-lifecycle"),
        probed(livenessProbe=got(host="db", httpHeaders=[{"name": "A", "value": "a"}, {"name": "B", "value": "b"}])),
        probed(livenessProbe=got(host="db", httpHeaders=[{"name": "B", "value": "b"}, {"name": "A", "value": "a"}])),
    ),
    "more capabilities dropped": (
        control("capabilities", "restricted"),
        dropping("KILL"),
        dropping("SYS_ADMIN", "KILL"),
    ),
    "capabilities in another order": (
        control("capabilities", "restricted"),
        dropping("KILL", "CHOWN", add=("SYS_TIME", "SYSLOG")),
        dropping("CHOWN", "KILL", add=("SYSLOG", "SYS_TIME")),
    ),
    "an added capability is dropped": (
        control("capabilities"),
        dropping(add=("SYS_ADMIN",)),
        dropping("SYS_ADMIN", add=("SYS_ADMIN",)),
    ),
    "a container gets its own profile": (
        control("seccomp-profile"),
        secured(None, None, **OPEN),
        secured(SHUT, None, **OPEN),
    ),
    "a container goes": (control("seccomp-profile"), secured(None, None, **OPEN), secured(None, **OPEN)),
    "another container with a profile": (
        control("seccomp-profile"),
        secured(None, **OPEN),
        secured(None, SHUT, **OPEN),
    ),
    "what a container had goes on in an init container": (
        control("privileged"),
        containers(web(), {"name": "a", "securityContext": {"privileged": True}}),
        containers(web(), initContainers=[{"name": "a", "securityContext": {"privileged": True}}]),
    ),
    "what a container had goes on in a sidecar": (
        control("privileged"),
        containers(web(), {"name": "a", "securityContext": {"privileged": True}}),
        containers(
            web(), initContainers=[{"name": "a", "restartPolicy": "Always", "securityContext": {"privileged": True}}]
        ),
    ),
    "a container that may be root gets another user": (
        control("run-as-non-root", "restricted"),
        secured({}, {"runAsUser": 1000}, runAsNonRoot=False),
        secured({"runAsUser": 1000}, {"runAsUser": 2000}, runAsNonRoot=False),
    ),
    "a path of the node is only read": (control("host-path-volumes"), etc({}), etc({"readOnly": True})),
    "a path of the node at another place": (rule("no-host-path"), etc({}), etc({"mountPath": "/e"})),
    "one mount less of a path of the node": (rule("no-host-path"), etc({}, {"subPath": "a"}), etc({})),
    "the same disk": (rule("no-local-state"), disks(GCE), disks(SAME_DISK)),
    "the monitors of a disk in another order": (
        control("volume-types", "restricted"),
        disks({"rbd": {"monitors": ["a", "b"], "image": "x"}}),
        disks({"rbd": {"image": "x", "monitors": ["b", "a"]}}),
    ),
    "a probe of a port that is not there, beside another port": (
        rule("probes"),
        probed(livenessProbe=got("/a", "x")),
        containers(web(livenessProbe=got("/a", "x"), ports=[{"name": "other", "containerPort": 9}])),
    ),
    "an option of the service behind a daemon": (
        rule("not-a-vm"),
        started(f"{SSHD} & app"),
        started(f"{SSHD} & app --new", tty=True),
    ),
    "one daemon less": (rule("not-a-vm"), started(f"{SSHD} & dropbear & app"), started(f"{SSHD} & app")),
    "tolerations in another order": (
        rule("dedicated-nodes", POOLS),
        tolerating(EXACT, EXISTS, nodeSelector={"pool": "gpu"}),
        tolerating(EXISTS, {"key": "other"}, EXACT),
    ),
    "more memory for a heap": (rule("jvm-flags"), java("512Mi"), java("768Mi")),
    "more cores for threads": (
        rule("jvm-flags"),
        java("2Gi", "2", "-XX:ParallelGCThreads=9"),
        java("2Gi", "4", "-XX:ParallelGCThreads=9"),
    ),
    "logs on the same server": (
        rule("log-path", "{volumeTypes: [emptyDir]}"),
        logging({"nfs": {"server": "a", "path": "/"}}),
        {**logging({"nfs": {"path": "/", "server": "a"}}), "dnsPolicy": "Default"},
    ),
    "a shorter drain in the same grace": (rule("lossless-release", "{maxUnavailable: 100%}"), serving(60), serving(20)),
    "spreads in another order": (rule("spread-replicas"), spread("a", "b"), spread("b", "a")),
}


FACTS = Facts(neighbours={AUTOSCALERS: Found(), BUDGETS: Found()})


def made(deployment: Any, pod: dict[str, Any], replicas: int = 3, **more: Any) -> dict[str, Any]:
    if "template" in pod:
        return deployment(**{**more, **pod}, spec={"replicas": replicas})  # type: ignore[no-any-return]
    return deployment(pod=pod, spec={"replicas": replicas}, **more)  # type: ignore[no-any-return]


@pytest.mark.parametrize("case", WORSE)
def test_what_is_worse_than_before_is_new(judge: Any, deployment: Any, case: str) -> None:
    packs, old, new = WORSE[case]
    before, after = made(deployment, old), made(deployment, new)
    assert not judge(packs, before, facts=FACTS).allowed, "the old object has no finding"
    decision = judge(packs, after, old=before, facts=FACTS)
    assert not decision.allowed
    assert judge(packs, made(deployment, new, 4), old=after, facts=FACTS).allowed, "once in, it is what was there"


@pytest.mark.parametrize("case", FINE)
def test_what_is_no_worse_than_before_goes_through(judge: Any, deployment: Any, case: str) -> None:
    packs, old, new = FINE[case]
    before, after = made(deployment, old), made(deployment, new)
    assert not judge(packs, after, facts=FACTS).allowed, "the new object has no finding"
    decision = judge(packs, after, old=before, facts=FACTS)
    assert decision.allowed
    assert all(finding.existing for finding in decision.findings)


@pytest.mark.parametrize("case", [*WORSE, *FINE])
def test_a_label_another_image_and_another_number_of_replicas_are_never_worse(
    judge: Any, deployment: Any, case: str
) -> None:
    packs, pod, _ = {**WORSE, **FINE}[case]
    released = {**pod}
    if "containers" in pod:
        released["containers"] = [
            {**one, "image": f"{one.get('image', 'i')}2", "tty": False} for one in pod["containers"]
        ]
        released["terminationMessagePath"] = "/x"
    before = made(deployment, pod)
    after = made(deployment, released, 5, metadata={"labels": {"release": "2"}})
    decision = judge(packs, after, old=before, facts=FACTS)
    assert decision.allowed
    assert all(finding.existing for finding in decision.findings)


# -- what is no pod --------------------------------------------------------------------------------------------------


def some(kind: str, api: str, metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    meta = {"name": "web", "namespace": "shop", **(metadata or {})}
    return {"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec}


def budget(**labels: str) -> dict[str, Any]:
    return some("PodDisruptionBudget", "policy/v1", maxUnavailable=0, selector={"matchLabels": labels})


def disk(**csi: Any) -> dict[str, Any]:
    made = some("PersistentVolume", "v1", csi={"driver": "topolvm.io", **csi})
    del made["metadata"]["namespace"]
    return made


def jobs(**deadlines: int | None) -> dict[str, Any]:
    made = [
        {
            "name": name,
            "template": {
                "spec": {
                    "template": {"spec": {"containers": [web()]}},
                    **({} if seconds is None else {"activeDeadlineSeconds": seconds}),
                }
            },
        }
        for name, seconds in deadlines.items()
    ]
    return some("JobSet", "jobset.x-k8s.io/v1alpha2", replicatedJobs=made)


def scaler(name: str = "web", container: str = "a", least: int = 2) -> dict[str, Any]:
    aim = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    of = {"name": "cpu", "container": container, "target": {"type": "Utilization", "averageUtilization": 99}}
    metrics = [{"type": "ContainerResource", "containerResource": of}]
    api = "autoscaling/v2"
    return some("HorizontalPodAutoscaler", api, scaleTargetRef=aim, minReplicas=least, maxReplicas=9, metrics=metrics)


def teams(above: str, template: str) -> dict[str, Any]:
    one = {"metadata": {"labels": {"app": "web", **({"team": template} if template else {})}}}
    labels = {"labels": {"team": above} if above else {}}
    return some("Deployment", "apps/v1", labels, template={**one, "spec": {"containers": [web()]}})


TEAMS = rule("required-labels", "{labels: [{name: team, places: [workload, template]}]}")
JOBS = rule("job-cleanup", "{judge: [deadline], maxDeadlineSeconds: {Job: 60}}")


@pytest.mark.parametrize(
    ("packs", "old", "new"),
    [
        (rule("disruption-budget"), budget(app="a"), budget(app="b")),
        (rule("disruption-budget"), budget(app="a"), budget()),
        (rule("no-local-state"), disk(volumeHandle="a"), disk(volumeHandle="b")),
        (JOBS, jobs(a=None, b=9), jobs(a=None, b=None)),
        (JOBS, jobs(a=99, b=9), jobs(a=99, b=99)),
        (rule("autoscaling"), scaler(container="a"), scaler(container="b")),
        (rule("autoscaling", "{mostUtilization: 0}"), scaler(least=1), scaler("api", least=1)),
        (TEAMS, teams("", "a"), teams("", "")),
        (TEAMS, teams("a", ""), teams("", "")),
        (
            rule("approved-image", "{repositories: [registry.example/]}"),
            some("Pod", "v1", containers=[{"name": "web", "image": f"{LONG}A/{LONG}A"}]),
            some("Pod", "v1", containers=[{"name": "web", "image": f"{LONG}A/{LONG}B"}]),
        ),
    ],
)
def test_another_thing_that_an_object_is_about_is_new(
    judge: Any, packs: str, old: dict[str, Any], new: dict[str, Any]
) -> None:
    facts = Facts(neighbours=dict.fromkeys([AUTOSCALERS, BUDGETS], Found()))
    assert not judge(packs, old, facts=facts).allowed
    assert not judge(packs, new, old=old, facts=facts).allowed


@pytest.mark.parametrize(
    ("packs", "old", "new"),
    [
        (rule("disruption-budget"), budget(app="a", tier="b"), budget(tier="b", app="a")),
        (rule("no-local-state"), disk(volumeHandle="a"), disk(volumeHandle="a", readOnly=True)),
        (JOBS, jobs(a=None, b=9), jobs(b=9, a=None)),
        (JOBS, jobs(a=None, b=None), jobs(a=None, b=9)),
        (rule("autoscaling"), scaler(), {**scaler(), "metadata": {"name": "web", "labels": {"a": "b"}}}),
        (TEAMS, teams("", ""), teams("a", "")),
        (TEAMS, teams("", ""), teams("", "a")),
    ],
)
def test_the_same_object_in_another_order_or_with_less_goes_through(
    judge: Any, packs: str, old: dict[str, Any], new: dict[str, Any]
) -> None:
    new["metadata"]["labels"] = {**new["metadata"].get("labels", {}), "release": "2"}
    decision = judge(packs, new, old=old, facts=FACTS)
    assert decision.allowed
    assert {finding.existing for finding in decision.findings} == {True}
