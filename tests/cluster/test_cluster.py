"""What runs on the compose cluster: on the workers' hosts, this code, with the results of the embedded cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.backend import COMPOSE, INSIDE, Backend, handed_over, of_others, report, timed
from tests.cluster.workflows import WORKFLOWS, running, same

EDITED = "openeo_processes_dask/kernels/arithmetic.py"
EDIT = """

def absolute(x: Any) -> Any:
    return np.full_like(x, 42)
"""


def test_tasks_run_on_the_hosts_of_workers(backend: Backend) -> None:
    found = backend.facts("ask", "hosts")
    workers = {
        backend.run("docker", "inspect", "-f", "{{.Config.Hostname}}", c).strip() for c in backend.containers("worker")
    }
    assert len(workers) == 2
    assert set(found["tasks"]) == workers
    assert found["here"] == "openeo-devcontainer"


def test_versions_and_code_agree(backend: Backend) -> None:
    code = backend.facts("ask", "code")
    assert code["different"] == []
    assert len(code["there"]) == 3
    assert set(code["there"].values()) == {code["here"]}


@pytest.fixture
def edited(backend: Backend) -> Iterator[None]:
    """Have the process `absolute` give 42, and at the end what it gave before."""
    file = backend.checkout / EDITED
    before = file.read_text()
    file.write_text(before + EDIT)
    yield
    file.write_text(before)
    backend.run(*COMPOSE, "restart", "--timeout", "3", "scheduler", "worker")
    backend.up(2)


def test_an_edited_process_is_what_runs_after_a_restart(backend: Backend, request: pytest.FixtureRequest) -> None:
    assert backend.facts("value") == [1.0]
    request.getfixturevalue("edited")
    assert backend.facts("value", "--whichever-code") == [1.0]  # workers have the old code in memory
    with pytest.raises(RuntimeError, match=r"before its files were changed: start it again"):
        backend.python("value")
    with timed("restart scheduler and workers after an edit"):
        backend.run(*COMPOSE, "restart", "--timeout", "3", "scheduler", "worker")
        backend.up(2)
    assert backend.facts("value") == [42.0]


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_gives_what_it_gives_embedded(backend: Backend, workflow: str) -> None:
    with running(backend, workflow, "suites") as workflow_:
        end = workflow_.end()
    assert "result" in end, (end, workflow_.other[-20:])
    assert "2 equal" in same(workflow_, "suites")
    report.append(f"workflow {workflow}: {end['seconds']:.1f} s on two workers, equal to the embedded result")


def test_a_third_of_all_suites_gives_what_it_gives_embedded(backend: Backend) -> None:
    with timed("a third of all suites, on the compose cluster and embedded"):
        remote = backend.facts("suites", timeout=600)
        here = backend.facts("suites", timeout=600, embedded=True)
    assert remote.keys() == here.keys()
    assert len(remote) > 40
    assert {case for case in remote if remote[case] != here[case]} == set()
    report.append(f"suites: {len(remote)} results equal")


@pytest.mark.parametrize("notebook", ["1_first_steps", "2_ndvi_composite", "3_scaling"])
def test_a_notebook_runs_on_the_compose_cluster(backend: Backend, notebook: str) -> None:
    before = int(backend.python("ask", "finished").split()[0])
    output = backend.checkout / "results" / f"{notebook}.ipynb"
    output.parent.mkdir(exist_ok=True)
    handed_over(output.parent)
    command = ("jupyter", "execute", "--timeout=240", f"--output={INSIDE}/results/{output.name}")
    backend.execute(*command, f"examples/{notebook}.ipynb")
    assert "target: compose" in output.read_text()
    assert int(backend.python("ask", "finished").split()[0]) > before + 10


def test_all_that_was_written_belongs_to_the_owner_of_the_checkout(backend: Backend) -> None:
    """After workflows, suites and notebooks that wrote results, from the client and from the workers."""
    assert list((backend.checkout / "results").rglob("*.tif"))
    assert of_others(backend.checkout) == []
