"""Checks the generated documents with programs that are not ours, in Python.

- openapi.json, openapi.yaml and openapi-3.0.json by openapi-spec-validator; the YAML and the JSON say the same;
- schema.graphql by graphql-core;
- schemas/*.json against the meta-schema of JSON Schema 2020-12;
- the examples of openapi.json against its schemas;
- the pages: links lead somewhere, Python snippets parse, JSON snippets are JSON.

Anything found is printed and makes the exit code 1.

    python3 tests/tools/check_documents.py [FOLDER]        FOLDER is docs by default

Needs the packages of clients/python/requirements-dev.lock; uses no network.
"""

import ast
import json
import re
import sys
from pathlib import Path
from typing import Any, Iterator

import yaml
from graphql import GraphQLError, build_schema, validate_schema
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator

HERE = Path(__file__).resolve().parent


def check_openapi(docs: Path) -> Iterator[str]:
    document = json.loads((docs / "openapi.json").read_text())
    down = json.loads((docs / "openapi-3.0.json").read_text())
    if yaml.safe_load((docs / "openapi.yaml").read_text()) != document:
        yield "openapi.yaml: says something else than openapi.json"
    for name, validator, value in (
        ("openapi.json", OpenAPIV31SpecValidator, document),
        ("openapi-3.0.json", OpenAPIV30SpecValidator, down),
    ):
        for error in validator(value).iter_errors():
            yield f"{name}: {error.json_path}: {error.message}"
    for place, schema, example in examples(document):
        root = {"components": document["components"], **schema}
        for error in Draft202012Validator(root).iter_errors(example):
            yield f"openapi.json: example at {place}: {error.message}"


def examples(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Place, schema and value of every example."""

    def of(place: str, holder: Any) -> Iterator[tuple[str, dict[str, Any], Any]]:
        if isinstance(holder, dict):
            schema = holder.get("schema")
            if isinstance(schema, dict):
                if "example" in holder:
                    yield place, schema, holder["example"]
                for name, example in holder.get("examples", {}).items():
                    yield f"{place}/{name}", schema, example["value"]
            for key, value in holder.items():
                if key not in ("schema", "schemas", "example", "examples"):
                    yield from of(f"{place}/{key}", value)
        elif isinstance(holder, list):
            for index, value in enumerate(holder):
                yield from of(f"{place}/{index}", value)

    yield from of("", document)


def check_graphql(docs: Path) -> Iterator[str]:
    try:
        schema = build_schema((docs / "schema.graphql").read_text())
    except (GraphQLError, TypeError) as refusal:
        yield f"schema.graphql: {refusal}"
        return
    for error in validate_schema(schema):
        yield f"schema.graphql: {error}"


def check_schemas(docs: Path) -> Iterator[str]:
    for file in sorted((docs / "schemas").glob("*.json")):
        schema = json.loads(file.read_text())
        for error in Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema):
            yield f"schemas/{file.name}: {error.json_path}: {error.message}"


def check_pages(docs: Path) -> Iterator[str]:
    pages = {page: page.read_text() for page in sorted((docs / "reference").glob("*.md"))}
    anchors = {page: anchors_of(text) for page, text in pages.items()}
    for page, text in pages.items():
        for language, code in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            try:
                if language == "python":
                    ast.parse(code)
                elif language == "json":
                    json.loads(code)
            except ValueError as error:
                yield f"reference/{page.name}: {error}\n{code}"
            except SyntaxError as error:
                yield f"reference/{page.name}: {error}\n{code}"
        prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", prose)):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = (page.parent / name).resolve() if name else page
            if not file.exists():
                yield f"reference/{page.name}: {target} leads nowhere"
            elif anchor and anchor not in anchors.get(file, set()):
                yield f"reference/{page.name}: {target} names no place of the page"


def anchors_of(text: str) -> set[str]:
    written = re.findall(r'<a id="([^"]+)"></a>', text)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {*written, *(re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles)}


def main() -> int:
    docs = (Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent.parent / "docs").resolve()
    findings = [finding for check in (check_openapi, check_graphql, check_schemas, check_pages) for finding in check(docs)]
    for finding in findings:
        print(finding, file=sys.stderr)
    print(f"checked: OpenAPI 3.1 and 3.0, its examples, GraphQL, JSON Schemas, pages; {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
