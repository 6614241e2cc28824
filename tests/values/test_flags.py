"""Flags of a study: their short names, their lists, and what they are laid over."""

import pytest

from tutelage.errors import UserError
from tutelage.values import read_draft

RATE = "--train.student.optimizer.lr"


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        (["--lr", "0.1"], [RATE, "0.1"]),
        (["--lr=1e-1"], [RATE, "1e-1"]),
        (["--batch-size", "4"], ["--train.batch_size", "4"]),
        (["--batch_size", "4"], ["--train.batch_size", "4"]),
        (["--train.batch-size", "4"], ["--train.batch_size", "4"]),
        (["--student.interval", "step"], ["--train.student.interval", "step"]),
        (["--data.size", "96,128"], ["--data.size", "[96,128]"]),
        (["--data.size", "[96, 128]"], ["--data.size", "[96, 128]"]),
        (["--data.init_args.size", "96,128"], ["--data.init_args.size", "[96,128]"]),
        (["--seeds", "3"], ["--seeds", "[3]"]),
        (["--methods", "uniform,url"], ["--methods", "[uniform,url]"]),
        (["--net.filters", "8,16,16,24,24"], ["--net.filters", "[8,16,16,24,24]"]),
        (["--train.augment.scales", "1,1.5"], ["--train.augment.scales", "[1,1.5]"]),
        (["--logger", "csv,tensorboard"], ["--train.logger", "[csv,tensorboard]"]),
        (["--method.uniform.about", "a, b"], ["--method.uniform.about", "a, b"]),  # no list may stand there
        (["--max-steps", "null"], ["--train.max_steps", "null"]),
        (["--clip-norm", "-1"], ["--train.clip_norm", "-1"]),
        (["--methods", "uniform", "--methods+", "url"], ["--methods", "[uniform]", "--methods+", "[url]"]),
    ],
    ids=lambda words: " ".join(words),
)
def test_flags_become_whole_keys_and_lists(words: list[str], flags: list[str]) -> None:
    assert read_draft("rooms-tiny", words).flags == flags


def test_values_are_laid_over_the_study() -> None:
    laid = read_draft("rooms-tiny", ["--lr", "1e-1", "--data.size", "96,128", "--study", "no", "--seeds", "0,1"]).laid
    assert laid["train"]["student"]["optimizer"]["init_args"]["lr"] == 0.1
    assert laid["data"]["init_args"]["size"] == [96, 128]
    assert laid["data"]["init_args"]["train"] == 64  # as before
    assert (laid["study"], laid["seeds"]) == ("no", [0, 1])


def test_another_class_keeps_what_it_takes_too() -> None:
    laid = read_draft(
        "rooms-tiny", ["--net", "tutelage.nets.MTAN", "--train.student.optimizer", "torch.optim.SGD"]
    ).laid
    assert laid["net"] == {"class_path": "tutelage.nets.MTAN", "init_args": {"filters": [8, 16, 16, 24, 24]}}
    assert laid["train"]["student"]["optimizer"] == {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.001}}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--epocs 3", "expected a flag of the study, found `--epocs`; did you mean `--epochs`?"),
        ("--batchsize 3", "found `--batchsize`; did you mean `--batch-size`?"),
        ("--chek none", "found `--chek`; did you mean `--check`?"),  # of the command
        ("--data.sise 3", "found `--data.sise`; did you mean `--data.size`?"),
        ("--train.student.optimiser.lr 3", "did you mean `--train.student.optimizer.lr`?"),
        ("--tasks.segmentaton.classes 3", "did you mean `--tasks.segmentation.classes`?"),
        ("--method.url.distiller.scal 3", "did you mean `--method.url.distiller.scale`?"),
        ("--xyz 3", "found `--xyz`; `tutelage run STUDY --help` lists them"),
        ("--epochs.x 3", "--epochs.x: expected a value at `epochs`, found a key below it"),
        ("--epochs", "--epochs: expected a value, found none"),
        ("--epochs --lr 3", "--epochs: expected a value, found none"),
        ("rooms", "expected flags of the study such as --epochs 2, found `rooms`"),
        ("--data.size 96,x", "data.size: expected a whole number, found `x`"),
        ("--seeds 0,1.5", "seeds: expected a whole number, found `1.5`"),
        ("--methods uniform,kd5mtl", "found `kd5mtl`; did you mean `kd4mtl`?"),
        (
            "--with ablaton",
            "--with ablaton: expected a YAML file or one of ablation, balancers, balancing; found neither; did",
        ),
        (
            "--precision bf16",
            "train.precision: expected `auto` or `32-true` or `bf16-mixed`, found `bf16`; did you mean",
        ),
        (
            "--logger wandbb",
            "train.logger: expected `tensorboard` or `csv` or `wandb` or `mlflow`, found `wandbb`; did",
        ),
        ("--deterministic maybe", "train.deterministic: expected true or false, found `maybe`"),
    ],
)
def test_a_wrong_flag_is_one_line(words: str, line: str) -> None:
    with pytest.raises(UserError) as error:
        read_draft("rooms-tiny", words.split(), ["check"])
    assert line in str(error.value)
    assert str(error.value).startswith("rooms-tiny: ")


@pytest.mark.parametrize("word", ["yes", "no", "on", "off", "true", "False"])
def test_words_that_yaml_reads_as_truth_may_stand_for_it(word: str) -> None:
    read_draft("rooms-tiny", ["--deterministic", word])
