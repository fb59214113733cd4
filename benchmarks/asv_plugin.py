"""A plugin of asv: results carry a label of the target; `asv run` measures the code as it lies here, or commits."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import metrics, scratch, target

KEPT: list[type] = []  # asv finds environments among subclasses that live: one that nobody holds may be collected


def setup() -> None:
    """Called by asv, which imports this module as a plugin; benchmarks that asv discovers never call it."""
    # asv itself is imported here, because environments that it builds have only its runner.
    from asv import environment, util

    _share_what_is_measured()
    _label_every_environment(environment.Environment)

    class Here(environment.Environment):
        """The Python that runs asv, with the code as it lies here; results belong to the commit checked out.

        asv's own "existing" environment saves results only when it is told a commit, and puts the interpreter's path
        into file names.
        """

        tool_name = "here"
        matches_python_fallback = False

        def __init__(self, conf: Any, python: str, requirements: Any, tagged_env_vars: Any):
            self._executable = sys.executable
            self._requirements: dict[str, str] = {}
            self._repo = conf.repo
            super().__init__(conf, "{}.{}".format(*sys.version_info[:2]), {}, tagged_env_vars)
            self._global_env_vars.pop("ASV_ENV_DIR")

        @property
        def installed_commit_hash(self) -> str:
            return util.check_output([util.which("git"), "-C", self._repo, "rev-parse", "HEAD"], dots=False).strip()

        def can_install_project(self) -> bool:
            return False  # so that asv refuses ranges of commits: there is one, the one checked out

        def check_presence(self) -> bool:
            return True

        def create(self) -> None: ...

        def _setup(self) -> None: ...

        def install_project(self, conf: Any, repo: Any, commit_hash: str | None = None) -> None: ...

        def run(self, args: list[str], **options: Any) -> Any:
            return util.check_output([self._executable, *args], **options)

    class Commit(Here):
        """The same Python and libraries, with the package as a commit has it: for `asv continuous -E commit OLD NEW`.

        Nothing is built and no package index is asked, as by `python -m benchmarks compare OLD NEW`.
        """

        tool_name = "commit"
        _commit: str | None = None

        @property
        def installed_commit_hash(self) -> str | None:  # type: ignore[override]
            return self._commit

        def can_install_project(self) -> bool:
            return True

        def install_project(self, conf: Any, repo: Any, commit_hash: str | None = None) -> None:
            self.checkout_project(repo, commit_hash)
            self._package.mkdir(exist_ok=True)  # the package alone: suites are those that lie here
            link = self._package / target.PACKAGE
            link.unlink(missing_ok=True)
            link.symlink_to(Path(self._build_root) / target.PACKAGE)
            self._commit = commit_hash

        @property
        def _package(self) -> Path:
            return Path(self._path) / "package"

        def run(self, args: list[str], **options: Any) -> Any:
            variables = dict(options.pop("env", os.environ))
            before = (str(self._package), variables.get("PYTHONPATH", ""))
            variables["PYTHONPATH"] = os.pathsep.join(filter(None, before))
            return super().run(args, env=variables, **options)

    KEPT.extend([Here, Commit])


def _share_what_is_measured() -> None:
    """Let the many processes of a run of asv's measure each case once for all its numbers."""
    if metrics.RECORDS not in os.environ:
        folder = str(scratch.folder())
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ[metrics.RECORDS] = folder


def _label_every_environment(environment: type) -> None:
    """Give each environment the target's label as a variable that does not take part in building (`env_nobuild`).

    It becomes part of the names of results, so that runs on several clusters do not overwrite each other, and an
    axis of the published page. A matrix in asv.conf.json could not do that: it would run each label on whichever
    target there is, and asv ignores it for environments that exist already.
    """
    original: Callable[..., None] = environment.__init__  # type: ignore[misc]

    @functools.wraps(original)
    def labelled(self: Any, conf: Any, python: str, requirements: Any, tagged_env_vars: Any) -> None:
        tagged = {**tagged_env_vars, ("nobuild", target.TAG): target.tag()}
        original(self, conf, python, requirements, tagged)

    environment.__init__ = labelled  # type: ignore[misc]
