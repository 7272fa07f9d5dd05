# SPDX-License-Identifier: Apache-2.0
"""Writes plain dicts, lists and scalars as YAML. There is no reader: nobody here needs one."""
import json
import re

PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*\Z")
WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def scalar(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    text = str(value)
    # auto | on | off and the like are strings to Tandem's schema, so they are quoted too.
    plain = PLAIN.match(text) and text.lower() not in WORDS
    return text if plain else json.dumps(text)


def emit(value, indent=0):
    """The text of a block mapping or sequence; every line indented by `indent` spaces."""
    pad = " " * indent
    if isinstance(value, dict) and value:
        return "".join(f"{pad}{key}:{_after(item, indent)}" for key, item in value.items())
    if isinstance(value, (list, tuple)) and value:
        return "".join(f"{pad}-{_after(item, indent)}" for item in value)
    return f"{pad}{_empty(value)}\n"


def _after(item, indent):
    if isinstance(item, (dict, list, tuple)):
        return f"\n{emit(item, indent + 2)}" if item else f" {_empty(item)}\n"
    return f" {scalar(item)}\n"


def _empty(value):
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, (list, tuple)):
        return "[]"
    return scalar(value)
