"""A real Chromium without a window, driven by its own driver. Debian: apt-get install chromium chromium-driver."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from graphdl.view.page import page

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1500,950", "--hide-scrollbars",
)  # fmt: skip


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One browser for all tests; each opens its own page."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("needs a browser: apt-get install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install '.[test]'")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    downloads = tmp_path_factory.mktemp("downloads")
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    opened.downloads = downloads
    yield opened
    opened.quit()


class Page:
    """One open page, seen through its own elements; ``app`` runs JavaScript with the page's ``graphdl`` at hand."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser

    def app(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def find(self, css: str) -> Any:
        return self.browser.find_element("css selector", css)

    def all(self, css: str) -> list[Any]:
        return list(self.browser.find_elements("css selector", css))

    def button(self, text: str, seconds: float = 10) -> Any:
        """The button that shows ``text``; a large page on a busy machine is loaded before its text is laid out."""
        end = time.monotonic() + seconds
        while not (found := [each for each in self.all("button") if each.text == text]):
            assert time.monotonic() < end, f"no button {text!r} in {seconds} s"
            time.sleep(0.05)
        return found[0]

    def press(self, *keys: str) -> None:
        """Types keys into whatever has the focus."""
        self.browser.switch_to.active_element.send_keys(*keys)

    def boxes(self) -> list[str]:
        """The labels of all boxes in the picture."""
        return list(self.app("return graphdl.canvas.picture.boxes.slice(1).map(b => b.item.label)"))

    def click_node(self, label: str, *, sign: bool = False, number: int = 0) -> None:
        """Clicks on a box as the pointer does: in its middle, or on its sign for folding."""
        x, y = self.app(
            """
            const [label, sign, number] = arguments;
            const {canvas} = graphdl;
            const box = canvas.picture.boxes.filter(b => b.item.label === label)[number];
            canvas.show(box.item);
            const {left, top} = canvas.svg.getBoundingClientRect();
            const open = box.layout.unfolded;
            const x = sign ? (open ? box.x + 14 : box.x + box.width - 13) : box.x + box.width / 2;
            const y = sign ? box.y + 13 : box.y + (open ? 12 : box.height / 2);
            return [left + canvas.origin.x + x * canvas.scale, top + canvas.origin.y + y * canvas.scale];
            """,
            label, sign, number,
        )  # fmt: skip
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.actions.action_builder import ActionBuilder

        actions = ActionBuilder(self.browser)
        actions.pointer_action.move_to_location(round(x), round(y)).click()
        actions.perform()
        ActionChains(self.browser).pause(0.02).perform()

    def complaints(self) -> list[Any]:
        """What the console has heard since it was last asked."""
        return list(self.browser.get_log("browser"))

    def wait(self, script: str, seconds: float = 10) -> Any:
        """Waits until a script answers with something true."""
        end = time.monotonic() + seconds
        while not (answer := self.app(script)):
            assert time.monotonic() < end, f"never true: {script}"
            time.sleep(0.05)
        return answer


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Opens the page of a bundle; afterwards the console must have stayed silent."""

    def open_page(bundle: Any, title: str = "test") -> Page:
        path = tmp_path / "page.html"
        path.write_text(page(title, bundle), encoding="utf-8")
        browser.get_log("browser")
        browser.get(path.as_uri())
        return Page(browser)

    yield open_page
    assert browser.get_log("browser") == []


@pytest.fixture
def open_url(browser: Any) -> Callable[[str], Page]:
    """Opens an address."""

    def open_page(url: str) -> Page:
        browser.get(url)
        return Page(browser)

    return open_page
