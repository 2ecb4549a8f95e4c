"""What Jinja2, Python and its parsers say of a template gets a sentence of ours, for other languages."""

from collections.abc import Mapping

from sidecar.errors import in_our_words, said

# What they say, and what the same is in our words: pages in English show the original, as commands do.
_SENTENCES: Mapping[str, str] = {
    # Jinja2
    r"unexpected end of template, expected (?P<wanted>.+?)\.?": said(
        "the template ends too early: %(wanted)s is expected"
    ),
    r"unexpected 'end of template'": said("the expression ends too early"),
    r"expected token (?P<wanted>.+), got (?P<got>.+)": said("%(wanted)s is expected here, not %(got)s"),
    r"unexpected (?P<got>'.+'), expected (?P<wanted>'.+')": said("%(wanted)s is expected here, not %(got)s"),
    r"unexpected char (?P<got>.+) at \d+": said("the character %(got)s cannot stand here"),
    r"unexpected (?P<got>.+)": said("%(got)s cannot stand here"),
    r"Encountered unknown tag (?P<tag>'.+?')\..* Jinja was looking for .*: (?P<wanted>'.+)\. The .*": said(
        "there is no tag %(tag)s here: %(wanted)s is expected"
    ),
    r"Encountered unknown tag (?P<tag>'.+?')\..*": said("there is no tag %(tag)s"),
    r"Unexpected end of template\. .* block that needs to be closed is (?P<tag>'.+')\.": said(
        "the template ends before its block %(tag)s is closed"
    ),
    r"Missing end of comment tag": said("this comment is never closed"),
    r"Missing end of raw directive": said("this block is never closed"),
    # JSON
    r"Expecting value": said("a value is missing"),
    r"Expecting (?P<sign>'.') delimiter": said("%(sign)s is missing"),
    r"Expecting property name enclosed in double quotes": said("a key in double quotes is missing"),
    r"Extra data": said("something follows the end"),
    r"Invalid \\\\(?:escape|uXXXX escape).*": said("a backslash begins no escape that JSON knows"),
    r"Unterminated string starting at": said("a text is never closed"),
    r"Invalid control character(?: at)?": said("a text holds a line break or another control character"),
    # XML
    r"mismatched tag": said("a tag is closed that is not the open one"),
    r"not well-formed \(invalid token\)|syntax error": said("it is not well-formed"),
    r"no element found": said("an element is missing or never closed"),
    r"junk after document element": said("something follows the end"),
    r"unclosed token": said("a tag is never closed"),
    r"undefined entity": said("an entity is not known"),
    r"unbound prefix": said("a prefix has no namespace"),
    r"duplicate attribute": said("an attribute stands there twice"),
    # Python
    r"(?:integer )?(?:division|modulo)(?: or modulo)? by zero": said("it is divided by zero"),
    r"unsupported operand type\(s\) for (?P<sign>\S+): (?P<left>'\w+') and (?P<right>'\w+')": said(
        "%(sign)s cannot be used with %(left)s and %(right)s"
    ),
    r"(?P<sign>'.+') not supported between instances of (?P<left>'\w+') and (?P<right>'\w+')": said(
        "%(sign)s cannot be used with %(left)s and %(right)s"
    ),
    r"(?P<kind>'\w+') object is not (?:iterable|subscriptable)": said("%(kind)s has no entries"),
}


def in_words(text: str) -> str:
    """Return what one of them says so that pages in other languages can say it."""
    return in_our_words(text, _SENTENCES)
