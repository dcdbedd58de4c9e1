"""The site in a real browser for a member: what the API adds to a page after signing in."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.results import assets
from shared.results.build import Site
from shared.results.render import SiteSettings
from shared.results.store import FolderStore

from .conftest import Shelf, serve, trials_of

pytestmark = pytest.mark.browser


class TestMember:
    """The panel for members asks the API; here a small server answers in the API's shapes."""

    @pytest.fixture
    def api(self) -> Iterator[str]:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Api)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        server.server_close()

    def test_weights_are_shown_to_who_signs_in_and_to_nobody_else(
        self, browser: Any, api: str, tmp_path: Path
    ) -> None:
        shelf = Shelf()
        shelf.put("FX_001", "2026-01-05", trials_of(100, 1))
        store = FolderStore(tmp_path / "site")
        assets.publish(store)
        Site(shelf, store, SiteSettings(api_url=api), images=False).refresh()
        for address in serve(store.folder):
            page = browser.new_page()
            page.goto(address + "subjects/FX_001.html")
            page.get_by_label("User name").fill("member")
            page.get_by_label("Password").fill("wrong")
            page.click("#member button")
            page.wait_for_selector("text=are not right")
            assert not page.query_selector("#weight")
            page.get_by_label("Password").fill("right")
            page.click("#member button")
            page.wait_for_selector("#weight svg")
            assert "Most likely Q2" in page.inner_text("#member")
            page.click("text=Sign out")
            page.wait_for_selector("#member form")
            assert not page.query_selector("#weight")
            page.close()


class _Api(http.server.BaseHTTPRequestHandler):
    def do_OPTIONS(self) -> None:
        self._answer(204, None)

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        good = sent == {"username": "member", "password": "right"}
        self._answer(200 if good else 400, {"token": "t0k3n"} if good else {"detail": "no"})

    def do_GET(self) -> None:
        if self.headers["Authorization"] != "Token t0k3n":
            self._answer(401, {"detail": "Authentication credentials were not provided."})
        elif "water-requirement" in self.path:
            record = {
                "weight": 21.5,
                "weighing_at": 21.5,
                "expected_weight": 24.0,
                "percentage_weight": 89.6,
                "implant_weight": 0,
                "given_water_total": 1.2,
                "given_water_reward": 1.0,
                "given_water_supplement": 0.2,
                "expected_water": 0.9,
            }
            days = ("2026-01-05", "2026-01-06")
            self._answer(200, {"records": [{"date": day, **record} for day in days]})
        else:
            chances = {"Q1": 0.2, "Q2": 0.5, "Q3": 0.2, "Q4": 0.1}
            self._answer(
                200,
                {"probabilities": chances, "quartile": "Q2", "range": [10, 15], "why_not": None,
                 "days_so_far": 5, "statement": "A hint for planning."},
            )  # fmt: skip

    def _answer(self, status: int, body: Any) -> None:
        self.send_response(status)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Access-Control-Allow-Headers", "Authorization,Content-Type")
        self.end_headers()
        if body is not None:
            self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass
