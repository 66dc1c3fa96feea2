"""The pages say what is so: their packs load, their examples are answers, their tables are complete."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import runpy
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from webhook import settings, sources
from webhook.checks import CHECKS, Module, cel
from webhook.cli import suite
from webhook.cli.judge import judge
from webhook.cli.objects import read
from webhook.cli.report import json as report
from webhook.engine.evaluate import evaluate
from webhook.engine.facts import Facts
from webhook.kube.register import RESOURCES, configurations
from webhook.main import commands, main
from webhook.model import answer
from webhook.model.decision import Decision, Fault, Fixed
from webhook.model.neighbours import NAMESPACE, Ref
from webhook.model.pods import group_of, subjects
from webhook.model.review import Review
from webhook.model.workloads import KINDS
from webhook.observe.metrics import Metrics
from webhook.packs.compile import ruleset
from webhook.packs.editor import pack_schema
from webhook.registry import config as registries

ROOT = Path(__file__).parent.parent.parent
PLAIN = ROOT / "charts" / "plain" / "plimsoll.yaml"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OURS = {"RulePack", "RulePackTest", "Registries", "ImageLock"}
HIDDEN = {".git", ".venv", "build", "node_modules"}
ANCHOR = runpy.run_path(str(ROOT / "docs" / "site_hooks.py"))["anchor"]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def _name(value: object) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)


def blocks(page: Path, language: str) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of the fenced blocks of a language; '' is a block that names none.

    A block that is the file of another program, such as `.gitlab-ci.yml`, is none of ours.
    """
    found = re.finditer(r'^```(\w*)(?: title="([^"\n]+)")?\n(.*?)^```$', page.read_text(), re.MULTILINE | re.DOTALL)
    yield from (
        (page.read_text().count("\n", 0, match.start()) + 1, match[3])
        for match in found
        if match[1] == language and not (match[2] or "").startswith(".")
    )


YAML_OF = {_name(page): list(blocks(page, "yaml")) for page in PAGES}
EVERY = [(f"{page}:{line}", text) for page, found in YAML_OF.items() for line, text in found]
PART = re.compile(r"(params|rules|exemptions):$", re.MULTILINE)
"""How a block begins that is a part of a pack: pages of checks show no more where that is all that counts."""
YAML = [(place, text) for place, text in EVERY if not PART.match(text)]


def documents(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


def of_kind(kind: str) -> list[Any]:
    # by text, since what is no YAML has to fail in its own test and not while tests are collected
    return [pytest.param(text, id=place) for place, text in YAML if re.search(rf"^kind: {kind}$", text, re.MULTILINE)]


def section(page: str, title: str) -> str:
    """Return what stands under a heading, up to the next of its rank or a higher one."""
    text = (ROOT / page).read_text()
    start = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert start, f"{page} has no heading {title}"
    rest = text[start.end() :]
    end = re.search(rf"^#{{1,{len(start[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def keys(text: str) -> set[str]:
    """Return the words in backquotes in the first column of the tables in a text."""
    rows = re.findall(r"^\|([^|]*)\|", text, re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([^`]+)`", row)}


@pytest.fixture
def example() -> Path:
    return ROOT / "docs" / "examples" / "shop.yaml"


@pytest.fixture
def shipped() -> list[tuple[str, str]]:
    return [(path.name, path.read_text()) for path in sources.shipped()]


@pytest.fixture
def decide(shipped: list[tuple[str, str]], review: Callable[..., Review]) -> Callable[[Path, str], Any]:
    def make(path: Path, endpoint: str) -> tuple[Review, Decision]:
        one = review(yaml.safe_load(path.read_text()))
        return one, evaluate(ruleset(shipped), one, Facts(), NOW, endpoint)

    return make


def test_the_pages_hold_examples_at_all() -> None:
    assert len(of_kind("RulePack")) >= 8


@pytest.mark.parametrize("text", of_kind("RulePack"))
def test_a_pack_on_a_page_loads(text: str, shipped: list[tuple[str, str]]) -> None:
    found = ruleset([("page.yaml", text)], bases=shipped)
    bases = {document["spec"].get("extends") for document in documents(text)}
    names = {document["metadata"]["name"] for document in documents(text)}
    assert {pack.name for pack in found.packs} == names - bases
    assert found.rules


def test_the_test_of_a_pack_on_the_page_passes_with_the_pack_above_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = dict(YAML_OF["docs/commands.md"])
    (test,) = [line for line, text in page.items() if "kind: RulePackTest" in text]
    above = max(line for line, text in page.items() if "kind: RulePack\n" in text and line < test)
    (tmp_path / "acme.yaml").write_text(page[above])
    (tmp_path / "acme.test.yaml").write_text(page[test])
    assert main(["test", str(tmp_path / "acme.test.yaml")]) == 0
    assert "2 passed" in capsys.readouterr().out


HUB = sorted((ROOT / "docs" / "examples" / "hub").glob("*.yaml"))


def carried_packs(value: object) -> Iterator[dict[str, Any]]:
    """Yield every RulePack in a document, however deep it is wrapped."""
    if isinstance(value, dict) and value.get("kind") == "RulePack" and "spec" in value:
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from carried_packs(inner)


@pytest.mark.parametrize("file", HUB, ids=_name)
def test_an_example_for_a_hub_keeps_the_shipped_packs_in_force_and_is_on_the_page(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(file)]) == 0, capsys.readouterr().out
    assert f"](examples/hub/{file.name})" in (ROOT / "docs" / "multi-cluster.md").read_text()


@pytest.mark.parametrize("file", [file for file in HUB if "kind: RulePack" in file.read_text()], ids=_name)
def test_the_packs_that_an_example_for_a_hub_delivers_load(file: Path, shipped: list[tuple[str, str]]) -> None:
    found = [pack for document in documents(file.read_text()) for pack in carried_packs(document)]
    loaded = ruleset([(f"{pack['metadata']['name']}.yaml", yaml.safe_dump(pack)) for pack in found], bases=shipped)
    bases = {pack["spec"].get("extends") for pack in found}
    assert {pack.name for pack in loaded.packs} == {pack["metadata"]["name"] for pack in found} - bases
    assert loaded.rules


def test_the_webhooks_for_a_hub_list_every_wrapper_and_correct_only_those_that_people_write() -> None:
    ours = documents((ROOT / "docs" / "examples" / "hub" / "webhooks.yaml").read_text())
    wrappers = [key for key, row in KINDS.items() if row.wraps]
    assert wrappers
    wanted = configurations("https://plimsoll.example", b"", dict.fromkeys(("validate", "advise", "mutate"), wrappers))
    assert listed(ours) == listed(wanted)
    hooks = {hook["name"]: hook for document in ours for hook in document["webhooks"]}
    assert {name: (hook["failurePolicy"], hook["timeoutSeconds"]) for name, hook in hooks.items()} == {
        "validate.plimsoll.dev": ("Fail", 3),
        "advise.plimsoll.dev": ("Ignore", 3),
        "mutate.plimsoll.dev": ("Ignore", 1),
    }
    assert all(document["metadata"]["labels"]["app.kubernetes.io/name"] == "plimsoll" for document in ours)


@pytest.mark.parametrize("test", sorted((ROOT / "docs" / "examples").glob("*.test.yaml")), ids=_name)
def test_an_example_pack_passes_its_tests(test: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(test)]) == 0, capsys.readouterr().out


def test_the_first_rule_of_the_readme_finds_something_in_the_samples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (text,) = [text for _, text in YAML_OF["README.md"]]
    (tmp_path / "acme.yaml").write_text(text)
    assert main(["check", "--policies", str(tmp_path / "acme.yaml"), str(ROOT / "samples")]) == 0
    assert "warn: two-replicas" in capsys.readouterr().out


@pytest.mark.parametrize("text", [pytest.param(text, id=place) for place, text in YAML])
def test_every_yaml_on_a_page_is_kubernetes_yaml(text: str) -> None:
    assert documents(text)
    for document in documents(text):
        # the registries file is of the server alone, and no object of a cluster
        assert {"apiVersion", "kind"} <= document.keys()
        assert "metadata" in document or document["kind"] == "Registries"


@pytest.mark.parametrize(
    ("check", "text"),
    [pytest.param(Path(place).name.split(".")[0], text, id=place) for place, text in EVERY if PART.match(text)],
)
def test_a_part_of_a_pack_on_the_page_of_a_check_loads_in_a_pack_with_that_check(check: str, text: str) -> None:
    part = yaml.safe_load(text)
    rule = {"name": check, "check": check, "action": "deny", "params": part.pop("params", {})}
    pack = {"apiVersion": "plimsoll.dev/v1", "kind": "RulePack", "metadata": {"name": "acme"}}
    found = ruleset([("page.yaml", yaml.safe_dump({**pack, "spec": {"rules": [rule], **part}}))])
    assert [one.about.rule for one in found.rules] == [check]


@pytest.mark.parametrize("text", of_kind("RulePackTest"))
def test_a_test_of_packs_on_a_page_loads(text: str, tmp_path: Path) -> None:
    assert suite.load("page.test.yaml", text, tmp_path)[0].cases


@pytest.mark.parametrize("text", of_kind("Registries"))
def test_a_registries_file_on_a_page_loads_with_the_files_that_it_names(text: str, tmp_path: Path) -> None:
    assert main(["certs", str(tmp_path)]) == 0  # ca.crt
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text('{"auths": {}}')
    assert registries.load("registries.yaml", text, tmp_path).registries


@pytest.mark.parametrize("text", [pytest.param(text, id=place) for place, text in YAML])
def test_an_object_on_a_page_is_read_as_a_manifest(text: str, tmp_path: Path) -> None:
    objects = [document for document in documents(text) if document["kind"] not in OURS]
    (tmp_path / "page.yaml").write_text(yaml.safe_dump_all(objects))
    found = read([str(tmp_path / "page.yaml")])
    assert not list(found.problems)
    assert len(list(found.manifests)) == len(objects)


def test_a_pipeline_on_a_page_is_yaml_and_runs_commands_that_there_are() -> None:
    text = (ROOT / "docs" / "howto" / "check-in-ci.md").read_text()
    found = re.findall(r'^```yaml title="(\.[^"]+)"\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in found] == [".github/workflows/manifests.yml", ".gitlab-ci.yml"]
    for _, pipeline in found:
        assert yaml.safe_load(pipeline)
        assert set(re.findall(r"^ +- (?:run: )?plimsoll (\w+)", pipeline, re.MULTILINE)) == {"check"}
    assert set(re.findall(r"plimsoll (\w+) -", text)) <= set(commands())


def test_the_index_of_the_documentation_leads_to_every_page_but_those_of_single_checks_and_decisions() -> None:
    docs = ROOT / "docs"
    wanted = {*docs.glob("*.md"), *docs.glob("howto/*.md"), docs / "checks" / "README.md"} - {docs / "README.md"}
    links = re.findall(r"\]\(([^)#]+)", (docs / "README.md").read_text())
    assert {str(page.relative_to(docs)) for page in wanted} <= set(links)
    assert "(docs/README.md)" in (ROOT / "README.md").read_text()


def test_the_navigation_of_the_site_leads_to_every_page() -> None:
    docs = ROOT / "docs"
    named = set(re.findall(r"^ +- ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    pages = {str(page.relative_to(docs)) for page in (*docs.glob("*.md"), *docs.glob("howto/*.md"))}
    assert pages - named == {"tutorial.md"}  # it has a title there


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_the_contents_of_a_page_name_all_that_is_on_it(page: Path) -> None:
    before, contents, rest = page.read_text().partition("\nContents: ")
    if contents:
        named, _, text = rest.partition("\n\n")
        headings = re.findall(
            r"^## (.+)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
        )
        assert re.findall(r"\]\(#([^)]+)\)", named) == [ANCHOR(heading, "-") for heading in headings]


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_a_list_is_one_on_the_site_as_on_a_code_host(page: Path) -> None:
    """Markdown of the site wants an empty line before a list, and four spaces before one in a list."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = prose.splitlines()
    item = re.compile(r" *([-*]|\d+\.) ")
    for before, line in zip(lines, lines[1:], strict=False):
        glued = before and not before.startswith(("#", " ")) and not item.match(before)
        assert not (item.match(line) and glued), f"{_name(page)}: an empty line is missing before {line!r}"
        assert not re.match(r" {1,3}[-*] ", line), f"{_name(page)}: four spaces are wanted before {line!r}"


@pytest.mark.parametrize("page", sorted(p for p in ROOT.rglob("*.md") if not HIDDEN & set(p.parts)), ids=_name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.exists(), f"{_name(page)} links to {link}"
        if anchor:
            assert anchor in anchors(target), f"{_name(page)} links to {link}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, made as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {ANCHOR(heading, "-") for heading in headings}


# -- what is said about the language ----------------------------------------------------------------------------


def test_every_key_of_a_pack_and_no_other_is_on_the_page() -> None:
    pack = pack_schema(CHECKS)["properties"]
    spec = pack["spec"]["properties"]
    rule = spec["rules"]["items"]["properties"]
    packs = "docs/packs.md"
    assert keys(section(packs, "The pack")) >= {f"spec.{key}" for key in spec}
    of_rules = section(packs, "Rules").partition("A rule has exactly one")[0]
    assert keys(of_rules) == set(rule)
    assert keys(section(packs, "Where a rule holds: `match`")) == set(spec["match"]["properties"])
    assert keys(section(packs, "Fixes")) == set(plain(plain(rule["patch"])["items"])["properties"])
    exemption = plain(spec["exemptions"]["items"])["properties"]
    assert keys(section(packs, "Exemptions")) == set(exemption)


def plain(inner: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without the reference to a value that may stand in its place."""
    found: dict[str, Any] = inner["anyOf"][0] if "anyOf" in inner else inner
    return found


def test_every_word_of_an_enumeration_is_on_the_page() -> None:
    spec = pack_schema(CHECKS)["properties"]["spec"]["properties"]
    table = (ROOT / "docs" / "packs.md").read_text()
    rules = spec["rules"]["items"]["properties"]
    for key, inner in [*rules.items(), ("mode", spec["mode"])]:
        if key == "check":
            continue  # the row leads to the generated index, which names them all
        words = plain(inner).get("enum", [])
        row = re.search(rf"^\| `(?:spec\.)?{key}` \|.*$", table, re.MULTILINE)
        assert row, key
        missing = [word for word in words if f"`{word}`" not in row[0]]
        assert not missing, f"{key}: {missing}"


def test_the_pages_of_the_checks_are_what_the_checks_say() -> None:
    wanted = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()
    written = {path.name: path.read_text() for path in (ROOT / "docs" / "checks").iterdir()}
    assert set(written) == set(wanted), "run `make generated`"
    differing = [name for name in wanted if written[name] != wanted[name]]
    assert not differing, "run `make generated`"


def test_the_schemas_for_editors_are_what_the_code_says() -> None:
    wanted = runpy.run_path(str(ROOT / "docs" / "generate.py"))["schemas"]()
    differing = [name for name in wanted if (ROOT / "docs" / "schemas" / name).read_text() != wanted[name]]
    assert not differing, "run `make generated`"


def test_the_definition_of_the_resource_is_what_the_schema_says() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    assert made["CRD"].read_text() == made["definition"](), "run `make generated`"


@pytest.mark.parametrize("check", CHECKS)
def test_the_page_of_a_check_has_every_parameter_with_its_default(check: str) -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| .*? \| `(.*?)` \| \S", section(f"docs/checks/{check}.md", "Parameters"), re.MULTILINE
    )
    assert {name: json.loads(default.replace("\\|", "|")) for name, default in rows} == CHECKS[check].DEFAULTS


def test_every_word_of_cel_is_on_the_page() -> None:
    assert keys(section("docs/packs.md", "CEL")) == {*cel.VARIABLES, "variables.x"}


def test_the_index_names_every_check_and_the_readme_and_the_page_of_packs_lead_to_it() -> None:
    index = (ROOT / "docs" / "checks" / "README.md").read_text()
    assert re.findall(r"^\| \[([a-z-]+)\]\(\1\.md\) \|", index, re.MULTILINE) == list(CHECKS)
    assert "(docs/checks/README.md)" in (ROOT / "README.md").read_text()
    assert "(checks/README.md)" in section("docs/packs.md", "Rules")


def table(page: str, header: str) -> list[list[str]]:
    """Return the rows of the table with a header, each the text of its columns."""
    rows = (ROOT / page).read_text().partition(f"{header}\n")[2].partition("\n\n")[0].splitlines()[1:]
    assert rows, f"{page} has no table {header}"
    return [[cell.strip() for cell in row.strip("|").split(" |")] for row in rows]


def test_the_readme_says_of_each_standard_in_force_whether_it_is_mended_and_whether_only_warned_of(
    shipped: list[tuple[str, str]],
) -> None:
    said = {
        (check.strip("`"), bool(fix), "(warned of)" in standard)
        for standard, check, fix in table("README.md", "| standard | check | fix |")
    }
    enforced = [rule for rule in ruleset(shipped).rules if rule.about.pack_mode == "enforce"]
    assert said == {(rule.about.rule, rule.fix, rule.about.action == "warn") for rule in enforced}


def test_the_readme_names_all_other_packs_and_their_checks(shipped: list[tuple[str, str]]) -> None:
    specs = {name.removesuffix(".yaml"): yaml.safe_load(text)["spec"] for name, text in shipped}
    wanted = {
        f"[{name}](policies/{name}.yaml)": sorted({rule["check"] for rule in spec["rules"] if "check" in rule})
        for name, spec in specs.items()
        if spec["mode"] == "dry-run"
    }
    said = {
        pack: re.findall(r"`([a-z-]+)`", checks) for pack, _, checks in table("README.md", "| pack | keeps | checks |")
    }
    assert said == wanted
    assert [name for name, spec in specs.items() if spec["mode"] != "dry-run"] == ["containerization"]


# -- what is said about running it --------------------------------------------------------------------------------


def test_the_table_of_settings_is_the_list_of_settings() -> None:
    rows = []
    for option in settings.options():
        default = f"`{option.default}`" if option.default else "`false`" if option.switch else ""
        text = option.help.replace("|", "/") + (" (repeatable)" if option.many else "")
        rows.append(f"| `{option.flag}` | `{option.variable}` | {default} | {text} |")
    written = re.findall(r"^\| `--.*$", section("docs/cluster.md", "Settings"), re.MULTILINE)
    assert written == rows


def test_the_table_of_metrics_is_what_is_counted() -> None:
    counted = {  # those that no process counts for itself: the page of figures adds them
        "plimsoll_certificate_expiry_seconds": ("gauge", ()),
        "plimsoll_pack_broken": ("gauge", ("source",)),
        "plimsoll_pack_info": ("gauge", ("pack", "version")),
        "plimsoll_pack_loaded_timestamp_seconds": ("gauge", ("pack",)),
    }
    registry = Metrics().registry
    for metric in set(registry._collector_to_names):
        (family,) = metric.collect()
        name = family.name + ("_total" if family.type == "counter" else "")
        counted[name] = (family.type, tuple(getattr(metric, "_labelnames", ())))
    rows = re.findall(
        r"^\| `(plimsoll_\w+)` \| (\w+) \| (.*?) ?\| \S.*\|$", (ROOT / "docs/metrics.md").read_text(), re.M
    )
    assert {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows} == counted


def test_the_table_of_alerts_is_what_the_chart_alerts_of() -> None:
    (group,) = yaml.safe_load((ROOT / "charts/plimsoll/files/alerts.yaml").read_text())
    rows = re.findall(r"^\| (\w+) \| `(.*?)` \| (\w*) ?\| \S.*\|$", section("docs/metrics.md", "Worth an alert"), re.M)
    assert sorted(rows) == sorted((rule["alert"], rule["expr"], rule.get("for", "")) for rule in group["rules"])


def test_bounds_of_alerts_stand_in_their_table_alone_and_other_pages_name_them() -> None:
    table = section("docs/metrics.md", "Worth an alert")
    alerts = {row: name for name, row in re.findall(r"^\| (\w+) \| `(.*?)`", table, re.M)}
    figures = {figure for row in alerts for figure in re.findall(r"plimsoll_\w+", row)}
    pages = [page for page in (ROOT / "docs").rglob("*.md") if page.name != "metrics.md"]
    for page in pages:
        text = page.read_text()
        compared = re.findall(r"(plimsoll_\w+)[^`|\n]*? [<>] ?[\d.]", text)
        assert not figures & set(compared), page
        assert set(re.findall(r"^\| (Plimsoll[A-Z]\w+) \|", text, re.M)) <= set(alerts.values()), page


def test_every_command_has_its_section() -> None:
    sections = re.findall(r"^## plimsoll (\w+)$", (ROOT / "docs" / "commands.md").read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(commands())
    table_of_them = (ROOT / "docs" / "commands.md").read_text().partition("## plimsoll check")[0]
    assert sorted(re.findall(r"^\| \[`plimsoll (\w+)`\]\(#plimsoll-\1\)", table_of_them, re.M)) == sorted(commands())


@pytest.mark.parametrize("command", sorted(set(commands()) - {"serve"}))  # serve: the table of settings
def test_every_flag_of_a_command_and_no_other_is_in_its_section(command: str) -> None:
    own = section("docs/commands.md", f"plimsoll {command}")
    common = (ROOT / "docs" / "commands.md").read_text().partition("## plimsoll check")[0]
    parser = argparse.ArgumentParser(add_help=False)
    importlib.import_module(f"webhook.cli.{command}").configure(parser)
    taken = list(flags(parser))
    said = set(re.findall(r"`(--?[a-z-]+)|(?<= )(--?[a-z-]+)", own + common))
    words = {word for pair in said for word in pair}
    assert [names for names in taken if not words & set(names)] == []
    rows = re.findall(r"^\| (`--?[^|]*)", own, re.MULTILINE)
    assert {flag for row in rows for flag in re.findall(r"`(--?[a-z-]+)", row)} <= {
        one for names in taken for one in names
    }


def flags(parser: argparse.ArgumentParser) -> Iterator[list[str]]:
    """Yield the flags of a parser, and of those below it, each by all its names."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from flags(inner)
        elif action.option_strings and action.dest != "help":
            yield list(action.option_strings)


def test_the_rights_in_a_cluster_are_those_that_facts_are_read_with() -> None:
    [role] = [document for document in documents(PLAIN.read_text()) if document["kind"] == "ClusterRole"]
    others = {"admissionregistration.k8s.io", "authorization.k8s.io", "plimsoll.dev"}  # tests/chart holds these
    given = {
        (group, resource, verb)
        for rule in role["rules"]
        if not others & set(rule["apiGroups"])
        for group, resource, verb in product(rule["apiGroups"], rule["resources"], rule["verbs"])
    }
    makers = {tuple(owner.split("/")) for row in KINDS.values() for owner in row.owners}
    makers |= {("", "ReplicationController"), ("apps", "ReplicaSet"), ("apps", "StatefulSet"), ("apps", "DaemonSet")}
    makers |= {("batch", "Job")}
    owners = {(group, RESOURCES[group, kind], "get") for group, kind in makers}
    sought = {ref for module in CHECKS.values() for ref in beside(module)}
    assert {"PodDisruptionBudget", "HorizontalPodAutoscaler", "Namespace"} <= {ref.kind for ref in sought}
    neighbours = {
        (ref.group, RESOURCES[ref.group, ref.kind], "get" if ref.name else "list") for ref in sought - {NAMESPACE}
    }  # that is read by its name
    wanted = {("", "namespaces", verb) for verb in ("get", "list", "watch")} | owners | neighbours
    assert wanted <= given
    known = {(row.group, row.resource) for row in KINDS.values()}
    brought = {right for right in given if not kubernetes_has(right[0])}
    assert {right for right in given - wanted if right not in brought or right[:2] not in known} == set()


def beside(module: Module) -> set[Ref]:
    """Return what a check looks for beside the objects of its own cases."""
    cases = yaml.safe_load((ROOT / "webhook" / "checks" / f"{module.ID}.cases.yaml").read_text())
    found: set[Ref] = set()
    for case in cases:
        check = module.build({**module.DEFAULTS, **case.get("params", {})})
        obj = case.get("object") or {"apiVersion": "v1", "kind": "Pod", **case["pod"]}
        for subject in subjects(obj, group_of(obj["apiVersion"]), obj["kind"], "shop", "x"):
            found |= {ref for ask in (check.seeks, check.fix_seeks) if ask for ref in ask(subject)}
    return found


def listed(configured: list[dict[str, Any]]) -> set[tuple[str, str, str, str, str]]:
    """Return (webhook, group, version, resource, operation) of all rules of webhook configurations."""
    return {
        (hook["name"], *one)
        for document in configured
        for hook in document["webhooks"]
        for rule in hook["rules"]
        for one in product(rule["apiGroups"], rule["apiVersions"], rule["resources"], rule["operations"])
    }


def kubernetes_has(group: str) -> bool:
    """Say whether every API server has the kinds of a group; others come with what is installed."""
    return "." not in group or (group.endswith(".k8s.io") and not group.endswith(".x-k8s.io"))


def test_everything_that_the_emergency_exit_must_find_has_its_label() -> None:
    exits = [text for page in PAGES for _, text in blocks(page, "") if "kubectl delete validatingweb" in text]
    assert exits
    assert all("-l app.kubernetes.io/name=plimsoll" in text for text in exits)
    ours = [document for document in documents(PLAIN.read_text()) if "webhooks" in document]
    assert {document["kind"] for document in ours} == {
        "ValidatingWebhookConfiguration",
        "MutatingWebhookConfiguration",
    }
    assert all(document["metadata"]["labels"]["app.kubernetes.io/name"] == "plimsoll" for document in ours)


# -- what is shown is what is answered ------------------------------------------------------------------------------


def test_the_denial_that_the_pages_show_is_what_is_answered(example: Path, decide: Callable[..., Any]) -> None:
    message = answer.message(*decide(example, "validate"))
    assert f"```\n{message}\n```" in (ROOT / "docs" / "answers.md").read_text()
    for page in ("README.md", "docs/howto/read-a-denial.md"):
        assert message.partition("\n\nContact")[0] in (ROOT / page).read_text()


def test_the_causes_that_the_page_shows_are_what_is_answered(example: Path, decide: Callable[..., Any]) -> None:
    document = answer.document(*decide(example, "validate"), "validate")
    shown = next(
        json.loads(text) for _, text in blocks(ROOT / "docs" / "answers.md", "") if text.startswith('{\n  "reason"')
    )
    assert shown in document["response"]["status"]["details"]["causes"]


def test_the_warnings_that_the_page_shows_are_what_is_answered(decide: Callable[..., Any]) -> None:
    found = answer.warnings(decide(ROOT / "samples" / "deployment-fixable.yaml", "mutate")[1])
    shown = "".join(f"Warning: {line}\n" for line in found)
    assert found
    assert f"```\n{shown}```" in (ROOT / "docs" / "answers.md").read_text()


def test_the_annotation_that_the_page_shows_is_what_is_answered(example: Path, decide: Callable[..., Any]) -> None:
    noted = answer.document(*decide(example, "validate"), "validate")["response"]["auditAnnotations"]
    shown = next(json.loads(text) for _, text in blocks(ROOT / "docs" / "answers.md", "") if text.startswith("[{"))
    assert shown[0] in json.loads(noted["violations"])


def test_the_table_of_annotations_is_what_is_noted(example: Path, decide: Callable[..., Any]) -> None:
    _, decision = decide(example, "validate")
    found = decision.findings[0]
    fault = Fault(found.about, "error", "no such key", "deny")
    fixed = Fixed(found.about, 1, "/spec")
    every = replace(
        decision,
        findings=(found, replace(found, effective="audit"), replace(found, exempt="because")),
        errors=(fault,),
        unknown=(fault,),
        patched=(fixed, replace(fixed, would=True)),
    )
    assert keys(section("docs/answers.md", "Audit annotations")) == set(answer.audit(every))


def test_the_report_that_the_page_shows_is_the_report(
    example: Path, shipped: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(example.parent)
    one = [pack for pack in shipped if pack[0] == "containerization.yaml"]
    judged, skipped = judge(ruleset(one), read([example.name]).manifests, lambda: NOW)
    shown = next(json.loads(text) for _, text in blocks(ROOT / "docs" / "answers.md", "") if '"summary"' in text)
    assert shown == report.document(judged, skipped)
