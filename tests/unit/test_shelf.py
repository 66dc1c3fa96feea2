from __future__ import annotations

from pathlib import Path

import pytest

from webhook.shelf import Shelf


def test_what_is_put_is_read_whole_by_everybody_who_uses_the_directory(tmp_path: Path) -> None:
    Shelf(tmp_path / "shelf").put("namespaces/shop", b"{}")
    other = Shelf(tmp_path / "shelf")
    assert other.get("namespaces/shop") == b"{}"
    assert other.names("namespaces") == ["shop"]


def test_a_stamp_changes_whenever_a_value_is_put_even_if_it_is_the_same(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    assert shelf.stamp("packs") is None
    shelf.put("packs", b"1")
    first = shelf.stamp("packs")
    shelf.put("packs", b"1")
    assert shelf.stamp("packs") != first


def test_what_was_dropped_is_gone_and_may_be_dropped_again(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    shelf.put("packs", b"1")
    shelf.drop("packs")
    shelf.drop("packs")
    assert shelf.get("packs") is None
    assert shelf.names("namespaces") == []


@pytest.mark.parametrize("name", ["", "../x", "a/../../x", "a/b/c", "/etc/passwd", ".hidden", "a\n", "a/"])
def test_no_name_leads_out_of_the_directory(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no name on the shelf"):
        Shelf(tmp_path).get(name)


def test_only_its_owner_may_read_a_value(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    shelf.put("tls", b"key")
    assert shelf.path("tls").stat().st_mode & 0o777 == 0o600
    assert shelf.directory.stat().st_mode & 0o777 == 0o700
