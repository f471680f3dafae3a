"""What an answer means: the output, or an error with everything it carries."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import msgspec

from .errors import ApiError, RustyDBError, UnreadableAnswerError
from .operation import Contract, Operation
from .transport import Response

Output = TypeVar("Output")


class _Error(msgspec.Struct):
    code: str
    message: str = ""
    retry_after: float | None = None
    details: Any = None


class _Problem(msgspec.Struct):
    """RFC 9457 with the contract's member ``error``."""

    error: _Error
    request_id: str | None = None


class _LastWord(_Error):
    status: int | None = None
    request_id: str | None = None


_LAST_WORD = msgspec.json.Decoder(_LastWord)
_PROBLEM = msgspec.json.Decoder(_Problem)


def read(operation: Operation[Output], request_id: str, response: Response) -> Output:
    """The output of a successful answer."""
    if operation.output is None:
        return cast(Output, None)
    try:
        return operation.decoder.decode(response.body or b"{}")
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnreadableAnswerError(
            f"the answer is not of the contract's form: {error}",
            code="UNREADABLE_ANSWER",
            operation=operation.id,
            request_id=request_id,
            status=response.status,
            body=_body(response),
        ) from error


def failure(
    contract: Contract, operation: Operation[Any], request_id: str, response: Response
) -> RustyDBError:
    """The error that an answer without success is."""
    asked = _seconds(response.headers.get("retry-after"))
    try:
        problem = _PROBLEM.decode(response.body)
    except (msgspec.MsgspecError, ValueError):
        return ApiError(
            f"the server answered status {response.status} without an error of the contract",
            code=f"HTTP_{response.status}",
            operation=operation.id,
            request_id=request_id,
            status=response.status,
            retry_after=asked,
            body=_body(response),
        )
    error = problem.error
    return contract.errors.get(error.code, ApiError)(
        error.message,
        code=error.code,
        operation=operation.id,
        request_id=problem.request_id or request_id,
        status=response.status,
        retry_after=asked if error.retry_after is None else error.retry_after,
        details=error.details,
        body=_body(response),
    )


def last_word(
    contract: Contract, operation: Operation[Any], request_id: str, data: str
) -> RustyDBError:
    """The error that ends a stream, sent as its last event."""
    try:
        word = _LAST_WORD.decode(data)
    except (msgspec.MsgspecError, ValueError) as error:
        return UnreadableAnswerError(
            f"the stream ended with an error that is not of the contract's form: {error}",
            code="UNREADABLE_ANSWER",
            operation=operation.id,
            request_id=request_id,
            body=data,
        )
    return contract.errors.get(word.code, ApiError)(
        word.message or "the server ended the subscription",
        code=word.code,
        operation=operation.id,
        request_id=word.request_id or request_id,
        status=word.status,
        retry_after=word.retry_after,
        details=word.details,
        body=data,
    )


def _body(response: Response) -> str:
    return response.body.decode("utf-8", "replace")


def _seconds(text: str | None) -> float | None:
    if text is None or not (text.isascii() and text.isdigit()):
        return None
    return float(text)
