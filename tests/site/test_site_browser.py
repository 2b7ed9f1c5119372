"""The site in a real browser, opened from its files."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from callgate.workbench.catalogue import Catalogue, CatalogueServer, Tool
from callgate.workbench.site import build_site
from support.catalogue_site import HOSTILE_NAMES, rich_catalogue
from support.chromium import Chromium, chromium
from support.gateway.environments import NODE, PACKAGES, needed

AXE = PACKAGES / "node_modules" / "axe-core" / "axe.min.js"
TOOLS = sum(len(server.tools) for server in rich_catalogue().servers.values())
ROWS = "document.querySelectorAll('#results li').length"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with chromium(tmp_path_factory.mktemp("browser") / "profile") as browser:
        browser.ask("Page.addScriptToEvaluateOnNewDocument", source=NOTE_VIOLATIONS)
        yield browser


NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
window.addEventListener("error", (event) => window.violations.push(event.message));
"""


def look(browser: Chromium, page: Path, *, scheme: str = "light", width: int = 1280, fragment: str = "") -> None:
    """Opens a page as a reader with these preferences sees it."""
    browser.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.go("about:blank")
    browser.go(page.as_uri() + fragment)


def set_field(browser: Chromium, field: str, value: str) -> None:
    browser.run(
        f"{{const field = document.getElementById({json.dumps(field)}); field.value = {json.dumps(value)};"
        "field.dispatchEvent(new Event('input', {bubbles: true}))}"
    )


def names(browser: Chromium) -> list[str]:
    found: list[str] = browser.run("[...document.querySelectorAll('#results .name')].map(one => one.textContent)")
    return found


def pages_to_look_at(site: Path) -> list[Path]:
    """The pages of each kind, and those of tools with hostile names of each kind."""
    fixed = ["index.html", "about.html", "servers.html", "categories/read.html", "risks/not-known.html"]
    tools = ["files/run_command", "files/many", "mixed/create_other_unknown", "mixed/create_destructive_critical"]
    return [
        *(site / name for name in fixed),
        *(site / "tools" / f"{name}.html" for name in (*tools, "mixed/create_financial_high")),
        *sorted((site / "servers").glob("*.html")),
        *sorted(site.glob("tools/b-hostile*/*.html"))[::6],
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_faults_of_accessibility(site: Path, browser: Chromium, scheme: str) -> None:
    needed(NODE)
    axe = AXE.read_text(encoding="utf-8")
    for page in pages_to_look_at(site):
        look(browser, page, scheme=scheme, width=1280)
        browser.run(axe)
        found = browser.resolve("axe.run(document).then(result => JSON.stringify([result.violations, result.passes]))")
        violations, passes = json.loads(found)
        assert violations == [], page
        # Contrast was measured, in the colours of this scheme.
        assert "color-contrast" in {one["id"] for one in passes}
        background = browser.run("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(20, 23, 26)") == (scheme == "dark")


def test_axe_finds_faults(browser: Chromium, tmp_path: Path) -> None:
    needed(NODE)
    (tmp_path / "page.html").write_text("<!DOCTYPE html><title>x</title><img src=x><p style='color:#ccc'>pale</p>")
    browser.go((tmp_path / "page.html").as_uri())
    browser.run(AXE.read_text(encoding="utf-8"))
    found = browser.resolve("axe.run(document).then(result => result.violations.map(one => one.id))")
    assert {"image-alt", "color-contrast", "html-has-lang"} <= set(found)


def test_no_page_runs_or_loads_anything_else(site: Path, browser: Chromium) -> None:
    for page in {*pages_to_look_at(site), *site.glob("tools/b-hostile*/*.html")}:
        browser.go(page.as_uri())
        assert browser.run("window.violations.join()") == "", page
        assert browser.run("document.title") != "owned", page
        # The style and the scripts are in force.
        assert browser.run("getComputedStyle(document.documentElement).getPropertyValue('--mono') !== ''"), page
        assert browser.run("!document.getElementById('theme').hidden"), page
        loaded = browser.run("performance.getEntriesByType('resource').map(one => one.name)")
        assert all(address.startswith("file:") for address in loaded), page


def test_inline_scripts_are_refused(site: Path, browser: Chromium) -> None:
    browser.go((site / "about.html").as_uri())
    browser.run(
        "{const one = document.createElement('script'); one.textContent = 'window.ran = 1'; document.body.append(one)}"
    )
    browser.until("window.violations.length > 0")
    assert browser.run("window.ran") is None
    assert browser.run("window.violations[0]") == "script-src-elem"


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_window(site: Path, browser: Chromium, width: int) -> None:
    for page in pages_to_look_at(site):
        look(browser, page, width=width)
        over = browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over == 0, (page, width)


def test_search_and_filters(site: Path, browser: Chromium) -> None:
    look(browser, site / "index.html")
    assert browser.run("document.getElementById('found').textContent") == f"{TOOLS} tools"
    assert browser.run(ROWS) == 50
    while not browser.run("document.getElementById('more').hidden"):
        browser.run("document.getElementById('more-button').click()")
    assert browser.run(ROWS) == TOOLS
    assert browser.run("document.activeElement.tagName") == "A"

    set_field(browser, "q", "RUN command")
    assert names(browser) == ["run_command"]
    assert browser.run("document.getElementById('found').textContent") == "1 tool found"
    browser.leave("document.querySelector('#results a').click()")
    browser.until("location.pathname.endsWith('/tools/files/run_command.html') && document.readyState === 'complete'")
    # The way back leads to what was found.
    browser.leave("history.back()")
    browser.until("location.pathname.endsWith('/index.html') && document.readyState === 'complete'")
    assert browser.run("document.getElementById('q').value") == "RUN command"
    assert names(browser) == ["run_command"]

    set_field(browser, "q", "")
    set_field(browser, "category", "3")
    set_field(browser, "server", "0")
    assert names(browser) == [f"create_destructive_{risk}" for risk in ("critical", "high", "medium", "low", "unknown")]
    set_field(browser, "risk", "0")
    assert names(browser) == ["create_destructive_low"]
    set_field(browser, "q", "nothing has this name")
    assert "No tool fits." in browser.text
    browser.run("document.getElementById('clear').click()")
    assert browser.run(ROWS) == 50
    assert browser.run("document.activeElement.id") == "q"
    assert browser.run("location.hash") == ""

    look(browser, site / "index.html", fragment="#category=5&risk=4")
    assert "create_other_unknown" in names(browser)
    assert all(
        "Not classified" in text
        for text in browser.run("[...document.querySelectorAll('#results li')].map(one => one.innerText)")
    )


def test_results_look_like_the_pages_that_need_no_script(site: Path, browser: Chromium) -> None:
    of_script = "[...document.querySelectorAll('#results li')].map(one => one.innerText.replace(/\\s+/g, ' '))"
    browser.ask("Emulation.setScriptExecutionDisabled", value=True)
    look(browser, site / "index.html")
    without = browser.run(of_script)
    assert browser.run("document.getElementById('search').hidden")
    assert browser.run("document.getElementById('theme').hidden")
    assert "The pages of servers, categories and risks have all of them." in browser.text
    browser.ask("Emulation.setScriptExecutionDisabled", value=False)
    look(browser, site / "index.html")
    assert browser.run(of_script) == without
    assert len(without) == 50


def test_hostile_names_are_found_and_harmless(site: Path, browser: Chromium) -> None:
    look(browser, site / "index.html")
    set_field(browser, "server", "1")
    while not browser.run("document.getElementById('more').hidden"):
        browser.run("document.getElementById('more-button').click()")
    assert len(names(browser)) == len(HOSTILE_NAMES)
    set_field(browser, "q", "<img src=x onerror=alert(1)>")
    assert names(browser) == ["<img src=x onerror=alert(1)>"]
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert browser.run("document.title") != "owned"


def test_the_theme_is_kept(site: Path, browser: Chromium) -> None:
    dark = "getComputedStyle(document.body).backgroundColor === 'rgb(20, 23, 26)'"
    look(browser, site / "index.html")
    assert not browser.run(dark)
    browser.run("document.getElementById('theme').click()")
    assert browser.run(dark)
    assert browser.run("document.getElementById('theme').getAttribute('aria-label')") == "Light colours"
    look(browser, site / "tools/files/run_command.html")
    assert browser.run(dark)
    browser.run("document.getElementById('theme').click()")
    assert not browser.run(dark)
    look(browser, site / "index.html", scheme="dark")
    assert not browser.run(dark)
    browser.run("localStorage.clear()")
    look(browser, site / "index.html", scheme="dark")
    assert browser.run(dark)
    browser.run("localStorage.clear()")


def test_keys_alone_are_enough(site: Path, browser: Chromium) -> None:
    def press(key: str) -> None:
        for kind in ("rawKeyDown", "keyUp"):
            browser.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=9)

    look(browser, site / "tools/files/run_command.html")
    seen = []
    for _ in range(200):
        press("Tab")
        if browser.run("document.activeElement === document.body"):
            break
        seen.append(browser.run("document.activeElement.textContent.trim().slice(0, 40)"))
        outline = browser.run("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", seen[-1]
    assert seen[:2] == ["Skip to the content", "Tools & <things>"]
    assert {"Dark", "Copy", "Related tools"} <= set(seen)


def test_policies_are_copied(site: Path, browser: Chromium) -> None:
    browser.ask("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    look(browser, site / "tools/files/run_command.html")
    browser.run("document.querySelector('.copy').click()")
    browser.until("['Copied', 'Selected'].includes(document.querySelector('.copy').textContent)")
    policy = browser.run("document.querySelector('pre').textContent")
    if browser.run("document.querySelector('.copy').textContent") == "Selected":
        copied = browser.run("String(getSelection())")
    else:
        copied = browser.resolve("navigator.clipboard.readText()")
    assert copied.strip() == policy.strip()


def test_pages_are_printed_whole(site: Path, browser: Chromium) -> None:
    look(browser, site / "tools/files/run_command.html", scheme="dark")
    browser.ask("Emulation.setEmulatedMedia", media="print")
    controls = "[...document.querySelectorAll('.top nav, #theme, .copy, .contents')]"
    assert browser.run(f"{controls}.length") > 8
    assert browser.run(f"{controls}.filter(one => one.getClientRects().length).length") == 0
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    blocks = "[...document.querySelectorAll('pre, .description')]"
    cut = browser.run(f"{blocks}.filter(one => one.scrollHeight > one.clientHeight + 1).length")
    assert cut == 0
    printed = base64.b64decode(browser.ask("Page.printToPDF")["data"])
    assert printed.startswith(b"%PDF-")
    browser.ask("Emulation.setEmulatedMedia", media="")


def test_two_thousand_tools(browser: Chromium, tmp_path: Path) -> None:
    categories: tuple[Any, ...] = ("Read", "Write", "Execute", None)
    servers = {
        f"server-{s}": CatalogueServer(
            {
                f"{verb}_thing_{s}_{n}": Tool(
                    f"{verb}_thing_{s}_{n}", category=categories[n % 4], description="words " * 99
                )
                for n, verb in enumerate(("get", "create", "run", "sync") * 25)
            }
        )
        for s in range(20)
    }
    built = build_site(Catalogue(servers), tmp_path / "site")
    assert (built.tools, built.servers, built.unclassified) == (2000, 20, 500)
    assert len(list((tmp_path / "site/tools").rglob("*.html"))) == 2000
    look(browser, tmp_path / "site/index.html")
    assert browser.run("document.getElementById('found').textContent") == "2,000 tools"
    set_field(browser, "q", "thing_19_99")
    assert names(browser) == ["sync_thing_19_99"]
    assert (tmp_path / "site/index.html").stat().st_size < 60_000
    assert (tmp_path / "site/assets/catalogue.js").stat().st_size < 700_000
