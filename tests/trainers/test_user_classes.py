"""Classes of a user's own that cannot train: refused at the door, with what is wrong where."""

import sys
from pathlib import Path

import pytest

from trainers.errors import TrainerError
from trainers.registry import kind

GOOD = """
class Good:
    def __init__(self, config): pass
    @staticmethod
    def sizes(shape, model): return shape["n"], shape.get("total", shape["n"])
    def step(self): pass
    def state_dict(self): return {}
    def load_state_dict(self, state): pass
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(source: str) -> None:
        monkeypatch.delitem(sys.modules, "users_own", raising=False)
        (tmp_path / "users_own.py").write_text(source)

    yield write
    sys.modules.pop("users_own", None)


def refused(name: str) -> str:
    with pytest.raises(TrainerError) as caught:
        kind(name)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", [":Good", "users_own:", "a b:Good", "users_own.py:Good", "a:b:c"])
def test_what_is_no_module_and_class_is_told_the_form(name: str):
    if name == "users_own.py:Good":
        assert "no module" in refused(name)
    else:
        assert "write 'module:Class'" in refused(name)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import no_such_package", "importing users_own raised ModuleNotFoundError: No module nam"),
        ("class Good(:", "importing users_own raised SyntaxError: invalid syntax ("),
        ("1 / 0", "importing users_own raised ZeroDivisionError: division by zero ("),
        ("import sys; sys.exit(2)", "belongs under if __name__ == '__main__':"),
        ("def Good(config): pass", "is a function; it must be a class"),
        (GOOD.replace("self, config", "self"), "is called with one argument, the run's RunConfig"),
        (GOOD.replace("self, config", "self, config, device"), "missing a required argument: 'dev"),
        (GOOD.replace("def step", "def stop"), "lacks step"),
    ],
)
def test_classes_are_refused(write, source: str, says: str):
    write(source)
    assert says in refused("users_own:Good")


def test_where_it_went_wrong_is_told(write):
    write("# a comment\n1 / 0\n")
    assert refused("users_own:Good").endswith("users_own.py:2)")


def test_sizes_are_numbers_or_refused(write):
    write(GOOD)
    sizes = kind("users_own:Good").sizes
    assert sizes({"n": 5, "total": 7}, {}) == (5, 7)
    for shape, says in (
        ({}, "sizes({}) raised KeyError: 'n' ("),
        ({"n": 0}, "returned (0, 0); it must be (params, params_total), whole numbers above 0"),
        ({"n": 5, "total": 4}, "returned (5, 4); "),
        ({"n": 1.5}, "returned (1.5, 1.5); "),
    ):
        with pytest.raises(TrainerError) as caught:
            sizes(shape, {})
        assert says in str(caught.value)


def test_what_sizes_refuses_stands_as_it_is(write):
    write(
        "from trainers.errors import TrainerError\n"
        + GOOD.replace('return shape["n"], sh', 'raise TrainerError("n is odd"); sh')
    )
    with pytest.raises(TrainerError, match=r"^n is odd$"):
        kind("users_own:Good").sizes({"n": 1}, {})


def test_a_class_of_the_working_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "class_of_this_folder.py").write_text(GOOD)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    with pytest.raises(TrainerError, match="in the working folder or on Python's path"):
        kind("class_of_this_folder:Good")
    monkeypatch.chdir(tmp_path)
    try:
        assert kind("class_of_this_folder:Good").sizes({"n": 3}, {}) == (3, 3)
    finally:
        sys.modules.pop("class_of_this_folder", None)


def test_only_classes_of_the_module_are_suggested(write) -> None:
    write(f"from pathlib import Path\n{GOOD}")
    assert refused("users_own:Path2").endswith("(there are: Good)")


def test_a_task_that_is_not_built_of_a_run_and_a_device_is_refused(write) -> None:
    methods = "".join(f"    def {name}(self): pass\n" for name in ("model", "draw", "held_out"))
    write(
        "class Good:\n    sample_tokens = 1\n    start_loss = 1.0\n"
        f"    def loss(self): pass\n{methods}    def __init__(self, config): pass\n"
    )
    assert "is called with two arguments, the run's RunConfig and its torch.device" in refused(
        "users_own:Good"
    )
