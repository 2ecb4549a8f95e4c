"""What senders take their work out of: what is put back is not lost, even when it is over meanwhile."""

from sidecar.bridge.inbox import Inbox


def test_what_is_put_back_comes_to_another_reader() -> None:
    inbox = Inbox[str]()
    for thing in ("a", "b", "c"):
        inbox.put(thing)
    one, other = inbox.reader(), inbox.reader()

    assert one.get() == "a"
    assert one.more(lambda _: True, 5) == ["b", "c"]
    one.put_back(["b", "c"])

    assert [other.get(), other.get()] == ["b", "c"]


def test_what_is_put_back_after_the_end_is_found_and_ends_nobody_twice() -> None:
    inbox = Inbox[str]()
    one, other = inbox.reader(), inbox.reader()
    inbox.put(None)
    inbox.put(None)
    one.put_back(["late"])

    assert one.get() is None
    assert one.rest() == ["late"]
    assert other.get() is None
    assert other.rest() == []
