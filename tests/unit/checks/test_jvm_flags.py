"""jvm-flags: what a pack says of images has to be something that can be meant."""

from __future__ import annotations

import pytest

from webhook.checks import jvm_flags
from webhook.checks.check import ParamError


def test_every_pattern_and_version_of_images_that_cannot_be_meant_is_told_with_its_place() -> None:
    params = {
        "images": [{"image": "registry.example/java/", "java": "latest"}, {"image": "https://registry.example/x"}],
        "imagesWithoutOptions": ["a//b"],
    }
    with pytest.raises(ParamError) as told:
        jvm_flags.build({**jvm_flags.DEFAULTS, **params})
    assert dict(told.value.problems) == {
        ("imagesWithoutOptions", 0): "the pattern 'a//b' has an empty segment between two slashes",
        ("images", 0, "java"): "'latest' is no version of a JDK; wanted 17.0.9 or 8u372",
        ("images", 1, "image"): "the pattern 'https://registry.example/x' is a URL; write the host without a scheme "
        "such as https://",
    }
