"""The action and the reusable workflows: their own shell steps, in bash, with real pipelines and a real repository."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.emulator import Emulator

from .actions import Job, action, run, workflow
from .conftest import REPO

TEXT = (
    "name: {name}\nsteps:\n  a: {{kind: render_text, text: {text}}}\noutputs:\n  {name}.txt: '{{{{ steps.a.text }}}}'\n"
)
PICTURE = """\
name: pot
inputs:
  colour: {type: string, default: red}
steps:
  photo: {kind: generate_image, model: qwen/qwen-image, prompt: "A {{ inputs.colour }} pot.", size: 512x512, seed: 7}
outputs:
  pot.png: "{{ steps.photo.image }}"
"""
WRONG = "name: wrong\nsteps:\n  a: {kind: render_text, text: '{{ steps.b.text }}'}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with two pipelines that cost nothing."""
    folder = tmp_path / "repository"
    for name in ("one", "two words"):
        path = folder / "pipelines" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TEXT.format(name=name.split()[0], text="Tea."))
    git(folder, "init", "-q", "-b", "main")
    return folder


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def committed(folder: Path) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", "x")
    return git(folder, "rev-parse", "HEAD")


# -- the action ----------------------------------------------------------------------------------------


def test_the_action_checks_every_pipeline_and_no_lock(folder: Path, tmp_path: Path) -> None:
    (folder / "pipelines/one.lock.yaml").write_text("format: 1\npipeline: one\ncells: {}\n")

    job = run(*action(), folder, tmp_path / "temp")

    assert job.codes == {"runner": 0}
    assert job.log == "2 pipelines: no problems\n"


def test_the_action_fails_with_annotations_where_a_pipeline_has_problems(folder: Path, tmp_path: Path) -> None:
    (folder / "pipelines/wrong.yaml").write_text(WRONG)

    job = run(*action(), folder, tmp_path / "temp")

    assert job.codes == {"runner": 2}
    assert "::error file=pipelines/wrong.yaml,line=3,col=42,endColumn=43,title=E103 unknown-step::" in job.log


def test_the_action_runs_pipelines_with_inputs_and_tells_their_outputs(folder: Path, tmp_path: Path) -> None:
    (folder / "pipelines/pot.yaml").write_text(PICTURE)

    job = run(
        *action(command="run", files="pipelines/pot.yaml", inputs="colour=deep blue\n", arguments="--local"),
        folder, tmp_path / "temp",
    )  # fmt: skip

    said = job.outputs["command"]
    assert job.codes == {"runner": 0}
    assert (said["outcome"], said["cost"]) == ("done", "0.020000")
    assert (folder / json.loads(said["outputs"])["pot.png"]).is_file()
    assert '"colour": "deep blue"' in next(folder.glob(".runner/runs/*/state.json")).read_text()
    assert job.summary.startswith("### pot: done in ")


def test_the_outputs_that_the_action_declares_are_those_that_a_run_writes(folder: Path, tmp_path: Path) -> None:
    declared = yaml.safe_load((REPO / "action.yml").read_text())["outputs"]

    job = run(*action(command="run", files="pipelines/one.yaml", arguments="--local"), folder, tmp_path / "temp")

    assert set(declared) <= set(job.outputs["command"])
    assert {o["value"] for o in declared.values()} == {f"${{{{ steps.command.outputs.{name} }}}}" for name in declared}


def test_the_action_runs_the_others_when_one_fails_and_fails(folder: Path, tmp_path: Path) -> None:
    (folder / "pipelines/bad.yaml").write_text("name: bad\nsteps:\n  a: {kind: parse_json, text: none}\n")

    job = run(*action(command="run", arguments="--local"), folder, tmp_path / "temp")

    assert job.codes == {"runner": 1}
    assert "::error file=pipelines/bad.yaml,line=3,col=3,endColumn=4,title=a failed::" in job.log
    assert job.summary.count(": done in ") == 2


def test_the_action_keeps_its_budget(folder: Path, tmp_path: Path) -> None:
    (folder / "pipelines/pot.yaml").write_text(PICTURE)

    job = run(
        *action(command="run", files="pipelines/pot.yaml", budget="0.01", arguments="--local"),
        folder,
        tmp_path / "temp",
    )

    assert job.codes == {"runner": 4}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"files": "nowhere/*.yaml"}, "No pipeline is named so."),
        ({"command": "paint"}, "There is no command paint for this action."),
    ],
)
def test_wrong_usage_of_the_action_is_told(folder: Path, tmp_path: Path, given: dict[str, str], words: str) -> None:
    job = run(*action(**given), folder, tmp_path / "temp")

    assert job.codes == {"runner": 2}
    assert f"::error title=runner::{words}" in job.log


def test_a_file_that_is_not_there_is_annotated_as_a_problem(folder: Path, tmp_path: Path) -> None:
    job = run(*action(files="pipelines/three.yaml"), folder, tmp_path / "temp")

    assert job.codes == {"runner": 2}
    assert "::error file=pipelines/three.yaml,line=1," in job.log
    assert "title=E211 file::There is no file pipelines/three.yaml." in job.log


def test_what_is_given_to_the_action_is_never_run_by_the_shell(folder: Path, tmp_path: Path) -> None:
    text = '"; touch broken; echo $(touch broken) `touch broken`'

    for word in ("files", "inputs", "arguments", "command", "budget"):
        run(*action(**{"command": "run", "files": "pipelines/one.yaml", word: text}), folder, tmp_path / "temp")

    assert not list(folder.rglob("broken"))


def test_the_key_is_masked_and_reaches_runpod(folder: Path, tmp_path: Path, emulator: Emulator) -> None:
    (folder / "pipelines/pot.yaml").write_text(PICTURE)

    job = run(
        *action(command="run", files="pipelines/pot.yaml", api_key="rpa_of_ci"), folder, tmp_path / "temp",
        env={"RUNPOD_BASE_URL": emulator.url},
    )  # fmt: skip

    assert job.codes == {"runner": 0}
    assert job.log.count("rpa_of_ci") == job.log.count("::add-mask::rpa_of_ci\n") == 1


# -- changed pipelines ---------------------------------------------------------------------------------


def pull_request(
    folder: Path, base: str, temp: Path, env: Mapping[str, str] | None = None, pipelines: str = "pipelines"
) -> Job:
    github = {"event": {"pull_request": {"base": {"sha": base}}}}
    return run(*workflow("changed-pipelines.yml", folder=pipelines), folder, temp, github=github, env=env)


def changed(job: Job) -> list[str]:
    found = re.search(r"Changed pipelines:\n((?:.*\.ya?ml\n)*)", job.log)
    assert found is not None
    return found[1].splitlines()


def test_only_what_a_pull_request_changes_is_checked(folder: Path, tmp_path: Path) -> None:
    (folder / "pipelines/wrong.yaml").write_text(WRONG)
    base = committed(folder)
    (folder / "pipelines/two words.yaml").write_text(TEXT.format(name="two", text="Coffee."))
    (folder / "README.md").write_text("Tea.")
    committed(folder)

    job = pull_request(folder, base, tmp_path / "temp")

    assert not job.failed, job.log
    assert changed(job) == ["pipelines/two words.yaml"]


def test_a_changed_prompt_is_a_change_of_every_pipeline_and_one_that_is_gone_is_none(
    folder: Path, tmp_path: Path
) -> None:
    gone = folder / "pipelines/gone.yaml"
    gone.write_text(WRONG)
    base = committed(folder)
    (folder / "pipelines/prompts").mkdir()
    (folder / "pipelines/prompts/brief.md").write_text("Tea.")
    gone.unlink()
    committed(folder)

    job = pull_request(folder, base, tmp_path / "temp")

    assert changed(job) == ["pipelines/one.yaml", "pipelines/two words.yaml"]


def test_a_changed_prompt_elsewhere_is_a_change_of_the_pipelines_that_name_it(folder: Path, tmp_path: Path) -> None:
    for name in ("prompts", "shared"):
        (folder / name).mkdir()
    (folder / "prompts/tea.txt").write_text("Tea.")
    (folder / "pipelines/one.yaml").write_text(TEXT.format(name="one", text="{file: ../prompts/tea.txt}"))
    (folder / "shared/cup.yaml").write_text(TEXT.format(name="cup", text="{file: ../prompts/tea.txt}"))
    (folder / "pipelines/three.yaml").write_text(
        "name: three\nsteps: {a: {kind: run_pipeline, file: ../shared/cup.yaml}}\n"
    )
    base = committed(folder)
    (folder / "prompts/tea.txt").write_text("Green tea.")
    changed_prompt = committed(folder)
    (folder / "prompts/tea.txt").rename(folder / "prompts/cha.txt")
    committed(folder)

    edited = pull_request(folder, base, tmp_path / "temp", pipelines="./pipelines/")
    renamed = pull_request(folder, changed_prompt, tmp_path / "other")

    assert changed(edited) == changed(renamed) == ["pipelines/one.yaml", "pipelines/three.yaml"]
    assert renamed.failed


def test_a_folder_without_pipelines_fails_the_job_and_one_whose_last_is_gone_does_not(
    folder: Path, tmp_path: Path
) -> None:
    base = committed(folder)
    nowhere = pull_request(folder, base, tmp_path / "temp", pipelines="pipeline")
    shutil.rmtree(folder / "pipelines")
    committed(folder)

    gone = pull_request(folder, base, tmp_path / "temp")

    assert nowhere.codes == {"Find what has changed": 2}
    assert "::error title=runner::There is no pipeline in the folder pipeline." in nowhere.log
    assert not gone.failed
    assert changed(gone) == []


def test_a_push_has_nothing_to_compare_with_and_fails_the_job(folder: Path, tmp_path: Path) -> None:
    committed(folder)

    job = pull_request(folder, "", tmp_path / "temp")

    assert job.codes == {"Find what has changed": 2}
    assert "::error title=runner::There is nothing to compare with." in job.log


def test_a_problem_in_a_changed_pipeline_fails_the_job(folder: Path, tmp_path: Path) -> None:
    base = committed(folder)
    (folder / "pipelines/wrong.yaml").write_text(WRONG)
    committed(folder)

    job = pull_request(folder, base, tmp_path / "temp")

    assert job.codes["Check them, and run those with a lock"] == 2
    assert "::error file=pipelines/wrong.yaml,line=3" in job.log


def test_a_locked_pipeline_is_made_as_reviewed_and_one_that_differs_fails_the_job(
    folder: Path, tmp_path: Path, emulator: Emulator
) -> None:
    base = committed(folder)
    pot = folder / "pipelines/pot.yaml"
    pot.write_text(PICTURE)
    runpod = {"RUNPOD_BASE_URL": emulator.url}
    made = run(
        *action(command="run", files="pipelines/pot.yaml", arguments="--lock", api_key="k"),
        folder, tmp_path / "temp", env=runpod,
    )  # fmt: skip
    shutil.rmtree(folder / "out")
    (folder / ".gitignore").write_text(".runner/\nout/\nreports/\n")
    committed(folder)
    asked = emulator.count("run")

    as_reviewed = pull_request(folder, base, tmp_path / "temp", runpod)
    picture = (folder / "out/pot/pot.png").is_file()
    pot.write_text(PICTURE.replace("seed: 7", "seed: 8"))
    committed(folder)
    otherwise = pull_request(folder, base, tmp_path / "temp", runpod)

    assert not made.failed, made.log
    assert not as_reviewed.failed, as_reviewed.log
    assert picture
    assert otherwise.codes["Check them, and run those with a lock"] == 3
    assert 'type="locked"' in (folder / "reports/pipelines/pot.xml").read_text()
    assert emulator.count("run") == asked


def test_what_runs_a_changed_pipeline_is_a_change_and_so_is_the_lock_of_a_profile(
    folder: Path, tmp_path: Path, emulator: Emulator
) -> None:
    pipelines = folder / "pipelines"
    (pipelines / "pot.yaml").write_text(PICTURE)
    (pipelines / "all.yaml").write_text("name: all\nsteps: {pot: {kind: run_pipeline, file: pot.yaml}}\n")
    (pipelines / "above.yml").write_text("name: above\nsteps: {all: {kind: run_pipeline, file: all.yaml}}\n")
    lock = pipelines / "one.draft.lock.yaml"
    lock.write_text("format: 1\npipeline: one\nprofile: draft\ncells: {}\n")
    base = committed(folder)
    (pipelines / "pot.yaml").write_text(PICTURE.replace("seed: 7", "seed: 8"))
    child = committed(folder)
    lock.write_text(lock.read_text() + "# looked at\n")
    committed(folder)

    below = pull_request(folder, base, tmp_path / "temp", {"RUNPOD_BASE_URL": emulator.url})
    profile = pull_request(folder, child, tmp_path / "other", {"RUNPOD_BASE_URL": emulator.url})

    assert changed(below) == ["pipelines/above.yml", "pipelines/all.yaml", "pipelines/one.yaml", "pipelines/pot.yaml"]
    assert changed(profile) == ["pipelines/one.yaml"]
    assert "pipelines/one.yaml has no profile draft" in profile.log


def test_models_of_a_project_are_a_change_of_every_pipeline(folder: Path, tmp_path: Path) -> None:
    base = committed(folder)
    (folder / "runner.yaml").write_text("models: {}\n")
    committed(folder)

    job = pull_request(folder, base, tmp_path / "temp")

    assert changed(job) == ["pipelines/one.yaml", "pipelines/two words.yaml"]


def test_a_base_that_is_not_there_fails_the_job(folder: Path, tmp_path: Path) -> None:
    committed(folder)

    job = pull_request(folder, "0" * 40, tmp_path / "temp")

    assert job.codes == {"Find what has changed": 128}


# -- scheduled pipelines -------------------------------------------------------------------------------


def test_a_scheduled_run_is_paid_once_within_its_budget(folder: Path, tmp_path: Path, emulator: Emulator) -> None:
    (folder / "pipelines/pot.yaml").write_text(PICTURE)
    weekly = workflow(
        "scheduled-pipelines.yml", files="pipelines/pot.yaml\npipelines/two words.yaml\n", budget="0.03", inputs="\n"
    )

    def week() -> Job:
        return run(
            *weekly, folder, tmp_path / "temp", secrets={"RUNPOD_API_KEY": "k"}, env={"RUNPOD_BASE_URL": emulator.url}
        )

    first, second = week(), week()

    assert not first.failed, first.log
    assert not second.failed, second.log
    assert emulator.count("run") == 1
    events = [json.loads(line) for line in (folder / "reports/pipelines/pot.jsonl").read_text().splitlines()]
    assert events[-1]["outcome"] == "done"
    assert (folder / "reports/pipelines/two words.xml").is_file()


def test_a_scheduled_run_that_would_pass_its_budget_fails_and_sends_nothing(
    folder: Path, tmp_path: Path, emulator: Emulator
) -> None:
    (folder / "pipelines/pot.yaml").write_text(PICTURE)

    job = run(
        *workflow("scheduled-pipelines.yml", files="pipelines/pot.yaml", budget="0.01"), folder, tmp_path / "temp",
        secrets={"RUNPOD_API_KEY": "k"}, env={"RUNPOD_BASE_URL": emulator.url},
    )  # fmt: skip

    assert job.codes == {"Run them": 4}
    assert emulator.count("run") == 0


@pytest.mark.parametrize("files", ["", "\n\n"])
def test_a_scheduled_run_of_nothing_fails(folder: Path, tmp_path: Path, files: str) -> None:
    job = run(*workflow("scheduled-pipelines.yml", files=files, budget="0.01"), folder, tmp_path / "temp")

    assert job.codes == {"Run them": 2}
    assert "::error title=runner::No pipeline is named." in job.log


@pytest.mark.parametrize(
    "used", [action(command="run", files="pipelines/one.yaml", arguments="--local"),
             workflow("scheduled-pipelines.yml", files="pipelines/one.yaml", budget="1", arguments="--local")],
    ids=["action", "workflow"],
)  # fmt: skip
def test_each_use_saves_the_store_under_a_key_of_its_own(folder: Path, tmp_path: Path, used: Any) -> None:
    steps, inputs = used
    env = {"GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "1"}

    first, second = (
        run(steps, inputs, folder, tmp_path / name, left_out=("Install runner",), env=env) for name in "ab"
    )

    keys = [job.outputs["store"]["key"] for job in (first, second)]
    caches = [step["with"] for step in steps if "actions/cache" in step.get("uses", "")]
    assert keys[0] != keys[1]
    assert all(key.startswith("runner-store-7-1-") for key in keys)
    assert [each["key"] for each in caches] == ["${{ steps.store.outputs.key }}"] * 2
    assert caches[0]["restore-keys"] == "runner-store-"


# -- what is published ---------------------------------------------------------------------------------


def shell_steps() -> list[Any]:
    paths = [REPO / "action.yml", *sorted((REPO / ".github/workflows").glob("*-pipelines.yml"))]
    found = []
    for path in paths:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
        steps = read["runs"]["steps"] if "runs" in read else next(iter(read["jobs"].values()))["steps"]
        found += [pytest.param(step["run"], id=f"{path.stem}: {step['name']}") for step in steps if "run" in step]
    return found


@pytest.mark.parametrize("script", shell_steps())
def test_no_script_has_an_expression_in_it(script: str) -> None:
    assert "${{" not in script


def test_the_hook_takes_pipelines_and_leaves_locks_and_tests_out() -> None:
    (hook,) = yaml.safe_load((REPO / ".pre-commit-hooks.yaml").read_text())

    taken = [
        name
        for name in (
            "pipelines/a.yaml",
            "pipelines/b/a.yaml",
            "pipelines/a.lock.yaml",
            "pipelines/a.test.yaml",
            "a.yaml",
        )
        if re.search(hook["files"], name) and not re.search(hook["exclude"], name)
    ]

    assert taken == ["pipelines/a.yaml", "pipelines/b/a.yaml"]


# -- docs/ci.md ----------------------------------------------------------------------------------------

PAGE = (REPO / "docs/ci.md").read_text(encoding="utf-8")
SHOWN = [yaml.safe_load(block.partition("```")[0]) for block in PAGE.split("```yaml\n")[1:]]
STEPS = [step for shown in SHOWN for job in shown.get("jobs", {}).values() for step in (job, *job.get("steps", ()))]


def test_the_documentation_gives_the_action_what_it_knows() -> None:
    known = yaml.safe_load((REPO / "action.yml").read_text())

    used = [step for step in STEPS if str(step.get("uses", "")).endswith("/runner@v1")]

    assert len(used) == 2
    assert all(set(step["with"]) <= set(known["inputs"]) for step in used)
    assert set(re.findall(r"steps\.card\.outputs\.(\w+)", PAGE)) <= set(known["outputs"])


def test_the_documentation_gives_the_workflows_what_they_know() -> None:
    called = [step for step in STEPS if "/.github/workflows/" in str(step.get("uses", ""))]

    assert len(called) == 2
    for step in called:
        name = step["uses"].partition("/.github/workflows/")[2].partition("@")[0]
        declared = yaml.safe_load((REPO / ".github/workflows" / name).read_text())[True]["workflow_call"]
        needed = {word for word, each in declared["inputs"].items() if each.get("required")}
        assert needed <= set(step["with"]) <= set(declared["inputs"])
        assert set(step.get("secrets", {})) <= set(declared.get("secrets", {}))


def test_the_documentation_names_our_hook() -> None:
    (hook,) = yaml.safe_load((REPO / ".pre-commit-hooks.yaml").read_text())

    assert [shown["repos"][0]["hooks"][0]["id"] for shown in SHOWN if isinstance(shown, dict) and "repos" in shown] == [
        hook["id"]
    ]


def test_the_commands_of_the_documentation_run_as_they_stand(tmp_path: Path) -> None:
    shutil.copytree(REPO / "pipelines", tmp_path / "pipelines")
    (job,) = [shown["pipelines"] for shown in SHOWN if "pipelines" in shown]
    scan = next(step["run"] for step in STEPS if "sarif" in step.get("run", ""))
    local = f"{job['script'][2]} --local"  # there is no key here

    done = run([{"run": "\n".join([scan, job["script"][1], local])}], {}, tmp_path, tmp_path / "temp")

    reports = job["artifacts"]["reports"]
    assert done.codes == {"": 0}, done.log
    assert json.loads((tmp_path / reports["codequality"]).read_text()) == []
    assert json.loads((tmp_path / "runner.sarif").read_text())["version"] == "2.1.0"
    assert "<failure" not in (tmp_path / reports["junit"]).read_text()
