"""What runs were trained on, in a file of its own (``--mixtures``)."""

import pandas as pd
import pytest

from interplay import import_runs
from interplay.evaluations import EvaluationsError
from interplay.formats.imports.documents import is_table, load
from interplay.formats.imports.draft import Options
from interplay.formats.imports.mixtures import mixtures_of
from tests.test_imports_samples import olmix, put, script, three_sources


@pytest.fixture
def mixed(rng):
    return three_sources(rng)


RUNS = ["out/r1", "out/r0", "out/r1"]


def mixtures(path, runs=RUNS, **options):
    frame, columns, said, _ = mixtures_of(path, runs, Options(**options))
    return {t: frame[c].tolist() for t, c in columns.items()}, {one.what: one.why for one in said}


def test_mixtures_of_tables_and_documents(tmp_path):
    expected = {"web": [0.25, 1.0, 0.25], "code": [0.75, 0.0, 0.75]}
    wide = pd.DataFrame({"run": ["r0", "r1", "r2"], "web": [1, 0.25, 0], "code": [0, 0.75, 1], "note": "x"})
    found, said = mixtures(put(wide, tmp_path / "m.csv"))
    assert found == expected
    assert said == {"m.csv: note": "text, and no weight", "m.csv: 1 mixture (r2)": "no run has such a name"}
    long = pd.DataFrame({"model": ["r0", "r1", "r1"], "source": ["web", "web", "code"], "share": [1, 0.25, 0.75]})
    assert mixtures(put(long, tmp_path / "l.csv")) == (expected, {"l.csv: 1 weight not stated": "taken as 0"})
    (tmp_path / "m.json").write_text('{"r0": {"web": 1, "code": 0}, "org/r1": {"web": 0.25, "code": 0.75}}')
    assert mixtures(tmp_path / "m.json") == (expected, {})
    (tmp_path / "m.yaml").write_text("r0: {no: 1, on: 0}\nr1: {no: 0.25, on: 0.75}\n")
    found, _ = mixtures(tmp_path / "m.yaml")
    assert found == {"no": [0.25, 1.0, 0.25], "on": [0.75, 0.0, 0.75]}  # keys stay words
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "n0.sh").write_text(script({"web": 1}))
    (folder / "n1.sh").write_text(script({"web": 0.25, "code": 0.75}))
    assert mixtures(folder, ["n1", "n0", "n1"])[0] == expected
    assert mixtures(folder / "n1.sh", ["n1"])[0] == {"/data/web": [0.25], "/data/code": [0.75]}


def test_mixtures_match_names_exactly_first(tmp_path):
    frame = pd.DataFrame({"index": [0, 1], "name": ["a/r1", "b/r1"], "web": [1.0, 0.5], "code": [0.0, 0.5]})
    found, _ = mixtures(put(frame, tmp_path / "m.csv"), ["b/r1", "a/r1"])
    assert found["web"] == [0.5, 1.0]
    with pytest.raises(EvaluationsError, match=r"several mixtures for 1 run, such as 'r1': 'a/r1', 'b/r1'"):
        mixtures(tmp_path / "m.csv", ["r1"])
    with pytest.raises(
        EvaluationsError, match=r"no mixture for 2 of 3 runs: 'x', 'y'. Its mixtures are of 'a/r1', 'b/r1'"
    ):
        mixtures(tmp_path / "m.csv", ["x", "a/r1", "y"])
    assert mixtures(tmp_path / "m.csv", ["1", "0"])[0]["web"] == [0.5, 1.0]
    put(pd.DataFrame({"model": ["org/m-1", "org/m-2"], "a": [0, 1], "b": [1, 0]}), tmp_path / "o.csv")
    assert mixtures(tmp_path / "o.csv", ["org__m-2"])[0] == {"a": [1], "b": [0]}
    found, said = mixtures(tmp_path / "o.csv", ["m-1"], tasks=("a",))
    assert found == {"a": [0]}
    assert said["o.csv: b"] == "not among --tasks"
    found, said = mixtures(tmp_path / "o.csv", ["m-1"], ignore=("a",))
    assert said["o.csv: a"] == "left out by --ignore"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("m.csv", "run,note\nr0,x\nr1,y\n", "no column of weights"),
        ("m.csv", "source,weight\nweb,1\n", "names no runs"),
        ("m.csv", "run,task,weight\nr0,web,1\nr0,web,0\n", "row 2 gives 'web' of 'r0' again"),
        ("m.csv", "run,task,weight\n,web,1\nr0,web,0\n", "row 1 has no run"),
        ("m.json", '{"r0": {"web": 1}, "r0": {"web": 0}}', "key 'r0' twice"),
        ("m.json", '{"r0": {"web": true}}', "weight of 'web' in 'r0' is 'True'"),
        ("m.json", '{"r0": {"web": 1}', "is no JSON"),
        ("m.json", "[1, 2]", "no mapping"),
        ("m.yaml", "{}", "holds no mixture"),
        ("m.yaml", "", "is empty"),
        ("m.yaml", "a: !!python/object/apply:os.system ['touch executed']", "no plain YAML"),
        ("m.yaml", "a: &a [*a]", "no plain YAML|no YAML|no mapping"),
        ("m.pkl", "x", "pickle"),
        ("m.sh", "rm -rf /", "no mixture of CLIMB"),
    ],
)
def test_mixtures_that_are_refused(tmp_path, monkeypatch, name, text, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(text)
    with pytest.raises(EvaluationsError, match=words):
        mixtures(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_folders_of_mixtures_that_are_refused(tmp_path):
    with pytest.raises(EvaluationsError, match="holds no mixtures: neither scripts of CLIMB"):
        mixtures(tmp_path)
    (tmp_path / "a.yaml").write_text("r0: {x: 1}")
    (tmp_path / "b.json").write_text('{"r0": {"x": 1}}')
    with pytest.raises(EvaluationsError, match=r"run 'r0' has two mixtures, one in b.json"):
        mixtures(tmp_path)
    with pytest.raises(EvaluationsError, match="no task left"):
        mixtures(tmp_path / "a.yaml", ["r0"], ignore=("x",))


def test_mixtures_are_refused_where_the_files_say_them(tmp_path, mixed):
    other, swarm = put(mixed, tmp_path / "m.csv"), tmp_path
    fit, _ = olmix(tmp_path)
    admire = put(mixed.set_index("run").add_prefix("ratio_").assign(metric_acc=1.0), swarm / "a.csv")
    table = put(pd.DataFrame({"x": 1, "valid_avg": 1.0, "web": 0.5}, index=range(6)), swarm / "c.csv")
    marin = put(mixed.set_index("run").add_prefix("phase_0_").assign(loss=1.0), swarm / "p.csv")
    for name, files in (("olmix", fit), ("admire", admire), ("climb", table), ("marin", marin)):
        with pytest.raises(EvaluationsError, match=r"--mixtures.* says itself .* Leave m\.csv out"):
            import_runs(name, files, mixtures=other)


def test_documents_that_are_refused(tmp_path):
    place = tmp_path / "m.yaml"
    place.write_bytes("a: {é: 1}".encode("latin-1"))
    with pytest.raises(EvaluationsError, match="not text in UTF-8"):
        mixtures(place)
    place.write_bytes(b"PAR1")
    with pytest.raises(EvaluationsError, match="table in Parquet"):
        mixtures(place)
    place.write_text('{"a": {"x": 1}, # a comment of YAML\n}')
    assert mixtures(place, ["a"])[0] == {"x": [1.0]}
    place.write_text("? [1]\n: 2")
    with pytest.raises(EvaluationsError, match="a key that is no text"):
        mixtures(place)
    place.write_text("run,web,code\nr0,0.5,0.5\nr1,0.1,0.9\n")
    with pytest.raises(EvaluationsError, match=r"m\.yaml is no JSON or YAML: it looks like a table.*--mixtures takes"):
        mixtures(place)


def test_documents_are_named_with_their_folders(tmp_path):
    for run in ("r0", "r1"):
        (tmp_path / run).mkdir()
        (tmp_path / run / "m.json").write_text("{")
    with pytest.raises(EvaluationsError, match=r"r1/m\.json is no JSON"):
        load(tmp_path / "r1" / "m.json")
    (tmp_path / "r1" / "m.json").write_bytes(b"\x80\x04.")
    with pytest.raises(EvaluationsError, match=r"r1/m\.json holds a pickle"):
        load(tmp_path / "r1" / "m.json")


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("run,web\nr0,1\n", True),
        ("run\tweb\nr0\t1\n", True),
        ("run;web;code\nr0;1;0\nr1;0;1\n", True),
        ("r0: {web: 1, code: 0}\nr1: {web: 0, code: 1}\n", False),
        ("'a b': {x: 1, y: 2}\n'c d': {x: 1, y: 2}\n", False),
        ("# a, b\nx: 1\n", False),
        ("- a, b\n- c, d\n", False),
        ("web: 1\n", False),
        ("", False),
    ],
)
def test_text_that_looks_like_a_table(text, table):
    assert is_table(text) is table


def test_seeds_are_looked_up_once_with_the_mixtures(tmp_path):
    frame = pd.DataFrame({"run": ["r1", "r0"], "web": [0.25, 1], "code": [0.75, 0], "Draw": [7, 8], "seed": [1, 2]})
    path = put(frame, tmp_path / "m.csv")
    found = mixtures_of(path, ["out/r0", "out/r1"], Options(seed="draw"), seeded=True)
    assert found.seeds == ["8", "7"]
    assert [*found.tasks] == ["web", "code"]  # the column of seeds is no task, however it is written
    found = mixtures_of(path, ["r0", "r1"], Options(), seeded=True)
    assert found.seeds == ["2", "1"]
    assert [*found.tasks] == ["web", "code", "Draw"]
    with pytest.raises(EvaluationsError, match=r"--seed nope: m\.csv has no such column\. Name a column of --mixtures"):
        mixtures_of(path, ["r0"], Options(seed="nope"), seeded=True)
    assert [*mixtures_of(path, ["r0"], Options(seed="nope")).tasks] == ["web", "code", "Draw"]
