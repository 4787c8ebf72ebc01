"""What the doors know about ClickHouse's output formats."""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """The words of a text: how a long set of names is written down readably."""
    return frozenset(text.split())


_STREAMED = words(
    """tabseparated tsv tabseparatedraw tsvraw raw csv jsoneachrow jsonlines ndjson jsoncompacteachrow
    jsonstringseachrow jsoncompactstringseachrow rowbinary native rawblob lineasstring null"""
)
DEFAULT_CONTENT_TYPE = "text/plain; charset=UTF-8"

_TYPES = {
    "text/tab-separated-values; charset=UTF-8": """tabseparated tsv tabseparatedraw tsvraw raw tabseparatedwithnames
        tsvwithnames tabseparatedwithnamesandtypes tsvwithnamesandtypes tabseparatedrawwithnames tsvrawwithnames""",
    "text/csv; charset=UTF-8; header=absent": "csv",
    "text/csv; charset=UTF-8; header=present": "csvwithnames csvwithnamesandtypes",
    "application/json; charset=UTF-8": """json jsoncompact jsonstrings jsoncompactstrings jsoncolumns jsoncompactcolumns
        jsoncolumnswithmetadata jsonobjecteachrow""",
    "application/x-ndjson; charset=UTF-8": """jsoneachrow jsonlines ndjson jsonstringseachrow jsoncompacteachrow
        jsoncompactstringseachrow jsoneachrowwithprogress""",
    "application/octet-stream": """native rowbinary rowbinarywithnames rowbinarywithnamesandtypes parquet arrow
        arrowstream orc avro msgpack protobuf protobufsingle capnproto rawblob""",
    "application/xml; charset=UTF-8": "xml",
    "text/markdown; charset=UTF-8": "markdown",
}
_CONTENT_TYPES = {name: kind for kind, names in _TYPES.items() for name in words(names)}


def streams(name: str) -> bool:
    """Whether pieces of an answer, each written on its own, make one answer when they are joined."""
    return name.lower() in _STREAMED


def content_type(name: str) -> str:
    """The Content-Type of an answer."""
    return _CONTENT_TYPES.get(name.lower(), DEFAULT_CONTENT_TYPE)
