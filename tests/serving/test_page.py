"""The page in a real browser, with a camera that Chromium plays itself; and what the page loads."""

import re
import shutil
from pathlib import Path

import pytest
from serving_models import Fixed, Halves, Masks, encoded, picture

import kzoo

PAGE = Path(kzoo.__file__).parent / "serving" / "page"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def test_nothing_is_loaded_from_elsewhere():
    for path in PAGE.iterdir():
        assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w+", path.read_text()), path


def test_what_the_page_loads_is_there(client):
    seen, waiting = set(), ["/", "/docs"]
    while waiting:
        address = waiting.pop()
        answer = client.get(address)
        assert answer.status_code == 200 and answer.headers["content-security-policy"].startswith(
            "default-src 'self'"
        )
        seen.add(address)
        named = re.findall(r'(?:src|href)="(/[^"]*)"|from "(/[^"]*)"', answer.text)
        waiting += {one or other for one, other in named} - seen - set(waiting) - {"/openapi.json"}
    assert len(seen) == 6


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="needs pip install playwright")
    if CHROMIUM is None:
        pytest.skip("no browser: apt-get install chromium")
    camera = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *camera])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """A page of a phone's width that fails the test with any error, and with any address outside."""
    context = browser.new_context(viewport={"width": 375, "height": 700})
    page = context.new_page()
    page.set_default_timeout(20_000)
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda one: wrong.append(one.text) if one.type == "error" and "401" not in one.text else None,
    )
    page.on(
        "request",
        lambda one: wrong.append(one.url) if "127.0.0.1" not in one.url and one.url[:5] == "http:" else None,
    )
    yield page
    context.close()
    assert not wrong


def photo(tmp_path, grey=128):
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(picture(300, 400, grey)))
    return path


def pixel(page, x, y):
    return page.evaluate(
        "([x, y]) => [...document.getElementById('canvas').getContext('2d').getImageData(x, y, 1, 1).data]",
        [x, y],
    )


@pytest.mark.slow
def test_a_picture_and_the_slider(page, address_of, tmp_path):
    page.goto(address_of({"things": Fixed()}))
    page.set_input_files("#file", photo(tmp_path))
    page.wait_for_selector("#found tbody tr:nth-child(2)")
    assert page.locator("#found tbody tr").all_inner_texts()[0].split()[:2] == ["cup", "0.900"]
    assert re.fullmatch(r"2 found, \d+ ms, of which the model [\d.]+ ms", page.inner_text("#status"))
    assert page.evaluate("document.getElementById('canvas').width") == 400
    # (16, 24, 48, 40) of 64 pixels, letterboxed by 6.25: the left edge of the first box is at x = 100.
    assert pixel(page, 100, 140)[:3] != [128, 128, 128] and pixel(page, 200, 140)[:3] == [128, 128, 128]
    requests = []
    page.on("request", lambda one: requests.append(one.url))
    page.focus("#threshold")
    page.keyboard.press("End")
    assert page.inner_text("#shown") == "1.00" and page.locator("#found tbody tr").count() == 0
    page.evaluate("document.getElementById('threshold').value = 0.7")
    page.keyboard.press("ArrowRight")
    assert page.locator("#found tbody tr").count() == 1 and not requests
    # Nothing is wider than a phone.
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


@pytest.mark.slow
def test_by_keyboard_alone(page, address_of, tmp_path):
    page.goto(address_of({"things": Fixed()}))
    page.wait_for_selector("#model option", state="attached")
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert reached == ["model", "A", "drop", "camera", "threshold"]
    page.focus("#drop")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(photo(tmp_path))
    page.wait_for_selector("#found tbody tr")


@pytest.mark.slow
def test_a_dropped_picture(page, address_of, tmp_path):
    page.goto(address_of({"things": Fixed()}))
    page.wait_for_selector("#model option", state="attached")
    data = list(photo(tmp_path).read_bytes())
    page.evaluate(
        """data => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(data)], "photo.png", {type: "image/png"}));
            document.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, cancelable: true}));
        }""",
        data,
    )
    page.wait_for_selector("#found tbody tr")


@pytest.mark.slow
def test_masks_and_classes(page, address_of, tmp_path):
    page.goto(address_of({"masks": Masks(), "cells": Halves()}))
    page.set_input_files("#file", photo(tmp_path))
    page.wait_for_selector("#found tbody tr:nth-child(2)")
    # The mask is the left half of the first box, x from 100 to 200 of 400 pixels, y from 100 to 200.
    assert pixel(page, 150, 180)[:3] != [128, 128, 128] and pixel(page, 250, 180)[:3] == [128, 128, 128]
    page.select_option("#model", "cells")
    page.wait_for_selector("#found td:has-text('0.500')")
    assert pixel(page, 50, 50)[:3] == [128, 128, 128] and pixel(page, 350, 50)[:3] != [128, 128, 128]
    assert {text.split()[0] for text in page.locator("#found tbody tr").all_inner_texts()} == {
        "background",
        "cell",
    }


@pytest.mark.slow
def test_the_camera(page, address_of):
    models = {"things": Fixed()}
    page.goto(address_of(models))
    page.wait_for_selector("#model option", state="attached")
    page.click("#camera")
    page.wait_for_selector("#found tbody tr")
    before = len(models["things"].batches)
    page.wait_for_timeout(1500)
    assert (
        len(models["things"].batches) >= before + 3
        and page.get_attribute("#camera", "aria-pressed") == "true"
    )
    page.click("#camera")
    page.wait_for_timeout(500)
    after = len(models["things"].batches)
    page.wait_for_timeout(500)
    assert len(models["things"].batches) == after


@pytest.mark.slow
def test_a_token_is_asked_for(page, address_of, tmp_path):
    page.goto(address_of({"things": Fixed()}, token="secret"))
    page.wait_for_selector("#login", state="visible")
    assert "token: missing or wrong" in page.inner_text("#status")
    page.fill("#token", "secret")
    page.keyboard.press("Enter")
    page.wait_for_selector("#login", state="hidden")
    page.set_input_files("#file", photo(tmp_path))
    page.wait_for_selector("#found tbody tr")


@pytest.mark.slow
def test_what_is_wrong_is_said(page, address_of, tmp_path):
    path = tmp_path / "photo.png"
    path.write_text("no picture")
    page.goto(address_of({"things": Fixed()}))
    page.wait_for_selector("#model option", state="attached")
    page.set_input_files("#file", path)
    page.wait_for_selector("#status.error")


@pytest.mark.slow
def test_the_page_of_addresses(page, address_of):
    page.goto(f"{address_of({'things': Fixed()})}/docs")
    page.wait_for_selector("text=POST /v1/models/{name}/detect")
    assert "format (query): objects, full, coco, image, mask" in page.inner_text("main")
