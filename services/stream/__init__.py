"""The backup stream: hash, compress, encrypt, write; and back."""

from services.stream.encryption import check_recipient, generate_key, public_key
from services.stream.read import read_stream
from services.stream.result import StreamResult
from services.stream.write import write_stream

__all__ = ["StreamResult", "check_recipient", "generate_key", "public_key", "read_stream", "write_stream"]
