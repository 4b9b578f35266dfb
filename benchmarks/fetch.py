"""Public recordings, downloaded from the repositories that publish them, by commit and sha256 (`public.toml`).

python -m benchmarks.fetch                              # all whose checksums are known, into recordings/public
python -m benchmarks.fetch --list                       # what there is: files, bytes, licences, repositories
python -m benchmarks.fetch regmix olmix                 # some sets
python -m benchmarks.fetch shapiq-points --unverified   # files without a known checksum: taken, and it is printed
python -m benchmarks.fetch --mirror URL                 # from URL/OWNER/REPOSITORY/COMMIT/PATH

A file gets its name only once its checksum is right; one that is there and right is not downloaded again. The checksums
were found without a download (`public.toml` says how): where the repository's file has another one, it is refused.
Where a pointer of Git LFS lies in its place, the file itself is asked for. Tables that are made of files (`public`) are
made anew each time. Nothing that is downloaded is executed or unpacked.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib import request
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit

import numpy as np

from interplay.fields import EvaluationsError, match
from interplay.report.words import plain

from .machine import table
from .public import INTO, MAKERS, File, Made, Public, read

RAW, MEDIA = "https://raw.githubusercontent.com", "https://media.githubusercontent.com/media"
POINTER = b"version https://git-lfs.github.com/spec/"
TRANSIENT = (408, 429, 500, 502, 503, 504)
TRIES, TIMEOUT, BLOCK = 4, 60.0, 1 << 16


class FetchError(EvaluationsError):
    """What could not be fetched, and why."""


class Interrupted(FetchError):
    """A fault that may be gone a moment later."""


class Unverified(FetchError):
    """No checksum is known."""


# ---------------------------------------------------------------- one address


class _Redirects(request.HTTPRedirectHandler):
    """Follows to https, and from http to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme not in ("https", urlsplit(req.full_url).scheme):
            raise HTTPError(newurl, code, msg, headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> request.OpenerDirector:
    """Knows http and https and nothing else: no files, no ftp."""
    opener = request.OpenerDirector()
    opener.addheaders = [("User-Agent", "interplay-benchmarks"), ("Accept-Encoding", "identity")]
    web = request.ProxyHandler(), request.HTTPHandler(), request.HTTPSHandler()
    for handler in (*web, request.HTTPDefaultErrorHandler(), request.HTTPErrorProcessor(), _Redirects()):
        opener.add_handler(handler)
    return opener


def _blocks(url: str) -> Iterator[bytes]:
    """What lies at an address, piece by piece."""
    try:
        with _opener().open(url, timeout=TIMEOUT) as answer:
            length, got = answer.length, 0
            while block := answer.read(BLOCK):
                got += len(block)
                yield block
        if length is not None and got != length:
            raise Interrupted(f"{url}: the answer ended after {got:,} of {length:,} bytes")
    except HTTPError as error:
        error.close()
        if 300 <= error.code < 400:
            raise FetchError(f"{url} sends on to {plain(error.url, 300)}, which is not followed") from None
        kind = Interrupted if error.code in TRANSIENT else FetchError
        raise kind(f"{url}: {error.code} {plain(str(error.reason))}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = str(getattr(error, "reason", error)) or type(error).__name__
        raise Interrupted(f"{url}: no answer ({plain(reason, 200)})") from None


def _download(url: str, partial: Path, limit: int, wait: float) -> str:
    """Write at most `limit` bytes of an address to a file; return their sha256. Passing faults are tried again."""
    for left in reversed(range(TRIES)):
        digest, got = hashlib.sha256(), 0
        try:
            with partial.open("wb") as out:
                for block in _blocks(url):
                    got += len(block)
                    if got > limit:
                        raise FetchError(f"{url}: longer than the {limit:,} bytes that are listed")
                    digest.update(block)
                    out.write(block)
            return digest.hexdigest()
        except Interrupted as error:
            if not left:
                raise FetchError(f"{error}; tried {TRIES} times") from None
            note(f"{error}; again in {wait:g} s")
        time.sleep(wait)
        wait *= 2
    raise AssertionError


# ---------------------------------------------------------------- files and tables in their places


def take(file: File, into: Path, base: str = RAW, *, unverified: bool = False, wait: float = 1.0) -> bool:
    """Bring a file to its place; return whether it was downloaded.

    Parameters
    ----------
    file : File
    into : Path
        Folder of recordings.
    base : str
        Address in front of OWNER/REPOSITORY/COMMIT/PATH.
    unverified : bool
        Take a file without a known checksum.
    wait : float
        Seconds before the second try; doubled for each further one.
    """
    if file.sha256 is None and not unverified:
        raise Unverified(f"{file.to}: no checksum is known; --unverified takes it and prints the checksum")
    target = _place(into, file.to)
    if target.is_file() and target.stat().st_size == file.size and file.sha256 in (None, _sha256(target)):
        note(f"{file.to}: there already" + ("" if file.sha256 else f", NOT VERIFIED, sha256 {_sha256(target)}"))
        return False
    partial = _partial(target)
    try:
        got = _fetched(file, partial, base, wait)
        size = partial.stat().st_size
        if file.sha256 is None:
            note(f"{file.to}: NOT VERIFIED, sha256 {got}" + ("" if size == file.size else f", not {file.size:,} bytes"))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    note(f"{file.to}: {size:,} bytes")
    return True


def _fetched(file: File, partial: Path, base: str, wait: float) -> str:
    """Download a file, past a pointer of LFS, and check it; return its sha256."""
    for front in (base, MEDIA if base == RAW else f"{base}/media"):
        url = f"{front}/{file.repository}/{file.commit}/{quote(file.path)}"
        got = _download(url, partial, max(file.size, 1024), wait)
        with partial.open("rb") as read:
            if read.read(len(POINTER)) != POINTER:
                break
        note(f"{url}: this is an LFS pointer")
    else:
        raise FetchError(f"{file.to}: {url} is an LFS pointer as well; the file itself is not given away")
    if got != (file.sha256 or got):
        raise FetchError(f"{file.to}: sha256 of {url} is {got}, and {file.sha256} was expected; nothing was kept")
    return got


def make(made: Made, into: Path) -> None:
    """Make a table from its files and put it into its place, if its checksum is right."""
    target = _place(into, made.to)
    partial = _partial(target)
    try:
        content = MAKERS[made.by](*(json.loads((into / source).read_bytes()) for source in made.sources))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        read = ", ".join(made.sources)
        raise FetchError(f"{made.to}: {read}: not of the form expected ({plain(str(error), 200)})") from None
    try:
        with partial.open("wb") as out:
            if isinstance(content, str):
                out.write(content.encode())
            else:
                np.savez_compressed(out, **content)
        got = _sha256(partial)
        if got != (made.sha256 or got):
            raise FetchError(f"{made.to}: sha256 of what was made is {got}, and {made.sha256} was expected; not kept")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    note(f"{made.to}: made" + (", its checksum is right" if made.sha256 else ""))


def _place(into: Path, to: str) -> Path:
    target = into / to
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.parent.resolve().is_relative_to(into.resolve()):
        raise FetchError(f"{to}: a link in {into} leads out of it; remove the link")
    return target


def _partial(target: Path) -> Path:
    return target.with_name(f"{target.name}.{os.getpid()}.partial")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def note(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


# ---------------------------------------------------------------- the command


def main(argv: Sequence[str] | None = None, sets: dict[str, Public] | None = None, wait: float = 1.0) -> int:
    """Fetch the sets that are named; return 1 if one of them is not all there, else 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="sets; all whose checksums are known if none is given")
    parser.add_argument("--into", type=Path, default=INTO, help="folder of recordings")
    parser.add_argument("--mirror", default=RAW, metavar="URL", help="address in front of OWNER/REPOSITORY/COMMIT/PATH")
    parser.add_argument("--unverified", action="store_true", help="take files without a known checksum, and print it")
    parser.add_argument("--list", action="store_true", help="say what there is, and fetch nothing")
    given = parser.parse_args(argv)
    try:
        sets = read() if sets is None else sets
        chosen = [sets[name] for name in (match(given.names, list(sets), "set") if given.names else sets)]
        if urlsplit(given.mirror).scheme not in ("http", "https"):
            raise FetchError(f"--mirror is {given.mirror!r}; give an address that begins with https:// or http://")
    except EvaluationsError as error:
        parser.error(str(error))
    if given.list:
        print(_listed(chosen))
        return 0
    failed = False
    for one in chosen:
        try:
            for file in one.files:
                take(file, given.into, given.mirror.rstrip("/"), unverified=given.unverified, wait=wait)
            for made in one.made:
                make(made, given.into)
        except (FetchError, OSError) as error:
            left_out = isinstance(error, Unverified) and not given.names
            note(f"{one.name}: {'left out: ' if left_out else ''}{error}")
            failed |= not left_out
    return int(failed)


def _listed(sets: Sequence[Public]) -> str:
    rows = []
    for one in sets:
        for f in one.files:
            known = "known" if f.sha256 else "not known"
            rows.append([one.name, f.to, f"{f.size:,}", known, one.licence, f"{f.repository}@{f.commit[:10]}"])
        rows += [[one.name, m.to, "", "known" if m.sha256 else "", one.licence, "made"] for m in one.made]
    about = "".join(f"\n{one.name}: {one.about}." for one in sets)
    if unknown := sum(f.sha256 is None for one in sets for f in one.files):
        about += f"\n\n{unknown} of {sum(len(one.files) for one in sets)} files without a known checksum: refused "
        about += "unless --unverified is given, and then NOT VERIFIED, with their sha256."
    return table(["set", "file", "bytes", "checksum", "licence", "from"], rows) + about


if __name__ == "__main__":
    sys.exit(main())
