"""Text, pictures or sound in; a video out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..model import JSON, Call, Output, Reply
from .kind import (
    AUDIO,
    FLAG,
    IMAGE,
    INTEGER,
    LORAS,
    NUMBER,
    OPTIONS,
    PICTURES,
    RATIO,
    RESOLUTION,
    SEED,
    SEED_OUTPUT,
    SIZE,
    TEXT,
    VIDEO,
    made,
    made_output,
    media_job,
)

NAME = "generate_video"
VERSION = 1
TITLE = "Make a video from text, pictures or sound."
CALLS = True
PARAMS: Mapping[str, JSON] = {
    "prompt": {**TEXT, "description": "What happens in the video.", "examples": ["the camera circles the teapot"]},
    "image": {**IMAGE, "description": "The picture to start from.", "examples": ["{{ steps.photo.image }}"]},
    "images": PICTURES,
    "last_image": {**IMAGE, "description": "The picture to end on."},
    "video": {**VIDEO, "description": "A video to follow."},
    "audio": {**AUDIO, "description": "Sound to move to, or to speak.", "examples": ["{{ steps.voice.audio }}"]},
    "negative_prompt": {**TEXT, "description": "What the video must not show."},
    "duration": {**NUMBER, "exclusiveMinimum": 0, "description": "Seconds.", "examples": [5]},
    "resolution": RESOLUTION,
    "size": {**SIZE, "examples": ["1280x720"]},
    "aspect_ratio": {**RATIO, "examples": ["16:9"]},
    "fps": {**INTEGER, "minimum": 1, "description": "Pictures a second."},
    "steps": {**INTEGER, "minimum": 1, "description": "Denoising steps: more is slower and finer."},
    "guidance": {**NUMBER, "description": "How closely the video follows the prompt."},
    "flow_shift": {**INTEGER, "description": "How much it moves, for models that know the word."},
    "style": {**TEXT, "description": "A look, in the model's words."},
    "movement": {**TEXT, "description": "How much moves.", "examples": ["small"]},
    "shot_type": {**TEXT, "description": "One shot or several.", "examples": ["single"]},
    "orientation": {**TEXT, "description": "Whether a figure looks as in the video or as in the picture."},
    "camera_fixed": {**FLAG, "description": "Keep the camera still."},
    "sound": {**FLAG, "description": "Make sound to go with it."},
    "music": {**FLAG, "description": "Make music to go with it."},
    "keep_sound": {**FLAG, "description": "Keep the sound of what it is given."},
    "expand_prompt": {**FLAG, "description": "Let the model write the prompt out first."},
    "draft": {**FLAG, "description": "A faster, cheaper preview."},
    "loras": LORAS,
    "high_noise_loras": LORAS,
    "low_noise_loras": LORAS,
    "safety_checker": {**FLAG, "description": "Refuse what is not safe for work."},
    "seed": SEED,
    "options": OPTIONS,
}
REQUIRED: tuple[tuple[str, ...], ...] = ()
TIMEOUT = 1800.0


def output(params: Mapping[str, JSON]) -> JSON:
    """A video and the seed it was made with, whatever the params."""
    del params
    return made_output("video", seed=SEED_OUTPUT)


def advance(params: Mapping[str, JSON], replies: Sequence[Reply]) -> Call | Output:
    """One job, then its video."""
    if replies:
        return made(params, replies[0], "video", seed=params.get("seed"))
    return media_job(f"{NAME}@{VERSION}", params, "video")
