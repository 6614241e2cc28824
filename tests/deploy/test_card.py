from dataclasses import replace

import pytest
import yaml
from tests.deploy.conftest import make

from tutelage.deploy.card import Evidence, Metric, model_card

EVIDENCE = Evidence(
    "kitchen", "kd4mtl (distils)", 1, [0, 1], "test", "dataset",
    [Metric("depth", "abs_err (m) ↓", "0.51", "0.52 ± 0.01", "0.60 ± 0.02")],
    "+4.20 ± 0.50", "class_path: tutelage.data.Rooms\n", ["tutelage run rooms"], "torch 2.15",
)  # fmt: skip


def test_it_says_what_how_well_and_how() -> None:
    card = model_card(make(), "someone/kitchen", "mit", EVIDENCE)
    _, head, text = card.split("---\n", 2)
    assert yaml.safe_load(head)["license"] == "mit"
    for words in (
        'tutelage.load("someone/kitchen")',
        "| task | metric | this network | mean of 2 seeds | one network per task |",
        "| `depth` | abs_err (m) ↓ | 0.51 | 0.52 ± 0.01 | 0.60 ± 0.02 |",
        "+4.20 ± 0.50 %",
        "that of seed 1",
        "class_path: tutelage.data.Rooms",
        "tutelage run rooms",
        "## Intended use",
        "`mit`, chosen by",
        "resized to 32x64",
        "A class for every pixel. Classes: class 0, class 1, class 2, class 3.",
    ):
        assert words in text, words


def test_of_one_seed_it_says_that_there_is_no_interval() -> None:
    metric = Metric("depth", "abs_err (m) ↓", "0.51", "0.51", "")
    card = model_card(make(), "someone/kitchen", "mit", replace(EVIDENCE, seeds=[1], delta="", metrics=[metric]))
    assert "one seed, so no interval" in card
    assert "| task | metric | this network |\n|---|---|---|\n| `depth` | abs_err (m) ↓ | 0.51 |" in card
    assert "Delta" not in card


def test_without_a_study_it_says_that_nothing_is_known() -> None:
    card = model_card(make(size=None), "someone/kitchen", "cc-by-nc-4.0")
    assert "The results of this network were not published with it." in card
    assert "Images keep their size." in card


def test_names_are_no_markup() -> None:
    evil = replace(EVIDENCE, study="a|b\n# c<script>", method="`x` | y", commands=["```\n# end"], data="```")
    card = model_card(make(), "someone/kitchen", "mit", evil)
    assert "<script>" not in card
    assert "a\\|b # c&lt;script>" in card
    assert card.count("```") == 6  # three blocks


@pytest.mark.parametrize("license", ["", "MIT", "mit\ntags: [x]", "my licence"])
def test_a_licence_has_the_hubs_name(license: str) -> None:
    with pytest.raises(ValueError, match="license: expected the hub's name of a licence, such as mit"):
        model_card(make(), "someone/kitchen", license)
