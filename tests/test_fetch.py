"""Public recordings fetched from a server on this machine: what is taken, what is refused, and what is made of it."""

import hashlib
import json
import re
import shutil
import socket
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import combinations
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from benchmarks import fetch, public
from benchmarks.fetch import FetchError, Unverified, take
from benchmarks.public import File, Made, Public

from interplay.evaluations import EvaluationsError

DATA = Path(__file__).parents[2] / "shared" / "data"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
BODY = b"index,a,b\n1,0.5,0.5\n"
FRONT = f"/owner/name/{COMMIT}"


def sha(body):
    return hashlib.sha256(body).hexdigest()


FILE = File("owner/name", COMMIT, "data/x.csv", "set/x.csv", len(BODY), sha(BODY))


class Server(ThreadingHTTPServer):
    """Answers with the next of the replies to a path, the last one again and again; keeps what was asked for."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies, self.asked = {}, []
        self.base = f"http://127.0.0.1:{self.server_address[1]}"

    def say(self, path, *replies):
        """Each reply is a body, a status, or (status, headers, body)."""
        self.replies[path] = [
            (200, {}, r) if isinstance(r, bytes) else (r, {}, b"") if isinstance(r, int) else r for r in replies
        ]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        path = unquote(self.path)
        self.server.asked.append(path)
        replies = self.server.replies.get(path, [(404, {}, b"")])
        status, headers, body = replies.pop(0) if len(replies) > 1 else replies[0]
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def left(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def taken(server, folder, file=FILE, **how):
    return take(file, folder, server.base, wait=0, **how)


# ---------------------------------------------------------------- what is taken


def test_a_file_is_downloaded_once(server, tmp_path, capsys):
    server.say(f"{FRONT}/data/x.csv", BODY)
    assert taken(server, tmp_path)
    assert (tmp_path / "set" / "x.csv").read_bytes() == BODY
    assert not taken(server, tmp_path)
    assert server.asked == [f"{FRONT}/data/x.csv"]
    assert left(tmp_path) == ["set/x.csv"]
    assert capsys.readouterr() == ("", "set/x.csv: 20 bytes\nset/x.csv: there already\n")


def test_another_file_in_its_place_is_replaced(server, tmp_path):
    server.say(f"{FRONT}/data/x.csv", BODY)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "x.csv").write_bytes(BODY[::-1])
    assert taken(server, tmp_path)
    assert (tmp_path / "set" / "x.csv").read_bytes() == BODY


def test_names_are_quoted_in_the_address(server, tmp_path):
    file = replace(FILE, path="a b/model_name=x#1?.csv")
    server.say(f"{FRONT}/a b/model_name=x#1?.csv", BODY)
    assert taken(server, tmp_path, file)


def test_faults_that_pass_are_tried_again(server, tmp_path, capsys):
    cut = (200, {"Content-Length": "99"}, BODY)
    server.say(f"{FRONT}/data/x.csv", 503, cut, BODY)
    assert taken(server, tmp_path)
    assert len(server.asked) == 3
    err = capsys.readouterr().err
    assert "503 Service Unavailable; again in 0 s" in err
    assert f"the answer ended after {len(BODY)} of 99 bytes; again" in err
    assert left(tmp_path) == ["set/x.csv"]


def test_a_pointer_of_lfs_leads_to_the_file(server, tmp_path, capsys):
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha(BODY)}\nsize {len(BODY)}\n".encode()
    server.say(f"{FRONT}/data/x.csv", pointer)
    with pytest.raises(FetchError, match=f"{server.base}/media{FRONT}/data/x.csv: 404 Not Found"):
        taken(server, tmp_path)
    server.say(f"/media{FRONT}/data/x.csv", pointer, BODY)
    with pytest.raises(FetchError, match=r"/media/.*/data/x.csv is an LFS pointer as well"):
        taken(server, tmp_path)
    assert left(tmp_path) == []
    assert taken(server, tmp_path)
    assert (tmp_path / "set" / "x.csv").read_bytes() == BODY
    assert f"{server.base}{FRONT}/data/x.csv: this is an LFS pointer" in capsys.readouterr().err


def test_without_a_mirror_github_is_asked(tmp_path, monkeypatch):
    asked = []

    def blocks(url):
        asked.append(url)
        return iter([fetch.POINTER if len(asked) == 1 else BODY])

    monkeypatch.setattr(fetch, "_blocks", blocks)
    assert take(FILE, tmp_path)
    assert asked == [
        f"https://raw.githubusercontent.com{FRONT}/data/x.csv",
        f"https://media.githubusercontent.com/media{FRONT}/data/x.csv",
    ]


def test_redirects_to_http_are_followed(server, tmp_path):
    server.say(f"{FRONT}/data/x.csv", (302, {"Location": "/elsewhere"}, b""))
    server.say("/elsewhere", BODY)
    assert taken(server, tmp_path)


# ---------------------------------------------------------------- what is refused


def test_another_checksum(server, tmp_path):
    other = b"I" + BODY[1:]
    server.say(f"{FRONT}/data/x.csv", other)
    said = rf"set/x.csv: sha256 of {server.base}{FRONT}/data/x.csv is {sha(other)}, and {sha(BODY)} was expected"
    with pytest.raises(FetchError, match=said):
        taken(server, tmp_path)
    assert left(tmp_path) == []
    assert len(server.asked) == 1


def test_a_wrong_download_leaves_what_was_there(server, tmp_path):
    server.say(f"{FRONT}/data/x.csv", b"other")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "x.csv").write_bytes(b"mine")
    with pytest.raises(FetchError, match="nothing was kept"):
        taken(server, tmp_path)
    assert (tmp_path / "set" / "x.csv").read_bytes() == b"mine"
    assert left(tmp_path) == ["set/x.csv"]


@pytest.mark.parametrize(
    ("reply", "words", "tries"),
    [
        (404, "404 Not Found", 1),
        (403, "403 Forbidden", 1),
        (503, "503 Service Unavailable; tried 4 times", 4),
        ((200, {"Content-Length": "99"}, BODY), "the answer ended after 20 of 99 bytes; tried 4 times", 4),
        (b"x" * 1025, "longer than the 1,024 bytes that are listed", 1),
        ((302, {"Location": "file:///etc/passwd"}, b""), "sends on to file:///etc/passwd, which is not followed", 1),
        ((302, {"Location": "ftp://127.0.0.1/x"}, b""), "sends on to ftp://127.0.0.1/x, which is not followed", 1),
    ],
)
def test_answers_that_are_no_file(server, tmp_path, reply, words, tries):
    server.say(f"{FRONT}/data/x.csv", reply)
    with pytest.raises(FetchError, match=re.escape(f"{server.base}{FRONT}/data/x.csv") + ".*" + re.escape(words)):
        taken(server, tmp_path)
    assert left(tmp_path) == []
    assert len(server.asked) == tries


def test_https_is_not_left_for_http():
    asked = fetch.request.Request("https://example.org/x")
    with pytest.raises(fetch.HTTPError):
        fetch._Redirects().redirect_request(asked, None, 302, "Found", {}, "http://example.org/x")


def test_addresses_of_files_are_unknown():
    opener = fetch._opener()
    assert not {"file", "ftp", "data", "unknown"} & set(opener.handle_open)
    assert set(opener.handle_open) == {"http", "https"}


def test_nobody_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(FetchError, match=rf"{base}/owner/.*: no answer \(.+\); tried 4 times"):
            take(FILE, tmp_path, base, wait=0)
    assert left(tmp_path) == []


def test_what_a_server_says_is_no_code_of_the_terminal(server, tmp_path):
    server.say(f"{FRONT}/data/x.csv", (302, {"Location": "file:///\x1b[31mred"}, b""))
    with pytest.raises(FetchError) as error:
        taken(server, tmp_path)
    assert "\x1b" not in str(error.value)


def test_links_out_of_the_folder(server, tmp_path):
    server.say(f"{FRONT}/data/x.csv", BODY)
    (tmp_path / "into").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "into" / "set").symlink_to(tmp_path / "other")
    with pytest.raises(FetchError, match=r"a link in .* leads out of it"):
        taken(server, tmp_path / "into")
    assert server.asked == left(tmp_path / "other") == []


def test_no_known_checksum(server, tmp_path, capsys):
    file = replace(FILE, sha256=None)
    server.say(f"{FRONT}/data/x.csv", BODY)
    with pytest.raises(Unverified, match="no checksum is known; --unverified takes it and prints the checksum"):
        taken(server, tmp_path, file)
    assert server.asked == left(tmp_path) == []
    assert taken(server, tmp_path, file, unverified=True)
    assert f"NOT VERIFIED, sha256 {sha(BODY)}\n" in capsys.readouterr().err
    assert not taken(server, tmp_path, file, unverified=True)
    assert capsys.readouterr().err.endswith(f": there already, NOT VERIFIED, sha256 {sha(BODY)}\n")
    assert taken(server, tmp_path, replace(file, size=30), unverified=True)
    assert f"sha256 {sha(BODY)}, not 30 bytes" in capsys.readouterr().err


# ---------------------------------------------------------------- the list

WHOLE = f"""
[one]
about = "few"
repository = "owner/name"
licence = "MIT"
files = [{{ commit = "{COMMIT}", path = "data/x.csv", to = "set/x.csv", size = 20, sha256 = "{sha(BODY)}" }}]
made = [{{ to = "x.npz", by = "coin_flip", from = ["set/x.csv"] }}]
"""


def test_read(tmp_path):
    (tmp_path / "list.toml").write_text(WHOLE)
    made = Made("x.npz", "coin_flip", ("set/x.csv",))
    assert public.read(tmp_path / "list.toml") == {"one": Public("one", "few", "MIT", (FILE,), (made,))}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('to = "set/x.csv"', 'to = "../x.csv"', r"list.toml: one: \.\./x.csv: '\.\./x.csv' may lead out of its folder"),
        ('to = "set/x.csv"', 'to = "set/../../x.csv"', "may lead out"),
        ('to = "set/x.csv"', 'to = "/x.csv"', "may lead out"),
        ('to = "set/x.csv"', "to = 'set\\x.csv'", "may lead out"),
        ('to = "set/x.csv"', 'to = "C:x.csv"', "may lead out"),
        ('to = "set/x.csv"', 'to = ""', "may lead out"),
        ('to = "x.npz"', 'to = "a/../../x.npz"', "may lead out"),
        ('path = "data/x.csv"', 'path = "../../other/name/x.csv"', "may lead out"),
        ('"owner/name"', '"owner/.."', "may lead out"),
        ('"owner/name"', '"owner"', "repository is 'owner'; it is of the form"),
        (COMMIT, "main", "commit is 'main'; it is of the form"),
        (sha(BODY), "", "sha256 is ''; it is of the form"),
        ("size = 20", "size = -1", "size is -1; give the number of bytes"),
        ("size = 20, ", "", "an entry lacks a field or has one too many"),
        ("size = 20", "size = 20, note = 1", "an entry lacks a field or has one too many"),
        ('licence = "MIT"', "", "an entry lacks a field .*'licence'"),
        ('by = "coin_flip"', 'by = "os.system"', "by is 'os.system'; choose one of modular_addition, coin_flip"),
        ('from = ["set/x.csv"]', 'from = ["set/y.csv"]', "made from 'set/y.csv', which is no file of one"),
        ("[one]", "[one", "list.toml: not TOML"),
    ],
)
def test_faults_of_the_list(tmp_path, old, new, words):
    assert old in WHOLE
    (tmp_path / "list.toml").write_text(WHOLE.replace(old, new))
    with pytest.raises(EvaluationsError, match=words):
        public.read(tmp_path / "list.toml")


def test_the_list_itself():
    sets = public.read()
    assert set(sets) == {"regmix", "olmix", "kernelsm", "shapiq-sources", "shapiq-points"}
    files = [file for one in sets.values() for file in one.files]
    assert len({file.to for file in files}) == len({(f.repository, f.path) for f in files}) == len(files) == 14
    assert [file.to for file in files if file.sha256 is None] == [f"raw/shapiq/points_{m}.json" for m in MODELS[::2]]
    assert max(file.size for file in files) < 4e6


# ---------------------------------------------------------------- tables that are made

MODELS = ("decision_tree", "gradient_boosting", "random_forest")


def subsets(K):
    return [c for size in range(K + 1) for c in combinations(range(K), size)]


def game(values):
    """As shapiq publishes a game; values by subset."""
    data = {",".join(map(str, subset)) or "Empty": value for subset, value in values.items()}
    return {"object_name": "Game", "data": data}


def made(folder, by, *contents, **more):
    for i, content in enumerate(contents):
        (folder / f"{i}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    one = Made("out/table", by, tuple(f"{i}.json" for i in range(len(contents))), **more)
    fetch.make(one, folder)
    return folder / "out" / "table"


def test_modular_addition(tmp_path, rng):
    masks, losses = rng.integers(0, 2, (5, 8)), rng.normal(size=(5, 3)).astype(np.float32)
    told = {"train_subset_scores": losses[:3].tolist(), "train_w": masks[:3].astype(float).tolist()}
    told |= {"test_subset_scores": losses[3:].tolist(), "test_w": masks[3:].astype(float).tolist()}
    with np.load(made(tmp_path, "modular_addition", told)) as found:
        np.testing.assert_array_equal(np.vstack([found["train_masks"], found["test_masks"]]), masks)
        np.testing.assert_array_equal(np.vstack([found["train_losses"], found["test_losses"]]), losses)
        assert (found["test_masks"].dtype, found["test_losses"].dtype) == (np.uint8, np.float32)


def test_coin_flip(tmp_path):
    with np.load(made(tmp_path, "coin_flip", [[49, 0], [3, 7]], [[0.1], [0.2]])) as found:
        assert found["masks"].shape == (2, 50)
        assert [np.flatnonzero(mask).tolist() for mask in found["masks"]] == [[0, 49], [3, 7]]
        assert found["demonstrations"].tolist() == [[49, 0], [3, 7]]
        np.testing.assert_array_equal(found["losses"], np.float32([[0.1], [0.2]]))


def test_sources(tmp_path, rng):
    values = [dict(zip(subsets(10), rng.random(1024), strict=True)) for _ in MODELS]
    frame = pd.read_csv(made(tmp_path, "sources", *map(game, values)))
    assert list(frame) == [*(f"chunk{k + 1}" for k in range(10)), *(f"acc_{model}" for model in MODELS)]
    assert frame.shape == (1023, 13)
    on = [tuple(np.flatnonzero(row)) for row in frame.to_numpy()[:, :10]]
    assert on == subsets(10)[1:]
    for model, of in zip(MODELS, values, strict=True):
        assert frame[f"acc_{model}"].tolist() == [round(of[subset], 6) for subset in on]


def test_points(tmp_path, rng):
    values = [dict(zip(subsets(15), rng.random(2**15), strict=True)) for _ in MODELS[::2]]
    frame = pd.read_csv(made(tmp_path, "points", *map(game, values)))
    on = [tuple(np.flatnonzero(row)) for row in frame.to_numpy()[:, :15]]
    assert frame.shape == (4096, 17)
    assert len(set(on)) == 4096
    assert on == sorted(on, key=lambda subset: (len(subset), subset))
    assert frame.acc_random_forest.tolist() == [round(values[1][subset], 6) for subset in on]


@pytest.mark.parametrize(
    ("by", "contents", "words"),
    [
        ("coin_flip", ["<html>", "[]"], "out/table: 0.json, 1.json: not of the form expected"),
        ("coin_flip", [[[0, 99]], [[1.0]]], "not of the form"),
        ("coin_flip", [[[0, 300]], [[1.0]]], "not of the form"),
        ("coin_flip", [[[0], [1, 2]], [[1.0]]], "not of the form"),
        ("modular_addition", [{"train_w": []}], "not of the form expected .*train_subset_scores"),
        ("modular_addition", [[]], "not of the form"),
        ("modular_addition", ["[" * 100_000], "not of the form"),
        ("sources", [{"data": {"x": 1}}] * 3, "not of the form"),
        ("sources", [{"data": {"0": "a"}}] * 3, "not of the form"),
        ("sources", [{"data": 3}] * 3, "not of the form"),
        ("points", [{"data": {"0": 0.5}}] * 2, "not of the form"),
    ],
)
def test_files_of_another_form(tmp_path, by, contents, words):
    with pytest.raises(FetchError, match=words):
        made(tmp_path, by, *contents)
    assert not list((tmp_path / "out").iterdir())


def test_a_table_with_another_checksum(tmp_path):
    games = [{"data": {"Empty": 0.0, "0": 0.5}}] * 3
    table = made(tmp_path, "sources", *games)
    text = table.read_text()
    assert text.splitlines()[1] == "1,0,0,0,0,0,0,0,0,0,0.5,0.5,0.5"
    table.unlink()
    with pytest.raises(FetchError, match=f"sha256 of what was made is {sha(text.encode())}, and {sha(BODY)} was exp"):
        made(tmp_path, "sources", *games, sha256=sha(BODY))
    assert not list((tmp_path / "out").iterdir())
    assert made(tmp_path, "sources", *games, sha256=sha(text.encode())) == table


# ---------------------------------------------------------------- the command


@pytest.fixture
def sets(server):
    server.say(f"{FRONT}/data/x.csv", BODY)
    unknown = replace(FILE, path="y.csv", to="y.csv", sha256=None)
    server.say(f"{FRONT}/y.csv", BODY)
    return {name: Public(name, "few", "MIT", (file,)) for name, file in (("known", FILE), ("unknown", unknown))}


def run(server, sets, folder, *argv):
    return fetch.main([*argv, "--into", str(folder), "--mirror", server.base + "/"], sets, wait=0)


def test_all_known_sets_are_fetched(server, sets, tmp_path, capsys):
    assert run(server, sets, tmp_path) == 0
    assert left(tmp_path) == ["set/x.csv"]
    assert "unknown: left out: y.csv: no checksum is known; --unverified takes it" in capsys.readouterr().err
    asked = len(server.asked)
    assert run(server, sets, tmp_path) == 0
    assert len(server.asked) == asked


def test_a_set_that_is_named_must_be_had(server, sets, tmp_path, capsys):
    assert run(server, sets, tmp_path, "unknown") == 1
    assert capsys.readouterr().err.startswith("unknown: y.csv: no checksum is known")
    assert run(server, sets, tmp_path, "unknown", "--unverified") == 0
    assert left(tmp_path) == ["y.csv"]


def test_one_failure_does_not_stop_the_others(server, sets, tmp_path, capsys):
    server.say(f"{FRONT}/data/x.csv", 404)
    assert run(server, sets, tmp_path, "--unverified") == 1
    assert left(tmp_path) == ["y.csv"]
    assert f"known: {server.base}{FRONT}/data/x.csv: 404 Not Found" in capsys.readouterr().err


def test_list(server, sets, tmp_path, capsys):
    assert run(server, sets, tmp_path, "--list", "known") == 0
    out = capsys.readouterr().out
    assert "| known | set/x.csv | 20 | known | MIT | owner/name@0123456789 |" in out
    assert out.endswith("known: few.\n")
    assert "y.csv" not in out
    assert server.asked == left(tmp_path) == []
    assert fetch.main(["--list"]) == 0
    out = capsys.readouterr().out
    assert "| shapiq-points | raw/shapiq/points_decision_tree.json | 1,458,220 | not known | MIT |" in out
    assert "2 of 14 files without a known checksum: refused unless --unverified is given, and then NOT VERIFIED" in out
    told = (Path(fetch.__file__).parent / "README.md").read_text()
    assert "**2 of the 14 files have no known checksum**" in told


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["knwon"], "no set is called 'knwon'. There are 2, such as 'known'"),
        (["--mirror", "file:///tmp"], "--mirror is 'file:///tmp'; give an address that begins with https://"),
    ],
)
def test_wrong_arguments(sets, argv, words, capsys):
    with pytest.raises(SystemExit, match="2"):
        fetch.main(argv, sets)
    assert words in capsys.readouterr().err


def test_where_the_benchmarks_look(tmp_path, monkeypatch):
    monkeypatch.setattr(public, "BESIDE", tmp_path / "data")
    assert public.recordings() == public.INTO
    (tmp_path / "data").mkdir()
    assert public.recordings() == tmp_path / "data"


# ---------------------------------------------------------------- all of it, from copies


def upstream(of):
    """What repositories publish, from the recordings beside the checkout."""
    if of.to.startswith(("regmix/", "olmix/")):
        return (DATA / of.to).read_bytes()
    name = Path(of.to).stem
    if name == "modular_addition":
        with np.load(DATA / "modular_addition.npz") as known:
            order = (f"{part}_{kind}" for part in ("train", "test") for kind in ("losses", "masks"))
            lists = [known[key].astype(float).tolist() for key in order]
        keys = "train_subset_scores", "train_w", "test_subset_scores", "test_w"
        return json.dumps(dict(zip(keys, lists, strict=True)), indent=4).encode()
    if name.startswith("coin_flip"):
        with np.load(DATA / "coin_flip_icl.npz") as known:
            ids = name == "coin_flip_train_ids_list"
            lists = known["demonstrations"] if ids else known["losses"].astype(float)
        return json.dumps(lists.tolist()).encode()
    what, model = name.split("_", 1)
    frame = pd.read_csv(DATA / "valuation" / f"{what}_adult.csv")
    tests, K = (9044, 10) if what == "sources" else (None, 15)
    known = {tuple(np.flatnonzero(row[:K])): v for row, v in zip(frame.to_numpy(), frame[f"acc_{model}"], strict=True)}
    text = json.dumps(game({s: known.get(s, 0.0) for s in subsets(K)}))
    if tests is None:  # the others of the 32,768 subsets are not known here, nor read
        return text.encode()
    stamp = {"decision_tree": "385094", "gradient_boosting": "480423", "random_forest": "574397"}[model]
    head = {"object_name": "Game", "data_type": "game", "version": "1.4.2.dev29+g3d3c3a7e6.d20260421"}
    head |= {"created_from": None, "description": None, "parameters": {}}
    head |= {"timestamp": f"2026-04-21T12:25:21.{stamp}+00:00Z"}
    about = {"n_players": K, "game_name": "Game_object", "normalization_value": 0.0}
    about |= {"precompute_flag": False, "precomputed": True, "player_names": None}
    exact = {s: round(known.get(s, 0.0) * tests) / tests for s in subsets(K)}
    return (json.dumps(head | {"metadata": about, "data": game(exact)["data"]}, indent=2) + "\n").encode()


def test_the_whole_list(server, tmp_path, capsys):
    if not (DATA / "valuation").is_dir():
        pytest.skip(f"recordings: {DATA} is not there")
    sets = public.read()
    for file in (file for one in sets.values() for file in one.files):
        server.say(f"/{file.repository}/{file.commit}/{file.path}", upstream(file))
    assert fetch.main(["--into", str(tmp_path), "--mirror", server.base], wait=0) == 0
    assert not (tmp_path / "valuation" / "points_adult.csv").exists()
    assert fetch.main(["shapiq-points", "--unverified", "--into", str(tmp_path), "--mirror", server.base], wait=0) == 0
    assert "valuation/points_adult.csv: made, its checksum is right" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "raw")
    found = left(tmp_path)
    assert len(found) == 10
    for name in found:
        if name.endswith(".csv"):
            assert (tmp_path / name).read_bytes() == (DATA / name).read_bytes()
        else:
            with np.load(tmp_path / name) as ours, np.load(DATA / name) as known:
                assert set(ours) == set(known)
                for key in known:
                    assert ours[key].dtype == known[key].dtype
                    np.testing.assert_array_equal(ours[key], known[key])
