"""What the documents name exists, and every command they show is one that its parser takes."""

import re
import tomllib
from pathlib import Path

import pytest

from cli.dry_run import planned_run
from tests.docs.documents import CONFIGS, DOCUMENTS, ROOT, commands, read, shown_files

COMMANDS = commands()
OURS = {path.name for path in CONFIGS.rglob("*.yaml")}
OTHERS = ("make", "pip", "source", "python3", "wandb", "#SBATCH")


def with_word(*beginnings: str) -> list[str]:
    """Where the commands are that hold one of these words."""
    return [where for where, words in COMMANDS.items() if {*beginnings} & {*words}]


def once(places: list[str]) -> list[str]:
    """The first place of each command: many are on several pages, and in a config's header."""
    return list({tuple(COMMANDS[where]): where for where in reversed(places)}.values())


def is_plain(words: list[str]) -> bool:
    """Whether a command trains one config of ours as it is: test_command_line builds each of them."""
    plain = re.fullmatch(r"python train\.py fit --config (\w+\.yaml)( --seed_everything \d+)?", " ".join(words))
    return plain is not None and plain[1] in OURS


@pytest.fixture
def _shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with the files that the documents show or expect from an earlier command."""
    for name, content in shown_files().items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    for name in ("calibration/calibration.yaml", "runs/demo_listnet/0/config_fit.yaml"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("base: demo_listnet.yaml\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("_shown")
@pytest.mark.parametrize(
    "where",
    [
        pytest.param(where, marks=() if where.startswith("README.md") else pytest.mark.slow)
        for where in once(with_word("train.py"))
        if not is_plain(COMMANDS[where])
    ],
)
def test_every_training_command_is_accepted(where: str) -> None:
    words = COMMANDS[where]
    arguments = words[words.index("train.py") + 1 :]
    planned_run([argument for argument in arguments if not argument.startswith("--print_config")])


@pytest.mark.parametrize("where", once(with_word("audio-relevance")))
def test_every_other_command_exists_with_its_options(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    from cli.__main__ import main

    command, *words = COMMANDS[where][1:]
    own = words[: words.index("--")] if "--" in words else words  # what follows goes to train.py
    with pytest.raises(SystemExit) as stop:
        main([command, *own[: command == "download"], "--help"])
    assert stop.value.code == 0
    options = {re.split(r"[.=]", word)[0] for word in own if word.startswith("--")}
    assert options <= {*re.findall(r"--[\w-]+", capsys.readouterr().out)}


@pytest.mark.parametrize("where", with_word("make"))
def test_every_verb_is_in_the_makefile(where: str) -> None:
    assert re.search(rf"^{COMMANDS[where][1]}:", read(ROOT / "Makefile"), flags=re.M)


@pytest.mark.parametrize("where", with_word("pip"))
def test_every_extra_is_one_of_the_package(where: str) -> None:
    extras = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]["optional-dependencies"]
    assert {*re.findall(r"\.\[(\w+)\]", " ".join(COMMANDS[where]))} <= {*extras}


def test_no_command_is_left_unchecked() -> None:
    checked = {*with_word("train.py", "audio-relevance")}
    assert [where for where, words in COMMANDS.items() if where not in checked and words[0] not in OTHERS] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", read(path)):
        name, _, anchor = link.partition("#")
        target = (path.parent / name) if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def anchors(path: Path) -> set[str]:
    """The names by which the headings of a document are linked to."""
    headings = re.findall(r"^#+ (.+)$", read(path), flags=re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_configs_and_folders_exist(path: Path) -> None:
    known = OURS | {*shown_files(), "calibration.yaml"}
    assert {*re.findall(r"(?<![\w/.{}*<])(\w+\.yaml)\b", read(path))} - known == set()
    places = {*re.findall(r"`((?:\w+/)+(?:\w+\.\w+)?)`", read(path))}
    made = ("data/", "runs/", "site/", "weights/", "packed/")  # by the user, or by commands
    if path.name != "CHANGELOG.md":
        assert [place for place in places if not place.startswith(made) and not (ROOT / place).exists()] == []


def test_the_citation_has_the_version_of_the_package() -> None:
    version = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]["version"]
    assert f"\nversion: {version}\n" in read(ROOT / "CITATION.cff")
