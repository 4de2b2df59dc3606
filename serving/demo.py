"""`therapist-fit demo`: everything once, with the commands that a person would type, in a folder of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(rich_markup_mode=None, add_completion=False)

MARK = ".made-by-therapist-fit-demo"
ELSEWHERE = ("MLFLOW_TRACKING_URI", "THERAPIST_FIT_DATABASE_URL", "THERAPIST_FIT_SETTINGS")
"""The demonstration stays in its folder: whatever these name is left alone."""
KEY_FILES = {"platform": "platform.key", "auditor": "auditor.key"}
SHOWN = 5
_AS_DEMO = ("--who", "demo", "--reason", "a demonstration on synthetic data")


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Folder for everything that the demonstration makes.")] = Path(
        "var/demo"
    ),
    episodes: Annotated[int, typer.Option(help="Courses of treatment to invent.", min=500)] = 3000,
    therapists: Annotated[int, typer.Option(help="Therapists to invent.", min=20)] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer of the server as one JSON object.")] = False,
) -> None:
    """Everything once: invent a clinic, train, audit, sign, approve, promote, serve, rank one client over HTTP, stop.

    Example: therapist-fit demo
    """
    say = _silent if as_json else _told
    home = _fresh(folder)
    say(f"A SYNTHETIC clinic: invented people, nothing here is about real therapy. Everything is in {folder}.")
    _run(home, say, "Invent a clinic", *_simulate(episodes, therapists))
    _run(home, say, "Check its data", "data", "check", "clinic")
    trained = _run(home, say, "Learn from it and track the run in MLflow", "train", "clinic", "--out", "bundle")
    for line in _learned(trained):
        say(f"    {line}")
    _decide(home, say, trained["version"])
    key = _key(home, say, "platform")
    _key(home, say, "auditor")
    with _server(home, say) as address:
        answer = _ask(address, key, say)
    say("The server is stopped.")
    typer.echo(json.dumps(answer)) if as_json else say("\n".join(["", *_shown(answer), "", *_look_around(folder)]))


def _silent(_line: str) -> None:
    """With --json the answer stands alone."""


def _told(line: str) -> None:
    typer.echo(line)


def _simulate(episodes: int, therapists: int) -> tuple[str, ...]:
    return ("data", "simulate", "clinic", "--episodes", str(episodes), "--therapists", str(therapists))


def _decide(home: Path, say: Callable[[str], None], version: str) -> None:
    """What a clinical lead would do before anything is served, under the name `demo` on record."""
    audit = _run(home, say, "Write its audit, a file to read and e-mail", "audit", version, "-o", "audit.html")
    say(f"    {_counted(len(_urgent(audit)), 'finding')} to look at before signing")
    signed = _run(home, say, "Sign the features it uses, as `demo`", "audit", "sign", version, *_AS_DEMO)
    say(f"    {_counted(len(signed['features']), 'feature')} signed")
    if flagged := signed["unsigned"]:
        say(f"    {_counted(len(flagged), 'feature')} flagged, so signed only by name: {', '.join(flagged)}")
        named = [word for name in flagged for word in ("--feature", name)]
        _run(home, say, "Sign those too, by name", "audit", "sign", version, *_AS_DEMO, *named)
    _run(home, say, "Approve the model", "models", "approve", version, *_AS_DEMO)
    promoted = _run(home, say, "Promote the model, signed as `demo`", "models", "promote", version, *_AS_DEMO)
    for line in _waived(promoted["waived"]) if promoted["waived"] else ():
        say(f"    {line}")


def _urgent(audit: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in audit["findings"] if one["level"] in ("look", "stop")]


def _fresh(folder: Path) -> Path:
    """The folder, emptied if an earlier demonstration made it. Raises ConfigError for anybody else's."""
    from data.errors import ConfigError, Problem

    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).is_file():
            rule = "the demonstration writes only into a folder of its own"
            raise ConfigError([Problem(str(folder), "holds other files", rule, "name another with --folder")])
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
    shutil.copy(Path(__file__).with_name("settings.example.toml"), folder / "settings.toml")
    return folder


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "import therapist_fit; therapist_fit.main()", *arguments]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ELSEWHERE}


def _run(home: Path, say: Callable[[str], None], what: str, *arguments: str) -> dict[str, Any]:
    """Runs one of our commands and returns its JSON. Raises DemoError with its last words if it fails."""
    from data.errors import DemoError

    say(f"\n{what}:  therapist-fit {' '.join(_quoted(one) for one in arguments)}")
    started = time.monotonic()
    done = subprocess.run(
        _command(*arguments, "--json"), cwd=home, env=_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise DemoError(f"therapist-fit {' '.join(arguments)} failed\n{done.stderr.strip()[-2000:]}")
    say(f"    done in {time.monotonic() - started:.1f} s")
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def _quoted(argument: str) -> str:
    return f'"{argument}"' if " " in argument else argument


def _learned(trained: dict[str, Any]) -> list[str]:
    gains = trained["evaluation"].get("utility", {}).get("over_next_available")
    lines = [f"bundle {trained['bundle_id']}, version {trained['version']} in the registry"]
    if gains:
        gain = gains["model"]["gain"]
        interval = f"95 % interval {gain['low']:+.2f} to {gain['high']:+.2f}"
        lines.append(f"tested forward in time: gain over next available {gain['value']:+.2f} SD ({interval})")
    return lines


def _waived(conditions: list[str]) -> list[str]:
    """Each condition with what was found; what to do about it is left to the card."""
    return [
        f"{_counted(len(conditions), 'condition')} of the gate not met: waived for a demonstration, on record",
        *(f"  {condition.partition(' -> ')[0]}" for condition in conditions),
        "  the model's card:  therapist-fit models show champion",
    ]


def _counted(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count} {what}s"


def _key(home: Path, say: Callable[[str], None], scope: str) -> str:
    """A key with this scope, kept beside the clinic for whoever looks around later."""
    name = "demo" if scope == "platform" else f"demo-{scope}"
    made = _run(home, say, f"Make a key for the {scope}", "keys", "create", "--name", name, "--scope", scope)
    key, file = str(made["key"]), home / KEY_FILES[scope]
    file.touch(mode=0o600)
    file.write_text(key)
    say(f"    kept in {file.name}")
    return key


@contextmanager
def _server(home: Path, say: Callable[[str], None]) -> Iterator[str]:
    """The real server, in a process of its own on a free port; stopped at the end, its log beside the clinic."""
    from data.errors import DemoError

    arguments = ("serve", "--settings", "settings.toml", "--data", "clinic", "--port", "0", "--metrics-port", "0")
    say(f"\nServe the champion:  therapist-fit {' '.join(arguments)}")
    with (home / "server.log").open("w") as log:
        process = subprocess.Popen(
            _command(*arguments, "--json"), cwd=home, env=_environment(), stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            first = process.stdout.readline() if process.stdout else ""
            if not first:
                raise DemoError(f"the server did not start -> read {home / 'server.log'}")
            address = json.loads(first)["url"]
            say(f"    listening at {address}")
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
            if process.stdout:
                process.stdout.close()


def _ask(address: str, key: str, say: Callable[[str], None]) -> dict[str, Any]:
    import httpx

    from data.errors import DemoError
    from serving.schemas import EXAMPLE_REQUEST

    request = {**EXAMPLE_REQUEST, "k": SHOWN}
    say(f"\nAsk for one client:  POST {address}/v1/recommendations\n    {_shortened(request)}")
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.post(f"{address}/v1/recommendations", json=request, headers=headers, timeout=30, trust_env=False)
    if answer.status_code != 200:
        raise DemoError(f"the server answered {answer.status_code}: {answer.text}")
    return answer.json()  # type: ignore[no-any-return]


def _shortened(request: dict[str, Any]) -> str:
    """The request on one line: the first field of the client, and the lists by their names."""
    first = dict(list(request["client"].items())[:1])
    shown = {name: [...] if isinstance(value, list) else value for name, value in request.items()}
    text = json.dumps({**shown, "client": {**first, "more": ...}}, default=lambda _: "...")
    return text.replace('"more": "..."', "...").replace('["..."]', "[...]")


def _shown(answer: dict[str, Any]) -> list[str]:
    from serving.answering.text import lines

    return lines(answer)


def _look_around(folder: Path) -> list[str]:
    programs = _programs(folder)
    return [
        "Look around (each runs until you stop it):",
        f"  MLflow, at http://127.0.0.1:5000:         cd {folder} && "
        f"{programs / 'mlflow'} ui --backend-store-uri sqlite:///var/mlflow.db",
        f"  The service, at http://127.0.0.1:8000:    cd {folder} && "
        f"{programs / 'therapist-fit'} serve --settings settings.toml --data clinic",
        f"    /match  a page for people who find a therapist for a client; sign in with the key in "
        f"{folder / KEY_FILES['platform']}",
        "    /audit  what drives the model, for whom it works, who signed it; sign in with the key in "
        f"{folder / KEY_FILES['auditor']} (or open {folder / 'audit.html'})",
        "    /docs   the API, to try out",
    ]


def _programs(folder: Path) -> Path:
    """Where our programs are, as seen from the folder if both lie below the place where the demonstration runs."""
    programs, here, home = Path(sys.executable).parent, Path.cwd(), folder.absolute()
    if programs.is_relative_to(here) and home.is_relative_to(here):
        return Path(os.path.relpath(programs, home))
    return programs
