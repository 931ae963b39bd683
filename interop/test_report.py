"""The page that `usagelake report` writes, in a browser, held against DuckDB.

Needs a Chromium (CHROMIUM, or /usr/bin/chromium). USAGELAKE_PICTURES is a folder
to write the README's pictures to.
"""

import decimal
import os
import pathlib
import re
import subprocess

import duckdb
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from invent import invent

ROOT = pathlib.Path(__file__).resolve().parent.parent
BOOK = """
book: invented
entries:
  - {model: "claude-sonnet-4-5", prices: {input: 3, cache_read: 0.3, output: 15}}
  - {model: "gpt-5*", prices: {input: 1.75, cache_read: 0.175, output: 14}}
"""
SUMS = {
    "calls": "count(*)", "input_tokens": "sum(input_tokens)", "output_tokens": "sum(output_tokens)",
    "cost_usd": "sum(cost_usd)", "reported_cost_usd": "sum(reported_cost_usd)", "image_count": "sum(image_count)",
}


CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
pytestmark = pytest.mark.skipif(not os.path.exists(CHROMIUM), reason=f"no browser: {CHROMIUM} is not there (Debian: chromium; or CHROMIUM names one)")


@pytest.fixture(scope="session")
def program():
    return pathlib.Path(os.environ["USAGELAKE"])


@pytest.fixture(scope="session")
def made(program, tmp_path_factory):
    """A lake of a small firm, half of it priced, and its page."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "book.yaml").write_text(BOOK)
    run = lambda *args: subprocess.run([program, *args], cwd=folder, check=True, capture_output=True)
    invent(folder / "logs")
    evil = '{"event_time":"2026-07-01T00:00:00Z","request_id":"e1","model":"</script><img src=x onerror=alert(1)>","project_id":"<b>bold","provider":"openai","prompt_tokens":5,"completion_tokens":1.5,"cost":0.9}\n'
    (folder / "logs" / "gateway" / "2026-07-01.jsonl").open("a").write(evil)
    run("load", "logs", "--lake", "acme", "--prices", "book.yaml")
    run("report", "--lake", "acme", "-o", "report.html", "--prices", "book.yaml")
    return folder


@pytest.fixture(scope="session")
def browser():
    with sync_playwright() as p:
        b = p.chromium.launch(executable_path=CHROMIUM)
        yield b
        b.close()


@pytest.fixture
def page(browser, made, request):
    options = {"viewport": {"width": 1240, "height": 900}} | getattr(request, "param", {})
    context = browser.new_context(**options)
    p = context.new_page()
    p.errors, p.requests = [], []
    p.on("console", lambda m: p.errors.append(m.text) if m.type in ("error", "warning") else None)
    p.on("pageerror", lambda e: p.errors.append(str(e)))
    p.on("request", lambda r: p.requests.append(r.url))
    p.goto((made / "report.html").as_uri())
    yield p
    assert p.errors == []
    assert [u for u in p.requests if not u.startswith("data:")] == [(made / "report.html").as_uri()]
    context.close()


def table(made):
    return f"read_parquet('{made}/acme/usage/**/*.parquet', hive_partitioning = true)"


def duck(made, where="true", sums=SUMS):
    row = duckdb.execute(f"SELECT {', '.join(sums.values())} FROM {table(made)} WHERE {where}").fetchone()
    return {k: decimal.Decimal(str(v or 0)) for k, v in zip(sums, row)}


def shown(page):
    """The sums of the tiles, all their digits. A tile that is not there is 0."""
    return {
        name: decimal.Decimal(page.locator(f"#sum-{name}").get_attribute("data-exact")) if page.locator(f"#sum-{name}").count() else decimal.Decimal(0)
        for name in SUMS
    }


def choose(page, label, value):
    page.get_by_label(label, exact=True).select_option(label=value)


def drawn(page):
    """How many colours each chart has, by its id."""
    return page.evaluate("""() => Object.fromEntries([...document.querySelectorAll('canvas')].map(c => {
      const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, seen = new Set();
      for (let i = 0; i < d.length; i += 4) if (d[i + 3] === 255) seen.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]);
      return [c.closest('.chart').id, seen.size];
    }))""")


def test_page_is_small_and_stands_alone(made):
    html = (made / "report.html").read_text()
    assert len(html.encode()) < 2_000_000
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", html)


def test_same_bytes(program, made):
    again = subprocess.run([program, "report", "--lake", "acme", "-o", "-", "--prices", "book.yaml", "--jobs", "1"], cwd=made, check=True, capture_output=True)
    assert again.stdout == (made / "report.html").read_bytes()


def test_charts_are_drawn(page):
    colors = drawn(page)
    assert set(colors) == {"chart-cost", "chart-tokens", "chart-input", "chart-output"}
    assert colors["chart-cost"] > 4 and colors["chart-tokens"] > 6 and min(colors.values()) > 2
    assert page.locator("svg.strip path.m[d^=M]").count() == 1  # the bad night


def test_all_numbers_are_duckdbs(page, made):
    assert shown(page) == duck(made)
    assert duck(made)["cost_usd"] > 0 and duck(made)["reported_cost_usd"] > duck(made)["cost_usd"]


@pytest.mark.parametrize("filters, where", [
    ({"Provider": "openai"}, "provider = 'openai'"),
    ({"Model": "gpt-5.2"}, "model = 'gpt-5.2'"),
    ({"Project": "search"}, "project_id = 'search'"),
    ({"Project": "<b>bold"}, "project_id = '<b>bold'"),
    ({"Provider": "deepinfra", "Project": "ads"}, "provider = 'deepinfra' AND project_id = 'ads'"),
    ({"Provider": "anthropic", "Model": "claude-sonnet-4-5", "Project": "catalog", "From": "2026-06-03", "To": "2026-07-10"},
     "model = 'claude-sonnet-4-5' AND project_id = 'catalog' AND event_date BETWEEN '2026-06-03' AND '2026-07-10'"),
    ({"From": "2026-07-01", "To": "2026-07-01"}, "event_date = '2026-07-01'"),
    ({"Range": "Last 30 days"}, "event_date > DATE '2026-08-02' - 30"),
])
def test_filters_are_duckdbs(page, made, filters, where):
    before = shown(page)
    for label, value in filters.items():
        if label in ("From", "To"):
            page.get_by_label(label, exact=True).fill(value)
            page.get_by_label(label, exact=True).dispatch_event("change")
        else:
            choose(page, label, value)
    got = shown(page)
    assert got == duck(made, where)
    assert got != before
    # The legends and the lists say the same.
    for chart, sum_of in (("chart-tokens", "input_tokens + output_tokens"), ("chart-input", "input_tokens"), ("chart-output", "output_tokens")):
        legend = page.eval_on_selector_all(f"#{chart} .legend [data-exact]", "list => list.map(e => e.dataset.exact)")
        want = duck(made, where, {"n": f"sum({sum_of})"})["n"]
        assert sum(map(decimal.Decimal, legend)) == want
    page.get_by_role("button", name="Reset").click()
    assert shown(page) == before


def test_dates_follow_each_other(page, made):
    """A day that is chosen stays: the other end moves with it."""
    def fill(label, day):
        page.get_by_label(label, exact=True).fill(day)
        page.get_by_label(label, exact=True).dispatch_event("change")
    chosen = lambda: [page.get_by_label(label, exact=True).input_value() for label in ("From", "To")]
    fill("To", "2026-06-10")
    fill("From", "2026-06-20")
    assert chosen() == ["2026-06-20", "2026-06-20"]
    fill("To", "2026-06-25")
    assert shown(page) == duck(made, "event_date BETWEEN '2026-06-20' AND '2026-06-25'")
    fill("To", "2026-06-01")
    assert chosen() == ["2026-06-01", "2026-06-01"]
    fill("From", "2001-01-01")
    assert chosen() == [page.get_by_label("From", exact=True).get_attribute("min"), "2026-06-01"]


def test_money_has_cents(page):
    choose(page, "Project", "<b>bold")
    assert page.locator("#sum-reported_cost_usd").inner_text() == "$0.90"


def test_top_lists_are_duckdbs(page, made):
    choose(page, "Top lists by", "Cost")
    choose(page, "Cost", "As logged")
    for ident, column in (("top-users", "user_id"), ("top-projects", "project_id"), ("top-keys", "api_key_id")):
        if page.locator(f"#{ident} button").count():
            page.locator(f"#{ident} button").click()
        rows = page.locator(f"#{ident} tbody tr").evaluate_all("rows => rows.map(r => [r.querySelector('th div').textContent, r.querySelector('[data-exact]').dataset.exact])")
        want = dict(duckdb.execute(f"SELECT coalesce({column}, 'none'), coalesce(sum(reported_cost_usd), 0) FROM {table(made)} GROUP BY 1").fetchall())
        assert {("none" if k.startswith("(no ") else k): decimal.Decimal(v) for k, v in rows} == want


def test_savings(page, made):
    # Tokens read from the cache, at the difference of two prices.
    want = duckdb.execute(f"""SELECT sum(CASE WHEN model LIKE 'gpt-5%' THEN cache_read_tokens * 1.575 WHEN model = 'claude-sonnet-4-5' THEN cache_read_tokens * 2.7 END) / 1e6
        FROM {table(made)}""").fetchone()[0]
    assert float(page.locator("#sum-saved").get_attribute("data-exact")) == pytest.approx(want, abs=1e-5)


def test_a_table_beside_each_chart(page, made):
    page.locator("#chart-cost summary").click()
    rows = page.locator("#chart-cost tbody tr")
    expect(rows).to_have_count(91)  # it is filled on toggle, which comes some time after the click
    choose(page, "Bars", "Months")
    expect(rows).to_have_count(4)
    assert "2 missing, 1 thin" in page.locator("#coverage").inner_text()


def test_names_are_no_html(page):
    assert page.locator("main img").count() == 0
    assert page.get_by_label("Model", exact=True).locator("option", has_text="</script><img").count() == 1


def test_keyboard(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        if seen[-1] in ("BODY", "A"):  # once around
            break
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or seen[-1] in ("BODY", "main"), seen[-1]
    for ident in ("theme", "from", "to", "range", "provider", "model", "project", "span", "cost", "reset", "rank"):
        assert ident in seen
    assert seen.count("CANVAS") == 4
    page.locator("#chart-cost canvas").focus()
    page.keyboard.press("End")
    assert page.locator("#chart-cost .said").inner_text().startswith("Aug 2, 2026: ")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#chart-cost .said").inner_text().startswith("Aug 1, 2026: ")


@pytest.mark.parametrize("page", [
    {"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": {"width": 375, "height": 800}, "color_scheme": "dark"},
    {"viewport": {"width": 375, "height": 800}},
], indirect=True, ids=["light", "dark", "phone-dark", "phone"])
def test_accessible(page):
    for d in page.locator("details").all():
        d.evaluate("d => d.open = true")
    expect(page.locator(".chart table")).to_have_count(4)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = [(v["id"], v["impact"], [n["html"][:120] for n in v["nodes"]][:3]) for v in Axe().run(page).response["violations"]]
    assert found == []


def test_theme_switch(page):
    dark = lambda: page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = dark()
    choose(page, "Theme", "Dark")
    assert dark() != light
    choose(page, "Theme", "Light")
    assert dark() == light


@pytest.mark.skipif("USAGELAKE_PICTURES" not in os.environ, reason="only where USAGELAKE_PICTURES says where to")
@pytest.mark.parametrize("page", [{"viewport": {"width": 1240, "height": 860}}, {"viewport": {"width": 1240, "height": 860}, "color_scheme": "dark"}], indirect=True, ids=["light", "dark"])
def test_pictures(page, request):
    folder = pathlib.Path(os.environ["USAGELAKE_PICTURES"])
    if "dark" in request.node.name:
        page.evaluate("scrollTo(0, document.querySelector('#h-input').getBoundingClientRect().top - 110)")
    name = "report-dark.png" if "dark" in request.node.name else "report.png"
    page.screenshot(path=folder / name)
    assert (folder / name).stat().st_size < 150_000
