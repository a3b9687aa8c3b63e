"""What is wrong with a value, in words for people."""

from pydantic_core import ErrorDetails

from stt.setting_types import reason_of

# By pydantic's type of error; `ctx` fills the fields.
_TEXTS = {
    "missing": "it is missing",
    "int_parsing": "a whole number is needed",
    "int_type": "a whole number is needed",
    "int_from_float": "a whole number is needed",
    "float_parsing": "a number is needed",
    "float_type": "a number is needed",
    "finite_number": "a number is needed",
    "bool_parsing": "true or false is needed",
    "bool_type": "true or false is needed",
    "string_type": "a text is needed",
    "greater_than_equal": "at least {ge} is needed",
    "greater_than": "more than {gt} is needed",
    "less_than_equal": "at most {le} is possible",
    "less_than": "less than {lt} is needed",
    "string_too_long": "at most {max_length} characters are possible",
    "string_too_short": "at least {min_length} characters are needed",
    "literal_error": "choose {expected}",
    "json_invalid": "this is no JSON",
    "extra_forbidden": "this is unknown here",
}


def fault_text(fault: ErrorDetails) -> str:
    """Return a clause for one of the errors that pydantic lists, without the value itself."""
    text = _TEXTS.get(fault["type"])
    return text.format_map(fault.get("ctx", {})) if text else reason_of(fault)
