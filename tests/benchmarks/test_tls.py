"""A target that speaks TLS: used with a certificate, refused in one sentence without one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import store, target
from tests.clusters import separate_processes

ROOT = Path(__file__).parents[2]
COMM = "DASK_DISTRIBUTED__COMM__"


def variables(folder: Path, *roles: str, certificate: str = "") -> dict[str, str]:
    """What tells dask the authority, and who it is in these roles."""
    found = {f"{COMM}TLS__CA_FILE": str(folder / "authority.pem")}
    for role in roles:
        found |= {
            f"{COMM}TLS__{role}__CERT": str(folder / f"{certificate}.pem"),
            f"{COMM}TLS__{role}__KEY": str(folder / f"{certificate}.key"),
        }
    return found


def authority(folder: Path) -> Path:
    """Certificates made as the project's own script makes them."""
    script = shutil.copy2(ROOT / ".devcontainer" / "make-authority", folder)
    made = subprocess.run([str(script), "2"], capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
    return folder / "tls"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("the throw-away authority is made with openssl, which is not installed")
    return authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def secured(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler that takes nobody without a certificate."""
    needed = {f"{COMM}REQUIRE_ENCRYPTION": "true"}
    tls = needed | variables(certificates, "SCHEDULER", "WORKER", certificate="cluster")
    with separate_processes(tmp_path_factory.mktemp("secured"), tls=tls) as address:
        yield address


def command(address: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(COMM)}
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        env=inherited | {target.ADDRESS: address, target.LABEL: "secured", **settings},
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_the_doctor_examines_a_cluster_that_speaks_tls(secured, certificates):
    answer = command(secured, "doctor", **variables(certificates, "CLIENT", certificate="client"))
    assert secured.startswith("tls://")
    assert secured in answer.stdout, answer.stderr
    assert str(target.local_code().hash) in answer.stdout
    problems = [line for line in answer.stdout.splitlines() if line.startswith("problem:")]
    assert all("busy" in problem or "other client" in problem for problem in problems), answer.stdout


def test_a_measurement_there_is_stored_under_its_label(secured, certificates, tmp_path):
    records = tmp_path / "records.jsonl"
    small = ("--strong", "--threads", "1,2", "--chunk", "100kB", "--least", "0", "--folder", str(tmp_path))
    known = variables(certificates, "CLIENT", certificate="client")
    answer = command(secured, "sweep", "cubes.indices.Ndvi", *small, **{store.PLACE: str(records)}, **known)
    (record,) = store.records(records, kind="sweep", label="secured")
    assert record["error"] is None, answer.stdout
    assert len(record["points"]) >= 13
    assert secured.removeprefix("tls://") not in records.read_text()


@pytest.mark.parametrize("what", ["no certificate", "no authority", "another authority"])
def test_who_has_not_the_right_certificate_is_told_so_in_a_line(secured, certificates, tmp_path, what):
    if what == "no certificate":
        settings = variables(certificates)
    elif what == "no authority":
        settings = {}
    else:
        settings = variables(authority(tmp_path), "CLIENT", certificate="client")
    answer = command(secured, "doctor", **settings)
    assert answer.returncode == 2, answer.stdout
    (line,) = answer.stderr.strip().splitlines()
    assert line.startswith(f"TargetError: no scheduler answers at {secured}")
    assert "certificate" in line


def test_who_speaks_no_tls_is_told_so_in_a_line(secured):
    plain = secured.replace("tls://", "tcp://")
    answer = command(plain, "doctor")
    assert answer.returncode == 2
    (line,) = answer.stderr.strip().splitlines()
    assert line.startswith(f"TargetError: no scheduler answers at {plain}")
    assert "tls://" in line
