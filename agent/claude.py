"""Claude, over the Messages API: one question, one answer, or one line about why there is none.

ANTHROPIC_API_KEY holds the key, ANTHROPIC_BASE_URL names another server that speaks the same API, ANTHROPIC_MODEL
another model. The SDK is imported on first use: that alone takes seconds.
"""

import os

from bench.errors import LibraryError

MODEL = "claude-sonnet-5-5"
MOST_TOKENS = 8000


def reachable() -> bool:
    """Whether a key is in the environment."""
    return bool(os.environ.get("ANTHROPIC_API_KEY"))


def ask(system: str, data: str) -> str:
    """The whole text of an answer to `data` under the instructions `system`.

    Raises LibraryError for an answer that was refused, cut short or never came: a stream that is cut cleanly raises
    nothing in the SDK, so its stop reason is looked at.
    """
    import anthropic
    import httpx2

    try:
        with anthropic.Anthropic().messages.stream(
            model=os.environ.get("ANTHROPIC_MODEL") or MODEL,
            max_tokens=MOST_TOKENS,
            system=system,
            messages=[{"role": "user", "content": data}],
        ) as stream:
            message = stream.get_final_message()
    except (anthropic.AnthropicError, httpx2.HTTPError) as error:
        raise LibraryError(f"Claude: {' '.join(str(error).split())[:200]}") from error
    if message.stop_reason != "end_turn":
        raise LibraryError(f"Claude's answer is not whole: it stopped at {message.stop_reason or 'a cut connection'}")
    return "".join(block.text for block in message.content if block.type == "text")
