from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainers import data
from trainers.errors import TrainerError

NAMES = st.lists(st.text("abcdef/.", min_size=1, max_size=12), min_size=2, max_size=40, unique=True)


def test_the_standard_library_is_split_by_file():
    corpus = data.load(data.STDLIB)
    assert not set(corpus.train_files) & set(corpus.held_out_files)
    assert {"ast.py", "json/decoder.py"} <= {*corpus.train_files, *corpus.held_out_files}
    files = [*corpus.train_files, *corpus.held_out_files]
    assert not [file for file in files if "site-packages" in file or "/test/" in file]
    share = len(corpus.held_out) / (len(corpus.train) + len(corpus.held_out))
    assert 0.03 < share < 0.13
    assert len(corpus.train) > 5_000_000


def test_it_is_read_once():
    assert data.load(data.STDLIB) is data.load(data.STDLIB)


@given(NAMES)
def test_each_file_is_on_one_side_and_both_have_some(names: list[str]):
    train, held_out = data.split_files(names)
    assert sorted(train + held_out) == sorted(names)
    assert train
    assert held_out


@given(NAMES)
def test_order_does_not_matter(names: list[str]):
    assert set(data.split_files(names)[1]) == set(data.split_files(names[::-1])[1])


def test_a_new_file_moves_no_other():
    names = [f"module_{i}.py" for i in range(500)]
    held_out = set(data.split_files(names)[1])
    assert 20 < len(held_out) < 65
    assert set(data.split_files([*names, "new.py"])[1]) - {"new.py"} == held_out


def test_a_folder_keeps_its_files_whole(tmp_path: Path):
    for i in range(9):
        (tmp_path / f"{i}.txt").write_text(str(i) * 100)
    (tmp_path / ".hidden").write_text("h" * 100)
    corpus = data.load(str(tmp_path))
    assert len(corpus.train) + len(corpus.held_out) == 900
    assert not set(corpus.train.tolist()) & set(corpus.held_out.tolist())


def test_a_single_file_holds_out_its_last_part(tmp_path: Path):
    path = tmp_path / "text.txt"
    path.write_text("".join(chr(32 + i % 90) for i in range(1000)))
    corpus = data.load(str(path))
    assert len(corpus.held_out) == 80
    assert bytes(corpus.train) + bytes(corpus.held_out) == path.read_bytes()


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"abc\0def", "byte 3 is 0x00"), (b"ab\xffcd", "byte 2 is 0xff")],
)
def test_what_is_not_text_is_refused(tmp_path: Path, content: bytes, says: str):
    (tmp_path / "bad.bin").write_bytes(content)
    (tmp_path / "good.txt").write_text("good")
    for name in (tmp_path, tmp_path / "bad.bin"):
        with pytest.raises(TrainerError, match=f"bad.bin is not UTF-8 text .{says}"):
            data.load(str(name))


def test_what_cannot_be_split_is_refused(tmp_path: Path):
    with pytest.raises(TrainerError, match="no such file or folder"):
        data.load(str(tmp_path / "absent"))
    with pytest.raises(TrainerError, match=r"no files below .*; at least 2 are needed"):
        data.load(str(tmp_path))
    (tmp_path / "short.txt").write_text("x" * 200)
    with pytest.raises(TrainerError, match="16 bytes to hold out; a context of 16 needs 17"):
        data.load(str(tmp_path / "short.txt")).check_context(16)
    with pytest.raises(TrainerError, match=r"1 file below .*, or the path of a file itself"):
        data.load(str(tmp_path))
    (tmp_path / "link.txt").symlink_to(tmp_path / "gone.txt")
    with pytest.raises(TrainerError, match=r"link.txt cannot be read: no such file"):
        data.load(str(tmp_path))


@given(n_bytes=st.integers(20, 10_000), context=st.integers(2, 18), count=st.integers(1, 500))
def test_even_windows_lie_inside_and_do_not_overlap(n_bytes: int, context: int, count: int):
    starts = data.even_windows(n_bytes, context, count)
    assert starts[0] == 0
    assert starts[-1] + context < n_bytes
    assert len(starts) == 1 or np.diff(starts).min() >= context
