"""Pages with measurements, curves and pictures in a real browser; a run that is followed while it trains."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest

import graphdl
from graphdl.model import Model
from graphdl.source import Source
from graphdl.training.run import create
from graphdl.training.stages import Overrides
from graphdl.view.document import document
from graphdl.view.measurements import measurements
from graphdl.view.pictures import filters
from graphdl.view.server import RunServer

NET = """
net seeing(classes = 3) {
    input image: [1, 10, 10]
    input label: class(classes)
    logits = image -> conv(4, 3) as c1 -> relu -> maxpool(2) -> flatten -> linear(classes)
    loss cross_entropy(logits, label)
    metric accuracy(logits, label)
}
"""


def epoch(number: int) -> dict[str, object]:
    held_out = {"split": "test", "loss": 2 / number, "losses": {}, "metrics": {"accuracy": 0.1 * number}}
    return {
        "kind": "epoch", "stage": "train", "epoch": number, "step": 10 * number, "loss": 1 / number, "lr": 0.1,
        "metrics": {"accuracy": 0.2 * number}, "held_out": held_out, "seconds": 1.0,
    }  # fmt: skip


@pytest.fixture(scope="module")
def bundle():
    model = graphdl.loads(NET)
    return {
        "documents": [document(model.module_graph)],
        **measurements(model, 4, Overrides()),
        "run": {"name": "my run", "records": [epoch(k) for k in (1, 2, 3)]},
        "pictures": filters(model),
    }


def ink(page: Any, canvas: int = 0) -> int:
    """How many different colours a canvas of the open sheet shows."""
    return int(
        page.app(
            "const c = document.querySelectorAll('.sheet canvas')[arguments[0]];"
            "const d = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer);"
            "return new Set(d).size",
            canvas,
        )
    )


def open_tab(page: Any, name: str) -> None:
    next(tab for tab in page.all("[role=tab]") if tab.text == name).click()
    page.wait("return !document.querySelector('.sheet canvas') || document.querySelector('.sheet canvas').width > 300")


def test_every_tab_shows_what_it_is_about(show, bundle):
    page = show(bundle)
    assert [tab.text for tab in page.all("[role=tab]")] == ["Graph", "Schedule", "Memory", "Curves", "Pictures"]
    open_tab(page, "Schedule")
    assert "launches" in page.find(".sheet p").text
    assert len(page.all(".sheet table tr")) > 5
    assert ink(page) > 4
    open_tab(page, "Memory")
    assert "alive at most" in page.find(".sheet p").text
    assert ink(page) > 4
    open_tab(page, "Curves")
    assert [caption.text.split()[0] for caption in page.all("figcaption")] == ["loss", "accuracy", "learning"]
    assert "test loss 0.6667, accuracy 0.3000" in page.find(".sheet p").text
    assert ink(page) > 4
    open_tab(page, "Pictures")
    images = page.all(".gallery img")
    assert len(images) == 4
    assert page.wait("return [...document.querySelectorAll('.gallery img')].every(i => i.naturalWidth === 3)")
    open_tab(page, "Graph")
    assert not page.find(".sheet").is_displayed()


def test_measured_time_and_gradients_are_overlays(show, bundle):
    page = show(bundle)
    options = [option.text for option in page.all("header select option")]
    assert options[-2:] == ["Measured time", "Gradient norms"]
    total = page.app("return graphdl.graph.root.time")
    assert total == pytest.approx(sum(bundle["measured"]["time"].values()))
    assert page.app("return graphdl.graph.items.find(i => i.name === 'c1').gradient") == pytest.approx(
        sum(bundle["measured"]["gradients"][f"c1.{name}"] ** 2 for name in "Wb") ** 0.5
    )
    page.app(
        "const s = document.querySelector('header select'); s.value = 'time'; s.dispatchEvent(new Event('change'))"
    )
    assert "s" in page.find(".scale div").text
    subtitle = page.app("return graphdl.canvas.picture.boxes.find(b => b.item.name === 'c1').layout.subtitle")
    assert re.fullmatch(r"[\d.]+ (ms|µs), [\d.]+ ?[kMGT] ?FLOP/s", subtitle)
    page.click_node("conv")
    details = page.find("aside[aria-label=details]").text
    assert re.search(r"rate [\d.]+ [kMGT]FLOP/s, \d+ % of the peak", details.replace("\n", " ")), details
    times = page.app(
        "return [...document.querySelectorAll('.code [data-time]')].map(e => [e.dataset.line, e.dataset.time])"
    )
    assert "5" in dict(times)
    assert set(dict(times)) <= {"3", "4", "5", "6", "7"}


def test_a_run_is_followed_while_it_trains(browser, open_url, tmp_path):
    folder = create(
        tmp_path / "run", [Source("net.net", NET, str(tmp_path / "net.net"))],
        {"net": None, "set": {}, "overrides": {}, "seed": 0},
    )  # fmt: skip
    folder.record(epoch(1))
    with RunServer(folder, Model.of_run(folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            browser.get_log("browser")
            page = open_url(server.url)
            assert "epoch 1" in page.find(".sheet p").text
            folder.record(epoch(2))
            page.wait("return document.querySelector('.sheet p').textContent.includes('epoch 2')")
            browser.get("about:blank")
            assert [entry for entry in browser.get_log("browser") if "favicon" not in entry["message"]] == []
        finally:
            server.shutdown()
            thread.join()
