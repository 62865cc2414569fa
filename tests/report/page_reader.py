"""A page as a browser would read it, and what must hold of each. Not a test itself."""

from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "input", "hr"}
FOREIGN = {"script", "link", "img", "iframe", "object", "embed", "form", "input", "base", "video", "audio"}


class Page(HTMLParser):
    """The text, the tags with their attributes, the cells of tables by rows, and what does not close as it should."""

    def __init__(self, path):
        super().__init__()
        self.raw = path.read_text(encoding="utf-8")
        self.open, self.wrong, self.tags, self.text = [], [], [], ""
        self.numbers, self.rows, self.headings = [], [], []
        self.feed(self.raw)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if len(given) != len(attrs):
            self.wrong.append((tag, "an attribute twice"))
        self.tags.append((tag, given))
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)
        if tag == "data":
            self.numbers.append(float(given["value"]))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag in ("h1", "h2", "h3"):
            self.headings.append("")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data
        if {"h1", "h2", "h3"} & set(self.open):
            self.headings[-1] += data


def checked_page(path):
    """The page at `path`: closed in order, nothing in it runs or is fetched, and links lead somewhere in it."""
    page = Page(path)
    assert (page.open, page.wrong) == ([], [])
    assert not {tag for tag, _ in page.tags} & FOREIGN
    assert not [(tag, name) for tag, given in page.tags for name in given if name == "src" or name.startswith("on")]
    policy = [given["content"] for _, given in page.tags if given.get("http-equiv") == "Content-Security-Policy"]
    assert len(policy) == 1
    assert "default-src 'none'" in policy[0]
    assert "script" not in policy[0]
    style = page.raw[page.raw.index("<style>") : page.raw.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    names = [given["id"] for _, given in page.tags if "id" in given]
    assert len(names) == len(set(names))
    links = [given["href"] for tag, given in page.tags if tag == "a"]
    assert links
    assert {link.removeprefix("#") for link in links} <= set(names), set(links) - set(names)
    assert all(link.startswith("#") for link in links)
    places = [page.raw.index(part) for part in ('<div class="verdict', "<section", "<footer>")]
    assert places == sorted(places)  # the verdict first
    assert {"main", "header", "footer", "nav"} <= {tag for tag, _ in page.tags}
    assert all(given.get("aria-label") or given.get("aria-hidden") for tag, given in page.tags if tag == "svg")
    assert {"layoutbridge", "Python", "system", "processor"} <= {row[0] for row in page.rows if row}
    return page
