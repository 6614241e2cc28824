import json
from pathlib import Path

import pytest
import yaml
from tests.report.folder import TASKS, write
from tests.report.test_command import STUDY

from tutelage.cli import main
from tutelage.errors import UserError
from tutelage.files import write_record
from tutelage.report import markdown, write_records
from tutelage.values import parse

DATA = {"class_path": "tutelage.data.NYUv2", "init_args": {"root": "/data/of mine/nyuv2"}}
COMMAND = "tutelage run kitchen --data.root=/data/nyuv2 --net '{file: /opt/net.safetensors}' --out ~/runs/it, 1/2 of it"


def folder(tmp_path: Path) -> Path:
    study = write(tmp_path / "kitchen", seeds=(0, 1))
    (study / "study.yaml").write_text(yaml.safe_dump({**STUDY, "data": DATA}))
    write_record(
        study / "uniform/seed0/environment.json", {"command": COMMAND, "cores": 2, "platform": "Linux-6.1.0-me-x86_64"}
    )
    (study / "uniform/seed0/student.safetensors").write_bytes(b"weights")
    (study / "data.json").write_text('{"root": "/data/nyuv2"}')
    for run in study.glob("**/seed?"):
        (run / "cost.json").write_text('{"training": {"step": 8, "plain": 4}}')
        result = json.loads((run / "result.json").read_text())
        (run / "result.json").write_text(json.dumps({**result, "steps": 7}))
    return study


def test_the_copies_give_the_same_tables_without_weights_and_logs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, out = folder(tmp_path), tmp_path / "published"
    assert main(["report", str(study), "--records", str(out)]) == 0
    assert f"records   {out}" in capsys.readouterr().out.replace("\n", "")
    assert markdown(out, TASKS) == markdown(study, TASKS)
    assert "cost training steps" in markdown(out, TASKS)
    names = {file.name for file in out.rglob("*") if file.is_file()}
    assert {"study.yaml", "results.json", "data.json", "result.json", "cost.json", "environment.json"} <= names
    assert not names & {"student.safetensors", "log.jsonl", "report.html"}
    assert main(["report", str(out), "--markdown"]) == 0


def test_folders_of_the_machine_are_left_out(tmp_path: Path) -> None:
    study, out = folder(tmp_path), tmp_path / "published"
    write_records(study, out)
    assert yaml.safe_load((out / "study.yaml").read_text())["data"]["init_args"]["root"] == "…/nyuv2"
    environment = parse((out / "uniform/seed0/environment.json").read_bytes(), ".json")  # its digest fits
    shown = "tutelage run kitchen --data.root=…/nyuv2 --net '{file: …/net.safetensors}' --out …/it, 1/2 of it"
    assert (environment["command"], environment["platform"]) == (shown, "Linux-x86_64")
    assert "/opt" not in "".join(file.read_text() for file in out.rglob("*.*"))


def test_addresses_stay(tmp_path: Path) -> None:
    study, out = folder(tmp_path), tmp_path / "published"
    (study / "uniform/seed0/spec.json").write_text(json.dumps({"file": "https://example.org/a/net.safetensors"}))
    write_records(study, out)
    assert "https://example.org/a/net.safetensors" in (out / "uniform/seed0/spec.json").read_text()


def test_unfinished_runs_are_left_out(tmp_path: Path) -> None:
    study, out = folder(tmp_path), tmp_path / "published"
    (study / "kd4mtl/seed1/result.json").unlink()
    (study / "kd4mtl/seed1/spec.json").write_text("{}")
    write_records(study, out)
    assert not (out / "kd4mtl/seed1").exists()


@pytest.mark.parametrize("out", ["kitchen", "kitchen/../kitchen", "kitchen/published", "link/published"])
def test_the_folder_of_the_study_is_refused(tmp_path: Path, out: str) -> None:
    study = folder(tmp_path)
    (tmp_path / "link").symlink_to(study)
    with pytest.raises(UserError, match=r"--records .*: expected a folder outside that of the study, found one in it"):
        write_records(study, tmp_path / out)


def test_another_study_is_not_overwritten(tmp_path: Path) -> None:
    study, out, other = folder(tmp_path), tmp_path / "published", write(tmp_path / "other")
    with pytest.raises(UserError, match=r"other: expected a folder for records, found runs \(.*seed0\)"):
        write_records(study, other)
    write_records(study, out)
    write_records(study, out)  # the same again
    write_record(study / "results.json", {"study": "another", "rows": []})
    with pytest.raises(UserError, match=r"published: expected no records there, found those of kitchen; give another"):
        write_records(study, out)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"digest": "0", "metrics": {}}'])
def test_a_damaged_record_is_named(tmp_path: Path, content: str) -> None:
    study = folder(tmp_path)
    (study / "uniform/seed1/result.json").write_text(content)
    with pytest.raises(UserError, match=r"seed1/result\.json: expected a record of a study, found something else"):
        write_records(study, tmp_path / "published")
