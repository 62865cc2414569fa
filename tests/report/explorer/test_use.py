"""The page as people use it: with a mouse, with keys alone, on a phone, from a link; what a screen reader is told."""

import re
from importlib.resources import files
from urllib.parse import quote

import pytest

import layoutbridge as lb

OWN = "pattern=" + quote("c (h p:2) (w q:2) -> (p q c) h w")
STATE = "layoutbridge.explorer.state"
PHONE = {"width": 360, "height": 740}


def pattern(page):
    return page.input_value("#pattern")


def names(page):
    page.wait_for_timeout(50)  # names come after the drawing
    return page.locator("#names code").all_inner_texts()


def cell(page, view, index):
    """The middle of an element's cell in a view, on the screen."""
    return page.evaluate(
        """([view, index]) => {
            const explorer = layoutbridge.explorer;
            const planes = view === "input" ? explorer.input : explorer.outputs[0];
            planes.canvas.scrollIntoView({ block: "center" });
            const place = planes.placeOf(index);
            const box = planes.canvas.getBoundingClientRect();
            return [box.x + place.x + planes.layout.size / 2, box.y + place.y + planes.layout.size / 2];
        }""",
        [view, index],
    )


# ---------------------------------------------------------------------- elements


def test_pointing_at_an_output_tells_where_it_comes_from(at):
    page = at("op=darknet_reorg&shape=8,4,4")
    table, out_shape = lb.op("darknet_reorg").table((8, 4, 4)), lb.op("darknet_reorg").out_shape((8, 4, 4))
    for index in (0, 9, 77, 127):
        page.mouse.move(*cell(page, "output", index))
        assert page.evaluate(f"{STATE}.at") == index
        told = page.inner_text("#told")
        assert f"number {table[index]} of 128" in told
        channel, rest = divmod(index, out_shape[1] * out_shape[2])
        assert f"Output [{channel}, {rest // out_shape[2]}, {rest % out_shape[2]}] holds" in told


def test_pointing_at_an_input_tells_where_it_goes(at):
    page = at("op=darknet_reorg&shape=8,4,4")
    table = lb.op("darknet_reorg").table((8, 4, 4)).tolist()
    for position in (0, 9, 77, 127):
        page.mouse.move(*cell(page, "input", position))
        assert page.evaluate(f"{STATE}.at") == table.index(position)


def test_digits_are_told_and_drawn(at):
    page = at("op=focus&shape=3,4,4&at=20")
    assert "digits q=0 p=1 c=2 h=0 w=0, read as c=2 h=0 p=1 w=0 q=0" in page.inner_text("#told")
    drawn = page.locator("#lanes text").all_text_contents()
    assert [text for text in drawn if "=" in text] == [
        "c=2",
        "h=0",
        "p=1",
        "w=0",
        "q=0",
        "q=0",
        "p=1",
        "c=2",
        "h=0",
        "w=0",
    ]
    assert page.locator("#lanes path[stroke-width]").count() == 5


def test_arrow_keys_walk_over_the_output(at):
    page = at("op=space_to_depth&shape=2,4,6")  # [8, 2, 3]
    page.locator("[role=application]").focus()
    keys = (
        ("Right", 1),
        ("Down", 4),
        ("PageDown", 10),
        ("Left", 9),
        ("Up", 6),
        ("End", 47),
        ("Right", 47),
        ("PageUp", 41),
    )
    for key, index in (*keys, ("Home", 0), ("Up", 0)):
        page.keyboard.press(key if key in ("PageDown", "PageUp", "Home", "End") else f"Arrow{key}")
        assert page.evaluate(f"{STATE}.at") == index, key
        assert page.inner_text("#said") == page.inner_text("#told")


def test_any_element_is_looked_up_by_its_place(at):
    page = at("op=darknet_reorg&shape=64,26,26")
    for axis, value in enumerate((200, 3, 12)):
        page.locator("#coordinates input").nth(axis).fill(str(value))
    index = (200 * 13 + 3) * 13 + 12
    assert page.evaluate(f"{STATE}.at") == index
    assert f"number {lb.op('darknet_reorg').table((64, 26, 26))[index]} of 43264" in page.inner_text("#told")
    assert "Of 43,264 elements, those around the marked one are drawn" in page.inner_text("#drawn")
    page.locator("#coordinates input").nth(0).fill("999")
    assert page.evaluate(f"{STATE}.at") == index


@pytest.mark.parametrize("shape", ["1,64,64", "64,8,8", "4096", "1,4097", "512,512", "3,416,416", "100000"])
def test_no_more_than_4096_cells_of_a_tensor_are_drawn(at, shape):
    lengths = tuple(map(int, shape.split(",")))
    axes = " ".join("abc"[: len(lengths)])
    page = at(f"pattern={quote(f'{axes} -> {axes}')}&shape={shape}&at=70")
    drawn = page.evaluate("[...layoutbridge.explorer.input.cells()].map(cell => cell.index)")
    total = 1
    for length in lengths:
        total *= length
    assert len(drawn) == len(set(drawn)) == total if total <= 4096 else 0 < len(drawn) <= 4096
    assert 70 in drawn and ("those around the marked one" in page.inner_text("#drawn")) == (total > 4096)


# ---------------------------------------------------------------------- choosing


def test_choosing_an_operation_and_its_parameters_by_labels(page):
    page.get_by_label("Name", exact=True).first.select_option("pixel_shuffle")
    assert page.input_value("#shape") == "8, 2, 3"
    page.get_by_label("stride").fill("3")
    page.get_by_label("stride").press("Enter")
    assert page.input_value("#shape") == "18, 2, 3"  # the shape before does not fit
    page.get_by_label("spatial").select_option("1")
    assert "spatial 1" in page.inner_text("#verdict")
    page.get_by_label("Shape of the input").fill("6, 5")
    assert "pixel_shuffle (stride 3, spatial 1): [6, 5] becomes [2, 15]" in page.inner_text("#verdict")
    page.get_by_label("A second operation").select_option("depth_to_space")
    assert "depth_to_space (stride 2) takes 3 axes" in page.inner_text("#other-error")


def test_a_shape_that_does_not_fit_is_told_and_mended(page):
    page.get_by_label("Shape of the input").fill("2, 5, 4")
    assert "H = 5 is not a multiple of 2" in page.inner_text("#shape-error")
    assert page.get_attribute("#shape", "aria-invalid") == "true"
    page.get_by_role("button", name="Use [2, 4, 4]").click()
    assert page.inner_text("#shape-error") == "" and page.input_value("#shape") == "2, 4, 4"
    page.get_by_label("Shape of the input").fill("two")
    assert "lengths of 1 or more" in page.inner_text("#shape-error")


def test_parameters_that_cannot_be_are_told(page):
    page.get_by_label("stride").fill("-1")
    page.get_by_label("stride").press("Tab")
    assert "stride must be a whole number of 1 or more" in page.inner_text("#shape-error")
    assert "stride 2" in page.inner_text("#verdict")


def test_the_framework_s_tab_is_chosen_with_arrow_keys(page):
    page.get_by_role("tab", name="einops").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", name="NumPy").get_attribute("aria-selected") == "true"
    assert "import numpy as np" in page.inner_text("#code-text")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert "import jax" in page.inner_text("#code-text")


# ---------------------------------------------------------------------- digits in one's own order


def test_an_operation_s_digits_are_taken_over(page):
    page.get_by_role("button", name="Rearrange its digits").click()
    assert pattern(page) == "c (h p:2) (w q:2) -> (p q c) h w"
    assert names(page)[0] == "space_to_depth (stride 2)"


def test_keys_alone_make_focus_of_space_to_depth(at):
    page = at(OWN)
    chip = page.get_by_role("button", name="q 2. Space lifts it.")
    chip.focus()
    page.keyboard.press("Space")
    assert "q is lifted, place 2 of 3 in axis 0" in page.inner_text("#said")
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#said") == "q: place 1 of 3 in axis 0"
    assert pattern(page) == "c (h p:2) (w q:2) -> (q p c) h w"
    page.keyboard.press("Space")
    assert "q is put down" in page.inner_text("#said")
    assert page.evaluate("document.activeElement.dataset.name") == "q"
    assert names(page) == ["focus (stride 2)"]


def test_escape_puts_a_digit_back(at):
    page = at(OWN)
    page.get_by_role("button", name="c 2. Space lifts it.").focus()
    page.keyboard.press("Enter")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert pattern(page) == "c (h p:2) (w q:2) -> (p q) h (c w)"
    page.keyboard.press("Escape")
    assert pattern(page) == "c (h p:2) (w q:2) -> (p q c) h w"


def test_a_digit_goes_over_every_edge_and_back(at):
    page = at(OWN)
    page.get_by_role("button", name="p 2. Space lifts it.").focus()
    page.keyboard.press("Space")
    seen = []
    for _ in range(9):
        page.keyboard.press("ArrowRight")
        seen.append(pattern(page).partition(" -> ")[2])
    assert seen == ["(q p c) h w", "(q c p) h w", "(q c) (p h) w", "(q c) (h p) w", "(q c) h (p w)", "(q c) h (w p)",
                    "(q c) h w p", "(q c) h w p", "(q c) h w p"]  # fmt: skip
    assert page.inner_text("#said") == "p is at the end"


def drag(page, name, x, y):
    chip = page.locator(f'[data-key="written {name}"]')
    box = chip.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 8, box["y"] + box["height"] / 2)
    page.mouse.move(x, y, steps=4)


def test_a_chip_is_dragged_into_another_axis_and_a_new_one(at):
    page = at(OWN)
    target = page.locator('[data-key="written h"]').bounding_box()
    drag(page, "c", target["x"] + 2, target["y"] + 10)
    assert pattern(page) == "c (h p:2) (w q:2) -> (p q) (c h) w"  # seen while it is dragged
    page.mouse.up()
    assert "c: place 1 of 2 in axis 1" in page.inner_text("#said")
    drag(page, "c", 0, 0)
    box = page.locator(".axis-box", has_text="new axis").bounding_box()
    page.mouse.move(box["x"] + 10, box["y"] + 10, steps=3)
    page.mouse.up()
    assert pattern(page) == "c (h p:2) (w q:2) -> (p q) h w c"
    assert not page.locator(".axis-box", has_text="new axis").is_visible()


def test_a_chip_is_dragged_with_a_finger(at):
    page = at(OWN, viewport=PHONE, has_touch=True, is_mobile=True)
    page.locator("#editor").scroll_into_view_if_needed()
    start = page.locator('[data-key="written c"]').bounding_box()
    end = page.locator('[data-key="written p"]').bounding_box()
    session = page.context.new_cdp_session(page)
    points = [(start["x"] + 20, start["y"] + 20), (start["x"] - 10, start["y"] + 20), (end["x"] + 4, end["y"] + 20)]
    for kind, (x, y) in zip(("touchStart", "touchMove", "touchMove"), points, strict=True):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert pattern(page) == "c (h p:2) (w q:2) -> (c p q) h w"
    assert "pixel_unshuffle (stride 2)" in names(page)


def test_axes_are_cut_and_joined(at):
    page = at(OWN)
    page.get_by_role("button", name="Start a new axis before c").click()
    assert pattern(page) == "c (h p:2) (w q:2) -> (p q) c h w"
    page.get_by_role("button", name="Join axes 2 and 3 into one").click()
    assert pattern(page) == "c (h p:2) (w q:2) -> (p q) c (h w)"


def test_sizes_names_and_readings_are_edited(at):
    page = at(OWN + "&shape=2,4,4")
    page.locator('[data-key="read p"]').click()
    page.get_by_label("Size").fill("3")
    page.get_by_label("Size").press("Enter")
    assert (pattern(page), page.input_value("#shape")) == ("c (h p:3) (w q:2) -> (p q c) h w", "2, 6, 4")
    page.get_by_label("Name", exact=True).last.fill("row")
    page.get_by_label("Name", exact=True).last.press("Enter")
    assert pattern(page) == "c (h row:3) (w q:2) -> (row q c) h w"
    page.get_by_role("button", name="Read backwards").click()
    assert pattern(page) == "c (h row:3) (w q:2) -> (row[::-1] q c) h w"
    page.get_by_label("Name", exact=True).last.fill("q")
    page.get_by_label("Name", exact=True).last.press("Enter")
    assert "no other's" in page.inner_text("#editor")
    page.get_by_role("button", name="Read forwards").click()
    page.get_by_label("grows with its axis").check()
    assert pattern(page) == "c (h:2 row) (w q:2) -> (row q c) h w"


def test_a_digit_is_split_and_merged_again(at):
    page = at(OWN + "&shape=2,8,4")
    page.locator('[data-key="read h"]').click()
    page.get_by_role("button", name="Split").click()
    assert pattern(page) == "c (h r:2 p:2) (w q:2) -> (p q c) (h r) w"
    page.get_by_role("button", name="Merge with r").click()
    assert pattern(page) == "c (h p:2) (w q:2) -> (p q c) h w"
    assert page.input_value("#shape") == "2, 8, 4"


def test_digits_that_cross_the_axes_are_moved_too(at):
    page = at("op=darknet_reorg")
    page.get_by_role("button", name="Rearrange its digits").click()
    assert pattern(page) == "C H W | c:C/4 h:H p:2 w:W q:2 -> p q c h w | 4*C H/2 W/2"
    page.locator('[data-key="written q"]').focus()
    page.keyboard.press("Space")
    page.keyboard.press("ArrowLeft")
    assert pattern(page) == "C H W | c:C/4 h:H p:2 w:W q:2 -> q p c h w | 4*C H/2 W/2"
    page.get_by_role("button", name="Make an axis of each digit").click()
    assert pattern(page) == "C H W | c:C/4 h:H p:2 w:W q:2 -> q p c h w"
    shape = tuple(page.evaluate(f"{STATE}.shape"))
    assert lb.Rearrangement(pattern(page)).out_shape(shape) == tuple(
        page.evaluate("layoutbridge.explorer.shown.outShape")
    )


def test_every_entry_s_digits_are_taken_over_as_the_same_map(page):
    found = page.evaluate(
        """names => names.map(name => {
            const explorer = layoutbridge.explorer;
            explorer.set({ a: { entry: name, values: {} }, shape: null });
            const [side, shape] = [explorer.state.a, explorer.state.shape];
            explorer.makeOwn();
            const own = explorer.state.a;
            const { names } = layoutbridge.answer(own, shape);
            return [own.pattern, names.some(each => each.name === name && each.forAllSizes)];
        })""",
        [name for name in lb.catalog() if name != "qkv_rows_grouped"],
    )
    assert [text for text, is_same in found if not is_same] == []


def test_a_pattern_is_written_and_what_is_wrong_told(at):
    page = at(OWN)
    page.get_by_label("Pattern").fill("c h w -> h w")
    assert "c on the left is missing on the right" in page.inner_text("#pattern-error")
    assert page.get_attribute("#pattern", "aria-invalid") == "true"
    page.get_by_label("Pattern").fill("c h w -> h w c")
    assert page.inner_text("#pattern-error") == "" and names(page)[0] == "nchw_to_nhwc"
    assert page.evaluate("document.activeElement.id") == "pattern"


# ---------------------------------------------------------------------- links


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    "link",
    [
        "op=focus&p.stride=3&shape=3,6,9&at=17&colours=axis:1&code=JAX&batch=no",
        "op=pixel_shuffle&p.stride=2x3&with=depth_to_space&q.stride=2x3&shape=6,2,2",
        OWN + "&with-pattern=" + quote("c (h p:2) (w q:2) -> (c p q) h w") + "&shape=2,4,4&colours=digit:p",
        "op=lstm_gates&p.source=keras&p.target=onnx&shape=8,3",
        "op=unpatchify&p.patch=2&p.height=3&p.width=4&shape=12,12",
    ],
)
def test_a_link_holds_what_is_seen(at, link):
    page = at(link)
    assert page.inner_text("#ignored") == ""
    page.evaluate("layoutbridge.explorer.keepLink()")
    first, kept = seen(page), page.evaluate("location.hash.slice(1)")
    assert seen(at(kept)) == first


def seen(page):
    names(page)
    texts = [page.inner_text(f"#{part}") for part in ("verdict", "told", "code-text", "names", "drawn")]
    return texts, page.evaluate(STATE)


def test_the_link_follows_what_is_done_and_back(page):
    page.get_by_label("Name", exact=True).first.select_option("focus")
    page.wait_for_timeout(400)
    assert "op=focus" in page.evaluate("location.hash")
    page.evaluate("location.hash = 'op=darknet_reorg&shape=4,4,4'")
    page.wait_for_timeout(100)
    assert "darknet_reorg (stride 2): [4, 4, 4] becomes [16, 2, 2]" in page.inner_text("#verdict")


HOSTILE = [
    "op=%3Cimg%20src%3Dx%20onerror%3D%22window.hacked%3D1%22%3E",
    "pattern=%3Cscript%3Ewindow.hacked%3D1%3C%2Fscript%3E",
    "pattern=" + quote('a"""b -> b'),
    "op=constructor",
    "op=__proto__",
    "op=focus&p.__proto__=3",
    "op=focus&p.constructor=3",
    "op=focus&p.stride=" + "9" * 400,
    "op=focus&p.stride=2x2x2x2x2x2x2x2x2x2x2",
    "op=focus&shape=" + "9" * 400,
    "op=focus&shape=-1,0,1e9",
    "op=focus&shape=" + "4," * 500 + "4",
    "op=focus&shape=3,5,5",
    "op=focus&at=99999999999999999999",
    "op=focus&at=-1",
    "op=focus&colours=javascript:alert(1)",
    "op=focus&colours=digit:nothing",
    "op=focus&code=constructor",
    "with=nothing&with-pattern=%00",
    "shape=9007199254740991,9007199254740991",
    "%%%=%E0%A4%A",
    "pattern=" + quote(" then ".join(["a b -> b a"] * 40)),
    "pattern=" + quote("a" * 5000 + " -> a"),
    "pattern=" + quote("g[" + " ".join(map(str, range(5000))) + "]"),
    "x" * 30_000,
]


@pytest.mark.sample(6, slow=6)
@pytest.mark.parametrize("link", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_link_runs_nothing_and_leaves_a_page_that_works(at, link):
    page = at(link)
    assert page.evaluate("window.hacked") is None
    page.get_by_label("Name", exact=True).first.select_option("pixel_unshuffle")
    assert "pixel_unshuffle (stride 2)" in page.inner_text("#verdict")
    assert page.locator("script").count() == 2 and page.locator("img").count() == 0


def test_what_of_a_link_is_left_out_is_told(at):
    page = at("op=nothing&shape=two&more=1")
    told = page.inner_text("#ignored")
    assert "no operation is called nothing" in told and "lengths of 1 or more" in told and "more" in told


PUT_IN = """() => {
    document.body.insertAdjacentHTML("beforeend", '<img src=x onerror="window.hacked = 1">');
    const made = document.createElement("script");
    made.textContent = "window.hacked = 1";
    document.body.append(made);
}"""


def test_the_policy_holds_against_a_script_that_is_put_in(desk, address):
    page, heard = desk
    page.goto(address)
    page.evaluate(PUT_IN)
    page.wait_for_timeout(100)
    assert page.evaluate("window.hacked") is None
    assert any("Content Security Policy" in words for words in heard)


# ---------------------------------------------------------------------- for everybody


STATES = [
    "",
    "op=darknet_reorg&with=focus&shape=8,4,4",
    OWN,
    "op=patchify&shape=3,64,64&code=ONNX",
    "op=focus&shape=3,5,5",
    "pattern=" + quote("a b c d e f g h -> h g f e d c b a"),
    "op=qkv_rows_grouped&code=PyTorch",
]


@pytest.mark.sample(3, slow=2)
@pytest.mark.parametrize("link", STATES, ids=range(len(STATES)))
def test_a_phone_s_width_needs_no_scrolling_sideways(at, link):
    page = at(link, viewport=PHONE)
    for chip in page.locator('[data-key^="written"]').all()[:1]:
        chip.focus()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    small = """[...document.querySelectorAll("button, select, input:not([type=checkbox])")]
        .filter(each => each.offsetParent)
        .filter(each => Math.min(each.getBoundingClientRect().height, each.getBoundingClientRect().width) < 24)
        .map(each => each.outerHTML)"""
    assert page.evaluate(small) == []


@pytest.mark.parametrize("link", STATES, ids=range(len(STATES)))
def test_every_control_has_a_name_and_every_id_is_one_alone(at, link):
    page = at(link)
    for chip in page.locator('[data-key^="written"]').all()[:1]:
        chip.focus()
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    roles = {
        "button",
        "combobox",
        "textbox",
        "checkbox",
        "spinbutton",
        "tab",
        "tabpanel",
        "application",
        "img",
        "group",
        "image",
    }
    shown = [node for node in nodes if not node["ignored"] and node["role"]["value"] in roles]
    assert len(shown) > 15
    assert [node for node in shown if not node.get("name", {}).get("value")] == []
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(each => each.id)")
    assert len(ids) == len(set(ids))


def test_tab_reaches_every_control_in_the_order_of_the_page(at):
    page = at(OWN)
    wanted = page.evaluate(
        """[...document.querySelectorAll("a, button, select, input, [tabindex='0']")]
            .filter(each => each.offsetParent && !each.disabled && each.tabIndex >= 0).length"""
    )
    reached = []
    for _ in range(wanted + 6):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "document.activeElement.id || document.activeElement.dataset.key || document.activeElement.textContent"
            )
        )
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or page.evaluate("document.activeElement === document.body"), reached[-1]
    assert {"copy-link", "side-a-name", "shape", "pattern", "written p", "colours", "copy-code", "batch"} <= set(
        reached
    )


def luminance(colour):
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_edges_stand_out(at, scheme):
    page = at("", color_scheme=scheme)
    colour = {
        name: page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('--{name}').trim()")
        for name in (
            "page",
            "card",
            "soft",
            "field",
            "ink",
            "muted",
            "wrong",
            "edge",
            "ring",
            "accent",
            "on-accent",
            *(f"digit-{k}" for k in range(8)),
        )
    }
    for text in ("ink", "muted", "wrong"):
        for ground in ("page", "card", "soft", "field"):
            assert contrast(colour[text], colour[ground]) >= 4.5, (text, ground)
    assert contrast(colour["accent"], colour["on-accent"]) >= 4.5
    for edge in ("edge", "ring"):
        assert contrast(colour[edge], colour["card"]) >= 3, edge
    tones = [
        page.evaluate(f"getComputedStyle(document.documentElement).getPropertyValue('--digit-{k}').trim()")
        for k in range(8)
    ]
    assert all(contrast(tone, colour["card"]) >= 3 for tone in tones)


def test_numbers_in_cells_stand_out_and_tones_go_from_dark_to_light():
    source = files("layoutbridge.report.explorer").joinpath("planes.js").read_text(encoding="utf-8")
    stops = re.findall("#[0-9a-f]{6}", source.partition("const STOPS = [")[2].partition("]")[0])
    assert len(stops) == 10
    lights = [luminance(stop) for stop in stops]
    assert lights == sorted(lights) and len(set(lights)) == len(lights)
    for stop, light in zip(stops, lights, strict=True):
        assert contrast(stop, "#000000" if light > 0.179 else "#ffffff") >= 4.5


def test_nothing_moves_for_those_who_want_it_so(at):
    still = at("", reduced_motion="reduce")
    assert still.evaluate("getComputedStyle(document.querySelector('#copy-link')).transitionDuration") == "0s"
    assert at("").evaluate("getComputedStyle(document.querySelector('#copy-link')).transitionDuration") != "0s"
