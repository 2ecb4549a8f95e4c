"""What every part of the file is: frozen, and it knows all its keys."""

from collections.abc import Mapping
from types import NoneType
from typing import get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    model_validator,
)


class Section(BaseModel):
    """A frozen part of the file that knows all its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty_keys(cls, data: object) -> object:
        """Take `retry:` with nothing behind it (all its lines commented out) as not written."""
        if not isinstance(data, Mapping):
            return data
        return {key: value for key, value in data.items() if value is not None or not cls._defaulted(key)}

    @classmethod
    def _defaulted(cls, key: str) -> bool:
        field = cls.model_fields.get(key)
        return field is not None and NoneType not in get_args(field.annotation)
