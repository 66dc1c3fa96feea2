"""Options of the JVM, read as it reads them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.model.jvm import Version, launched, options, size, split, version

MEBI = 2**20


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-Xmx1g  -Da=b\t-Dc\n", ("-Xmx1g", "-Da=b", "-Dc")),
        ("-Dname='a b' \"-Dq=it's\"", ("-Dname=a b", "-Dq=it's")),
        ("-Da=\\n -Db=''", ("-Da=\\n", "-Db=")),
        ("''", ("",)),
        ("", ()),
        ("   ", ()),
    ],
)
def test_variables_are_split_at_space_outside_of_quotes_and_know_no_escapes(text: str, words: tuple[str, ...]) -> None:
    assert split(text) == words


def test_an_open_quote_stops_the_jvm_and_leaves_nothing_to_judge() -> None:
    assert split("-Da='b -Xmx1g") is None


@given(st.text())
def test_any_text_is_split_without_an_error(text: str) -> None:
    words = split(text)
    assert words is None or len("".join(words)) <= len(text)


@given(st.text())
def test_any_word_is_an_option_or_none(text: str) -> None:
    list(options([text, f"-XX:{text}", f"-Xmx{text}", f"-XX:MaxRAMPercentage={text}"]))
    version(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("512m", 512 * MEBI),
        ("512M", 512 * MEBI),
        ("2g", 2048 * MEBI),
        ("1T", MEBI * MEBI),
        ("1024k", MEBI),
        ("1048576", MEBI),
        ("0x100000", MEBI),
        ("0", 0),
        ("1.5g", None),
        ("1Gi", None),
        ("-1", None),
        ("", None),
        ("{resource}", None),
    ],
)
def test_sizes_are_whole_numbers_with_k_m_g_or_t(text: str, value: int | None) -> None:
    assert size(text) == value


@pytest.mark.parametrize(
    ("word", "flag", "value"),
    [
        ("-Xmx1g", "MaxHeapSize", 1024 * MEBI),
        ("-Xms1g", "InitialHeapSize", 1024 * MEBI),
        ("-XX:MaxHeapSize=1g", "MaxHeapSize", 1024 * MEBI),
        ("-XX:MaxRAMPercentage=62.5", "MaxRAMPercentage", Fraction(125, 2)),
        ("-XX:ParallelGCThreads=4", "ParallelGCThreads", 4),
        ("-XX:ParallelGCThreads=four", "ParallelGCThreads", None),
        ("-XX:-UseContainerSupport", "UseContainerSupport", 0),
        ("-XX:+UseContainerSupport", "UseContainerSupport", 1),
        ("-XX:ActiveProcessorCount=-1", "ActiveProcessorCount", -1),
    ],
)
def test_an_option_sets_one_flag(word: str, flag: str, value: int | None) -> None:
    [option] = options([word])
    assert (option.flag, option.value, option.unknown) == (flag, value, False)


@pytest.mark.parametrize(
    "word", ["@/app/options", "-XX:Flags=.hotspotrc", "-XX:VMOptionsFile=/app/jvm", "$JAVA_OPTS", "`cat /app/options`"]
)
def test_options_in_a_file_or_a_variable_are_unknown(word: str) -> None:
    assert [option.unknown for option in options([word])] == [True]


@pytest.mark.parametrize("word", ["-Dx=-Xmx1g", "-server", "-Xss1m", "-ea", "-verbose:gc", "-XX:", "-XX:+", "web"])
def test_other_words_are_no_options_that_count(word: str) -> None:
    assert list(options([word])) == []


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("-Xmx1g -jar web.jar -Xmx2g", ("-Xmx1g",)),
        ("-Xmx1g com.example.Main -Xmx2g", ("-Xmx1g",)),
        ("-cp web.jar -Xmx1g Main", ("-cp", "-Xmx1g")),
        ("--add-opens java.base/java.lang=ALL-UNNAMED -Xmx1g -m web/Main", ("--add-opens", "-Xmx1g")),
        ("-version", None),
        ("", None),
        ("$ARGS", ("$ARGS",)),
        ("@args", ("@args",)),
        ("`args` -jar web.jar", ("`args`",)),
    ],
)
def test_behind_the_jar_or_the_main_class_all_is_the_programs(words: str, wanted: tuple[str, ...] | None) -> None:
    assert launched(words.split()) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("17", Version(17, None)),
        ("11.0.15", Version(11, 15)),
        ("11.0.15_10", Version(11, 15)),
        ("jdk-11.0.16.1+1", Version(11, 16)),
        ("1.8.0_352", Version(8, 352)),
        ("8u352-b08", Version(8, 352)),
        ("8.0.352-tem", Version(8, 352)),
        ("1.8", Version(8, None)),
        ("21-jdk", Version(21, None)),
        ("latest", None),
        ("", None),
    ],
)
def test_versions_are_read_however_they_are_written(text: str, wanted: Version | None) -> None:
    assert version(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("8u371", False),
        ("8u372", True),
        ("11.0.15", False),
        ("11.0.16", True),
        ("14.0.2", False),
        ("15", True),
        ("8", None),
        ("11", None),
    ],
)
def test_an_older_line_has_a_change_since_one_of_its_updates(text: str, wanted: bool | None) -> None:
    found = version(text)
    assert found is not None
    assert found.reaches((Version(8, 372), Version(11, 16), Version(15, None))) is wanted


@pytest.mark.parametrize(("text", "wanted"), [("8u352", False), ("11.0.16", True), ("17", True), ("11", None)])
def test_a_jdk_reads_cgroup_v2_from_an_update_of_its_line_on(text: str, wanted: bool | None) -> None:
    found = version(text)
    assert found is not None
    assert found.reads_cgroup_v2 is wanted
