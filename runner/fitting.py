"""Which model each step gets, and whether the step's params are ones that it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from . import catalogue
from .catalogue import Catalogue, Model
from .errors import nearest
from .kinds import KINDS, Kind
from .kinds.kind import COMMON
from .pipeline import Alias, Pipeline, Step
from .templates import Template, Tree

Path: TypeAlias = tuple[str | int, ...]

KEY = "RUNPOD_API_KEY"
ANY_MODEL = "call_endpoint"
"""The kind that takes every endpoint, because it says everything in the endpoint's own words."""


class Tell(Protocol):
    """Notes a problem at a place of the pipeline."""

    def __call__(self, code: str, message: str, path: Path, instead: str = "", *, key: bool = False) -> None: ...


@dataclass(frozen=True, slots=True)
class Fitting:
    """The models of one pipeline."""

    pipeline: Pipeline
    known: Catalogue
    add: Tell
    warn: Callable[[str, str, Path, str], None]

    def names(self) -> None:
        """Aliases, limits and keys that name what is not there, or what must not be named."""
        for name, alias in self.pipeline.models.items():
            if alias.model and not alias.base_url and self.find(alias.model, "") is None:
                self._unknown(alias.model, None, ("models", name, "model"))
            if alias.api_key_env == KEY:
                self.add("secret", f"{KEY} is sent to Runpod only, and {name} is another server.",
                         ("models", name, "api_key_env"),
                         "Name the variable that holds that server's own key.")  # fmt: skip
        for index, name in enumerate(self.pipeline.env):
            if name == KEY:
                self.add("secret", f"{KEY} cannot be read by templates: it would stand in prompts and files.",
                         ("env", index), "Remove it; runner sends it to Runpod by itself.")  # fmt: skip
        for name in self.pipeline.per_model:
            if name not in self.pipeline.models and self.find(name, "") is None:
                self.add("unknown-model", f"There is no model or alias {name}.", ("limits", "per_model", name),
                         nearest(name, list(self.pipeline.models)), key=True)  # fmt: skip

    def find(self, name: str, kind: str) -> Model | None:
        return self.known.find(name) or catalogue.private(name, kind)

    def model(self, step: Step, kind: Kind) -> Model | None:
        """The model of a step; None if there is none for it, which has been told."""
        name, path = step.model or "", ("steps", step.id, "model")
        alias = self.pipeline.models.get(name)
        if alias is not None and alias.base_url:
            return self._elsewhere(name, alias, kind, path, step)
        place: Path = path
        if alias is not None:
            name, place = alias.model, ("models", name, "model")
        found = self.find(name, kind.NAME)
        if found is None:
            if alias is None:
                self._unknown(name, kind, place)
            return None
        if kind.NAME == ANY_MODEL:
            found = replace(found, known=False, kind=kind.NAME)
        elif found.known and not found.serves(kind.NAME):
            if alias is not None and (users := self._misled(step.model or "", found)):
                if step is users[0]:
                    self._of_another_kind(found, users, place)
                return None
            self.add("model", f"{name} is a model for {found.kind}, not for {kind.NAME}.", path, self._for(kind))
            return None
        elif found.status == "removed":
            instead = f"Use {found.successor}." if found.successor else self._for(kind)
            message = f"Runpod has removed {found.id} from its list; it may stop working."
            self.warn("removed-model", message, place, instead)
        if found.price is None and self.refuses(step):
            self.unpriced(found.id, place)
        if alias is not None and (alias.headers or alias.policy):
            found = replace(found, headers=alias.headers, policy=alias.policy)
        return found

    def _misled(self, alias: str, model: Model) -> list[Step]:
        """The steps that use an alias, where it is the alias that is wrong: its model is for none of them, and they are
        several, or a profile gave it to them.
        """
        users = [step for step in self.pipeline.steps.values() if step.model == alias and step.kind in KINDS]
        profile = self.pipeline.profile
        said = self.pipeline.document.data["profiles"][profile].get("models") if profile is not None else None
        by_profile = isinstance(said, dict) and alias in said
        return users if not any(model.serves(s.kind) for s in users) and (by_profile or len(users) > 1) else []

    def _of_another_kind(self, model: Model, users: Sequence[Step], place: Path) -> None:
        kinds = list(dict.fromkeys(step.kind for step in users))
        names = [step.id for step in users]
        who = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
        message = (
            f"{model.id} is a model for {model.kind}; {who} need{'s' * (len(names) == 1)} one for {' or '.join(kinds)}."
        )
        self.add("model", message, place, self._for(KINDS[kinds[0]]))

    def _elsewhere(self, name: str, alias: Alias, kind: Kind, path: Path, step: Step) -> Model | None:
        """A model of an OpenAI-compatible server."""
        if kind.NAME != "generate_text":
            self.add("model", f"{name} is an OpenAI-compatible server; {kind.NAME} needs a Runpod model.", path,
                     self._for(kind))  # fmt: skip
            return None
        if self.refuses(step):
            self.unpriced(alias.model, ("models", name, "model"))
        base_url = (alias.base_url or "").rstrip("/")
        return Model(id=alias.model, kind=kind.NAME, endpoint=name, base_url=base_url, known=False,
                     api_key_env=alias.api_key_env, headers=alias.headers)  # fmt: skip

    def refuses(self, step: Step) -> bool:
        """Whether a budget over this step wants a price of each call."""
        return any(budget is not None and budget.refuses for budget in (self.pipeline.budget, step.budget))

    def unpriced(self, model: str, place: Path) -> None:
        self.add("unpriced", f"{model} has no known price, so the budget cannot be kept.", place,
                 "Choose a model with a price, or write unpriced: {count_as: 0.05} under budget:.")  # fmt: skip

    def _for(self, kind: Kind) -> str:
        models = [model.id for model in self.known.of_kind(kind.NAME) if model.status == "listed"]
        if not models:
            return "Runpod lists no other; write the id of an endpoint of your own."
        more = ", …; see runner models" if len(models) > 12 else ""
        return f"For this: {', '.join(models[:12])}{more}."

    def _unknown(self, name: str, kind: Kind | None, place: Path) -> None:
        if name.startswith(("http://", "https://")):
            self.add("model", f"{name} is no model: the key goes to no address that a pipeline names.", place,
                     "Write the endpoint's id; for another server, an entry of models: with base_url:.")  # fmt: skip
        elif kind is not None and "/" not in name and self.pipeline.models:
            self.add("unknown-model", f"There is no model or alias {name}.", place, self._alias_or_model(name, kind))
        elif kind is not None and kind.NAME == ANY_MODEL:
            self.add("unknown-model", f"There is no endpoint {name}.", place,
                     "Write its id or the address of its page in Runpod's console.")  # fmt: skip
        else:
            search = self.known.near if "/" in name else self.known.alike
            found = search(name, kind.NAME if kind else None)
            cure = f"Nearest: {self._listed(found, kind)}." if found else self._lists(kind)
            self.add("unknown-model", f"There is no model {name}.", place, cure)

    def _alias_or_model(self, name: str, kind: Kind) -> str:
        """What may be meant by a name that is neither an alias nor a model's."""
        near = nearest(name, list(self.pipeline.models))
        models = self.known.alike(name, kind.NAME)
        if near.startswith("Did"):
            return f"{near} Or {models[0]}?" if models else near
        return f"Nearest: {self._listed(models, kind)}." if models else f"{near} {self._lists(kind)}"

    def _lists(self, kind: Kind | None) -> str:
        return f"runner models{f' --kind {kind.NAME}' if kind else ''} lists models."

    def _listed(self, ids: Sequence[str], kind: Kind | None = None) -> str:
        """Models by their ids; of one for another kind of step, for which."""
        found = [self.known.models[each] for each in ids]
        return ", ".join(m.id if kind is None or m.serves(kind.NAME) else f"{m.id} (for {m.kind})" for m in found)

    def fits(self, model: Model, kind: Kind, params: Mapping[str, Tree], places: Mapping[str, Path]) -> None:
        """Sizes, ratios, ranges and files that the model does not take, and what it cannot do without.

        Templates are looked at by name only.
        """
        if not model.known:
            return
        files = {name for name in params if name not in COMMON and "artifact" in kind.PARAMS[name]}
        said = {k: v for k, v in params.items() if k not in COMMON and k not in files}
        known = {k: v for k, v in said.items() if not isinstance(v, Template)}
        unknown = [k for k in said if not model.takes(k)] + [k for k in sorted(files) if k not in model.files]
        for name in unknown:
            if name not in known:
                taken = ", ".join(model.words)
                self.add("unknown-parameter", f"{model.id} takes no {name}.", places[name], f"It takes: {taken}.",
                         key=True)  # fmt: skip
        for wrong in model.wrong(known):
            code = "unknown-parameter" if wrong.param in unknown else "model-value"
            self.add(code, wrong.message, places[wrong.param], wrong.instead, key=wrong.param in unknown)
        self._pictures(model, params, places)
        told = {name for group in kind.REQUIRED for name in group}
        for name in model.lacks([*params, *told, *([] if "prompt" in kind.PARAMS else ["prompt"])]):
            self.add("missing-parameter", f"{model.id} needs {name}.", places["model"], _cure(name, model, kind))

    def _pictures(self, model: Model, params: Mapping[str, Tree], places: Mapping[str, Path]) -> None:
        most = model.most_pictures
        words = [word for word in ("image", "images") if word in params]
        if most is None or not words or model.kind == "generate_text":
            return
        many = params.get("images")
        listed = len(many) if isinstance(many, list) else many.listed or 1 if isinstance(many, Template) else 0
        count = listed + ("image" in params)
        if not most:
            taken = ", ".join(model.words)
            self.add("unknown-parameter", f"{model.id} takes no picture.", places[words[0]], f"It takes: {taken}.",
                     key=True)  # fmt: skip
        elif count > most:
            message = f"{model.id} takes at most {most} picture{'s' * (most != 1)}, not {count}."
            self.add("model-value", message, places[words[-1]], "Remove some, or choose another model.")


def takes_seed(kind: Kind, model: Model) -> bool:
    """Whether a call that is given no seed gets one that follows from the names of its pipeline and its cell."""
    return model.known and model.takes("seed") and kind.NAME != "generate_text"


def _cure(name: str, model: Model, kind: Kind) -> str:
    """What to add where a model cannot do without something."""
    wanted, rule = kind.PARAMS.get(name, {"description": "The model cannot do without."}), model.params.get(name, {})
    if "enum" in rule:
        return f"Add {name}: it can be {', '.join(map(str, rule['enum']))}."
    if "artifact" in wanted:
        media = wanted["artifact"]
        return f"Add {name}: a path, a URL, or a template such as {{{{ steps.NAME.{media} }}}}."
    return f"Add {name}: {wanted['description'][0].lower()}{wanted['description'][1:]}"
