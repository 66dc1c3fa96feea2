"""Writes webhook/cli/fields.json: which fields the kinds of Kubernetes have, from the API description of its module.

    python tests/controlplane/fields.py [swagger.json]

Without a file it takes api/openapi-spec/swagger.json of the k8s.io/kubernetes that go.mod names. `make fields` runs it; an
end-to-end test compares the table with what an API server says of itself.
A type is written as it stands in a field: `Container` a mapping with these fields, `[Container` a list of such,
`{Container` a mapping to such, `[`, `{` and '' what has no fields that we know.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import build

HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "webhook" / "advice" / "fields.json"
MODULE = "k8s.io/kubernetes"


def module() -> tuple[str, Path]:
    """Return the version of Kubernetes that go.mod names, and where its module is, downloaded if need be."""
    version = build.module_version(MODULE)
    command = [str(build.toolchain()), "mod", "download", "-json", f"{MODULE}@{version}"]
    done = subprocess.run(command, cwd=HERE, check=True, capture_output=True, text=True)
    return version, Path(json.loads(done.stdout)["Dir"])


def table(version: str, definitions: dict) -> dict:
    """Return the table: the kinds that are in a group and version of the API, and the types that they lead to."""
    kinds = {}
    for name, schema in sorted(definitions.items()):
        known = schema.get("x-kubernetes-group-version-kind", ())
        stored = [row for row in known if "metadata" in schema.get("properties", {}) and not name.endswith("List")]
        if len(known) == 1 and stored and re.fullmatch(r"v\d+", stored[0]["version"]):
            [row] = stored
            kinds.setdefault(f"{row['group']}/{row['kind']}".lstrip("/"), []).append(short(name))
    types = {}
    waiting = [name for names in kinds.values() for name in names]
    full = {short(name): name for name in definitions}
    while waiting:
        name = waiting.pop()
        if name in types:
            continue
        fields = definitions[full[name]].get("properties", {})
        types[name] = {key: kind(inner, definitions) for key, inner in sorted(fields.items())}
        waiting += [leads for leads in (text.lstrip("[{") for text in types[name].values()) if leads]
    return {"kubernetes": version.removeprefix("v").rpartition(".")[0], "kinds": kinds, "types": dict(sorted(types.items()))}


def kind(schema: dict, definitions: dict) -> str:
    """Return the type of a field, as it is written in the table."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return short(name) if definitions[name].get("properties") else ""
    if schema.get("type") == "array":
        mark, inner = "[", kind(schema["items"], definitions)
    elif isinstance(schema.get("additionalProperties"), dict):
        mark, inner = "{", kind(schema["additionalProperties"], definitions)
    else:
        return ""
    return mark + (inner if inner[:1] not in ("[", "{") else "")  # of lists in lists no more is said


def short(name: str) -> str:
    """Return the name of a type without what all of them begin with."""
    return name.removeprefix("io.k8s.api.").removeprefix("io.k8s.apimachinery.pkg.apis.")


def written(given: str | None = None) -> str:
    """Return the text of the table, of the description in a file or of that in the module."""
    version, folder = module() if given is None else (build.module_version(MODULE), Path())
    source = Path(given) if given else folder / "api" / "openapi-spec" / "swagger.json"
    definitions = json.loads(source.read_text(encoding="utf-8"))["definitions"]
    return json.dumps(table(version, definitions), indent=0, separators=(",", ":")) + "\n"


if __name__ == "__main__":
    TABLE.write_text(written(*sys.argv[1:2]), encoding="utf-8")
