from __future__ import annotations

import csv
import io
import json

import pytest

from kernprof import main


def run(*arguments: object) -> int:
    return main(["network", *(str(a) for a in arguments)])


def test_table_two_shows_computed_and_published(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--all") == 0
    out = capsys.readouterr().out
    rows = [line for line in out.splitlines() if "(" in line and ")" in line][:12]
    assert len(rows) == 12
    mobilenet = next(line for line in rows if "MobileNet" in line).split()
    assert mobilenet[1:3] == ["574", "(574)"]
    assert "In brackets: published" in out


def test_json_has_exact_integers_and_no_invented_shares(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("mobilenet", "--format", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "kernprof/1"
    (network,) = document["networks"]
    assert (network["macs"], network["params"]) == (573_783_040, 4_231_976)
    assert network["activations"] == 20_324_304
    assert network["published"]["table2"]["macs_m"] == 574
    assert network["published"]["shares_pct"]["gemv2T"] == 55.47
    assert network["launches"]["gemv2T"] == 5014
    assert network["shares_pct"] is None
    assert network["source"] == "static"


def test_passes_have_their_own_launches(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("mobilenet", "--pass", "forward", "--format", "csv") == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["launches_gemv2T"], row["launches_gemv2N"]) == ("0", "4960")
    assert row["launches_gemmk1"] == "108"


def test_a_network_that_is_not_in_the_paper_has_nothing_published(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("resnet-50", "--format", "json", "--lowering", "implicit-gemm") == 0
    (network,) = json.loads(capsys.readouterr().out)["networks"]
    assert network["published"] is None
    assert network["launches"]["conv"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name at least one network"),
        (["mobilnet"], "did you mean"),
        (["mobilenet", "--input", "3x224"], "expected CxHxW"),
        (["mobilenet", "--counter", "flops"], "flops"),
        (["mobilenet", "--dtype", "float33"], "float33"),
    ],
)
def test_wrong_usage_is_exit_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


def test_the_known_networks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--list") == 0
    assert len(capsys.readouterr().out.splitlines()) >= 16
