"""Whatever is text is shown as text."""

import html.parser

import pytest

from tfcaml.reporting.markup import element, escaped, joined

TEXTS = ["<b>", "a & b", "\"'", "</script><script>alert(1)</script>", "&lt;", "日本", "a\nb", "-->"]


def read(document):
    """(texts, attributes) as a browser has them."""
    texts, attributes = [], {}
    parser = html.parser.HTMLParser()
    parser.handle_data = texts.append
    parser.handle_starttag = lambda tag, given: attributes.update(given)
    parser.feed(document)
    parser.close()
    return "".join(texts), attributes


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_back_as_it_was(text):
    assert read(element("p", text, title=text)) == (text, {"title": text})
    assert read(element("p", element("b", text), [text])) == (2 * text, {})


def test_what_html_can_not_hold_is_marked():
    for text in ("a\x00b", "a\x1bb", "a\ud800b", "a\x85b"):
        assert escaped(text) == "a\ufffdb"
        element("p", text, title=text).encode()


def test_attributes_and_children():
    assert element("td", 1.5, class_="x", http_equiv="y") == '<td class="x" http-equiv="y">1.5</td>'
    assert element("img", alt="", src=None, hidden=True) == '<img alt="" hidden>'
    assert element("p", None, [None, "a", ["b"]]) == "<p>ab</p>"
    assert joined([]) == ""
