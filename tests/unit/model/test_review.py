"""An AdmissionReview is read once: what is wrong with it is said, what is hostile in it is made harmless."""

from __future__ import annotations

import copy

import orjson
import pytest

from webhook.errors import ReviewError
from webhook.model.review import DEPTH, clean, decode, parse

REVIEW = {
    "apiVersion": "admission.k8s.io/v1",
    "kind": "AdmissionReview",
    "request": {
        "uid": "u-1",
        "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
        "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
        "namespace": "shop",
        "operation": "CREATE",
        "userInfo": {"username": "jane", "groups": ["dev"]},
        "object": {"metadata": {"generateName": "web-"}},
    },
}


def changed(**request):
    document = copy.deepcopy(REVIEW)
    document["request"].update(request)
    return document


def test_a_review_is_read():
    review = parse(REVIEW)
    assert (review.uid, str(review.kind), review.operation, review.user) == ("u-1", "Deployment", "CREATE", "jane")
    assert review.groups == ("dev",) and review.old_object is None and review.dry_run is False


def test_an_object_that_gets_its_name_later_is_called_by_its_beginning():
    assert parse(REVIEW).name == "web-*"
    assert parse(REVIEW).title == "Deployment shop/web-*"
    assert parse(changed(name="web-1")).name == "web-1"
    assert parse(changed(object={"metadata": {"name": "a", "generateName": "web-"}})).name == "a"
    assert parse(changed(object={})).title == "Deployment shop/"


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"uid": ""}, "request.uid is missing"),
        ({"uid": 3}, "request.uid is a JSON number"),
        ({"operation": "PATCH"}, "'PATCH', wanted one of CREATE"),
        ({"kind": None}, "request.kind.kind is missing"),
        ({"kind": []}, "request.kind is a JSON array"),
        ({"kind": {"kind": {}}}, "request.kind.kind is a JSON object"),
        ({"object": "x" * 900}, "request.object is 'xxx"),
        ({"oldObject": [1]}, "request.oldObject is a JSON array"),
        ({"userInfo": 3}, "request.userInfo is a JSON number"),
        ({"namespace": False}, "request.namespace is a JSON boolean"),
    ],
)
def test_a_field_that_is_wrong_is_named(request_, sentence):
    with pytest.raises(ReviewError) as caught:
        parse(changed(**request_))
    assert sentence in caught.value.message
    assert caught.value.status == 400
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"kind": "Pod"}, "kind is 'Pod', wanted AdmissionReview"),
        ({**REVIEW, "apiVersion": "admission.k8s.io/v1beta1"}, "wanted admission.k8s.io/v1"),
        ({**REVIEW, "request": None}, "request is missing"),
    ],
)
def test_what_is_no_question_of_this_version_is_refused(document, sentence):
    with pytest.raises(ReviewError, match=sentence):
        parse(document)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b'"x"',
        b"NaN",
        b'{"a": NaN}',
        b'{"a": "\\ud800"}',
        b"\xff\xfe{}",
        '{"a":1}'.encode("utf-16"),
        b"[" * 5000,
    ],
)
def test_what_is_no_json_object_is_refused_with_a_sentence(body):
    with pytest.raises(ReviewError, match="the body is"):
        decode(body)


def nested(depth, inner):
    return orjson.loads(b'{"a":' * depth + inner + b"}" * depth)


@pytest.mark.parametrize("inner", [b"null", b"1", b"[[[]]]"])
def test_no_nesting_ends_in_a_recursion_error(inner):
    assert decode(orjson.dumps(nested(DEPTH - 5, inner)))
    for depth in (DEPTH + 1, 500, 1000):
        body = b'{"a":' * depth + inner + b"}" * depth
        with pytest.raises(ReviewError, match="nested more than 200 levels"):
            decode(body)


def test_of_duplicate_keys_the_last_counts_as_in_the_api_server():
    assert decode(b'{"a": 1, "a": 2}') == {"a": 2}


def test_numbers_come_through_as_they_are():
    assert decode(b'{"a": 9007199254740993, "b": -9223372036854775808}') == {"a": 2**53 + 1, "b": -(2**63)}


def test_null_members_are_absent_and_lists_keep_their_length():
    assert decode(b'{"a": null, "b": [null, {"c": null, "d": 0}]}') == {"b": [None, {"d": 0}]}


def test_a_nul_is_replaced_in_keys_and_values():
    assert decode(b'{"a\\u0000b": ["ok\\u0000evil"]}') == {"a\ufffdb": ["ok\ufffdevil"]}
    assert clean("a\0b") == "a\ufffdb"


@pytest.mark.parametrize("pad", [0, 20_000])
@pytest.mark.parametrize(
    "document",
    [
        {},
        {"a": None},
        {"a": None, "b": {"c": {"d": None, "e": [None, {"f": None}]}}},
        {"text": "null", "b": {"c": None}},
        {"null": None, "b": [[], {}, [{"null": "null", "c": None}]]},
        {"b": "{[{[", "c": [1, 2.5, True, "x", [None]]},
        {"a": "x\0null", "b\0": None, "c": {"\0": {"d": None}}},
    ],
)
def test_a_body_is_cleaned_as_its_values_are(document, pad):
    document["pad"] = "x" * pad
    assert decode(orjson.dumps(document)) == clean(document)


@pytest.mark.parametrize("size", [0, 16 * 1024, 1024 * 1024])
def test_a_body_of_any_size_loses_its_nulls(size):
    body = orjson.dumps({"a": None, "text": "x" * size, "b": [None, {"c": None, "d": 0}]})
    assert decode(body) == {"text": "x" * size, "b": [None, {"d": 0}]}


def test_a_null_that_a_later_key_replaces_hides_no_other():
    assert decode(b'{"a": null, "a": {"b": {"c": null}}}') == {"a": {"b": {}}}


@pytest.mark.parametrize("pad", [0, 20_000])
def test_the_bound_of_nesting_is_the_same_for_small_and_large_bodies(pad):
    def body(depth):
        return orjson.dumps({"pad": "[{" * pad, "a": nested(depth - 3, b"[[]]")})

    assert decode(body(DEPTH)) == orjson.loads(body(DEPTH))
    with pytest.raises(ReviewError, match="nested more than 200 levels"):
        decode(body(DEPTH + 1))


def test_brackets_in_texts_hide_no_depth():
    body = b'{"b":' + b'["]}",' * DEPTH + b"1" + b"]" * DEPTH + b"}"
    with pytest.raises(ReviewError, match="nested more than 200 levels"):
        decode(body)
