"""What every check owes its users: a page, a schema, cases that pass and fail; where else, see test_every_kind.py."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

import webhook.checks
from webhook.checks import CHECKS, Module
from webhook.checks.check import Check
from webhook.model import image, oci
from webhook.model.decision import Unsure, Violation
from webhook.model.neighbours import Found, Neighbours, Ref, alone
from webhook.model.oci import Images, Inspected, Lookup
from webhook.model.patch import Draft, apply
from webhook.model.pods import Subject, group_of, subjects
from webhook.packs import manual
from webhook.packs.blanks import WORDS
from webhook.packs.editor import pack_schema

ROOM = Path(webhook.checks.__file__).parent
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SECTIONS = ("What it does", "Why", "Example", "Use instead", "Parameters", "Fix")


def cases(check: str) -> list[dict[str, Any]]:
    found = yaml.load((ROOM / f"{check}.cases.yaml").read_text(), LOADER)
    assert isinstance(found, list)
    return found


def placed(case: dict[str, Any], key: str = "") -> tuple[dict[str, Any], str]:
    """Return the object of a case, or what its fix makes of it, and where the pod stands: a pod is a Deployment's."""
    if "object" in case:
        return copy.deepcopy(case[key or "object"]), ""
    pod = case[key or "pod"]
    template = copy.deepcopy({"metadata": pod.get("metadata", {}), "spec": pod["spec"]})
    head = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}}
    return {**head, "spec": {"template": template}}, "/spec/template"


def seen(check: Check, obj: dict[str, Any], case: dict[str, Any]) -> tuple[Subject, ...]:
    """Return the subjects of an object, and beside them the `neighbours` of a case; `lacking` says that more may be."""
    found = subjects(obj, group_of(obj["apiVersion"]), obj["kind"], "shop", obj["metadata"].get("name", "x"))
    others = case.get("neighbours", ())

    def known(ref: Ref) -> Found:
        named = ((group_of(other["apiVersion"]), other["kind"], other["metadata"]["name"], other) for other in others)
        objects = tuple(other for *key, other in named if ref.fits(*key))
        return Found(objects, case.get("lacking", ""), case.get("failed", False))

    def beside(subject: Subject) -> Neighbours:
        sought = {ref for ask in (check.seeks, check.fix_seeks) if ask for ref in ask(subject)}
        return lambda ref: known(ref) if ref in sought else alone(ref)  # what is not sought is not gathered

    return tuple(subject.beside(beside(subject), inspected(check, subject, case)) for subject in found)


ASKED = datetime(2026, 11, 1, tzinfo=UTC)


def images(case: dict[str, Any]) -> dict[str, Inspected]:
    """Return what the `images` of a case say that registries know, by normalized reference."""
    return {str(image.parse(name)): oci.inspected(known, ASKED) for name, known in case.get("images", {}).items()}


def inspected(check: Check, subject: Subject, case: dict[str, Any]) -> Images:
    """Return what tells a check what its images are; what it does not ask about is not gathered."""
    asking = [ask for ask in (check.inspects, check.fix_inspects) if ask]
    sought = {lookup for ask in asking for pod in subject.pods for lookup in ask(pod)}
    known = images(case)

    def look(lookup: Lookup) -> Inspected:
        return known[lookup.reference] if lookup in sought and lookup.reference in known else oci.uninspected(lookup)

    return look


def judged(check: Check, obj: dict[str, Any], case: dict[str, Any]) -> list[Violation | Unsure]:
    found: list[Violation | Unsure] = []
    for subject in seen(check, obj, case):
        found += check.subject(subject) if check.subject else []
        for pod in subject.pods:
            found += check.violations(pod)
    return found


def fixed(check: Check, obj: dict[str, Any], case: dict[str, Any]) -> Draft:
    draft = Draft.of(obj)
    for subject in seen(check, draft.document, case):
        if check.fix_subject is not None:
            check.fix_subject(subject, draft)
        for pod in subject.pods if check.fix is not None else ():
            assert check.fix is not None
            check.fix(pod, draft)
    return draft


ALL = [pytest.param(CHECKS[name], case, id=f"{name}: {case['name']}") for name in CHECKS for case in cases(name)]


@pytest.mark.parametrize(("module", "case"), ALL)
def test_a_case_finds_exactly_what_it_says_and_where(module: Module, case: dict[str, Any]) -> None:
    check = module.build({**module.DEFAULTS, **case.get("params", {})})
    obj, at = placed(case)
    said = judged(check, obj, case)
    found = [violation for violation in said if isinstance(violation, Violation)]
    unsure = [one.why for one in said if isinstance(one, Unsure)]
    assert len(unsure) == len(case.get("unsure", ()))
    assert all(part in why for part, why in zip(case.get("unsure", ()), unsure, strict=True)), unsure
    wanted = case["findings"]
    assert sorted(v.pointer for v in found) == sorted(at + entry["pointer"] for entry in wanted)
    rest = list(found)
    for entry in wanted:
        expected = {**entry, "pointer": at + entry["pointer"]}
        match = [v for v in rest if all(getattr(v, key) == value for key, value in expected.items())]
        assert match, f"no finding is like {expected}; there are {rest}"
        rest.remove(match[0])


@pytest.mark.parametrize(("module", "case"), [p for p in ALL if "fixed" in p.values[1]])
def test_a_fix_makes_what_the_case_says_and_a_second_one_changes_nothing(module: Module, case: dict[str, Any]) -> None:
    check = module.build({**module.DEFAULTS, **case.get("params", {})})
    obj, _ = placed(case)
    before = copy.deepcopy(obj)
    draft = fixed(check, obj, case)
    assert obj == before, "a fix writes into the draft, never into the object"
    assert draft.document == placed(case, "fixed")[0]
    assert apply(obj, draft.operations) == draft.document
    assert fixed(check, draft.document, case).operations == []


@pytest.mark.parametrize("name", CHECKS)
def test_no_check_only_glances(name: str) -> None:
    check = CHECKS[name].build(CHECKS[name].DEFAULTS)
    assert check.pod is not None or (check.kept is None and check.part is None)


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_has_three_cases_that_pass_and_three_that_fail(name: str) -> None:
    found = cases(name)
    assert sum(1 for case in found if not case["findings"]) >= 3
    assert sum(1 for case in found if case["findings"]) >= 3
    assert len({case["name"] for case in found}) == len(found)
    assert all(len(entry) >= 3 for case in found for entry in case["findings"]), "a finding says what, not only where"


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_has_a_page_whose_yaml_can_be_read(name: str) -> None:
    page = manual.page(CHECKS[name])
    positions = [page.find(section) for section in SECTIONS]
    assert -1 not in positions, f"sections missing: {[s for s, at in zip(SECTIONS, positions, strict=True) if at < 0]}"
    assert positions == sorted(positions)
    blocks = page.split("```yaml")[1:]
    assert blocks
    for block in blocks:
        assert list(yaml.safe_load_all(block.split("```")[0]))


@pytest.mark.parametrize("name", CHECKS)
def test_every_parameter_has_a_schema_a_description_a_default_and_stands_on_the_page(name: str) -> None:
    module = CHECKS[name]
    properties = module.PARAMS["properties"]
    assert module.PARAMS["additionalProperties"] is False
    assert set(properties) == set(module.DEFAULTS)
    assert all(properties[key].get("description") for key in properties)
    page = manual.page(module).split("Parameters")[1]
    assert not [key for key in properties if f"`{key}`" not in page]


def test_the_checks_on_disk_are_the_checks_that_are_registered_and_sorted() -> None:
    modules = {path.stem for path in ROOM.glob("*.py")} - {
        "__init__",
        "check",
        "cel",
        "security_controls",
        "spoken",
        "spoken_affinity",
        "spoken_image",
        "spoken_security",
    }
    assert {name.replace("-", "_") for name in CHECKS} == modules
    assert {path.name.removesuffix(".cases.yaml") for path in ROOM.glob("*.cases.yaml")} == set(CHECKS)
    assert list(CHECKS) == sorted(CHECKS)
    assert all(name == module.ID for name, module in CHECKS.items())


@pytest.mark.parametrize("name", CHECKS)
def test_no_blank_of_a_scaffold_is_left(name: str) -> None:
    texts = {file: (ROOM / file).read_text() for file in (f"{name.replace('-', '_')}.py", f"{name}.cases.yaml")}
    lines = ((file, number, line) for file, text in texts.items() for number, line in enumerate(text.split("\n"), 1))
    assert [f"{file}:{number}: {line.strip()}" for file, number, line in lines if WORDS in line] == []


def test_every_check_is_in_the_schema_of_packs() -> None:
    text = str(pack_schema(CHECKS))
    assert all(name in text for name in CHECKS)
