"""Ids that receivers deduplicate by: they may never change."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from sidecar.model import delivery_id


def test_the_id_of_a_delivery_is_this_for_ever() -> None:
    assert delivery_id("campus", "new-user", 4711) == "9c39fee9-c7f2-583b-9954-2f814a222714"


@given(site=st.text(), rule=st.text(), log_id=st.integers(min_value=1))
def test_the_id_of_a_delivery_is_the_uuid_of_site_rule_and_row(site: str, rule: str, log_id: int) -> None:
    space = uuid.UUID("5c1b1a52-7a43-5d0f-9f0e-2b8f7c6d3e11")

    assert delivery_id(site, rule, log_id) == str(uuid.uuid5(space, f"{site}/{rule}/{log_id}"))
