"""The client of registries: what a reference stands for, and all that it is, every byte verified against its digest.

Source of the protocol: github.com/opencontainers/distribution-spec. Why urllib3, and why not one of the libraries:
docs/decisions/0008-registries.md.
"""

from __future__ import annotations

import dataclasses
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import orjson

from webhook.errors import ConfigError
from webhook.model import oci
from webhook.model.image import Image
from webhook.model.oci import Build, Content, Platform
from webhook.ports import Unknown
from webhook.registry import credentials, manifest
from webhook.registry.auth import Gate, Key
from webhook.registry.config import Config, Mirror, Registry
from webhook.registry.credentials import Credential, Entry
from webhook.registry.deadline import Deadline
from webhook.registry.dial import Resolve
from webhook.registry.http import Answer, Wire, cleaned
from webhook.registry.manifest import Descriptor, Index, Manifest
from webhook.registry.retry import unanswered
from webhook.registry.source import Absent, Unanswered

MANIFEST_BYTES = 4 * 1024 * 1024
"""The least that a registry has to take (distribution-spec, "Pushing Manifests"), and the most that most do."""
CONFIG_BYTES = 4 * 1024 * 1024
"""Of a config or an attestation. A config is 2 to 30 KB, with labels of a build tool some hundred; nothing bounds it
but its author, and it is kept whole."""
ALTOGETHER = 16 * 1024 * 1024
"""What the documents of one image may have together, so that sixteen builds are not sixteen times the most."""
BUILDS = 16
"""Of an index. Official images have up to fourteen. One of more is not read in part: what isn't seen could be run."""
AT_ONCE = 4
"""Requests for the parts of one index."""
CANDIDATES = 4
"""Credentials that are tried for one image, as the kubelet tries all that fit."""

Keys = Callable[[str, tuple[str, ...]], Iterable[Mapping[str, Any]]]
"""Gives the docker configs (`auths`) in the pull secrets of a namespace, those that there are. May raise Unknown."""

T = TypeVar("T")


def no_keys(namespace: str, secrets: tuple[str, ...]) -> Iterable[Mapping[str, Any]]:
    """Give no pull secrets."""
    return ()


class Client:
    """A `Source` that asks the registries of a config. Threads may share it; it opens nothing before its first call."""

    def __init__(
        self,
        config: Config,
        *,
        keys: Keys = no_keys,
        resolve: Resolve = socket.getaddrinfo,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take which registries are listed, what gives pull secrets, and what resolves names.

        `clock` counts seconds and tells when tokens end and credentials are read again; deadlines have their own.
        """
        self._config = config
        self._keys = keys
        self._wire = Wire(config.registries.values(), resolve)
        self._gate = Gate(self._wire, clock)
        self._files = {
            host: credentials.File(entry.credentials, clock)
            for host, entry in config.registries.items()
            if entry.credentials is not None
        }

    def digest(self, image: Image, seconds: float, namespace: str = "", secrets: tuple[str, ...] = ()) -> str:
        """Return the digest that a reference stands for now: one HEAD where the registry gives it, else a GET.

        It says whether a tag has moved, and is no proof of what it is: read that by the digest.
        """
        if image.digest:
            return image.digest
        return self._anywhere(image, seconds, namespace, secrets, lambda visit: visit.digest(image.tag))

    def content(self, image: Image, seconds: float, namespace: str = "", secrets: tuple[str, ...] = ()) -> Content:
        """Return all that an image is: manifest or index, and the config of every platform, each digest verified."""
        reference = image.digest or image.tag
        return self._anywhere(image, seconds, namespace, secrets, lambda visit: visit.content(reference))

    def close(self) -> None:
        """Close all connections; the next call opens new ones."""
        self._wire.close()

    def _anywhere(
        self, image: Image, seconds: float, namespace: str, secrets: tuple[str, ...], work: Callable[[_Visit], T]
    ) -> T:
        """Do some work at the first of mirrors and registry that can; what the registry itself says counts."""
        registry = self._config.registries.get(image.registry)
        if registry is None:
            raise Unanswered(f"{image.registry} is not listed in the registries file, so it is not asked")
        deadline = Deadline(seconds)
        held = tuple(self._pull_secrets(namespace, secrets))
        places = (*registry.mirrors, Mirror(registry.host))
        before: list[Absent | Unanswered] = []
        for number, mirror in enumerate(places):
            entry = self._config.registries[mirror.host]
            repository = f"{mirror.prefix}/{image.repository}".removeprefix("/")
            try:
                found = self._credentials(entry, repository, held)
                share = deadline.share(len(places) - number)  # a mirror that hangs leaves time for the next
                return work(_Visit(self._wire, self._gate, entry, repository, found, self._config.platforms, share))
            except (Absent, Unanswered) as error:
                before.append(error)
        raise _together(before)

    def _pull_secrets(self, namespace: str, secrets: tuple[str, ...]) -> Iterator[Entry]:
        try:
            documents = list(self._keys(namespace, secrets))
        except Unknown as error:
            raise Unanswered(f"the pull secrets of {namespace} cannot be read: {error}") from error
        for document in documents:
            try:
                yield from credentials.entries(document)
            except ValueError:
                continue  # somebody else's Secret: the kubelet passes over it too

    def _credentials(self, entry: Registry, repository: str, held: Sequence[Entry]) -> list[Credential]:
        file = self._files.get(entry.host)
        try:
            own = file() if file is not None else ()
        except ConfigError as error:
            raise Unanswered(f"{entry.host}: is not asked without its credentials: {error}") from error
        found = [
            *credentials.chosen(held, entry.host, repository),
            *credentials.chosen(own, entry.host, repository),
        ]
        return list(dict.fromkeys(found))[:CANDIDATES]


class _Visit:
    """One image at one registry or mirror, within one deadline."""

    def __init__(
        self,
        wire: Wire,
        gate: Gate,
        entry: Registry,
        repository: str,
        found: Sequence[Credential],
        platforms: Sequence[Platform],
        deadline: Deadline,
    ) -> None:
        self._wire = wire
        self._gate = gate
        self._entry = entry
        self._repository = repository
        self._candidates: Sequence[Credential | None] = found or (None,)
        self._platforms = platforms
        self._deadline = deadline
        self._lock = threading.Lock()
        self._bytes = ALTOGETHER

    def digest(self, reference: str) -> str:
        """Return the digest that a tag stands for."""
        answer = self._ask("HEAD", f"manifests/{reference}", self._deadline)
        said = answer.headers.get("Docker-Content-Digest", "")
        if answer.status == 200 and manifest.is_digest(said):
            return said
        if answer.status in (200, 405, 501):  # it gives no digest, or knows no HEAD
            return manifest.digest(self._get("manifests", reference, MANIFEST_BYTES, self._deadline))
        raise self._error(answer, reference)

    def content(self, reference: str) -> Content:
        """Return all that a tag or digest stands for."""
        data = self._get("manifests", reference, MANIFEST_BYTES, self._deadline)
        name = reference if manifest.is_digest(reference) else manifest.digest(data)
        read = self._parsed(manifest.read, data, reference)
        if isinstance(read, Manifest):
            return Content(name, (self._build(name, read, self._settings(read), None),))
        return Content(name, self._builds(read, reference), True, read.annotations)

    def _builds(self, index: Index, reference: str) -> tuple[Build, ...]:
        """Return the builds of an index that are wanted, in its order."""
        there = [entry for entry in index.entries if _runs(entry)]
        covering = tuple(self._covering(there))
        wanted = [entry for entry in there if entry.platform is None or not covering or _any(covering, entry.platform)]
        nested = next((entry for entry in wanted if entry.media in manifest.INDEX_TYPES), None)
        if nested is not None:
            raise self._refused(reference, f"is an index with an index inside ({nested.digest}); none is read")
        if len(wanted) > BUILDS:
            advice = "name the platforms of your nodes as `platforms` in the registries file"
            raise self._refused(reference, f"is an index of {len(wanted)} images; at most {BUILDS} are read; {advice}")
        builds = tuple(build for build in self._each(self._member, wanted) if build is not None)
        if not builds:
            only = f" for {', '.join(map(str, self._platforms))}" if self._platforms else ""
            raise self._refused(reference, f"is an index without an image{only}")
        return self._attested(builds, index)

    def _covering(self, there: Sequence[Descriptor]) -> Iterator[Platform]:
        """Give the platforms that are wanted of an index: those of the file, and what their nodes take in their place.

        A 64-bit node takes a 32-bit build where it is sure of no other; one that isn't read would run unseen.
        """
        named = {entry.platform for entry in there}
        for one in self._platforms:
            yield one
            elder = oci.ELDER.get(one.architecture)
            if elder is not None and Platform(one.os, one.architecture) not in named:
                yield Platform(one.os, elder)

    def _member(self, entry: Descriptor) -> Build | None:
        """Return the build of an entry; None for a signature and the like, which say no platform and are no image.

        An image whose entry says no platform is picked by its config (containerd), or by any node for which the index
        has nothing else (CRI-O: containers/image, internal/manifest/oci_index.go `chooseInstance`).
        """
        read = self._parsed(manifest.read, self._part("manifests", entry, self._deadline), entry)
        if isinstance(read, Index):
            raise self._refused(entry.digest, "is an index inside an index; none is read")
        settings = self._settings(read)
        if entry.platform is None and "rootfs" not in settings:
            return None
        return self._build(entry.digest, read, settings, entry.platform)

    def _settings(self, read: Manifest) -> Mapping[str, Any]:
        return self._parsed(manifest.config, self._part("blobs", read.config, self._deadline), read.config)

    def _build(self, name: str, read: Manifest, settings: Mapping[str, Any], named: Platform | None) -> Build:
        try:
            return manifest.build(name, read, settings, named)
        except ValueError as error:
            raise self._refused(name, f"cannot be read: {error}") from error

    def _attested(self, builds: tuple[Build, ...], index: Index) -> tuple[Build, ...]:
        """Return the builds with what attestations say went into them: a hint, and never worth failing for."""
        known = {build.digest for build in builds}
        proofs = {entry.proves: entry for entry in index.entries if entry.proves in known}
        if not proofs:
            return builds
        deadline = self._deadline.share(2)
        found = dict(
            zip(proofs, self._each(lambda entry: self._sources(entry, deadline), proofs.values()), strict=True)
        )
        return tuple(dataclasses.replace(build, sources=found.get(build.digest, ())) for build in builds)

    def _sources(self, entry: Descriptor, deadline: Deadline) -> tuple[str, ...]:
        try:
            read = manifest.read(self._part("manifests", entry, deadline))
            layer = read.provenance if isinstance(read, Manifest) else None
            return manifest.sources(self._part("blobs", layer, deadline)) if layer else ()
        except (Unanswered, ValueError):
            return ()

    def _each(self, work: Callable[[Descriptor], T], entries: Iterable[Descriptor]) -> list[T]:
        """Do some work for all, a few at once; each has a deadline, so this ends too."""
        every = list(entries)
        if len(every) < 2:
            return [work(entry) for entry in every]
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="registry") as crew:
            return list(crew.map(work, every))

    def _part(self, kind: str, what: Descriptor, deadline: Deadline) -> bytes:
        """Return a document that another names; where it is missing, the image is not absent, but not whole."""
        try:
            return self._get(kind, what.digest, MANIFEST_BYTES if kind == "manifests" else CONFIG_BYTES, deadline)
        except Absent as error:
            raise Unanswered(f"{error}, though the image is made of it") from error

    def _get(self, kind: str, reference: str, cap: int, deadline: Deadline) -> bytes:
        """Return a document: what a tag stands for, or what has a digest, verified."""
        with self._lock:
            cap = min(cap, self._bytes)
        if not cap:
            raise self._refused(reference, f"is not read: the image's documents exceed {ALTOGETHER} bytes together")
        answer = self._ask("GET", f"{kind}/{reference}", deadline, cap)
        if answer.status != 200:
            raise self._error(answer, reference)
        with self._lock:
            self._bytes = max(0, self._bytes - len(answer.body))
        if manifest.is_digest(reference) and not manifest.verified(answer.body, reference):
            got = manifest.digest(answer.body, reference.partition(":")[0])
            raise self._refused(reference, f"has another digest, {got}: it was changed on its way or in the registry")
        return answer.body

    def _ask(self, method: str, path: str, deadline: Deadline, cap: int = 0) -> Answer:
        """Ask with the first credential that is let in; that one is used from then on."""
        candidates = self._candidates
        for credential in candidates:
            answer = self._let_in(method, path, credential, deadline, cap)
            if answer.status not in (401, 403):
                self._candidates = (credential,)
                break
        return answer

    def _let_in(self, method: str, path: str, credential: Credential | None, deadline: Deadline, cap: int) -> Answer:
        """Send a request with what let us in before, and after a 401 once more with what it asks for.

        Only the registry itself says where its tokens are: who is redirected to would name a place for our credentials.
        """
        key = Key(self._entry.host, self._repository, credential)
        held = self._gate.held(key)
        answer = self._send(method, path, deadline, cap, held)
        if answer.status != 401 or not self._own(answer):
            return answer
        self._gate.forget(key, held)
        fresh = self._gate.open(key, self._entry, answer, deadline)
        if not fresh:
            return answer
        answer = self._send(method, path, deadline, cap, fresh)
        if answer.status == 401:
            self._gate.forget(key, fresh)
        return answer

    def _send(self, method: str, path: str, deadline: Deadline, cap: int, authorization: str) -> Answer:
        url = f"{self._entry.url}/v2/{self._repository}/{path}"
        accept = {"Accept": manifest.ACCEPT if path.startswith("manifests/") else "*/*"}
        return self._wire.ask(method, url, deadline, headers=accept, authorization=authorization, cap=cap)

    def _parsed(self, read: Callable[[bytes], T], data: bytes, what: Descriptor | str) -> T:
        try:
            return read(data)
        except ValueError as error:
            name = what if isinstance(what, str) else what.digest
            raise self._refused(name, f"cannot be read: {error}") from error

    def _title(self, reference: str) -> str:
        return f"{self._repository}{'@' if manifest.is_digest(reference) else ':'}{reference}"

    def _refused(self, reference: str, text: str) -> Unanswered:
        return Unanswered(f"{self._entry.host}: {self._title(reference)} {text}")

    def _error(self, answer: Answer, reference: str) -> Absent | Unanswered:
        """Return what a status means that is no answer."""
        title = self._title(reference)
        if not self._own(answer):
            return unanswered(answer, f"for {title}", "")
        if answer.status == 404:
            return Absent(f"{self._entry.host} has no {title} (404{_code(answer)})")
        if answer.status in (401, 403):
            given = self._candidates[0] is not None
            why = "refuses the credentials that it is given" if given else "wants credentials, and there are none"
            return Absent(f"{self._entry.host} {why} for {title} ({answer.status}{_code(answer)})")
        return unanswered(answer, f"for {title}", self._entry.host)

    def _own(self, answer: Answer) -> bool:
        """Say whether the registry itself answers, and not a host that it redirects to."""
        return answer.host == self._entry.host


def _runs(entry: Descriptor) -> bool:
    """Say whether any node can run an entry; one without a platform may be.

    An attestation is left out by its platform, `unknown/unknown`, which no runtime takes. Its annotations say
    nothing here: on an entry with a platform they would hide a build that runs.
    """
    found = entry.platform
    return found is None or (bool(found.architecture) and manifest.UNKNOWN not in (found.os, found.architecture))


def _any(wanted: Iterable[Platform], found: Platform) -> bool:
    """Say whether a platform can be one that is wanted.

    A wanted one without a variant stands for all of them, another for those before it too (containerd's
    platforms/compare.go).
    """
    return any(
        (one.os, one.architecture) == (found.os, found.architecture)
        and (not one.variant or found.variant <= one.variant)
        for one in wanted
    )


def _code(answer: Answer) -> str:
    """Return the distribution specification's word for an error, where the answer has one."""
    try:
        code = orjson.loads(answer.body)["errors"][0]["code"]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return ""
    return f" {cleaned(code, 40)}" if isinstance(code, str) and code else ""


def _together(errors: Sequence[Absent | Unanswered]) -> Absent | Unanswered:
    """Return the registry's own error, the last one, with what its mirrors said."""
    *mirrors, last = errors
    if not mirrors:
        return last
    text = f"{last}; its mirrors give nothing either: {'; '.join(map(str, mirrors))}"
    return Absent(text) if isinstance(last, Absent) else Unanswered(text, last.rest, last.host)
