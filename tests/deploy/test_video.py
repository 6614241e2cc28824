from pathlib import Path

import pytest
from tests.deploy.files import reads_video, video

from tutelage.deploy import video as reader


@pytest.fixture(params=["torchcodec", "imageio_ffmpeg"])
def package(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "imageio_ffmpeg":
        monkeypatch.setattr(reader, "_has_torchcodec", lambda: False)
    elif not reader._has_torchcodec():
        pytest.skip("torchcodec, or the libraries of FFmpeg that it needs, are not installed")
    return str(request.param)


@reads_video
@pytest.mark.parametrize("turned", [False, True])
def test_frames_are_as_the_video_says(package: str, turned: bool, tmp_path: Path) -> None:
    path = video(tmp_path / "clip.mp4", turned=turned)
    frames = list(reader.read_frames(path))
    assert [number for number, _ in frames] == [0, 1, 2, 3, 4]
    assert {tuple(frame.shape) for _, frame in frames} == {(3, 48, 32) if turned else (3, 32, 48)}
    assert [number for number, _ in reader.read_frames(path, every=3)] == [0, 3]


@reads_video
def test_what_is_no_video_is_one_line(package: str, tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg", reason="videos need the extra `video`")
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no video" * 100)
    with pytest.raises(
        ValueError, match=r"clip.mp4: expected a readable video, found .+; replace or remove it"
    ) as error:
        list(reader.read_frames(path))
    assert "\n" not in str(error.value)


def test_without_a_package_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"found neither; pip install 'tutelage\[video\]'"):
        list(reader.read_frames(Path("clip.mp4")))
