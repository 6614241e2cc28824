from hashlib import blake2b
from pathlib import Path

from tutelage.data import DepthLabel, OverlaidDigits, Rooms
from tutelage.data.fingerprint import arguments_text, fingerprint_of_files, ranked


def test_ranks_are_those_of_a_hash_and_depend_on_each_key_alone() -> None:
    def rank(key: object, seed: object) -> bytes:
        return blake2b(f"{seed}/{key}".encode(), digest_size=8).digest()

    assert ranked(range(30), 3) == sorted(range(30), key=lambda i: rank(i, 3)) != ranked(range(30), 4)
    assert [key for key in ranked(["a", "b", "c", "d"], 0) if key != "b"] == ranked(["a", "c", "d"], 0)


def test_fingerprints_of_runs_that_exist_stay_as_they_are() -> None:
    assert Rooms(6, 3, (24, 32)).fingerprint() == "02a5e4304329bdd6"
    assert OverlaidDigits(40, 20).fingerprint() == "ec9a17ae13ed8e0a"
    assert arguments_text({"depth": DepthLabel()}, 1) == "({'depth': Depth(scale=0.001)}, 1)"


def test_a_fingerprint_of_files_sees_names_sizes_and_contents(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(30000))

    def fingerprint(name: str = "a", arguments: str = "()") -> str:
        return fingerprint_of_files(arguments, [(name, path)])

    before = fingerprint()
    assert len({before, fingerprint("b"), fingerprint(arguments="(1)")}) == 3
    for place in (0, 15000, 29999):
        content = bytearray(30000)
        content[place] = 1
        path.write_bytes(content)
        assert fingerprint() != before
    path.write_bytes(bytes(30001))
    assert fingerprint() != before
