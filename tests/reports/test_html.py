"""The page in a browser: it draws, tells, copies and loads nothing, on a phone and in the dark."""

import json
import re
import shutil
import time

import pytest
from factories import report, variant
from hostile import hostile_report

from scaleprof.errors import MissingExtraError
from scaleprof.records import ModuleCost, replace
from scaleprof.reports import html as pages
from scaleprof.reports import read_report
from scaleprof.reports.html import report_html
from scaleprof.reports.html._cost import fit_through, stages
from scaleprof.reports.html._figures import markup

EXAMPLE = "profiles/examples/convnext_atto-cpu.json"
PHONE, DESK = (390, 844), (1280, 900)
CALL = (
    "import timm\ntimm.create_model('convnext_atto', depths=(3, 2, 8, 2), dims=(48, 88, 176, 352))"
)
DRAWN_WITHIN_S = 30

# a page in a headless browser, which asks nobody anything
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("needs chromium and chromedriver (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pages")
    example = read_report(EXAMPLE)
    other = replace(example, base=replace(example.base, model="another"))
    (path / "one.html").write_text(report_html([example]))
    (path / "two.html").write_text(report_html([example, other]))
    (path / "evil.html").write_text(report_html([hostile_report(), hostile_report()]))
    return path


def open_page(browser, path, *, size=DESK, dark=False):
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme]})
    browser.get(path.as_uri())
    permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
    browser.execute_cdp_cmd("Browser.grantPermissions", {"permissions": permissions})
    drawn = "return [...document.querySelectorAll('.plot')].every(box => box.dataset.drawn)"
    wait_for(lambda: browser.execute_script(drawn))


def wait_for(condition):
    deadline = time.monotonic() + DRAWN_WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, "the page did not do it in time"
        time.sleep(0.05)


def point_at(browser, box, kind):
    """Move the mouse to the last point of a figure, and press it if asked."""
    browser.execute_script(f"document.getElementById('{box}').scrollIntoView({{block: 'center'}})")
    where = browser.execute_script(
        f"const all = document.querySelectorAll('#{box} .scatterlayer .points path');"
        "const at = all[all.length - 1].getBoundingClientRect();"
        "return [at.x + at.width / 2, at.y + at.height / 2]"
    )
    place = {"x": where[0], "y": where[1]}
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved"} | place)
    for event in ("mousePressed", "mouseReleased") if kind == "click" else ():
        pressed = {"type": event, "button": "left", "clickCount": 1}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", pressed | place)


def text_of(browser, selector):
    found = browser.execute_script(f"return document.querySelector({selector!r})?.textContent")
    return found or ""


def clipboard(browser):
    return browser.execute_async_script(
        "navigator.clipboard.readText().then(arguments[0], e => arguments[0](String(e)))"
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("page", ["one", "two"])
def test_the_page_draws_everything_fits_and_loads_nothing(browser, folder, page, size, dark):
    open_page(browser, folder / f"{page}.html", size=size, dark=dark)
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    plots = browser.execute_script("return document.querySelectorAll('.plot .main-svg').length")
    assert plots > 0
    assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]
    page_colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    paper = browser.execute_script(
        "return getComputedStyle(document.querySelector('.main-svg')).backgroundColor"
    )
    assert paper == page_colour
    assert (page_colour == "rgb(255, 255, 255)") is not dark


def test_hovering_shows_the_recipe(browser, folder):
    open_page(browser, folder / "one.html")
    point_at(browser, "front-0", "hover")
    wait_for(lambda: "click to copy" in text_of(browser, "#front-0 .hoverlayer"))
    told = text_of(browser, "#front-0 .hoverlayer")
    assert "dwr ×2.02" in told
    assert "25.9 ms" in told
    assert "timm.create_model" in told


def test_clicking_copies_the_call_of_the_choice(browser, folder):
    open_page(browser, folder / "one.html")
    point_at(browser, "front-0", "click")
    wait_for(lambda: text_of(browser, "figure output").startswith("copied: "))
    assert clipboard(browser) == CALL


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_the_button_copies_too(browser, folder, size):
    open_page(browser, folder / "one.html", size=size)
    browser.execute_script("document.querySelector('section > button').click()")
    wait_for(lambda: text_of(browser, "#copied-0") == f"copied: {CALL}")


def test_a_click_on_several_fronts_copies_from_the_report_it_belongs_to(browser, folder):
    open_page(browser, folder / "two.html")
    browser.execute_script(
        "content.calls[1] = Object.fromEntries(Object.keys(content.calls[1])"
        ".map(id => [id, 'of the second']))"
    )
    point_at(browser, "fronts-0", "click")
    wait_for(lambda: "of the second" in text_of(browser, "figure output"))


def test_a_change_of_theme_draws_anew(browser, folder):
    open_page(browser, folder / "one.html")
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    ink = "return document.querySelector('#front-0 .xtick text').style.fill"
    wait_for(lambda: browser.execute_script(ink) == "rgb(230, 233, 238)")


def test_a_hostile_report_runs_nothing_and_adds_no_element(browser, folder):
    open_page(browser, folder / "evil.html")
    point_at(browser, "front-0", "hover")
    wait_for(lambda: "click to copy" in text_of(browser, "#front-0 .hoverlayer"))
    assert browser.execute_script("return window.owned ?? null") is None
    count = "return document.querySelectorAll('img, a, iframe, form, object, embed').length"
    assert browser.execute_script(count) == 0
    assert browser.execute_script("return document.scripts.length") == 3
    assert browser.get_log("browser") == []


def test_the_page_admits_its_own_scripts_only(folder):
    text = (folder / "evil.html").read_text()
    assert len(re.findall(r"<script\b", text)) == 3
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.partition("style-src")[0]


def test_text_of_a_report_is_no_markup():
    assert markup("<b>a</b>\n%{x} & b") == "&lt;b&gt;a&lt;/b&gt; %{x} &amp; b"


def test_figures_hold_no_number_that_json_has_not():
    odd = report(variant("base", latency_s=1e-12, top1=1e308), variant("x", latency_s=1e9, top1=5))
    content = re.search(r'id="content">(.*?)</script>', report_html([odd]), re.DOTALL)[1]
    assert "figures" in json.loads(content, parse_constant=pytest.fail)


@pytest.mark.parametrize("module_count", [0, 1, 3])
def test_a_report_is_shown_whatever_it_lacks(module_count):
    bare = variant("base")
    rows = tuple(module(f"m{i}", i) for i in range(module_count))
    bare = replace(bare, cost=replace(bare.cost, modules=rows))
    text = report_html([report(bare)])
    assert "nothing was chosen" in text


def module(path, traffic):
    return ModuleCost(path=path, type="Block", params=traffic, macs=traffic, activations=traffic,
                      activation_bytes=traffic, traffic_bytes=traffic)  # fmt: skip


def test_the_largest_stages_are_cut_while_there_is_room():
    rows = (module("", 100), module("stem", 10), module("body", 80), module("head", 10),
            module("body.0", 50), module("body.1", 30), module("body.0.a", 25),
            module("body.0.b", 25))  # fmt: skip
    cost = replace(variant("base").cost, modules=rows)
    names = [[stage.name for stage in stages(cost, at_most=n)] for n in (3, 4, 9)]
    assert names == [
        ["stem", "body", "head"],
        ["stem", "head", "body.0", "body.1"],
        ["stem", "head", "body.1", "body.0.a", "body.0.b"],
    ]


def test_a_power_law_is_found_again():
    # y = 3 x^2, without scatter
    fit = fit_through([1, 2, 4, 8], [3, 12, 48, 192])
    assert fit.at(16) == pytest.approx(768)
    assert fit.scatter == pytest.approx(0, abs=1e-9)


def test_points_on_one_vertical_have_no_line():
    assert fit_through([5, 5, 5], [1, 2, 3]) is None


def test_without_plotly_the_extra_is_named(monkeypatch):
    def missing(_):
        raise ModuleNotFoundError

    monkeypatch.setattr(pages._page, "files", missing)
    with pytest.raises(MissingExtraError) as caught:
        pages._page._plotly()
    assert caught.value.hint == "pip install 'scaleprof[html]'"
