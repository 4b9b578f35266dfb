"""What is loaded when: the core imports without torch, and heavy packages come with the first use of a name."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import interplay

SOURCE = Path(interplay.__file__).parent
HEAVY = ("torch", "sklearn", "pandas", "pyarrow", "shapiq", "sqlalchemy", "ray", "transformers", "peft", "safetensors")
HEAVY += ("plotly", "matplotlib", "jinja2")
# The rooms in which torch may be imported at the top of a module; `gradients` and `unrolled` cannot do without it.
TORCH_ROOMS = ("gradients", "language", "problems", "evaluators", "unrolled")
CORE_NAMES = [name for name in interplay.__all__ if name not in ("gradients", "unrolled")]

HIDE = """
import sys
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hide())
"""


def fresh(program: str) -> str:
    """Run a program in a new interpreter and return what it printed."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded_after(program: str, names=HEAVY) -> set[str]:
    """Which of `names` a new interpreter has loaded after a program."""
    return set(fresh(f"{program}\nimport sys\nprint(*[n for n in {names!r} if n in sys.modules])").split())


def without(hidden: tuple[str, ...], program: str) -> str:
    """Run a program in a new interpreter in which these packages cannot be imported, as without their extra."""
    return fresh(f"{HIDE.format(hidden=hidden)}\n{program}")


def without_torch(program: str) -> str:
    """Run a program in a new interpreter in which ``import torch`` fails."""
    return without(("torch",), program)


@pytest.mark.parametrize("module", ["interplay", "interplay.masks", "interplay.evaluations"])
def test_importing_the_core_loads_nothing_heavy(module):
    assert loaded_after(f"import {module}") == set()


def test_help_of_the_command_line_loads_neither_torch_nor_sklearn():
    program = (
        "import sys\nsys.argv = ['interplay', '--help']\nfrom interplay.cli import main\n"
        "try:\n    main()\nexcept SystemExit as leave:\n    assert not leave.code, leave.code"
    )
    loaded = fresh(f"{program}\nprint('loaded', *[n for n in {HEAVY!r} if n in sys.modules])").splitlines()[-1]
    assert loaded.split()[1:] == [], loaded


def test_public_names_exist_and_are_listed():
    missing = [name for name in CORE_NAMES if not hasattr(interplay, name)]
    assert missing == []
    assert set(interplay.__all__) <= set(dir(interplay))


def test_gradients_are_there_with_torch():
    pytest.importorskip("torch")
    assert interplay.gradients.__name__ == "interplay.gradients"


def test_gradients_without_torch_say_what_to_install():
    program = "import interplay\ntry:\n    interplay.gradients\nexcept ImportError as error:\n    print(error)"
    assert "pip install 'interplay[torch]'" in without_torch(program)


FINETUNE = (
    "from interplay.evaluators import Finetune\nrow = {'prompt': 'a', 'answer': 'b'}\n"
    "try:\n    Finetune('model', {'x': [row]}, {'y': [{**row, 'prompt': 'c'}]}, steps=1)\n"
    "except ImportError as error:\n    print(error)"
)


def test_fine_tuning_is_imported_without_transformers_and_says_what_to_install():
    pytest.importorskip("torch")
    loaded = loaded_after("from interplay.evaluators import Finetune\nfrom interplay.unrolled.in_run import InRun")
    assert loaded & {"transformers", "peft", "safetensors"} == set()
    said = without(("transformers", "peft", "safetensors"), FINETUNE)
    assert said == "Finetune needs transformers, which is not installed: pip install 'interplay[finetune]'"


def test_fine_tuning_without_torch_says_what_to_install():
    assert "pip install 'interplay[torch]'" in without_torch(
        "try:\n    from interplay.evaluators import Finetune\nexcept ImportError as error:\n    print(error)"
    )


def test_what_draws_is_loaded_where_something_is_drawn():
    assert (
        loaded_after("import interplay\ninterplay.plots.effects") & {"plotly", "matplotlib", "shapiq", "jinja2"}
        == set()
    )


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'shaply'"):
        _ = interplay.shaply


def test_names_of_the_core_work_without_torch():
    without_torch(f"import interplay\nfor name in {CORE_NAMES!r}: getattr(interplay, name)")


def test_torch_is_imported_at_the_top_only_in_its_rooms():
    outside = []
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE).parts[0]
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if room not in TORCH_ROOMS and any(name.split(".")[0] == "torch" for name in names):
                outside.append(f"{path.relative_to(SOURCE)}:{node.lineno}")
    assert outside == []


def test_version_is_the_distribution_s():
    metadata = importlib.import_module("importlib.metadata")
    assert interplay.__version__ == metadata.version("interplay")


def test_the_package_says_that_it_is_typed():
    assert (SOURCE / "py.typed").is_file()
