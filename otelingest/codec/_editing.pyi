"""The compiled editor; see `_editing.pyx`."""

from otelingest.codec.editing import Editor

class NativeEditor:
    @staticmethod
    def of(signal: str, data: bytes) -> Editor | None: ...
