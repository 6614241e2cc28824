import pytest

from tutelage.report.public import command_without_folders, without_folders


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/data/of mine/nyuv2", "…/nyuv2"),
        ("/data/x and /data/y", "…/x and …/y"),
        ("file:///home/alice/store", "…/store"),
        ("file:/home/alice/n.st", "…/n.st"),
        ("{file:/home/alice/n.st}", "{…/n.st}"),
        ("PYTHONPATH=/a:/home/alice/x", "PYTHONPATH=…/a:…/x"),
        ("C:\\Users\\me\\nyu", "…/nyu"),
        ("read C:\\Users\\me\\nyu twice", "read …/nyu twice"),
        ("~/runs/it", "…/it"),
        ("see ~alice/runs/it", "see …/it"),
        ("https://example.org/a/net.st", "https://example.org/a/net.st"),
        ("s3://bucket/a/b, /home/alice", "s3://bucket/a/b, …/alice"),
        ("1/2 of m/s, and/or runs/x, ./a/b and ../a/b", "1/2 of m/s, and/or runs/x, ./a/b and ../a/b"),
        ("/", "/"),
        ("…/nyuv2", "…/nyuv2"),
    ],
)
def test_paths_in_texts_keep_their_last_part(text: str, shown: str) -> None:
    assert without_folders(text) == shown


def test_values_are_looked_into() -> None:
    assert without_folders({"/a/b": [1, None, {"x": "/c/d"}, True]}) == {"…/b": [1, None, {"x": "…/d"}, True]}


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("tutelage run '/my data/x.yaml' --out=runs/a", "tutelage run …/x.yaml --out=runs/a"),
        ("run --root='/my data/of mine' --lr 1e-3", "run '--root=…/of mine' --lr 1e-3"),
        ("run --net '{file: \"/of mine/n.pt\", width: 0.5}'", "run --net '{file: …/n.pt, width: 0.5}'"),
        ("run --files '[/a/b, c]'", "run --files '[…/b, c]'"),
        ("run --net '{not: [yaml' /a/b", "run --net '{not: [yaml' …/b"),
        ("run 'without an end /a/b", "run 'without an end …/b"),
    ],
)
def test_words_of_a_command_may_be_paths(command: str, shown: str) -> None:
    assert command_without_folders(command) == shown
