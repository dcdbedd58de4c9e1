"""The README followed to the letter, from a fresh clone, by each of the users it speaks to."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from infra.local.home import Ports
from tests.docs.snippets import ROOT, Block, blocks

pytestmark = [pytest.mark.proof, pytest.mark.browser, pytest.mark.timeout(3000)]


class Running(NamedTuple):
    """A clone in which ``make run`` was typed.

    Attributes
    ----------
    clone
        The fresh checkout.
    printed
        What ``make run`` had printed when it said that Fornix is running.
    home
        Home folder of the user who types.
    """

    clone: Path
    printed: str
    home: Path

    def shell(self, command: str, **env: str) -> str:
        """Type a command in a terminal of its own; return what it prints."""
        kept = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "COLUMNS": "200",
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            env=kept | env,
            cwd=self.clone,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def login(self, user: str, program: str = ".venv/bin/fornix") -> None:
        """Log in as the printed line does, with an account of ``.fornix/credentials.json``."""
        users = json.loads((self.clone / ".fornix/credentials.json").read_text())["users"]
        (line,) = re.findall(r"^ *\.venv/bin/fornix (login .+)$", self.printed, re.MULTILINE)
        line = re.sub(r"--user \S+ --password \S+", "", line)
        self.shell(f"{program} {line} --user {user} --password {users[user]['password']}")

    def address(self, pattern: str) -> str:
        """Return the one printed address that fits."""
        return re.findall(rf"https?://\S*{pattern}\S*", self.printed)[0]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`git clone`, then `make run`, until it says that Fornix is running."""
    folder = tmp_path_factory.mktemp("newcomer")
    clone, home = folder / "fornix", folder / "home"
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    ports = Ports.free()
    env = os.environ | {
        "HOME": str(home),
        "FORNIX_API_PORT": str(ports.api),
        "FORNIX_SITE_PORT": str(ports.site),
        "FORNIX_GATEWAY_PORT": str(ports.gateway),
        "FORNIX_DYNAMODB_PORT": str(ports.dynamodb),
        "PYTHONUNBUFFERED": "1",
    }
    env = {k: v for k, v in env.items() if not k.startswith(("AWS_", "VIRTUAL_ENV", "PYTEST"))}
    with subprocess.Popen(
        ["make", "run"], cwd=clone, env=env, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        printed: list[str] = []
        try:
            for line in process.stdout:
                printed.append(line)
                if "Ctrl-C stops" in line:
                    break
            assert "Fornix is running" in "".join(printed), "".join(printed[-40:])
            yield Running(clone, "".join(printed), home)
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate()


def block(running: Running, language: str, saying: str) -> Block:
    """Return the block of the clone's README in which something is said."""
    (found,) = (
        b
        for b in blocks(running.clone / "README.md")
        if b.language == language and saying in b.code
    )
    return found


PATH = 'export PATH="$PWD/.venv/bin:$PATH"\n'


def test_a_rig_s_first_session_has_a_page(running: Running, browser: Any) -> None:
    # Given the line that make run printed, and the README's block
    running.login("fimbrialab_member")
    printed = running.shell(PATH + block(running, "bash", "rig upload").code)
    # Then the upload ends with the address of a page, for members of the lab
    page = re.findall(r"its page, for members of the lab: (\S+)", printed)[0]
    users = json.loads((running.clone / ".fornix/credentials.json").read_text())["users"]
    # When a worker has nothing left to do, and a member signs in there
    running.login("fimbrialab_worker")
    running.shell(PATH + block(running, "bash", "fornix worker").code)
    running.login("fimbrialab_member")
    status = running.shell(PATH + block(running, "bash", "fornix status").code)
    assert "Complete" in status
    tab = browser.new_page()
    tab.goto(page)
    tab.get_by_label("User name").fill("fimbrialab_member")
    tab.get_by_label("Password").fill(users["fimbrialab_member"]["password"])
    tab.get_by_role("button", name="Sign in").click()
    # Then the session's own figures are there
    tab.get_by_role("heading", name=re.compile("SYN_001")).first.wait_for()
    tab.locator("figure").first.wait_for()
    tab.close()


def test_a_scientist_finds_and_loads_trials_with_the_client_they_have(running: Running) -> None:
    running.login("fimbrialab_member")
    running.shell(PATH + block(running, "bash", "one-setup").code)
    code = block(running, "python", "ONE()").code + "\nprint(len(trials['intervals']), 'trials')\n"
    (running.home / "look.py").write_text(code)
    printed = running.shell(f"{PATH}python {running.home}/look.py")
    assert int(re.findall(r"(\d+) trials", printed)[0]) > 10


def test_a_visitor_sees_figures_and_what_foretells_training_time(
    running: Running, browser: Any
) -> None:
    site = re.findall(r"results site\s+(\S+)", running.printed)[0]
    tab = browser.new_page()
    tab.goto(site)
    tab.get_by_role("link", name=re.compile("Sessions")).first.click()
    tab.locator("table a[href*=sessions]").first.click()
    tab.locator("figure").first.wait_for()
    tab.close()


def test_a_keeper_of_mice_opens_the_notebook_by_the_printed_address(
    running: Running, browser: Any
) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    tab = context.new_page()
    tab.goto(running.address("/app/#/sign-in"))
    tab.get_by_role("button", name="Sign in").click()
    tab.get_by_role("heading", name="Today").wait_for()
    context.close()


def test_the_same_by_the_client_alone(running: Running, tmp_path: Path) -> None:
    """Given only the wheel, as ``uv tool install`` puts it."""
    uv = running.clone / ".venv/bin/uv"
    subprocess.run(
        [uv, "build", "--wheel", "--no-build-isolation", "--quiet", "-o", tmp_path, running.clone],
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    tools = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    install = [uv, "tool", "install", "--quiet", "--python", sys.executable, f"{wheel}[science]"]
    subprocess.run(install, env=os.environ | tools, check=True)
    client = tmp_path / "bin" / "fornix"
    shutil.rmtree(running.home / ".config", ignore_errors=True)
    running.login("fimbrialab_member", str(client))
    running.shell(f"{client} subject add SYN_001")
    running.login("fimbrialab_rig", str(client))
    running.shell(f"{client} rig simulate {tmp_path}/data --mice 1 --days 2 --trials 60")
    printed = running.shell(f"{client} rig upload {tmp_path}/data --json")
    ended = [json.loads(line) for line in printed.splitlines() if '"ended"' in line]
    assert [one["state"] for one in ended] == ["registered", "registered"]
    running.shell(f"{client} status")
