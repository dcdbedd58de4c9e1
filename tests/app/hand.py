"""A person at a device: taps are counted, typing is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Locator, expect

from tests.app.served import Site


@dataclass
class Hand:
    """Counts what a person does on a page.

    Attributes
    ----------
    page
        The page.
    site
        The served lab, whose requests are counted.
    taps
        Pointer taps so far. A native select counts two, as a person needs them.
    """

    page: Any
    site: Site
    taps: int = 0
    online: bool = True

    def disconnect(self) -> None:
        """Walk into a room without a network."""
        self.page.context.set_offline(True)
        self.online = False

    def connect(self) -> None:
        """Come back to where there is one."""
        self.page.context.set_offline(False)
        self.online = True

    def start(self) -> None:
        """Begin at Today with nothing counted, everything sent."""
        self.connect()
        self.page.keyboard.press("Escape")
        # What others did meanwhile is fetched now rather than within half a minute
        self.page.evaluate("() => { dispatchEvent(new Event('online')); }")
        self.page.evaluate("() => { location.hash = '#/keys'; }")
        self.page.evaluate("() => { location.hash = '#/today'; }")
        expect(self.page.get_by_role("heading", name="Today", level=1)).to_be_visible()
        expect(self.page.locator(".sync")).to_contain_text("Saved")
        self.taps = 0
        self.site.requests.clear()

    def tap(self, target: str | Locator, role: str = "button", **options: Any) -> None:
        """Tap something by its name, or a locator."""
        found = (
            self.page.get_by_role(role, name=target, **options)
            if isinstance(target, str)
            else target
        )
        found.first.click()
        self.taps += 1

    def choose(self, target: Locator, value: str) -> None:
        """Choose in a native select."""
        target.select_option(value)
        self.taps += 2

    def open(self, screen: str) -> None:
        """Go to a screen by the navigation, by as many taps as the device needs."""
        side = self.page.get_by_role("navigation", name="Screens", exact=True)
        if side.is_visible():
            self.tap(side.get_by_role("link", name=screen, exact=True))
            return
        self.tap(
            self.page.get_by_role("navigation", name="Main screens").get_by_role(
                "link", name="More"
            )
        )
        self.tap(self.page.locator(".more").get_by_role("link", name=screen, exact=True))

    def tile(self, name: str) -> None:
        """Tap a tile of Today."""
        self.tap(self.page.locator(".tile").filter(has=self.page.get_by_text(name, exact=True)))

    def find(self, words: str) -> None:
        """Search, and take what is found first by Enter."""
        self.tap(self.page.locator("header.top").get_by_role("button", name="Search"))
        box = self.page.get_by_role("combobox", name="Find a mouse")
        box.fill(words)
        box.press("Enter")

    def type(self, *keys: str) -> None:
        """Type words and keys; keys have names of several letters, words are sent as they are."""
        for each in keys:
            if each in KEYS:
                self.page.keyboard.press(each)
            else:
                self.page.keyboard.type(each)

    def sent(self) -> int:
        """Return how many requests a task needed, without those of the running sync."""
        return len([each for each in self.site.requests if not each.path.startswith(SYNC)])

    @property
    def bytes(self) -> int:
        """Bytes of those requests, both ways."""
        ours = [each for each in self.site.requests if not each.path.startswith(SYNC)]
        return sum(each.sent + each.received for each in ours)


KEYS = {"Enter", "Tab", "Shift+Tab", "Escape", "ArrowDown", "Backspace", "Control+V", "Control+A"}
SYNC = ("/changes", "/me", "/water-status", "/board?lab")
