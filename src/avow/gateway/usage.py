"""What a request used, in buckets that share no token: each token is counted once, whatever the provider's habits are.

Providers differ in what includes what. OpenAI's prompt tokens contain the cached ones, Anthropic's input tokens do not; most
count reasoning within the output, some beside it and only in the total. Each family is read by its own struct here, and
becomes the same `Buckets`.
"""

from __future__ import annotations

from typing import Annotated, Any, Protocol

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class Buckets(msgspec.Struct, frozen=True):
    """Tokens by kind. No token is in two of them. `image` counts images and `audio` seconds where a provider does."""

    input: int = 0
    cached: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    image: int = 0
    audio: int = 0

    @property
    def read(self) -> int:
        """All that went in, as OpenAI counts it: with what a cache knew."""
        return self.input + self.cached + self.cache_write

    @property
    def written(self) -> int:
        """All that came out, reasoning included."""
        return self.output + self.reasoning


class Usage(Protocol):
    """What an upstream said that it used, in whatever words."""

    def buckets(self) -> Buckets: ...


class InputDetails(msgspec.Struct):
    """`cache_write_tokens` is OpenRouter's word, `cache_creation_tokens` LiteLLM's."""

    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    cache_creation_tokens: Count | None = None


class OutputDetails(msgspec.Struct):
    reasoning_tokens: Count | None = None


class ChatUsage(msgspec.Struct):
    """OpenAI's chat, completions and embeddings, and those that speak like it.

    Cached tokens are part of the prompt: in the details (OpenAI, vLLM, Groq), as `prompt_cache_hit_tokens` (DeepSeek) or
    beside it as `cached_tokens` (Moonshot). A total above the sum of both tells of reasoning beside the output (xAI, Gemini).
    """

    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    total_tokens: Count | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    prompt_cache_hit_tokens: Count | None = None
    cached_tokens: Count | None = None

    def buckets(self) -> Buckets:
        details = self.prompt_tokens_details
        cached = (details and details.cached_tokens) or self.prompt_cache_hit_tokens or self.cached_tokens or 0
        written = (details and (details.cache_write_tokens or details.cache_creation_tokens)) or 0
        reasoning = (self.completion_tokens_details and self.completion_tokens_details.reasoning_tokens) or 0
        beside = (self.total_tokens or 0) - self.prompt_tokens - self.completion_tokens
        if beside <= 0 and not (cached or written or reasoning):
            return Buckets(self.prompt_tokens, 0, 0, self.completion_tokens)
        return _split(self.prompt_tokens, cached, written, self.completion_tokens, reasoning, beside)


class ResponsesUsage(msgspec.Struct):
    """OpenAI's responses and images: as its chat, in other words."""

    input_tokens: Count = 0
    output_tokens: Count = 0
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None

    def buckets(self) -> Buckets:
        details = self.input_tokens_details
        cached = (details and details.cached_tokens) or 0
        written = (details and details.cache_write_tokens) or 0
        reasoning = (self.output_tokens_details and self.output_tokens_details.reasoning_tokens) or 0
        return _split(self.input_tokens, cached, written, self.output_tokens, reasoning, 0)


class MessagesUsage(msgspec.Struct):
    """Anthropic's: input, cache reads and cache writes stand beside each other; thinking is part of the output."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None

    def buckets(self) -> Buckets:
        return Buckets(
            input=self.input_tokens or 0,
            cached=self.cache_read_input_tokens or 0,
            cache_write=self.cache_creation_input_tokens or 0,
            output=self.output_tokens or 0,
        )

    def over(self, before: MessagesUsage | None) -> MessagesUsage:
        """This report over the one before it: a stream's last names only what has changed."""
        if before is None:
            return self
        return MessagesUsage(
            *(
                getattr(self, name) if getattr(self, name) is not None else getattr(before, name)
                for name in self.__struct_fields__
            )
        )


class BilledUnits(msgspec.Struct):
    """Cohere's: tokens where a model is billed by them, searches where it is not."""

    input_tokens: float | None = None
    search_units: float | None = None


class RerankMeta(msgspec.Struct):
    billed_units: BilledUnits | None = None


class TotalUsage(msgspec.Struct):
    """Jina's and vLLM's rerankers: a total that is all input."""

    total_tokens: Count | None = None
    prompt_tokens: Count | None = None

    def buckets(self) -> Buckets:
        return Buckets(input=self.total_tokens or self.prompt_tokens or 0)


class MediaUsage(msgspec.Struct, frozen=True):
    """Of images and sound: the tokens that an upstream told, the images in its answer with their size and quality, the seconds
    that it heard."""

    tokens: Buckets | None = None
    images: int = 0
    size: str | None = None
    quality: str | None = None
    seconds: float | None = None

    def buckets(self) -> Buckets:
        return self.tokens or Buckets()


class MediaDetails(msgspec.Struct):
    image_tokens: Count | None = None
    audio_tokens: Count | None = None


class ImagesUsage(msgspec.Struct):
    """OpenAI's images: text and pictures that went in, and images that came out, which are its output."""

    input_tokens: Count = 0
    output_tokens: Count = 0
    input_tokens_details: MediaDetails | None = None

    def buckets(self) -> Buckets:
        details = self.input_tokens_details
        pictures = min((details and details.image_tokens) or 0, self.input_tokens)
        return Buckets(self.input_tokens - pictures, output=self.output_tokens, image=pictures)


class SoundUsage(msgspec.Struct):
    """OpenAI's transcriptions, by time or by tokens; what is not said to be text of the input was sound."""

    seconds: float | None = None
    input_tokens: Count | None = None
    output_tokens: Count = 0
    input_token_details: MediaDetails | None = None

    def told(self) -> MediaUsage:
        if self.input_tokens is None:
            return MediaUsage(seconds=self.seconds)
        details = self.input_token_details
        heard = details.audio_tokens if details is not None else None
        sound = self.input_tokens if heard is None else min(heard, self.input_tokens)
        tokens = Buckets(self.input_tokens - sound, output=self.output_tokens, audio=sound)
        return MediaUsage(tokens, seconds=self.seconds)


class SpeechUsage(msgspec.Struct):
    """OpenAI's speech: what comes out is sound."""

    input_tokens: Count = 0
    output_tokens: Count = 0

    def told(self) -> MediaUsage:
        return MediaUsage(Buckets(self.input_tokens, audio=self.output_tokens))


def chat_fields(buckets: Buckets) -> dict[str, Any]:
    """Buckets in the words of OpenAI's chat."""
    made: dict[str, Any] = {
        "prompt_tokens": buckets.read,
        "completion_tokens": buckets.written,
        "total_tokens": buckets.read + buckets.written,
    }
    if buckets.cached:
        made["prompt_tokens_details"] = {"cached_tokens": buckets.cached}
    if buckets.reasoning:
        made["completion_tokens_details"] = {"reasoning_tokens": buckets.reasoning}
    return made


def messages_fields(buckets: Buckets) -> dict[str, Any]:
    """Buckets in Anthropic's words."""
    return {
        "input_tokens": buckets.input,
        "output_tokens": buckets.written,
        "cache_read_input_tokens": buckets.cached,
        "cache_creation_input_tokens": buckets.cache_write,
    }


def _split(prompt: int, cached: int, written: int, output: int, reasoning: int, beside: int) -> Buckets:
    """Cut what contains into what is contained and the rest; a part is never more than its whole."""
    cached = min(cached, prompt)
    written = min(written, prompt - cached)
    within = 0 if beside > 0 else min(reasoning, output)
    return Buckets(
        input=prompt - cached - written,
        cached=cached,
        cache_write=written,
        output=output - within,
        reasoning=max(beside, within),
    )
