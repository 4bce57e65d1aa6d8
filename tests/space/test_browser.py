"""Claims about the page in a browser: it loads no external resources, and works on a phone, by keyboard, light and dark."""

# ruff: noqa: F811
import json
import shutil
import time
from collections.abc import Callable, Iterator

import pytest
from samples import ROOT

pytest.importorskip("gradio")
pytest.importorskip("selenium")
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from space.test_app import folder  # noqa: F401, a fixture
from space.test_server import serve

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and its driver")]
SPEECH = str(ROOT / "tests/speech/sad_then_angry_en.wav")
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900")
ARGUMENTS += ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")  # a microphone that beeps
PHONE = {"width": 375, "height": 812, "pixelRatio": 2, "touch": True}


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory) -> Iterator[str]:
    with serve(folder, tmp_path_factory.mktemp("space")) as address:
        yield address


@pytest.fixture
def browse(server) -> Iterator[Callable[..., webdriver.Chrome]]:
    """Open the page."""
    opened = []

    def browse(theme: str = "light", phone: bool = False) -> webdriver.Chrome:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in ARGUMENTS:
            options.add_argument(argument)
        if phone:
            options.add_experimental_option("mobileEmulation", {"deviceMetrics": PHONE})
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        opened.append(webdriver.Chrome(options, webdriver.ChromeService(DRIVER)))
        opened[-1].get(f"{server}?__theme={theme}")
        wait_for(opened[-1], "#speech input[type=file]")
        return opened[-1]

    yield browse
    for browser in opened:
        browser.quit()


def wait_for(browser: webdriver.Chrome, selector: str, text: str = "", displayed: bool = False) -> WebElement:
    """Wait for the first element of a selector to appear (and be displayed) with this text."""
    for _ in range(150):
        for element in browser.find_elements(By.CSS_SELECTOR, selector):
            if text in element.get_attribute("textContent") and (element.is_displayed() or not displayed):
                return element
        time.sleep(0.2)
    raise AssertionError(f"no {selector} with {text!r}")


def upload(browser: webdriver.Chrome, path: str):
    wait_for(browser, "#speech input[type=file]").send_keys(path)


def open_tab(browser: webdriver.Chrome, name: str):
    tabs = [tab for tab in browser.find_elements(By.CSS_SELECTOR, "button[role=tab]") if tab.text.strip() == name]
    next(tab for tab in tabs if tab.is_displayed()).click()


def width(browser: webdriver.Chrome) -> int:
    return browser.execute_script("return Math.max(document.documentElement.scrollWidth, window.innerWidth)")


def test_an_upload_is_answered_without_a_request_to_elsewhere(browse, server):
    browser = browse()
    upload(browser, SPEECH)
    wait_for(browser, "#answer .seq-headline")
    assert wait_for(browser, "#timeline .seq-wide svg").is_displayed()
    assert not wait_for(browser, "#timeline .seq-narrow").is_displayed()
    assert len(browser.find_elements(By.CSS_SELECTOR, "#scores .confidence-set")) == 12
    browser.find_elements(By.CSS_SELECTOR, "#scale input")[2].click()
    wait_for(browser, "#scores", "ambiguous")
    assert len(browser.find_elements(By.CSS_SELECTOR, "#scores .confidence-set")) == 4
    events = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert len(asked) > 10 and [url for url in asked if not url.startswith((server, "data:", "blob:"))] == []


def test_the_microphone_is_answered(browse):
    browser = browse()
    browser.find_element(By.CSS_SELECTOR, "#speech button[aria-label='Record audio']").click()
    wait_for(browser, "#speech .record-button").click()
    time.sleep(2.0)
    wait_for(browser, "#speech .stop-button").click()
    wait_for(browser, "#answer .seq-headline")
    reasons = [reason.text for reason in browser.find_elements(By.CSS_SELECTOR, "#answer .seq-reason")]
    assert reasons in ([], ["No speech was detected in this recording."])  # the second with silero-vad


def test_the_live_tab_answers_while_the_microphone_records(browse):
    browser = browse()
    open_tab(browser, "Live")
    wait_for(browser, "#microphone .record-button", displayed=True).click()
    wait_for(browser, "#live-answer .seq-headline")
    wait_for(browser, "#microphone .stop-button").click()
    wait_for(browser, "#live-answer .seq-note", "the recording has ended")
    wait_for(browser, "#microphone .record-button", displayed=True).click()  # another recording
    wait_for(browser, "#live-answer .seq-note", "no speech at the moment")


def test_an_example_is_answered_by_one_click(browse):
    browser = browse()
    wait_for(browser, "button.gallery-item", "Noise no speech").click()
    wait_for(browser, "#answer .seq-headline")


@pytest.mark.parametrize(
    ("name", "size", "selector", "message"),
    [
        ("text.wav", 800, "#answer .seq-reason", "This file cannot be read as audio"),
        ("text.txt", 800, ".toast-body", "Invalid file type: text.txt."),
        ("large.wav", 26 * 2**20, ".toast-body", "exceed the maximum allowed size of 25"),
    ],
)
def test_a_wrong_file_gets_a_message(browse, tmp_path, name, size, selector, message):
    (tmp_path / name).write_bytes(b"x" * size)
    browser = browse()
    upload(browser, str(tmp_path / name))
    wait_for(browser, selector, message)
    assert "Traceback" not in browser.page_source


def test_the_button_without_a_recording_says_so(browse):
    browser = browse()
    browser.find_element(By.ID, "recognise").click()
    wait_for(browser, "#answer .seq-reason", "There is no recording yet.")


@pytest.mark.parametrize("phone", [False, True])
def test_each_tab_opens(browse, server, phone):
    browser = browse(phone=phone)
    for name, text in (
        ("Live", "Scale of the next recording"),
        ("About", "What it cannot do"),
        ("API", "api_name="),
        ("Recognise", "Scale"),
    ):
        open_tab(browser, name)
        panel = wait_for(browser, "[role=tabpanel]", text, displayed=True)
        panels = browser.find_elements(By.CSS_SELECTOR, "[role=tabpanel]")
        assert [other for other in panels if other.is_displayed()] == [panel]
        assert width(browser) <= (375 if phone else 1280)
    assert f'Client("{server.rstrip("/")}")' in browser.find_element(By.TAG_NAME, "gradio-app").get_attribute(
        "textContent"
    )
    assert not any(dot.is_displayed() for dot in browser.find_elements(By.CSS_SELECTOR, "footer .divider"))


def test_the_endpoint_is_documented(browse):
    browser = browse()
    wait_for(browser, "footer button", "Use via API").click()
    shown = wait_for(browser, ".api-docs", "/recognise").text
    assert "Predict emotion, intensity, timeline, gender and phonemes of speech." in shown
    assert "handle_file('speech.wav')" in shown.replace('"', "'") and "http" not in shown.split("Accepts")[1]


def test_a_phone_scrolls_in_one_direction_only(browse):
    browser = browse(phone=True)
    assert width(browser) == 375
    upload(browser, SPEECH)
    assert wait_for(browser, "#timeline .seq-narrow svg").is_displayed()
    time.sleep(1.0)
    assert width(browser) == 375
    assert browser.execute_script(
        "const box = document.querySelector('.seq-scroll'); return box.scrollWidth <= box.clientWidth"
    )
    top = browser.execute_script("return document.querySelector('#answer').getBoundingClientRect().top")
    assert -50 <= top < 700  # the result is visible


def test_the_keyboard_alone_is_enough(browse):
    browser = browse()
    reached = []
    for _ in range(40):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        active = browser.switch_to.active_element
        reached.append(active.get_attribute("id") or active.get_attribute("aria-label") or active.text)
        if reached[-1] == "recognise":
            break
    assert reached[-1] == "recognise" and "Recognise" in reached
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    wait_for(browser, "#answer .seq-reason", "There is no recording yet.")
    for _ in range(3):
        browser.switch_to.active_element.send_keys(Keys.TAB)
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    wait_for(browser, "#timeline svg")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_drawing_has_the_colour_of_the_text(browse, theme):
    browser = browse(theme)
    upload(browser, SPEECH)
    wait_for(browser, "#timeline svg text")
    fill, color, background = browser.execute_script("""
        const style = selector => getComputedStyle(document.querySelector(selector));
        return [style("#timeline svg text").fill, style("#answer .seq-headline").color, style("gradio-app").backgroundColor];
    """)
    assert fill == color
    dark = theme == "dark"
    assert (luminance(color) > 0.7) is dark and (luminance(background) < 0.1) is dark


def luminance(rgb: str) -> float:
    """Mean of the channels of `rgb(r, g, b)`, in [0, 1]."""
    return sum(int(channel) for channel in rgb[rgb.index("(") + 1 : -1].split(",")[:3]) / 765
