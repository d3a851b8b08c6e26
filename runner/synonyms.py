"""A word of another tool in, what it is called here out: keys of a step, and kinds of steps."""

from __future__ import annotations

from collections.abc import Mapping

from .model import JSON

_KEYS: Mapping[str, str] = {
    **dict.fromkeys(("depends_on", "dependsOn", "depends", "requires", "wait_for", "waits_for"), "needs"),
    **dict.fromkeys(("if", "condition", "only_if", "run_if"), "when"),
    **dict.fromkeys(("for", "loop", "each", "with_items", "over", "items", "forEach"), "foreach"),
    **dict.fromkeys(("n", "count", "samples", "variants", "candidates", "num_images", "num_outputs"), "pick"),
    **dict.fromkeys(("retries", "max_retries", "attempts", "max_attempts"), "retry"),
    **dict.fromkeys(("concurrency", "parallel", "parallelism", "max_parallel"), "at_once"),
    **dict.fromkeys(("ratio", "aspect"), "aspect_ratio"),
    **dict.fromkeys(("width", "height", "dimensions"), "size"),
    **dict.fromkeys(("json_schema", "response_schema", "response_format", "structured_output"), "schema"),
    **dict.fromkeys(("instructions", "system_prompt", "system_message"), "system"),
    **dict.fromkeys(("guidance_scale", "cfg", "cfg_scale"), "guidance"),
    **dict.fromkeys(("num_inference_steps", "inference_steps"), "steps"),
    **dict.fromkeys(("negative", "avoid"), "negative_prompt"),
    **dict.fromkeys(("max_new_tokens", "max_completion_tokens"), "max_tokens"),
    **dict.fromkeys(("image_url", "input_image", "source_image", "picture", "photo", "init_image"), "image"),
    **dict.fromkeys(("seconds", "length"), "duration"),
}  # fmt: skip


def of_key(key: str, given: Mapping[str, JSON], known: Mapping[str, JSON]) -> tuple[str, JSON] | None:
    """What a key of a step is called here, and what stands behind it then; None where there is no such key, or it is
    there already. ``given`` is the step, ``known`` its kind's keys.
    """
    meant, value = _KEYS.get(key, ""), given[key]
    if key in known or meant not in known or meant in given:
        return None
    is_count = isinstance(value, int) and not isinstance(value, bool)
    if meant == "size":
        sides = [given.get(side) for side in ("width", "height")]
        whole = all(isinstance(side, int) for side in sides)
        return meant, f"{sides[0]}x{sides[1]}" if whole else value if key == "dimensions" else None
    if meant in ("pick", "retry"):
        inner = "of" if meant == "pick" else "attempts"
        return (meant, {inner: value}) if is_count else (meant, value) if isinstance(value, dict) else None
    if meant == "needs" and isinstance(value, str):
        return meant, [value]
    return meant, value


_KINDS: Mapping[str, str] = {
    **dict.fromkeys(("text", "llm", "chat", "prompt", "completion", "write"), "generate_text"),
    **dict.fromkeys(("image", "picture", "photo", "text_to_image", "txt2img", "text2image", "draw"), "generate_image"),
    **dict.fromkeys(("edit", "image_edit", "image_to_image", "img2img", "inpaint"), "edit_image"),
    **dict.fromkeys(("speech", "audio", "voice", "tts", "text_to_speech", "speak"), "generate_speech"),
    **dict.fromkeys(("transcribe", "transcription", "stt", "speech_to_text", "asr", "whisper"), "transcribe_audio"),
    **dict.fromkeys(("video", "text_to_video", "image_to_video", "animate"), "generate_video"),
    **dict.fromkeys(("json", "parse", "extract"), "parse_json"),
    **dict.fromkeys(("template", "render", "format"), "render_text"),
    **dict.fromkeys(("pipeline", "subpipeline", "include"), "run_pipeline"),
    **dict.fromkeys(("endpoint", "call", "http"), "call_endpoint"),
    **dict.fromkeys(("approval", "review", "confirm", "ask"), "approve"),
}  # fmt: skip


def of_kind(word: str, step: Mapping[str, JSON]) -> str | None:
    """What a kind of step is called here; None where it is not known by another word either."""
    meant = _KINDS.get(word.strip().lower().replace("-", "_").replace(" ", "_"))
    if meant == "generate_image" and not step.keys().isdisjoint(("image", "images")):
        return "edit_image"  # it is made of a picture
    return meant
